//! Arrays, keys, layers and compiled functions move between threads, and threads share them.

use gavotte::optimizers::{Adam, Optimizer, Schedule, adam};
use gavotte::random::Key;
use gavotte::stax::{Affine, Layer, Mode, dense, relu, serial};
use gavotte::{
    Array, Compiled, DType, Dim, Error, Fun, Jit, Options, Tree, debug_print, device_copy, full, jit, jit_with, scan,
    shape, value_and_grad, with_debug_output, zeros,
};
use gavotte_core::ir::Program;
use std::num::NonZeroUsize;
use std::sync::{Barrier, Mutex, mpsc};
use std::thread;
use std::time::Duration;

#[test]
fn what_users_hold_is_send_and_sync() {
    fn check<T: Send + Sync>() {}
    check::<Array>();
    check::<Key>();
    check::<Program>();
    check::<Error>();
    check::<Schedule>();
    check::<Layer<(Array, Array)>>();
    check::<Optimizer<Array, Adam<Array>>>();
    check::<Fun<'_, (Array,), Array>>();
    check::<Jit<'_, (Array, Key), (Array, Array)>>();
    check::<Compiled<'_, (Array,), Array>>();
}

type State = Adam<Params>;
type Params = (Affine, ((), Affine));
type Step = Jit<'static, (Array, State, Array, Key), (State, Array)>;

/// The training step of a small perceptron, its initial state, and a function that reads its parameters. All its work
/// is shared.
fn training() -> (Step, State, impl Fn(&State) -> Vec<u32>) {
    let Layer { init_fun, apply_fun } = serial((dense(16), serial((relu(), dense(3)))));
    let Optimizer { init_fun: start, update_fun, get_params } = adam::<Params>(0.01);
    let state = start(init_fun(Key::new(5), shape([64, 8])).1);
    let read = get_params.clone();
    let step = move |i: Array, state: State, x: Array, key: Key| {
        let loss = |params: Params, x: Array| {
            let y = apply_fun(&params, &x, Mode::Eval);
            (&y * &y).mean(())
        };
        let noise = key.normal(x.shape().clone(), DType::F32);
        let (value, grads) = value_and_grad(loss)(get_params(&state), x + noise * 0.1f32);
        (update_fun(&i, grads, state), value)
    };
    let threads = NonZeroUsize::new(2).expect("two is not zero");
    let step = jit_with(step, Options { threads, shares_all: true, ..Options::default() });
    let bits = move |state: &State| {
        let leaves = read(state).into_leaves().1;
        leaves.into_iter().flat_map(|leaf| Array::from(leaf).to_vec::<f32>()).map(f32::to_bits).collect()
    };
    (step, state, bits)
}

/// `n` rows; each thread has its own.
fn rows(n: usize) -> Array {
    let rows = Array::new(&[n, 8], (0..n * 8).map(|i| ((i * 37 + n) % 101) as f32 * 0.02 - 1.0).collect());
    rows.declare([Dim::from("n"), 8.into()])
}

fn train(step: &Step, state: &State, n: usize, n_step: i32) -> State {
    // A step writes its state in place, and all threads share this start.
    let mut state = device_copy(state).expect("there is memory");
    for i in 0..n_step {
        state = step(Array::scalar(i), state, rows(n), Key::new(n as u64).fold_in(i as u32)).0;
    }
    state
}

#[test]
fn threads_share_one_compiled_step() {
    let (step, start, bits) = training();
    let sizes = [64, 1, 200, 33];
    // The first thread to arrive traces: all arrive at once.
    let together = Barrier::new(sizes.len());
    let found: Vec<_> = thread::scope(|scope| {
        let threads = sizes.map(|n| {
            let (step, start, together) = (&step, &start, &together);
            scope.spawn(move || {
                together.wait();
                train(step, start, n, 50)
            })
        });
        threads.map(|thread| bits(&thread.join().expect("no thread panics"))).to_vec()
    });
    assert_eq!(step.n_entry(), 1, "one program for all threads and sizes");
    assert_eq!(step.misses().len(), 1);
    let (alone, start, bits) = training();
    for (n, found) in sizes.into_iter().zip(found) {
        assert_eq!(found, bits(&train(&alone, &start, n, 50)), "{n} rows");
    }
}

#[test]
fn a_thread_makes_batches_for_another() {
    let draw = |i: u64| jit(|key: Key| key.uniform(shape([64, 8]), DType::F32))(Key::new(i));
    let (send, batches) = mpsc::sync_channel::<Array>(2);
    let loader = thread::spawn(move || (0..20).all(|i| send.send(draw(i)).is_ok()));
    let (step, mut state, bits) = training();
    let mut again = device_copy(&state).expect("there is memory");
    for (i, batch) in (0i32..).zip(batches) {
        state = step(Array::scalar(i), state, batch, Key::new(7)).0;
        again = step(Array::scalar(i), again, draw(i as u64), Key::new(7)).0;
    }
    assert!(loader.join().expect("it ends"), "every batch is received");
    assert_eq!(bits(&state), bits(&again));
}

#[test]
fn calls_at_the_same_time_have_memory_of_their_own() {
    // Arrays of a megabyte between the iterations, so that calls overlap; all numbers are whole.
    let f = jit(|x: Array| {
        let body = |carry: Array, _: Array| (&carry + carry.slice_axis(0, 0usize..1), carry.sum(()));
        let (last, sums) = scan(body, x, zeros(shape([8]), DType::F32));
        (last.sum(()), sums)
    });
    let together = Barrier::new(4);
    thread::scope(|scope| {
        for number in [1f32, 2.0, 3.0, 4.0] {
            let (f, together) = (&f, &together);
            scope.spawn(move || {
                together.wait();
                for _ in 0..20 {
                    let (last, sums) = f(full(shape([1 << 18]), number));
                    let doubled = |i: i32| number * 2f32.powi(18 + i);
                    assert_eq!(last.item::<f32>(), doubled(8));
                    assert_eq!(sums.to_vec::<f32>(), (0..8).map(doubled).collect::<Vec<_>>());
                }
            });
        }
    });
}

#[test]
fn what_threads_trace_at_the_same_time_is_one_program() {
    let together = Barrier::new(3);
    let f = jit(|x: Array| {
        // No trace ends before all have begun.
        together.wait();
        x * 2f32
    });
    thread::scope(|scope| {
        for number in [1f32, 2.0, 3.0] {
            let f = &f;
            scope.spawn(move || assert_eq!(f(Array::scalar(number)).item::<f32>(), 2.0 * number));
        }
    });
    assert_eq!((f.n_entry(), f.misses().len()), (1, 1));
}

/// One thread leads the team at a time: a call made by a running program, here for each line it prints, works alone.
#[test]
fn a_program_that_runs_may_call_another() {
    let threads = NonZeroUsize::new(2).expect("two is not zero");
    let options = Options { threads, shares_all: true, ..Options::default() };
    let inner = jit_with(|x: Array| x * 2f32, options.clone());
    let outer = jit_with(
        |x: Array| {
            debug_print("{}", &[&x.sum(())]);
            x.exp()
        },
        options,
    );
    let ones = || full(shape([8, 3]), 1f32);
    let doubled = vec![2f32; 24];
    assert_eq!(inner(ones()).to_vec::<f32>(), doubled);
    let (send, results) = mpsc::channel();
    // If it waits for itself, it waits forever.
    thread::spawn(move || {
        let call = move |_: &str| send.send(inner(ones()).to_vec::<f32>()).expect("somebody waits");
        with_debug_output(call, || outer(ones()))
    });
    assert_eq!(results.recv_timeout(Duration::from_secs(60)), Ok(doubled));
}

#[test]
fn a_traced_value_belongs_to_its_thread() {
    let kept = Mutex::new(vec![]);
    let messages = jit(|x: Array| {
        let y = x * 2f32;
        thread::scope(|scope| {
            let read = scope.spawn(|| y.to_host().map(drop).expect_err("it has no contents").to_string());
            let computed = scope.spawn(|| {
                // No trace is open on this thread, so it would have to be computed.
                gavotte_core::ir::quietly(|| &y + 1f32).map(drop).expect_err("it has no contents").to_string()
            });
            let captured = scope.spawn(|| {
                let other = jit(|z: Array| z + &y).try_call((Array::scalar(1f32),));
                other.map(drop).expect_err("the trace is elsewhere").to_string()
            });
            let all = [read, computed, captured].map(|thread| thread.join().expect("an error is not a panic"));
            kept.lock().expect("no thread panicked").extend(all);
        });
        y
    });
    assert_eq!(messages(Array::scalar(3f32)).item::<f32>(), 6.0, "the trace goes on");
    drop(messages);
    let texts = kept.into_inner().expect("no thread panicked");
    assert_eq!(texts.len(), 3);
    for text in texts {
        for part in ["belongs to a trace on another thread", "@a_traced_value_belongs_to_its_thread", "threads.rs"] {
            assert!(text.contains(part), "`{part}` is missing in: {text}");
        }
    }
}
