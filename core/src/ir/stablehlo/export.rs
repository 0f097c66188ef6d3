//! The context of a primitive's `stablehlo` rule.

use super::text::{Text, axes, element, names, signature, tensor, types};
use crate::aval::{Aval, Dim, Literal};
use crate::ir::{Atom, Params, Program, ReduceOp, Unsupported};
use std::fmt;

/// A value of the module: its name and its type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operand {
    name: String,
    aval: Aval,
}

impl Operand {
    pub(super) fn new(name: String, aval: Aval) -> Operand {
        Operand { name, aval }
    }

    /// Its type. Extents are numbers.
    pub fn aval(&self) -> &Aval {
        &self.aval
    }

    /// Its extents.
    pub fn shape(&self) -> Vec<usize> {
        extents(&self.aval.shape)
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.aval.rank()
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Extents as numbers; symbols are replaced before a module is written.
pub fn extents(shape: &[Dim]) -> Vec<usize> {
    shape.iter().map(|dim| dim.as_usize().expect("sizes are numbers before a module is written")).collect()
}

/// The content of a region: maps the region's parameters to its results. It may use values from outside the region,
/// except in `reduce` and `scatter`.
pub type Body<'b> = &'b mut dyn FnMut(&mut Export<'_>, &[Operand]) -> Result<Vec<Operand>, Unsupported>;

/// The context of a primitive's [`stablehlo`](crate::ir::Primitive::stablehlo) rule: one equation, whose sizes are
/// numbers, and the operations that may be written for it.
#[derive(Debug)]
pub struct Export<'a> {
    text: &'a mut Text,
    params: &'a Params,
    ins: &'a [Operand],
    outs: &'a [Aval],
}

impl Export<'_> {
    /// Attributes of the equation.
    pub fn params(&self) -> &Params {
        self.params
    }

    /// Its operands.
    pub fn operands(&self) -> Vec<Operand> {
        self.ins.to_vec()
    }

    /// One of its operands.
    pub fn operand(&self, i: usize) -> Operand {
        self.ins[i].clone()
    }

    /// The type of an output.
    pub fn output(&self, i: usize) -> Aval {
        self.outs[i].clone()
    }

    /// The types of all outputs.
    pub fn outputs(&self) -> Vec<Aval> {
        self.outs.to_vec()
    }

    /// The operands of an elementwise operation broadcast to the shape of its first output.
    pub fn fitted(&mut self) -> Vec<Operand> {
        let shape = extents(&self.outs[0].shape);
        self.operands().iter().map(|operand| self.fit(operand, &shape)).collect()
    }

    /// A scalar broadcast to `shape`; any other operand unchanged.
    pub fn fit(&mut self, x: &Operand, shape: &[usize]) -> Operand {
        if x.rank() == 0 { self.broadcast(x, shape, &[]) } else { x.clone() }
    }

    /// The operation `stablehlo.name` with one result. Attributes are in their text form: [`axes`](super::axes),
    /// [`number`](super::number).
    pub fn op(&mut self, name: &str, ins: &[&Operand], attrs: &[(&str, String)], out: Aval) -> Operand {
        self.op_many(name, ins, attrs, &[out]).swap_remove(0)
    }

    /// The operation `stablehlo.name` with any number of results.
    pub fn op_many(&mut self, name: &str, ins: &[&Operand], attrs: &[(&str, String)], outs: &[Aval]) -> Vec<Operand> {
        self.op_with(name, ins, attrs, outs, &mut []).expect("an operation without regions cannot fail")
    }

    /// The operation `stablehlo.name`, or of another dialect by its full name, with regions, each given by the types of its parameters and its content.
    pub fn op_with(
        &mut self,
        name: &str,
        ins: &[&Operand],
        attrs: &[(&str, String)],
        outs: &[Aval],
        regions: &mut [(Vec<Aval>, Body<'_>)],
    ) -> Result<Vec<Operand>, Unsupported> {
        let ins: Vec<Operand> = ins.iter().copied().cloned().collect();
        let (left, results) = self.text.results(outs);
        let attrs: Vec<String> = attrs.iter().map(|(name, attr)| format!("{name} = {attr}")).collect();
        let attrs = if attrs.is_empty() { String::new() } else { format!(" <{{{}}}>", attrs.join(", ")) };
        let dialect = if name.contains('.') { "" } else { "stablehlo." };
        let results_type = match outs {
            [out] => tensor(out),
            _ => signature(outs),
        };
        let (head, tail) = (
            format!("{left}\"{dialect}{name}\"({}){attrs}", names(&ins)),
            format!(" : {} -> {results_type}", types(&ins)),
        );
        if regions.is_empty() {
            self.text.line(&format!("{head}{tail}"));
            return Ok(results);
        }
        self.text.line(&format!("{head} ({{"));
        for (i, (avals, body)) in regions.iter_mut().enumerate() {
            if i > 0 {
                self.text.line("}, {");
            }
            let args: Vec<Operand> = avals.iter().map(|aval| self.text.fresh(aval.clone())).collect();
            if !args.is_empty() {
                let list: Vec<String> = args.iter().map(|arg| format!("{arg}: {}", tensor(arg.aval()))).collect();
                self.text.line(&format!("^bb0({}):", list.join(", ")));
            }
            self.text.deeper(1);
            let outs = body(self, &args)?;
            self.text.finish("stablehlo.return", &outs);
            self.text.deeper(-1);
        }
        self.text.line(&format!("}}){tail}"));
        Ok(results)
    }

    /// A scalar constant.
    pub fn constant(&mut self, literal: Literal) -> Operand {
        self.splat(literal, &[])
    }

    /// An array whose elements are all `literal`.
    pub fn splat(&mut self, literal: Literal, shape: &[usize]) -> Operand {
        let aval = Aval::new(literal.dtype(), shape.iter().copied());
        let value = format!("dense<{}> : {}", element(literal), tensor(&aval));
        self.op("constant", &[], &[("value", value)], aval)
    }

    /// `x` broadcast to `shape`: its axis `i` becomes axis `dims[i]`.
    pub fn broadcast(&mut self, x: &Operand, shape: &[usize], dims: &[usize]) -> Operand {
        if x.shape() == shape && dims.iter().copied().eq(0..shape.len()) {
            return x.clone();
        }
        let out = Aval::new(x.aval.dtype, shape.iter().copied());
        self.op("broadcast_in_dim", &[x], &[("broadcast_dimensions", axes(dims))], out)
    }

    /// The elements of `x` in their order, in another shape.
    pub fn reshape(&mut self, x: &Operand, shape: &[usize]) -> Operand {
        if x.shape() == shape {
            return x.clone();
        }
        self.op("reshape", &[x], &[], Aval::new(x.aval.dtype, shape.iter().copied()))
    }

    /// `x` reduced over the axes `over`, which disappear.
    pub fn reduce(&mut self, op: ReduceOp, x: &Operand, over: &[usize]) -> Operand {
        let kept = x.aval.shape.iter().enumerate().filter(|(axis, _)| !over.contains(axis));
        let out = x.aval.with_shape(kept.map(|(_, dim)| dim.clone()).collect());
        let (first, scalar) = (self.constant(op.identity(x.aval.dtype)), Aval::scalar(x.aval.dtype));
        let attrs = [("dimensions", axes(over))];
        let mut body = combine(op);
        let mut regions: [(Vec<Aval>, Body<'_>); 1] = [(vec![scalar.clone(), scalar], &mut body)];
        let found = self.op_with("reduce", &[x, &first], &attrs, &[out], &mut regions);
        found.expect("a region of one operation cannot fail").swap_remove(0)
    }

    /// `x` reduced over windows of this shape at every place; `padding` elements that change nothing surround each axis.
    pub fn reduce_window(&mut self, op: ReduceOp, x: &Operand, window: &[usize], padding: &[[usize; 2]]) -> Operand {
        let extents =
            x.shape().into_iter().zip(window).zip(padding).map(|((n, size), [low, high])| low + n + high + 1 - size);
        let out = Aval::new(x.aval.dtype, extents);
        let (first, scalar) = (self.constant(op.identity(x.aval.dtype)), Aval::scalar(x.aval.dtype));
        let padding_type = format!("tensor<{}x2xi64>", padding.len());
        let attrs = [("window_dimensions", axes(window)), ("padding", format!("dense<{padding:?}> : {padding_type}"))];
        let mut body = combine(op);
        let mut regions: [(Vec<Aval>, Body<'_>); 1] = [(vec![scalar.clone(), scalar], &mut body)];
        let found = self.op_with("reduce_window", &[x, &first], &attrs, &[out], &mut regions);
        found.expect("a region of one operation cannot fail").swap_remove(0)
    }

    /// `into` with `updates` combined into it, at the indices `ids` as the attributes of `stablehlo.scatter` prescribe.
    pub fn scatter(
        &mut self,
        op: Option<ReduceOp>,
        [into, ids, updates]: [&Operand; 3],
        dimension_numbers: String,
    ) -> Operand {
        let scalar = Aval::scalar(into.aval.dtype);
        let attrs = [("scatter_dimension_numbers", dimension_numbers)];
        let mut body = |cx: &mut Export<'_>, args: &[Operand]| match op {
            Some(op) => combine(op)(cx, args),
            None => Ok(vec![args[1].clone()]),
        };
        let mut regions: [(Vec<Aval>, Body<'_>); 1] = [(vec![scalar.clone(), scalar], &mut body)];
        let found =
            self.op_with("scatter", &[into, ids, updates], &attrs, std::slice::from_ref(&into.aval), &mut regions);
        found.expect("a region of one operation cannot fail").swap_remove(0)
    }

    /// Writes the operations of a nested program here and returns its results; operands are its constants, then its
    /// arguments.
    pub fn program(&mut self, nested: &Program, ins: &[Operand]) -> Result<Vec<Operand>, Unsupported> {
        let (consts, args) = ins.split_at(nested.consts.len());
        program(self.text, nested, &[args, consts].concat())
    }
}

/// The region of a reduction.
fn combine(op: ReduceOp) -> impl FnMut(&mut Export<'_>, &[Operand]) -> Result<Vec<Operand>, Unsupported> {
    move |cx, args| Ok(vec![cx.scalar(op.on_two(), args)])
}

/// Writes a program's operations; operands are its arguments, then its constants.
pub(super) fn program(text: &mut Text, program: &Program, ins: &[Operand]) -> Result<Vec<Operand>, Unsupported> {
    let mut env: Vec<Option<Operand>> = vec![None; program.n_var()];
    for (binder, operand) in program.args.iter().chain(&program.consts).zip(ins) {
        env[binder.var.index()] = Some(operand.clone());
    }
    for eqn in &program.eqns {
        let ins: Vec<Operand> = eqn.ins.iter().map(|atom| read(text, *atom, &env)).collect();
        let outs: Vec<Aval> = eqn.outs.iter().map(|binder| binder.aval.clone()).collect();
        let mut cx = Export { text: &mut *text, params: &eqn.params, ins: &ins, outs: &outs };
        let found = eqn.prim.stablehlo(&mut cx).inspect_err(|_| text.fail_at(eqn.location))?;
        for (binder, operand) in eqn.outs.iter().zip(found) {
            assert_eq!(operand.aval, binder.aval, "{}: its StableHLO form has another type", eqn.prim.name());
            env[binder.var.index()] = Some(operand);
        }
    }
    Ok(program.outs.iter().map(|atom| read(text, *atom, &env)).collect())
}

fn read(text: &mut Text, atom: Atom, env: &[Option<Operand>]) -> Operand {
    match atom {
        Atom::Var(var) => env[var.index()].clone().expect("a verified program binds before it reads"),
        Atom::Literal(literal) => Export { text, params: &Params::new(), ins: &[], outs: &[] }.constant(literal),
    }
}
