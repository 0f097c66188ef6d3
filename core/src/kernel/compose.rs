//! Index arrays that only a graph determines are composed once for each graph.
//!
//! The transpose of a gather sums members in another order, and its terms are often gathered, too: each kernel would
//! read `index[order[i]]` for each member, anew in every call. Where both arrays are arguments or constants, their
//! composition is an array of its own. The runtime computes it when it first meets one of the two.

use crate::aval::{Aval, DType};
use crate::ir::{Index, Scalar, Var};
use crate::kernel::{Composed, Instr, Kernel, KernelProgram, Step};

impl KernelProgram {
    /// Lets kernels read index arrays that are composed before the program runs, where they read one index array at the
    /// positions of another.
    pub fn compose(&mut self) {
        let program = &self.program;
        let is_given = |var: Var| program.args.iter().chain(&program.consts).any(|binder| binder.var == var);
        let is_index = |(var, aval): &(Var, Aval)| aval.dtype == DType::I32 && aval.shape.len() == 1 && is_given(*var);
        let n_var = program.n_var();
        for step in &mut self.steps {
            let Step::Kernel(kernel, location) = step else { continue };
            let mut is_changed = false;
            for i in 0..kernel.body.len() {
                let Some((of, at, index)) = composition(kernel, i) else { continue };
                let (of, at) = (kernel.inputs[of as usize].clone(), kernel.inputs[at as usize].clone());
                if !is_index(&of) || !is_index(&at) {
                    continue;
                }
                let known =
                    self.composed.iter().find(|known| (known.of, known.at) == (of.0, at.0)).map(|known| known.var);
                let var = known.unwrap_or_else(|| {
                    let var = Var((n_var + self.composed.len()) as u32);
                    let (aval, reader) = (at.1.clone(), (kernel.name.clone(), *location));
                    self.composed.push(Composed { var, of: of.0, at: at.0, aval, reader });
                    self.fusion.add_given();
                    var
                });
                let input = kernel.inputs.iter().position(|(input, _)| *input == var).unwrap_or_else(|| {
                    kernel.inputs.push((var, at.1));
                    kernel.inputs.len() - 1
                });
                kernel.body[i] = Instr::Load(input as u32, index);
                is_changed = true;
            }
            if is_changed {
                *kernel = kernel.clone().without_dead();
            }
        }
    }
}

/// For an instruction that reads an array of one axis at the elements of another such array: both arrays, and the index
/// of the second. A loop must cover the whole second array: elements that nobody reads, such as padding, may hold
/// anything.
fn composition(kernel: &Kernel, i: usize) -> Option<(u32, u32, Vec<Index>)> {
    let Instr::Load(of, index) = &kernel.body[i] else { return None };
    let [Index::Value(Scalar(position))] = index[..] else { return None };
    let Instr::Load(at, index) = &kernel.body[position as usize] else { return None };
    let [Index::Affine { constant, terms }] = &index[..] else { return None };
    let [(l, stride)] = &terms[..] else { return None };
    let is_whole = *constant == 0usize && *stride == 1usize;
    let extent = kernel.inputs[*at as usize].1.shape.first()?;
    (is_whole && kernel.loops[*l as usize].extent == *extent).then(|| (*of, *at, index.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::parse_kernel;

    #[test]
    fn only_one_array_at_all_positions_of_another() {
        let text = "kernel @sums(%0: i32[m+1], %1: i32[z], %2: i32[n], %3: f32[k,8], %4: i32[k,8]) -> (%5: f32[m,8]) {
            row i0: m row i1: 8 segment i2: z of i0 by %0
            $0: i32 = load %1[i2]
            $1: i32 = load %2[$0]
            $2: f32 = load %3[$1, i1]
            $3: i32 = load %4[$1, i1]
            $4: f32 = convert $3
            $5: f32 = mul $2, $4
            sum $5 -> %5 }";
        let found = |text: &str| -> Vec<Option<(u32, u32)>> {
            let kernel = parse_kernel(text).unwrap_or_else(|error| panic!("{error}"));
            (0..kernel.body.len()).map(|i| composition(&kernel, i).map(|(of, at, _)| (of, at))).collect()
        };
        assert_eq!(found(text), [None, Some((2, 1)), None, None, None, None]);
        assert_eq!(found(&text.replace("%1: i32[z]", "%1: i32[z+1]")), [None; 6]);
    }
}
