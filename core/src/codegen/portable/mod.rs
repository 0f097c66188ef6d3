//! The portable target: an interpreter over tiles of about a thousand elements.
//!
//! A kernel becomes a short list of tile operations, each a precompiled loop, so that the cost of interpreting is
//! spread over a tile. The same bits on every machine: loops are compiled for the machine's vector width, never with
//! other arithmetic.

mod layout;
mod loops;
mod math;
mod tile;

pub use layout::{Mode, TileKernel};
pub use tile::{Access, OutOfBounds, Scratch};
