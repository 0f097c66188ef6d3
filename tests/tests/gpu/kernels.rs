//! Random kernels as CUDA, on the emulator, against an evaluator of kernel IR; and planted mistakes.

use gavotte::device::cuda;
use gavotte_core::aval::{DType, Sizes};
use gavotte_core::codegen::cuda::has_kernels;
use gavotte_core::device::HostArray;
use gavotte_core::kernel::parse_kernel;
use gavotte_core::runtime::cuda::{KernelRun, run_changed_kernels, run_kernels};
use gavotte_emulator::driver::Session;
use gavotte_tests::gpu::machine;
use gavotte_tests::kernels::evaluate::{Outside, evaluate};
use gavotte_tests::kernels::generate::random_kernel;
use gavotte_tests::kernels::judge::compared;
use gavotte_tests::kernels::operation::{operation, operations};
use gavotte_tests::kernels::{Case, bytes};

const KERNELS: u64 = 320;
/// Kernels compiled together.
const TOGETHER: usize = 40;

/// The outputs' bytes of each case, with `block` threads in a block; or its error.
fn run(cases: &[Case], block: u32) -> Vec<Result<Vec<Vec<u8>>, String>> {
    let device = cuda(0).expect("the emulator is a GPU");
    let mut all = vec![];
    for cases in cases.chunks(TOGETHER) {
        let runs: Vec<KernelRun<'_>> = cases
            .iter()
            .map(|case| KernelRun { kernel: &case.kernel, sizes: &case.sizes, inputs: &case.inputs })
            .collect();
        let outputs = run_kernels(&device, &runs, block).unwrap_or_else(|error| panic!("{error}"));
        all.extend(outputs.into_iter().map(|outputs| match outputs {
            Ok(arrays) => Ok(arrays.iter().map(|array| bytes(array)).collect()),
            Err(error) => Err(error.to_string()),
        }));
    }
    all
}

/// How much the functions of CUDA's library may differ from Rust's.
fn relative(dtype: DType) -> f64 {
    if dtype == DType::F64 { 1e-14 } else { 1e-6 }
}

/// Checks that all cases compute what they should.
fn check(machine: &Session<'_>, cases: &[Case], found: &[Result<Vec<Vec<u8>>, String>]) -> usize {
    let mut n = 0;
    for (case, found) in cases.iter().zip(found) {
        let wanted = evaluate(case).unwrap_or_else(|Outside| panic!("the evaluator reads outside of an array"));
        let found = found.as_ref().unwrap_or_else(|why| panic!("{why}\n{}\n{case}", machine.report()));
        n += compared(case, found, &wanted, &relative).unwrap_or_else(|why| panic!("{why}\n{case}")).0;
    }
    assert_eq!(machine.report(), "");
    n
}

#[test]
fn random_kernels_compute_what_they_say_whatever_the_blocks() {
    let Some(machine) = machine("unwritten=refuse") else { return };
    let cases: Vec<Case> = (0..KERNELS).map(random_kernel).collect();
    let found = run(&cases, 256);
    assert!(check(&machine, &cases, &found) > 10_000);
    for block in [32, 1024] {
        let other = run(&cases, block);
        for ((case, a), b) in cases.iter().zip(&found).zip(&other) {
            assert_eq!(a, b, "blocks of {block} threads\n{case}");
        }
    }
    assert_eq!(machine.report(), "");
}

#[test]
fn every_operation_on_every_type() {
    let Some(machine) = machine("unwritten=refuse") else { return };
    let cases: Vec<Case> = operations()
        .map(|(op, dtype)| operation(op, dtype))
        .filter(|case| case.kernel.dtypes().into_iter().all(has_kernels))
        .collect();
    let found = run(&cases, 256);
    assert!(check(&machine, &cases, &found) > 1000);
}

/// An out-of-bounds position: the kernel reports it, and touches nothing else.
#[test]
fn positions_outside_are_reported() {
    let Some(machine) = machine("") else { return };
    let text = "kernel @take_7(%0: f32[5], %1: i32[40]) -> (%2: f32[40]) {
        row i0: 40
        $0: i32 = load %1[i0]
        $1: f32 = load %0[$0]
        store $1 -> %2 }";
    let kernel = parse_kernel(text).unwrap_or_else(|error| panic!("{error}"));
    for (wrong, at) in [(5, 3), (-1, 39), (i32::MAX, 0)] {
        let mut positions: Vec<i32> = (0..40).map(|i| i % 5).collect();
        positions[at] = wrong;
        let inputs = vec![HostArray::new(&[5], vec![0f32; 5]), HostArray::new(&[40], positions)];
        let case = Case { seed: 0, kernel: kernel.clone(), sizes: Sizes::new(), inputs };
        let said = run(&[case], 256).remove(0).expect_err("it reads outside");
        assert_eq!(said, format!("@take_7: position {wrong} is not in 0..5"));
    }
    assert_eq!(machine.report(), "");
}

/// A matrix product, whose blocks share tiles, with a mistake in its text or its launch.
fn planted(text: &dyn Fn(String) -> String, grid: &dyn Fn(u32) -> u32) -> (bool, String) {
    let machine = machine("unwritten=refuse").expect("asked before");
    let product = "kernel @dot_general_0(%0: f32[70,90], %1: f32[90,80]) -> (%2: f32[70,80]) {
        row i0: 70 row i1: 80 reduce i2: 90
        $0: f32 = load %0[i0, i2]
        $1: f32 = load %1[i2, i1]
        $2: f32 = mul $0, $1
        sum $2 -> %2 }";
    let kernel = parse_kernel(product).unwrap_or_else(|error| panic!("{error}"));
    let inputs = [HostArray::new(&[70, 90], vec![1f32; 6300]), HostArray::new(&[90, 80], vec![1f32; 7200])];
    let device = cuda(0).expect("the emulator is a GPU");
    let run = KernelRun { kernel: &kernel, sizes: &Sizes::new(), inputs: &inputs };
    let outputs = run_changed_kernels(&device, &[run], 256, text, |launch| launch.grid = grid(launch.grid));
    let is_right = match outputs.map(|mut outputs| outputs.remove(0)) {
        Ok(Ok(arrays)) => bytes(&arrays[0]) == 90f32.to_le_bytes().repeat(5600),
        Ok(Err(_)) | Err(_) => false,
    };
    (is_right, machine.report())
}

#[test]
fn planted_mistakes_are_each_noticed() {
    if machine("").is_none() {
        return;
    }
    let same = |text: String| text;
    assert_eq!(planted(&same, &|grid| grid), (true, String::new()));
    let beyond = |text: String| {
        assert!(text.contains("v2["), "{text}");
        text.replace("v2[", "v2[100 + ")
    };
    let (is_right, report) = planted(&beyond, &|grid| grid);
    assert!(!is_right && report.contains("of an allocation of 22528 bytes"), "{report}");
    let without_barrier = |text: String| {
        assert!(text.contains("__syncthreads();"), "{text}");
        text.replace("__syncthreads();", "")
    };
    let (is_right, report) = planted(&without_barrier, &|grid| grid);
    assert!(!is_right && report.contains("race"), "{report}");
    let (is_right, report) = planted(&same, &|grid| grid - 1);
    assert!(!is_right && report.contains("never written"), "a block is missing: {report}");
    let (is_right, report) = planted(&same, &|grid| grid + 3);
    assert!(!is_right || report.is_empty(), "blocks too many may do nothing: {report}");
}
