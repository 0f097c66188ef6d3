//! `check_nans`: the first equation that makes a number that is not finite.

use super::{refusal, vector};
use gavotte::segment::Segments;
use gavotte::{
    Array, Error, Function, Jit, Options, Tree, debug_print, grad, jit_with, scan, where_, with_debug_output,
    zeros_like,
};
use gavotte_tests::refused::assert_has;
use std::cell::RefCell;
use std::rc::Rc;

fn checked<'f, T: Tree + 'f>(f: impl Function<(T,), Out = Array> + Send + Sync + 'f) -> Jit<'f, (T,), Array> {
    jit_with(f, Options { check_nans: true, ..Options::default() })
}

#[test]
fn a_nan_is_traced_to_its_equation() {
    let line = line!() + 1;
    let f = checked(|x: Array| (x.log() * 2f32).sum(()));
    assert!(f.try_call((vector(&[1.0, 2.0, 4.0]),)).is_ok());
    let Err(Error::NotFinite(message)) = f.try_call((vector(&[2.0, -1.0, 0.5]),)) else { panic!("must be refused") };
    assert_has(
        &message,
        &[
            "check_nans: log makes a NaN of finite operands in @a_nan_is_traced_to_its_equation\n",
            &format!("\n  %1: f32[3] = log %0\n  at tests/tests/engine/inside/numbers.rs:{line}:"),
            "\n  %1 is NaN at [1]\n",
            "\n  operand %0: f32[3] from -1.0 to 2.0; -1.0 at [1]",
        ],
    );
}

#[test]
fn an_infinity_of_finite_operands_counts_too() {
    let f = checked(|x: Array| Array::scalar(1f32) / x);
    let message = refusal(f.try_call((Array::new(&[2, 2], vec![1f32, 2.0, 0.0, 4.0]),)));
    assert_has(&message, &["div makes an infinity of finite operands", "is inf at [1, 0]", "; 0.0 at [1, 0]"]);
    let f = checked(|x: Array| x.exp());
    assert_has(&refusal(f.try_call((vector(&[1000.0]),))), &["exp makes an infinity", "operand %0: f32[1] 1000.0"]);
}

#[test]
fn the_first_of_several_is_named() {
    let line = line!() + 2;
    let f = checked(|x: Array| {
        let inverse = Array::scalar(1f32) / &x;
        (&inverse - &inverse) * 3f32
    });
    assert_has(
        &refusal(f.try_call((vector(&[1.0, 0.0]),))),
        &["div makes an infinity", &format!("numbers.rs:{line}:")],
    );
}

#[test]
fn what_a_mask_hides_is_nobodys_concern() {
    let safe_log = |x: &Array| where_(&x.gt(0f32), x.log(), zeros_like(x));
    let f = checked(move |x: Array| safe_log(&x));
    assert!(f.try_call((vector(&[-1.0, 0.0, 2.0]),)).is_ok());
    let g = checked(move |x: Array| safe_log(&x) / &x);
    let message = refusal(g.try_call((vector(&[-1.0, 0.0, 2.0]),)));
    assert_has(&message, &["div makes a NaN of finite operands"]);
}

#[test]
fn infinite_constants_and_arguments_are_no_mistakes() {
    let f = checked(|x: Array| where_(&x.gt(0f32), &x, Array::scalar(f32::NEG_INFINITY)));
    assert_eq!(f(vector(&[-1.0, 2.0])).to_vec::<f32>(), [f32::NEG_INFINITY, 2.0]);
    assert_eq!(f(vector(&[f32::INFINITY])).to_vec::<f32>(), [f32::INFINITY]);
    let captured = vector(&[f32::INFINITY, 1.0]);
    let g = checked(move |x: Array| x + &captured);
    assert!(g.try_call((vector(&[1.0, 2.0]),)).is_ok());
    assert!(g.try_call((vector(&[f32::NAN, 2.0]),)).is_ok(), "a NaN that came in was made elsewhere");
}

#[test]
fn a_nan_of_infinities_is_made_there() {
    let f = checked(|x: Array| &x - x.max(()));
    let message = refusal(f.try_call((vector(&[f32::NEG_INFINITY, f32::NEG_INFINITY]),)));
    assert_has(&message, &["sub makes a NaN of infinite operands", "operand %0: f32[2], 2 of 2 not finite"]);
}

#[test]
fn the_largest_of_nothing_is_an_infinity() -> Result<(), Error> {
    let segments = Segments::new(&[0, 2, 2], 3)?;
    let f = checked(move |x: Array| segments.max(&x));
    assert_has(
        &refusal(f.try_call((vector(&[1.0, 2.0, 3.0]),))),
        &["segment_max makes an infinity of finite operands", "is -inf at [1]", "f32[3] from 1.0 to 3.0"],
    );
    Ok(())
}

#[test]
fn a_folded_literal_does_not_hide_it() {
    let (one, zero) = (Array::scalar(1f32), Array::scalar(0f32));
    let f = checked(move |x: Array| x + &one / &zero);
    assert_has(
        &refusal(f.try_call((vector(&[1.0]),))),
        &["div makes an infinity of finite operands", "div 1.0f32, 0.0f32"],
    );
}

#[test]
fn derivatives_name_the_users_line() {
    // 0 · ∞ in the backward pass of a square root at 0
    let line = line!() + 1;
    let f = checked(grad(|x: Array| (x.sqrt() * 0f32).sum(())));
    let message = refusal(f.try_call((vector(&[4.0, 0.0]),)));
    assert_has(&message, &["finite operands", &format!("at tests/tests/engine/inside/numbers.rs:{line}:")]);
}

#[test]
fn results_are_the_same_and_arguments_are_kept() {
    let f = |x: Array| (&x * 1.5f32).exp() + x.sum(());
    let x = vector(&[0.1, -0.2, 0.3]);
    let plain = gavotte::jit(f)(x.clone()).to_vec::<f32>();
    let host = x.to_host().expect("computed").as_slice::<f32>().as_ptr();
    let found = checked(f)(x);
    assert_eq!(
        found.to_vec::<f32>().iter().map(|x| x.to_bits()).collect::<Vec<_>>(),
        plain.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
    );
    assert_ne!(found.to_host().expect("computed").as_slice::<f32>().as_ptr(), host, "the argument was not written");
}

#[test]
fn a_call_panics_with_the_message() {
    let f = checked(|x: Array| x.log());
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| f(vector(&[-1.0]))));
    let payload = panicked.expect_err("it panics");
    let message = payload.downcast_ref::<String>().expect("with a text");
    assert_has(message, &["log makes a NaN of finite operands"]);
}

#[test]
fn evaluating_again_prints_nothing() {
    let lines: Rc<RefCell<Vec<String>>> = Rc::default();
    let kept = lines.clone();
    let f = checked(|x: Array| {
        debug_print("x = {}", &[&x]);
        x.log()
    });
    let result = with_debug_output(move |line| kept.borrow_mut().push(line.into()), || f.try_call((vector(&[-1.0]),)));
    assert!(result.is_err());
    assert_eq!(*lines.borrow(), ["x = [-1.0]"]);
}

#[test]
fn within_a_loop_the_iterations_equation_is_named() {
    let line = line!() + 3;
    let f = checked(|xs: Array| {
        let body = |sum: Array, x: Array| {
            let log = x.log();
            let safe = where_(&x.gt(2f32), &log, zeros_like(&x));
            (sum + log, safe)
        };
        scan(body, Array::scalar(0f32), xs).0
    });
    assert!(f.try_call((vector(&[1.0, 2.0, 3.0]),)).is_ok());
    let message = refusal(f.try_call((vector(&[1.0, 0.0, -1.0]),)));
    assert_has(&message, &["check_nans: log makes an infinity of finite operands in @body", "f32[] 0.0"]);
    assert_has(&message, &[&format!("numbers.rs:{line}:"), "\n  within scan at tests/tests/engine/inside/numbers.rs:"]);
}

#[test]
fn what_a_mask_hides_within_a_loop_is_nobodys_concern() {
    let f = checked(|xs: Array| {
        let body = |sum: Array, x: Array| {
            let safe = where_(&x.gt(0f32), x.log(), zeros_like(&x));
            (sum + safe / (x + 1f32), Array::scalar(0f32))
        };
        scan(body, Array::scalar(0f32), xs).0
    });
    assert!(f.try_call((vector(&[1.0, 0.0, 3.0]),)).is_ok());
    assert_has(&refusal(f.try_call((vector(&[0.0, -1.0]),))), &["div makes a NaN of finite operands in @body"]);
}
