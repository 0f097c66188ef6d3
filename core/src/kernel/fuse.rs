//! Fusion: which results are stored, and which are computed where they are read.
//!
//! Maps, views and generated elements are inlined into their consumers, and so into the reads of reductions,
//! contractions and segment sums; a reduction is always stored. A result that several consumers read, or that one
//! consumer reads several times, is stored once recomputing it costs more than loading it. The result of a reshape
//! shares its operand's memory. The choice changes no bit of any result on the portable target; machine code does not
//! round a product that only a sum reads.
//!
//! Recomputing a few elements is cheaper than another kernel. But what all kernels compute is bounded by the size of
//! the program, and so is what one kernel computes (`body`).

mod body;

use crate::aval::{Aval, volume};
use crate::ir::{Atom, Eqn, Kind, Program, Var};
use body::{Bodies, MAX_BODY};
use std::fmt;

/// Where a variable's elements are when a kernel reads them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// In memory of its own: an argument, a constant, or the result of a step.
    Stored,
    /// In the memory of another variable, which has the same elements in the same order.
    Alias(Var),
    /// Nowhere: computed where they are read.
    Inline,
}

/// The choice for every variable, with its reason.
#[derive(Clone, Debug)]
pub struct Fusion {
    places: Vec<Place>,
    reasons: Vec<&'static str>,
    /// Whether each variable is an array that exists before the whole program runs.
    given: Vec<bool>,
    /// Ids and offsets of segments that describe the same segments.
    paired: Vec<(Var, Var)>,
}

impl Fusion {
    /// Where a variable's elements are.
    pub fn place(&self, var: Var) -> Place {
        self.places[var.index()]
    }

    /// The reason for a variable's place.
    pub fn reason(&self, var: Var) -> &'static str {
        self.reasons[var.index()]
    }

    /// Whether a variable exists before the whole program runs: one of its arguments or constants that no loop changes.
    pub fn is_given(&self, var: Var) -> bool {
        self.given.get(var.index()).copied().unwrap_or(false)
    }

    /// Of the arguments, only these exist before the program that contains this one runs.
    pub fn restrict_given(&mut self, is_given: &dyn Fn(Var) -> bool) {
        (0..).map(Var).zip(&mut self.given).for_each(|(var, given)| *given &= is_given(var));
    }

    /// Whether the ids and the offsets of segments, named by their memory, are known to describe the same segments,
    /// with members in counting order.
    pub fn is_paired(&self, ids: Var, offsets: Var) -> bool {
        self.paired.contains(&(ids, offsets))
    }

    /// Sets the pairs of ids and offsets that describe the same segments.
    pub fn set_paired(&mut self, paired: Vec<(Var, Var)>) {
        self.paired = paired;
    }

    /// Adds a variable, beyond the program's, whose elements are stored.
    pub fn add_given(&mut self) {
        self.given.push(true);
        self.places.push(Place::Stored);
        self.reasons.push("given");
    }

    /// The variable whose memory holds the elements: the variable itself, except for an alias.
    pub fn memory(&self, var: Var) -> Var {
        match self.place(var) {
            Place::Alias(of) => self.memory(of),
            _ => var,
        }
    }
}

/// The cost of loading one element, in additions.
const LOAD: u32 = 1;
/// The cost of loading one element from a computed position.
const GATHER: u32 = 2;
/// The cost of storing one element that another kernel loads.
const STORE: u32 = 2;
/// At most this many elements are recomputed in each kernel that reads them, whatever the kernel's size.
const FEW: i64 = 64;
/// How much of one result may be recomputed for its further readers. The first limit that keeps the whole program
/// within its bound is taken.
const LIMITS: [usize; 5] = [MAX_BODY * MAX_BODY, 64, 16, 4, 0];
/// The equations that all kernels of a program may compute in total, for each equation of the program.
const AGAIN: usize = 4;
/// What small programs may compute beyond that.
const SMALL_CHANGE: usize = 1024;

/// Chooses what is stored. Whatever `must_store` has a reason for is stored, unless it shares memory. The program must
/// be free of calls and of dead equations.
pub fn fuse(program: &Program, must_store: &dyn Fn(Var) -> Option<&'static str>) -> Fusion {
    let avals = program.avals();
    let uses = uses_of(program);
    let most = AGAIN * program.eqns.len() + SMALL_CHANGE;
    let within = |limit: &usize| fuse_within(program, must_store, &avals, &uses, *limit);
    let (mut fusion, mut total) = within(&LIMITS[0]);
    for limit in &LIMITS[1..] {
        if total <= most {
            break;
        }
        (fusion, total) = within(limit);
    }
    fusion
}

/// The equations that read each variable.
fn uses_of(program: &Program) -> Vec<Vec<&Eqn>> {
    let mut uses: Vec<Vec<&Eqn>> = vec![vec![]; program.n_var()];
    for eqn in &program.eqns {
        for var in eqn.ins.iter().filter_map(|atom| atom.var()) {
            // An equation that reads an operand twice counts once.
            let uses = &mut uses[var.index()];
            if uses.last().is_none_or(|last| !std::ptr::eq(*last, eqn)) {
                uses.push(eqn);
            }
        }
    }
    uses
}

/// The choice where at most `limit` of a result is recomputed for its readers, and how much all kernels then compute.
fn fuse_within(
    program: &Program,
    must_store: &dyn Fn(Var) -> Option<&'static str>,
    avals: &[Aval],
    uses: &[Vec<&Eqn>],
    limit: usize,
) -> (Fusion, usize) {
    let n = program.n_var();
    let mut given = vec![false; n];
    program.args.iter().chain(&program.consts).for_each(|binder| given[binder.var.index()] = true);
    let mut fusion = Fusion { places: vec![Place::Stored; n], reasons: vec!["an argument"; n], given, paired: vec![] };
    let mut bodies = Bodies::new(uses.iter().map(Vec::len).collect());
    let mut works = vec![0; n];
    let mut is_result = vec![false; n];
    program.outs.iter().filter_map(|atom| atom.var()).for_each(|var| is_result[var.index()] = true);
    let mut costs = vec![LOAD; n];
    for eqn in &program.eqns {
        let (work, too_much) = bodies.enter(eqn, avals, |var| fusion.place(var) == Place::Inline);
        for var in too_much {
            store_operand(&mut fusion, &mut costs, var, "enough for a kernel of its own");
        }
        let cost = cost_of(eqn, &costs, &fusion);
        for binder in &eqn.outs {
            let (var, at) = (binder.var, binder.var.index());
            let (place, reason) = match (eqn.prim.kind(), eqn.ins.first()) {
                (Kind::Reshape, Some(Atom::Var(of)))
                    if fusion.place(*of) == Place::Inline && adds_unit_axes(&avals[of.index()], &binder.aval) =>
                {
                    if is_result[at] {
                        (Place::Stored, "a result")
                    } else if let Some(reason) = must_store(var) {
                        (Place::Stored, reason)
                    } else {
                        choose(var, cost, (work, limit), &uses[at], avals)
                    }
                }
                (Kind::Reshape, Some(Atom::Var(of))) => {
                    store_operand(&mut fusion, &mut costs, *of, "read by a reshape");
                    (Place::Alias(fusion.memory(*of)), "a reshape of stored elements")
                }
                (
                    Kind::Reduce
                    | Kind::Contract
                    | Kind::Opaque
                    | Kind::Control
                    | Kind::Call
                    | Kind::Custom
                    | Kind::Barrier
                    | Kind::Reshape,
                    _,
                ) => (Place::Stored, "a reduction or a step of its own"),
                _ if is_result[at] => (Place::Stored, "a result"),
                _ => match must_store(var) {
                    Some(reason) => (Place::Stored, reason),
                    None => choose(var, cost, (work, limit), &uses[at], avals),
                },
            };
            works[at] = work;
            fusion.places[at] = place;
            fusion.reasons[at] = reason;
            costs[at] = if place == Place::Inline && !are_few(&binder.aval) { cost } else { LOAD };
        }
    }
    let kernels = program
        .eqns
        .iter()
        .filter_map(|eqn| eqn.outs.iter().map(|binder| binder.var).find(|var| fusion.place(*var) == Place::Stored));
    let total = kernels.map(|var| works[var.index()]).sum();
    (fusion, total)
}

/// Stores what would be computed where it is read, for a reader that needs it in memory.
fn store_operand(fusion: &mut Fusion, costs: &mut [u32], var: Var, reason: &'static str) {
    if fusion.places[var.index()] == Place::Inline {
        fusion.places[var.index()] = Place::Stored;
        fusion.reasons[var.index()] = reason;
        costs[var.index()] = LOAD;
    }
}

fn cost_of(eqn: &Eqn, costs: &[u32], fusion: &Fusion) -> u32 {
    let own = match eqn.prim.kind() {
        Kind::Map { cost } => cost,
        _ => 0,
    };
    // The position at which a view reads is computed: its first operand is the array, the others determine the
    // position.
    let gathers = eqn.prim.kind() == Kind::View && eqn.ins.len() > 1;
    let operands = eqn.ins.iter().enumerate().filter_map(|(i, atom)| {
        let var = atom.var()?;
        Some(match (gathers, fusion.place(var) == Place::Inline) {
            (true, false) if i == 0 => GATHER,
            (true, false) => 0,
            _ => costs[var.index()],
        })
    });
    operands.fold(own, u32::saturating_add)
}

/// Where a variable is stored whose elements cost `cost` additions. Computing one takes `work` equations, of which at
/// most `limit` may be recomputed.
fn choose(var: Var, cost: u32, (work, limit): (usize, usize), uses: &[&Eqn], avals: &[Aval]) -> (Place, &'static str) {
    if uses.iter().any(|eqn| matches!(eqn.prim.kind(), Kind::Opaque | Kind::Control | Kind::Barrier)) {
        return (Place::Stored, "read by a step that needs memory");
    }
    if work >= MAX_BODY {
        return (Place::Stored, "enough for a kernel of its own");
    }
    if uses.len().saturating_sub(1) * work > limit {
        return (Place::Stored, "too much to compute again for each of its readers");
    }
    let gathered = uses.iter().any(|eqn| is_gathered(eqn, var));
    if are_few(&avals[var.index()]) && !gathered {
        return (Place::Inline, "a few elements, computed once for each kernel that reads them");
    }
    let n = uses.len() as u32;
    if n.saturating_sub(1).saturating_mul(cost) > STORE + n * LOAD {
        return (Place::Stored, "cheaper to load than to compute again");
    }
    if cost > STORE + LOAD && (gathered || uses.iter().any(|eqn| expands(eqn, var, avals))) {
        return (Place::Stored, "read more often than it has elements");
    }
    (Place::Inline, "computed where it is read")
}

fn are_few(aval: &Aval) -> bool {
    aval.volume().as_number().is_some_and(|n| n <= FEW)
}

/// Whether two shapes differ only in axes of extent 1.
fn adds_unit_axes(a: &Aval, b: &Aval) -> bool {
    let whole = |aval: &Aval| aval.shape.iter().filter(|dim| **dim != 1usize).cloned().collect::<Vec<_>>();
    whole(a) == whole(b)
}

/// Whether an equation reads an operand at computed positions, each any number of times.
fn is_gathered(eqn: &Eqn, var: Var) -> bool {
    eqn.prim.kind() == Kind::View && eqn.ins.len() > 1 && eqn.ins[0] == Atom::Var(var)
}

/// Whether an equation reads each element of an operand more than once.
fn expands(eqn: &Eqn, var: Var, avals: &[Aval]) -> bool {
    let aval = &avals[var.index()];
    match eqn.prim.kind() {
        Kind::Contract => true,
        Kind::Reduce => eqn.ins.iter().skip(1).any(|atom| *atom == Atom::Var(var)),
        _ => volume(&eqn.outs[0].aval.shape) != volume(&aval.shape),
    }
}

/// Prints what is stored and why, one line for each variable.
pub struct Explained<'a>(pub &'a Program, pub &'a Fusion);

impl fmt::Display for Explained<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for eqn in &self.0.eqns {
            let Some(binder) = eqn.outs.first() else {
                writeln!(f, "run    {eqn}  // for its effect")?;
                continue;
            };
            let word = match self.1.place(binder.var) {
                Place::Stored => "store ",
                Place::Alias(_) => "alias ",
                Place::Inline => "inline",
            };
            writeln!(f, "{word} {eqn}  // {}", self.1.reason(binder.var))?;
        }
        Ok(())
    }
}
