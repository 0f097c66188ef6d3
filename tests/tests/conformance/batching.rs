//! The batch rules against loops.

use crate::cases::{BATCH, cases, nearby, not_batched};
use gavotte_core::aval::Dim;
use gavotte_core::device::HostArray;
use gavotte_core::ir::Binder;
use gavotte_core::with_data;
use gavotte_tests::arrays::{Random, random_array};
use gavotte_tests::laws::check_vmap;
use gavotte_tests::report::{caught, check_all};
use gavotte_tests::transformed::{vjp_program, vmap_program};

/// The operands of turn `i` of a loop: floats move, other elements change places, which keeps places valid.
fn turn(ins: &[HostArray], i: usize) -> Vec<HostArray> {
    let mut random = Random::new(i as u64);
    let change = |array: &HostArray| {
        let mut array = nearby(array, &mut random);
        if !array.dtype().is_float() {
            with_data!(array.data_mut(), xs => if !xs.is_empty() { let n = i % xs.len(); xs.rotate_left(n); });
        }
        array
    };
    if i == 0 { ins.to_vec() } else { ins.iter().map(change).collect() }
}

/// Every way to batch some of the operands: in front of their axes, among them, and behind them.
fn batchings(ins: &[HostArray]) -> Vec<Vec<Option<usize>>> {
    let subsets = 1usize..1 << ins.len().min(6);
    let places: [fn(usize) -> usize; 3] = [|_| 0, |rank| rank / 2, |rank| rank];
    let axes = |subset: usize, place: fn(usize) -> usize| {
        let axis = |(i, array): (usize, &HostArray)| (subset >> i & 1 == 1).then(|| place(array.shape().len()));
        ins.iter().enumerate().map(axis).collect::<Vec<_>>()
    };
    let mut all: Vec<Vec<Option<usize>>> = subsets.flat_map(|subset| places.map(|place| axes(subset, place))).collect();
    // One operand in front, another behind.
    if let [first, .., last] = ins {
        all.push([vec![Some(first.shape().len())], vec![None; ins.len() - 2], vec![Some(0)]].concat());
        all.push([vec![Some(0)], vec![None; ins.len() - 2], vec![Some(last.shape().len())]].concat());
    }
    all.dedup();
    all
}

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

/// The batch rules of what the derivative rules bind.
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
        // Floating operands only: places are the business of the test above.
        let axis = |binder: &Binder| binder.aval.dtype.is_float().then_some(0);
        let in_axes: Vec<Option<usize>> = gradient.args.iter().map(axis).collect();
        for i in (0..in_axes.len()).filter(|i| in_axes[*i].is_none()) {
            for turn in 0..BATCH {
                each[turn][i] = each[0][i].clone();
            }
        }
        check_vmap(&gradient, &in_axes, &each, 1e-9)
    });
}
