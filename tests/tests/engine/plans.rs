//! Memory plans are checked by a checker that shares no code with the planner. Debug builds check every plan of every
//! test. Here are two thousand more random programs, and plans with planted mistakes, which the checker must find.

use gavotte::random::Key;
use gavotte::{Array, DType, cond, grad, jit_with, scan, while_loop};
use gavotte_core::aval::{Sizes, Symbol};
use gavotte_core::device::HostArray;
use gavotte_core::error::Error;
use gavotte_core::ir::{Program, Value};
use gavotte_core::runtime::{Executable, Options, PlanFault, Target};
use gavotte_gat::data::{PlantedSpec, Split, planted};
use gavotte_gat::model::GatConfig;
use gavotte_gat::train::{GatTraining, Trainer};
use gavotte_tests::generate::{random_program, with_symbol};
use gavotte_tests::report::check_all;
use std::collections::BTreeMap;

fn targets() -> [Target; 2] {
    [Target::Portable, Target::native()]
}

fn compiled(program: &Program, arrays: &[HostArray], target: Target) -> Result<Executable, Error> {
    let consts: Vec<Value> = arrays.iter().skip(program.args.len()).cloned().map(Value::from).collect();
    Executable::compile(program, &consts, &Options { target, ..Options::default() })
}

fn with(name: &str, size: usize) -> Sizes {
    let mut sizes = Sizes::new();
    sizes.set(Symbol::new(name), size).expect("it is the first");
    sizes
}

#[test]
fn plans_of_random_programs_are_sound() {
    check_all((0..2000).map(|seed| (format!("seed {seed}"), seed)), |seed| {
        let (program, arrays) = random_program(*seed);
        let target = targets()[*seed as usize % 2];
        let executable = compiled(&program, &arrays, target).map_err(|error| error.to_string())?;
        executable.new_plan(&Sizes::new()).map_err(|error| format!("{error}\n{program}"))?;
        // A symbol counts as large: more arrays pass through chunks of rows.
        let Some(program) = with_symbol(&program, '4') else { return Ok(()) };
        let executable = compiled(&program, &[], target).map_err(|error| error.to_string())?;
        for size in [1, 4, 3000] {
            executable.new_plan(&with("n", size)).map_err(|error| format!("n = {size}: {error}\n{program}"))?;
        }
        Ok(())
    });
}

/// Loops and branches whose carries change in place, alternate, and stay; with rows, in both directions, nested.
fn control(a: Array, b: Array, xs: Array) -> (Array, Array, Array, Array) {
    let body = |(u, v): (Array, Array), x: Array| {
        let next = &u * 0.5 + &v.transpose() * &x;
        ((next.clone(), u.tanh()), next.sum(0))
    };
    let ((u, v), rows) = scan(body, (a.clone(), b.clone()), xs.clone());
    let halved = while_loop(|x: Array| x.square().sum(()).gt(1.0), |x: Array| (&x * 0.5).tanh(), u.clone());
    let which = v.sum(()).gt(0.0);
    let chosen = cond(
        which,
        |(u, v): (Array, Array)| (u.dot(&v) + &u).sin(),
        |(u, v): (Array, Array)| {
            let (u, _) = scan(|u: Array, x: Array| (u.dot(&v) * x, ()), u.clone(), Array::new(&[2], vec![0.5f32, 2.0]));
            u
        },
        (u.clone(), v),
    );
    (u, halved, chosen, rows)
}

/// Programs that cover everything a plan can get wrong, with sizes.
fn programs() -> Vec<(String, Executable, Sizes)> {
    let mut found = vec![];
    for target in targets() {
        let options = Options { target, ..Options::default() };
        for seed in 0..60 {
            let (program, arrays) = random_program(seed);
            let executable = compiled(&program, &arrays, target).unwrap_or_else(|error| panic!("{error}"));
            found.push((format!("seed {seed}, {target:?}"), executable, Sizes::new()));
        }
        let array = |key: u64, shape: &[usize]| Key::new(key).normal(shape.to_vec(), DType::F32);
        let args = (array(1, &[4, 4]), array(2, &[4, 4]), array(3, &[5, 4, 4]));
        let lowered = jit_with(control, options.clone()).lower(args.clone()).unwrap_or_else(|error| panic!("{error}"));
        found.push((format!("control, {target:?}"), rebuilt(lowered.program(), target), Sizes::new()));
        let slope = grad(|a: Array, b: Array, xs: Array| {
            let body = |u: Array, x: Array| ((&u.dot(&b) * x).tanh(), u.sum(0));
            let (u, rows) = scan(body, a, xs);
            u.sum(()) + rows.square().sum(())
        });
        let lowered = jit_with(slope, options.clone()).lower(args).unwrap_or_else(|error| panic!("{error}"));
        found.push((format!("slope of a scan, {target:?}"), rebuilt(lowered.program(), target), Sizes::new()));
        let (program, sizes) = training_step(options);
        found.push((format!("training step, {target:?}"), rebuilt(&program, target), sizes));
    }
    found
}

/// A program compiled from its equations; its constants may hold anything.
fn rebuilt(program: &Program, target: Target) -> Executable {
    let zeros = |binder: &gavotte_core::ir::Binder| {
        let shape: Vec<usize> = binder.aval.shape.iter().filter_map(|dim| dim.as_usize()).collect();
        Value::from(HostArray::full(&shape, gavotte_core::aval::Literal::from_f64(binder.aval.dtype, 0.0)))
    };
    let consts: Vec<Value> = program.consts.iter().map(zeros).collect();
    let options = Options { target, ..Options::default() };
    Executable::compile(program, &consts, &options).unwrap_or_else(|error| panic!("{error}"))
}

fn training_step(options: Options) -> (Program, Sizes) {
    let dataset = planted(&mut Key::new(0).rng(), &PlantedSpec::cora()).unwrap_or_else(|error| panic!("{error}"));
    let (train, rest): (Vec<i32>, Vec<i32>) = (0..dataset.n_node() as i32).partition(|node| node % 20 == 0);
    let (val, test) = rest.into_iter().partition(|node| node % 4 == 1);
    let config = GatConfig::new(7);
    let experiment = config.experiment(&dataset, &Split { train, val, test });
    let experiment = experiment.unwrap_or_else(|error| panic!("{error}"));
    let trainer = Trainer::gat_with_options(config, GatTraining::default(), options);
    let trainer = trainer.unwrap_or_else(|error| panic!("{error}"));
    let params = trainer.init(Key::new(1), &experiment).unwrap_or_else(|error| panic!("{error}"));
    let state = (trainer.optimizer.init_fun)(params);
    let args = trainer.step_args(0, state, &experiment, Key::new(0)).unwrap_or_else(|error| panic!("{error}"));
    let lowered = trainer.step.lower(args).unwrap_or_else(|error| panic!("{error}"));
    (lowered.program().clone(), lowered.sizes().clone())
}

/// Faults that are always mistakes; others only sometimes are (two arrays may share a place when neither is needed any
/// more).
const ALWAYS: [PlanFault; 5] = [
    PlanFault::GivenTwice,
    PlanFault::GivenResult,
    PlanFault::ResultInArena,
    PlanFault::StepLeftOut,
    PlanFault::ShortArena,
];

#[test]
fn planted_mistakes_are_found() {
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for (name, executable, sizes) in programs() {
        executable.new_plan(&sizes).unwrap_or_else(|error| panic!("{name}: {error}"));
        for fault in PlanFault::ALL {
            for at in 0..40 {
                let found = executable.finds_fault(&sizes, fault, at).unwrap_or_else(|error| panic!("{error}"));
                let Some(checked) = found else { break };
                let (planted, caught) = counts.entry(format!("{fault:?}")).or_default();
                *planted += 1;
                *caught += usize::from(checked.is_err());
                let is_missed = checked.is_ok() && ALWAYS.contains(&fault);
                assert!(!is_missed, "{name}: {fault:?} at {at} is not found\n{:?}", executable.plan_text(&sizes, None));
            }
        }
    }
    for fault in PlanFault::ALL {
        assert!(counts.get(&format!("{fault:?}")).is_some_and(|(_, caught)| *caught > 0), "{fault:?} is never found");
    }
}
