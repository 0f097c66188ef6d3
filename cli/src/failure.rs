//! How a command ends when it does not work.

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
    /// A run that did not end as it should.
    Run(String),
    /// A signal ended it early.
    Stopped(Signal, String),
    /// Whoever read standard output has gone: nothing is wrong.
    Unread,
}

impl Failure {
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Failure::Input(message.into())
    }

    /// Tells the user, and returns the exit code.
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

/// Tells the user of all failures; that which comes last decides the exit code.
pub(crate) fn all(failures: Vec<Failure>) -> Result<(), Failure> {
    let mut failures = failures.into_iter();
    let Some(last) = failures.next_back() else { return Ok(()) };
    for failure in failures {
        failure.report();
    }
    Err(last)
}

/// Tells the user something that does not stop the command.
pub(crate) fn note(message: &str) {
    say("note", AnsiColor::Cyan, message);
}

fn say(word: &str, color: AnsiColor, message: &str) {
    use std::io::Write;
    let style = color.on_default().bold();
    let text = format!("{word}: {}", readable(message));
    // Who reads messages from a file looks for whole lines.
    let text = columns().map_or(text.clone(), |columns| wrap(&text, columns, 2));
    let text = text.strip_prefix(word).unwrap_or(&text);
    // Nobody is left to be told that this failed.
    progress::aside(|| drop(writeln!(anstream::stderr(), "{style}{word}{style:#}{text}")));
}

/// Memory that is given back where the system has no more: to remove files takes some. It is so much that the system has
/// it back, and any thread may have it; nobody writes to it, so it is no more than addresses.
static RESERVE: Mutex<Vec<u8>> = Mutex::new(vec![]);
const RESERVED: usize = 4 << 20;

/// Sets memory aside for the end of a program that runs out of it.
pub(crate) fn reserve_memory() {
    if let Ok(mut reserve) = RESERVE.lock() {
        *reserve = Vec::with_capacity(RESERVED);
    }
}

/// Ends the program where the system gives no memory, before the language aborts it: says so, and removes what the
/// program has made and not named yet. Takes no memory itself until it has given some back.
pub(crate) fn out_of_memory(bytes: usize) {
    use std::io::Write;
    /// Longer than to remove a run takes, and short for whoever waits.
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
    // At once, as other threads may have something to say, too.
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

/// The engine refuses only what the program itself has put together, but for numbers that are not finite, and for sizes.
impl From<gavotte::Error> for Failure {
    fn from(error: gavotte::Error) -> Self {
        match error {
            // What a device refuses is no mistake of the program: no memory is left, or it has failed.
            gavotte::Error::NotFinite(why) | gavotte::Error::Device(why) => Failure::Run(why),
            // The sizes are the user's.
            gavotte::Error::TooLarge(why) => Failure::Input(why),
            gavotte::Error::Threads { wanted, why } => {
                Failure::Input(format!("--threads {wanted}: the system does not start so many: {why}; ask for fewer"))
            }
            error => Failure::Run(format!("{error}\n{}", crate::REPORT)),
        }
    }
}

/// Of writing to standard output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::Unread,
            _ => Failure::Run(format!("cannot write to standard output: {error}")),
        }
    }
}
