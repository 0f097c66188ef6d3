//! The plan's peak is what is really allocated. This file has one test, since the tests of a file share its allocator.

use gavotte::random::Key;
use gavotte::{Args, Array, Error, Jit, Options, Target, Tree, jit_with, scan};
use gavotte_core::device::HostArray;
use gavotte_core::ir::Value;
use gavotte_gat::data::{PlantedSpec, Split, planted};
use gavotte_gat::model::GatConfig;
use gavotte_gat::train::{GatTraining, Trainer};
use peak_alloc::PeakAlloc;
use std::num::NonZeroUsize;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Copies of the arrays, which nobody else holds.
fn copied<T: Tree>(tree: &T) -> T {
    tree.map(|leaf| {
        let array = leaf.to_host().expect("it is computed");
        Value::from(HostArray::clone(&array)).declare(leaf.declared_aval().shape)
    })
}

/// Compares peak allocation with the plan: in a first call, which keeps its arguments, and in a second one, to which
/// they are donated.
fn check<A: Args, O: Tree>(what: &str, f: &Jit<'_, A, O>, args: &A) -> Result<(), Error> {
    let compiled = f.lower(copied(args))?.compile()?;
    let memory = compiled.memory_analysis()?;
    let held = ALLOCATOR.current_usage();
    for (is_kept, planned) in [(true, memory.peak), (false, memory.peak - memory.donated())] {
        let given = copied(args);
        let kept = is_kept.then(|| given.map(Value::clone));
        ALLOCATOR.reset_peak_usage();
        compiled.try_call(given)?;
        drop(kept);
        let allocated = memory.constants + ALLOCATOR.peak_usage() - held;
        let ratio = allocated as f64 / planned as f64;
        assert!((0.95..1.05).contains(&ratio), "{what}, kept {is_kept}: {allocated} bytes allocated\n{memory}");
    }
    Ok(())
}

#[test]
fn the_peak_is_what_is_allocated() -> Result<(), Error> {
    let dataset = planted(&mut Key::new(0).rng(), &PlantedSpec::cora()).unwrap_or_else(|error| panic!("{error}"));
    let (train, rest): (Vec<i32>, Vec<i32>) = (0..dataset.n_node() as i32).partition(|node| node % 20 == 0);
    let (val, test) = rest.into_iter().partition(|node| node % 4 == 1);
    let config = GatConfig::new(7);
    let experiment = config.experiment(&dataset, &Split { train, val, test });
    let experiment = experiment.unwrap_or_else(|error| panic!("{error}"));
    for target in [Target::Portable, Target::native()] {
        for threads in [1, 2] {
            let threads = NonZeroUsize::new(threads).expect("it is not zero");
            let options = Options { target, threads, ..Options::default() };
            let what = |what: &str| format!("{what} on {target:?}, {threads} threads");

            let trainer = Trainer::gat_with_options(config, GatTraining::default(), options.clone());
            let trainer = trainer.unwrap_or_else(|error| panic!("{error}"));
            let params = trainer.init(Key::new(1), &experiment).unwrap_or_else(|error| panic!("{error}"));
            let state = (trainer.optimizer.init_fun)(params);
            check(&what("a step"), &trainer.step, &(Array::scalar(0), state, experiment.inputs.clone(), Key::new(2)))?;

            // The carry alternates between two places.
            let looped = |x: Array, xs: Array| {
                let body = |x: Array, y: Array| (x.transpose() * y, x.sum(1));
                scan(body, x, xs)
            };
            let numbers = |shape: &[usize]| Array::new(shape, vec![0.5f32; shape.iter().product()]);
            check(&what("a loop"), &jit_with(looped, options), &(numbers(&[700, 700]), numbers(&[20, 700])))?;
        }
    }
    Ok(())
}
