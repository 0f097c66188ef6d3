//! The command line: its options, and what is refused before anything runs.

mod values;

pub(crate) use values::{Attention, DeviceName, HEADS, HIDDEN, SplitChoice, Stage, TargetName, name_of};

use crate::dataset::{DatasetName, DatasetParser};
use crate::layout::readable;
use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use gavotte::DType;
use gavotte_core::runtime::cuda::Gpu;
use std::io::Write;
use std::path::PathBuf;
use std::str::FromStr;
use values::{count, decay, dtype, gpu, pass, probability, rate, seed};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Trains, inspects and measures graph attention networks
#[derive(Parser, Debug)]
#[command(
    name = "gavotte",
    version,
    styles = STYLES,
    arg_required_else_help = true,
    after_help = "Examples:
  gavotte train                                    train on a network that needs no file
  gavotte train --dataset cora                     train on Cora, downloading it once
  gavotte train --data cora.tgz --seeds 10 --out runs/cora
  gavotte eval --params runs/cora/seed-0/params.safetensors --data cora.tgz
  gavotte ir --stage optimized | less              read the compiled training step

Environment:
  GAVOTTE_DATA        where Cora is looked for first
  GAVOTTE_PERF_MAP=1  write /tmp/perf-PID.map, by which `perf report` names the
                      kernels of the machine code
  GAVOTTE_CACHE       where kernels compiled for GPUs are kept; empty, nowhere
                      [default: the user's cache folder]

Exit codes:
  0    it worked
  1    the run failed: it diverged, or the program has a bug
  2    bad input: an argument, a file or its contents; nothing was written
  130  Ctrl-C ended it; 143: SIGTERM; 131: SIGQUIT; 129: SIGHUP; 152: SIGXCPU"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// Reads the command line. If it cannot be parsed, prints why and ends the program.
    pub(crate) fn read() -> Cli {
        let matches = whole().try_get_matches();
        matches.and_then(|matches| Cli::from_arg_matches(&matches)).unwrap_or_else(|error| refuse(&error))
    }
}

/// Prints why the command line cannot be parsed, and ends the program. Control characters in arguments are escaped.
fn refuse(error: &clap::Error) -> ! {
    let is_plain = |arg: std::ffi::OsString| arg.to_str().is_some_and(|arg| readable(arg) == arg);
    if std::env::args_os().all(is_plain) {
        error.exit();
    }
    // If this fails, there is nowhere to report it.
    let _ = writeln!(std::io::stderr(), "{}", readable(error.render().to_string().trim_end()));
    std::process::exit(error.exit_code())
}

/// The command line. A negative number is a value, so that its option refuses it by name.
fn whole() -> clap::Command {
    Cli::command().mut_subcommands(|command| {
        command.mut_args(|arg| match arg.get_action().takes_values() {
            true => arg.allow_negative_numbers(true),
            false => arg,
        })
    })
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Train a graph attention network and say how good it is
    Train(Box<TrainArgs>),
    /// Compute the figures of a training run again, from its saved parameters
    Eval(Box<EvalArgs>),
    /// Measure the training step: time, memory, compilation
    Bench(Box<BenchArgs>),
    /// Print the training step at a stage of its compilation
    Ir(Box<IrArgs>),
    /// Run passes on a program in text form
    Opt(OptArgs),
    /// List the devices that are found, and what GPUs need that is missing
    Devices(DevicesArgs),
}

#[derive(Args, Debug)]
#[command(after_help = "Training stops early once neither validation loss nor validation accuracy has got better \
for --patience epochs; the figures are those of the best parameters. The same seed gives the same bits, whatever the \
number of threads.

Files in --out, which belong together:
  params.safetensors   the best parameters, named by their place in the model
  metrics.csv          losses and accuracies of every epoch
  run.json             settings, versions, seed, hash of the data, results

With --seeds these are in the folders seed-0, seed-1 and so on, next to a run.json of them all. A folder that holds \
something is refused, and so is one that another run is writing to; --overwrite replaces the run in it. A run that \
diverges or is ended within its first epoch replaces nothing.

Ctrl-C, SIGTERM, SIGQUIT, SIGHUP and SIGXCPU end the training after its epoch: what is best so far is printed and \
written. A second Ctrl-C, SIGTERM or SIGQUIT ends the program at once.

A run whose loss is no longer a number stops, says at which epoch, keeps the last good parameters, and ends with exit \
code 1.

Examples:
  gavotte train
  gavotte train --dataset karate --epochs 200 --out runs/karate
  gavotte train --data cora.tgz --split cora.public-split.tsv --seeds 10 --json")]
pub(crate) struct TrainArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) step: StepArgs,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    /// The most epochs to train for
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = count(1..=100_000_000), help_heading = "Training")]
    pub(crate) epochs: usize,
    /// Epochs without progress on the validation nodes before training stops
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = count(1..=100_000_000), help_heading = "Training")]
    pub(crate) patience: usize,
    /// Train this many runs, from --seed upwards, and report their mean and standard deviation
    #[arg(long, value_name = "N", value_parser = count(1..=100_000), help_heading = "Training")]
    pub(crate) seeds: Option<usize>,
    /// Stop at the first operation that makes a NaN or an infinity of finite numbers, and name it, its source line and
    /// its operands; results are the same, and memory is reused less often
    #[arg(long, help_heading = "Training")]
    pub(crate) check_nans: bool,
    /// Wait for each kernel on a GPU, so that an error names the kernel that failed, not a later call; slow, results
    /// are the same
    #[arg(long, help_heading = "Training")]
    pub(crate) launch_blocking: bool,
    /// Folder for parameters, metrics and settings; created if it does not exist
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub(crate) out: Option<PathBuf>,
    /// Replace the whole run in --out once this one has ended
    #[arg(long, requires = "out", help_heading = "Output")]
    pub(crate) overwrite: bool,
    /// Print one JSON object and nothing else
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
    /// Show no progress bar
    #[arg(long, help_heading = "Output")]
    pub(crate) quiet: bool,
}

#[derive(Args, Debug)]
#[command(after_help = "The parameters know the model, the data set, its classes, the split and the seed that they \
were trained with; what you say here takes precedence. Classes are compared by name. Cora is looked for again unless --data \
names it.

Examples:
  gavotte eval --params runs/karate/params.safetensors
  gavotte eval --params runs/cora/seed-0/params.safetensors --dataset cora --data cora.tgz --json")]
pub(crate) struct EvalArgs {
    /// Parameters that `gavotte train --out` wrote
    #[arg(long, value_name = "FILE")]
    pub(crate) params: PathBuf,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// Which form of attention to compute with [default: as trained]
    #[arg(long, value_enum, value_name = "FORM", help_heading = "Model")]
    pub(crate) attention: Option<Attention>,
    /// Attention heads of the first layer [default: as trained]
    #[arg(long, value_name = "N", value_parser = count(HEADS), help_heading = "Model")]
    pub(crate) heads: Option<usize>,
    /// Features of each head [default: as trained]
    #[arg(long, value_name = "N", value_parser = count(HIDDEN), help_heading = "Model")]
    pub(crate) hidden: Option<usize>,
    /// The seed of a random split [default: as trained]
    #[arg(long, value_name = "SEED", value_parser = seed, help_heading = "Data")]
    pub(crate) seed: Option<u64>,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    /// Print one JSON object and nothing else
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
#[command(after_help = "A step is forward, backward and optimizer, with dropout, until the result is available. The \
first step includes tracing and compiling; the others are timed one by one.

--profile records five steps more. Its file is read by https://ui.perfetto.dev and by chrome://tracing: each kernel \
on each thread, and for how long a thread has nothing to do, which is called `wait`. Its table compares each kernel \
with what the machine can do, as measured in the same run.

Examples:
  gavotte bench --data cora.tgz --threads 1 --steps 200 --json
  gavotte bench --threads 2 --profile trace.json
  gavotte bench --dataset planted --attention dense --steps 20
  gavotte bench --dataset rmat:10000:100000:64:16")]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) step: StepArgs,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    /// Steps to time after the first one
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = count(1..=100_000_000))]
    pub(crate) steps: usize,
    /// Write a timeline of all threads to this file, and print how fast each kernel is; a file that is there is replaced
    /// only if it is such a timeline, or empty
    #[arg(long, value_name = "FILE")]
    pub(crate) profile: Option<PathBuf>,
    /// Print one JSON object and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
#[command(after_help = "Stages, in the order in which the training step goes through them:
  trace       the loss, as recorded from the model's functions
  grad        the whole step: forward, backward and optimizer
  optimized   the step after the passes of `gavotte opt --list`
  fused       what is computed in which kernel, and why
  kernels     the loop nests, in groups that run without a barrier within
  plan        where each buffer is, from when to when, the peak; what each
              kernel reads, writes and computes, and how near it should come to
              what this machine can do; with --device cuda --gpu what each would
              take on that GPU
  asm         the machine code of every kernel, disassembled
  stablehlo   the optimized step at the data's sizes, as a module that XLA compiles

The first three can be read back: `gavotte ir --stage grad | gavotte opt - --pass cse,dce`.

Examples:
  gavotte ir --stage trace --locations
  gavotte ir --stage kernels --dataset karate --heads 2
  gavotte ir --stage fused --why
  gavotte ir --stage plan --device cuda --gpu h100")]
pub(crate) struct IrArgs {
    /// How far to compile
    #[arg(long, value_enum, value_name = "STAGE")]
    pub(crate) stage: Stage,
    /// In the first three stages, print the source line of each equation after it
    #[arg(long)]
    pub(crate) locations: bool,
    /// After the stage `fused`, print for each stored array and each of its readers why one group holds both, or why
    /// not
    #[arg(long)]
    pub(crate) why: bool,
    /// With `--stage plan --device cuda`: how long the step would take on this GPU, predicted from its data sheet;
    /// needs no GPU
    #[arg(long, value_name = "GPU", value_parser = gpu())]
    pub(crate) gpu: Option<&'static Gpu>,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) step: StepArgs,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

#[derive(Args, Debug)]
#[command(after_help = "FILE holds one or more programs, as `gavotte ir` prints them. Every program is checked when \
it is read, and again after each pass.

--explain prints, before each program, what each pass did: for `simplify` the rule that applied, its law, the equation \
before and after, and the equations that the rule read; for another pass its law, and a line for each equation that it \
replaced or dropped. Variables have the numbers that they have before that pass. What follows `at` is the line of FILE, and \
the source line where FILE has it. All of this stands in comments, so the output can be read again.

Examples:
  gavotte opt --list
  gavotte opt step.txt --pass simplify,cse,dce
  gavotte opt step.txt --pass simplify --explain
  gavotte ir --stage grad | gavotte opt -
  gavotte ir --stage grad --locations | gavotte opt - --explain")]
pub(crate) struct OptArgs {
    /// The programs; `-` reads standard input
    #[arg(value_name = "FILE", required_unless_present = "list")]
    pub(crate) file: Option<PathBuf>,
    /// Passes to run, in this order, separated by commas [default: those of the compiler]
    #[arg(long = "pass", value_name = "PASSES", value_delimiter = ',', value_parser = pass)]
    pub(crate) passes: Vec<String>,
    /// Print each rewrite that was applied, with the rule's name and its law
    #[arg(long)]
    pub(crate) explain: bool,
    /// List the passes, the order in which the compiler runs them, and the rewrite rules with their laws
    #[arg(long, conflicts_with_all = ["file", "passes", "explain"])]
    pub(crate) list: bool,
}

#[derive(Args, Debug)]
#[command(
    after_help = "GPUs are found through NVIDIA's driver, and their kernels compiled by NVRTC: both are libraries that \
the system's loader is asked for when the program runs, in $LD_LIBRARY_PATH first. Nothing else needs them.

Examples:
  gavotte devices
  gavotte devices --json"
)]
pub(crate) struct DevicesArgs {
    /// Print one JSON object and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which graph to train on.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Data")]
pub(crate) struct DataArgs {
    /// The data set [default: planted, or cora where --data is given]
    #[arg(long, value_name = "NAME", value_parser = DatasetParser)]
    pub(crate) dataset: Option<DatasetName>,
    /// Where Cora is: cora.tgz, or a folder with its files, or with Planetoid's ind.cora.* files. Without it Cora is
    /// looked for in $GAVOTTE_DATA, then in the user's cache, then downloaded
    #[arg(long, value_name = "PATH")]
    pub(crate) data: Option<PathBuf>,
    /// The nodes to train, choose and judge by: `public` is the data set's own, `random` draws 20 nodes of each class,
    /// 500 and 1000 from the seed, `pygcn` takes fixed rows of cora.content, a file has a header line of any two words,
    /// then lines `paper id TAB train, val or test` [default: public; random for cora.tgz, which has none]
    #[arg(long, value_name = "FILE|public|random|pygcn", value_parser = SplitChoice::from_str)]
    pub(crate) split: Option<SplitChoice>,
}

/// Which model.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelArgs {
    /// How attention is computed: over the edges, or over a dense adjacency matrix as in the article
    #[arg(long, value_enum, value_name = "FORM", default_value_t = Attention::Edges)]
    pub(crate) attention: Attention,
    /// Attention heads of the first layer
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = count(HEADS))]
    pub(crate) heads: usize,
    /// Features of each head
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = count(HIDDEN))]
    pub(crate) hidden: usize,
    /// Probability to drop an input or an attention coefficient
    #[arg(long, value_name = "P", default_value_t = 0.6, value_parser = probability, allow_hyphen_values = true)]
    pub(crate) dropout: f64,
}

/// How to train it.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Training")]
pub(crate) struct StepArgs {
    /// Learning rate of Adam
    #[arg(long, value_name = "RATE", default_value_t = 0.005, value_parser = rate, allow_hyphen_values = true)]
    pub(crate) lr: f64,
    /// L2 penalty on every parameter
    #[arg(long, value_name = "DECAY", default_value_t = 5e-4, value_parser = decay, allow_hyphen_values = true)]
    pub(crate) weight_decay: f64,
    /// The seed of parameters, dropout and a random split
    #[arg(long, value_name = "SEED", default_value_t = 0, value_parser = seed)]
    pub(crate) seed: u64,
    /// Floating type of parameters and features
    #[arg(long, value_name = "TYPE", default_value = "f32", value_parser = dtype())]
    pub(crate) dtype: DType,
}

/// What to run on.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Engine")]
pub(crate) struct EngineArgs {
    /// Threads to run on; results do not depend on it [default: the number of cores, at most 4]
    #[arg(long, value_name = "N", value_parser = count(1..=1024))]
    pub(crate) threads: Option<usize>,
    /// What kernels are compiled to [default: the fastest that this machine runs]
    #[arg(long, value_enum, value_name = "TARGET")]
    pub(crate) target: Option<TargetName>,
    /// The device to run on: cpu, or cuda or cuda:N for an NVIDIA GPU; `gavotte devices` lists what is found
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceName::Cpu)]
    pub(crate) device: DeviceName,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        whole().debug_assert();
    }
}
