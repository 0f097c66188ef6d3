//! Which steps come together: list scheduling into as few groups as possible.
//!
//! Steps come in the program's order. One that goes over rows joins the first group, from its producers' on, where all
//! that it reads is there; else it begins a group. One that reads no other step's result waits for whoever reads it, and
//! joins there. A small kernel waits as long as it can, so that most end in one group after all others.

use super::late::waits;
use super::reach::{Pairing, reach, sorted_pairings};
use crate::aval::{Aval, Dim, volume};
use crate::ir::{Index, Program, Var};
use crate::kernel::fuse::Fusion;
use crate::kernel::{Instr, Kernel, LoopKind, Members, Part, Product, Step};

/// Kernels of no more points are run by one thread.
const SMALL: i64 = 4096;
/// Fewer rows are no work for several threads.
const MIN_ROWS: i64 = 32;
/// A reduction of all rows keeps no more elements than this for each range.
const MAX_PARTIAL: i64 = 4096;

/// A group while it grows.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) split: Split,
    /// Steps by number; the part counts where rows are split.
    pub(super) steps: Vec<(usize, Part)>,
}

/// A group with steps that may come to it.
#[derive(Clone)]
struct Trial {
    /// The group, by number; `None` for a new one.
    group: Option<usize>,
    split: Split,
    /// Whether the rows of the group's steps become the members of others.
    to_members: bool,
    /// The steps that come.
    added: Vec<(usize, Part)>,
}

/// How the work of a growing group is split.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Split {
    Alone,
    Serial,
    Rows { extent: Dim, members: Option<Members> },
}

/// What a step may become.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Class {
    Alone,
    /// A large product: a library goes through its rows as it likes.
    Product,
    Small,
    Large,
}

/// The loop that is split: its extent, and its number where it is a reduction.
type Axis = (Dim, Option<u32>);

fn class_of(step: &Step, axis: &Option<Axis>) -> Class {
    let Step::Kernel(kernel, _) = step else { return Class::Alone };
    if Product::of(kernel).is_some_and(|product| product.may_be_large()) {
        return Class::Product;
    }
    let points = volume(&kernel.loops.iter().map(|l| l.extent.clone()).collect::<Vec<_>>());
    match points.as_number() {
        Some(n) if n <= SMALL => Class::Small,
        _ if axis.is_some() => Class::Large,
        _ => Class::Alone,
    }
}

/// Whether an extent is large: one that is no number counts as larger than all that are.
fn is_large(extent: &Dim, least: i64) -> bool {
    extent.as_number().is_none_or(|n| n >= least)
}

fn axis_of(step: &Step) -> Option<Axis> {
    let Step::Kernel(kernel, _) = step else { return None };
    let n_row = kernel.n_row();
    let first = kernel.loops.first().filter(|_| n_row > 0).map(|l| &l.extent);
    let reduced = kernel.loops.get(n_row).filter(|l| l.kind == LoopKind::Reduce).map(|l| &l.extent);
    let results = volume(&kernel.loops[..n_row].iter().map(|l| l.extent.clone()).collect::<Vec<_>>());
    // Of a long reduction to few elements the reduction is split: rows are fewer, and read what other rows make. Unless it
    // goes along its own rows, and these are enough.
    let rows = first.map_or(Some(0), Dim::as_number);
    let is_split = |rows: i64| rows < MIN_ROWS || !goes_along_rows(kernel);
    match (reduced, rows) {
        (Some(reduced), Some(rows))
            if is_large(reduced, MIN_ROWS.max(rows + 1))
                && results.as_number().is_some_and(|n| n <= MAX_PARTIAL)
                && is_split(rows) =>
        {
            Some((reduced.clone(), Some(n_row as u32)))
        }
        _ => first.filter(|extent| is_large(extent, MIN_ROWS)).map(|extent| (extent.clone(), None)),
    }
}

/// Whether a reduction goes along the rows of an array: the first loop is its first axis.
fn goes_along_rows(kernel: &Kernel) -> bool {
    let reduced = kernel.n_row() as u32;
    let mentions = |index: &Index| matches!(index, Index::Affine { terms, .. } if terms.iter().any(|t| t.0 == reduced));
    kernel.body.iter().any(|instr| match instr {
        Instr::Load(_, index) => {
            index.split_first().is_some_and(|(row, rest)| row.is_loop(0) && rest.iter().any(mentions))
        }
        _ => false,
    })
}

/// The groups of a program's steps.
pub(super) fn schedule(program: &Program, fusion: &Fusion, steps: &[Step], behind: &[Vec<usize>]) -> Vec<Open> {
    let mut makers = vec![None; program.n_var()];
    for (i, step) in steps.iter().enumerate() {
        step.writes().into_iter().for_each(|var| makers[var.index()] = Some(i));
    }
    let reads = |step: &Step| -> Vec<(Var, usize)> {
        let mut reads: Vec<(Var, usize)> = vec![];
        for var in step.reads().into_iter().map(|var| fusion.memory(var)) {
            if let Some(maker) = makers[var.index()].filter(|_| reads.iter().all(|(other, _)| *other != var)) {
                reads.push((var, maker));
            }
        }
        reads
    };
    let axes: Vec<Option<Axis>> = steps.iter().map(axis_of).collect();
    let mut scheduler = Scheduler {
        steps,
        fusion,
        avals: program.avals(),
        pairings: sorted_pairings(program, fusion),
        classes: steps.iter().zip(&axes).map(|(step, axis)| class_of(step, axis)).collect(),
        axes,
        reads: steps.iter().map(reads).collect(),
        waits: waits(program, fusion, &makers, behind, steps.len()),
        groups: vec![],
        at: vec![None; steps.len()],
        parts: vec![Part::Row; steps.len()],
        last_effect: None,
    };
    for step in 0..steps.len() {
        match scheduler.classes[step] {
            Class::Alone => scheduler.place_alone(step),
            Class::Product => scheduler.place_product(step),
            _ if scheduler.reads[step].is_empty() => {}
            Class::Large => scheduler.place(step),
            Class::Small => scheduler.follow(step),
        }
    }
    scheduler.place_rest();
    scheduler.groups
}

struct Scheduler<'a> {
    steps: &'a [Step],
    fusion: &'a Fusion,
    avals: Vec<Aval>,
    pairings: Vec<Pairing>,
    classes: Vec<Class>,
    axes: Vec<Option<Axis>>,
    /// For each step the memory that it reads and other steps make, with these steps.
    reads: Vec<Vec<(Var, usize)>>,
    /// For each step those before which it should not run.
    waits: Vec<Vec<usize>>,
    groups: Vec<Open>,
    /// The group of each step that is placed.
    at: Vec<Option<usize>>,
    /// How it goes over the group's rows.
    parts: Vec<Part>,
    /// The group of the last step that is there for its effect.
    last_effect: Option<usize>,
}

fn is_rows(split: &Split) -> bool {
    matches!(split, Split::Rows { .. })
}

impl Scheduler<'_> {
    /// Makes room for a group at `at`.
    fn insert(&mut self, at: usize, split: Split, steps: Vec<(usize, Part)>) {
        if at < self.groups.len() {
            let later = self.at.iter_mut().chain([&mut self.last_effect]);
            later.flatten().filter(|group| **group >= at).for_each(|group| *group += 1);
        }
        self.groups.insert(at, Open { split, steps: vec![] });
        self.add(at, steps);
    }

    /// Adds steps after those of a group.
    fn add(&mut self, group: usize, steps: Vec<(usize, Part)>) {
        for (step, part) in &steps {
            (self.at[*step], self.parts[*step]) = (Some(group), *part);
        }
        self.groups[group].steps.extend(steps);
    }

    /// Does what was tried: in its group, or in a new one at `at`.
    fn accept(&mut self, trial: Trial, at: usize) {
        let Some(group) = trial.group else { return self.insert(at, trial.split, trial.added) };
        if trial.to_members {
            for (step, part) in &mut self.groups[group].steps {
                *part = as_member(*part);
                self.parts[*step] = *part;
            }
        }
        self.groups[group].split = trial.split;
        self.add(group, trial.added);
    }

    fn waiting(&self, step: usize) -> Vec<usize> {
        let mut waiting: Vec<usize> = self.reads[step].iter().map(|(_, maker)| *maker).collect();
        waiting.retain(|maker| self.at[*maker].is_none());
        waiting.dedup();
        waiting
    }

    /// The first group where a step may be, as far as its placed producers and what it waits for are concerned: their own
    /// where it is `shared`.
    fn earliest(&self, step: usize, shared: impl Fn(&Split) -> bool) -> usize {
        let behind = |maker: usize| self.at[maker].map(|at| at + usize::from(!shared(&self.groups[at].split)));
        let makers = self.reads[step].iter().map(|(_, maker)| maker).chain(&self.waits[step]);
        makers.filter_map(|maker| behind(*maker)).max().unwrap_or(0)
    }

    /// Places what a step needs and what waits, in groups before all that comes.
    fn place_waiting(&mut self, step: usize) {
        for maker in self.waiting(step) {
            self.place_now(maker);
        }
    }

    fn place_now(&mut self, step: usize) {
        match self.classes[step] {
            _ if self.at[step].is_some() => {}
            Class::Small => self.place_small(step),
            Class::Product => self.place_product(step),
            Class::Large | Class::Alone => self.place_before(step, self.groups.len()),
        }
    }

    fn place_alone(&mut self, step: usize) {
        self.place_waiting(step);
        let mut at = self.earliest(step, |_| false);
        let has_effect = match &self.steps[step] {
            Step::Kernel(..) => false,
            Step::Eval(eqn) => eqn.has_effect(),
            Step::Control(control) => control.eqn.has_effect(),
        };
        if has_effect {
            at = at.max(self.last_effect.map_or(0, |last| last + 1));
        }
        self.insert(at, Split::Alone, vec![(step, Part::Row)]);
        if has_effect {
            self.last_effect = Some(at);
        }
    }

    /// Places a large product after all that is there, as the program has it.
    fn place_product(&mut self, step: usize) {
        self.place_waiting(step);
        let at = self.groups.len();
        self.insert(at, Split::Alone, vec![(step, Part::Row)]);
    }

    /// Places a small kernel beside the rows that it reads, where it can be there: it is little work, and whoever reads
    /// it may be there too.
    fn follow(&mut self, step: usize) {
        let at = self.earliest(step, is_rows);
        if self.waiting(step).is_empty()
            && at < self.groups.len()
            && let Some(trial) = self.join(&self.trial(at), &[step])
        {
            self.accept(trial, at);
        }
    }

    /// Places a small kernel that somebody needs now.
    fn place_small(&mut self, step: usize) {
        self.place_waiting(step);
        self.follow(step);
        if self.at[step].is_some() {
            return;
        }
        let earliest = self.earliest(step, |split| *split == Split::Serial);
        match (earliest..self.groups.len()).find(|at| self.groups[*at].split == Split::Serial) {
            Some(at) => self.add(at, vec![(step, Part::Row)]),
            None => self.insert(earliest, Split::Serial, vec![(step, Part::Row)]),
        }
    }

    /// Places a kernel that reads no step's result in a group before `limit`.
    fn place_before(&mut self, step: usize, limit: usize) {
        let found = self.find_before(step, limit).or_else(|| self.join(&self.empty(step), &[step]));
        self.accept(found.unwrap_or_else(|| self.empty(step)), limit);
    }

    fn find_before(&self, step: usize, limit: usize) -> Option<Trial> {
        (self.earliest(step, is_rows)..limit).find_map(|at| self.join(&self.trial(at), &[step]))
    }

    /// Places a kernel that is split, and with it those that wait for it.
    fn place(&mut self, step: usize) {
        for maker in self.waiting(step) {
            if self.axes[maker].is_none() || !self.waiting(maker).is_empty() {
                self.place_now(maker);
            }
        }
        if self.place_within(step) {
            return;
        }
        // Small kernels that cannot come along must be there before.
        let (_, rest) =
            self.join_with(&self.empty(step), step, &self.waiting(step)).unwrap_or((self.empty(step), vec![]));
        let small: Vec<usize> = rest.into_iter().filter(|maker| self.classes[*maker] == Class::Small).collect();
        let some = !small.is_empty();
        small.into_iter().for_each(|maker| self.place_now(maker));
        if some && self.place_within(step) {
            return;
        }
        if let Some((group, rest)) = self.join_with(&self.empty(step), step, &self.waiting(step)) {
            rest.into_iter().for_each(|maker| self.place_now(maker));
            self.accept(group, self.groups.len());
        }
    }

    /// Places a kernel in a group that is there already, where it can be, with those that wait for it.
    fn place_within(&mut self, step: usize) -> bool {
        let waiting = self.waiting(step);
        // Those that come along follow what they read, too.
        let first = waiting.iter().chain([&step]).map(|step| self.earliest(*step, is_rows)).max().unwrap_or(0);
        for at in first..self.groups.len() {
            let Some((trial, rest)) = self.join_with(&self.trial(at), step, &waiting) else { continue };
            let before = |maker: &usize| self.classes[*maker] == Class::Large && self.find_before(*maker, at).is_some();
            if rest.iter().all(before) {
                self.accept(trial, at);
                rest.into_iter().for_each(|maker| self.place_before(maker, at));
                return true;
            }
        }
        false
    }

    /// A group as it is.
    fn trial(&self, group: usize) -> Trial {
        Trial { group: Some(group), split: self.groups[group].split.clone(), to_members: false, added: vec![] }
    }

    /// A group with the rows of a step's split loop.
    fn empty(&self, step: usize) -> Trial {
        let split = match &self.axes[step] {
            Some((extent, _)) => Split::Rows { extent: extent.clone(), members: None },
            None => Split::Alone,
        };
        Trial { group: None, split, to_members: false, added: vec![] }
    }

    /// A group with a step and as many of its producers as go with it; and the others.
    fn join_with(&self, group: &Trial, step: usize, makers: &[usize]) -> Option<(Trial, Vec<usize>)> {
        let (mut found, mut with, mut rest) = (self.join(group, &[step])?, vec![], vec![]);
        for maker in makers {
            let all: Vec<usize> = with.iter().copied().chain([*maker, step]).collect();
            match self.join(group, &all) {
                Some(group) => {
                    found = group;
                    with.push(*maker);
                }
                None => rest.push(*maker),
            }
        }
        Some((found, rest))
    }

    /// A group with these steps too, where there is a way.
    fn join(&self, group: &Trial, steps: &[usize]) -> Option<Trial> {
        let Some((step, rest)) = steps.split_first() else { return Some(group.clone()) };
        let ways = self.ways(group, *step).into_iter();
        ways.filter(|group| self.is_there(group, *step)).find_map(|group| self.join(&group, rest))
    }

    /// The ways in which a group may take a step in, whatever it reads.
    fn ways(&self, group: &Trial, step: usize) -> Vec<Trial> {
        let (Split::Rows { extent, members }, Some((axis, reduced))) = (&group.split, &self.axes[step]) else {
            return vec![];
        };
        let row = reduced.map_or(Part::Row, Part::RowReduce);
        let member = reduced.map_or(Part::Member, Part::MemberReduce);
        let mut ways = vec![];
        let mut way = |extent: &Dim, members: &Option<Members>, to_members: bool, part: Part| {
            let old = |part| if to_members { as_member(part) } else { part };
            let mut added: Vec<_> = group.added.iter().map(|(step, part)| (*step, old(*part))).collect();
            added.push((step, part));
            let split = Split::Rows { extent: extent.clone(), members: members.clone() };
            ways.push(Trial { group: group.group, split, to_members: group.to_members || to_members, added });
        };
        if extent == axis {
            way(extent, members, false, row);
            // A loop over the members of each row may read what the group made only where the group knows them.
            let own = own_members(&self.steps[step], self.fusion);
            let own =
                self.pairings.iter().filter(|p| members.is_none() && p.rows == *axis && own == Some(p.members.offsets));
            own.for_each(|p| way(extent, &Some(p.members.clone()), false, row));
        }
        match members {
            Some(own) if own.extent == *axis => way(extent, members, false, member),
            Some(_) => {}
            None => {
                let fit = |p: &&Pairing| is_large(&p.rows, MIN_ROWS);
                for Pairing { rows, members } in self.pairings.iter().filter(fit) {
                    // What goes over all members in any order may as well go over them row by row.
                    if rows == extent && members.extent == *axis {
                        way(extent, &Some(members.clone()), false, member);
                    }
                    if rows == axis && members.extent == *extent {
                        way(rows, &Some(members.clone()), true, row);
                    }
                }
            }
        }
        ways
    }

    /// Whether all that the last step of a group reads of it is there.
    fn is_there(&self, group: &Trial, step: usize) -> bool {
        let (Split::Rows { members, .. }, Step::Kernel(kernel, _)) = (&group.split, &self.steps[step]) else {
            return false;
        };
        let part_of = |step: usize| match group.added.iter().find(|(other, _)| *other == step) {
            Some((_, part)) => Some(*part),
            None if self.at[step].is_none() || self.at[step] != group.group => None,
            None if group.to_members => Some(as_member(self.parts[step])),
            None => Some(self.parts[step]),
        };
        let Some(part) = part_of(step) else { return false };
        self.reads[step].iter().all(|(var, maker)| {
            part_of(*maker).is_none_or(|made| {
                let same_rows = |alias: Var| same_rows(&self.avals, alias, *var);
                reach(kernel, part, members.as_ref(), self.fusion, (*var, made), &same_rows).is_ok()
            })
        })
    }

    /// Places what nobody waited for.
    fn place_rest(&mut self) {
        for step in 0..self.steps.len() {
            if self.at[step].is_none() && self.classes[step] != Class::Small {
                self.place_before(step, self.groups.len());
            }
        }
        let small: Vec<(usize, Part)> =
            (0..self.steps.len()).filter(|step| self.at[*step].is_none()).map(|step| (step, Part::Row)).collect();
        match self.groups.last_mut() {
            _ if small.is_empty() => {}
            Some(Open { split: Split::Serial, steps }) => steps.extend(small),
            _ => self.groups.push(Open { split: Split::Serial, steps: small }),
        }
    }
}

/// The offsets of the members that a kernel's rows are reduced over.
fn own_members(step: &Step, fusion: &Fusion) -> Option<Var> {
    let Step::Kernel(kernel, _) = step else { return None };
    kernel.loops.iter().find_map(|l| match l.kind {
        LoopKind::Segment { segment: 0, offsets } => Some(fusion.memory(kernel.inputs[offsets as usize].0)),
        _ => None,
    })
}

fn as_member(part: Part) -> Part {
    match part {
        Part::Row | Part::Member => Part::Member,
        Part::RowReduce(number) | Part::MemberReduce(number) => Part::MemberReduce(number),
    }
}

/// Whether an alias has the same first axis as the memory that it names: the same rows are then at the same places.
pub(super) fn same_rows(avals: &[Aval], alias: Var, memory: Var) -> bool {
    let first = |var: Var| avals[var.index()].shape.first();
    alias == memory || (first(alias).is_some() && first(alias) == first(memory))
}
