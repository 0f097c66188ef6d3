//! Random kernels on every target that runs kernels, against an evaluator of kernel IR.
//!
//! Arrays lie between pages that may not be touched, so a read or a write outside of one ends the process. The kernel that
//! was running then stands in a file of the folder `target/tmp`, `random_kernels_<test>.txt`, with its seed;
//! `GAVOTTE_KERNEL_SEED=7` runs that one alone.

use gavotte_core::aval::Literal;
use gavotte_core::kernel::{Instr, parse_kernel, verify_kernel};
use gavotte_tests::arrays::Random;
use gavotte_tests::kernels::evaluate::{Outside, evaluate};
use gavotte_tests::kernels::generate::random_kernel;
use gavotte_tests::kernels::judge::{Verdict, judge, launches};
use gavotte_tests::kernels::prune::shrunk;
use gavotte_tests::kernels::{Case, scalar};
use gavotte_tests::launch::guard::Side;
use gavotte_tests::launch::{KernelTarget, Launch, kernel_targets};
use gavotte_tests::report::caught;
use std::collections::HashSet;
use std::path::Path;

const KERNELS: u64 = 2000;

/// Says which kernel runs, in case that it ends the process.
fn note(test: &str, case: &Case) {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("random_kernels_{test}.txt"));
    std::fs::write(&path, case.to_string()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn cases() -> impl Iterator<Item = Case> {
    let one = std::env::var("GAVOTTE_KERNEL_SEED").ok().and_then(|seed| seed.parse().ok());
    one.map_or(0..KERNELS, |seed| seed..seed + 1).map(random_kernel)
}

/// How the launches of one case ended: counted over all of them.
#[derive(Default)]
struct Count {
    refused: usize,
    compared: usize,
    free: usize,
}

/// Launches a case in every way.
fn check(target: &dyn KernelTarget, case: &Case, count: &mut Count) -> Result<(), String> {
    let wanted = evaluate(case).map_err(|Outside| "the evaluator reads outside of an array")?;
    let bytes = case.bytes();
    for launch in launches(case, &mut Random::new(case.seed)) {
        match judge(target, case, &bytes, &launch, &wanted)? {
            Verdict::Right { compared, free } => {
                (count.compared, count.free) = (count.compared + compared, count.free + free)
            }
            Verdict::Unsupported(_) => return Ok(count.refused += 1),
            Verdict::OutOfBounds => return Err(format!("{}: says that a position is outside", target.name())),
        }
    }
    Ok(())
}

#[test]
fn targets_compute_what_kernels_say() {
    for target in kernel_targets() {
        let (mut count, mut n, mut failures) = (Count::default(), 0, vec![]);
        for case in cases() {
            n += 1;
            note(target.name(), &case);
            if let Err(why) = caught(|| check(target, &case, &mut count)) {
                let small = shrunk(&case, &mut |case| {
                    note(target.name(), case);
                    caught(|| check(target, case, &mut Count::default())).is_err()
                });
                let still = caught(|| check(target, &small, &mut Count::default())).err().unwrap_or_default();
                failures.push(format!("{why}\n{case}in short: {still}\n{small}"));
            }
        }
        assert!(
            failures.is_empty(),
            "{} of {n} fail:\n\n{}",
            failures.len(),
            failures[..failures.len().min(5)].join("\n\n")
        );
        let share = count.refused as f64 / n as f64;
        assert!(share <= target.may_refuse(), "{} refuses {} of {n} kernels", target.name(), count.refused);
        let Count { compared, free, .. } = count;
        assert!(free * 20 < compared, "{free} elements may be anything, {compared} are compared");
    }
}
