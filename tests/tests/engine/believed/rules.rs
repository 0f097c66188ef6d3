//! Rules of primitives: their reads are proved to be in bounds, or checked.

use gavotte_core::aval::{Aval, DType, Dim, Sizes, Symbol};
use gavotte_core::device::HostArray;
use gavotte_core::error::{Error, TypeError};
use gavotte_core::ir::{
    Batch, Batched, Index, Kind, Lower, Params, Primitive, Sample, Scalar, Unsupported, Value, bind1, trace,
};
use gavotte_core::runtime::{Executable, Options};
use gavotte_tests::targets::engines;

/// An operation that returns its operand, except for what its rule makes of it.
struct Ruled(fn(&mut dyn Lower) -> Result<Scalar, Unsupported>);

impl std::fmt::Debug for Ruled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ruled")
    }
}

impl Primitive for Ruled {
    fn name(&self) -> &'static str {
        "ruled"
    }
    fn abstract_eval(&self, ins: &[&Aval], _: &Params) -> Result<Vec<Aval>, TypeError> {
        Ok(vec![ins[0].clone()])
    }
    fn eval(&self, ins: &[&HostArray], _: &Params) -> Vec<HostArray> {
        vec![ins[0].clone()]
    }
    fn batch(&self, _: &Batch<'_>) -> Batched {
        vec![]
    }
    fn kind(&self) -> Kind {
        Kind::View
    }
    fn lower(&self, cx: &mut dyn Lower) -> Result<Vec<Scalar>, Unsupported> {
        Ok(vec![self.0(cx)?])
    }
    fn samples(&self) -> Vec<Sample> {
        vec![]
    }
}

/// The element at `by` times the position plus `more`.
fn elsewhere(cx: &mut dyn Lower, by: i64, more: i64) -> Result<Scalar, Unsupported> {
    let at = cx.index();
    let at = cx.affine(&at[0], &by.into(), &more.into());
    cx.read(0, &[at])
}

/// Rules that read out of bounds or make no kernel, and their messages.
static RULES: [(&str, Ruled); 9] = [
    ("is not in 0..40", Ruled(|cx| elsewhere(cx, 1, 1))),
    ("is not in 0..40", Ruled(|cx| elsewhere(cx, 1, -1))),
    ("is not in 0..40", Ruled(|cx| elsewhere(cx, 2, 0))),
    ("is not in 0..40", Ruled(|cx| elsewhere(cx, -1, 0))),
    ("is not in 0..40", Ruled(|cx| elsewhere(cx, 1, 1 << 30))),
    ("is not in 0..40", Ruled(|cx| elsewhere(cx, 0, 40))),
    ("must be a scalar of the body", Ruled(|_| Ok(Scalar(7)))),
    (
        "there is no loop i9",
        Ruled(|cx| cx.read(0, &[Index::Affine { constant: 0.into(), terms: vec![(9, 1.into())] }])),
    ),
    (
        "is no position",
        Ruled(|cx| {
            let x = elsewhere(cx, 1, 0)?;
            cx.read(0, &[Index::Value(x)])
        }),
    ),
];

#[test]
fn rules_are_not_believed_about_what_they_read() {
    let x = HostArray::new(&[40], (0..40).map(|i| i as f32).collect());
    let mut sizes = Sizes::new();
    sizes.set(Symbol::new("n"), 40).expect("it has no size yet");
    for (target, extent) in engines().into_iter().flat_map(|t| [(t, Dim::from(40)), (t, Dim::symbol("n"))]) {
        let run = |rule: &'static Ruled| {
            let f = |args: Vec<Value>| vec![bind1(rule, &[&args[0]], Params::new())];
            let program = trace("ruled", &[Aval::new(DType::F32, [extent.clone()])], f).program;
            let executable = Executable::compile(&program, &[], &Options { target, ..Options::default() })?;
            let outs = executable.call(vec![x.clone().into()], &sizes)?;
            Ok::<_, Error>(outs[0].to_host()?.as_slice::<f32>().to_vec())
        };
        for (tells, rule) in &RULES {
            let found = run(rule);
            assert!(
                found.as_ref().is_err_and(|why| why.to_string().contains(tells)),
                "{target:?}, {extent}: {tells}, {found:?}"
            );
        }
        // In-bounds reads succeed, and where there is no kernel the operation itself runs.
        static RIGHT: [Ruled; 2] = [Ruled(|cx| elsewhere(cx, 1, 0)), Ruled(|cx| cx.read(0, &[]))];
        RIGHT.iter().for_each(|rule| assert_eq!(run(rule).as_deref(), Ok(x.as_slice::<f32>()), "{target:?}, {extent}"));
    }
}
