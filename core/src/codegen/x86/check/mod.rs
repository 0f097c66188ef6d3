//! Checks of what was made of a function's instructions, by code that has nothing of those who made it. Builds with debug
//! assertions run them over every function.

mod order;
mod registers;

pub(super) use order::keeps_order;
pub(super) use registers::holds_values;
