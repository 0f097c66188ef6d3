//! Custom primitives: what `eval` returns is checked against what `abstract_eval` says.

use super::{assert_has, refused};
use gavotte::{Array, Aval, Literal, cond, fori_loop, grad, jit, scan, vmap};
use gavotte_core::device::HostArray;
use gavotte_core::error::TypeError;
use gavotte_core::ir::{Batch, Batched, Jvp, Kind, Params, Primitive, Sample, Value, bind1, quietly};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Claims to return its operand's type.
#[derive(Debug)]
struct Odd {
    name: &'static str,
    returns: fn(&HostArray) -> Vec<HostArray>,
}

impl Primitive for Odd {
    fn name(&self) -> &'static str {
        self.name
    }
    fn abstract_eval(&self, ins: &[&Aval], _: &Params) -> Result<Vec<Aval>, TypeError> {
        Ok(vec![ins[0].clone()])
    }
    fn eval(&self, ins: &[&HostArray], _: &Params) -> Vec<HostArray> {
        (self.returns)(ins[0])
    }
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        vec![cx.tangents[0].clone()]
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let (x, at) = &cx.ins[0];
        let odd = ODD.iter().copied().find(|prim| prim.name() == self.name).expect("it is in the list");
        vec![(bind1(odd, &[x], Params::new()), *at)]
    }
    fn kind(&self) -> Kind {
        Kind::Opaque
    }
    fn samples(&self) -> Vec<Sample> {
        vec![]
    }
}

fn full(shape: &[usize], literal: impl Into<Literal>) -> HostArray {
    HostArray::full(shape, literal.into())
}

/// Returns what it claims, the first time.
fn at_first(x: &HostArray) -> Vec<HostArray> {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    if CALLS.fetch_add(1, Ordering::Relaxed) == 0 { vec![x.clone()] } else { vec![full(&[1 << 20], 1.0f32)] }
}

static ODD: [&dyn Primitive; 9] = [
    &Odd { name: "too_many_elements", returns: |_| vec![full(&[1 << 20], 1.0f32)] },
    &Odd { name: "too_few_elements", returns: |_| vec![full(&[1], 1.0f32)] },
    &Odd { name: "too_few_outputs", returns: |_| vec![] },
    &Odd { name: "too_many_outputs", returns: |x| vec![x.clone(), x.clone()] },
    &Odd { name: "wide_elements", returns: |x| vec![full(&x.shape(), 1.0f64)] },
    &Odd { name: "other_elements", returns: |x| vec![full(&x.shape(), 7i32)] },
    &Odd { name: "another_rank", returns: |x| vec![x.reshaped(&[1, x.len()])] },
    &Odd { name: "no_elements", returns: |_| vec![full(&[0], 1.0f32)] },
    &Odd { name: "right_at_first", returns: at_first },
];

fn odd(prim: &'static dyn Primitive, x: &Array) -> Array {
    bind1(prim, &[x.value()], Params::new()).into()
}

fn x() -> Array {
    Array::new(&[64], (0..64).map(|i| i as f32).collect())
}

#[test]
fn what_eval_returns_is_checked_outside_jit() {
    let _ = quietly(|| odd(ODD[8], &x()));
    for prim in ODD {
        let error = refused(|| Ok(odd(prim, &x())));
        assert_has(&error, &[prim.name(), "its `abstract_eval` says [f32[64]]", "primitives.rs"]);
    }
}

#[test]
fn what_eval_returns_is_checked_in_compiled_programs() {
    let _ = quietly(|| odd(ODD[8], &x()));
    for prim in ODD {
        let of = |x: &Array| odd(prim, x);
        let body = |total: Array, row: Array| (&total + of(&row).sum(()), row);
        let rows = |x: Array| x.reshape([4, 64]).broadcast_to([4, 64]);
        let programs = [
            jit(move |x: Array| of(&(x * 2.0)) * 3.0).try_call((x(),)),
            jit(move |x: Array| fori_loop(0, 3, |_, x: Array| of(&x) + 1.0, x)).try_call((x(),)),
            jit(move |x: Array| cond(x.sum(()).gt(Array::scalar(0.0f32)), |x: Array| of(&x), |x: Array| x, x))
                .try_call((x(),)),
            jit(move |x: Array| scan(body, Array::scalar(0.0f32), rows(x)).0)
                .try_call((Array::new(&[256], vec![1.0f32; 256]),)),
            jit(grad(move |x: Array| (of(&x) * &x).sum(()))).try_call((x(),)),
        ];
        for result in programs {
            let error = refused(|| result);
            assert_has(&error, &[prim.name(), "its `abstract_eval` says [f32[64]]", "primitives.rs"]);
        }
        let mapped = jit(vmap(of_array(prim), [Some(0)]));
        let error = refused(|| mapped.try_call((Array::new(&[2, 64], vec![1.0f32; 128]),)));
        assert_has(&error, &[prim.name(), "its `abstract_eval` says [f32[2,64]]"]);
    }
}

fn of_array(prim: &'static dyn Primitive) -> impl Fn(Array) -> Array {
    move |x: Array| odd(prim, &x)
}

/// Scalars are computed when a program is compiled, unless the result differs from the claimed type.
#[test]
fn what_a_pass_computes_is_checked() {
    #[derive(Debug)]
    struct Doubled;
    impl Primitive for Doubled {
        fn name(&self) -> &'static str {
            "doubled"
        }
        fn abstract_eval(&self, ins: &[&Aval], _: &Params) -> Result<Vec<Aval>, TypeError> {
            Ok(vec![ins[0].clone()])
        }
        fn eval(&self, _: &[&HostArray], _: &Params) -> Vec<HostArray> {
            vec![full(&[], 2.0f64)]
        }
        fn batch(&self, _: &Batch<'_>) -> Batched {
            vec![]
        }
        fn kind(&self) -> Kind {
            Kind::Map { cost: 1 }
        }
        fn samples(&self) -> Vec<Sample> {
            vec![]
        }
    }
    static DOUBLED: &dyn Primitive = &Doubled;
    let f = jit(|x: Array| x * odd(DOUBLED, &Array::scalar(1.0f32)));
    assert_has(&refused(|| f.try_call((x(),))), &["doubled: its `eval` returns [f64[]]", "primitives.rs"]);
}
