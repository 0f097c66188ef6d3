//! Groups of steps: laws that hold for every program. The file tests show what is grouped, and why.

use gavotte::{Array, DType, checkpoint, concatenate, grad, make_program, ones, random::Key};
use gavotte_core::ir::Var;
use gavotte_core::kernel::{KernelProgram, Space, Step};
use gavotte_core::pass::optimize;
use gavotte_tests::generate::{random_program, with_symbol};
use gavotte_tests::report::check_all;
use gavotte_tests::targets::check_targets;
use std::cell::Cell;
use std::collections::HashSet;

fn check(lowered: &KernelProgram) -> Result<(), String> {
    let KernelProgram { program, fusion, steps, groups, .. } = lowered;
    let mut there: HashSet<Var> = program.args.iter().chain(&program.consts).map(|binder| binder.var).collect();
    for step in steps {
        if let Some(var) = step.reads().into_iter().find(|var| !there.contains(&fusion.memory(*var))) {
            return Err(format!("{} reads {var}, which is not there\n{lowered}", step.name()));
        }
        there.extend(step.writes());
    }
    let mut next = 0;
    for group in groups {
        if group.steps.start != next || group.steps.is_empty() {
            return Err(format!("steps {:?} follow step {next}\n{lowered}", group.steps));
        }
        next = group.steps.end;
        if let Space::Rows { parts, local, .. } = &group.space {
            let outside = steps[..group.steps.start].iter().chain(&steps[group.steps.end..]);
            let read = |var: &Var| outside.clone().any(|step| step.reads().iter().any(|v| fusion.memory(*v) == *var));
            let result = |var: &Var| program.outs.iter().any(|o| o.var().is_some_and(|v| fusion.memory(v) == *var));
            if parts.len() != group.steps.len() || local.iter().any(|var| read(var) || result(var)) {
                return Err(format!("parts or local arrays of steps {:?}\n{lowered}", group.steps));
            }
        }
    }
    if next != steps.len() {
        return Err(format!("the groups end at step {next} of {}\n{lowered}", steps.len()));
    }
    steps.iter().try_for_each(|step| match step {
        Step::Control(step) => step.nested.iter().try_for_each(check),
        Step::Kernel(..) | Step::Eval(_) => Ok(()),
    })
}

/// Large products with small kernels between them: a step that waits for its reader comes after everything it reads
/// itself.
#[test]
fn small_kernels_come_after_what_they_read() {
    let layer = |x: Array, w: Array| {
        let h = x.matmul(&w).tanh();
        let norm = (h.square().sum(0) + 1.0).sqrt();
        (h / norm).sin()
    };
    let again = checkpoint(layer);
    let plain = grad(move |ws: Vec<Array>, x: Array| ws.into_iter().fold(x, layer).square().sum(()));
    let less = grad(move |ws: Vec<Array>, x: Array| ws.into_iter().fold(x, &*again).square().sum(()));
    let ws: Vec<Array> = Key::new(1).split_into(6).into_iter().map(|key| key.normal([16, 16], DType::F32)).collect();
    let x = Key::new(2).normal([128, 16], DType::F32);
    for program in [make_program(&plain, (ws.clone(), x.clone())), make_program(&less, (ws, x))] {
        let lowered = KernelProgram::new(optimize(&program)).unwrap_or_else(|error| panic!("{error}"));
        check(&lowered).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn steps_stay_in_a_topological_order_and_each_is_in_one_group() {
    let n = Cell::new(0);
    check_all((0..600).map(|seed| (format!("seed {seed}"), random_program(seed))), |(program, arrays)| {
        check(&KernelProgram::new(optimize(program)).map_err(|error| error.to_string())?)?;
        ['2', '3', '4'].into_iter().filter_map(|size| with_symbol(program, size)).try_for_each(|program| {
            let lowered = KernelProgram::new(optimize(&program)).map_err(|error| error.to_string())?;
            check(&lowered)?;
            let splits = |space: &Space| matches!(space, Space::Rows { parts, .. } if parts.len() > 1);
            n.set(n.get() + lowered.groups.iter().filter(|group| splits(&group.space)).count());
            check_targets(&program, arrays)
        })
    });
    assert!(n.get() >= 20, "there were {} groups of several kernels only", n.get());
}

/// One step of a program.
type Function<'f> = &'f dyn Fn(Array) -> Array;

/// Small programs whose steps read each other in several places: the size of kernels grows only as the program does, in
/// total and each.
#[test]
fn what_is_computed_again_is_bounded_by_the_program() {
    let elements = |n: usize| ones([n], DType::F32);
    let order = Array::new(&[8], vec![1i32, 2, 3, 4, 5, 6, 7, 0]);
    let heat = |y: Array| {
        let p = y.pad(0f32, &[(1, 1)]);
        (p.slice_axis(0, 0usize..64) + p.slice_axis(0, 1usize..65) + p.slice_axis(0, 2usize..66)) * 0.25
    };
    let rotate = |y: Array| concatenate(&[y.slice_axis(0, 1usize..4), y.slice_axis(0, 0usize..1)], 0);
    let taken = move |y: Array| y.take(&order, 0) + y;
    let summed = |y: Array| &y * 0.5 + y.sum(());
    let squared = |y: Array| &y * &y + y;
    let slid = |y: Array| y.slice_axis(0, 1usize..).pad(1f32, &[(0, 1)]);
    let chained = |y: Array| (y * 1.01).tanh();
    let programs: [(&str, Function<'_>, usize); 8] = [
        ("heat", &heat, 64),
        ("rotations", &rotate, 4),
        ("gathers", &taken, 8),
        ("sums", &summed, 8),
        ("squares", &squared, 8),
        ("many squares", &squared, 1000),
        ("views", &slid, 1000),
        ("a chain", &chained, 1000),
    ];
    for (name, step, size) in programs {
        let program = make_program(&move |x: Array| (0..200).fold(x, |y, _| step(y)), (elements(size),));
        let lowered = KernelProgram::new(optimize(&program)).unwrap_or_else(|error| panic!("{error}"));
        check(&lowered).unwrap_or_else(|error| panic!("{name}: {error}"));
        let bodies = lowered.steps.iter().map(|step| match step {
            Step::Kernel(kernel, _) => kernel.body.len(),
            Step::Eval(_) | Step::Control(_) => panic!("{name}: {} has no kernel", step.name()),
        });
        let (total, most) = (bodies.clone().sum::<usize>(), bodies.max().unwrap_or(0));
        let n_eqn = lowered.program.eqns.len();
        assert!(total <= 24 * n_eqn && most <= 2048, "{name}: {total} instructions, {most} in one, {n_eqn} equations");
    }
}

/// Each block adds as many kernels and groups as the one before it. If it took more than linear time, hundreds would
/// not finish.
#[test]
fn blocks_add_kernels_of_their_own_only() {
    let counts = |n: usize| {
        let w = Array::new(&[n, 16, 16], vec![0.01f32; n * 256]);
        let loss = grad(move |w: Array, x: Array| {
            let block = |y: Array, i| &y + y.dot(&w.slice_axis(0, i..i + 1).reshape([16, 16])).tanh();
            (0..n).fold(x, block).square().mean(())
        });
        let program = make_program(&loss, (w, ones([64usize, 16], DType::F32)));
        let lowered = KernelProgram::new(optimize(&program)).unwrap_or_else(|error| panic!("{error}"));
        check(&lowered).unwrap_or_else(|error| panic!("{error}"));
        [lowered.program.eqns.len(), lowered.steps.len(), lowered.groups.len()]
    };
    let [few, more, many] = [100, 200, 400].map(counts);
    for i in 0..3 {
        assert!(many[i] - more[i] <= 2 * (more[i] - few[i]) + 8, "{few:?}, {more:?}, {many:?}");
    }
}
