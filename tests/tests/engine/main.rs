//! What programs mean, how they are compiled and how they run on the processor: one program of all these tests, as each
//! program takes long to link.

mod api;
mod believed;
mod checkpoint;
mod compile_errors;
mod composed;
mod conformance;
mod control;
mod custom;
mod damaged;
mod dense;
mod determinism;
mod differential;
mod documentation;
mod facts;
mod file_tests;
mod functions;
mod golden_gat;
mod groups;
mod hessian;
mod inside;
mod jacobian;
mod kernels;
mod large;
mod layering;
mod meaning;
mod plans;
mod products;
mod random_kernels;
mod random_programs;
mod runtime;
mod saved;
mod sizes;
mod sums;
mod threads;
mod words;
