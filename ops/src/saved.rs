//! Loading compiled functions that `Compiled::save` wrote, with this crate's primitives.

use crate::{Args, Compiled, Error, Tree, registry};
use std::path::Path;

/// Loads what [`Compiled::save`] wrote; nothing is traced. The types say which trees it takes and returns.
///
/// Passes, fusion and lowering run again, which takes milliseconds; results equal the saved function's bit for bit.
/// Trees with static fields need [`load_like`].
///
/// # Errors
/// If the file cannot be read or is damaged, was saved by another version of Gavotte or for another machine, or takes
/// or returns other trees.
///
/// ```
/// use gavotte::{Array, jit, load};
/// let folder = tempfile::tempdir().expect("the disk has space");
/// let path = folder.path().join("double.step");
/// let double = jit(|x: Array| x * 2f32);
/// double.lower((Array::scalar(0f32),))?.compile()?.save(&path)?;
///
/// let loaded = load::<(Array,), Array>(&path)?;
/// assert_eq!(loaded(Array::scalar(3f32)).item::<f32>(), 6.0);
/// # Ok::<(), gavotte::Error>(())
/// ```
pub fn load<'f, A: Args + 'f, O: Tree + 'f>(path: impl AsRef<Path>) -> Result<Compiled<'f, A, O>, Error> {
    Compiled::load(path, registry())
}

/// [`load`] for trees with static fields. Their values come from `example`, by type and `Debug` text: any tree that has
/// them, such as a tuple of the arguments.
///
/// # Errors
/// As [`load`], and if a static value is not in `example`.
pub fn load_like<'f, A: Args + 'f, O: Tree + 'f>(
    path: impl AsRef<Path>,
    example: &impl Tree,
) -> Result<Compiled<'f, A, O>, Error> {
    Compiled::load_like(path, registry(), example)
}
