//! Parts of arrays, against the positions that they stand for.

use gavotte::indexing::{Part, Parts, Step};
use gavotte::{Array, DType, Dim, arange, grad, jit};
use gavotte_core::ir::quietly;

/// The numbers 0 to 23.
fn x() -> Array {
    arange(24, DType::I32).reshape([2, 3, 4])
}

/// A part, made anew for each use, with its shape and elements, as NumPy has them.
type Case = (fn() -> Vec<Part>, &'static [i64], &'static [i32]);

const CASES: [Case; 14] = [
    (|| (1,).parts(), &[3, 4], &[12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23]),
    (|| (-1, 0).parts(), &[4], &[12, 13, 14, 15]),
    (|| (0, 1, 2).parts(), &[], &[6]),
    (|| (.., 1..3, 0).parts(), &[2, 2], &[4, 8, 16, 20]),
    (|| (0, .., 1..).parts(), &[3, 3], &[1, 2, 3, 5, 6, 7, 9, 10, 11]),
    (|| (0, 0, ..-1).parts(), &[3], &[0, 1, 2]),
    (|| (0, 0, -2..).parts(), &[2], &[2, 3]),
    (|| (0, 0, ..=-1).parts(), &[4], &[0, 1, 2, 3]),
    (|| (0, 0, 1..=2).parts(), &[2], &[1, 2]),
    (|| (0, 0, (1..).step(2)).parts(), &[2], &[1, 3]),
    (|| (Part::Rest, -1).parts(), &[2, 3], &[3, 7, 11, 15, 19, 23]),
    (|| (1, Part::New, 2).parts(), &[1, 4], &[20, 21, 22, 23]),
    (|| (0, Array::from([2, 0, 2]), 1).parts(), &[3], &[9, 1, 9]),
    (|| (.., 3..3).parts(), &[2, 0, 4], &[]),
];

#[test]
fn parts_are_numpys() {
    for (i, (parts, shape, elements)) in CASES.into_iter().enumerate() {
        let found = x().i(parts());
        let extents: Vec<i64> = found.shape().iter().filter_map(Dim::as_number).collect();
        assert_eq!((extents.as_slice(), found.to_vec::<i32>().as_slice()), (shape, elements), "{i}");
        assert_eq!(x().at(parts()).get().to_vec::<i32>(), elements, "{i}");
        assert_eq!(jit(move |x: Array| x.i(parts()))(x()).to_vec::<i32>(), elements, "{i}");
    }
}

/// The elements are their own positions, so a part says which elements are replaced.
#[test]
fn what_is_written_is_the_part() {
    type Write = (fn(&Array, Vec<Part>, &Array) -> Array, fn(i32, i32) -> i32);
    let writes: [Write; 5] = [
        (|x, parts, y| x.at(parts).set(y), |_, y| y),
        (|x, parts, y| x.at(parts).add(y), |x, y| x + y),
        (|x, parts, y| x.at(parts).mul(y), |x, y| x * y),
        (|x, parts, y| x.at(parts).min(y), i32::min),
        (|x, parts, y| x.at(parts).max(y), i32::max),
    ];
    for (i, (parts, _, places)) in CASES.into_iter().enumerate() {
        for (k, (write, f)) in writes.into_iter().enumerate() {
            let values: Vec<i32> = (0..places.len() as i32).map(|n| 7 * n - 5).collect();
            let y = Array::from(values.clone()).reshape(x().i(parts()).shape().iter());
            let mut wanted: Vec<i32> = (0..24).collect();
            for (place, value) in places.iter().zip(&values) {
                let element = &mut wanted[*place as usize];
                *element = f(*element, *value);
            }
            assert_eq!(write(&x(), parts(), &y).to_vec::<i32>(), wanted, "{i}, {k}");
            let compiled = jit(move |x: Array, y: Array| write(&x, parts(), &y))(x(), y);
            assert_eq!(compiled.to_vec::<i32>(), wanted, "{i}, {k}");
        }
    }
}

#[test]
fn the_rest_keeps_its_bits() {
    let x = Array::from([-0.0f32, f32::NAN, f32::INFINITY, 1.0]);
    for y in [x.at(-1).add(1.0), x.at(3..).apply(|part| part * 2.0), x.at(Array::from([3])).set(2.0)] {
        let bits = |x: &Array| x.to_vec::<f32>().into_iter().map(f32::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(&y)[..3], bits(&x)[..3]);
        assert_eq!(y.to_vec::<f32>()[3], 2.0);
    }
}

#[test]
fn values_broadcast_and_take_the_type() {
    assert_eq!(x().at((0, ..)).set(-1).i(0).to_vec::<i32>(), [-1; 12]);
    assert_eq!(x().at((.., .., 0)).set(Array::from([7, 8, 9])).i((1, .., 0)).to_vec::<i32>(), [7, 8, 9]);
    assert_eq!(Array::from([true, false]).at(1).set(true).to_vec::<bool>(), [true, true]);
}

#[test]
fn derivatives_are_those_of_what_is_left() {
    let x = Array::from([1.0f64, 2.0, 3.0, 4.0]);
    let slope = |f: fn(Array) -> Array| grad(f)(Array::from([1.0f64, 2.0, 3.0, 4.0])).to_vec::<f64>();
    assert_eq!(slope(|x| (x.at(1..3).set(5.0) * &x).sum(())), [2.0, 5.0, 5.0, 8.0]);
    assert_eq!(slope(|x| (x.at((..).step(3)).mul(3.0)).square().sum(())), [18.0, 4.0, 6.0, 72.0]);
    assert_eq!(slope(|x| x.i(-2).square()), [0.0, 0.0, 6.0, 0.0]);
    assert_eq!(slope(|x| (x.at(Array::from([0, 0])).add(x.i(..2)) * &x).sum(())), [6.0, 5.0, 6.0, 8.0]);
    let of_value = grad(move |y: Array| x.at((1..).step(2)).set(y).square().sum(()));
    assert_eq!(of_value(Array::from([5.0f64, 6.0])).to_vec::<f64>(), [10.0, 12.0]);
}

#[test]
fn one_trace_serves_every_size() {
    let f = jit(|x: Array| {
        let inner = x.i((Part::between(1, -1), 0));
        x.at((Part::between(1, -1), 1)).add(&inner)
    });
    for n in [2usize, 3, 7] {
        let x = arange(2 * n, DType::I32).reshape([n, 2]);
        let wanted = (0..2 * n).map(|k| k + if k % 2 == 1 && k > 1 && k / 2 < n - 1 { k - 1 } else { 0 });
        let wanted: Vec<i32> = wanted.map(|k| k as i32).collect();
        assert_eq!(f(x.declare([Dim::symbol("n") + 2, 2.into()])).to_vec::<i32>(), wanted, "{n}");
    }
}

#[test]
fn what_is_no_part_is_refused() {
    let cases: [(&dyn Fn() -> Array, &str); 10] = [
        (&|| x().i(2), "i: 2..3 is not within axis 0, which has 2 elements"),
        (&|| x().i(-3), "i: -1..0 is not within axis 0"),
        (&|| x().i((.., Part::between(2, 1))), "2..1 is not within axis 1"),
        (&|| x().i((.., ..4)), "0..4 is not within axis 1"),
        (&|| x().i((0, 0, 0, 0)), "i: 4 parts for 3 axes"),
        (&|| x().i((Part::Rest, 0, Part::Rest)), "`Part::Rest` is given twice"),
        (&|| x().i((Array::from([0]), Array::from([0]))), "two arrays of places"),
        (&|| x().i(Array::from([0.0f32])), "the places along axis 0 must be i32"),
        (&|| x().at(0).set(1.5), "at.set: element types differ"),
        (&|| x().at(0).add(Array::from([1, 2])), "at.add: i32[2] does not broadcast to the part, [3, 4]"),
    ];
    for (f, part) in cases {
        let error = quietly(f).expect_err(part).to_string();
        assert!(error.contains(part) && error.contains("library/indexing.rs:"), "{error}");
    }
    assert!(quietly(|| x().i((..).step(0))).expect_err("no end").to_string().contains("a step of 0"));
    assert!(quietly(|| x().i(Array::from([2])).to_vec::<i32>()).is_err());
}
