//! A checker of memory plans that shares no code with the planner.
//!
//! It runs a program without computing anything. Memory holds tags instead of elements: each write leaves a new one, so
//! the contents of an array are identified by the tags that its writer left ([`memory`]). Wherever a step reads, they
//! must still be there: then nobody reads what was overwritten or is not written yet. Nothing outside the plan's memory
//! exists, and constants, and arguments that are not donated, may only be read.
//!
//! Steps that run chunk of rows by chunk of rows have no order among them, as threads are at different rows. So a step
//! may read another's results only at the rows that it is at itself, and within a group memory is reused only row by
//! row ([`program`]). Loops and branches go through the code that drives them when they run, iteration by iteration
//! ([`nested`]).
//!
//! The lattice is small: a byte has no tag, or one. Branches meet: where they leave different tags, none remains. After
//! three iterations of a scan the others are assumed to be alike, and only write; a long scan is left then.

mod faults;
mod memory;
mod nested;
mod program;

pub use faults::PlanFault;
pub(super) use faults::plant;

use crate::error::Error;
use crate::kernel::KernelProgram;
use crate::runtime::check::memory::Memory;
use crate::runtime::check::program::Walk;
use crate::runtime::plan::Plan;
use crate::runtime::plan::frame::Frame;
use crate::runtime::plan::placed::Buffers;

/// Checks a plan, with and without donated arguments.
///
/// # Errors
/// Names the step and the array that the plan is wrong about.
pub(super) fn check_plan(lowered: &KernelProgram, plan: &Plan) -> Result<(), Error> {
    [true, false].into_iter().try_for_each(|donates| {
        check(lowered, plan, donates)
            .map_err(|why| Error::Verify(format!("@{}: the memory plan is wrong: {why}", lowered.program.name)))
    })
}

fn check(lowered: &KernelProgram, plan: &Plan, donates: bool) -> Result<(), String> {
    let mut memory = Memory::default();
    let add = |memory: &mut Memory, bytes: u64| {
        let (start, tag) = (memory.add(bytes), memory.tag());
        memory.write(start..start + bytes, Some(tag)).map(|()| start)
    };
    let program = &lowered.program;
    let bytes_of = |index: usize| element_bytes(plan, index);
    let (mut args, mut consts) = (vec![], vec![]);
    for binder in &program.args {
        args.push(add(&mut memory, bytes_of(binder.var.index()))?);
    }
    let composed = lowered.composed.iter().map(|composed| composed.var);
    for var in program.consts.iter().map(|binder| binder.var).chain(composed) {
        let start = add(&mut memory, bytes_of(var.index()))?;
        memory.fix(start..start + bytes_of(var.index()));
        consts.push(start);
    }
    let mut outs = vec![0; plan.outs.len()];
    let mut given = vec![false; args.len()];
    for planned in &plan.planned {
        let (Buffers::Out(out), bytes) = (planned.buffer, bytes_of(planned.var.index())) else { continue };
        outs[out] = match plan.donors[out].filter(|_| donates) {
            None => memory.add(bytes),
            Some(arg) => {
                if std::mem::replace(&mut given[arg], true) {
                    return Err(format!("argument {arg} is donated twice"));
                }
                if bytes_of(program.args[arg].var.index()) != bytes {
                    return Err(format!("argument {arg} does not have the size of result {out}"));
                }
                args[arg]
            }
        };
    }
    for ((binder, start), given) in program.args.iter().zip(&args).zip(&given) {
        if !given {
            memory.fix(*start..*start + bytes_of(binder.var.index()));
        }
    }
    let arena = memory.add((plan.arena_bytes + plan.partial_bytes) as u64);
    let frame = Frame::new(plan, &args, &consts, &outs, arena);
    for out in &program.outs {
        let buffer = out.var().and_then(|var| plan.buffers[program::memory_of(lowered, var).index()]);
        match buffer {
            Some(Buffers::Arg(arg)) if given[arg] => return Err(format!("{out} is a donated argument")),
            Some(Buffers::Arena(_) | Buffers::Chunk(_)) => return Err(format!("the result {out} ends with the run")),
            _ => {}
        }
    }
    Walk { memory }.run(lowered, plan, &frame).map(|_| ())
}

/// The bytes of a variable's elements, without the rest of their last line.
fn element_bytes(plan: &Plan, index: usize) -> u64 {
    let aval = &plan.avals[index];
    (aval.volume().as_usize().unwrap_or(0) * aval.dtype.size()) as u64
}
