//! Gavotte: composable function transformations for Rust, with graphs as first-class data.

mod array;
mod contract;
mod elementwise;
mod gather;
mod generate;
#[cfg(test)]
mod laws;
mod movement;
pub mod nn;
pub mod random;
mod reduce;
pub mod segment;

pub use array::Array;
pub use gavotte_core::aval::{Aval, DType, Dim, Literal, Shape};
pub use gavotte_core::error::Error;
pub use gavotte_core::tree::Tree;
pub use movement::{concatenate, stack};
pub use reduce::Axes;

use gavotte_core::ir::Registry;
use std::sync::LazyLock;

/// Every primitive, by name: what program text may use.
pub fn registry() -> &'static Registry {
    static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
        Registry::new(&[
            elementwise::PRIMITIVES,
            movement::PRIMITIVES,
            reduce::PRIMITIVES,
            contract::PRIMITIVES,
            gather::PRIMITIVES,
            generate::PRIMITIVES,
        ])
    });
    &REGISTRY
}
