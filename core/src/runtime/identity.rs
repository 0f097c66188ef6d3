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
        {
            let mut all = locked(&self.0);
            if let Some(known) = all.iter().find(|kept| kept.arrays.iter().zip(arrays).all(is)) {
                return Ok(known.found.clone());
            }
            // What is known about arrays that are gone is freed before more is computed.
            all.retain(|kept| kept.arrays.iter().all(|array| array.strong_count() > 0));
        }
        // Without the lock: it may take long, and call a user's buffer.
        let found = find_out()?;
        let mut all = locked(&self.0);
        if all.len() >= MAX_KEPT {
            all.remove(0);
        }
        all.push(Kept { arrays: arrays.iter().map(Arc::downgrade).collect(), found: found.clone() });
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is known of these arrays, and whether it was found out just now.
    fn ask(known: &ByIdentity<u32, u32>, arrays: &[&Arc<u32>]) -> (u32, bool) {
        let arrays: Vec<Arc<u32>> = arrays.iter().map(|array| Arc::clone(array)).collect();
        let mut is_new = false;
        let find_out = || {
            is_new = true;
            Ok(arrays.iter().map(|array| **array).sum())
        };
        let sum = known.get(&arrays, find_out);
        (sum.expect("it is a sum"), is_new)
    }

    #[test]
    fn lists_are_the_same_where_all_their_arrays_are() {
        let known = ByIdentity::default();
        let [a, b, c] = [1, 2, 2].map(Arc::new);
        assert_eq!([ask(&known, &[&a, &b]), ask(&known, &[&a, &b])], [(3, true), (3, false)]);
        // Equal, and another array.
        assert_eq!(
            [ask(&known, &[&a, &c]), ask(&known, &[&b, &a]), ask(&known, &[&c, &b])],
            [(3, true), (3, true), (4, true)]
        );
        assert_eq!([ask(&known, &[&a, &b]), ask(&known, &[&a, &c])], [(3, false), (3, false)]);
    }

    #[test]
    fn what_is_gone_is_forgotten_first_and_then_what_is_oldest() {
        let known = ByIdentity::default();
        let arrays: Vec<Arc<u32>> = (0..MAX_KEPT as u32).map(Arc::new).collect();
        let n_kept = || locked(&known.0).len();
        assert!(arrays.iter().all(|array| ask(&known, &[array]).1));
        for i in 0..100 {
            // This one is gone when the next comes; the first time the oldest of the others makes way.
            assert_eq!((ask(&known, &[&Arc::new(i)]).1, n_kept()), (true, MAX_KEPT));
        }
        assert!(arrays[1..].iter().all(|array| !ask(&known, &[array]).1));
        assert!(ask(&known, &[&arrays[0]]).1);
        drop(arrays);
        assert!(ask(&known, &[&Arc::new(0)]).1);
        assert_eq!(n_kept(), 1);
    }
}
