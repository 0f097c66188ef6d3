"""What each public function of Gavotte computes, in the terms of JAX and SciPy.

A function is called with its array operands; other arguments are part of its name. `tests/src/functions` has the
operands.
"""

import jax
import jax.numpy as jnp
import numpy as np


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

# Statistics.
STATISTICS = {
    "std": jnp.std,
    "std_of_few": jnp.std,
    "std_0": lambda x: jnp.std(x, 0),
    "var_ddof": lambda x: jnp.var(x, 1, ddof=1),
    "var_of_few": lambda x: jnp.var(x, 1, ddof=1),
    "std_ddof": lambda x: jnp.std(x, ddof=2),
    "std_of_too_few": lambda x: jnp.std(x, ddof=2),
    "ptp": jnp.ptp,
    "ptp_1": lambda x: jnp.ptp(x, 1),
    "average": lambda x, w: jnp.average(x, weights=w),
    "average_1": lambda x, w: jnp.average(x, 1, w),
    "average_20": lambda x, w: jnp.average(x, (2, 0), w),
    "cov": jnp.cov,
    "cov_population": lambda x: jnp.cov(x, ddof=0),
    "corrcoef": jnp.corrcoef,
    "corrcoef_of_two": lambda x: jnp.tril(jnp.corrcoef(x), -1),
    "nansum": jnp.nansum,
    "nansum_1": lambda x: jnp.nansum(x, 1),
    "nanmean": jnp.nanmean,
    "nanmean_1": lambda x: jnp.nanmean(x, 1),
    "nanvar": jnp.nanvar,
    "nanvar_1": lambda x: jnp.nanvar(x, 1, ddof=1),
    "nanstd": lambda x: jnp.nanstd(x, ddof=1),
    "nanstd_1": lambda x: jnp.nanstd(x, 1),
    "nanmax": jnp.nanmax,
    "nanmax_1": lambda x: jnp.nanmax(x, 1),
    "nanmin": jnp.nanmin,
    "nanmin_1": lambda x: jnp.nanmin(x, 1),
}

# Shapes.
SHAPES = {
    "tri": lambda _: jnp.tri(3, 5, 1, jnp.float32),
    "tri_below": lambda _: jnp.tri(4, 2, -2, jnp.int32),
    "tril": jnp.tril,
    "tril_1": lambda x: jnp.tril(x, 1),
    "triu": jnp.triu,
    "triu_below": lambda x: jnp.triu(x, -1),
    "diag": jnp.diag,
    "diag_2": lambda x: jnp.diag(x, 2),
    "diag_below": lambda x: jnp.diag(x, -2),
    "diagonal": jnp.diagonal,
    "diagonal_swapped": lambda x: jnp.diagonal(x, 1, -1, 0),
    "trace": jnp.trace,
    "trace_below": lambda x: jnp.trace(x, -1, 0, 2),
    "vander": lambda x: jnp.vander(x, 4),
    "vander_edges": lambda x: jnp.vander(x, 3, increasing=True),
    "linspace": lambda a, b: jnp.linspace(a, b, 5),
    "linspace_one": lambda a, b: jnp.linspace(a, b, 1),
    "linspace_zero": lambda a, b: jnp.linspace(a, b, 0),
    "logspace": lambda a, b: jnp.logspace(a, b, 5, base=3.0),
    "logspace_base": lambda a, b, base: jnp.logspace(a, b, 3, base=base),
    "geomspace": lambda a, b: jnp.geomspace(a, b, 5),
    "geomspace_one": lambda a, b: jnp.geomspace(a, b, 1),
    "full_like": lambda x: jnp.full_like(x, 3),
    "meshgrid": lambda x, y: jnp.meshgrid(x, y),
    "meshgrid_ij": lambda x, y, z: jnp.meshgrid(x, y, z, indexing="ij"),
    "meshgrid_one": lambda x: jnp.meshgrid(x),
    "repeat": lambda x: jnp.repeat(x, 3, 1),
    "repeat_first": lambda x: jnp.repeat(x, 2, 0),
    "repeat_never": lambda x: jnp.repeat(x, 0, 0),
    "repeat_by": lambda x: jnp.repeat(x, np.array([2, 0, 3]), -1, total_repeat_length=5),
    "repeat_by_none": lambda x: jnp.repeat(x, np.array([0, 0, 0]), 0, total_repeat_length=0),
    "tile": lambda x: jnp.tile(x, (2, 3)),
    "roll": lambda x: jnp.roll(x, 2, 1),
    "roll_back": lambda x: jnp.roll(x, -7, 0),
    "flip": jnp.flip,
    "flip_1": lambda x: jnp.flip(x, 1),
    "rot90": jnp.rot90,
    "rot90_twice": lambda x: jnp.rot90(x, -2, (1, 0)),
    "rot90_back": lambda x: jnp.rot90(x, 3, (2, 0)),
    "ravel": jnp.ravel,
    "hstack": lambda x, y: jnp.hstack([x, y]),
    "vstack": lambda x, y: jnp.vstack([x, y]),
    "column_stack": lambda x, y: jnp.column_stack([x, y]),
    "array_split": lambda x: jnp.array_split(x, 3),
    "array_split_1": lambda x: jnp.array_split(x, 2, -1),
}

FUNCTIONS = {**ARRAY, **ELEMENTWISE, **SHAPES, **STATISTICS}
