//! How a failed command ends.

use crate::interrupt::Signal;
use crate::layout::{columns, readable, wrap};
use crate::{progress, temporary};
use clap::builder::styling::AnsiColor;
use gavotte_gat::data::DataError;
use std::cell::Cell;
use std::io;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Why a command failed; decides the exit code.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An argument, a file or its contents.
    Input(String),
    /// A run that went wrong.
    Run(String),
    /// A signal ended it early.
    Stopped(Signal, String),
    /// The reader of standard output has closed it, which is no error.
    Unread,
}

impl Failure {
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Failure::Input(message.into())
    }

    /// Prints the failure, and returns the exit code.
    pub(crate) fn report(self) -> ExitCode {
        let (message, code) = match self {
            Failure::Input(message) => (message, 2),
            Failure::Run(message) => (message, 1),
            Failure::Stopped(signal, message) => (message, signal.exit_code()),
            Failure::Unread => return ExitCode::SUCCESS,
        };
        say("error", AnsiColor::Red, &message);
        ExitCode::from(code)
    }
}

/// Prints all failures but the last, which is returned and decides the exit code.
pub(crate) fn all(failures: Vec<Failure>) -> Result<(), Failure> {
    let mut failures = failures.into_iter();
    let Some(last) = failures.next_back() else { return Ok(()) };
    for failure in failures {
        failure.report();
    }
    Err(last)
}

/// Prints a note; the command goes on.
pub(crate) fn note(message: &str) {
    say("note", AnsiColor::Cyan, message);
}

fn say(word: &str, color: AnsiColor, message: &str) {
    use std::io::Write;
    let style = color.on_default().bold();
    let text = format!("{word}: {}", readable(message));
    // In a file each line of a message stays whole, so that it can be searched for.
    let text = columns().map_or(text.clone(), |columns| wrap(&text, columns, 2));
    let text = text.strip_prefix(word).unwrap_or(&text);
    // If this fails, there is nowhere to report it.
    progress::aside(|| drop(writeln!(anstream::stderr(), "{style}{word}{style:#}{text}")));
}

/// Memory that is released when the system has no more, since removing files takes some. It is large enough that it
/// goes back to the system, where any thread can take it. Nothing is written to it, so it takes addresses alone.
static RESERVE: Mutex<Vec<u8>> = Mutex::new(vec![]);
const RESERVED: usize = 4 << 20;

/// Reserves memory for the end of a program that runs out of it.
pub(crate) fn reserve_memory() {
    if let Ok(mut reserve) = RESERVE.lock() {
        *reserve = Vec::with_capacity(RESERVED);
    }
}

/// Ends the program when the system refuses memory, before the language aborts it: prints an error, and removes
/// temporary files. Takes no memory itself until it has released the reserve.
pub(crate) fn out_of_memory(bytes: usize) {
    use std::io::Write;
    /// Longer than it takes to remove a run, and short for a user who waits.
    const PATIENCE: Duration = Duration::from_secs(2);
    static IS_ENDING: AtomicBool = AtomicBool::new(false);
    thread_local! {
        static ENDS_IT: Cell<bool> = const { Cell::new(false) };
    }
    if ENDS_IT.get() {
        // Even the reserve was not enough.
        std::process::exit(2);
    }
    if IS_ENDING.swap(true, Ordering::SeqCst) {
        // Another thread ends the program.
        std::thread::sleep(2 * PATIENCE);
        std::process::exit(2);
    }
    ENDS_IT.set(true);
    // In one write, as other threads may print, too.
    let mut text = [0; 256];
    let mut rest = &mut text[..];
    let _ = writeln!(
        rest,
        "error: out of memory: the system refused {bytes} bytes more; take a smaller model or data set, or raise the limit \
         (`ulimit -v`, or the container's)"
    );
    let left = rest.len();
    let _ = io::stderr().write_all(&text[..text.len() - left]);
    drop(RESERVE.try_lock().map(|mut reserve| std::mem::take(&mut *reserve)));
    let _nothing_is_made_now = temporary::try_remove_all(PATIENCE);
    std::process::exit(2)
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        Failure::Input(error.to_string())
    }
}

impl From<gavotte_gat::Error> for Failure {
    fn from(error: gavotte_gat::Error) -> Self {
        match error {
            gavotte_gat::Error::Engine(error) => error.into(),
            other => Failure::Input(other.to_string()),
        }
    }
}

/// An error of the engine is a bug of this program, except for numbers that are not finite, sizes, devices and threads.
impl From<gavotte::Error> for Failure {
    fn from(error: gavotte::Error) -> Self {
        match error {
            // A device that refuses has no memory left, or has failed: that is no bug.
            gavotte::Error::NotFinite(why) | gavotte::Error::Device(why) => Failure::Run(why),
            // The user chooses the sizes.
            gavotte::Error::TooLarge(why) => Failure::Input(why),
            gavotte::Error::Threads { wanted, why } => {
                Failure::Input(format!("--threads {wanted}: the system does not start that many: {why}; ask for fewer"))
            }
            error => Failure::Run(format!("{error}\n{}", crate::REPORT)),
        }
    }
}

/// An error of writing to standard output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::Unread,
            _ => Failure::Run(format!("cannot write to standard output: {error}")),
        }
    }
}
