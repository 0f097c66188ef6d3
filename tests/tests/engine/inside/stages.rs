//! Lowering and compiling as steps of their own; costs and memory before the first run.

use super::{refusal, vector};
use gavotte::segment::Segments;
use gavotte::{
    Array, Compiled, Dim, Error, Lowered, Stage, Tree, cond, debug_print, jit, make_program, scan, vmap, while_loop,
};
use gavotte_core::ir::{PrintOptions, parse};
use gavotte_core::kernel::Cost;
use gavotte_core::runtime::cuda::{GPUS, Gpu};
use gavotte_core::runtime::{Machine, StepKind};
use gavotte_tests::refused::assert_has;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Tree, Clone)]
struct Model {
    w: Array,
    b: Array,
    #[tree(static)]
    power: i32,
}

fn model(n: usize, power: i32) -> Model {
    Model { w: Array::new(&[n, 2], vec![0.5f32; 2 * n]), b: vector(&[1.0, -1.0]), power }
}

fn apply(model: &Model, x: &Array) -> Array {
    (x.matmul(&model.w) + &model.b).powi(model.power)
}

fn rows(n: usize, width: usize) -> Array {
    Array::new(&[n, width], (0..n * width).map(|i| i as f32 * 0.25).collect())
}

fn text(lowered: &Lowered<impl Sized, impl Sized>, stage: Stage) -> String {
    lowered.text(stage, PrintOptions::default()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_function_is_traced_once_lowered_and_compiled() -> Result<(), Error> {
    let traces = AtomicUsize::new(0);
    let f = jit(|m: Model, x: Array| {
        traces.fetch_add(1, Ordering::Relaxed);
        apply(&m, &x)
    });
    let lowered = f.lower((model(3, 2), rows(4, 3)))?;
    let compiled = lowered.compile()?;
    assert_eq!((traces.load(Ordering::Relaxed), f.n_entry()), (1, 1), "lowering traces, compiling does not");
    for x in [rows(4, 3), rows(4, 3) * 2f32] {
        assert_eq!(compiled(model(3, 2), x.clone()).to_vec::<f32>(), f(model(3, 2), x).to_vec::<f32>());
    }
    assert_eq!(traces.load(Ordering::Relaxed), 1, "and neither do calls");
    for stage in [Stage::Traced, Stage::Optimized] {
        let text = text(&lowered, stage);
        assert_eq!(parse(&text, gavotte::registry())?.to_string(), text);
    }
    let shown: Vec<String> = [Stage::Fused, Stage::Kernels, Stage::Plan].map(|stage| text(&lowered, stage)).to_vec();
    assert_has(&shown.concat(), &["store ", "kernel @dot_general_0", "plan for fixed sizes", " flops, "]);
    let program = make_program(&|m: Model, x: Array| apply(&m, &x), (model(3, 2), rows(4, 3)));
    assert_eq!(program.eqns, lowered.program().eqns, "`make_program` records the same");
    Ok(())
}

#[test]
fn a_compiled_function_refuses_what_it_was_not_lowered_for() -> Result<(), Error> {
    let f = jit(|m: Model, x: Array| apply(&m, &x));
    let compiled = f.lower((model(3, 2), rows(4, 3)))?.compile()?;
    let refused = |m: Model, x: Array| refusal(compiled.try_call((m, x)));
    let lower_again = "a compiled function takes what it was lowered for: call the function of `jit`, or lower again";
    let message = refused(model(5, 2), rows(4, 3));
    assert_has(&message, &["argument 0, leaf `0.w`: axis 0 is 5, and must be 3", "f32[5,2]", "f32[3,2]"]);
    assert_has(&message, &[lower_again]);
    assert_has(&refused(model(3, 2), rows(9, 3)), &["argument 1: axis 0 is 9, and must be 4"]);
    assert_has(&refused(model(3, 2), rows(4, 3).reshape([12])), &["argument 1: there are 1 axes, and must be 2"]);
    let doubles = Array::new(&[4, 3], vec![0f64; 12]);
    assert_has(&refused(model(3, 2), doubles), &["argument 1: elements are f64, and must be f32"]);
    assert_has(&refused(model(3, 7), rows(4, 3)), &["argument 0, leaf `0.power` is 7, and must be 2"]);
    assert_eq!(f.n_entry(), 1, "nothing was traced");

    let sum = jit(|xs: Vec<Array>| xs.iter().fold(Array::scalar(0f32), |sum, x| sum + x.sum(())));
    let two = sum.lower((vec![vector(&[1.0]), vector(&[2.0])],))?.compile()?;
    assert_has(&refusal(two.try_call((vec![vector(&[1.0])],))), &["argument 0 is Vec of 1, and must be Vec of 2"]);
    Ok(())
}

#[test]
fn symbols_take_any_size() -> Result<(), Error> {
    let scale = jit(|x: Array, y: Array| x * 2f32 + y);
    let named = |x: Array| x.declare([Dim::from("n"), Dim::from(3)]);
    let compiled: Compiled<'_, _, _> = scale.lower((named(rows(4, 3)), named(rows(4, 3))))?.compile()?;
    assert_eq!(compiled(named(rows(7, 3)), named(rows(7, 3))).to_vec::<f32>().len(), 21);
    assert_eq!(compiled(rows(2, 3), rows(2, 3)).to_vec::<f32>().len(), 6, "an undeclared axis fits by its size");
    assert_has(&refusal(compiled.try_call((rows(2, 3), rows(5, 3)))), &["`n` is 2 at argument 0 and 5 at argument 1"]);
    assert_has(&refusal(compiled.try_call((rows(2, 4), rows(2, 4)))), &["argument 0: axis 1 is 4, and must be 3"]);
    Ok(())
}

#[test]
fn a_compiled_function_within_others_is_a_call() -> Result<(), Error> {
    let square = jit(|x: Array| &x * &x).lower((Array::scalar(0f32),))?.compile()?;
    assert_eq!(vmap(&square, [Some(0)])(vector(&[1.0, 2.0, 3.0])).to_vec::<f32>(), [1.0, 4.0, 9.0]);
    assert_eq!(gavotte::grad(&square)(Array::scalar(3f32)).item::<f32>(), 6.0);
    assert_eq!(jit(&square)(Array::scalar(3f32)).item::<f32>(), 9.0);
    Ok(())
}

#[test]
fn what_lower_refuses_is_an_error() {
    let product = jit(|x: Array, w: Array| x.matmul(&w));
    assert_has(&refusal(product.lower((rows(2, 3), rows(4, 5)))), &["f32[2,3]", "f32[4,5]", "stages.rs"]);
}

#[test]
fn a_matrix_product_costs_two_flops_for_each_triple() -> Result<(), Error> {
    let lowered = jit(|x: Array, w: Array| x.matmul(&w)).lower((rows(4, 5), rows(5, 6)))?;
    let cost = lowered.cost_analysis();
    let by_hand = Cost { flops: 2 * 4 * 5 * 6, transcendentals: 0, bytes_read: 4 * (20 + 30), bytes_written: 4 * 24 };
    assert_eq!(cost.total, by_hand);
    assert_eq!(cost.steps.len(), 1);
    assert_eq!(lowered.compile()?.cost_analysis().total, by_hand);
    assert_has(&cost.to_string(), &["@dot_general_0: 240 flops, 0 transcendentals, reads 200 bytes, writes 96"]);
    let cost = "; 240 flops, 0 transcendentals, reads 200 bytes, writes 96";
    assert_has(&text(&lowered, Stage::Plan), &[cost]);
    // On a machine of this many bytes and operations a second, 296 bytes take longer than 240 operations.
    let plan = |bytes_per_s: f64, flop_per_s: f64| {
        let machine = Machine { threads: 1, bytes_per_s, flop_per_s };
        lowered.executable().plan_text(lowered.sizes(), Some(&machine))
    };
    let bytes = format!("{cost}; at least 296.00 us for bytes, should reach 100%");
    assert_has(&plan(1e6, 1e9)?, &["the machine with 1 thread: 0.0 GB/s, 1.0 GFLOP/s", &bytes]);
    // 50 loads, 120 multiply-adds and 24 stores take longer than the multiply-adds of 240 operations.
    let operations = format!("{cost}; at least 240.00 us for operations, should reach 62%");
    assert_has(&plan(1e9, 1e6)?, &[&operations]);
    Ok(())
}

#[test]
fn a_chain_of_elementwise_operations_reads_and_writes_once() -> Result<(), Error> {
    let f = jit(|x: Array| (&x * 2f64 + 1f64).exp() / &x);
    let cost = f.lower((Array::new(&[10], vec![1f64; 10]),))?.cost_analysis().total;
    // a product, a sum and a quotient; one exponential; ten doubles in, ten out
    assert_eq!(cost, Cost { flops: 30, transcendentals: 10, bytes_read: 80, bytes_written: 80 });
    Ok(())
}

#[test]
fn members_of_segments_count_by_their_total() -> Result<(), Error> {
    let segments = Segments::new(&[0, 2, 2, 0, 2], 3)?.with_symbols("n", "e");
    let lowered =
        jit(|s: Segments, x: Array| s.sum(&x)).lower((segments, rows(5, 3).declare([Dim::from("e"), Dim::from(3)])))?;
    assert!(!lowered.sizes().is_empty(), "its sizes are symbols");
    // one sum for each of 5 members of 3 features; the data, 4 offsets and the order of 5 in, 3 rows out
    let read = 4 * (15 + 4 + 5);
    let by_hand = Cost { flops: 15, transcendentals: 0, bytes_read: read, bytes_written: 4 * 9 };
    assert_eq!(lowered.cost_analysis().total, by_hand);
    Ok(())
}

#[test]
fn steps_of_the_interpreter_count_their_arrays() -> Result<(), Error> {
    let ids = Array::new(&[5], vec![0i32, 3, 3, 1, 0]);
    let rows_of = |x: Array, ids: Array| x.take(&ids, 0).sum(());
    let cost = jit(gavotte::grad(rows_of)).lower((rows(4, 2), ids))?.cost_analysis();
    let step = cost.steps.iter().find(|step| step.kind == StepKind::Interpreted);
    // zeros of 4 rows, 5 numbers and 5 rows in, 4 rows out
    let by_hand = Cost { bytes_read: 4 * (8 + 5 + 10), bytes_written: 4 * 8, ..Cost::default() };
    assert_eq!(step.map(|step| (step.name.as_str(), &step.cost)), Some(("scatter_add", &by_hand)));
    assert_has(&cost.to_string(), &["@scatter_add through the interpreter"]);
    Ok(())
}

#[test]
fn the_peak_is_arguments_constants_arena_and_results() -> Result<(), Error> {
    let n = 64;
    let bytes = 4 * n * n;
    let shift = rows(n, n);
    let f = jit(move |x: Array| (x.matmul(&x) + &shift).tanh());
    let lowered = f.lower((rows(n, n),))?;
    let memory = lowered.memory_analysis()?;
    let found = (memory.arguments, memory.constants, memory.results, memory.temporaries);
    assert_eq!(found, (bytes, bytes, bytes, bytes), "the product lives in the arena");
    assert_eq!(memory.peak, 4 * bytes + memory.threads);
    assert_eq!(memory.results + memory.temporaries, lowered.executable().plan(lowered.sizes())?.bytes());
    let [donation] = &memory.donations[..] else { panic!("{memory}") };
    assert_eq!((donation.argument, donation.result, donation.bytes, memory.donated()), (0, 0, bytes, bytes));
    let peak = format!("peak {} bytes, 16384 less if arguments are donated", memory.peak);
    assert_has(&memory.to_string(), &[&peak]);
    assert_has(&text(&lowered, Stage::Plan), &[&peak, "steps 0-", "arena at 0"]);
    assert_eq!(lowered.compile()?.memory_analysis()?, memory);
    Ok(())
}

#[test]
fn costs_follow_the_sizes_of_symbols() -> Result<(), Error> {
    let f = jit(|x: Array| x.sum(1));
    for n in [3, 50] {
        let lowered = f.lower((rows(n, 4).declare([Dim::from("n"), Dim::from(4)]),))?;
        assert_eq!(lowered.cost_analysis().total.flops, 4 * n as u64);
        assert_eq!(lowered.memory_analysis()?.arguments, (16 * n).next_multiple_of(64));
    }
    assert_eq!(f.n_entry(), 1);
    Ok(())
}

#[test]
fn loops_count_their_iterations_and_branches_the_costliest() -> Result<(), Error> {
    let x = || Array::scalar(1f32);
    let sum = jit(|x: Array, xs: Array| scan(|sum: Array, x: Array| ((sum * 2f32 + x).exp(), ()), x, xs).0);
    let cost = sum.lower((x(), vector(&[1.0; 7])))?.cost_analysis();
    assert_eq!((cost.total.flops, cost.total.transcendentals), (2 * 7, 7));
    assert!(cost.steps.iter().any(|step| step.kind == StepKind::Iterations(7)), "{cost}");
    let grow = jit(|x: Array| while_loop(|x: Array| x.lt(100f32), |x: Array| x * 3f32 + 1f32, x));
    let cost = grow.lower((x(),))?.cost_analysis();
    assert_eq!(cost.total.flops, 2, "one iteration: {cost}");
    assert_has(&cost.to_string(), &["@while, each iteration: 2 flops"]);
    let either = jit(|x: Array| cond(x.gt(0f32), |x: Array| x.exp() * 2f32 + 1f32, |x: Array| x * 2f32, x));
    let cost = either.lower((x(),))?.cost_analysis();
    assert_eq!((cost.total.flops, cost.total.transcendentals), (2, 1), "{cost}");
    Ok(())
}

#[test]
fn the_module_for_other_compilers_is_a_stage() -> Result<(), Error> {
    let module = text(&jit(|x: Array| x.exp()).lower((vector(&[1.0]),))?, Stage::Stablehlo);
    assert_has(&module, &["func.func public @main", "stablehlo.exponential"]);
    let printing = jit(|x: Array| {
        debug_print("{}", &[&x]);
        x
    });
    let lowered = printing.lower((vector(&[1.0]),))?;
    let message = refusal(lowered.text(Stage::Stablehlo, PrintOptions::default()));
    assert_has(&message, &["debug_print: StableHLO has no printing on the host", "stages.rs:"]);
    Ok(())
}

#[test]
fn predictions_know_what_waits_for_what() -> Result<(), Error> {
    let h100 = Gpu::find("h100").expect("it is in the table");
    let alone = jit(|x: Array| x.sum(0)).lower((rows(4, 3),))?.predict(h100)?;
    let apart = jit(|x: Array, y: Array| (x.sum(0), y.sum(0))).lower((rows(4, 3), rows(5, 9)))?.predict(h100)?;
    let chain = jit(|x: Array| (&x * x.sum(0)).sum(0)).lower((rows(4, 3),))?.predict(h100)?;
    assert_eq!([&alone, &apart, &chain].map(|prediction| prediction.n_launch()), [1, 2, 2]);
    assert_eq!([&alone, &apart, &chain].map(|prediction| prediction.longest_path.launches), [1, 1, 2]);
    assert!(apart.branches_s() < apart.graph_s() && apart.branches_s() >= alone.branches_s());
    assert!(
        (chain.longest_path.seconds - chain.kernels.iter().map(|kernel| kernel.graph_s()).sum::<f64>()).abs() < 1e-12
    );
    assert_eq!(chain.traffic().read, chain.kernels.iter().map(|kernel| kernel.traffic.read).sum::<u64>());
    assert_eq!(chain.kernels[1].traffic.from_memory, 0, "what was read and written just before is in the cache");
    Ok(())
}

#[test]
fn predictions_are_for_the_sizes_lowered_for() -> Result<(), Error> {
    let double = jit(|x: Array| x * 2f32);
    for gpu in &GPUS {
        let of = |n: usize| {
            Ok(double.lower((rows(n, 1).declare([Dim::from("n"), Dim::from(1)]),))?.predict(gpu)?.kernels_s())
        };
        let (few, many): (f64, f64) = (of(10)?, of(1 << 22)?);
        assert!(many > 2.0 * few, "{}: {few} and {many}", gpu.name);
    }
    Ok(())
}

#[test]
fn loops_are_not_predicted() -> Result<(), Error> {
    let halve = jit(|x: Array| while_loop(|x: Array| x.gt(1.0), |x: Array| x * 0.5, x));
    let refused = refusal(halve.lower((Array::scalar(9f32),))?.predict(&GPUS[0]));
    assert_has(&refused, &["`while`", "cannot be predicted"]);
    Ok(())
}
