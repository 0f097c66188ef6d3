//! Values of options: how they are parsed, and what is refused.

use crate::failure::Failure;
use clap::ValueEnum;
use gavotte::DType;
use gavotte::device::{DeviceRef, cpu, cuda};
use gavotte_core::runtime::cuda::{GPUS, Gpu};
use gavotte_gat::graph::Storage;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

/// Heads of the first layer.
pub(crate) const HEADS: RangeInclusive<usize> = 1..=1024;
/// Features of a head.
pub(crate) const HIDDEN: RangeInclusive<usize> = 1..=4096;

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum TargetName {
    /// Precompiled loops over tiles: runs everywhere
    Portable,
    /// Machine code for x86-64 with AVX2 and FMA
    Avx2,
    /// Machine code for x86-64 with AVX-512
    Avx512,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Attention {
    /// One coefficient an edge
    Edges,
    /// One coefficient a pair of nodes, masked
    Dense,
}

/// The device that programs run on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DeviceName {
    Cpu,
    /// The GPU of this number.
    Cuda(usize),
}

impl DeviceName {
    /// The device itself.
    pub(crate) fn open(self) -> Result<DeviceRef, Failure> {
        match self {
            DeviceName::Cpu => Ok(cpu()),
            DeviceName::Cuda(ordinal) => {
                cuda(ordinal).map_err(|error| Failure::input(format!("--device {self}: {error}")))
            }
        }
    }
}

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ordinal = text.strip_prefix("cuda:").and_then(|number| number.parse().ok());
        match (text, ordinal) {
            ("cpu", _) => Ok(DeviceName::Cpu),
            ("cuda", _) => Ok(DeviceName::Cuda(0)),
            (_, Some(ordinal)) => Ok(DeviceName::Cuda(ordinal)),
            _ => Err("there are cpu, cuda and cuda:N, such as cuda:1; `gavotte devices` lists what is found".into()),
        }
    }
}

impl std::fmt::Display for DeviceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DeviceName::Cpu => f.write_str("cpu"),
            DeviceName::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Stage {
    /// The loss as recorded
    Trace,
    /// The whole training step
    Grad,
    /// The step after the passes
    Optimized,
    /// What is computed where, and why
    Fused,
    /// The loop nests
    Kernels,
    /// Where each buffer is, and what each kernel costs
    Plan,
    /// The machine code
    Asm,
    /// The optimized step as a module for XLA
    Stablehlo,
}

impl Attention {
    /// How the model stores the graph for it.
    pub(crate) fn storage(self) -> Storage {
        match self {
            Attention::Edges => Storage::Edges,
            Attention::Dense => Storage::Dense,
        }
    }
}

/// The name of a value on the command line.
pub(crate) fn name_of(value: &impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().into())
}

/// Which nodes are for training, validation and testing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum SplitChoice {
    Public,
    Random,
    Pygcn,
    File(PathBuf),
}

impl FromStr for SplitChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "public" => Ok(SplitChoice::Public),
            "random" => Ok(SplitChoice::Random),
            "pygcn" => Ok(SplitChoice::Pygcn),
            path if PathBuf::from(path).exists() => Ok(SplitChoice::File(path.into())),
            _ => Err("there is no such file; the splits with a name are public, random and pygcn".into()),
        }
    }
}

impl std::fmt::Display for SplitChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SplitChoice::Public => f.write_str("public"),
            SplitChoice::Random => f.write_str("random"),
            SplitChoice::Pygcn => f.write_str("pygcn"),
            SplitChoice::File(path) => path.display().fmt(f),
        }
    }
}

/// A parser of whole numbers in a range.
pub(super) fn count(
    range: RangeInclusive<usize>,
) -> impl Fn(&str) -> Result<usize, String> + Clone + Send + Sync + 'static {
    move |text| match text.parse() {
        Ok(n) if range.contains(&n) => Ok(n),
        _ => Err(format!("give a whole number from {} to {}", range.start(), range.end())),
    }
}

pub(super) fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("give a whole number from 0 to {}", u64::MAX))
}

fn number(text: &str, is: impl Fn(f64) -> bool, wanted: &str) -> Result<f64, String> {
    text.parse().ok().filter(|x| is(*x)).ok_or_else(|| format!("give {wanted}"))
}

pub(super) fn probability(text: &str) -> Result<f64, String> {
    number(text, |p| (0.0..1.0).contains(&p), "the probability to drop: at least 0 and below 1")
}

pub(super) fn rate(text: &str) -> Result<f64, String> {
    number(text, |rate| rate.is_finite() && rate > 0.0, "a finite number above 0, such as 0.005")
}

pub(super) fn decay(text: &str) -> Result<f64, String> {
    number(text, |decay| decay.is_finite() && decay >= 0.0, "a finite number of at least 0, such as 5e-4")
}

pub(super) fn dtype() -> impl clap::builder::TypedValueParser<Value = DType> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    PossibleValuesParser::new(["f32", "f64"]).map(|name| DType::parse(&name).expect("both are element types"))
}

pub(super) fn gpu() -> impl clap::builder::TypedValueParser<Value = &'static Gpu> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    let names = PossibleValuesParser::new(GPUS.iter().map(|gpu| gpu.name));
    names.map(|name| Gpu::find(&name).expect("the names are those of the table"))
}

pub(super) fn pass(name: &str) -> Result<String, String> {
    match gavotte_core::pass::find(name) {
        Some(pass) => Ok(pass.name.into()),
        None => {
            let names: Vec<&str> = gavotte_core::pass::PASSES.iter().map(|pass| pass.name).collect();
            Err(format!("there is no such pass; there are {}", names.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_range_are_refused() {
        assert_eq!((probability("0"), probability("0.6")), (Ok(0.0), Ok(0.6)));
        for text in ["1", "1.5", "-0.1", "nan", "inf", "x", ""] {
            assert!(probability(text).is_err(), "{text}");
        }
        for text in ["0", "-1", "nan", "inf", "1e999"] {
            assert!(rate(text).is_err(), "{text}");
        }
        assert_eq!(decay("0"), Ok(0.0));
        assert!(decay("-1e-9").is_err() && decay("NaN").is_err());
        assert_eq!(count(1..=9)("9"), Ok(9));
        for text in ["0", "10", "-1", "1.0", "99999999999999999999"] {
            assert!(count(1..=9)(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_seed_is_a_whole_number() {
        assert_eq!(seed("18446744073709551615"), Ok(u64::MAX));
        for text in ["-1", "18446744073709551616", "0.5", ""] {
            assert!(seed(text).is_err_and(|why| why.contains("from 0 to 18446744073709551615")), "{text}");
        }
    }

    #[test]
    fn what_is_no_split_says_what_is() {
        assert_eq!("pygcn".parse(), Ok(SplitChoice::Pygcn));
        let error = SplitChoice::from_str("pubic").unwrap_err();
        assert!(error.contains("public") && error.contains("no such file"));
    }
}
