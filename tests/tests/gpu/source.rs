//! CUDA C: every kernel has a text, and NVRTC compiles it without a message and without spilling a register.
//!
//! The file tests show what kernels look like. `GAVOTTE_NVRTC` names the folder with NVRTC; tests that need it report
//! that they are skipped without it.

use gavotte::random::Key;
use gavotte::{Array, jit};
use gavotte_core::aval::{Dim, Sizes, Symbol};
use gavotte_core::codegen::cuda::{Argument, BLOCK, COMPILER_OPTIONS, Module, Width, has_kernels};
use gavotte_core::ir::Program;
use gavotte_core::kernel::{Kernel, KernelProgram, Step, parse_kernel};
use gavotte_core::pass::optimize;
use gavotte_gat::data::{PlantedSpec, Split, planted};
use gavotte_gat::model::GatConfig;
use gavotte_gat::train::{GatTraining, Trainer};
use gavotte_tests::cases::{BATCH, fits_gpu, gpu_cases, not_batched};
use gavotte_tests::generate::random_program;
use gavotte_tests::kernels::generate::random_kernel;
use gavotte_tests::kernels::operation::{operation, operations};
use gavotte_tests::nvrtc::Nvrtc;
use gavotte_tests::perceptron;
use gavotte_tests::transformed::{jvp_program, vjp_program, vmap_program};
use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Kernels per module: this many compile in about a second.
const OF_MODULE: usize = 50;
/// NVRTC makes PTX and machine code for each architecture.
const ARCHITECTURES: [&str; 3] = ["sm_75", "sm_80", "sm_90"];

/// Kernels with distinct names, as texts of modules, and the number of functions in each module.
fn modules(kernels: &[Kernel], width: Width) -> Vec<(String, usize)> {
    let module = |kernels: &[Kernel]| {
        let mut module = Module::new();
        for kernel in kernels {
            module.push(kernel, width, "").unwrap_or_else(|why| panic!("{why}\n{kernel}"));
        }
        (module.text(), module.sources().iter().map(|source| source.functions.len()).sum())
    };
    kernels.chunks(OF_MODULE).map(module).collect()
}

/// Compiles a module. Any message of the compiler is an error, and so is a spilled register.
fn check_module(nvrtc: &Nvrtc, text: &str, n_function: usize, architecture: &str) -> Result<(), String> {
    let architecture_option = format!("--gpu-architecture={architecture}");
    let mut options = COMPILER_OPTIONS.to_vec();
    options.extend([architecture_option.as_str(), "--ptxas-options=-v"]);
    let compiled = nvrtc.compile(text, &options)?;
    let n_entry = compiled.ptx.matches(".visible .entry").count();
    if n_entry != n_function {
        return Err(format!("{n_entry} functions of {n_function} are compiled"));
    }
    let is_virtual = architecture.starts_with("compute");
    let mut n_measured = 0;
    for line in compiled.log.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let is_measure = line.contains("bytes spill stores");
        n_measured += usize::from(is_measure);
        let is_clean = line.ends_with(" 0 bytes spill stores, 0 bytes spill loads");
        if !line.starts_with("ptxas") || is_measure && !is_clean || line.contains("warning") {
            return Err(format!("{architecture}: {}", compiled.log));
        }
    }
    if is_virtual != compiled.cubin.is_empty() || (!is_virtual && n_measured < n_function) {
        return Err(format!("{architecture}: {n_measured} functions of {n_function} are measured"));
    }
    Ok(())
}

/// Compiles kernels for every architecture, two modules at a time.
fn check_kernels(kernels: &[Kernel], width: Width) {
    check_kernels_for(ARCHITECTURES.len(), kernels, width);
}

/// Compiles each module for `n_architecture` of the architectures, in rotation.
fn check_kernels_for(n_architecture: usize, kernels: &[Kernel], width: Width) {
    let modules = modules(kernels, width);
    let Some(nvrtc) = Nvrtc::get() else {
        gavotte_tests::skip(&format!("{} kernels, as GAVOTTE_NVRTC names no folder with NVRTC", kernels.len()));
        return;
    };
    let of_module = |(i, module): (usize, _)| {
        (i..i + n_architecture).map(move |i| (module, ARCHITECTURES[i % ARCHITECTURES.len()]))
    };
    let work: Vec<(&(String, usize), &str)> = modules.iter().enumerate().flat_map(of_module).collect();
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(vec![]));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(((text, n), architecture)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(why) = check_module(nvrtc, text, *n, architecture) {
                        failures.lock().expect("no thread panics with it").push(why);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no thread panics with it");
    assert!(failures.is_empty(), "{} modules fail:\n{}", failures.len(), failures.join("\n\n"));
}

/// The kernels of a program and of its nested programs, as they run.
fn kernels_of(lowered: &KernelProgram) -> Vec<Kernel> {
    let of = |step: &Step| match step {
        Step::Kernel(kernel, _) => vec![kernel.clone()],
        Step::Eval(_) => vec![],
        Step::Control(step) => step.nested.iter().flat_map(kernels_of).collect(),
    };
    lowered.steps.iter().flat_map(of).collect()
}

fn lowered(program: &Program) -> Vec<Kernel> {
    let program = optimize(program);
    kernels_of(&KernelProgram::new(program).unwrap_or_else(|error| panic!("{error}")))
}

/// The kernels of a training step of the graph attention network.
fn attention_step() -> Vec<Kernel> {
    let dataset = planted(&mut Key::new(0).rng(), &PlantedSpec::cora()).unwrap_or_else(|error| panic!("{error}"));
    let (train, rest): (Vec<i32>, Vec<i32>) = (0..dataset.n_node() as i32).partition(|node| node % 20 == 0);
    let (val, test) = rest.into_iter().partition(|node| node % 4 == 1);
    let config = GatConfig::new(7);
    let experiment = config.experiment(&dataset, &Split { train, val, test });
    let experiment = experiment.unwrap_or_else(|error| panic!("{error}"));
    let trainer = Trainer::gat(config, GatTraining::default()).unwrap_or_else(|error| panic!("{error}"));
    let params = trainer.init(Key::new(1), &experiment).unwrap_or_else(|error| panic!("{error}"));
    let state = (trainer.optimizer.init_fun)(params);
    let args = (Array::scalar(0), state, experiment.inputs, Key::new(2));
    lowered(trainer.step.lower(args).unwrap_or_else(|error| panic!("{error}")).program())
}

/// The kernels of a training step of a perceptron.
fn perceptron_step() -> Vec<Kernel> {
    let widths = [784, 512, 256, 10];
    let (state, x, y) = perceptron::start(widths, 128);
    let step = jit(perceptron::step(widths));
    let args = (Array::scalar(0), state, x, y);
    lowered(step.lower(args).unwrap_or_else(|error| panic!("{error}")).program())
}

#[test]
fn random_kernels_compile() {
    let kernels: Vec<Kernel> = (0..2000).map(|seed| random_kernel(seed).kernel).collect();
    check_kernels_for(1, &kernels, Width::Narrow);
    check_kernels(&kernels[..100], Width::Wide);
}

/// The kernels of every sample of every primitive, of its derivatives and of its `vmap`, and of random programs: each once,
/// whatever its name.
#[test]
fn kernels_of_programs_compile() {
    let samples = gpu_cases().flat_map(|(_, case)| {
        let program = case.program();
        let in_axes: Vec<Option<usize>> = (0..case.ins.len()).map(|i| (!not_batched(&case, i)).then_some(0)).collect();
        let mapped = vmap_program(&program, &in_axes, &Dim::from(BATCH));
        let reversed = case.is_reversed().then(|| vjp_program(&program));
        [jvp_program(&program), mapped, program].into_iter().chain(reversed)
    });
    let random = (0..300).map(|seed| random_program(seed).0).filter(fits_gpu);
    let mut seen = HashSet::new();
    let mut kernels: Vec<Kernel> = samples.chain(random).flat_map(|program| lowered(&program)).collect();
    kernels.retain(|kernel| seen.insert(Kernel { name: "k".into(), ..kernel.clone() }.to_string()));
    assert!(kernels.len() > 300, "{} kernels", kernels.len());
    check_kernels(&kernels, Width::Narrow);
}

/// Needs no compiler: every kernel has a text.
#[test]
fn every_random_kernel_has_a_text() {
    for width in [Width::Narrow, Width::Wide] {
        let kernels: Vec<Kernel> = (0..2000).map(|seed| random_kernel(seed).kernel).collect();
        assert_eq!(modules(&kernels, width).len(), kernels.len() / OF_MODULE);
    }
}

#[test]
fn every_operation_on_every_type_compiles() {
    let kernels: Vec<Kernel> = operations()
        .map(|(op, dtype)| operation(op, dtype).kernel)
        .filter(|kernel| kernel.dtypes().into_iter().all(has_kernels))
        .collect();
    check_kernels(&kernels, Width::Narrow);
}

#[test]
fn training_steps_compile() {
    for (name, kernels) in [("attention", attention_step()), ("perceptron", perceptron_step())] {
        assert!(kernels.len() >= 10, "{name}: {} kernels", kernels.len());
        for width in [Width::Narrow, Width::Wide] {
            check_kernels(&kernels, width);
        }
    }
}

/// The suite itself: a warning and a spilled register are noticed, and so is a function that is not there.
#[test]
fn what_the_compiler_says_is_noticed() {
    let Some(nvrtc) = Nvrtc::get() else {
        gavotte_tests::skip("GAVOTTE_NVRTC names no folder with NVRTC");
        return;
    };
    let check = |text: &str, n| check_module(nvrtc, text, n, "sm_80");
    let right = "extern \"C\" __global__ void f(int* x) { x[threadIdx.x] = 1; }";
    assert_eq!(check(right, 1), Ok(()));
    assert!(check(right, 2).is_err_and(|why| why.contains("1 functions of 2")));
    let unused = "extern \"C\" __global__ void f(int* x) { int unused; x[threadIdx.x] = 1; }";
    assert!(check(unused, 1).is_err_and(|why| why.contains("never referenced")));
    assert!(check("extern \"C\" __global__ void f(int* x) { x = ; }", 1).is_err_and(|why| why.contains("expected")));
    // 64 numbers of 64 bits do not fit in 32 registers.
    let spills = "extern \"C\" __global__ void __launch_bounds__(1024, 2) f(double* x, int n) {
        double all[64];
        for (int i = 0; i < 64; ++i) all[i] = x[i * 32 + threadIdx.x];
        for (int k = 0; k < n; ++k)
            for (int i = 0; i < 64; ++i) all[i] = fma(all[i], all[(i + 1) % 64], x[k]);
        for (int i = 0; i < 64; ++i) x[i * 32 + threadIdx.x] = all[i];
    }";
    assert!(check(spills, 1).is_err_and(|why| why.contains("spill")));
}

/// Kernels with equal names, and kernels named like words of the language.
#[test]
fn functions_of_a_module_have_names_of_their_own() {
    let text = |name: &str| {
        format!("kernel @{name}(%0: f32[n]) -> (%1: f32[]) {{ reduce i0: n $0: f32 = load %0[i0] sum $0 -> %1 }}")
    };
    let mut module = Module::new();
    for name in ["sum_0", "sum_0", "int", "sum_0_fold", "fold"] {
        let kernel = parse_kernel(&text(name)).unwrap_or_else(|error| panic!("{error}"));
        module.push(&kernel, Width::Narrow, "").unwrap_or_else(|why| panic!("{why}"));
    }
    let names: Vec<&str> =
        module.sources().iter().flat_map(|source| &source.functions).map(|function| function.name.as_str()).collect();
    assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len(), "{names:?}");
    let text = module.text();
    names.iter().for_each(|name| assert_eq!(text.matches(&format!(" {name}(")).count(), 1, "{name}\n{text}"));
}

/// With too few members for a long segment, none is searched for; the offsets decide which segments are long.
#[test]
fn long_segments_are_searched_for_where_there_may_be_some() {
    let kernel = |members: &str| {
        let text = format!(
            "kernel @segment_sum_0(%0: i32[n+1], %1: f32[{members},3]) -> (%2: f32[n,3]) {{
                row i0: n row i1: 3 segment i2: {members} of i0 by %0
                $0: f32 = load %1[i2, i1]
                sum $0 -> %2 }}"
        );
        parse_kernel(&text).unwrap_or_else(|error| panic!("{error}"))
    };
    let mut module = Module::new();
    for members in ["e", "1024", "1025"] {
        module.push(&kernel(members), Width::Narrow, "").unwrap_or_else(|why| panic!("{why}"));
    }
    let launches = |source: usize, e: usize| {
        let mut sizes = Sizes::new();
        for (symbol, size) in [("n", 1000), ("e", e)] {
            sizes.set(Symbol::new(symbol), size).expect("it has no size yet");
        }
        let launches = module.sources()[source].launches(&sizes, BLOCK).expect("a GPU starts this many blocks");
        launches.iter().map(|launch| (launch.function, launch.grid, launch.block)).collect::<Vec<_>>()
    };
    // Eight warps per block, each with four lanes for rows; the other function has a block for each 256 segments.
    assert_eq!(launches(0, 1024), [(0, 94, 256)]);
    assert_eq!(launches(0, 1025), [(0, 94, 256), (1, 4, 256)]);
    assert_eq!((launches(1, 1).len(), launches(2, 1).len()), (1, 2));
}

/// A single part is the result itself: nothing is folded, and there is no scratch.
#[test]
fn short_reductions_are_one_launch() {
    let kernel = "kernel @sum_0(%0: f32[n]) -> (%1: f32[]) { reduce i0: n $0: f32 = load %0[i0] sum $0 -> %1 }";
    let kernel = parse_kernel(kernel).unwrap_or_else(|error| panic!("{error}"));
    let mut module = Module::new();
    module.push(&kernel, Width::Narrow, "").unwrap_or_else(|why| panic!("{why}"));
    let source = &module.sources()[0];
    let launches = |n: usize, block| source.launches(&sizes(n), block).expect("a GPU starts this many blocks");
    for n in [0, 1, 512] {
        let launches = launches(n, BLOCK);
        assert_eq!((launches.len(), source.scratch_bytes(&sizes(n))), (1, vec![0]), "{n} terms");
        assert_eq!(launches[0].arguments[..2], [Argument::Input(0), Argument::Output(0)]);
    }
    let two = launches(513, BLOCK);
    assert_eq!((two.len(), source.scratch_bytes(&sizes(513))), (2, vec![8]));
    assert_eq!(two[0].arguments[..2], [Argument::Input(0), Argument::Scratch(0)]);
    assert_eq!(two[1].arguments[..2], [Argument::Scratch(0), Argument::Output(0)]);
    // The sizes determine the parts: the threads of a block change only the number of blocks.
    for (a, b) in launches(1 << 20, 1024).iter().zip(&launches(1 << 20, 64)) {
        assert_eq!((&a.arguments, a.function), (&b.arguments, b.function));
    }
}

/// A launch has fewer than 2^31 blocks; more is an error that says so.
#[test]
fn too_many_blocks_are_an_error() {
    let kernel = parse_kernel(
        "kernel @neg_0(%0: f32[n]) -> (%1: f32[n]) { row i0: n $0: f32 = load %0[i0] $1: f32 = neg $0 store $1 -> %1 }",
    );
    let kernel = kernel.unwrap_or_else(|error| panic!("{error}"));
    let mut module = Module::new();
    module.push(&kernel, Width::Wide, "").unwrap_or_else(|why| panic!("{why}"));
    let most = 32 * i32::MAX as usize;
    assert!(module.sources()[0].launches(&sizes(most), 32).is_ok());
    let error = module.sources()[0].launches(&sizes(most + 1), 32).expect_err("there are too many blocks");
    assert!(error.to_string().contains("2147483648 blocks of 32 threads"), "{error}");
}

fn sizes(n: usize) -> Sizes {
    let mut sizes = Sizes::new();
    sizes.set(Symbol::new("n"), n).expect("it has no size yet");
    sizes
}
