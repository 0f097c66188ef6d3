//! `gavotte train`: trains one run a seed.

use crate::args::{DataArgs, EngineArgs, ModelArgs, StepArgs, TrainArgs, name_of};
use crate::failure::Failure;
use crate::output::Folder;
use crate::params::{self, Origin};
use crate::progress::Live;
use crate::report::{DataSummary, Report, Run, Settings, metrics_csv, to_json};
use gavotte::Options;
use gavotte::device::DeviceRef;
use gavotte::random::Key;
use gavotte_gat::data::{Dataset, Split};
use gavotte_gat::experiment::Experiment;
use gavotte_gat::model::GatConfig;
use gavotte_gat::params::to_named;
use gavotte_gat::train::{Outcome, TrainConfig, Trainer};
use std::io::Write;
use std::ops::ControlFlow;

const FILES: [&str; 3] = ["params.safetensors", "metrics.csv", "run.json"];

pub(crate) fn run(args: &TrainArgs) -> Result<(), Failure> {
    let session = Session::new(args)?;
    let mut runs: Vec<Run> = vec![];
    for at in 0..session.seeds.len() {
        runs.push(session.train(at)?);
    }
    let report = session.report(&session.seeds, &runs);
    let mut out = anstream::stdout().lock();
    // Files first: whoever reads the table may have gone by now.
    if let (Some(folder), Some(_)) = (&session.folder, args.seeds) {
        folder.write("run.json", to_json(&report)?.as_bytes())?;
    }
    if args.json {
        write!(out, "{}", to_json(&report)?)?;
    } else {
        report.print(&mut out)?;
        if let Some(folder) = &session.folder {
            writeln!(out, "written to     {}", folder.path().display())?;
        }
    }
    out.flush()?;
    diverged(&runs)
}

/// The model that the command line asks for.
fn model_config(dataset: &Dataset, model: &ModelArgs, step: &StepArgs) -> GatConfig {
    GatConfig {
        heads: model.heads,
        hidden: model.hidden,
        dropout: model.dropout,
        attention: model.attention.form(),
        dtype: step.dtype,
        ..GatConfig::new(dataset.n_class())
    }
}

/// The training step of a command that looks at it, and does not train.
pub(crate) struct Prepared {
    pub(crate) dataset: Dataset,
    pub(crate) trainer: Trainer,
    pub(crate) experiment: Experiment,
}

impl Prepared {
    pub(crate) fn new(
        data: &DataArgs,
        model: &ModelArgs,
        step: &StepArgs,
        engine: &EngineArgs,
    ) -> Result<Self, Failure> {
        let dataset = data.load()?;
        let split = data.split_choice(&dataset).of(&dataset, step.seed)?;
        let config = TrainConfig { learning_rate: step.lr, weight_decay: step.weight_decay, ..TrainConfig::default() };
        let trainer = Trainer::with_options(model_config(&dataset, model, step), config, engine.options())?;
        let experiment = Experiment::new(&dataset, &split, &trainer.model)?;
        Ok(Prepared { dataset, trainer, experiment })
    }
}

/// What all runs of a command share.
struct Session<'a> {
    args: &'a TrainArgs,
    dataset: Dataset,
    data: DataSummary,
    trainer: Trainer,
    seeds: Vec<u64>,
    splits: Vec<Split>,
    device: DeviceRef,
    folder: Option<Folder>,
    /// One a run, where there are several.
    folders: Vec<Folder>,
}

impl<'a> Session<'a> {
    /// Reads everything and checks everything; only then makes folders.
    fn new(args: &'a TrainArgs) -> Result<Self, Failure> {
        let TrainArgs { data, model, step, engine, .. } = args;
        let first = step.seed;
        let Some(last) = first.checked_add(args.seeds.unwrap_or(1) as u64 - 1) else {
            return Err(Failure::input(format!(
                "--seed {first}: there are not --seeds seeds from there on; give a smaller one"
            )));
        };
        let dataset = data.load()?;
        let choice = data.split_choice(&dataset);
        let seeds: Vec<u64> = (first..=last).collect();
        let splits = seeds.iter().map(|seed| choice.of(&dataset, *seed)).collect::<Result<Vec<_>, _>>()?;
        let config = TrainConfig {
            epochs: args.epochs,
            learning_rate: step.lr,
            weight_decay: step.weight_decay,
            patience: Some(args.patience),
        };
        let device = engine.device.open()?;
        let TrainArgs { check_nans, launch_blocking, .. } = *args;
        let options = Options { check_nans, launch_blocking, ..engine.options() };
        let trainer = Trainer::with_options(model_config(&dataset, model, step), config, options)?;
        let summary = DataSummary::new(&dataset, data.data.as_deref(), &choice, &splits[0]);
        let (folder, folders) = prepare(args, &seeds)?;
        Ok(Session { args, dataset, data: summary, trainer, seeds, splits, device, folder, folders })
    }

    /// Trains the run at this place, and writes its files.
    fn train(&self, at: usize) -> Result<Run, Failure> {
        let (seed, args) = (self.seeds[at], self.args);
        let experiment = Experiment::new(&self.dataset, &self.splits[at], &self.trainer.model)?.on(&self.device)?;
        let prefix = match self.seeds.len() {
            1 => String::new(),
            n => format!("{}/{n} ", at + 1),
        };
        let live = Live::new(!args.json && !args.quiet, args.epochs, prefix);
        let outcome = self.trainer.fit(Key::new(seed), &experiment, |epoch| {
            live.show(epoch);
            ControlFlow::Continue(())
        })?;
        drop(live);
        let run = Run::new(seed, &outcome);
        if let Some(folder) = self.folders.get(at).or(self.folder.as_ref()) {
            let report = self.report(&self.seeds[at..=at], std::slice::from_ref(&run));
            let [params_file, metrics_file, run_file] = FILES;
            folder.write(params_file, &params::to_bytes(&to_named(&outcome.params), &self.origin(seed, &outcome))?)?;
            folder.write(metrics_file, metrics_csv(&outcome).as_bytes())?;
            folder.write(run_file, to_json(&report)?.as_bytes())?;
        }
        Ok(run)
    }

    fn report(&self, seeds: &[u64], runs: &[Run]) -> Report {
        let settings = Settings { seed: seeds[0], seeds: seeds.len(), ..Settings::new(self.args) };
        Report::new(settings, self.data.clone(), runs)
    }

    fn origin(&self, seed: u64, outcome: &Outcome) -> Origin {
        let model = &self.args.model;
        Origin {
            version: env!("CARGO_PKG_VERSION").into(),
            dataset: self.args.data.name().to_string(),
            sha256: self.dataset.sha256.clone(),
            split: self.data.split.clone(),
            seed,
            attention: name_of(&model.attention),
            heads: model.heads,
            hidden: model.hidden,
            epoch: outcome.best_epoch,
        }
    }
}

/// The folder of `--out`, and those of the runs below it.
fn prepare(args: &TrainArgs, seeds: &[u64]) -> Result<(Option<Folder>, Vec<Folder>), Failure> {
    let Some(path) = &args.out else { return Ok((None, vec![])) };
    if args.seeds.is_none() {
        return Ok((Some(Folder::prepare(path, &FILES)?), vec![]));
    }
    let folder = Folder::prepare(path, &["run.json"])?;
    let below = seeds.iter().map(|seed| Folder::prepare(&path.join(format!("seed-{seed}")), &FILES));
    let below = below.collect::<Result<Vec<_>, _>>()?;
    Ok((Some(folder), below))
}

/// A failure that names the runs that diverged.
fn diverged(runs: &[Run]) -> Result<(), Failure> {
    let told: Vec<String> = runs
        .iter()
        .filter_map(|run| {
            let epoch = run.diverged_at?;
            let kept = match run.best_epoch {
                0 => "those before training".into(),
                best => format!("those of epoch {best}"),
            };
            Some(format!(
                "seed {}: training diverged in epoch {epoch}: a loss is not a finite number any more. The parameters \
                 kept are the last good ones, {kept}",
                run.seed
            ))
        })
        .collect();
    match told.is_empty() {
        true => Ok(()),
        false => Err(Failure::Run(format!("{}\nTry a smaller --lr.", told.join("\n")))),
    }
}
