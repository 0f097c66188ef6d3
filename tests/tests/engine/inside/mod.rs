//! Seeing inside: the steps of compilation, the costs of programs, why functions are traced again, where numbers go
//! wrong, and what programs print.

mod misses;
mod numbers;
mod printing;
mod profiles;
mod stages;

use gavotte::{Array, Error};

fn vector(xs: &[f32]) -> Array {
    Array::new(&[xs.len()], xs.to_vec())
}

/// The text of a refusal.
#[track_caller]
fn refusal<T>(result: Result<T, Error>) -> String {
    match result {
        Ok(_) => panic!("it must be refused"),
        Err(error) => error.to_string(),
    }
}
