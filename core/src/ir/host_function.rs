//! Functions of the host that programs call.

use crate::aval::Aval;
use crate::device::HostArray;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

type Run = dyn Fn(&[&HostArray], &[Aval]) -> Vec<HostArray> + Send + Sync;

/// A function from arrays of the host to arrays of the types it is given. It equals its clones alone.
#[derive(Clone)]
pub struct HostFunction {
    name: Arc<str>,
    run: Arc<Run>,
}

impl HostFunction {
    /// `run` takes operands and the types of its results; `name` says to a reader where it comes from.
    pub fn new(
        name: impl Into<Arc<str>>,
        run: impl Fn(&[&HostArray], &[Aval]) -> Vec<HostArray> + Send + Sync + 'static,
    ) -> HostFunction {
        HostFunction { name: name.into(), run: Arc::new(run) }
    }

    /// Where it comes from.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs it.
    pub fn call(&self, ins: &[&HostArray], outs: &[Aval]) -> Vec<HostArray> {
        (self.run)(ins, outs)
    }
}

impl PartialEq for HostFunction {
    fn eq(&self, other: &HostFunction) -> bool {
        Arc::as_ptr(&self.run).cast::<()>() == Arc::as_ptr(&other.run).cast::<()>()
    }
}

impl Hash for HostFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // An address would differ between two runs.
        self.name.hash(state);
    }
}

impl fmt::Debug for HostFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostFunction({:?})", self.name)
    }
}
