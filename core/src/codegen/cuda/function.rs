//! One function of a kernel: its declaration, parameters and text.

use super::draft::Draft;
use super::launch::{Param, Parts, ThreadGroup, Width, Work};
use super::positions::Place;
use super::prelude::Helper;
use super::text::{symbol_name, type_name};
use crate::kernel::{Instr, Kernel};
use std::collections::BTreeSet;

/// One `__global__` function.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name in the module.
    pub name: String,
    /// Its parameters, in order.
    pub params: Vec<Param>,
    pub(super) text: String,
    pub(super) helpers: BTreeSet<Helper>,
    pub(super) work: Work,
}

/// The functions of a kernel, and how its reduction is cut.
pub(super) struct Written {
    pub(super) functions: Vec<Function>,
    pub(super) parts: Option<Parts>,
}

/// The name of a function.
pub(super) struct Name {
    pub(super) name: String,
    pub(super) width: Width,
}

impl Name {
    /// The name of another function of the same kernel.
    pub(super) fn part(&self, what: &str) -> Name {
        Name { name: format!("{}_{what}", self.name), width: self.width }
    }

    /// A draft as a function that takes these arrays, and then what its lines use.
    pub(super) fn function(&self, draft: &Draft<'_>, arrays: Vec<Param>, work: Work) -> Function {
        let params: Vec<Param> = arrays.into_iter().chain(draft.params()).collect();
        let texts: Vec<String> = params.iter().map(|param| declared(draft, &params, param)).collect();
        let bounds = match work.team {
            // Two resident blocks are enough: otherwise the compiler would rather spill than use another register.
            ThreadGroup::Block(block) => format!("__launch_bounds__({block}, 2) "),
            ThreadGroup::Thread | ThreadGroup::Warp => String::new(),
        };
        let text = draft.function(&self.name, &bounds, &texts);
        Function { name: self.name.clone(), params, text, helpers: draft.helpers().clone(), work }
    }
}

/// A parameter as it is declared.
fn declared(draft: &Draft<'_>, params: &[Param], param: &Param) -> String {
    let kernel = draft.kernel;
    let element = |output: usize| type_name(kernel.outputs[output].1.dtype);
    match param {
        // Nobody writes the memory: the compiler may read it through the read-only cache.
        Param::Input(i) if !may_be_written(kernel, *i) => {
            let (var, aval) = &kernel.inputs[*i];
            format!("const {}* __restrict__ v{}", type_name(aval.dtype), var.0)
        }
        Param::Input(i) => format!("const {}* v{}", type_name(kernel.inputs[*i].1.dtype), kernel.inputs[*i].0.0),
        Param::Output(i) => format!("{}* v{}", element(*i), kernel.outputs[*i].0.0),
        Param::Scratch(i) if params.iter().any(|other| matches!(other, Param::Output(_))) => {
            format!("const {}* __restrict__ parts{i}", element(*i))
        }
        Param::Scratch(i) => format!("{}* parts{i}", element(*i)),
        Param::Record => "Record* record".into(),
        Param::Number => "unsigned kernel".into(),
        Param::Symbol(symbol) => format!("{} {}", draft.int(), symbol_name(symbol)),
        Param::Scalar(_, dtype) => {
            let before = params.iter().take_while(|other| *other != param);
            let at = before.filter(|other| matches!(other, Param::Scalar(..))).count();
            format!("{} size{at}", type_name(*dtype))
        }
        Param::PartLength => format!("{} length", draft.int()),
        Param::Parts => format!("{} parts", draft.int()),
    }
}

/// Whether an input may share memory with an output: a memory plan may do so if the element being written is the only
/// one that is read.
fn may_be_written(kernel: &Kernel, input: usize) -> bool {
    let is_own = |instr: &Instr| match instr {
        Instr::Load(read, index) if *read as usize == input => Place::of(kernel, input, index).is_own(kernel),
        _ => true,
    };
    kernel.reduce.is_none() && kernel.body.iter().all(is_own)
}
