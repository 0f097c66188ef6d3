//! `optimization_barrier`: the identity, which keeps computations after it separate from equal ones before it.

use gavotte_core::aval::Aval;
use gavotte_core::device::HostArray;
use gavotte_core::error::TypeError;
use gavotte_core::ir::stablehlo::{Export, Operand};
use gavotte_core::ir::{
    Batch, Batched, Jvp, Kind, Params, Primitive, Sample, Transpose, Unsupported, Value, bind, is_tracing,
};
use gavotte_core::tree::Tree;

/// The identity on all its operands.
#[derive(Debug)]
struct Barrier;
/// The primitive `optimization_barrier`: output `i` is operand `i`.
pub(super) static OPTIMIZATION_BARRIER: &dyn Primitive = &Barrier;

/// The same values, after a barrier if a program is being recorded.
#[track_caller]
pub(super) fn barrier(values: &[Value]) -> Vec<Value> {
    if values.is_empty() || !is_tracing() {
        return values.to_vec();
    }
    bind(OPTIMIZATION_BARRIER, &values.iter().collect::<Vec<_>>(), Params::new()).into_vec()
}

/// The same tree, but the compiler treats it as different: what is computed from it is recomputed, even if equal
/// results exist, and only after all its leaves are computed. It costs nothing at run time.
#[track_caller]
pub fn optimization_barrier<T: Tree>(tree: T) -> T {
    let (def, leaves) = tree.into_leaves();
    T::unflatten(&def, barrier(&leaves))
}

impl Primitive for Barrier {
    fn name(&self) -> &'static str {
        "optimization_barrier"
    }
    fn abstract_eval(&self, ins: &[&Aval], _: &Params) -> Result<Vec<Aval>, TypeError> {
        match ins {
            [] => Err(TypeError::new("takes at least one operand")),
            _ => Ok(super::owned(ins)),
        }
    }
    fn eval(&self, ins: &[&HostArray], _: &Params) -> Vec<HostArray> {
        ins.iter().map(|array| (*array).clone()).collect()
    }
    // d id(x) = dx
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        cx.tangents.to_vec()
    }
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        let pairs = cx.ins.iter().zip(cx.cotangents);
        pairs.map(|(operand, cotangent)| cotangent.clone().filter(|_| operand.is_unknown())).collect()
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let values: Vec<Value> = cx.ins.iter().map(|(value, _)| value.clone()).collect();
        barrier(&values).into_iter().zip(cx.ins.iter().map(|(_, axis)| *axis)).collect()
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let (ins, outs) = (cx.operands(), cx.outputs());
        Ok(cx.op_many("optimization_barrier", &ins.iter().collect::<Vec<_>>(), &[], &outs))
    }
    fn kind(&self) -> Kind {
        Kind::Barrier
    }
    fn samples(&self) -> Vec<Sample> {
        let (x, i) =
            (HostArray::new(&[2, 3], vec![1.0f32, -2.0, 0.5, 3.0, 0.0, -1.5]), HostArray::new(&[2], vec![1, 0]));
        vec![
            Sample::new("one", vec![x.clone()], Params::new()),
            Sample::new("of several types", vec![x, i, HostArray::new(&[2], vec![0.5f32, 2.0])], Params::new()),
        ]
    }
}
