//! Sizes that are symbols: what holds for every number holds for the symbol.

use gavotte_core::aval::{Aval, Dim, Sizes, Symbol};
use gavotte_core::device::HostArray;
use gavotte_core::ir::{Atom, Attr, Params, Program, verify};
use gavotte_tests::arrays::{Random, random_array, stack};
use gavotte_tests::cases::{BATCH, Case, cases, not_batched, one_equation};
use gavotte_tests::compare::{difference, run};
use gavotte_tests::report::check_all;
use gavotte_tests::transformed::{jvp_program, vjp_program, vmap_program};

/// The operands' types and the attributes with a symbol for some of the extents equal to `size`.
pub(crate) fn placements(case: &Case, size: usize) -> Vec<(Vec<Aval>, Params)> {
    let n = Dim::symbol("n");
    let avals: Vec<Aval> = case.ins.iter().map(|array| Aval::new(array.dtype(), array.shape())).collect();
    let put = |aval: &mut Aval, only: Option<usize>| {
        for (axis, dim) in aval.shape.iter_mut().enumerate() {
            if *dim == size && only.is_none_or(|only| only == axis) {
                *dim = n.clone();
            }
        }
    };
    let mut everywhere = avals.clone();
    everywhere.iter_mut().for_each(|aval| put(aval, None));
    let nested = case.params.map_programs(&|program| retyped(program, size).unwrap_or_else(|| program.clone()));
    let mut all = vec![
        (everywhere.clone(), case.params.clone()),
        (everywhere.clone(), with_symbol(&case.params, size)),
        (everywhere.clone(), nested.clone()),
        (everywhere, with_symbol(&nested, size)),
    ];
    for i in 0..avals.len() {
        for axis in 0..avals[i].rank() {
            let mut one = avals.clone();
            put(&mut one[i], Some(axis));
            all.push((one.clone(), case.params.clone()));
            all.push((one, with_symbol(&case.params, size)));
        }
    }
    all
}

/// The programs of [`placements`] that need no facts.
fn symbolic(case: &Case, size: usize) -> Vec<Program> {
    let all = placements(case, size);
    let has_symbol = |program: &Program| !program.symbols().is_empty();
    let programs = all.into_iter().filter_map(|(avals, params)| one_equation(case.prim, avals, params));
    let mut programs: Vec<Program> =
        programs.filter(|program| has_symbol(program) && verify(program).is_ok()).collect();
    programs.dedup();
    programs
}

/// A nested program with `n` for `size` in its arguments' types, and the types that follow for all others.
fn retyped(program: &Program, size: usize) -> Option<Program> {
    let mut program = program.clone();
    let mut avals = program.avals();
    let dims = program.args.iter_mut().chain(&mut program.consts).flat_map(|binder| &mut binder.aval.shape);
    dims.filter(|dim| **dim == size).for_each(|dim| *dim = Dim::symbol("n"));
    for binder in program.args.iter().chain(&program.consts) {
        avals[binder.var.index()] = binder.aval.clone();
    }
    for eqn in &mut program.eqns {
        eqn.params = with_symbol(&eqn.params, size);
        let operand = |atom: &Atom| match atom {
            Atom::Var(var) => avals[var.index()].clone(),
            Atom::Literal(literal) => Aval::scalar(literal.dtype()),
        };
        let ins: Vec<Aval> = eqn.ins.iter().map(operand).collect();
        let outs = eqn.prim.abstract_eval(&ins.iter().collect::<Vec<_>>(), &eqn.params).ok()?;
        for (binder, aval) in eqn.outs.iter_mut().zip(outs) {
            avals[binder.var.index()] = aval.clone();
            binder.aval = aval;
        }
    }
    Some(program)
}

/// The attributes with `n` for `size` where they hold extents.
fn with_symbol(params: &Params, size: usize) -> Params {
    fn put(attr: &Attr, size: usize) -> Attr {
        match attr {
            Attr::Dim(dim) if *dim == size => Attr::Dim(Dim::symbol("n")),
            Attr::List(attrs) => Attr::List(attrs.iter().map(|attr| put(attr, size)).collect()),
            other => other.clone(),
        }
    }
    let holds_extents = ["shape", "limit", "size", "sizes", "dim", "length"];
    params.iter().fold(Params::new(), |all, (name, attr)| {
        let attr = if holds_extents.contains(&name) { put(attr, size) } else { attr.clone() };
        all.with(name.to_string(), attr)
    })
}

/// What holds for a number holds for a symbol of that size: the types, and what every transformation computes.
#[test]
fn symbols_stand_for_sizes() {
    check_all(cases(), |case| {
        let program = case.program();
        let mut extents: Vec<usize> = case.ins.iter().flat_map(|array| array.shape()).collect();
        extents.sort_unstable();
        extents.dedup();
        for size in extents.into_iter().filter(|size| *size > 0) {
            let mut sizes = Sizes::new();
            sizes.set(Symbol::new("n"), size).expect("it had no size");
            for generic in symbolic(case, size) {
                let found: Vec<Aval> = generic.out_avals().iter().map(|aval| aval.at(&sizes)).collect();
                if found != program.out_avals() {
                    return Err(format!("at n={size} returns {found:?}, not {:?}\n{generic}", program.out_avals()));
                }
                check_symbolic_rules(case, &program, &generic).map_err(|why| format!("{why}\n{generic}"))?;
            }
        }
        Ok(())
    });
}

fn check_symbolic_rules(case: &Case, program: &Program, generic: &Program) -> Result<(), String> {
    let mut random = Random::new(11);
    let batch = |program: &Program| {
        let axis = |i: usize| (!not_batched(case, i)).then_some(0);
        let in_axes: Vec<Option<usize>> = (0..program.args.len()).map(axis).collect();
        vmap_program(program, &in_axes, &Dim::from(BATCH))
    };
    let batchable = (0..case.ins.len()).any(|i| !not_batched(case, i));
    let mut pairs = vec![(jvp_program(program), jvp_program(generic))];
    if case.is_reversed() {
        pairs.push((vjp_program(program), vjp_program(generic)));
    }
    if batchable {
        pairs.push((batch(program), batch(generic)));
    }
    for (numeric, generic) in pairs {
        verify(&generic).map_err(|error| error.to_string())?;
        let arrays: Vec<HostArray> = numeric
            .args
            .iter()
            .enumerate()
            .map(|(i, binder)| match case.ins.get(i) {
                Some(array) if array.shape().len() == binder.aval.rank() => array.clone(),
                Some(array) => stack(&vec![array.clone(); BATCH], 0),
                None => random_array(&binder.aval, &mut random),
            })
            .collect();
        if let Some(why) = difference(&run(&generic, &arrays), &run(&numeric, &arrays), 1e-6) {
            return Err(format!("{why}\n{generic}"));
        }
    }
    Ok(())
}
