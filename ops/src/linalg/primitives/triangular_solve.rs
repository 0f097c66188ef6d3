//! `triangular_solve`: systems of equations whose matrix is a triangle.

use super::{alike, batched, last_two, leading, matrices, sample, square};
use crate::Array;
use crate::linalg::host::Real;
use crate::linalg::host::triangular::{Triangle, solve};
use crate::movement::{operands, reshape};
use gavotte_core::aval::{Aval, Dim, Literal};
use gavotte_core::device::{Data, HostArray};
use gavotte_core::error::TypeError;
use gavotte_core::ir::stablehlo::{Export, Operand};
use gavotte_core::ir::structural::{add_any, move_axis};
use gavotte_core::ir::{
    Batch, Batched, Jvp, Kind, Params, Primitive, Sample, Transpose, Unsupported, Value, bind1, require_shape,
};
use gavotte_core::runtime::Place;

/// Substitution.
#[derive(Debug)]
struct TriangularSolve;
/// The primitive `triangular_solve {left, lower, transposed, unit}` of `A` and `B`: `X` with `A·X = B` if `left`, otherwise
/// `X·A = B`, of which only one triangle of `A` is read, the lower or the upper one. If `transposed`, `Aᵀ` takes the place of
/// that triangle; if `unit`, its diagonal counts as ones and is not read.
pub(super) static TRIANGULAR_SOLVE: &dyn Primitive = &TriangularSolve;

/// The attributes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::linalg) struct Side {
    pub(in crate::linalg) left: bool,
    pub(in crate::linalg) lower: bool,
    pub(in crate::linalg) transposed: bool,
    pub(in crate::linalg) unit: bool,
}

impl Side {
    /// `A·X = B`, the diagonal included.
    pub(in crate::linalg) fn left(lower: bool, transposed: bool) -> Side {
        Side { left: true, lower, transposed, unit: false }
    }

    /// `X·A = B`, the diagonal included.
    pub(in crate::linalg) fn right(lower: bool, transposed: bool) -> Side {
        Side { left: false, lower, transposed, unit: false }
    }

    fn read(of: impl Fn(&str) -> Result<Literal, TypeError>) -> Result<Side, TypeError> {
        let is = |name: &str| match of(name)? {
            Literal::Bool(is) => Ok(is),
            other => Err(TypeError::new(format!("`{name}` must be true or false, not {other}"))),
        };
        Ok(Side { left: is("left")?, lower: is("lower")?, transposed: is("transposed")?, unit: is("unit")? })
    }

    fn of(params: &Params) -> Side {
        Side::read(|name| Ok(params.literal(name))).expect("abstract_eval has read it")
    }

    fn params(self) -> Params {
        let with = |params: Params, (name, is): (&'static str, bool)| params.with(name, Literal::Bool(is));
        let all = [("left", self.left), ("lower", self.lower), ("transposed", self.transposed), ("unit", self.unit)];
        all.into_iter().fold(Params::new(), with)
    }

    /// What the triangle is to these matrices, as a factor: the elements that are read, transposed where it says so.
    #[track_caller]
    fn triangle(self, a: &Array) -> Array {
        let off = i32::from(self.unit);
        let part = if self.lower { a.tril(-off) } else { a.triu(off) };
        if self.transposed { part.swap_axes(-1, -2) } else { part }
    }
}

/// `X` with `A·X = B` or `X·A = B`.
#[track_caller]
pub(in crate::linalg) fn triangular_solve(a: &Array, b: &Array, side: Side) -> Array {
    Array(bind1(TRIANGULAR_SOLVE, &[&a.0, &b.0], side.params()))
}

fn solutions<T: Real>(a: &HostArray, b: &HostArray, side: Side) -> HostArray {
    let ([n, _], [rows, columns]) = (last_two(a), last_two(b));
    let mut out = b.as_slice::<T>().to_vec();
    let matrices = a.as_slice::<T>().chunks_exact((n * n).max(1));
    for (a, b) in matrices.zip(out.chunks_exact_mut((rows * columns).max(1))) {
        let (mut place, mut at, mut is_lower, mut m) = (Place::rows(n), Place::rows(columns), side.lower, columns);
        let mut turns = side.transposed;
        if !side.left {
            // Aᵀ Xᵀ = Bᵀ.
            (at, m, turns) = (at.transposed(), rows, !turns);
        }
        if turns {
            (place, is_lower) = (place.transposed(), !is_lower);
        }
        solve(Triangle { memory: a, place, n, is_unit: side.unit }, is_lower, b, at, m);
    }
    HostArray::new(&b.shape(), out)
}

impl Primitive for TriangularSolve {
    fn name(&self) -> &'static str {
        "triangular_solve"
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["left", "lower", "transposed", "unit"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let ([a, b], side) = (operands(ins)?, Side::read(|name| params.try_literal(name))?);
        let (n, [rows, columns]) = (square(a)?, matrices(b)?);
        let why = || format!("{a} and {b} do not fit");
        if a.dtype != b.dtype || a.rank() != b.rank() {
            return Err(TypeError::new(why()));
        }
        alike(n, if side.left { rows } else { columns }, why)?;
        require_shape(leading(a), leading(b), why)?;
        if leading(a) != leading(b) {
            return Err(TypeError::new(format!("{}: name equal extents alike, with `reshape`", why())));
        }
        Ok(vec![b.clone()])
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        let side = Side::of(params);
        vec![match ins[0].data() {
            Data::F32(_) => solutions::<f32>(ins[0], ins[1], side),
            _ => solutions::<f64>(ins[0], ins[1], side),
        }]
    }
    // A X = B: A dX = dB - dA X; X A = B: dX A = dB - X dA.
    // Source: Giles, *An extended collection of matrix derivative results for forward and reverse mode automatic
    // differentiation* (Oxford, 2008), 2.3.1.
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        let side = Side::of(cx.params);
        let [a, x] = [&cx.primals[0], &cx.outs[0]].map(|x| Array(x.clone()));
        let moved = cx.tangents[0].as_ref().map(|t| {
            let t = side.triangle(&Array(t.clone()));
            -(if side.left { t.matmul(&x) } else { x.matmul(&t) })
        });
        let right = match (moved, &cx.tangents[1]) {
            (Some(moved), Some(t)) => Some(add_any(&moved.0, t)),
            (moved, t) => moved.map(|moved| moved.0).or_else(|| t.clone()),
        };
        vec![right.map(|right| triangular_solve(&a, &Array(right), side).0)]
    }
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        let side = Side::of(cx.params);
        let Some(a) = cx.ins[0].known() else { return super::not_linear("triangular_solve") };
        let side = Side { transposed: !side.transposed, ..side };
        vec![None, Some(triangular_solve(&Array(a.clone()), &Array(cx.cotangent().clone()), side).0)]
    }
    /// A new axis of the right sides alone is one of more right sides.
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let ((a, None), (b, Some(at))) = (&cx.ins[0], &cx.ins[1]) else { return batched(TRIANGULAR_SOLVE, cx) };
        let side = Side::of(cx.params);
        let last = b.rank() - 1;
        let place = if side.left { last } else { last - 2 };
        let moved = move_axis(b, *at, place);
        let (front, end) = moved.shape().split_at(last - 2);
        let [i, j, k] = end else { unreachable!("a matrix and one more axis") };
        let folded = if side.left { [i.clone(), j * k] } else { [i * j, k.clone()] };
        let shape: Vec<Dim> = front.iter().cloned().chain(folded).collect();
        let solved = triangular_solve(&Array(a.clone()), &Array(reshape(&moved, &shape)), side);
        vec![(reshape(&solved.0, moved.shape()), Some(place))]
    }
    fn kind(&self) -> Kind {
        Kind::Opaque
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let (a, b, out, side) = (cx.operand(0), cx.operand(1), cx.output(0), Side::of(cx.params()));
        if b.shape().contains(&0) {
            return Ok(vec![b]);
        }
        let transposed = if side.transposed { "TRANSPOSE" } else { "NO_TRANSPOSE" };
        let attrs = [
            ("left_side", side.left.to_string()),
            ("lower", side.lower.to_string()),
            ("unit_diagonal", side.unit.to_string()),
            ("transpose_a", format!("#stablehlo<transpose {transposed}>")),
        ];
        Ok(vec![cx.op("triangular_solve", &[&a, &b], &attrs, out)])
    }
    fn samples(&self) -> Vec<Sample> {
        let mut samples = vec![];
        let names = [
            "left lower",
            "left lower unit",
            "left lower transposed",
            "left lower transposed unit",
            "left upper",
            "left upper unit",
            "left upper transposed",
            "left upper transposed unit",
            "right lower",
            "right lower unit",
            "right lower transposed",
            "right lower transposed unit",
            "right upper",
            "right upper unit",
            "right upper transposed",
            "right upper transposed unit",
        ];
        for (i, name) in names.into_iter().enumerate() {
            let is = |bit: usize| i >> bit & 1 == 1;
            let side = Side { left: !is(3), lower: !is(2), transposed: is(1), unit: is(0) };
            let b = if side.left { [3, 2] } else { [2, 3] };
            samples.push(Sample::new(name, vec![sample(&[3, 3], 3.0), sample(&b, 0.0)], side.params()));
        }
        let left = Side::left(true, false).params();
        let batch = vec![sample(&[2, 3, 3], 3.0), sample(&[2, 3, 1], 0.0)];
        let wide = HostArray::new(&[2, 2], vec![2.0f64, 0.5, 0.25, 1.0]);
        samples.push(Sample::new("a batch", batch, left.clone()));
        samples.push(Sample::new("f64", vec![wide.clone(), wide], left));
        samples
    }
}
