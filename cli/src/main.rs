//! The program `gavotte`: trains, inspects and measures graph attention networks.

mod args;
mod bench;
mod eval;
mod failure;
mod inputs;
mod ir;
mod opt;
mod output;
mod params;
mod progress;
mod report;
mod train;

use args::{Cli, Command};
use failure::Failure;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::Mutex;

const REPORT: &str = "This is a bug in gavotte, not in what you did. Please report this text together with the command \
                      you ran and the output of `gavotte --version`.";

/// Where and why the latest panic was, for when it reaches the top.
static PANIC: Mutex<Option<String>> = Mutex::new(None);

fn main() -> ExitCode {
    let cli = Cli::read();
    panic::set_hook(Box::new(|info| {
        *PANIC.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(info.to_string());
    }));
    let result = panic::catch_unwind(AssertUnwindSafe(|| run(&cli.command)));
    let result = result.unwrap_or_else(|_| {
        let said = PANIC.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        Err(Failure::Run(format!("internal error: {}\n{REPORT}", said.unwrap_or_else(|| "unknown".into()))))
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Train(args) => train::run(args),
        Command::Eval(args) => eval::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Ir(args) => ir::run(args),
        Command::Opt(args) => opt::run(args),
    }
}
