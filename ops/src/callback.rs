//! `pure_callback`: functions of the host within programs.

use crate::array::Array;
use crate::{stack, zeros};
use gavotte_core::api::{Args, Fun, Function, Shareable, avals};
use gavotte_core::aval::{Aval, Shape};
use gavotte_core::device::{Buffer, HostArray};
use gavotte_core::error::{Error, TypeError};
use gavotte_core::ir::stablehlo::{Export, Operand};
use gavotte_core::ir::structural::move_axis;
use gavotte_core::ir::{
    Attr, Batch, Batched, HostFunction, Jvp, Kind, Location, Params, Primitive, Sample, Unsupported, Value, bind,
    refuse,
};
use gavotte_core::tree::Tree;
use std::sync::Arc;

/// `f` as a function that programs call while they run: it computes with the numbers themselves, in Rust, outside every
/// program. A compiled function calls it on the thread that runs the program, once for each time that its result is
/// needed; on a GPU the operands are copied to the host.
///
/// Each array of the result must have the type and the shape of its place in `results`, of which only types, shapes and
/// structure count. `f` must be pure: a call whose result nobody reads is dropped, and of two equal ones one may remain.
/// Under `vmap` it is called for one element of the batch after the other.
///
/// It has no derivative; [`custom_jvp`](crate::custom_jvp()) and [`custom_vjp`](crate::custom_vjp()) give it one. A program
/// with one is neither saved nor exported.
///
/// ```
/// use gavotte::{Array, grad, custom_jvp, jit, pure_callback};
/// // The count of set bits, by the processor's own instruction.
/// let ones = |x: Array| Array::from(x.to_vec::<u32>().iter().map(|x| x.count_ones()).collect::<Vec<u32>>());
/// let count = jit(move |x: Array| pure_callback(ones, &x)(x.clone()) + 1u32);
/// assert_eq!(count(Array::from([0u32, 7, 255])).to_vec::<u32>(), [1, 4, 9]);
///
/// // With a derivative.
/// let cube = |x: Array| pure_callback(|x: Array| Array::scalar(x.item::<f32>().powi(3)), &x)(x.clone());
/// let cube = custom_jvp(cube, move |(x,), (dx,): (Array,)| (cube(x.clone()), x.square() * 3f32 * dx));
/// assert_eq!(grad(cube)(Array::scalar(2f32)).item::<f32>(), 12.0);
/// ```
///
/// # Panics
/// When the program runs: if `f` returns a tree of another structure, or arrays of other types, than `results`. When it is
/// differentiated.
///
/// Source: JAX, `jax.pure_callback`, with `vmap_method="sequential"`.
#[track_caller]
pub fn pure_callback<A: Args + 'static, F: Function<A, By> + Shareable + 'static, By>(
    f: F,
    results: &F::Out,
) -> Fun<'static, A, F::Out>
where
    F::Out: 'static,
{
    let made_at = Location::caller();
    let (out_def, wanted) = results.flatten();
    let wanted = avals(&wanted);
    let f = Arc::new(f);
    Fun::new(move |args: A| {
        let (def, leaves) = args.into_leaves();
        let (f, wanted_def) = (f.clone(), out_def.clone());
        let run = move |ins: &[&HostArray], _: &[Aval]| {
            let args = ins.iter().map(|array| Value::from((*array).clone())).collect();
            let (found, leaves) = f.apply(A::unflatten(&def, args)).into_leaves();
            if let Some(difference) = found.first_difference(&wanted_def) {
                refuse(Error::Call(format!(
                    "pure_callback: what the function made at {made_at} returned differs from `results`: {difference}\n  \
                     at {}",
                    Location::current()
                )));
            }
            let read = |leaf: &Value| leaf.to_host().unwrap_or_else(|error| refuse(error)).as_ref().clone();
            leaves.iter().map(read).collect()
        };
        let params = params(HostFunction::new(made_at.to_string(), run), &wanted);
        F::Out::unflatten(&out_def, bind(PURE_CALLBACK, &leaves.iter().collect::<Vec<_>>(), params).into_vec())
    })
}

/// A call of a function of the host.
#[derive(Debug)]
struct PureCallback;
/// The primitive `pure_callback {dtypes, function, shapes}` of any operands. It stands in no registry, as the text of a
/// program cannot hold the function.
static PURE_CALLBACK: &dyn Primitive = &PureCallback;

fn params(function: HostFunction, outs: &[Aval]) -> Params {
    let shapes = outs.iter().map(|out| Attr::from(&out.shape)).collect();
    let dtypes = outs.iter().map(|out| Attr::from(out.dtype)).collect();
    Params::new().with("function", function).with("shapes", Attr::List(shapes)).with("dtypes", Attr::List(dtypes))
}

/// The types of the results.
fn types(params: &Params) -> Result<Vec<Aval>, TypeError> {
    let wrong = || TypeError::new("attributes `shapes` and `dtypes` must have an entry for each result");
    let (Some(Attr::List(shapes)), Some(Attr::List(dtypes))) = (params.get("shapes"), params.get("dtypes")) else {
        return Err(wrong());
    };
    if shapes.len() != dtypes.len() {
        return Err(wrong());
    }
    let shape = |attr: &Attr| match attr {
        Attr::List(dims) => {
            dims.iter().map(|dim| if let Attr::Dim(dim) = dim { Some(dim.clone()) } else { None }).collect()
        }
        _ => None,
    };
    let aval = |(dims, dtype): (&Attr, &Attr)| match (shape(dims), dtype) {
        (Some(shape), Attr::DType(dtype)) => Ok(Aval { dtype: *dtype, shape }),
        _ => Err(wrong()),
    };
    shapes.iter().zip(dtypes).map(aval).collect()
}

/// The function that runs `function` for each element of a batch. Of an operand that is mapped, the batch is the first axis.
fn each(function: HostFunction, is_mapped: Vec<bool>) -> HostFunction {
    HostFunction::new(function.name().to_string(), move |ins, outs| {
        let first = is_mapped.iter().position(|is_mapped| *is_mapped).expect("an operand is mapped");
        let n = ins[first].shape()[0];
        let inner: Vec<Aval> = outs.iter().map(|out| Aval { shape: out.shape[1..].into(), ..out.clone() }).collect();
        let arrays: Vec<Array> = ins.iter().map(|array| Array(Value::from((*array).clone()))).collect();
        let host = |array: &Array| array.0.to_host().unwrap_or_else(|error| refuse(error));
        let mut found: Vec<Vec<Array>> = vec![vec![]; outs.len()];
        for i in 0..n {
            let element =
                |(array, is_mapped): (&Array, &bool)| host(&if *is_mapped { array.i(i) } else { array.clone() });
            let element: Vec<Arc<HostArray>> = arrays.iter().zip(&is_mapped).map(element).collect();
            let refs: Vec<&HostArray> = element.iter().map(Arc::as_ref).collect();
            let results = called(&function, &refs, &inner);
            found.iter_mut().zip(results).for_each(|(found, result)| found.push(Array(result.into())));
        }
        let joined = |(found, out): (Vec<Array>, &Aval)| {
            let empty = || zeros(&out.shape, out.dtype);
            host(&if found.is_empty() { empty() } else { stack(&found, 0) }).as_ref().clone()
        };
        found.into_iter().zip(outs).map(joined).collect()
    })
}

/// What the function returns, which must have these types.
fn called(function: &HostFunction, ins: &[&HostArray], wanted: &[Aval]) -> Vec<HostArray> {
    let found = function.call(ins, wanted);
    let wrong = found.iter().map(|array| array.aval()).zip(wanted).position(|(found, wanted)| found != wanted);
    if let Some(i) = wrong {
        refuse(Error::Call(format!(
            "pure_callback: result {i} of the function made at {} is {}, and `results` says {}\n  at {}",
            function.name(),
            found[i].aval(),
            wanted[i],
            Location::current()
        )));
    }
    found
}

impl Primitive for PureCallback {
    fn name(&self) -> &'static str {
        "pure_callback"
    }
    fn attributes(&self) -> &'static [&'static str] {
        &["dtypes", "function", "shapes"]
    }
    fn abstract_eval(&self, _: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        params.try_host("function")?;
        types(params)
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        let wanted = types(params).unwrap_or_else(|why| panic!("{why}"));
        called(&params.host("function"), ins, &wanted)
    }
    #[track_caller]
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        refuse(Error::Unsupported(format!(
            "pure_callback: the function of the host made at {} has no derivative\n  at {}\n  define one with custom_jvp \
             or custom_vjp, or pass its operands through stop_gradient",
            cx.params.host("function").name(),
            Location::current()
        )))
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let is_mapped = cx.ins.iter().map(|(_, at)| at.is_some()).collect();
        let function = each(cx.params.host("function"), is_mapped);
        let batched = |out: Aval| {
            let shape: Shape = [std::slice::from_ref(cx.size), out.shape.as_slice()].concat().into();
            Aval { shape, ..out }
        };
        let outs: Vec<Aval> = types(cx.params).unwrap_or_else(|why| panic!("{why}")).into_iter().map(batched).collect();
        let first =
            |(value, at): &(Value, Option<usize>)| at.map_or_else(|| value.clone(), |at| move_axis(value, at, 0));
        let ins: Vec<Value> = cx.ins.iter().map(first).collect();
        let outs = bind(PURE_CALLBACK, &ins.iter().collect::<Vec<_>>(), params(function, &outs));
        outs.into_iter().map(|out| (out, Some(0))).collect()
    }
    fn kind(&self) -> Kind {
        Kind::Opaque
    }
    fn stablehlo(&self, cx: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        let _ = cx;
        Err(Unsupported("pure_callback: StableHLO has no functions of the host; export a program without it".into()))
    }
    fn samples(&self) -> Vec<Sample> {
        vec![]
    }
}
