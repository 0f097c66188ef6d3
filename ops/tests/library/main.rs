//! What users of the library rely on. All these tests are one program, since each program takes long to link.

use gavotte::Target;
use gavotte_core::codegen::x86::Isa;

/// Those that this machine runs.
fn targets() -> Vec<Target> {
    let has =
        [(Target::Avx2, Isa::Avx2), (Target::Avx512, Isa::Avx512)].into_iter().filter(|(_, isa)| isa.is_available());
    std::iter::once(Target::Portable).chain(has.map(|(target, _)| target)).collect()
}

mod array_functions;
mod callback;
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
