//! What random kernels do not come to: sums that leave out what a mask dropped, and code in pages.

use super::call::CALLED;
use super::{ARGS, BEGIN, Code, END, EXTENT, Isa, POSITION, Pages, gives_masked};
use crate::aval::{Literal, Sizes, Symbol};
use crate::codegen::portable::tile_fn;
use crate::kernel::parse_kernel;

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
            eprintln!("skipped: this machine has no {}", isa.name());
        }
        has
    };
    Isa::ALL.into_iter().filter(has)
}

/// The sums, or the position and the extent of a failed check.
fn run(a: &Arrays, masked: bool, isa: Isa) -> Result<Vec<f32>, (u64, u64)> {
    let kernel = parse_kernel(WEIGHTED).unwrap();
    let code = Code::new(&kernel, Some(0), &[masked; 5], isa).unwrap();
    let mut sizes = Sizes::new();
    for (symbol, size) in [("n", a.offsets.len() - 1), ("z", a.weights.len()), ("m", a.rows.len() / 40)] {
        sizes.set(Symbol::new(symbol), size).unwrap();
    }
    let mut out = vec![f32::NAN; (a.offsets.len() - 1) * 40];
    let mut table = vec![0; ARGS];
    table[END] = a.offsets.len() as u64 - 1;
    let inputs = [
        a.offsets.as_ptr() as u64,
        a.weights.as_ptr() as u64,
        a.columns.as_ptr() as u64,
        a.rows.as_ptr() as u64,
        a.order.as_ptr() as u64,
    ];
    table.extend(inputs);
    table.push(out.as_mut_ptr() as u64);
    table.extend(code.sizes(&sizes));
    assert_eq!(table[BEGIN], 0);
    let pages = Pages::new(std::iter::once(&code)).unwrap();
    // SAFETY: the machine has the instructions, and the table names arrays of the kernel's types.
    if unsafe { pages.call(0, &mut table) } { Ok(out) } else { Err((table[POSITION], table[EXTENT])) }
}

fn sums(a: &Arrays) -> Vec<f32> {
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
    sums.into_iter().map(|x| x as f32).collect()
}

#[test]
fn sums_leave_out_what_a_mask_dropped() {
    for isa in machines() {
        let mut a = arrays();
        let wanted = sums(&a);
        for masked in [false, true] {
            assert_eq!(run(&a, masked, isa).as_ref(), Ok(&wanted), "{isa:?}, masked: {masked}");
        }
        // A row that is multiplied by 0 alone is not read.
        let dropped = a.weights.iter().position(|w| *w == 0.0).unwrap();
        a.rows.extend([f32::INFINITY; 40]);
        a.columns[dropped] = 29;
        assert!(run(&a, false, isa).unwrap().iter().any(|x| x.is_nan()));
        assert_eq!(run(&a, true, isa).as_ref(), Ok(&wanted));
        // One that counts must be there.
        let kept = a.weights.iter().position(|w| *w != 0.0).unwrap();
        a.columns[kept] = 31;
        for masked in [false, true] {
            assert_eq!(run(&a, masked, isa), Err((31, 30)), "{isa:?}, masked: {masked}");
        }
        a.columns[kept] = -1;
        assert!(run(&a, true, isa).is_err());
    }
}

/// Every operation that is called, on every pair of numbers at which operations have something to decide: the bits of the
/// portable target.
#[test]
fn called_operations_are_those_of_the_portable_target() {
    let numbers = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -3.25, 7.0, 1e-3, 100.0, 1e10, -3e9, 1e300, f64::INFINITY, f64::NAN];
    let least = f64::from(i32::MIN);
    for ((op, dtype), isa) in CALLED.into_iter().flat_map(|called| machines().map(move |isa| (called, isa))) {
        let values: Vec<Literal> = numbers.iter().chain([&least]).map(|x| Literal::from_f64(dtype, *x)).collect();
        let pairs = || values.iter().flat_map(|x| values.iter().map(move |y| (x, y)));
        let bytes = |x: &Literal| x.bits().to_le_bytes()[..dtype.size()].to_vec();
        let a: Vec<u8> = pairs().flat_map(|(x, _)| bytes(x)).collect();
        let b: Vec<u8> = pairs().flat_map(|(_, y)| bytes(y)).collect();
        // One more than fits in whole vectors.
        let n = values.len() * values.len() - 7;
        let ins = if op.arity() == 1 { "$0" } else { "$0, $1" };
        let text = format!(
            "kernel @called(%0: {dtype}[n], %1: {dtype}[n]) -> (%2: {dtype}[n]) {{\n  row i0: n\n  $0: {dtype} = load \
             %0[i0]\n  $1: {dtype} = load %1[i0]\n  $2: {dtype} = {} {ins}\n  store $2 -> %2\n}}\n",
            op.name()
        );
        let kernel = parse_kernel(&text).unwrap_or_else(|error| panic!("{error}"));
        let code = Code::new(&kernel, Some(0), &[false; 2], isa).unwrap();
        let mut sizes = Sizes::new();
        sizes.set(Symbol::new("n"), n).unwrap();
        let (mut found, mut wanted) = (vec![0xffu8; a.len()], vec![0xffu8; a.len()]);
        let mut table = vec![0; ARGS];
        table[END] = n as u64;
        table.extend([a.as_ptr() as u64, b.as_ptr() as u64, found.as_mut_ptr() as u64]);
        table.extend(code.sizes(&sizes));
        let pages = Pages::new(std::iter::once(&code)).unwrap();
        let portable = tile_fn(op, dtype).unwrap();
        let operands = [a.as_ptr(), b.as_ptr(), a.as_ptr(), a.as_ptr()];
        // SAFETY: the machine has the instructions, and both get arrays of `n` elements of the kernel's types or more.
        unsafe {
            assert!(pages.call(0, &mut table));
            portable(n, &operands, wanted.as_mut_ptr(), std::ptr::null_mut());
        }
        assert_eq!(found, wanted, "{} of {dtype}, {isa:?}", op.name());
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
    let asks = |how: &str, input: bool| gives_masked(&kernel(how), 0, &[input, false]);
    assert!(asks("$4: f32 = mul $3, $0", false));
    assert!(asks("$4: f32 = neg $3", false));
    assert!(!asks("$4: f32 = add $3, $0", false));
    assert!(!asks("$4: f32 = neg $0", false) && asks("$4: f32 = neg $0", true));
}
