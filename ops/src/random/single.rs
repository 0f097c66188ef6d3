//! The functions of an `f32` that samplers need, as XLA computes them on a CPU, so that samples equal JAX's bit for
//! bit: the same formulas, in which a product and the sum that reads it are rounded once.
//!
//! Sources: S. L. Moshier, *Cephes*, `logf` and `log1pf`; M. Giles, *Approximating the erfinv function* (GPU Computing Gems,
//! 2011), table 5; for the error function the rational approximation of Eigen.

#![allow(clippy::excessive_precision, reason = "the digits are those of the sources")]

use crate::array::Array;
use crate::operators::where_;
use gavotte_core::aval::DType;

/// The error function.
pub(super) fn erf(x: f32) -> f32 {
    const P: [f32; 5] = [
        0.000_229_050_658_613_506_46,
        0.003_408_291_010_710_950_6,
        0.050_955_695_062_380_861,
        0.185_208_322_399_761_45,
        1.128_379_143_519_084,
    ];
    const Q: [f32; 7] = [
        -1.179_160_295_436_169_7e-7,
        0.000_023_547_966_471_313_185,
        0.001_017_962_527_891_488_5,
        0.014_070_470_171_167_667,
        0.110_985_051_782_853_62,
        0.497_469_251_100_675_38,
        1.0,
    ];
    /// From here on the result is exactly 1.
    const END: f32 = 3.832_506_856_900_711;
    let x = x.clamp(-END, END);
    let polynomial = |c: &[f32]| c.iter().fold(0.0, |p: f32, c| p.mul_add(x * x, *c));
    x * polynomial(&P) / polynomial(&Q)
}

/// `a b + c`, rounded once: the product of two singles is exact in double precision.
#[track_caller]
fn fused(a: &Array, b: &Array, c: &Array) -> Array {
    let [a, b, c] = [a, b, c].map(|x| x.astype(DType::F64));
    (a * b + c).astype(DType::F32)
}

fn single(x: f64) -> Array {
    Array::scalar(x as f32)
}

/// The polynomial with these coefficients, highest power first.
#[track_caller]
fn polynomial(x: &Array, coefficients: &[f64]) -> Array {
    let (first, rest) = coefficients.split_first().expect("a polynomial has a coefficient");
    rest.iter().fold(single(*first), |p, c| fused(&p, x, &single(*c)))
}

/// The natural logarithm of positive numbers that are not subnormal.
#[track_caller]
fn log(x: &Array) -> Array {
    // x = 2ᵉ m, with m from √½ to √2
    let bits = x.bitcast(DType::I32);
    let m = ((&bits & 0x007f_ffff) | 0x3f00_0000).bitcast(DType::F32);
    let is_small = m.lt(std::f32::consts::FRAC_1_SQRT_2);
    let e = ((bits >> 23) - 126).astype(DType::F32) - is_small.astype(DType::F32);
    let m = (&m - 1.0) + is_small.select(&m, 0.0);
    let (square, cube) = (&m * &m, &m * &m * &m);
    let part = |c: [f64; 3]| polynomial(&m, &c);
    let first = part([7.037_683_629_2e-2, -1.151_461_031_0e-1, 1.167_699_874_0e-1]);
    let second = part([-1.242_014_084_6e-1, 1.424_932_278_7e-1, -1.666_805_766_5e-1]);
    let third = part([2.000_071_476_5e-1, -2.499_999_399_3e-1, 3.333_333_117_4e-1]);
    let p = fused(&fused(&first, &cube, &second), &cube, &third);
    // log 2 in two parts, the second of which has few digits.
    let low = fused(&p, &cube, &(&e * -2.121_944_40e-4));
    let high = fused(&square, &single(-0.5), &m) + low;
    fused(&e, &single(0.693_359_375), &high)
}

/// `log(1 + x)` for `x` from -1 to 0.
#[track_caller]
fn log1p(x: &Array) -> Array {
    const P: [f64; 7] = [
        4.527_000_086_244_519_963_521_5e-5,
        4.985_410_282_319_337_597_221_2e-1,
        6.578_732_594_206_104_484_696_9,
        2.991_191_932_855_307_327_737_5e1,
        6.094_966_798_098_778_705_755_6e1,
        5.711_296_359_058_553_810_333_6e1,
        2.003_955_349_920_128_125_964_8e1,
    ];
    const Q: [f64; 7] = [
        1.0,
        1.506_290_908_346_919_204_316_7e1,
        8.304_756_596_796_721_946_943_4e1,
        2.217_623_982_373_285_646_539_4e2,
        3.090_987_222_531_205_977_493_8e2,
        2.164_278_861_449_594_768_500_3e2,
        6.011_866_049_760_384_391_930_6e1,
    ];
    let square = x * x;
    let cubic = (x * &square) * (polynomial(x, &P) / polynomial(x, &Q));
    let near = x + fused(&square, &single(-0.5), &cubic);
    where_(&x.abs().lt((2f64.sqrt() - 1.0) as f32), near, log(&(x + 1.0)))
}

/// The inverse of the error function on `(-1, 1)`; infinite at the ends.
#[track_caller]
pub(super) fn erf_inv(x: &Array) -> Array {
    const CENTRE: [f64; 9] = [
        2.810_226_36e-08,
        3.432_739_39e-07,
        -3.523_387_7e-06,
        -4.391_506_54e-06,
        0.000_218_580_87,
        -0.001_253_725_03,
        -0.004_177_681_64,
        0.246_640_727,
        1.501_409_41,
    ];
    const TAIL: [f64; 9] = [
        -0.000_200_214_257,
        0.000_100_950_558,
        0.001_349_343_22,
        -0.003_673_428_44,
        0.005_739_507_73,
        -0.007_622_461_3,
        0.009_438_870_47,
        1.001_674_06,
        2.832_976_82,
    ];
    let w = -log1p(&-x.square());
    let is_central = w.lt(5.0);
    let w = where_(&is_central, &w - 2.5, w.sqrt() - 3.0);
    // One polynomial whose coefficients are chosen by the interval.
    let pick = |i: usize| is_central.select(single(CENTRE[i]), single(TAIL[i]));
    let p = (1..CENTRE.len()).fold(pick(0), |p, i| fused(&p, &w, &pick(i)));
    where_(&x.abs().eq(1.0), x * f64::INFINITY, p * x)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ERF: [(f32, u32); 9] = [
        (0.0, 0x0000_0000),
        (-0.25, 0xbe8d_7aa6),
        (0.5, 0x3f05_3f7b),
        (1.0, 0x3f57_bb3e),
        (-1.5, 0xbf77_52a9),
        (2.1213205, 0x3f7f_4f11),
        (2.828427, 0x3f7f_fbda),
        (3.8, 0x3f7f_fffe),
        (5.0, 0x3f80_0000),
    ];
    const ERF_INV: [(f32, u32); 15] = [
        (0.0, 0x0000_0000),
        (1e-8, 0x3218_40ab),
        (-0.1, 0xbdb5_fa21),
        (0.3, 0x3e8b_803d),
        (0.6, 0x3f18_5987),
        (0.6435942, 0x3f26_f144),
        (0.6435943, 0x3f26_f146),
        (-0.75, 0xbf50_3c48),
        (0.9, 0x3f94_e009),
        (0.99, 0x3fe9_2333),
        (-0.996625, 0xc004_a84f),
        (0.9966254, 0x4004_a8c1),
        (0.9999, 0x4030_10d3),
        (0.99999994, 0x4075_47ca),
        (-1.0, 0xff80_0000),
    ];

    /// Bits that JAX 0.10.2 yields on a CPU.
    #[test]
    fn bits_are_those_of_xla() {
        for (x, bits) in ERF {
            assert_eq!(erf(x).to_bits(), bits, "erf({x})");
        }
        let xs: Vec<f32> = ERF_INV.iter().map(|(x, _)| *x).collect();
        let found = erf_inv(&Array::new(&[xs.len()], xs)).to_vec::<f32>();
        for ((x, bits), found) in ERF_INV.iter().zip(found) {
            assert_eq!(found.to_bits(), *bits, "erf_inv({x})");
        }
    }
}
