//! Laws of the IR and of the passes on random programs.

use gavotte_core::device::HostArray;
use gavotte_core::ir::{parse, verify};
use gavotte_core::pass::{PASSES, optimize};
use gavotte_tests::compare::{difference, difference_in_bits, run};
use gavotte_tests::exact::exact_program;
use gavotte_tests::generate::{is_used, random_program};
use gavotte_tests::report::check_all;
use gavotte_tests::targets::{check_targets, targets};

const SEEDS: std::ops::Range<u64> = 0..300;

fn seeds() -> impl Iterator<Item = (String, u64)> {
    SEEDS.map(|seed| (format!("seed {seed}"), seed))
}

#[test]
fn they_are_well_formed_and_large_enough() {
    check_all(seeds(), |seed| {
        let (program, arrays) = random_program(*seed);
        verify(&program).map_err(|error| error.to_string())?;
        let avals = program.args.iter().chain(&program.consts).map(|binder| binder.aval.to_string());
        let found: Vec<String> = avals.collect();
        let given: Vec<String> = arrays.iter().map(|array| format!("{array:?}")).collect();
        let fit = found.len() == given.len() && found.iter().zip(&given).all(|(aval, text)| text.starts_with(aval));
        if !fit {
            return Err(format!("the arrays are {given:?}\n{program}"));
        }
        if program.eqns.len() < 4 { Err(format!("only {} equations", program.eqns.len())) } else { Ok(()) }
    });
}

#[test]
fn they_use_every_primitive() {
    let programs: Vec<_> = SEEDS.map(|seed| random_program(seed).0).collect();
    let prims = gavotte::registry().iter().filter(|prim| is_used(*prim));
    check_all(prims.map(|prim| (prim.name().to_string(), prim.name())), |name| {
        let is_used = programs.iter().flat_map(|program| &program.eqns).any(|eqn| eqn.prim.name() == *name);
        if is_used { Ok(()) } else { Err("no program uses it".into()) }
    });
}

#[test]
fn they_survive_their_text() {
    check_all(seeds(), |seed| {
        let program = random_program(*seed).0;
        let back = parse(&program.to_string(), gavotte::registry()).map_err(|error| format!("{error}\n{program}"))?;
        if back == program { Ok(()) } else { Err(format!("read back as\n{back}\nfrom\n{program}")) }
    });
}

#[test]
fn passes_keep_what_they_compute() {
    check_all(seeds(), |seed| {
        let (program, arrays) = random_program(*seed);
        let wanted = run(&program, &arrays);
        for pass in PASSES {
            let result = pass.apply(&program);
            verify(&result).map_err(|error| format!("{}: {error}", pass.name))?;
            if let Some(why) = difference(&run(&result, &arrays), &wanted, 0.0) {
                return Err(format!("{}: {why}\n{program}\n{result}", pass.name));
            }
        }
        let result = optimize(&program);
        match difference(&run(&result, &arrays), &wanted, 0.0) {
            Some(why) => Err(format!("optimize: {why}\n{program}\n{result}")),
            None => Ok(()),
        }
    });
}

/// The pipeline is long enough: running it again changes only a few programs.
#[test]
fn the_pipeline_leaves_little_to_do() {
    let unsettled = |seed: &u64| {
        let once = optimize(&random_program(*seed).0);
        optimize(&once) != once
    };
    let n = SEEDS.filter(unsettled).count();
    assert!(n * 20 <= SEEDS.count(), "{n} programs are not settled: the pipeline needs another round");
}

#[test]
fn targets_agree_with_the_interpreter() {
    check_all(seeds(), |seed| {
        let (program, arrays) = random_program(*seed);
        check_targets(&program, &arrays)?;
        check_targets(&optimize(&program), &arrays)
    });
}

/// Zeros of both signs, NaN, infinities, subnormal numbers, the least integer: compiling changes no bit.
#[test]
fn operations_that_are_exact_have_one_result() {
    check_all(seeds(), |seed| {
        let (program, arrays) = exact_program(*seed);
        verify(&program).map_err(|error| error.to_string())?;
        let wanted = run(&program, &arrays);
        let same = |name: &str, found: Vec<HostArray>| match difference_in_bits(&found, &wanted) {
            Some(why) => Err(format!("{name}: {why}\n{program}")),
            None => Ok(()),
        };
        for pass in PASSES {
            same(pass.name, run(&pass.apply(&program), &arrays))?;
        }
        targets().into_iter().try_for_each(|(name, target)| same(name, target(&program, &arrays)))
    });
}
