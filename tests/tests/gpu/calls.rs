//! Calls of compiled programs on the emulated GPU: whose memory results have, edge cases of sizes and types, and what
//! happens when the driver fails.

use gavotte::{
    Array, DType, Dim, Options, Tree, assume, concatenate, device_put, full, jit, jit_with, make_program, scan, where_,
    zeros,
};
use gavotte_core::aval::{Sizes, Symbol};
use gavotte_core::ir::Value;
use gavotte_core::runtime::Executable;
use gavotte_core::runtime::cuda::cuda;
use gavotte_emulator::driver::Session;
use gavotte_tests::compare::difference;
use gavotte_tests::gpu::{agree_on_calls, elements, machine, on_machine};

/// Compares both devices.
#[track_caller]
fn assert_same<A: Tree + Clone, O: Tree>(what: &str, f: impl Fn(A) -> O + Send + Sync + Clone + 'static, args: A) {
    agree_on_calls(f, args, 0.0).unwrap_or_else(|why| panic!("{what}: {why}"));
}

fn floats(shape: &[usize]) -> Array {
    let n = shape.iter().product::<usize>();
    Array::new(shape, (0..n).map(|i| i as f32 * 0.5 - 2.0).collect())
}

fn there<T: Tree>(tree: T) -> T {
    device_put(tree, &cuda(0).expect("the emulator is a GPU")).expect("it fits")
}

#[test]
fn results_may_be_what_is_there_already() {
    on_machine(|| {
        let captured = floats(&[2]);
        let f = move |(x, y): (Array, Array)| {
            let sum = &x + 1.0f32;
            (y.clone(), x.clone(), x.reshape([3, 2]), captured.clone(), Array::scalar(7), sum.reshape([6]), sum, y)
        };
        assert_same("arguments, constants, numbers", f, (floats(&[2, 3]), floats(&[4])));
    });
}

#[test]
fn memory_is_taken_over_only_from_who_gave_it_up() {
    on_machine(|| {
        let add = jit(|x: Array| x + 1.0f32);
        let x = there(floats(&[4]));
        let kept = x.clone();
        let wanted: Vec<f32> = floats(&[4]).to_vec();
        let more: Vec<f32> = wanted.iter().map(|x| x + 1.0).collect();
        assert_eq!(add(x).to_vec::<f32>(), more);
        assert_eq!(kept.to_vec::<f32>(), wanted, "another handle holds the array");
        // Arrays of two shapes share one memory block.
        let two = jit(|x: Array| {
            let y = x * 1.0f32 + 0.0f32;
            (y.reshape([2, 2]), y)
        });
        let (square, flat) = two(kept);
        assert_eq!(add(flat).to_vec::<f32>(), more);
        assert_eq!(square.to_vec::<f32>(), wanted, "another array holds the memory");
        // One handle as two arguments.
        let both = jit(|(x, y): (Array, Array)| (&x + &y, x * 2.0f32 - y));
        let x = there(floats(&[4]));
        let (sum, rest) = both((x.clone(), x));
        assert_eq!(sum.to_vec::<f32>(), wanted.iter().map(|x| 2.0 * x).collect::<Vec<_>>());
        assert_eq!(rest.to_vec::<f32>(), wanted);
    });
}

#[test]
fn what_is_given_up_is_taken_over() {
    let Some(machine) = machine("") else { return };
    {
        let add = jit(|x: Array| x + 1.0f32);
        // Loads the kernel, and leaves no unused block of this size.
        let _kept = add(there(floats(&[1000])));
        let mut x = there(floats(&[1000]));
        let before = machine.counts().allocations;
        for _ in 0..20 {
            x = add(x);
        }
        assert_eq!(machine.counts().allocations, before);
        assert_eq!(x.to_vec::<f32>()[0], 18.0);
    }
    assert_eq!(machine.counts().live_allocations, 0);
}

#[test]
fn nothing_and_scalars() {
    on_machine(|| {
        let none = |x: Array| (&x + 1.0f32, x.sum(0), x.sum(1), x.reshape([0]), concatenate(&[x.clone(), x], 0));
        assert_same("no rows", none, floats(&[0, 3]));
        let joined = |(x, y): (Array, Array)| (concatenate(&[&x * 2.0f32, y.clone()], 0), x.dot(&y.transpose()));
        assert_same("nothing next to something", joined, (floats(&[0, 3]), floats(&[2, 3])));
        let scalars = |(x, n): (Array, Array)| (&x + 0.5f32, &n * &n, x.gt(0.0f32), where_(&n.lt(0), x, 3.0f32));
        assert_same("scalars", scalars, (Array::scalar(1.5f32), Array::scalar(-4)));
    });
}

#[test]
fn every_type_goes_through_kernels() {
    on_machine(|| {
        let bools = |(a, b): (Array, Array)| {
            let both = a.select(b.clone(), a.clone());
            (a.ne(&b), both.astype(DType::I32).sum(()), both.reshape([5, 1]), a.astype(DType::F32), both)
        };
        let (a, b) = (vec![true, false, true, true, false], vec![false, false, true, true, true]);
        assert_same("bools", bools, (Array::new(&[5], a), Array::new(&[5], b)));
        let whole = |(a, b): (Array, Array)| (&a * &b, &a - &b, a.max(()), a.astype(DType::F64), b.astype(DType::Bool));
        let i32s = (Array::new(&[3], vec![i32::MAX, -7, 0]), Array::new(&[3], vec![2, 3, i32::MIN]));
        assert_same("i32", whole, i32s);
        let u32s = (Array::new(&[3], vec![u32::MAX, 7, 0]), Array::new(&[3], vec![2u32, 3, 1 << 31]));
        assert_same("u32", whole, u32s);
        let wide = |x: Array| (&x * &x, x.astype(DType::F32), x.floor());
        assert_same("f64", wide, Array::new(&[3], vec![1e300f64, -0.1, f64::NAN]));
    });
}

/// While one thread records and replays long runs, another requests results of short ones.
#[test]
fn threads_share_a_device() {
    let Some(machine) = machine("unwritten=refuse") else { return };
    {
        let device = cuda(0).expect("the emulator is a GPU");
        let calls = |f: fn(Array) -> Array, n: usize, times: usize| {
            let wanted = elements(f(floats(&[n])));
            let f = jit(f);
            let mut kept = vec![];
            for _ in 0..times {
                let x = device_put(floats(&[n]), &device).expect("it fits");
                for _ in 0..3 {
                    assert_eq!(difference(&elements(f(x.clone())), &wanted, 1e-5), None);
                }
                // The next one is elsewhere, and is recorded anew.
                kept.push(x);
            }
        };
        let long = |x: Array| scan(|h: Array, _: Array| (&h * 0.5f32 + &x, ()), x.clone(), zeros([2000], DType::F32)).0;
        // Blocks of two sizes: neither reuses what the other freed, so results stay in place.
        std::thread::scope(|scope| {
            scope.spawn(|| calls(long, 5, 10));
            scope.spawn(|| calls(|x| x * 2.0f32 + 1.0f32, 1000, 300));
        });
        assert!(machine.counts().graph_launches >= 600, "{} runs were replayed", machine.counts().graph_launches);
    }
    assert_eq!(machine.report(), "");
    assert_eq!(machine.counts().live_allocations, 0);
}

#[test]
fn one_program_runs_for_all_sizes() {
    on_machine(|| {
        let f = |x: Array| {
            let (last, rows) = scan(|h: Array, x: Array| (&h + &x, h * 2.0f32), Array::scalar(0.0f32), x.clone());
            (last, rows, x.sum(()), concatenate(&[x.clone(), x], 0))
        };
        let (here, there) = (jit(f), jit(f));
        let device = cuda(0).expect("the emulator is a GPU");
        for n in [5, 300, 0, 1] {
            let x = || floats(&[n]).declare([Dim::symbol("n")]);
            let wanted = elements(here(x()));
            for _ in 0..3 {
                let found = elements(there(device_put(x(), &device).expect("it fits")));
                assert_eq!(difference(&found, &wanted, 1e-5), None, "{n} elements");
            }
        }
    });
}

/// Two kernels: the second reads what the first computes.
fn two_kernels(x: Array) -> Array {
    let sums = x.sum(0);
    (x * sums).exp().sum(())
}

/// Calls a function several times on one array: its kernels are launched one by one, then recorded and replayed.
fn call_often(machine: &Session<'_>, f: impl Fn(Array) -> Array + Send + Sync + Copy + 'static) -> Vec<Vec<f32>> {
    let f = jit(f);
    let x = there(floats(&[6, 4]) * 0.1f32);
    let call = |_| f.try_call((x.clone(),)).and_then(|y| y.to_host().map(|y| y.as_slice::<f32>().to_vec()));
    (0..5).map(|i| call(i).unwrap_or_else(|error| panic!("call {i}: {error}\n{}", machine.report()))).collect()
}

#[test]
fn where_recordings_fail_kernels_are_launched() {
    let calls = ["cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags", "cuGraphLaunch"];
    // The third stream is the first that records; the third launch is the first that is recorded.
    let failures = calls.map(|call| (call, 1, 999)).into_iter().chain([
        ("cuGraphLaunch", 3, 999),
        ("cuGraphInstantiateWithFlags", 1, 2),
        ("cuStreamCreate", 3, 2),
        ("cuLaunchKernel", 3, 701),
    ]);
    for (call, nth, code) in failures {
        let Some(machine) = machine(&format!("unwritten=refuse,fail={call}:{nth}:{code}")) else { return };
        {
            let wanted = call_often(&machine, two_kernels).swap_remove(0);
            let again = call_often(&machine, two_kernels);
            assert!(again.iter().all(|found| *found == wanted), "{call}, {nth}");
        }
        assert_eq!(machine.report(), "", "{call}, {nth}");
        assert_eq!(machine.counts().live_allocations, 0, "{call}, {nth}");
    }
}

/// Whatever the driver needs memory for, unused blocks are returned to it.
#[test]
fn unused_blocks_make_room() {
    let calls = ["cuModuleLoadData", "cuModuleGetFunction", "cuLaunchKernel", "cuGraphLaunch", "cuEventCreate"];
    for call in calls {
        let Some(machine) = machine("") else { return };
        {
            let wanted = jit(two_kernels)(floats(&[6, 4]) * 0.1f32).to_vec::<f32>();
            let device = cuda(0).expect("the emulator is a GPU");
            drop(there(floats(&[1000])));
            let taken = machine.counts().live_bytes;
            // Events are made for every copy.
            let nth = if call == "cuEventCreate" { 4 } else { 1 };
            machine.configure(&format!("fail={call}:{nth}:2"));
            for found in call_often(&machine, two_kernels) {
                assert_eq!(
                    difference(&elements(Array::new(&[1], found)), &elements(Array::new(&[1], wanted.clone())), 1e-5),
                    None
                );
            }
            // Without that block, fewer than its 4,096 bytes more are allocated.
            assert!(machine.counts().live_bytes < taken + 4096, "{call}");
            drop(device);
        }
        assert_eq!(machine.report(), "", "{call}");
        assert_eq!(machine.counts().live_allocations, 0, "{call}");
    }
}

#[test]
fn recordings_of_a_device_share_their_streams() {
    let Some(machine) = machine("") else { return };
    // Nothing else keeps the device alive between the calls.
    let device = cuda(0).expect("the emulator is a GPU");
    let before = machine.counts();
    for f in [two_kernels, |x: Array| x.sum(1).sum(()), |x: Array| (x.sum(0) * 2.0f32).sum(())] {
        call_often(&machine, f);
    }
    let after = machine.counts();
    assert!(after.graph_launches - before.graph_launches >= 9, "{after:?}");
    assert_eq!(after.streams - before.streams, 8);
    drop(device);
}

#[test]
fn a_fault_is_an_earlier_kernels_or_is_waited_for() {
    for code in [700, 716, 719] {
        let settings = format!("fault=1:{code}:2");
        let Some(late) = machine(&settings) else { return };
        let error = |options: Options| {
            let f = jit_with(two_kernels, options);
            let found = f.try_call((there(floats(&[6, 4])),)).and_then(|y| y.to_host());
            found.expect_err("a kernel fails").to_string()
        };
        let text = error(Options::default());
        for part in ["CUDA_ERROR_", "an earlier kernel", "launch_blocking", "cannot be used again in this process"] {
            assert!(text.contains(part), "`{part}` is not in: {text}");
        }
        drop(late);
        let waits = machine(&settings).expect("as before");
        let text = error(Options { launch_blocking: true, ..Options::default() });
        assert!(text.contains("a mistake in this kernel") && !text.contains("an earlier kernel"), "{text}");
        let ran = waits.kernels();
        assert!(ran.len() == 1 && text.contains("gpu/calls.rs"), "{ran:?}: {text}");
        assert!(ran.keys().all(|kernel| text.contains(&format!("@{kernel}"))), "{ran:?}: {text}");
    }
}

#[test]
fn kernels_that_are_waited_for_compute_the_same() {
    let Some(machine) = machine("unwritten=refuse") else { return };
    {
        let wanted = call_often(&machine, two_kernels);
        let f = jit_with(two_kernels, Options { launch_blocking: true, ..Options::default() });
        let x = there(floats(&[6, 4]) * 0.1f32);
        for wanted in wanted {
            let before = machine.counts();
            let y = f(x.clone());
            let after = machine.counts();
            assert_eq!(after.synchronizations - before.synchronizations, after.launches - before.launches);
            assert_eq!(after.graph_launches, before.graph_launches);
            assert_eq!(y.to_vec::<f32>(), wanted);
        }
    }
    assert_eq!(machine.report(), "");
}

/// Machine code is tried first, if NVRTC knows the GPU. This driver takes none, and is not offered any again.
#[test]
fn a_driver_that_refuses_machine_code_is_given_ptx() {
    for (compute, offered) in [("8.0", 1), ("8.9", 1), ("9.0", 1), ("99.0", 0)] {
        let Some(machine) = machine(&format!("compute={compute}")) else { return };
        {
            let device = cuda(0).expect("the emulator is a GPU");
            call_often(&machine, two_kernels);
            call_often(&machine, |x: Array| x.sum(0).sum(()));
            let counts = machine.counts();
            assert_eq!((counts.binaries, counts.modules), (offered, 2), "{compute}");
            drop(device);
        }
        assert_eq!(machine.report(), "");
    }
}

#[test]
fn threads_share_a_compiled_function() {
    on_machine(|| {
        // Several kernels, with arrays between them in the program's single arena.
        let f = jit(|x: Array| {
            let y = (&x * 2.0f32 + 1.0f32).sum(());
            let z = x * &y;
            (z.sum(()), z)
        });
        let calls = |number: f32| {
            let x = there(full([100], number));
            let call = |_| {
                let (sum, z) = f(x.clone());
                (sum.item::<f32>(), z.to_vec::<f32>()[99])
            };
            (0..8).map(call).collect::<Vec<_>>()
        };
        std::thread::scope(|scope| {
            let calls = &calls;
            let threads = [1f32, 2.0, 3.0, 4.0].map(|number| (number, scope.spawn(move || calls(number))));
            for (number, thread) in threads {
                let z = number * 100.0 * (2.0 * number + 1.0);
                let found = thread.join().expect("no thread panics");
                assert_eq!(found, vec![(100.0 * z, z); 8], "of {number}");
            }
        });
        assert_eq!(f.n_entry(), 1);
    });
}

/// One function, called alternately with arrays of the host and of the device: there is a program for each.
#[test]
fn devices_have_programs_of_their_own() {
    on_machine(|| {
        let f = jit(|x: Array| x * 2.0f32 + 1.0f32);
        let wanted = elements(f(floats(&[5])));
        for _ in 0..2 {
            assert_eq!(difference(&elements(f(there(floats(&[5])))), &wanted, 0.0), None);
            assert_eq!(difference(&elements(f(floats(&[5]))), &wanted, 0.0), None);
        }
        assert_eq!(f.n_entry(), 2);
    });
}

/// What kernels rely on is checked for the sizes of each call, even if these sizes were never checked before.
#[test]
fn sizes_that_break_facts_are_refused() {
    on_machine(|| {
        let f = |x: Array, y: Array| {
            assume("m <= n");
            x.slice_axis(0, ..y.dim(0)) + y
        };
        let args = |n: usize, m: usize| [floats(&[n]).declare(["n"]), floats(&[m]).declare(["m"])];
        let [x, y] = args(3, 2);
        let program = make_program(&f, (x, y));
        let device = cuda(0).expect("the emulator is a GPU");
        let executable = Executable::compile_for(&device, &program, &[], &Options::default());
        let executable = executable.unwrap_or_else(|error| panic!("{error}"));
        let call = |n: usize, m: usize| {
            let mut sizes = Sizes::new();
            for (name, size) in [("n", n), ("m", m)] {
                assert_eq!(sizes.set(Symbol::new(name), size), Ok(()));
            }
            executable.call(args(n, m).map(Value::from).to_vec(), &sizes)
        };
        assert_eq!(call(3, 2).expect("it holds")[0].to_host().expect("it is computed").len(), 2);
        let why = call(2, 3).map(drop).expect_err("it does not hold").to_string();
        assert!(why.contains("`m <= n`") && why.contains("`m` is 3"), "{why}");
    });
}
