//! The text form, by example. Other tests compare the results of modules with XLA.

use crate::aval::{Aval, DType, Dim, Literal, Sizes, Symbol};
use crate::device::HostArray;
use crate::error::{Error, TypeError};
use crate::ir::stablehlo::text::element;
use crate::ir::stablehlo::{Export, Operand};
use crate::ir::structural::{add_any, broadcast_in_dim, call, reduce_sum, transpose};
use crate::ir::{
    Batch, Batched, Jvp, Kind, Params, Primitive, Program, Sample, ScalarOp, Unsupported, Value, bind1, trace,
};
use std::sync::Arc;

fn program(name: &str, avals: &[Aval], f: impl FnOnce(Vec<Value>) -> Vec<Value>) -> Program {
    trace(name, avals, f).program
}

fn vector(n: impl Into<Dim>) -> Aval {
    Aval::new(DType::F32, [n.into()])
}

/// The lines of `@main`'s body, without indentation.
fn body(program: &Program) -> Vec<String> {
    let text = program.to_stablehlo(&Sizes::new()).expect("the program has a StableHLO form");
    let lines: Vec<&str> = text.lines().collect();
    lines[2..lines.len() - 2].iter().map(|line| line.trim().to_string()).collect()
}

#[test]
fn a_module_has_one_function_with_arguments_and_results_in_order() {
    let matrix = Aval::new(DType::F32, [2, 3]);
    let program = program("step", &[matrix, vector(3)], |args| {
        let spread = broadcast_in_dim(&args[1], &[2.into(), 3.into()], &[1]);
        vec![transpose(&add_any(&args[0], &spread), &[1, 0]), args[1].clone(), Literal::I32(-7).into()]
    });
    let expected = r#"module @step {
  func.func public @main(%0: tensor<2x3xf32>, %1: tensor<3xf32>) -> (tensor<3x2xf32>, tensor<3xf32>, tensor<i32>) {
    %2 = "stablehlo.broadcast_in_dim"(%1) <{broadcast_dimensions = array<i64: 1>}> : (tensor<3xf32>) -> tensor<2x3xf32>
    %3 = "stablehlo.add"(%0, %2) : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
    %4 = "stablehlo.transpose"(%3) <{permutation = array<i64: 1, 0>}> : (tensor<2x3xf32>) -> tensor<3x2xf32>
    %5 = "stablehlo.constant"() <{value = dense<-7> : tensor<i32>}> : () -> tensor<i32>
    "func.return"(%4, %1, %5) : (tensor<3x2xf32>, tensor<3xf32>, tensor<i32>) -> ()
  }
}
"#;
    assert_eq!(program.to_stablehlo(&Sizes::new()).as_deref(), Ok(expected));
}

#[test]
fn a_reduction_has_a_region() {
    let program = program("sum", &[vector(3)], |args| vec![reduce_sum(&args[0], &[0])]);
    let expected = [
        r#"%1 = "stablehlo.constant"() <{value = dense<0.0> : tensor<f32>}> : () -> tensor<f32>"#,
        r#"%2 = "stablehlo.reduce"(%0, %1) <{dimensions = array<i64: 0>}> ({"#,
        r#"^bb0(%3: tensor<f32>, %4: tensor<f32>):"#,
        r#"%5 = "stablehlo.add"(%3, %4) : (tensor<f32>, tensor<f32>) -> tensor<f32>"#,
        r#""stablehlo.return"(%5) : (tensor<f32>) -> ()"#,
        r#"}) : (tensor<3xf32>, tensor<f32>) -> tensor<f32>"#,
        r#""func.return"(%2) : (tensor<f32>) -> ()"#,
    ];
    assert_eq!(body(&program), expected);
}

#[test]
fn symbols_are_sizes_and_a_missing_one_is_named() {
    let n = Dim::symbol("n");
    let program = program("rows", &[vector(&n + 1)], |args| vec![add_any(&args[0], &args[0])]);
    let mut sizes = Sizes::new();
    let Err(Error::Call(why)) = program.to_stablehlo(&sizes) else { panic!("n has no size") };
    assert!(why.contains("@rows: the size `n` has no number") && why.contains("sizes.set(Symbol::new(\"n\")"), "{why}");
    sizes.set(Symbol::new("n"), 4).expect("n has no size yet");
    let text = program.to_stablehlo(&sizes).expect("every symbol has a size");
    assert!(text.contains("@main(%0: tensor<5xf32>) -> (tensor<5xf32>)"), "{text}");
}

#[test]
fn an_extent_below_zero_is_refused() {
    let n = Dim::symbol("n");
    let program = program("before", &[vector(&n), vector(&n - 1)], |args| vec![args[1].clone()]);
    let mut sizes = Sizes::new();
    sizes.set(Symbol::new("n"), 0).expect("n has no size yet");
    let Err(Error::Call(why)) = program.to_stablehlo(&sizes) else { panic!("an extent is -1") };
    assert!(why.contains("%1 would be f32[-1]"), "{why}");
}

#[test]
fn a_call_is_put_in_its_place() {
    let twice = program("twice", &[vector(2)], |args| vec![add_any(&args[0], &args[0])]);
    let outer =
        program("outer", &[vector(2)], |args| call(Arc::new(twice), &[], &[args[0].clone()]).into_iter().collect());
    assert_eq!(body(&outer).len(), 2);
    assert!(body(&outer)[0].contains("stablehlo.add\"(%0, %0)"));
}

#[test]
fn constants_keep_their_bits() {
    for (literal, text) in [
        (Literal::F32(0.1), "0.1"),
        (Literal::F32(-0.0), "-0.0"),
        (Literal::F32(1e-30), "1.0e-30"),
        (Literal::F32(f32::NEG_INFINITY), "0xFF800000"),
        (Literal::F32(f32::from_bits(0x7fc0_0001)), "0x7FC00001"),
        (Literal::F64(0.1), "0.1"),
        (Literal::F64(1.5e300), "1.5e300"),
        (Literal::F64(f64::INFINITY), "0x7FF0000000000000"),
        (Literal::I32(i32::MIN), "-2147483648"),
        (Literal::U32(u32::MAX), "4294967295"),
        (Literal::Bool(true), "true"),
    ] {
        assert_eq!(element(literal), text);
    }
}

#[test]
fn names_that_are_no_words_stand_in_quotes() {
    let program = program("a b", &[vector(1)], |args| vec![args[0].clone()]);
    assert!(program.to_stablehlo(&Sizes::new()).is_ok_and(|text| text.starts_with("module @\"a b\" {")));
}

/// A primitive with one operand and its type, for forms that no primitive of the core has.
struct Shown {
    name: &'static str,
    write: fn(&mut Export<'_>) -> Result<Vec<Operand>, Unsupported>,
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Primitive for Shown {
    fn name(&self) -> &'static str {
        self.name
    }
    fn abstract_eval(&self, ins: &[&Aval], _: &Params) -> Result<Vec<Aval>, TypeError> {
        Ok(vec![ins[0].clone()])
    }
    fn eval(&self, ins: &[&HostArray], _: &Params) -> Vec<HostArray> {
        vec![ins[0].clone()]
    }
    fn jvp(&self, _: &Jvp<'_>) -> Vec<Option<Value>> {
        vec![None]
    }
    fn batch(&self, _: &Batch<'_>) -> Batched {
        vec![]
    }
    fn kind(&self) -> Kind {
        Kind::Opaque
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        (self.write)(cx)
    }
    fn samples(&self) -> Vec<Sample> {
        vec![]
    }
}

fn shown(prim: &'static Shown, aval: Aval) -> Program {
    program("shown", &[aval], |args| vec![bind1(prim, &[&args[0]], Params::new())])
}

#[test]
fn an_operation_without_a_form_says_where_it_was_made() {
    static SECRET: Shown = Shown { name: "secret", write: |_| Err(Unsupported("secret: no StableHLO form".into())) };
    let Err(Error::Unsupported(why)) = shown(&SECRET, vector(2)).to_stablehlo(&Sizes::new()) else {
        panic!("`secret` has no form")
    };
    assert!(why.starts_with("secret: no StableHLO form\n  at ") && why.contains("tests.rs:"), "{why}");
}

#[test]
fn loops_carry_values_and_see_those_outside() {
    // 8 times: x + the initial x.
    static LOOP: Shown = Shown {
        name: "loop",
        write: |cx| {
            let (x, first) = (cx.operand(0), cx.constant(Literal::I32(0)));
            let outs = cx.while_loop(
                &[first, x.clone()],
                &mut |cx, carried| {
                    let limit = cx.constant(Literal::I32(8));
                    Ok(vec![cx.scalar(ScalarOp::Lt, &[carried[0].clone(), limit])])
                },
                &mut |cx, carried| {
                    let one = cx.constant(Literal::I32(1));
                    let sum = cx.scalar(ScalarOp::Add, &[carried[1].clone(), x.clone()]);
                    Ok(vec![cx.scalar(ScalarOp::Add, &[carried[0].clone(), one]), sum])
                },
            )?;
            Ok(outs[1..].to_vec())
        },
    };
    let text = body(&shown(&LOOP, vector(2))).join("\n");
    assert!(text.contains(r#"%2:2 = "stablehlo.while"(%1, %0) ({"#), "{text}");
    assert!(text.contains("^bb0(%3: tensor<i32>, %4: tensor<2xf32>):") && text.contains("\n}, {\n"), "{text}");
    assert!(text.contains("}) : (tensor<i32>, tensor<2xf32>) -> (tensor<i32>, tensor<2xf32>)"), "{text}");
    assert!(text.ends_with(r#""func.return"(%2#1) : (tensor<2xf32>) -> ()"#), "{text}");
}

#[test]
fn branches_see_values_outside() {
    static BRANCH: Shown = Shown {
        name: "branch",
        write: |cx| {
            let (x, index) = (cx.operand(0), cx.constant(Literal::I32(1)));
            let same = program("same", &[x.aval().clone()], |args| args);
            let twice = program("twice", &[x.aval().clone()], |args| vec![add_any(&args[0], &args[0])]);
            cx.case(&index, &[same, twice].map(Arc::new), &[x])
        },
    };
    let text = body(&shown(&BRANCH, vector(2))).join("\n");
    assert!(text.contains("\"stablehlo.case\"(%1) ({\n\"stablehlo.return\"(%0)"), "{text}");
    assert!(text.contains("}, {\n%3 = \"stablehlo.add\"(%0, %0)"), "{text}");
    assert!(text.contains("}) : (tensor<i32>) -> tensor<2xf32>"), "{text}");
}

#[test]
fn scalars_are_repeated_where_operations_go_element_by_element() {
    static FITTED: Shown = Shown {
        name: "fitted",
        write: |cx| {
            let half = cx.constant(Literal::F32(0.5));
            let half = cx.fit(&half, &[2]);
            let x = cx.operand(0);
            assert_eq!(cx.fit(&x, &[2]), x);
            Ok(vec![cx.scalar(ScalarOp::Mul, &[x, half])])
        },
    };
    let lines = body(&shown(&FITTED, vector(2)));
    assert!(lines[1].starts_with(r#"%2 = "stablehlo.broadcast_in_dim"(%1) <{broadcast_dimensions = array<i64>}>"#));
    assert!(lines[2].starts_with(r#"%3 = "stablehlo.multiply"(%0, %2)"#));
}
