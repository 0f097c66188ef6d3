//! Signals that end a program: the first one ends the training after its epoch, a second Ctrl-C, SIGTERM or SIGQUIT ends
//! the program.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A shell adds this to the number of the signal that ended a program.
const SHELL: i32 = 128;

/// The signals that have come since this was made.
pub(crate) struct Interrupt {
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// The number of the first signal; 0 before.
    first: Arc<AtomicUsize>,
    is_training: AtomicBool,
    /// Set once the program should have ended: later signals end it at once.
    is_ending: Arc<AtomicBool>,
}

impl Interrupt {
    /// Handles the signals from now on. Before [`training_begins`](Self::training_begins) they end the program.
    pub(crate) fn watch() -> io::Result<Interrupt> {
        let state = Arc::new(State::default());
        system::watch(state.clone())?;
        Ok(Interrupt { state })
    }

    /// From now on the first signal waits for the end of an epoch.
    pub(crate) fn training_begins(&self) {
        self.state.is_training.store(true, Ordering::SeqCst);
    }

    /// The first signal, if one has come.
    pub(crate) fn signal(&self) -> Option<Signal> {
        match self.state.first.load(Ordering::SeqCst) {
            0 => None,
            number => Some(Signal(number as i32)),
        }
    }
}

/// One of the signals that end a training.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Signal(i32);

impl Signal {
    /// Its name for users.
    pub(crate) fn name(self) -> &'static str {
        match system::NAMES.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => name,
            None => "a signal",
        }
    }

    /// The exit code of a program that this signal ended.
    pub(crate) fn exit_code(self) -> u8 {
        (SHELL + self.0) as u8
    }
}

/// Makes a write beyond the limit on file sizes an error instead of the end of the program.
pub(crate) fn let_large_writes_fail() {
    // If that is not possible, the signal keeps its default action.
    let _ = system::let_large_writes_fail();
}

#[cfg(unix)]
mod system {
    use super::{Arc, AtomicBool, Ordering, SHELL, Signal, State, io};
    use crate::failure::note;
    use crate::{progress, temporary};
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXCPU, SIGXFSZ};
    use signal_hook::flag;
    use signal_hook::iterator::Signals;
    use signal_hook::low_level;

    /// Cleaning up takes less time, unless a file system hangs.
    const CLEANING: std::time::Duration = std::time::Duration::from_secs(3);

    pub(super) const NAMES: [(i32, &str); 5] =
        [(SIGINT, "Ctrl-C"), (SIGTERM, "SIGTERM"), (SIGQUIT, "SIGQUIT"), (SIGHUP, "SIGHUP"), (SIGXCPU, "SIGXCPU")];
    /// Those of a user, or of a program, that wants the end. A closed terminal sends SIGHUP more than once, and a time
    /// limit sends SIGXCPU every second.
    const URGENT: [i32; 3] = [SIGINT, SIGTERM, SIGQUIT];

    pub(super) fn watch(state: Arc<State>) -> io::Result<()> {
        let numbers = NAMES.iter().map(|(number, _)| *number);
        // Under `nohup` it is ignored, and stays so.
        let mut signals = Signals::new(numbers.filter(|number| *number != SIGHUP || !is_ignored(SIGHUP)))?;
        // Only now: a signal that comes while nobody listens would be lost.
        for signal in URGENT {
            flag::register_conditional_shutdown(signal, SHELL + signal, state.is_ending.clone())?;
        }
        let listen = move || signals.forever().for_each(|signal| take(signal, &state));
        std::thread::Builder::new().name("signals".into()).stack_size(256 << 10).spawn(listen).map(drop)
    }

    fn take(signal: i32, state: &State) {
        let is_first = state.first.compare_exchange(0, signal as usize, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        let is_urgent = URGENT.contains(&signal);
        if is_first && state.is_training.load(Ordering::SeqCst) {
            let again = if is_urgent { "a second one" } else { "Ctrl-C or SIGTERM" };
            let name = Signal(signal).name();
            note(&format!("{name}: the training ends after this epoch; {again} ends the program at once"));
        } else if is_first || is_urgent {
            // Another signal soon after must not end the program before it has cleaned up; one much later may.
            let is_ending = state.is_ending.clone();
            let wait = move || {
                std::thread::sleep(CLEANING);
                is_ending.store(true, Ordering::SeqCst);
            };
            if std::thread::Builder::new().spawn(wait).is_err() {
                state.is_ending.store(true, Ordering::SeqCst);
            }
            progress::clear();
            let _nothing_is_made_now = temporary::remove_all();
            low_level::exit(SHELL + signal);
        }
    }

    /// Whether the signal was ignored when the program began.
    fn is_ignored(signal: i32) -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        // If the system does not say, the signal is left alone.
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_none_or(|mask| mask >> (signal - 1) & 1 == 1)
    }

    pub(super) fn let_large_writes_fail() -> io::Result<()> {
        flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))).map(drop)
    }
}

/// The fallback without a thread that waits for signals: the second signal ends the program, and leaves unfinished
/// files.
#[cfg(not(unix))]
mod system {
    use super::{Arc, SHELL, State, io};
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::flag;

    pub(super) const NAMES: [(i32, &str); 2] = [(SIGINT, "Ctrl-C"), (SIGTERM, "SIGTERM")];

    pub(super) fn watch(state: Arc<State>) -> io::Result<()> {
        for (signal, _) in NAMES {
            // In this order: the handler that ends the program reads the flag before the other sets it.
            flag::register_conditional_shutdown(signal, SHELL + signal, state.is_ending.clone())?;
            flag::register(signal, state.is_ending.clone())?;
            flag::register_usize(signal, state.first.clone(), signal as usize)?;
        }
        Ok(())
    }

    pub(super) fn let_large_writes_fail() -> io::Result<()> {
        Ok(())
    }
}
