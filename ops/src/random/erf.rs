//! The error function on the host, and its inverse on arrays.

use super::single;
use crate::array::Array;
use crate::operators::where_;
use gavotte_core::aval::DType;

/// The error function, by its Taylor series near zero and the continued fraction of its complement elsewhere.
///
/// Source: *Digital Library of Mathematical Functions*, 7.6.2 and 7.9.1.
pub(super) fn erf(x: f64) -> f64 {
    let z = x.abs();
    if z < 3.0 {
        // 2 e^(-x²) / √π · Σ 2ⁿ x²ⁿ⁺¹ / (1 · 3 · … · (2n + 1)): every term is positive.
        let (mut term, mut sum, mut n) = (z, z, 0.0);
        while term > sum * 1e-18 {
            n += 1.0;
            term *= 2.0 * z * z / (2.0 * n + 1.0);
            sum += term;
        }
        return (std::f64::consts::FRAC_2_SQRT_PI * (-z * z).exp() * sum).copysign(x);
    }
    // e^(-x²) / √π · 1 / (x + ½ / (x + 1 / (x + 3/2 / (x + …))))
    let fraction = (1..=60).rev().fold(z, |rest, n| z + f64::from(n) / 2.0 / rest);
    (1.0 - 0.5 * std::f64::consts::FRAC_2_SQRT_PI * (-z * z).exp() / fraction).copysign(x)
}

/// Coefficients of `p` in `erf⁻¹(x) = x p(w)`, highest power first.
///
/// Source: Giles, *Approximating the erfinv function* (GPU Computing Gems, 2011), table 6.
#[allow(clippy::excessive_precision, reason = "the digits are those of the source")]
mod giles {
    pub(super) const F64_CENTRE: [f64; 23] = [
        -3.6444120640178196996e-21,
        -1.685059138182016589e-19,
        1.2858480715256400167e-18,
        1.115787767802518096e-17,
        -1.333171662854620906e-16,
        2.0972767875968561637e-17,
        6.6376381343583238325e-15,
        -4.0545662729752068639e-14,
        -8.1519341976054721522e-14,
        2.6335093153082322977e-12,
        -1.2975133253453532498e-11,
        -5.4154120542946279317e-11,
        1.051212273321532285e-09,
        -4.1126339803469836976e-09,
        -2.9070369957882005086e-08,
        4.2347877827932403518e-07,
        -1.3654692000834678645e-06,
        -1.3882523362786468719e-05,
        0.0001867342080340571352,
        -0.00074070253416626697512,
        -0.0060336708714301490533,
        0.24015818242558961693,
        1.6536545626831027356,
    ];
    pub(super) const F64_MIDDLE: [f64; 19] = [
        2.2137376921775787049e-09,
        9.0756561938885390979e-08,
        -2.7517406297064545428e-07,
        1.8239629214389227755e-08,
        1.5027403968909827627e-06,
        -4.013867526981545969e-06,
        2.9234449089955446044e-06,
        1.2475304481671778723e-05,
        -4.7318229009055733981e-05,
        6.8284851459573175448e-05,
        2.4031110387097893999e-05,
        -0.0003550375203628474796,
        0.00095328937973738049703,
        -0.0016882755560235047313,
        0.0024914420961078508066,
        -0.0037512085075692412107,
        0.005370914553590063617,
        1.0052589676941592334,
        3.0838856104922207635,
    ];
    pub(super) const F64_TAIL: [f64; 17] = [
        -2.7109920616438573243e-11,
        -2.5556418169965252055e-10,
        1.5076572693500548083e-09,
        -3.7894654401267369937e-09,
        7.6157012080783393804e-09,
        -1.4960026627149240478e-08,
        2.9147953450901080826e-08,
        -6.7711997758452339498e-08,
        2.2900482228026654717e-07,
        -9.9298272942317002539e-07,
        4.5260625972231537039e-06,
        -1.9681778105531670567e-05,
        7.5995277030017761139e-05,
        -0.00021503011930044477347,
        -0.00013871931833623122026,
        1.0103004648645343977,
        4.8499064014085844221,
    ];
}

/// The polynomial with these coefficients, highest power first.
#[track_caller]
pub(crate) fn horner(w: &Array, coefficients: &[f64]) -> Array {
    let mut p = w * coefficients[0] + coefficients[1];
    for c in &coefficients[2..] {
        p = p * w + *c;
    }
    p
}

/// The inverse of the error function on `(-1, 1)`; infinite at the ends. In `f32` it equals JAX's bit for bit.
#[track_caller]
pub(super) fn erf_inv(x: &Array) -> Array {
    if x.dtype() == DType::F32 {
        return single::erf_inv(x);
    }
    inverse_by_log(x, &-(-x.square()).log1p())
}

/// The inverse of the error function in `f64`, given `w = -log(1 - x²)`.
#[track_caller]
pub(crate) fn inverse_by_log(x: &Array, w: &Array) -> Array {
    let root = w.sqrt();
    let outer =
        where_(&w.lt(16.0), horner(&(&root - 3.25), &giles::F64_MIDDLE), horner(&(&root - 5.0), &giles::F64_TAIL));
    let p = where_(&w.lt(6.25), horner(&(w - 3.125), &giles::F64_CENTRE), outer);
    where_(&x.abs().eq(1.0), x * f64::INFINITY, p * x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erf_has_its_known_values() {
        // Abramowitz and Stegun, table 7.1; and 15 digits on both sides of the switch between methods.
        for (x, y) in [(0.0, 0.0), (0.5, 0.5204998778130465), (-1.0, -0.8427007929497149), (2.0, 0.9953222650189527)] {
            assert!((erf(x) - y).abs() < 1e-15, "erf({x}) = {}", erf(x));
        }
        assert!((erf(2.9999999999) - erf(3.0000000001)).abs() < 1e-13);
        assert!((erf(3.5) - 0.999_999_256_901_627_7).abs() < 1e-15);
    }

    #[test]
    fn erf_inv_undoes_erf() {
        let xs: Vec<f64> = vec![-3.9, -2.5, -1.0, -1e-6, 0.3, 0.9, 1.75, 2.4, 3.3, 4.5];
        let found = erf_inv(&Array::new(&[xs.len()], xs.iter().map(|x| erf(*x)).collect())).to_vec::<f64>();
        for (x, y) in xs.iter().zip(&found) {
            // A rounding of erf(x) near one moves x by ε / erf'(x).
            let slope = std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp();
            let tolerance = 4.0 * f64::EPSILON * (x.abs() + 1.0 / slope);
            assert!((x - y).abs() <= tolerance, "{x} and {y}");
        }
    }

    #[test]
    fn erf_inv_is_infinite_at_the_ends() {
        let ends = erf_inv(&Array::new(&[2], vec![-1f32, 1.0])).to_vec::<f32>();
        assert_eq!(ends, [f32::NEG_INFINITY, f32::INFINITY]);
    }
}
