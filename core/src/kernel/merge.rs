//! Kernels of a group with the same loops become one: what one makes another has at hand, and what both read is read
//! once.
//!
//! Maps become one where the later reads of the earlier only the element that it stands at, or nothing; reductions where
//! neither reads the other. In a group that splits rows they must read something in common: to bring together what has
//! nothing to do with each other would only keep more arrays at hand.

use crate::aval::Aval;
use crate::ir::{Index, Location, Program, Scalar, Var};
use crate::kernel::group::{Group, Part, Space, find_local};
use crate::kernel::{Instr, Kernel, LoopKind, Step};
use crate::pass::fuse::Fusion;
use std::collections::{HashMap, HashSet};

/// So many instructions a kernel may come to have, beside constants: more would not find room in registers.
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
    let mut needed: HashMap<Var, usize> = results.map(|var| (var, 1)).collect();
    let reads = |step: &Step| step.reads().into_iter().map(|var| fusion.memory(var)).collect::<HashSet<Var>>();
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
    /// For each memory how many steps read it; a result of the program is read once more.
    needed: HashMap<Var, usize>,
}

impl Merger<'_> {
    fn within(&mut self, mut items: Vec<Item>) -> Vec<Item> {
        let mut second = 1;
        while second < items.len() {
            let pair = (0..second).rev().find_map(|first| self.pair(&items, first, second).map(|m| (first, m)));
            match pair {
                Some((first, (kernel, moves_down))) => {
                    self.count(&items[first].kernel, &items[second].kernel, &kernel);
                    let later = items.remove(second);
                    let earlier = items.remove(first);
                    let item = Item { kernel, location: later.location, part: earlier.part };
                    let place = if moves_down { second - 1 } else { first };
                    items.insert(place, item);
                    // What is merged may go with what is before it, or with what is behind.
                    second = place.max(1);
                }
                None => second += 1,
            }
        }
        items
    }

    /// Both kernels as one, and whether it stands where the second stood; `None` where they stay two.
    fn pair(&self, items: &[Item], first: usize, second: usize) -> Option<(Kernel, bool)> {
        let (a, b) = (&items[first].kernel, &items[second].kernel);
        if items[first].part != items[second].part || !self.fit(a, b) {
            return None;
        }
        let between = &items[first + 1..second];
        // A kernel that moves must stay behind what it reads and before what reads it; and where one may write over
        // what another still reads, both stay in their order.
        let may_pass = |one: &Kernel, other: &Kernel| !self.reads_of(one, other) && !takes(one, other);
        let down = between.iter().all(|i| may_pass(&i.kernel, a) && !takes(a, &i.kernel));
        let up = between.iter().all(|i| may_pass(b, &i.kernel) && !takes(&i.kernel, b));
        // Where one thread runs all, each kernel less is a gain. In a range of rows what is made at hand is, and what is
        // read once instead of twice; but nothing is made long before it is read, as what a checkpoint computes again.
        let is_gain = match items[first].part {
            None => down || up,
            Some(_) if self.reads_of(b, a) => down,
            Some(_) => down && up && a.inputs.iter().any(|input| b.inputs.contains(input)),
        };
        if !is_gain {
            return None;
        }
        let kernel = self.join(a, b);
        let work = kernel.body.iter().filter(|instr| !matches!(instr, Instr::Const(_))).count();
        (work <= MAX_BODY).then_some((kernel, down))
    }

    /// Whether a kernel reads what another writes.
    fn reads_of(&self, reader: &Kernel, writer: &Kernel) -> bool {
        reader.inputs.iter().any(|(var, _)| writer.outputs.iter().any(|(out, _)| self.fusion.memory(*var) == *out))
    }

    /// Whether two kernels have the same loops, and may run point by point together.
    fn fit(&self, a: &Kernel, b: &Kernel) -> bool {
        let offsets = |kernel: &Kernel, input: u32| self.fusion.memory(kernel.inputs[input as usize].0);
        let same_loops = a.loops.len() == b.loops.len()
            && a.loops.iter().zip(&b.loops).all(|(x, y)| {
                x.extent == y.extent
                    && match (x.kind, y.kind) {
                        (
                            LoopKind::Segment { segment: s, offsets: p },
                            LoopKind::Segment { segment: t, offsets: q },
                        ) => s == t && offsets(a, p) == offsets(b, q),
                        (x, y) => x == y,
                    }
            });
        if !same_loops || a.reduce != b.reduce {
            return false;
        }
        if a.reduce.is_some() {
            return !self.reads_of(b, a);
        }
        // What is made is read at the point that makes it only.
        let at_hand = b.body.iter().all(|instr| match instr {
            Instr::Load(input, index) => {
                let var = b.inputs[*input as usize].0;
                let is_made = |(out, _): &(Var, Aval)| self.fusion.memory(var) == *out;
                !a.outputs.iter().any(is_made) || a.outputs.iter().any(|(out, _)| *out == var) && b.is_here(index)
            }
            _ => true,
        });
        at_hand && self.stays_in_place(a, b) && self.stays_in_place(b, a)
    }

    /// Whether what a kernel may write over, as it reads it only where it writes, is read by the other likewise.
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
        let mut joint = Joint { inputs: vec![], body: vec![], unique: HashMap::new() };
        let of_a = joint.take(a, &[]);
        let made: Vec<(Var, Scalar)> = a.outputs.iter().zip(&a.results).map(|((var, _), s)| (*var, of_a[s])).collect();
        let of_b = joint.take(b, &made);
        // What only `b` reads of `a` is no array any more.
        let only_b = |var: Var| {
            let by_b = usize::from(b.inputs.iter().any(|(input, _)| self.fusion.memory(*input) == var));
            self.needed.get(&var).copied().unwrap_or(0) <= by_b && by_b > 0
        };
        let of = |kernel: &Kernel, scalars: &HashMap<Scalar, Scalar>| -> Vec<((Var, Aval), Scalar)> {
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

    /// Counts the readers anew for a kernel in the place of two.
    fn count(&mut self, a: &Kernel, b: &Kernel, merged: &Kernel) {
        let reads = |kernel: &Kernel| -> HashSet<Var> {
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

/// Whether `writer` may take over the memory of an array that it and `reader` read.
fn takes(writer: &Kernel, reader: &Kernel) -> bool {
    let may_be_taken = |aval: &Aval| writer.outputs.iter().any(|(_, out)| out == aval);
    writer.inputs.iter().any(|input| may_be_taken(&input.1) && reader.inputs.contains(input))
}

impl Kernel {
    /// Whether a position is that of the element which a kernel without reduction stands at.
    pub(crate) fn is_here(&self, index: &[Index]) -> bool {
        index.len() == self.loops.len() && index.iter().enumerate().all(|(i, at)| at.is_loop(i as u32))
    }

    /// Whether a kernel without reduction reads this memory only at the element that it stands at, under its own name.
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

/// A kernel while it grows out of two.
struct Joint {
    inputs: Vec<(Var, Aval)>,
    body: Vec<Instr>,
    unique: HashMap<String, Scalar>,
}

impl Joint {
    fn input(&mut self, input: &(Var, Aval)) -> u32 {
        if let Some(at) = self.inputs.iter().position(|other| other == input) {
            return at as u32;
        }
        self.inputs.push(input.clone());
        self.inputs.len() as u32 - 1
    }

    fn push(&mut self, instr: Instr) -> Scalar {
        let next = Scalar(self.body.len() as u32);
        let scalar = *self.unique.entry(format!("{instr:?}")).or_insert(next);
        if scalar == next {
            self.body.push(instr);
        }
        scalar
    }

    /// Takes over a body, where loads of `made` are scalars already; gives what each scalar is now.
    fn take(&mut self, kernel: &Kernel, made: &[(Var, Scalar)]) -> HashMap<Scalar, Scalar> {
        let mut now: HashMap<Scalar, Scalar> = HashMap::with_capacity(kernel.body.len());
        for (i, instr) in kernel.body.iter().enumerate() {
            let at_hand = match instr {
                Instr::Load(input, _) => made.iter().find(|(var, _)| *var == kernel.inputs[*input as usize].0),
                _ => None,
            };
            let scalar = match at_hand {
                Some((_, scalar)) => *scalar,
                None => {
                    let mut instr = renamed(instr, &|scalar| now[&scalar]);
                    if let Instr::Load(input, _) = &mut instr {
                        *input = self.input(&kernel.inputs[*input as usize]);
                    }
                    self.push(instr)
                }
            };
            now.insert(Scalar(i as u32), scalar);
        }
        now
    }
}

/// An instruction with other names for the scalars that it uses.
fn renamed(instr: &Instr, name: &dyn Fn(Scalar) -> Scalar) -> Instr {
    let index = |index: &Index| match index {
        Index::Value(scalar) => Index::Value(name(*scalar)),
        affine => affine.clone(),
    };
    match instr {
        Instr::Const(_) | Instr::Size(..) => instr.clone(),
        Instr::Load(input, at) => Instr::Load(*input, at.iter().map(index).collect()),
        Instr::Position(at) => Instr::Position(index(at)),
        Instr::Op(op, ins) => Instr::Op(*op, ins.iter().map(|scalar| name(*scalar)).collect()),
    }
}

/// The kernel without instructions and inputs that no result needs.
fn without_dead(mut kernel: Kernel) -> Kernel {
    let mut live = vec![false; kernel.body.len()];
    kernel.results.iter().for_each(|scalar| live[scalar.0 as usize] = true);
    // Operands come before what uses them: one turn from behind sees all.
    for i in (0..kernel.body.len()).rev() {
        if live[i] {
            mark(&kernel.body[i], &mut live);
        }
    }
    let mut inputs: Vec<(Var, Aval)> = vec![];
    let mut place = |input: u32| {
        let input = &kernel.inputs[input as usize];
        inputs.iter().position(|other| other == input).unwrap_or_else(|| {
            inputs.push(input.clone());
            inputs.len() - 1
        }) as u32
    };
    for l in &mut kernel.loops {
        if let LoopKind::Segment { offsets, .. } = &mut l.kind {
            *offsets = place(*offsets);
        }
    }
    let mut now: HashMap<Scalar, Scalar> = HashMap::new();
    let mut body = vec![];
    for (i, instr) in kernel.body.iter().enumerate().filter(|(i, _)| live[*i]) {
        let mut instr = renamed(instr, &|scalar| now[&scalar]);
        if let Instr::Load(input, _) = &mut instr {
            *input = place(*input);
        }
        now.insert(Scalar(i as u32), Scalar(body.len() as u32));
        body.push(instr);
    }
    kernel.results.iter_mut().for_each(|scalar| *scalar = now[scalar]);
    (kernel.inputs, kernel.body) = (inputs, body);
    debug_assert_eq!(crate::kernel::verify_kernel(&kernel), Ok(()));
    kernel
}

fn mark(instr: &Instr, live: &mut [bool]) {
    let mut used = |index: &Index| {
        if let Index::Value(scalar) = index {
            live[scalar.0 as usize] = true;
        }
    };
    match instr {
        Instr::Const(_) | Instr::Size(..) => {}
        Instr::Load(_, at) => at.iter().for_each(used),
        Instr::Position(at) => used(at),
        Instr::Op(_, ins) => ins.iter().for_each(|scalar| live[scalar.0 as usize] = true),
    }
}
