//! Removes what kernels do not need, and shrinks failing ones.

use super::Case;
use gavotte_core::ir::{Index, Scalar, Var};
use gavotte_core::kernel::{Instr, Kernel, LoopKind, verify_kernel};

/// The kernel without scalars and inputs that no result needs, and the numbers of the inputs that stay. Variables are
/// renumbered.
pub fn pruned(kernel: &Kernel) -> (Kernel, Vec<usize>) {
    let mut needed = vec![false; kernel.body.len()];
    kernel.results.iter().for_each(|s| needed[s.0 as usize] = true);
    let mut read = vec![false; kernel.inputs.len()];
    for l in &kernel.loops {
        if let LoopKind::Segment { offsets, .. } = l.kind {
            read[offsets as usize] = true;
        }
    }
    for (i, instr) in kernel.body.iter().enumerate().rev().collect::<Vec<_>>() {
        if !needed[i] {
            continue;
        }
        if let Instr::Load(input, _) = instr {
            read[*input as usize] = true;
        }
        operands(instr).for_each(|s| needed[s.0 as usize] = true);
    }
    let renumber = |kept: &[bool]| -> Vec<u32> {
        kept.iter().scan(0, |next, kept| Some(std::mem::replace(next, *next + u32::from(*kept)))).collect()
    };
    let (scalars, inputs) = (renumber(&needed), renumber(&read));
    let mut small = kernel.clone();
    small.body =
        kernel.body.iter().zip(&needed).filter(|(_, needed)| **needed).map(|(instr, _)| instr.clone()).collect();
    for instr in &mut small.body {
        operands_mut(instr, |s| s.0 = scalars[s.0 as usize]);
        if let Instr::Load(input, _) = instr {
            *input = inputs[*input as usize];
        }
    }
    small.results.iter_mut().for_each(|s| s.0 = scalars[s.0 as usize]);
    for l in &mut small.loops {
        if let LoopKind::Segment { offsets, .. } = &mut l.kind {
            *offsets = inputs[*offsets as usize];
        }
    }
    let kept: Vec<usize> = (0..read.len()).filter(|i| read[*i]).collect();
    small.inputs = kept.iter().map(|i| kernel.inputs[*i].clone()).collect();
    small.inputs.iter_mut().chain(&mut small.outputs).enumerate().for_each(|(i, (var, _))| *var = Var(i as u32));
    (small, kept)
}

fn operands(instr: &Instr) -> impl Iterator<Item = Scalar> {
    let mut found = vec![];
    operands_mut(&mut instr.clone(), |s| found.push(*s));
    found.into_iter()
}

fn operands_mut(instr: &mut Instr, mut f: impl FnMut(&mut Scalar)) {
    let indices = match instr {
        Instr::Const(_) | Instr::Size(..) => return,
        Instr::Op(_, ins) => return ins.iter_mut().for_each(f),
        Instr::Load(_, index) => index.iter_mut(),
        Instr::Position(at) => std::slice::from_mut(at).iter_mut(),
    };
    indices.for_each(|at| {
        if let Index::Value(s) = at {
            f(s);
        }
    });
}

/// A smaller case that fails too: with fewer results, and with scalars replaced by earlier ones.
pub fn shrunk(case: &Case, fails: &mut dyn FnMut(&Case) -> bool) -> Case {
    let mut best = case.clone();
    loop {
        let size = |kernel: &Kernel| (kernel.results.len(), kernel.body.len());
        let smaller = candidates(&best.kernel).find_map(|kernel| {
            verify_kernel(&kernel).ok()?;
            let (kernel, kept) = pruned(&kernel);
            let inputs = kept.iter().map(|i| best.inputs[*i].clone()).collect();
            let candidate = Case { seed: best.seed, kernel, sizes: best.sizes.clone(), inputs };
            (size(&candidate.kernel) < size(&best.kernel) && fails(&candidate)).then_some(candidate)
        });
        match smaller {
            Some(smaller) => best = smaller,
            None => return best,
        }
    }
}

fn candidates(kernel: &Kernel) -> impl Iterator<Item = Kernel> + '_ {
    let dtypes = kernel.dtypes();
    let one_less = (0..kernel.results.len()).filter(|_| kernel.results.len() > 1).map(|i| {
        let mut fewer = kernel.clone();
        fewer.results.remove(i);
        fewer.outputs.remove(i);
        fewer
    });
    let replaced = (0..kernel.body.len()).flat_map(move |i| {
        let earlier = (0..i).filter(|j| dtypes[*j] == dtypes[i]).collect::<Vec<_>>();
        earlier.into_iter().map(move |j| {
            let mut kernel = kernel.clone();
            let put = |s: &mut Scalar| {
                if s.0 == i as u32 {
                    s.0 = j as u32;
                }
            };
            kernel.body.iter_mut().for_each(|instr| operands_mut(instr, put));
            kernel.results.iter_mut().for_each(put);
            kernel
        })
    });
    one_less.chain(replaced)
}
