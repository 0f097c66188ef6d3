//! `gavotte eval`: the figures of saved parameters.

use crate::args::{Attention, DataArgs, EvalArgs, SplitChoice};
use crate::failure::{Failure, note};
use crate::layout::{width, wrap};
use crate::params::{self, Origin, Saved};
use crate::report::{DataSummary, to_json};
use crate::table::decimals;
use clap::ValueEnum;
use gavotte::Array;
use gavotte::random::Key;
use gavotte_gat::data::Dataset;
use gavotte_gat::metrics::Confusion;
use gavotte_gat::model::GatConfig;
use gavotte_gat::params::from_named;
use gavotte_gat::plural::counted;
use gavotte_gat::train::{GatTraining, Trainer};
use serde::Serialize;
use std::io::Write;

#[derive(Serialize)]
struct Report {
    data: DataSummary,
    train_loss: f64,
    val_loss: f64,
    test_loss: f64,
    train_acc: f64,
    val_acc: f64,
    test_acc: f64,
    test_macro_f1: f64,
}

pub(crate) fn run(args: &EvalArgs) -> Result<(), Failure> {
    args.engine.check()?;
    let bytes = params::read(&args.params)?;
    let Saved { named, origin } = params::from_bytes(&args.params, &bytes)?;
    if origin.is_none() {
        note(&format!(
            "--params {}: the file does not say how its parameters were trained: data set, split and model are those of \
             the command line, or else the defaults",
            args.params.display()
        ));
    }
    let data = data_args(args, origin.as_ref());
    let dataset = with_trained_classes(data.load()?, args, origin.as_ref())?;
    let seed = args.seed.or(origin.as_ref().map(|origin| origin.seed)).unwrap_or(0);
    let choice = split_choice(&data, &dataset, origin.as_ref())?;
    let split = choice.of(&dataset, seed)?;
    let paper = GatConfig::new(dataset.n_class());
    let trained = origin.as_ref().and_then(|origin| Attention::from_str(&origin.attention, false).ok());
    let config = GatConfig {
        heads: args.heads.or(origin.as_ref().map(|origin| origin.heads)).unwrap_or(paper.heads),
        hidden: args.hidden.or(origin.as_ref().map(|origin| origin.hidden)).unwrap_or(paper.hidden),
        storage: args.attention.or(trained).unwrap_or(Attention::Edges).storage(),
        dtype: params::dtype_of(&named),
        ..paper
    };
    let trainer = Trainer::gat_with_options(config, GatTraining::default(), args.engine.options())?;
    let experiment = config.experiment(&dataset, &split)?.on(&args.engine.device.open()?)?;
    let like = trainer.init(Key::new(0), &experiment)?;
    let params = from_named(&like, named).map_err(|error| {
        Failure::input(format!(
            "--params {}: {error}\n(the model for this data has --heads {} and --hidden {}, {} and {})",
            args.params.display(),
            config.heads,
            config.hidden,
            counted(dataset.n_feat(), "feature"),
            counted(dataset.n_class(), "class")
        ))
    })?;
    let found = trainer.evaluate.try_call((params, experiment.inputs.clone()))?;
    let loss = |array: &Array| Ok::<f64, Failure>(array.to_host()?.get(0).as_f64());
    let confusion = experiment.score(&found.outputs)?;
    let accuracies = confusion.as_ref().map(Confusion::accuracy);
    let report = Report {
        data: DataSummary::new(&dataset, data.data.as_deref(), &choice, &split),
        train_loss: loss(&found.losses.train)?,
        val_loss: loss(&found.losses.val)?,
        test_loss: loss(&found.losses.test)?,
        train_acc: accuracies.train,
        val_acc: accuracies.val,
        test_acc: accuracies.test,
        test_macro_f1: confusion.test.macro_f1(),
    };
    let mut out = anstream::stdout().lock();
    if args.json {
        write!(out, "{}", to_json(&report)?)?;
    } else {
        report.print(&mut out)?;
    }
    out.flush()?;
    let Report { train_loss, val_loss, test_loss, .. } = report;
    match [train_loss, val_loss, test_loss].iter().all(|loss| loss.is_finite()) {
        true => Ok(()),
        false => Err(Failure::Run(format!(
            "--params {}: a loss is not a finite number: with these parameters numbers overflow; train the model again, \
             with a smaller --lr",
            args.params.display()
        ))),
    }
}

/// The data set with its classes in the order of the training.
fn with_trained_classes(dataset: Dataset, args: &EvalArgs, origin: Option<&Origin>) -> Result<Dataset, Failure> {
    let Some(origin) = origin else { return Ok(dataset) };
    if origin.sha256 != dataset.sha256 {
        note(&format!(
            "these parameters were trained on other data: on {} with SHA-256 {}, and this is {} with SHA-256 {}",
            origin.dataset, origin.sha256, dataset.name, dataset.sha256
        ));
    }
    if origin.classes.is_empty() {
        return Ok(dataset);
    }
    let classes = dataset.with_classes(&origin.classes);
    classes.map_err(|error| Failure::input(format!("--params {}: {error}", args.params.display())))
}

/// The data set that the command line names, or else that of the training.
fn data_args(args: &EvalArgs, origin: Option<&Origin>) -> DataArgs {
    let mut data = args.data.clone();
    if data.dataset.is_none() && data.data.is_none() {
        data.dataset = origin.and_then(|origin| origin.dataset.parse().ok());
    }
    data
}

/// The split that the command line names; else that of the training, if the data are the same; else the data's own.
fn split_choice(data: &DataArgs, dataset: &Dataset, origin: Option<&Origin>) -> Result<SplitChoice, Failure> {
    match origin.filter(|origin| data.split.is_none() && origin.sha256 == dataset.sha256) {
        None => Ok(data.split_choice(dataset)),
        Some(origin) => origin.split.parse().map_err(|_| {
            Failure::input(format!(
                "the parameters were trained on the split {}, and that file is not there; say --split FILE",
                origin.split
            ))
        }),
    }
}

impl Report {
    fn print(&self, out: &mut dyn Write) -> std::io::Result<()> {
        writeln!(out, "{}\n", wrap(&self.data.line(), width(), 2))?;
        writeln!(out, "{:>6}  {:>10}  {:>10}", "part", "loss", "accuracy")?;
        for (part, loss, accuracy) in [
            ("train", self.train_loss, self.train_acc),
            ("val", self.val_loss, self.val_acc),
            ("test", self.test_loss, self.test_acc),
        ] {
            writeln!(out, "{part:>6}  {:>10}  {:>8.2} %", decimals(loss), 100.0 * accuracy)?;
        }
        writeln!(out, "\nmacro F1 of the test nodes: {:.4}", self.test_macro_f1)
    }
}
