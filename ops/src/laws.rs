//! The laws that a primitive's rules obey, checked on its samples.

use gavotte_core::aval::{Aval, DType, Dim, Literal};
use gavotte_core::device::{Data, HostArray, HostElement};
use gavotte_core::ir::structural::{move_axis, place_axis};
use gavotte_core::ir::{
    Index, Lower, Params, Primitive, Program, ReduceOp, Sample, Scalar, ScalarOp, Unsupported, Value, bind, parse,
    trace,
};
use gavotte_core::transform::{jvp, vjp, vmap};
use gavotte_core::with_data;

/// Types, derivatives, transposition, and batching over every choice of operands.
pub(crate) fn check(prim: &'static dyn Primitive) {
    check_samples(prim, &|_| true, &|_| true);
}

/// The same on some samples, where only some operands may have a batch axis.
pub(crate) fn check_samples(prim: &'static dyn Primitive, on: &dyn Fn(&Sample) -> bool, may: &dyn Fn(usize) -> bool) {
    let samples: Vec<Sample> = prim.samples().into_iter().filter(on).collect();
    assert!(!samples.is_empty());
    for sample in samples {
        let ins: Vec<HostArray> = sample.ins.iter().map(widened).collect();
        let what = format!("{} {}", prim.name(), sample.name);
        let program = program(prim, &ins, &sample.params);
        assert_eq!(parse(&program.to_string(), crate::registry()).as_ref(), Ok(&program), "{what}: text");
        let outs = run(&program, &ins);
        assert_eq!(program.out_avals(), outs.iter().map(aval).collect::<Vec<_>>(), "{what}: types");
        if ins.iter().chain(&outs).any(|array| array.dtype().is_float()) && outs[0].dtype().is_float() {
            derivatives(&what, &program, &ins);
        }
        batches(&what, &program, &ins, may);
    }
}

fn aval(array: &HostArray) -> Aval {
    Aval::new(array.dtype(), array.shape())
}

fn widened(array: &HostArray) -> HostArray {
    match array.data() {
        Data::F32(xs) => HostArray::new(&array.shape(), xs.iter().map(|x| f64::from(*x)).collect()),
        _ => array.clone(),
    }
}

fn program(prim: &'static dyn Primitive, ins: &[HostArray], params: &Params) -> Program {
    let avals: Vec<Aval> = ins.iter().map(aval).collect();
    trace("f", &avals, |args| bind(prim, &args.iter().collect::<Vec<_>>(), params.clone()).to_vec()).program
}

fn values(ins: &[HostArray]) -> Vec<Value> {
    ins.iter().map(|array| array.clone().into()).collect()
}

fn host(value: &Value) -> HostArray {
    (*value.to_host().unwrap_or_else(|error| panic!("{error}"))).clone()
}

fn run(program: &Program, ins: &[HostArray]) -> Vec<HostArray> {
    gavotte_core::ir::interpret(program, &[], &values(ins)).iter().map(host).collect()
}

/// Numbers that no rule can guess, each from its place.
fn noise(shape: &[usize], seed: f64) -> HostArray {
    let n: usize = shape.iter().product();
    HostArray::new(shape, (0..n).map(|i| ((i as f64 + 1.0) * (seed + 1.7)).sin()).collect())
}

fn dot(a: &HostArray, b: &HostArray) -> f64 {
    a.as_slice::<f64>().iter().zip(b.as_slice::<f64>()).map(|(a, b)| a * b).sum()
}

fn close(what: &str, a: &[f64], b: &[f64], tolerance: f64) {
    assert_eq!(a.len(), b.len(), "{what}");
    for (a, b) in a.iter().zip(b) {
        assert!(a == b || (a - b).abs() <= tolerance * (1.0 + b.abs()), "{what}: {a} is not {b}");
    }
}

fn derivatives(what: &str, program: &Program, ins: &[HostArray]) {
    let float: Vec<bool> = ins.iter().map(|array| array.dtype().is_float()).collect();
    // With every operand moving, and with each alone: rules treat a zero tangent in their own way.
    let mut choices: Vec<Vec<bool>> =
        (0..ins.len()).filter(|i| float[*i]).map(|only| (0..ins.len()).map(|i| i == only).collect()).collect();
    choices.push(float);
    for wrt in choices {
        let tangents: Vec<Option<HostArray>> =
            (0..ins.len()).map(|i| wrt[i].then(|| noise(&ins[i].shape(), i as f64))).collect();
        let moved: Vec<Option<Value>> = tangents.iter().map(|t| t.clone().map(Value::from)).collect();
        let (outs, out_tangents) = jvp(program, &[], &values(ins), &moved);
        let out_tangent = match &out_tangents[0] {
            Some(t) => host(t),
            None => HostArray::full(&host(&outs[0]).shape(), Literal::F64(0.0)),
        };
        let step = 1e-6;
        let at = |sign: f64| {
            let moved: Vec<HostArray> = ins.iter().zip(&tangents).map(|(x, t)| shifted(x, t, sign * step)).collect();
            run(program, &moved).swap_remove(0)
        };
        let (ahead, behind) = (at(1.0), at(-1.0));
        let difference: Vec<f64> = ahead
            .as_slice::<f64>()
            .iter()
            .zip(behind.as_slice::<f64>())
            .map(|(a, b)| if a == b { 0.0 } else { (a - b) / (2.0 * step) })
            .collect();
        close(&format!("{what}: jvp"), out_tangent.as_slice(), &difference, 1e-6);
        let cotangent = noise(&out_tangent.shape(), 9.0);
        let (_, pull) = vjp(program, &[], &values(ins), &wrt);
        let back = pull(&[Some(cotangent.clone().into())]);
        let right: f64 = back
            .iter()
            .zip(&tangents)
            .map(|(back, t)| match (back, t) {
                (Some(back), Some(t)) => {
                    assert_eq!(host(back).shape(), t.shape(), "{what}: a cotangent's shape");
                    dot(&host(back), t)
                }
                _ => 0.0,
            })
            .sum();
        close(&format!("{what}: transpose"), &[dot(&out_tangent, &cotangent)], &[right], 1e-12);
    }
}

fn shifted(x: &HostArray, t: &Option<HostArray>, step: f64) -> HostArray {
    let Some(t) = t else { return x.clone() };
    let moved = x.as_slice::<f64>().iter().zip(t.as_slice::<f64>()).map(|(x, t)| x + step * t);
    HostArray::new(&x.shape(), moved.collect())
}

/// Batches of three for every choice of operands and of the new axis's place in each.
fn batches(what: &str, program: &Program, ins: &[HostArray], may: &dyn Fn(usize) -> bool) {
    let mut choices: Vec<Vec<Option<usize>>> = vec![vec![]];
    for (i, array) in ins.iter().enumerate() {
        let places = if may(i) { array.shape().len() + 1 } else { 0 };
        choices = choices
            .into_iter()
            .flat_map(|choice| {
                std::iter::once(None).chain((0..places).map(Some)).map(move |place| [&choice[..], &[place]].concat())
            })
            .collect();
    }
    for choice in choices.into_iter().filter(|choice| choice.iter().any(Option::is_some)) {
        let members: Vec<Vec<HostArray>> = (0..3)
            .map(|k| {
                ins.iter().zip(&choice).map(|(x, at)| if at.is_some() { member(x, k) } else { x.clone() }).collect()
            })
            .collect();
        let args: Vec<(Value, Option<usize>)> = (0..ins.len())
            .map(|i| match choice[i] {
                None => (ins[i].clone().into(), None),
                Some(at) => {
                    let parts: Vec<&HostArray> = members.iter().map(|member| &member[i]).collect();
                    (move_axis(&stacked(&parts).into(), 0, at), Some(at))
                }
            })
            .collect();
        for (i, out) in vmap(program, &[], &args, &3.into()).iter().enumerate() {
            let expected: Vec<HostArray> = members.iter().map(|member| run(program, member).swap_remove(i)).collect();
            let expected = stacked(&expected.iter().collect::<Vec<_>>());
            let found = host(&place_axis(out, 0, &3.into()));
            assert_eq!(found.shape(), expected.shape(), "{what}: batched at {choice:?}");
            let numbers = |array: &HostArray| (0..array.len()).map(|i| array.get(i).as_f64()).collect::<Vec<_>>();
            close(&format!("{what}: batched at {choice:?}"), &numbers(&found), &numbers(&expected), 1e-12);
        }
    }
}

/// The elements turned by `k` places, so that numbers stay in their range.
fn member(x: &HostArray, k: usize) -> HostArray {
    fn turn<T: HostElement>(xs: &[T], k: usize) -> Data {
        let mut xs = xs.to_vec();
        let n = xs.len().max(1);
        xs.rotate_left(k % n);
        T::wrap(xs)
    }
    let turned = HostArray::from_data(&x.shape(), with_data!(x.data(), xs => turn(xs, k)));
    match turned.data() {
        Data::F64(xs) => HostArray::new(&x.shape(), xs.iter().map(|x| x * (1.0 + 0.5 * k as f64)).collect()),
        _ => turned,
    }
}

fn stacked(parts: &[&HostArray]) -> HostArray {
    fn join<T: HostElement>(_: &[T], parts: &[&HostArray]) -> Data {
        T::wrap(parts.iter().flat_map(|part| part.as_slice::<T>()).copied().collect())
    }
    let shape: Vec<usize> = [parts.len()].into_iter().chain(parts[0].shape()).collect();
    HostArray::from_data(&shape, with_data!(parts[0].data(), xs => join(xs, parts)))
}

/// The kernel of every sample, interpreted element by element, against `eval`; no read may be out of bounds.
pub(crate) fn check_lowering(prim: &'static dyn Primitive) {
    for sample in prim.samples() {
        let ins: Vec<HostArray> = sample.ins.iter().map(widened).collect();
        let out = prim.eval(&ins.iter().collect::<Vec<_>>(), &sample.params).swap_remove(0);
        for i in 0..out.len() {
            let found = element(prim, &ins, &sample.params, &out, i)
                .unwrap_or_else(|why| panic!("{} {}: {why}", prim.name(), sample.name));
            let what = format!("{} {}: element {i} of the kernel", prim.name(), sample.name);
            close(&what, &[found.as_f64()], &[out.get(i).as_f64()], 1e-12);
        }
    }
}

fn element(
    prim: &dyn Primitive,
    ins: &[HostArray],
    params: &Params,
    out: &HostArray,
    mut place: usize,
) -> Result<Literal, Unsupported> {
    let mut index = vec![];
    for extent in out.shape().iter().rev() {
        index.insert(0, place % extent);
        place /= extent;
    }
    let mut kernel = Kernel { ins, params, out: aval(out), index, tape: vec![], turn: 0, loops: None, sum: None };
    loop {
        kernel.tape.clear();
        let outs = prim.lower(&mut kernel)?;
        let Some((op, n)) = kernel.loops else { return Ok(kernel.tape[outs[0].0 as usize]) };
        let Some(op) = op else { return Err(Unsupported("a loop without a reduction".into())) };
        kernel.turn += 1;
        if kernel.turn >= n {
            return Ok(kernel.sum.unwrap_or_else(|| op.identity(kernel.out.dtype)));
        }
    }
}

/// A kernel at one element of its output and one turn of its loops; the rule runs again for every turn.
struct Kernel<'a> {
    ins: &'a [HostArray],
    params: &'a Params,
    out: Aval,
    index: Vec<usize>,
    tape: Vec<Literal>,
    turn: usize,
    loops: Option<(Option<ReduceOp>, usize)>,
    sum: Option<Literal>,
}

impl<'a> Kernel<'a> {
    fn push(&mut self, literal: Literal) -> Scalar {
        self.tape.push(literal);
        Scalar(self.tape.len() as u32 - 1)
    }

    fn number(&self, index: &Index) -> i64 {
        match index {
            Index::Affine { constant, terms } if terms.is_empty() => constant.as_number().expect("sizes are numbers"),
            Index::Affine { .. } => unreachable!("positions are constants here"),
            Index::Value(scalar) => self.tape[scalar.0 as usize].as_f64() as i64,
        }
    }
}

impl Lower for Kernel<'_> {
    fn params(&self) -> &Params {
        self.params
    }
    fn operand(&self, i: usize) -> Aval {
        aval(&self.ins[i])
    }
    fn arity(&self) -> usize {
        self.ins.len()
    }
    fn output(&self, _: usize) -> Aval {
        self.out.clone()
    }
    fn index(&self) -> Vec<Index> {
        self.index.iter().map(|at| Index::constant(*at)).collect()
    }
    fn read(&mut self, operand: usize, index: &[Index]) -> Result<Scalar, Unsupported> {
        let shape = self.ins[operand].shape();
        assert_eq!(index.len(), shape.len(), "one position for each axis of operand {operand}");
        if self.loops.is_some_and(|(_, n)| n == 0) {
            return Ok(self.push(Literal::from_f64(self.ins[operand].dtype(), 0.0)));
        }
        let mut at = 0;
        for (index, extent) in index.iter().zip(shape) {
            let place = self.number(index);
            assert!((0..extent as i64).contains(&place), "operand {operand} is read at {place} of {extent}");
            at = at * extent + place as usize;
        }
        Ok(self.push(self.ins[operand].get(at)))
    }
    fn op(&mut self, op: ScalarOp, ins: &[Scalar]) -> Scalar {
        let x: Vec<Literal> = ins.iter().map(|scalar| self.tape[scalar.0 as usize]).collect();
        assert_eq!(x.len(), op.arity());
        let dtypes: Vec<DType> = x.iter().map(|x| x.dtype()).collect();
        let n: Vec<f64> = x.iter().map(|x| x.as_f64()).collect();
        let out = match op {
            ScalarOp::Select => return self.push(if n[0] != 0.0 { x[2] } else { x[1] }),
            ScalarOp::Add => n[0] + n[1],
            ScalarOp::Mul => n[0] * n[1],
            ScalarOp::Div => (n[0] / n[1]).trunc(),
            ScalarOp::Max => n[0].max(n[1]),
            ScalarOp::Min => n[0].min(n[1]),
            ScalarOp::Ge => f64::from(n[0] >= n[1]),
            ScalarOp::Eq => f64::from(n[0] == n[1]),
            ScalarOp::And => f64::from(n[0] != 0.0 && n[1] != 0.0),
            other => unreachable!("no rule here uses {other:?}"),
        };
        self.push(Literal::from_f64(op.result(&dtypes), out))
    }
    fn constant(&mut self, literal: Literal) -> Scalar {
        self.push(literal)
    }
    fn size(&mut self, dim: &Dim, dtype: DType) -> Scalar {
        self.push(Literal::from_f64(dtype, dim.as_number().expect("sizes are numbers") as f64))
    }
    fn position(&mut self, index: &Index) -> Scalar {
        self.push(Literal::I32(self.number(index) as i32))
    }
    fn affine(&mut self, index: &Index, scale: &Dim, offset: &Dim) -> Index {
        Index::constant(Dim::from(self.number(index)) * scale + offset)
    }
    fn add(&mut self, a: &Index, b: &Index) -> Index {
        Index::constant(self.number(a) + self.number(b))
    }
    fn reduction_loops(&mut self, extents: &[Dim]) -> Result<Vec<Index>, Unsupported> {
        let extents: Vec<usize> = extents.iter().map(|dim| dim.as_usize().expect("sizes are numbers")).collect();
        self.loops = Some((None, extents.iter().product()));
        let mut turn = self.turn;
        let mut at: Vec<Index> = extents
            .iter()
            .rev()
            .map(|extent| {
                let here = turn % (*extent).max(1);
                turn /= (*extent).max(1);
                Index::constant(here)
            })
            .collect();
        at.reverse();
        Ok(at)
    }
    fn segment_loop(&mut self, segment: &Index, offsets: usize, order: usize) -> Result<Index, Unsupported> {
        let segment = self.number(segment) as usize;
        let offsets = self.ins[offsets].as_slice::<i32>();
        let (first, end) = (offsets[segment] as usize, offsets[segment + 1] as usize);
        self.loops = Some((None, end - first));
        let member = self.ins[order].as_slice::<i32>().get(first + self.turn).copied().unwrap_or(0);
        Ok(Index::constant(i64::from(member)))
    }
    fn reduce(&mut self, op: ReduceOp, value: Scalar) -> Result<Scalar, Unsupported> {
        let (_, n) = self.loops.ok_or_else(|| Unsupported("a reduction without a loop".into()))?;
        self.loops = Some((Some(op), n));
        let x = self.tape[value.0 as usize];
        if n > 0 {
            let sum = self.sum.map_or(x.as_f64(), |sum| match op {
                ReduceOp::Sum => sum.as_f64() + x.as_f64(),
                ReduceOp::Max => sum.as_f64().max(x.as_f64()),
            });
            self.sum = Some(Literal::from_f64(x.dtype(), sum));
        }
        Ok(value)
    }
}
