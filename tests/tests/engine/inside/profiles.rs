//! Events recorded while a program runs.

use super::vector;
use gavotte::{Array, Options, jit, jit_with, named_scope, scan};
use gavotte_core::runtime::{Machine, StepKind};
use std::num::NonZeroUsize;

#[test]
fn the_kernels_of_a_loop_are_recorded_in_every_iteration() {
    let threads = NonZeroUsize::new(2).unwrap();
    let sum = jit_with(
        |x: Array, xs: Array| scan(|sum: Array, x: Array| ((sum * 2f32 + x).exp(), ()), x, xs).0,
        Options { threads, ..Options::default() },
    );
    let args = || (Array::scalar(0f32), vector(&[-1.0, -2.0, -3.0]));
    let lowered = sum.lower(args()).unwrap();
    let executable = lowered.executable();
    let wanted = sum.try_call(args()).unwrap().to_vec::<f32>();

    executable.set_profiling(true);
    for _ in 0..2 {
        assert_eq!(sum.try_call(args()).unwrap().to_vec::<f32>(), wanted);
    }
    executable.set_profiling(false);
    sum.try_call(args()).unwrap();
    let profile = executable.take_profile(lowered.sizes());
    assert_eq!((profile.calls.len(), profile.threads.len()), (2, 2));
    let outer = profile.steps.iter().position(|step| step.kind == StepKind::Iterations(3)).expect("there is a loop");
    let inner = outer + 1;
    assert_eq!(profile.steps[inner].kind, StepKind::Kernel);
    let of = |thread: usize, step: usize| profile.threads[thread].iter().filter(move |event| event.step == Some(step));
    assert_eq!((of(0, outer).count(), of(0, inner).count()), (2, 2 * 3));
    let whole: Vec<_> = of(0, outer).collect();
    assert!(of(0, inner).all(|event| {
        whole.iter().any(|outer| outer.span.start <= event.span.start && event.span.end <= outer.span.end)
    }));
    // Small work runs on the first thread alone.
    assert!(profile.threads[1].iter().all(|event| event.step.is_none()), "the other has nothing to do");
    assert_eq!(profile.threads[1].len(), 2);

    let machine = Machine { threads: 2, bytes_per_s: 1e9, flop_per_s: 1e9 };
    let table = profile.table(&machine);
    let row = table.rows.iter().find(|row| row.name == profile.steps[inner].name).expect("a kernel has a line");
    assert_eq!(row.runs, 3.0);
    let cost = profile.steps[inner].cost;
    let least = (cost.bytes_read + cost.bytes_written).max(cost.flops + cost.transcendentals) as f64 * 3e-9;
    assert!((row.least_s - least).abs() < 1e-15 && (row.roofline - least / row.time_s).abs() < 1e-12, "{row:?}");
    assert!(table.rows.iter().all(|row| row.name != profile.steps[outer].name), "a loop is its kernels");
    assert!(executable.take_profile(lowered.sizes()).calls.is_empty(), "what was taken is gone");
}

/// The profile covers every thread but the first for the whole of a call: steps, and waits between them.
#[test]
fn what_threads_do_is_known_for_the_whole_of_a_call() {
    let threads = NonZeroUsize::new(3).unwrap();
    let f = jit_with(
        |x: Array| {
            let y = (&x * 0.5f32).exp();
            (y.sum(0), (y / x.sum(1).expand_dims(-1)).tanh())
        },
        Options { threads, shares_all: true, ..Options::default() },
    );
    let x = || Array::new(&[3000, 40], (0..120_000).map(|i| (i % 7) as f32).collect::<Vec<_>>());
    let lowered = f.lower((x(),)).unwrap();
    lowered.executable().set_profiling(true);
    (0..20).for_each(|_| drop(f(x())));
    let profile = lowered.executable().take_profile(lowered.sizes());
    assert_eq!((profile.calls.len(), profile.threads.len()), (20, 3));
    for call in &profile.calls {
        for (thread, events) in profile.threads.iter().enumerate() {
            let within: Vec<_> =
                events.iter().filter(|event| call.start <= event.span.start && event.span.end <= call.end).collect();
            assert!(within.windows(2).all(|pair| pair[0].span.end <= pair[1].span.start), "one thing after the other");
            let begun = |step: usize| within.iter().filter(|event| event.step == Some(step) && event.begins).count();
            if thread == 0 {
                assert!((0..profile.steps.len()).all(|step| begun(step) == 1), "it is at every step: {within:?}");
                continue;
            }
            assert!((0..profile.steps.len()).all(|step| begun(step) <= 1), "{within:?}");
            assert_eq!(within.first().map(|event| (event.step, event.span.start)), Some((None, call.start)));
            assert!(within.last().is_some_and(|event| event.step.is_none()), "the first thread ends a call");
            // A wait begins where the last event ended.
            let is_wait = |event: &&gavotte_core::runtime::Event| event.step.is_none();
            assert!(within.windows(2).all(|pair| !is_wait(&pair[1]) || pair[0].span.end == pair[1].span.start));
        }
    }
    let machine = Machine { threads: 3, bytes_per_s: 1e9, flop_per_s: 1e9 };
    let table = profile.table(&machine);
    assert!(table.rows.iter().all(|row| row.runs == 1.0), "{table:?}");
    assert!(table.wait_s > 0.0 && table.wait_s < table.total.time_s);
}

#[test]
fn a_profile_says_to_which_named_part_a_kernel_belongs() {
    let f = jit(|x: Array| named_scope("encoder", || named_scope("scores", || x.exp().sum(()))));
    let x = || vector(&[1.0, 2.0, 3.0]);
    let lowered = f.lower((x(),)).unwrap();
    lowered.executable().set_profiling(true);
    f(x());
    let profile = lowered.executable().take_profile(lowered.sizes());
    assert!(profile.to_trace().contains(" in encoder/scores"), "{}", profile.to_trace());
    let table = profile.table(&Machine { threads: 1, bytes_per_s: 1e9, flop_per_s: 1e9 });
    let found = table.rows[0].location.clone().unwrap_or_default();
    assert!(found.ends_with(" in encoder/scores"), "{found}");
}
