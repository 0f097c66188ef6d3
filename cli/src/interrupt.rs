//! Ctrl-C and SIGTERM: the first one ends the training after its epoch, the second one ends the program.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What a shell adds to the number of the signal that ended a program.
const SHELL: i32 = 128;

/// The signals that have come since it was made.
pub(crate) struct Interrupt {
    first: Arc<AtomicUsize>,
}

impl Interrupt {
    /// Takes the two signals from here on.
    pub(crate) fn watch() -> io::Result<Interrupt> {
        let (first, has_come) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        for signal in [SIGINT, SIGTERM] {
            // In this order: what ends the program looks before the flag is set.
            flag::register_conditional_shutdown(signal, SHELL + signal, has_come.clone())?;
            flag::register(signal, has_come.clone())?;
            flag::register_usize(signal, first.clone(), signal as usize)?;
        }
        Ok(Interrupt { first })
    }

    /// The signal that has come, if one has.
    pub(crate) fn signal(&self) -> Option<Signal> {
        match self.first.load(Ordering::SeqCst) as i32 {
            0 => None,
            number => Some(Signal(number)),
        }
    }
}

/// One of the two signals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Signal(i32);

impl Signal {
    /// What users call it.
    pub(crate) fn name(self) -> &'static str {
        if self.0 == SIGINT { "Ctrl-C" } else { "SIGTERM" }
    }

    /// The exit code of a program that it ended.
    pub(crate) fn exit_code(self) -> u8 {
        (SHELL + self.0) as u8
    }
}
