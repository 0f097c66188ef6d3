"""Computes for the differential suite: one request per line on standard input, one answer per line on standard output.

A request holds a list of checks. It asks either for XLA's results of a StableHLO module, or for JAX's results of a
program and transformations of it. All checks of a request are one compilation.
"""

import json
import os
import sys

os.environ["JAX_PLATFORMS"] = "cpu"
# Two workers share two cores, and compiled code runs only once, so that the plainest emitter and one module are best.
FLAGS = [
    "--xla_cpu_multi_thread_eigen=false",
    "--xla_cpu_parallel_codegen_split_count=1",
    "--xla_cpu_use_fusion_emitters=false",
]
# JAX factorises the matrices of a batch on the threads of a pool, and waits for them on a thread of that pool: as many
# batches at once as there are threads would wait for ever.
os.environ["NPROC"] = os.environ["PJRT_NPROC"] = "64"
os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *FLAGS])

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import numpy as np
from jaxlib._jax import DeviceList
from jaxlib.xla_client import CompileOptions

import nested_programs  # noqa: F401  (registers loops, branches and custom rules)
from functions import FUNCTIONS
from primitives import DTYPES, PRIMITIVES, decode, interpret

# For the same reason.
FAST_COMPILATION = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
# Compiled programs that are kept before they are dropped.
MAX_COMPILED = 200

NAMES = {np.dtype(dtype): name for name, dtype in DTYPES.items()}


def encode(x):
    x = np.asarray(x)
    if x.dtype not in NAMES:
        raise TypeError(f"no element type of Gavotte is {x.dtype}")
    return {"dtype": NAMES[x.dtype], "shape": list(x.shape), "hex": np.ascontiguousarray(x).tobytes().hex()}


def is_float(x):
    return jnp.issubdtype(x.dtype, jnp.floating)


def floats(xs):
    return [x for x in xs if is_float(x)]


# JAX's transformations of functions of arguments, then constants. Each has the inputs and results of the program that
# Gavotte's transformation returns.


def with_floats(f, args, consts):
    """`f` as a function of its floating arguments only."""
    places = [i for i, x in enumerate(args) if is_float(x)]

    def g(*moving):
        full = list(args)
        for i, x in zip(places, moving):
            full[i] = x
        return f(*full, *consts)

    return g, [args[i] for i in places]


def jvp(f, stage):
    """Arguments, constants, a tangent for each floating argument; results, a tangent for each floating result."""

    def g(*xs):
        args, consts, tangents = split(xs, stage)
        h, primals = with_floats(f, args, consts)
        if not primals:
            outs = f(*xs)
            return [*outs, *(jnp.zeros_like(out) for out in outs if is_float(out))]
        outs, moved = jax.jvp(h, primals, list(tangents))
        return [*outs, *(t for out, t in zip(outs, moved) if is_float(out))]

    return g


def vjp(f, stage):
    """Arguments, constants, a cotangent for each floating result; results, a cotangent for each floating argument."""

    def g(*xs):
        args, consts, cotangents = split(xs, stage)
        h, primals = with_floats(f, args, consts)
        outs = h(*primals)
        if not primals:
            return outs
        _, pull = jax.vjp(lambda *ys: floats(h(*ys)), *primals)
        return [*outs, *pull(list(cotangents))]

    return g


def transpose(f, stage):
    """Constants, a cotangent for each result; a cotangent for each argument. The function is linear in those."""
    avals = [jax.ShapeDtypeStruct(aval["shape"], DTYPES[aval["dtype"]]) for aval in stage["avals"]]

    def g(*xs):
        consts, cotangents = xs[: stage["consts"]], xs[stage["consts"] :]
        return list(jax.linear_transpose(lambda *ys: f(*ys, *consts), *avals)(list(cotangents)))

    return g


def vmap(f, stage):
    """Over `in_axes` of the arguments; constants have no new axis; it comes first in every result."""
    in_axes = [*stage["in_axes"], *[None] * stage["consts"]]
    return jax.vmap(f, in_axes=in_axes, axis_size=stage["size"])


def split(xs, stage):
    n, m = stage["args"], stage["args"] + stage["consts"]
    return xs[:n], xs[n:m], xs[m:]


TRANSFORMS = {"jvp": jvp, "vjp": vjp, "linearize": jvp, "transpose": transpose, "vmap": vmap}


def function(asked):
    """A function of the arguments; the arrays that Gavotte's own function makes come after them."""

    def f(*xs):
        outs = FUNCTIONS[asked["function"]](*xs[: asked["args"]])
        outs = outs if isinstance(outs, (list, tuple)) else [outs]
        # Gavotte counts in 32 bits.
        narrow = {np.dtype(np.int64): np.int32, np.dtype(np.uint64): np.uint32}
        return [jnp.asarray(out, narrow.get(jnp.asarray(out).dtype)) for out in outs]

    return f


def transformed(check):
    program = check["program"]
    if "function" in program:
        f = function(program)
    else:

        def f(*xs):
            return interpret(program, xs)

    for stage in check["transforms"]:
        f = TRANSFORMS[stage["transform"]](f, stage)
    return f


def run_jax(checks):
    functions = [transformed(check) for check in checks]
    inputs = [[decode(array) for array in check["inputs"]] for check in checks]
    run = jax.jit(lambda inputs: [list(f(*xs)) for f, xs in zip(functions, inputs)])
    compiled = run.lower(inputs).compile(compiler_options=FAST_COMPILATION)
    return [[encode(x) for x in outs] for outs in compiled(inputs)]


def run_xla(text, inputs):
    options = CompileOptions()
    for name, value in FAST_COMPILATION.items():
        setattr(options.executable_build_options.debug_options, name, value)
    device = jax.devices("cpu")[0]
    compiled = device.client.compile_and_load(text, DeviceList((device,)), options)
    arrays = [jax.device_put(decode(array), device) for array in inputs]
    outs = compiled.execute_sharded(arrays).disassemble_into_single_device_arrays()
    return [encode(out[0]) for out in outs]


def types(checks):
    """The types of each program's results, or why JAX refuses it."""

    def of(check):
        binders = check["program"]["args"] + check["program"]["consts"]
        avals = [jax.ShapeDtypeStruct(binder["shape"], DTYPES[binder["dtype"]]) for binder in binders]
        try:
            outs = jax.eval_shape(lambda *xs: list(interpret(check["program"], xs)), *avals)
        except Exception as error:  # Whatever the error: the answer is that JAX refuses.
            return {"refused": str(error)}
        return [{"dtype": NAMES[np.dtype(out.dtype)], "shape": list(out.shape)} for out in outs]

    return [of(check) for check in checks]


REQUESTS = {
    "primitives": lambda _: sorted(PRIMITIVES),
    "functions": lambda _: sorted(FUNCTIONS),
    "jax": lambda request: run_jax(request["checks"]),
    "xla": lambda request: run_xla(request["text"], request["inputs"]),
    "types": lambda request: types(request["checks"]),
}


def main():
    # Other output must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for count, line in enumerate(sys.stdin):
        request = json.loads(line)
        try:
            answer = {"ok": REQUESTS[request["do"]](request)}
        except Exception as error:  # The suite reports it with the request.
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
        if count % MAX_COMPILED == MAX_COMPILED - 1:
            jax.clear_caches()


if __name__ == "__main__":
    main()
