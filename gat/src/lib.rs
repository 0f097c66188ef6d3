//! Under construction.
pub mod data;
