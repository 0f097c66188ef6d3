//! The program `gavotte`: trains, inspects and measures graph attention networks.

mod args;
mod bench;
mod claim;
mod dataset;
mod devices;
mod eval;
mod failure;
mod inputs;
mod interrupt;
mod ir;
mod layout;
mod opt;
mod output;
mod params;
mod profile;
mod progress;
mod replace;
mod report;
mod run_contents;
mod run_folder;
mod table;
mod temporary;
mod train;

use args::{Cli, Command};
use failure::Failure;
use gavotte_core::ir::quietly;
use gavotte_core::runtime::{Allocator, save_addresses};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::Mutex;

const REPORT: &str = "This is a bug in gavotte, not in what you did. Please report this text together with the command \
                      you ran and the output of `gavotte --version`.";

#[global_allocator]
static MEMORY: Allocator = Allocator { refused: failure::out_of_memory };

/// The messages of panics: those of threads come before that of the thread that waited for them.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn main() -> ExitCode {
    save_addresses();
    failure::reserve_memory();
    interrupt::let_large_writes_fail();
    let cli = Cli::read();
    match guarded(|| run(&cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Runs a command. A panic, which is a bug, becomes a failure that asks for a report.
fn guarded(command: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    let panics = || PANICS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    panic::set_hook(Box::new(move |info| panics().push(info.to_string())));
    // A refusal of the engine is an error of its own: a size that is too large is the user's choice.
    let refused = |error: gavotte::Error| Err(error.into());
    let result = panic::catch_unwind(AssertUnwindSafe(|| quietly(command).unwrap_or_else(refused)));
    drop(panic::take_hook());
    let said = std::mem::take(&mut *panics());
    result.unwrap_or_else(|_| Err(Failure::Run(format!("internal error: {}\n{REPORT}", said.join("\n")))))
}

fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Train(args) => train::run(args),
        Command::Eval(args) => eval::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Ir(args) => ir::run(args),
        Command::Opt(args) => opt::run(args),
        Command::Devices(args) => devices::run(args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_asks_for_a_report() {
        let Err(Failure::Run(message)) = guarded(|| panic!("the roof is off")) else {
            panic!("a panic is a failed run");
        };
        for part in ["internal error", "the roof is off", file!(), "report", "gavotte --version"] {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
        assert!(guarded(|| Ok(())).is_ok());
    }
}
