//! Dimensions: integers, or polynomials over symbols with integer coefficients in normal form.

mod text;

use super::symbol::{Sizes, Symbol};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::iter::Sum;
use std::ops::{Add, Mul, Sub};
use std::sync::Arc;

/// A product of symbols, sorted; a power is a repetition.
pub(crate) type Monomial = SmallVec<[Symbol; 2]>;
/// Sorted by degree (highest first), then by name; no coefficient is zero; the constant term is last.
pub(crate) type Terms = Vec<(Monomial, i64)>;

/// Sorts terms, each of which has its own product of symbols, and drops those without a coefficient.
pub(super) fn normalize(terms: &mut Terms) {
    terms.retain(|(_, coefficient)| *coefficient != 0);
    terms.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
}

/// The extent of an axis: a number, or a polynomial over [`Symbol`]s such as `8*n+1`.
///
/// Equality is equality of polynomials: both sides are kept in one normal form. A symbol stands for any natural number,
/// and arithmetic is that of unbounded integers. A number or a coefficient that does not fit into an `i64` makes a
/// dimension [too large](Dim::is_too_large), and so is everything computed from it: it never wraps. No program has an
/// array with such an extent or with that many elements.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Dim(Repr);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Repr {
    Number(i64),
    Polynomial(Arc<Terms>),
    TooLarge,
}

/// A sum of terms in progress, in numbers wider than those of any dimension.
#[derive(Default)]
struct Summed {
    terms: SmallVec<[(Monomial, i128); 4]>,
    /// Where the term of a product of symbols is; empty while there are [`FEW`] terms at most, which are compared.
    places: FxHashMap<Monomial, usize>,
    is_too_large: bool,
}

/// How many terms are found sooner by looking at each.
const FEW: usize = 16;

impl Summed {
    /// Adds a term; `None` is one that exceeds even these numbers.
    fn add(&mut self, monomial: Monomial, coefficient: Option<i128>) {
        let Some(coefficient) = coefficient else {
            self.is_too_large = true;
            return;
        };
        let place = match self.places.is_empty() {
            true => self.terms.iter().position(|(known, _)| *known == monomial),
            false => self.places.get(&monomial).copied(),
        };
        let Some(place) = place else { return self.push(monomial, coefficient) };
        let (_, sum) = &mut self.terms[place];
        match sum.checked_add(coefficient) {
            Some(more) => *sum = more,
            None => self.is_too_large = true,
        }
    }

    fn push(&mut self, monomial: Monomial, coefficient: i128) {
        self.terms.push((monomial, coefficient));
        let n = self.terms.len();
        if n > FEW {
            // Those that are not found yet: all of them, or the last.
            let first = if self.places.is_empty() { 0 } else { n - 1 };
            self.places.extend((first..n).map(|i| (self.terms[i].0.clone(), i)));
        }
    }

    /// Adds every term of a dimension.
    fn add_all(&mut self, dim: &Dim) {
        self.is_too_large |= dim.is_too_large();
        dim.terms().into_iter().for_each(|(monomial, coefficient)| self.add(monomial, Some(coefficient.into())));
    }

    fn dim(self) -> Dim {
        // Once all symbols have sizes there is one term, and no need for lists.
        if let ([(monomial, x)], false) = (&self.terms[..], self.is_too_large)
            && monomial.is_empty()
        {
            return Dim::number((*x).try_into().ok());
        }
        let small = |(monomial, x): (Monomial, i128)| Some((monomial, i64::try_from(x).ok()?));
        match self.terms.into_iter().map(small).collect::<Option<Terms>>() {
            Some(terms) if !self.is_too_large => Dim::from_terms(terms),
            _ => Dim::TOO_LARGE,
        }
    }
}

impl Dim {
    pub(super) const TOO_LARGE: Dim = Dim(Repr::TooLarge);

    /// Whether it, or something that it was computed from, exceeds an `i64`. It has no number, no symbols and no terms.
    pub fn is_too_large(&self) -> bool {
        matches!(self.0, Repr::TooLarge)
    }

    /// The extent named by a symbol.
    #[track_caller]
    pub fn symbol(name: &str) -> Self {
        Dim(Repr::Polynomial(Arc::new(vec![(SmallVec::from_iter([Symbol::new(name)]), 1)])))
    }

    /// The number, if no symbol is left.
    pub fn as_number(&self) -> Option<i64> {
        match self.0 {
            Repr::Number(x) => Some(x),
            Repr::Polynomial(_) | Repr::TooLarge => None,
        }
    }

    /// The number as an extent, if no symbol is left and it is not negative.
    pub fn as_usize(&self) -> Option<usize> {
        self.as_number().and_then(|x| x.try_into().ok())
    }

    /// The symbol, if the dimension is just one symbol.
    pub fn as_symbol(&self) -> Option<&Symbol> {
        match &self.0 {
            Repr::Polynomial(terms) => match &terms[..] {
                [(monomial, 1)] if monomial.len() == 1 => Some(&monomial[0]),
                _ => None,
            },
            Repr::Number(_) | Repr::TooLarge => None,
        }
    }

    /// Every symbol in it, sorted.
    pub fn symbols(&self) -> Vec<Symbol> {
        let mut all: Vec<Symbol> = self.terms().into_iter().flat_map(|(monomial, _)| monomial).collect();
        all.sort();
        all.dedup();
        all
    }

    /// Replaces each symbol that has a size by its size; others stay.
    pub fn at(&self, sizes: &Sizes) -> Dim {
        let Repr::Polynomial(terms) = &self.0 else { return self.clone() };
        let mut sum = Summed::default();
        for (monomial, coefficient) in terms.iter() {
            let mut factor = Some(i128::from(*coefficient));
            let mut rest = Monomial::new();
            for symbol in monomial {
                match sizes.get(symbol) {
                    Some(size) => factor = factor.and_then(|factor| factor.checked_mul(size as i128)),
                    None => rest.push(symbol.clone()),
                }
            }
            sum.add(rest, factor);
        }
        sum.dim()
    }

    /// Replaces each symbol for which `of` returns a dimension.
    pub fn replace(&self, of: impl Fn(&Symbol) -> Option<Dim>) -> Dim {
        let Repr::Polynomial(terms) = &self.0 else { return self.clone() };
        let one = |symbol: &Symbol| of(symbol).unwrap_or_else(|| Dim::symbol(symbol.name()));
        let term = |(monomial, factor): &(Monomial, i64)| {
            monomial.iter().fold(Dim::from(*factor), |product, symbol| product * one(symbol))
        };
        terms.iter().map(term).sum()
    }

    /// The quotient, if this dimension is `divisor` times a polynomial that division term by term finds.
    pub fn div_exact(&self, divisor: &Dim) -> Option<Dim> {
        if self.is_too_large() || divisor.is_too_large() {
            return None;
        }
        let divisor = divisor.terms();
        let [(by, scale)] = &divisor[..] else {
            return (self.terms() == divisor).then(|| Dim::from(1));
        };
        let mut quotient = Terms::new();
        for (monomial, coefficient) in self.terms() {
            let mut rest = monomial;
            for symbol in by {
                let at = rest.iter().position(|s| s == symbol)?;
                rest.remove(at);
            }
            if coefficient.checked_rem(*scale)? != 0 {
                return None;
            }
            quotient.push((rest, coefficient / scale));
        }
        Some(Dim::from_terms(quotient))
    }

    /// The number of steps of `step` that cover it, if that is a polynomial: every symbol occurs in multiples of
    /// `step`. The dimension must not be negative.
    pub fn div_ceil(&self, step: usize) -> Option<Dim> {
        let step = i64::try_from(step).ok().filter(|step| *step > 0 && !self.is_too_large())?;
        let mut quotient = Terms::new();
        for (monomial, coefficient) in self.terms() {
            let part = if monomial.is_empty() {
                // ⌈(s·q + c) / s⌉ = q + ⌈c / s⌉ for integer q.
                -coefficient.checked_neg()?.div_euclid(step)
            } else {
                (coefficient % step == 0).then_some(coefficient / step)?
            };
            quotient.push((monomial, part));
        }
        Some(Dim::from_terms(quotient))
    }

    /// Whether it is at least zero for all sizes of its symbols; `false` also if the signs do not decide it.
    pub fn is_natural(&self) -> bool {
        match &self.0 {
            Repr::Number(x) => *x >= 0,
            Repr::Polynomial(terms) => terms.iter().all(|(_, coefficient)| *coefficient > 0),
            Repr::TooLarge => false,
        }
    }

    /// The size that makes this dimension `extent`, if it has one symbol and is linear in it (`n`, `n+1`, `8*n`).
    pub fn solve(&self, extent: usize) -> Option<(Symbol, usize)> {
        let Repr::Polynomial(terms) = &self.0 else { return None };
        let (symbol, scale, constant) = match &terms[..] {
            [(m, a)] if m.len() == 1 => (&m[0], *a, 0),
            [(m, a), (one, b)] if m.len() == 1 && one.is_empty() => (&m[0], *a, *b),
            _ => return None,
        };
        let (rest, scale) = (extent as i128 - i128::from(constant), i128::from(scale));
        let size = usize::try_from(rest / scale).ok()?;
        (rest % scale == 0).then(|| (symbol.clone(), size))
    }

    /// Its terms: products of symbols, each with its coefficient.
    pub(crate) fn terms(&self) -> Terms {
        match &self.0 {
            Repr::Number(0) => vec![],
            Repr::Number(x) => vec![(Monomial::new(), *x)],
            Repr::Polynomial(terms) => terms.as_ref().clone(),
            Repr::TooLarge => vec![],
        }
    }

    /// The dimension with these terms, each product of symbols once.
    pub(super) fn from_terms(terms: impl IntoIterator<Item = (Monomial, i64)>) -> Dim {
        let mut terms = terms.into_iter().collect();
        normalize(&mut terms);
        match &terms[..] {
            [] => Dim::from(0),
            [(monomial, x)] if monomial.is_empty() => Dim(Repr::Number(*x)),
            _ => Dim(Repr::Polynomial(Arc::new(terms))),
        }
    }

    /// The number, or too large.
    fn number(x: Option<i64>) -> Dim {
        x.map_or(Dim::TOO_LARGE, |x| Dim(Repr::Number(x)))
    }

    fn combine(&self, other: &Dim, sign: i64) -> Dim {
        match (&self.0, &other.0) {
            (Repr::TooLarge, _) | (_, Repr::TooLarge) => return Dim::TOO_LARGE,
            (Repr::Number(a), Repr::Number(b)) => {
                return Dim::number(if sign < 0 { a.checked_sub(*b) } else { a.checked_add(*b) });
            }
            _ => {}
        }
        let mut sum = Summed::default();
        for (terms, sign) in [(self.terms(), 1), (other.terms(), sign)] {
            for (monomial, coefficient) in terms {
                sum.add(monomial, Some(i128::from(coefficient) * i128::from(sign)));
            }
        }
        sum.dim()
    }

    fn product(&self, other: &Dim) -> Dim {
        match (&self.0, &other.0) {
            (Repr::TooLarge, _) | (_, Repr::TooLarge) => return Dim::TOO_LARGE,
            (Repr::Number(a), Repr::Number(b)) => return Dim::number(a.checked_mul(*b)),
            (Repr::Number(1), _) => return other.clone(),
            (_, Repr::Number(1)) => return self.clone(),
            _ => {}
        }
        let mut sum = Summed::default();
        for (a, x) in self.terms() {
            for (b, y) in other.terms() {
                let mut monomial: Monomial = a.iter().chain(&b).cloned().collect();
                monomial.sort();
                sum.add(monomial, Some(i128::from(x) * i128::from(y)));
            }
        }
        sum.dim()
    }
}

impl From<usize> for Dim {
    fn from(x: usize) -> Self {
        Dim::number(x.try_into().ok())
    }
}
impl From<i64> for Dim {
    fn from(x: i64) -> Self {
        Dim(Repr::Number(x))
    }
}
impl From<i32> for Dim {
    fn from(x: i32) -> Self {
        Dim(Repr::Number(x.into()))
    }
}
impl From<&Dim> for Dim {
    fn from(x: &Dim) -> Self {
        x.clone()
    }
}
/// A symbol by its name.
impl From<&str> for Dim {
    #[track_caller]
    fn from(name: &str) -> Self {
        Dim::symbol(name)
    }
}

macro_rules! arithmetic {
    ($($op:ident $method:ident |$a:ident, $b:ident| $result:expr;)*) => { $(
        impl<D: Into<Dim>> $op<D> for &Dim {
            type Output = Dim;
            fn $method(self, other: D) -> Dim { let ($a, $b) = (self, &other.into()); $result }
        }
        impl<D: Into<Dim>> $op<D> for Dim {
            type Output = Dim;
            fn $method(self, other: D) -> Dim { let ($a, $b) = (&self, &other.into()); $result }
        }
    )* };
}
arithmetic! {
    Add add |a, b| a.combine(b, 1);
    Sub sub |a, b| a.combine(b, -1);
    Mul mul |a, b| a.product(b);
}

impl Sum for Dim {
    fn sum<I: Iterator<Item = Dim>>(dims: I) -> Dim {
        let mut sum = Summed::default();
        dims.for_each(|dim| sum.add_all(&dim));
        sum.dim()
    }
}

impl PartialEq<usize> for Dim {
    fn eq(&self, other: &usize) -> bool {
        self.as_usize() == Some(*other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dim(text: &str) -> Dim {
        text.parse().unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn normal_form_decides_equality() {
        let (n, e) = (Dim::symbol("n"), Dim::symbol("e"));
        assert_eq!(&n + 1 - 1, n);
        assert_eq!((&n + &e) * 2, &e * 2 + &n * 2);
        assert_eq!((&n + 1) * (&n - 1), &n * &n - 1);
        assert_eq!(&n - &n, Dim::from(0));
        assert_ne!(n, e);
    }

    #[test]
    fn prints_and_parses() {
        for text in ["0", "-3", "n", "n+1", "8*n", "8*n*n-2*e+7", "-n"] {
            assert_eq!(dim(text).to_string(), text);
            assert_eq!(dim(&dim(text).to_string()), dim(text));
        }
        for text in ["", "n+", "8n", "n**2", "1.5", "é"] {
            assert!(text.parse::<Dim>().is_err(), "{text}");
        }
    }

    /// Products at and beyond the limit, by 128-bit arithmetic.
    #[test]
    fn what_an_i64_does_not_hold_is_too_large() {
        let wanted = |x: i128| i64::try_from(x).map_or(Dim::TOO_LARGE, Dim::from);
        let numbers = [0, 1, -1, 3, 1 << 31, (1 << 32) - 1, 1 << 32, -(1 << 32), 1 << 62, i64::MAX, i64::MIN];
        for a in numbers {
            for b in numbers {
                let (x, y) = (Dim::from(a), i128::from(a));
                assert_eq!(&x * b, wanted(y * i128::from(b)), "{a} * {b}");
                assert_eq!(&x + b, wanted(y + i128::from(b)), "{a} + {b}");
                assert_eq!(&x - b, wanted(y - i128::from(b)), "{a} - {b}");
            }
        }
        assert!(Dim::from(usize::MAX).is_too_large());
        assert_eq!(Dim::from(i64::MAX as usize).as_number(), Some(i64::MAX));
        let n = Dim::symbol("n");
        let large = &n * (1i64 << 62);
        assert!((&large * 2).is_too_large() && (&large + &large).is_too_large() && (&large * &large).is_too_large());
        assert_eq!(&large + &large - &large - &large, Dim::TOO_LARGE, "it stays");
        for text in ["9223372036854775808", "n*9223372036854775807*2", "4611686018427387904*n+4611686018427387904*n"] {
            assert!(text.parse::<Dim>().expect_err(text).contains("too large"), "{text}");
        }
    }

    /// A symbol is any natural number: if the value of a polynomial is not an `i64`, it has none.
    #[test]
    fn sizes_that_make_it_too_large_are_found() {
        for (text, n, wanted) in [
            ("8*n", 1 << 60, None),
            ("8*n", 1 << 59, Some(1 << 62)),
            ("8*n", usize::MAX, None),
            ("n*n", 1 << 32, None),
            ("n*n-n*n+n", 1 << 32, Some(1 << 32)),
            // The terms may exceed an `i64` although their sum does not.
            ("n*n-4294967295*n", 1 << 32, Some(1 << 32)),
            ("n*n*n*n*n", 1 << 32, None),
            ("n*n*n*n-n*n*n*n*n", 1 << 32, None),
            ("n*m", 1 << 40, None),
        ] {
            let mut sizes = Sizes::new();
            assert_eq!(sizes.set(Symbol::new("n"), n), Ok(()));
            assert_eq!(sizes.set(Symbol::new("m"), 1 << 40), Ok(()));
            let found = dim(text).at(&sizes);
            assert_eq!((found.as_number(), found.is_too_large()), (wanted, wanted.is_none()), "{text} at {n}");
        }
        let one = Symbol::new("n");
        let large = dim("4611686018427387904*n").replace(|symbol| (*symbol == one).then(|| dim("2*k")));
        assert!(large.is_too_large());
        assert_eq!(Dim::TOO_LARGE.replace(|_| Some(dim("1"))), Dim::TOO_LARGE);
        assert_eq!(dim("n-9223372036854775807").solve(usize::MAX), None);
        assert_eq!(dim("2*n").div_exact(&Dim::TOO_LARGE), None);
        assert_eq!(
            (Dim::TOO_LARGE.div_ceil(2), Dim::TOO_LARGE.solve(0), Dim::TOO_LARGE.is_natural()),
            (None, None, false)
        );
    }

    /// In the time of the terms: their pairs would take minutes.
    #[test]
    fn many_symbols_are_summed() {
        let names: Vec<String> = (0..20_000).map(|i| format!("s{i}")).collect();
        let sum = dim(&names.join("+"));
        assert_eq!(sum.symbols().len(), 20_000);
        assert_eq!(&(&sum + &sum) - &sum, sum);
        assert_eq!(names.iter().map(|name| Dim::symbol(name)).sum::<Dim>(), sum);
        assert_eq!(sum.replace(|_| Some(Dim::symbol("n"))), dim("20000*n"));
        assert_eq!(dim(&sum.to_string()), sum);
    }

    #[test]
    fn sizes_are_put_in() {
        let mut sizes = Sizes::new();
        assert_eq!(sizes.set(Symbol::new("n"), 5), Ok(()));
        assert_eq!(sizes.set(Symbol::new("n"), 6), Err(5));
        assert_eq!(dim("2*n*e+1").at(&sizes), dim("10*e+1"));
        assert_eq!(dim("n+1").at(&sizes), Dim::from(6));
    }

    #[test]
    fn dimensions_are_put_in() {
        let of = |symbol: &Symbol| match symbol.name() {
            "n" => Some(dim("2*e+1")),
            "m" => Some(Dim::from(7)),
            _ => None,
        };
        assert_eq!(dim("n*n-m*e+3").replace(of), dim("4*e*e-3*e+4"));
        assert_eq!(dim("m*m").replace(of), Dim::from(49));
        assert_eq!(dim("5").replace(of), Dim::from(5));
    }

    #[test]
    fn divides_and_solves() {
        assert_eq!(dim("8*n").div_exact(&dim("8")), Some(dim("n")));
        assert_eq!(dim("8*n*e").div_exact(&dim("2*n")), Some(dim("4*e")));
        assert_eq!(dim("n+1").div_exact(&dim("n")), None);
        assert_eq!(dim("8*n+8").solve(24), Some((Symbol::new("n"), 2)));
        assert_eq!(dim("8*n").solve(25), None);
        for (length, steps) in [("2*n", "n"), ("2*n+1", "n+1"), ("2*n-1", "n"), ("4*n-3", "2*n-1"), ("7", "4")] {
            assert_eq!(dim(length).div_ceil(2), Some(dim(steps)));
        }
        assert_eq!(dim("3*n").div_ceil(2), None);
    }
}
