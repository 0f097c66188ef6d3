//! First fusion: which results are stored, and which are computed where they are read.
//!
//! Maps, views and generated elements go into their consumers, and so into the reads of reductions, contractions
//! and segment sums; a reduction is always stored. A result that several consumers read, or that one consumer reads
//! several times, is stored once it costs more to compute again than to load. The result of a reshape shares its
//! operand's memory. What is stored changes no bit of any result on the portable
//! target; machine code does not round a product that only a sum reads.
//!
//! A few elements cost less to compute again than a kernel of their own costs; but what all kernels compute is bounded by
//! what the program has, and so is what one computes (`body`).

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
    /// Whether each variable is an array that is there before the whole program runs.
    given: Vec<bool>,
    /// Ids and offsets of segments that say the same.
    paired: Vec<(Var, Var)>,
}

impl Fusion {
    /// Where a variable's elements are.
    pub fn place(&self, var: Var) -> Place {
        self.places[var.index()]
    }

    /// Why.
    pub fn reason(&self, var: Var) -> &'static str {
        self.reasons[var.index()]
    }

    /// Whether a variable is there before the whole program runs: one of its arguments or constants. What a loop changes
    /// is not.
    pub fn is_given(&self, var: Var) -> bool {
        self.given.get(var.index()).copied().unwrap_or(false)
    }

    /// Of the arguments, only these are there before the program runs that this one is a part of.
    pub fn restrict_given(&mut self, is_given: &dyn Fn(Var) -> bool) {
        (0..).map(Var).zip(&mut self.given).for_each(|(var, given)| *given &= is_given(var));
    }

    /// Whether the ids and the offsets of segments, named by their memory, are known to say the same of members that count
    /// up.
    pub fn is_paired(&self, ids: Var, offsets: Var) -> bool {
        self.paired.contains(&(ids, offsets))
    }

    /// Says which ids and offsets say the same.
    pub fn set_paired(&mut self, paired: Vec<(Var, Var)>) {
        self.paired = paired;
    }

    /// One more variable, beyond the program's, whose elements are given.
    pub fn add_given(&mut self) {
        self.given.push(true);
        self.places.push(Place::Stored);
        self.reasons.push("given");
    }

    /// The variable whose memory holds the elements: the variable itself, but for an alias.
    pub fn memory(&self, var: Var) -> Var {
        match self.place(var) {
            Place::Alias(of) => self.memory(of),
            _ => var,
        }
    }
}

/// Loading one element, in additions.
const LOAD: u32 = 1;
/// Loading one element from a place that is computed.
const GATHER: u32 = 2;
/// Storing one element, where another kernel would load it.
const STORE: u32 = 2;
/// So few elements are computed once for each kernel that reads them, whatever its size.
const FEW: i64 = 64;
/// How much of one result may be computed again for its further readers; the first that keeps the whole program within its
/// bound is taken.
const LIMITS: [usize; 5] = [MAX_BODY * MAX_BODY, 64, 16, 4, 0];
/// The equations that all kernels of a program may compute together, for each of its own, and a few more.
const AGAIN: usize = 4;
/// What small programs may compute beyond that.
const SMALL_CHANGE: usize = 1024;

/// Chooses what is stored; what `must_store` has a reason for is, unless it shares memory. The program must be free of calls and of
/// dead equations.
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
            // What reads an operand twice needs it once.
            let uses = &mut uses[var.index()];
            if uses.last().is_none_or(|last| !std::ptr::eq(*last, eqn)) {
                uses.push(eqn);
            }
        }
    }
    uses
}

/// The choice where no more than `limit` of a result is computed again for its readers, and how much all kernels compute
/// then.
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

/// Stores what was to be computed where it is read, for a reader that needs it in memory.
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
    // Where a view reads is computed: its first operand is what it reads, the others say where.
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

/// Where a variable is whose elements take `cost` additions. Computing one takes `work` equations, of which no more than
/// the limit may be computed again.
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

/// Whether two shapes differ in axes of extent 1 only.
fn adds_unit_axes(a: &Aval, b: &Aval) -> bool {
    let whole = |aval: &Aval| aval.shape.iter().filter(|dim| **dim != 1usize).cloned().collect::<Vec<_>>();
    whole(a) == whole(b)
}

/// Whether an equation reads an operand at computed places, any of them any number of times.
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

/// Names what is stored and why, one line for each variable.
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
