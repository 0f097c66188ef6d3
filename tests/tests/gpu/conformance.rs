//! Compiled programs on the emulated GPU, against the reference interpreter: every sample of every primitive, their
//! derivatives and their `vmap`, random programs.

use gavotte_core::aval::Dim;
use gavotte_core::device::HostArray;
use gavotte_core::ir::Program;
use gavotte_core::pass::optimize;
use gavotte_tests::arrays::{Random, random_array, stack};
use gavotte_tests::cases::{BATCH, fits_gpu, gpu_cases, not_batched, turn};
use gavotte_tests::generate::random_program;
use gavotte_tests::gpu::{agrees, machine};
use gavotte_tests::report::check_all_in_parallel;
use gavotte_tests::transformed::{jvp_program, vjp_program, vmap_program};

const SEEDS: std::ops::Range<u64> = 0..200;

/// A program with its inputs.
type Check = (String, (Program, Vec<HostArray>));

/// Runs all on a fresh GPU, on which nothing may remain allocated.
#[track_caller]
fn check(checks: Vec<Check>) {
    let Some(machine) = machine("memory=256M,unwritten=refuse") else { return };
    let n = checks.len();
    check_all_in_parallel(checks, |(program, arrays)| agrees(program, arrays));
    let kernels = machine.kernels();
    eprintln!("{n} programs: {} kernels, {} launches", kernels.len(), kernels.values().sum::<u64>());
    assert_eq!(machine.report(), "");
    assert_eq!(machine.counts().live_allocations, 0);
}

/// A program with random tangents or cotangents after its original inputs.
fn with_more(program: Program, ins: &[HostArray], random: &mut Random) -> (Program, Vec<HostArray>) {
    let more: Vec<HostArray> =
        program.args[ins.len()..].iter().map(|binder| random_array(&binder.aval, random)).collect();
    (optimize(&program), [ins, &more].concat())
}

#[test]
fn samples_are_the_interpreters() {
    check(gpu_cases().map(|(name, case)| (name, (case.program(), case.ins))).collect());
}

#[test]
fn derivatives_are_the_interpreters() {
    let mut random = Random::new(31);
    let mut checks = vec![];
    for (name, case) in gpu_cases() {
        let program = case.program();
        checks.push((format!("jvp of {name}"), with_more(jvp_program(&program), &case.ins, &mut random)));
        if case.is_reversed() {
            checks.push((format!("vjp of {name}"), with_more(vjp_program(&program), &case.ins, &mut random)));
        }
    }
    check(checks);
}

/// All operands that may be batched, along a new first axis.
#[test]
fn vmap_is_the_interpreters() {
    let mut checks = vec![];
    for (name, case) in gpu_cases() {
        let axis = |i: usize| (!not_batched(&case, i)).then_some(0);
        let in_axes: Vec<Option<usize>> = (0..case.ins.len()).map(axis).collect();
        let program = vmap_program(&case.program(), &in_axes, &Dim::from(BATCH));
        let elements: Vec<Vec<HostArray>> = (0..BATCH).map(|i| turn(&case.ins, i)).collect();
        let operand = |i: usize| match in_axes[i] {
            Some(_) => stack(&elements.iter().map(|element| element[i].clone()).collect::<Vec<_>>(), 0),
            None => case.ins[i].clone(),
        };
        checks.push((format!("vmap of {name}"), (program, (0..case.ins.len()).map(operand).collect())));
    }
    check(checks);
}

#[test]
fn random_programs_are_the_interpreters() {
    let programs = SEEDS.map(|seed| (format!("seed {seed}"), random_program(seed)));
    check(programs.filter(|(_, (program, _))| fits_gpu(program)).collect());
}
