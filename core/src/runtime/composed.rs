//! Index arrays that are put together once for each graph, and kept as long as it is.

use crate::device::{Data, Elements, HostArray};
use crate::error::Error;
use crate::kernel::Composed;
use std::cell::RefCell;
use std::sync::{Arc, Weak};

/// For so many graphs at most arrays are kept.
const MAX_KEPT: usize = 16;

/// What was put together from two arrays. An array behind an `Arc` with weak handles never changes, and no other takes
/// its place: the same handles are the same elements.
struct Kept {
    of: Weak<HostArray>,
    at: Weak<HostArray>,
    found: Arc<HostArray>,
}

/// The arrays that were put together for one [`Composed`].
#[derive(Default)]
pub(super) struct ComposedArrays(RefCell<Vec<Kept>>);

impl ComposedArrays {
    /// The array for these two, made unless they are known.
    ///
    /// # Errors
    /// Where a position is not in the array that is read.
    pub(super) fn get(
        &self,
        composed: &Composed,
        of: &Arc<HostArray>,
        at: &Arc<HostArray>,
    ) -> Result<Arc<HostArray>, Error> {
        let is = |kept: &Weak<HostArray>, array: &Arc<HostArray>| std::ptr::eq(kept.as_ptr(), Arc::as_ptr(array));
        let mut all = self.0.borrow_mut();
        if let Some(known) = all.iter().find(|kept| is(&kept.of, of) && is(&kept.at, at)) {
            return Ok(known.found.clone());
        }
        // What was made for graphs that are gone goes first, and then what is oldest.
        all.retain(|kept| kept.of.strong_count() > 0 && kept.at.strong_count() > 0);
        if all.len() == MAX_KEPT {
            all.remove(0);
        }
        let found = Arc::new(put_together(composed, of.as_slice(), at)?);
        all.push(Kept { of: Arc::downgrade(of), at: Arc::downgrade(at), found: found.clone() });
        Ok(found)
    }
}

fn put_together(composed: &Composed, of: &[i32], at: &HostArray) -> Result<HostArray, Error> {
    let element = |position: &i32| {
        let element = usize::try_from(*position).ok().and_then(|position| of.get(position)).copied();
        element.ok_or_else(|| {
            let (name, location) = &composed.reader;
            Error::Call(format!("@{name}: position {position} is not in 0..{}\n  at {location}", of.len()))
        })
    };
    let mut found = Elements::filled(0, at.len());
    for (found, position) in found.iter_mut().zip(at.as_slice()) {
        *found = element(position)?;
    }
    Ok(HostArray::from_data(&at.shape(), Data::I32(found)))
}
