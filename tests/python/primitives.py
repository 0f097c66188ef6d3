"""The meaning of each primitive of Gavotte, written with jax.numpy and lax from its documentation alone.

`interpret` runs a program; JAX transforms it by its own rules. A primitive that is missing here fails the suite, by
name.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.random import threefry2x32_p

DTYPES = {
    "f16": np.float16,
    "bf16": jnp.bfloat16.dtype.type,
    "f32": np.float32,
    "f64": np.float64,
    "i8": np.int8,
    "i16": np.int16,
    "i32": np.int32,
    "i64": np.int64,
    "u8": np.uint8,
    "u16": np.uint16,
    "u32": np.uint32,
    "u64": np.uint64,
    "bool": np.bool_,
}

PRIMITIVES = {}


def primitive(name):
    """Registers a function of (attributes, operands)."""

    def put(f):
        assert name not in PRIMITIVES, name
        PRIMITIVES[name] = f
        return f

    return put


def interpret(program, args):
    """The results of a program for its arguments, then its constants."""
    env = {}
    binders = program["args"] + program["consts"]
    assert len(binders) == len(args), f"{len(args)} arrays for {len(binders)} binders"
    for binder, x in zip(binders, args):
        assert x.dtype == DTYPES[binder["dtype"]] and list(x.shape) == binder["shape"], (binder, x.dtype, x.shape)
        env[binder["var"]] = x

    def read(atom):
        return env[atom["var"]] if "var" in atom else decode(atom["literal"])

    for eqn in program["eqns"]:
        if eqn["prim"] not in PRIMITIVES:
            raise NotImplementedError(f"tests/python/primitives.py does not say what `{eqn['prim']}` means")
        outs = PRIMITIVES[eqn["prim"]](eqn["params"], *(read(atom) for atom in eqn["ins"]))
        outs = outs if isinstance(outs, (list, tuple)) else [outs]
        assert len(outs) == len(eqn["outs"]), f"{eqn['prim']}: {len(outs)} results for {len(eqn['outs'])} binders"
        env.update(zip(eqn["outs"], outs))
    return [read(atom) for atom in program["outs"]]


def decode(array):
    """An array from its type, shape and bytes in hexadecimal."""
    data = np.frombuffer(bytes.fromhex(array["hex"]), dtype=DTYPES[array["dtype"]])
    return jnp.asarray(data.reshape(array["shape"]))


# Elementwise. Operands have one element type and one shape, or are scalars, which apply to every element.


def elementwise(name, f):
    def checked(params, *xs):
        assert not params
        assert len({x.dtype for x in xs}) == 1, f"{name} of {[x.dtype for x in xs]}"
        assert len({x.shape for x in xs if x.ndim}) <= 1, f"{name} of {[x.shape for x in xs]}"
        return f(*xs)

    PRIMITIVES[name] = checked


def is_float(x):
    return jnp.issubdtype(x.dtype, jnp.floating)


def div(a, b):
    """Integers: rounded towards zero, and all bits set where the divisor is 0."""
    if is_float(a):
        return a / b
    # XLA divides constants when it compiles, and fails where the processor would.
    a, b = jnp.broadcast_arrays(a, b)
    return jnp.where(b == 0, ~jnp.zeros_like(a), lax.div(a, jnp.where(b == 0, jnp.ones_like(b), b)))


def rem(a, b):
    """The remainder with the sign of the dividend; the dividend itself where an integer divisor is 0."""
    a, b = jnp.broadcast_arrays(a, b)
    if is_float(a):
        return lax.rem(a, b)
    return jnp.where(b == 0, a, lax.rem(a, jnp.where(b == 0, jnp.ones_like(b), b)))


def unsigned(dtype):
    return np.dtype(f"uint{8 * np.dtype(dtype).itemsize}")


def power(a, b):
    """`a` to the power 0 is 1, also for 0, so its slope there is 0; JAX's own is NaN."""
    a, b = jnp.broadcast_arrays(a, b)
    one = (a == 0) & (b == 0)
    return jnp.where(one, 1, jnp.power(jnp.where(one, 1, a), b)).astype(a.dtype)


def shift(by):
    """A shift by the width of the type or more, or by a negative distance, yields 0."""

    def f(a, b):
        a, b = jnp.broadcast_arrays(a, b)
        inside = (b >= 0) & (b < jnp.iinfo(b.dtype).bits)
        return jnp.where(inside, by(a, jnp.where(inside, b, 0)), 0).astype(a.dtype)

    return f


def widened(f):
    """A function that JAX has for no halves."""

    def wide(x):
        return f(x.astype(jnp.float32)).astype(x.dtype) if x.dtype.itemsize == 2 else f(x)

    return wide


def gamma(x):
    """JAX's loses digits by a logarithm's size, and has no sign below -1 in derivatives."""
    return jnp.where(x < 0, jnp.cos(jnp.pi * jnp.floor(x)), 1) * jnp.exp(lax.lgamma(x))


def factorial(n):
    return jnp.where(n < 0, 0, jnp.exp(lax.lgamma(jnp.where(n < 0, 0, n) + 1)))


def betaln(a, b):
    """Of positive numbers. JAX's compiles for long, and has no halves."""
    return lax.lgamma(a) + lax.lgamma(b) - lax.lgamma(a + b)


def beta(a, b):
    return jnp.exp(betaln(a, b))


def zeta(s, q):
    """For positive `q`. JAX's has no derivative with respect to `s`."""
    total = sum((q + k) ** -s for k in range(30))
    a = q + 30
    rest = a ** (1 - s) / (s - 1) + a**-s / 2 + s * a ** (-s - 1) / 12
    return total + rest - s * (s + 1) * (s + 2) * a ** (-s - 3) / 720


for name, f in {
    # Any slope from -1 to 1 is correct at 0. That of Gavotte is 0, that of `jnp.abs` is 1.
    "abs": lambda x: x * jnp.sign(x),
    "acos": jnp.arccos,
    "acosh": jnp.arccosh,
    "add": jnp.add,
    "add_any": jnp.add,
    "and": jnp.bitwise_and,
    "asin": jnp.arcsin,
    "asinh": jnp.arcsinh,
    "atan": jnp.arctan,
    "atan2": jnp.arctan2,
    "atanh": jnp.arctanh,
    "bessel_i0": jax.scipy.special.i0,
    "bessel_i0e": lax.bessel_i0e,
    "bessel_i1": jax.scipy.special.i1,
    "bessel_i1e": lax.bessel_i1e,
    "beta": beta,
    "betaln": betaln,
    "cbrt": jnp.cbrt,
    "ceil": jnp.ceil,
    # Of words: XLA folds that of a negative constant to a wrong number.
    "clz": lambda x: lax.clz(lax.bitcast_convert_type(x, unsigned(x.dtype))).astype(x.dtype),
    "cos": jnp.cos,
    "cosh": jnp.cosh,
    "digamma": lax.digamma,
    "div": div,
    "eq": jnp.equal,
    "erf": jax.scipy.special.erf,
    "erfc": jax.scipy.special.erfc,
    "erfcx": jax.scipy.special.erfcx,
    "exp": jnp.exp,
    "exp1": widened(jax.scipy.special.exp1),
    "exp2": jnp.exp2,
    "expi": widened(jax.scipy.special.expi),
    "expm1": jnp.expm1,
    "factorial": factorial,
    "floor": jnp.floor,
    "gamma": gamma,
    "ge": jnp.greater_equal,
    "gt": jnp.greater,
    "le": jnp.less_equal,
    "lgamma": lax.lgamma,
    "log": jnp.log,
    "log10": jnp.log10,
    "log1p": jnp.log1p,
    "log2": jnp.log2,
    "logistic": jax.nn.sigmoid,
    "lt": jnp.less,
    "max": jnp.maximum,
    "min": jnp.minimum,
    "mul": jnp.multiply,
    "ne": jnp.not_equal,
    "neg": jnp.negative,
    "not": jnp.bitwise_not,
    "or": jnp.bitwise_or,
    "population_count": lax.population_count,
    "pow": power,
    "rem": rem,
    "round": jnp.round,
    "shift_left": shift(lax.shift_left),
    "shift_right_logical": shift(lax.shift_right_logical),
    "sign": jnp.sign,
    "sin": jnp.sin,
    "sinh": jnp.sinh,
    "spence": widened(jax.scipy.special.spence),
    "sqrt": jnp.sqrt,
    "stop_gradient": lax.stop_gradient,
    "sub": jnp.subtract,
    "tan": jnp.tan,
    "tanh": jnp.tanh,
    "trunc": jnp.trunc,
    "xor": jnp.bitwise_xor,
    "zeta": zeta,
}.items():
    elementwise(name, f)


@primitive("weigh")
def weigh(params, w, x):
    """The product: a weight of 0 leaves out what it weighs, and for finite numbers the product is also 0."""
    return w * x


@primitive("select_n")
def _(_, which, when_false, when_true):
    assert which.dtype == np.bool_ and when_false.dtype == when_true.dtype
    return jnp.where(which, when_true, when_false)


@primitive("convert_element_type")
def _(p, x):
    """Floats to integers truncate and saturate, NaN is 0; integers to integers keep the bits; to bool is `x != 0`."""
    to = DTYPES[p["dtype"]["dtype"]]
    if to == np.bool_:
        return x != 0
    if is_float(x) and jnp.issubdtype(to, jnp.integer):
        return lax.stop_gradient(x).astype(to)
    return x.astype(to)


@primitive("bitcast_convert_type")
def _(p, x):
    to = DTYPES[p["dtype"]["dtype"]]
    return x if x.dtype == to else lax.bitcast_convert_type(x, to)


@primitive("threefry2x32")
def _(_, *words):
    assert all(word.dtype == np.uint32 for word in words)
    # JAX's batching rule requires all operands to have the new axis, or none: the sum has it if one of them has.
    same = 0 * sum(words)
    return threefry2x32_p.bind(*(word + same for word in words))


# Movement.


@primitive("broadcast_in_dim")
def _(p, x):
    return lax.broadcast_in_dim(x, p["shape"], p["dims"])


@primitive("transpose")
def _(p, x):
    return jnp.transpose(x, p["axes"])


@primitive("reshape")
def _(p, x):
    return jnp.reshape(x, p["shape"])


@primitive("concatenate")
def _(p, *xs):
    return jnp.concatenate(xs, axis=p["axis"])


@primitive("slice")
def _(p, x):
    return x[tuple(slice(*bounds) for bounds in zip(p["start"], p["limit"], p["stride"]))]


@primitive("pad")
def _(p, x, value):
    """The array's elements, set at their places among the values. (JAX 0.10.2 cannot transpose its own `pad` in the
    value alone.)"""
    assert x.dtype == value.dtype and value.ndim == 0
    shape, places = [], []
    for extent, low, high, gap in zip(x.shape, p["low"], p["high"], p["interior"]):
        span = extent + max(extent - 1, 0) * gap
        shape.append(low + span + high)
        places.append(slice(low, low + span, gap + 1))
    return jnp.broadcast_to(value, shape).at[tuple(places)].set(x)


# From nothing.


@primitive("iota")
def _(p):
    return lax.broadcasted_iota(DTYPES[p["dtype"]["dtype"]], p["shape"], p["axis"])


@primitive("dim_value")
def _(p):
    return jnp.asarray(p["dim"], DTYPES[p["dtype"]["dtype"]])


@primitive("zeros")
def _(p):
    return jnp.zeros(p["shape"], DTYPES[p["dtype"]["dtype"]])


# Reductions and contractions.


def least(dtype):
    """The maximum of nothing."""
    if dtype == np.bool_:
        return False
    return -np.inf if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype).min


def greatest(dtype):
    """The minimum of nothing."""
    if dtype == np.bool_:
        return True
    return np.inf if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype).max


def extremum(f, of_nothing, p, x):
    axes = tuple(p["axes"])
    if 0 in (x.shape[axis] for axis in axes):
        shape = [extent for axis, extent in enumerate(x.shape) if axis not in axes]
        return jnp.full(shape, of_nothing(x.dtype), x.dtype)
    return f(x, axis=axes)


@primitive("reduce_sum")
def _(p, x):
    return jnp.sum(x, axis=tuple(p["axes"]), dtype=x.dtype)


@primitive("reduce_prod")
def _(p, x):
    return jnp.prod(x, axis=tuple(p["axes"]), dtype=x.dtype)


@primitive("reduce_max")
def _(p, x):
    return extremum(jnp.max, least, p, x)


@primitive("reduce_min")
def _(p, x):
    return extremum(jnp.min, greatest, p, x)


@primitive("argmax")
def _(p, x):
    return jnp.argmax(x, axis=p["axis"]).astype(np.int32)


@primitive("argmin")
def _(p, x):
    return jnp.argmin(x, axis=p["axis"]).astype(np.int32)


@primitive("sort")
def _(p, *xs):
    return lax.sort(xs, num_keys=p["keys"], is_stable=True)


@primitive("sort_descending")
def _(p, *xs):
    """Twice the other way round: what is equal keeps its order."""
    flipped = lax.sort([jnp.flip(x, -1) for x in xs], num_keys=p["keys"], is_stable=True)
    return [jnp.flip(x, -1) for x in flipped]


def is_reverse(p):
    return p["reverse"]["literal"]["hex"] == "01"


@primitive("cumsum")
def _(p, x):
    return lax.cumsum(x, axis=x.ndim - 1, reverse=is_reverse(p))


@primitive("cumprod")
def _(p, x):
    return lax.cumprod(x, axis=x.ndim - 1, reverse=is_reverse(p))


def running(extremum, p, x):
    """The last element that was the extremum when it came; of equal ones, the derivative is its alone."""
    axis, reverse = x.ndim - 1, is_reverse(p)
    out = lax.stop_gradient(extremum(x, axis=axis, reverse=reverse))
    places = lax.broadcasted_iota(np.int32, x.shape, axis)
    places = jnp.where(x == out, places, x.shape[axis] - 1 if reverse else 0)
    places = (lax.cummin if reverse else lax.cummax)(places, axis=axis, reverse=reverse)
    return jnp.where(out == out, jnp.take_along_axis(x, places, axis=axis), out)


@primitive("cummax")
def _(p, x):
    return running(lax.cummax, p, x)


@primitive("cummin")
def _(p, x):
    return running(lax.cummin, p, x)


@primitive("dot_general")
def _(p, a, b):
    """By names of axes: batch, the rest of the first operand, the rest of the second."""
    names = iter(range(a.ndim + b.ndim))
    left, right = [None] * a.ndim, [None] * b.ndim
    for i, j in list(zip(*p["batch"])) + list(zip(*p["contract"])):
        left[i] = right[j] = next(names)
    batch = [left[axis] for axis in p["batch"][0]]
    for axes in (left, right):
        axes[:] = [next(names) if axis is None else axis for axis in axes]
    contracted = [left[axis] for axis in p["contract"][0]]
    free = [axis for axis in left + right if axis not in batch and axis not in contracted]
    return jnp.einsum(a, left, b, right, batch + free, precision=lax.Precision.HIGHEST)


@primitive("windows")
def _(p, x):
    """Element (i, k) of `axis` and the next one is element i * stride + k * dilation."""
    span = (p["size"] - 1) * p["dilation"] + 1
    count = max((x.shape[p["axis"]] - span) // p["stride"] + 1, 0)
    places = np.arange(count)[:, None] * p["stride"] + np.arange(p["size"])[None] * p["dilation"]
    if count == 0:
        return jnp.zeros(x.shape[: p["axis"]] + (0, p["size"]) + x.shape[p["axis"] + 1 :], x.dtype)
    return jnp.take(x, places, axis=p["axis"])


@primitive("conv")
def _(p, x, w):
    """One convolution for each element of the batch axes; further axes of each operand are flattened."""

    def split(axes_of, x):
        batch, contracted, spatial = (p[name][axes_of] for name in ("batch", "contract", "spatial"))
        rest = [axis for axis in range(x.ndim) if axis not in batch + contracted + spatial]
        sizes = lambda axes: [x.shape[axis] for axis in axes]
        flat = jnp.transpose(x, batch + rest + contracted + spatial)
        size = [int(np.prod(sizes(axes))) for axes in (batch, rest, contracted)]
        return flat.reshape(size + sizes(spatial)), sizes(batch), rest, sizes(rest)

    left, batch, rest, rest_sizes = split(0, x)
    right, _, _, free_sizes = split(1, w)
    conv = lambda x, w: lax.conv_general_dilated(
        x, w, p["stride"], list(zip(p["low"], p["high"])), p["base_dilation"], p["window_dilation"],
        precision=lax.Precision.HIGHEST)
    spatial = p["spatial"][0]
    of_one = jax.eval_shape(conv, left[0], right[0]).shape
    if 0 in of_one:
        # JAX transposes no convolution without a result.
        out = jnp.zeros((left.shape[0],) + of_one, x.dtype)
    elif left.shape[0] == 1:
        out = conv(left[0], right[0])[None]
    else:
        out = jnp.stack([conv(a, b) for a, b in zip(left, right)])
    # batch, the rest, what is free in the window, spatial axes in the order of the attribute
    out = out.reshape(batch + rest_sizes + free_sizes + list(out.shape[3:]))
    n, m = len(batch), len(batch) + len(rest) + len(free_sizes)
    places = {axis: n + i for i, axis in enumerate(rest)} | {axis: m + i for i, axis in enumerate(spatial)}
    order = list(range(n)) + [places[axis] for axis in sorted(places)] + list(range(n + len(rest), m))
    return jnp.transpose(out, order)


# By number.


def shared(f, p):
    """`f` of the remaining axes, for every position along the first `shared` ones."""
    return functools.reduce(lambda f, _: jax.vmap(f), range(p.get("shared", 0)), f)


@primitive("gather")
def _(p, x, ids, *_):
    """The numbers' axes replace `axis`; the other two arrays of segments hold the same information by segment."""
    return shared(lambda x, ids: jnp.take(x, ids, axis=p["axis"] - p.get("shared", 0)), p)(x, ids)


@primitive("scatter_add")
def _(p, x, ids, updates):
    before = (slice(None),) * (p["axis"] - p.get("shared", 0))
    return shared(lambda x, ids, updates: x.at[before + (ids,)].add(updates), p)(x, ids, updates)


@primitive("scatter")
def _(p, x, ids, updates):
    before = (slice(None),) * (p["axis"] - p.get("shared", 0))
    return shared(lambda x, ids, updates: x.at[before + (ids,)].set(updates), p)(x, ids, updates)


@primitive("scatter_max")
def _(p, x, ids, updates):
    before = (slice(None),) * (p["axis"] - p.get("shared", 0))
    return shared(lambda x, ids, updates: x.at[before + (ids,)].max(updates), p)(x, ids, updates)


@primitive("scatter_min")
def _(p, x, ids, updates):
    before = (slice(None),) * (p["axis"] - p.get("shared", 0))
    return shared(lambda x, ids, updates: x.at[before + (ids,)].min(updates), p)(x, ids, updates)


@primitive("scatter_mul")
def _(p, x, ids, updates):
    """JAX's own has derivatives for different indices only: with a mask of the updates of every place."""
    axis = p["axis"] - p.get("shared", 0)

    def one(x, ids, updates):
        places = jnp.arange(x.shape[axis], dtype=ids.dtype)
        factors = updates.reshape(x.shape[:axis] + (1, ids.size) + x.shape[axis + 1 :])
        mask = (ids.reshape(-1)[None, :] == places[:, None]).reshape(
            (1,) * axis + (places.size, ids.size) + (1,) * (x.ndim - axis - 1)
        )
        return x * jnp.prod(jnp.where(mask, factors, jnp.ones((), x.dtype)), axis=axis + 1, dtype=x.dtype)

    return shared(one, p)(x, ids, updates)


@primitive("segment_sum")
def _(_, data, ids, offsets, order):
    return jax.ops.segment_sum(data, ids, num_segments=offsets.shape[0] - 1)


@primitive("segment_max")
def _(_, data, ids, offsets, order):
    """With a mask of members: the largest of every row, or the least value where the mask is empty."""
    mask = ids[None, :] == jnp.arange(offsets.shape[0] - 1, dtype=ids.dtype)[:, None]
    mask = mask.reshape(mask.shape + (1,) * (data.ndim - 1))
    return jnp.max(jnp.where(mask, data[None], jnp.asarray(least(data.dtype), data.dtype)), axis=1)


# Linear algebra. The batches are the axes in front.


def turned(x):
    return jnp.swapaxes(x, -1, -2)


def upright(columns, *others):
    """Columns with a positive first one of their largest elements; the rows of others change their signs along."""
    if 0 in columns.shape:
        return columns, *others
    size = jnp.abs(lax.stop_gradient(columns))
    largest = jnp.take_along_axis(columns, jnp.argmax(size, -2, keepdims=True), -2)
    sign = lax.stop_gradient(jnp.sign(largest))
    return columns * sign, *(x * turned(sign) for x in others)


@primitive("cholesky")
def _(p, x):
    return lax.linalg.cholesky((x + turned(x)) / 2, symmetrize_input=False)


def is_true(literal):
    return literal["literal"]["hex"] == "01"


@primitive("triangular_solve")
def _(p, a, b):
    left, lower, transposed, unit = (is_true(p[name]) for name in ["left", "lower", "transposed", "unit"])
    if a.size == 0:
        return b
    return lax.linalg.triangular_solve(a, b, left_side=left, lower=lower, transpose_a=transposed, unit_diagonal=unit)


@primitive("lu")
def _(p, x):
    return lax.linalg.lu(x)


@primitive("solve")
def _(p, a, b, lu, order):
    transposed = is_true(p["transposed"])
    lu = lax.stop_gradient(lu)

    def by_factors(b, transposed):
        solve = functools.partial(lax.linalg.triangular_solve, lu, left_side=True)
        if not transposed:
            y = jnp.take_along_axis(b, order[..., None], -2)
            return solve(solve(y, lower=True, unit_diagonal=True), lower=False)
        y = solve(solve(b, lower=False, transpose_a=True), lower=True, unit_diagonal=True, transpose_a=True)
        return jnp.take_along_axis(y, jnp.argsort(order, -1)[..., None], -2)

    if b.size == 0:
        return b
    matrix = turned(a) if transposed else a
    return lax.custom_linear_solve(
        lambda x: matrix @ x,
        b,
        lambda _, b: by_factors(b, transposed),
        lambda _, b: by_factors(b, not transposed),
    )


@primitive("qr")
def _(p, x):
    return jnp.linalg.qr(x)


@primitive("eigh")
def _(p, x):
    values, vectors = jnp.linalg.eigh((x + turned(x)) / 2, symmetrize_input=False)
    return values, *upright(vectors)


@primitive("svd")
def _(p, x):
    u, s, vt = jnp.linalg.svd(x, full_matrices=False)
    u, vt = upright(u, vt)
    return u, s, vt
