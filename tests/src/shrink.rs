//! Makes a failing program small: everything left is needed for the failure.

use crate::compare::run;
use gavotte_core::device::HostArray;
use gavotte_core::ir::{Atom, Binder, Eqn, Program, verify};

/// Whether a program fails for these inputs: arguments, then constants.
pub type Fails<'a> = &'a mut dyn FnMut(&Program, &[HostArray]) -> bool;

/// A smaller program that also fails, with its inputs; it is well formed, like all that `fails` is asked about.
///
/// Results are dropped or taken earlier, equations are cut out (their results become arguments that hold what they
/// computed), and arguments become constants: each as long as the failure stays, until nothing more can go.
pub fn shrunk(program: &Program, inputs: &[HostArray], fails: Fails<'_>) -> (Program, Vec<HostArray>) {
    let mut best = (program.clone(), inputs.to_vec());
    loop {
        let before = size(&best.0);
        with_fewer_results(&mut best, fails);
        without_equations(&mut best, fails);
        with_fewer_arguments(&mut best, fails);
        if size(&best.0) == before {
            return best;
        }
    }
}

fn size(program: &Program) -> [usize; 4] {
    [program.outs.len(), program.eqns.len(), program.args.len() + program.consts.len(), program.args.len()]
}

type Failing = (Program, Vec<HostArray>);

/// Replaces the best program by the candidate if that is well formed, smaller, and fails.
fn try_it(best: &mut Failing, candidate: Failing, fails: Fails<'_>) -> bool {
    let (program, inputs) = without_unread(candidate);
    let is_better = size(&program) < size(&best.0) && verify(&program).is_ok() && fails(&program, &inputs);
    if is_better {
        *best = (program, inputs);
    }
    is_better
}

/// One result, the earliest variable that still fails; if more than one is needed, as few as possible.
fn with_fewer_results(best: &mut Failing, fails: Fails<'_>) {
    let bound = best.0.eqns.iter().flat_map(|eqn| &eqn.outs).map(|binder| Atom::Var(binder.var));
    for out in bound.chain(best.0.outs.clone()).collect::<Vec<Atom>>() {
        let candidate = Program { outs: vec![out], ..best.0.clone() };
        if try_it(best, (candidate, best.1.clone()), fails) {
            return;
        }
    }
    for i in (0..best.0.outs.len()).rev() {
        let mut candidate = best.0.clone();
        candidate.outs.remove(i);
        try_it(best, (candidate, best.1.clone()), fails);
    }
}

/// Cuts equations out: halves first, then one by one.
fn without_equations(best: &mut Failing, fails: Fails<'_>) {
    let mut width = best.0.eqns.len().next_power_of_two() / 2;
    while width > 0 {
        let mut first = 0;
        while first < best.0.eqns.len() {
            let end = (first + width).min(best.0.eqns.len());
            if !try_it(best, cut(best, first..end), fails) {
                first = end;
            }
        }
        width /= 2;
    }
}

/// The program whose equations in the range are replaced by arguments that hold their results.
fn cut((program, inputs): &Failing, range: std::ops::Range<usize>) -> Failing {
    let bound: Vec<Binder> = program.eqns[range.clone()].iter().flat_map(|eqn| eqn.outs.clone()).collect();
    let values =
        run(&Program { outs: bound.iter().map(|binder| Atom::Var(binder.var)).collect(), ..program.clone() }, inputs);
    let (mut cut, mut arrays) = (program.clone(), inputs.clone());
    cut.eqns.drain(range);
    let n = cut.args.len();
    cut.args.extend(bound);
    arrays.splice(n..n, values);
    (cut, arrays)
}

/// Makes arguments constants: a program is simpler if less is differentiated.
fn with_fewer_arguments(best: &mut Failing, fails: Fails<'_>) {
    for i in (0..best.0.args.len()).rev() {
        let (mut program, mut inputs) = best.clone();
        let (binder, array) = (program.args.remove(i), inputs.remove(i));
        program.consts.push(binder);
        inputs.push(array);
        try_it(best, (program, inputs), fails);
    }
}

/// Removes equations, arguments and constants that no result needs; variables are renumbered.
fn without_unread((mut program, inputs): Failing) -> Failing {
    let mut read = vec![false; program.n_var()];
    let mark = |atoms: &[Atom], read: &mut Vec<bool>| {
        atoms.iter().filter_map(|atom| atom.var()).for_each(|var| read[var.index()] = true);
    };
    mark(&program.outs, &mut read);
    let mut kept: Vec<Eqn> = vec![];
    for eqn in program.eqns.into_iter().rev() {
        if eqn.outs.iter().any(|binder| read[binder.var.index()]) {
            mark(&eqn.ins, &mut read);
            kept.push(eqn);
        }
    }
    kept.reverse();
    program.eqns = kept;
    let is_read = |binder: &Binder| read[binder.var.index()];
    let inputs = program.args.iter().chain(&program.consts).zip(inputs).filter(|(binder, _)| is_read(binder));
    let inputs = inputs.map(|(_, array)| array).collect();
    program.args.retain(is_read);
    program.consts.retain(is_read);
    (program.renumbered(), inputs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::difference;
    use crate::generate::random_program;
    use crate::transformed::jvp_program;

    /// The program with another primitive in place of each of this name: a wrong oracle.
    fn with_wrong(program: &Program, name: &str, wrong: &str) -> Program {
        let wrong = gavotte::registry().get(wrong).expect("it is a primitive");
        let mut program = program.clone();
        program.eqns.iter_mut().filter(|eqn| eqn.prim.name() == name).for_each(|eqn| eqn.prim = wrong);
        program
    }

    fn programs_with(name: &'static str, seeds: u64) -> impl Iterator<Item = Failing> {
        let has = move |(program, _): &Failing| program.eqns.iter().any(|eqn| eqn.prim.name() == name);
        (0..seeds).map(random_program).filter(has)
    }

    #[test]
    fn a_wrong_rule_shrinks_to_one_equation() {
        let mut n = 0;
        for (name, wrong) in [("sin", "cos"), ("mul", "add"), ("max", "min"), ("reduce_sum", "reduce_max")] {
            for (program, inputs) in programs_with(name, 600).take(24) {
                let mut fails = |program: &Program, inputs: &[HostArray]| {
                    let wrong = run(&with_wrong(program, name, wrong), inputs);
                    difference(&run(program, inputs), &wrong, 1e-5).is_some()
                };
                if !fails(&program, &inputs) {
                    continue;
                }
                let (small, arrays) = shrunk(&program, &inputs, &mut fails);
                assert!(fails(&small, &arrays), "what is left fails:\n{small}");
                assert_eq!(small.eqns.len(), 1, "one equation is wrong:\n{small}\nfrom\n{program}");
                assert_eq!(small.eqns[0].prim.name(), name);
                assert_eq!(small.args.len(), 0, "no derivative is taken, so no argument is needed:\n{small}");
                n += 1;
            }
        }
        assert!(n >= 10, "only {n} programs were wrong");
    }

    /// A wrong derivative needs the arguments it is taken in.
    #[test]
    fn a_wrong_derivative_shrinks_to_one_equation_of_an_argument() {
        let mut n = 0;
        fn has_cosine(program: &Program) -> bool {
            let mut eqns = program.eqns.iter();
            eqns.any(|eqn| eqn.prim.name() == "cos" || eqn.params.programs_within().any(|nested| has_cosine(nested)))
        }
        for (program, inputs) in programs_with("sin", 2400).filter(|(program, _)| !has_cosine(program)) {
            // The sine of a forward pass is right: only what follows it is wrong.
            let mut fails = |program: &Program, inputs: &[HostArray]| {
                let derivative = jvp_program(program);
                let ones = derivative.args[inputs.len()..].iter().map(|binder| {
                    let shape: Vec<usize> =
                        binder.aval.shape.iter().map(|dim| dim.as_usize().expect("a number")).collect();
                    HostArray::full(&shape, gavotte_core::aval::Literal::from_f64(binder.aval.dtype, 1.0))
                });
                let arrays: Vec<HostArray> = inputs.iter().cloned().chain(ones).collect();
                let found = run(&derivative, &arrays).split_off(program.outs.len());
                let wrong = run(&with_wrong(&derivative, "cos", "sin"), &arrays).split_off(program.outs.len());
                difference(&found, &wrong, 1e-5).is_some()
            };
            if !fails(&program, &inputs) {
                continue;
            }
            let (small, _) = shrunk(&program, &inputs, &mut fails);
            assert_eq!(small.eqns.len(), 1, "one equation is wrong:\n{small}\nfrom\n{program}");
            assert_eq!(small.eqns[0].prim.name(), "sin");
            assert_eq!(small.args.len(), 1);
            n += 1;
        }
        assert!(n >= 2, "only {n} programs were wrong");
    }
}
