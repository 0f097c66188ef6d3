//! Kernels of a group with the same loops become one: what one makes for another stays in registers, and what both read
//! is read once.
//!
//! Maps are merged where the later reads of the earlier only the element that it is at, or nothing; reductions where
//! neither reads the other. In a group that splits rows they must read something in common: merging unrelated kernels
//! would only keep more arrays live.

mod join;
mod row;

use crate::aval::Aval;
use crate::ir::{Index, Location, Program, Scalar, Var};
use crate::kernel::fuse::Fusion;
use crate::kernel::group::find_local;
use crate::kernel::{Group, Instr, Kernel, LoopKind, Part, Space, Step};
use join::{Joint, without_dead, work_together};
use row::Row;
use rustc_hash::{FxHashMap, FxHashSet};

/// The most instructions of a merged kernel, not counting constants: more would not fit into registers.
const MAX_BODY: usize = 120;

/// A kernel of a group.
struct Item {
    kernel: Kernel,
    location: Location,
    part: Option<Part>,
}

/// Merges kernels within each group.
pub(super) fn merge(
    program: &Program,
    fusion: &Fusion,
    steps: Vec<Step>,
    groups: Vec<Group>,
) -> (Vec<Step>, Vec<Group>) {
    let results = program.outs.iter().filter_map(|out| out.var()).map(|var| fusion.memory(var));
    let mut needed: FxHashMap<Var, usize> = results.map(|var| (var, 1)).collect();
    let reads = |step: &Step| step.reads().into_iter().map(|var| fusion.memory(var)).collect::<FxHashSet<Var>>();
    steps.iter().flat_map(reads).for_each(|var| *needed.entry(var).or_default() += 1);
    let mut merger = Merger { fusion, needed };
    let (mut old, mut steps, mut merged) = (steps.into_iter(), vec![], vec![]);
    for group in groups {
        let (start, n) = (steps.len(), group.steps.len());
        let own: Vec<Step> = old.by_ref().take(n).collect();
        let mut space = group.space;
        if space == Space::Alone {
            steps.extend(own);
        } else {
            let parts = match &space {
                Space::Rows { parts, .. } => parts.iter().copied().map(Some).collect(),
                Space::Alone | Space::Serial => vec![None; n],
            };
            let items = own.into_iter().zip(parts).filter_map(|(step, part)| match step {
                Step::Kernel(kernel, location) => Some(Item { kernel, location, part }),
                Step::Eval(_) | Step::Control(_) => None,
            });
            let items = merger.within(items.collect());
            if let Space::Rows { parts, .. } = &mut space {
                *parts = items.iter().filter_map(|item| item.part).collect();
            }
            steps.extend(items.into_iter().map(|item| Step::Kernel(item.kernel, item.location)));
        }
        merged.push(Group { steps: start..steps.len(), space });
    }
    find_local(program, fusion, &steps, &mut merged);
    (steps, merged)
}

struct Merger<'a> {
    fusion: &'a Fusion,
    /// For each memory the number of steps that read it; a result of the program is read once more.
    needed: FxHashMap<Var, usize>,
}

impl Merger<'_> {
    fn within(&mut self, items: Vec<Item>) -> Vec<Item> {
        let mut row = Row::new(items, self.fusion);
        let mut second = 0;
        while second < row.places.len() {
            let candidates = row.candidates(second);
            let last = row.item(second).and_then(|item| row.order.last(second, &item.kernel, self.fusion));
            let pair = |first: usize| Some((first, self.pair(&mut row, [first, second], last)?));
            let merged = candidates.into_iter().find_map(pair);
            let Some((first, (kernel, moves_down))) = merged else {
                second += 1;
                continue;
            };
            if let (Some(a), Some(b)) = (row.item(first), row.item(second)) {
                self.count(&a.kernel, &b.kernel, &kernel);
            }
            // A merged kernel may merge with kernels before it or after it.
            second = row.merge((first, second), kernel, moves_down, self.fusion);
        }
        row.into_items()
    }

    /// Both kernels as one, and whether it takes the place of the second; `None` if they stay two. The second must stay
    /// after the one at `last`.
    fn pair(&self, row: &mut Row, [first, second]: [usize; 2], last: Option<usize>) -> Option<(Kernel, bool)> {
        if row.is_hopeless(first, second) {
            return None;
        }
        let [placed_a, placed_b] = [first, second].map(|at| row.places[at].as_ref());
        let (placed_a, placed_b) = (placed_a?, placed_b?);
        let (a, b) = (&placed_a.item.kernel, &placed_b.item.kernel);
        // A kernel that moves must stay after what it reads and before its readers; and where one may overwrite what
        // another still reads, both stay in their order.
        let up = last.is_none_or(|last| last <= first);
        let down = || row.order.next(first, a).is_none_or(|next| next >= second);
        // Where one thread runs everything, each kernel less is a gain. In a range of rows, values kept in registers
        // and reads saved are; but nothing is made long before it is read, such as what a checkpoint recomputes.
        let is_gain = match placed_a.item.part {
            None => up || down(),
            Some(_) if self.reads_of(b, a) => down(),
            Some(_) => up && a.inputs.iter().any(|input| b.inputs.contains(input)) && down(),
        };
        if !is_gain {
            return None;
        }
        if work_together([a, b], [&placed_a.work, &placed_b.work]) <= MAX_BODY && self.fit(a, b) {
            return Some((self.join(a, b), down()));
        }
        row.give_up(first, second);
        None
    }

    /// Whether a kernel reads what another writes.
    fn reads_of(&self, reader: &Kernel, writer: &Kernel) -> bool {
        reader.inputs.iter().any(|(var, _)| writer.outputs.iter().any(|(out, _)| self.fusion.memory(*var) == *out))
    }

    /// Whether two kernels with the same loops may run point by point together.
    fn fit(&self, a: &Kernel, b: &Kernel) -> bool {
        if a.reduce.is_some() {
            return !self.reads_of(b, a);
        }
        // A result may only be read at the point that makes it.
        let is_local = b.body.iter().all(|instr| match instr {
            Instr::Load(input, index) => {
                let var = b.inputs[*input as usize].0;
                let is_made = |(out, _): &(Var, Aval)| self.fusion.memory(var) == *out;
                !a.outputs.iter().any(is_made) || a.outputs.iter().any(|(out, _)| *out == var) && b.is_here(index)
            }
            _ => true,
        });
        is_local && self.stays_in_place(a, b) && self.stays_in_place(b, a)
    }

    /// Whether an array that a kernel may overwrite, as it reads it only where it writes, is read likewise by the
    /// other.
    fn stays_in_place(&self, kernel: &Kernel, other: &Kernel) -> bool {
        kernel.inputs.iter().all(|(var, aval)| {
            let memory = self.fusion.memory(*var);
            !kernel.outputs.iter().any(|(_, out)| out == aval)
                || !kernel.reads_here(memory, self.fusion)
                || other.reads_here(memory, self.fusion)
        })
    }

    /// One kernel that does what both do, without the arrays that nobody else reads.
    fn join(&self, a: &Kernel, b: &Kernel) -> Kernel {
        let mut joint = Joint::default();
        let of_a = joint.take(a, &[]);
        let made: Vec<(Var, Scalar)> = a.outputs.iter().zip(&a.results).map(|((var, _), s)| (*var, of_a[s])).collect();
        let of_b = joint.take(b, &made);
        // What only `b` reads of `a` is no longer an array.
        let only_b = |var: Var| {
            let by_b = usize::from(b.inputs.iter().any(|(input, _)| self.fusion.memory(*input) == var));
            self.needed.get(&var).copied().unwrap_or(0) <= by_b && by_b > 0
        };
        let of = |kernel: &Kernel, scalars: &FxHashMap<Scalar, Scalar>| -> Vec<((Var, Aval), Scalar)> {
            kernel.outputs.iter().cloned().zip(kernel.results.iter().map(|s| scalars[s])).collect()
        };
        let mut outs = of(a, &of_a);
        outs.retain(|((var, _), _)| !only_b(*var));
        outs.extend(of(b, &of_b));
        let (outputs, results) = outs.into_iter().unzip();
        let mut loops = a.loops.clone();
        for (l, old) in loops.iter_mut().zip(&a.loops) {
            if let (LoopKind::Segment { offsets, .. }, LoopKind::Segment { offsets: old, .. }) = (&mut l.kind, old.kind)
            {
                *offsets = joint.input(&a.inputs[old as usize]);
            }
        }
        let Joint { inputs, body, .. } = joint;
        let kernel = Kernel { name: b.name.clone(), inputs, outputs, loops, body, reduce: a.reduce, results };
        without_dead(kernel)
    }

    /// Updates the reader counts for a kernel that replaces two.
    fn count(&mut self, a: &Kernel, b: &Kernel, merged: &Kernel) {
        let reads = |kernel: &Kernel| -> FxHashSet<Var> {
            kernel.inputs.iter().map(|(var, _)| self.fusion.memory(*var)).collect()
        };
        let (old, new) = ([reads(a), reads(b)], reads(merged));
        for var in old.into_iter().flatten() {
            if let Some(n) = self.needed.get_mut(&var) {
                *n -= 1;
            }
        }
        new.into_iter().for_each(|var| *self.needed.entry(var).or_default() += 1);
    }
}

impl Kernel {
    /// Whether a position is that of the element that a kernel without reduction is at.
    pub(crate) fn is_here(&self, index: &[Index]) -> bool {
        index.len() == self.loops.len() && index.iter().enumerate().all(|(i, at)| at.is_loop(i as u32))
    }

    /// Whether a kernel without reduction reads this memory only at the element that it is at, under its own name.
    pub(crate) fn reads_here(&self, memory: Var, fusion: &Fusion) -> bool {
        self.reduce.is_none()
            && self.body.iter().all(|instr| match instr {
                Instr::Load(input, index) => {
                    let var = self.inputs[*input as usize].0;
                    fusion.memory(var) != memory || (var == memory && self.is_here(index))
                }
                _ => true,
            })
    }
}
