//! Index arrays that are composed once for each graph.

use crate::device::{Data, Elements, HostArray};
use crate::error::Error;
use crate::kernel::Composed;

/// The elements of an index array at the positions of another.
///
/// # Errors
/// If a position is out of bounds of the array that is read.
pub(in crate::runtime) fn compose(composed: &Composed, of: &HostArray, at: &HostArray) -> Result<HostArray, Error> {
    let of: &[i32] = of.as_slice();
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
