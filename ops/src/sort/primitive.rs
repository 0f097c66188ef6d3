//! `sort`: rows in the order of some of their arrays.

use super::order::Sorter;
use crate::gather::gather;
use crate::iota;
use gavotte_core::aval::{Aval, DType, Literal, Shape};
use gavotte_core::device::{HostArray, HostElement};
use gavotte_core::error::TypeError;
use gavotte_core::ir::stablehlo::{Export, Operand, number};
use gavotte_core::ir::structural::place_axis;
use gavotte_core::ir::{
    Batch, Batched, Kind, Params, Primitive, Pushed, Sample, ScalarOp, Unsupported, Value, ValueAndJvp, bind,
    require_shape,
};
use gavotte_core::with_data;
use smallvec::SmallVec;

/// Sorts along the last axis.
#[derive(Debug)]
struct Sort {
    is_descending: bool,
}
/// The primitive `sort {keys}` of arrays of one shape: each row along the last axis in the order of the first `keys`
/// arrays, of which the first decides, among equals the next. NaN comes last, zeros of both signs are equal, and what is
/// equal keeps its order.
pub(super) static SORT: &dyn Primitive = &Sort { is_descending: false };
/// The primitive `sort_descending {keys}`: like `sort` in the opposite order, NaN first. What is equal keeps its order.
pub(super) static SORT_DESCENDING: &dyn Primitive = &Sort { is_descending: true };

/// The arrays, sorted along the last axis by the first `keys` of them.
#[track_caller]
pub(super) fn sort(operands: &[&Value], keys: usize, is_descending: bool) -> SmallVec<[Value; 1]> {
    let prim = if is_descending { SORT_DESCENDING } else { SORT };
    bind(prim, operands, Params::new().with("keys", keys))
}

/// The positions along the last axis of an array of this shape.
#[track_caller]
pub(super) fn positions(shape: &Shape) -> Value {
    iota(shape.iter().cloned(), shape.len() - 1, DType::I32).into()
}

fn permuted<T: HostElement>(xs: &[T], n: usize, orders: &[Vec<u32>]) -> Vec<T> {
    orders.iter().enumerate().flat_map(|(row, order)| order.iter().map(move |i| xs[row * n + *i as usize])).collect()
}

impl Sort {
    /// Whether an element comes before another, and whether they are equal; for NaN, too.
    fn compare(&self, cx: &mut Export<'_>, pair: &[Operand]) -> [Operand; 2] {
        let (a, b) = if self.is_descending { (&pair[1], &pair[0]) } else { (&pair[0], &pair[1]) };
        let mut of = |op, ins: [&Operand; 2]| cx.scalar(op, &ins.map(Operand::clone));
        let (less, equal) = (of(ScalarOp::Lt, [a, b]), of(ScalarOp::Eq, [a, b]));
        if !a.aval().dtype.is_float() {
            return [less, equal];
        }
        let [a_is_nan, b_is_nan] = [a, b].map(|x| of(ScalarOp::Ne, [x, x]));
        let a_is_number = of(ScalarOp::Eq, [a, a]);
        let before_nan = of(ScalarOp::And, [&a_is_number, &b_is_nan]);
        let both = of(ScalarOp::And, [&a_is_nan, &b_is_nan]);
        [of(ScalarOp::Or, [&less, &before_nan]), of(ScalarOp::Or, [&equal, &both])]
    }
}

impl Primitive for Sort {
    fn name(&self) -> &'static str {
        if self.is_descending { "sort_descending" } else { "sort" }
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["keys"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let keys = params.try_axis("keys")?;
        let Some(first) = ins.first().filter(|first| first.rank() > 0) else {
            return Err(TypeError::new("takes arrays with an axis to sort along"));
        };
        if keys == 0 || keys > ins.len() {
            return Err(TypeError::new(format!("sorts by 1 to {} arrays, not {keys}", ins.len())));
        }
        for x in &ins[1..] {
            let why = || format!("the arrays must have one shape, not {first} and {x}");
            if x.shape != first.shape {
                require_shape(&x.shape, &first.shape, why)?;
                return Err(TypeError::new(format!("{}: name equal extents alike, with `reshape`", why())));
            }
        }
        let n = first.shape.last().expect("it has an axis");
        if n.as_number().is_some_and(|n| n > i32::MAX.into()) {
            return Err(TypeError::new(format!("the last axis of {first} has positions beyond i32: split the array")));
        }
        Ok(ins.iter().map(|x| (*x).clone()).collect())
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        let shape = ins[0].shape();
        let n = shape[shape.len() - 1];
        let rows = ins[0].len().checked_div(n).unwrap_or(0);
        let mut sorter = Sorter::new(&ins[..params.axis("keys")], self.is_descending);
        let mut orders = vec![vec![]; rows];
        orders.iter_mut().enumerate().for_each(|(row, order)| sorter.row(row * n, n, order));
        let sorted = |x: &HostArray| with_data!(x.data(), xs => HostArray::new(&shape, permuted(xs, n, &orders)));
        ins.iter().map(|x| sorted(x)).collect()
    }
    // the tangents move as their elements do; their positions are sorted with them
    fn value_and_jvp(&self, cx: &ValueAndJvp<'_>) -> Option<Pushed> {
        let numbers = positions(cx.primals[0].shape());
        let operands: Vec<&Value> = cx.primals.iter().chain([&numbers]).collect();
        let mut outs = sort(&operands, cx.params.axis("keys"), self.is_descending);
        let order = outs.pop().expect("the positions are the last operand");
        let last = order.rank() - 1;
        let tangents = cx.tangents.iter().map(|t| t.as_ref().map(|t| gather(t, &order, last, last))).collect();
        Some((outs, tangents))
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let ins: Vec<Value> = cx.ins.iter().map(|x| place_axis(x, 0, cx.size)).collect();
        let outs = sort(&ins.iter().collect::<Vec<_>>(), cx.params.axis("keys"), self.is_descending);
        outs.into_iter().map(|out| (out, Some(0))).collect()
    }
    fn kind(&self) -> Kind {
        Kind::Opaque
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let (ins, keys, outs) = (cx.operands(), cx.params().axis("keys"), cx.outputs());
        let scalars = ins.iter().flat_map(|x| [Aval::scalar(x.aval().dtype), Aval::scalar(x.aval().dtype)]).collect();
        let mut body = |cx: &mut Export<'_>, elements: &[Operand]| {
            // From the last key to the first: one decides where those before it are equal.
            let mut before = cx.constant(Literal::Bool(false));
            for pair in elements.chunks(2).take(keys).rev() {
                let [less, equal] = self.compare(cx, pair);
                let later = cx.scalar(ScalarOp::And, &[equal, before]);
                before = cx.scalar(ScalarOp::Or, &[less, later]);
            }
            Ok(vec![before])
        };
        let attrs = [("dimension", number(ins[0].rank() - 1)), ("is_stable", "true".to_string())];
        cx.op_with("sort", &ins.iter().collect::<Vec<_>>(), &attrs, &outs, &mut [(scalars, &mut body)])
    }
    fn samples(&self) -> Vec<Sample> {
        let floats = |shape: &[usize], xs: &[f32]| HostArray::new(shape, xs.to_vec());
        let ints = |shape: &[usize], xs: &[i32]| HostArray::new(shape, xs.to_vec());
        let by = |keys: usize| Params::new().with("keys", keys);
        let unequal = floats(&[2, 4], &[0.5, -1.5, 2.0, 0.25, 3.0, 1.0, -2.0, 0.75]);
        let payload = floats(&[2, 4], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        let special = floats(&[6], &[f32::NAN, 0.0, f32::INFINITY, -0.0, f32::NEG_INFINITY, -1.0]);
        vec![
            Sample::new("rows", vec![unequal.clone()], by(1)),
            Sample::new("with a payload", vec![unequal.clone(), payload], by(1)),
            Sample::new(
                "ties keep their order",
                vec![ints(&[5], &[2, 1, 2, 1, 2]), ints(&[5], &[0, 1, 2, 3, 4])],
                by(1),
            ),
            Sample::new(
                "two keys",
                vec![
                    ints(&[5], &[2, 1, 2, 1, 2]),
                    floats(&[5], &[3.0, 1.5, -1.0, 0.5, 2.0]),
                    ints(&[5], &[0, 1, 2, 3, 4]),
                ],
                by(2),
            ),
            Sample::new("zeros and NaN", vec![special, ints(&[6], &[0, 1, 2, 3, 4, 5])], by(1)),
            Sample::new("f64", vec![HostArray::new(&[3], vec![2.5f64, -1.0, 0.5])], by(1)),
            Sample::new("bool", vec![HostArray::new(&[4], vec![true, false, true, false])], by(1)),
            Sample::new("words", vec![HostArray::new(&[3], vec![u32::MAX, 0, 7])], by(1)),
        ]
    }
}
