//! The functions that a process has made, by the canonical form of their kernels.

use super::canonical::{Canonical, stand_in};
use super::{allocate, emit, lanes, nest};
use crate::aval::Dim;
use crate::ir::Unsupported;
use crate::kernel::Kernel;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// How many functions are kept that no program has: some tens of megabytes.
const MAX_UNUSED: usize = 4096;

/// What a function is generated from.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// The text of the canonical kernel, which has its types and so the lanes of its vectors.
    text: String,
    partition: Option<usize>,
    masked: Vec<bool>,
}

impl Key {
    pub(super) fn new(canonical: &Kernel, partition: Option<usize>, masked: &[bool]) -> Key {
        Key { text: canonical.to_string(), partition, masked: masked.to_vec() }
    }
}

/// A function that kernels of one canonical form share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) bytes: Vec<u8>,
    /// How many of the bytes are instructions; constants stand behind them.
    pub(super) code_bytes: usize,
    /// The sizes behind inputs and outputs in the table of arguments, in the symbols of the canonical kernel.
    pub(super) dims: Vec<Dim>,
    /// Stand-ins for constants by number, and at which byte each is.
    pub(super) open: Vec<(usize, usize)>,
}

impl Shared {
    pub(super) fn new(canonical: &Canonical, partition: Option<usize>, masked: &[bool]) -> Result<Shared, Unsupported> {
        let kernel = &canonical.kernel;
        let (function, signature) = nest::build(kernel, partition, masked, lanes(kernel))?;
        let allocation = allocate::allocate(&function, emit::AVAILABLE);
        let emit::Emitted { bytes, code_bytes, constants } =
            emit::emit(&function, &allocation).map_err(|error| Unsupported(error.to_string()))?;
        let stand_ins: HashMap<u64, usize> =
            canonical.constants.iter().enumerate().map(|(i, x)| (stand_in(x.dtype(), i).bits(), i)).collect();
        let open = constants.iter().filter_map(|(bits, at)| Some((*stand_ins.get(bits)?, *at))).collect();
        Ok(Shared { bytes, code_bytes, dims: signature.dims, open })
    }
}

/// The functions of the process.
static FUNCTIONS: LazyLock<Mutex<HashMap<Key, Arc<Shared>>>> = LazyLock::new(Mutex::default);

/// The function of a key, and whether it was there.
pub(super) fn find_or_make(
    key: Key,
    make: impl FnOnce() -> Result<Shared, Unsupported>,
) -> Result<(Arc<Shared>, bool), Unsupported> {
    // A function is put there whole: another thread's panic leaves nothing half done.
    let functions = || FUNCTIONS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = functions().get(&key) {
        return Ok((known.clone(), true));
    }
    // Others need not wait for this one.
    let function = Arc::new(make()?);
    let mut functions = functions();
    if functions.len() >= MAX_UNUSED {
        functions.retain(|_, function| Arc::strong_count(function) > 1);
    }
    functions.insert(key, function.clone());
    Ok((function, false))
}
