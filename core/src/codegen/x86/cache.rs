//! The functions that a process has made, by the canonical form of their kernels.

use super::canonical::{Canonical, stand_in};
use super::{Isa, emit, nest, schedule};
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
    isa: Isa,
}

impl Key {
    pub(super) fn new(canonical: &Kernel, partition: Option<usize>, masked: &[bool], isa: Isa) -> Key {
        Key { text: canonical.to_string(), partition, masked: masked.to_vec(), isa }
    }
}

/// A function that kernels of one canonical form share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) bytes: Vec<u8>,
    /// Where the instructions begin; the constants stand before them.
    pub(super) entry: usize,
    /// The sizes behind inputs and outputs in the table of arguments, in the symbols of the canonical kernel.
    pub(super) dims: Vec<Dim>,
    /// Stand-ins for constants by number, and at which bytes each is.
    pub(super) open: Vec<(usize, usize)>,
}

impl Shared {
    pub(super) fn new(
        canonical: &Canonical,
        partition: Option<usize>,
        masked: &[bool],
        isa: Isa,
    ) -> Result<Shared, Unsupported> {
        let kernel = &canonical.kernel;
        let (mut function, signature) = nest::build(kernel, partition, masked, isa)?;
        schedule::schedule(&mut function, &emit::files(isa));
        let emit::Emitted { bytes, entry, constants } =
            emit::emit(&function, isa).map_err(|error| Unsupported(error.to_string()))?;
        let mut open = vec![];
        for (i, constant) in canonical.constants.iter().enumerate() {
            let size = constant.dtype().size();
            let stand_in = &stand_in(constant.dtype(), i).bits().to_le_bytes()[..size];
            // The pool has an element once, or once for each lane.
            for (pooled, at) in &constants {
                if pooled.len().is_multiple_of(size) && pooled.chunks(size).all(|element| element == stand_in) {
                    open.extend((0..pooled.len()).step_by(size).map(|lane| (i, at + lane)));
                }
            }
        }
        Ok(Shared { bytes, entry, dims: signature.dims, open })
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
