//! Passes: program to program, each faster to run and equal in what it computes.
//!
//! Laws that every pass keeps: the result is well formed and renumbered; arguments, constants and results keep their
//! places and types; results keep their bits, save that a zero may change its sign and a NaN its payload; an equation
//! that stays keeps its location. The programs of loops and branches get the same passes. A pass asks a primitive for its
//! kind and its rules, never for its name, and takes time linear in the size of the program.

mod change;
mod cse;
mod dce;
mod fold;
mod inline;
mod names;
mod simplify;
mod widen;

use crate::ir::{Kind, Program, verify};
use change::Log;
use std::cell::RefCell;
use std::time::{Duration, Instant};

pub use change::{After, Change, explain};

/// A rewriting of programs. Its name is its file, its folder of file tests and its label in timings.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// What it is called.
    pub name: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    /// Why what it replaces is equal, in a line.
    pub law: &'static str,
    /// Does it to a program, not to those within it.
    run: fn(Program, Log<'_>) -> Program,
}

impl Pass {
    /// Does it to the programs of loops and branches, then to the program.
    pub fn apply(&self, program: &Program) -> Program {
        self.apply_to(program.clone(), None)
    }

    /// The same, with what it did to which equation, in the order in which it did it.
    pub fn apply_explained(&self, program: &Program) -> (Program, Vec<Change>) {
        let changes = RefCell::new(vec![]);
        let result = self.apply_to(program.clone(), Some(&changes));
        (result, changes.into_inner())
    }

    fn apply_to(&self, mut program: Program, changes: Option<&RefCell<Vec<Change>>>) -> Program {
        for eqn in program.eqns.iter_mut().filter(|eqn| eqn.prim.kind() == Kind::Control) {
            eqn.params = eqn.params.map_programs(&|nested| self.apply_to(nested.clone(), changes));
        }
        let Some(changes) = changes else { return (self.run)(program, Log::default()) };
        let (name, own) = (program.name.clone(), RefCell::new(vec![]));
        let result = (self.run)(program, Log::to(&own));
        changes
            .borrow_mut()
            .extend(own.into_inner().into_iter().map(|change| Change { program: name.clone(), ..change }));
        result
    }
}

/// Every pass.
pub static PASSES: &[Pass] = &[
    Pass {
        name: "inline",
        about: "puts nested programs and compositions in the place of their calls",
        law: "a call is the equations of its program, with its operands for the program's arguments",
        run: inline::run,
    },
    Pass {
        name: "widen",
        about: "computes on halves and short integers in wider types",
        law: "an operation on a narrow type is that on the type in which it is computed, rounded once",
        run: widen::run,
    },
    Pass {
        name: "simplify",
        about: "replaces equations by what their primitives know to be less work",
        law: "each rule states its own",
        run: simplify::run,
    },
    Pass {
        name: "fold",
        about: "computes scalars whose operands are all literals",
        law: "an operation of literals is the literal that the interpreter computes",
        run: fold::run,
    },
    Pass {
        name: "cse",
        about: "computes equal equations once",
        law: "the same operation of the same operands and attributes has the same outputs",
        run: cse::run,
    },
    Pass {
        name: "dce",
        about: "drops equations that no result needs",
        law: "what nobody reads, and has no effect of its own, changes no result",
        run: dce::run,
    },
];

/// What [`optimize`] runs, in order. The second round sees what folding and sharing have laid open.
pub static PIPELINE: &[&str] = &["inline", "widen", "simplify", "fold", "cse", "dce", "simplify", "cse", "dce"];

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
/// In debug builds, if a pass returns a program that is not well formed: a bug of that pass.
pub fn optimize_with(program: &Program, observer: &mut dyn FnMut(&Pass, &Program, Duration)) -> Program {
    let passes = PIPELINE.iter().map(|name| find(name).expect("the pipeline names passes of the table"));
    passes.fold(program.clone(), |program, pass| {
        let start = Instant::now();
        let result = pass.apply_to(program, None);
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
