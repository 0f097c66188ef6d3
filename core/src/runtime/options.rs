//! The options of compilation.

use crate::codegen::x86::Isa;
use crate::error::Error;
use std::num::NonZeroUsize;
use std::sync::LazyLock;

/// What kernels are compiled to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// Tiles, interpreted: runs on every machine.
    Portable,
    /// Machine code for x86-64 with AVX2 and FMA; kernels that it does not support run as on [`Target::Portable`].
    Avx2,
    /// Machine code for x86-64 with AVX-512; otherwise as [`Target::Avx2`].
    Avx512,
}

impl Target {
    /// The fastest target that this machine runs.
    pub fn native() -> Target {
        match Isa::ALL.into_iter().find(|isa| isa.is_available()) {
            Some(Isa::Avx512) => Target::Avx512,
            Some(Isa::Avx2) => Target::Avx2,
            None => Target::Portable,
        }
    }

    /// The instruction set of its machine code.
    pub(super) fn isa(self) -> Option<Isa> {
        match self {
            Target::Portable => None,
            Target::Avx2 => Some(Isa::Avx2),
            Target::Avx512 => Some(Isa::Avx512),
        }
    }

    /// Fails if this machine does not run it.
    pub(super) fn check(self) -> Result<(), Error> {
        let Some(isa) = self.isa().filter(|isa| !isa.is_available()) else { return Ok(()) };
        let needs = match isa {
            Isa::Avx2 => "AVX2, FMA and POPCNT",
            Isa::Avx512 => "AVX-512 (F, BW, DQ, VL) and POPCNT",
        };
        let other = Isa::ALL.into_iter().find(|isa| isa.is_available()).map_or("portable", Isa::name);
        Err(Error::Unsupported(format!(
            "the target {} needs x86-64 with {needs} on Linux or macOS, which this machine lacks: take `{other}`",
            isa.name()
        )))
    }
}

/// Options of the compiler and the runtime.
#[derive(Clone, Debug)]
pub struct Options {
    /// What kernels are compiled to.
    pub target: Target,
    /// The most threads that compile and run a program; by default all cores. Threads other than the caller's get only
    /// work that is worth it: they are neither started nor woken for a run of less than about a tenth of a millisecond.
    /// No result depends on it.
    pub threads: NonZeroUsize,
    /// Whether these threads share all work, however small. That makes programs slower, and tests of them stricter.
    pub shares_all: bool,
    /// Whether every call checks its results for NaN and infinity, and names the equation that made the first one out
    /// of finite operands. Arguments are then kept, not written in place; results are the same.
    #[doc(alias = "debug_nans")]
    pub check_nans: bool,
    /// Whether every kernel on a GPU is waited for, one by one. A GPU runs later than the calls, so an error of a
    /// kernel is reported by a later call; with this option it is the kernel's own. Results are the same; on a
    /// processor nothing changes.
    pub launch_blocking: bool,
    /// Whether `jit` prints why a call found no compiled program, on the standard error stream.
    #[doc(alias = "explain_cache_misses")]
    pub explain_misses: bool,
}

/// How many cores this process may use. Asking takes longer than a small program runs.
pub(super) static CORES: LazyLock<NonZeroUsize> =
    LazyLock::new(|| std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN));

impl Default for Options {
    fn default() -> Self {
        Options {
            target: Target::native(),
            threads: *CORES,
            shares_all: false,
            check_nans: false,
            launch_blocking: false,
            explain_misses: false,
        }
    }
}
