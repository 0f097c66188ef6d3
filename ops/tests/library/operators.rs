//! Operators, broadcasting, and the methods built on elementwise primitives.

use gavotte::{Array, DType, Dim, Literal, Options, arange, eye, full, iota, jit_with, ones_like, where_, zeros_like};
use gavotte_core::aval::Aval;
use gavotte_core::ir::{Program, quietly, trace};

fn vector() -> Array {
    Array::new(&[3], vec![1f32, -2.0, 4.0])
}

#[test]
fn numbers_take_the_arrays_type() {
    let x = vector();
    assert_eq!((&x + 1.0).to_vec::<f32>(), [2.0, -1.0, 5.0]);
    assert_eq!((2.0 * &x).to_vec::<f32>(), [2.0, -4.0, 8.0]);
    assert_eq!((1.0 - x.clone()).to_vec::<f32>(), [0.0, 3.0, -3.0]);
    assert_eq!((x.clone() / 2f32).to_vec::<f32>(), [0.5, -1.0, 2.0]);
    assert_eq!((&x % 3.0).to_vec::<f32>(), [1.0, -2.0, 1.0]);
    assert_eq!((-&x).to_vec::<f32>(), [-1.0, 2.0, -4.0]);
    let words = Array::new(&[2], vec![5u32, 6]);
    assert_eq!((&words + 1i32).to_vec::<u32>(), [6, 7]);
    assert_eq!((7 % &words).to_vec::<u32>(), [2, 1]);
    assert_eq!(((&words & 4) | 1).to_vec::<u32>(), [5, 5]);
    assert_eq!((&words ^ &words).to_vec::<u32>(), [0, 0]);
    assert_eq!((&words << 1).to_vec::<u32>(), [10, 12]);
    assert_eq!((!vector().gt(0.0) & true).to_vec::<bool>(), [false, true, false]);
    let mut sum = vector();
    sum += 1.0;
    sum *= &vector();
    assert_eq!(sum.to_vec::<f32>(), [2.0, 2.0, 20.0]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let message = |f: &dyn Fn() -> Array| quietly(f).expect_err("refused").to_string();
    let words = Array::new(&[2], vec![5u32, 6]);
    for (found, says) in [
        (message(&|| vector() + 1), "element types f32 and i32 differ: convert one with `astype`"),
        (message(&|| &words + -1), "element types u32 and i32 differ"),
        (message(&|| &words * 0.5), "element types u32 and f64 differ"),
        (message(&|| vector() + vector().astype(DType::F64)), "f32[3], f64[3]"),
        (message(&|| vector() + Array::new(&[2], vec![1f32, 2.0])), "shapes [3] and [2] differ"),
        (message(&|| vector() & vector()), "takes bool or integers"),
    ] {
        assert!(found.contains(says), "{found}");
        assert!(found.contains("operators.rs"), "{found} names no line here");
    }
}

#[test]
fn arrays_broadcast_as_in_numpy() {
    let column = Array::new(&[2, 1], vec![10f32, 20.0]);
    let sum = &column + &vector();
    assert_eq!(sum.shape().as_slice(), [Dim::from(2), Dim::from(3)]);
    assert_eq!(sum.to_vec::<f32>(), [11.0, 8.0, 14.0, 21.0, 18.0, 24.0]);
    let cube = Array::new(&[2, 1, 2], vec![1f32, 2.0, 3.0, 4.0]) * Array::new(&[3, 1], vec![1f32, 10.0, 100.0]);
    let expected = [1.0, 2.0, 10.0, 20.0, 100.0, 200.0, 3.0, 4.0, 30.0, 40.0, 300.0, 400.0];
    assert_eq!(cube.to_vec::<f32>(), expected);
    let one = Array::new(&[1], vec![2f32]);
    assert_eq!((&one * &vector()).to_vec::<f32>(), [2.0, -4.0, 8.0]);
    assert_eq!((&one * Array::scalar(3f32)).shape().as_slice(), [Dim::from(1)]);
    assert_eq!(one.broadcast_to([2, 2]).to_vec::<f32>(), [2.0; 4]);
    assert_eq!(Array::scalar(2f32).broadcast_to([2]).to_vec::<f32>(), [2.0; 2]);
    let refused = std::panic::catch_unwind(|| vector().broadcast_to([3, 2]));
    assert!(refused.is_err());
}

fn traced(types: &[(DType, &[Dim])], f: impl Fn(Vec<Array>) -> Array) -> Program {
    let avals: Vec<Aval> = types.iter().map(|(dtype, shape)| Aval::new(*dtype, shape.iter())).collect();
    trace("f", &avals, |ins| vec![f(ins.into_iter().map(Array::from).collect()).into()]).program
}

#[test]
fn scalars_cost_no_broadcast() {
    let n = Dim::symbol("n");
    let program = traced(&[(DType::F32, &[n.clone(), 8.into()]), (DType::F32, &[])], |ins| &ins[0] * &ins[1] + 0.5);
    let expected = "\
program @f(%0: f32[n,8], %1: f32[]) -> (f32[n,8]) {
  %2: f32[n,8] = mul %0, %1
  %3: f32[n,8] = add %2, 0.5f32
  return %3
}
";
    assert_eq!(program.to_string(), expected);
}

#[test]
fn symbols_broadcast_by_equality() {
    let n = Dim::symbol("n");
    let types: [(DType, &[Dim]); 2] = [(DType::F32, &[n.clone(), 1.into()]), (DType::F32, &[n.clone(), 4.into()])];
    let program = traced(&types, |ins| &ins[0] - &ins[1]);
    assert_eq!(program.out_avals()[0].to_string(), "f32[n,4]");
    let m: &[Dim] = &["m".into(), 4.into()];
    let refused = quietly(|| traced(&[types[1], (DType::F32, m)], |ins| &ins[0] - &ins[1]));
    assert!(refused.expect_err("n is not m").to_string().contains("shapes [n, 4] and [m, 4] differ"));
}

#[test]
fn methods_compute() {
    let x = Array::new(&[4], vec![0.25f64, 1.0, 2.0, 3.0]);
    let close = |found: Array, expected: &dyn Fn(f64) -> f64| {
        for (x, y) in x.to_vec::<f64>().into_iter().zip(found.to_vec::<f64>()) {
            assert!((expected(x) - y).abs() <= 1e-15 * y.abs(), "{y} at {x}, not {}", expected(x));
        }
    };
    close(x.square(), &|x| x * x);
    close(x.powi(5), &|x| x * x * x * x * x);
    close(x.powi(-2), &|x| 1.0 / (x * x));
    close(x.powi(0), &|_| 1.0);
    close(x.pow(1.5), &|x| x.powf(1.5));
    close(x.logistic(), &|x| 1.0 / (1.0 + (-x).exp()));
    close(x.clip(0.5, 2.5), &|x| x.clamp(0.5, 2.5));
    close(x.maximum(1.5), &|x| x.max(1.5));
    close(where_(&x.lt(1.5), &x, 0.0), &|x| if x < 1.5 { x } else { 0.0 });
    assert_eq!(x.lt(2.0).to_vec::<bool>(), [true, true, false, false]);
    assert_eq!(x.eq(&x).to_vec::<bool>(), [true; 4]);
    assert_eq!(x.lt(2.0).select(1, 0).to_vec::<i32>(), [1, 1, 0, 0]);
    assert_eq!(Array::new(&[1], vec![1f32]).bitcast(DType::U32).to_vec::<u32>(), [0x3f80_0000]);
}

#[test]
fn constructors() {
    assert_eq!(arange(4, DType::F32).to_vec::<f32>(), [0.0, 1.0, 2.0, 3.0]);
    assert_eq!(iota([2, 2], 1, DType::U32).to_vec::<u32>(), [0, 1, 0, 1]);
    assert_eq!(eye(2, DType::F64).to_vec::<f64>(), [1.0, 0.0, 0.0, 1.0]);
    assert_eq!(full([2], 3i32).to_vec::<i32>(), [3, 3]);
    assert_eq!(gavotte::zeros([2], DType::Bool).to_vec::<bool>(), [false; 2]);
    assert_eq!(gavotte::ones([2, 1], DType::U32).to_vec::<u32>(), [1; 2]);
    assert_eq!((ones_like(&vector()) + zeros_like(&vector())).to_vec::<f32>(), [1.0; 3]);
    assert_eq!(full([0usize; 0], Literal::F32(2.0)).item::<f32>(), 2.0);
}

#[test]
fn sizes_become_scalars() {
    let n = Dim::symbol("n");
    let program = traced(&[(DType::F32, std::slice::from_ref(&n))], |ins| {
        &ins[0] / gavotte::dim_value(ins[0].dim(0) + 1, DType::F32)
    });
    assert!(program.to_string().contains("dim_value {dim=n+1, dtype=f32}"), "{program}");
    assert_eq!(gavotte::dim_value(3, DType::F32).item::<f32>(), 3.0);
}

/// A rule for integers: the operation, and the exact result of a type with this width and signedness.
type Rule = (&'static str, fn(Array, Array) -> Array, fn(i128, i128, u32, bool) -> i128);

/// The table of the crate's documentation, with its rules written apart.
const RULES: [Rule; 9] = [
    ("+", |x, y| x + y, |x, y, _, _| x + y),
    ("-", |x, y| x - y, |x, y, _, _| x - y),
    ("*", |x, y| x * y, |x, y, _, _| x.wrapping_mul(y)),
    ("neg", |x, _| -x, |x, _, _, _| -x),
    ("abs", |x, _| x.abs(), |x, _, _, _| x.abs()),
    ("/", |x, y| x / y, |x, y, _, _| if y == 0 { -1 } else { x / y }),
    ("%", |x, y| x % y, |x, y, _, _| if y == 0 { x } else { x % y }),
    ("<<", |x, y| x << y, |x, y, width, _| if (0..i128::from(width)).contains(&y) { x << y } else { 0 }),
    (
        ">>",
        |x, y| x >> y,
        |x, y, width, _| match (0..i128::from(width)).contains(&y) {
            true => x >> y,
            false => -i128::from(x < 0),
        },
    ),
];

/// The value of these low bits in a type.
fn of_low_bits(x: i128, width: u32, is_signed: bool) -> i128 {
    let low = x & ((1 << width) - 1);
    if is_signed && low >> (width - 1) != 0 { low - (1 << width) } else { low }
}

/// The documented results, of every integer type, by the interpreter and compiled for every processor.
#[test]
fn integers_follow_the_table() {
    for dtype in DType::ALL.iter().copied().filter(|dtype| dtype.is_int()) {
        let (width, is_signed) = (8 * dtype.size() as u32, dtype.is_signed());
        let edges = [0, 1, 2, 3, 7, -1, -2, -7, 1 << (width - 1), (1 << (width - 1)) - 1, (1 << (width - 1)) + 1];
        let more = [width - 1, width, width + 1, 4 * width].map(i128::from);
        let edges: Vec<i128> = edges.into_iter().chain(more).map(|x| of_low_bits(x, width, is_signed)).collect();
        let pairs: Vec<(i128, i128)> = edges.iter().flat_map(|x| edges.iter().map(move |y| (*x, *y))).collect();
        let array = |numbers: Vec<i128>| {
            let words: Vec<i64> = numbers.into_iter().map(|x| x as i64).collect();
            Array::from(words).astype(dtype)
        };
        let x = array(pairs.iter().map(|(x, _)| *x).collect());
        let y = array(pairs.iter().map(|(_, y)| *y).collect());
        for (name, f, exact) in RULES {
            if !is_signed && ["neg", "abs"].contains(&name) {
                continue;
            }
            let wanted =
                pairs.iter().map(|(x, y)| of_low_bits(exact(*x, *y, width, is_signed), width, is_signed) as i64);
            let wanted: Vec<i64> = wanted.collect();
            let mut found = vec![("interpreter".to_string(), f(x.clone(), y.clone()))];
            for target in crate::targets() {
                let options = Options { target, ..Options::default() };
                found.push((format!("{target:?}"), jit_with(f, options)(x.clone(), y.clone())));
            }
            for (path, found) in found {
                let found = found.astype(DType::I64).to_vec::<i64>();
                for ((pair, found), wanted) in pairs.iter().zip(found).zip(&wanted) {
                    assert_eq!(found, *wanted, "{dtype}, {path}: {} {name} {}", pair.0, pair.1);
                }
            }
        }
    }
}
