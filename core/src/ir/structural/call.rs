//! `call`: a nested program, such as a `jit` within a `jit`. Transformations and the pass `inline` dissolve it.

use crate::aval::{Aval, Sizes};
use crate::device::HostArray;
use crate::error::TypeError;
use crate::ir::{Attr, Batch, Batched, Jvp, Kind, Params, Primitive, Program, Sample, Value, bind, evaluate};
use smallvec::SmallVec;
use std::sync::Arc;

/// A call of a nested program.
#[derive(Debug)]
struct Call;
/// The primitive `call {program}`: operands are the program's constants, then its arguments.
pub static CALL: &dyn Primitive = &Call;

/// Calls a program.
#[track_caller]
pub fn call(program: Arc<Program>, consts: &[Value], args: &[Value]) -> SmallVec<[Value; 1]> {
    let ins: Vec<&Value> = consts.iter().chain(args).collect();
    bind(CALL, &ins, Params::new().with("program", program))
}

impl Primitive for Call {
    fn name(&self) -> &'static str {
        "call"
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["program"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let Some(Attr::Program(program)) = params.get("program") else {
            return Err(TypeError::new("attribute `program` must be a program"));
        };
        let wanted: Vec<&Aval> = program.consts.iter().chain(&program.args).map(|binder| &binder.aval).collect();
        if wanted != ins {
            return Err(TypeError::new(format!("@{} takes {wanted:?}", program.name)));
        }
        Ok(program.out_avals())
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        let program = params.program("program");
        let ins: Vec<Arc<HostArray>> = ins.iter().map(|array| Arc::new((*array).clone())).collect();
        let (consts, args) = ins.split_at(program.consts.len());
        evaluate(&program, args, consts, &Sizes::new()).into_iter().map(Arc::unwrap_or_clone).collect()
    }
    fn jvp(&self, _: &Jvp<'_>) -> Vec<Option<Value>> {
        panic!("call: transformations inline calls before they begin")
    }
    fn batch(&self, _: &Batch<'_>) -> Batched {
        panic!("call: transformations inline calls before they begin")
    }
    fn kind(&self) -> Kind {
        Kind::Call
    }
    fn samples(&self) -> Vec<Sample> {
        let x = HostArray::new(&[3], vec![0.5f32, -1.0, 2.0]);
        let traced =
            crate::ir::trace("twice", &[x_aval()], |args| vec![crate::ir::structural::add_any(&args[0], &args[0])]);
        vec![Sample::new("twice", vec![x], Params::new().with("program", Arc::new(traced.program)))]
    }
}

fn x_aval() -> Aval {
    Aval::new(crate::aval::DType::F32, [3])
}
