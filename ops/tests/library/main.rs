//! What users of the library rely on: one program of all these tests, as each program takes long to link.

mod golden_prng;
mod nn;
mod operators;
mod params;
mod random;
mod trees;
mod values;
