//! The facts about sizes that are in force, and the questions that rules ask of them.
//!
//! Facts belong to a program: they are assumed while it is traced, are printed in its head, and are checked at every
//! call. While a program is traced or verified, its facts and those of the enclosing programs are in force on this
//! thread; they end with it.

use crate::aval::{Aval, Dim, Fact, Facts, Sizes, Symbol, Verdict};
use crate::error::{Error, TypeError};
use crate::ir::{Program, refuse};
use std::cell::RefCell;
use std::cmp::Ordering;

/// The facts of one program.
struct Frame {
    /// The symbols that its arguments and those of the enclosing programs carry.
    known: Vec<Symbol>,
    /// Facts that its arguments' types imply; not part of the program's text.
    implied: Facts,
    facts: Facts,
}

thread_local! {
    static FRAMES: RefCell<Vec<Frame>> = const { RefCell::new(vec![]) };
}

/// Ends its frame when dropped, also while a panic unwinds.
pub(super) struct FactScope(usize);

impl FactScope {
    /// Opens the facts of a program with arguments of these types.
    pub(super) fn open<'a>(avals: impl Iterator<Item = &'a Aval> + Clone, facts: Facts) -> FactScope {
        FRAMES.with_borrow_mut(|frames| {
            let mut known: Vec<Symbol> = frames.last().map_or(vec![], |frame| frame.known.clone());
            known.extend(avals.clone().flat_map(|aval| &aval.shape).flat_map(Dim::symbols));
            let implied = Facts::of_shapes(avals.map(|aval| &aval.shape));
            frames.push(Frame { known, implied, facts });
            FactScope(frames.len() - 1)
        })
    }

    /// The facts that the program assumes.
    pub(super) fn facts(&self) -> Facts {
        FRAMES.with_borrow(|frames| frames[self.0].facts.clone())
    }
}

impl Drop for FactScope {
    fn drop(&mut self) {
        FRAMES.with_borrow_mut(|frames| frames.truncate(self.0));
    }
}

/// Runs `f` with only the facts of the program in force.
pub(crate) fn with_facts_of<R>(program: &Program, f: impl FnOnce() -> R) -> R {
    struct Restore(Vec<Frame>);
    impl Drop for Restore {
        fn drop(&mut self) {
            FRAMES.set(std::mem::take(&mut self.0));
        }
    }
    let _restore = Restore(FRAMES.take());
    within_facts_of(program, f)
}

/// Runs `f` with the facts of a nested program in force, in addition to those around it.
pub(crate) fn within_facts_of<R>(program: &Program, f: impl FnOnce() -> R) -> R {
    let binders = program.args.iter().chain(&program.consts).map(|binder| &binder.aval);
    let _scope = FactScope::open(binders, program.facts.clone());
    f()
}

fn gathered(frames: &[Frame]) -> Facts {
    let mut all = Facts::new();
    for fact in frames.iter().flat_map(|frame| frame.implied.iter().chain(frame.facts.iter())) {
        all.push(fact.clone());
    }
    all
}

/// Every fact in force: those that the program being traced or verified and its enclosing programs assume, and those
/// that the types of their arguments imply.
pub fn facts_in_force() -> Facts {
    FRAMES.with_borrow(|frames| gathered(frames))
}

/// The verdict of the facts in force on a relation.
pub fn decide(fact: &Fact) -> Verdict {
    match Facts::new().decide(fact) {
        Verdict::Open => FRAMES.with_borrow(|frames| match gathered(frames) {
            none if none.is_empty() => Verdict::Open,
            known => known.decide(fact),
        }),
        verdict => verdict,
    }
}

/// How two sizes compare, for every size of their symbols that satisfies the facts in force.
pub fn compare(a: &Dim, b: &Dim) -> Option<Ordering> {
    if let (Some(a), Some(b)) = (a.as_number(), b.as_number()) {
        return Some(a.cmp(&b));
    }
    facts_in_force().compare(a, b)
}

/// Whether two sizes are equal by the facts in force.
pub fn same(a: &Dim, b: &Dim) -> bool {
    a == b || (has_symbol(a, b) && decide(&a.equal_to(b)) == Verdict::Holds)
}

fn has_symbol(a: &Dim, b: &Dim) -> bool {
    a.as_number().is_none() || b.as_number().is_none()
}

/// Requires that `a >= b`. The error says `why` this is required, what is undecided, and the fact that would decide it.
pub fn require_at_least(a: &Dim, b: &Dim, why: impl FnOnce() -> String) -> Result<(), TypeError> {
    require(a.at_least(b), a, b, why)
}

/// Requires that `a == b`, like [`require_at_least`].
pub fn require_equal(a: &Dim, b: &Dim, why: impl FnOnce() -> String) -> Result<(), TypeError> {
    if a == b { Ok(()) } else { require(a.equal_to(b), a, b, why) }
}

fn require(fact: Fact, a: &Dim, b: &Dim, why: impl FnOnce() -> String) -> Result<(), TypeError> {
    match decide(&fact) {
        Verdict::Holds => Ok(()),
        Verdict::Fails => Err(TypeError(why())),
        Verdict::Open => Err(TypeError(format!("{}{}", why(), undecided(&fact, a, b)))),
    }
}

/// Requires that no extent of a shape is [too large](Dim::is_too_large).
pub fn require_countable(shape: &[Dim]) -> Result<(), TypeError> {
    match shape.iter().position(Dim::is_too_large) {
        Some(axis) => Err(TypeError(format!(
            "the extent of axis {axis} is too large: the elements of an array are less than 2^63 bytes"
        ))),
        None => Ok(()),
    }
}

/// Requires that every extent of a shape is one: not negative, and not too large.
pub fn require_extents(shape: &[Dim]) -> Result<(), TypeError> {
    require_countable(shape)?;
    shape.iter().filter(|dim| !dim.is_natural()).try_for_each(|dim| {
        require_at_least(dim, &0.into(), || format!("{shape:?} is not a shape: the extent {dim} may be negative"))
    })
}

/// Requires that two shapes are equal, axis by axis.
pub fn require_shape(a: &[Dim], b: &[Dim], why: impl Fn() -> String) -> Result<(), TypeError> {
    if a.len() != b.len() {
        return Err(TypeError(why()));
    }
    // One axis that cannot fit is an error, whatever the others are.
    let verdicts = a.iter().zip(b).map(|(a, b)| require_equal(a, b, &why));
    let wrong = |(a, b): (&Dim, &Dim)| a != b && decide(&a.equal_to(b)) == Verdict::Fails;
    if a.iter().zip(b).any(wrong) { Err(TypeError(why())) } else { verdicts.collect() }
}

/// The lines of an error that say what is undecided between two sizes, and the fact that would decide it; empty if the
/// relation is decided.
pub fn undecided(fact: &Fact, a: &Dim, b: &Dim) -> String {
    if decide(fact) != Verdict::Open {
        return String::new();
    }
    if fact.is_too_large() {
        let large = if a.is_too_large() { "the first of them is" } else { "their difference is" };
        return format!("\n  {large} too large to be counted in 64 bits");
    }
    let symbols: Vec<String> = fact.symbols().iter().map(|symbol| format!("`{symbol}`")).collect();
    let plural = if symbols.len() > 1 { "s" } else { "" };
    format!(
        "\n  {a} against {b} is undecided: it depends on the size{plural} of {}\n  if it always holds, say so in the \
         traced function: assume(\"{fact}\")",
        symbols.join(" and ")
    )
}

/// An argument of [`assume`]: a [`Fact`], or its text.
pub trait IntoFact {
    /// The fact, or why the text is not one.
    fn into_fact(self) -> Result<Fact, String>;
}
impl IntoFact for Fact {
    fn into_fact(self) -> Result<Fact, String> {
        Ok(self)
    }
}
impl IntoFact for &str {
    fn into_fact(self) -> Result<Fact, String> {
        self.parse()
    }
}
impl IntoFact for String {
    fn into_fact(self) -> Result<Fact, String> {
        self.parse()
    }
}

/// Adds a fact about sizes to the program that is being traced, and to the enclosing ones: `assume("n >= 1")`, or
/// `assume(x.dim(0).at_least(1))`.
///
/// From here on operations may rely on it. It becomes part of the program, and every call whose sizes violate it is
/// refused. A fact about numbers is checked at once. A fact about a symbol that no argument carries is ignored, so the
/// same function also runs on arrays without symbols.
///
/// # Panics
/// If it contradicts facts assumed before, or a text is not a fact.
#[track_caller]
pub fn assume(fact: impl IntoFact) {
    match fact.into_fact() {
        Ok(fact) if fact.is_too_large() => {
            refuse(Error::TooLarge(format!("assume: {fact}\n  at {}", crate::ir::Location::caller())))
        }
        Ok(fact) => {
            if decide(&fact) == Verdict::Fails {
                let known = facts_in_force();
                let given = if known.is_empty() { String::new() } else { format!(" given {known}") };
                refuse(Error::Type(format!(
                    "assume: `{fact}` cannot hold{given}\n  at {}",
                    crate::ir::Location::caller()
                )));
            }
            join(&fact);
        }
        Err(why) => refuse(Error::Type(format!("assume: {why}\n  at {}", crate::ir::Location::caller()))),
    }
}

/// Adds the facts of a program to those being traced, which will call it.
pub(crate) fn adopt(facts: &Facts) {
    facts.iter().for_each(join);
}

/// Adds a fact to every open program that knows its symbols, unless it already follows from the facts in force there.
fn join(fact: &Fact) {
    let symbols = fact.symbols();
    FRAMES.with_borrow_mut(|frames| {
        let is_new = |i: usize| {
            symbols.iter().all(|symbol| frames[i].known.contains(symbol))
                && gathered(&frames[..=i]).decide(fact) != Verdict::Holds
        };
        let new: Vec<bool> = (0..frames.len()).map(is_new).collect();
        for (frame, _) in frames.iter_mut().zip(new).filter(|(_, new)| *new) {
            frame.facts.push(fact.clone());
        }
    });
}

/// Checks a call: the error if its sizes violate a fact of the program, or if one of its equations refuses them.
pub(crate) fn check_facts(program: &Program, sizes: &Sizes) -> Result<(), Error> {
    check_facts_with(program, sizes, |_| String::new())?;
    check_made(program, sizes)
}

/// Checks equations without operands: they are made from sizes alone, and must be well typed for these numbers, too.
fn check_made(program: &Program, sizes: &Sizes) -> Result<(), Error> {
    program.eqns.iter().try_for_each(|eqn| {
        eqn.params.programs_within().try_for_each(|nested| check_made(nested, sizes))?;
        if !eqn.ins.is_empty() {
            return Ok(());
        }
        let found = eqn.prim.abstract_eval(&[], &eqn.params.at(sizes));
        found.map(|_| ()).map_err(|TypeError(why)| {
            Error::Call(format!("@{}: {}: {why}\n  at {}", program.name, eqn.prim.name(), eqn.location))
        })
    })
}

/// [`check_facts`], where `place` returns the text to add after a symbol's size: where it comes from.
pub(crate) fn check_facts_with(
    program: &Program,
    sizes: &Sizes,
    place: impl Fn(&Symbol) -> String,
) -> Result<(), Error> {
    let Some(fact) = program.facts.broken_at(sizes) else { return Ok(()) };
    let shown = |symbol: &Symbol| match sizes.get(symbol) {
        Some(size) => format!("`{symbol}` is {size}{}", place(symbol)),
        None => format!("`{symbol}` is unknown"),
    };
    let found: Vec<String> = fact.symbols().iter().map(shown).collect();
    Err(Error::Call(format!(
        "@{}: the fact `{fact}`, which the program assumes, does not hold: {}\n  call it with other sizes, or trace it \
         without that fact",
        program.name,
        found.join(", ")
    )))
}
