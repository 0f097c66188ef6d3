//! The work of each step for the sizes of a plan, and its time.
//!
//! The rates are those of one core of a common server, with arrays in its caches.

use crate::aval::Sizes;
use crate::codegen::portable::TileKernel;
use crate::codegen::x86::Code;
use crate::error::Error;
use crate::ir::Control;
use crate::kernel::{Kernel, Step};
use crate::runtime::compiled::gemm::ProductWork;
use crate::runtime::compiled::machine_code::{MachineWork, StepCode};
use crate::runtime::plan::Plan;
use crate::runtime::plan::control::ControlPlan;
use crate::runtime::threads::worth::{BYTE_RATE, Nanos};

/// A `while` loop is assumed to have this many iterations.
const ITERATIONS: u64 = 100;
/// Instructions on one element that machine code executes in a nanosecond, and those of the interpreter of tiles.
const MACHINE_RATE: u64 = 20;
const TILES_RATE: u64 = 2;
/// Multiply-adds of a large product in a nanosecond.
const PRODUCT_RATE: u64 = 20;

/// The compiled form of a program's steps.
#[derive(Clone, Copy)]
pub(in crate::runtime) enum Codes<'c> {
    /// The functions of the processor, and the function of each step.
    Here(&'c [Code], &'c [StepCode]),
    /// Code of another device.
    Elsewhere,
}

/// A step prepared for the sizes of a plan.
#[derive(Debug)]
pub(in crate::runtime) enum Work {
    /// A kernel on the portable target.
    Tiles(Box<TileKernel>),
    /// A kernel as machine code.
    Machine(Box<MachineWork>),
    /// A kernel that is a large dense product.
    Product(Box<ProductWork>),
    /// The step runs on a device that prepares it itself.
    Elsewhere,
    /// An equation that runs through `eval` needs no preparation.
    Eval,
    /// A loop or a branch; its own memory starts at this byte of the arena.
    Control(ControlPlan, usize),
}

impl<'c> Codes<'c> {
    /// The codes of nested program `i` of step `step`.
    pub(in crate::runtime) fn nested(self, step: usize, i: usize) -> Codes<'c> {
        match self {
            Codes::Elsewhere => Codes::Elsewhere,
            Codes::Here(codes, steps) => match steps.get(step) {
                Some(StepCode::Nested(nested)) => Codes::Here(codes, &nested[i]),
                _ => Codes::Here(codes, &[]),
            },
        }
    }
}

impl Work {
    pub(in crate::runtime) fn new(step: &Step, all: Codes<'_>, i: usize, sizes: &Sizes) -> Result<Work, Error> {
        if let Step::Control(step) = step {
            return Ok(Work::Control(ControlPlan::new(step, all, i, sizes)?, 0));
        }
        let Codes::Here(codes, steps) = all else { return Ok(Work::Elsewhere) };
        let code = steps.get(i);
        // Without code for any step this is the portable target, which adds every sum in its own order.
        if let (Step::Kernel(kernel, _), Some(_)) = (step, code)
            && let Some(product) = ProductWork::new(kernel, sizes)
        {
            return Ok(Work::Product(Box::new(product)));
        }
        if let (Step::Kernel(kernel, _), Some(StepCode::Function(i))) = (step, code)
            && let Some(work) = MachineWork::new(kernel, &codes[*i], *i, sizes)
        {
            return Ok(Work::Machine(Box::new(work)));
        }
        Ok(match step {
            Step::Kernel(kernel, _) => Work::Tiles(Box::new(TileKernel::new(kernel, sizes)?)),
            Step::Eval(_) | Step::Control(_) => Work::Eval,
        })
    }
}

/// The time of a step with this work; an equation without a kernel, which no other thread can run, counts as nothing.
pub(in crate::runtime) fn of_step(step: &Step, work: &Work, sizes: &Sizes) -> Nanos {
    let of_kernel = |kernel: &Kernel, rate: u64| {
        let bytes = kernel.cost(sizes).bytes() / BYTE_RATE;
        bytes.max(kernel.work(sizes) / rate)
    };
    match (step, work) {
        (Step::Kernel(kernel, _), Work::Tiles(_)) => of_kernel(kernel, TILES_RATE),
        (Step::Kernel(kernel, _), Work::Machine(_)) => of_kernel(kernel, MACHINE_RATE),
        (Step::Kernel(kernel, _), Work::Product(_)) => of_kernel(kernel, PRODUCT_RATE),
        (Step::Control(step), Work::Control(control, _)) => {
            let nested = control.nested.iter().map(Plan::whole_nanos);
            match &step.control {
                Control::Switch { .. } => nested.max().unwrap_or(0),
                Control::Scan { .. } => nested.sum::<Nanos>().saturating_mul(control.length as u64),
                Control::While { .. } => nested.sum::<Nanos>().saturating_mul(ITERATIONS),
            }
        }
        _ => 0,
    }
}
