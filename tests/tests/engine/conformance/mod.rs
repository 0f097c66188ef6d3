//! Every primitive of the registry obeys every law, on each of its samples.

mod batching;
mod compiled_sizes;
mod derivatives;
mod lowering;
mod symbols;

use gavotte_core::aval::{Aval, Dim, Sizes};
use gavotte_core::device::HostArray;
use gavotte_core::ir::{Params, Program, parse, verify};
use gavotte_core::pass;
use gavotte_tests::arrays::{Random, numbers, random_array};
use gavotte_tests::cases::{
    NOT_BATCHED, NOT_EXPORTED, NOT_IN_F64, NOT_LOWERED, NOT_REVERSED, OPEN_ON_EQUAL_ELEMENTS, OWN_DERIVATIVE, cases,
    is_listed, on_known_operands,
};
use gavotte_tests::compare::{difference, run};
use gavotte_tests::report::check_all;
use gavotte_tests::targets::check_targets;
use gavotte_tests::transformed::vjp_program;

#[test]
fn every_primitive_has_samples_of_all_attributes_and_unique_names_for_them() {
    check_all(gavotte::registry().iter().map(|prim| (prim.name().to_string(), prim)), |prim| {
        let samples = prim.samples();
        let names: Vec<&str> = samples.iter().map(|sample| sample.name).collect();
        let twice = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name));
        let is_shown = |name: &str| samples.iter().any(|sample| sample.params.get(name).is_some());
        let hidden = prim.attributes().iter().find(|name| !is_shown(name));
        match (samples.is_empty(), twice, hidden) {
            (true, ..) => Err("it has no samples".into()),
            (_, Some((_, name)), _) => Err(format!("two samples are called {name}")),
            (.., Some(name)) => Err(format!("no sample has the attribute {name}")),
            _ => Ok(()),
        }
    });
}

#[test]
fn excuses_name_primitives() {
    let lists = [OWN_DERIVATIVE, NOT_IN_F64, NOT_LOWERED, NOT_REVERSED, NOT_EXPORTED, OPEN_ON_EQUAL_ELEMENTS];
    let excused = lists.into_iter().flatten().map(|(name, _)| *name);
    for name in excused.chain(NOT_BATCHED.iter().map(|(name, _, _, _)| *name)) {
        assert!(gavotte::registry().get(name).is_some(), "{name} is not a primitive: drop its excuse");
    }
}

/// A primitive with a StableHLO form needs no excuse for having none.
#[test]
fn excuses_from_export_are_needed() {
    check_all(cases(), |case| {
        let is_listed = is_listed(NOT_EXPORTED, case.prim);
        match case.program().to_stablehlo(&Sizes::new()) {
            Ok(_) if is_listed => Err("it is exported: drop its excuse".into()),
            Err(why) if !is_listed && !case.prim.has_effect() => Err(why.to_string()),
            _ => Ok(()),
        }
    });
}

#[test]
fn text_round_trip() {
    check_all(cases(), |case| {
        let program = case.program();
        verify(&program).map_err(|error| error.to_string())?;
        let back = parse(&program.to_string(), gavotte::registry()).map_err(|error| format!("{error}\n{program}"))?;
        if back == program { Ok(()) } else { Err(format!("read back as\n{back}\nfrom\n{program}")) }
    });
}

#[test]
fn abstract_eval_survives_any_operands() {
    check_all(cases(), |case| {
        let avals: Vec<Aval> = case.program().args.iter().map(|binder| binder.aval.clone()).collect();
        let n = Dim::symbol("n");
        let odd = [Aval::scalar(gavotte::DType::Bool), Aval::new(gavotte::DType::I32, [n.clone(), &n * 2, n])];
        for i in 0..=avals.len() {
            for odd in &odd {
                let (mut fewer, mut other) = (avals.clone(), avals.clone());
                fewer.truncate(i);
                other.iter_mut().skip(i).take(1).for_each(|aval| *aval = odd.clone());
                for ins in [fewer, other, vec![odd.clone(); i + 2]] {
                    let ins: Vec<&Aval> = ins.iter().collect();
                    let _ = case.prim.abstract_eval(&ins, &case.params);
                    let _ = case.prim.abstract_eval(&ins, &Params::new());
                }
            }
        }
        Ok(())
    });
}

#[test]
fn eval_returns_the_types_of_abstract_eval() {
    check_all(cases(), |case| {
        let program = case.program();
        let found: Vec<Aval> = run(&program, &case.ins).iter().map(|out| Aval::new(out.dtype(), out.shape())).collect();
        let wanted = program.out_avals();
        if found == wanted { Ok(()) } else { Err(format!("eval returns {found:?}, abstract_eval {wanted:?}")) }
    });
}

/// `simplify` rules on operands they may know: zeros, ones, equal operands, the primitive applied to itself.
#[test]
fn simplify_keeps_values() {
    check_all(cases(), |case| {
        for program in on_known_operands(case) {
            verify(&program).map_err(|error| error.to_string())?;
            let simplify = pass::find("simplify").expect("it is a pass");
            let simple = simplify.apply(&program);
            verify(&simple).map_err(|error| error.to_string())?;
            let wanted = run(&program, &case.ins);
            if wanted.iter().flat_map(numbers).any(|x| x.is_nan()) {
                // 0 · ∞ and the like: `x · 0 = 0` is a law of finite numbers only.
                continue;
            }
            if let Some(why) = difference(&run(&simple, &case.ins), &wanted, 0.0) {
                return Err(format!("{why}\n{program}{simple}"));
            }
        }
        Ok(())
    });
}

#[test]
fn targets_agree_with_the_interpreter() {
    check_all(cases(), |case| {
        let program = case.program();
        check_targets(&program, &case.ins)?;
        if !case.is_reversed() {
            return Ok(());
        }
        let (gradient, arrays) = vjp_inputs(&program, &case.ins);
        check_targets(&pass::optimize(&gradient), &arrays)
    });
}

/// The gradient's program and inputs for it.
fn vjp_inputs(program: &Program, ins: &[HostArray]) -> (Program, Vec<HostArray>) {
    let gradient = vjp_program(program);
    let mut random = Random::new(12);
    let cotangents = gradient.args[ins.len()..].iter();
    let cotangents = cotangents.map(|binder| random_array(&binder.aval, &mut random));
    let arrays = ins.iter().cloned().chain(cotangents).collect();
    (gradient, arrays)
}
