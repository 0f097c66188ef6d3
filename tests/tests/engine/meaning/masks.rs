//! What a mask excludes does not count, and what it multiplies does.

use super::{check, floats, numbers};
use gavotte::random::Key;
use gavotte::segment::Segments;
use gavotte::stax::{Mode, dropout_of};
use gavotte::{Array, grad, jit_with};
use gavotte_core::runtime::Options;
use gavotte_gat::data::SparseMatrix;
use gavotte_gat::features::SparseFeatures;
use gavotte_tests::targets::ways;

const INF: f32 = f32::INFINITY;

/// Members of three segments; rows slightly wider than two vectors.
const WIDTH: usize = 35;
const MEMBERS: usize = 40;

fn segments() -> Segments {
    let ids: Vec<i32> = (0..MEMBERS as i32).map(|i| i * 3 / MEMBERS as i32).collect();
    Segments::sorted(&ids, 3).expect("they rise")
}

/// Weights of which a mask zeroes every third, and rows that are not finite there.
fn weights(bad: f32) -> (Array, Array, Array) {
    let dropped = |i: usize| i % 3 == 1;
    let kept = Array::new(&[MEMBERS], (0..MEMBERS).map(|i| !dropped(i)).collect::<Vec<bool>>());
    let weights = floats(&(0..MEMBERS).map(|i| 0.5 + i as f32 * 0.125).collect::<Vec<f32>>());
    let row = |i: usize| (0..WIDTH).map(move |k| if dropped(i) { bad } else { (i + k) as f32 * 0.25 });
    (kept, weights, Array::new(&[MEMBERS, WIDTH], (0..MEMBERS).flat_map(row).collect()))
}

#[track_caller]
fn in_every_way(f: impl Fn(Array) -> Array + Send + Sync + Copy, rows: &Array, judge: impl Fn(f64) -> bool) {
    for (way, options) in ways() {
        let found = match options {
            None => f(rows.clone()),
            Some(options) => jit_with(f, Options { ..options })(rows.clone()),
        };
        let wrong = numbers(&found).into_iter().find(|x| !judge(*x));
        assert_eq!(wrong, None, "{way}");
    }
}

#[test]
fn zero_times_infinity_is_nan_on_every_target() {
    for bad in [INF, -INF, f32::NAN] {
        let (kept, w, rows) = weights(bad);
        let by_mask = |rows: Array| segments().sum(&(kept.select(&w, 0.0).expand_dims(-1) * rows));
        in_every_way(by_mask, &rows, f64::is_nan);
        let by_number = |rows: Array| {
            let weights = &w * kept.astype(gavotte::DType::F32);
            segments().sum(&(weights.expand_dims(-1) * rows))
        };
        in_every_way(by_number, &rows, f64::is_nan);
        // Gathered from the rows' positions, as messages are.
        let order: Vec<i32> = (0..MEMBERS as i32).rev().collect();
        let gathered = |rows: Array| {
            let back = rows.take(&Array::new(&[MEMBERS], order.clone()), 0);
            segments().sum(&(kept.select(&w, 0.0).expand_dims(-1) * back))
        };
        let turned = rows.take(&Array::new(&[MEMBERS], order.clone()), 0);
        in_every_way(gathered, &turned, f64::is_nan);
    }
}

#[test]
fn what_a_selection_drops_is_left_out_on_every_target() {
    let (_, w, zeros) = weights(0.0);
    for bad in [INF, -INF, f32::NAN] {
        let (kept, _, rows) = weights(bad);
        let selected = |rows: Array| {
            let products = w.expand_dims(-1) * rows;
            segments().sum(&kept.expand_dims(-1).select(products, 0.0))
        };
        let wanted = numbers(&selected(zeros.clone()));
        check(selected, &rows, &wanted, 1e-6);
        let weighed = |rows: Array| segments().sum(&kept.select(&w, 0.0).expand_dims(-1).weigh(&rows));
        check(weighed, &rows, &wanted, 1e-6);
        let back = |rows: Array| grad(|rows: Array| (weighed(rows) * 2.0).sum(()))(rows);
        let wanted: Vec<f64> = (0..MEMBERS)
            .flat_map(|i| std::iter::repeat_n(if i % 3 == 1 { 0.0 } else { 1.0 + i as f64 * 0.25 }, WIDTH))
            .collect();
        check(back, &rows, &wanted, 0.0);
        // The slope of a dropped entry is 0, whatever its row holds.
        let of_weights = |rows: Array| {
            let sum = |w: Array| segments().sum(&kept.select(&w, 0.0).expand_dims(-1).weigh(&rows)).sum(());
            grad(sum)(w.clone())
        };
        in_every_way(of_weights, &rows, f64::is_finite);
    }
}

/// Neither a product with a sparse matrix nor its derivative reads dropped entries.
#[test]
fn dropout_drops_what_is_not_finite() {
    let (n, m) = (30, 40);
    let matrix = SparseMatrix {
        n_rows: n,
        n_cols: m,
        offsets: (0..=n as i32).map(|row| row * 4).collect(),
        columns: (0..n as i32 * 4).map(|k| (k / 4 + k % 4 * 10) % m as i32).collect(),
        values: vec![1.0; n * 4],
    };
    let sparse = SparseFeatures::new(&matrix, gavotte::DType::F32).expect("it fits");
    let kept = dropout_of(&sparse.values, 0.5, Mode::Train(Key::new(3)));
    let dropped: Vec<bool> = numbers(&kept).iter().map(|x| *x == 0.0).collect();
    // Columns named only by dropped entries.
    let columns: Vec<i32> = sparse.columns.ids.to_vec();
    let is_read = |column: usize| columns.iter().zip(&dropped).any(|(c, dropped)| *c as usize == column && !dropped);
    let bad = (0..m).filter(|column| !is_read(*column)).count();
    assert!(bad > 0, "another key");
    let row = |c: usize| (0..WIDTH).map(move |k| if is_read(c) { (c + k) as f32 } else { f32::NAN });
    let w = Array::new(&[m, WIDTH], (0..m).flat_map(row).collect());
    let product = |w: Array| sparse.dropout(0.5, Mode::Train(Key::new(3))).dot(&w);
    in_every_way(product, &w, f64::is_finite);
    let back = |w: Array| grad(|w: Array| product(w).square().sum(()))(w);
    in_every_way(back, &w, f64::is_finite);
}
