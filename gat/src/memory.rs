//! The available memory, checked before much is taken: an allocation that fails ends the program, and the system ends a
//! program that takes more than it has.

use crate::Error;
pub use gavotte_core::device::memory::{address_space, available, shown};
use std::fmt;

/// Smaller needs are not checked.
const SMALL: u64 = 64 << 20;

/// More memory is needed than is available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// In bytes.
    pub needed: u64,
    /// In bytes.
    pub available: u64,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of memory are needed, and {} are available", shown(self.needed), shown(self.available))
    }
}

/// Checks that `needed` bytes are available. If the system does not say, they are.
///
/// # Errors
/// If they are more than what is available.
pub fn check(needed: u64) -> Result<(), Shortage> {
    if needed < SMALL {
        return Ok(());
    }
    match available() {
        Some(available) if needed > available => Err(Shortage { needed, available }),
        _ => Ok(()),
    }
}

/// Something that takes memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// In bytes.
    pub bytes: u64,
    /// What it is: `features, 34 nodes by 34`.
    pub what: String,
    /// How to make it smaller.
    pub advice: &'static str,
}

/// Checks that all of `needs` are available at once, for training on the data set of this name.
///
/// # Errors
/// If they are more than what is available; the text says which is the largest, and what to do about it.
pub fn check_all(dataset: &str, needs: &[Need]) -> Result<(), Error> {
    let needed = needs.iter().fold(0u64, |sum, need| sum.saturating_add(need.bytes));
    check(needed).map_err(|shortage| {
        let largest = needs.iter().max_by_key(|need| need.bytes);
        let largest = largest.map_or_else(String::new, |Need { bytes, what, advice }| {
            format!("; {} of it are for {what}: {advice}", shown(*bytes))
        });
        Error::Memory(format!("training on {dataset}: {shortage}{largest}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_with_both_numbers() {
        assert_eq!(check(SMALL - 1), Ok(()));
        if available().is_some() {
            let text = check(u64::MAX).unwrap_err().to_string();
            assert!(text.contains("18.4 EB of memory are needed, and ") && text.ends_with(" are available"), "{text}");
        }
    }
}
