//! How a command ends when it does not work.

use gavotte_gat::data::DataError;
use std::io;
use std::process::ExitCode;

/// Why a command failed; decides the exit code.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An argument, a file or its contents.
    Input(String),
    /// A run that did not end as it should.
    Run(String),
    /// Whoever read standard output has gone: nothing is wrong.
    Unread,
}

impl Failure {
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Failure::Input(message.into())
    }

    /// Tells the user, and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        let (message, code) = match self {
            Failure::Input(message) => (message, 2),
            Failure::Run(message) => (message, 1),
            Failure::Unread => return ExitCode::SUCCESS,
        };
        say("error", clap::builder::styling::AnsiColor::Red, &message);
        ExitCode::from(code)
    }
}

/// Tells the user something that does not stop the command.
pub(crate) fn note(message: &str) {
    say("note", clap::builder::styling::AnsiColor::Cyan, message);
}

fn say(word: &str, color: clap::builder::styling::AnsiColor, message: &str) {
    use std::io::Write;
    let style = color.on_default().bold();
    // Nobody is left to be told that this failed.
    let _ = writeln!(anstream::stderr(), "{style}{word}:{style:#} {message}");
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

/// The engine refuses only what the program itself has put together, but for numbers that are not finite.
impl From<gavotte::Error> for Failure {
    fn from(error: gavotte::Error) -> Self {
        match error {
            // What a device refuses is no mistake of the program: no memory is left, or it has failed.
            gavotte::Error::NotFinite(why) | gavotte::Error::Device(why) => Failure::Run(why),
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
