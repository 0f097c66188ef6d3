//! `gavotte bench`: how long a training step takes.

use crate::args::BenchArgs;
use crate::failure::Failure;
use crate::layout::readable;
use crate::output::OutFile;
use crate::profile;
use crate::report::to_json;
use crate::train::Prepared;
use gavotte::Tree;
use gavotte::random::Key;
use gavotte_core::kernel::Cost;
use gavotte_core::runtime::ProfileTable;
use gavotte_gat::experiment::Experiment;
use gavotte_gat::plural::counted;
use gavotte_gat::statistics::quantile;
use gavotte_gat::train::Trainer;
use serde::Serialize;
use std::io::Write;
use std::time::Instant;

/// The most plans that are timed.
const PLANS: usize = 15;

#[derive(Serialize)]
struct Report {
    peer: &'static str,
    data: String,
    threads: usize,
    steps: usize,
    trace_ms: f64,
    compile_ms: f64,
    /// The time to plan for a graph of other sizes, before its first step.
    plan_ms: f64,
    /// Tracing, compiling and the first run.
    first_step_s: f64,
    step_min_s: f64,
    step_median_s: f64,
    step_p90_s: f64,
    peak_rss_mb: Option<f64>,
    kernels: usize,
    planned_bytes: usize,
    /// Counts of one step: arithmetic operations, transcendental functions, bytes of arrays.
    flops: u64,
    transcendentals: u64,
    bytes_read: u64,
    bytes_written: u64,
    loss: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<ProfileTable>,
}

pub(crate) fn run(args: &BenchArgs) -> Result<(), Failure> {
    let BenchArgs { data, model, step, engine, steps, .. } = args;
    // A file that cannot be written is an error before the long work.
    let file = args.profile.as_ref().map(|path| OutFile::prepare(profile::FILE, path)).transpose()?;
    let device = engine.device.open()?;
    let Prepared { dataset, trainer, experiment } = Prepared::new(data, model, step, engine)?;
    let experiment = experiment.on(&device)?;
    let params = trainer.init(Key::new(step.seed), &experiment)?;
    let mut bench = Bench { trainer: &trainer, experiment: &experiment, seed: step.seed, next: 0, loss: f64::NAN };

    let state = (trainer.optimizer.init_fun)(params);
    let start = Instant::now();
    let lowered = trainer.step.lower(trainer.step_args(0, state.clone(), &experiment, bench.key())?)?;
    let mut state = bench.step(state)?;
    let first_step_s = start.elapsed().as_secs_f64();
    let mut times = Vec::with_capacity(*steps);
    for _ in 0..*steps {
        let start = Instant::now();
        state = bench.step(state)?;
        times.push(start.elapsed().as_secs_f64());
    }
    let loss = bench.loss;
    let mut plan_times = vec![];
    for _ in 0..PLANS.min(*steps) {
        // In real use a step has evicted the planner's data from the caches.
        state = bench.step(state)?;
        let start = Instant::now();
        lowered.executable().new_plan(lowered.sizes())?;
        plan_times.push(start.elapsed().as_secs_f64());
    }
    let Cost { flops, transcendentals, bytes_read, bytes_written } = lowered.cost_analysis().total;
    let mut report = Report {
        peer: "gavotte",
        data: dataset.name.clone(),
        threads: engine.threads().get(),
        steps: *steps,
        trace_ms: lowered.trace_time().as_secs_f64() * 1e3,
        compile_ms: lowered.executable().compile_time().as_secs_f64() * 1e3,
        plan_ms: quantile(&plan_times, 0.5) * 1e3,
        first_step_s,
        step_min_s: quantile(&times, 0.0),
        step_median_s: quantile(&times, 0.5),
        step_p90_s: quantile(&times, 0.9),
        peak_rss_mb: peak_rss_mb(),
        kernels: lowered.executable().n_kernel(),
        planned_bytes: lowered.executable().plan(lowered.sizes())?.bytes(),
        flops,
        transcendentals,
        bytes_read,
        bytes_written,
        loss,
        profile: None,
    };
    let mut out = anstream::stdout().lock();
    if !args.json {
        report.print(&mut out)?;
        out.flush()?;
    }
    // The figures are printed before anything is written that could fail.
    let mut failed = None;
    let mut events = None;
    if file.is_some() {
        let steps = || (0..profile::STEPS).try_fold(state, |state, _| bench.step(state)).map(drop);
        match profile::record(lowered.executable(), lowered.sizes(), engine.threads(), steps) {
            Ok((table, text)) => (report.profile, events) = (Some(table), Some(text)),
            Err(failure) => failed = Some(failure),
        }
    }
    match &report.profile {
        _ if args.json => write!(out, "{}", to_json(&report)?)?,
        Some(table) => profile::print(table, &mut out)?,
        None => {}
    }
    out.flush()?;
    if let (Some(file), Some(text)) = (&file, &events) {
        file.write(text.as_bytes())?;
        if !args.json {
            writeln!(out, "  events are in {}", readable(&file.path().display().to_string()))?;
        }
    }
    failed.map_or(Ok(()), Err)
}

struct Bench<'a, P: Tree + 'static, S: Tree + 'static> {
    trainer: &'a Trainer<P, S>,
    experiment: &'a Experiment,
    seed: u64,
    next: i32,
    loss: f64,
}

impl<P: Tree + Clone + 'static, S: Tree + 'static> Bench<'_, P, S> {
    fn key(&self) -> Key {
        Key::new(self.seed).fold_in(self.next as u32)
    }

    /// Runs one step, and waits for its result.
    fn step(&mut self, state: S) -> Result<S, Failure> {
        let args = self.trainer.step_args(self.next, state, self.experiment, self.key())?;
        let (state, loss) = self.trainer.step.try_call(args)?;
        self.loss = loss.to_host()?.get(0).as_f64();
        self.next += 1;
        Ok(state)
    }
}

impl Report {
    fn print(&self, out: &mut dyn Write) -> std::io::Result<()> {
        writeln!(out, "{}, {}, {}", self.data, counted(self.threads, "thread"), counted(self.steps, "step"))?;
        writeln!(out, "  tracing      {:>10.2} ms", self.trace_ms)?;
        writeln!(out, "  compiling    {:>10.2} ms", self.compile_ms)?;
        writeln!(out, "  planning     {:>10.3} ms, for each graph of other sizes", self.plan_ms)?;
        writeln!(out, "  first step   {:>10.2} ms, with both", self.first_step_s * 1e3)?;
        writeln!(out, "  step, min    {:>10.3} ms", self.step_min_s * 1e3)?;
        writeln!(out, "  step, median {:>10.3} ms", self.step_median_s * 1e3)?;
        writeln!(out, "  step, p90    {:>10.3} ms", self.step_p90_s * 1e3)?;
        if let Some(mb) = self.peak_rss_mb {
            writeln!(out, "  peak memory  {mb:>10.1} MB")?;
        }
        writeln!(out, "  planned      {:>10.1} MB", self.planned_bytes as f64 / 1e6)?;
        writeln!(out, "  kernels      {:>10}", self.kernels)?;
        let (work, bytes) = (self.flops + self.transcendentals, self.bytes_read + self.bytes_written);
        writeln!(out, "  work         {:>10.2} million operations", work as f64 / 1e6)?;
        writeln!(out, "  traffic      {:>10.2} MB", bytes as f64 / 1e6)?;
        writeln!(out, "  rate         {:>10.2} GFLOP/s at the median", work as f64 / 1e9 / self.step_median_s)
    }
}

/// The peak memory of the process, if the system reports it.
fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0 / 1e6)
}
