//! Which steps run together: list scheduling into as few groups as possible.
//!
//! Steps are taken in the program's order. What a step is ([`Class`]) decides when it is placed, and in which group:
//!
//! - `Rows`, in program order: a row step joins the earliest group, at or after its producers' groups, in which
//!   everything it reads is available; otherwise it opens a new group. Producers that are not placed yet join with it
//!   where they can.
//! - `Source`, with its first reader: it joins the reader's group where the reader may read it there; otherwise the
//!   earliest group before that one that takes it in, or a new one just before.
//! - `Small`, as late as possible: it joins the group of its last producer if that is a group of rows that takes it in.
//!   Otherwise it waits until a reader needs it, and then joins the first serial group after its producers, or opens
//!   one there. What no reader needs joins the serial group at the end.
//! - `Alone`, in program order: a group of its own, right after its producers' groups. Steps with an effect keep their
//!   order.
//! - `Product`, in program order: a group of its own, after all groups so far.
//!
//! A group of rows takes a step in in one of five ways (`trial`). `reach` decides whether what the step reads of the
//! group is available to it there. No step runs before those that it waits for (`late`).
//!
//! A worklist places a step and what it needs ([`Scheduler::place_all`]): the step on top is placed, or names the steps
//! that must be placed first. These go on top, and the step is tried again after them.
//!
//! # Cost
//!
//! Let a program have `s` steps that read `r` operands in all, and let there be `g <= s` groups. A step is on the
//! worklist at most once for each of its readers: `O(s + r)` tries. A try of a row step visits the groups from its
//! producers' on, `O(g)` of them and mostly few. With `m` producers that could join with it, a visit tests `O(m²)`
//! times whether a kernel finds what it reads, each time in `O(operands · body)`, which fusion bounds. A group that
//! opens between others renumbers the later ones in `O(s)`. So scheduling takes `O((s + r) · g)` at worst, and `O(s +
//! r)` where steps read what recent steps make.

use super::late::waits;
use super::reach::{Pairing, reach, sorted_pairings};
use super::steps::{Axis, Class, own_members};
use super::trial::{Open, Split, Trial, as_member};
use crate::aval::Aval;
use crate::ir::{Program, Var};
use crate::kernel::fuse::Fusion;
use crate::kernel::{Part, Step};

/// The groups of a program's steps. `late` says for each equation after which others it should run.
pub(super) fn schedule(program: &Program, fusion: &Fusion, steps: &[Step], late: &[Vec<usize>]) -> Vec<Open> {
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
    let axes: Vec<Option<Axis>> = steps.iter().map(Axis::of).collect();
    let reads: Vec<Vec<(Var, usize)>> = steps.iter().map(reads).collect();
    let class = |i: usize| Class::of(&steps[i], axes[i].as_ref(), !reads[i].is_empty());
    let mut scheduler = Scheduler {
        steps,
        fusion,
        avals: program.avals(),
        pairings: sorted_pairings(program, fusion),
        classes: (0..steps.len()).map(class).collect(),
        axes,
        reads,
        waits: waits(program, fusion, &makers, late, steps.len()),
        groups: vec![],
        at: vec![None; steps.len()],
        parts: vec![Part::Row; steps.len()],
        last_effect: None,
    };
    scheduler.run();
    scheduler.groups
}

struct Scheduler<'a> {
    steps: &'a [Step],
    fusion: &'a Fusion,
    avals: Vec<Aval>,
    pairings: Vec<Pairing>,
    classes: Vec<Class>,
    axes: Vec<Option<Axis>>,
    /// For each step the memory that it reads and other steps make, with these steps: its producers.
    reads: Vec<Vec<(Var, usize)>>,
    /// For each step those after which it should run.
    waits: Vec<Vec<usize>>,
    groups: Vec<Open>,
    /// The group of each step that is placed.
    at: Vec<Option<usize>>,
    /// How it goes over the group's rows.
    parts: Vec<Part>,
    /// The group of the last step with an effect.
    last_effect: Option<usize>,
}

impl Scheduler<'_> {
    /// Places all steps.
    fn run(&mut self) {
        for step in 0..self.steps.len() {
            match self.classes[step] {
                Class::Source => {}
                Class::Small => {
                    if !self.reads[step].is_empty() && self.missing(step).is_empty() {
                        self.follow(step);
                    }
                }
                Class::Rows | Class::Alone | Class::Product => self.place_all(step),
            }
        }
        // The steps that no reader needed.
        for step in 0..self.steps.len() {
            if self.classes[step] != Class::Small {
                self.place_all(step);
            }
        }
        let small: Vec<(usize, Part)> =
            (0..self.steps.len()).filter(|step| self.at[*step].is_none()).map(|step| (step, Part::Row)).collect();
        match self.groups.last() {
            _ if small.is_empty() => {}
            Some(last) if last.split.is_serial() => self.add(self.groups.len() - 1, small),
            _ => self.insert(self.groups.len(), Split::Serial, small),
        }
    }

    /// Places a step, after what must be placed before it.
    fn place_all(&mut self, step: usize) {
        let mut worklist = vec![step];
        while let Some(step) = worklist.last().copied() {
            let first = if self.at[step].is_some() { vec![] } else { self.place(step) };
            match first[..] {
                [] => drop(worklist.pop()),
                _ => worklist.extend(first.into_iter().rev()),
            }
        }
    }

    /// Places a step; or changes nothing, and returns the steps that must be placed before it.
    fn place(&mut self, step: usize) -> Vec<usize> {
        let missing = self.missing(step);
        match self.classes[step] {
            Class::Rows => return self.place_rows(step, &missing),
            _ if !missing.is_empty() => return missing,
            Class::Source => self.place_source(step, self.groups.len()),
            Class::Small => self.place_small(step),
            Class::Alone => self.place_alone(step),
            Class::Product => self.insert(self.groups.len(), Split::Alone, vec![(step, Part::Row)]),
        }
        vec![]
    }

    /// Places a row step, together with the producers that can join with it; or returns the steps to place first.
    fn place_rows(&mut self, step: usize, missing: &[usize]) -> Vec<usize> {
        let can_join = |maker: &usize| self.axes[*maker].is_some() && self.missing(*maker).is_empty();
        if let Some(maker) = missing.iter().find(|maker| !can_join(maker)) {
            return vec![*maker];
        }
        if self.join_earliest(step, missing) {
            return vec![];
        }
        let joined = self.join_with(&self.new_group(step), step, missing);
        let (group, rest) = joined.expect("a new group takes in the step whose rows it has");
        // Small producers that cannot join come first, and the step is tried again.
        let small: Vec<usize> = rest.iter().copied().filter(|maker| self.classes[*maker] == Class::Small).collect();
        if small.is_empty() {
            rest.into_iter().for_each(|maker| self.place_source(maker, self.groups.len()));
            self.accept(group, self.groups.len());
        }
        small
    }

    /// Places a row step in the earliest group that takes it in, with those of its missing producers that can join; the
    /// others must be able to join earlier groups. Returns whether there is such a group.
    fn join_earliest(&mut self, step: usize, missing: &[usize]) -> bool {
        // Producers that join also run after what they wait for.
        let first = missing.iter().chain([&step]).map(|step| self.earliest(*step, Split::is_rows)).max().unwrap_or(0);
        for at in first..self.groups.len() {
            let Some((group, rest)) = self.join_with(&self.trial(at), step, missing) else { continue };
            let is_before =
                |maker: &usize| self.classes[*maker] == Class::Source && self.find_before(*maker, at).is_some();
            if rest.iter().all(is_before) {
                self.accept(group, at);
                rest.into_iter().for_each(|maker| self.place_source(maker, at));
                return true;
            }
        }
        false
    }

    /// Places a source in the earliest group before `limit` that takes it in, or in a new one there.
    fn place_source(&mut self, step: usize, limit: usize) {
        let found = self.find_before(step, limit).or_else(|| self.join(&self.new_group(step), &[step]));
        self.accept(found.expect("a new group takes in the step whose rows it has"), limit);
    }

    fn find_before(&self, step: usize, limit: usize) -> Option<Trial> {
        (self.earliest(step, Split::is_rows)..limit).find_map(|at| self.join(&self.trial(at), &[step]))
    }

    /// Places a small kernel in the group of its last producer, where that takes it in: it is little work, and its
    /// reader may join, too. Returns whether it did.
    fn follow(&mut self, step: usize) -> bool {
        let at = self.earliest(step, Split::is_rows);
        let group = if at < self.groups.len() { self.join(&self.trial(at), &[step]) } else { None };
        group.map(|group| self.accept(group, at)).is_some()
    }

    /// Places a small kernel that a reader needs.
    fn place_small(&mut self, step: usize) {
        if self.follow(step) {
            return;
        }
        let earliest = self.earliest(step, Split::is_serial);
        match (earliest..self.groups.len()).find(|at| self.groups[*at].split.is_serial()) {
            Some(at) => self.add(at, vec![(step, Part::Row)]),
            None => self.insert(earliest, Split::Serial, vec![(step, Part::Row)]),
        }
    }

    /// Places a step in a group of its own; effects keep their order.
    fn place_alone(&mut self, step: usize) {
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

    /// The producers of a step that are not placed yet.
    fn missing(&self, step: usize) -> Vec<usize> {
        let mut missing: Vec<usize> = self.reads[step].iter().map(|(_, maker)| *maker).collect();
        missing.retain(|maker| self.at[*maker].is_none());
        missing.dedup();
        missing
    }

    /// The first group where a step may be, given its placed producers and what it waits for: a producer's own group
    /// where its split `can_share`, otherwise the next one.
    fn earliest(&self, step: usize, can_share: impl Fn(&Split) -> bool) -> usize {
        let after = |maker: usize| self.at[maker].map(|at| at + usize::from(!can_share(&self.groups[at].split)));
        let makers = self.reads[step].iter().map(|(_, maker)| maker).chain(&self.waits[step]);
        makers.filter_map(|maker| after(*maker)).max().unwrap_or(0)
    }

    fn trial(&self, group: usize) -> Trial {
        Trial::of(group, &self.groups[group])
    }

    /// A new group with the rows of a step's split loop.
    fn new_group(&self, step: usize) -> Trial {
        Trial::new(self.axes[step].as_ref())
    }

    /// A group with a step and as many of its producers as can join with it; and the producers that cannot.
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

    /// A group with these steps, in the first combination of ways in which each step finds what it reads.
    fn join(&self, group: &Trial, steps: &[usize]) -> Option<Trial> {
        let Some((step, rest)) = steps.split_first() else { return Some(group.clone()) };
        let own = own_members(&self.steps[*step], self.fusion);
        let ways = group.with(*step, self.axes[*step].as_ref()?, &self.pairings, own).into_iter();
        ways.filter(|group| self.is_available(group, *step)).find_map(|group| self.join(&group, rest))
    }

    /// Whether everything that the last step of a group reads of the group is available there.
    fn is_available(&self, group: &Trial, step: usize) -> bool {
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

    /// Commits a trial: in its group, or in a new one at `at`.
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

    /// Opens a group at `at`; the groups from there on move after it.
    fn insert(&mut self, at: usize, split: Split, steps: Vec<(usize, Part)>) {
        if at < self.groups.len() {
            let later = self.at.iter_mut().chain([&mut self.last_effect]);
            later.flatten().filter(|group| **group >= at).for_each(|group| *group += 1);
        }
        self.groups.insert(at, Open { split, steps: vec![] });
        self.add(at, steps);
    }

    /// Appends steps to a group.
    fn add(&mut self, group: usize, steps: Vec<(usize, Part)>) {
        for (step, part) in &steps {
            (self.at[*step], self.parts[*step]) = (Some(group), *part);
        }
        self.groups[group].steps.extend(steps);
    }
}

/// Whether an alias has the same first axis as the memory that it names: then the same rows are at the same places.
pub(super) fn same_rows(avals: &[Aval], alias: Var, memory: Var) -> bool {
    let first = |var: Var| avals[var.index()].shape.first();
    alias == memory || (first(alias).is_some() && first(alias) == first(memory))
}
