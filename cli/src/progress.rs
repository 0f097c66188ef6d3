//! The live bar: on standard error, where that is a terminal.

use gavotte_gat::train::Epoch;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

const TEMPLATE: &str = "{prefix}{bar:16.cyan} {pos}/{len}  {wide_msg}";

/// A bar of one run.
pub(crate) struct Live(ProgressBar);

impl Live {
    pub(crate) fn new(shown: bool, epochs: usize, prefix: String) -> Live {
        if !shown {
            return Live(ProgressBar::hidden());
        }
        let style = ProgressStyle::with_template(TEMPLATE).expect("the template is well formed");
        let bar = ProgressBar::new(epochs as u64).with_style(style).with_prefix(prefix).with_message("compiling");
        bar.enable_steady_tick(Duration::from_millis(200));
        Live(bar)
    }

    pub(crate) fn show(&self, epoch: &Epoch) {
        if self.0.is_hidden() {
            return;
        }
        let Epoch { losses, accuracies, step_ms, .. } = epoch;
        self.0.set_position(epoch.epoch as u64);
        self.0.set_message(format!(
            "train/val loss {:.3}/{:.3}, accuracy {:.1}/{:.1} %, {step_ms:.2} ms a step",
            losses.train,
            losses.val,
            100.0 * accuracies.train,
            100.0 * accuracies.val,
        ));
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
