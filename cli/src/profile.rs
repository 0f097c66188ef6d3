//! `gavotte bench --profile`: a timeline of all threads in a file, and the speed of each kernel in a table.

use crate::failure::Failure;
use crate::output::Kind;
use gavotte_core::aval::Sizes;
use gavotte_core::runtime::{Executable, Machine, ProfileRow, ProfileTable};
use gavotte_gat::plural::counted;
use serde_json::Value;
use std::fs::File;
use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::path::Path;

/// What `--profile` writes.
pub(crate) const FILE: Kind = Kind { option: "--profile", writer: "bench --profile", is_one: is_timeline };

/// The number of steps that are recorded.
pub(crate) const STEPS: usize = 5;

/// Whether a file begins as all timelines of this program do: with the name of the first thread, on a line of its own.
fn is_timeline(path: &Path) -> io::Result<bool> {
    /// Longer than the first event.
    const START: u64 = 1 << 10;
    let mut start = vec![];
    File::open(path)?.take(START).read_to_end(&mut start)?;
    let mut lines = start.split(|byte| *byte == b'\n');
    let is_list = lines.next() == Some(b"[");
    let first = lines.next().map(|line| line.strip_suffix(b",").unwrap_or(line));
    let event: Value = first.and_then(|line| serde_json::from_slice(line).ok()).unwrap_or_default();
    let is_name = [("name", "thread_name"), ("ph", "M")].iter().all(|(key, value)| event[*key] == *value);
    Ok(is_list && is_name && event["args"]["name"] == "thread 0")
}

/// Records the runs that `steps` makes of a program that has run before; returns a table, and the text of all events.
pub(crate) fn record(
    executable: &Executable,
    sizes: &Sizes,
    threads: NonZeroUsize,
    steps: impl FnOnce() -> Result<(), Failure>,
) -> Result<(ProfileTable, String), Failure> {
    let machine = Machine::measure(threads)?;
    executable.set_profiling(true);
    let done = steps();
    executable.set_profiling(false);
    done?;
    let profile = executable.take_profile(sizes);
    Ok((profile.table(&machine), profile.to_trace()))
}

/// Prints the table.
pub(crate) fn print(table: &ProfileTable, out: &mut dyn Write) -> io::Result<()> {
    let ProfileTable { machine, calls, rows, total, wait_s } = table;
    writeln!(out)?;
    writeln!(out, "profile of {}, medians", counted(*calls, "step"))?;
    writeln!(out, "  the machine, as measured just now with {}:", counted(machine.threads, "thread"))?;
    writeln!(out, "    {:>8.1} GB/s, by a triad over large arrays of f32", machine.bytes_per_s / 1e9)?;
    writeln!(out, "    {:>8.1} GFLOP/s, by multiply-adds of f32", machine.flop_per_s / 1e9)?;
    writeln!(out, "  roofline: what it needs at least for these bytes or operations, as a share of the time taken;")?;
    writeln!(out, "    above 100% where arrays come out of caches")?;
    let width = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0).max(6);
    let [time, bytes, ops, share] = ["time, us", "GB/s", "GFLOP/s", "roofline"];
    writeln!(out, "  {:<width$} {time:>10} {bytes:>8} {ops:>8} {share:>9}", "kernel")?;
    for row in rows.iter().chain([total]) {
        let ProfileRow { name, time_s, gb_per_s, gflop_per_s, roofline, .. } = row;
        let (micros, percent) = (time_s * 1e6, roofline * 100.0);
        writeln!(out, "  {name:<width$} {micros:>10.1} {gb_per_s:>8.2} {gflop_per_s:>8.2} {percent:>8.1}%")?;
    }
    writeln!(out, "  of it a thread has nothing to do for {:.1} us", wait_s * 1e6)
}
