//! What users of the library rely on. All these tests are one program, since each program takes long to link.

mod array_functions;
mod golden_prng;
mod indexing;
mod linalg;
mod nn;
mod operators;
mod params;
mod random;
mod scatter;
mod sorting;
mod special;
mod special_values;
mod transforms;
mod trees;
mod values;
mod windows;
mod words;
