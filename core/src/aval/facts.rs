//! Facts about sizes, such as `n >= 1`, and proofs from them.
//!
//! A symbol is any natural number, and proofs are about unbounded integers. So what is proved holds for every size: a
//! number in a program that would exceed an `i64` is [too large](Dim::is_too_large), and no call ever uses it.

use super::dim::{Monomial, Terms, normalize};
use super::{Dim, Shape, Sizes, Symbol};
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// How a dimension compares with zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Relation {
    AtLeast,
    Equal,
}

/// A relation between two sizes: one is at least the other, or they are equal.
///
/// It is kept in one normal form, `difference >= 0` or `difference == 0`, so that equal facts compare equal however
/// they were written. Its text is `n >= 1`, `m <= n`, `m == 2*n`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Fact {
    difference: Dim,
    relation: Relation,
}

/// What is known about a relation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It holds for every size.
    Holds,
    /// It holds for no size.
    Fails,
    /// It holds for some sizes, or the proof was not found.
    Open,
}

impl Dim {
    /// The fact that this size is at least `other`.
    pub fn at_least(&self, other: impl Into<Dim>) -> Fact {
        Fact::new(self - other.into(), Relation::AtLeast)
    }

    /// The fact that this size is at most `other`.
    pub fn at_most(&self, other: impl Into<Dim>) -> Fact {
        other.into().at_least(self)
    }

    /// The fact that this size is `other`.
    pub fn equal_to(&self, other: impl Into<Dim>) -> Fact {
        Fact::new(self - other.into(), Relation::Equal)
    }
}

impl Fact {
    /// The normal form: coefficients of symbols without a common divisor, an equation's first one positive.
    fn new(difference: Dim, relation: Relation) -> Fact {
        let mut terms = difference.terms();
        let common = terms.iter().filter(|(m, _)| !m.is_empty()).fold(0, |g, (_, x)| gcd(g, x.unsigned_abs()));
        let Ok(common @ 1..) = i64::try_from(common) else { return Fact { difference, relation } };
        let exact = terms.iter().all(|(_, x)| x % common == 0);
        if relation == Relation::AtLeast || exact {
            // Sizes are integers: 2·n - 3 >= 0 says n - 2 >= 0.
            terms.iter_mut().for_each(|(_, x)| *x = x.div_euclid(common));
        }
        let is_negative = terms[0].1 < 0;
        let difference = Dim::from_terms(terms);
        let flipped = relation == Relation::Equal && is_negative;
        Fact { difference: if flipped { Dim::from(0) - difference } else { difference }, relation }
    }

    /// Every symbol in it, sorted.
    pub fn symbols(&self) -> Vec<Symbol> {
        self.difference.symbols()
    }

    /// The fact with every symbol that has a size replaced by it.
    pub fn at(&self, sizes: &Sizes) -> Fact {
        Fact::new(self.difference.at(sizes), self.relation)
    }

    /// Whether it is about a size that is [too large](Dim::is_too_large): then nothing is known about it, and no sizes
    /// satisfy it.
    pub fn is_too_large(&self) -> bool {
        self.difference.is_too_large()
    }

    /// Whether it holds, if no symbol is left.
    pub fn as_bool(&self) -> Option<bool> {
        self.difference.as_number().map(|x| match self.relation {
            Relation::AtLeast => x >= 0,
            Relation::Equal => x == 0,
        })
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (more, less): (Terms, Terms) = self.difference.terms().into_iter().partition(|(_, x)| *x > 0);
        let flipped = self.difference.terms().first().is_some_and(|(_, x)| *x < 0);
        if self.is_too_large() {
            return f.write_str("a relation of sizes that are too large");
        }
        let (more, less) = (Dim::from_terms(more), Dim::from(0) - Dim::from_terms(less));
        match (self.relation, flipped) {
            (Relation::Equal, _) => write!(f, "{more} == {less}"),
            (Relation::AtLeast, false) => write!(f, "{more} >= {less}"),
            (Relation::AtLeast, true) => write!(f, "{less} <= {more}"),
        }
    }
}
impl fmt::Debug for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fact {
    type Err = String;

    /// Reads two dimensions with `>=`, `<=`, `==`, `>` or `<` between them.
    fn from_str(text: &str) -> Result<Self, String> {
        // The longer signs first: `>` is the beginning of `>=`.
        for sign in [">=", "<=", "==", ">", "<"] {
            let Some((left, right)) = text.split_once(sign) else { continue };
            let dim = |side: &str| side.parse::<Dim>().map_err(|why| format!("`{text}` is no fact: {why}"));
            let (left, right) = (dim(left)?, dim(right)?);
            return Ok(match sign {
                ">=" => left.at_least(right),
                "<=" => left.at_most(right),
                "==" => left.equal_to(right),
                ">" => left.at_least(right + 1),
                _ => (left + 1).at_most(right),
            });
        }
        Err(format!("`{text}` is no fact: write two sizes with `>=`, `<=`, `==`, `>` or `<` between, such as `n >= 1`"))
    }
}

/// Facts that hold together, in the order in which they were added. Sizes are natural numbers: that needs no fact.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Facts(Vec<Fact>);

impl Facts {
    /// No fact.
    pub fn new() -> Self {
        Facts::default()
    }

    /// The facts that the types of arguments imply: no extent is negative, so an `f32[n-1]` implies `n >= 1`.
    pub(crate) fn of_shapes<'a>(shapes: impl IntoIterator<Item = &'a Shape>) -> Facts {
        let mut facts = Facts::new();
        for dim in shapes.into_iter().flatten().filter(|dim| !dim.is_natural()) {
            facts.add(dim.at_least(0));
        }
        facts
    }

    /// Whether there are no facts.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each fact.
    pub fn iter(&self) -> impl Iterator<Item = &Fact> {
        self.0.iter()
    }

    /// Adds a fact, unless it follows from earlier ones.
    pub fn add(&mut self, fact: Fact) {
        if self.decide(&fact) != Verdict::Holds {
            self.0.push(fact);
        }
    }

    /// Adds a fact, whether it follows or not.
    pub(crate) fn push(&mut self, fact: Fact) {
        self.0.push(fact);
    }

    /// The facts with symbols replaced by their sizes. A fact that holds for these sizes is dropped; one that does not
    /// stays, as a false relation of numbers.
    pub fn at(&self, sizes: &Sizes) -> Facts {
        let mut facts = Facts::new();
        self.0.iter().for_each(|fact| facts.add(fact.at(sizes)));
        facts
    }

    /// The first fact that does not hold for these sizes, or is about sizes that are too large.
    pub fn broken_at(&self, sizes: &Sizes) -> Option<&Fact> {
        let is_broken = |fact: Fact| fact.is_too_large() || fact.as_bool() == Some(false);
        self.0.iter().find(|fact| is_broken(fact.at(sizes)))
    }

    /// What these facts imply about a relation. `Holds` and `Fails` are proved; `Open` may also mean that no proof was
    /// found.
    pub fn decide(&self, fact: &Fact) -> Verdict {
        let p = &fact.difference;
        if let Some(holds) = fact.as_bool() {
            return if holds { Verdict::Holds } else { Verdict::Fails };
        }
        // Most relations that are asked for hold: a search for the opposite, which would visit all it may, is spared.
        let is_least = || fact.relation == Relation::AtLeast || self.is_natural(&(Dim::from(0) - p));
        let holds = self.is_natural(p) && is_least();
        let below = || Dim::from(-1) - p;
        let fails = || match fact.relation {
            Relation::AtLeast => self.is_natural(&below()),
            Relation::Equal => !has_integer_root(p) || self.is_natural(&(p - 1)) || self.is_natural(&below()),
        };
        if holds {
            Verdict::Holds
        } else if fails() {
            Verdict::Fails
        } else {
            Verdict::Open
        }
    }

    /// How two sizes compare for every size of their symbols, if these facts decide it.
    pub fn compare(&self, a: &Dim, b: &Dim) -> Option<Ordering> {
        if a == b || self.decide(&a.equal_to(b)) == Verdict::Holds {
            return Some(Ordering::Equal);
        }
        match self.decide(&a.at_least(b + 1)) {
            Verdict::Holds => Some(Ordering::Greater),
            _ => (self.decide(&b.at_least(a + 1)) == Verdict::Holds).then_some(Ordering::Less),
        }
    }

    /// Whether `p >= 0` follows.
    fn is_natural(&self, p: &Dim) -> bool {
        if p.is_natural() || p.is_too_large() {
            return p.is_natural();
        }
        let mut known: Vec<Terms> = vec![];
        for fact in &self.0 {
            known.push(fact.difference.terms());
            if fact.relation == Relation::Equal {
                known.push((Dim::from(0) - &fact.difference).terms());
            }
        }
        known.retain(are_small);
        are_small(&p.terms()) && Proof { known, steps: MAX_STEPS }.finds(p.terms(), MAX_DEPTH)
    }
}

/// Each fact once; one that follows from others stays.
impl FromIterator<Fact> for Facts {
    fn from_iter<I: IntoIterator<Item = Fact>>(all: I) -> Self {
        let mut facts = Facts::new();
        for fact in all {
            if fact.as_bool() != Some(true) && !facts.0.contains(&fact) {
                facts.0.push(fact);
            }
        }
        facts
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fact) in self.0.iter().enumerate() {
            write!(f, "{}{fact}", if i > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}
impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether the divisors of a polynomial let it be zero: `2*n-3` is odd.
fn has_integer_root(p: &Dim) -> bool {
    let terms = p.terms();
    let common = terms.iter().filter(|(m, _)| !m.is_empty()).fold(0, |g, (_, x)| gcd(g, x.unsigned_abs()));
    let constant = terms.last().filter(|(m, _)| m.is_empty()).map_or(0, |(_, x)| x.unsigned_abs());
    common == 0 || constant.is_multiple_of(common)
}

/// How many facts one proof may use, one after another.
const MAX_DEPTH: usize = 8;
/// How many polynomials one proof may visit.
const MAX_STEPS: usize = 64;
/// Coefficients beyond this end a proof before they could overflow.
const MAX_COEFFICIENT: u64 = 1 << 40;

/// A search for nonnegative multiples of known facts that, subtracted from a polynomial, leave no negative coefficient.
///
/// Sound: from `f >= 0` and a product `K` of symbols follows `K·f >= 0`; if `y·p - x·K·f >= 0` for positive `x`, `y`,
/// then `p >= 0`. A polynomial over natural numbers without negative coefficient is at least 0.
struct Proof {
    known: Vec<Terms>,
    steps: usize,
}

impl Proof {
    fn finds(&mut self, p: Terms, depth: usize) -> bool {
        let Some((monomial, negative)) = p.iter().find(|(_, x)| *x < 0).cloned() else { return true };
        if depth == 0 || self.steps == 0 {
            return false;
        }
        self.steps -= 1;
        for fact in self.usable(&p, &monomial) {
            let Some((_, d)) = fact.iter().find(|(m, _)| *m == monomial).cloned() else { continue };
            // As much of the fact as cancels the negative term, or only as much as makes no other term negative.
            let whole = (-negative, -d);
            let part = fact.iter().filter(|(_, x)| *x > 0).fold(whole, |least, (m, x)| {
                let here = (coefficient(&p, m), *x);
                if i128::from(here.0) * i128::from(least.1) < i128::from(least.0) * i128::from(here.1) {
                    here
                } else {
                    least
                }
            });
            let choices = if part == whole { vec![whole] } else { vec![part, whole] };
            for (x, y) in choices.into_iter().filter(|(x, _)| *x > 0) {
                if less(&p, y, &fact, x).is_some_and(|rest| self.finds(rest, depth - 1)) {
                    return true;
                }
            }
        }
        false
    }

    /// Products of known facts and symbols with a negative coefficient at `monomial`.
    fn usable(&self, p: &Terms, monomial: &Monomial) -> Vec<Terms> {
        let mut found = vec![];
        for fact in &self.known {
            for (m, _) in fact.iter().filter(|(_, x)| *x < 0) {
                if let Some(factor) = quotient(monomial, m) {
                    found.push(times(fact, &factor));
                }
            }
        }
        // n·n·m >= n·m for natural n: a product of the same symbols, some of them repeated, is no less.
        for (m, _) in p.iter().filter(|(m, x)| *x > 0 && m != monomial && !monomial.is_empty()) {
            if quotient(m, monomial).is_some_and(|more| more.iter().all(|symbol| monomial.contains(symbol))) {
                found.push(vec![(m.clone(), 1), (monomial.clone(), -1)]);
            }
        }
        found
    }
}

fn coefficient(p: &Terms, monomial: &Monomial) -> i64 {
    p.iter().find(|(m, _)| m == monomial).map_or(0, |(_, x)| *x)
}

/// `a / b`, where `b` divides `a`.
fn quotient(a: &Monomial, b: &Monomial) -> Option<Monomial> {
    let mut rest = a.clone();
    for symbol in b {
        let at = rest.iter().position(|s| s == symbol)?;
        rest.remove(at);
    }
    Some(rest)
}

fn times(p: &Terms, factor: &Monomial) -> Terms {
    let product = |m: &Monomial| {
        let mut product: Monomial = m.iter().chain(factor).cloned().collect();
        product.sort();
        product
    };
    p.iter().map(|(m, x)| (product(m), *x)).collect()
}

/// `y·p - x·f`, unless it has large coefficients.
fn less(p: &Terms, y: i64, f: &Terms, x: i64) -> Option<Terms> {
    let mut sum = p.clone();
    for (_, coefficient) in &mut sum {
        *coefficient = coefficient.checked_mul(y)?;
    }
    for (monomial, coefficient) in f {
        let more = coefficient.checked_mul(-x)?;
        match sum.iter_mut().find(|(known, _)| known == monomial) {
            Some((_, coefficient)) => *coefficient = coefficient.checked_add(more)?,
            None => sum.push((monomial.clone(), more)),
        }
    }
    normalize(&mut sum);
    are_small(&sum).then_some(sum)
}

fn are_small(terms: &Terms) -> bool {
    terms.iter().all(|(_, x)| x.unsigned_abs() <= MAX_COEFFICIENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(text: &str) -> Fact {
        text.parse().unwrap_or_else(|why| panic!("{why}"))
    }

    fn dim(text: &str) -> Dim {
        text.parse().unwrap_or_else(|why| panic!("{why}"))
    }

    fn facts(all: &[&str]) -> Facts {
        all.iter().map(|text| fact(text)).collect()
    }

    #[test]
    fn facts_print_in_one_form_and_parse() {
        for (text, shown) in [
            ("n >= 1", "n >= 1"),
            ("1 <= n", "n >= 1"),
            ("n > 0", "n >= 1"),
            ("2*n >= 3", "n >= 2"),
            ("n <= 8", "n <= 8"),
            ("n < m", "m >= n+1"),
            ("m<=n", "m <= n"),
            ("n == m+1", "m+1 == n"),
            ("2*m == 4*n", "m == 2*n"),
            ("2*n == 3", "2*n == 3"),
            ("m*n >= 1", "m*n >= 1"),
        ] {
            assert_eq!(fact(text).to_string(), shown);
            assert_eq!(fact(shown), fact(text));
        }
        for text in ["n", "n >= ", "n => 1", "n != 1", ">= 1"] {
            assert!(text.parse::<Fact>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_follows_is_found() {
        for (known, wanted) in [
            (&[][..], "n*m >= 0"),
            (&[], "n*n >= n"),
            (&["n >= 1"], "n >= 1"),
            (&["n >= 3"], "2*n >= 5"),
            (&["n >= 1", "m >= 1"], "n*m >= 1"),
            (&["n >= 1", "m >= 2"], "n+m >= 3"),
            (&["n >= 2"], "n*m >= 2*m"),
            (&["k <= m", "m <= n"], "k <= n"),
            (&["n <= 8"], "2*n <= 17"),
            (&["n == 2*m", "m >= 1"], "n >= 2"),
            (&["n == m"], "n*k == m*k"),
            (&["n <= 1", "n >= 1"], "n == 1"),
            (&["m <= n", "n <= 4"], "m <= 5"),
        ] {
            assert_eq!(facts(known).decide(&fact(wanted)), Verdict::Holds, "{known:?}: {wanted}");
        }
    }

    #[test]
    fn what_does_not_follow_is_open_and_what_cannot_be_fails() {
        for (known, wanted) in [
            (&[][..], "n >= 1"),
            (&[], "n >= m"),
            (&[], "n == m"),
            (&["n >= 1"], "n >= 2"),
            (&["n+m >= 2"], "n >= 1"),
            (&["n*m >= 1"], "n >= 2"),
            (&["m <= n"], "m >= n"),
        ] {
            assert_eq!(facts(known).decide(&fact(wanted)), Verdict::Open, "{known:?}: {wanted}");
        }
        for (known, wanted) in
            [(&[][..], "n <= n-1"), (&["n >= 3"], "n <= 2"), (&[], "2*n == 2*m+1"), (&["n >= 2"], "n == 1")]
        {
            assert_eq!(facts(known).decide(&fact(wanted)), Verdict::Fails, "{known:?}: {wanted}");
        }
    }

    /// Every verdict on random relations is true for all small sizes that satisfy the facts.
    #[test]
    fn verdicts_are_sound() {
        let mut seed = 7u64;
        let mut below = |n: u64| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) % n
        };
        let [n, m] = ["n", "m"].map(Dim::symbol);
        let mut decided = 0;
        for _ in 0..400 {
            let mut any = || {
                let mut part = |dim: &Dim| dim * (below(5) as i64 - 2);
                let sum = part(&n) + part(&m) + part(&(&n * &m)) + part(&(&n * &n)) + part(&Dim::from(1));
                if below(4) == 0 { sum.equal_to(0) } else { sum.at_least(0) }
            };
            let (known, wanted): (Facts, Fact) = ([any(), any()].into_iter().collect(), any());
            let verdict = known.decide(&wanted);
            decided += usize::from(verdict != Verdict::Open);
            for (i, j) in (0..6).flat_map(|i| (0..6).map(move |j| (i, j))) {
                let mut sizes = Sizes::new();
                assert_eq!(sizes.set(Symbol::new("n"), i), Ok(()));
                assert_eq!(sizes.set(Symbol::new("m"), j), Ok(()));
                if known.broken_at(&sizes).is_none() && verdict != Verdict::Open {
                    let holds = wanted.at(&sizes).as_bool();
                    assert_eq!(holds, Some(verdict == Verdict::Holds), "{known} implies {wanted} at n={i}, m={j}");
                }
            }
        }
        assert!(decided > 40, "{decided} of 400 decided");
    }

    /// Where arithmetic would wrap nothing is proved, and no sizes satisfy a fact.
    #[test]
    fn nothing_follows_from_what_is_too_large() {
        let n = Dim::symbol("n");
        let large = &n * (1i64 << 62);
        let known = facts(&["n >= 1"]);
        for wanted in
            [(&large * 4).at_least(1), n.at_least(&large * -2 - &large), Dim::from(i64::MAX).at_most(&large * 2)]
        {
            assert_eq!(known.decide(&wanted), Verdict::Open, "{wanted}");
            assert!([wanted].into_iter().collect::<Facts>().broken_at(&Sizes::new()).is_some());
        }
        // `8*n >= 8` holds for every `n` from 1 on; if `8*n` exceeds an `i64`, the number is refused.
        assert_eq!(known.decide(&fact("8*n >= 8")), Verdict::Holds);
        let mut sizes = Sizes::new();
        assert_eq!(sizes.set(Symbol::new("n"), 1 << 61), Ok(()));
        assert!(dim("8*n").at(&sizes).is_too_large());
        assert_eq!(facts(&["8*n >= m"]).broken_at(&sizes).map(Fact::to_string), Some("m <= 8*n".into()));
        // The least coefficient cannot be negated.
        let least = Dim::from(i64::MIN) * &n;
        for relation in [least.at_least(0), least.equal_to(0), least.at_most(0), least.equal_to(Dim::symbol("m"))] {
            let _ = (known.decide(&relation), relation.to_string(), relation.at(&sizes));
        }
    }

    #[test]
    fn sizes_compare() {
        let compare = |known: &[&str], a: &str, b: &str| facts(known).compare(&dim(a), &dim(b));
        assert_eq!(compare(&[], "n+1", "n"), Some(Ordering::Greater));
        assert_eq!(compare(&["n == m"], "n", "m"), Some(Ordering::Equal));
        assert_eq!(compare(&["n < m"], "n", "m"), Some(Ordering::Less));
        assert_eq!(compare(&["n <= m"], "n", "m"), None);
    }

    #[test]
    fn facts_at_sizes_are_kept_or_broken() {
        let known = facts(&["n >= 2", "m <= n"]);
        let mut sizes = Sizes::new();
        assert_eq!(sizes.set(Symbol::new("n"), 3), Ok(()));
        assert_eq!(known.at(&sizes).to_string(), "m <= 3");
        assert_eq!(known.broken_at(&sizes), None);
        assert_eq!(sizes.set(Symbol::new("m"), 4), Ok(()));
        assert_eq!(known.broken_at(&sizes).map(Fact::to_string), Some("m <= n".into()));
        assert_eq!(known.at(&sizes).iter().map(Fact::as_bool).collect::<Vec<_>>(), [Some(false)]);
    }
}
