//! Special functions against values of mpmath (`tests/python/special.py` writes them), on every target: their precision in
//! both types, at poles and far out, and that of their first two derivatives.

use gavotte::special::*;
use gavotte::{Array, DType, Options, grad, jit_with};
use serde_json::Value;

/// A function of one or two arrays, by its name in the file.
struct Case {
    name: &'static str,
    f: fn(&[Array]) -> Array,
    /// Units in the last place of the value, or of the largest term of its sum.
    ulps: f64,
    /// The same of the derivatives.
    of_slopes: f64,
}

const CASES: &[Case] = &[
    Case { name: "gammaln", f: |x| gammaln(&x[0]), ulps: 4.0, of_slopes: 16.0 },
    Case { name: "digamma", f: |x| digamma(&x[0]), ulps: 4.0, of_slopes: 16.0 },
    Case { name: "gamma", f: |x| gamma(&x[0]), ulps: 4.0, of_slopes: 8.0 },
    Case { name: "beta", f: |x| beta(&x[0], &x[1]), ulps: 8.0, of_slopes: 32.0 },
    Case { name: "betaln", f: |x| betaln(&x[0], &x[1]), ulps: 4.0, of_slopes: 16.0 },
    Case { name: "factorial", f: |x| factorial(&x[0]), ulps: 4.0, of_slopes: 16.0 },
    Case { name: "zeta", f: |x| zeta(&x[0], &x[1]), ulps: 4.0, of_slopes: 16.0 },
    Case { name: "i0", f: |x| i0(&x[0]), ulps: 4.0, of_slopes: 8.0 },
    Case { name: "i0e", f: |x| i0e(&x[0]), ulps: 4.0, of_slopes: 16.0 },
    Case { name: "i1", f: |x| i1(&x[0]), ulps: 4.0, of_slopes: 16.0 },
    Case { name: "i1e", f: |x| i1e(&x[0]), ulps: 4.0, of_slopes: 16.0 },
    Case { name: "exp1", f: |x| exp1(&x[0]), ulps: 4.0, of_slopes: 8.0 },
    Case { name: "expi", f: |x| expi(&x[0]), ulps: 4.0, of_slopes: 8.0 },
    Case { name: "spence", f: |x| spence(&x[0]), ulps: 4.0, of_slopes: 8.0 },
    Case { name: "erfcx", f: |x| erfcx(&x[0]), ulps: 4.0, of_slopes: 64.0 },
    Case { name: "polygamma", f: |x| polygamma(&x[0], &x[1]), ulps: 6.0, of_slopes: 16.0 },
];

/// A row of the file.
struct Row {
    operands: Vec<f64>,
    value: f64,
    size: f64,
    slopes: [Option<f64>; 2],
    slope_size: f64,
}

fn number(x: &Value) -> Option<f64> {
    x.as_str().map(|word| word.parse().expect("a number"))
}

fn rows(name: &str) -> Vec<Row> {
    let all: Value = serde_json::from_str(include_str!("special_values.json")).expect("JSON");
    let of = |row: &Value| Row {
        operands: row[0].as_array().expect("operands").iter().map(|x| number(x).expect("a number")).collect(),
        value: number(&row[1]).expect("a value"),
        size: number(&row[2]).expect("a size"),
        slopes: [number(&row[3]), number(&row[4])],
        slope_size: number(&row[5]).expect("a size"),
    };
    all[name].as_array().unwrap_or_else(|| panic!("no values of {name}")).iter().map(of).collect()
}

impl Row {
    /// Whether the operands are numbers of `f32`.
    fn is_short(&self) -> bool {
        self.operands.iter().all(|x| x.is_nan() || f64::from(*x as f32) == *x)
    }
}

/// How a function runs: as it is, and compiled for every target that this machine runs.
fn ways() -> Vec<Option<Options>> {
    let compiled = crate::targets().into_iter().map(|target| Some(Options { target, ..Options::default() }));
    std::iter::once(None).chain(compiled).collect()
}

/// How many units in the last place `found` is from `wanted`, or of `size`, if that is larger.
fn ulps(found: f64, wanted: f64, size: f64, dtype: DType) -> f64 {
    let (epsilon, least, most) = match dtype {
        DType::F32 => (f64::from(f32::EPSILON), f64::from(f32::MIN_POSITIVE), f64::from(f32::MAX)),
        _ => (f64::EPSILON, f64::MIN_POSITIVE, f64::MAX),
    };
    let wanted = if wanted.is_finite() && wanted.abs() > most { f64::INFINITY.copysign(wanted) } else { wanted };
    if found == wanted || (found.is_nan() && wanted.is_nan()) {
        return 0.0;
    }
    let unit = wanted.abs().max(size).max(least).log2().floor().exp2() * epsilon;
    let off = (found - wanted).abs() / unit;
    if off.is_nan() { f64::INFINITY } else { off }
}

/// The operands of the rows as arrays.
fn operands(rows: &[&Row], dtype: DType) -> Vec<Array> {
    (0..rows[0].operands.len())
        .map(|i| Array::new(&[rows.len()], rows.iter().map(|row| row.operands[i]).collect::<Vec<f64>>()).astype(dtype))
        .collect()
}

fn run(f: impl Fn(Vec<Array>) -> Array + Send + Sync, options: &Option<Options>, ins: Vec<Array>) -> Vec<f64> {
    let found = match options {
        None => f(ins),
        Some(options) => jit_with(f, options.clone())(ins),
    };
    found.astype(DType::F64).to_vec::<f64>()
}

/// Checks what `wanted` says about each row, in every way and type.
fn check(
    case: &Case,
    what: &str,
    f: impl Fn(Vec<Array>) -> Array + Send + Sync,
    wanted: impl Fn(&Row) -> Option<(f64, f64)>,
    bound: f64,
) -> String {
    let rows: Vec<Row> = rows(case.name).into_iter().filter(|row| wanted(row).is_some()).collect();
    let mut wrong = String::new();
    for options in if rows.is_empty() { vec![] } else { ways() } {
        for dtype in [DType::F32, DType::F64] {
            let rows: Vec<&Row> = rows.iter().filter(|row| dtype == DType::F64 || row.is_short()).collect();
            let found = run(&f, &options, operands(&rows, dtype));
            for (row, found) in rows.iter().zip(found) {
                let (wanted, size) = wanted(row).expect("others are left out");
                let off = ulps(found, wanted, size, dtype);
                if off > bound {
                    let (at, way) = (&row.operands, options.as_ref().map(|options| options.target));
                    wrong += &format!(
                        "\n  {what}{}{at:?} of {dtype}, {way:?}: {found:e}, not {wanted:e}: {off:.1} ulp",
                        case.name
                    );
                }
            }
        }
    }
    wrong
}

#[test]
fn values_are_within_their_bounds() {
    let wrong: String = CASES
        .iter()
        .map(|case| check(case, "", |x: Vec<Array>| (case.f)(&x), |row| Some((row.value, row.size)), case.ulps))
        .collect();
    assert!(wrong.is_empty(), "{wrong}");
}

/// The derivative with respect to the last of the operands.
fn slope(f: impl Fn(&[Array]) -> Array + Send + Sync + Clone) -> impl Fn(&[Array]) -> Array + Send + Sync + Clone {
    move |x: &[Array]| {
        let (last, before) = x.split_last().expect("an operand");
        let of = |last: Array| f(&[before, &[last]].concat()).sum(());
        grad(of)(last.clone())
    }
}

#[test]
fn derivatives_are_within_their_bounds() {
    let mut wrong = String::new();
    for case in CASES {
        let f = slope(case.f);
        wrong += &check(
            case,
            "first ",
            |x: Vec<Array>| f(&x),
            |row| Some((row.slopes[0]?, row.slope_size.max(row.size))),
            case.of_slopes,
        );
        let f = slope(slope(case.f));
        wrong += &check(
            case,
            "second ",
            |x: Vec<Array>| f(&x),
            |row| Some((row.slopes[1]?, row.slope_size.max(row.size))),
            case.of_slopes,
        );
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// With respect to the exponent, for which the file has no values: those of mpmath's `zeta(s, q, 1)`, with 40 digits.
#[test]
fn the_zeta_function_has_a_derivative_in_its_exponent() {
    for (s, q, wanted) in [
        (1.5, 0.25, 7.060_050_819_049_693),
        (2.0, 1.0, -0.937_548_254_315_843_8),
        (2.5, 3.25, -0.243_516_828_536_529_37),
        (4.0, 0.5, 10.969_679_777_980_49),
        (7.5, 12.5, -3.876_086_718_172_167e-8),
        (1.1, 30.0, -95.414_848_881_203_62),
    ] {
        let found = grad(move |s: Array| zeta(s, q))(Array::scalar(s)).item::<f64>();
        assert!(ulps(found, wanted, 0.0, DType::F64) <= 64.0, "{s}, {q}: {found:e}, not {wanted:e}");
    }
}

#[test]
fn too_many_dimensions_are_refused() {
    for d in [1001, usize::MAX] {
        let refused = gavotte_core::ir::quietly(|| multigammaln(&Array::from([3.0]), d));
        assert!(refused.expect_err("too many").to_string().contains("dimensions are more than 1000"));
    }
}
