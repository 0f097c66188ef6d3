//! A program means the same plain, compiled, on every target, and mapped. What a mask or a branch excludes is neither
//! read, nor checked, nor differentiated.

mod branches;
mod derivatives;
mod functions;
mod graphs;
mod masks;
mod positions;

use gavotte::{Array, jit_with};
use gavotte_core::error::Error;
use gavotte_core::ir::quietly;
use gavotte_tests::targets::ways;

/// Checks a function of one array in every way it runs: each number within `tolerance`, relative, and the sign of a
/// zero.
#[track_caller]
fn check(f: impl Fn(Array) -> Array + Send + Sync + Copy, x: &Array, wanted: &[f64], tolerance: f64) {
    for (way, options) in ways() {
        let found = match options {
            None => f(x.clone()),
            Some(options) => jit_with(f, options)(x.clone()),
        };
        let found = numbers(&found);
        let close = |(a, b): (&f64, &f64)| {
            a == b && (*a != 0.0 || a.is_sign_negative() == b.is_sign_negative())
                || (a.is_nan() && b.is_nan())
                || (a - b).abs() <= tolerance * b.abs()
        };
        let all = found.len() == wanted.len() && found.iter().zip(wanted).all(close);
        assert!(all, "{way}: {found:?}, not {wanted:?}");
    }
}

/// The elements as numbers.
fn numbers(x: &Array) -> Vec<f64> {
    let host = x.to_host().expect("it is computed");
    (0..host.len()).map(|i| host.get(i).as_f64()).collect()
}

/// Checks that it is refused with this message, in every way it runs.
#[track_caller]
fn check_refused(f: impl Fn(Array) -> Array + Send + Sync + Copy, x: &Array, says: &str) {
    for (way, options) in ways() {
        let x = x.clone();
        let run = || -> Result<Array, Error> {
            match options {
                None => quietly(|| f(x)),
                Some(options) => jit_with(f, options).try_call((x,)),
            }
        };
        let why = match gavotte_tests::report::caught(|| run().map_err(|error| error.to_string())) {
            Err(why) => why,
            Ok(found) => panic!("{way}: it returns {:?}", numbers(&found)),
        };
        assert!(why.contains(says), "{way}: {why}");
    }
}

fn floats(xs: &[f32]) -> Array {
    Array::new(&[xs.len()], xs.to_vec())
}

fn ints(xs: &[i32]) -> Array {
    Array::new(&[xs.len()], xs.to_vec())
}
