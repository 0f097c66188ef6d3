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
    "prod": lambda x: jnp.prod(x, dtype=x.dtype),
    "prod_1": lambda x: jnp.prod(x, 1, keepdims=True),
    "max": jnp.max,
    "min": jnp.min,
    "min_0": lambda x: jnp.min(x, 0, keepdims=True),
    "any": jnp.any,
    "any_1": lambda x: jnp.any(x, 1, keepdims=True),
    "all": jnp.all,
    "all_1": lambda x: jnp.all(x, 1, keepdims=True),
    "argmax": lambda x: jnp.argmax(x, -1).astype(jnp.int32),
    "argmin": lambda x: jnp.argmin(x, 0).astype(jnp.int32),
    "clip": lambda x: jnp.clip(x, -1, 1.5),
    "power": jnp.power,
    "maximum": jnp.maximum,
}

def digitize(x, edges, right):
    """JAX's, whose numbers may be `i64`."""
    return jnp.digitize(x, edges, right).astype(jnp.int32)


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
    "fmax": jnp.fmax,
    "fmin": jnp.fmin,
    "modf": jnp.modf,
    "float_power": jnp.float_power,
    "hypot": in_f64(jnp.hypot),
    "logaddexp": jnp.logaddexp,
    "logaddexp2": jnp.logaddexp2,
    "ldexp": jnp.ldexp,
    "signbit": jnp.signbit,
    "nextafter": jnp.nextafter,
    "bitwise_count": lambda x: jnp.bitwise_count(x).astype(x.dtype),
    "digitize": lambda x: digitize(x, jnp.arange(5, dtype=x.dtype) - 2, False),
    "digitize_before": lambda x: digitize(x, jnp.arange(5, dtype=x.dtype) - 2, True),
    "digitize_descending": lambda x: digitize(x, 2 - jnp.arange(5, dtype=x.dtype), False),
    "digitize_descending_before": lambda x: digitize(x, 2 - jnp.arange(5, dtype=x.dtype), True),
    "digitize_integers": lambda x, edge: digitize(x, edge, False),
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
    "nanargmax": lambda x: jnp.nanargmax(x, 1),
    "nanargmin": lambda x: jnp.nanargmin(x, 0),
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
    "delete": lambda x: jnp.delete(x, 1, 1),
    "insert": lambda x, y: jnp.insert(x, np.full(y.shape[-1], 1), y, -1),
    "block": lambda x, y, z: jnp.block([[x, y], [z]]),
    "bartlett": lambda _: jnp.bartlett(6),
    "hanning": lambda _: jnp.hanning(6),
    "hamming": lambda _: jnp.hamming(1),
    "hamming_long": lambda _: jnp.hamming(7),
    "blackman": lambda _: jnp.blackman(6),
    "blackman_none": lambda _: jnp.blackman(0),
}

# Products, functions given by their values, elements at indices.
PRODUCTS = {
    "outer": jnp.outer,
    "inner": jnp.inner,
    "vdot": jnp.vdot,
    "vecdot": jnp.vecdot,
    "vecdot_0": lambda a, b: jnp.vecdot(a, b, axis=0),
    "kron": jnp.kron,
    "cross": jnp.cross,
    "cross_0": lambda a, b: jnp.cross(a, b, axis=0),
    "tensordot": lambda a, b: jnp.tensordot(a, b, 2),
    "tensordot_none": lambda a, b: jnp.tensordot(a, b, 0),
    "tensordot_axes": lambda a, b: jnp.tensordot(a, b, ([2, 0], [-1, 1])),
    "interp": jnp.interp,
    "interp_grid": lambda x, ys: jnp.interp(x, jnp.arange(5, dtype=x.dtype), ys),
    "interp_points": lambda x, d, ys: jnp.interp(x, jnp.arange(5, dtype=x.dtype) + d * 0.1, ys),
    "interp_steps": lambda x, ys: jnp.interp(x, jnp.floor(jnp.arange(6, dtype=x.dtype) * 0.5), ys),
    "diff": jnp.diff,
    "diff_2": lambda x: jnp.diff(x, 2, 0),
    "gradient": lambda x: jnp.gradient(x, axis=0),
    "gradient_spaced": lambda x, h: jnp.gradient(x, h, axis=1),
    "trapezoid": lambda x: jnp.trapezoid(x, dx=0.5),
    "trapezoid_0": lambda x, h: jnp.trapezoid(x, dx=h, axis=0),
    "trapezoid_at": lambda y, x: jnp.trapezoid(y, x, axis=0),
    "convolve": jnp.convolve,
    "convolve_same": lambda a, b: jnp.convolve(a, b, "same"),
    "convolve_valid": lambda a, b: jnp.convolve(a, b, "valid"),
    "convolve_integers": lambda a, b: jnp.convolve(a, b).astype(a.dtype),
    "correlate": jnp.correlate,
    "correlate_same": lambda a, b: jnp.correlate(a, b, "same"),
    "correlate_full": lambda a, b: jnp.correlate(a, b, "full"),
    "unwrap": lambda x: jnp.unwrap(x * 5.0),
    "ediff1d": jnp.ediff1d,
    "polyval": jnp.polyval,
    "take_along_axis": lambda x, ids: jnp.take_along_axis(x, ids, 1),
    "take_along_axis_0": lambda x, ids: jnp.take_along_axis(x, ids, 0),
    "unravel_index": lambda ids: jnp.unravel_index(ids, (2, 3, 4)),
    "ravel_multi_index": lambda i, j: jnp.ravel_multi_index((i, j), (3, 4), "clip").astype(i.dtype),
    "unravel_index_words": lambda ids: jnp.unravel_index(ids, (2, 5)),
}



def i32(x):
    return x.astype(jnp.int32)


def descending(x, axis):
    """Stable in descending order, as `jnp.sort(descending=True)` is only for the elements themselves."""
    return i32(jnp.argsort(x, axis, stable=True, descending=True))


def matrices(a, b):
    """The product of pairs, each standing for an affine function."""
    return a[0] * b[0], a[1] * b[0] + b[1]


def at(*starts):
    return [start.reshape(()) for start in starts]


# Parts at computed places.
DYNAMIC = {
    "dynamic_slice": lambda x, i, j: jax.lax.dynamic_slice(x, at(i, j), (2, 3)),
    "dynamic_update_slice": lambda x, y, i, j: jax.lax.dynamic_update_slice(x, y, at(i, j)),
}

# Cumulative operations.
CUMULATIVE = {
    "cumsum": lambda x: jnp.cumsum(x, -1, dtype=x.dtype),
    "cumsum_0": lambda x: jnp.cumsum(x, 0, dtype=x.dtype),
    "cumsum_reverse": lambda x: jax.lax.cumsum(x, 1, reverse=True),
    "cumprod": lambda x: jnp.cumprod(x, -1, dtype=x.dtype),
    "cumprod_reverse": lambda x: jax.lax.cumprod(x, 0, reverse=True),
    "cummax": lambda x: jax.lax.cummax(x, x.ndim - 1),
    "cummax_reverse": lambda x: jax.lax.cummax(x, 0, reverse=True),
    "cummin": lambda x: jax.lax.cummin(x, x.ndim - 1),
    "cummin_reverse": lambda x: jax.lax.cummin(x, 0, reverse=True),
    "cumlogsumexp": lambda x: jax.lax.cumlogsumexp(x, x.ndim - 1),
    "associative_scan": lambda x: jax.lax.associative_scan(jnp.add, x, axis=1),
    "associative_scan_pairs": lambda a, b: jax.lax.associative_scan(matrices, (a, b), reverse=True),
}

# Sorting.
SORTING = {
    "sort": lambda x: jnp.sort(x, -1),
    "sort_0": lambda x: jnp.sort(x, 0),
    "sort_descending": lambda x: jnp.take_along_axis(x, descending(x, 1), 1),
    "argsort": lambda x: i32(jnp.argsort(x, -1)),
    "argsort_0": lambda x: i32(jnp.argsort(x, 0)),
    "argsort_descending": lambda x: descending(x, 0),
    "top_k": lambda x: jax.lax.top_k(x, 3)[0],
    "top_k_places": lambda x: jax.lax.top_k(x, 4),
    "sort_key_val": lambda k, x: jax.lax.sort_key_val(k, x),
    "sort_by": lambda *xs: jax.lax.sort(xs, dimension=0, num_keys=2),
    "searchsorted": lambda a, x: i32(jnp.searchsorted(jnp.sort(a), x)),
    "searchsorted_right": lambda a, x: i32(jnp.searchsorted(jnp.sort(a), x, side="right")),
    "bincount": lambda x: i32(jnp.bincount(jnp.where(x < 5, x, 5), length=6)[:5]),
    "histogram": lambda x: i32(jnp.histogram(x, 4)[0]),
    "histogram_within": lambda x: (lambda counts, edges: (i32(counts), edges))(*jnp.histogram(x, 5, (-1.0, 0.5))),
    "median": jnp.median,
    "median_1": lambda x: jnp.median(x, 1),
    "quantile": lambda x: jnp.quantile(x, 0.3, 0),
    "quantile_20": lambda x: jnp.quantile(x, 0.75, (2, 0)),
    "quantile_ends": lambda x: (jnp.quantile(x, 0.0, 0), jnp.quantile(x, 1.0, 0)),
}

# `einsum` in its notations.
EINSUM = {
    "einsum_dot": lambda a, b: jnp.einsum("i,i", a, b),
    "einsum_product": lambda a, b: jnp.einsum("ij,jk", a, b),
    "einsum_outer": lambda a, b: jnp.einsum("i,jk->kij", a, b),
    "einsum_batches": lambda a, b: jnp.einsum("b i j, b j k -> b i k", a, b),
    "einsum_rows": lambda a, b: jnp.einsum("ij,ij->i", a, b),
    "einsum_elements": lambda a, b: jnp.einsum("ij,ji->ij", a, b),
    "einsum_transpose": lambda x: jnp.einsum("ba", x),
    "einsum_sum": lambda x: jnp.einsum("ijk->j", x),
    "einsum_trace": lambda x: jnp.einsum("ii", x),
    "einsum_diagonal": lambda x: jnp.einsum("ijikj->jki", x),
    "einsum_thrice": lambda x, y: jnp.einsum("iii,ij->ij", x, y),
    "einsum_alone": lambda a, b: jnp.einsum("ij,kl->ik", a, b),
    "einsum_unnamed": lambda a, b: jnp.einsum("...ij,...jk->...ik", a, b),
    "einsum_unnamed_implied": lambda a, b: jnp.einsum("i...,...i", a, b),
    "einsum_unnamed_middle": lambda x: jnp.einsum("a...b->b...a", x),
    "einsum_upper": lambda a, b: jnp.einsum("bA,aB", a, b),
    "einsum_three": lambda a, b, c: jnp.einsum("ab,bc,cd->ad", a, b, c),
    "einsum_form": lambda x, m, y: jnp.einsum("i,ij,j->", x, m, y),
    "einsum_star": lambda a, b, c: jnp.einsum("ai,aj,ak->ijk", a, b, c),
    "einsum_four": lambda a, b, c, d: jnp.einsum("bhq,bhk,hqd,kd->bhd", a, b, c, d),
    "einsum_scalar": lambda a, x: jnp.einsum(",ij->j", a, x),
}

def logit(p):
    """JAX's loses digits near a half."""
    return jnp.where(jnp.abs(p - 0.5) < 0.2, jnp.log1p(2 * p - 1) - jnp.log1p(1 - 2 * p), jnp.log(p / (1 - p)))


def rel_entr(p, q):
    """JAX's loses digits where the two are close."""
    return p * jnp.log1p((p - q) / q)


def kl_div(p, q):
    """JAX's loses digits where the two are close."""
    t = (p - q) / q
    series = sum((-t) ** k / ((k + 1) * (k + 2)) for k in range(12))
    return jnp.where(jnp.abs(t) < 0.05, q * t * t * series, p * jnp.log1p(t) - p + q)


def erfinv(x):
    """JAX's loses digits near one: a step of Newton's method, whose value counts and whose derivative does not."""
    y = jax.scipy.special.erfinv(x)
    safe = jnp.where(jnp.abs(x) < 1, y, 0)
    gap = jax.scipy.special.erfc(jnp.abs(safe)) - (1 - jnp.abs(x))
    step = jnp.sign(safe) * gap * jnp.exp(safe**2) * np.sqrt(np.pi) / 2
    return y + jax.lax.stop_gradient(jnp.where(jnp.abs(x) < 1, step, 0))


def betaln(a, b):
    """From a second operand of 8 on JAX's has seven digits."""
    return sum(sign * jax.scipy.special.gammaln(x) for sign, x in ((1, a), (1, b), (-1, a + b)))


def log_ndtr(x):
    """JAX's with as many terms of its series as it needs."""
    return jax.scipy.special.log_ndtr(x, 8)


# Special functions.
SPECIAL = {
    "special_erf": jax.scipy.special.erf,
    "special_erfc": jax.scipy.special.erfc,
    "expit": in_f64(jax.scipy.special.expit),
    "logit": in_f64(logit),
    "entr": in_f64(jax.scipy.special.entr),
    "xlogy": jax.scipy.special.xlogy,
    "xlog1py": jax.scipy.special.xlog1py,
    "rel_entr_edges": lambda p, q: jnp.where(jnp.isnan(p) | jnp.isnan(q), p + q, jax.scipy.special.rel_entr(p, q)),
    "rel_entr": in_f64(rel_entr),
    "kl_div": in_f64(kl_div),
    "erfinv": in_f64(erfinv),
    "ndtr": in_f64(jax.scipy.special.ndtr),
    "log_ndtr": in_f64(log_ndtr),
    "ndtri": in_f64(jax.scipy.special.ndtri),
    "i0": in_f64(jax.scipy.special.i0),
    "i0e": in_f64(jax.scipy.special.i0e),
    "i1": in_f64(jax.scipy.special.i1),
    "i1e": in_f64(jax.scipy.special.i1e),
    "exp1": in_f64(jax.scipy.special.exp1),
    "expi": in_f64(jax.scipy.special.expi),
    "spence": in_f64(jax.scipy.special.spence),
    "gammaln": in_f64(jax.scipy.special.gammaln),
    "digamma": in_f64(jax.scipy.special.digamma),
    "polygamma_1": in_f64(lambda x: jax.scipy.special.polygamma(1, x)),
    "polygamma_2": in_f64(lambda x: jax.scipy.special.polygamma(2, x)),
    "zeta_3": in_f64(lambda q: jax.scipy.special.zeta(3.0, q)),
    "gamma": in_f64(jax.scipy.special.gamma),
    "factorial": in_f64(jax.scipy.special.factorial),
    "beta": in_f64(lambda a, b: jnp.exp(betaln(a, b))),
    "betaln": in_f64(betaln),
    "multigammaln_3": in_f64(lambda x: jax.scipy.special.multigammaln(x, 3)),
}

def finite_below(f, x):
    """`f` of JAX, with its limit 0 at minus infinity."""
    return jnp.where(x == -jnp.inf, 0, f(jnp.where(x == -jnp.inf, 0, x)))


def squareplus(x):
    """JAX's loses digits below zero."""
    root = jnp.sqrt(x * x + 4)
    return jnp.where(x < 0, 2 / (root - x), (x + root) / 2)


# Activations.
NN = {
    "relu6": jax.nn.relu6,
    "celu": lambda x: jax.nn.celu(x, 1.5),
    "selu": jax.nn.selu,
    "silu": lambda x: finite_below(jax.nn.silu, x),
    "mish": lambda x: finite_below(jax.nn.mish, x),
    "hard_sigmoid": jax.nn.hard_sigmoid,
    "hard_silu": lambda x: finite_below(jax.nn.hard_silu, x),
    "hard_tanh": jax.nn.hard_tanh,
    "log_sigmoid": jax.nn.log_sigmoid,
    "soft_sign": in_f64(lambda x: jnp.where(jnp.isinf(x), jnp.sign(x), jax.nn.soft_sign(x))),
    "sparse_plus": jax.nn.sparse_plus,
    "squareplus": in_f64(squareplus),
    "log1mexp": in_f64(jax.nn.log1mexp),
    "glu": jax.nn.glu,
    "glu_0": lambda x: jax.nn.glu(x, 0),
    "logmeanexp": lambda x: jax.nn.logmeanexp(x, 0),
    "standardize": lambda x: jax.nn.standardize(x, algorithm="stable"),
    "standardize_both": lambda x: jax.nn.standardize(x, (0, 1), epsilon=0.1, algorithm="stable"),
}

# Linear algebra. Random matrices are made well conditioned: JAX's own errors are then small.
def turned(x):
    return jnp.swapaxes(x, -1, -2)


def symmetric(x):
    return x + turned(x) + jnp.diag(jnp.arange(x.shape[-1], dtype=x.dtype) * 2)


def definite(x):
    return x @ turned(x) + jnp.eye(x.shape[-1], dtype=x.dtype)


def well(x):
    return x + jnp.eye(x.shape[-1], dtype=x.dtype) * 6


def by_columns(f, a, b):
    """`f` of matrices and right sides, where a single matrix is for all right sides."""
    if b.ndim == 1 or a.ndim == b.ndim:
        return f(a, b[..., None])[..., 0] if b.ndim == 1 else f(a, b)
    batches = jnp.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return f(jnp.broadcast_to(a, batches + a.shape[-2:]), jnp.broadcast_to(b, batches + b.shape[-2:]))


def triangular(a, b, **how):
    if b.ndim == 1:
        return jax.scipy.linalg.solve_triangular(a, b, **how)
    return jnp.vectorize(lambda a, b: jax.scipy.linalg.solve_triangular(a, b, **how), signature="(n,n),(n,m)->(n,m)")(a, b)


def lu(x):
    lu, _, order = jax.lax.linalg.lu(x)
    return order, jnp.tril(lu, -1) + jnp.eye(x.shape[-1], dtype=x.dtype), jnp.triu(lu)


def eigh_function(x):
    """The sine of a symmetric matrix, which does not depend on the signs of the vectors."""
    w, v = jnp.linalg.eigh(symmetric(x))
    return (v * jnp.sin(w)[..., None, :]) @ turned(v)


def svd_function(x):
    u, s, vt = jnp.linalg.svd(x, full_matrices=False)
    return (u * jnp.sin(s)[..., None, :]) @ vt


def polar(x):
    u, s, vt = jnp.linalg.svd(x, full_matrices=False)
    return u @ vt, turned(vt) @ (s[..., None] * vt)


def lstsq(a, b):
    """By the pseudoinverse: JAX's derivative is that of a singular value decomposition, and less precise."""
    x, rest, rank, s = jnp.linalg.lstsq(jax.lax.stop_gradient(a), jax.lax.stop_gradient(b))
    exact = jnp.linalg.pinv(a) @ b
    rest = jnp.sum((b - a @ exact) ** 2, 0)
    return exact, rest, rank, jnp.linalg.svdvals(a)


LINALG = {
    "norm": lambda x: jnp.linalg.norm(x.ravel()),
    "norm_none": lambda x: jnp.linalg.norm(x, axis=0),
    "norm_0": lambda x: jnp.linalg.norm(x, axis=0),
    "vector_norm_3": lambda x: jnp.linalg.vector_norm(x, ord=3, axis=1),
    "vector_norm_3_none": lambda x: jnp.linalg.vector_norm(x, ord=3, axis=1),
    "vector_norm_2": lambda x: jnp.linalg.vector_norm(x, axis=-1),
    "vector_norm_1": lambda x: jnp.linalg.vector_norm(x, ord=1),
    "vector_norm_0": lambda x: jnp.linalg.vector_norm(x, ord=0, axis=0),
    "vector_norm_max": lambda x: jnp.linalg.vector_norm(x, ord=jnp.inf, axis=1),
    "vector_norm_min": lambda x: jnp.linalg.vector_norm(x, ord=-jnp.inf),
    "matrix_norm": jnp.linalg.matrix_norm,
    "matrix_norm_none": jnp.linalg.matrix_norm,
    "matrix_norm_one": lambda x: jnp.linalg.matrix_norm(x, ord=1),
    "matrix_norm_infinity": lambda x: jnp.linalg.matrix_norm(x, ord=jnp.inf),
    "linalg_trace": lambda x: jnp.linalg.trace(x, offset=1),
    "multi_dot": lambda *xs: jnp.linalg.multi_dot(xs),
    "multi_dot_two": lambda *xs: jnp.linalg.multi_dot(xs),
    "matrix_power": lambda x: jnp.linalg.matrix_power(x, 5),
    "matrix_power_none": lambda x: jnp.linalg.matrix_power(x, 0),
    "block_diag": jax.scipy.linalg.block_diag,
    "toeplitz": jax.scipy.linalg.toeplitz,
    "hilbert": lambda x: x * jax.scipy.linalg.hilbert(3).astype(x.dtype),
    "cholesky": lambda x: jnp.linalg.cholesky(definite(x)),
    "cholesky_itself": jnp.linalg.cholesky,
    "cho_solve": lambda x, b: by_columns(lambda a, b: jax.scipy.linalg.cho_solve((jnp.tril(a), True), b), well(x), b),
    "solve_lower": lambda x, b: by_columns(lambda a, b: triangular(a, b, lower=True), well(x), b),
    "solve_upper_unit": lambda x, b: triangular(well(x), b, unit_diagonal=True),
    "solve_lower_transposed": lambda x, b: triangular(well(x), b, lower=True, trans=1),
    "lu": lambda x: lu(well(x)),
    "solve": lambda x, b: by_columns(jnp.linalg.solve, well(x), b),
    "inv": lambda x: jnp.linalg.inv(well(x)),
    "inv_singular": jnp.linalg.inv,
    "det": jnp.linalg.det,
    "det_of_rank": lambda x, y: jnp.linalg.det(x @ y),
    "slogdet": lambda x: jnp.linalg.slogdet(well(x)),
    "slogdet_itself": jnp.linalg.slogdet,
    "qr": lambda x: jnp.linalg.qr(x),
    "qr_wide": lambda x: jnp.linalg.qr(x),
    "eigvalsh": lambda x: jnp.linalg.eigvalsh(symmetric(x)),
    "eigh_function": eigh_function,
    "svdvals": jnp.linalg.svdvals,
    "svd_function": svd_function,
    "matrix_rank": lambda x, y: jnp.linalg.matrix_rank(x @ y),
    "matrix_rank_itself": jnp.linalg.matrix_rank,
    "cond_number": jnp.linalg.cond,
    "pinv": jnp.linalg.pinv,
    "pinv_of_rank": lambda x, y: jnp.linalg.pinv(x @ y),
    "lstsq": lambda a, b: lstsq(a, b)[:2],
    "lstsq_rank": lambda a, b: lstsq(a, b),
    "polar": polar,
    "expm": jax.scipy.linalg.expm,
    "expm_scaled": lambda x: jax.scipy.linalg.expm(x * 4),
    "tensorinv": lambda x: jnp.linalg.tensorinv(x, 1),
    "tensorsolve": jnp.linalg.tensorsolve,
}

HIGHEST = jax.lax.Precision.HIGHEST
LAYOUTS = {1: ("NWC", "WIO", "NWC"), 2: ("NHWC", "HWIO", "NHWC"), 3: ("NDHWC", "DHWIO", "NDHWC"), 0: ("NC", "IO", "NC")}
FIRST = {1: ("NCW", "OIW", "NCW"), 2: ("NCHW", "OIHW", "NCHW")}


def conv(strides, padding, layouts=LAYOUTS, **options):
    """A convolution, channels last."""

    def f(x, w):
        numbers = layouts[x.ndim - 2] if isinstance(layouts, dict) else layouts
        options.setdefault("precision", HIGHEST)
        return jax.lax.conv_general_dilated(x, w, strides, padding, dimension_numbers=numbers, **options)

    return f


def conv_transpose(strides, padding, layouts=LAYOUTS, **options):
    def f(x, w):
        numbers = layouts[x.ndim - 2]
        return jax.lax.conv_transpose(x, w, strides, padding, dimension_numbers=numbers, precision=HIGHEST, **options)

    return f


def floor(x):
    """With derivative 1."""
    return (x - jax.lax.stop_gradient(x)) + jnp.floor(jax.lax.stop_gradient(x))


NOTHING = {
    jax.lax.add: lambda dtype: 0,
    jax.lax.mul: lambda dtype: 1,
    jax.lax.max: lambda dtype: -np.inf if dtype.kind == "f" else np.iinfo(dtype).min,
    jax.lax.min: lambda dtype: np.inf if dtype.kind == "f" else np.iinfo(dtype).max,
    jax.lax.bitwise_or: lambda dtype: False,
    jax.lax.bitwise_and: lambda dtype: True,
}


def window(op, size, strides, padding="VALID", base=None, dilation=None):
    def f(x):
        nothing = np.array(NOTHING[op](x.dtype), x.dtype)
        return jax.lax.reduce_window(x, nothing, op, size, strides, padding, base, dilation)

    return f


def pool(op, size, strides, padding="VALID"):
    """Over the axes between the batch and the channels."""
    if not isinstance(padding, str):
        padding = [(0, 0), *padding, (0, 0)]
    return window(op, (1, *size, 1), (1, *strides, 1), padding)


def mean_inside(x):
    """Of the elements of the array alone."""
    pooled = pool(jax.lax.add, (2, 3), (2, 1), "SAME")
    return pooled(x) / pooled(jnp.ones_like(x))


def attention(q, k, v, bias=None, mask=None, **options):
    """JAX's computes its softmax in `f32`: in `f64` its formula, with each head of keys repeated for its queries."""
    if q.dtype == jnp.float32:
        return jax.nn.dot_product_attention(q, k, v, bias, mask, **options)
    k, v = (jnp.repeat(x, q.shape[-2] // x.shape[-2], -2) for x in (k, v))
    logits = jnp.einsum("...tnh,...snh->...nts", q, k) * options.get("scale", q.shape[-1] ** -0.5)
    logits = logits if bias is None else logits + bias
    sees = jnp.ones(logits.shape[-2:], bool)
    sees = jnp.tril(sees) if options.get("is_causal") else sees
    sees = sees if mask is None else sees & mask
    return jnp.einsum("...nts,...snh->...tnh", jax.nn.softmax(jnp.where(sees, logits, -1e300)), v)


# Convolutions, reductions over windows, pooling, attention.
WINDOWS = {
    "conv": conv((1, 1), "SAME"),
    "conv_line": conv((2,), "VALID"),
    "conv_space": conv((2, 1, 2), "SAME"),
    "conv_no_space": conv((), "VALID"),
    "conv_long": conv((1, 1), "SAME"),
    "conv_same_lower": conv((2, 3), "SAME_LOWER"),
    "conv_first": conv((2, 1), [(1, 2), (0, 1)], FIRST),
    "conv_named": conv((1, 2), [(3, 0), (1, 1)], ("HCNW", "IWOH", "WNHC")),
    "conv_cut": conv((1, 1), [(-1, 2), (1, -2)]),
    "conv_dilated": conv((2, 3), [(2, 1), (0, 5)], lhs_dilation=(3, 2), rhs_dilation=(2, 3)),
    "conv_grouped": conv((1, 1), [(1, 1), (0, 1)], feature_group_count=2),
    "conv_grouped_all": conv(
        (2, 1), [(-1, 2), (2, 0)], FIRST, lhs_dilation=(1, 2), rhs_dilation=(2, 1), feature_group_count=3
    ),
    "conv_batches": conv((2, 1), [(1, 0), (1, 1)], batch_group_count=2),
    "conv_transpose": conv_transpose((2, 3), "SAME"),
    "conv_transpose_valid": conv_transpose((2, 3), "VALID"),
    "conv_transpose_all": conv_transpose((2,), "SAME", FIRST, rhs_dilation=(2,)),
    "window_sum": window(jax.lax.add, (2, 3), (1, 1)),
    "window_sum_all": window(jax.lax.add, (2, 3), (2, 1), [(1, 2), (-1, 1)], (2, 3), (3, 2)),
    "window_max": window(jax.lax.max, (2, 3), (1, 2), "SAME"),
    "window_max_ties": lambda x: window(jax.lax.max, (2, 3), (1, 1))(floor(x)),
    "window_min_ties": lambda x: window(jax.lax.min, (3, 2), (2, 2), "SAME")(floor(x)),
    "window_min": window(jax.lax.min, (2, 2), (1, 2), [(1, 1), (0, 0)], (1, 2), (2, 1)),
    "window_any": window(jax.lax.bitwise_or, (3,), (1,)),
    "window_all": window(jax.lax.bitwise_and, (3,), (1,)),
    "window_prod": window(jax.lax.mul, (3,), (1,)),
    "max_pool": pool(jax.lax.max, (2, 2), (2, 2)),
    "max_pool_same": pool(jax.lax.max, (3, 3), (2, 2), "SAME"),
    "min_pool": pool(jax.lax.min, (3,), (2,), [(1, 0)]),
    "sum_pool": pool(jax.lax.add, (2, 3), (1, 1), "SAME"),
    "avg_pool": lambda x: pool(jax.lax.add, (2, 3), (2, 1), "SAME")(x) / 6,
    "avg_pool_inside": mean_inside,
    "attention": lambda q, k, v: attention(q, k, v),
    "attention_causal": lambda q, k, v: attention(q, k, v, is_causal=True, scale=0.7),
    "attention_shared": lambda q, k, v, bias, mask: attention(q, k, v, bias, mask),
}

FUNCTIONS = {
    **WINDOWS,
    **ARRAY,
    **ELEMENTWISE,
    **SHAPES,
    **STATISTICS,
    **DYNAMIC,
    **CUMULATIVE,
    **SORTING,
    **PRODUCTS,
    **EINSUM,
    **SPECIAL,
    **NN,
    **LINALG,
}
