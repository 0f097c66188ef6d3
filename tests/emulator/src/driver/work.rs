//! What streams do: copies, settings, launches. A graph is a list of them.

use super::code::Code;
use super::pointers::Host;
use super::state::{Driver, Failure};
use crate::exec::{Launch, Random, run};

/// A kernel with everything that a launch specifies.
#[derive(Clone, Debug)]
pub(super) struct Launched {
    pub(super) function: u64,
    pub(super) grid: [u32; 3],
    pub(super) block: [u32; 3],
    pub(super) dynamic_shared: usize,
    pub(super) params: Vec<u8>,
}

/// Something that a stream does.
#[derive(Clone, Debug)]
pub(super) enum Work {
    Launch(Launched),
    ToDevice { to: u64, from: Host, bytes: usize },
    ToHost { to: Host, from: u64, bytes: usize },
    Within { to: u64, from: u64, bytes: usize },
    Set { to: u64, value: u32, width: usize, count: usize },
}

/// Work of a graph, with the numbers of its predecessors.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) work: Work,
    pub(super) after: Vec<usize>,
}

/// Allocations that were touched, and whether they were written.
type Touched = Vec<(u64, bool)>;

impl Driver {
    /// Does work on a stream now, or records it.
    pub(super) fn submit(&mut self, stream: u64, work: Work) -> Result<(), Code> {
        match self.streams.submit(stream, work)? {
            Some(work) => self.work(stream, &work),
            None => Ok(()),
        }
    }

    /// Does work that the stream has counted.
    fn work(&mut self, stream: u64, work: &Work) -> Result<(), Code> {
        match *work {
            Work::ToDevice { from, .. } => self.touch_pinned(stream, from, true),
            Work::ToHost { to, .. } => self.touch_pinned(stream, to, false),
            _ => {}
        }
        let touched = match *work {
            Work::Launch(ref launched) => self.run_kernel(launched)?,
            Work::ToDevice { to, from, bytes } => self.copy_to_device(to, from, bytes)?,
            Work::ToHost { to, from, bytes } => self.copy_to_host(to, from, bytes)?,
            Work::Within { to, from, bytes } => self.copy_within(to, from, bytes)?,
            Work::Set { to, value, width, count } => self.set_memory(to, value, width, count)?,
        };
        self.touch(stream, &touched)
    }

    /// Notes what a stream touched. Touching memory that another stream still works with is a fault.
    pub(super) fn touch(&mut self, stream: u64, touched: &[(u64, bool)]) -> Result<(), Code> {
        if let Err(message) = self.streams.touch(stream, touched) {
            self.fail(Code::LAUNCH_FAILED, &message);
        }
        Ok(())
    }

    /// Notes that a copy uses host memory. Pinned memory is copied after the call returns: sending from it again before
    /// the host has waited is a fault.
    fn touch_pinned(&mut self, stream: u64, host: Host, is_sent: bool) {
        let touched = self.pinned_at(host).map_or(Ok(()), |base| self.streams.touch_pinned(stream, base, is_sent));
        if let Err(message) = touched {
            self.fail(Code::LAUNCH_FAILED, &message);
        }
    }

    /// Does all work of a graph, in any order that its nodes allow: missing dependencies show.
    pub(super) fn run_graph(&mut self, stream: u64, nodes: &[Node]) -> Result<(), Code> {
        self.counts.graph_launches += 1;
        let mut random = Random(self.settings.checks.seed ^ self.counts.graph_launches);
        let mut waits: Vec<usize> = nodes.iter().map(|node| node.after.len()).collect();
        let mut ready: Vec<usize> = (0..nodes.len()).filter(|node| waits[*node] == 0).collect();
        while !ready.is_empty() {
            let node = ready.swap_remove(random.next() as usize % ready.len());
            self.streams.advance(stream)?;
            self.counts.graph_kernels += u64::from(matches!(nodes[node].work, Work::Launch(_)));
            self.work(stream, &nodes[node].work)?;
            for (next, other) in nodes.iter().enumerate().filter(|(_, other)| other.after.contains(&node)) {
                waits[next] -= 1;
                if waits[next] == 0 {
                    ready.push(next);
                }
                debug_assert!(other.after.iter().all(|before| *before < next), "a capture has no cycles");
            }
        }
        Ok(())
    }

    fn run_kernel(&mut self, launched: &Launched) -> Result<Touched, Code> {
        // The context is lost: work after a fault does not run.
        if self.sticky.is_some() {
            return Ok(vec![]);
        }
        let function = self.functions.get(&launched.function).ok_or(Code::INVALID_HANDLE)?;
        let module = self.modules.get(&function.module).ok_or(Code::INVALID_HANDLE)?;
        let kernel = module.kernels.get(function.kernel).ok_or(Code::INVALID_HANDLE)?;
        let launch = Launch {
            grid: launched.grid,
            block: launched.block,
            dynamic_shared: launched.dynamic_shared,
            params: &launched.params,
            checks: self.settings.checks,
        };
        self.counts.launches += 1;
        if let Some(fault) = self.settings.fault.filter(|fault| fault.launch == self.counts.launches) {
            self.untold = Some((Code(fault.code), fault.calls));
        }
        *self.kernels.entry(kernel.name.clone()).or_default() += 1;
        let result = run(kernel, &module.text(), &mut self.heap, &launch);
        let touched = self.heap.end_launch();
        match result {
            Ok(outcome) => {
                self.counts.instructions += outcome.instructions;
                self.counts.unwritten_reads += outcome.unwritten;
            }
            // The device reports the fault only to the next call.
            Err(fault) => self.fail(fault.kind.into(), &fault.to_string()),
        }
        Ok(touched)
    }

    /// The allocation that contains a range, and the offset of the range in it.
    fn range(&mut self, address: u64, bytes: usize) -> Result<(usize, usize), Code> {
        let found = self.heap.find(address, bytes as u64);
        let index = found.map_err(|outside| {
            self.report(&format!("a copy of {bytes} bytes at {address:#x}, {}", outside.describe(address)));
            Code::INVALID_VALUE
        })?;
        Ok((index, (address - self.heap.allocation(index).base) as usize))
    }

    fn copy_to_device(&mut self, to: u64, from: Host, bytes: usize) -> Result<Touched, Code> {
        if bytes == 0 {
            return Ok(vec![]);
        }
        let (index, at) = self.range(to, bytes)?;
        let allocation = self.heap.allocation_mut(index);
        from.read(allocation.region.write(at, bytes))?;
        self.counts.copies_to_device += 1;
        self.counts.bytes_to_device += bytes as u64;
        Ok(vec![(allocation.base, true)])
    }

    fn copy_to_host(&mut self, to: Host, from: u64, bytes: usize) -> Result<Touched, Code> {
        if bytes == 0 {
            return Ok(vec![]);
        }
        let (index, at) = self.range(from, bytes)?;
        let allocation = self.heap.allocation(index);
        to.write(&allocation.region.bytes()[at..at + bytes])?;
        let unwritten = allocation.region.unwritten(at, bytes);
        self.counts.unwritten_reads += unwritten as u64;
        self.counts.copies_to_host += 1;
        self.counts.bytes_to_host += bytes as u64;
        let base = allocation.base;
        if unwritten > 0 && self.settings.checks.refuses_unwritten {
            let message = format!("a copy of {bytes} bytes to the host, of which {unwritten} were never written");
            self.fail(Code::LAUNCH_FAILED, &message);
        }
        Ok(vec![(base, false)])
    }

    fn copy_within(&mut self, to: u64, from: u64, bytes: usize) -> Result<Touched, Code> {
        if bytes == 0 {
            return Ok(vec![]);
        }
        let ((target, at), (source, start)) = (self.range(to, bytes)?, self.range(from, bytes)?);
        self.heap.copy((target, at), (source, start), bytes);
        self.counts.copies_within += 1;
        self.counts.bytes_within += bytes as u64;
        let base = |index: usize| self.heap.allocation(index).base;
        Ok(vec![(base(source), false), (base(target), true)])
    }

    fn set_memory(&mut self, to: u64, value: u32, width: usize, count: usize) -> Result<Touched, Code> {
        let bytes = width.checked_mul(count).ok_or(Code::INVALID_VALUE)?;
        if !to.is_multiple_of(width as u64) {
            return Err(Code::INVALID_VALUE);
        }
        if bytes == 0 {
            return Ok(vec![]);
        }
        let (index, at) = self.range(to, bytes)?;
        let allocation = self.heap.allocation_mut(index);
        for place in allocation.region.write(at, bytes).chunks_mut(width) {
            place.copy_from_slice(&value.to_le_bytes()[..width]);
        }
        self.counts.memsets += 1;
        Ok(vec![(allocation.base, true)])
    }
}

/// Whether the device accepts a launch.
pub(super) fn check_launch(
    launched: &Launched,
    most_threads: u32,
    shared: usize,
    most_shared: usize,
) -> Result<(), Failure> {
    let threads: u64 = launched.block.iter().map(|&extent| u64::from(extent)).product();
    let blocks: u64 = launched.grid.iter().map(|&extent| u64::from(extent)).product();
    let refuse = |message: String| Err(Failure { code: Code::INVALID_VALUE, message });
    let [x, y, z] = launched.block;
    if threads == 0 || blocks == 0 {
        return refuse(format!("a launch of {blocks} blocks of {threads} threads"));
    }
    if threads > u64::from(most_threads) || x > 1024 || y > 1024 || z > 64 {
        return refuse(format!("a block of {x} × {y} × {z} threads, where {most_threads} are the most"));
    }
    if blocks > u64::from(u32::MAX)
        || launched.grid[0] > i32::MAX as u32
        || launched.grid[1..].iter().any(|&n| n > 65535)
    {
        return refuse(format!("a grid of {:?} blocks, which is too large", launched.grid));
    }
    if shared + launched.dynamic_shared > most_shared {
        let asked = launched.dynamic_shared;
        return refuse(format!("{asked} bytes of shared memory beside {shared}, where {most_shared} are the most"));
    }
    Ok(())
}
