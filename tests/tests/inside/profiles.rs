//! What is recorded while a program runs.

use crate::vector;
use gavotte::{Array, Options, jit_with, scan};
use gavotte_core::runtime::{Machine, StepKind};
use std::num::NonZeroUsize;

#[test]
fn the_kernels_of_a_loop_are_recorded_in_every_turn() {
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
    let outer = profile.steps.iter().position(|step| step.kind == StepKind::Turns(3)).expect("there is a loop");
    let inner = outer + 1;
    assert_eq!(profile.steps[inner].kind, StepKind::Kernel);
    for (thread, events) in profile.threads.iter().enumerate() {
        let of = |step: usize| events.iter().filter(move |event| event.step == Some(step));
        assert_eq!(of(outer).count(), 2);
        // What is small may run on the first thread alone.
        assert!(of(inner).count() == 2 * 3 || thread > 0 && of(inner).count() == 0);
        assert!(events.iter().any(|event| event.step.is_none()), "threads wait for one another");
        let whole: Vec<_> = of(outer).collect();
        assert!(of(inner).all(|event| {
            whole.iter().any(|outer| outer.span.start <= event.span.start && event.span.end <= outer.span.end)
        }));
    }

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
