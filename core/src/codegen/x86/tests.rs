//! What random kernels do not cover: sums that skip what a mask dropped, and code in pages.

use super::call::CALLED;
use super::{ARGS, BEGIN, Code, END, EXTENT, Isa, POSITION, Pages, writes_masked};
use crate::aval::{DType, Literal, Sizes, Symbol};
use crate::codegen::portable::tile_fn;
use crate::ir::ScalarOp;
use crate::kernel::{Kernel, parse_kernel};
use iced_x86::{Decoder, DecoderOptions, Mnemonic};
use std::io::Write;

const WEIGHTED: &str = "\
kernel @segment_sum_0(%0: i32[n+1], %1: f32[z], %2: i32[z], %3: f32[m,40], %4: i32[z]) -> (%5: f32[n,40]) {
  row i0: n
  row i1: 40
  segment i2: z of i0 by %0
  $0: i32 = load %4[i2]
  $1: f32 = load %1[$0]
  $2: i32 = load %2[$0]
  $3: f32 = load %3[$2, i1]
  $4: f32 = mul $1, $3
  sum $4 -> %5
}
";

/// The same kernel, where a row of weight 0 counts as 0.
fn guarded() -> String {
    let guard =
        "  $4: f32 = const 0f32\n  $5: bool = ne $1, $4\n  $6: f32 = select $5, $4, $3\n  $7: f32 = mul $1, $6\n";
    WEIGHTED.replace("  $4: f32 = mul $1, $3\n", guard).replace("sum $4", "sum $7")
}

/// The same where the numbers of members are their places.
fn direct() -> String {
    guarded().replace("load %1[$0]", "load %1[i2]").replace("load %2[$0]", "load %2[i2]")
}

struct Arrays {
    offsets: Vec<i32>,
    weights: Vec<f32>,
    columns: Vec<i32>,
    rows: Vec<f32>,
    order: Vec<i32>,
}

/// Segments of many lengths, one longer than what is listed at a time; two of three weights are 0.
fn arrays() -> Arrays {
    let mut offsets = vec![0];
    for length in [0, 1, 15, 16, 17, 40, 511, 512, 513, 1300, 0, 3] {
        offsets.push(offsets.last().unwrap() + length);
    }
    let z = *offsets.last().unwrap();
    let m = 29;
    Arrays {
        weights: (0..z).map(|i| if i * 7 % 3 == 0 { (i % 11) as f32 - 4.5 } else { 0.0 }).collect(),
        columns: (0..z).map(|i| i * 5 % m).collect(),
        rows: (0..m * 40).map(|i| (i % 23) as f32 / 8.0 - 1.0).collect(),
        order: (0..z).rev().collect(),
        offsets,
    }
}

/// The instruction sets of this machine.
fn machines() -> impl Iterator<Item = Isa> {
    let has = |isa: &Isa| {
        let has = isa.is_available();
        if !has {
            let _ = writeln!(std::io::stderr(), "skipped: this machine has no {}", isa.name());
        }
        has
    };
    Isa::ALL.into_iter().filter(has)
}

/// The sums, in the requested type of floats, or the position and the extent of a failed check.
fn run(text: &str, a: &Arrays, dtype: DType, masked: bool, isa: Isa) -> Result<Vec<f64>, (u64, u64)> {
    let kernel = parse_kernel(&text.replace("f32", &dtype.to_string())).unwrap();
    let code = Code::new(&kernel, Some(0), &[masked; 5], isa).unwrap();
    let mut sizes = Sizes::new();
    for (symbol, size) in [("n", a.offsets.len() - 1), ("z", a.weights.len()), ("m", a.rows.len() / 40)] {
        sizes.set(Symbol::new(symbol), size).unwrap();
    }
    let numbers = |xs: &[f32]| bytes(dtype, xs.iter().map(|x| f64::from(*x)));
    let (weights, rows) = (numbers(&a.weights), numbers(&a.rows));
    let mut out = bytes(dtype, std::iter::repeat_n(f64::NAN, (a.offsets.len() - 1) * 40));
    let mut table = vec![0; ARGS];
    table[END] = a.offsets.len() as u64 - 1;
    let inputs = [
        a.offsets.as_ptr() as u64,
        weights.as_ptr() as u64,
        a.columns.as_ptr() as u64,
        rows.as_ptr() as u64,
        a.order.as_ptr() as u64,
    ];
    table.extend(inputs);
    table.push(out.as_mut_ptr() as u64);
    table.extend(code.sizes(&sizes));
    assert_eq!(table[BEGIN], 0);
    let pages = Pages::new(std::iter::once(&code)).unwrap();
    // SAFETY: the machine has the instructions, and the table names arrays of the kernel's types.
    let ran = unsafe { pages.call(0, &mut table) };
    if ran { Ok(numbers_of(dtype, &out)) } else { Err((table[POSITION], table[EXTENT])) }
}

/// The bytes of numbers of a type.
fn bytes(dtype: DType, numbers: impl Iterator<Item = f64>) -> Vec<u8> {
    numbers.flat_map(|x| Literal::from_f64(dtype, x).bits().to_le_bytes()[..dtype.size()].to_vec()).collect()
}

/// The floats with these bytes.
fn numbers_of(dtype: DType, bytes: &[u8]) -> Vec<f64> {
    let number = |x: &[u8]| match dtype {
        DType::F64 => f64::from_le_bytes(x.try_into().unwrap()),
        _ => f64::from(f32::from_le_bytes(x.try_into().unwrap())),
    };
    bytes.chunks_exact(dtype.size()).map(number).collect()
}

fn sums(a: &Arrays) -> Vec<f64> {
    let mut sums = vec![0f64; (a.offsets.len() - 1) * 40];
    for (segment, bounds) in a.offsets.windows(2).enumerate() {
        for position in bounds[0]..bounds[1] {
            let member = a.order[position as usize] as usize;
            for lane in 0..40 {
                let x = a.rows[a.columns[member] as usize * 40 + lane];
                sums[segment * 40 + lane] += f64::from(a.weights[member]) * f64::from(x);
            }
        }
    }
    // Every sum is a multiple of 1/16 that an f32 holds.
    sums
}

#[test]
fn sums_leave_out_what_a_mask_dropped() {
    let guarded = guarded();
    for (isa, dtype) in machines().flat_map(|isa| [(isa, DType::F32), (isa, DType::F64)]) {
        let mut a = arrays();
        let wanted = sums(&a);
        let run = |text: &str, a: &Arrays, masked| run(text, a, dtype, masked, isa);
        let ways = [(WEIGHTED, false), (WEIGHTED, true), (&guarded, false), (&guarded, true)];
        for (text, masked) in ways {
            assert_eq!(run(text, &a, masked).as_ref(), Ok(&wanted), "{isa:?}, {dtype}, masked: {masked}\n{text}");
        }
        // A row that a weight of 0 skips counts for nothing; one that is multiplied by 0 does not.
        let dropped = a.weights.iter().position(|w| *w == 0.0).unwrap();
        a.rows.extend([f32::INFINITY; 40]);
        a.columns[dropped] = 29;
        for masked in [false, true] {
            assert!(run(WEIGHTED, &a, masked).unwrap().iter().any(|x| x.is_nan()));
            assert_eq!(run(&guarded, &a, masked).as_ref(), Ok(&wanted));
        }
        // A row that counts must exist.
        let kept = a.weights.iter().position(|w| *w != 0.0).unwrap();
        a.columns[kept] = 31;
        for (text, masked) in ways {
            assert_eq!(run(text, &a, masked), Err((31, 30)), "{isa:?}, {dtype}, masked: {masked}\n{text}");
        }
        a.columns[kept] = -1;
        assert!(run(&guarded, &a, true).is_err());
    }
}

/// Where each member names its row itself, the positions are listed: nothing but the list checks them.
#[test]
fn listed_positions_are_checked() {
    let direct = direct();
    for (isa, dtype) in machines().flat_map(|isa| [(isa, DType::F32), (isa, DType::F64)]) {
        let mut a = arrays();
        a.order = (0..a.weights.len() as i32).collect();
        let wanted = sums(&a);
        let run = |a: &Arrays| run(&direct, a, dtype, true, isa);
        assert_eq!(run(&a).as_ref(), Ok(&wanted));
        let kept: Vec<usize> = (0..a.weights.len()).filter(|i| a.weights[*i] != 0.0).collect();
        for i in kept.iter().copied().step_by(7).chain(kept.last().copied()) {
            let column = std::mem::replace(&mut a.columns[i], 29);
            assert_eq!(run(&a), Err((29, 29)), "{isa:?}, {dtype}: member {i}");
            a.columns[i] = -1;
            assert!(run(&a).is_err(), "{isa:?}, {dtype}: member {i}");
            a.columns[i] = column;
        }
    }
}

/// Short rows at positions, several to a vector.
#[test]
fn rows_at_positions() {
    let text = "kernel @gather_0(%0: i32[n], %1: T[m,4]) -> (%2: T[n,4]) {\n  row i0: n\n  row i1: 4\n  $0: i32 = load \
                %0[i0]\n  $1: T = load %1[$0, i1]\n  store $1 -> %2\n}\n";
    let (n, m) = (39, 7);
    for (isa, dtype) in machines().flat_map(|isa| [DType::F32, DType::F64].map(|dtype| (isa, dtype))) {
        let code = Code::new(&parse_kernel(&text.replace('T', &dtype.to_string())).unwrap(), Some(0), &[false; 2], isa);
        let code = code.unwrap();
        let pages = Pages::new(std::iter::once(&code)).unwrap();
        let mut sizes = Sizes::new();
        sizes.set(Symbol::new("n"), n).unwrap();
        sizes.set(Symbol::new("m"), m).unwrap();
        let rows = bytes(dtype, (0..4 * m).map(|i| i as f64));
        // The wrong position, if there is one, is the first or the last.
        for wrong in [None, Some(0), Some(n - 1)] {
            let position = |i: usize| if Some(i) == wrong { m as i32 } else { (i * 5 % m) as i32 };
            let positions: Vec<i32> = (0..n).map(position).collect();
            let mut out = bytes(dtype, std::iter::repeat_n(f64::NAN, 4 * n));
            let mut table = vec![0; ARGS];
            table[END] = n as u64;
            table.extend([positions.as_ptr() as u64, rows.as_ptr() as u64, out.as_mut_ptr() as u64]);
            table.extend(code.sizes(&sizes));
            // SAFETY: the machine has the instructions, and the table names arrays of the kernel's types.
            let ran = unsafe { pages.call(0, &mut table) };
            assert_eq!(ran, wrong.is_none(), "{isa:?}, {dtype}");
            let wanted: Vec<f64> = (0..4 * n).map(|i| f64::from(positions[i / 4] * 4) + (i % 4) as f64).collect();
            assert!(!ran || numbers_of(dtype, &out) == wanted, "{isa:?}, {dtype}");
        }
    }
}

/// Columns that are all read twice, the second time in reverse order: few of them stay in a register in between.
fn crowded(n: usize) -> Kernel {
    let loads = (0..n).map(|k| format!("$%{k}: f32 = load %0[i0, {k}] "));
    let numbers = (0..n).chain((0..n).rev());
    let steps = numbers.enumerate().map(|(i, k)| {
        let (before, at) = (if i == 0 { 0 } else { n + i - 1 }, n + i);
        format!("${at}: f32 = {} ${before}, ${k} ", if i < n { "add" } else { "sub" })
    });
    let body: String = loads.map(|load| load.replace("$%", "$")).chain(steps).collect();
    let text =
        format!("kernel @crowded(%0: f32[n,{n}]) -> (%1: f32[n]) {{ row i0: n {body}store ${} -> %1 }}", 3 * n - 1);
    parse_kernel(&text).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn frames_of_several_pages_touch_each_of_them() {
    let (n, rows) = (150, 19);
    for isa in machines() {
        let code = Code::new(&crowded(n), Some(0), &[false], isa).unwrap();
        // How much stack the code allocates before it touches the stack again.
        let mut decoder = Decoder::with_ip(64, &code.function.bytes[code.entry()..], 0, DecoderOptions::NONE);
        let (mut frame, mut untouched) = (0, 0);
        loop {
            let i = decoder.decode();
            match i.mnemonic() {
                Mnemonic::Sub => untouched += i.immediate(1),
                Mnemonic::Or => (frame, untouched) = (frame + untouched, 0),
                Mnemonic::Lea => break,
                _ => {}
            }
            assert!(untouched <= 4096, "{isa:?}: {i}");
        }
        assert!(frame > 4 * 4096, "{isa:?}: a frame of {frame} bytes");
        // It also runs on a stack that is not much larger.
        let run = move || {
            let x: Vec<f32> = (0..n * rows).map(|i| (i % 251) as f32).collect();
            let mut out = vec![f32::NAN; rows];
            let mut table = vec![0; ARGS];
            table[END] = rows as u64;
            table.extend([x.as_ptr() as u64, out.as_mut_ptr() as u64]);
            let mut sizes = Sizes::new();
            sizes.set(Symbol::new("n"), rows).unwrap();
            table.extend(code.sizes(&sizes));
            let pages = Pages::new(std::iter::once(&code)).unwrap();
            // SAFETY: the machine has the instructions, and the table names arrays of the kernel's types.
            assert!(unsafe { pages.call(0, &mut table) });
            // The first is added twice, once as the sum starts; then all are subtracted.
            let wanted: Vec<f32> = x.chunks(n).map(|row| row[0]).collect();
            assert_eq!(out, wanted);
        };
        std::thread::Builder::new().stack_size(256 << 10).spawn(run).unwrap().join().unwrap();
    }
}

/// The machine code's result of an operation on `n` operands of type `dtype`, which are passed as bytes.
fn apply(op: ScalarOp, dtype: DType, n: usize, operands: [&[u8]; 2], isa: Isa) -> Vec<u8> {
    let ins = if op.arity() == 1 { "$0" } else { "$0, $1" };
    let text = format!(
        "kernel @applied(%0: {dtype}[n], %1: {dtype}[n]) -> (%2: {dtype}[n]) {{\n  row i0: n\n  $0: {dtype} = load \
         %0[i0]\n  $1: {dtype} = load %1[i0]\n  $2: {dtype} = {} {ins}\n  store $2 -> %2\n}}\n",
        op.name()
    );
    let kernel = parse_kernel(&text).unwrap_or_else(|error| panic!("{error}"));
    let code = Code::new(&kernel, Some(0), &[false; 2], isa).unwrap();
    let mut sizes = Sizes::new();
    sizes.set(Symbol::new("n"), n).unwrap();
    let mut out = vec![0xffu8; n * dtype.size()];
    operands.iter().for_each(|operand| assert!(operand.len() >= out.len()));
    let mut table = vec![0; ARGS];
    table[END] = n as u64;
    table.extend([operands[0].as_ptr() as u64, operands[1].as_ptr() as u64, out.as_mut_ptr() as u64]);
    table.extend(code.sizes(&sizes));
    let pages = Pages::new(std::iter::once(&code)).unwrap();
    // SAFETY: the machine has the instructions, and all arrays have `n` elements of the kernel's type or more.
    assert!(unsafe { pages.call(0, &mut table) });
    out
}

/// The same through the portable target's loop.
fn apply_portable(op: ScalarOp, dtype: DType, n: usize, operands: [&[u8]; 2]) -> Vec<u8> {
    let mut out = vec![0xffu8; n * dtype.size()];
    operands.iter().for_each(|operand| assert!(operand.len() >= out.len()));
    let [a, b] = operands.map(|operand| operand.as_ptr());
    // SAFETY: all arrays have `n` elements of the operation's type or more.
    unsafe { tile_fn(op, dtype).unwrap()(n, &[a, b, a, a], out.as_mut_ptr(), std::ptr::null_mut()) };
    out
}

/// Every operation that is called returns the bits of the portable target, on every pair of numbers at which operations
/// have special cases.
#[test]
fn called_operations_are_those_of_the_portable_target() {
    let numbers = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -3.25, 7.0, 1e-3, 100.0, 1e10, -3e9, 1e300, f64::INFINITY, f64::NAN];
    let least = f64::from(i32::MIN);
    for ((op, dtype, _), isa) in CALLED.iter().flat_map(|called| machines().map(move |isa| (*called, isa))) {
        let values: Vec<Literal> = numbers.iter().chain([&least]).map(|x| Literal::from_f64(dtype, *x)).collect();
        let pairs = || values.iter().flat_map(|x| values.iter().map(move |y| (x, y)));
        let a = bytes(dtype, pairs().map(|(x, _)| x.as_f64()));
        let b = bytes(dtype, pairs().map(|(_, y)| y.as_f64()));
        // One more than fits in whole vectors.
        let n = values.len() * values.len() - 7;
        let found = apply(op, dtype, n, [&a, &b], isa);
        assert_eq!(found, apply_portable(op, dtype, n, [&a, &b]), "{} of {dtype}, {isa:?}", op.name());
    }
}

/// Floats of all sizes, more of those at which functions change.
fn floats() -> Vec<f32> {
    let all = (0..=u32::MAX).step_by(20_011).map(f32::from_bits);
    let middle = (-110_000..110_000).map(|i| i as f32 * 1e-3);
    let small = (-50_000..50_000).map(|i| i as f32 * 2e-5);
    let ends = [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::MIN_POSITIVE, f32::MAX, -1.0];
    all.chain(middle).chain(small).chain(ends).collect()
}

/// A function's exact value, the most units in the last place by which results may be off, and whether the portable
/// target has the same formula.
type Exact = (ScalarOp, fn(f64) -> f64, f64, bool);

#[test]
fn functions_stay_within_their_ulp() {
    let functions: [Exact; 7] = [
        (ScalarOp::Exp, f64::exp, 1.0, true),
        (ScalarOp::Expm1, f64::exp_m1, 2.0, true),
        (ScalarOp::Logistic, |x| 1.0 / (1.0 + (-x).exp()), 2.5, true),
        (ScalarOp::Sqrt, f64::sqrt, 0.5, true),
        (ScalarOp::Log, f64::ln, 1.0, false),
        (ScalarOp::Log1p, f64::ln_1p, 1.0, false),
        (ScalarOp::Tanh, f64::tanh, 2.5, false),
    ];
    let xs = floats();
    let bytes: Vec<u8> = xs.iter().flat_map(|x| x.to_le_bytes()).collect();
    let numbers = |bytes: Vec<u8>| -> Vec<f32> { numbers_of(DType::F32, &bytes).iter().map(|x| *x as f32).collect() };
    for (op, exact, most, is_portable) in functions {
        let portable = numbers(apply_portable(op, DType::F32, xs.len(), [&bytes, &bytes]));
        let machines: Vec<(Isa, Vec<f32>)> =
            machines().map(|isa| (isa, numbers(apply(op, DType::F32, xs.len(), [&bytes, &bytes], isa)))).collect();
        for (i, x) in xs.iter().enumerate() {
            let wanted = exact(f64::from(*x));
            let near = wanted as f32;
            let ulp = f64::from(f32::from_bits(near.abs().to_bits() + 1)) - f64::from(near.abs());
            // A logistic below the normal numbers is 0.
            let ulp = ulp.max(f64::from(f32::MIN_POSITIVE));
            for (isa, found) in &machines {
                let y = found[i];
                let is_right = match near.is_finite() {
                    true => (f64::from(y) - wanted).abs() <= most * ulp,
                    false => y == near || y.is_nan() && near.is_nan(),
                };
                assert!(is_right, "{} of {x:e}, {isa:?}: {y:e}, not {wanted:e}", op.name());
                // The same formula returns the same bits.
                let other = if is_portable { portable[i] } else { machines[0].1[i] };
                let same = y.to_bits() == other.to_bits() || y.is_nan() && other.is_nan();
                assert!(same, "{} of {x:e}, {isa:?}: {y:e}, elsewhere {other:e}", op.name());
            }
        }
    }
}

#[test]
fn masks_are_seen_through_products() {
    let kernel = |how: &str| {
        let text = format!(
            "kernel @select_n_0(%0: f32[n], %1: bool[n]) -> (%2: f32[n]) {{\n  row i0: n\n  $0: f32 = load %0[i0]\n  \
             $1: bool = load %1[i0]\n  $2: f32 = const 0.0f32\n  $3: f32 = select $1, $2, $0\n  {how}\n  store $4 -> \
             %2\n}}\n"
        );
        parse_kernel(&text).unwrap_or_else(|error| panic!("{error}"))
    };
    let asks = |how: &str, input: bool| writes_masked(&kernel(how), 0, &[input, false]);
    assert!(asks("$4: f32 = mul $3, $0", false));
    assert!(asks("$4: f32 = neg $3", false));
    assert!(!asks("$4: f32 = add $3, $0", false));
    assert!(!asks("$4: f32 = neg $0", false) && asks("$4: f32 = neg $0", true));
}
