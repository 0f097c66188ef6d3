"""Writes the values that the tests of special functions hold them to: `special.py FILE`. Needs mpmath alone.

Each function has rows `[operands, value, size, first, second, slope size]`. Rows whose operands are no numbers of `f32` are for `f64`
alone. `size` is the largest term of a sum that cancels where it is larger than the value; `first` and `second` are
derivatives with respect to the last operand, `null` where nothing is said about them, and the slope size their largest
term likewise.
"""

import json
import struct
import sys

import mpmath as mp

mp.mp.dps = 50
INF = float("inf")
NAN = float("nan")


def single(x):
    """The nearest number of `f32`."""
    return struct.unpack("f", struct.pack("f", x))[0]


def number(x):
    """Text, as JSON has no infinities and no NaN, and not every reader of it is exact."""
    return repr(float(x))


def row(operands, value, size=0, first=None, second=None, slope_size=0):
    slopes = [None if slope is None else number(slope) for slope in (first, second)]
    return [[number(x) for x in operands], number(value), number(abs(mp.mpf(size))), *slopes, number(slope_size)]


TINY = [1e-37, 3e-20, 1e-7, 1e-3, 0.03]
MIDDLE = [0.1, 0.25, 0.49, 0.5, 0.51, 0.75, 0.99, 1.01, 1.25, 1.49, 1.5, 1.51, 1.75, 1.99, 2.01, 2.3, 2.49, 2.51, 2.9]
LARGE = [3.3, 4.7, 5.2, 6.9, 7.9, 8.4, 8.51, 9.3, 11.7, 15.2, 23.8, 33.1, 57.9, 99.4]


def both(points):
    """Each number, and the nearest of `f32`."""
    return [y for x in points for y in (single(x), x)]


POSITIVE = both(TINY + MIDDLE + LARGE)
NEGATIVE = both([-0.01, -0.3, -0.49, -0.51, -0.9, -1.4, -2.2, -3.7, -5.3, -9.6, -20.3, -33.4, -1e-6, -1e-20])


def unary(f, points, slope=None, second=None, size=lambda x: 0, edges=(), signed=False, slope_size=lambda x: 0):
    rows = []
    for x in points:
        at = mp.mpf(x)
        # Close to a root of the derivative nothing is said about it.
        slopes = [s and s(at) for s in (slope, second)] if x > 0 or size(at) > 0 or signed else [None, None]
        rows.append(row([x], f(at), size(at), *slopes, slope_size(at)))
    return rows + [row([x], value) for x, value in edges]


def zeta(s, q):
    """Of Hurwitz: mpmath's own loses digits for large `s`."""
    s, q = mp.mpf(s), mp.mpf(q)
    n = 60 + max(0, -int(mp.floor(q)))
    total = mp.fsum((q + k) ** -s for k in range(n))
    a = q + n
    total += a ** (1 - s) / (s - 1) + a**-s / 2
    term = s * a ** (-s - 1)
    for j in range(1, 40):
        total += mp.bernoulli(2 * j) / mp.factorial(2 * j) * term
        term *= (s + 2 * j - 1) * (s + 2 * j) / a**2
    return total


def zeta_size(s, q):
    """The largest part of a sum with terms of both signs."""
    if q > 0:
        return 0
    return max(abs(zeta(s, q - mp.floor(q))), zeta(s, mp.ceil(q) - q))


def polygamma(n, x):
    return mp.digamma(x) if n == 0 else (-1) ** (n + 1) * mp.factorial(n) * zeta(n + 1, x)


def lgamma(x):
    return mp.log(abs(mp.gamma(x))) if x < 0 else mp.loggamma(x)


def lgamma_size(x):
    return max(abs(mp.loggamma(-x)), abs(mp.log(mp.pi / (-x * abs(mp.sinpi(x)))))) if x < -0.5 else 0


def digamma_size(x):
    return max(abs(mp.digamma(-x)), abs(mp.pi * mp.cospi(x) / mp.sinpi(x)), 1 / -x) if x < 0 else 0


def trigamma(x):
    return zeta(2, x)


def gamma_second(x):
    return mp.gamma(x) * (mp.digamma(x) ** 2 + trigamma(x))


HUGE = both([1e4, 1e6, 1e10, 1e20, 1e30])

VALUES = {}
VALUES["gammaln"] = unary(
    lgamma, POSITIVE + NEGATIVE + HUGE, mp.digamma, trigamma, lgamma_size,
    [(0.0, INF), (-0.0, INF), (1.0, 0.0), (2.0, 0.0), (-1.0, INF), (-7.0, INF), (INF, INF), (-INF, INF), (NAN, NAN),
     (-1e20, INF)],
)
VALUES["digamma"] = unary(
    mp.digamma, POSITIVE + NEGATIVE + HUGE + both([1.46163214]), trigamma, lambda x: -2 * zeta(3, x), digamma_size,
    [(0.0, NAN), (-1.0, NAN), (-12.0, NAN), (INF, INF), (-INF, NAN), (NAN, NAN), (-1e20, NAN)],
)
VALUES["gamma"] = unary(
    mp.gamma, [x for x in POSITIVE if x < 34] + NEGATIVE,
    lambda x: mp.gamma(x) * mp.digamma(x), gamma_second,
    edges=[(0.0, INF), (-0.0, -INF), (1.0, 1.0), (2.0, 1.0), (11.0, 3628800.0), (-1.0, NAN), (-4.0, NAN), (1e5, INF),
           (INF, INF), (-INF, NAN), (NAN, NAN)],
)
VALUES["factorial"] = unary(
    mp.factorial, [x for x in POSITIVE if x < 30 and x > 1e-4], lambda x: mp.gamma(x + 1) * mp.digamma(x + 1),
    lambda x: gamma_second(x + 1),
    edges=[(0.0, 1.0), (5.0, 120.0), (-0.5, 0.0), (-3.0, 0.0), (INF, INF), (NAN, NAN)],
)
VALUES["zeta"] = [
    row([s, q], zeta(s, q), zeta_size(s, q), -s * zeta(s + 1, q), s * (s + 1) * zeta(s + 2, q))
    for s in both([1.0001, 1.5, 2.0, 3.0, 4.7, 11.0, 30.3])
    for q in both([0.3, 0.9, 1.0, 1.7, 4.9, 15.3, 31.7, 100.9])
    if abs(mp.log(zeta(s + 2, q))) < 80
] + [
    row([s, q], zeta(s, q), zeta_size(s, q))
    for s in (2.0, 3.0, 6.0)
    for q in both([-0.25, -0.7, -1.4, -7.9, -40.3])
] + [
    row([s, q], value)
    for s, q, value in (
        (1.0, 2.0, INF), (0.5, 2.0, NAN), (-1.0, 2.0, NAN), (2.0, 0.0, INF), (2.0, -3.0, INF), (2.5, -0.5, NAN),
        (2.0, INF, 0.0), (INF, 2.0, 0.0), (INF, 1.0, 1.0), (NAN, 1.0, NAN), (2.0, NAN, NAN),
        (2.0, 1e-300, INF), (1e4, 0.5, INF), (170.0, 1e-10, INF), (1e8, 0.5, INF),
    )
]
VALUES["polygamma"] = [
    row([n, x], polygamma(n, x), 0, polygamma(n + 1, x), polygamma(n + 2, x))
    for n in (0, 1, 2, 3, 5, 9)
    for x in both([0.3, 0.9, 1.0, 1.3, 1.7, 4.9, 15.3, 31.7])
] + [
    row([n, x], polygamma(n, x), mp.factorial(n) * zeta_size(n + 1, x))
    for n in (1, 2, 4)
    for x in both([-0.25, -1.4, -7.9])
] + [
    row([n, x], value)
    for n, x, value in (
        (0.5, 1.0, NAN), (-1.0, 1.0, NAN), (1.0, 0.0, INF), (2.0, -1.0, -INF), (0.0, 0.0, NAN), (1.0, INF, 0.0), (1.0, 1e-160, INF),
        (1.0, NAN, NAN),
    )
]



def log_beta(a, b):
    logs = [lgamma(mp.mpf(x)) for x in (a, b)] + [lgamma(mp.mpf(a) + mp.mpf(b))]
    return logs[0] + logs[1] - logs[2], logs


def log_beta_size(a, b):
    """The largest term: of two numbers within reach of Stirling's series only the smaller one's counts."""
    logs = log_beta(a, b)[1]
    return abs(logs[0 if a < b else 1]) if max(a, b) >= 8.5 else max(map(abs, logs))


def beta_row(a, b):
    """A slope's size are its two terms, as the difference of two `ψ` cancels."""
    x, y = mp.mpf(a), mp.mpf(b)
    value = mp.gamma(x) * mp.gamma(y) / mp.gamma(x + y)
    first, size = mp.digamma(y) - mp.digamma(x + y), max(abs(mp.digamma(y)), abs(mp.digamma(x + y)))
    second, second_size = trigamma(y) - trigamma(x + y), trigamma(y)
    far = max(1, abs(mp.log(value)) / 4)
    sizes = max(size, first**2, size * abs(first), second_size, 1)
    return row([a, b], value, value * far, value * first, value * (first**2 + second), value * sizes * far)


def betaln_row(a, b):
    x, y = mp.mpf(a), mp.mpf(b)
    slopes = mp.digamma(y) - mp.digamma(x + y), trigamma(y) - trigamma(x + y)
    size = max(abs(mp.digamma(y)), abs(mp.digamma(x + y)), trigamma(y))
    return row([a, b], log_beta(a, b)[0], log_beta_size(a, b), *slopes, size)


PAIRS = [
    (kind(a), kind(b))
    for kind in (single, float)
    for a in (1e-7, 0.3, 0.75, 1.49, 2.3, 5.2, 8.4, 8.6, 15.2, 33.1)
    for b in (1e-3, 0.6, 1.0, 3.3, 9.3, 57.9)
]
NOT_POSITIVE = [(-0.25, 0.75), (-2.5, 5.25), (-1.25, 30.5), (-3.75, 0.5), (-170.5, 300.25)]
BETA_EDGES = [
    (0.0, 0.0, INF, INF), (0.0, 2.0, INF, INF), (2.0, -0.0, -INF, INF), (1.0, 1.0, 1.0, 0.0), (-0.5, -0.5, 0.0, -INF), (-1.0, 2.5, NAN, INF),
    (2.0, INF, 0.0, -INF), (INF, INF, 0.0, -INF), (-1.5, INF, NAN, NAN), (NAN, 1.0, NAN, NAN), (1.0, NAN, NAN, NAN),
]
VALUES["beta"] = [beta_row(a, b) for a, b in PAIRS] + [
    beta_row(a, b)[:3] + [None, None, number(0)] for a, b in NOT_POSITIVE + [(1e-30, 1e-30), (1e-3, 1e6)]
] + [row([a, b], value) for a, b, value, _ in BETA_EDGES]
VALUES["betaln"] = [
    betaln_row(a, b) for a, b in PAIRS + [(x, y) for x in (0.5, 40.0) for y in (1e4, 1e8, 1e30)] + [(1e6, 1e6), (3e5, 2e7)]
] + [row([a, b], value) for a, b, _, value in BETA_EDGES]

SIGNED = POSITIVE + [-x for x in POSITIVE]


def bessel(order, x, times=0):
    """The function or a derivative, by orders next to it."""
    if times == 0:
        return mp.besseli(order, x)
    return (bessel(abs(order - 1), x, times - 1) + bessel(order + 1, x, times - 1)) / 2


def scaled(order, x):
    return mp.exp(-abs(x)) * mp.besseli(order, x)


def scaled_slope(order, times):
    """Of `e^(-|x|) I(x)`, away from the kink."""

    def slope(x):
        turn = -mp.sign(x)
        parts = (turn**2 * bessel(order, x), 2 * turn * bessel(order, x, 1), bessel(order, x, 2))
        total = parts[0] + parts[1] + parts[2] if times == 2 else turn * parts[0] + parts[1] / (2 * turn)
        return mp.exp(-abs(x)) * total

    return slope


def at_most(end):
    return [x for x in SIGNED if abs(x) < end]


VALUES["i0"] = unary(
    lambda x: mp.besseli(0, x), at_most(100), lambda x: mp.besseli(1, x), lambda x: bessel(0, x, 2), signed=True,
    edges=[(0.0, 1.0), (INF, INF), (-INF, INF), (NAN, NAN), (1000.0, INF), (-1e30, INF),
           (712.0, mp.besseli(0, 712))],
)
VALUES["i1"] = unary(
    lambda x: mp.besseli(1, x), at_most(100), lambda x: bessel(1, x, 1), lambda x: bessel(1, x, 2), signed=True,
    edges=[(0.0, 0.0), (INF, INF), (-INF, -INF), (NAN, NAN), (1000.0, INF), (-1e30, -INF),
           (712.0, mp.besseli(1, 712))],
)
# The derivatives of the scaled functions are differences of nearly equal numbers far out.
for order in (0, 1):
    VALUES[f"i{order}e"] = unary(
        lambda x: scaled(order, x), at_most(4), scaled_slope(order, 1), scaled_slope(order, 2), signed=True,
        slope_size=lambda x: scaled(0, x),
    ) + unary(
        lambda x: scaled(order, x), [x for x in SIGNED if abs(x) >= 4] + HUGE + [-x for x in HUGE],
        edges=[(0.0, 1.0 - order), (INF, 0.0), (-INF, 0.0), (NAN, NAN)],
    )
VALUES["exp1"] = unary(
    mp.e1, [x for x in POSITIVE if x < 80] + both([0.37250741]), lambda x: -mp.exp(-x) / x,
    lambda x: mp.exp(-x) * (x + 1) / x**2,
    edges=[(0.0, INF), (-1.0, NAN), (INF, 0.0), (NAN, NAN), (1e4, 0.0)],
)
VALUES["expi"] = unary(
    mp.ei, at_most(80) + both([0.37250741, 0.38, 0.36]), lambda x: mp.exp(x) / x,
    lambda x: mp.exp(x) * (x - 1) / x**2, signed=True,
    slope_size=lambda x: abs(mp.exp(x) / x),
    edges=[(0.0, -INF), (-0.0, -INF), (-INF, 0.0), (INF, INF), (NAN, NAN), (1e4, INF), (-1e4, 0.0),
           (712.0, mp.ei(712))],
)


def spence(x):
    return mp.re(mp.polylog(2, 1 - x))


VALUES["spence"] = unary(
    spence, POSITIVE + HUGE, lambda x: mp.log(x) / (1 - x), lambda x: (mp.log(x) + 1 / x - 1) / (1 - x) ** 2,
    edges=[(0.0, mp.pi**2 / 6), (1.0, 0.0), (-1.0, NAN), (-INF, NAN), (INF, -INF), (NAN, NAN)],
)


# Differences of nearly equal numbers.
mp.mp.dps = 120


def erfcx(x):
    return mp.exp(x * x) * mp.erfc(x)


def erfcx_slope(x):
    return 2 * x * erfcx(x) - 2 / mp.sqrt(mp.pi)


# As above, up to 25.
VALUES["erfcx"] = unary(
    erfcx, [x for x in at_most(1.5) if x > -1] + HUGE[:6], erfcx_slope,
    lambda x: 2 * erfcx(x) + 2 * x * erfcx_slope(x), signed=True,
) + unary(
    erfcx, [x for x in SIGNED if -9 < x <= -1 or x >= 1.5] + [24.9, 25.0, 26.0] + HUGE[6:],
    edges=[(0.0, 1.0), (INF, 0.0), (-INF, INF), (NAN, NAN), (-30.0, INF), (-20.0, erfcx(mp.mpf(-20)))],
)

if __name__ == "__main__":
    with open(sys.argv[1], "w") as file:
        lines = []
        for name, rows in VALUES.items():
            body = ",\n".join("  " + json.dumps(line) for line in rows)
            lines.append(f'"{name}": [\n{body}\n]')
        file.write("{\n" + ",\n".join(lines) + "\n}\n")
