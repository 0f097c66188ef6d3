//! Evaluates kernel IR element by element: slow, and easy to check by reading.

use super::Case;
use super::value::{Term, Value, operated, reduced};
use gavotte_core::aval::{Dim, Literal, Sizes};
use gavotte_core::ir::{Index, Scalar, ScalarOp};
use gavotte_core::kernel::{Instr, Kernel, LoopKind};
use std::ops::Range;

/// A computed position, or an offset, is outside its array.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outside;

/// A position with numeric sizes.
enum At {
    Affine(i64, Vec<(usize, i64)>),
    Value(usize),
}

/// The admissible values of each output, or an error if the kernel reads outside an array.
pub fn evaluate(case: &Case) -> Result<Vec<Vec<Value>>, Outside> {
    Evaluation::new(case).run()
}

struct Evaluation<'a> {
    case: &'a Case,
    extents: Vec<usize>,
    /// The positions of each instruction, and the shape of what it loads.
    places: Vec<(Vec<At>, Vec<usize>)>,
    /// For each result, the factors of a product that nothing else reads.
    factors: Vec<Option<(usize, usize)>>,
}

fn number(dim: &Dim, sizes: &Sizes) -> i64 {
    dim.at(sizes).as_number().expect("every symbol has a size")
}

fn place(index: &Index, sizes: &Sizes) -> At {
    match index {
        Index::Value(Scalar(i)) => At::Value(*i as usize),
        Index::Affine { constant, terms } => {
            let terms = terms.iter().map(|(l, stride)| (*l as usize, number(stride, sizes)));
            At::Affine(number(constant, sizes), terms.collect())
        }
    }
}

/// The factors of a result that is a product, if nothing else reads it.
fn factors(kernel: &Kernel, result: Scalar) -> Option<(usize, usize)> {
    let Instr::Op(ScalarOp::Mul, ins) = &kernel.body[result.0 as usize] else { return None };
    let reads = |instr: &Instr| match instr {
        Instr::Op(_, ins) => ins.contains(&result),
        Instr::Load(_, index) => index.contains(&Index::Value(result)),
        _ => false,
    };
    (!kernel.body.iter().any(reads)).then_some((ins[0].0 as usize, ins[1].0 as usize))
}

impl<'a> Evaluation<'a> {
    fn new(case: &'a Case) -> Self {
        let Case { kernel, sizes, inputs, .. } = case;
        let places = kernel.body.iter().map(|instr| match instr {
            Instr::Load(input, index) => {
                (index.iter().map(|at| place(at, sizes)).collect(), inputs[*input as usize].shape().to_vec())
            }
            Instr::Position(at) => (vec![place(at, sizes)], vec![]),
            _ => (vec![], vec![]),
        });
        Evaluation {
            case,
            extents: kernel.loops.iter().map(|l| number(&l.extent, sizes) as usize).collect(),
            places: places.collect(),
            factors: kernel.results.iter().map(|result| factors(kernel, *result)).collect(),
        }
    }

    fn run(&self) -> Result<Vec<Vec<Value>>, Outside> {
        let kernel = &self.case.kernel;
        let n_row = kernel.n_row();
        let mut outputs = vec![vec![]; kernel.results.len()];
        let rows: Vec<Range<usize>> = self.extents[..n_row].iter().map(|n| 0..*n).collect();
        for row in points(&rows) {
            let inner = self.inner(&row)?;
            let mut terms = vec![vec![]; kernel.results.len()];
            for rest in points(&inner) {
                let at: Vec<usize> = row.iter().chain(&rest).copied().collect();
                let values = self.body(&at)?;
                for ((terms, result), factors) in terms.iter_mut().zip(&kernel.results).zip(&self.factors) {
                    let factors = factors.map(|(a, b)| (values[a], values[b]));
                    terms.push(Term { value: values[result.0 as usize], factors });
                }
            }
            for ((output, terms), (_, aval)) in outputs.iter_mut().zip(&terms).zip(&kernel.outputs) {
                output.push(match kernel.reduce {
                    None => terms[0].value,
                    Some(op) => reduced(op, aval.dtype, terms),
                });
            }
        }
        Ok(outputs)
    }

    /// The ranges of the loops that are not rows, for one row.
    fn inner(&self, row: &[usize]) -> Result<Vec<Range<usize>>, Outside> {
        let loops = self.case.kernel.loops.iter().zip(&self.extents).skip(row.len());
        let range = |(l, extent): (&gavotte_core::kernel::Loop, &usize)| match l.kind {
            LoopKind::Row | LoopKind::Reduce => Ok(0..*extent),
            LoopKind::Segment { segment, offsets } => {
                let (s, offsets) = (row[segment as usize], &self.case.inputs[offsets as usize]);
                let offset = |i: usize| offsets.as_slice::<i32>()[i];
                let inside = |at: i32| usize::try_from(at).ok().filter(|at| at <= extent).ok_or(Outside);
                Ok(inside(offset(s))?..inside(offset(s + 1))?)
            }
        };
        loops.map(range).collect()
    }

    /// Every scalar of the body at one point of the loops.
    fn body(&self, at: &[usize]) -> Result<Vec<Value>, Outside> {
        let Case { kernel, sizes, inputs, .. } = self.case;
        let mut values: Vec<Value> = Vec::with_capacity(kernel.body.len());
        for (instr, (places, shape)) in kernel.body.iter().zip(&self.places) {
            let position = |place: &At| match place {
                At::Affine(constant, terms) => {
                    Some(constant + terms.iter().map(|(l, stride)| at[*l] as i64 * stride).sum::<i64>())
                }
                At::Value(i) => match values[*i] {
                    Value::Exact(Literal::I32(x)) => Some(i64::from(x)),
                    _ => None,
                },
            };
            let value = match instr {
                Instr::Const(literal) => Value::Exact(*literal),
                Instr::Size(dim, dtype) => Value::Exact(Literal::from_f64(*dtype, number(dim, sizes) as f64)),
                Instr::Position(_) => Value::Exact(Literal::I32(position(&places[0]).expect("an affine one") as i32)),
                Instr::Load(input, _) => {
                    let mut offset = 0;
                    for (place, extent) in places.iter().zip(shape) {
                        let at = position(place).expect("positions are exact: the generator sees to that");
                        let at = usize::try_from(at).ok().filter(|at| at < extent);
                        match (at, place) {
                            (Some(at), _) => offset = offset * extent + at,
                            (None, At::Value(_)) => return Err(Outside),
                            (None, At::Affine(..)) => panic!("the kernel's own position is outside of its array"),
                        }
                    }
                    Value::Exact(inputs[*input as usize].get(offset))
                }
                Instr::Op(op, ins) => {
                    let ins: Vec<Value> = ins.iter().map(|s| values[s.0 as usize]).collect();
                    operated(*op, &ins)
                }
            };
            values.push(value);
        }
        Ok(values)
    }
}

/// Every point of a box, the last coordinate fastest.
fn points(ranges: &[Range<usize>]) -> impl Iterator<Item = Vec<usize>> + '_ {
    let n: usize = ranges.iter().map(|range| range.len()).product();
    (0..n).map(|mut i| {
        let mut at: Vec<usize> = ranges
            .iter()
            .rev()
            .map(|range| {
                let x = range.start + i % range.len();
                i /= range.len();
                x
            })
            .collect();
        at.reverse();
        at
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use gavotte_core::aval::Symbol;
    use gavotte_core::device::HostArray;
    use gavotte_core::kernel::parse_kernel;

    fn computed(text: &str, n: usize, inputs: Vec<HostArray>) -> Result<Vec<f64>, Outside> {
        let kernel = parse_kernel(text).unwrap_or_else(|error| panic!("{error}"));
        let mut sizes = Sizes::new();
        sizes.set(Symbol::new("n"), n).expect("it has no size yet");
        let values = evaluate(&Case { seed: 0, kernel, sizes, inputs })?.swap_remove(0);
        let number = |value| match value {
            Value::Exact(x) | Value::Between(x, _) => x.as_f64(),
            Value::Anything => f64::NAN,
        };
        Ok(values.into_iter().map(number).collect())
    }

    #[test]
    fn a_product_of_matrices() {
        let text = "kernel @dot(%0: f32[n,3], %1: f32[3,2]) -> (%2: f32[n,2]) {
            row i0: n row i1: 2 reduce i2: 3
            $0: f32 = load %0[i0, i2]
            $1: f32 = load %1[i2, i1]
            $2: f32 = mul $0, $1
            sum $2 -> %2 }";
        let a = HostArray::new(&[2, 3], vec![1f32, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let b = HostArray::new(&[3, 2], vec![1f32, 0.0, -1.0, 2.0, 0.5, 1.0]);
        assert_eq!(computed(text, 2, vec![a, b]), Ok(vec![0.5, 7.0, 2.0, 16.0]));
    }

    /// Members in order, an empty segment, and a member that belongs to no segment.
    #[test]
    fn segments_of_any_row_loop() {
        let text = "kernel @seg(%0: i32[n+1], %1: i32[4], %2: i32[2,5]) -> (%3: i32[2,n]) {
            row i0: 2 row i1: n segment i2: 4 of i1 by %0
            $0: i32 = load %1[i2]
            $1: i32 = load %2[i0, $0]
            max $1 -> %3 }";
        let arrays = |order: [i32; 4]| {
            let data = HostArray::new(&[2, 5], vec![1, 9, 3, 4, 5, -1, -2, -3, -4, -5]);
            vec![HostArray::new(&[4], vec![0, 2, 2, 3]), HostArray::new(&[4], order.to_vec()), data]
        };
        let none = f64::from(i32::MIN);
        assert_eq!(computed(text, 3, arrays([4, 0, 2, 1])), Ok(vec![5.0, none, 3.0, -1.0, none, -3.0]));
        assert_eq!(computed(text, 3, arrays([4, 5, 2, 1])), Err(Outside));
        // Nobody reads the last member.
        assert!(computed(text, 3, arrays([4, 0, 2, -1])).is_ok());
    }
}
