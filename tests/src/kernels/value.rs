//! What a correct target may compute: one number or, where it may round in its own way, all numbers in an interval.
//!
//! Intervals are tight: an operation that rounds correctly and is monotonic maps the ends of an interval to the ends of
//! its image, in the arithmetic of its type. So a wrong target has no more leeway than the units in the last place
//! stated for the inexact operations, carried through later operations, and the rounding errors of sums.

use super::scalar::{apply, inexact, ulps};
use gavotte_core::aval::{DType, Literal};
use gavotte_core::ir::{ReduceOp, ScalarOp};

/// The numbers that a scalar may be.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Value {
    /// These bits; for NaN, any NaN.
    Exact(Literal),
    /// A float between the two, both included; the sign of zero does not matter.
    Between(Literal, Literal),
    /// Any value is right: the bits of a NaN, a comparison within an interval, a sum that may overflow.
    Anything,
}

use Value::{Anything, Between, Exact};

impl Value {
    /// Whether a target may have computed this.
    pub fn admits(self, found: Literal) -> bool {
        let x = found.as_f64();
        match self {
            Anything => true,
            Exact(wanted) if wanted.as_f64().is_nan() => x.is_nan(),
            Exact(wanted) => found == wanted,
            Between(low, high) => low.as_f64() <= x && x <= high.as_f64(),
        }
    }

    /// The same, if functions such as `exp` come from another library: inexact floats may be farther off by this share
    /// of them.
    pub fn admits_within(self, found: Literal, relative: f64) -> bool {
        let x = found.as_f64();
        match self {
            Between(low, high) if x.is_finite() && !self.admits(found) => {
                let (low, high) = (low.as_f64(), high.as_f64());
                low - relative * low.abs() <= x && x <= high + relative * high.abs()
            }
            _ => self.admits(found),
        }
    }

    fn ends(self) -> Option<(Literal, Literal)> {
        match self {
            Exact(x) => Some((x, x)),
            Between(low, high) => Some((low, high)),
            Anything => None,
        }
    }
}

fn is_nan(x: Literal) -> bool {
    x.as_f64().is_nan()
}

/// The least interval around these numbers; `Anything` if one is NaN.
fn around(numbers: impl IntoIterator<Item = Literal>) -> Value {
    let mut ends: Option<(Literal, Literal)> = None;
    for x in numbers {
        if is_nan(x) {
            return Anything;
        }
        let (low, high) = ends.unwrap_or((x, x));
        let least = if x.as_f64() < low.as_f64() { x } else { low };
        ends = Some((least, if x.as_f64() > high.as_f64() { x } else { high }));
    }
    match ends {
        None => Anything,
        Some((low, high)) if low.dtype().is_float() => Between(low, high),
        Some((low, high)) if low == high => Exact(low),
        Some(_) => Anything,
    }
}

/// The result of an operation on its operands.
pub fn operated(op: ScalarOp, ins: &[Value]) -> Value {
    use ScalarOp::*;
    if let (Select, Exact(which)) = (op, ins[0]) {
        return ins[if which == Literal::Bool(true) { 2 } else { 1 }];
    }
    let Some(ends) = ins.iter().map(|value| value.ends()).collect::<Option<Vec<_>>>() else { return Anything };
    if ins.iter().all(|value| matches!(value, Exact(_))) {
        let ins: Vec<Literal> = ends.iter().map(|(x, _)| *x).collect();
        return match op {
            // The NaN that an operation yields is unspecified.
            Bitcast(to) if is_nan(ins[0]) && !to.is_float() => Anything,
            _ if ulps(op).is_some() => near(op, &ins),
            _ => Exact(apply(op, &ins)),
        };
    }
    let (low, high) = ends[0];
    let crosses_zero = |(low, high): (Literal, Literal)| low.as_f64() <= 0.0 && high.as_f64() >= 0.0;
    let one = |op, x| match operated(op, &[Exact(x)]) {
        Exact(x) => Some((x, x)),
        value => value.ends(),
    };
    let corners = || -> Vec<Literal> {
        ends[1..]
            .iter()
            .fold(vec![vec![low], vec![high]], |all, (low, high)| {
                all.iter().flat_map(|x| [low, high].map(|y| x.iter().chain([y]).copied().collect())).collect()
            })
            .iter()
            .map(|ins| apply(op, ins))
            .collect()
    };
    let is_infinite = |(low, high): (Literal, Literal)| low.as_f64().is_infinite() || high.as_f64().is_infinite();
    match op {
        // Between the corners, zero may meet an infinity.
        Mul if crosses_zero(ends[0]) && is_infinite(ends[1]) || crosses_zero(ends[1]) && is_infinite(ends[0]) => {
            Anything
        }
        Add | Sub | Mul | Max | Min | Neg | Sign | Floor | Ceil | Round | Trunc | Sqrt | Lt | Le | Gt | Ge => {
            around(corners())
        }
        Convert(to) if to != DType::Bool => around(corners()),
        Convert(_) if !crosses_zero(ends[0]) => around(corners()),
        Div if !crosses_zero(ends[1]) => around(corners()),
        Abs if crosses_zero(ends[0]) => {
            around([Literal::from_f64(low.dtype(), 0.0), apply(Abs, &[low]), apply(Abs, &[high])])
        }
        Abs => around(corners()),
        Exp | Expm1 | Log | Log1p | Tanh | Logistic => match (one(op, low), one(op, high)) {
            (Some((a, b)), Some((c, d))) => around([a, b, c, d]),
            _ => Anything,
        },
        _ => Anything,
    }
}

/// The numbers within an inexact operation's units in the last place.
fn near(op: ScalarOp, ins: &[Literal]) -> Value {
    let dtype = ins[0].dtype();
    let exact = inexact(op, ins);
    if !exact.is_finite() {
        return Exact(Literal::from_f64(dtype, exact));
    }
    let (digits, least) = if dtype == DType::F32 { (23, -126) } else { (52, -1022) };
    // The reference is also computed in `f64`: it may be off by one there.
    let ulps = ulps(op).unwrap_or(0.0) + if dtype == DType::F32 { 0.0 } else { 1.0 };
    let binade = if exact == 0.0 { least } else { (exact.abs().log2().floor() as i32).max(least) };
    // `1 / (1 + e^-x)` is 0 if the exponential overflows, though the function still has small numbers there.
    let slack = if op == ScalarOp::Logistic { 2f64.powi(least) } else { 0.0 };
    // A single power would be 0 for tiny numbers.
    let room = ulps * 2f64.powi(-digits) * 2f64.powi(binade) + slack;
    let low = match op {
        ScalarOp::Exp | ScalarOp::Logistic => (exact - room).max(0.0),
        _ => exact - room,
    };
    Between(Literal::from_f64(dtype, low), Literal::from_f64(dtype, exact + room))
}

/// One summand: its value and, if it is a product that nothing else needs, its factors. A target may round such a
/// product together with the sum, or by itself.
#[derive(Clone, Copy, Debug)]
pub struct Term {
    /// Its value.
    pub value: Value,
    /// Its factors.
    pub factors: Option<(Value, Value)>,
}

/// The result of a reduction of its terms, in any order.
pub fn reduced(op: ReduceOp, dtype: DType, terms: &[Term]) -> Value {
    let identity = op.identity(dtype);
    let Some(ends) = terms.iter().map(|term| term.value.ends()).collect::<Option<Vec<_>>>() else { return Anything };
    match op {
        _ if terms.is_empty() => Exact(identity),
        _ if ends.iter().any(|(low, _)| is_nan(*low)) => Exact(Literal::from_f64(dtype, f64::NAN)),
        ReduceOp::Max | ReduceOp::Min => {
            let sign = if op == ReduceOp::Max { 1.0 } else { -1.0 };
            let extreme = |xs: &mut dyn Iterator<Item = Literal>| {
                xs.fold(identity, |most, x| if sign * x.as_f64() > sign * most.as_f64() { x } else { most })
            };
            around([extreme(&mut ends.iter().map(|(low, _)| *low)), extreme(&mut ends.iter().map(|(_, high)| *high))])
        }
        ReduceOp::Sum if dtype.is_float() => float_sum(dtype, terms, &ends),
        ReduceOp::Prod if dtype.is_float() => float_product(dtype, &ends),
        ReduceOp::Sum => Exact(ends.iter().fold(identity, |sum, (x, _)| apply(ScalarOp::Add, &[sum, *x]))),
        ReduceOp::Prod if dtype == DType::Bool => Exact(Literal::Bool(ends.iter().all(|(x, _)| *x == identity))),
        ReduceOp::Prod => Exact(ends.iter().fold(identity, |product, (x, _)| apply(ScalarOp::Mul, &[product, *x]))),
    }
}

/// Each product rounds once, in whatever order, unless some order leaves the range of normal numbers.
fn float_product(dtype: DType, ends: &[(Literal, Literal)]) -> Value {
    let (digits, range) = if dtype == DType::F32 { (24, 125.0) } else { (53, 1021.0) };
    let ends: Vec<(f64, f64)> = ends.iter().map(|(low, high)| (low.as_f64(), high.as_f64())).collect();
    let sizes = ends.iter().flat_map(|(low, high)| [low.abs(), high.abs()]).filter(|x| *x > 0.0 && x.is_finite());
    let (large, small) = sizes
        .map(f64::log2)
        .fold((0.0, 0.0), |(large, small): (f64, f64), log| (large + log.max(0.0), small + log.min(0.0)));
    if large > range || small < -range {
        return Anything;
    }
    let (mut low, mut high) = (1.0f64, 1.0f64);
    for (a, b) in ends.iter().copied() {
        let corners = [low * a, low * b, high * a, high * b];
        if corners.iter().any(|x| x.is_nan()) {
            let is_one = low == high && a == b;
            return if is_one { Exact(Literal::from_f64(dtype, f64::NAN)) } else { Anything };
        }
        (low, high) =
            corners.into_iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (x.min(low), x.max(high)));
    }
    // The products here round, too.
    let room = 2.02 * (ends.len() + 1) as f64 * 2f64.powi(-digits);
    let widened = |x: f64, by: f64| if x.is_finite() { x + by * room * x.abs() } else { x };
    around([Literal::from_f64(dtype, widened(low, -1.0)), Literal::from_f64(dtype, widened(high, 1.0))])
}

fn float_sum(dtype: DType, terms: &[Term], ends: &[(Literal, Literal)]) -> Value {
    let is_single = dtype == DType::F32;
    let (digits, least, largest) = if is_single { (24, -149, f64::from(f32::MAX)) } else { (53, -1074, f64::MAX) };
    let ends: Vec<(f64, f64)> = ends.iter().map(|(low, high)| (low.as_f64(), high.as_f64())).collect();
    let size = |(low, high): &(f64, f64)| low.abs().max(high.abs());
    let magnitude: f64 = ends.iter().map(size).filter(|x| x.is_finite()).sum();
    if magnitude >= largest / 2.0 {
        return Anything;
    }
    if ends.iter().any(|ends| size(ends).is_infinite()) {
        // An infinity is one in any order, unless it is a product that only rounding makes infinite.
        let is_sure = |term: &Term| {
            let finite =
                |value: Value| value.ends().is_some_and(|(low, high)| size(&(low.as_f64(), high.as_f64())).is_finite());
            matches!(term.value, Exact(_)) && !term.factors.is_some_and(|(a, b)| finite(a) && finite(b))
        };
        let is_sure = terms.iter().zip(&ends).all(|(term, ends)| size(ends).is_finite() || is_sure(term));
        let sum = ends.iter().map(|(x, _)| *x).filter(|x| x.is_infinite()).sum();
        return if is_sure { Exact(Literal::from_f64(dtype, sum)) } else { Anything };
    }
    let (low, high) = ends.iter().fold((0.0, 0.0), |sum, term| (sum.0 + term.0, sum.1 + term.1));
    // Multiples of one power of two whose sum of sizes has few digits are added without error, in any order.
    let power = ends.iter().map(|(x, _)| lowest_bit(*x)).min().unwrap_or(0);
    let is_normal = power > -900;
    if is_normal && terms.iter().all(is_exact) && magnitude <= 2f64.powi(digits) * 2f64.powi(power.min(900)) {
        return around([Literal::from_f64(dtype, low)]);
    }
    // Each of the sums rounds, and each product; for doubles, so do the sums here.
    let roundings = (terms.len() + 1) as f64 * if is_single { 1.01 } else { 2.02 };
    let room = roundings * (magnitude * 2f64.powi(-digits) + 2f64.powi(least));
    around([Literal::from_f64(dtype, low - room), Literal::from_f64(dtype, high + room)])
}

/// Whether a term is one number, rounded with the sum or by itself.
fn is_exact(term: &Term) -> bool {
    match (term.value, term.factors) {
        (Exact(_), None) => true,
        (Exact(product), Some((Exact(a), Exact(b)))) => {
            // A product of singles has no rounding error in doubles.
            a.as_f64().mul_add(b.as_f64(), -product.as_f64()) == 0.0
        }
        _ => false,
    }
}

/// The exponent of a number's last nonzero digit.
fn lowest_bit(x: f64) -> i32 {
    if x == 0.0 {
        return i32::MAX;
    }
    let bits = x.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32;
    let fraction = bits & ((1 << 52) - 1);
    let (exponent, fraction) = if exponent == 0 { (1, fraction) } else { (exponent, fraction | (1 << 52)) };
    exponent - 1075 + fraction.trailing_zeros() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(x: f32) -> Value {
        Exact(Literal::F32(x))
    }

    fn sum(terms: &[f32]) -> Value {
        let terms: Vec<Term> = terms.iter().map(|x| Term { value: exact(*x), factors: None }).collect();
        reduced(ReduceOp::Sum, DType::F32, &terms)
    }

    #[test]
    fn sums_of_few_digits_are_exact_and_others_nearly() {
        assert_eq!(sum(&[1.0, 2.5, -3.0]), Between(Literal::F32(0.5), Literal::F32(0.5)));
        assert_eq!(sum(&[]), exact(0.0));
        let tenths = sum(&[0.1; 10]);
        assert!(tenths.admits(Literal::F32(1.0)) && tenths.admits(Literal::F32(1.000_000_1)));
        assert!(!tenths.admits(Literal::F32(1.000_002)) && !tenths.admits(Literal::F32(0.9)));
        assert_eq!(sum(&[1.0, f32::INFINITY]), exact(f32::INFINITY));
        assert!(sum(&[f32::NEG_INFINITY, f32::INFINITY]).admits(Literal::F32(f32::NAN)));
        assert_eq!(sum(&[f32::MAX, f32::MAX]), Anything);
    }

    #[test]
    fn products_are_exact_but_for_a_rounding_each() {
        let product = |terms: &[f32]| {
            let terms: Vec<Term> = terms.iter().map(|x| Term { value: exact(*x), factors: None }).collect();
            reduced(ReduceOp::Prod, DType::F32, &terms)
        };
        assert_eq!(product(&[]), exact(1.0));
        let tenths = product(&[0.1, 0.1, -0.1]);
        assert!(tenths.admits(Literal::F32(-0.001)) && tenths.admits(Literal::F32(-0.001_000_000_2)));
        assert!(!tenths.admits(Literal::F32(-0.001_000_001)) && !tenths.admits(Literal::F32(0.001)));
        assert!(product(&[0.0, 3.0]).admits(Literal::F32(0.0)) && !product(&[0.0, 3.0]).admits(Literal::F32(1e-30)));
        assert!(!product(&[0.0, f32::INFINITY]).admits(Literal::F32(0.0)));
        assert_eq!(product(&[1e30, 1e30, 1e-30]), Anything);
    }

    #[test]
    fn intervals_are_tight() {
        let e = operated(ScalarOp::Exp, &[exact(1.0)]);
        assert!(e.admits(Literal::F32(std::f32::consts::E)) && !e.admits(Literal::F32(2.718_283)));
        let half = operated(ScalarOp::Logistic, &[operated(ScalarOp::Sub, &[e, e])]);
        assert!(half.admits(Literal::F32(0.5)) && !half.admits(Literal::F32(0.500_002)));
        assert_eq!(operated(ScalarOp::Lt, &[exact(0.0), e]), Exact(Literal::Bool(true)));
        assert_eq!(operated(ScalarOp::Lt, &[e, e]), Anything);
        assert_eq!(operated(ScalarOp::Div, &[e, operated(ScalarOp::Sub, &[e, e])]), Anything);
    }

    #[test]
    fn the_lowest_bit() {
        assert_eq!([1.0, 0.75, 6.0, 5e-324].map(lowest_bit), [0, -2, 1, -1074]);
    }
}
