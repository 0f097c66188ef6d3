//! What is known about arrays, for as long as they live.

use crate::error::Error;
use crate::sync::locked;
use smallvec::SmallVec;
use std::sync::{Arc, Mutex, Weak};

/// The most lists of arrays for which it is kept.
const MAX_KEPT: usize = 16;

/// What was found out about lists of arrays. An array in an `Arc` with weak handles never changes, and no other takes
/// its place: the same handles mean the same elements.
pub(super) struct ByIdentity<A: ?Sized, T>(Mutex<Vec<Kept<A, T>>>);

struct Kept<A: ?Sized, T> {
    arrays: SmallVec<[Weak<A>; 3]>,
    found: T,
}

impl<A: ?Sized, T> Default for ByIdentity<A, T> {
    fn default() -> Self {
        ByIdentity(Mutex::default())
    }
}

impl<A: ?Sized, T: Clone> ByIdentity<A, T> {
    /// What is known about these arrays, computed unless it is known.
    pub(super) fn get(&self, arrays: &[Arc<A>], find_out: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let is = |(kept, array): (&Weak<A>, &Arc<A>)| std::ptr::addr_eq(kept.as_ptr(), Arc::as_ptr(array));
        if let Some(known) = locked(&self.0).iter().find(|kept| kept.arrays.iter().zip(arrays).all(is)) {
            return Ok(known.found.clone());
        }
        // Without the lock: it may take long, and call a user's buffer.
        let found = find_out()?;
        let mut all = locked(&self.0);
        // Entries of arrays that are gone are removed first, then the oldest.
        all.retain(|kept| kept.arrays.iter().all(|array| array.strong_count() > 0));
        if all.len() == MAX_KEPT {
            all.remove(0);
        }
        all.push(Kept { arrays: arrays.iter().map(Arc::downgrade).collect(), found: found.clone() });
        Ok(found)
    }
}
