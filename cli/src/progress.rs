//! The progress of a training on standard error: a bar if that is a terminal, else a line now and then.

use crate::layout::width;
use gavotte_gat::train::Epoch;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// The columns that the bar itself takes.
const BAR: usize = 12;
const TEMPLATE: &str = "{prefix}{bar:12.cyan} {pos}/{len}  {wide_msg}";
/// The time between two lines without a terminal.
const SILENCE: Duration = Duration::from_secs(10);

/// The bar on the terminal: messages are printed above it.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

fn shown() -> MutexGuard<'static, Option<ProgressBar>> {
    SHOWN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Prints to the terminal while the bar is hidden.
pub(crate) fn aside(print: impl FnOnce()) {
    let bar = shown().clone();
    match bar {
        Some(bar) => bar.suspend(print),
        None => print(),
    }
}

/// Removes the bar.
pub(crate) fn clear() {
    if let Some(bar) = shown().take() {
        bar.finish_and_clear();
    }
}

/// The progress of a run.
pub(crate) struct Live {
    bar: ProgressBar,
    /// The columns left for the message of the bar.
    room: usize,
    lines: Option<Lines>,
}

impl Live {
    pub(crate) fn new(is_shown: bool, epochs: usize, seed: u64, prefix: String) -> Live {
        let is_terminal = io::stderr().is_terminal();
        let lines = (is_shown && !is_terminal).then(|| Lines { seed, epochs, next: Instant::now() + SILENCE });
        if !is_shown || !is_terminal {
            return Live { bar: ProgressBar::hidden(), room: 0, lines };
        }
        let style = ProgressStyle::with_template(TEMPLATE).expect("the template is well formed");
        let room = room(width(), &prefix, epochs);
        let bar = ProgressBar::new(epochs as u64).with_style(style).with_prefix(prefix).with_message("compiling");
        bar.enable_steady_tick(Duration::from_millis(200));
        *shown() = Some(bar.clone());
        Live { bar, room, lines }
    }

    pub(crate) fn show(&mut self, epoch: &Epoch) {
        if let Some(line) = self.lines.as_mut().and_then(|lines| lines.of(epoch, Instant::now())) {
            // If this fails, there is nowhere to report it.
            let _ = writeln!(io::stderr(), "{line}");
        }
        if !self.bar.is_hidden() {
            self.bar.set_position(epoch.epoch as u64);
            self.bar.set_message(message(epoch, self.room));
        }
    }
}

/// The columns of a line that prefix, bar and numbers of epochs leave.
fn room(width: usize, prefix: &str, epochs: usize) -> usize {
    width.saturating_sub(prefix.chars().count() + BAR + 2 * epochs.to_string().len() + "  /  ".len())
}

/// The figures of an epoch: all, or only the most important if the line is too short.
fn message(epoch: &Epoch, room: usize) -> String {
    let Epoch { losses, accuracies, step_ms, .. } = epoch;
    let losses = format!("{}/{}", short(losses.train), short(losses.val));
    let accuracies = format!("{:.1}/{:.1} %", 100.0 * accuracies.train, 100.0 * accuracies.val);
    let forms = [
        format!("train/val loss {losses}, accuracy {accuracies}, {step_ms:.2} ms a step"),
        format!("loss {losses}, accuracy {accuracies}, {step_ms:.2} ms"),
        format!("loss {losses}, {accuracies}"),
        accuracies,
    ];
    let fits = |form: &&String| form.chars().count() <= room;
    forms.iter().find(fits).or(forms.last()).cloned().unwrap_or_default()
}

/// Three decimals; a large number in scientific notation.
fn short(x: f64) -> String {
    if x.abs() < 1e4 || !x.is_finite() { format!("{x:.3}") } else { format!("{x:.1e}") }
}

/// Lines that report the progress of a run.
struct Lines {
    seed: u64,
    epochs: usize,
    /// When the next line is due.
    next: Instant,
}

impl Lines {
    fn of(&mut self, epoch: &Epoch, now: Instant) -> Option<String> {
        if now < self.next {
            return None;
        }
        self.next = now + SILENCE;
        Some(format!("seed {}: epoch {} of {}, {}", self.seed, epoch.epoch, self.epochs, message(epoch, usize::MAX)))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        drop(shown().take());
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gavotte_gat::experiment::Splits;

    fn epoch(losses: Splits<f64>) -> Epoch {
        let accuracies = Splits { train: 0.5, val: 0.5, test: 0.5 };
        Epoch { epoch: 12, step_loss: 0.5, losses, accuracies, step_ms: 2.0, best: false }
    }

    #[test]
    fn a_bar_has_its_accuracies_whatever_the_terminal() {
        let large = Splits { train: 3.7e30, val: 123456.0, test: 0.0 };
        for (columns, epochs, prefix) in [(200, 1000, ""), (80, 1000, ""), (80, 100_000_000, "100/100 "), (40, 200, "")]
        {
            let room = room(columns, prefix, epochs);
            for losses in [Splits { train: 0.5, val: 0.5, test: 0.5 }, large] {
                let text = message(&epoch(losses), room);
                assert!(text.chars().count() <= room && text.contains("50.0/50.0 %"), "{room}: {text}");
            }
        }
        assert!(message(&epoch(large), room(80, "", 1000)).contains(" ms"));
    }

    #[test]
    fn a_line_comes_now_and_then() {
        let start = Instant::now();
        let mut lines = Lines { seed: 7, epochs: 300, next: start + SILENCE };
        let splits = Splits { train: 0.5, val: 0.5, test: 0.5 };
        let epoch = epoch(splits);
        let mut said = |seconds: u64| lines.of(&epoch, start + Duration::from_secs(seconds));
        assert_eq!(said(9), None);
        let line = said(11).expect("a line is due");
        assert!(line.starts_with("seed 7: epoch 12 of 300, train/val loss 0.500/0.500"), "{line}");
        assert!(line.len() <= 100 && said(20).is_none() && said(21).is_some());
    }
}
