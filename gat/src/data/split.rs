//! The nodes for training, validation and testing.

use std::path::Path;

use rand::{Rng, seq::SliceRandom};

use super::{DataError, Dataset, UNKNOWN_CLASS, files};
use crate::plural::counted;

/// The most bytes that a file of a split may hold.
const LIMIT: u64 = 64 << 20;
const PER_CLASS: usize = 20;
const N_VAL: usize = 500;
const N_TEST: usize = 1000;
const OTHER_SPLITS: &str =
    "read a split from a file with `Split::read_tsv`, or take a data set that has one of its own";
const TSV_LINE: &str =
    "the first line is a header of any words; each line after it is `paper id TAB train, val or test`";

/// The nodes for training, validation and testing; each list ascends, and no node is in two of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// The nodes that training learns from.
    pub train: Vec<i32>,
    /// The nodes that decide when training stops.
    pub val: Vec<i32>,
    /// The nodes that judge the trained model.
    pub test: Vec<i32>,
}

impl Split {
    /// Reads a split from a file with one header line, then lines `paper id TAB train, val or test`. Nodes that the
    /// file does not name are in none of the three.
    ///
    /// # Errors
    /// If the file cannot be read, or a line is malformed, names an unknown id or part, or a paper of unknown class, or
    /// repeats an id.
    pub fn read_tsv(path: &Path, dataset: &Dataset) -> Result<Self, DataError> {
        let bytes = files::read_within(path, LIMIT)?;
        let place = path.display().to_string();
        let index: std::collections::HashMap<_, _> =
            dataset.ids.iter().zip(0i32..).map(|(id, node)| (id.as_str(), node)).collect();
        let mut part_of: Vec<Option<&str>> = vec![None; dataset.n_node()];
        let mut rows = files::lines(files::text(&place, &bytes)?);
        check_header(&place, rows.next())?;
        let mut split = Self::default();
        for (line, row) in rows {
            let fail = |what: String, help| DataError::line(&place, line, what, help);
            let fields = files::fields(row);
            let &[id, part] = &fields[..] else {
                return Err(fail(format!("the line has {}, not two", counted(fields.len(), "field")), TSV_LINE));
            };
            let Some(&node) = index.get(id) else {
                let what = format!("paper id `{id}` is not in data set `{}`", dataset.name);
                return Err(fail(what, "give the split that was made for this data set"));
            };
            if !dataset.is_labelled(node) {
                return Err(fail(format!("the class of paper `{id}` is unknown"), "leave out papers without a class"));
            }
            if let Some(earlier) = part_of[node as usize].replace(part) {
                let what = format!("paper id `{id}` is to be in `{part}`, and an earlier line puts it in `{earlier}`");
                return Err(fail(what, "leave one of the two lines"));
            }
            match part {
                "train" => split.train.push(node),
                "val" => split.val.push(node),
                "test" => split.test.push(node),
                _ => return Err(fail(format!("there is no part `{part}`"), TSV_LINE)),
            }
        }
        if split.train.is_empty() {
            return Err(DataError::Content { place, what: "no node is in `train`".into(), help: TSV_LINE });
        }
        Ok(split.sorted())
    }

    /// The split that comes with the data set.
    ///
    /// # Errors
    /// If it has none, such as Cora from LINQS; the error says how to get one.
    pub fn public(dataset: &Dataset) -> Result<Self, DataError> {
        dataset.default_split.clone().ok_or_else(|| DataError::Split {
            dataset: dataset.name.clone(),
            what: "it has no split of its own".into(),
            help: "read Cora from Planetoid's ind.cora.* files, which have the public split, read a split from a file \
                   with `Split::read_tsv`, or take `Split::random` or `Split::pygcn`",
        })
    }

    /// Draws 20 nodes of each class for training, then 500 for validation and 1000 for testing from the rest: the
    /// protocol of Shchur et al. 2018, "Pitfalls of graph neural network evaluation", in the public split's sizes.
    /// Nodes whose class is unknown are in none of the three.
    ///
    /// # Errors
    /// If the data set, or a class, has too few nodes.
    pub fn random<R: Rng + ?Sized>(dataset: &Dataset, rng: &mut R) -> Result<Self, DataError> {
        let mut counts = vec![0; dataset.n_class()];
        let known = dataset.labels.iter().filter(|&&label| label != UNKNOWN_CLASS);
        known.for_each(|&label| counts[label as usize] += 1);
        let n_known: usize = counts.iter().sum();
        let fail = |what| DataError::Split { dataset: dataset.name.clone(), what, help: OTHER_SPLITS };
        if let Some((name, n)) = dataset.classes.iter().zip(&counts).find(|&(_, &n)| n < PER_CLASS) {
            return Err(fail(format!(
                "class `{name}` has {}, and a random split takes {PER_CLASS} of each class",
                counted(*n, "node")
            )));
        }
        let needed = PER_CLASS * dataset.n_class() + N_VAL + N_TEST;
        if n_known < needed {
            let known = if n_known < dataset.n_node() { " of known class" } else { "" };
            return Err(fail(format!("it has {}{known}, and a random split takes {needed}", counted(n_known, "node"))));
        }
        Ok(Self::draw(&dataset.labels, &vec![PER_CLASS; dataset.n_class()], N_VAL, N_TEST, rng))
    }

    /// The split of the `pygcn` program of Kipf and Welling: rows 0 to 139 for training, 200 to 499 for validation and
    /// 500 to 1499 for testing. It ignores classes, and is meant for the row order of `cora.content`.
    ///
    /// # Errors
    /// If the data set has fewer than 1500 nodes.
    pub fn pygcn(dataset: &Dataset) -> Result<Self, DataError> {
        if dataset.n_node() < 1500 {
            return Err(DataError::Split {
                dataset: dataset.name.clone(),
                what: format!("it has {}, and the pygcn split takes rows 0 to 1499", counted(dataset.n_node(), "node")),
                help: OTHER_SPLITS,
            });
        }
        let split = Self { train: (0..140).collect(), val: (200..500).collect(), test: (500..1500).collect() };
        Ok(split.labelled(&dataset.labels))
    }

    /// Draws `per_class[c]` nodes of class `c`, then `n_val` and `n_test` of the rest, or fewer if there are not
    /// enough. Nodes of unknown class are left out.
    pub(super) fn draw<R: Rng + ?Sized>(
        labels: &[i32],
        per_class: &[usize],
        n_val: usize,
        n_test: usize,
        rng: &mut R,
    ) -> Self {
        let is_known = |node: &i32| labels[*node as usize] != UNKNOWN_CLASS;
        let mut nodes: Vec<_> = (0..labels.len() as i32).filter(is_known).collect();
        nodes.shuffle(rng);
        let mut wanted = per_class.to_vec();
        let (train, rest): (Vec<_>, Vec<_>) = nodes.into_iter().partition(|&node| {
            let wanted = &mut wanted[labels[node as usize] as usize];
            let take = *wanted > 0;
            *wanted -= usize::from(take);
            take
        });
        let (val, rest) = rest.split_at(n_val.min(rest.len()));
        let test = &rest[..n_test.min(rest.len())];
        Self { train, val: val.to_vec(), test: test.to_vec() }.sorted()
    }

    /// The split without the nodes whose class is unknown.
    pub(super) fn labelled(mut self, labels: &[i32]) -> Self {
        let parts = [&mut self.train, &mut self.val, &mut self.test];
        parts.into_iter().for_each(|part| part.retain(|&node| labels[node as usize] != UNKNOWN_CLASS));
        self
    }

    pub(super) fn sorted(mut self) -> Self {
        [&mut self.train, &mut self.val, &mut self.test].into_iter().for_each(|part| part.sort_unstable());
        self
    }
}

fn check_header(place: &str, first: Option<(usize, &str)>) -> Result<(), DataError> {
    match first {
        None => Err(DataError::line(place, 1, "the file is empty", TSV_LINE)),
        Some((line, row)) if matches!(files::fields(row)[..], [_, "train" | "val" | "test", ..]) => {
            Err(DataError::line(place, line, "the header line is missing", TSV_LINE))
        }
        Some(_) => Ok(()),
    }
}
