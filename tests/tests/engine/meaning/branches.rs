//! Mapped branches and loops: a program that an element does not run has no effect on the element.

use super::{check, check_refused, floats, ints};
use gavotte::{Array, DType, cond, fori_loop, grad, jvp, nn, scan, switch, vmap, while_loop, zeros_like};

fn safe_root(x: Array) -> Array {
    cond(x.gt(0.0), |x: Array| x.sqrt(), |x: Array| x * 0.0, x)
}

fn mapped(f: impl Fn(Array) -> Array + Send + Sync + Copy) -> impl Fn(Array) -> Array + Send + Sync + Copy {
    move |x: Array| vmap(f, [Some(0)])(x)
}

/// The gradient of the sum, one slope for each element.
fn slopes(f: impl Fn(Array) -> Array + Send + Sync + Copy) -> impl Fn(Array) -> Array + Send + Sync + Copy {
    move |x: Array| grad(move |x: Array| mapped(f)(x).sum(()))(x)
}

#[test]
fn a_branch_is_differentiated_for_those_that_take_it() {
    let x = floats(&[0.0, 4.0, -1.0]);
    check(mapped(safe_root), &x, &[0.0, 2.0, -0.0], 0.0);
    check(slopes(safe_root), &x, &[0.0, 0.25, 0.0], 0.0);
    check(slopes(safe_root), &floats(&[-1.0, 0.0]), &[0.0, 0.0], 0.0);
    let pushed = |x: Array| jvp(&mapped(safe_root), (x.clone(),), (gavotte::ones_like(&x),)).1;
    check(pushed, &x, &[0.0, 0.25, 0.0], 0.0);
    let inside = |x: Array| vmap(grad(safe_root), [Some(0)])(x);
    check(inside, &x, &[0.0, 0.25, 0.0], 0.0);
    let twice = |x: Array| grad(|x: Array| slopes(safe_root)(x).sum(()))(x);
    check(twice, &x, &[0.0, -1.0 / 32.0, 0.0], 1e-6);
    let over_both = |x: Array| {
        let rows = x.expand_dims(0).broadcast_to([2, 3]) * Array::new(&[2, 1], vec![1f32, -1.0]);
        grad(|rows: Array| vmap(mapped(safe_root), [Some(0)])(rows).sum(()))(rows)
    };
    check(over_both, &x, &[0.0, 0.25, 0.0, 0.0, 0.0, 0.5], 0.0);
}

#[test]
fn what_a_branch_captures_gets_the_cotangents_of_those_that_take_it() {
    // d/dw Σ w √x, alone and as a sum over a row of weights.
    let scaled = |w: Array, x: Array| cond(x.gt(0.0), |x: Array| &w * x.sqrt(), |x: Array| x * 0.0, x);
    let of = move |x: Array| {
        grad(move |w: Array, x: Array| vmap(scaled, [None, Some(0)])(w, x).sum(()))(Array::scalar(3f32), x)
    };
    check(of, &floats(&[0.0, 4.0, -1.0]), &[2.0], 0.0);
    check(of, &floats(&[0.0, -1.0]), &[0.0], 0.0);
    let summed = |w: Array, x: Array| {
        cond(x.gt(0.0), |x: Array| (&w * x.sqrt()).sum(()) + w.dot(&w) / &x, |x: Array| x * 0.0, x)
    };
    let of = move |x: Array| {
        let w = floats(&[1.0, -2.0]);
        grad(move |w: Array, x: Array| vmap(summed, [None, Some(0)])(w, x).sum(()))(w, x)
    };
    check(of, &floats(&[0.0, 4.0, -1.0]), &[2.5, 1.0], 1e-6);
    check(of, &floats(&[0.0, -1.0]), &[0.0, 0.0], 0.0);
    // An infinite slope of an element that takes the branch stays its own.
    let root = |x: Array| cond(x.ge(0.0), |x: Array| x.sqrt(), |x: Array| x * 0.0, x);
    check(slopes(root), &floats(&[-1.0, 0.0, 4.0]), &[0.0, f64::INFINITY, 0.25], 0.0);
}

#[test]
fn branches_and_loops_in_branches() {
    let nested = |x: Array| {
        let inner = |x: Array| cond(x.gt(1.0), |x: Array| (x - 1.0).log(), |x: Array| x.sqrt(), x);
        cond(x.gt(0.0), inner, |x: Array| x * 0.0, x)
    };
    check(slopes(nested), &floats(&[-1.0, 0.0, 0.25, 1.0, 3.0]), &[0.0, 0.0, 1.0, 0.5, 0.5], 1e-6);
    // The eighth root, by iteration.
    let iterated = |x: Array| scan(|x: Array, _: Array| (x.sqrt(), ()), x, gavotte::arange(3, DType::I32)).0;
    let looped = move |x: Array| cond(x.gt(0.0), iterated, |x: Array| x * 0.0, x);
    check(slopes(looped), &floats(&[-1.0, 0.0, 1.0]), &[0.0, 0.0, 0.125], 1e-6);
    // A branch in a loop, whose row is a sum.
    let inside = |x: Array| {
        let body = |sum: Array, i: Array| {
            let x = &x - i.astype(DType::F32);
            (sum + cond(x.gt(0.0), |x: Array| x.log() + (x.expand_dims(0) * 2.0).sum(()), |x: Array| x * 0.0, x), ())
        };
        scan(body, Array::scalar(0f32), gavotte::arange(2, DType::I32)).0
    };
    check(slopes(inside), &floats(&[-1.0, 0.0, 1.0, 2.0]), &[0.0, 0.0, 3.0, 5.5], 1e-6);
    let custom = |x: Array| cond(x.gt(0.0), |x: Array| nn::softplus(&x.log()), |x: Array| x * 0.0, x);
    check(slopes(custom), &floats(&[-1.0, 0.0, 1.0]), &[0.0, 0.0, 0.5], 1e-6);
}

#[test]
fn a_branch_reads_for_those_that_take_it() {
    let x = || ints(&[10, 20, 30]);
    let before = move |i: Array| cond(i.gt(0), |i: Array| x().take(&(i - 1), 0), |i: Array| zeros_like(&i), i);
    check(mapped(before), &ints(&[0, 1, 2]), &[0.0, 10.0, 20.0], 0.0);
    check(mapped(before), &ints(&[0, -7]), &[0.0, 0.0], 0.0);
    check(mapped(before), &Array::new(&[0], Vec::<i32>::new()), &[], 0.0);
    check_refused(mapped(before), &ints(&[0, 4, 1]), "is not in 0..3");
    let which = move |i: Array| {
        switch(&i / 10, &[&|i: Array| x().take(&i, 0), &|i: Array| x().take(&(i - 10), 0), &|i: Array| i * 100], i)
    };
    check(mapped(which), &ints(&[12, 0, -3 + 3, 25]), &[30.0, 10.0, 10.0, 2500.0], 0.0);
    let back = |x: Array| {
        let read =
            |x: Array, i: Array| cond(i.gt(0), |i: Array| x.take(&(i - 1), 0), |_: Array| Array::scalar(0f32), i);
        grad(move |x: Array| vmap(read, [None, Some(0)])(x, ints(&[0, 1, 2, 1])).sum(()))(x)
    };
    check(back, &floats(&[1.0, 2.0, 3.0]), &[2.0, 1.0, 0.0], 0.0);
    let rows = |i: Array| {
        let read = |x: Array, i: Array| cond(i.ge(0), |i: Array| x.take(&i, 0), |i: Array| i, i);
        vmap(read, [Some(0), Some(0)])(Array::new(&[2, 2], vec![1, 2, 3, 4]), i)
    };
    check(rows, &ints(&[-5, 1]), &[-5.0, 4.0], 0.0);
}

#[test]
fn an_iteration_reads_for_those_that_are_not_done() {
    let sum_from = |first: Array| {
        let x = ints(&[10, 20, 30]);
        let body = |(i, sum): (Array, Array)| (&i + 1, sum + x.take(&i, 0));
        while_loop(|(i, _): (Array, Array)| i.lt(3), body, (first, Array::scalar(0))).1
    };
    check(mapped(sum_from), &ints(&[2, 0, 3, 1]), &[30.0, 60.0, 0.0, 50.0], 0.0);
    check_refused(mapped(sum_from), &ints(&[2, -1]), "is not in 0..3");
    let between = |end: Array| {
        let x = floats(&[1.0, 2.0, 4.0]);
        fori_loop(0, end, |i: Array, sum: Array| sum + x.take(&i, 0), Array::scalar(0f32))
    };
    check(mapped(between), &ints(&[1, 3, 0]), &[1.0, 7.0, 0.0], 0.0);
    // It ends for the elements that run it, and would not for the others.
    let counted = |n: Array| {
        let down = |n: Array| while_loop(|n: Array| n.ne(0), |n: Array| n - 1, n);
        cond(n.gt(0), down, |n: Array| n, n)
    };
    check(mapped(counted), &ints(&[-1, 3, 0]), &[-1.0, 0.0, 0.0], 0.0);
    let pushed = |x: Array| {
        let halved = |x: Array| while_loop(|x: Array| x.gt(1.0), |x: Array| x.log(), x);
        jvp(&mapped(halved), (x.clone(),), (gavotte::ones_like(&x),)).1
    };
    check(pushed, &floats(&[0.5, 2.0, -1.0]), &[1.0, 0.5, 1.0], 1e-6);
}
