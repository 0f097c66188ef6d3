//! Removes from a kernel's body what no result needs.

use crate::ir::{Index, Scalar};
use crate::kernel::{Instr, Kernel, LoopKind};

impl Kernel {
    /// The kernel without the instructions that no result needs, and without the inputs that only those read.
    pub(super) fn without_dead(mut self) -> Kernel {
        let mut is_live = vec![false; self.body.len()];
        self.results.iter().for_each(|s| is_live[s.0 as usize] = true);
        // A scalar is defined before it is used: one backward walk sees every use before the definition.
        for i in (0..self.body.len()).rev() {
            if is_live[i] {
                self.body[i].scalars_mut().for_each(|s| is_live[s.0 as usize] = true);
            }
        }
        if is_live.iter().all(|live| *live) {
            return self;
        }
        let scalars = numbered(&is_live);
        let mut live = is_live.iter();
        self.body.retain(|_| live.next() == Some(&true));
        let mut is_read = vec![false; self.inputs.len()];
        for instr in &mut self.body {
            instr.scalars_mut().for_each(|s| s.0 = scalars[s.0 as usize]);
            if let Instr::Load(input, _) = instr {
                is_read[*input as usize] = true;
            }
        }
        self.results.iter_mut().for_each(|s| s.0 = scalars[s.0 as usize]);
        for l in &self.loops {
            if let LoopKind::Segment { offsets, .. } = l.kind {
                is_read[offsets as usize] = true;
            }
        }
        let inputs = numbered(&is_read);
        let mut read = is_read.iter();
        self.inputs.retain(|_| read.next() == Some(&true));
        for instr in &mut self.body {
            if let Instr::Load(input, _) = instr {
                *input = inputs[*input as usize];
            }
        }
        for l in &mut self.loops {
            if let LoopKind::Segment { offsets, .. } = &mut l.kind {
                *offsets = inputs[*offsets as usize];
            }
        }
        self
    }
}

impl Instr {
    /// The scalars that it uses.
    pub(super) fn scalars_mut(&mut self) -> impl Iterator<Item = &mut Scalar> {
        let (index, ins) = match self {
            Instr::Const(_) | Instr::Size(..) => (&mut [][..], &mut [][..]),
            Instr::Load(_, index) => (&mut index[..], &mut [][..]),
            Instr::Position(index) => (std::slice::from_mut(index), &mut [][..]),
            Instr::Op(_, ins) => (&mut [][..], &mut ins[..]),
        };
        let computed = index.iter_mut().filter_map(|index| match index {
            Index::Value(scalar) => Some(scalar),
            Index::Affine { .. } => None,
        });
        computed.chain(ins)
    }
}

/// The new number of each element that stays.
fn numbered(stays: &[bool]) -> Vec<u32> {
    let number = |before: &mut u32, stays: &bool| {
        let number = *before;
        *before += u32::from(*stays);
        Some(number)
    };
    stays.iter().scan(0, number).collect()
}

#[cfg(test)]
mod tests {
    use crate::kernel::parse_kernel;

    #[test]
    fn dead_instructions_leave_with_the_inputs_that_only_they_read() {
        let text = "\
kernel @segment_sum_0(%0: f32[n], %1: i32[e], %2: i32[n+1], %3: i32[e], %4: f32[n]) -> (%5: f32[n]) {
  row i0: n
  segment i1: e of i0 by %2
  $0: f32 = load %0[i0]
  $1: i32 = load %1[i1]
  $2: i32 = position i1
  $3: i32 = load %3[i1]
  $4: f32 = load %4[$3]
  $5: f32 = mul $0, $4
  $6: i32 = add $1, $2
  $7: f32 = add $4, $4
  sum $7 -> %5
}
";
        let without = "\
kernel @segment_sum_0(%2: i32[n+1], %3: i32[e], %4: f32[n]) -> (%5: f32[n]) {
  row i0: n
  segment i1: e of i0 by %2
  $0: i32 = load %3[i1]
  $1: f32 = load %4[$0]
  $2: f32 = add $1, $1
  sum $2 -> %5
}
";
        let parsed = |text| parse_kernel(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(parsed(text).without_dead().to_string(), without);
        assert_eq!(parsed(without).without_dead(), parsed(without));
    }
}
