//! Policies, which say what a checkpointed function saves, and `checkpoint_name`, which names values for them.

use gavotte_core::aval::Aval;
use gavotte_core::device::HostArray;
use gavotte_core::error::{Error, TypeError};
use gavotte_core::ir::stablehlo::{Export, Operand};
use gavotte_core::ir::{
    Attr, Batch, Batched, Jvp, Kind, Lower, Params, Primitive, Program, Rewrite, RewriteRule, Sample, Scalar,
    Transpose, Unsupported, Value, Var, bind1, refuse,
};
use gavotte_core::tree::Tree;

/// Which values of the forward pass reverse mode keeps in addition to the operands; it recomputes the others.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Policy {
    /// None.
    #[default]
    Nothing,
    /// The results of matrix products and convolutions, which cost most to recompute.
    Dots,
    /// The values that [`checkpoint_name`] gave one of these names.
    Names(Vec<String>),
}

impl Policy {
    /// [`Policy::Names`] with these names.
    pub fn names(names: impl IntoIterator<Item = impl Into<String>>) -> Policy {
        Policy::Names(names.into_iter().map(Into::into).collect())
    }

    /// The policy as the attributes `names` and `policy`.
    pub(super) fn write(&self, params: Params) -> Params {
        let names = match self {
            Policy::Names(names) => names.clone(),
            _ => vec![],
        };
        let word = match self {
            Policy::Nothing => "nothing",
            Policy::Dots => "dots",
            Policy::Names(_) => "names",
        };
        let names: Vec<Attr> = names.into_iter().map(|name| Attr::Word(name.into())).collect();
        params.with("names", Attr::List(names)).with("policy", word)
    }

    /// The policy in attributes.
    pub(super) fn try_read(params: &Params) -> Result<Policy, TypeError> {
        match params.get("policy") {
            Some(Attr::Word(word)) if word == "nothing" => Ok(Policy::Nothing),
            Some(Attr::Word(word)) if word == "dots" => Ok(Policy::Dots),
            Some(Attr::Word(word)) if word == "names" => {
                let Some(Attr::List(names)) = params.get("names") else {
                    return Err(TypeError::new("attribute `names` must be a list of words"));
                };
                let name = |attr: &Attr| match attr {
                    Attr::Word(word) => Ok(word.to_string()),
                    _ => Err(TypeError::new("attribute `names` must be a list of words")),
                };
                Ok(Policy::Names(names.iter().map(name).collect::<Result<_, _>>()?))
            }
            _ => Err(TypeError::new("attribute `policy` must be \"nothing\", \"dots\" or \"names\"")),
        }
    }

    /// The variables of a program that are saved, in program order.
    pub(super) fn saved(&self, program: &Program) -> Vec<Var> {
        let saves = |prim: &dyn Primitive, params: &Params| match self {
            Policy::Nothing => false,
            Policy::Dots => prim.kind() == Kind::Contract,
            Policy::Names(names) => {
                prim.name() == CHECKPOINT_NAME.name()
                    && name_of(params).is_ok_and(|name| names.iter().any(|n| n == name))
            }
        };
        let eqns = program.eqns.iter().filter(|eqn| saves(eqn.prim, &eqn.params));
        eqns.flat_map(|eqn| &eqn.outs).map(|binder| binder.var).collect()
    }
}

fn name_of(params: &Params) -> Result<&str, TypeError> {
    match params.get("name") {
        Some(Attr::Word(name)) => Ok(name),
        _ => Err(TypeError::new("attribute `name` must be a word")),
    }
}

/// The identity, with a name for policies.
#[derive(Debug)]
struct CheckpointName;
/// The primitive `checkpoint_name {name}`.
pub(super) static CHECKPOINT_NAME: &dyn Primitive = &CheckpointName;

/// The same tree, with each of its arrays under a name that [`Policy::Names`] may save.
///
/// # Panics
/// If the name holds quotes or line breaks.
///
/// Source: JAX, `jax.ad_checkpoint.checkpoint_name`.
#[track_caller]
pub fn checkpoint_name<T: Tree>(tree: T, name: &str) -> T {
    if name.contains(['"', '\n']) {
        refuse(Error::Type(format!("checkpoint_name: {name:?} holds quotes or line breaks: use words")));
    }
    let (def, leaves) = tree.into_leaves();
    let params = Params::new().with("name", Attr::Word(name.to_string().into()));
    let mut named = Vec::with_capacity(leaves.len());
    for leaf in &leaves {
        named.push(bind1(CHECKPOINT_NAME, &[leaf], params.clone()));
    }
    T::unflatten(&def, named)
}

impl Primitive for CheckpointName {
    fn name(&self) -> &'static str {
        "checkpoint_name"
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["name"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        name_of(params)?;
        let [x] = crate::movement::operands(ins)?;
        Ok(vec![x.clone()])
    }
    fn eval(&self, ins: &[&HostArray], _: &Params) -> Vec<HostArray> {
        vec![ins[0].clone()]
    }
    // d id(x) = dx
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        vec![cx.tangents[0].clone()]
    }
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        vec![cx.ins[0].is_unknown().then(|| cx.cotangent().clone())]
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let (x, axis) = &cx.ins[0];
        vec![(bind1(CHECKPOINT_NAME, &[x], cx.params.clone()), *axis)]
    }
    fn kind(&self) -> Kind {
        Kind::Map { cost: 0 }
    }
    fn lower(&self, cx: &mut dyn Lower) -> Result<Vec<Scalar>, Unsupported> {
        let index = cx.index();
        Ok(vec![cx.read(0, &index)?])
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        Ok(cx.operands())
    }
    fn rewrites(&self) -> &'static [RewriteRule] {
        &[RewriteRule {
            name: "checkpoint-name",
            law: "checkpoint_name(x) = x: policies ask for names while derivatives are taken, before any pass",
            apply: |_| Some(Rewrite::Operand(0)),
        }]
    }
    fn samples(&self) -> Vec<Sample> {
        let x = HostArray::new(&[2, 3], vec![1.0f32, -2.0, 0.5, 3.0, 0.0, -1.5]);
        vec![Sample::new("matrix", vec![x], Params::new().with("name", "hidden"))]
    }
}
