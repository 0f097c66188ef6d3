//! Where the time of a run goes: what each thread did when, and how that compares with the machine's peak.

use crate::aval::Sizes;
use crate::ir::Program;
use crate::kernel::Step;
use crate::runtime::cpu::recorder::{Recorder, Times, address};
use crate::runtime::report::cost::{CostAnalysis, StepCost, StepKind};
use crate::runtime::report::roofline::Machine;
use serde::Serialize;
use serde_json::json;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The start and the end, measured from the start of the first call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// When it started.
    pub start: Duration,
    /// When it ended.
    pub end: Duration,
}

/// What a thread did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// A step, by its number in [`Profile::steps`]; `None` if the thread had nothing to do: the others were working on
    /// the last units, or on work that is not shared.
    pub step: Option<usize>,
    /// Whether the step starts here; otherwise this is another chunk of its rows.
    pub begins: bool,
    /// When.
    pub span: Span,
}

/// What the threads of a program did in some calls.
#[derive(Clone, Debug)]
pub struct Profile {
    /// All steps; those within a loop or a branch follow it. Costs are of one run.
    pub steps: Vec<StepCost>,
    /// When each call ran.
    pub calls: Vec<Span>,
    /// What each thread did, in the order in which it ended.
    pub threads: Vec<Vec<Event>>,
}

impl Profile {
    pub(in crate::runtime) fn new(
        (program, steps): (&Program, &[Step]),
        sizes: &Sizes,
        calls: &[Times],
        threads: &[&Recorder],
    ) -> Profile {
        let mut all = vec![];
        flatten(program, steps, sizes, &mut all);
        let numbers: HashMap<usize, usize> = all.iter().enumerate().map(|(i, (address, _))| (*address, i)).collect();
        let origin = calls.iter().map(|(start, _)| *start).min();
        let since = |at: Instant| origin.map_or(Duration::ZERO, |origin| at.saturating_duration_since(origin));
        let span = |(start, end): Times| Span { start: since(start), end: since(end) };
        let event = |(step, begins, times): &(Option<usize>, bool, Times)| {
            let step = step.map(|address| numbers.get(&address).copied());
            // A step of an unknown program would be a mistake; it is not shown as something else.
            (step != Some(None)).then(|| Event { step: step.flatten(), begins: *begins, span: span(*times) })
        };
        Profile {
            steps: all.into_iter().map(|(_, cost)| cost).collect(),
            calls: calls.iter().map(|times| span(*times)).collect(),
            threads: threads.iter().map(|recorder| recorder.events.iter().filter_map(event).collect()).collect(),
        }
    }

    /// The events as a JSON array for Perfetto and `chrome://tracing`.
    pub fn to_trace(&self) -> String {
        let pid = std::process::id();
        let micros = |time: Duration| time.as_nanos() as f64 / 1e3;
        let mut events = vec![];
        for (tid, thread) in self.threads.iter().enumerate() {
            let name = json!({ "name": format!("thread {tid}") });
            events.push(json!({ "name": "thread_name", "ph": "M", "pid": pid, "tid": tid, "args": name }));
            for Event { step, span, .. } in thread {
                let dur = micros(span.end.saturating_sub(span.start));
                let step = step.map(|i| &self.steps[i]);
                let name = step.map_or("wait", |step| &step.name);
                let mut event = json!({
                    "name": name, "ph": "X", "pid": pid, "tid": tid, "ts": micros(span.start), "dur": dur,
                });
                if let Some(step) = step {
                    event["args"] = json!({ "at": step.location.to_string() });
                }
                events.push(event);
            }
        }
        // One line for each event.
        let lines: Vec<String> = events.iter().map(|event| event.to_string()).collect();
        format!("[\n{}\n]\n", lines.join(",\n"))
    }

    /// The time of each kernel, and how that compares with the machine's peak; the longest first. Loops and branches
    /// have no line: their kernels have.
    pub fn table(&self, machine: &Machine) -> ProfileTable {
        let mut runs = vec![0; self.steps.len()];
        // For each call, the longest time of any thread in each step.
        let mut times = vec![vec![0.0; self.calls.len()]; self.steps.len()];
        let mut waits = vec![];
        for (call, span) in self.calls.iter().enumerate() {
            let within = |event: &&Event| event.span.start >= span.start && event.span.end <= span.end;
            let mut begun = vec![0; self.steps.len()];
            let mut waited = Duration::ZERO;
            for thread in &self.threads {
                let mut n_begun = vec![0; self.steps.len()];
                let mut own = vec![0.0; self.steps.len()];
                for Event { step, begins, span } in thread.iter().filter(within) {
                    let Some(step) = *step else {
                        waited += span.end - span.start;
                        continue;
                    };
                    own[step] += (span.end - span.start).as_secs_f64();
                    n_begun[step] += usize::from(*begins);
                }
                for step in 0..self.steps.len() {
                    begun[step] = n_begun[step].max(begun[step]);
                    times[step][call] = own[step].max(times[step][call]);
                }
            }
            runs.iter_mut().zip(begun).for_each(|(runs, begun)| *runs += begun);
            waits.push(waited.as_secs_f64() / self.threads.len() as f64);
        }
        let mut rows: Vec<ProfileRow> = vec![];
        let mut sums = [0.0; 3];
        for ((step, times), runs) in self.steps.iter().zip(times).zip(runs) {
            let is_leaf = matches!(step.kind, StepKind::Kernel | StepKind::Interpreted);
            if is_leaf && runs > 0 {
                let runs = runs as f64 / self.calls.len() as f64;
                let (bytes, ops) = (step.cost.bytes() as f64 * runs, step.cost.ops() as f64 * runs);
                let least_s = machine.least_s(bytes, ops);
                sums = [sums[0] + bytes, sums[1] + ops, sums[2] + least_s];
                let location = Some(step.location.to_string());
                rows.push(ProfileRow::new(&step.name, location, runs, median(times), [bytes, ops, least_s]));
            }
        }
        let calls = self.calls.iter().map(|span| (span.end - span.start).as_secs_f64()).collect();
        let total = ProfileRow::new("total", None, 1.0, median(calls), sums);
        rows.sort_by(|a, b| b.time_s.total_cmp(&a.time_s));
        ProfileTable { machine: *machine, calls: self.calls.len(), rows, total, wait_s: median(waits) }
    }
}

/// A program's steps and nested steps, with the memory address of each.
fn flatten(program: &Program, steps: &[Step], sizes: &Sizes, all: &mut Vec<(usize, StepCost)>) {
    for (step, cost) in steps.iter().zip(CostAnalysis::new(program, steps, sizes).steps) {
        all.push((address(step), cost));
        if let Step::Control(control) = step {
            control.nested.iter().for_each(|nested| flatten(&nested.program, &nested.steps, sizes, all));
        }
    }
}

fn median(mut xs: Vec<f64>) -> f64 {
    xs.sort_by(f64::total_cmp);
    match xs.len() {
        0 => f64::NAN,
        n => (xs[(n - 1) / 2] + xs[n / 2]) / 2.0,
    }
}

/// The time of a kernel in a call, and its speed.
#[derive(Clone, Debug, Serialize)]
pub struct ProfileRow {
    /// The kernel's name, or the primitive's.
    pub name: String,
    /// The user's line that it comes from.
    pub location: Option<String>,
    /// How often it runs in a call, on average.
    pub runs: f64,
    /// The time of all its runs in a call, from the first thread's start to the last one's end: the median of the
    /// calls.
    pub time_s: f64,
    /// Bytes of arrays that it reads and writes, in 10⁹ a second.
    pub gb_per_s: f64,
    /// Its operations, in 10⁹ a second; a transcendental function counts as one.
    pub gflop_per_s: f64,
    /// The least time in which the machine can do these bytes, or these operations: the longer of both. For a whole
    /// call, the sum over its kernels.
    pub least_s: f64,
    /// That as a share of the time; above 1 if arrays come out of caches.
    pub roofline: f64,
}

impl ProfileRow {
    fn new(name: &str, at: Option<String>, runs: f64, time_s: f64, [bytes, ops, least_s]: [f64; 3]) -> Self {
        ProfileRow {
            name: name.into(),
            location: at,
            runs,
            time_s,
            gb_per_s: bytes / time_s / 1e9,
            gflop_per_s: ops / time_s / 1e9,
            least_s,
            roofline: least_s / time_s,
        }
    }
}

/// The time of each kernel of a program.
#[derive(Clone, Debug, Serialize)]
pub struct ProfileTable {
    /// The machine's peak.
    pub machine: Machine,
    /// How many calls were recorded.
    pub calls: usize,
    /// One line for each kernel, and for each equation that runs through the interpreter; the longest first.
    pub rows: Vec<ProfileRow>,
    /// A whole call.
    pub total: ProfileRow,
    /// How long in a call a thread has nothing to do: the mean of the threads, the median of the calls.
    pub wait_s: f64,
}
