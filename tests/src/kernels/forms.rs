//! Kernels of the forms for which machine code has special layouts, in many widths.

use super::Case;
use crate::arrays::{Random, random_array};
use gavotte_core::aval::{Aval, DType, Sizes, Symbol};
use gavotte_core::device::HostArray;
use gavotte_core::kernel::parse_kernel;

/// One of each form for each width.
pub fn forms() -> impl Iterator<Item = (String, Case)> {
    let dtypes = [DType::F32, DType::F64, DType::I32];
    let texts = dtypes.into_iter().flat_map(|dtype| {
        let short = (1..10).flat_map(move |m| [1, 2, 4].map(|h| short_rows(dtype, h, m)));
        let heads = [1, 2, 3, 8].into_iter().flat_map(move |h| [1, 3, 7, 8, 16].map(|m| weighted_heads(dtype, h, m)));
        let products = (1..10).flat_map(move |m| [1, 5, 16, 61].map(|k| product(dtype, m, k)));
        let spread = (1..18).map(move |m| spread_rows(dtype, m));
        short.chain(heads).chain(products).chain(spread).collect::<Vec<_>>()
    });
    texts.enumerate().map(|(seed, (name, text))| (name, case(seed as u64, &text)))
}

/// Rows at computed positions and rows in order, combined along their short last axis.
fn short_rows(dtype: DType, h: usize, m: usize) -> (String, String) {
    let combine = if (h + m).is_multiple_of(3) { ["max", "min", "prod"][m % 3] } else { "sum" };
    let text = format!(
        "kernel @short(%0: i32[n], %1: {dtype}[2,{h},{m}], %2: {dtype}[n,{h},{m}], %3: {dtype}[{m}]) -> (%4: \
         {dtype}[n,{h}]) {{ row i0: n row i1: {h} reduce i2: {m} $0: i32 = load %0[i0] $1: {dtype} = load %1[$0, i1, i2] \
         $2: {dtype} = load %2[i0, i1, i2] $3: {dtype} = load %3[i2] $4: {dtype} = mul $1, $2 $5: {dtype} = add $4, $3 \
         {combine} $5 -> %4 }}"
    );
    (format!("short rows of {h} by {m} {dtype}"), text)
}

/// Rows of members, each head weighted by its own number, summed by segment.
fn weighted_heads(dtype: DType, h: usize, m: usize) -> (String, String) {
    let text = format!(
        "kernel @heads(%0: i32[5], %1: i32[n], %2: {dtype}[n,{h}], %3: {dtype}[2,{h},{m}]) -> (%4: {dtype}[4,{h},{m}]) {{ \
         row i0: 4 row i1: {h} row i2: {m} segment i3: n of i0 by %0 $0: i32 = load %1[i3] $1: {dtype} = load %2[i3, i1] \
         $2: {dtype} = load %3[$0, i1, i2] $3: {dtype} = mul $1, $2 sum $3 -> %4 }}"
    );
    (format!("{h} weighted heads of {m} {dtype}"), text)
}

/// A product of matrices.
fn product(dtype: DType, m: usize, k: usize) -> (String, String) {
    let text = format!(
        "kernel @product(%0: {dtype}[n,{k}], %1: {dtype}[{k},{m}]) -> (%2: {dtype}[n,{m}]) {{ row i0: n row i1: {m} reduce \
         i2: {k} $0: {dtype} = load %0[i0, i2] $1: {dtype} = load %1[i2, i1] $2: {dtype} = mul $0, $1 sum $2 -> %2 }}"
    );
    (format!("a product of n by {k} by {m} {dtype}"), text)
}

/// A number for each row, one for each column, and the rows at computed positions.
fn spread_rows(dtype: DType, m: usize) -> (String, String) {
    let text = format!(
        "kernel @spread(%0: i32[n], %1: {dtype}[n], %2: {dtype}[{m}], %3: {dtype}[2,{m}]) -> (%4: {dtype}[n,{m}]) {{ row \
         i0: n row i1: {m} $0: i32 = load %0[i0] $1: {dtype} = load %1[i0] $2: {dtype} = load %2[i1] $3: {dtype} = load \
         %3[$0, i1] $4: {dtype} = mul $1, $3 $5: {dtype} = add $4, $2 store $5 -> %4 }}"
    );
    (format!("rows of {m} {dtype}"), text)
}

/// A kernel over some `n` rows or members, with random arrays.
fn case(seed: u64, text: &str) -> Case {
    let mut random = Random::new(seed);
    let kernel = parse_kernel(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let n = *random.pick(&[1, 2, 3, 7, 8, 9, 31, 70]);
    let mut sizes = Sizes::new();
    sizes.set(Symbol::new("n"), n).expect("it has no size yet");
    let mut array = |aval: &Aval| random_array(&aval.at(&sizes), &mut random);
    let mut inputs: Vec<HostArray> = kernel.inputs.iter().map(|(_, aval)| array(aval)).collect();
    if kernel.name == "heads" {
        // A segment without members, and one of one member.
        inputs[0] = HostArray::new(&[5], [0, n / 2, n / 2, n - 1, n].map(|at| at as i32).to_vec());
    }
    Case { seed, kernel, sizes, inputs }
}
