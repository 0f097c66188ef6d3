//! `gavotte ir`: the training step at a stage of its compilation.

use crate::args::{DeviceName, IrArgs, Stage, name_of};
use crate::failure::Failure;
use crate::train::Prepared;
use gavotte::Tree;
use gavotte::random::Key;
use gavotte_core::ir::PrintOptions;
use gavotte_core::runtime::Machine;
use gavotte_gat::experiment::Experiment;
use gavotte_gat::train::Trainer;
use std::io::Write;

pub(crate) fn run(args: &IrArgs) -> Result<(), Failure> {
    check_gpu(args)?;
    check_prints(args)?;
    let IrArgs { data, model, step, engine, .. } = args;
    let Prepared { trainer, experiment, .. } = Prepared::new(data, model, step, engine)?;
    let text = text_of(args, &trainer, &experiment)?;
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// A flag that changes nothing of what is printed is a mistake.
fn check_prints(args: &IrArgs) -> Result<(), Failure> {
    let stage = name_of(&args.stage);
    if args.why && args.stage != Stage::Fused {
        return Err(Failure::input(format!("--why: it changes nothing of --stage {stage}; say --stage fused with it")));
    }
    if args.locations && !matches!(args.stage, Stage::Trace | Stage::Grad | Stage::Optimized) {
        let with = "say --stage trace, grad or optimized with it";
        return Err(Failure::input(format!("--locations: it changes nothing of --stage {stage}; {with}")));
    }
    Ok(())
}

/// Only a plan is made for a GPU, and only for one that is named.
fn check_gpu(args: &IrArgs) -> Result<(), Failure> {
    let is_cuda = args.engine.device != DeviceName::Cpu;
    match args.gpu {
        Some(gpu) if !is_cuda => {
            Err(Failure::input(format!("--gpu {}: say --stage plan --device cuda with it", gpu.name)))
        }
        Some(gpu) if args.stage != Stage::Plan => Err(Failure::input(format!(
            "--gpu {}: it changes nothing of --stage {}; what a GPU takes is predicted by --stage plan",
            gpu.name,
            name_of(&args.stage)
        ))),
        None if is_cuda => Err(Failure::input("--device cuda: say with --stage plan --gpu which GPU, such as h100")),
        _ => Ok(()),
    }
}

fn text_of<P, S>(args: &IrArgs, trainer: &Trainer<P, S>, experiment: &Experiment) -> Result<String, Failure>
where
    P: Tree + Clone + 'static,
    S: Tree + 'static,
{
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
        Stage::Plan => match args.gpu {
            Some(gpu) => Ok(lowered.predict(gpu)?.to_string()),
            None => {
                let machine = Machine::measure(args.engine.threads())?;
                Ok(lowered.executable().plan_text(lowered.sizes(), Some(&machine))?)
            }
        },
        Stage::Asm => text(gavotte::Stage::Asm),
        Stage::Stablehlo => text(gavotte::Stage::Stablehlo),
    }
}
