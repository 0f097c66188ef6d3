//! Passes over programs.

pub mod fuse;
