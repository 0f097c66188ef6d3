"""What each public function of Gavotte computes, in the terms of JAX and SciPy.

A function is called with its array operands; other arguments are part of its name. `tests/src/functions` has the
operands.
"""

import jax
import jax.numpy as jnp


def in_f64(f):
    """`f` where JAX's derivatives in `f32` are not precise enough to compare with: near zeros, and far out."""
    return lambda *xs: f(*(x.astype(jnp.float64) for x in xs)).astype(xs[0].dtype)


# Arrays.
ARRAY = {
    "mean": jnp.mean,
    "mean_0": lambda x: jnp.mean(x, 0),
    "clip": lambda x: jnp.clip(x, -1, 1.5),
    "power": jnp.power,
    "maximum": jnp.maximum,
}

# Elementwise functions that are no primitives.
ELEMENTWISE = {
    "add": jnp.add,
    "subtract": jnp.subtract,
    "multiply": jnp.multiply,
    "divide": jnp.divide,
    "equal": jnp.equal,
    "not_equal": jnp.not_equal,
    "less": jnp.less,
    "less_equal": jnp.less_equal,
    "greater": jnp.greater,
    "greater_equal": jnp.greater_equal,
    "negative": jnp.negative,
    "bitwise_and": jnp.bitwise_and,
    "bitwise_or": jnp.bitwise_or,
    "bitwise_xor": jnp.bitwise_xor,
    "bitwise_not": jnp.bitwise_not,
    "shift_left": jnp.left_shift,
    "shift_right": jnp.right_shift,
    "logical_and": jnp.logical_and,
    "logical_or": jnp.logical_or,
    "logical_xor": jnp.logical_xor,
    "logical_not": jnp.logical_not,
    "isnan": jnp.isnan,
    "isinf": jnp.isinf,
    "isfinite": jnp.isfinite,
    "isclose": lambda x, y: jnp.isclose(x, y, 0.2, 0.1),
    "isin": jnp.isin,
    "count_nonzero": jnp.count_nonzero,
    "count_nonzero_1": lambda x: jnp.count_nonzero(x, 1),
    "floor_divide": jnp.floor_divide,
    "remainder": jnp.remainder,
    "fmod": jnp.fmod,
    "reciprocal": jnp.reciprocal,
    "rsqrt": jax.lax.rsqrt,
    "square": jnp.square,
    "deg2rad": jnp.deg2rad,
    "rad2deg": jnp.rad2deg,
    "sinc": in_f64(jnp.sinc),
    "nan_to_num": jnp.nan_to_num,
    "nan_to_num_smooth": jnp.nan_to_num,
    "heaviside": jnp.heaviside,
    "copysign": jnp.copysign,
    "hypot": in_f64(jnp.hypot),
    "logaddexp": jnp.logaddexp,
    "logaddexp2": jnp.logaddexp2,
    "ldexp": jnp.ldexp,
}

FUNCTIONS = {**ARRAY, **ELEMENTWISE}
