//! Which facts are in force: a program's own and those of the programs it calls, however it came to call them. Nothing
//! else vouches for a size.

use gavotte::{Array, DType, Dim, Error, Options, Stage, arange, assume, jit, make_program, scan};
use gavotte_core::aval::{Sizes, Symbol};
use gavotte_core::ir::{PrintOptions, Program, interpret, parse};
use gavotte_core::runtime::Executable;
use gavotte_core::runtime::cuda::Gpu;

fn floats(shape: &[usize]) -> Array {
    Array::new(shape, (0..shape.iter().product::<usize>()).map(|i| i as f32 * 0.25 - 1.0).collect())
}

fn declared([n, m]: [usize; 2]) -> (Array, Array) {
    (floats(&[n, 2]).declare(["n".into(), Dim::from(2)]), floats(&[m, 2]).declare(["m".into(), Dim::from(2)]))
}

fn program(f: impl Fn(Array, Array) -> Array) -> Program {
    make_program(&f, declared([3, 2]))
}

/// Facts join from a function that was traced before, and from a program run equation by equation.
#[test]
fn facts_of_what_was_traced_before_join_those_around() {
    let column = || floats(&[2, 3]).declare(["n".into(), Dim::from(3)]);
    let first = |x: Array| {
        assume("n >= 1");
        x.index(0)
    };
    let known = jit(first);
    known(column());
    let called = make_program(&|x: Array| known(x), (column(),));
    assert_eq!((called.facts.to_string().as_str(), known.n_entry()), ("n >= 1", 1));
    let program = make_program(&first, (column(),));
    let run = |x: Array| Array::from(&interpret(&program, &[], &[x.into()])[0]);
    assert_eq!(make_program(&run, (column(),)).facts.to_string(), "n >= 1");
    // Without the facts around it the call is refused.
    let text = called.to_string();
    // In the text the called program may precede its caller; only the caller must have the fact.
    let one_less = |at: usize| format!("{}{}", &text[..at], &text[at + " where n >= 1".len()..]);
    let places: Vec<usize> = text.match_indices(" where n >= 1").map(|(at, _)| at).collect();
    let errors: Vec<String> = places
        .iter()
        .filter_map(|at| parse(&one_less(*at), gavotte::registry()).err())
        .map(|error| error.to_string())
        .collect();
    assert_eq!((places.len(), errors.len()), (2, 1), "{text}");
    assert!(errors[0].contains("does not follow from the facts around it"), "{errors:?}");
}

/// A program has neither the facts of a trace that happens to be open, nor those of another program.
#[test]
fn a_program_has_its_own_facts_alone() {
    let traced = program(|x, y| {
        assume("m <= n");
        x.slice_axis(0, ..y.dim(0))
    });
    let without = traced.to_string().replace(" where m <= n", "");
    let refused = |text: &str| parse(text, gavotte::registry()).expect_err("a slice relies on a fact").to_string();
    let outside = refused(&without);
    make_program(
        &|x: Array, _: Array| {
            assume("m <= n");
            assert_eq!(refused(&without), outside);
            x
        },
        declared([3, 2]),
    );
}

/// What facts prove is not checked at run time: a kernel reads at its loop's position.
#[test]
fn kernels_rely_on_facts() {
    let head = |x: Array, y: Array| {
        assume("m <= n");
        x.slice_axis(0, ..y.dim(0)) * &y
    };
    let looped = |x: Array, y: Array| {
        assume("m <= n");
        scan(|sum: Array, i: Array| (&sum + &x.slice_axis(0, ..y.dim(0)) * i, ()), y.clone(), arange(3, DType::F32)).0
    };
    let text = |lowered: Result<String, Error>| lowered.unwrap_or_else(|error| panic!("{error}"));
    let kernels = |f: fn(Array, Array) -> Array| {
        let lowered = jit(f).lower(declared([3, 2]));
        text(lowered.and_then(|lowered| lowered.text(Stage::Kernels, PrintOptions::default())))
    };
    for kernels in [kernels(head), kernels(looped)] {
        assert!(kernels.contains("load %0[i0, i1]"), "{kernels}");
    }
}

/// Plans, memory and predictions are refused for sizes that break facts.
#[test]
fn nothing_is_said_of_sizes_that_break_facts() {
    let traced = program(|x, y| {
        assume("m <= n");
        x.slice_axis(0, ..y.dim(0)) + y
    });
    let executable = Executable::compile(&traced, &[], &Options::default()).unwrap_or_else(|error| panic!("{error}"));
    let mut sizes = Sizes::new();
    for (name, size) in [("n", 2), ("m", 3)] {
        assert_eq!(sizes.set(Symbol::new(name), size), Ok(()));
    }
    let gpu = Gpu::find("h100").expect("it is in the table");
    let said = [
        executable.plan(&sizes).err(),
        executable.new_plan(&sizes).err(),
        executable.memory(&sizes).err(),
        executable.predict(&sizes, gpu).err(),
    ];
    for error in said {
        let error = error.expect("the fact is broken").to_string();
        assert!(error.contains("`m <= n`") && error.contains("`m` is 3"), "{error}");
    }
}
