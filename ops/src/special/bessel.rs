//! Modified Bessel functions of the first kind, of orders 0 and 1.

use crate::array::Array;
use crate::array_functions::floating;
use crate::elementwise::Composed;
use crate::operators::where_;
use crate::random::horner;
use gavotte_core::aval::DType;

// Polynomials are interpolated at Chebyshev points with 60 digits, in `t` from -1 to 1 over their interval; highest power
// first.
/// `e⁻ˣ I₀(x)` for `x` from 0 to 2.
#[rustfmt::skip]
const I0E_NEAR: [f64; 19] = [
    8.127966232403536e-13, -7.567953013872532e-12, 6.305008421878339e-11, -5.227375233990194e-10,
    4.080919409543493e-09, -2.9784768877855736e-08, 2.026061075613774e-07, -1.2778927944871598e-06,
    7.428320673807028e-06, -3.951737961856651e-05, 0.00019080421780140816, -0.0008279390738152988,
    0.0031903942658626392, -0.010760498514459114, 0.03121173555888961, -0.07626738330347066,
    0.15389398456907777, -0.257849192243932, 0.46575960759364043,
];
/// `e⁻ˣ I₀(x)` for `x` from 2 to 8.
#[rustfmt::skip]
const I0E_MIDDLE: [f64; 25] = [
    7.13800586351453e-11, -2.991489229552113e-10, 7.771114263444518e-10, -2.9428231145060597e-09,
    1.1784639362877825e-08, -4.116968104193959e-08, 1.3553767861687303e-07, -4.2948589836345613e-07,
    1.2945210267578902e-06, -3.6947983131452398e-06, 9.973102491846294e-06, -2.540605556261535e-05,
    6.095020657796851e-05, -0.00013746729315101928, 0.00029120464115879103, -0.0005796245477705067,
    0.0010869627941368235, -0.0019326154567072293, 0.003295676371206746, -0.0054879348407501005,
    0.009141159055538117, -0.01566541646424634, 0.028541870732985808, -0.05870563699435796,
    0.18354081260932836,
];
/// `√x e⁻ˣ I₀(x)` for `8 / x` from 0 to 1.
#[rustfmt::skip]
const I0_FAR: [f64; 25] = [
    -6.067631570603006e-11, -2.0260604287413626e-11, 4.577087631643623e-10, 1.5279202694981569e-10,
    -1.618980683624682e-09, -5.715843864202709e-10, 3.6379546359011143e-09, 1.5200816953924232e-09,
    -5.95356943826489e-09, -3.505966530879332e-09, 7.430464650325426e-09, 7.552583062123384e-09,
    -5.404771567579958e-09, -1.340891754008974e-08, -6.747657956107524e-09, 7.554691881248808e-09,
    2.1548377974791598e-08, 3.932584334552952e-08, 8.872219737904054e-08, 2.9735985885673923e-07,
    1.4838475658279249e-06, 1.1143033790932038e-05, 0.0001362160743919305, 0.0033605519836678614,
    0.4021765094450081,
];
/// `e⁻ˣ I₁(x) / x` for `x` from 0 to 2.
#[rustfmt::skip]
const I1E_NEAR: [f64; 18] = [
    -8.501057278361011e-13, 7.931163013597666e-12, -6.64478398397564e-11, 5.524423868717325e-10,
    -4.325136740442163e-09, 3.1673343199771485e-08, -2.1625728881829822e-07, 1.3696377052362638e-06,
    -7.998144367309872e-06, 4.276397152037395e-05, -0.00020761616815526005, 0.0009061108367437558,
    -0.0035112900879728575, 0.011893157168690353, -0.034483914182061745, 0.0830634731141495,
    -0.1579716384554849, 0.20791041534970844,
];
/// `e⁻ˣ I₁(x)` for `x` from 2 to 8.
#[rustfmt::skip]
const I1E_MIDDLE: [f64; 25] = [
    -6.703830668177139e-11, 2.7985480755419246e-10, -7.204580490732304e-10, 2.7121960741645924e-09,
    -1.0813537587927578e-08, 3.7499099183491575e-08, -1.2232712799450222e-07, 3.8359832774359147e-07,
    -1.141852073004665e-06, 3.20943439831857e-06, -8.499317268458122e-06, 2.1135022769232538e-05,
    -4.914332820342338e-05, 0.00010633355722172471, -0.00021284193609072467, 0.00039105758386517826,
    -0.0006519108763573803, 0.0009659519951062153, -0.0012137596918006947, 0.0011034179016025756,
    -5.399012510855885e-06, -0.0034772043901933466, 0.012876454268742041, -0.03967772317236745,
    0.16397226694454237,
];
/// `√x e⁻ˣ I₁(x)` for `8 / x` from 0 to 1.
#[rustfmt::skip]
const I1_FAR: [f64; 25] = [
    6.305965197150057e-11, 1.8515118828852956e-11, -4.758818838703853e-10, -1.4011625179770627e-10,
    1.6848984479705146e-09, 5.295625441161261e-10, -3.794670896208339e-09, -1.4387250533041013e-09,
    6.242741219786445e-09, 3.4262341490077958e-09, -7.888351507862078e-09, -7.64239413436356e-09,
    5.974437608040264e-09, 1.4034238782067183e-08, 6.734464815301592e-09, -8.427766093735185e-09,
    -2.337392820814264e-08, -4.312917729178349e-08, -1.0001288294864884e-07, -3.483855761044295e-07,
    -1.8349101326980946e-06, -1.5038547200567216e-05, -0.00021923576383388928, -0.009749577193235737,
    0.38939845902587233,
];

/// `near` up to 2, `middle` up to 8, and then `far` by the root of the number, each in its own `t`.
#[track_caller]
fn pieces(x: &Array, near: &Array, middle: &[f64], far: &[f64]) -> Array {
    let bounded = x.clip(2.0, 8.0);
    let middle = horner(&((bounded - 5.0) / 3.0), middle);
    let beyond = x.maximum(8.0);
    let far = horner(&(16.0 / &beyond - 1.0), far) / beyond.sqrt();
    where_(&x.le(2.0), near, where_(&x.le(8.0), middle, where_(&x.ne(x), x, far)))
}

/// `e^(-|x|) I₀(x)` in `f64`.
#[track_caller]
fn scaled_zero(x: &Array) -> Array {
    let x = x.abs();
    let near = horner(&(x.minimum(2.0) - 1.0), &I0E_NEAR);
    pieces(&x, &near, &I0E_MIDDLE, &I0_FAR)
}

/// `e^(-|x|) I₁(x)` in `f64`.
#[track_caller]
fn scaled_one(x: &Array) -> Array {
    let size = x.abs();
    let near = &size * horner(&(size.minimum(2.0) - 1.0), &I1E_NEAR);
    let found = pieces(&size, &near, &I1E_MIDDLE, &I1_FAR);
    where_(&x.lt(0.0), -&found, where_(&x.eq(0.0), x, found))
}

/// `e^|x| y`, which may be finite where `e^|x|` is not.
#[track_caller]
fn unscaled(x: &Array, y: Array) -> Array {
    // From 720 on the product is infinite.
    let root = (x.abs().minimum(720.0) * 0.5).exp();
    let found = y * &root * root;
    where_(&x.abs().ge(720.0), x.sign() * f64::INFINITY, found)
}

/// `I₁(x) / x`, also at 0, where all its derivatives are right.
// Σ (x² / 4)ᵏ / (2 k! (k + 1)!)
#[track_caller]
fn ratio(x: &Array, i1: &Array) -> Array {
    let is_near = x.abs().lt(0.5);
    let quarter = where_(&is_near, x, 0.0).square() * 0.25;
    let mut terms = [0.5; 9];
    for k in 1..terms.len() {
        terms[k] = terms[k - 1] / (k * (k + 1)) as f64;
    }
    terms.reverse();
    where_(&is_near, horner(&quarter, &terms), i1 / where_(&is_near, 1.0, x))
}

const POINTS: &[[f64; 4]] = &[[0.625, -3.25, 11.5, -0.125]];

/// The primitive `bessel_i0`.
// I₀' = I₁
pub(super) static I0: Composed = Composed {
    name: "bessel_i0",
    value: |ins| unscaled(&ins[0], scaled_zero(&ins[0])).abs(),
    slope: |_, ins, _| I1.of([&ins[0]]),
    points: POINTS,
};
/// The primitive `bessel_i1`.
// I₁' = I₀ - I₁ / x
pub(super) static I1: Composed = Composed {
    name: "bessel_i1",
    value: |ins| unscaled(&ins[0], scaled_one(&ins[0])),
    slope: |_, ins, _| {
        let x = ins[0].astype(DType::F64);
        let (i0, i1) = (I0.of([&x]), I1.of([&x]));
        where_(&i0.eq(f64::INFINITY), &i0, &i0 - ratio(&x, &i1)).astype(ins[0].dtype())
    },
    points: POINTS,
};
/// The primitive `bessel_i0e`.
// (e^(-|x|) I₀)' = e^(-|x|) (I₁ - sign x · I₀)
pub(super) static I0E: Composed = Composed {
    name: "bessel_i0e",
    value: |ins| scaled_zero(&ins[0]),
    slope: |_, ins, _| {
        let x = ins[0].astype(DType::F64);
        (I1E.of([&x]) - x.sign() * I0E.of([&x])).astype(ins[0].dtype())
    },
    points: POINTS,
};
/// The primitive `bessel_i1e`.
// (e^(-|x|) I₁)' = e^(-|x|) (I₀ - I₁ / x - sign x · I₁)
pub(super) static I1E: Composed = Composed {
    name: "bessel_i1e",
    value: |ins| scaled_one(&ins[0]),
    slope: |_, ins, _| {
        let x = ins[0].astype(DType::F64);
        let scaled = I1E.of([&x]);
        let is_near = x.abs().lt(0.5);
        let small = where_(&is_near, &x, 0.0);
        let near = (-small.abs()).exp() * ratio(&small, &scaled);
        let quotient = where_(&is_near, near, &scaled / where_(&is_near, 1.0, &x));
        (I0E.of([&x]) - quotient - x.sign() * scaled).astype(ins[0].dtype())
    },
    points: POINTS,
};

impl Array {
    /// `e^(-|x|) I₀(x)`: [`i0e`].
    ///
    /// # Panics
    /// If the elements are not floating.
    #[track_caller]
    pub fn bessel_i0e(&self) -> Array {
        I0E.of([self])
    }

    /// `e^(-|x|) I₁(x)`: [`i1e`].
    ///
    /// # Panics
    /// If the elements are not floating.
    #[track_caller]
    pub fn bessel_i1e(&self) -> Array {
        I1E.of([self])
    }
}

/// The modified Bessel function `I₀(x)` of order 0: `∞` at both infinities, NaN for NaN.
///
/// Within 4 units in the last place. The derivative is `I₁(x)`.
///
/// ```
/// use gavotte::{Array, special::i0};
/// assert_eq!(i0(&Array::from([0.0])).to_vec::<f64>(), [1.0]);
/// ```
///
/// # Panics
/// If the elements are not floating.
///
/// Source: *Digital Library of Mathematical Functions*, 10.25 and 10.40.
#[track_caller]
pub fn i0(x: &Array) -> Array {
    floating("i0", &[x]);
    I0.of([x])
}

/// The modified Bessel function `I₁(x)` of order 1: infinite at the infinities, with their sign, NaN for NaN.
///
/// Within 4 units in the last place. The derivative is `I₀(x) - I₁(x) / x`.
///
/// ```
/// use gavotte::{Array, special::i1};
/// assert_eq!(i1(&Array::from([0.0])).to_vec::<f64>(), [0.0]);
/// ```
///
/// # Panics
/// If the elements are not floating.
///
/// Source: *Digital Library of Mathematical Functions*, 10.25 and 10.40.
#[track_caller]
pub fn i1(x: &Array) -> Array {
    floating("i1", &[x]);
    I1.of([x])
}

/// `e^(-|x|) I₀(x)`, which does not overflow: 0 at both infinities, NaN for NaN.
///
/// Within 4 units in the last place. The derivative is `i1e x - sign x · i0e x`, and 0 at the kink in 0.
///
/// ```
/// use gavotte::{Array, special::i0e};
/// assert_eq!(i0e(&Array::from([0.0])).to_vec::<f64>(), [1.0]);
/// ```
///
/// # Panics
/// If the elements are not floating.
///
/// Source: *Digital Library of Mathematical Functions*, 10.25 and 10.40.
#[doc(alias = "bessel_i0e")]
#[track_caller]
pub fn i0e(x: &Array) -> Array {
    floating("i0e", &[x]);
    I0E.of([x])
}

/// `e^(-|x|) I₁(x)`, which does not overflow: 0 at both infinities, NaN for NaN.
///
/// Within 4 units in the last place. The derivative is `i0e x - i1e x / x - sign x · i1e x`.
///
/// ```
/// use gavotte::{Array, special::i1e};
/// assert_eq!(i1e(&Array::from([0.0])).to_vec::<f64>(), [0.0]);
/// ```
///
/// # Panics
/// If the elements are not floating.
///
/// Source: *Digital Library of Mathematical Functions*, 10.25 and 10.40.
#[doc(alias = "bessel_i1e")]
#[track_caller]
pub fn i1e(x: &Array) -> Array {
    floating("i1e", &[x]);
    I1E.of([x])
}
