//! What a plan must not change: results do not depend on threads, on earlier calls, or on who keeps an argument.

use gavotte::nn::softmax;
use gavotte::segment::Segments;
use gavotte::{Array, DType, arange, grad, jit, jit_with};
use gavotte_core::aval::{Aval, Dim, Sizes, Symbol};
use gavotte_core::device::HostArray;
use gavotte_core::ir::{Program, Traced, Value, parse, trace};
use gavotte_core::runtime::{Executable, Options, Target};
use gavotte_tests::arrays::{Random, random_array};
use gavotte_tests::compare::{difference, run, sizes};
use gavotte_tests::generate::random_program;
use gavotte_tests::report::check_all;
use gavotte_tests::transformed::vjp_program;
use std::cell::Cell;
use std::num::NonZeroUsize;

fn compile(program: &Program, consts: &[HostArray], threads: usize) -> Result<Executable, String> {
    compile_to(Target::native(), program, consts, threads)
}

fn compile_to(target: Target, program: &Program, consts: &[HostArray], threads: usize) -> Result<Executable, String> {
    let threads = NonZeroUsize::new(threads).expect("a thread at least");
    let options = Options { target, threads, shares_all: true, ..Options::default() };
    Executable::compile(program, &values(consts), &options).map_err(|error| format!("{error}\n{program}"))
}

/// New values, each holding the only handle of its buffer.
fn values(arrays: &[HostArray]) -> Vec<Value> {
    arrays.iter().cloned().map(Value::from).collect()
}

/// Type and bits of every element: unlike `difference`, this distinguishes 0 from -0, and one NaN from another.
fn bits(values: &[Value]) -> Vec<(Aval, Vec<u64>)> {
    let one = |value: &Value| {
        let array = value.to_host().expect("it is computed");
        (Aval::new(array.dtype(), array.shape()), (0..array.len()).map(|i| array.get(i).bits()).collect())
    };
    values.iter().map(one).collect()
}

/// Runs a program on one thread and on more, twice each, with arguments kept and donated. Returns the results, and
/// whether the plan puts a result in an argument's memory.
fn check_calls(program: &Program, arrays: &[HostArray]) -> Result<(Vec<Value>, bool), String> {
    let sizes = sizes(program, arrays);
    let (args, consts) = arrays.split_at(program.args.len());
    let kept = values(args);
    let given = bits(&kept);
    let mut wanted: Option<(Vec<Value>, _)> = None;
    let mut donates = false;
    for threads in [1, 2, 7] {
        let executable = compile(program, consts, threads)?;
        let call = |args: Vec<Value>| executable.call(args, &sizes).map_err(|error| error.to_string());
        let plan = executable.plan_text(&sizes, None).map_err(|error| error.to_string())?;
        donates |= plan.contains("in the memory of argument");
        let mut calls = vec![("kept", kept.clone()), ("kept, again", kept.clone()), ("given away", values(args))];
        for i in 0..args.len() {
            let mut one = kept.clone();
            one[i] = args[i].clone().into();
            calls.push(("one given away", one));
        }
        calls.push(("kept, at last", kept.clone()));
        for (what, args) in calls {
            let found = call(args)?;
            let found_bits = bits(&found);
            match &wanted {
                None => wanted = Some((found, found_bits)),
                Some((_, wanted)) if *wanted == found_bits => {}
                Some((_, wanted)) => {
                    let why = format!("{threads} threads, {what}: {found_bits:?}, not {wanted:?}");
                    return Err(format!("{why}\n{program}\n{plan}"));
                }
            }
        }
    }
    let (first, wanted) = wanted.expect("it ran");
    if bits(&kept) != given {
        return Err(format!("a kept argument was written\n{program}"));
    }
    if bits(&first) != wanted {
        return Err(format!("a later call wrote the results of the first\n{program}"));
    }
    Ok((first, donates))
}

#[test]
fn random_programs() {
    let n = Cell::new(0);
    check_all((0..300).map(|seed| (format!("seed {seed}"), seed)), |seed| {
        let (program, arrays) = random_program(*seed);
        let (_, donates) = check_calls(&program, &arrays)?;
        n.set(n.get() + usize::from(donates));
        Ok(())
    });
    assert!(n.get() >= 20, "only {} plans put a result in the memory of an argument", n.get());
}

/// The three arrays of `n` segments of `e` members: uneven, some empty, unordered.
fn random_segments(n: usize, e: usize, random: &mut Random) -> [HostArray; 3] {
    let ids: Vec<i32> = (0..e).map(|_| (random.below(n) * random.below(n) / n) as i32).collect();
    let segments = Segments::new(&ids, n).unwrap_or_else(|error| panic!("{error}"));
    let order = segments.order.unwrap_or_else(|| arange(e, DType::I32));
    [segments.ids, segments.offsets, order].map(|array| HostArray::clone(&array.to_host().expect("it is here")))
}

/// Large enough that every way to share the work is used.
const LARGE: &[(&str, &str)] = &[
    (
        "a map in place",
        "program @f(%0: f32[700,90], %1: f32[90]) -> (f32[700,90]) {
           %2: f32[700,90] = broadcast_in_dim %1 {dims=[1], shape=[700,90]}
           %3: f32[700,90] = mul %0, %2
           return %3 }",
    ),
    (
        "a transposition, which no argument's memory can hold in place",
        "program @f(%0: f32[300,300]) -> (f32[300,300]) {
           %1: f32[300,300] = transpose %0 {axes=[1,0]}
           return %1 }",
    ),
    (
        "several results in place, by one kernel",
        "program @f(%0: f32[700,90], %1: f32[700,90]) -> (f32[700,90], f32[700,90]) {
           %2: f32[700,90] = mul %0, %1
           %3: f32[700,90] = add %2, %1
           return %2, %3 }",
    ),
    (
        "two arguments that change places",
        "program @f(%0: f32[700,90], %1: f32[700,90]) -> (f32[700,90], f32[700,90]) {
           %2: f32[700,90] = add %0, 1.0f32
           %3: f32[700,90] = mul %0, %1
           return %3, %2 }",
    ),
    (
        "several sums by one kernel, in chunks",
        "program @f(%0: f32[90000,2], %1: f32[90000]) -> (f32[2], f32[2]) {
           %2: f32[90000,2] = broadcast_in_dim %1 {dims=[0], shape=[90000,2]}
           %3: f32[90000,2] = mul %0, %2
           %4: f32[2] = reduce_sum %0 {axes=[0]}
           %5: f32[2] = reduce_sum %3 {axes=[0]}
           return %4, %5 }",
    ),
    (
        "a sum of everything",
        "program @f(%0: f32[150000]) -> (f32[]) {
           %1: f32[150000] = mul %0, %0
           %2: f32[] = reduce_sum %1 {axes=[0]}
           return %2 }",
    ),
    (
        "sums over rows and columns",
        "program @f(%0: f32[900,70]) -> (f32[900], f32[70], f32[900]) {
           %1: f32[900,70] = exp %0
           %2: f32[900] = reduce_sum %1 {axes=[1]}
           %3: f32[70] = reduce_sum %1 {axes=[0]}
           %4: f32[900] = reduce_max %0 {axes=[1]}
           return %2, %3, %4 }",
    ),
    (
        "a product",
        "program @f(%0: f32[150,200], %1: f32[200,90]) -> (f32[150,90]) {
           %2: f32[150,90] = dot_general %0, %1 {batch=[[],[]], contract=[[1],[0]]}
           return %2 }",
    ),
    (
        "many steps that take each other's memory",
        "program @f(%0: f32[400,40], %1: f32[400,40]) -> (f32[400,40], f32[400,40]) {
           %2: f32[400,40] = tanh %0
           %4: f32[400] = reduce_sum %2 {axes=[1]}
           %5: f32[400,40] = broadcast_in_dim %4 {dims=[0], shape=[400,40]}
           %6: f32[400,40] = sub %1, %5
           %7: f32[400,40] = tanh %6
           %8: f32[40] = reduce_sum %7 {axes=[0]}
           %9: f32[400,40] = broadcast_in_dim %8 {dims=[1], shape=[400,40]}
           %10: f32[400,40] = mul %9, %7
           %11: f32[400,40] = add %2, %7
           return %10, %11 }",
    ),
];

#[test]
fn large_arrays() {
    check_all(LARGE.iter().map(|(name, text)| (name.to_string(), text)), |text| {
        let program = parse(text, gavotte::registry()).map_err(|error| error.to_string())?;
        let mut random = Random::new(11);
        let arrays: Vec<HostArray> = program.args.iter().map(|b| random_array(&b.aval, &mut random)).collect();
        check_calls(&program, &arrays).map(drop)
    });
}

/// Moving the last handle of an argument donates its memory to the result; keeping a handle does not.
#[test]
fn a_result_takes_the_memory_that_is_given_away() {
    let aval = Aval::new(DType::F32, [5]);
    let program = trace("f", &[aval], |args| vec![Array::from(&args[0]).exp().into()]).program;
    let executable = compile(&program, &[], 1).unwrap_or_else(|error| panic!("{error}"));
    let call = |x: Value| {
        let out = executable.call(vec![x], &Sizes::new()).unwrap_or_else(|error| panic!("{error}"));
        out[0].to_host().expect("it is computed")
    };
    let place = |array: &HostArray| array.as_slice::<f32>().as_ptr();
    let x = HostArray::new(&[5], vec![0.0f32; 5]);
    let given = place(&x);
    let out = call(x.into());
    assert_eq!((place(&out), out.as_slice::<f32>()), (given, &[1.0f32; 5][..]));
    let x: Value = HostArray::new(&[5], vec![0.0f32; 5]).into();
    let out = call(x.clone());
    let x = x.to_host().expect("it is here");
    assert_ne!(place(&out), place(&x));
    assert_eq!(x.as_slice::<f32>(), [0.0; 5]);
}

/// One buffer passed as two arguments has no last handle, even if both are donated.
#[test]
fn one_buffer_may_be_two_arguments() {
    let aval = Aval::new(DType::F32, [3]);
    let program = trace("f", &[aval.clone(), aval], |args| {
        let [x, y] = [&args[0], &args[1]].map(Array::from);
        vec![(&x * 2.0).into(), (&x + &y).into()]
    })
    .program;
    for threads in [1, 2] {
        let executable = compile(&program, &[], threads).unwrap_or_else(|error| panic!("{error}"));
        let x: Value = HostArray::new(&[3], vec![1.0f32, 2.0, 3.0]).into();
        let outs = executable.call(vec![x.clone(), x], &Sizes::new()).unwrap_or_else(|error| panic!("{error}"));
        for out in outs {
            assert_eq!(out.to_host().expect("it is computed").as_slice::<f32>(), [2.0, 4.0, 6.0]);
        }
    }
}

/// A function of arrays with symbolic axes.
struct Symbolic {
    name: &'static str,
    avals: Vec<Aval>,
    f: fn(&[Array]) -> Vec<Array>,
    /// Whether the first three arguments are segments.
    on_segments: bool,
}

impl Symbolic {
    fn trace(&self, avals: &[Aval]) -> Program {
        let f = |args: Vec<Value>| {
            let args: Vec<Array> = args.iter().map(Array::from).collect();
            (self.f)(&args).into_iter().map(Value::from).collect()
        };
        let Traced { program, consts } = trace(self.name, avals, f);
        assert!(consts.is_empty(), "it captures nothing");
        program
    }

    /// The arguments for these sizes, followed by `more` of these types.
    fn arrays(&self, sizes: &Sizes, more: &[Aval]) -> Vec<HostArray> {
        let mut random = Random::new(12);
        let mut arrays = vec![];
        if self.on_segments {
            let size = |symbol: &str| sizes.get(&Symbol::new(symbol)).expect("it has a size");
            arrays.extend(random_segments(size("n"), size("e"), &mut random));
        }
        let rest = self.avals[arrays.len()..].iter().chain(more);
        arrays.extend(rest.map(|aval| random_array(&aval.at(sizes), &mut random)));
        arrays
    }
}

fn symbolic() -> Vec<Symbolic> {
    let (n, e) = (Dim::symbol("n"), Dim::symbol("e"));
    let f32 = |shape: &[Dim]| Aval::new(DType::F32, shape);
    let i32 = |extent: Dim| Aval::new(DType::I32, [extent]);
    vec![
        Symbolic {
            name: "layer",
            avals: vec![f32(&[n.clone(), 6.into()]), f32(&[6.into(), 5.into()])],
            f: |args| {
                let h = args[0].matmul(&args[1]);
                vec![softmax(&h, -1), h.tanh().mean(0)]
            },
            on_segments: false,
        },
        Symbolic {
            name: "gram",
            avals: vec![f32(&[n.clone(), 4.into()])],
            f: |args| vec![args[0].t().matmul(&args[0]), args[0].exp().t().flatten(), args[0].max(())],
            on_segments: false,
        },
        Symbolic {
            name: "attention",
            avals: vec![
                i32(e.clone()),
                i32(&n + 1),
                i32(e.clone()),
                f32(&[n.clone(), 8.into()]),
                f32(std::slice::from_ref(&e)),
                f32(&[8.into()]),
            ],
            f: |args| {
                let [ids, offsets, order, x, scores, a] = args else { panic!("six arguments") };
                let receivers = Segments { ids: ids.clone(), offsets: offsets.clone(), order: Some(order.clone()) };
                let weights = receivers.softmax(&(scores + receivers.gather(&x.matmul(&a.reshape([8, 1])).flatten())));
                let messages = receivers.gather(x) * weights.reshape([weights.dim(0), 1.into()]);
                let sums = receivers.sum(&messages);
                vec![sums.sum(()), sums, weights]
            },
            on_segments: true,
        },
    ]
}

/// The sizes of successive calls.
fn rounds() -> Vec<Sizes> {
    [(1, 3), (7, 40), (300, 5000)]
        .map(|(n, e)| {
            let mut sizes = Sizes::new();
            sizes.set(Symbol::new("n"), n).expect("it has no size yet");
            sizes.set(Symbol::new("e"), e).expect("it has no size yet");
            sizes
        })
        .to_vec()
}

/// The sizes of the program's own symbols.
fn own_sizes(program: &Program, all: &Sizes) -> Sizes {
    let mut sizes = Sizes::new();
    for symbol in program.symbols() {
        sizes.set(symbol.clone(), all.get(&symbol).expect("it has a size")).expect("it has no size yet");
    }
    sizes
}

#[test]
fn one_executable_serves_every_size() {
    check_all(symbolic().into_iter().map(|case| (case.name.to_string(), case)), |case| {
        for transformed in [None, Some(vjp_program as fn(&Program) -> Program)] {
            let apply = |program: Program| transformed.map_or(program.clone(), |f| f(&program));
            let program = apply(case.trace(&case.avals));
            let more: Vec<Aval> = program.args[case.avals.len()..].iter().map(|b| b.aval.clone()).collect();
            let executable = compile(&program, &[], 2)?;
            // Machine code may add in another order where a size is known; the portable target never does.
            let portable = compile_to(Target::Portable, &program, &[], 2)?;
            // The first sizes again at the end: nothing of other sizes may remain.
            for all in rounds().iter().chain(&rounds()[..1]) {
                let sizes = own_sizes(&program, all);
                let arrays = case.arrays(all, &more);
                let found = executable.call(values(&arrays), &sizes).map_err(|error| error.to_string())?;
                let avals: Vec<Aval> = case.avals.iter().map(|aval| aval.at(&sizes)).collect();
                let numeric = apply(case.trace(&avals));
                let wanted = compile_to(Target::Portable, &numeric, &[], 1)?;
                let wanted = wanted.call(values(&arrays), &Sizes::new()).map_err(|error| error.to_string())?;
                let same = portable.call(values(&arrays), &sizes).map_err(|error| error.to_string())?;
                if bits(&same) != bits(&wanted) {
                    return Err(format!("{sizes:?}: {same:?}, not {wanted:?}\n{program}\n{numeric}"));
                }
                let found: Vec<HostArray> =
                    found.iter().map(|value| HostArray::clone(&value.to_host().expect("it is computed"))).collect();
                if let Some(why) = difference(&found, &run(&program, &arrays), 1e-4) {
                    return Err(format!("{sizes:?}: {why}\n{program}"));
                }
                check_calls(&program, &arrays)?;
            }
        }
        Ok(())
    });
}

#[test]
fn arrays_of_other_types_are_refused() {
    let aval = Aval::new(DType::F32, [4]);
    let program =
        trace("double", &[aval], |args| vec![Array::from(&args[0]) * 2.0].into_iter().map(Value::from).collect());
    let executable = compile(&program.program, &[], 1).unwrap_or_else(|why| panic!("{why}"));
    let call = |arrays: Vec<HostArray>| {
        executable
            .call(arrays.into_iter().map(Value::from).collect(), &Sizes::new())
            .map(|_| ())
            .map_err(|e| e.to_string())
    };
    assert_eq!(call(vec![HostArray::new(&[4], vec![1f32; 4])]), Ok(()));
    let error = call(vec![HostArray::new(&[3], vec![1f32; 3])]).expect_err("another extent");
    assert!(error.contains("array 0 is f32[3], and must be f32[4]"), "{error}");
    assert!(call(vec![HostArray::new(&[4], vec![1f64; 4])]).is_err(), "another element type");
    assert!(call(vec![]).expect_err("too few").contains("takes 1 arrays, not 0"));
}

/// Hand-made segments that are inconsistent: an error, on any number of threads.
#[test]
fn broken_segments_are_errors() {
    let sum = |threads: usize, offsets: Vec<i32>, order: Option<Vec<i32>>, n: usize| {
        let threads = NonZeroUsize::new(threads).expect("not zero");
        let options = Options { threads, shares_all: true, ..Options::default() };
        let segments = Segments {
            ids: Array::new(&[n], (0..n).map(|member| (member / 2) as i32).collect()),
            offsets: Array::new(&[offsets.len()], offsets),
            order: order.clone().map(|order| Array::new(&[order.len()], order)),
        };
        let data = Array::new(&[n], vec![1f32; n]);
        jit_with(|s: Segments, x: Array| s.sum(&x), options).try_call((segments, data)).map(|x| x.to_vec::<f32>())
    };
    let many: Vec<i32> = (0..201).collect();
    for threads in [1, 2, 3] {
        for order in [Some(vec![0, 1, 2]), None] {
            let sum = |offsets: Vec<i32>| sum(threads, offsets, order.clone(), 3);
            assert_eq!(sum(vec![0, 2, 3]).ok(), Some(vec![2.0, 1.0]));
            assert!(sum(vec![0, 7, 3]).is_err(), "not sorted");
            assert!(sum(vec![0, 2, 9]).is_err(), "too many members");
            assert!(sum(vec![-1, 2, 3]).is_err(), "negative");
        }
        assert!(sum(threads, vec![0, 2, 3], Some(vec![0, 5, 2]), 3).is_err(), "no such member");
        let mut mixed = many.clone();
        mixed.reverse();
        for order in [Some((0..200).collect()), None] {
            assert!(sum(threads, mixed.clone(), order, 200).is_err(), "falling");
        }
    }
}

/// Of several out-of-bounds positions, the error names the one that a single thread finds first, whichever thread finds
/// which.
#[test]
fn of_several_failures_the_first_is_reported() {
    let program = "program @f(%0: f32[900,3], %1: i32[5000]) -> (f32[5000,3]) {
           %2: f32[5000,3] = gather %0, %1 {axis=0}
           %3: f32[5000,3] = exp %2
           return %3 }";
    let program = parse(program, gavotte::registry()).unwrap_or_else(|error| panic!("{error}"));
    let rows = HostArray::new(&[900, 3], vec![0.5f32; 2700]);
    for wrong in [vec![4999], vec![1700, 1701, 4999], (0..40).map(|i| 130 * i + 2).filter(|i| *i < 5000).collect()] {
        let ids = (0..5000).map(|i| if wrong.contains(&i) { 1000 + i } else { i % 900 }).collect();
        let ids = HostArray::new(&[5000], ids);
        for target in [Target::Portable, Target::native()] {
            let mut told = None;
            for threads in [1, 2, 3, 7] {
                let executable = compile_to(target, &program, &[], threads).unwrap_or_else(|why| panic!("{why}"));
                for _ in 0..20 {
                    let args = values(&[rows.clone(), ids.clone()]);
                    let error = executable.call(args, &Sizes::new()).expect_err("it is out of bounds").to_string();
                    assert!(error.contains("is not in 0..900"), "{error}");
                    assert_eq!(*told.get_or_insert_with(|| error.clone()), error, "{target:?}, {threads} threads");
                }
            }
        }
    }
}

#[test]
fn small_runs_wake_no_threads() {
    let woken = |n: usize, calls: usize| {
        let text = format!(
            "program @f(%0: f32[{n}]) -> (f32[{n}]) {{ %1: f32[{n}] = exp %0 %2: f32[{n}] = tanh %1 return %2 }}"
        );
        let program = parse(&text, gavotte::registry()).unwrap_or_else(|error| panic!("{error}"));
        let options = Options { threads: NonZeroUsize::new(3).expect("not zero"), ..Options::default() };
        let executable = Executable::compile(&program, &[], &options).unwrap_or_else(|error| panic!("{error}"));
        let x = HostArray::new(&[n], vec![0.5f32; n]);
        for _ in 0..calls {
            executable.call(values(std::slice::from_ref(&x)), &Sizes::new()).unwrap_or_else(|error| panic!("{error}"));
            // Between runs all threads sleep.
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        executable.n_woken()
    };
    assert_eq!(woken(100, 50), 0);
    assert!((1..=100).contains(&woken(1_000_000, 50)), "two threads help");
}

/// A sum whose products are stored runs over other tiles than one whose products are not: the bits are the same on the
/// portable target. Machine code does not round a product that only a sum reads.
#[test]
fn what_is_stored_changes_no_bit_of_a_sum() {
    let mut random = Random::new(11);
    let sizes = [5usize, 37, 0, 100, 1, 23, 64, 9, 250];
    let ids: Vec<i32> = sizes.iter().enumerate().flat_map(|(s, n)| std::iter::repeat_n(s as i32, *n)).collect();
    let (n, width) = (ids.len(), 64);
    let segments = Segments::new(&ids, sizes.len()).expect("in bounds");
    let mut floats = |n: usize| (0..n).map(|_| random.float() as f32).collect::<Vec<f32>>();
    let (weights, rows) = (Array::new(&[n], floats(n)), Array::new(&[n, width], floats(n * width)));
    let bits = |sum: Array| sum.to_vec::<f32>().into_iter().map(f32::to_bits).collect::<Vec<u32>>();
    let product = |w: &Array, x: &Array| w.expand_dims(-1) * x;
    let options = Options { target: Target::Portable, ..Options::default() };
    let within = jit_with(|s: Segments, w: Array, x: Array| s.sum(&product(&w, &x)), options.clone());
    let stored = jit_with(
        |s: Segments, w: Array, x: Array| {
            let products = product(&w, &x);
            (s.sum(&products), products)
        },
        options,
    );
    let (sum, products) = stored(segments.clone(), weights.clone(), rows.clone());
    assert_eq!(products.shape().len(), 2);
    assert_eq!(bits(within(segments, weights, rows)), bits(sum));
}

/// Not even the first position of an empty array is read.
#[test]
fn positions_of_an_empty_axis_are_refused() {
    let take = jit(|x: Array, ids: Array| x.take(&ids, 0).sin());
    let x = Array::new(&[0, 3], Vec::<f32>::new()).declare([Dim::symbol("n"), Dim::from(3)]);
    let error = take.try_call((x.clone(), Array::new(&[2], vec![0, 0]))).expect_err("there is no position 0");
    assert!(error.to_string().contains("position 0 is not in 0..0"), "{error}");
    let none = take(x, Array::new(&[0], Vec::<i32>::new()));
    assert_eq!(none.to_vec::<f32>(), Vec::<f32>::new());
}

/// A chain of a hundred thousand operations, on a thread with the stack size of tests.
#[test]
fn long_chains_need_no_stack() {
    const N: usize = 50_000;
    let run = || {
        let chain = |x: Array| (0..N).fold(x, |y, _| (y * 1.0001).tanh());
        let found = jit(chain)(Array::scalar(0.5f32)).item::<f32>();
        let wanted = (0..N).fold(0.5f32, |y, _| (y * 1.0001).tanh());
        assert!((found - wanted).abs() < 1e-4, "{found}, not {wanted}");
        let eager = chain(Array::scalar(0.5f32)).item::<f32>();
        assert!((eager - wanted).abs() < 1e-4, "{eager}, not {wanted}");
        let slope = jit(grad(move |x: Array| (0..N / 10).fold(x, |y, _| (y * 1.0001).sin())))(Array::scalar(0.5f32));
        assert!(slope.item::<f32>().is_finite());
        // The same elements in other shapes.
        let shapes = |x: Array| (0..N).fold(x, |y, i| y.reshape([[2, 8], [4, 4]][i % 2]));
        assert_eq!(jit(shapes)(Array::new(&[4, 4], vec![3f32; 16])).to_vec::<f32>(), [3f32; 16]);
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(run).expect("a thread starts");
    thread.join().expect("the thread ends");
}
