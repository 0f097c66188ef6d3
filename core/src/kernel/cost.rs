//! What kernels cost, counted from their loops and bodies before anything runs.
//!
//! An instruction counts once for each point of the loops that it depends on: what does not depend on an inner loop is
//! not counted for each of its iterations. The points of a segment loop are the members of all segments. A kernel reads
//! what its loads name, each array at most once as a whole, and writes each output once.

use crate::aval::{Aval, DType, Sizes};
use crate::ir::scalar::Counts;
use crate::ir::{Index, ReduceOp, Scalar, ScalarOp};
use crate::kernel::{Instr, Kernel, LoopKind};
use std::collections::BTreeSet;
use std::fmt;
use std::iter::Sum;
use std::ops::Add;

/// Arithmetic and memory traffic.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Cost {
    /// Sums, products, quotients, extrema and similar operations on floating-point elements; a step of a reduction is
    /// one.
    pub flops: u64,
    /// Exponentials, logarithms, roots, powers, sines and similar functions of floating-point elements.
    pub transcendentals: u64,
    /// Bytes of the arrays read.
    pub bytes_read: u64,
    /// Bytes of the arrays written.
    pub bytes_written: u64,
}

impl Add for Cost {
    type Output = Cost;
    fn add(self, other: Cost) -> Cost {
        Cost {
            flops: self.flops + other.flops,
            transcendentals: self.transcendentals + other.transcendentals,
            bytes_read: self.bytes_read + other.bytes_read,
            bytes_written: self.bytes_written + other.bytes_written,
        }
    }
}

impl Cost {
    /// Bytes of the arrays read or written.
    pub fn bytes(&self) -> u64 {
        self.bytes_read + self.bytes_written
    }

    /// Operations on floating-point elements; a transcendental function counts as one.
    pub fn ops(&self) -> u64 {
        self.flops + self.transcendentals
    }

    /// `n` times this cost.
    pub fn times(self, n: u64) -> Cost {
        Cost {
            flops: self.flops * n,
            transcendentals: self.transcendentals * n,
            bytes_read: self.bytes_read * n,
            bytes_written: self.bytes_written * n,
        }
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Cost>>(costs: I) -> Cost {
        costs.fold(Cost::default(), Cost::add)
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cost { flops, transcendentals, bytes_read, bytes_written } = self;
        write!(f, "{flops} flops, {transcendentals} transcendentals, reads {bytes_read} bytes, writes {bytes_written}")
    }
}

/// Bytes of an array for these sizes.
pub fn bytes_at(aval: &Aval, sizes: &Sizes) -> u64 {
    aval.at(sizes).volume().as_usize().unwrap_or(0) as u64 * aval.dtype.size() as u64
}

/// How many registers hold as many elements of this type as one register holds of 32 bits.
fn registers(dtype: DType) -> u64 {
    if dtype == DType::F64 { 2 } else { 1 }
}

/// The loops that a scalar depends on, by number.
type Loops = BTreeSet<u32>;

impl Kernel {
    /// What a launch costs for these sizes of symbols.
    pub fn cost(&self, sizes: &Sizes) -> Cost {
        let mut cost = Cost::default();
        let dtypes = self.dtypes();
        for (instr, points) in self.body.iter().zip(self.points_of_body(sizes)) {
            match instr {
                Instr::Op(op, ins) if ins.last().is_some_and(|s| dtypes[s.0 as usize].is_float()) => {
                    match op.row().counts {
                        Counts::Flop => cost.flops += points,
                        Counts::Transcendental => cost.transcendentals += points,
                        Counts::Free => {}
                    }
                }
                _ => {}
            }
        }
        if let (Some(_), Some(value)) = (self.reduce, self.results.first())
            && dtypes[value.0 as usize].is_float()
        {
            cost.flops += self.n_point(sizes);
        }
        let whole = self.inputs.iter().map(|(_, aval)| bytes_at(aval, sizes));
        cost.bytes_read = whole.zip(self.named_bytes(sizes)).map(|(whole, named)| whole.min(named)).sum();
        cost.bytes_written = self.outputs.iter().map(|(_, aval)| bytes_at(aval, sizes)).sum();
        cost
    }

    /// The number of points of all loops.
    pub(crate) fn n_point(&self, sizes: &Sizes) -> u64 {
        self.points(&(0..self.loops.len() as u32).collect(), sizes)
    }

    /// For each input the bytes that its loads name, counting an element as often as it is named: where rows are
    /// gathered this may exceed the array. Offsets of segments are named once more.
    pub(crate) fn named_bytes(&self, sizes: &Sizes) -> Vec<u64> {
        let mut named = vec![0; self.inputs.len()];
        let dtypes = self.dtypes();
        for (i, (instr, points)) in self.body.iter().zip(self.points_of_body(sizes)).enumerate() {
            if let Instr::Load(input, _) = instr {
                named[*input as usize] += points * dtypes[i].size() as u64;
            }
        }
        for l in &self.loops {
            if let LoopKind::Segment { offsets, .. } = l.kind {
                named[offsets as usize] += bytes_at(&self.inputs[offsets as usize].1, sizes);
            }
        }
        named
    }

    /// About how many instructions a launch takes, on one element each: loads, stores, and operations by their
    /// [`cost`](ScalarOp::cost). A product that is only added is no instruction of its own. Elements of 64 bits count
    /// twice, as a register holds half as many.
    pub fn work(&self, sizes: &Sizes) -> u64 {
        let is_added = |i: usize| {
            self.reduce == Some(ReduceOp::Sum)
                && self.results.iter().any(|result| result.0 as usize == i)
                && matches!(self.body[i], Instr::Op(ScalarOp::Mul, _))
        };
        let dtypes = self.dtypes();
        let of_body = self.body.iter().zip(self.points_of_body(sizes)).enumerate().map(|(i, (instr, points))| {
            let each = match instr {
                Instr::Const(_) | Instr::Size(..) => 0,
                Instr::Load(..) | Instr::Position(_) => 1,
                Instr::Op(..) if is_added(i) => 0,
                Instr::Op(op, _) => u64::from(op.cost()),
            };
            each * points * registers(dtypes[i])
        });
        let points = |n: usize| self.points(&(0..n as u32).collect(), sizes);
        let reduced = if self.reduce.is_some() { points(self.loops.len()) } else { 0 };
        let stored = points(self.n_row());
        let of_outputs = self.outputs.iter().map(|(_, aval)| (reduced + stored) * registers(aval.dtype));
        of_body.sum::<u64>() + of_outputs.sum::<u64>()
    }

    /// For each instruction the number of points of the loops that it depends on.
    fn points_of_body(&self, sizes: &Sizes) -> Vec<u64> {
        let mut depends: Vec<Loops> = Vec::with_capacity(self.body.len());
        for instr in &self.body {
            depends.push(match instr {
                Instr::Const(_) | Instr::Size(..) => Loops::new(),
                Instr::Load(_, index) => index.iter().flat_map(|at| loops_of(at, &depends)).collect(),
                Instr::Position(at) => loops_of(at, &depends),
                Instr::Op(_, ins) => ins.iter().flat_map(|s| scalar_loops(*s, &depends)).collect(),
            });
        }
        depends.iter().map(|loops| self.points(loops, sizes)).collect()
    }

    /// The number of points of these loops.
    fn points(&self, loops: &Loops, sizes: &Sizes) -> u64 {
        // A segment loop's extent counts the members of all segments, so it includes its row loop.
        let counted: Loops = loops
            .iter()
            .filter_map(|i| match self.loops[*i as usize].kind {
                LoopKind::Segment { segment, .. } => Some(segment),
                LoopKind::Row | LoopKind::Reduce => None,
            })
            .collect();
        let extent = |i: &u32| self.loops[*i as usize].extent.at(sizes).as_usize().unwrap_or(0) as u64;
        loops.iter().filter(|i| !counted.contains(i)).map(extent).product()
    }
}

fn loops_of(at: &Index, depends: &[Loops]) -> Loops {
    match at {
        Index::Affine { terms, .. } => terms.iter().map(|(number, _)| *number).collect(),
        Index::Value(scalar) => scalar_loops(*scalar, depends),
    }
}

fn scalar_loops(scalar: Scalar, depends: &[Loops]) -> Loops {
    depends[scalar.0 as usize].clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aval::Symbol;
    use crate::kernel::parse_kernel;

    fn sizes_of(sizes: &[(&str, usize)]) -> Sizes {
        let mut all = Sizes::new();
        for (symbol, size) in sizes {
            all.set(Symbol::new(symbol), *size).expect("each symbol once");
        }
        all
    }

    fn kernel_of(text: &str) -> Kernel {
        parse_kernel(text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn cost_of(text: &str, sizes: &[(&str, usize)]) -> Cost {
        kernel_of(text).cost(&sizes_of(sizes))
    }

    #[test]
    fn what_a_row_shares_counts_once_a_row() {
        let text = "\
kernel @reduce_sum_0(%0: f32[n], %1: f32[n,k]) -> (%2: f32[n]) {
  row i0: n
  reduce i1: k
  $0: f32 = load %0[i0]
  $1: f32 = exp $0
  $2: f32 = load %1[i0, i1]
  $3: f32 = mul $1, $2
  sum $3 -> %2
}
";
        // exp of 3 rows; a product and a step of the sum at each of 3 · 5 points
        let cost = Cost { flops: 2 * 3 * 5, transcendentals: 3, bytes_read: 4 * (3 + 15), bytes_written: 4 * 3 };
        assert_eq!(cost_of(text, &[("n", 3), ("k", 5)]), cost);
        // For each row a load, an exponential and a store; for each point a load and a multiply-add.
        assert_eq!(kernel_of(text).work(&sizes_of(&[("n", 3), ("k", 5)])), 3 * (1 + 20 + 1) + 3 * 5 * 2);
        assert_eq!(
            kernel_of(&text.replace("f32", "f64")).work(&sizes_of(&[("n", 3), ("k", 5)])),
            2 * (3 * 22 + 3 * 5 * 2)
        );
    }

    #[test]
    fn members_of_segments_count_together_and_gathers_read_what_they_name() {
        let text = "\
kernel @segment_sum_0(%0: f32[100,2], %1: i32[n+1], %2: i32[e], %3: f32[n,2]) -> (%4: f32[n,2]) {
  row i0: n
  row i1: 2
  segment i2: e of i0 by %1
  $0: i32 = load %2[i2]
  $1: f32 = load %0[$0, i1]
  $2: f32 = load %3[i0, i1]
  $3: f32 = sub $1, $2
  $4: i32 = add $0, $0
  $5: bool = lt $1, $2
  sum $3 -> %4
}
";
        // 7 members of 2 features: a difference and a step of the sum; integers and comparisons are no flops
        let read = 7 * 2 * 4 + 4 * 4 + 7 * 4 + 3 * 2 * 4;
        let cost = Cost { flops: 2 * 7 * 2, transcendentals: 0, bytes_read: read, bytes_written: 3 * 2 * 4 };
        assert_eq!(cost_of(text, &[("n", 3), ("e", 7)]), cost);
        // 700 members read the whole of %0, and no more
        let many = cost_of(text, &[("n", 3), ("e", 700)]);
        assert_eq!(many.bytes_read, 100 * 2 * 4 + 4 * 4 + 700 * 4 + 3 * 2 * 4);
    }
}
