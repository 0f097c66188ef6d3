//! The one trait that a primitive implements, and the views its rules are given.

use crate::aval::{Aval, DType, Dim, Literal};
use crate::device::HostArray;
use crate::error::{Error, TypeError};
use crate::ir::stablehlo::{Export, Operand};
use crate::ir::{Atom, Control, Eqn, Lower, Params, Program, Scalar, Value, refuse};
use indexmap::IndexMap;
use smallvec::SmallVec;
use std::fmt;

/// What passes may know of a primitive: its kind, never its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Each output element from the operands' elements at the same place (scalars count for every place).
    /// `cost` is in additions per element.
    Map {
        /// Additions per element, roughly.
        cost: u32,
    },
    /// Each output element is one of the operands' elements, or a constant: broadcasts, transposes, gathers.
    View,
    /// The same elements in the same order under another shape.
    Reshape,
    /// Elements from their position alone.
    Generate,
    /// Combines many elements of the first operand into one, each read once: reductions, segment sums. Always the
    /// root of a kernel.
    Reduce,
    /// Combines products of elements, each read many times. Always the root of a kernel.
    Contract,
    /// A nested program, put in the place of its call before anything else is done.
    Call,
    /// A nested program with rules of its own: transformations ask them, passes then put the program in its place.
    Custom,
    /// Each output is the operand of its place, unchanged, but counts as another value: what is computed after it is
    /// computed again, not shared with what is computed in front of it.
    Barrier,
    /// Nested programs that run many times, or one of several: a step of its own with steps within.
    Control,
    /// Runs through `eval` as it is.
    Opaque,
}

/// A rule that a primitive does not have; the text says which and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported(pub String);

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An operation of the program IR with all its rules. Adding one is an implementation and a line in a table.
pub trait Primitive: fmt::Debug + Sync {
    /// The name in programs; the lax name where there is one.
    fn name(&self) -> &'static str;

    /// The names of its attributes, those that may be left out included.
    fn attributes(&self) -> &'static [&'static str] {
        &[]
    }

    /// The types of the outputs, or why the operands do not fit. Must not panic for any operands and attributes.
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError>;

    /// The outputs' values: slow, obvious, the oracle of every other implementation. Sizes are numbers here.
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray>;

    /// The type in which it is computed on operands of type `dtype`. Where that is another one, the operands are
    /// converted to it, and the outputs back: so [`eval`](Primitive::eval) and [`lower`](Primitive::lower) are asked
    /// only for types that arithmetic has.
    fn computed_in(&self, dtype: DType) -> DType {
        dtype
    }

    /// Tangents of the outputs, `None` for zero. At least one operand has a tangent. Where nothing else is said, those of
    /// [`Primitive::value_and_jvp`].
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        let Jvp { primals, tangents, params, .. } = *cx;
        match self.value_and_jvp(&ValueAndJvp { primals, tangents, params }) {
            Some((_, tangents)) => tangents,
            None => panic!("{}: has no derivative", self.name()),
        }
    }

    /// The outputs and their tangents at once, for a primitive that computes both together or the outputs twice.
    fn value_and_jvp(&self, cx: &ValueAndJvp<'_>) -> Option<Pushed> {
        let _ = cx;
        None
    }

    /// The outputs and the derivative there, for a primitive whose reverse mode must keep something of its forward
    /// pass that no operand and no output shows. `None`: the derivative is that of [`Primitive::jvp`].
    fn linearize(&self, cx: &Linearize<'_>) -> Option<Linearized> {
        let _ = cx;
        None
    }

    /// Cotangents of the operands that are [`Linear::Unknown`], for a primitive that is linear in them.
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        let _ = cx;
        refuse(Error::Unsupported(format!("{}: not linear, so it has no transpose", self.name())))
    }

    /// The operation over one more axis. At least one operand has it.
    fn batch(&self, cx: &Batch<'_>) -> Batched;

    /// What passes may know.
    fn kind(&self) -> Kind;

    /// Whether running it does more than give its outputs, as printing does: each of its equations then runs once, in
    /// program order, also where nobody reads its outputs. Such a primitive is [`Kind::Opaque`] and has no outputs.
    fn has_effect(&self) -> bool {
        false
    }

    /// Which operands map members to segments, for a primitive that moves between the two: the segment of each member,
    /// where the members of each segment begin, and the members segment by segment. An equation without such operands
    /// does not.
    fn segments(&self) -> Option<[usize; 3]> {
        None
    }

    /// What it runs, for a primitive of the kind [`Kind::Control`].
    fn control(&self, params: &Params) -> Option<Control> {
        let _ = params;
        None
    }

    /// The same in terms of other primitives, for operands of these types, of a primitive whose kind is
    /// [`Opaque`](Kind::Opaque): passes put that in the place of an equation, so it needs no kernel. The program has no
    /// constants.
    fn composition(&self, ins: &[Aval], params: &Params) -> Option<Program> {
        let _ = (ins, params);
        None
    }

    /// Scalars of the outputs at [`Lower::index`].
    fn lower(&self, cx: &mut dyn Lower) -> Result<Vec<Scalar>, Unsupported> {
        let _ = cx;
        Err(Unsupported(format!("{}: no kernel", self.name())))
    }

    /// The outputs as operations of StableHLO. What holds nested programs needs no rule: they are written where the
    /// kind says.
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        match (self.kind(), self.control(cx.params())) {
            (_, Some(control)) => cx.control(&control),
            (Kind::Call | Kind::Custom, _) => {
                let (program, ins) = (cx.params().program("program"), cx.operands());
                cx.program(&program, &ins)
            }
            _ => Err(Unsupported(format!("{}: no StableHLO form", self.name()))),
        }
    }

    /// Rules that find the same result by less work, where operands or attributes allow it; the first that applies is
    /// taken.
    fn rewrites(&self) -> &'static [RewriteRule] {
        &[]
    }

    /// Operands and attributes that show every branch of the rules: the conformance suite runs on them.
    fn samples(&self) -> Vec<Sample>;
}

/// What a `jvp` rule is given.
pub struct Jvp<'a> {
    /// Operands.
    pub primals: &'a [Value],
    /// Their tangents, `None` for zero.
    pub tangents: &'a [Option<Value>],
    /// Outputs.
    pub outs: &'a [Value],
    /// Attributes.
    pub params: &'a Params,
}

/// What a `value_and_jvp` rule is given.
pub struct ValueAndJvp<'a> {
    /// Operands.
    pub primals: &'a [Value],
    /// Their tangents, `None` for zero; there is at least one.
    pub tangents: &'a [Option<Value>],
    /// Attributes.
    pub params: &'a Params,
}

/// Outputs, and their tangents, `None` for zero.
pub type Pushed = (SmallVec<[Value; 1]>, Vec<Option<Value>>);

/// What a `linearize` rule is given.
pub struct Linearize<'a> {
    /// Operands.
    pub primals: &'a [Value],
    /// Whether each operand may have a tangent; at least one may.
    pub active: &'a [bool],
    /// Attributes.
    pub params: &'a Params,
}

/// Tangents of the outputs for tangents of the operands, `None` for zero; linear in them.
pub type Derivative = Box<dyn Fn(&[Option<Value>]) -> Vec<Option<Value>>>;

/// The result of a `linearize` rule.
pub struct Linearized {
    /// Outputs.
    pub outs: SmallVec<[Value; 1]>,
    /// The derivative at the operands. What it needs of the forward pass it holds.
    pub derivative: Derivative,
}

/// An operand of a linear equation.
#[derive(Clone, Debug)]
pub enum Linear {
    /// Depends on the linear input; only its type is known.
    Unknown(Aval),
    /// A residual.
    Known(Value),
}

impl Linear {
    /// The operand's type.
    pub fn aval(&self) -> Aval {
        match self {
            Linear::Unknown(aval) => aval.clone(),
            Linear::Known(value) => value.aval().clone(),
        }
    }

    /// The residual, where it is one.
    pub fn known(&self) -> Option<&Value> {
        match self {
            Linear::Unknown(_) => None,
            Linear::Known(value) => Some(value),
        }
    }

    /// Whether it depends on the linear input.
    pub fn is_unknown(&self) -> bool {
        self.known().is_none()
    }
}

/// What a `transpose` rule is given.
pub struct Transpose<'a> {
    /// Cotangents of the outputs, `None` for zero; at least one is there.
    pub cotangents: &'a [Option<Value>],
    /// Operands.
    pub ins: &'a [Linear],
    /// Attributes.
    pub params: &'a Params,
}

impl Transpose<'_> {
    /// The cotangent of a single output.
    pub fn cotangent(&self) -> &Value {
        self.cotangents[0].as_ref().expect("transpose is only asked for with a cotangent")
    }
}

/// What a `batch` rule is given.
pub struct Batch<'a> {
    /// Operands, each with the place of the new axis where it has one.
    pub ins: &'a [(Value, Option<usize>)],
    /// Extent of the new axis.
    pub size: &'a Dim,
    /// Attributes.
    pub params: &'a Params,
}

/// The outputs of a `batch` rule, each with the place of the new axis, where it has one.
pub type Batched = Vec<(Value, Option<usize>)>;

/// One way to rewrite an equation of a primitive. Every rule stands in the list of its primitive, so the registry has
/// them all: [`Registry::rewrites`].
#[derive(Clone, Copy, Debug)]
pub struct RewriteRule {
    /// What it is called, as no other rule is.
    pub name: &'static str,
    /// Why the two sides are equal, in a line, with the conditions under which they are.
    pub law: &'static str,
    /// What replaces the equation, where the rule applies.
    pub apply: fn(&Simplify<'_>) -> Option<Rewrite>,
}

/// What a rewrite rule is given.
pub struct Simplify<'a> {
    /// The equation.
    pub eqn: &'a Eqn,
    /// Types of its operands.
    pub ins: &'a [Aval],
    /// The equation that makes an operand, where one does.
    pub definition: &'a dyn Fn(usize) -> Option<&'a Eqn>,
}

impl Simplify<'_> {
    /// Attributes of the equation.
    pub fn params(&self) -> &Params {
        &self.eqn.params
    }

    /// The equation that makes an operand, where it is one of this primitive.
    pub fn definition_by(&self, operand: usize, prim: &dyn Primitive) -> Option<&Eqn> {
        (self.definition)(operand).filter(|eqn| eqn.prim.name() == prim.name())
    }

    /// The constant that every element of an operand has: a literal, or a broadcast of one.
    pub fn uniform(&self, operand: usize) -> Option<Literal> {
        if let Atom::Literal(literal) = self.eqn.ins[operand] {
            return Some(literal);
        }
        let def = (self.definition)(operand)?;
        match (def.prim.name(), def.ins.first()) {
            ("zeros", _) => Some(Literal::from_f64(self.ins[operand].dtype, 0.0)),
            ("broadcast_in_dim", Some(Atom::Literal(literal))) => Some(*literal),
            _ => None,
        }
    }
}

/// What replaces a simplified equation of one output.
#[derive(Clone, Debug)]
pub enum Rewrite {
    /// One of its operands, of the same type.
    Operand(usize),
    /// Any atom that is in scope, of the same type.
    Atom(Atom),
    /// Another equation with these operands and the same output type.
    Eqn(&'static dyn Primitive, Vec<Atom>, Params),
}

/// Operands and attributes for the conformance suite.
#[derive(Clone, Debug)]
pub struct Sample {
    /// What it shows.
    pub name: &'static str,
    /// Operands.
    pub ins: Vec<HostArray>,
    /// Attributes.
    pub params: Params,
}

impl Sample {
    /// A sample.
    pub fn new(name: &'static str, ins: Vec<HostArray>, params: Params) -> Self {
        Sample { name, ins, params }
    }
}

/// The primitives that a text may name.
#[derive(Debug)]
pub struct Registry(IndexMap<&'static str, &'static dyn Primitive>);

impl Registry {
    /// The core's own primitives and those of the tables.
    ///
    /// # Panics
    /// If two primitives share a name.
    pub fn new(tables: &[&[&'static dyn Primitive]]) -> Self {
        let mut all: IndexMap<&'static str, &'static dyn Primitive> = IndexMap::new();
        let own: &[&'static dyn Primitive] = crate::ir::structural::PRIMITIVES;
        for prim in std::iter::once(&own).chain(tables).flat_map(|table| table.iter()) {
            assert!(all.insert(prim.name(), *prim).is_none(), "two primitives are called {}", prim.name());
        }
        Registry(all)
    }

    /// The primitive of this name.
    pub fn get(&self, name: &str) -> Option<&'static dyn Primitive> {
        self.0.get(name).copied()
    }

    /// Every primitive, in table order.
    pub fn iter(&self) -> impl Iterator<Item = &'static dyn Primitive> {
        self.0.values().copied()
    }

    /// Every rewrite rule, with its primitive, in table order.
    pub fn rewrites(&self) -> impl Iterator<Item = (&'static dyn Primitive, &'static RewriteRule)> {
        self.iter().flat_map(|prim| prim.rewrites().iter().map(move |rule| (prim, rule)))
    }
}
