//! Exponential integrals, the dilogarithm, and the scaled complementary error function.

use crate::array::Array;
use crate::array_functions::floating;
use crate::elementwise::Composed;
use crate::operators::where_;
use crate::random::horner;
use gavotte_core::aval::DType;
use std::f64::consts::{FRAC_2_SQRT_PI, PI};

/// Euler's constant.
const EULER: f64 = 0.577_215_664_901_532_9;
/// The root of `Ei` in two parts.
const ROOT: [f64; 2] = [0.3725074107813666, 1.3140183414386028e-17];

// Polynomials are interpolated at Chebyshev points with 60 digits, in `t` from -1 to 1 over their interval; highest power
// first.
/// `(E₁(x) + log x + γ) / x` for `x` from 0 to 1.
#[rustfmt::skip]
const EIN: [f64; 12] = [
    -5.575070247424053e-14, 1.468861577259427e-12, -3.565610231478228e-11, 7.990920056740073e-10,
    -1.634832596071036e-08, 3.027425014978342e-07, -5.024388272123079e-06, 7.387064025369851e-05,
    -0.0009496819183999231, 0.010541467229713778, -0.10074547766076357, 0.8876841582354967,
];
/// `x eˣ E₁(x)` for `1 / x` from 1/2 to 1.
#[rustfmt::skip]
const E1_TWO: [f64; 18] = [
    -1.3432951296876565e-12, 5.2894750539033306e-12, -1.531995465071094e-11, 6.333186108186597e-11,
    -2.7458138661798044e-10, 1.1530857234219312e-09, -4.903725277633267e-09, 2.1250748863550988e-08,
    -9.383875315931697e-08, 4.234933338346499e-07, -1.9613975717903865e-06, 9.37385774400463e-06,
    -4.658463959142373e-05, 0.0002434886680847649, -0.0013629599822417545, 0.008436135835132877,
    -0.06174333067349751, 0.6508128537230682,
];
/// `x eˣ E₁(x)` for `1 / x` from 1/4 to 1/2.
#[rustfmt::skip]
const E1_FOUR: [f64; 17] = [
    3.1609923841809934e-13, -1.4176070287980755e-12, 5.1848320160145044e-12, -2.4492077237499973e-11,
    1.1970351002606292e-10, -5.838905392877989e-10, 2.9098967945911713e-09, -1.4884700038828329e-08,
    7.840269719668172e-08, -4.2750963419676717e-07, 2.430430618549884e-06, -1.4549522847555665e-05,
    9.305743671173572e-05, -0.0006505704390520858, 0.005172158336960534, -0.05069711994785498,
    0.768752189048245,
];
/// `x eˣ E₁(x)` for `1 / x` from 1/10 to 1/4.
#[rustfmt::skip]
const E1_TEN: [f64; 16] = [
    -1.084491438998456e-12, 4.6091219091677166e-12, -1.59628180320994e-11, 7.308625200762252e-11,
    -3.4953743190564814e-10, 1.6844457347350522e-09, -8.400174747347608e-09, 4.364246978423835e-08,
    -2.3768326877105252e-07, 1.3695889227617884e-06, -8.457834127458237e-06, 5.702312637792995e-05,
    -0.00043188824148269724, 0.003856949174131081, -0.04468477737119033, 0.8665925822070094,
];
/// `x eˣ E₁(x)` for `1 / x` from 1/50 to 1/10.
#[rustfmt::skip]
const E1_FIFTY: [f64; 16] = [
    -2.369349150343848e-13, 9.581606766455115e-13, -3.1236111641817314e-12, 1.4103638018534505e-11,
    -6.755566105146826e-11, 3.296738715642018e-10, -1.6938905728638904e-09, 9.246013069146548e-09,
    -5.4078613614205854e-08, 3.431861009818208e-07, -2.403340312088757e-06, 1.902112223851932e-05,
    -0.00017631890695707752, 0.002029377032260002, -0.03238230046324179, 0.9461456670204639,
];
/// `x eˣ E₁(x)` for `1 / x` from 0 to 1/50.
#[rustfmt::skip]
const E1_REST: [f64; 11] = [
    1.2494482661631587e-14, -1.4909526946232293e-13, 1.9168103620269585e-12, -2.7871403080112535e-11,
    4.5574730159693237e-10, -8.550718326876998e-09, 1.8927902013643809e-07, -5.147164903497669e-06,
    0.0001833298428731756, -0.009617096003485917, 0.9901942286733019,
];
/// `(Ei(x) - log(x / r)) / (x - r)` for `x` from 0 to 2, where `r` is the root of `Ei`.
#[rustfmt::skip]
const EI_ROOT: [f64; 15] = [
    1.27412463223862e-13, 2.0365370636849464e-12, 3.0068119850824044e-11, 4.20054197017524e-10,
    5.4483136873410985e-09, 6.520670666939847e-08, 7.151501287164142e-07, 7.1278864009032825e-06,
    6.39170941079777e-05, 0.000509336313517471, 0.0035515323722779425, 0.021247954051104804,
    0.10638070437338108, 0.43324689636984515, 1.446422611684994,
];
/// `x e⁻ˣ Ei(x)` for `1 / x` from 1/6 to 1/2.
#[rustfmt::skip]
const EI_SIX: [f64; 28] = [
    3.837610196272338e-09, -1.5192666317868316e-08, 1.4226338626761291e-08, 1.142749494053628e-08,
    -9.635420961963104e-09, -1.9687423540821238e-08, -6.759968364716364e-08, 3.561895854913145e-07,
    -8.332960787058929e-07, 1.6387164296700546e-06, -2.88376696332238e-06, 3.931889402528269e-06,
    -2.354302246226099e-06, -7.995745072681012e-06, 3.9727379460322296e-05, -0.00011223882445595681,
    0.00023941005374402335, -0.0003808136352406847, 0.00031752042204858375, 0.0005635437441914375,
    -0.003401244331957866, 0.009085209139734932, -0.01441155698172347, 0.002507978472690804,
    0.06453384949424108, -0.18546615050574025, -0.01627079595407616, 1.4837292040459238,
];
/// `x e⁻ˣ Ei(x)` for `1 / x` from 1/10 to 1/6.
#[rustfmt::skip]
const EI_TEN: [f64; 17] = [
    1.518658912532859e-11, -9.441303490687575e-11, 2.6368608369291347e-10, -1.1568896796623098e-11,
    -4.344021378878462e-09, 2.555886381123769e-08, -6.836921052188203e-08, -8.065943738989464e-08,
    1.627791744931355e-06, -6.2801316279881875e-06, -2.85051328635023e-06, 0.0001276810028829239,
    -0.000302776947195588, -0.0020994546363725607, 0.005059605115300162, 0.07568493684940006,
    1.2004214995996307,
];
/// `x e⁻ˣ Ei(x)` for `1 / x` from 1/20 to 1/10.
#[rustfmt::skip]
const EI_TWENTY: [f64; 19] = [
    -1.751624089233808e-11, 4.67800702450697e-11, 7.165027778849549e-11, -6.050067687063361e-10,
    1.2816591443905835e-09, 1.3167321956186484e-09, -1.6389622786337506e-08, 3.520179928307859e-08,
    6.798978986352622e-08, -5.05030364432409e-07, 2.74096898159381e-07, 4.736611758169573e-06,
    -6.202587958708038e-06, -5.0768203051680436e-05, -4.087532826688384e-06, 0.0005578578046382142,
    0.0035821498232031057, 0.03724579242728751, 1.0901408684282592,
];
/// `x e⁻ˣ Ei(x)` for `1 / x` from 1/40 to 1/20.
#[rustfmt::skip]
const EI_FORTY: [f64; 16] = [
    6.557866179543999e-13, -2.052784074595981e-12, -8.63003233624014e-12, 2.6542570199987302e-11,
    1.0215547970343894e-10, -1.6826870959983486e-10, -1.3051009443776144e-09, -1.644127513916063e-09,
    7.2590771351544535e-09, 5.320235404472951e-08, 2.87327320767179e-07, 2.126292471681281e-06,
    2.4940943250549565e-05, 0.000464989707451342, 0.014775462758249678, 1.0406880411016135,
];
/// `x e⁻ˣ Ei(x)` for `1 / x` from 1/80 to 1/40.
#[rustfmt::skip]
const EI_EIGHTY: [f64; 11] = [
    8.594161623164779e-15, 6.729696445670911e-14, 6.493193083895547e-13, 8.210671658314008e-12,
    1.2826353644969468e-10, 2.500389326443062e-09, 6.212460570559809e-08, 2.0375137815502266e-06,
    9.36593099557828e-05, 0.006762793535738686, 1.0194959563173354,
];
/// `x e⁻ˣ Ei(x)` for `1 / x` from 0 to 1/80.
#[rustfmt::skip]
const EI_REST: [f64; 10] = [
    1.050293759771429e-14, 1.6295735177765403e-13, 2.867223991373318e-12, 5.921028368097706e-11,
    1.4473474835900051e-09, 4.3059899046402305e-08, 1.6237019822564242e-06, 8.275138789774884e-05,
    0.006410797009107905, 1.0063296276541454,
];
/// `-Li₂(-w) / w` for `w` from -0.5 to 0.5.
#[rustfmt::skip]
const DILOGARITHM: [f64; 26] = [
    -2.2039356220366022e-10, 4.4513979483915824e-10, 4.754555293222241e-10, -8.365969024146411e-10,
    -2.3458533920064897e-09, 4.598525468795842e-09, -3.090532640354942e-09, 7.732498663981535e-09,
    -2.4922253504495736e-08, 5.49719307377638e-08, -1.1843830095479673e-07, 2.701394974071265e-07,
    -6.231054460210578e-07, 1.4450160423722336e-06, -3.390763831610521e-06, 8.070671430460835e-06,
    -1.9531263523484897e-05, 4.8225322574110015e-05, -0.00012207031104564493, 0.0003188775497828706,
    -0.0008680555556434655, 0.0025000000000569684, -0.007812499999997531, 0.02777777777777675,
    -0.12500000000000003, 1.0,
];

/// The polynomial over the interval of `x` from `low` to `high`.
#[track_caller]
fn over(x: &Array, low: f64, high: f64, coefficients: &[f64]) -> Array {
    horner(&((x - (low + high) / 2.0) * (2.0 / (high - low))), coefficients)
}

/// Of pieces, each up to a number, that in which `x` is; the last one reaches further.
#[track_caller]
fn piece(x: &Array, pieces: &[(f64, Array)]) -> Array {
    let (last, before) = pieces.split_last().expect("a piece");
    before.iter().rev().fold(last.1.clone(), |rest, (end, value)| where_(&x.le(*end), value, rest))
}

/// `E₁(x)` in `f64`: infinite at 0, NaN below.
// E₁(x) = -γ - log x + x · …
#[track_caller]
fn first_integral(x: &Array) -> Array {
    let near = x * over(x, 0.0, 1.0, &EIN) - (x.log() + EULER);
    let inverse = 1.0 / x;
    let scaled = piece(
        x,
        &[
            (2.0, over(&inverse, 0.5, 1.0, &E1_TWO)),
            (4.0, over(&inverse, 0.25, 0.5, &E1_FOUR)),
            (10.0, over(&inverse, 0.1, 0.25, &E1_TEN)),
            (50.0, over(&inverse, 0.02, 0.1, &E1_FIFTY)),
            (f64::INFINITY, over(&inverse, 0.0, 0.02, &E1_REST)),
        ],
    );
    where_(&x.le(1.0), near, (-x).exp() / x * scaled)
}

/// `Ei(x)` in `f64`.
// Ei(x) = log(x / r) + (x - r) · … for its root r; Ei(x) = -E₁(-x) for negative x
#[track_caller]
fn other_integral(x: &Array) -> Array {
    let from_root = x - ROOT[0] - ROOT[1];
    let is_close = (&from_root / ROOT[0]).abs().lt(0.5);
    let log = where_(&is_close, (&from_root / ROOT[0]).log1p(), (x / ROOT[0]).log());
    let near = log + from_root * over(x, 0.0, 2.0, &EI_ROOT);
    let inverse = 1.0 / x;
    let scaled = piece(
        x,
        &[
            (6.0, over(&inverse, 1.0 / 6.0, 0.5, &EI_SIX)),
            (10.0, over(&inverse, 0.1, 1.0 / 6.0, &EI_TEN)),
            (20.0, over(&inverse, 0.05, 0.1, &EI_TWENTY)),
            (40.0, over(&inverse, 0.025, 0.05, &EI_FORTY)),
            (80.0, over(&inverse, 0.0125, 0.025, &EI_EIGHTY)),
            (f64::INFINITY, over(&inverse, 0.0, 0.0125, &EI_REST)),
        ],
    );
    // From 720 on the result is infinite; before, it may be finite where the power is not.
    let bounded = x.minimum(720.0);
    let root = (&bounded * 0.5).exp();
    let far = where_(&x.ge(720.0), x * f64::INFINITY, &root * (scaled / bounded) * &root);
    where_(&x.lt(0.0), -first_integral(&-x), where_(&x.le(2.0), near, far))
}

/// `Li₂(1 - x)` in `f64`: NaN below 0.
// With w = x - 1: Li₂(-w) up to 1.5; Li₂(1 - x) = π²/6 - log x log(1 - x) - Li₂(x) below 0.5;
// Li₂(1 - x) = -log² x / 2 - Li₂(1 - 1 / x) above
#[track_caller]
fn dilogarithm(x: &Array) -> Array {
    let (is_low, is_high) = (x.lt(0.5), x.gt(1.5));
    let is_highest = x.gt(2.0);
    let inverse = 1.0 / x;
    // What `DILOGARITHM` takes, from -0.5 to 0.5.
    let w = where_(&is_low, -x, where_(&is_highest, -&inverse, where_(&is_high, &inverse - 1.0, x - 1.0)));
    let part = -&w * horner(&(&w * 2.0), &DILOGARITHM);
    let log = x.log();
    let sixth = PI * PI / 6.0;
    let low = sixth - where_(&x.eq(0.0), 0.0, &log * (-x).log1p()) - &part;
    let high = &log.square() * -0.5 - &part;
    // Li₂(1 - x) = -log² x / 2 - log x log(1 - 1 / x) - π²/6 + Li₂(1 / x)
    let highest = &log.square() * -0.5 - &log * (-&inverse).log1p() - sixth + &part;
    let found = where_(&is_low, low, where_(&is_highest, highest, where_(&is_high, high, part)));
    where_(&x.lt(0.0), f64::NAN, where_(&x.eq(f64::INFINITY), f64::NEG_INFINITY, found))
}

/// Where the asymptotic series of [`erfcx`] takes over.
const FAR: f64 = 25.0;

/// `Σ (-1)ⁿ (2n + m - 1)!! / (2x²)ⁿ` for `m` 0 or 2, far out.
///
/// Source: *Digital Library of Mathematical Functions*, 7.12.1.
#[track_caller]
fn series(x: &Array, m: u32) -> Array {
    let u = (1.0 / x).square() * 0.5;
    (0..9).rev().fold(1.0 - &u * f64::from(19 + m), |rest, n| 1.0 - &u * f64::from(2 * n + 1 + m) * rest)
}

/// `e^(x²) erfc x` in `f64`.
// With a the nearest number of `f32`, x² = a² + (x - a)(x + a), where a² is exact.
#[track_caller]
fn scaled_erfc(x: &Array) -> Array {
    let near = x.clip(-30.0, FAR + 0.5);
    let a = near.astype(DType::F32).astype(DType::F64);
    let rest = (&near - &a) * (&near + &a);
    let near = a.square().exp() * near.erfc() * rest.exp();
    let far = x.maximum(FAR);
    let far = series(&far, 0) / far * (FRAC_2_SQRT_PI / 2.0);
    where_(&x.gt(FAR), far, where_(&x.ne(x), x, near))
}

/// The primitive `exp1`.
// dE₁ = -e⁻ˣ / x dx
pub(super) static EXP1: Composed = Composed {
    name: "exp1",
    value: |ins| first_integral(&ins[0]),
    slope: |_, ins, _| -((-&ins[0]).exp() / &ins[0]),
    points: &[[0.625, 3.25, 11.5, 1.125]],
};
/// The primitive `expi`.
// dEi = eˣ / x dx
pub(super) static EXPI: Composed = Composed {
    name: "expi",
    value: |ins| other_integral(&ins[0]),
    slope: |_, ins, _| ins[0].exp() / &ins[0],
    points: &[[0.625, -3.25, 11.5, -0.125]],
};
/// The primitive `spence`.
// dLi₂(1 - x) = log x / (1 - x) dx, which is -Σ (-w)ᵏ / (k + 1) near 1, with w = x - 1
pub(super) static SPENCE: Composed = Composed {
    name: "spence",
    value: |ins| dilogarithm(&ins[0]),
    slope: |_, ins, _| {
        let x = &ins[0];
        let w = x - 1.0;
        let is_near = w.abs().lt(0.375);
        let terms: Vec<f64> = (0..40).rev().map(|k| if k % 2 == 0 { -1.0 } else { 1.0 } / f64::from(k + 1)).collect();
        let near = horner(&where_(&is_near, &w, 0.0), &terms);
        where_(&is_near, near, where_(&is_near, 2.0, x).log() / -where_(&is_near, 1.0, w))
    },
    points: &[[0.625, 3.25, 11.5, 1.0625]],
};
/// The primitive `erfcx`.
// d(e^(x²) erfc x) = (2 x e^(x²) erfc x - 2 / √π) dx, whose parts cancel far out
pub(super) static ERFCX: Composed = Composed {
    name: "erfcx",
    value: |ins| scaled_erfc(&ins[0]),
    slope: |_, ins, _| {
        let x = ins[0].astype(DType::F64);
        let is_far = x.gt(FAR);
        let (near, far) = (where_(&is_far, 0.0, &x), where_(&is_far, &x, FAR));
        let near = &near * ERFCX.of([&near]) * 2.0 - FRAC_2_SQRT_PI;
        let far = series(&far, 2) * (1.0 / far).square() * (FRAC_2_SQRT_PI / -2.0);
        where_(&is_far, far, near).astype(ins[0].dtype())
    },
    points: &[[0.625, -1.25, 11.5, -0.125]],
};

/// The exponential integral `E₁(x) = ∫₁^∞ e^(-xt) / t dt`: `∞` at 0, 0 at `∞`, NaN for negative numbers and NaN.
///
/// Within 4 units in the last place. The derivative is `-e⁻ˣ / x`.
///
/// ```
/// use gavotte::{Array, special::exp1};
/// assert_eq!(exp1(&Array::from([0.0, f64::INFINITY])).to_vec::<f64>(), [f64::INFINITY, 0.0]);
/// ```
///
/// # Panics
/// If the elements are not floating.
///
/// Source: *Digital Library of Mathematical Functions*, 6.2 and 6.12.
#[track_caller]
pub fn exp1(x: &Array) -> Array {
    floating("exp1", &[x]);
    EXP1.of([x])
}

/// The exponential integral `Ei(x)`, the principal value of `∫ e^t / t dt` from `-∞` to `x`: `-∞` at 0, `∞` at `∞`, 0 at
/// `-∞`, NaN for NaN.
///
/// Within 4 units in the last place. The derivative is `eˣ / x`.
///
/// ```
/// use gavotte::{Array, special::expi};
/// assert_eq!(expi(&Array::from([0.0, f64::INFINITY])).to_vec::<f64>(), [-f64::INFINITY, f64::INFINITY]);
/// ```
///
/// # Panics
/// If the elements are not floating.
///
/// Source: *Digital Library of Mathematical Functions*, 6.2 and 6.12.
#[track_caller]
pub fn expi(x: &Array) -> Array {
    floating("expi", &[x]);
    EXPI.of([x])
}

/// Spence's function, `Li₂(1 - x) = ∫₁ˣ log t / (1 - t) dt`: π²/6 at 0, 0 at 1, `-∞` at `∞`, NaN for negative numbers and
/// NaN.
///
/// Within 4 units in the last place. The derivative is `log x / (1 - x)`, which is -1 at 1.
///
/// ```
/// use gavotte::{Array, special::spence};
/// let y = spence(&Array::from([1.0, -1.0])).to_vec::<f64>();
/// assert!(y[0] == 0.0 && y[1].is_nan());
/// ```
///
/// # Panics
/// If the elements are not floating.
///
/// Source: *Digital Library of Mathematical Functions*, 25.12.
#[doc(alias = "dilog")]
#[track_caller]
pub fn spence(x: &Array) -> Array {
    floating("spence", &[x]);
    SPENCE.of([x])
}

/// `e^(x²) (1 - erf x)`, which does not underflow far out: 0 at `∞`, `∞` at `-∞`, NaN for NaN.
///
/// Within 4 units in the last place. The derivative is `2 x erfcx x - 2 / √π`; its parts cancel
/// up to 25, where the error grows to 1e-13, and are added as a series from there on.
///
/// ```
/// use gavotte::{Array, special::erfcx};
/// assert_eq!(erfcx(&Array::from([0.0, f64::INFINITY])).to_vec::<f64>(), [1.0, 0.0]);
/// ```
///
/// # Panics
/// If the elements are not floating.
///
/// Source: *Digital Library of Mathematical Functions*, 7.12.
#[track_caller]
pub fn erfcx(x: &Array) -> Array {
    floating("erfcx", &[x]);
    ERFCX.of([x])
}
