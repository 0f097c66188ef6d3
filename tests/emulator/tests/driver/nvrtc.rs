//! Kernels compiled by NVRTC. `GAVOTTE_NVRTC` names the folder of `libnvrtc.so.13`; without it these tests report that
//! they are skipped.

use crate::program::Program;
use cudarc::driver::sys::CUresult;
use cudarc::driver::{CudaFunction, CudaSlice, LaunchConfig, PushKernelArg};
use cudarc::nvrtc::{CompileOptions, Ptx, compile_ptx_with_opts};
use gavotte_emulator::driver::Emulator;
use std::io::Write;
use std::path::Path;
use std::sync::OnceLock;

const SOURCE: &str = include_str!("kernels.cu");

/// Whether NVRTC is available. If it is, it is loaded after the driver, which it asks for.
fn has_nvrtc() -> bool {
    static LOADED: OnceLock<Option<libloading::Library>> = OnceLock::new();
    let library = LOADED.get_or_init(|| {
        Emulator::get();
        let path = Path::new(&std::env::var_os("GAVOTTE_NVRTC")?).join("libnvrtc.so.13");
        // SAFETY: it is NVRTC, whose initialisation does nothing that matters here.
        Some(unsafe { libloading::Library::new(&path) }.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    });
    library.is_some()
}

/// The PTX of all kernels.
fn compile(options: &[&str]) -> Ptx {
    let options = options.iter().map(|option| option.to_string()).collect();
    let options = CompileOptions { options, name: Some("kernels.cu".into()), ..CompileOptions::default() };
    compile_ptx_with_opts(SOURCE, options).unwrap_or_else(|error| panic!("{error}"))
}

/// A program with a kernel for each of some targets, or nothing without NVRTC.
fn each_target(name: &str, check: impl Fn(&Program, &CudaFunction)) {
    if !has_nvrtc() {
        let _ = writeln!(std::io::stderr(), "skipped: GAVOTTE_NVRTC names no folder with libnvrtc.so.13");
        return;
    }
    for target in ["compute_75", "compute_80", "compute_90"] {
        let program = Program::new("compute=9.0");
        let function = program.function(compile(&["-arch", target, "-lineinfo"]), name);
        check(&program, &function);
        assert_eq!(program.session.counts().unwritten_reads, 0, "{target}: {}", program.session.report());
    }
}

fn blocks(grid: u32, block: u32, shared_mem_bytes: u32) -> LaunchConfig {
    LaunchConfig { grid_dim: (grid, 1, 1), block_dim: (block, 1, 1), shared_mem_bytes }
}

/// Launches a kernel with matching arguments, and waits.
macro_rules! launch {
    ($program:expr, $function:expr, $config:expr, $($arg:expr),*) => {{
        let mut launch = $program.stream.launch_builder($function);
        $(launch.arg($arg);)*
        // SAFETY: these are the kernel's parameters.
        unsafe { launch.launch($config) }.unwrap();
        $program.stream.synchronize().unwrap_or_else(|error| panic!("{error}: {}", $program.session.report()));
    }};
}

/// Numbers from -5 to 5, always the same.
fn numbers(count: usize) -> Vec<f32> {
    let mut state = 7u32;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 * 10.0 - 5.0
        })
        .collect()
}

fn zeros<T: cudarc::driver::DeviceRepr + cudarc::driver::ValidAsZeroBits>(program: &Program, n: usize) -> CudaSlice<T> {
    program.stream.alloc_zeros(n).unwrap()
}

#[track_caller]
fn assert_near(found: f64, expected: f64, relative: f64, what: &str) {
    let error = (found - expected).abs() / expected.abs().max(1e-30);
    assert!(error <= relative, "{what}: {found:e} for {expected:e}, off by {error:e}");
}

#[test]
fn vectors_are_added() {
    each_target("add", |program, add| {
        let (x, y) = (numbers(1000), numbers(1100)[100..].to_vec());
        let (dx, dy) = (program.stream.clone_htod(&x).unwrap(), program.stream.clone_htod(&y).unwrap());
        let mut z = zeros::<f32>(program, 1000);
        launch!(program, add, blocks(4, 256, 0), &dx, &dy, &mut z, &1000i32);
        let expected: Vec<f32> = x.iter().zip(&y).map(|(x, y)| x + y).collect();
        assert_eq!(program.stream.clone_dtoh(&z).unwrap(), expected);
    });
}

#[test]
fn rows_become_distributions() {
    each_target("softmax", |program, softmax| {
        let x = numbers(7 * 300);
        let dx = program.stream.clone_htod(&x).unwrap();
        let mut y = zeros::<f32>(program, x.len());
        launch!(program, softmax, blocks(7, 128, 512), &dx, &mut y, &300i32);
        let y = program.stream.clone_dtoh(&y).unwrap();
        for (x, y) in x.chunks(300).zip(y.chunks(300)) {
            let sum: f64 = x.iter().map(|&x| f64::from(x).exp()).sum();
            for (&x, &y) in x.iter().zip(y) {
                assert_near(y.into(), f64::from(x).exp() / sum, 2e-6, "softmax");
            }
        }
    });
}

#[test]
fn a_missing_barrier_is_a_race() {
    if !has_nvrtc() {
        let _ = writeln!(std::io::stderr(), "skipped: GAVOTTE_NVRTC names no folder with libnvrtc.so.13");
        return;
    }
    let program = Program::new("");
    let softmax = program.function(compile(&["-arch", "compute_80", "-lineinfo", "-DWITHOUT_BARRIER"]), "softmax");
    let x = program.stream.clone_htod(&numbers(300)).unwrap();
    let mut y = zeros::<f32>(&program, 300);
    let mut launch = program.stream.launch_builder(&softmax);
    launch.arg(&x).arg(&mut y).arg(&300i32);
    // SAFETY: these are the kernel's parameters.
    unsafe { launch.launch(blocks(1, 128, 512)) }.unwrap();
    assert_eq!(program.stream.synchronize().unwrap_err().0, CUresult::CUDA_ERROR_LAUNCH_FAILED);
    let report = program.session.report();
    let line = |text: &str| SOURCE.lines().position(|line| line.contains(text)).unwrap() + 1;
    for text in ["most = s[0];", "s[threadIdx.x] = sum;"] {
        assert!(report.contains("race") && report.contains(&format!("kernels.cu:{})", line(text))), "{report}");
    }
}

#[test]
fn sums_go_over_warps_and_blocks() {
    each_target("sum", |program, sum| {
        let x = numbers(10_000);
        let dx = program.stream.clone_htod(&x).unwrap();
        let mut y = zeros::<f32>(program, 1);
        launch!(program, sum, blocks(9, 256, 0), &dx, &mut y, &10_000i32);
        let expected: f64 = x.iter().map(|&x| f64::from(x)).sum();
        let size: f64 = x.iter().map(|&x| f64::from(x.abs())).sum();
        let found = f64::from(program.stream.clone_dtoh(&y).unwrap()[0]);
        assert!((found - expected).abs() < 1e-6 * size, "{found} for {expected}");
    });
}

#[test]
fn functions_are_right_to_some_units() {
    each_target("functions", |program, functions| {
        let x = numbers(500);
        let dx = program.stream.clone_htod(&x).unwrap();
        let mut y = zeros::<f32>(program, 10 * x.len());
        launch!(program, functions, blocks(4, 128, 0), &dx, &mut y, &500i32);
        let y = program.stream.clone_dtoh(&y).unwrap();
        for (&x, y) in x.iter().zip(y.chunks(10)) {
            let (a, b) = (f64::from(x), f64::from(x.abs()));
            let turned = f64::from(x * 1e6);
            let expected = [
                ("expf", a.exp()),
                ("logf", b.ln()),
                ("tanhf", a.tanh()),
                ("log1pf", b.ln_1p()),
                ("erff", erf(a)),
                ("powf", b.powf(f64::from(1.7f32))),
                ("sinf", a.sin()),
                ("cosf", turned.cos()),
                ("rsqrtf", b.sqrt().recip()),
                ("expm1f", a.exp_m1()),
            ];
            for ((name, expected), &found) in expected.into_iter().zip(y) {
                // NVIDIA states up to 4 units (CUDA C++ Programming Guide, mathematical functions); a unit is at most
                // 1.2e-7.
                assert_near(found.into(), expected, 4.0 * 1.2e-7, &format!("{name}({x})"));
            }
        }
    });
}

#[test]
fn more_functions_are_right_to_some_units() {
    each_target("more", |program, more| {
        let x = numbers(500);
        let dx = program.stream.clone_htod(&x).unwrap();
        let mut y = zeros::<f32>(program, 20 * x.len());
        launch!(program, more, blocks(4, 128, 0), &dx, &mut y, &500i32);
        let y = program.stream.clone_dtoh(&y).unwrap();
        for (&x, y) in x.iter().zip(y.chunks(20)) {
            let (a, b, c) = (f64::from(x), f64::from(x.abs()), f64::from(x / 5.01));
            let expected = [
                a.cbrt(),
                a.exp2(),
                10f64.powf(a),
                b.log2(),
                b.log10(),
                a.tan(),
                c.asin(),
                c.acos(),
                a.atan(),
                a.sinh(),
                a.cosh(),
                a.asinh(),
                c.atanh(),
                a.hypot(2.0),
                a.atan2(-1.5),
            ];
            for (index, (expected, &found)) in expected.into_iter().zip(y).enumerate() {
                assert_near(found.into(), expected, 4.0 * 1.2e-7, &format!("function {index} of {x}"));
            }
            let nearest_third = x / 3.0;
            let third = if f64::from(nearest_third) * 3.0 < a { nearest_third.next_up() } else { nearest_third };
            let nearest_root = x.abs().sqrt();
            let root = if f64::from(nearest_root).powi(2) > b { nearest_root.next_down() } else { nearest_root };
            let sum = if f64::from(x + 1e-9) > a + f64::from(1e-9f32) { (x + 1e-9).next_down() } else { x + 1e-9 };
            assert_eq!(y[15..], [x % 0.7, x.round(), sum, third, root], "{x}");
        }
    });
}

/// The error function by its series, which converges everywhere and is precise enough below 5.
fn erf(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    // Beyond 3 the terms cancel; there the continued fraction of the complement does not.
    if x.abs() < 3.0 {
        return sum * std::f64::consts::FRAC_2_SQRT_PI;
    }
    let fraction = (1..60).rev().fold(0.0, |fraction, n| f64::from(n) / 2.0 / (x.abs() + fraction));
    (1.0 - (-x * x).exp() / ((x.abs() + fraction) * std::f64::consts::PI.sqrt())).copysign(x)
}

#[test]
fn doubles_are_right_to_some_units() {
    each_target("doubles", |program, doubles| {
        let x: Vec<f64> = numbers(300).into_iter().map(|x| f64::from(x) * 1.000_000_1).collect();
        let dx = program.stream.clone_htod(&x).unwrap();
        let mut y = zeros::<f64>(program, 8 * x.len());
        launch!(program, doubles, blocks(3, 128, 0), &dx, &mut y, &300i32);
        let y = program.stream.clone_dtoh(&y).unwrap();
        for (&x, y) in x.iter().zip(y.chunks(8)) {
            let b = x.abs();
            assert_eq!(y[3..7], [x / (b + 1.0), b.sqrt(), x.floor(), x.round_ties_even()]);
            for (name, found, expected) in
                [("exp", y[0], x.exp()), ("log", y[1], b.ln()), ("tanh", y[2], x.tanh()), ("sin", y[7], x.sin())]
            {
                assert_near(found, expected, 4.0 * 2.3e-16, &format!("{name}({x})"));
            }
        }
    });
}

#[test]
fn segments_are_added() {
    each_target("segments", |program, segments| {
        let lengths = [0usize, 1, 31, 32, 33, 100, 0, 7];
        let starts: Vec<i32> = (0..=lengths.len()).map(|row| lengths[..row].iter().sum::<usize>() as i32).collect();
        let columns: Vec<i32> = (0..*starts.last().unwrap()).map(|k| k * 37 % 50).collect();
        // Whole numbers, whose sums are exact in any order.
        let x: Vec<f32> = (0..50).map(|i| (i * i) as f32).collect();
        let (ds, dc) = (program.stream.clone_htod(&starts).unwrap(), program.stream.clone_htod(&columns).unwrap());
        let dx = program.stream.clone_htod(&x).unwrap();
        let mut y = zeros::<f32>(program, lengths.len());
        let rows = lengths.len() as i32;
        launch!(program, segments, blocks(3, 96, 0), &ds, &dc, &dx, &mut y, &rows);
        let sum =
            |row: usize| columns[starts[row] as usize..starts[row + 1] as usize].iter().map(|&c| x[c as usize]).sum();
        let expected: Vec<f32> = (0..lengths.len()).map(sum).collect();
        assert_eq!(program.stream.clone_dtoh(&y).unwrap(), expected);
    });
}

/// The first words are those of the reference implementation (Random123, `kat_vectors`).
#[test]
fn threefry_gives_its_words() {
    each_target("threefry", |program, threefry| {
        let mut out = zeros::<u32>(program, 200);
        launch!(program, threefry, blocks(1, 128, 0), &0u32, &0u32, &mut out, &100i32);
        let found = program.stream.clone_dtoh(&out).unwrap();
        assert_eq!(found[..2], [0x6b20_0159, 0x99ba_4efe]);
        let expected: Vec<u32> = (0..100).flat_map(|i| threefry2x32([0, 0], [0, i])).collect();
        assert_eq!(found, expected);
    });
}

fn threefry2x32(key: [u32; 2], [mut x0, mut x1]: [u32; 2]) -> [u32; 2] {
    let keys = [key[0], key[1], 0x1bd1_1bda ^ key[0] ^ key[1]];
    (x0, x1) = (x0.wrapping_add(keys[0]), x1.wrapping_add(keys[1]));
    for round in 0..20usize {
        x0 = x0.wrapping_add(x1);
        x1 = x1.rotate_left([13, 15, 26, 6, 17, 29, 16, 24][round % 8]) ^ x0;
        if round % 4 == 3 {
            let part = round / 4 + 1;
            x0 = x0.wrapping_add(keys[part % 3]);
            x1 = x1.wrapping_add(keys[(part + 1) % 3]).wrapping_add(part as u32);
        }
    }
    [x0, x1]
}

#[test]
fn whole_numbers_are_exact() {
    each_target("integers", |program, integers| {
        let x: Vec<i32> = numbers(400).iter().map(|x| (x * 4e8) as i32).collect();
        let y: Vec<i32> = numbers(900)[500..].iter().map(|x| (x * 1000.0) as i32 | 1).collect();
        let (dx, dy) = (program.stream.clone_htod(&x).unwrap(), program.stream.clone_htod(&y).unwrap());
        let mut z = zeros::<i64>(program, 6 * x.len());
        launch!(program, integers, blocks(7, 64, 0), &dx, &dy, &mut z, &400i32);
        let z = program.stream.clone_dtoh(&z).unwrap();
        for ((&x, &y), z) in x.iter().zip(&y).zip(z.chunks(6)) {
            let (a, b) = (i64::from(x) * 1_000_003, i64::from(y));
            let bits = x.leading_zeros() + 100 * x.count_ones() + 10_000 * (x.trailing_zeros() + 1);
            let expected = [
                i64::from(x / y),
                i64::from(x % y),
                a / b,
                (a as u64 % u64::from(y as u32)) as i64,
                ((i128::from(a) * i128::from(b << 40)) >> 64) as i64,
                i64::from(bits) + if x.min(y) > 0 { 1_000_000 } else { 0 },
            ];
            assert_eq!(z, expected, "{x} {y}");
        }
    });
}

#[test]
fn kernels_may_call_and_choose() {
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Point {
        x: f32,
        n: i32,
    }
    // SAFETY: it is plain numbers, as the kernel's structure is.
    unsafe impl cudarc::driver::DeviceRepr for Point {}
    each_target("mixed", |program, mixed| {
        let (mut y, mut flags, mut votes) =
            (zeros::<f32>(program, 96), zeros::<u8>(program, 96), zeros::<u32>(program, 4));
        launch!(program, mixed, blocks(1, 96, 0), &Point { x: 1.5, n: 9 }, &mut y, &mut flags, &mut votes);
        let weights = [1f32, 2., 3., 4.];
        let expected: Vec<f32> = (0..96)
            .map(|i| match i % 7 {
                0 => 1.0,
                1 => 2.0 * weights[i & 3],
                2 => 1.5,
                3 => 9.0,
                4 => 1.5 * weights[(i + 1) & 3],
                5 => -1.0,
                _ => 0.0,
            })
            .collect();
        let is_flag = |i: usize| u8::from(expected[i] > 1.0 && i.is_multiple_of(2));
        assert_eq!(program.stream.clone_dtoh(&y).unwrap(), expected);
        assert_eq!(program.stream.clone_dtoh(&flags).unwrap(), (0..96).map(is_flag).collect::<Vec<u8>>());
        let mut ballots = [0u32; 4];
        for i in (0..96).filter(|&i| expected[i] > 1.0) {
            ballots[i / 32] |= 1 << (i % 32);
            ballots[3] += 1;
        }
        assert_eq!(program.stream.clone_dtoh(&votes).unwrap(), ballots);
    });
}

/// Faster and less precise: other instructions, which must also be known.
#[test]
fn fast_mathematics_is_known() {
    if !has_nvrtc() {
        let _ = writeln!(std::io::stderr(), "skipped: GAVOTTE_NVRTC names no folder with libnvrtc.so.13");
        return;
    }
    let program = Program::new("");
    let functions = program.function(compile(&["-arch", "compute_80", "--use_fast_math"]), "functions");
    let x = [0.5f32, 1.0, 2.0];
    let dx = program.stream.clone_htod(&x).unwrap();
    let mut y = zeros::<f32>(&program, 30);
    launch!(program, &functions, blocks(1, 32, 0), &dx, &mut y, &3i32);
    let y = program.stream.clone_dtoh(&y).unwrap();
    for (&x, y) in x.iter().zip(y.chunks(10)) {
        assert_near(y[0].into(), f64::from(x).exp(), 1e-6, "expf");
        assert_near(y[6].into(), f64::from(x).sin(), 1e-6, "sinf");
    }
}
