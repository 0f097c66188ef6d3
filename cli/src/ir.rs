//! `gavotte ir`: the training step at a stage of its compilation.

use crate::args::{IrArgs, Stage};
use crate::failure::Failure;
use crate::train::Prepared;
use gavotte::random::Key;
use gavotte_core::ir::{PrintOptions, Program};
use gavotte_gat::experiment::Experiment;
use gavotte_gat::train::Trainer;
use std::io::Write;

pub(crate) fn run(args: &IrArgs) -> Result<(), Failure> {
    let IrArgs { data, model, step, engine, .. } = args;
    let Prepared { trainer, experiment, .. } = Prepared::new(data, model, step, engine)?;
    let text = text_of(args, &trainer, &experiment)?;
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

fn text_of(args: &IrArgs, trainer: &Trainer, experiment: &Experiment) -> Result<String, Failure> {
    let print = |program: &Program| program.to_text(PrintOptions { locations: args.locations });
    let key = || Key::new(args.step.seed);
    if args.stage == Stage::Trace {
        return Ok(print(&trainer.loss_program(key(), experiment)?));
    }
    let state = (trainer.optimizer.init_fun)(trainer.init(key(), experiment)?);
    let stages = trainer.step.stages(trainer.step_args(0, state, experiment, key())?)?;
    Ok(match args.stage {
        Stage::Trace | Stage::Grad => print(&stages.program),
        Stage::Optimized => print(stages.executable.program()),
        Stage::Fused => stages.executable.fused_text(),
        Stage::Kernels => stages.executable.steps().iter().map(|step| format!("{step}\n")).collect(),
        Stage::Plan => stages.executable.plan_text(&stages.sizes)?,
        Stage::Stablehlo => stages.executable.program().to_stablehlo(&stages.sizes)?,
    })
}
