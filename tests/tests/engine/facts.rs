//! Facts about sizes: each comparison that symbols leave undecided is an error that names the fact that decides it.
//! With exactly that fact the function compiles, and a call whose sizes break it is refused.

use gavotte::random::Key;
use gavotte::segment::Segments;
use gavotte::{
    Array, DType, Dim, Options, Target, arange, assume, concatenate, grad, iota, jit, jit_with, make_program, stack,
    vmap,
};
use gavotte_core::ir::{Program, parse, verify};

fn floats(shape: &[usize]) -> Array {
    Array::new(shape, (0..shape.iter().product()).map(|i: usize| (i as f32 * 0.7).sin()).collect())
}

fn bits(array: &Array) -> Vec<u32> {
    array.to_vec::<f32>().into_iter().map(f32::to_bits).collect()
}

/// An undecided operation: its name in the message, the two sizes, the fact, sizes of `n` and `m` that satisfy it and
/// sizes that break it, and the operation.
struct Open {
    operation: &'static str,
    sizes: [&'static str; 2],
    fact: &'static str,
    keeps: [usize; 2],
    breaks: [usize; 2],
    f: fn(&Array, &Array) -> Array,
}

const OPEN: &[Open] = &[
    Open {
        operation: "slice",
        sizes: ["n", "2"],
        fact: "n >= 2",
        keeps: [2, 1],
        breaks: [1, 1],
        f: |x, _| x.slice_axis(0, 2..),
    },
    Open { operation: "slice", sizes: ["n", "3"], fact: "n >= 3", keeps: [4, 1], breaks: [2, 1], f: |x, _| x.index(2) },
    Open {
        operation: "slice",
        sizes: ["n", "m"],
        fact: "m <= n",
        keeps: [3, 3],
        breaks: [2, 3],
        f: |x, y| x.slice_axis(0, ..y.dim(0)),
    },
    Open {
        operation: "argmax",
        sizes: ["n", "1"],
        fact: "n >= 1",
        keeps: [1, 1],
        breaks: [0, 1],
        f: |x, _| x.argmax(0).astype(DType::F32),
    },
    Open { operation: "add", sizes: ["n", "m"], fact: "m == n", keeps: [3, 3], breaks: [3, 4], f: |x, y| x + y },
    Open { operation: "dot", sizes: ["n", "m"], fact: "m == n", keeps: [2, 2], breaks: [2, 3], f: |x, y| x.t().dot(y) },
    Open {
        operation: "matmul",
        sizes: ["n", "m"],
        fact: "m == n",
        keeps: [4, 4],
        breaks: [2, 3],
        f: |x, y| x.t().matmul(y),
    },
    Open {
        operation: "concatenate",
        sizes: ["m", "n"],
        fact: "m == n",
        keeps: [2, 2],
        breaks: [2, 1],
        f: |x, y| concatenate(&[x.clone(), y.clone()], 1),
    },
    Open {
        operation: "concatenate",
        sizes: ["m", "n"],
        fact: "m == n",
        keeps: [2, 2],
        breaks: [2, 1],
        f: |x, y| stack(&[x.clone(), y.clone()], 0),
    },
    Open {
        operation: "reshape",
        sizes: ["2*n", "2*m"],
        fact: "m == n",
        keeps: [2, 2],
        breaks: [2, 1],
        f: |x, y| x.reshape(y.shape().clone()),
    },
    Open {
        operation: "squeeze",
        sizes: ["n", "1"],
        fact: "n == 1",
        keeps: [1, 5],
        breaks: [2, 5],
        f: |x, _| x.squeeze(0),
    },
    Open {
        operation: "broadcast_to",
        sizes: ["n", "4"],
        fact: "n == 4",
        keeps: [4, 1],
        breaks: [1, 1],
        f: |x, _| x.broadcast_to([4, 2]),
    },
    Open {
        operation: "iota",
        sizes: ["n-2", "0"],
        fact: "n >= 2",
        keeps: [2, 1],
        breaks: [1, 1],
        f: |x, _| arange(x.dim(0) - 2, DType::F32),
    },
    Open {
        operation: "broadcast_in_dim",
        sizes: ["-m+n", "0"],
        fact: "m <= n",
        keeps: [3, 1],
        breaks: [1, 3],
        f: |x, y| gavotte::full([x.dim(0) - y.dim(0)], 2.0f32),
    },
    Open {
        operation: "vmap",
        sizes: ["n", "m"],
        fact: "m == n",
        keeps: [3, 3],
        breaks: [3, 2],
        f: |x, y| vmap(|x: Array, y: Array| x * y, [Some(0), Some(0)])(x.clone(), y.clone()),
    },
];

fn declared([n, m]: [usize; 2]) -> (Array, Array) {
    (floats(&[n, 2]).declare(["n".into(), Dim::from(2)]), floats(&[m, 2]).declare(["m".into(), Dim::from(2)]))
}

/// Each case without the fact, with it, and with sizes that break it; the gradient with the fact too.
#[test]
fn what_is_open_names_the_fact_that_decides_it() {
    for Open { operation, sizes: [a, b], fact, keeps, breaks, f } in OPEN {
        let plain = jit(move |x: Array, y: Array| f(&x, &y));
        let Err(error) = plain.try_call(declared(*keeps)) else { panic!("{operation} is decided without a fact") };
        let error = error.to_string();
        let parts = [
            operation.to_string(),
            format!("{a} against {b} is undecided"),
            "f32[".into(),
            format!("assume(\"{fact}\")"),
            "engine/facts.rs".into(),
        ];
        let symbols = ["n", "m"].into_iter().filter(|symbol| fact.contains(symbol)).map(|symbol| format!("`{symbol}`"));
        // Operations without operands have no types to show.
        for part in parts.into_iter().chain(symbols) {
            let bare = ["iota", "broadcast_in_dim"].contains(operation) && part == "f32[";
            assert!(bare || error.contains(&part), "`{part}` is missing in:\n{error}");
        }

        let fact = *fact;
        // The portable target rounds as the interpreter does.
        let options = Options { target: Target::Portable, ..Options::default() };
        let add_fact = move |x: Array, y: Array| {
            assume(fact);
            f(&x, &y)
        };
        let given = jit_with(add_fact, options);
        let found = given.try_call(declared(*keeps)).unwrap_or_else(|error| panic!("{operation} with {fact}: {error}"));
        let (x, y) = declared(*keeps);
        assert_eq!(bits(&found), bits(&f(&x, &y)), "{operation} with {fact}");
        let refusal = given.try_call(declared(*breaks)).map(drop).expect_err("the sizes break the fact").to_string();
        let place = ["n", "m"].into_iter().zip(["0", "1"]).filter(|(symbol, _)| fact.contains(symbol));
        for (i, (symbol, path)) in place.enumerate() {
            let size = if symbol == "n" { breaks[0] } else { breaks[1] };
            assert!(refusal.contains(&format!("`{fact}`")), "{refusal}");
            assert!(refusal.contains(&format!("`{symbol}` is {size} at argument {path}")), "{i}: {refusal}");
        }
        assert_eq!(given.n_entry(), 1);

        let slope = jit(grad(move |x: Array, y: Array| {
            assume(fact);
            let z = f(&x, &y);
            (&z * &z).sum(())
        }));
        let found = slope.try_call(declared(*keeps)).unwrap_or_else(|error| panic!("grad of {operation}: {error}"));
        let wanted = grad(move |x: Array, y: Array| {
            let z = f(&x, &y);
            (&z * &z).sum(())
        })(x, y);
        let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-5 * (1.0 + b.abs());
        assert_eq!(found.shape(), wanted.shape());
        assert!(found.to_vec::<f32>().iter().zip(&wanted.to_vec::<f32>()).all(near), "grad of {operation}");
    }
}

/// A mistake that no size can fix asks for no fact.
#[test]
fn a_mistake_is_no_open_question() {
    let wrong: [fn(&Array, &Array) -> Array; 3] = [
        |x, _| x.slice_axis(0, ..x.dim(0) + 1),
        |x, _| x.slice_axis(1, ..3),
        |x, _| x + &floats(&[2, 3]).slice_axis(0, ..0).reshape([0, 3]),
    ];
    for f in wrong {
        let error = jit(move |x: Array, y: Array| f(&x, &y)).try_call(declared([2, 2])).expect_err("it is wrong");
        assert!(!error.to_string().contains("assume"), "{error}");
    }
}

fn program(f: impl Fn(Array, Array) -> Array) -> Program {
    make_program(&f, declared([2, 3]))
}

#[test]
fn facts_join_the_program_and_its_text() {
    let traced = program(|x, y| {
        assume("n >= 2");
        assume(y.dim(0).at_most(x.dim(0)));
        // An implied fact is not added again.
        assume("2*n >= 3");
        x.slice_axis(0, 1..).slice_axis(0, ..1) + &x.slice_axis(0, ..y.dim(0)).sum(0)
    });
    let text = traced.to_string();
    assert!(text.contains(") -> (f32[1,2]) where n >= 2, m <= n {"), "{text}");
    assert_eq!(parse(&text, gavotte::registry()), Ok(traced.clone()));
    // Every pass keeps the facts.
    let optimized = gavotte_core::pass::optimize(&traced);
    assert_eq!(optimized.facts, traced.facts);
    // Without the facts the program is not well formed.
    let without = text.replace(" where n >= 2, m <= n", "");
    let error = parse(&without, gavotte::registry()).expect_err("a slice relies on a fact").to_string();
    assert!(error.contains("assume(\"n >= 1\")"), "{error}");
    for wrong in ["k >= 2", "n => 2", "0 >= 1"] {
        assert!(parse(&text.replace("n >= 2", wrong), gavotte::registry()).is_err(), "{wrong}");
    }
}

#[test]
fn numbers_for_symbols_keep_or_break_facts() {
    use gavotte_core::aval::{Sizes, Symbol};
    let traced = program(|x, y| {
        assume("m <= n");
        x.slice_axis(0, ..y.dim(0))
    });
    let at = |n: usize, m: usize| {
        let mut sizes = Sizes::new();
        for (name, size) in [("n", n), ("m", m)] {
            assert_eq!(sizes.set(Symbol::new(name), size), Ok(()));
        }
        traced.at(&sizes)
    };
    assert!(at(3, 2).facts.is_empty());
    assert_eq!(verify(&at(3, 2)), Ok(()));
    let broken = verify(&at(2, 3)).expect_err("the fact is broken").to_string();
    assert!(broken.contains("does not hold"), "{broken}");

    let mut sizes = Sizes::new();
    assert_eq!((sizes.set(Symbol::new("n"), 2), sizes.set(Symbol::new("m"), 3)), (Ok(()), Ok(())));
    let refused = traced.to_stablehlo(&sizes).expect_err("the fact is broken").to_string();
    assert!(refused.contains("`m <= n`") && refused.contains("`m` is 3"), "{refused}");
}

/// Facts of a nested trace join the facts around it, and stay with a compiled function that is called again.
#[test]
fn facts_of_nested_functions_join_those_around() {
    let inner = jit(|x: Array| {
        assume(x.dim(0).at_least(1));
        x.index(0)
    });
    let column = || floats(&[2, 3]).declare(["n".into(), Dim::from(3)]);
    let traced = make_program(&|x: Array| inner(x.clone()) + inner(x), (column(),));
    assert_eq!(traced.facts.to_string(), "n >= 1");
    assert_eq!(inner.n_entry(), 1);
    assert_eq!(parse(&traced.to_string(), gavotte::registry()), Ok(traced));

    // A trace made under an outer fact does not serve where that fact is missing.
    let bare = jit(|x: Array| x.index(0));
    let outer = jit(|x: Array| {
        assume("n >= 1");
        bare(x)
    });
    assert!(outer.try_call((column(),)).is_ok());
    assert!(bare.try_call((column(),)).is_err());

    // A gradient within, as in a training step.
    let step = jit(|x: Array| {
        grad(|x: Array| {
            assume("n >= 1");
            x.index(0).sum(())
        })(x)
    });
    assert_eq!(step(column()).to_vec::<f32>(), [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
    let empty = floats(&[0, 3]).declare(["n".into(), Dim::from(3)]);
    assert!(step.try_call((empty,)).is_err_and(|error| error.to_string().contains("`n >= 1`")));
}

#[test]
fn facts_about_numbers_are_checked_at_once() {
    let f = |x: Array| {
        assume("n >= 1");
        assume(x.dim(0).at_least(1));
        x.index(0)
    };
    assert_eq!(f(floats(&[2])).item::<f32>(), 0.0);
    let error = jit(f).try_call((floats(&[0]),)).expect_err("it is empty").to_string();
    assert!(error.contains("assume: `1 <= 0` cannot hold") && error.contains("facts.rs"), "{error}");
    let contradiction = jit(|x: Array| {
        assume("n >= 3");
        assume("n < 2");
        x
    });
    let error = contradiction.try_call((floats(&[3]).declare(["n"]),)).expect_err("both cannot hold").to_string();
    assert!(error.contains("`n <= 1` cannot hold given n >= 3"), "{error}");
    let text = jit(|x: Array| {
        assume("n => 3");
        x
    });
    assert!(text.try_call((floats(&[3]),)).is_err_and(|error| error.to_string().contains("is no fact")));
}

/// The types of arguments are facts too: an extent is never negative.
#[test]
fn types_of_arguments_tell_facts() {
    let f = jit(|x: Array, y: Array| {
        let n = y.dim(0);
        concatenate(&[x, y.slice_axis(0, n - 1..)], 0)
    });
    let x = floats(&[2]).declare([Dim::symbol("n") - 1]);
    assert_eq!(f(x, floats(&[3]).declare(["n"])).shape()[0], Dim::from(3));
}

#[test]
fn joined_and_padded_axes_may_be_empty() {
    let f = |x: Array, y: Array| {
        let joined = concatenate(&[x.clone(), y.slice_axis(0, ..0), y.clone(), x], 0);
        (&joined * &joined).pad(1.5f32, &[(1, 2), (0, 1)])
    };
    let compiled = jit(f);
    let slope = jit(grad(move |x: Array, y: Array| f(x, y).sum(())));
    for sizes in [[2, 3], [0, 2], [3, 0], [0, 0], [1, 1]] {
        let (x, y) = declared(sizes);
        assert_eq!(bits(&compiled(x.clone(), y.clone())), bits(&f(x.clone(), y.clone())), "{sizes:?}");
        let wanted: Vec<f32> = x.to_vec::<f32>().iter().map(|x| 4.0 * x).collect();
        assert_eq!(slope(x, y).to_vec::<f32>(), wanted, "{sizes:?}");
    }
    assert_eq!((compiled.n_entry(), slope.n_entry()), (1, 1));
    // Results keep their symbols, but a sum of two does not determine either.
    let again = jit(|x: Array, y: Array| x.sum(0) + y.sum(()));
    for sizes in [[0, 2], [2, 3]] {
        let (x, y) = declared(sizes);
        let joined = compiled(x.clone(), y);
        let error = again.try_call((joined.clone(), floats(&[1]))).map(drop).expect_err("two symbols, one extent");
        assert!(error.to_string().contains("no argument determines the size of `m`"), "{error}");
        again(joined.declare(["k".into(), Dim::from(3)]), x);
    }
    assert_eq!(again.n_entry(), 2, "{:?}", again.misses());
}

#[test]
fn every_second_of_a_symbol_and_its_gradient() {
    let halves = |x: Array| {
        let pairs = x.reshape([x.dim(0).div_ceil(2).unwrap_or_else(|| panic!("{:?}", x.shape())), 2.into()]);
        pairs.slice_axis(1, ..1).squeeze(1)
    };
    let f = jit(grad(move |x: Array| {
        let y = halves(x);
        (&y * &y).sum(())
    }));
    for n in [0, 1, 4] {
        let x = floats(&[2 * n]);
        let wanted: Vec<f32> =
            x.to_vec::<f32>().iter().enumerate().map(|(i, x)| if i % 2 == 0 { 2.0 * x } else { 0.0 }).collect();
        assert_eq!(f(x.declare([Dim::symbol("n") * 2])).to_vec::<f32>(), wanted);
    }
}

/// A draw of a symbolic shape has the bits of the same draw with numbers.
#[test]
fn random_bits_do_not_depend_on_symbols() {
    let draw = |key: Key, like: Array| {
        let [a, b] = key.split();
        (a.uniform(like.shape().clone(), DType::F32), b.normal([3.into(), like.dim(0) + 1], DType::F32))
    };
    let words = |key: Key, like: Array| key.split_array(like.dim(0));
    let (drawn, split) = (jit(draw), jit(words));
    for n in [0, 1, 2, 5] {
        let like = floats(&[n, 3]);
        let symbolic = like.clone().declare(["n".into(), Dim::from(3)]);
        let numbers = jit(draw)(Key::new(7), like.clone());
        let symbols = drawn(Key::new(7), symbolic.clone());
        assert_eq!([bits(&symbols.0), bits(&symbols.1)], [bits(&numbers.0), bits(&numbers.1)]);
        assert_eq!(split(Key::new(8), symbolic).to_vec::<u32>(), words(Key::new(8), like).to_vec::<u32>());
    }
    assert_eq!((drawn.n_entry(), split.n_entry()), (1, 1));
}

/// `jit(vmap(grad f))` with a symbol for the batch and for the rows: one program.
#[test]
fn gradients_are_batched_over_symbols() {
    let f = |x: Array, w: Array| {
        let y = x.dot(&w);
        (&y * &y).mean(())
    };
    let each = jit(vmap(grad(f), [Some(0), None]));
    let w = floats(&[2]);
    for [b, n] in [[3, 4], [1, 2], [0, 3], [2, 1]] {
        let x = floats(&[b, n, 2]);
        let found = each(x.clone().declare(["b".into(), "n".into(), Dim::from(2)]), w.clone()).to_vec::<f32>();
        let wanted: Vec<f32> = (0..b).flat_map(|i| grad(f)(x.index(i), w.clone()).to_vec::<f32>()).collect();
        assert_eq!(found.len(), wanted.len());
        assert!(found.iter().zip(&wanted).all(|(a, b)| (a - b).abs() <= 1e-5), "{b}, {n}: {found:?}, not {wanted:?}");
    }
    assert_eq!(each.n_entry(), 1);
}

/// Rows with another symbol than the segments they belong to.
#[test]
fn segments_and_rows_may_have_two_names() {
    let segments = || Segments::new(&[1, 0, 1], 2).unwrap_or_else(|error| panic!("{error}"));
    let f = |s: Segments, x: Array| {
        assume(x.dim(0).equal_to(s.n_segment()));
        s.sum(&s.gather(&x))
    };
    let compiled = jit(grad(move |x: Array, s: Segments| f(s, x).sum(())));
    let found = compiled(floats(&[2, 2]).declare(["k".into(), Dim::from(2)]), segments().with_symbols("n", "e"));
    assert_eq!(found.to_vec::<f32>(), [1.0, 1.0, 2.0, 2.0]);
    let error =
        compiled.try_call((floats(&[3, 2]).declare(["k".into(), Dim::from(2)]), segments().with_symbols("n", "e")));
    assert!(error.is_err_and(|error| error.to_string().contains("`k == n`")));
}

/// An identity matrix, counts and one-hot rows of a symbolic size.
#[test]
fn arrays_are_made_of_symbolic_sizes() {
    let f = |x: Array| gavotte::eye(x.dim(0), DType::F32).dot(&x) + iota(x.shape().clone(), 0, DType::F32);
    let compiled = jit(f);
    for n in [0, 1, 2, 5] {
        let x = floats(&[n, 2]);
        assert_eq!(compiled(x.clone().declare(["n".into(), Dim::from(2)])).to_vec::<f32>(), f(x).to_vec::<f32>());
    }
    assert_eq!(compiled.n_entry(), 1);
}
