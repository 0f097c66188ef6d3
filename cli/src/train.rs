//! `gavotte train`: trains one run for each seed.

use crate::args::{DataArgs, EngineArgs, ModelArgs, StepArgs, TrainArgs, name_of};
use crate::failure::{self, Failure, note};
use crate::inputs::note_unlearned;
use crate::interrupt::{Interrupt, Signal};
use crate::layout::readable;
use crate::params::{self, Origin};
use crate::progress::Live;
use crate::report::{DataSummary, Report, Run, Settings, metrics_csv, to_json};
use crate::run_contents::{self, METRICS, PARAMS, SUMMARY};
use crate::run_folder::RunFolder;
use crate::table::Table;
use gavotte::device::DeviceRef;
use gavotte::random::Key;
use gavotte::{Options, Tree};
use gavotte_gat::data::{Dataset, Split};
use gavotte_gat::experiment::Experiment;
use gavotte_gat::model::GatConfig;
use gavotte_gat::params::to_named;
use gavotte_gat::train::{GatTrainer, GatTraining, Outcome, Trainer};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;

pub(crate) fn run(args: &TrainArgs) -> Result<(), Failure> {
    let interrupt = Interrupt::watch().map_err(|error| {
        let why = format!("cannot watch for Ctrl-C and SIGTERM: {error}");
        Failure::Input(format!(
            "{why}; allow more memory, open files and threads (`ulimit -a` says how many there are)"
        ))
    })?;
    let mut session = Session::new(args)?;
    interrupt.training_begins();
    let mut table = match (args.json, session.seeds.last()) {
        (false, Some(last)) => Some(Table::new(&session.settings(), &session.data, *last)),
        _ => None,
    };
    let (mut runs, mut failures): (Vec<Run>, Vec<Failure>) = (vec![], vec![]);
    // Figures that cannot be written are printed all the same. Of files that cannot be written, the first is reported.
    let mut unwritten: Option<Failure> = None;
    for at in 0..session.seeds.len() {
        match session.train(at, &interrupt) {
            Ok((run, written)) => {
                table.iter_mut().for_each(|table| table.run(&run));
                unwritten = unwritten.or(written.err());
                runs.push(run);
            }
            Err(failure) => {
                failures.push(failure);
                break;
            }
        }
        if interrupt.signal().is_some() {
            break;
        }
    }
    if !runs.is_empty() {
        let report = session.report(&session.seeds, &runs);
        let written = match unwritten {
            Some(failure) => Err(failure),
            None => session.end(&report, &runs, failures.is_empty()),
        };
        let printed = match &mut table {
            Some(table) => {
                table.close(&report);
                if let Ok(Some(path)) = &written {
                    table.line(&format!("written to     {}", readable(&path.display().to_string())));
                }
                Ok(())
            }
            None => print_json(&report),
        };
        failures.extend(printed.err());
        unwritten = written.err();
    }
    session.leave(&runs);
    failures.extend(table.and_then(|table| table.end().err()));
    failures.extend(unwritten);
    failures.extend(diverged(&runs, args.step.weight_decay));
    failures.extend(interrupt.signal().map(|signal| stopped(signal, &runs)));
    failure::all(failures)
}

fn print_json(report: &Report) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    write!(out, "{}", to_json(report)?)?;
    Ok(out.flush()?)
}

/// The model that the command line asks for.
fn model_config(dataset: &Dataset, model: &ModelArgs, step: &StepArgs) -> GatConfig {
    GatConfig {
        heads: model.heads,
        hidden: model.hidden,
        dropout: model.dropout,
        storage: model.attention.storage(),
        dtype: step.dtype,
        ..GatConfig::new(dataset.n_class())
    }
}

/// The training step for commands that inspect it and do not train.
pub(crate) struct Prepared {
    pub(crate) dataset: Dataset,
    pub(crate) trainer: GatTrainer,
    pub(crate) experiment: Experiment,
}

impl Prepared {
    pub(crate) fn new(
        data: &DataArgs,
        model: &ModelArgs,
        step: &StepArgs,
        engine: &EngineArgs,
    ) -> Result<Self, Failure> {
        engine.check()?;
        let dataset = data.load()?;
        let split = data.split_choice(&dataset).of(&dataset, step.seed)?;
        let model = model_config(&dataset, model, step);
        let training =
            GatTraining { learning_rate: step.lr, weight_decay: step.weight_decay, ..GatTraining::default() };
        let trainer = Trainer::gat_with_options(model, training, engine.options())?;
        let experiment = model.experiment(&dataset, &split)?;
        Ok(Prepared { dataset, trainer, experiment })
    }
}

/// What all runs of a command share.
struct Session<'a> {
    args: &'a TrainArgs,
    dataset: Dataset,
    data: DataSummary,
    model: GatConfig,
    trainer: GatTrainer,
    seeds: Vec<u64>,
    splits: Vec<Split>,
    device: DeviceRef,
    folder: Option<RunFolder>,
}

impl<'a> Session<'a> {
    /// Reads and checks everything; only then makes folders.
    fn new(args: &'a TrainArgs) -> Result<Self, Failure> {
        let TrainArgs { data, model, step, engine, .. } = args;
        engine.check()?;
        let first = step.seed;
        let Some(last) = first.checked_add(args.seeds.unwrap_or(1) as u64 - 1) else {
            return Err(Failure::input(format!(
                "--seed {first}: there are fewer than --seeds seeds from there on; give a smaller one"
            )));
        };
        let dataset = data.load()?;
        let choice = data.split_choice(&dataset);
        let seeds: Vec<u64> = (first..=last).collect();
        let splits = seeds.iter().map(|seed| choice.of(&dataset, *seed)).collect::<Result<Vec<_>, _>>()?;
        let training = GatTraining {
            epochs: args.epochs,
            learning_rate: step.lr,
            weight_decay: step.weight_decay,
            patience: Some(args.patience),
        };
        let device = engine.device.open()?;
        let TrainArgs { check_nans, launch_blocking, .. } = *args;
        let options = Options { check_nans, launch_blocking, ..engine.options() };
        let model = model_config(&dataset, model, step);
        let trainer = Trainer::gat_with_options(model, training, options)?;
        model.check_memory(&dataset)?;
        note_unlearned(&dataset, &splits[0]);
        let summary = DataSummary::new(&dataset, data.data.as_deref(), &choice, &splits[0]);
        let folder = args.out.as_ref().map(|path| RunFolder::prepare(path, args.overwrite)).transpose()?;
        Ok(Session { args, dataset, data: summary, model, trainer, seeds, splits, device, folder })
    }

    /// Trains run `at` until its end or a signal, and writes its files; returns the result of both.
    fn train(&self, at: usize, interrupt: &Interrupt) -> Result<(Run, Result<(), Failure>), Failure> {
        let (seed, args) = (self.seeds[at], self.args);
        let experiment = self.model.experiment(&self.dataset, &self.splits[at])?.on(&self.device)?;
        let prefix = match self.seeds.len() {
            1 => String::new(),
            n => format!("{}/{n} ", at + 1),
        };
        let mut live = Live::new(!args.json && !args.quiet, args.epochs, seed, prefix);
        let outcome = self.trainer.fit(Key::new(seed), &experiment, |epoch| {
            live.show(epoch);
            match interrupt.signal() {
                Some(_) => ControlFlow::Break(()),
                None => ControlFlow::Continue(()),
            }
        })?;
        drop(live);
        let run = Run::new(seed, &outcome);
        let written = self.write(at, &run, &outcome);
        Ok((run, written))
    }

    fn write(&self, at: usize, run: &Run, outcome: &Outcome<impl Tree>) -> Result<(), Failure> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let seed = run.seed;
        let report = self.report(&self.seeds[at..=at], std::slice::from_ref(run));
        let params = params::to_bytes(&to_named(&outcome.params), &self.origin(seed, outcome.best_epoch))?;
        let (metrics, summary) = (metrics_csv(outcome), to_json(&report)?);
        let below = self.args.seeds.map_or_else(String::new, |_| run_contents::below(seed));
        folder.write(&below, &[(PARAMS, &params), (METRICS, metrics.as_bytes()), (SUMMARY, summary.as_bytes())])
    }

    /// Writes the summary of all runs, publishes the folder, and returns its path. An existing run stays, and `None` is
    /// returned, if a run went wrong, or was ended within its first epoch.
    fn end(&mut self, report: &Report, runs: &[Run], all_went_well: bool) -> Result<Option<PathBuf>, Failure> {
        let Some(folder) = &self.folder else { return Ok(None) };
        if self.args.seeds.is_some() {
            folder.write("", &[(SUMMARY, to_json(report)?.as_bytes())])?;
        }
        let is_begun = !matches!(runs, [Run { stopped_at: Some(..=1), .. }]);
        let may_replace = all_went_well && is_begun && runs.iter().all(|run| run.diverged_at.is_none());
        if folder.is_replacing() && !may_replace {
            return Ok(None);
        }
        let shown = folder.shown();
        self.folder.take().map_or(Ok(()), RunFolder::publish)?;
        Ok(Some(shown))
    }

    /// Leaves an existing run that was not replaced, and prints a note. Finished new runs are kept all the same.
    fn leave(&mut self, runs: &[Run]) {
        let left = self.folder.take().and_then(|folder| folder.leave(runs.iter().any(Run::has_ended)));
        left.iter().for_each(|text| note(text));
    }

    fn settings(&self) -> Settings {
        Settings::new(self.args)
    }

    fn report(&self, seeds: &[u64], runs: &[Run]) -> Report {
        let settings = Settings { seed: seeds[0], seeds: seeds.len(), ..Settings::new(self.args) };
        Report::new(settings, self.data.clone(), runs)
    }

    fn origin(&self, seed: u64, epoch: usize) -> Origin {
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
            epoch,
            classes: self.dataset.classes.clone(),
        }
    }
}

/// A failure that names the runs that diverged.
fn diverged(runs: &[Run], weight_decay: f64) -> Option<Failure> {
    /// Above this the penalty alone may be what diverges.
    const LARGE: f64 = 0.1;

    let told: Vec<String> = runs
        .iter()
        .filter_map(|run| {
            let epoch = run.diverged_at?;
            let kept = match run.best_epoch {
                0 => "those before training".into(),
                best => format!("those of epoch {best}"),
            };
            Some(format!(
                "seed {}: training diverged in epoch {epoch}: a loss is no longer a finite number. The parameters \
                 kept are the last good ones, {kept}",
                run.seed
            ))
        })
        .collect();
    let advice = if weight_decay > LARGE { "--lr, or a smaller --weight-decay" } else { "--lr" };
    match told.is_empty() {
        true => None,
        false => Some(Failure::Run(format!("{}\nTry a smaller {advice}.", told.join("\n")))),
    }
}

/// A failure that says where a signal ended the training.
fn stopped(signal: Signal, runs: &[Run]) -> Failure {
    let name = signal.name();
    let text = match runs.last() {
        None => format!("{name} came before anything was trained"),
        Some(Run { seed, stopped_at: None, .. }) => format!("{name} ended the training after the run of seed {seed}"),
        Some(Run { seed, best_epoch, stopped_at: Some(epoch), .. }) => format!(
            "{name} ended the training of seed {seed} in epoch {epoch}; its figures and parameters are the best until \
             then, those of epoch {best_epoch}"
        ),
    };
    Failure::Stopped(signal, text)
}
