//! Anyone may set the fields of a program: it is checked before it is compiled, in every build.

use super::{assert_has, refused};
use gavotte::{Array, Aval, DType, Dim, Literal, Options, fori_loop, jit, registry, scan};
use gavotte_core::device::HostArray;
use gavotte_core::error::{Error, TypeError};
use gavotte_core::ir::{
    Atom, Attr, Batch, Batched, Control, Eqn, Kind, Params, Primitive, Program, Sample, Var, bind, parse, trace,
};
use gavotte_core::runtime::{Executable, Target};
use std::sync::Arc;

const TEXT: &str = "program @f(%0: f32[64], %1: i32[8]; %2: f32[64]) -> (f32[8], f32[64]) {
  %3: f32[64] = add %0, %2
  %4: f32[8] = gather %3, %1 {axis=0}
  %5: f32[8] = mul %4, 2f32
  %6: f32[64] = slice %3 {limit=[64], start=[0], stride=[1]}
  return %5, %6
}";

fn program() -> Program {
    parse(TEXT, registry()).unwrap_or_else(|error| panic!("{error}"))
}

fn compile(program: &Program) -> Result<(), Error> {
    let consts = [HostArray::full(&[64], Literal::F32(1.0)).into()];
    for target in [Target::Portable, Target::native()] {
        Executable::compile(program, &consts, &Options { target, ..Options::default() })?;
    }
    Ok(())
}

#[track_caller]
fn assert_refused(change: impl FnOnce(&mut Program)) {
    let mut program = program();
    change(&mut program);
    let error = refused(|| compile(&program));
    assert_has(&error, &["the program is not well formed"]);
}

fn floats(n: usize) -> Aval {
    Aval::new(DType::F32, [n])
}

#[test]
fn a_changed_program_is_not_compiled() {
    assert_eq!(compile(&program()), Ok(()));
    // Types.
    assert_refused(|p| p.eqns[0].outs[0].aval = floats(1 << 20));
    assert_refused(|p| p.eqns[1].outs[0].aval = floats(1 << 20));
    assert_refused(|p| p.args[0].aval = floats(1));
    assert_refused(|p| p.args[1].aval = Aval::new(DType::I32, [1 << 20]));
    assert_refused(|p| p.args[1].aval = Aval::new(DType::F64, [8]));
    assert_refused(|p| p.eqns[2].outs[0].aval.dtype = DType::F64);
    assert_refused(|p| p.eqns[2].outs[0].aval = Aval::new(DType::F32, ["n"]));
    assert_refused(|p| p.args[1].aval = Aval::new(DType::I32, [-8]));
    assert_refused(|p| p.args[1].aval = Aval::new(DType::I32, [1usize << 40, 1 << 40]));
    // Operands.
    assert_refused(|p| p.eqns[1].ins[0] = Atom::Var(Var(1)));
    assert_refused(|p| p.eqns[1].ins[1] = Atom::Literal(Literal::I32(1 << 30)));
    assert_refused(|p| p.eqns[1].ins[0] = Atom::Var(Var(5)));
    assert_refused(|p| p.eqns[1].ins[0] = Atom::Var(Var(77)));
    assert_refused(|p| p.eqns[1].ins[0] = Atom::Var(Var(u32::MAX)));
    assert_refused(|p| p.eqns[0].ins.truncate(1));
    assert_refused(|p| p.eqns[0].ins.push(Atom::Var(Var(0))));
    assert_refused(|p| p.eqns.swap(0, 1));
    assert_refused(|p| drop(p.eqns.remove(0)));
    assert_refused(|p| p.outs[0] = Atom::Var(Var(99)));
    // Binders.
    assert_refused(|p| p.eqns[1].outs[0].var = Var(3));
    assert_refused(|p| p.eqns[3].outs[0].var = Var(u32::MAX));
    assert_refused(|p| p.args[1].var = Var(0));
    assert_refused(|p| p.eqns[1].outs.clear());
    // Attributes.
    let with = |name: &'static str, attr: Attr| {
        move |p: &mut Program| p.eqns[3].params = p.eqns[3].params.clone().with(name, attr)
    };
    assert_refused(with("limit", vec![65usize].into()));
    assert_refused(with("start", vec![-1i64].into()));
    assert_refused(with("limit", Attr::List(vec![Attr::Dim(Dim::from(i64::MAX) * 2)])));
    assert_refused(with("start", Attr::List(vec![Attr::Dim(Dim::symbol("k"))])));
    assert_refused(with("limit", "64".into()));
    assert_refused(|p| p.eqns[1].params = Params::new().with("axis", 1usize));
    assert_refused(|p| p.eqns[1].params = Params::new());
    assert_refused(|p| p.eqns[1].prim = registry().get("scatter_add").expect("it is a primitive"));
}

/// Changes in a nested program are found too.
#[test]
fn a_changed_nested_program_is_not_compiled() {
    let body = |total: Array, row: Array| (&total + row.sum(()), &row * &total);
    let looped = trace("f", &[Aval::new(DType::F32, [4, 8])], |args| {
        let x = Array::from(args[0].clone());
        let (total, rows) = scan(body, Array::scalar(0.0f32), x);
        let again = fori_loop(0, 3, |_, x: Array| x * 2.0, total);
        vec![again.into(), rows.into()]
    });
    let good = looped.program;
    let compiled = |program: &Program| Executable::compile(program, &[], &Options::default()).map(drop);
    assert_eq!(compiled(&good), Ok(()));
    let loops: Vec<usize> = (0..good.eqns.len()).filter(|i| good.eqns[*i].prim.kind() == Kind::Control).collect();
    assert_eq!(loops.len(), 2);
    let changes: [fn(&mut Program); 6] = [
        |p| p.args[0].aval = floats(1 << 20),
        |p| p.args.truncate(1),
        |p| p.outs.truncate(0),
        |p| p.eqns[0].outs[0].aval = floats(1 << 20),
        |p| p.eqns[0].ins[0] = Atom::Var(Var(40)),
        |p| p.consts = vec![p.args[0].clone()],
    ];
    for at in loops {
        for change in changes {
            let mut program = good.clone();
            program.eqns[at].params = program.eqns[at].params.map_programs(&|nested| {
                let mut nested = nested.clone();
                change(&mut nested);
                nested
            });
            assert_has(&refused(|| compiled(&program)), &["the program is not well formed"]);
        }
        for name in ["n_const", "n_carry", "n_body_const", "length"] {
            let mut program = good.clone();
            let eqn: &mut Eqn = &mut program.eqns[at];
            if eqn.params.get(name).is_some() {
                eqn.params = eqn.params.clone().with(name, 1000usize);
                assert_has(&refused(|| compiled(&program)), &["the program is not well formed"]);
            }
        }
    }
}

/// Claims to run a program that does not take its operands.
#[derive(Debug)]
struct Runs {
    kind: Kind,
    control: fn(Arc<Program>) -> Option<Control>,
}

impl Primitive for Runs {
    fn name(&self) -> &'static str {
        "runs"
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["program"]
    }
    fn abstract_eval(&self, _: &[&Aval], _: &Params) -> Result<Vec<Aval>, TypeError> {
        Ok(vec![floats(1 << 20)])
    }
    fn eval(&self, _: &[&HostArray], _: &Params) -> Vec<HostArray> {
        vec![]
    }
    fn batch(&self, _: &Batch<'_>) -> Batched {
        vec![]
    }
    fn kind(&self) -> Kind {
        self.kind
    }
    fn control(&self, params: &Params) -> Option<Control> {
        (self.control)(params.program("program"))
    }
    fn samples(&self) -> Vec<Sample> {
        vec![]
    }
}

static RUNS: [&dyn Primitive; 8] = [
    &Runs { kind: Kind::Call, control: |_| None },
    &Runs { kind: Kind::Custom, control: |_| None },
    &Runs { kind: Kind::Reshape, control: |_| None },
    &Runs { kind: Kind::Barrier, control: |_| None },
    &Runs { kind: Kind::Control, control: |body| Some(Control::Switch { branches: vec![body] }) },
    &Runs {
        kind: Kind::Control,
        control: |body| Some(Control::Scan { body, n_const: 7, n_carry: 9, length: 3.into(), reverse: false }),
    },
    &Runs {
        kind: Kind::Control,
        control: |body| Some(Control::While { cond: body.clone(), body, n_cond_const: 0, n_body_const: 0 }),
    },
    &Runs { kind: Kind::Map { cost: 1 }, control: |body| Some(Control::Switch { branches: vec![body] }) },
];

/// A primitive's claims are checked against its nested programs.
#[test]
fn primitives_that_hold_programs_are_not_believed() {
    let nested = trace("nested", &[floats(4)], |args| args).program;
    let nested = Arc::new(nested);
    for prim in RUNS {
        let f = jit(|x: Array| {
            let outs = bind(prim, &[x.value()], Params::new().with("program", nested.clone()));
            Array::from(outs[0].clone()).sum(())
        });
        let error = refused(|| f.try_call((Array::new(&[4], vec![1.0f32; 4]),)));
        assert_has(&error, &["the program is not well formed", "runs: ", "programs.rs"]);
    }
}
