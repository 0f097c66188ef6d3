//! Functions composed of primitives: what they refuse, symbols for sizes, derivatives at kinks and far out.

use gavotte::*;
use gavotte_core::ir::{assume, quietly};

fn grid() -> Array {
    Array::from([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
}

#[test]
fn mistakes_name_the_function_and_the_users_line() {
    let (ints, flags, vector) = (Array::from([1, 2]), Array::from([true]), Array::from([1.0, 2.0]));
    let refused: &[(&dyn Fn() -> Array, &str)] = &[
        (&|| add(&vector, &ints), "element types f64 and i32 differ"),
        (&|| less(&vector, grid()), "shapes [2] and [2, 3] differ"),
        (&|| bitwise_or(&vector, &vector), "takes bool"),
        (&|| vector.bitwise_not(), "takes bool"),
        (&|| flags.negative(), "neg: takes"),
        (&|| shift_right(&vector, &vector), "shift_right_logical: takes"),
        (&|| isclose(&vector, &ints, 0.0, 0.0), "differ"),
        (&|| isin(&vector, &ints), "differ"),
        (&|| ints.reciprocal(), "reciprocal: takes floats: convert with `astype` first"),
        (&|| ints.rsqrt(), "rsqrt: takes floats"),
        (&|| ints.sinc(), "sinc: takes floats"),
        (&|| ints.deg2rad(), "deg2rad: takes floats"),
        (&|| ints.rad2deg(), "rad2deg: takes floats"),
        (&|| hypot(&ints, &ints), "hypot: takes floats"),
        (&|| copysign(&ints, &ints), "copysign: takes floats"),
        (&|| heaviside(&ints, &ints), "heaviside: takes floats"),
        (&|| logaddexp(&ints, &ints), "logaddexp: takes floats"),
        (&|| logaddexp2(&ints, &ints), "logaddexp2: takes floats"),
        (&|| ldexp(&vector, &vector), "ldexp: the exponent must be i32"),
        (&|| ldexp(&ints, &ints), "ldexp: takes floats"),
        (&|| remainder(&flags, &flags), "rem: takes"),
        (&|| ints.count_nonzero(1), "count_nonzero: there is no axis 1"),
    ];
    for (f, says) in refused {
        let error = quietly(f).expect_err(says).to_string();
        assert!(error.contains(says), "{error}");
        assert!(error.contains("array_functions.rs"), "{error} names no line here");
    }
}

/// A number that the element type does not hold would wrap, or become infinite.
#[test]
fn numbers_fit_their_type() {
    let bytes = || Array::from([1u8, 2]);
    let refused: &[(&dyn Fn() -> Array, &str)] = &[
        (&|| arange(257, DType::U8), "arange: the largest value 256 does not fit u8, which holds 0 to 255"),
        (&|| arange(129, DType::I8), "arange: the largest value 128 does not fit i8, which holds -128 to 127"),
        (&|| iota([2, 65_537], 1, DType::U16), "iota: the largest value 65536 does not fit u16"),
        (&|| iota([32_769, 1], 0, DType::I16), "iota: the largest value 32768 does not fit i16"),
        (&|| arange(300, DType::Bool), "iota: counts in numbers, not bool"),
        (
            &|| arange(65_506, DType::F16),
            "arange: the largest value 65505 does not fit f16, which holds -65504 to 65504",
        ),
        (&|| linspace(f16::ZERO, f16::ONE, 65_506), "linspace: the size 65505 does not fit f16"),
        (&|| hanning(65_506, DType::F16), "hanning: the size 65505 does not fit f16"),
        (&|| dim_value(256, DType::U8), "dim_value: the size 256 does not fit u8"),
        (
            &|| ravel_multi_index(&[bytes(), bytes()], [20, 13]),
            "ravel_multi_index: the largest number 259 does not fit u8",
        ),
        (&|| unravel_index(&bytes(), [2, 300]).remove(0), "unravel_index: the size 300 does not fit u8"),
        (&|| full_like(&bytes(), 256), "full_like: 256i32 does not fit u8"),
        (&|| full_like(&bytes(), -1), "full_like: -1i32 does not fit u8"),
        (&|| full_like(&bytes(), 2.5), "full_like: 2.5f64 does not fit u8"),
        (&|| full_like(&Array::from([true]), 2), "full_like: 2i32 does not fit bool"),
        (&|| full_like(&Array::from([1f32]), 1e39), "full_like: 1e39f64 does not fit f32"),
    ];
    for (f, says) in refused {
        let error = quietly(f).expect_err(says).to_string();
        assert!(error.starts_with(says) && error.contains("array_functions.rs"), "{error}");
    }
    assert_eq!(arange(256, DType::U8).to_vec::<u8>(), (0..=255).collect::<Vec<u8>>());
    assert_eq!(arange(128, DType::I8).to_vec::<i8>(), (0..=127).collect::<Vec<i8>>());
    assert!(arange(65_505, DType::F16).to_vec::<f16>().iter().all(|x| x.is_finite()));
    assert_eq!(full_like(&Array::from([0i64]), i64::MAX).to_vec::<i64>(), [i64::MAX]);
    assert_eq!(full_like(&Array::from([1f32]), f64::INFINITY).to_vec::<f32>(), [f32::INFINITY]);
    // A symbol's size is known at the call.
    let counted = jit(|x: Array| arange(x.dim(0), DType::U8).sum(()) + dim_value(x.dim(0), DType::U8));
    let call = |n: usize| counted.try_call((Array::new(&[n], vec![0f32; n]).declare(["n"]),));
    assert_eq!(call(3).expect("it fits").item::<u8>(), 6);
    let why = call(257).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(why.contains("the largest value 256 does not fit u8") && why.contains("array_functions.rs"), "{why}");
}

/// The positions of more classes than the ids' type counts are distinct.
#[test]
fn short_ids_have_many_classes() {
    let rows = nn::one_hot(&Array::from([3u8, 255]), 300, DType::I32);
    assert_eq!(rows.sum(1).to_vec::<i32>(), [1, 1]);
    assert_eq!(rows.argmax(1).to_vec::<i32>(), [3, 255]);
}

/// The gradient of the sum of all results.
fn slope(f: impl Fn(Array) -> Array + Send + Sync + 'static, at: f64) -> f64 {
    grad(move |x: Array| f(x).sum(()))(Array::from(at)).item::<f64>()
}

#[test]
fn derivatives_are_finite_where_the_functions_are() {
    let infinity = f64::INFINITY;
    // At ties and infinities.
    assert_eq!(slope(|x| logaddexp(&x, x.stop_gradient()), 3.0), 0.5);
    assert_eq!(slope(|x| logaddexp(&x, x.stop_gradient()), infinity), 0.5);
    for (x, y, wanted) in [
        (infinity, 0.0, 1.0),
        (0.0, infinity, 0.0),
        (-infinity, 0.0, 0.0),
        (0.0, -infinity, 1.0),
        (-infinity, -infinity, 0.5),
        (1e300, -1e300, 1.0),
    ] {
        assert_eq!(slope(move |x| logaddexp(&x, y), x), wanted, "logaddexp at {x}, {y}");
        assert_eq!(slope(move |x| logaddexp2(&x, y), x), wanted, "logaddexp2 at {x}, {y}");
    }
    for (x, y, wanted) in [
        (0.0, 0.0, 0.0),
        (0.0, 1.0, 0.0),
        (3e200, 4e200, 0.6),
        (3e-200, -4e-200, 0.6),
        (infinity, 1.0, 1.0),
        (-infinity, 1.0, -1.0),
        (1.0, infinity, 0.0),
    ] {
        let found = slope(move |x| hypot(&x, y), x);
        assert!((found - wanted).abs() < 1e-15, "hypot at {x}, {y}: {found}");
    }
    // sinc x = 1 - (πx)² / 6 + (πx)⁴ / 120 - …
    let second = |x: f64| {
        let first = |x: Array| grad(|x: Array| x.sinc())(x);
        grad(first)(Array::from(x)).item::<f64>()
    };
    let pi = std::f64::consts::PI;
    assert_eq!(slope(|x| x.sinc(), 0.0), 0.0);
    assert!((second(0.0) + pi * pi / 3.0).abs() < 1e-14);
    let near = slope(|x| x.sinc(), 1e-5);
    assert!((near / (-pi * pi / 3.0 * 1e-5) - 1.0).abs() < 1e-9, "{near}");
    assert_eq!(slope(|x| x.nan_to_num(), f64::NAN), 0.0);
    assert_eq!(slope(|x| remainder(&x, 3.0), -4.0), 1.0);
    assert_eq!(slope(|x| floor_divide(&x, 3.0), -4.0), 0.0);
}

#[test]
fn whole_ranges_are_right() {
    // Every power of two, and beyond both ends.
    for (x, n) in
        [(1.0, 1023), (1.0, 1024), (1.0, -1022), (1.0, -1074), (1.0, -1080), (5e-324, 2097), (f64::MAX, -2097)]
    {
        let found = ldexp(&Array::from(x), &Array::from(n)).item::<f64>();
        let wanted = (0..i32::abs(n)).fold(x, |x: f64, _| if n > 0 { x * 2.0 } else { x / 2.0 });
        assert_eq!(found, wanted, "{x} · 2^{n}");
    }
    for n in -149..128 {
        let found = ldexp(&Array::from(1f32), &Array::from(n)).item::<f32>();
        assert_eq!(found, f32::powi(2.0, n.max(-126)) * f32::powi(2.0, (n + 126).min(0)), "2^{n}");
    }
    // Around every power of two, and the ends.
    let powers = (-1074..1024).map(|n| ldexp(&Array::from(1.0), &Array::from(n)).item::<f64>());
    let near = powers.flat_map(|x| [x.next_down(), x, x.next_up()]).chain([0.0, f64::MAX, 1.0 / 3.0, f64::INFINITY]);
    let xs: Vec<f64> = near.flat_map(|x| [x, -x]).collect();
    let bits = |xs: Vec<f64>| xs.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    for (y, next) in [(f64::INFINITY, f64::next_up as fn(f64) -> f64), (f64::NEG_INFINITY, f64::next_down)] {
        let found = nextafter(Array::from(xs.clone()), y).to_vec::<f64>();
        assert_eq!(bits(found), bits(xs.iter().map(|x| next(*x)).collect()), "toward {y}");
    }
    let xs: Vec<f32> =
        (0..=255).flat_map(|n| [n << 23, (n << 23) + 1, (n << 23) + (1 << 31)]).map(f32::from_bits).collect();
    let xs: Vec<f32> = xs.into_iter().filter(|x| !x.is_nan()).collect();
    let found = nextafter(Array::from(xs.clone()), f32::INFINITY).to_vec::<f32>();
    assert_eq!(found, xs.iter().map(|x| x.next_up()).collect::<Vec<_>>());
    let found = nextafter(Array::from(xs.clone()), f32::NEG_INFINITY).to_vec::<f32>();
    assert_eq!(found, xs.iter().map(|x| x.next_down()).collect::<Vec<_>>());
    assert!(nextafter(f64::NAN, Array::from(1.0)).item::<f64>().is_nan());
    for n in [i32::MIN, i32::MAX] {
        let wanted = if n < 0 { 0.0 } else { f64::INFINITY };
        assert_eq!(ldexp(&Array::from(1.0), &Array::from(n)).item::<f64>(), wanted);
    }
    let signs = copysign(Array::from([2.0, 2.0, 2.0, 0.0]), Array::from([-0.0, 0.0, -1.0, -3.0])).to_vec::<f64>();
    assert_eq!(signs.iter().map(|x| x.is_sign_negative()).collect::<Vec<_>>(), [true, false, true, true]);
    assert_eq!(floor_divide(Array::from([5, -5]), 0).to_vec::<i32>(), (&Array::from([5, -5]) / 0).to_vec::<i32>());
}

#[test]
fn mistakes_in_shapes_say_what_to_do() {
    let (x, ints, vector) = (grid(), Array::from([1, 2]), Array::from([1.0, 2.0]));
    let empty = Array::from(Vec::<f64>::new());
    let refused: &[(&dyn Fn() -> Array, &str)] = &[
        (&|| ints.std(0), "takes floats"),
        (&|| ints.var_with(0, 1), "var_with: takes floats"),
        (&|| ints.std_with(0, 1), "std_with: takes floats"),
        (&|| x.ptp(2), "ptp: there is no axis 2"),
        (&|| empty.ptp(0), "ptp: there are no elements"),
        (&|| average(&x, &vector, 1), "average: the weights have neither"),
        (&|| average(&x, &ints, 0), "average: takes floats"),
        (&|| cov(&Array::from(1.0), 1), "cov: takes a vector or a matrix, not 0 axes"),
        (&|| corrcoef(&ints), "corrcoef: takes floats"),
        (&|| ints.nanmean(0), "nanmean: takes floats, as nothing else is NaN"),
        (&|| ints.nanvar(0, 0), "nanvar: takes floats"),
        (&|| ints.nanstd(0, 0), "nanstd: takes floats"),
        (&|| ints.nanmin(0), "nanmin: takes floats"),
        (&|| x.nanmax(3), "nanmax: there is no axis 3"),
        (&|| x.nansum(3), "nansum: there is no axis 3"),
        (&|| vector.tril(0), "tril: takes a matrix"),
        (&|| vector.triu(0), "triu: takes a matrix"),
        (&|| x.expand_dims(0).diag(0), "diag: takes a vector or a matrix, not 3 axes"),
        (&|| x.diagonal(0, 1, -1), "diagonal: axis 1 cannot be both rows and columns"),
        (&|| x.trace(0, 0, 2), "there is no axis 2"),
        (&|| vector.vander(0), "vander: there must be at least one power"),
        (&|| tri(-1, 2, 0, DType::F32), "may be negative"),
        (&|| linspace(0, 1, 3), "linspace: takes floats"),
        (&|| logspace(0, 1, 3, 2), "logspace: takes floats"),
        (&|| geomspace(1, 2, 3), "geomspace: takes floats"),
        (&|| meshgrid(std::slice::from_ref(&x), Indexing::Xy).remove(0), "meshgrid: takes vectors"),
        (&|| x.repeat(2, 2), "repeat: there is no axis 2"),
        (&|| x.repeat_by(&[1, 2], 1), "repeat_by: axis 1 has 3 elements, and there are 2 counts"),
        (&|| x.repeat_by(&[1 << 31, 2], 0), "repeat_by: the counts add up to more than an i32 holds"),
        (&|| x.roll(1, 2), "roll: there is no axis 2"),
        (&|| x.flip(2), "flip: there is no axis 2"),
        (&|| x.rot90(1, 0, -2), "rot90: axis 0 alone is no plane"),
        (&|| hstack(&[]), "concatenate: there is no array to join"),
        (&|| vstack(&[x.clone(), vector.clone()]), "differ"),
        (&|| column_stack(&[x.clone(), Array::from([1.0, 2.0, 3.0])]), "differ"),
        (&|| x.array_split(0, 0).remove(0), "array_split: there must be at least one part"),
        (
            &|| zeros(broadcast_shapes(&[x.shape(), vector.shape()]), DType::F32),
            "broadcast_shapes: [[2, 3], [2]] do not fit",
        ),
        (&|| inner(&x, &vector), "inner: the extents of axes 1 and 0 differ: 3 and 2"),
        (&|| vdot(&x, &vector), "vdot: the extents of axes 0 and 0 differ: 6 and 2"),
        (&|| vecdot(&x, &vector, -1), "vecdot: the extents of axis -1 differ: 3 and 2"),
        (&|| outer(&vector, &ints), "differ: convert one"),
        (&|| kron(&vector, &ints), "differ: convert one"),
        (&|| cross(&vector, &vector, 0), "cross: axis 0 must have 3 elements, not 2"),
        (&|| tensordot(&x, &x, 1), "tensordot: the extents of axes 1 and 0 differ"),
        (&|| tensordot(&x, &x, 3), "tensordot: one of them has fewer axes"),
        (&|| tensordot(&x, &x, ([0], [2])), "tensordot: there is no axis 2"),
        (&|| tensordot(&x, &x, ([0, 0], [0, 0])), "tensordot: axis 0 is named twice"),
        (&|| einsum("i%,jk", &[&x, &x]), "einsum: `%` in `i%` names no axis: use letters from a to z and A to Z"),
        (&|| einsum("i..j", &[&x]), "einsum: `i..j` has a dot that belongs to no ellipsis"),
        (&|| einsum("...i...", &[&x]), "einsum: `...i...` has two ellipses"),
        (&|| einsum("ij,jk", &[&x]), "einsum: `ij,jk` names the axes of 2 operands, and there are 1"),
        (&|| einsum("", &[]), "einsum: `` names the axes of 1 operand, and there are 0"),
        (&|| einsum("ij,ijk", &[&x, &x]), "einsum: `ijk` has letters for 3 axes, and operand 1 has 2"),
        (&|| einsum("i...jk", &[&x]), "einsum: `i...jk` has letters for at least 3 axes, and operand 0 has 2"),
        (&|| einsum("ij,jk", &[&x, &x]), "einsum: the letter j has the extent 3 in operand 0 and 2 in operand 1"),
        (&|| einsum("ii", &[&x]), "einsum: the letter i has the extents 2 and 3 in operand 0"),
        (
            &|| einsum("...i,...->...", &[&x, &Array::from([1.0, 2.0, 3.0])]),
            "einsum: the last axis under `...` has the extent 2 in operand 0 and 3 in operand 1",
        ),
        (&|| einsum("ij->ik", &[&x]), "einsum: the result `ik` has the letter k, which no operand has"),
        (&|| einsum("ij->ii", &[&x]), "einsum: the result `ii` has the letter i twice"),
        (&|| einsum("ij->j->i", &[&x]), "einsum: `ij->j->i` has two arrows"),
        (&|| einsum("i...->i", &[&x]), "einsum: `...` stands for 1 axes, and the result `i` has no `...`"),
        (&|| einsum("ij,k", &[&x, &ints]), "einsum: element types f64 and i32 differ: convert with `astype` first"),
        (&|| interp(&x, &vector, &Array::from([1.0])), "interp: points and values must be vectors of the same extent"),
        (&|| interp(&x, &empty, &empty), "interp: there are no points"),
        (&|| interp(&ints, &ints, &ints), "interp: takes floats"),
        (&|| x.diff(1, 2), "diff: there is no axis 2"),
        (&|| x.slice_axis(0, 0..1).gradient(1.0, 0), "gradient: axis 0 must have at least 2 elements"),
        (&|| x.gradient(&vector, 0), "gradient: the spacing must be a scalar"),
        (&|| empty.trapezoid(1.0, 0), "trapezoid: axis 0 must have at least 1 elements"),
        (&|| x.trapezoid(&vector, 0), "trapezoid: the spacing must be a scalar: `trapezoid_at` takes points"),
        (&|| x.trapezoid_at(&x.expand_dims(0), 0), "trapezoid_at: the points must be a vector"),
        (&|| convolve(&x, &vector, Overlap::Full), "convolve: takes vectors"),
        (&|| convolve(&vector, &empty, Overlap::Full), "convolve: there are no elements"),
        (&|| ints.modf().0, "modf: takes floats"),
        (&|| float_power(&ints, &ints), "float_power: takes floats"),
        (&|| ints.nanargmin(0), "nanargmin: takes floats"),
        (&|| x.nanargmax(2), "nanargmax: there is no axis 2"),
        (&|| x.delete(3, 1), "axis 1: 4..3 must lie within 0..3"),
        (&|| x.delete(0, 2), "there is no axis 2"),
        (&|| x.insert(4, &x, 1), "axis 1: 0..4 must lie within 0..3"),
        (&|| x.insert(0, &vector, 1), "differ"),
        (&|| ravel_multi_index(std::slice::from_ref(&ints), [2, 3]), "ravel_multi_index: 1 indices for 2 axes"),
        (&|| ravel_multi_index(std::slice::from_ref(&x), [2]), "ravel_multi_index: takes integers"),
        (
            &|| ravel_multi_index(std::slice::from_ref(&ints), [0]),
            "ravel_multi_index: an array of shape [0] has no elements",
        ),
        (&|| correlate(&x, &vector, Overlap::Full), "correlate: takes vectors"),
        (&|| digitize(&vector, &x, false), "digitize: the edges must be a vector, and have 2 axes"),
        (&|| digitize(&vector, &ints, false), "digitize: element types differ: convert with `astype` first"),
        (&|| digitize(&vector.gt(0.0), &vector.gt(0.0), true), "digitize: takes numbers"),
        (&|| ints.signbit(), "signbit: takes floats"),
        (&|| vector.bitwise_count(), "population_count: takes"),
        (&|| nextafter(&ints, &ints), "nextafter: takes floats"),
        (&|| polyval(&x, &vector), "polyval: the coefficients must be a vector"),
        (&|| polyval(&ints, &vector), "differ"),
        (&|| block(&[vec![x.clone(), vector.clone()]]), "differ"),
        (&|| hanning(3, DType::I32), "hanning: takes floats"),
        (&|| fmax(&ints, &vector), "differ"),
        (&|| x.take_along_axis(&x, 0), "take_along_axis: numbers must be i32"),
        (&|| x.take_along_axis(&ints, 0), "take_along_axis: array and numbers must have the same number of axes"),
        (&|| x.take_along_axis(&Array::from([[0, 1]]), 0), "the axes besides the indexed one, do not broadcast"),
        (&|| unravel_index(&vector, [2]).remove(0), "unravel_index: takes integers"),
        (&|| unravel_index(&ints, [2, 0]).remove(0), "unravel_index: an array of shape [2, 0] has no elements"),
    ];
    for (f, says) in refused {
        let error = quietly(f).expect_err(says).to_string();
        assert!(error.contains(says), "{says}: {error}");
        assert!(error.contains("array_functions.rs"), "{error} names no line here");
    }
}

/// One program for matrices of all sizes, and its gradient, against the function itself.
fn holds_for_symbols(name: &str, shapes: &[[usize; 2]], f: impl Fn(Array) -> Array + Copy + Send + Sync + 'static) {
    let compiled = jit(f);
    // Each element counts differently.
    let loss = move |x: Array| {
        let y = f(x).astype(DType::F64).flatten();
        (arange(y.dim(0), DType::F64) * y).sum(())
    };
    let compiled_grad = jit(grad(loss));
    for shape in shapes {
        let x = Array::new(shape, (0..shape[0] * shape[1]).map(|i| (i as f64 * 0.7).sin() * 3.0).collect());
        let symbols: [&str; 2] = if shapes.iter().all(|[a, b]| a == b) { ["n", "n"] } else { ["n", "m"] };
        let declared = x.clone().declare(symbols);
        assert_allclose(&compiled(declared.clone()), &f(x.clone()), 1e-12, 1e-12);
        assert_allclose(&compiled_grad(declared), &grad(loss)(x), 1e-12, 1e-12);
    }
    assert_eq!(compiled.n_entry(), 1, "{name} is traced for each size");
}

#[test]
fn sizes_may_be_symbols() {
    let shapes: &[[usize; 2]] = &[[2, 3], [4, 2], [1, 5]];
    let square: &[[usize; 2]] = &[[2, 2], [4, 4], [1, 1]];
    macro_rules! hold {
        ($shapes:expr, $($name:ident: $f:expr;)*) => { $( holds_for_symbols(stringify!($name), $shapes, $f); )* };
    }
    hold! { shapes,
        std: |x| x.std(0);
        var_with: |x| x.var_with((), 1);
        ptp: |x| x.ptp(0);
        average: |x| average(&x, &(x.square() + 1.0), 0);
        cov: |x| cov(&x, 0).sum(());
        nanmean: |x| x.nanmean(1);
        nanvar: |x| x.nanvar(0, 0);
        nanmax: |x| x.nanmax(0);
        count: |x| x.count_nonzero(0).astype(DType::F64) * x.sum(0);
        isin: |x| isin(&x, &x.floor()).astype(DType::F64) * &x;
        tril: |x| x.tril(1);
        triu: |x| x.triu(-1);
        tri: |x| tri(x.dim(0), x.dim(1), 0, DType::F64) * &x;
        diag: |x| x.sum(1).diag(-1);
        vander: |x| x.vander(3);
        linspace: |x| linspace(x.sum(()), 1.0, x.dim(0));
        geomspace: |x| geomspace(x.square().sum(()) + 1.0, 2.0, x.dim(1));
        full_like: |x| full_like(&x, 2) * &x;
        meshgrid: |x| meshgrid(&[x.sum(0), x.sum(1)], Indexing::Xy).remove(0);
        repeat: |x| x.repeat(2, 0);
        tile: |x| x.tile([2, 3]);
        roll: |x| x.roll(3, 1);
        roll_back: |x| x.roll(-5, 0);
        flip: |x| x.flip(());
        rot90: |x| x.rot90(1, 0, 1);
        ravel: |x| x.ravel();
        hstack: |x| hstack(&[x.clone(), x]);
        vstack: |x| vstack(&[x.sum(0), x.sum(0)]);
        column_stack: |x| column_stack(&[x.sum(1), x]);
        block: |x| block(&[vec![x.clone(), x.clone()], vec![x.repeat(2, 1)]]);
        bartlett: |x| bartlett(x.dim(0), DType::F64) * x.sum(1);
        hanning: |x| hanning(x.dim(1), DType::F64) * x;
        polyval: |x| polyval(&Array::from([2.0, 1.0, 3.0]), &x);
        delete: |x| { assume(x.dim(0).at_least(1)); x.delete(0, 0) };
        insert: |x| { assume(x.dim(1).at_least(1)); x.insert(1, &x.square(), 1) };
        outer: |x| outer(&x.sum(0), &x.sum(1));
        inner: |x| inner(&x, &x);
        vdot: |x| vdot(&x, &x);
        vecdot: |x| vecdot(&x, &x.sum(0), -1);
        kron: |x| kron(&x, &x.sum(0));
        norm: |x| linalg::norm(&x, 0);
        vector_norm: |x| linalg::vector_norm(&x, 3.0, 1);
        matrix_norm: |x| linalg::matrix_norm(&x, linalg::MatrixNorm::Frobenius);
        multi_dot: |x| linalg::multi_dot(&[&x, &x.t(), &x]);
        block_diag: |x| linalg::block_diag(&[x.clone(), x.square()]);
        toeplitz: |x| {
            assume(x.dim(0).at_least(1));
            assume(x.dim(1).at_least(1));
            linalg::toeplitz(&x.sum(1), &x.sum(0))
        };
        digitize: |x| { assume(x.dim(1).at_least(1)); digitize(&x, &x.sum(0), false).astype(DType::F64) * &x };
        logmeanexp: |x| nn::logmeanexp(&x, 0);
        standardize: |x| nn::standardize(&x, 1, 0.5);
        tensordot: |x| tensordot(&x, &x, ([0], [0]));
        einsum: |x| einsum("ij,kj,kl->il", &[&x, &x, &x]);
        einsum_rows: |x| einsum("ij,ij,i->i", &[&x, &x, &x.sum(1)]);
        einsum_stretched: |x| einsum("...j,ij->i...", &[&x.sum_keepdims(0), &x]);
        interp: |x| interp(&x, &arange(x.dim(1), DType::F64), &x.sum(0));
        take_along_axis: |x| { assume(x.dim(1).at_least(1)); x.take_along_axis(&x.argmax(1).expand_dims(1), 1) };
        diff: |x| { assume(x.dim(0).at_least(1)); x.diff(1, 0) };
        trapezoid: |x| { assume(x.dim(1).at_least(1)); x.trapezoid(0.5, 1) };
        unravel: |x| unravel_index(&arange(7, DType::I32), [x.dim(0), 4.into()]).remove(0).astype(DType::F64) * x.sum(());
        convolve: |x| { assume(x.dim(1).at_least(1)); convolve(&x.sum(0), &Array::from([2.0]), Overlap::Full) };
    }
    hold! { square,
        diagonal: |x| x.diagonal(0, 0, 1);
        matrix_power: |x| linalg::matrix_power(&x, 3);
        matrix_power_none: |x| linalg::matrix_power(&x, 0) * &x;
        einsum_diagonal: |x| einsum("ii,ij->ij", &[&x, &x]);
        diagonal_above: |x| { assume(x.dim(0).at_least(1)); x.diagonal(1, 0, 1) };
        trace_below: |x| { assume(x.dim(0).at_least(1)); x.trace(-1, 0, 1) };
    }
    hold! { &[[2, 3], [4, 5], [3, 2]],
        gradient: |x| { assume(x.dim(0).at_least(2)); x.gradient(0.5, 0) };
        convolve_valid: |x| { assume(x.dim(0).at_least(2)); convolve(&x.sum(1), &Array::from([1.0, 2.0]), Overlap::Valid) };
        convolve_same: |x| { assume(x.dim(0).at_least(2)); convolve(&x.sum(1), &Array::from([1.0, 2.0]), Overlap::Same) };
        convolve_full: |x| { assume(x.dim(0).at_least(2)); convolve(&Array::from([1.0, 2.0]), &x.sum(1), Overlap::Full) };
    }
    // What is longer is moved.
    let both = |x: Array| convolve(&x.sum(0), &x.sum(1), Overlap::Full);
    let error = jit(both).try_call((grid().declare(["n", "m"]),)).expect_err("undecided");
    assert!(error.to_string().contains("assume(\"m"), "{error}");
    let error =
        jit(both).try_call((grid().declare([Dim::symbol("n"), Dim::symbol("n") + 1]),)).expect_err("both are symbols");
    assert!(error.to_string().contains("the shorter one, n, must be a number"), "{error}");
    // How long a diagonal is depends on which side is longer.
    let error = jit(|x: Array| x.diagonal(0, 0, 1)).try_call((grid().declare(["n", "m"]),)).expect_err("undecided");
    assert!(error.to_string().contains("its length is the smaller one of"), "{error}");
}

/// Their sums need not fit a half: 100,000 ones, 1,000 numbers of 1,000, squares of 500.
#[test]
fn statistics_of_halves_are_computed_in_f32() {
    type Statistic = fn(&Array) -> Array;
    let means: [Statistic; 3] = [|x| x.mean(()), |x| x.mean_keepdims(()).sum(()), |x| x.nanmean(())];
    let spreads: [Statistic; 3] = [|x| x.std(()), |x| x.std_with((), 0), |x| x.nanstd((), 0)];
    let check = |f: Statistic, x: &Array, wanted: f32| {
        for found in [f(x), jit(move |x: &Array| f(x))(x.clone())] {
            assert_eq!((found.dtype(), found.astype(DType::F32).item::<f32>()), (x.dtype(), wanted));
        }
    };
    for dtype in [DType::F16, DType::BF16] {
        let of = |value: f64, n: usize| full([n], Literal::from_f64(dtype, value));
        means.iter().for_each(|f| check(*f, &of(1.0, 100_000), 1.0));
        means.iter().for_each(|f| check(*f, &of(1000.0, 1000), 1000.0));
        let apart = concatenate(&[of(-500.0, 3), of(500.0, 3)], 0);
        spreads.iter().for_each(|f| check(*f, &apart, 500.0));
    }
}
