//! Calls of compiled programs on a GPU, which the emulator is: whose memory results have, and sizes and types at the edge.
#![cfg(target_os = "linux")]

use gavotte::{Array, DType, Dim, Tree, concatenate, device_put, jit, scan, where_, zeros};
use gavotte_core::runtime::cuda::cuda;
use gavotte_tests::compare::difference;
use gavotte_tests::gpu::{agree_on_calls, elements, machine, on_machine};

/// Compares both devices.
#[track_caller]
fn assert_same<A: Tree + Clone, O: Tree>(what: &str, f: impl Fn(A) -> O + Clone + 'static, args: A) {
    agree_on_calls(f, args, 0.0).unwrap_or_else(|why| panic!("{what}: {why}"));
}

fn floats(shape: &[usize]) -> Array {
    let n = shape.iter().product::<usize>();
    Array::new(shape, (0..n).map(|i| i as f32 * 0.5 - 2.0).collect())
}

fn there<T: Tree>(tree: T) -> T {
    device_put(tree, &cuda(0).expect("the emulator is a GPU")).expect("there is room")
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
        // Arrays of two shapes in one memory.
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
        // Loads the kernel, and leaves no block of this size that nobody uses.
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
        assert_same("nothing beside something", joined, (floats(&[0, 3]), floats(&[2, 3])));
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

/// While one thread records and replays long runs, another asks for results of short ones.
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
                let x = device_put(floats(&[n]), &device).expect("there is room");
                for _ in 0..3 {
                    assert_eq!(difference(&elements(f(x.clone())), &wanted, 1e-5), None);
                }
                // The next is somewhere else, and is recorded anew.
                kept.push(x);
            }
        };
        let long = |x: Array| scan(|h: Array, _: Array| (&h * 0.5f32 + &x, ()), x.clone(), zeros([2000], DType::F32)).0;
        // Blocks of two sizes: neither gets what the other gave back, so that results stay in their places.
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
                let found = elements(there(device_put(x(), &device).expect("there is room")));
                assert_eq!(difference(&found, &wanted, 1e-5), None, "{n} elements");
            }
        }
    });
}
