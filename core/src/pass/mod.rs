//! Passes: program to program, each faster to run and equal in what it computes.
//!
//! Laws that every pass keeps: the result is well formed and renumbered; arguments, constants and results keep their
//! places and types; results keep their bits, save that a zero may change its sign and a NaN its payload; an equation
//! that stays keeps its location. The programs of loops and branches get the same passes. A pass asks a primitive for its kind and its rules, never for its name, and takes
//! time linear in the size of the program.

mod cse;
mod dce;
mod fold;
mod inline;
mod names;
mod simplify;

use crate::ir::{Kind, Program, verify};
use std::time::{Duration, Instant};

/// A rewriting of programs. Its name is its file, its folder of file tests and its label in timings.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// What it is called.
    pub name: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    /// Does it to a program, not to those within it.
    pub run: fn(Program) -> Program,
}

impl Pass {
    /// Does it to the programs of loops and branches, then to the program.
    pub fn apply(&self, program: &Program) -> Program {
        self.apply_to(program.clone())
    }

    fn apply_to(&self, mut program: Program) -> Program {
        for eqn in program.eqns.iter_mut().filter(|eqn| eqn.prim.kind() == Kind::Control) {
            eqn.params = eqn.params.map_programs(&|nested| self.apply(nested));
        }
        (self.run)(program)
    }
}

/// Every pass.
pub static PASSES: &[Pass] = &[
    Pass { name: "inline", about: "puts nested programs in the place of their calls", run: inline::run },
    Pass {
        name: "simplify",
        about: "replaces equations by what their primitives know to be less work",
        run: simplify::run,
    },
    Pass { name: "fold", about: "computes scalars whose operands are all literals", run: fold::run },
    Pass { name: "cse", about: "computes equal equations once", run: cse::run },
    Pass { name: "dce", about: "drops equations that no result needs", run: dce::run },
];

/// What [`optimize`] runs, in order. The second round sees what folding and sharing have laid open.
pub static PIPELINE: &[&str] = &["inline", "simplify", "fold", "cse", "dce", "simplify", "cse", "dce"];

/// The pass of this name.
pub fn find(name: &str) -> Option<&'static Pass> {
    PASSES.iter().find(|pass| pass.name == name)
}

/// The program after [`PIPELINE`].
pub fn optimize(program: &Program) -> Program {
    optimize_with(program, &mut |_, _, _| {})
}

/// The program after [`PIPELINE`]; `observer` is told what each pass gave and how long it took.
///
/// # Panics
/// In debug builds, if a pass gives a program that is not well formed: a bug of that pass.
pub fn optimize_with(program: &Program, observer: &mut dyn FnMut(&Pass, &Program, Duration)) -> Program {
    let passes = PIPELINE.iter().map(|name| find(name).expect("the pipeline names passes of the table"));
    passes.fold(program.clone(), |program, pass| {
        let start = Instant::now();
        let result = pass.apply_to(program);
        let took = start.elapsed();
        if cfg!(debug_assertions)
            && let Err(error) = verify(&result)
        {
            panic!("the pass `{}` broke the program: {error}", pass.name);
        }
        observer(pass, &result, took);
        result
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aval::Facts;

    #[test]
    fn names_are_unique_and_the_pipeline_uses_each() {
        for (i, pass) in PASSES.iter().enumerate() {
            assert!(PASSES[..i].iter().all(|other| other.name != pass.name), "two passes are called {}", pass.name);
            assert!(PIPELINE.contains(&pass.name), "{} is in no pipeline", pass.name);
        }
        for name in PIPELINE {
            assert!(find(name).is_some(), "{name} is no pass");
        }
    }

    #[test]
    fn the_observer_sees_every_pass_in_order() {
        let name = "empty".into();
        let program = Program { name, args: vec![], consts: vec![], eqns: vec![], outs: vec![], facts: Facts::new() };
        let mut seen = vec![];
        optimize_with(&program, &mut |pass, result, _| {
            assert_eq!(result, &program);
            seen.push(pass.name);
        });
        assert_eq!(seen, PIPELINE);
    }
}
