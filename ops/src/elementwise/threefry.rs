//! `threefry2x32`: random bits as a function of a key and a counter.

use super::eval::eval;
use super::{batch, common_shape, read_all};
use gavotte_core::aval::{Aval, DType, Literal};
use gavotte_core::device::HostArray;
use gavotte_core::error::TypeError;
use gavotte_core::ir::stablehlo::{Export, Operand};
use gavotte_core::ir::{
    Batch, Batched, Jvp, Kind, Lower, Params, Primitive, Sample, Scalar, ScalarOp, Unsupported, Value,
};

/// The block function: both words for the counter `[x0, x1]` under the key `[k0, k1]`.
///
/// Source: Salmon et al., *Parallel random numbers: as easy as 1, 2, 3* (SC 2011); 20 rounds, as in JAX.
pub(crate) fn threefry2x32([k0, k1]: [u32; 2], [mut x0, mut x1]: [u32; 2]) -> [u32; 2] {
    const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
    let keys = [k0, k1, k0 ^ k1 ^ 0x1bd1_1bda];
    x0 = x0.wrapping_add(keys[0]);
    x1 = x1.wrapping_add(keys[1]);
    for i in 0..5 {
        for rotation in ROTATIONS[i % 2] {
            x0 = x0.wrapping_add(x1);
            x1 = x1.rotate_left(rotation) ^ x0;
        }
        x0 = x0.wrapping_add(keys[(i + 1) % 3]);
        x1 = x1.wrapping_add(keys[(i + 2) % 3]).wrapping_add(i as u32 + 1);
    }
    [x0, x1]
}

/// Two random words per counter.
#[derive(Debug)]
struct Threefry;
/// The primitive `threefry2x32 k0, k1, x0, x1`: two outputs.
pub(crate) static THREEFRY2X32: &dyn Primitive = &Threefry;

const WORDS: [ScalarOp; 2] = [ScalarOp::Threefry0, ScalarOp::Threefry1];

impl Primitive for Threefry {
    fn name(&self) -> &'static str {
        "threefry2x32"
    }
    fn abstract_eval(&self, ins: &[&Aval], _: &Params) -> Result<Vec<Aval>, TypeError> {
        if ins.len() != 4 || ins.iter().any(|aval| aval.dtype != DType::U32) {
            return Err(TypeError::new("takes two words of a key and two of a counter, all u32"));
        }
        let out = Aval { dtype: DType::U32, shape: common_shape(ins)? };
        Ok(vec![out.clone(), out])
    }
    fn eval(&self, ins: &[&HostArray], _: &Params) -> Vec<HostArray> {
        WORDS.map(|word| eval(word, ins)).to_vec()
    }
    // integers have no tangents
    fn jvp(&self, _: &Jvp<'_>) -> Vec<Option<Value>> {
        vec![None, None]
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        batch(self.name(), cx)
    }
    fn kind(&self) -> Kind {
        Kind::Map { cost: ScalarOp::Threefry0.cost() }
    }
    fn lower(&self, cx: &mut dyn Lower) -> Result<Vec<Scalar>, Unsupported> {
        let ins = read_all(cx)?;
        Ok(WORDS.iter().map(|word| cx.op(*word, &ins)).collect())
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let ins = cx.fitted();
        let [k0, k1, x0, x1] = &ins[..] else { unreachable!("abstract_eval counts operands") };
        Ok(cx.threefry2x32([k0, k1, x0, x1]).to_vec())
    }
    fn samples(&self) -> Vec<Sample> {
        let words = |xs: [u32; 4]| HostArray::new(&[2, 2], xs.to_vec());
        let scalar = |x: u32| HostArray::scalar(Literal::U32(x));
        let counter = words([0, 1, u32::MAX, 0x243f_6a88]);
        vec![
            Sample::new("one key", vec![scalar(0), scalar(42), scalar(0), counter.clone()], Params::new()),
            Sample::new(
                "keys",
                vec![words([1, 2, 3, u32::MAX]), words([5, 6, 7, u32::MAX]), words([0, 1, 0, u32::MAX]), counter],
                Params::new(),
            ),
            Sample::new("scalars", vec![scalar(1), scalar(2), scalar(3), scalar(4)], Params::new()),
        ]
    }
}
