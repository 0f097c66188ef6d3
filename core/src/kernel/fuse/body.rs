//! What a kernel computes: each equation once for each place at which its elements are needed.
//!
//! A map needs its operands at its own place, a view at another. So a scalar, or a chain of maps, is computed once
//! however many equations read it; three slices of an array need everything the array is computed from at three places.

use crate::aval::Aval;
use crate::ir::{Eqn, Kind, Var};
use smallvec::SmallVec;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The most equations and places that a kernel computes before some of what it reads is stored. Lowering and code
/// generation recurse this deep.
pub(super) const MAX_BODY: usize = 256;
/// Operands that take less than this are never stored for this reason: there would be as much to load.
const LEAST: usize = 8;

/// A variable, and the place at which an element of it is needed.
type Point = (Var, u64);
/// The place of the element that is needed first; the only place of a scalar.
const HERE: u64 = 0;

/// For each variable that is computed where it is read, what one element takes, while equations that read it are still
/// to come.
pub(super) struct Bodies {
    /// Sorted, each point once.
    of: Vec<Vec<Point>>,
    /// How many equations that read each variable are still to come.
    to_come: Vec<usize>,
}

impl Bodies {
    /// `n_use` says how many equations read each variable.
    pub(super) fn new(n_use: Vec<usize>) -> Bodies {
        Bodies { of: vec![vec![]; n_use.len()], to_come: n_use }
    }

    /// Enters the next equation: how much one element of it takes, and which operands must be stored because it would
    /// otherwise take too much. Operands that are not `is_inline` are loaded.
    pub(super) fn enter(
        &mut self,
        eqn: &Eqn,
        avals: &[Aval],
        is_inline: impl Fn(Var) -> bool,
    ) -> (usize, SmallVec<[Var; 2]>) {
        let mut operands: SmallVec<[(Var, Vec<Point>); 4]> = SmallVec::new();
        let asks = hashed(&(eqn.prim.name(), &eqn.params, &eqn.ins[1.min(eqn.ins.len())..]));
        for (i, atom) in eqn.ins.iter().enumerate() {
            let Some(var) = atom.var() else { continue };
            let is_last = !eqn.ins[i + 1..].contains(atom);
            self.to_come[var.index()] -= usize::from(is_last);
            if is_inline(var) {
                let body = &mut self.of[var.index()];
                let body = if is_last && self.to_come[var.index()] == 0 { std::mem::take(body) } else { body.clone() };
                operands.push((var, moved(body, eqn, (asks, i), avals)));
            }
        }
        let mut stored = SmallVec::new();
        if operands.iter().map(|(_, body)| body.len()).sum::<usize>() >= MAX_BODY {
            let body = joined(operands.iter().map(|(_, body)| body.clone()));
            let most = (MAX_BODY / operands.len()).max(LEAST);
            if body.len() >= MAX_BODY {
                stored.extend(operands.iter().filter(|(_, body)| body.len() >= most).map(|(var, _)| *var));
                operands.retain(|(_, body)| body.len() < most);
            }
        }
        let mut body = joined(operands.into_iter().map(|(_, body)| body));
        // It is read before anything that is bound later, so it is the last in order.
        let first = eqn.outs.first().map(|binder| binder.var);
        body.extend(first.map(|var| (var, HERE)));
        let len = body.len();
        for binder in &eqn.outs[1.min(eqn.outs.len())..] {
            self.of[binder.var.index()].clone_from(&body);
        }
        if let Some(var) = first {
            self.of[var.index()] = body;
        }
        (len, stored)
    }
}

/// The body of operand `i` at the places where an equation reads it. `asks` identifies the equation except for its
/// first operand.
fn moved(mut body: Vec<Point>, eqn: &Eqn, (asks, i): (u64, usize), avals: &[Aval]) -> Vec<Point> {
    let is_scalar = |var: Var| avals[var.index()].rank() == 0;
    if matches!(eqn.prim.kind(), Kind::Map { .. }) || eqn.ins[i].var().is_some_and(is_scalar) {
        return body;
    }
    let step = hashed(&(asks, i));
    for (var, place) in &mut body {
        if !is_scalar(*var) {
            *place = hashed(&(step, *place));
        }
    }
    body.sort_unstable();
    body
}

fn hashed(x: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    x.hash(&mut hasher);
    hasher.finish()
}

/// The union of the bodies, each point once.
fn joined(mut bodies: impl Iterator<Item = Vec<Point>>) -> Vec<Point> {
    let mut all = bodies.next().unwrap_or_default();
    let n = all.len();
    bodies.for_each(|body| all.extend(body));
    if all.len() > n {
        // The standard library's stable sort detects sorted runs at once.
        all.sort();
        all.dedup();
    }
    all
}
