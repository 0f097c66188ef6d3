//! Fills memory with a number.

use crate::aval::Literal;
use std::mem::MaybeUninit;

/// Writes a number `n` times.
///
/// # Safety
/// The memory must be large enough.
pub(in crate::runtime) unsafe fn fill(place: *mut u8, literal: Literal, n: usize) {
    macro_rules! fill {
        ($x:expr) => {
            // The present contents may not be a valid number of this type.
            // SAFETY: by this function's contract.
            unsafe { std::slice::from_raw_parts_mut(place.cast(), n) }.fill(MaybeUninit::new($x))
        };
    }
    let bits = literal.bits();
    match literal.dtype().size() {
        1 => fill!(bits as u8),
        2 => fill!(bits as u16),
        4 => fill!(bits as u32),
        _ => fill!(bits),
    }
}
