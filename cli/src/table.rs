//! The table of a training: what is trained, then a line for each run as it ends, then the figures of all runs.

use crate::failure::Failure;
use crate::layout::{width, wrap};
use crate::report::{DataSummary, Figure, Report, Run, Settings};
use clap::builder::styling::{AnsiColor, Style};
use gavotte_gat::plural::counted;
use std::io::{self, Write};

/// Names and widths of the columns: 80 characters, with two between columns.
const COLUMNS: [(&str, usize); 9] = [
    ("seed", 4),
    ("epochs", 6),
    ("best", 4),
    ("train loss", 10),
    ("val loss", 8),
    ("val acc", 8),
    ("test acc", 8),
    ("macro F1", 8),
    ("time", 8),
];
const LABEL: Style = AnsiColor::Green.on_default().bold();

/// Prints to standard output while a training goes on. A closed output does not stop the training.
pub(crate) struct Table {
    /// The width of the longest seed.
    seed_width: usize,
    trouble: Option<io::Error>,
}

impl Table {
    /// Prints what is trained, and the names of the columns.
    pub(crate) fn new(settings: &Settings, data: &DataSummary, last_seed: u64) -> Table {
        let mut table = Table { seed_width: last_seed.to_string().len().max(COLUMNS[0].1), trouble: None };
        table.print(|out| {
            for (label, text) in [("data", data.line()), ("model", settings.model()), ("training", settings.training())]
            {
                let text = wrap(&format!("{label:<10}{text}"), width(), 10);
                let text = text.strip_prefix(label).unwrap_or(&text);
                writeln!(out, "{LABEL}{label}{LABEL:#}{text}")?;
            }
            writeln!(out)
        });
        table.row(LABEL, COLUMNS.map(|(name, _)| name.into()));
        table
    }

    /// Prints the line of a run.
    pub(crate) fn run(&mut self, run: &Run) {
        let [epochs, best] = [run.epochs, run.best_epoch].map(|n| n.to_string());
        self.row(Style::new(), cells(run.seed.to_string(), epochs, best, run.columns()));
    }

    /// Prints the figures of all runs, and how good they are.
    pub(crate) fn close(&mut self, report: &Report) {
        let of = |figure: fn(&Figure) -> f64| {
            let [epochs, best] = [&report.epochs, &report.best_epoch].map(|of| format!("{:.1}", figure(of)));
            (epochs, best, report.columns().map(figure))
        };
        let several = [("mean", 1, (|figure| figure.mean) as fn(&Figure) -> f64), ("std", 2, |figure| figure.std)];
        for (name, least, figure) in several {
            if report.test_acc.per_seed.len() > 1 && report.n_ended >= least {
                let (epochs, best, columns) = of(figure);
                self.row(LABEL, cells(name.into(), epochs, best, columns));
            }
        }
        let (accuracy, remark) = accuracy(report);
        let bold = Style::new().bold();
        self.print(|out| writeln!(out, "\n{LABEL}test accuracy{LABEL:#}  {bold}{accuracy}{bold:#}{remark}"));
    }

    /// Prints a line below the table.
    pub(crate) fn line(&mut self, text: &str) {
        self.print(|out| writeln!(out, "{}", wrap(text, width(), 2)));
    }

    /// The error of printing, if there was one.
    pub(crate) fn end(self) -> Result<(), Failure> {
        self.trouble.map_or(Ok(()), |error| Err(error.into()))
    }

    fn row(&mut self, style: Style, cells: [String; 9]) {
        let widths = COLUMNS.map(|(_, width)| width).into_iter().enumerate();
        let widths = widths.map(|(i, width)| if i == 0 { self.seed_width } else { width });
        // Cells never touch, however long they are.
        let cells: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
        self.print(|out| writeln!(out, "{style}{}{style:#}", cells.join("  ")));
    }

    fn print(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        if self.trouble.is_none() {
            let mut out = anstream::stdout().lock();
            self.trouble = write(&mut out).and_then(|()| out.flush()).err();
        }
    }
}

/// How good the finished runs are, and how many of those asked for have finished. If none has, how good the only run
/// is, if it has learned anything.
fn accuracy(report: &Report) -> (String, String) {
    let Report { test_acc, n_asked, n_ended, .. } = report;
    let spread = if test_acc.std.is_nan() { String::new() } else { format!(" ± {:.2}", 100.0 * test_acc.std) };
    match (n_ended, &test_acc.per_seed[..], &report.is_trained[..]) {
        (0, [only], [true]) if *n_asked == 1 => {
            (format!("{:.2} %", 100.0 * only), ", of a run that did not come to its end".into())
        }
        (0, ..) if *n_asked == 1 => ("none".into(), ": the run learned nothing".into()),
        (0, ..) => ("none".into(), format!(": none of {} came to its end", counted(*n_asked, "run"))),
        _ => {
            let remark = if n_ended < n_asked { format!(", over {n_ended} of {n_asked} seeds") } else { String::new() };
            (format!("{:.2}{spread} %", 100.0 * test_acc.mean), remark)
        }
    }
}

/// The cells of a line; `columns` are those from the training loss on.
fn cells(name: String, epochs: String, best: String, columns: [f64; 6]) -> [String; 9] {
    let [train_loss, val_loss, val_acc, test_acc, macro_f1, seconds] = columns;
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    [
        name,
        epochs,
        best,
        decimals(train_loss),
        decimals(val_loss),
        percent(val_acc),
        percent(test_acc),
        decimals(macro_f1),
        format!("{seconds:.2} s"),
    ]
}

/// Four decimals; a large number in scientific notation.
pub(crate) fn decimals(x: f64) -> String {
    if x.abs() < 1e5 || !x.is_finite() { format!("{x:.4}") } else { format!("{x:.3e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_table_is_as_wide_as_a_terminal() {
        let width = COLUMNS.iter().map(|(_, width)| width).sum::<usize>() + 2 * (COLUMNS.len() - 1);
        assert_eq!(width, 80);
        assert!(COLUMNS.iter().all(|(name, width)| name.len() <= *width));
    }

    #[test]
    fn large_numbers_are_short() {
        assert_eq!([0.12345, -99999.0, 1e5, 3.7e30].map(decimals), ["0.1235", "-99999.0000", "1.000e5", "3.700e30"]);
        assert_eq!([f64::NAN, f64::INFINITY].map(decimals), ["NaN", "inf"]);
    }
}
