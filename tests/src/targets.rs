//! What runs programs, apart from the reference interpreter.

use crate::compare::{difference, run, sizes};
use gavotte_core::codegen::x86::Isa;
use gavotte_core::device::HostArray;
use gavotte_core::ir::{Program, Value};
use gavotte_core::runtime::{self as engine, Executable, Options};
use std::num::NonZeroUsize;

/// Runs a program on its arguments, then its constants.
pub type Target = fn(&Program, &[HostArray]) -> Vec<HostArray>;

/// Every target that this machine runs, by name. A line here puts a target under the whole conformance suite.
pub fn targets() -> Vec<(&'static str, Target)> {
    let mut targets: Vec<(&'static str, Target)> =
        vec![("portable", |p, xs| compiled(engine::Target::Portable, p, xs))];
    if Isa::Avx2.is_available() {
        targets.push(("avx2", |p, xs| compiled(engine::Target::Avx2, p, xs)));
    }
    if Isa::Avx512.is_available() {
        targets.push(("avx512", |p, xs| compiled(engine::Target::Avx512, p, xs)));
    }
    targets
}

/// The engine's name of each target.
pub fn engines() -> Vec<engine::Target> {
    let machine = [(Isa::Avx2, engine::Target::Avx2), (Isa::Avx512, engine::Target::Avx512)];
    let machine = machine.into_iter().filter(|(isa, _)| isa.is_available()).map(|(_, target)| target);
    std::iter::once(engine::Target::Portable).chain(machine).collect()
}

/// How a function of arrays runs: as it is, and compiled for every target that this machine runs.
pub fn ways() -> Vec<(&'static str, Option<Options>)> {
    let names = targets().into_iter().map(|(name, _)| name);
    let compiled = engines().into_iter().zip(names).map(|(target, name)| {
        let options = Options { target, ..Options::default() };
        (name, Some(options))
    });
    std::iter::once(("eagerly", None)).chain(compiled).collect()
}

/// Compiled: optimised, fused, run through kernels.
fn compiled(target: engine::Target, program: &Program, arrays: &[HostArray]) -> Vec<HostArray> {
    let values: Vec<Value> = arrays.iter().cloned().map(Value::from).collect();
    let (args, consts) = values.split_at(program.args.len());
    let threads = NonZeroUsize::new(2).expect("two is not zero");
    let options = Options { threads, target, shares_all: true, ..Options::default() };
    let executable = Executable::compile(program, consts, &options).unwrap_or_else(|error| panic!("{error}"));
    let outs = executable.call(args.to_vec(), &sizes(program, arrays)).unwrap_or_else(|error| panic!("{error}"));
    outs.iter().map(|out| HostArray::clone(&out.to_host().expect("results are computed"))).collect()
}

/// Relative tolerance between a target and the interpreter: they sum in other orders and approximate `exp` otherwise.
const TOLERANCE: f64 = 2e-5;

/// The targets whose results differ from the interpreter's.
pub fn check_targets(program: &Program, arrays: &[HostArray]) -> Result<(), String> {
    for (name, target) in targets() {
        if let Some(difference) = difference(&target(program, arrays), &run(program, arrays), TOLERANCE) {
            return Err(format!("{name}: {difference}\n{program}"));
        }
    }
    Ok(())
}
