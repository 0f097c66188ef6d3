//! The kernels of a group while they are merged: the place of each, which of them have the same loops, and which must
//! stay in their order. Each query takes a few look-ups, however many kernels there are.

use super::Item;
use super::join::Work;
use crate::aval::{Aval, Dim};
use crate::ir::{ReduceOp, Var};
use crate::kernel::fuse::Fusion;
use crate::kernel::{Kernel, LoopKind, Part};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeSet;

/// How many earlier kernels with the same loops a kernel is tried with.
const LOOK_BACK: usize = 32;

/// What two kernels must have in common to be merged: the loops, with the memory of a segment's offsets, how they are
/// combined, and how they go over the rows.
type Form = (Vec<(Dim, Option<LoopKind>, Option<(u32, Var)>)>, Option<ReduceOp>, Option<Part>);

/// A group's kernels in their order, with gaps where a kernel was merged into another.
pub(super) struct Row {
    pub(super) places: Vec<Option<Placed>>,
    pub(super) order: Order,
    /// The places of the kernels of each form, and when two of them were last merged.
    forms: Vec<(BTreeSet<usize>, u64)>,
    /// Pairs of kernels, by number, that are never merged.
    hopeless: FxHashSet<(u64, u64)>,
    /// Counts kernels and events.
    now: u64,
}

/// A kernel at its place.
pub(super) struct Placed {
    pub(super) item: Item,
    pub(super) work: Work,
    form: usize,
    number: u64,
    /// When it was tried in vain with all kernels before it.
    tried: Option<u64>,
}

impl Row {
    pub(super) fn new(items: Vec<Item>, fusion: &Fusion) -> Row {
        let mut row =
            Row { places: vec![], order: Order::default(), forms: vec![], hopeless: FxHashSet::default(), now: 0 };
        let mut numbers: FxHashMap<Form, usize> = FxHashMap::default();
        for (at, item) in items.into_iter().enumerate() {
            let form = *numbers.entry(form_of(&item, fusion)).or_insert(row.forms.len());
            if form == row.forms.len() {
                row.forms.push((BTreeSet::new(), 0));
            }
            row.places.push(None);
            row.put(at, item, form, fusion);
        }
        row
    }

    pub(super) fn item(&self, at: usize) -> Option<&Item> {
        self.places[at].as_ref().map(|placed| &placed.item)
    }

    pub(super) fn into_items(self) -> Vec<Item> {
        self.places.into_iter().flatten().map(|placed| placed.item).collect()
    }

    fn put(&mut self, at: usize, item: Item, form: usize, fusion: &Fusion) {
        self.order.insert(at, &item.kernel, fusion);
        self.forms[form].0.insert(at);
        self.now += 1;
        let work = Work::of(&item.kernel);
        self.places[at] = Some(Placed { item, work, form, number: self.now, tried: None });
    }

    fn take(&mut self, at: usize, fusion: &Fusion) -> Option<Placed> {
        let placed = self.places[at].take()?;
        self.order.remove(at, &placed.item.kernel, fusion);
        self.forms[placed.form].0.remove(&at);
        Some(placed)
    }

    /// The kernels that this one may be merged with, from the nearest; none if it was tried with the same ones before.
    pub(super) fn candidates(&mut self, second: usize) -> Vec<usize> {
        let Some(placed) = &mut self.places[second] else { return vec![] };
        let (places, changed) = &self.forms[placed.form];
        if placed.tried.is_some_and(|tried| tried >= *changed) {
            return vec![];
        }
        placed.tried = Some(self.now);
        places.range(..second).rev().take(LOOK_BACK).copied().collect()
    }

    /// Puts one kernel in the place of one of two; returns that place.
    pub(super) fn merge(
        &mut self,
        (first, second): (usize, usize),
        kernel: Kernel,
        moves_down: bool,
        fusion: &Fusion,
    ) -> usize {
        let at = if moves_down { second } else { first };
        if let (Some(earlier), Some(later)) = (self.take(first, fusion), self.take(second, fusion)) {
            let item = Item { kernel, location: later.item.location, part: earlier.item.part };
            self.put(at, item, earlier.form, fusion);
            self.forms[earlier.form].1 = self.now;
        }
        at
    }

    fn numbers(&self, first: usize, second: usize) -> Option<(u64, u64)> {
        Some((self.places[first].as_ref()?.number, self.places[second].as_ref()?.number))
    }

    /// Whether two kernels are known to stay two wherever they are.
    pub(super) fn is_hopeless(&self, first: usize, second: usize) -> bool {
        self.numbers(first, second).is_some_and(|pair| self.hopeless.contains(&pair))
    }

    pub(super) fn give_up(&mut self, first: usize, second: usize) {
        self.hopeless.extend(self.numbers(first, second));
    }
}

fn form_of(item: &Item, fusion: &Fusion) -> Form {
    let kernel = &item.kernel;
    let loops = kernel.loops.iter().map(|l| match l.kind {
        LoopKind::Segment { segment, offsets } => {
            (l.extent.clone(), None, Some((segment, fusion.memory(kernel.inputs[offsets as usize].0))))
        }
        kind => (l.extent.clone(), Some(kind), None),
    });
    (loops.collect(), kernel.reduce, item.part)
}

/// Which kernels must stay in their order: one that reads what another makes, and two that read the same where one of
/// them may overwrite it.
#[derive(Default)]
pub(super) struct Order {
    /// Which kernel makes each memory.
    makers: FxHashMap<Var, usize>,
    /// Which kernels read each memory.
    readers: FxHashMap<Var, BTreeSet<usize>>,
    /// Which kernels read each array, and which of them may overwrite it.
    shared: FxHashMap<Var, [BTreeSet<usize>; 2]>,
}

impl Order {
    fn insert(&mut self, at: usize, kernel: &Kernel, fusion: &Fusion) {
        self.makers.extend(kernel.outputs.iter().map(|(var, _)| (*var, at)));
        for input in &kernel.inputs {
            self.readers.entry(fusion.memory(input.0)).or_default().insert(at);
            let [readers, takers] = self.shared.entry(input.0).or_default();
            readers.insert(at);
            if may_take(kernel, input) {
                takers.insert(at);
            }
        }
    }

    fn remove(&mut self, at: usize, kernel: &Kernel, fusion: &Fusion) {
        kernel.outputs.iter().for_each(|(var, _)| {
            self.makers.remove(var);
        });
        for (var, _) in &kernel.inputs {
            let sets = self.shared.get_mut(var).into_iter().flatten();
            sets.chain(self.readers.get_mut(&fusion.memory(*var))).for_each(|set| {
                set.remove(&at);
            });
        }
    }

    /// For an array that a kernel reads: the other kernels that must stay on their side of it.
    fn others(&self, kernel: &Kernel, input: &(Var, Aval)) -> Option<&BTreeSet<usize>> {
        let [readers, takers] = self.shared.get(&input.0)?;
        Some(if may_take(kernel, input) { readers } else { takers })
    }

    /// The first kernel after a place that must stay after the one there.
    pub(super) fn next(&self, at: usize, kernel: &Kernel) -> Option<usize> {
        let reads = kernel.outputs.iter().filter_map(|(var, _)| self.readers.get(var));
        let others = kernel.inputs.iter().filter_map(|input| self.others(kernel, input));
        reads.chain(others).filter_map(|set| set.range(at + 1..).next()).min().copied()
    }

    /// The last kernel before a place that must stay before the one there.
    pub(super) fn last(&self, at: usize, kernel: &Kernel, fusion: &Fusion) -> Option<usize> {
        let made = kernel.inputs.iter().filter_map(|(var, _)| self.makers.get(&fusion.memory(*var)).copied());
        let others = kernel.inputs.iter().filter_map(|input| self.others(kernel, input));
        let others = others.filter_map(|set| set.range(..at).next_back().copied());
        made.filter(|maker| *maker < at).chain(others).max()
    }
}

/// Whether a kernel may overwrite an array that it reads: it makes one of its type.
fn may_take(kernel: &Kernel, input: &(Var, Aval)) -> bool {
    kernel.outputs.iter().any(|(_, out)| *out == input.1)
}
