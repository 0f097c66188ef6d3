//! Random kernels on every target that runs kernels, against an evaluator of kernel IR.
//!
//! Arrays lie between pages that must not be touched, so a read or write outside of one ends the process. The file
//! `target/tmp/random_kernels_<test>.txt` then holds the kernel that was running, with its seed;
//! `GAVOTTE_KERNEL_SEEDS=7..8` compares only that one, `0..100000` compares many.

use gavotte_core::aval::{Aval, DType, Literal, Sizes};
use gavotte_core::codegen::x86;
use gavotte_core::device::{DataMut, HostArray};
use gavotte_core::ir::ScalarOp;
use gavotte_core::kernel::{Instr, LoopKind, parse_kernel, verify_kernel};
use gavotte_tests::arrays::Random;
use gavotte_tests::kernels::Case;
use gavotte_tests::kernels::evaluate::{Outside, evaluate};
use gavotte_tests::kernels::forms::forms;
use gavotte_tests::kernels::generate::random_kernel;
use gavotte_tests::kernels::judge::{Verdict, judge, launches};
use gavotte_tests::kernels::operation::{operation, operations};
use gavotte_tests::kernels::prune::shrunk;
use gavotte_tests::kernels::scalar::exists;
use gavotte_tests::kernels::value::Value;
use gavotte_tests::launch::guard::Side;
use gavotte_tests::launch::{KernelTarget, Launch, Refused, kernel_targets};
use gavotte_tests::report::{caught, check_all};
use std::ops::Range;
use std::path::Path;

/// As many as a reader waits for.
const KERNELS: u64 = 500;
/// As many as `.ci/run` compares.
const ALL_KERNELS: u64 = 3000;

/// Records which kernel is running, in case it ends the process.
fn note(test: &str, case: &Case) {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("random_kernels_{test}.txt"));
    std::fs::write(&path, case.to_string()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// The requested seeds.
fn seeds() -> Range<u64> {
    std::env::var("GAVOTTE_KERNEL_SEEDS").map_or(0..KERNELS, |seeds| {
        let range = seeds.split_once("..").map(|(first, end)| (first.parse(), end.parse()));
        let Some((Ok(first), Ok(end))) = range else { panic!("GAVOTTE_KERNEL_SEEDS is not a range: {seeds}") };
        first..end
    })
}

/// Their kernels.
fn cases() -> impl Iterator<Item = Case> {
    seeds().map(random_kernel)
}

/// How the launches of one case ended, counted over all of them.
#[derive(Default)]
struct Count {
    refused: usize,
    compared: usize,
    free: usize,
}

/// Launches a case in every way.
fn check(target: &dyn KernelTarget, case: &Case, count: &mut Count) -> Result<(), String> {
    check_against(&evaluated(case)?, target, case, count)
}

/// The admissible values of a case.
fn evaluated(case: &Case) -> Result<Vec<Vec<Value>>, String> {
    evaluate(case).map_err(|Outside| "the evaluator reads outside of an array".to_string())
}

/// Launches a case in every way, and compares it with its admissible values.
fn check_against(
    wanted: &[Vec<Value>],
    target: &dyn KernelTarget,
    case: &Case,
    count: &mut Count,
) -> Result<(), String> {
    let bytes = case.bytes();
    let is_able = |launch: &Launch| launch.pieces.as_ref().is_none_or(|p| target.may_cut(&case.kernel, p.axis));
    for launch in launches(case, &mut Random::new(case.seed)).into_iter().filter(is_able) {
        match judge(target, case, &bytes, &launch, wanted)? {
            Verdict::Right { compared, free } => {
                count.compared += compared;
                count.free += free;
            }
            Verdict::Unsupported(_) => {
                count.refused += 1;
                break;
            }
            Verdict::OutOfBounds => return Err(format!("{}: says that a position is outside", target.name())),
        }
    }
    Ok(())
}

#[test]
fn targets_compute_what_kernels_say() {
    let targets = kernel_targets();
    let mut counts: Vec<Count> = targets.iter().map(|_| Count::default()).collect();
    let (mut n, mut failures) = (0, vec![]);
    for case in cases() {
        n += 1;
        let wanted = evaluated(&case).unwrap_or_else(|why| panic!("{why}\n{case}"));
        for (target, count) in targets.iter().zip(&mut counts) {
            note(target.name(), &case);
            if let Err(why) = caught(|| check_against(&wanted, *target, &case, count)) {
                let small = shrunk(&case, &mut |case| {
                    note(target.name(), case);
                    caught(|| check(*target, case, &mut Count::default())).is_err()
                });
                let still = caught(|| check(*target, &small, &mut Count::default())).err().unwrap_or_default();
                failures.push(format!("{why}\n{case}in short: {still}\n{small}"));
            }
        }
    }
    let first = failures[..failures.len().min(5)].join("\n\n");
    assert!(failures.is_empty(), "{} of {n} fail:\n\n{first}", failures.len());
    for (target, Count { refused, compared, free }) in targets.iter().zip(counts) {
        let share = refused as f64 / f64::from(n);
        assert!(share <= target.may_refuse(), "{} refuses {refused} of {n} kernels", target.name());
        assert!(free * 20 < compared, "{free} elements may be anything, {compared} are compared");
    }
}

/// Whether machine code has vectors of every type in the kernel.
fn has_vectors(case: &Case) -> bool {
    case.kernel.dtypes().into_iter().all(x86::has_vectors)
}

/// Every operation on every type that has it: a target must take all kernels of types that it has.
#[test]
fn every_operation_on_every_type() {
    for target in kernel_targets() {
        check_all(operations().map(|(op, dtype)| (format!("{op:?} of {dtype}"), operation(op, dtype))), |case| {
            note(&format!("{}_operation", target.name()), case);
            let mut count = Count::default();
            check(target, case, &mut count)?;
            let takes = target.name() == "portable" || has_vectors(case);
            if (count.refused == 0) == takes { Ok(()) } else { Err(format!("{} refuses\n{case}", target.name())) }
        });
    }
}

/// Every form of kernel for which machine code has its own layout, in many widths.
#[test]
fn every_form_in_every_width() {
    for target in kernel_targets() {
        check_all(forms(), |case| {
            note(&format!("{}_form", target.name()), case);
            check(target, case, &mut Count::default())
        });
    }
}

/// A kernel computes the same bits on every instruction set: sums, too, are added in one order. Without a sum these are
/// the portable target's bits, except for functions for which machine code has its own formulas.
#[test]
fn results_have_the_same_bits() {
    let targets = kernel_targets();
    let own = |case: &Case| {
        let dtypes = case.kernel.dtypes();
        case.kernel.reduce.is_some()
            || case.kernel.body.iter().zip(dtypes).any(|(instr, dtype)| {
                let Instr::Op(op, _) = instr else { return false };
                dtype == DType::F32 && matches!(op, ScalarOp::Log | ScalarOp::Log1p | ScalarOp::Tanh)
            })
    };
    let launch = Launch { side: Side::End, in_place: None, pieces: None };
    let mut n = 0;
    let operations = operations().map(|(op, dtype)| operation(op, dtype)).filter(has_vectors);
    for case in cases().chain(operations).chain(forms().map(|(_, case)| case)) {
        note("bits", &case);
        let run = |target: &&dyn KernelTarget| {
            let outputs = launch.run(*target, &case.kernel, &case.sizes, &case.bytes());
            outputs.unwrap_or_else(|why| panic!("{why:?}\n{case}")).unwrap_or_else(|why| panic!("{why}\n{case}"))
        };
        let targets = &targets[usize::from(own(&case))..];
        let Some((first, others)) = targets.split_first().filter(|(_, others)| !others.is_empty()) else { continue };
        let wanted = run(first);
        for other in others {
            for (k, (found, wanted)) in run(other).iter().zip(&wanted).enumerate() {
                let dtype = case.kernel.outputs[k].1.dtype;
                let elements = found.chunks_exact(dtype.size()).zip(wanted.chunks_exact(dtype.size()));
                for (i, (found, wanted)) in elements.enumerate() {
                    let same = found == wanted || is_nan(dtype, found) && is_nan(dtype, wanted);
                    let names = (first.name(), other.name());
                    assert!(same, "output {k}, element {i}, {names:?}: {wanted:?} and {found:?}\n{case}");
                    n += 1;
                }
            }
        }
    }
    assert!(targets.len() < 2 || n > 50_000, "{n} elements are compared");
}

/// Kernels that a target once got wrong, independent of the seeds.
#[test]
fn kernels_that_were_wrong_once() {
    let texts = [
        // The results of both outputs in chunks.
        "kernel @chunks(%0: i32[65]) -> (%1: bool[65], %2: i32[65]) {
            row i0: 65 reduce i1: 6 reduce i2: 100
            $0: i32 = load %0[i0]
            $1: bool = eq $0, $0
            max $1 -> %1 max $0 -> %2 }",
        // Segments of a row loop with other loops before and after it.
        "kernel @segments(%0: i32[7], %1: i32[6,3,2]) -> (%2: i32[3,6,2]) {
            row i0: 3 row i1: 6 row i2: 2 segment i3: 5 of i1 by %0
            $0: i32 = position i3
            $1: i32 = load %1[i1, i0, i2]
            $2: i32 = mul $0, $1
            sum $2 -> %2 }",
        // Vectors of one row that read a different number of neighbours from the same place on.
        "kernel @neighbours(%0: i32[2]) -> (%1: i32[2,20]) {
            row i0: 2 row i1: 20 reduce i2: 65
            $0: i32 = load %0[i0]
            max $0 -> %1 }",
        // At most one member in all segments together.
        "kernel @member(%0: i32[7]) -> (%1: i32[6,3]) {
            row i0: 6 row i1: 3 segment i2: 1 of i0 by %0
            $0: i32 = const -1i32
            max $0 -> %1 }",
    ];
    for (text, target) in texts.iter().flat_map(|text| kernel_targets().into_iter().map(move |target| (text, target))) {
        let kernel = parse_kernel(text).unwrap_or_else(|error| panic!("{error}"));
        let array = |(i, aval): (usize, &Aval)| {
            let shape: Vec<usize> = aval.shape.iter().map(|dim| dim.as_usize().expect("a number")).collect();
            let n = shape.iter().product::<usize>();
            // Sorted, and none beyond the last loop: the segments' offsets are among them.
            let members = kernel.loops.last().and_then(|l| l.extent.as_usize()).expect("a number");
            let number = |k: usize| if i == 0 { (k * members / n) as i32 } else { k as i32 - 9 };
            HostArray::new(&shape, (0..n).map(number).collect())
        };
        let inputs = kernel.inputs.iter().map(|(_, aval)| aval).enumerate().map(array).collect();
        let case = Case { seed: 0, kernel, sizes: Sizes::new(), inputs };
        check(target, &case, &mut Count::default()).unwrap_or_else(|why| panic!("{why}\n{case}"));
    }
}

#[test]
fn they_are_well_formed_and_survive_their_text() {
    check_all(cases().map(|case| (format!("seed {}", case.seed), case)), |case| {
        verify_kernel(&case.kernel).map_err(|error| error.to_string())?;
        let back = parse_kernel(&case.kernel.to_string()).map_err(|error| format!("{error}\n{case}"))?;
        if back == case.kernel { Ok(()) } else { Err(format!("read back as\n{back}\nfrom\n{case}")) }
    });
}

/// A suite that omits an operation tests nothing of it.
#[test]
fn they_use_every_operation_and_every_kind_of_loop() {
    let all: Vec<Case> = (0..ALL_KERNELS).map(random_kernel).collect();
    let used = |what: &dyn Fn(&Case) -> bool| all.iter().filter(|case| what(case)).count();
    check_all(ScalarOp::ALL.map(|op| (op.name().to_string(), op)), |op| {
        let is_it = |instr: &Instr| matches!(instr, Instr::Op(other, _) if other.name() == op.name());
        let n = used(&|case| case.kernel.body.iter().any(is_it));
        if n >= 8 { Ok(()) } else { Err(format!("only {n} kernels use it")) }
    });
    let of_kind = |is: fn(LoopKind) -> bool| used(&|case| case.kernel.loops.iter().any(|l| is(l.kind)));
    assert!(of_kind(|kind| kind == LoopKind::Row) > 500);
    assert!(of_kind(|kind| kind == LoopKind::Reduce) > 250);
    assert!(of_kind(|kind| matches!(kind, LoopKind::Segment { .. })) > 100);
    assert!(used(&|case| case.kernel.outputs.len() > 1) > 250);
    assert!(used(&|case| launches(case, &mut Random::new(0)).iter().any(|launch| launch.in_place.is_some())) > 25);
}

/// An out-of-bounds position or offset: every target reports it, and touches nothing but its arrays.
#[test]
fn targets_stay_within_arrays() {
    let targets = kernel_targets();
    let mut counts = vec![(0, 0usize); targets.len()];
    for mut case in cases() {
        let mut random = Random::new(case.seed);
        let ints = |input: &usize| case.inputs[*input].dtype() == DType::I32 && !case.inputs[*input].is_empty();
        let ints: Vec<usize> = (0..case.inputs.len()).filter(ints).collect();
        if ints.is_empty() {
            continue;
        }
        let input = *random.pick(&ints);
        let at = random.below(case.inputs[input].len());
        let wrong = *random.pick(&[-1, i32::MIN, i32::MAX, 1000, 100_000, 1 << 30]);
        if let DataMut::I32(xs) = case.inputs[input].data_mut() {
            xs[at] = wrong;
        }
        if evaluate(&case) != Err(Outside) {
            continue;
        }
        for (target, (n, refused)) in targets.iter().zip(&mut counts) {
            note(&format!("{}_outside", target.name()), &case);
            for side in [Side::Start, Side::End] {
                let launch = Launch { side, in_place: None, pieces: None };
                match launch.run(*target, &case.kernel, &case.sizes, &case.bytes()) {
                    Err(Refused::OutOfBounds) => *n += 1,
                    Err(Refused::Unsupported(_)) => *refused += 1,
                    Ok(outputs) => {
                        let (name, outputs) = (target.name(), outputs.map(|_| "it ran"));
                        panic!("{name}: {outputs:?}, with {wrong} in input {input}\n{case}");
                    }
                }
            }
        }
    }
    for (target, (n, refused)) in targets.iter().zip(counts) {
        let (least, most) = (seeds().count() / 12, target.may_refuse() * n as f64);
        assert!(n >= least && refused as f64 <= most, "{}: {n} found, {refused} refused", target.name());
    }
}

fn is_nan(dtype: DType, bytes: &[u8]) -> bool {
    match dtype {
        DType::F32 => f32::from_le_bytes(bytes.try_into().expect("four bytes")).is_nan(),
        DType::F64 => f64::from_le_bytes(bytes.try_into().expect("eight bytes")).is_nan(),
        _ => false,
    }
}

/// The suite itself: a target that runs a slightly different kernel is caught in nearly all cases where the results
/// differ.
#[test]
fn wrong_targets_are_noticed() {
    let target = kernel_targets()[0];
    let (mut wrong, mut missed) = (0, vec![]);
    for case in (0..KERNELS).map(random_kernel) {
        let Some(other) = changed(&case, &mut Random::new(case.seed)) else { continue };
        let (Ok(wanted), Ok(others)) = (evaluate(&case), caught(|| evaluate(&other).map_err(|_| "outside".into())))
        else {
            continue;
        };
        if wanted == others {
            continue;
        }
        wrong += 1;
        let launch = Launch { side: Side::End, in_place: None, pieces: None };
        if judge(target, &other, &case.bytes(), &launch, &wanted).is_ok() {
            missed.push(format!("{case}{other}"));
        }
    }
    let share = missed.len() as f64 / f64::from(wrong);
    assert!(
        wrong > 200 && share < 0.05,
        "{} of {wrong} missed:\n{}",
        missed.len(),
        missed[..missed.len().min(8)].join("\n")
    );
}

/// The same case with one operation or one constant changed.
fn changed(case: &Case, random: &mut Random) -> Option<Case> {
    let mut case = case.clone();
    let dtypes = case.kernel.dtypes();
    let able = |instr: &Instr| matches!(instr, Instr::Op(..) | Instr::Const(_));
    let able: Vec<usize> = (0..case.kernel.body.len()).filter(|i| able(&case.kernel.body[*i])).collect();
    let i = *able.get(random.below(able.len().max(1)))?;
    match &mut case.kernel.body[i] {
        Instr::Const(Literal::F32(x)) => *x = f32::from_bits(x.to_bits() ^ 1),
        Instr::Const(Literal::I32(x)) => *x ^= 1,
        Instr::Const(Literal::U32(x)) => *x ^= 1,
        Instr::Op(ScalarOp::Select, ins) => ins.swap(1, 2),
        Instr::Op(op, ins) => {
            let dtype = dtypes[ins[0].0 as usize];
            let others = ScalarOp::ALL.into_iter().filter(|other| {
                let same = other.arity() == op.arity() && other.result(&[dtype, dtype]) == dtypes[i];
                same && other != op && *other != ScalarOp::Select && exists(*other, dtype)
            });
            let others: Vec<ScalarOp> = others.collect();
            *op = *others.get(random.below(others.len().max(1)))?;
        }
        _ => return None,
    }
    Some(case)
}
