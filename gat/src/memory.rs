//! How much memory there is, asked before much is taken: an allocation that fails ends the program, and the system ends
//! a program that takes more than it has.

pub use gavotte_core::device::memory::{address_space, available, shown};
use std::fmt;

/// Less than this is not worth asking for.
const SMALL: u64 = 64 << 20;

/// More memory is needed than there is.
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

/// Whether `needed` bytes can be taken. Where the system does not say, they can.
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
