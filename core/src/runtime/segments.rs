//! Checks of the segments that are given to a program, before it runs.

use crate::device::Buffer;
use crate::error::Error;
use crate::ir::{Var, check_segments};
use crate::kernel::{KernelProgram, Segmented};
use crate::runtime::identity::ByIdentity;
use smallvec::SmallVec;
use std::sync::Arc;

/// The segments whose arrays a program's kernels trust to be consistent, and those known to be.
pub(super) struct GivenSegments(Vec<(Segmented, ByIdentity<dyn Buffer, ()>)>);

impl GivenSegments {
    pub(super) fn of(lowered: &KernelProgram) -> GivenSegments {
        GivenSegments(lowered.segments.iter().map(|segments| (segments.clone(), ByIdentity::default())).collect())
    }

    /// Checks those that are not known. `given` finds the array of an argument or a constant, which has the type that
    /// the program says; one on another device is copied to the host, once.
    ///
    /// # Errors
    /// If arrays contradict one another.
    pub(super) fn check(
        &self,
        program: &str,
        given: impl Fn(Var) -> Result<Arc<dyn Buffer>, Error>,
    ) -> Result<(), Error> {
        self.0.iter().try_for_each(|(segments, known)| {
            let vars = [segments.ids, segments.offsets].into_iter().chain(segments.order);
            let arrays = vars.map(&given).collect::<Result<SmallVec<[_; 3]>, _>>()?;
            known.get(&arrays, || {
                let host = arrays.iter().map(|array| array.clone().to_host());
                let host = host.collect::<Result<SmallVec<[_; 3]>, _>>()?;
                let order = host.get(2).map(|order| order.as_slice());
                check_segments(host[0].as_slice(), host[1].as_slice(), order).map_err(|why| {
                    let (name, location) = segments.reader;
                    Error::Call(format!("@{program}: {name}: {why}\n  at {location}"))
                })
            })
        })
    }
}
