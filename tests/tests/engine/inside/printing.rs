//! `debug_print`: what programs print, when, and in which order.

use super::{refusal, vector};
use gavotte::{
    Array, Options, cond, debug_print, fori_loop, grad, jit, jit_with, jvp, make_program, scan, value_and_grad, vmap,
    with_debug_output,
};
use gavotte_core::ir::parse;
use gavotte_core::pass;
use gavotte_tests::refused::assert_has;
use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::rc::Rc;

/// What `f` prints.
fn printed<R>(f: impl FnOnce() -> R) -> Vec<String> {
    let lines: Rc<RefCell<Vec<String>>> = Rc::default();
    let kept = lines.clone();
    with_debug_output(move |line| kept.borrow_mut().push(line.into()), f);
    lines.take()
}

fn shown(x: Array) -> Array {
    let y = &x * 2f32;
    debug_print("y = {}", &[&y]);
    y.sin()
}

#[test]
fn it_prints_now_outside_a_trace_and_at_each_run_inside() {
    assert_eq!(printed(|| shown(Array::scalar(1f32))), ["y = 2.0"]);
    let f = jit(shown);
    assert_eq!(printed(|| f.lower((Array::scalar(1f32),))), [""; 0], "tracing prints nothing");
    let lines = printed(|| [1f32, 2.0].map(|x| f(Array::scalar(x))));
    assert_eq!(lines, ["y = 2.0", "y = 4.0"]);
    assert_eq!(printed(|| jit(jit(shown))(Array::scalar(1f32))), ["y = 2.0"]);
}

#[test]
fn it_is_neither_dropped_nor_shared_nor_moved() {
    let f = |x: Array| {
        debug_print("first", &[]);
        let unread = x.exp() * 0f32;
        debug_print("unread = {:.1}", &[&unread]);
        debug_print("twice {}", &[&x]);
        debug_print("twice {}", &[&x]);
        let sum = x.sum(());
        debug_print("sum = {}, x = {}", &[&sum, &x]);
        x + 1f32
    };
    let expected =
        ["first", "unread = [0.0, 0.0]", "twice [1.0, 2.0]", "twice [1.0, 2.0]", "sum = 3.0, x = [1.0, 2.0]"];
    for threads in [1, 2, 5] {
        let options = Options { threads: NonZeroUsize::new(threads).expect("not zero"), ..Options::default() };
        let f = jit_with(f, options);
        let lines = printed(|| assert_eq!(f(vector(&[1.0, 2.0])).to_vec::<f32>(), [2.0, 3.0]));
        assert_eq!(lines, expected, "{threads} threads");
    }
}

#[test]
fn an_argument_is_printed_before_it_is_written_over() {
    let f = jit(|x: Array| {
        let y = &x + 1f32;
        debug_print("{} {}", &[&x, &y]);
        y
    });
    let lines = printed(|| f(vector(&[1.0, 2.0])));
    assert_eq!(lines, ["[1.0, 2.0] [2.0, 3.0]"]);
}

#[test]
fn derivatives_print_the_primal_once() {
    let one = || Array::scalar(1f32);
    assert_eq!(printed(|| grad(shown)(one())), ["y = 2.0"]);
    assert_eq!(printed(|| jit(value_and_grad(shown))(one())), ["y = 2.0"]);
    assert_eq!(printed(|| jit(grad(grad(shown)))(one())), ["y = 2.0"]);
    assert_eq!(printed(|| jvp(&shown, (one(),), (one(),))), ["y = 2.0"]);
    assert_eq!(grad(shown)(one()).item::<f32>(), 2.0 * 2f32.cos(), "and nothing else changes");
}

#[test]
fn a_batch_prints_a_line_for_each_element() {
    let xs = || vector(&[1.0, 2.0, 3.0]);
    let lines = ["y = 2.0", "y = 4.0", "y = 6.0"];
    assert_eq!(printed(|| vmap(shown, [Some(0)])(xs())), lines);
    assert_eq!(printed(|| jit(vmap(shown, [Some(0)]))(xs())), lines);
    assert_eq!(printed(|| jit(vmap(grad(shown), [Some(0)]))(xs())), lines);
    assert_eq!(printed(|| jit(vmap(shown, [Some(0)]))(xs().declare(["n"]))), lines, "however many there are");
    let both = |x: Array, y: Array| {
        debug_print("{} {}", &[&x, &y]);
        debug_print("y {}", &[&y]);
        x + y
    };
    let outer = vmap(both, [Some(0), None]);
    assert_eq!(printed(|| outer(vector(&[1.0, 2.0]), vector(&[8.0]))), ["1.0 [8.0]", "2.0 [8.0]", "y [8.0]"]);
    let table = vmap(vmap(both, [None, Some(0)]), [Some(0), None]);
    let lines = printed(|| table(vector(&[1.0, 2.0]), vector(&[7.0, 8.0])));
    assert_eq!(lines, ["1.0 7.0", "1.0 8.0", "2.0 7.0", "2.0 8.0", "y 7.0", "y 8.0"]);
    let columns = vmap(
        |x: Array| {
            x.sum(()) + {
                debug_print("{}", &[&x]);
                0f32
            }
        },
        [Some(1)],
    );
    let matrix = Array::new(&[2, 3], vec![1, 2, 3, 4, 5, 6]).astype(gavotte::DType::F32);
    assert_eq!(printed(|| columns(matrix)), ["[1.0, 4.0]", "[2.0, 5.0]", "[3.0, 6.0]"]);
}

#[test]
fn its_text_reads_back_and_passes_keep_it() {
    let f = |x: Array| {
        debug_print("a \"word\" \\ // {{}}\n and {:.2}", &[&x]);
        x
    };
    let program = make_program(&f, (vector(&[1.0]),));
    let text = program.to_string();
    assert_has(&text, &["\n  debug_print %0 {format=\"a \\\"word\\\" \\\\ // {{}}\\n and {:.2}\"}\n"]);
    let back = parse(&text, gavotte::registry()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(back, program);
    assert_eq!(pass::optimize(&program).eqns.len(), 1);
    assert_eq!(printed(|| jit(f)(vector(&[0.5]))), ["a \"word\" \\ // {}\n and [0.50]"]);
    let fused = jit(f).lower((vector(&[1.0]),)).unwrap_or_else(|error| panic!("{error}")).executable().fused_text();
    assert_has(&fused, &["run    debug_print", "// for its effect"]);
}

#[test]
fn wrong_formats_are_refused_at_the_users_line() {
    let line = line!() + 2;
    let f = jit(|x: Array| {
        debug_print("{} and {}", &[&x]);
        x
    });
    let message = refusal(f.try_call((vector(&[1.0]),)));
    assert_has(&message, &["debug_print: placeholders in the format \"{} and {}\": 2; arrays: 1", "f32[1]"]);
    assert_has(&message, &[&format!("printing.rs:{line}:")]);
}

#[test]
fn elements_of_every_type_print() {
    let print = |x: Array| printed(|| debug_print("{}", &[&x]));
    assert_eq!(print(Array::new(&[2], vec![true, false])), ["[true, false]"]);
    assert_eq!(print(Array::new(&[1, 2], vec![1i32, -2])), ["[[1, -2]]"]);
    assert_eq!(print(Array::scalar(7u32)), ["7"]);
    assert_eq!(print(Array::new(&[3], vec![f64::NAN, 1e300, -0.5])), ["[NaN, 1e300, -0.5]"]);
}

/// A scan that prints in each iteration, and returns a product.
fn iterations(x: Array, xs: Array) -> Array {
    let body = |sum: Array, x: Array| {
        debug_print("x = {}", &[&x]);
        (sum * &x, x)
    };
    scan(body, x, xs).0
}

#[test]
fn loops_print_iteration_by_iteration() {
    let args = || (Array::scalar(1f32), vector(&[2.0, 3.0]));
    let lines = ["x = 2.0", "x = 3.0"];
    let call = |f: &dyn Fn(Array, Array) -> Array| {
        let (x, xs) = args();
        printed(|| f(x, xs))
    };
    assert_eq!(call(&iterations), lines);
    assert_eq!(call(&*jit(iterations)), lines);
    assert_eq!(call(&*grad(iterations)), lines);
    assert_eq!(call(&*jit(grad(iterations))), lines);
    assert_eq!(printed(|| jvp(&iterations, args(), args())), lines, "the primal, once");
    let pushed = jit(|x: Array, xs: Array| jvp(&iterations, (x.clone(), xs.clone()), (x, xs)).1);
    assert_eq!(call(&*pushed), lines);
    assert_eq!(call(&*grad(|x: Array, xs: Array| grad(iterations)(x, xs))), lines);
    let mapped = vmap(iterations, [None, Some(0)]);
    let rows = Array::new(&[2, 2], vec![1f32, 2.0, 3.0, 4.0]);
    assert_eq!(
        printed(|| mapped(Array::scalar(1f32), rows)),
        ["x = 1.0", "x = 3.0", "x = 2.0", "x = 4.0"],
        "all elements of the batch run an iteration together"
    );
}

#[test]
fn a_loop_that_nobody_reads_prints_still() {
    let f = jit(|x: Array| {
        iterations(x.clone(), vector(&[2.0, 3.0]));
        fori_loop(
            0,
            2,
            |i: Array, x: Array| {
                debug_print("iteration {}", &[&i]);
                x
            },
            x.clone(),
        );
        cond(
            x.gt(0f32),
            |x: Array| {
                debug_print("yes", &[]);
                x
            },
            |x: Array| {
                debug_print("no", &[]);
                x
            },
            x.clone(),
        );
        x
    });
    assert_eq!(printed(|| f(Array::scalar(1f32))), ["x = 2.0", "x = 3.0", "iteration 0", "iteration 1", "yes"]);
    assert_eq!(printed(|| f(Array::scalar(-1f32))).last().map(String::as_str), Some("no"));
}
