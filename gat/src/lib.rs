//! Graph attention networks on Gavotte: graphs, data sets, attention layers, models and their training.
//!
//! This crate is made of functions and layers; it knows no primitive operation and no device.

pub mod attention;
pub mod data;
mod error;
pub mod experiment;
pub mod features;
pub mod graph;
pub mod loss;
pub mod memory;
pub mod metrics;
pub mod model;
pub mod params;
pub mod plural;
pub mod statistics;
#[cfg(test)]
mod tests;
pub mod train;

pub use error::Error;
