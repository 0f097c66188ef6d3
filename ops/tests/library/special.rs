//! Special functions: their precision, their ends, and their derivatives there.

use gavotte::special::{entr, erfinv, expit, kl_div, log_ndtr, log1mexp, logit, ndtr, ndtri, rel_entr, xlog1py, xlogy};
use gavotte::{Array, grad};
use gavotte_core::ir::quietly;

// Values of mpmath, computed with 60 digits.
const EXPIT: &[(f64, f64)] = &[
    (-80.0, 1.8048513878454153e-35),
    (-20.5, 1.2501528648238605e-09),
    (-1.0, 0.2689414213699951),
    (-0.0010000000474974513, 0.49975000000895897),
    (0.0, 0.5),
    (0.75, 0.679178699175393),
    (5.0, 0.9933071490757152),
    (40.0, 1.0),
];
const LOGIT: &[(f64, f64)] = &[
    (1.0000000031710769e-30, -69.07755278665029),
    (0.0010000000474974513, -6.906754731103558),
    (0.25, -1.0986122886681098),
    (0.3125, -0.7884573603642702),
    (0.4375, -0.25131442828090605),
    (0.49999991059303284, -3.5762786865234756e-07),
    (0.5000001192092896, 4.76837158203134e-07),
    (0.625, 0.5108256237659907),
    (0.75, 1.0986122886681098),
    (0.9998999834060669, 9.210074424815609),
    (0.9999999403953552, 16.63553227383404),
];
const ENTR: &[(f64, f64)] = &[
    (1.0000000031710769e-30, 6.907755300570052e-29),
    (0.0010000000474974513, 0.006907755559585455),
    (0.25, 0.34657359027997264),
    (0.9990000128746033, 0.0009994869715276404),
    (1.0010000467300415, -0.0010005466101659034),
    (3.0, -3.295836866004329),
    (10000000000.0, -230258509299.40457),
];
const LOG1MEXP: &[(f64, f64)] = &[
    (1.0000000031710769e-30, -69.07755278665029),
    (9.999999747378752e-05, -9.210390396820378),
    (0.5, -0.9327521295671886),
    (0.6930000185966492, -0.6932943641830724),
    (0.6940000057220459, -0.6922950820889054),
    (1.0, -0.4586751453870819),
    (5.0, -0.006760749449488557),
    (30.0, -9.357622968840613e-14),
    (80.0, -1.8048513878454153e-35),
];
const ERFINV: &[(f64, f64)] = &[
    (1.0000000031710769e-30, 8.862269282630517e-31),
    (-0.0010000000474974513, -0.0008862271995601054),
    (0.25, 0.2253120550121781),
    (0.4999000132083893, 0.47682503831932205),
    (0.5001000165939331, 0.47704755905509366),
    (-0.75, -0.8134198475976185),
    (0.8999999761581421, 1.1630870719457722),
    (0.9900000095367432, 1.8213866009002777),
    (0.9965999722480774, 2.07114914593823),
    (-0.9998999834060669, -2.7510354379032873),
    (0.9999989867210388, 3.45707472603595),
    (0.9999999403953552, 3.832506856900711),
];
const NDTR: &[(f64, f64)] = &[
    (-37.03125, 1.799234019839872e-300),
    (-25.299999237060547, 1.5971460066572825e-141),
    (-12.899999618530273, 2.2504970337653368e-38),
    (-9.300000190734863, 7.022271643216477e-21),
    (-6.099999904632568, 5.303426427130737e-10),
    (-3.299999952316284, 0.0004834242245222714),
    (-1.5, 0.06680720126885807),
    (-0.699999988079071, 0.24196365594542998),
    (-0.0010000000474974513, 0.4996010577671402),
    (0.0, 0.5),
    (0.30000001192092896, 0.6179114267354496),
    (1.7000000476837158, 0.9554345417260662),
    (4.099999904632568, 0.9999793424845748),
    (8.0, 0.9999999999999993),
];
const LOG_NDTR: &[(f64, f64)] = &[
    (-10000000000.0, -5e+19),
    (-1000.0, -500007.82669481216),
    (-37.099998474121094, -692.7382240644478),
    (-20.5, -214.0667289632638),
    (-19.5, -194.0169657774975),
    (-12.699999809265137, -84.11164481750264),
    (-10.100000381469727, -54.24605143260061),
    (-9.899999618530273, -52.22642448607047),
    (-5.300000190734863, -16.66452634706791),
    (-1.100000023841858, -1.9975588852714852),
    (-0.10000000149011612, -0.7761545940156735),
    (0.0, -std::f64::consts::LN_2),
    (0.20000000298023224, -0.5460043517108992),
    (2.200000047683716, -0.014001004043974152),
    (6.300000190734863, -1.488226390546071e-10),
    (11.899999618530273, -5.9173847652515754e-33),
];
const NDTRI: &[(f64, f64)] = &[
    (9.99999991097579e-38, -12.784556667294456),
    (1.0000000031710769e-30, -11.464024688169063),
    (9.9999998245167e-15, -7.650628095191648),
    (1.0000000116860974e-07, -5.199337580020491),
    (0.0010000000474974513, -3.090232292061434),
    (0.10000000149011612, -1.2815515570538296),
    (0.13500000536441803, -1.1030625314922686),
    (0.13600000739097595, -1.0984683864703684),
    (0.25, -0.6744897501960817),
    (0.49000000953674316, -0.025068884346128226),
    (0.5, 0.0),
    (0.6000000238418579, 0.253347164847509),
    (0.8640000224113464, 1.0984685230409181),
    (0.8648999929428101, 1.1026020626546782),
    (0.9900000095367432, 2.326348231863753),
    (0.9998999834060669, 3.718974568757523),
    (0.9999999403953552, 5.294704084854598),
];
const XLOGY: &[([f64; 2], f64)] = &[
    ([2.0, 1.0000000031710769e-30], -138.15510557330057),
    ([-3.0, 0.9990000128746033], 0.003001462338278563),
    ([1.000000013351432e-10, 1.0010000467300415], 9.995470297859732e-14),
    ([0.5, 1.0000000200408773e+20], 23.025850939960897),
];
const XLOG1PY: &[([f64; 2], f64)] = &[
    ([2.0, 1.0000000031710769e-30], 2.0000000063421537e-30),
    ([-3.0, -0.9990000128746033], 20.72330446100486),
    ([1.000000013351432e-10, 0.0010000000474974513], 9.995003938782959e-14),
    ([0.5, 1.0000000200408773e+20], 23.025850939960897),
];
const REL_ENTR: &[([f64; 2], f64)] = &[
    ([1.0, 1.000100016593933], -0.00010001159260704876),
    ([2.0, 3.9000000953674316], -1.3356587940576854),
    ([1.0000000031710769e-30, 1.0000000150474662e+30], -1.3815510602961958e-28),
    ([1.0000000150474662e+30, 1.0000000031710769e-30], 1.3815510767040341e+32),
    ([0.30000001192092896, 0.8999999761581421], -0.32958367982869635),
    ([5.0, 4.999000072479248], 0.0010000275195890629),
];
const KL_DIV: &[([f64; 2], f64)] = &[
    ([1.0, 1.000100016593933], 5.001326056704249e-09),
    ([1.0, 1.899999976158142], 0.25814610253409365),
    ([2.0, 1.100000023841858], 0.2956739820042667),
    ([3.0, 9.0], 2.704163133995671),
    ([9.0, 3.0], 3.8875105980129874),
    ([5.0, 4.999000072479248], 9.999883710982846e-08),
    ([9.999999682655225e-21, 3.0], 3.0),
    ([10000000000.0, 1.000000013351432e-10], 450517018465.2948),
];

/// How many units in the last place `found` is from `wanted`.
fn ulps(found: f64, wanted: f64, least: f64, epsilon: f64) -> f64 {
    if found == wanted {
        return 0.0;
    }
    (found - wanted).abs() / (wanted.abs().log2().floor().exp2() * epsilon).max(least)
}

/// Holds `f` to values of mpmath, in both types. Results that `f32` does not hold are left out there.
fn precise<const N: usize>(name: &str, f: impl Fn([Array; N]) -> Array, table: &[([f64; N], f64)]) {
    let mut wrong = String::new();
    for (xs, wanted) in table {
        let wide = f(xs.map(Array::from)).item::<f64>();
        let off = ulps(wide, *wanted, f64::from_bits(1), f64::EPSILON);
        if off.is_nan() || off > 4.0 {
            wrong += &format!("\n  {name}({xs:?}) is {wide:e}, not {wanted:e}: {off:.1} ulp");
        }
        let rounded = *wanted as f32;
        if rounded != 0.0 && !rounded.is_normal() {
            continue;
        }
        let narrow = f(xs.map(|x| Array::from(x as f32))).item::<f32>();
        let off = ulps(narrow.into(), *wanted, f64::from(f32::from_bits(1)), f32::EPSILON.into());
        if off.is_nan() || off > 4.0 {
            wrong += &format!("\n  {name}({xs:?}) in f32 is {narrow:e}, not {wanted:e}: {off:.1} ulp");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn functions_of_one_number_are_precise() {
    type Case = (&'static str, fn(&Array) -> Array, &'static [(f64, f64)]);
    let cases: &[Case] = &[
        ("expit", expit, EXPIT),
        ("logit", logit, LOGIT),
        ("entr", entr, ENTR),
        ("log1mexp", log1mexp, LOG1MEXP),
        ("erfinv", erfinv, ERFINV),
        ("ndtr", ndtr, NDTR),
        ("log_ndtr", log_ndtr, LOG_NDTR),
        ("ndtri", ndtri, NDTRI),
    ];
    for (name, f, table) in cases {
        let table: Vec<([f64; 1], f64)> = table.iter().map(|(x, y)| ([*x], *y)).collect();
        precise(name, |[x]| f(&x), &table);
    }
}

#[test]
fn functions_of_two_numbers_are_precise() {
    precise("xlogy", |[x, y]| xlogy(x, y), XLOGY);
    precise("xlog1py", |[x, y]| xlog1py(x, y), XLOG1PY);
    precise("rel_entr", |[p, q]| rel_entr(p, q), REL_ENTR);
    precise("kl_div", |[p, q]| kl_div(p, q), KL_DIV);
}

/// The first two derivatives at a number.
fn slopes(f: fn(&Array) -> Array, at: f64) -> [f64; 2] {
    let first = move |x: Array| grad(move |x: Array| f(&x))(x);
    [first(Array::from(at)), grad(first)(Array::from(at))].map(|x| x.item::<f64>())
}

#[test]
fn derivatives_are_right_at_the_ends() {
    let infinity = f64::INFINITY;
    // log_ndtr has the slope -x (1 + 1/x² - 2/x⁴ + …) far below 0.
    let [first, second] = slopes(log_ndtr, -1e8);
    assert!((first / 1e8 - 1.0).abs() < 1e-15 && (second + 1.0).abs() < 1e-15, "{first}, {second}");
    assert_eq!(slopes(log_ndtr, 50.0), [0.0, 0.0]);
    assert_eq!(slopes(ndtr, -50.0), [0.0, 0.0]);
    assert_eq!(slopes(expit, -1e3), [0.0, 0.0]);
    assert_eq!(slopes(log1mexp, 1e3), [0.0, 0.0]);
    assert_eq!(slopes(entr, 0.0)[0], infinity);
    assert_eq!(slopes(entr, -1.0), [0.0, 0.0]);
    assert_eq!(slopes(erfinv, 0.0), [std::f64::consts::PI.sqrt() / 2.0, 0.0]);
    assert_eq!(slopes(erfinv, 1.0)[0], infinity);
    assert_eq!(slopes(logit, 0.5), [4.0, 0.0]);
    assert_eq!(slopes(|x| xlogy(x, 0.0), 0.0), [0.0, 0.0]);
    assert_eq!(slopes(|x| xlogy(0.0, x), 0.0), [0.0, 0.0]);
    assert_eq!(slopes(|x| xlogy(x, 1.0), 0.0), [0.0, 0.0]);
    assert_eq!(slopes(|x| xlogy(x, 2.0), 0.0), [2f64.ln(), 0.0]);
    assert_eq!(slopes(|x| xlogy(x, x), 0.0), [0.0, 0.0]);
    assert_eq!(slopes(|x| xlog1py(x, -1.0), 0.0), [0.0, 0.0]);
    assert_eq!(slopes(|x| xlog1py(0.0, x), -1.0), [0.0, 0.0]);
    assert_eq!(slopes(|x| xlog1py(x, f64::INFINITY), 0.0), [0.0, 0.0]);
    assert_eq!(slopes(|x| rel_entr(x, 0.0), 0.0), [0.0, 0.0]);
    assert_eq!(slopes(|x| kl_div(0.0, x), 2.0), [1.0, 0.0]);
    assert_eq!(slopes(|x| kl_div(x, 2.0), 2.0), [0.0, 0.5]);
    assert_eq!(slopes(|x| kl_div(2.0, x), 2.0), [0.0, 0.5]);
}

#[test]
fn ends_and_nan() {
    const INFINITY: f64 = f64::INFINITY;
    type Case = (fn(&Array) -> Array, &'static [(f64, f64)]);
    let cases: &[Case] = &[
        (logit, &[(0.0, -INFINITY), (1.0, INFINITY), (-0.1, f64::NAN), (1.1, f64::NAN)]),
        (entr, &[(0.0, 0.0), (-1.0, -INFINITY), (INFINITY, -INFINITY)]),
        (log1mexp, &[(0.0, -INFINITY), (-1.0, f64::NAN), (INFINITY, 0.0)]),
        (erfinv, &[(0.0, 0.0), (1.0, INFINITY), (-1.0, -INFINITY), (1.5, f64::NAN), (INFINITY, f64::NAN)]),
        (ndtr, &[(-INFINITY, 0.0), (INFINITY, 1.0)]),
        (log_ndtr, &[(-INFINITY, -INFINITY), (INFINITY, 0.0), (-1e200, -INFINITY)]),
        (ndtri, &[(0.0, -INFINITY), (1.0, INFINITY), (-0.5, f64::NAN), (1.5, f64::NAN)]),
        (|x| kl_div(x, 1.0), &[(-1.0, INFINITY), (0.0, 1.0)]),
        (|x| rel_entr(1.0, x), &[(-1.0, INFINITY), (0.0, INFINITY)]),
    ];
    for (i, (f, points)) in cases.iter().enumerate() {
        for (x, wanted) in points.iter().chain(&[(f64::NAN, f64::NAN)]) {
            let found = f(&Array::from(*x)).item::<f64>();
            assert!(found == *wanted || (found.is_nan() && wanted.is_nan()), "function {i} at {x} is {found}");
            let narrow = f(&Array::from(*x as f32)).item::<f32>();
            assert!(
                f64::from(narrow) == *wanted || (narrow.is_nan() && wanted.is_nan()),
                "function {i} at {x} is {narrow}"
            );
        }
    }
}

#[test]
fn integers_are_refused() {
    let ints = Array::from([1, 2]);
    let refused: &[(&dyn Fn() -> Array, &str)] = &[
        (&|| logit(&ints), "logit: takes floats of 32 or 64 bits: convert with `astype` first"),
        (&|| entr(&ints), "entr: takes floats"),
        (&|| xlogy(&ints, &ints), "xlogy: takes floats"),
        (&|| xlog1py(&ints, 1), "xlog1py: takes floats"),
        (&|| rel_entr(&ints, &ints), "rel_entr: takes floats"),
        (&|| kl_div(&ints, &ints), "kl_div: takes floats"),
        (&|| erfinv(&ints), "erfinv: takes floats"),
        (&|| ndtr(&ints), "ndtr: takes floats"),
        (&|| log_ndtr(&ints), "log_ndtr: takes floats"),
        (&|| ndtri(&ints), "ndtri: takes floats"),
        (&|| log1mexp(&ints), "log1mexp: takes floats"),
        (&|| xlogy(Array::from([1.0]), &ints), "xlogy: takes floats"),
    ];
    for (f, says) in refused {
        let error = quietly(f).expect_err(says).to_string();
        assert!(error.contains(says), "{error}");
        assert!(error.contains("special.rs"), "{error} names no line here");
    }
}
