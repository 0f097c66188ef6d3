//! Whether a kernel reads within its arrays, checked before code is generated.
//!
//! Where only loops determine the position, the algebra of dimensions proves for all sizes that it is in bounds. A
//! position that it cannot prove becomes one that the kernel computes, and every target checks those. An output has the
//! shape of the row loops and is written at their position, as `verify` checks.

use crate::aval::{Dim, Facts, Verdict};
use crate::ir::{Index, Scalar, facts_in_force};
use crate::kernel::{Instr, Kernel};

impl Kernel {
    /// The kernel with a check of each position that the facts in force do not prove.
    pub(super) fn with_checks(self) -> Kernel {
        let is_proved = |input: u32, index: &[Index]| {
            let shape = &self.inputs[input as usize].1.shape;
            index.iter().zip(shape).all(|(at, extent)| self.is_within(at, extent))
        };
        let is_safe = |instr: &Instr| !matches!(instr, Instr::Load(input, index) if !is_proved(*input, index));
        if self.body.iter().all(is_safe) { self } else { self.checked() }
    }

    fn checked(self) -> Kernel {
        let mut body: Vec<Instr> = vec![];
        let mut now: Vec<Scalar> = vec![];
        for instr in &self.body {
            let mut instr = instr.clone();
            instr.scalars_mut().for_each(|scalar| *scalar = now[scalar.0 as usize]);
            if let Instr::Load(input, index) = &mut instr {
                for (at, extent) in index.iter_mut().zip(&self.inputs[*input as usize].1.shape) {
                    if !self.is_within(at, extent) {
                        body.push(Instr::Position(at.clone()));
                        *at = Index::Value(Scalar(body.len() as u32 - 1));
                    }
                }
            }
            body.push(instr);
            now.push(Scalar(body.len() as u32 - 1));
        }
        let results = self.results.iter().map(|scalar| now[scalar.0 as usize]).collect();
        Kernel { body, results, ..self }
    }

    /// Whether a position made of loops lies within an extent wherever it is read. A computed position is checked at
    /// run time.
    fn is_within(&self, at: &Index, extent: &Dim) -> bool {
        let Index::Affine { constant, terms } = at else { return true };
        if let ([(l, stride)], true) = (&terms[..], *constant == 0usize)
            && *stride == 1usize
            && self.loops[*l as usize].extent == *extent
        {
            return true;
        }
        let (mut least, mut most) = (constant.clone(), constant.clone());
        for (l, stride) in terms {
            let last = (&self.loops[*l as usize].extent - 1) * stride;
            if stride.is_natural() {
                most = most + last;
            } else if (Dim::from(0) - stride).is_natural() {
                least = least + last;
            } else {
                return false;
            }
        }
        let rest = extent - most - 1;
        least.is_natural() && rest.is_natural() || self.follows(&[least, rest])
    }

    /// Whether the facts about the symbols prove these sizes natural. A program with an empty axis is compiled for
    /// those numbers, so an extent with a symbol is at least 1.
    fn follows(&self, wanted: &[Dim]) -> bool {
        if wanted.iter().any(|dim| dim.as_number().is_some_and(|n| n < 0)) {
            return false;
        }
        let mut known = facts_in_force();
        let arrays = self.inputs.iter().flat_map(|(_, aval)| &aval.shape);
        let extents = arrays.chain(self.loops.iter().map(|l| &l.extent));
        extents.filter(|dim| dim.as_number().is_none()).for_each(|dim| known.push(dim.at_least(1)));
        let known: Facts = known.iter().cloned().collect();
        wanted.iter().all(|dim| known.decide(&dim.at_least(0)) == Verdict::Holds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{parse_kernel, verify_kernel};

    /// A kernel over `rows` rows that reads an array of this shape at these positions, with these reduction loops.
    fn kernel(rows: &str, reduce: &str, shape: &str, at: &str) -> Kernel {
        let end = if reduce.is_empty() { "store" } else { "max" };
        let text = format!(
            "kernel @read(%0: f32[{shape}]) -> (%1: f32[{rows}]) {{ row i0: {rows} {reduce} $0: f32 = load %0[{at}] {end} \
             $0 -> %1 }}"
        );
        parse_kernel(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    #[test]
    fn what_is_there_for_all_sizes_is_not_checked() {
        for (rows, reduce, shape, at) in [
            ("n", "", "n", "i0"),
            ("n", "", "n+3", "i0 + 3"),
            ("n-3", "", "n", "i0 + 3"),
            ("n", "", "n", "-i0 + (n-1)"),
            ("n", "", "2*n", "2*i0 + 1"),
            ("n", "reduce i1: m", "n*m", "(m)*i0 + i1"),
            ("n", "reduce i1: 4", "n,4", "i0, -i1 + 3"),
            ("n", "reduce i1: m", "n+m-1", "i0 + i1"),
            ("n", "", "m,n", "0, i0"),
            ("n", "", "m,n", "(m-1), i0"),
            ("5", "", "9", "2*i0"),
        ] {
            let kernel = kernel(rows, reduce, shape, at);
            assert_eq!(kernel.clone().with_checks(), kernel, "[{shape}] at [{at}]");
        }
    }

    #[test]
    fn what_may_not_be_there_is_checked() {
        for (rows, reduce, shape, at, checked) in [
            ("n", "", "n", "i0 + 1", "$0"),
            ("n", "", "n", "i0 - 1", "$0"),
            ("n", "", "m", "i0", "$0"),
            ("n", "", "2*n", "2*i0 + 2", "$0"),
            ("n", "reduce i1: m", "n+m-2", "i0 + i1", "$0"),
            ("n", "reduce i1: 4", "n,4", "i0, -i1 + 2", "i0, $0"),
            ("n", "", "m,n", "1, i0", "$0, i0"),
            ("n", "", "m,n", "1, i0 + 1", "$0, $1"),
            ("n", "", "n", "(m-k)*i0", "$0"),
            ("5", "", "8", "2*i0", "$0"),
            ("5", "", "0", "i0", "$0"),
        ] {
            let kernel = kernel(rows, reduce, shape, at).with_checks();
            let text = kernel.to_string();
            assert!(text.contains(&format!("load %0[{checked}]")), "[{shape}] at [{at}]:\n{text}");
            assert_eq!(verify_kernel(&kernel), Ok(()));
            assert_eq!(kernel.clone().with_checks(), kernel, "a check is enough");
        }
    }
}
