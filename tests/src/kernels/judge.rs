//! One kernel on one target, launched in several ways, compared with its admissible values.

use super::Case;
use super::value::Value;
use crate::arrays::Random;
use crate::launch::guard::Side;
use crate::launch::{KernelTarget, Launch, Pieces, Refused};
use gavotte_core::aval::{DType, Literal};
use gavotte_core::ir::Index;
use gavotte_core::kernel::{Instr, LoopKind};
use std::ops::Range;

/// The outcome of a launch that was not wrong.
#[derive(Clone, PartialEq, Debug)]
pub enum Verdict {
    /// All outputs are right.
    Right {
        /// Elements that were compared.
        compared: usize,
        /// Elements for which any value is right.
        free: usize,
    },
    /// The target has no such kernels.
    Unsupported(String),
    /// A position was outside its array.
    OutOfBounds,
}

/// Launches a case and compares the outputs; `Err` says where they differ.
pub fn judge(
    target: &dyn KernelTarget,
    case: &Case,
    inputs: &[Vec<u8>],
    launch: &Launch,
    wanted: &[Vec<Value>],
) -> Result<Verdict, String> {
    let outputs = match launch.run(target, &case.kernel, &case.sizes, inputs) {
        Ok(outputs) => outputs.map_err(|why| format!("{} {launch:?}: {why}", target.name()))?,
        Err(Refused::Unsupported(why)) => return Ok(Verdict::Unsupported(why)),
        Err(Refused::OutOfBounds) => return Ok(Verdict::OutOfBounds),
    };
    let (compared, free) =
        compared(case, &outputs, wanted, &|_| 0.0).map_err(|why| format!("{} {launch:?}: {why}", target.name()))?;
    Ok(Verdict::Right { compared, free })
}

/// Compares the bytes of outputs with the admissible values of a case. Returns how many elements were compared, and for
/// how many any value is right; `Err` says where they differ. `relative` is the share by which floats of a type may
/// exceed the admissible values.
pub fn compared(
    case: &Case,
    outputs: &[Vec<u8>],
    wanted: &[Vec<Value>],
    relative: &dyn Fn(DType) -> f64,
) -> Result<(usize, usize), String> {
    let (mut compared, mut free) = (0, 0);
    for ((bytes, wanted), (var, aval)) in outputs.iter().zip(wanted).zip(&case.kernel.outputs) {
        let found = bytes.chunks_exact(aval.dtype.size());
        assert_eq!(found.len(), wanted.len(), "elements of {var}");
        for (i, (found, wanted)) in found.zip(wanted).enumerate() {
            let is_right =
                literal(aval.dtype, found).is_some_and(|found| wanted.admits_within(found, relative(aval.dtype)));
            if !is_right {
                let found = literal(aval.dtype, found).map_or(format!("{found:?}"), |found| found.to_string());
                return Err(format!("{var}, element {i} is {found}, not {wanted:?}"));
            }
            match wanted {
                Value::Anything => free += 1,
                Value::Exact(_) | Value::Between(..) => compared += 1,
            }
        }
    }
    Ok((compared, free))
}

/// The element of these bytes; a `bool` is 0 or 1.
fn literal(dtype: DType, bytes: &[u8]) -> Option<Literal> {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    let bits = u64::from_le_bytes(word);
    (dtype != DType::Bool || bits <= 1).then(|| Literal::from_bits(dtype, bits))
}

/// The ways to launch a case: at both ends of its pages, off by one element, cut along each loop that may be cut, and
/// over its own input.
pub fn launches(case: &Case, random: &mut Random) -> Vec<Launch> {
    let whole = |side| Launch { side, in_place: None, pieces: None };
    let mut all = vec![whole(Side::End), whole(Side::Start), whole(Side::Shifted)];
    for (axis, n) in cuttable(case) {
        all.push(Launch { pieces: Some(Pieces { axis, ranges: cut(n, random) }), ..whole(Side::End) });
    }
    all.extend(donor(case).map(|input| Launch { in_place: Some(input), ..whole(Side::End) }));
    all
}

/// The first row loop and the first reduce loop, with their extents. A loop without points cannot be cut.
fn cuttable(case: &Case) -> Vec<(usize, usize)> {
    let extent = |axis: usize| case.kernel.loops[axis].extent.at(&case.sizes).as_usize();
    let first = |kind: LoopKind| {
        let axis = case.kernel.loops.iter().position(|l| l.kind == kind)?;
        Some((axis, extent(axis).expect("every symbol has a size"))).filter(|(_, n)| *n > 0)
    };
    [LoopKind::Row, LoopKind::Reduce].into_iter().filter_map(first).collect()
}

/// The points below `n` in up to four ranges, in reverse order half of the time.
fn cut(n: usize, random: &mut Random) -> Vec<Range<usize>> {
    let mut borders: Vec<usize> = (0..random.below(4)).map(|_| random.below(n + 1)).chain([0, n]).collect();
    borders.sort_unstable();
    let mut ranges: Vec<Range<usize>> = borders.windows(2).map(|pair| pair[0]..pair[1]).collect();
    if random.below(2) == 1 {
        ranges.reverse();
    }
    ranges
}

/// An input that the kernel reads only at the written place, of the type of its only output.
fn donor(case: &Case) -> Option<usize> {
    let kernel = &case.kernel;
    let [(_, output)] = &kernel.outputs[..] else { return None };
    if kernel.reduce.is_some() {
        return None;
    }
    let is_written_place = |(i, at): (usize, &Index)| match at {
        Index::Affine { constant, terms } => {
            *constant == 0usize && matches!(&terms[..], [(l, one)] if *l as usize == i && *one == 1usize)
        }
        Index::Value(_) => false,
    };
    let reads_in_place = |input: usize| {
        kernel.body.iter().all(|instr| match instr {
            Instr::Load(read, index) => *read as usize != input || index.iter().enumerate().all(is_written_place),
            _ => true,
        })
    };
    (0..kernel.inputs.len()).find(|input| kernel.inputs[*input].1 == *output && reads_in_place(*input))
}
