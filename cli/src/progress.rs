//! How far a training is, on standard error: a live bar where that is a terminal, else a line now and then.

use gavotte_gat::train::Epoch;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

const TEMPLATE: &str = "{prefix}{bar:16.cyan} {pos}/{len}  {wide_msg}";
/// How long nothing is said where there is no terminal.
const SILENCE: Duration = Duration::from_secs(10);

/// How far a run is.
pub(crate) struct Live {
    bar: ProgressBar,
    lines: Option<Lines>,
}

impl Live {
    pub(crate) fn new(shown: bool, epochs: usize, seed: u64, prefix: String) -> Live {
        let is_terminal = io::stderr().is_terminal();
        let lines = (shown && !is_terminal).then(|| Lines { seed, epochs, next: Instant::now() + SILENCE });
        if !shown || !is_terminal {
            return Live { bar: ProgressBar::hidden(), lines };
        }
        let style = ProgressStyle::with_template(TEMPLATE).expect("the template is well formed");
        let bar = ProgressBar::new(epochs as u64).with_style(style).with_prefix(prefix).with_message("compiling");
        bar.enable_steady_tick(Duration::from_millis(200));
        Live { bar, lines }
    }

    pub(crate) fn show(&mut self, epoch: &Epoch) {
        if let Some(line) = self.lines.as_mut().and_then(|lines| lines.of(epoch, Instant::now())) {
            // Nobody is left to be told that this failed.
            let _ = writeln!(io::stderr(), "{line}");
        }
        if !self.bar.is_hidden() {
            self.bar.set_position(epoch.epoch as u64);
            self.bar.set_message(message(epoch));
        }
    }
}

fn message(epoch: &Epoch) -> String {
    let Epoch { losses, accuracies, step_ms, .. } = epoch;
    format!(
        "train/val loss {:.3}/{:.3}, accuracy {:.1}/{:.1} %, {step_ms:.2} ms a step",
        losses.train,
        losses.val,
        100.0 * accuracies.train,
        100.0 * accuracies.val,
    )
}

/// Lines that tell how far a run is.
struct Lines {
    seed: u64,
    epochs: usize,
    /// When the next one is due.
    next: Instant,
}

impl Lines {
    fn of(&mut self, epoch: &Epoch, now: Instant) -> Option<String> {
        if now < self.next {
            return None;
        }
        self.next = now + SILENCE;
        Some(format!("seed {}: epoch {} of {}, {}", self.seed, epoch.epoch, self.epochs, message(epoch)))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gavotte_gat::experiment::Parts;

    #[test]
    fn a_line_comes_now_and_then() {
        let start = Instant::now();
        let mut lines = Lines { seed: 7, epochs: 300, next: start + SILENCE };
        let parts = Parts { train: 0.5, val: 0.5, test: 0.5 };
        let epoch = Epoch { epoch: 12, step_loss: 0.5, losses: parts, accuracies: parts, step_ms: 2.0, best: false };
        let mut said = |seconds: u64| lines.of(&epoch, start + Duration::from_secs(seconds));
        assert_eq!(said(9), None);
        let line = said(11).expect("a line is due");
        assert!(line.starts_with("seed 7: epoch 12 of 300, train/val loss 0.500/0.500"), "{line}");
        assert!(line.len() <= 100 && said(20).is_none() && said(21).is_some());
    }
}
