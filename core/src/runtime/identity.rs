//! What is known of arrays, for as long as they live.

use crate::device::HostArray;
use crate::error::Error;
use smallvec::SmallVec;
use std::cell::RefCell;
use std::sync::{Arc, Weak};

/// For so many lists of arrays at most it is kept.
const MAX_KEPT: usize = 16;

/// What was found out about lists of arrays. An array behind an `Arc` with weak handles never changes, and no other takes
/// its place: the same handles are the same elements.
pub(super) struct ByIdentity<T>(RefCell<Vec<Kept<T>>>);

struct Kept<T> {
    arrays: SmallVec<[Weak<HostArray>; 3]>,
    found: T,
}

impl<T> Default for ByIdentity<T> {
    fn default() -> Self {
        ByIdentity(RefCell::default())
    }
}

impl<T: Clone> ByIdentity<T> {
    /// What is known of these arrays, found out unless it is.
    pub(super) fn get(
        &self,
        arrays: &[&Arc<HostArray>],
        find_out: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let is = |(kept, array): (&Weak<HostArray>, &&Arc<HostArray>)| std::ptr::eq(kept.as_ptr(), Arc::as_ptr(array));
        let mut all = self.0.borrow_mut();
        if let Some(known) = all.iter().find(|kept| kept.arrays.iter().zip(arrays).all(is)) {
            return Ok(known.found.clone());
        }
        // What is known of arrays that are gone goes first, and then what is oldest.
        all.retain(|kept| kept.arrays.iter().all(|array| array.strong_count() > 0));
        if all.len() == MAX_KEPT {
            all.remove(0);
        }
        let found = find_out()?;
        all.push(Kept { arrays: arrays.iter().map(|array| Arc::downgrade(array)).collect(), found: found.clone() });
        Ok(found)
    }
}
