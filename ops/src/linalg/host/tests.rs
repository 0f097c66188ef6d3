//! Residuals, in units of the precision times the size of the matrix; all shapes that take another path.

use super::*;

const SIZES: [usize; 9] = [0, 1, 2, 3, 16, 17, 33, 70, 130];

/// Random numbers from -1 to 1.
fn random<T: Real>(n: usize, seed: u64, of: fn(f64) -> T) -> Vec<T> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..n).map(|_| of(next())).collect()
}

fn product(x: &[f64], y: &[f64], [m, n, k]: [usize; 3]) -> Vec<f64> {
    let at = |i: usize, j: usize| (0..k).map(|t| x[i * k + t] * y[t * n + j]).sum();
    (0..m * n).map(|i| at(i / n, i % n)).collect()
}

/// The largest difference, in the precision of `epsilon` times the largest element of `y` times the root of the size.
fn distance(x: &[f64], y: &[f64], n: usize, epsilon: f64) -> f64 {
    assert_eq!(x.len(), y.len());
    let size = y.iter().fold(1e-300f64, |most, y| most.max(y.abs()));
    let most = x.iter().zip(y).fold(0.0f64, |most, (x, y)| if (x - y).abs() > most { (x - y).abs() } else { most });
    assert!(x.iter().all(|x| x.is_finite()), "{x:?}");
    most / (epsilon * size * (n.max(1) as f64).sqrt())
}

fn identity(n: usize) -> Vec<f64> {
    (0..n * n).map(|i| if i / n == i % n { 1.0 } else { 0.0 }).collect()
}

fn is_orthonormal(columns: &[f64], [m, n]: [usize; 2]) {
    let products = product(&transposed(columns, [m, n]), columns, [n, n, m]);
    assert!(distance(&products, &identity(n), m, f64::EPSILON) < 8.0, "{m} {n}");
}

#[test]
fn cholesky_restores_its_matrix() {
    fn check<T: Real>(of: fn(f64) -> T, to: fn(T) -> f64, epsilon: f64) {
        for n in SIZES {
            let x: Vec<f64> = random(n * n, 3, of).into_iter().map(to).collect();
            let mut a = product(&x, &transposed(&x, [n, n]), [n, n, n]);
            (0..n).for_each(|i| a[i * n + i] += 1.0);
            let given: Vec<T> = a.iter().map(|x| of(*x)).collect();
            let l: Vec<f64> = cholesky::cholesky(&given, n).into_iter().map(to).collect();
            assert!((0..n * n).all(|i| i % n.max(1) <= i / n.max(1) || l[i] == 0.0));
            let restored = product(&l, &transposed(&l, [n, n]), [n, n, n]);
            let wanted: Vec<f64> = given.into_iter().map(to).collect();
            let far = distance(&restored, &wanted, n, epsilon);
            assert!(far < 2.0, "{n}: {far}");
        }
    }
    check(|x| x as f32, f64::from, f32::EPSILON.into());
    check(|x| x, |x| x, f64::EPSILON);
}

#[test]
fn a_matrix_that_is_not_positive_definite_has_no_factor() {
    for (n, at) in [(1, 0), (20, 19), (40, 3), (40, 36), (200, 150)] {
        for x in [-1e-3, 0.0, f64::NAN] {
            let mut a = identity(n);
            a[at * n + at] = x;
            let l = cholesky::cholesky(&a, n);
            assert!((0..n * n).all(|i| if i % n <= i / n { l[i].is_nan() } else { l[i] == 0.0 }), "{n} {at} {x}");
        }
    }
}

#[test]
fn triangles_are_solved_from_every_side() {
    for (n, m) in SIZES.into_iter().flat_map(|n| [1, 2, 16, 37].map(|m| (n, m))) {
        let mut a = random(n * n, 5, |x| x / 10.0);
        (0..n).for_each(|i| a[i * n + i] += 2.0);
        let x = random(n * m, 7, |x| x);
        for (is_lower, is_unit, turned) in (0..8).map(|i| (i & 1 == 1, i & 2 == 2, i & 4 == 4)) {
            let kept = |i: usize, j: usize| match (i == j, is_lower) {
                (true, _) => {
                    if is_unit {
                        1.0
                    } else {
                        a[i * n + j]
                    }
                }
                (_, true) => {
                    if j < i {
                        a[i * n + j]
                    } else {
                        0.0
                    }
                }
                (_, false) => {
                    if j > i {
                        a[i * n + j]
                    } else {
                        0.0
                    }
                }
            };
            let triangle: Vec<f64> = (0..n * n).map(|i| kept(i / n, i % n)).collect();
            let b = product(&triangle, &x, [n, m, n]);
            let triangle = triangular::Triangle { memory: &a, place: Place::rows(n), n, is_unit };
            // The right sides by row or by column.
            let (mut found, place) = match turned {
                true => (transposed(&b, [n, m]), Place::rows(n).transposed()),
                false => (b, Place::rows(m)),
            };
            triangular::solve(triangle, is_lower, &mut found, place, m);
            let found = if turned { transposed(&found, [m, n]) } else { found };
            let far = distance(&found, &x, n, f64::EPSILON);
            assert!(far < 8.0, "{n} {m} {is_lower} {is_unit} {turned}: {far}");
        }
    }
}

#[test]
fn lu_restores_its_matrix_and_takes_the_largest_pivots() {
    for n in SIZES {
        let a = random(n * n, 11, |x| x);
        let mut lu = a.clone();
        let pivots = lu::factor(&mut lu, n);
        let order = lu::permutation(&pivots);
        let l: Vec<f64> = (0..n * n)
            .map(|i| match (i % n).cmp(&(i / n)) {
                std::cmp::Ordering::Less => lu[i],
                std::cmp::Ordering::Equal => 1.0,
                std::cmp::Ordering::Greater => 0.0,
            })
            .collect();
        let u: Vec<f64> = (0..n * n).map(|i| if i % n >= i / n { lu[i] } else { 0.0 }).collect();
        assert!(l.iter().all(|x| x.abs() <= 1.0));
        let wanted: Vec<f64> = order.iter().flat_map(|i| a[i * n..(i + 1) * n].to_vec()).collect();
        let far = distance(&product(&l, &u, [n, n, n]), &wanted, n, f64::EPSILON);
        assert!(far < 4.0, "{n}: {far}");
    }
    let mut singular = vec![0.0, 1.0, 0.0, 2.0];
    assert_eq!((lu::factor(&mut singular, 2), singular), (vec![0, 1], vec![0.0, 1.0, 0.0, 2.0]));
}

#[test]
fn qr_restores_its_matrix_with_the_signs_of_lapack() {
    for (n, more) in SIZES.into_iter().flat_map(|n| [0, 1, 50].map(|more| (n, more))) {
        let m = n + more;
        let a = random(m * n, 13, |x| x);
        let [q, r] = qr::qr(&a, [m, n]);
        assert!((0..n * n).all(|i| i % n >= i / n || r[i] == 0.0));
        is_orthonormal(&q, [m, n]);
        let far = distance(&product(&q, &r, [m, n, n]), &a, n, f64::EPSILON);
        assert!(far < 8.0, "{m} {n}: {far}");
        // The first element of R has the opposite sign of that of A.
        assert!(n == 0 || m == 1 || r[0] * a[0] < 0.0);
    }
    let [q, r] = qr::qr(&[3.0, 0.0, 0.0, -2.0], [2, 2]);
    assert_eq!((q, r), (vec![1.0, 0.0, 0.0, 1.0], vec![3.0, 0.0, 0.0, -2.0]));
}

#[test]
fn eigenvalues_and_vectors_restore_their_matrix() {
    for n in SIZES {
        let x = random(n * n, 17, |x| x);
        let a: Vec<f64> = (0..n * n).map(|i| x[i] + x[i % n * n + i / n]).collect();
        for size in [1.0, 1e200, 1e-200] {
            let a: Vec<f64> = a.iter().map(|x| x * size).collect();
            let [w, v] = symmetric::eigh(&a, n);
            assert!(w.is_sorted());
            is_orthonormal(&v, [n, n]);
            let scaled: Vec<f64> = (0..n * n).map(|i| v[i] * w[i % n]).collect();
            let far = distance(&product(&a, &v, [n, n, n]), &scaled, n, f64::EPSILON);
            assert!(far < 8.0, "{n}: {far}");
        }
    }
    // Multiple eigenvalues, and a matrix that is diagonal already.
    let [w, v] = symmetric::eigh(&[2.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 2.0], 3);
    assert_eq!(w, [-1.0, 2.0, 2.0]);
    is_orthonormal(&v, [3, 3]);
    assert!(symmetric::eigh(&[1.0, f64::NAN, f64::NAN, 1.0], 2).concat().iter().all(|x| x.is_nan()));
}

#[test]
fn singular_values_and_vectors_restore_their_matrix() {
    for (n, more) in SIZES.into_iter().flat_map(|n| [0, 1, 30].map(|more| (n, more))) {
        let m = n + more;
        let full = random(m * n, 19, |x| x);
        // A matrix of full rank, and one of rank 2.
        let few = product(&random(m * 2, 23, |x| x), &random(2 * n, 29, |x| x), [m, n, 2]);
        for a in [full, few, vec![0.0; m * n]] {
            let [u, s, vt] = jacobi::svd(&a, [m, n]);
            assert!(s.iter().rev().is_sorted() && s.iter().all(|s| *s >= 0.0));
            is_orthonormal(&u, [m, n]);
            is_orthonormal(&transposed(&vt, [n, n]), [n, n]);
            let scaled: Vec<f64> = (0..m * n).map(|i| u[i] * s[i % n]).collect();
            let far = distance(&product(&scaled, &vt, [m, n, n]), &a, n, f64::EPSILON);
            assert!(a.iter().all(|x| *x == 0.0) || far < 8.0, "{m} {n}: {far}");
        }
    }
    assert!(jacobi::svd(&[1.0, f64::INFINITY], [2, 1]).concat().iter().all(|x| x.is_nan()));
}
