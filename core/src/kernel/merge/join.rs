//! One kernel out of two.

use crate::aval::Aval;
use crate::ir::{Index, Scalar, Var};
use crate::kernel::{Instr, Kernel, LoopKind};
use rustc_hash::{FxBuildHasher, FxHashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

/// A kernel that grows out of two.
#[derive(Default)]
pub(super) struct Joint {
    pub(super) inputs: Vec<(Var, Aval)>,
    pub(super) body: Vec<Instr>,
    unique: FxHashMap<Instr, Scalar>,
}

impl Joint {
    pub(super) fn input(&mut self, input: &(Var, Aval)) -> u32 {
        if let Some(at) = self.inputs.iter().position(|other| other == input) {
            return at as u32;
        }
        self.inputs.push(input.clone());
        self.inputs.len() as u32 - 1
    }

    fn push(&mut self, instr: Instr) -> Scalar {
        let next = Scalar(self.body.len() as u32);
        let scalar = *self.unique.entry(instr.clone()).or_insert(next);
        if scalar == next {
            self.body.push(instr);
        }
        scalar
    }

    /// Takes over a body whose loads of `made` are scalars already; returns the new scalar for each of its scalars.
    pub(super) fn take(&mut self, kernel: &Kernel, made: &[(Var, Scalar)]) -> FxHashMap<Scalar, Scalar> {
        let mut now: FxHashMap<Scalar, Scalar> = FxHashMap::with_capacity_and_hasher(kernel.body.len(), FxBuildHasher);
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
pub(super) fn without_dead(mut kernel: Kernel) -> Kernel {
    let mut live = vec![false; kernel.body.len()];
    kernel.results.iter().for_each(|scalar| live[scalar.0 as usize] = true);
    // Operands come before their uses: one backward pass sees all.
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
    let mut now: FxHashMap<Scalar, Scalar> = FxHashMap::default();
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

/// What a kernel's instructions compute.
pub(super) struct Work {
    /// For each instruction a number that identifies what it computes, in whatever kernel.
    names: Vec<u64>,
    /// The numbers of all instructions except constants, each once, sorted.
    distinct: Vec<u64>,
}

impl Work {
    pub(super) fn of(kernel: &Kernel) -> Work {
        Work::after(kernel, &FxHashMap::default())
    }

    /// Loads of `made` count as the instruction that made it.
    fn after(kernel: &Kernel, made: &FxHashMap<Var, u64>) -> Work {
        let names = names(kernel, made);
        let work = |(instr, name): (&Instr, &u64)| (!matches!(instr, Instr::Const(_))).then_some(*name);
        let mut distinct: Vec<u64> = kernel.body.iter().zip(&names).filter_map(work).collect();
        distinct.sort_unstable();
        distinct.dedup();
        Work { names, distinct }
    }
}

/// How many instructions two kernels have when merged, not counting constants: what both compute counts once, and what
/// the second loads of the first's results needs no load.
pub(super) fn work_together([a, b]: [&Kernel; 2], [of_a, of_b]: [&Work; 2]) -> usize {
    let outputs = a.outputs.iter().zip(&a.results);
    let made: FxHashMap<Var, u64> = outputs.map(|((var, _), s)| (*var, of_a.names[s.0 as usize])).collect();
    let reads_made = b.inputs.iter().any(|(var, _)| made.contains_key(var));
    let after = reads_made.then(|| Work::after(b, &made));
    let of_b = after.as_ref().unwrap_or(of_b);
    let shared = of_b.distinct.iter().filter(|name| of_a.distinct.binary_search(name).is_ok()).count();
    of_a.distinct.len() + of_b.distinct.len() - shared
}

fn names(kernel: &Kernel, made: &FxHashMap<Var, u64>) -> Vec<u64> {
    let mut names: Vec<u64> = Vec::with_capacity(kernel.body.len());
    for instr in &kernel.body {
        let mut hasher = DefaultHasher::new();
        std::mem::discriminant(instr).hash(&mut hasher);
        let index = |index: &Index, hasher: &mut DefaultHasher| match index {
            Index::Value(s) => names[s.0 as usize].hash(hasher),
            affine => affine.hash(hasher),
        };
        let var = match instr {
            Instr::Load(input, _) => Some(kernel.inputs[*input as usize].0),
            _ => None,
        };
        match instr {
            Instr::Const(literal) => literal.hash(&mut hasher),
            Instr::Size(dim, dtype) => (dim, dtype).hash(&mut hasher),
            Instr::Load(_, at) => {
                var.hash(&mut hasher);
                at.iter().for_each(|at| index(at, &mut hasher));
            }
            Instr::Position(at) => index(at, &mut hasher),
            Instr::Op(op, ins) => {
                op.hash(&mut hasher);
                ins.iter().for_each(|s| names[s.0 as usize].hash(&mut hasher));
            }
        }
        let name = var.and_then(|var| made.get(&var).copied()).unwrap_or_else(|| hasher.finish());
        names.push(name);
    }
    names
}
