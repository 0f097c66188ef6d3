//! The data set and the split that the command line asks for.

use crate::args::{DataArgs, EngineArgs, SplitChoice, TargetName};
use crate::dataset::DatasetName;
use crate::failure::{Failure, note};
use crate::layout::listed;
use gavotte::random::Key;
use gavotte_core::runtime::{Options, Target};
use gavotte_gat::data::{DataError, Dataset, PlantedSpec, Split, karate, locate_cora, planted, read_cora, rmat};
use gavotte_gat::memory::{self, Shortage};
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::File;
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// The seed of generated data sets, which do not depend on the seed of a run.
const DATA_SEED: u64 = 0;
/// The most threads that pay for graphs of this size.
const MOST_THREADS: usize = 4;

impl DataArgs {
    /// The data set's name; where `--dataset` is missing, `--data` decides.
    pub(crate) fn name(&self) -> DatasetName {
        let untold = if self.data.is_some() { DatasetName::Cora } else { DatasetName::Planted };
        self.dataset.unwrap_or(untold)
    }

    /// Reads, generates or downloads the data set.
    pub(crate) fn load(&self) -> Result<Dataset, Failure> {
        let name = self.name();
        match (name, &self.data) {
            (DatasetName::Cora, Some(path)) => Ok(read_cora(path)?),
            (DatasetName::Cora, None) => Ok(read_cora(&locate()?)?),
            (_, Some(path)) => Err(Failure::input(format!(
                "--data {}: the data set `{}` is built in and reads no file; leave --data out, or say --dataset cora",
                path.display(),
                name,
            ))),
            (DatasetName::Karate, None) => Ok(karate()),
            (DatasetName::Planted, None) => Ok(planted(&mut Key::new(DATA_SEED).rng(), &PlantedSpec::cora())?),
            (DatasetName::Rmat(spec), None) => Ok(rmat(&mut Key::new(DATA_SEED).rng(), &spec)?),
        }
    }

    /// The split asked for; by default the data set's own, or a random one for a data set that has none.
    pub(crate) fn split_choice(&self, dataset: &Dataset) -> SplitChoice {
        self.split.clone().unwrap_or_else(|| match dataset.default_split {
            Some(_) => SplitChoice::Public,
            None => {
                note(
                    "this data set has no split of its own: one is drawn at random from the seed (as with --split \
                     random); --split FILE reads one",
                );
                SplitChoice::Random
            }
        })
    }
}

impl SplitChoice {
    /// The split itself. Only a random one depends on the seed.
    pub(crate) fn of(&self, dataset: &Dataset, seed: u64) -> Result<Split, Failure> {
        let split = match self {
            SplitChoice::Public => Split::public(dataset),
            SplitChoice::Random => Split::random(dataset, &mut split_key(seed).rng()),
            SplitChoice::Pygcn => Split::pygcn(dataset),
            SplitChoice::File(path) => Split::read_tsv(path, dataset),
        };
        let split = split.map_err(|error| match (self, error) {
            // The error names the file.
            (SplitChoice::File(_), error) => Failure::input(format!("--split: {error}")),
            (_, DataError::Split { dataset, what, .. }) => {
                let others = [SplitChoice::Public, SplitChoice::Random, SplitChoice::Pygcn];
                let others: Vec<String> =
                    others.iter().filter(|other| *other != self).map(SplitChoice::to_string).collect();
                Failure::input(format!(
                    "--split {self}: data set `{dataset}`: {what}; say --split FILE for one from a file, or try {}; \
                     Planetoid's files have Cora's public split",
                    others.join(" or ")
                ))
            }
            (_, error) => Failure::input(format!("--split {self}: {error}")),
        })?;
        for (part, nodes) in [("val", &split.val), ("test", &split.test)] {
            if nodes.is_empty() {
                return Err(Failure::input(format!(
                    "--split {self}: no node is in `{part}`; training is stopped by validation nodes and judged by \
                     test nodes: put some there"
                )));
            }
        }
        Ok(split)
    }
}

/// Prints a note on classes without a training node, which cannot be learned.
pub(crate) fn note_unlearned(dataset: &Dataset, split: &Split) {
    let classes = dataset.classes_without(&split.train);
    if !classes.is_empty() {
        let classes = listed(classes.iter().map(|class| class.to_string()), 10);
        note(&format!("no node for training is of class {classes}: what is not seen is not learned"));
    }
}

/// A key of its own, so that a run draws the same parameters for every split.
fn split_key(seed: u64) -> Key {
    Key::new(seed).fold_in(u32::from_be_bytes(*b"splt"))
}

/// The least address space that a thread takes: its stack of 2 MiB, and what the system adds to it.
const THREAD_BYTES: u64 = 3 << 20;

impl EngineArgs {
    /// Refuses more threads than the address space of the process holds: if the system starts a thread and cannot give
    /// it all its memory, the program ends.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let threads = self.threads();
        let shortage = memory::address_space().and_then(|available| {
            let needed = threads.get() as u64 * THREAD_BYTES;
            (needed > available).then_some(Shortage { needed, available })
        });
        match shortage {
            Some(shortage) => Err(Failure::input(format!("--threads {threads}: {shortage}; ask for fewer"))),
            None => Ok(()),
        }
    }

    /// The options of the engine.
    pub(crate) fn options(&self) -> Options {
        let target = match self.target {
            None => Target::native(),
            Some(TargetName::Portable) => Target::Portable,
            Some(TargetName::Avx2) => Target::Avx2,
            Some(TargetName::Avx512) => Target::Avx512,
        };
        Options { threads: self.threads(), target, ..Options::default() }
    }

    /// The number of threads to run on.
    pub(crate) fn threads(&self) -> NonZeroUsize {
        let asked = self.threads.and_then(NonZeroUsize::new);
        let most = NonZeroUsize::new(MOST_THREADS).unwrap_or(NonZeroUsize::MIN);
        asked.unwrap_or_else(|| std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN).min(most))
    }
}

fn locate() -> Result<PathBuf, Failure> {
    let style = ProgressStyle::with_template("downloading Cora {bar:30} {bytes} of {total_bytes}");
    let bar = ProgressBar::no_length().with_style(style.expect("the template is well formed"));
    let found = locate_cora(&mut |done, total| {
        if let Some(total) = total {
            bar.set_length(total);
        }
        bar.set_position(done);
    });
    bar.finish_and_clear();
    Ok(found?)
}

/// Reads all of a text from an untrusted source, which errors call `place`.
pub(crate) fn read_text(place: &str, source: impl Read) -> Result<String, Failure> {
    /// Longer than any program.
    const LIMIT: u64 = 64 << 20;
    let mut bytes = vec![];
    source
        .take(LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::input(format!("{place}: cannot read it: {error}")))?;
    if bytes.len() as u64 > LIMIT {
        return Err(Failure::input(format!("{place}: it is longer than {LIMIT} bytes; give a program's text")));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let read = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
        let (line, column) =
            (read.matches('\n').count() + 1, read.chars().rev().take_while(|x| *x != '\n').count() + 1);
        Failure::input(format!("{place}, line {line}, column {column}: this is not UTF-8; give a program's text"))
    })?;
    // Some editors write a byte-order mark before the first line.
    Ok(text.strip_prefix('\u{feff}').map(String::from).unwrap_or(text))
}

/// Opens the file that an argument names.
pub(crate) fn open(argument: &str, path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| {
        Failure::input(format!("{argument} {}: cannot read it: {error}; check the path", path.display()))
    })
}
