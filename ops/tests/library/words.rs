//! Bits of integers and of floats, and different elements: values are JAX's.

use gavotte::{
    Array, DType, erf_inv, grad, jit, jvp, mulhi, reduce_and, reduce_or, reduce_precision, reduce_prod, reduce_xor,
};

#[test]
fn bits_are_reduced_each_for_itself() {
    let x = [0b1100i64, 0b1010, -1, 0b0111, 5, i64::MIN];
    for dtype in [DType::I8, DType::I16, DType::I32, DType::I64, DType::U8, DType::U16, DType::U32, DType::U64] {
        let rows = Array::new(&[3, 2], x.to_vec()).astype(dtype);
        let fold = |f: fn(i64, i64) -> i64| {
            let columns = [0, 1].map(|i| [x[i], x[i + 2], x[i + 4]].into_iter().reduce(f).unwrap_or_default());
            Array::new(&[2], columns.to_vec()).astype(dtype).astype(DType::I64).to_vec::<i64>()
        };
        let read = |x: Array| {
            assert_eq!(x.dtype(), dtype);
            x.astype(DType::I64).to_vec::<i64>()
        };
        assert_eq!(read(reduce_and(&rows, 0)), fold(|a, b| a & b), "{dtype}");
        assert_eq!(read(reduce_or(&rows, 0)), fold(|a, b| a | b), "{dtype}");
        assert_eq!(read(reduce_xor(&rows, -2)), fold(|a, b| a ^ b), "{dtype}");
        assert_eq!(read(jit(|x: Array| reduce_xor(&x, 0))(rows)), fold(|a, b| a ^ b), "{dtype}");
    }
    let none = Array::new::<i32>(&[0, 1], vec![]);
    let found = [reduce_and(&none, 0), reduce_or(&none, 0), reduce_xor(&none, 0), reduce_prod(&none, 0)];
    assert_eq!(found.map(|x| x.item::<i32>()), [-1, 0, 0, 1]);
    let flags = Array::new(&[2, 2], vec![true, true, true, false]);
    let found = [reduce_and(&flags, 1), reduce_or(&flags, 1), reduce_xor(&flags, 1)].map(|x| x.to_vec::<bool>());
    assert_eq!(found, [[true, false], [true, true], [false, true]]);
    assert!(reduce_and(&Array::new::<bool>(&[0], vec![]), ()).item::<bool>());
}

#[test]
fn upper_halves_of_products() {
    macro_rules! check {
        ($t:ty: $a:expr, $b:expr => $wanted:expr) => {
            let (a, b): (Vec<$t>, Vec<$t>) = ($a.to_vec(), $b.to_vec());
            assert_eq!(mulhi(&Array::new(&[6], a), &Array::new(&[6], b)).to_vec::<$t>(), $wanted);
        };
    }
    const M: (i32, u32, i64, u64, i8, u16) = (i32::MAX, u32::MAX, i64::MAX, u64::MAX, i8::MAX, u16::MAX);
    check!(i32: [M.0, i32::MIN, M.0, 7, -3, M.0 / 3], [M.0, M.0, 2, M.0 - 1, 5, M.0 / 7]
        => [1_073_741_823, -1_073_741_824, 0, 3, -1, 51_130_562]);
    check!(u32: [M.1, 0, M.1, 7, 9, M.1 / 3], [M.1, M.1, 2, M.1 - 1, 5, M.1 / 7]
        => [4_294_967_294, 0, 1, 6, 0, 204_522_251]);
    check!(i64: [M.2, i64::MIN, M.2, 7, -3, M.2 / 3], [M.2, M.2, 2, M.2 - 1, 5, M.2 / 7]
        => [4_611_686_018_427_387_903, -4_611_686_018_427_387_904, 0, 3, -1, 219_604_096_115_589_900]);
    check!(u64: [M.3, 0, M.3, 7, 9, M.3 / 3], [M.3, M.3, 2, M.3 - 1, 5, M.3 / 7]
        => [18_446_744_073_709_551_614, 0, 1, 6, 0, 878_416_384_462_359_600]);
    check!(i8: [M.4, i8::MIN, M.4, 7, -3, M.4 / 3], [M.4, M.4, 2, M.4 - 1, 5, M.4 / 7] => [63, -64, 0, 3, -1, 2]);
    check!(u16: [M.5, 0, M.5, 7, 9, M.5 / 3], [M.5, M.5, 2, M.5 - 1, 5, M.5 / 7] => [65_534, 0, 1, 6, 0, 3120]);
}

#[test]
fn floats_are_rounded_as_in_xla() {
    let inf = f32::INFINITY;
    let xs =
        vec![1.01, -3.3, 70_000.0, 65_519.0, 65_520.0, 6.1e-5, 6.0e-5, 3.4e38, inf, -inf, f32::NAN, 0.0, -0.0, 1e-40];
    for (exponent, mantissa, wanted) in [
        (
            5,
            10,
            vec![1.009_765_6, -3.300_781_3, inf, 65_504.0, inf, 0.0, 0.0, inf, inf, -inf, f32::NAN, 0.0, -0.0, 0.0],
        ),
        (
            8,
            7,
            vec![
                1.007_812_5,
                -3.296_875,
                70_144.0,
                65_536.0,
                65_536.0,
                6.103_515_6e-5,
                6.008_148_2e-5,
                inf,
                inf,
                -inf,
                f32::NAN,
                0.0,
                -0.0,
                9.183_55e-41,
            ],
        ),
        (4, 3, vec![1.0, -3.25, inf, inf, inf, 0.0, 0.0, inf, inf, -inf, f32::NAN, 0.0, -0.0, 0.0]),
        (8, 23, xs.clone()),
        (
            8,
            0,
            vec![
                1.0,
                -4.0,
                65_536.0,
                65_536.0,
                65_536.0,
                6.103_515_6e-5,
                6.103_515_6e-5,
                inf,
                inf,
                -inf,
                f32::NAN,
                0.0,
                -0.0,
                0.0,
            ],
        ),
        (1, 0, vec![0.0, -inf, inf, inf, inf, 0.0, 0.0, inf, inf, -inf, f32::NAN, 0.0, -0.0, 0.0]),
    ] {
        let x = || Array::new(&[xs.len()], xs.clone());
        let bits = |xs: &[f32]| xs.iter().map(|x| if x.is_nan() { 1 } else { x.to_bits() }).collect::<Vec<u32>>();
        let found = reduce_precision(&x(), exponent, mantissa).to_vec::<f32>();
        assert_eq!(bits(&found), bits(&wanted), "{exponent}, {mantissa}: {found:?}");
        let compiled = jit(move |x: Array| reduce_precision(&x, exponent, mantissa))(x()).to_vec::<f32>();
        assert_eq!(bits(&compiled), bits(&wanted), "{exponent}, {mantissa}: {compiled:?}");
    }
    let double = Array::new(&[2], vec![1.01f64, 1e-40]);
    assert_eq!(reduce_precision(&double, 8, 23).to_vec::<f64>(), [f64::from(1.01f32), 0.0]);
    assert_eq!(grad(|x: Array| reduce_precision(&x, 8, 7) * 3f32)(Array::scalar(1.01f32)).item::<f32>(), 3.0);
    let one = || (Array::scalar(1.01f32),);
    assert_eq!(jvp(&|x: Array| reduce_precision(&x, 8, 7), one(), one()).1.item::<f32>(), 1.01);
}

#[test]
fn different_elements_are_counted() {
    let x = Array::new(&[2, 3], vec![5i32, -1, 5, 7, 5, -1]);
    let lists = |(values, counts): (Array, Array)| (values.to_vec::<i32>(), counts.to_vec::<i32>());
    assert_eq!(lists(x.unique_counts(None)), (vec![-1, 5, 7], vec![2, 3, 1]));
    assert_eq!(lists(x.unique_counts(Some(2))), (vec![-1, 5], vec![2, 3]));
    assert_eq!(lists(x.unique_counts(Some(5))), (vec![-1, 5, 7, -1, -1], vec![2, 3, 1, 0, 0]));
    assert_eq!(lists(jit(|x: Array| x.unique_counts(Some(4)))(x)), (vec![-1, 5, 7, -1], vec![2, 3, 1, 0]));
    assert_eq!(lists(Array::new::<i32>(&[0], vec![]).unique_counts(None)), (vec![], vec![]));
    assert_eq!(lists(Array::new::<i32>(&[0], vec![]).unique_counts(Some(1))), (vec![0], vec![0]));
    let (values, counts) = Array::from([f32::NAN, 1.0, f32::NAN]).unique_counts(None);
    assert_eq!(counts.to_vec::<i32>(), [1, 1, 1]);
    assert!(values.to_vec::<f32>()[1..].iter().all(|x| x.is_nan()));
    let why = jit(|x: Array| x.unique_counts(None)).try_call((Array::scalar(1),)).err().map(|why| why.to_string());
    let why = why.unwrap_or_default();
    assert!(
        why.contains("unique_counts: how many") && why.contains("give `size`") && why.contains("words.rs"),
        "{why}"
    );
}

#[test]
fn the_inverse_error_function_has_both_names() {
    assert_eq!(erf_inv(&Array::from([0.0, 1.0])).to_vec::<f64>(), [0.0, f64::INFINITY]);
}

#[test]
fn more_elements_than_can_be_counted_are_refused() {
    for size in [1 << 31, usize::MAX] {
        let refused = gavotte_core::ir::quietly(|| Array::from([1, 2]).unique_counts(Some(size)));
        assert!(refused.expect_err("too many").to_string().contains("`size` is too large"));
    }
}
