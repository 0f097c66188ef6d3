//! `gavotte ir`: the training step at a stage of its compilation.

use crate::args::{IrArgs, Stage};
use crate::failure::Failure;
use crate::train::Prepared;
use gavotte::random::Key;
use gavotte_core::ir::PrintOptions;
use gavotte_core::runtime::Machine;
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
    let options = PrintOptions { locations: args.locations };
    let key = || Key::new(args.step.seed);
    if args.stage == Stage::Trace {
        return Ok(trainer.loss_program(key(), experiment)?.to_text(options));
    }
    let state = (trainer.optimizer.init_fun)(trainer.init(key(), experiment)?);
    let lowered = trainer.step.lower(trainer.step_args(0, state, experiment, key())?)?;
    let text = |stage| Ok(lowered.text(stage, options)?);
    match args.stage {
        Stage::Trace | Stage::Grad => text(gavotte::Stage::Traced),
        Stage::Optimized => text(gavotte::Stage::Optimized),
        Stage::Fused if args.why => Ok(text(gavotte::Stage::Fused)? + "\n" + &lowered.executable().why_text()),
        Stage::Fused => text(gavotte::Stage::Fused),
        Stage::Kernels => text(gavotte::Stage::Kernels),
        Stage::Plan => {
            let machine = Machine::measure(args.engine.threads())?;
            Ok(lowered.executable().plan_text(lowered.sizes(), Some(&machine))?)
        }
        Stage::Asm => text(gavotte::Stage::Asm),
        Stage::Stablehlo => text(gavotte::Stage::Stablehlo),
    }
}
