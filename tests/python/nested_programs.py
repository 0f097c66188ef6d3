"""What primitives with nested programs mean: calls, loops, branches, functions with custom derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree
from primitives import interpret, is_float, primitive


def call(program, xs):
    """Runs a nested program. Its constants come first."""
    program = program["program"]
    n = len(program["consts"])
    return interpret(program, [*xs[n:], *xs[:n]])


@primitive("call")
def _(p, *xs):
    return call(p["program"], xs)


# Loops and branches.


@primitive("scan")
def _(p, *xs):
    """Constants, carries, sequences; an iteration takes the constants, the carries and a row of each sequence."""
    n, m = p["n_const"], p["n_const"] + p["n_carry"]

    def iteration(carries, rows):
        outs = call(p["body"], [*xs[:n], *carries, *rows])
        return tuple(outs[: p["n_carry"]]), tuple(outs[p["n_carry"] :])

    reverse = p["reverse"]["literal"]["hex"] == "01"
    carries, rows = lax.scan(iteration, tuple(xs[n:m]), tuple(xs[m:]), length=p["length"], reverse=reverse)
    return [*carries, *rows]


@primitive("while")
def _(p, *xs):
    """Constants of the predicate, constants of the body, carries."""
    n, m = p["n_cond_const"], p["n_cond_const"] + p["n_body_const"]
    return lax.while_loop(
        lambda carries: call(p["cond"], [*xs[:n], *carries])[0],
        lambda carries: tuple(call(p["body"], [*xs[n:m], *carries])),
        tuple(xs[m:]),
    )


@primitive("switch")
def _(p, index, *xs):
    """The branch whose number is nearest."""
    branches = [lambda *xs, branch=branch: tuple(call(branch, xs)) for branch in p["branches"]]
    return lax.switch(index, branches, *xs)


# Custom derivatives.


def with_tangents(f, n_const, rule):
    """`f` with `rule(operands, tangents of floating arguments)` for the tangents of its floating results, in order."""
    g = jax.custom_jvp(lambda *xs: tuple(f(xs)))

    @g.defjvp
    def _(xs, tangents):
        moving = [t for x, t in zip(xs[n_const:], tangents[n_const:]) if is_float(x)]
        outs = g(*xs)
        found = iter(rule(xs, moving))
        return outs, tuple(next(found) if is_float(out) else np.zeros(out.shape, jax.dtypes.float0) for out in outs)

    return g


@primitive("custom_jvp_call")
def _(p, *xs):
    """The rule takes a tangent for each floating argument, and returns the results, then their tangents if floating."""
    n = len(p["program"]["program"]["outs"])
    rule = lambda xs, tangents: call(p["rule"], [*xs, *tangents])[n:]
    return with_tangents(lambda xs: call(p["program"], xs), p["n_const"], rule)(*xs)


def transposed(f, like):
    """The transpose of a linear function of arrays like these."""
    pull = jax.linear_transpose(lambda *ys: f(ys), *(jax.ShapeDtypeStruct(x.shape, x.dtype) for x in like))
    return lambda tangents: pull(list(tangents))


@primitive("custom_vjp_call")
def _(p, *xs):
    """`bwd` takes captured values, the residuals of `fwd`, and cotangents; the derivative is its transpose."""
    n, outs = p["n_const"], p["program"]["program"]["outs"]

    def rule(xs, tangents):
        found = call(p["fwd"], xs)
        known = [*xs[:n], *found[len(outs) :]]
        like = [x for x in found[: len(outs)] if is_float(x)]
        return transposed(lambda cotangents: call(p["bwd"], [*known, *cotangents]), like)(tangents)

    return with_tangents(lambda xs: call(p["program"], xs), n, rule)(*xs)


@primitive("custom_lin")
def _(p, *xs):
    """The transpose of `bwd` in the arguments after its known values."""
    known, tangents = xs[: p["n_known"]], xs[p["n_known"] :]
    bwd = p["bwd"]["program"]
    like = [jax.ShapeDtypeStruct(arg["shape"], tangents[0].dtype) for arg in bwd["args"][len(known) :]]
    return transposed(lambda cotangents: call(p["bwd"], [*known, *cotangents]), like)(tangents)


@primitive("linear_solve")
def _(p, *xs):
    known = list(xs[: p["n_const"]])
    return lax.custom_linear_solve(
        lambda x: call(p["matvec"], [*known, *x]),
        list(xs[p["n_const"] :]),
        lambda _, b: call(p["program"], [*known, *b]),
        lambda _, b: call(p["back"], [*known, *b]),
    )


@primitive("root")
def _(p, *xs):
    """The derivative is solved as a dense system: `tangent` is one way to do that."""
    known = list(xs[: p["n_const"]])

    def dense(g, y):
        flat, tree = ravel_pytree(y)
        matrix = jax.jacfwd(lambda t: ravel_pytree(g(tree(t)))[0])(jnp.zeros_like(flat))
        return tree(jnp.linalg.solve(matrix, flat))

    return lax.custom_root(
        lambda x: call(p["f"], [*known, *x]),
        list(xs[p["n_const"] :]),
        lambda _, x: call(p["program"], [*known, *x]),
        dense,
    )


@primitive("checkpoint")
def _(p, *xs):
    return jax.checkpoint(lambda *xs: call(p["program"], xs))(*xs)


@primitive("checkpoint_name")
def _(p, x):
    return x


@primitive("optimization_barrier")
def _(_, *xs):
    return list(xs)
