//! The batch rules against loops.

use gavotte_core::aval::Dim;
use gavotte_core::device::HostArray;
use gavotte_core::ir::Binder;
use gavotte_tests::arrays::{Random, random_array};
use gavotte_tests::cases::{BATCH, batchings, cases, not_batched, turn};
use gavotte_tests::laws::check_vmap;
use gavotte_tests::report::{caught, check_all};
use gavotte_tests::transformed::{vjp_program, vmap_program};

#[test]
fn vmap_agrees_with_a_loop() {
    check_all(cases(), |case| {
        let program = case.program();
        for in_axes in batchings(&case.ins) {
            let refused = (0..in_axes.len()).any(|i| in_axes[i].is_some() && not_batched(case, i));
            if refused {
                let message = match caught(|| Ok(vmap_program(&program, &in_axes, &Dim::from(BATCH)))) {
                    Ok(_) => return Err(format!("in_axes={in_axes:?} is not refused: NOT_BATCHED says it is")),
                    Err(message) => message,
                };
                if !message.contains(case.prim.name()) {
                    return Err(format!("in_axes={in_axes:?} is refused without the primitive's name: {message}"));
                }
                continue;
            }
            let mut each: Vec<Vec<HostArray>> = (0..BATCH).map(|i| turn(&case.ins, i)).collect();
            for (i, _) in in_axes.iter().enumerate().filter(|(_, axis)| axis.is_none()) {
                for arrays in &mut each {
                    arrays[i] = case.ins[i].clone();
                }
            }
            check_vmap(&program, &in_axes, &each, 1e-5)?;
        }
        Ok(())
    });
}

/// The batch rules of the primitives that derivative rules bind.
#[test]
fn vmap_of_vjp_agrees_with_a_loop() {
    check_all(cases(), |case| {
        let Some((program, arrays)) = case.differentiable().filter(|_| case.is_reversed()) else { return Ok(()) };
        let gradient = vjp_program(&program);
        let mut random = Random::new(10);
        let mut each = vec![];
        for i in 0..BATCH {
            let mut arrays = turn(&arrays, i);
            for aval in gradient.args[arrays.len()..].iter().map(|binder| &binder.aval) {
                arrays.push(random_array(aval, &mut random));
            }
            each.push(arrays);
        }
        // Floating operands only: the test above covers positions.
        let axis = |binder: &Binder| binder.aval.dtype.is_float().then_some(0);
        let in_axes: Vec<Option<usize>> = gradient.args.iter().map(axis).collect();
        for i in (0..in_axes.len()).filter(|i| in_axes[*i].is_none()) {
            for element in 0..BATCH {
                each[element][i] = each[0][i].clone();
            }
        }
        check_vmap(&gradient, &in_axes, &each, 1e-9)
    });
}
