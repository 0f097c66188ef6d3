//! Kernels: every kernel that lowering makes is well formed and survives its text, and malformed ones are refused.

use gavotte_core::aval::{Aval, Literal, Sizes, Symbol};
use gavotte_core::error::Error;
use gavotte_core::ir::{Index, Program, bind, trace};
use gavotte_core::kernel::{Instr, Kernel, Step, choose_places, lower_program, parse_kernel, verify_kernel};
use gavotte_core::pass::optimize;
use gavotte_tests::generate::random_program;
use gavotte_tests::report::check_all;
use std::cell::Cell;

/// The kernels of a program, as the compiler makes them.
fn kernels(program: &Program) -> Result<Vec<Kernel>, String> {
    let program = optimize(program);
    let steps = lower_program(&program, &choose_places(&program)).map_err(|error| format!("{error}\n{program}"))?;
    let kernel = |step| match step {
        Step::Kernel(kernel, _) => Some(kernel),
        Step::Eval(_) | Step::Control(_) => None,
    };
    Ok(steps.into_iter().filter_map(kernel).collect())
}

fn check_text(kernel: &Kernel) -> Result<(), String> {
    verify_kernel(kernel).map_err(|error| error.to_string())?;
    let back = parse_kernel(&kernel.to_string()).map_err(|error| format!("{error}\n{kernel}"))?;
    if back == *kernel { Ok(()) } else { Err(format!("read back as\n{back:?}\nfrom\n{kernel}{kernel:?}")) }
}

/// Checks the kernels of every program, and that there are at least `least` in total.
fn check_programs(programs: impl IntoIterator<Item = (String, Program)>, least: usize) {
    let n = Cell::new(0);
    check_all(programs, |program| {
        let kernels = kernels(program)?;
        n.set(n.get() + kernels.len());
        kernels.iter().try_for_each(check_text)
    });
    assert!(n.get() >= least, "there were {} kernels only", n.get());
}

#[test]
fn those_of_every_sample_survive_their_text() {
    let samples = gavotte::registry().iter().flat_map(|prim| prim.samples().into_iter().map(move |s| (prim, s)));
    let programs = samples.map(|(prim, sample)| {
        let avals: Vec<Aval> = sample.ins.iter().map(|array| Aval::new(array.dtype(), array.shape())).collect();
        let apply = |args: Vec<_>| bind(prim, &args.iter().collect::<Vec<_>>(), sample.params.clone()).to_vec();
        (format!("{} ({})", prim.name(), sample.name), trace("sample", &avals, apply).program)
    });
    check_programs(programs, 100);
}

#[test]
fn those_of_random_programs_survive_their_text() {
    check_programs((0..600).map(|seed| (format!("seed {seed}"), random_program(seed).0)), 500);
}

/// Forms that lowering seldom makes: every form of position, sizes, literals of every kind, two results.
#[test]
fn every_form_survives_its_text() {
    let texts = [
        "kernel @positions_0(%0: f32[n,8,m], %1: i32[]) -> (%2: f32[n,i0]) {
  row i0: n
  row i1: i0
  $0: i32 = load %1[]
  $1: f32 = load %0[(m)*i0 + 8*i1 - 1, -i0 - 3*i1 + 2, $0]
  $2: f32 = load %0[0, (n-1), (i0)]
  $3: i32 = position -2
  $4: i32 = position (-n)*i1 + (2*n+1)
  $5: f32 = load %0[i0, $3, $4]
  $6: f32 = add $1, $2
  $7: f32 = add $6, $5
  store $7 -> %2
}
",
        "kernel @literals_1() -> (%0: f64[], %7: f32[]) {
  $0: f32 = const NaNf32
  $1: f32 = const NaN.ffc00000f32
  $2: f64 = const -inff64
  $3: f64 = const -0.0f64
  $4: u32 = const 4294967295u32
  $5: bool = const true
  $6: f32 = size n*n-2*m
  $7: i32 = size n
  $8: f32 = select $5, $0, $1
  $9: f32 = add $8, $6
  $10: f64 = add $2, $3
  store $10 -> %0
  store $9 -> %7
}
",
        "kernel @conversions_2(%3: u32[4]) -> (%4: f32[]) {
  reduce i0: 4
  $0: u32 = load %3[i0]
  $1: f32 = bitcast $0
  $2: i32 = convert $1
  $3: bool = convert $2
  $4: f32 = convert $3
  $5: u32 = threefry0 $0, $0, $0, $0
  max $4 -> %4
}
",
        "kernel @segments_3(%1: f32[e], %2: i32[n+1]) -> (%3: f32[2,n]) {
  row i0: 2
  row i1: n
  segment i2: e of i1 by %2
  $0: f32 = load %1[i2]
  sum $0 -> %3
}
",
    ];
    for text in texts {
        let kernel = parse_kernel(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(kernel.to_string(), text);
        assert_eq!(check_text(&kernel), Ok(()));
    }
}

/// The value of a parsed position, not only its text.
#[test]
fn positions_mean_what_they_say() {
    let kernel = parse_kernel(
        "kernel @f(%0: f32[n,9]) -> (%1: f32[9,n]) { // loops may have the names of symbols
            row i0: 9 row i1: n
            $0: f32 = load %0[i1 + (i0), 8 - 0*i0] store $0 -> %1 }",
    );
    // A number ends a position: what follows is not part of it.
    assert!(kernel.unwrap_err().to_string().contains("line 3, column 44: expected `]`"));
    let kernel = parse_kernel(
        "kernel @f(%0: f32[n,9]) -> (%1: f32[9,n]) {
            row i0: 9 row i1: n
            $0: i32 = position 3*i1 - i0 + (i0-5)
            $1: f32 = load %0[i1, i0]
            store $1 -> %1 }",
    );
    let kernel = kernel.unwrap_or_else(|error| panic!("{error}"));
    let Instr::Position(Index::Affine { constant, terms }) = &kernel.body[0] else { panic!("{kernel}") };
    let mut sizes = Sizes::new();
    sizes.set(Symbol::new("i0"), 20).expect("it has no size yet");
    assert_eq!(constant.at(&sizes), 15usize);
    let terms: Vec<(u32, Option<i64>)> = terms.iter().map(|(number, stride)| (*number, stride.as_number())).collect();
    assert_eq!(terms, [(1, Some(3)), (0, Some(-1))]);
}

/// A NaN folded at compile time may have any bits: its text keeps them.
#[test]
fn kernels_with_any_nan_survive_their_text() {
    for bits in [f32::NAN.to_bits(), (-f32::NAN).to_bits(), 0x7f80_0001] {
        let text = format!(
            "kernel @f() -> (%0: f32[]) {{\n  $0: f32 = const {}\n  store $0 -> %0\n}}\n",
            Literal::F32(f32::from_bits(bits))
        );
        let kernel = parse_kernel(&text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(kernel.body, [Instr::Const(Literal::F32(f32::from_bits(bits)))]);
    }
}

/// For each rule of the verifier: a kernel that breaks it, the line that is wrong, and why.
const BROKEN: &[(&str, &str, &str, &str)] = &[
    ("1", "kernel @f(%0: f32[]) -> () { }", "kernel @f(%0: f32[]) -> () {", "it writes nothing"),
    (
        "1",
        "kernel @f(%0: f32[2], %0: f32[2]) -> (%1: f32[]) { $0: f32 = const 1.0f32 store $0 -> %1 }",
        "kernel @f(%0: f32[2], %0: f32[2]) -> (%1: f32[]) {",
        "%0 is named twice",
    ),
    (
        "1",
        "kernel @f(%0: f32[]) -> (%0: f32[]) { $0: f32 = load %0[] store $0 -> %0 }",
        "kernel @f(%0: f32[]) -> (%0: f32[]) {",
        "%0 is named twice",
    ),
    (
        "2",
        "kernel @f(%0: f32[3,2]) -> (%1: f32[2]) { reduce i0: 3 row i1: 2 $0: f32 = load %0[i0, i1] sum $0 -> %1 }",
        "  row i1: 2",
        "a row loop comes after another loop",
    ),
    (
        "2",
        "kernel @f(%0: f32[3]) -> (%1: f32[3,1]) { row i0: 3 $0: f32 = load %0[i0] store $0 -> %1 }",
        "kernel @f(%0: f32[3]) -> (%1: f32[3,1]) {",
        "%1 does not have the shape of the row loops",
    ),
    (
        "2",
        "kernel @f(%0: f32[e], %1: i32[n+1]) -> (%2: f32[n]) {
            row i0: n segment i1: e of i0 by %1 reduce i2: 3 $0: f32 = load %0[i1] sum $0 -> %2 }",
        "  segment i1: e of i0 by %1",
        "a segment loop must be the only loop after the rows, and run over one of them",
    ),
    (
        "2",
        "kernel @f(%0: f32[e], %1: i32[n+1]) -> (%2: f32[n]) {
            row i0: n segment i1: e of i1 by %1 $0: f32 = load %0[i1] sum $0 -> %2 }",
        "  segment i1: e of i1 by %1",
        "a segment loop must be the only loop after the rows, and run over one of them",
    ),
    (
        "2",
        "kernel @f(%0: f32[e], %1: i32[n]) -> (%2: f32[n]) {
            row i0: n segment i1: e of i0 by %1 $0: f32 = load %0[i1] sum $0 -> %2 }",
        "  segment i1: e of i0 by %1",
        "the offsets %1: i32[n] must be i32[n+1]",
    ),
    (
        "3",
        "kernel @f() -> (%0: f32[]) { $0: f32 = neg $1 $1: f32 = const 1.0f32 store $0 -> %0 }",
        "  $0: bool = neg $1",
        "neg takes 1 scalars computed before it",
    ),
    (
        "3",
        "kernel @f() -> (%0: f32[]) { $0: f32 = const 1.0f32
            $1: f32 = add $0
            store $1 -> %0 }",
        "  $1: f32 = add $0",
        "add takes 2 scalars computed before it",
    ),
    (
        "3",
        "kernel @f() -> (%0: i32[]) { $0: f32 = const 1.0f32 $1: i32 = const 1i32 $2: i32 = add $0, $1 store $2 -> %0 }",
        "  $2: i32 = add $0, $1",
        "add: operands of several types",
    ),
    (
        "3",
        "kernel @f() -> (%0: f32[]) { $0: f32 = const 1.0f32 $1: f32 = select $0, $0, $0 store $1 -> %0 }",
        "  $1: f32 = select $0, $0, $0",
        "the predicate of select must be bool",
    ),
    (
        "4",
        "kernel @f(%0: f32[3]) -> (%1: f32[3]) { row i0: 3 $0: f32 = load %0[i0, 0] store $0 -> %1 }",
        "  $0: f32 = load %0[i0, 0]",
        "%0 has 1 axes, not 2",
    ),
    (
        "4",
        "kernel @f(%0: f32[3]) -> (%1: f32[]) { $0: u32 = const 1u32 $1: f32 = load %0[$0] store $1 -> %1 }",
        "  $1: f32 = load %0[$0]",
        "$0 is no position: use an i32 that is computed before it",
    ),
    (
        "4",
        "kernel @f() -> (%1: i32[]) { $0: i32 = position $0 store $0 -> %1 }",
        "  $0: i32 = position $0",
        "$0 is no position: use an i32 that is computed before it",
    ),
    (
        "4",
        "kernel @f(%0: f32[3]) -> (%1: f32[3]) { row i0: 3 $0: f32 = load %0[i1] store $0 -> %1 }",
        "  $0: f32 = load %0[i1]",
        "there is no loop i1",
    ),
    (
        "4",
        "kernel @f(%0: f32[3]) -> (%1: f32[3]) { row i0: 3 $0: f32 = load %0[i0 + i0] store $0 -> %1 }",
        "  $0: f32 = load %0[i0 + i0]",
        "i0 must stand once, with a stride that is not zero",
    ),
    (
        "4",
        "kernel @f(%0: f32[3]) -> (%1: f32[3]) { row i0: 3 $0: f32 = load %0[0*i0] store $0 -> %1 }",
        "  $0: f32 = load %0[0*i0]",
        "i0 must stand once, with a stride that is not zero",
    ),
    (
        "5",
        "kernel @f(%0: f32[3]) -> (%1: f32[]) { reduce i0: 3 $0: f32 = load %0[i0] store $0 -> %1 }",
        "  store $0 -> %1",
        "there must be a reduction exactly if some loop is not a row",
    ),
    (
        "5",
        "kernel @f(%0: f32[3]) -> (%1: f32[3]) { row i0: 3 $0: f32 = load %0[i0] sum $0 -> %1 }",
        "  sum $0 -> %1",
        "there must be a reduction exactly if some loop is not a row",
    ),
    (
        "5",
        "kernel @f() -> (%1: f32[], %2: f32[]) { $0: f32 = const 1.0f32 store $0 -> %1 }",
        "}",
        "there must be one result for each output",
    ),
    (
        "5",
        "kernel @f() -> (%1: i32[]) { $0: f32 = const 1.0f32 store $0 -> %1 }",
        "  store $0 -> %1",
        "%1 must be a scalar of the body, of type i32",
    ),
    (
        "5",
        "kernel @f() -> (%1: f32[]) { $0: f32 = const 1.0f32 store $1 -> %1 }",
        "  store $1 -> %1",
        "%1 must be a scalar of the body, of type f32",
    ),
];

#[test]
fn the_verifier_refuses_what_breaks_a_rule() {
    check_all(BROKEN.iter().map(|case| (format!("rule {}, {}", case.0, case.3), case)), |(_, text, line, why)| {
        let wanted = format!("\n{line}\n  ^ {why}");
        match parse_kernel(text) {
            Err(Error::Verify(found)) if (found.clone() + "\n").contains(&(wanted.clone() + "\n")) => Ok(()),
            other => Err(format!("wanted{wanted}\nfound {other:?}")),
        }
    });
}

/// The rules are numbered as in the verifier's documentation, and none is missing.
#[test]
fn every_rule_of_the_verifier_is_broken_once() {
    let path = gavotte_tests::workspace_dir().join("core/src/kernel/verify.rs");
    let text = std::fs::read_to_string(&path).expect("the verifier's source can be read");
    let rules = text.lines().filter_map(|line| line.strip_prefix("//! ")?.split_once(". ")).map(|(number, _)| number);
    let rules: Vec<&str> = rules.filter(|number| number.parse::<u32>().is_ok()).collect();
    let mut broken: Vec<&str> = BROKEN.iter().map(|(rule, ..)| *rule).collect();
    broken.dedup();
    assert_eq!(broken, rules);
}

/// Unreadable texts, with the place and the reason.
const UNREADABLE: &[(&str, usize, usize, &str)] = &[
    ("program @f", 1, 1, "expected `kernel`, found `program @f`"),
    ("kernel @f(%0: f32[2]", 1, 21, "expected `)`, found the end"),
    (
        "kernel @f() -> (%0: f8[])",
        1,
        23,
        "there is no element type `f8`; there are f16, bf16, f32, f64, i8, i16, i32, i64, u8, u16, u32, u64, bool",
    ),
    ("kernel @f() -> (%0: f32[2]) {\n  row i1: 2", 2, 7, "expected `i0`, found `i1`: number them in order"),
    ("kernel @f() -> (%0: f32[2]) {\n  segment i0: e of i0 by %7", 2, 26, "%7 is no input of the kernel"),
    ("kernel @f() -> (%0: f32[]) {\n  $1: f32", 2, 3, "expected `$0`, found `$1`: number them in order"),
    ("kernel @f() -> (%0: f32[]) {\n  $0: f32 = sine $0", 2, 13, "`sine` is no instruction"),
    ("kernel @f() -> (%0: f32[]) {\n  $0: f32 = load %1[]", 2, 18, "%1 is no input of the kernel"),
    (
        "kernel @f() -> (%0: f32[]) {\n  $0: f32 = const 1.0",
        2,
        19,
        "`1.0` is no literal: write a number and its type, as in `0.5f32`",
    ),
    ("kernel @f() -> (%0: f32[]) {\n  $0: i32 = position n", 2, 22, "expected a loop, a number or `(`"),
    (
        "kernel @f() -> (%0: f32[]) {\n  $0: i32 = position 9223372036854775808",
        2,
        22,
        "9223372036854775808 is too large for a position",
    ),
    (
        "kernel @f() -> (%0: f32[]) {\n  $0: f32 = const 1.0f32\n  put $0 -> %0\n}",
        3,
        3,
        "`put` is no way to a result: store, sum, prod, max or min",
    ),
    (
        "kernel @f() -> (%0: f32[], %1: f32[]) {\n  $0: f32 = const 1.0f32\n  store $0 -> %1\n}",
        3,
        15,
        "expected %0: results stand in the outputs' order",
    ),
    (
        "kernel @f() -> (%0: f32[]) {\n  $0: f32 = const 1.0f32\n  store $0 -> %0\n  store $0 -> %0\n}",
        4,
        15,
        "%0 is one result more than there are outputs",
    ),
    (
        "kernel @f() -> (%0: f32[], %1: f32[]) {\n  $0: f32 = const 1.0f32\n  store $0 -> %0\n  sum $0 -> %1\n}",
        4,
        3,
        "all results of a kernel are stored or combined in one way",
    ),
    (
        "kernel @f() -> (%0: f32[]) {\n  $0: f32 = const 1.0f32\n  $1: i32 = neg $0\n  store $0 -> %0\n}",
        3,
        7,
        "$1 is f32, not i32",
    ),
    (
        "kernel @f() -> (%0: f32[]) {\n  $0: f32 = const 1.0f32\n  store $0 -> %0\n}\nkernel",
        5,
        1,
        "one kernel ends here; nothing may follow it",
    ),
];

#[test]
fn what_cannot_be_read_is_an_error_with_its_place() {
    check_all(UNREADABLE.iter().map(|case| (case.0.to_string(), case)), |(text, line, column, why)| {
        let wanted = Error::Parse { line: *line, column: *column, why: why.to_string() };
        let found = parse_kernel(text).err();
        if found.as_ref() == Some(&wanted) { Ok(()) } else { Err(format!("wanted {wanted}, found {found:?}")) }
    });
}
