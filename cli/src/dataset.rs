//! The names of data sets.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Arg, Command, Error};
use gavotte_gat::data::RmatSpec;
use std::ffi::OsStr;
use std::fmt;
use std::str::FromStr;

/// Which graph to train on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DatasetName {
    Planted,
    Karate,
    Cora,
    Rmat(RmatSpec),
}

/// Every data set whose name is a word, with its help.
const WORDS: [(&str, DatasetName, &str); 3] = [
    ("planted", DatasetName::Planted, "A generated network with Cora's numbers; needs no file"),
    ("karate", DatasetName::Karate, "Zachary's karate club: 34 members, 4 communities; needs no file"),
    ("cora", DatasetName::Cora, "2,708 papers on machine learning that cite one another, in 7 fields"),
];

const RMAT_HELP: &str = "A generated graph of any size, for measurements: numbers of nodes, directed edges (a loop for \
                         each node comes on top), features and classes. Degrees follow a power law, features are dense \
                         and random, classes too; needs no file";

impl DatasetName {
    fn word(text: &str) -> Option<DatasetName> {
        WORDS.iter().find(|(word, ..)| *word == text).map(|(_, name, _)| *name)
    }
}

/// Whether a text is meant to name a generated graph.
fn is_rmat(text: &str) -> bool {
    text == "rmat" || text.starts_with("rmat:")
}

impl FromStr for DatasetName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match DatasetName::word(text) {
            Some(name) => Ok(name),
            None if is_rmat(text) => text.parse().map(DatasetName::Rmat).map_err(|error| format!("{error}")),
            None => {
                let words = WORDS.map(|(word, ..)| word).join(", ");
                Err(format!("there is no such data set; there are {words} and {}", RmatSpec::FORM))
            }
        }
    }
}

impl fmt::Display for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DatasetName::Rmat(spec) => spec.fmt(f),
            word => WORDS.iter().filter(|(_, name, _)| name == word).try_for_each(|(text, ..)| f.write_str(text)),
        }
    }
}

/// A parser of names that lists them all in the help and in the refusal of others.
#[derive(Clone)]
pub(crate) struct DatasetParser;

impl TypedValueParser for DatasetParser {
    type Value = DatasetName;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, text: &OsStr) -> Result<DatasetName, Error> {
        let may_be = |text: &str| text.parse::<DatasetName>();
        if !text.to_str().is_some_and(is_rmat) {
            // Refuses an unknown word.
            PossibleValuesParser::new(possible_values()).parse_ref(command, arg, text)?;
        }
        may_be.parse_ref(command, arg, text)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(possible_values()))
    }
}

fn possible_values() -> impl Iterator<Item = PossibleValue> {
    let words = WORDS.iter().map(|(word, _, help)| PossibleValue::new(*word).help(*help));
    words.chain([PossibleValue::new(RmatSpec::FORM).help(RMAT_HELP)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_they_print() {
        for text in ["planted", "karate", "cora", "rmat:100:200:8:4"] {
            assert_eq!(text.parse::<DatasetName>().map(|name| name.to_string()), Ok(text.into()));
        }
        let why = "citeseer".parse::<DatasetName>().unwrap_err();
        assert!(why.contains("planted, karate, cora and rmat:NODES"), "{why}");
    }
}
