//! The portable target: an interpreter over tiles of about a thousand elements.
//!
//! A kernel becomes a short list of tile operations, each a precompiled loop, so that the cost of interpreting is
//! spread over a tile. Results have the same bits on every machine: loops are compiled for the machine's vector width,
//! never with different arithmetic.

mod emit;
mod layout;
mod loads;
mod loops;
mod prepared;
mod sums;
mod tile;
mod weighted;

#[cfg(any(test, target_arch = "x86_64"))]
pub(super) use loops::{TileFn, tile_fn};
pub use prepared::{Mode, TileKernel};
pub use tile::{Access, OutOfBounds, Scratch};
