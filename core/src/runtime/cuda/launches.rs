//! The launches of a program for given sizes, as a tree like that of its steps.

use crate::aval::Sizes;
use crate::codegen::cuda::{BLOCK, Launch, Source};
use crate::error::Error;
use crate::ir::Control;
use crate::kernel::{KernelProgram, Step};

/// Parts of sums start at multiples of this many bytes.
pub(super) const SCRATCH_ALIGN: usize = 256;

/// The launches of a program.
pub(super) struct Launches {
    pub(super) steps: Vec<Work>,
    /// Bytes for parts of sums: each kernel has its own, as kernels may run concurrently.
    pub(super) scratch_bytes: usize,
    /// The number of launches in a run, not counting copies and numbers of loops; `None` if the host must wait for
    /// something in between: then a run cannot be recorded.
    pub(super) count: Option<usize>,
}

/// A prepared step.
pub(super) enum Work {
    /// Kernel `number` of the module, with the start of each of its parts of sums.
    Kernel { number: usize, launches: Vec<Launch>, scratch: Vec<usize> },
    /// An equation without a kernel.
    Eval,
    /// The steps of each nested program.
    Nested(Vec<Vec<Work>>),
}

impl Launches {
    /// For each launch of each step whether it may run concurrently with those before it; `None` if not all steps are
    /// kernels.
    pub(super) fn concurrent(&self) -> Option<Vec<Vec<bool>>> {
        let of_step = |work: &Work| match work {
            Work::Kernel { launches, .. } => Some(launches.iter().map(|launch| launch.is_concurrent).collect()),
            Work::Eval | Work::Nested(_) => None,
        };
        self.steps.iter().map(of_step).collect()
    }

    /// `sources` are those of the kernels, in the order of the steps.
    ///
    /// # Errors
    /// If these sizes are too large to launch.
    pub(super) fn new(lowered: &KernelProgram, sources: &[Source], sizes: &Sizes) -> Result<Launches, Error> {
        let mut maker = Maker { sources, sizes, number: 0, scratch_bytes: 0 };
        let steps = maker.steps(lowered)?;
        Ok(Launches { count: count(lowered, &steps, sizes), steps, scratch_bytes: maker.scratch_bytes })
    }
}

fn count(lowered: &KernelProgram, works: &[Work], sizes: &Sizes) -> Option<usize> {
    let of_step = |(step, work): (&Step, &Work)| match (step, work) {
        (_, Work::Kernel { launches, .. }) => Some(launches.len()),
        (Step::Control(step), Work::Nested(nested)) => match &step.control {
            Control::Scan { length, .. } => {
                count(&step.nested[0], &nested[0], sizes)?.checked_mul(length.at(sizes).as_usize()?)
            }
            Control::While { .. } | Control::Switch { .. } => None,
        },
        _ => None,
    };
    lowered.steps.iter().zip(works).map(of_step).try_fold(0usize, |sum, count| sum.checked_add(count?))
}

struct Maker<'s> {
    sources: &'s [Source],
    sizes: &'s Sizes,
    /// The number of the next kernel.
    number: usize,
    scratch_bytes: usize,
}

impl Maker<'_> {
    fn steps(&mut self, lowered: &KernelProgram) -> Result<Vec<Work>, Error> {
        let work = |step: &Step| match step {
            Step::Kernel(..) => self.kernel(),
            Step::Eval(_) => Ok(Work::Eval),
            Step::Control(step) => {
                Ok(Work::Nested(step.nested.iter().map(|nested| self.steps(nested)).collect::<Result<_, _>>()?))
            }
        };
        lowered.steps.iter().map(work).collect()
    }

    fn kernel(&mut self) -> Result<Work, Error> {
        let number = self.number;
        self.number += 1;
        let source = &self.sources[number];
        let mut scratch = vec![];
        for bytes in source.scratch_bytes(self.sizes) {
            scratch.push(self.scratch_bytes);
            self.scratch_bytes += bytes.next_multiple_of(SCRATCH_ALIGN);
        }
        Ok(Work::Kernel { number, launches: source.launches(self.sizes, BLOCK)?, scratch })
    }
}
