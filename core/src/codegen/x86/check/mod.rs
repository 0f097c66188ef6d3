//! Checks of a function's transformed instructions, by code that shares nothing with the transformations. Builds with
//! debug assertions run them on every function.

mod order;
mod registers;

pub(super) use order::keeps_order;
pub(super) use registers::holds_values;
