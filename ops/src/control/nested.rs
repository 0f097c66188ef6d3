//! Nested programs under a transformation, shared by the rules of loops and branches.

use gavotte_core::aval::{Aval, Dim, Sizes};
use gavotte_core::device::{Data, HostArray, HostElement};
use gavotte_core::error::TypeError;
use gavotte_core::ir::structural::{place_axis, zeros};
use gavotte_core::ir::{Program, Value, evaluate, trace};
use gavotte_core::{transform, with_data};
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// Answers about nested programs, by program and question; the program is kept alive, so that no other gets its
/// address.
type Known<K, V> = HashMap<(*const Program, K), (Arc<Program>, V)>;

/// Positions of the new axis in values; `None` for values without it.
type Places = Vec<Option<usize>>;

/// Answers that the rules of loops and branches need before they transform a program: which results will have tangents,
/// and where they will have the new axis. During a question rules return placeholders instead of descending into nested
/// programs: each program is transformed once, however deep it is nested.
#[derive(Default)]
struct Found {
    active: Known<Vec<bool>, Vec<bool>>,
    places: Known<(Places, Dim), Places>,
    /// The number of open questions.
    asked: usize,
}

thread_local! {
    static FOUND: RefCell<Found> = RefCell::default();
}

/// Ends a question when dropped, also while a panic unwinds. After the last one all answers are dropped.
struct Asked;

impl Drop for Asked {
    fn drop(&mut self) {
        FOUND.with_borrow_mut(|found| {
            found.asked -= 1;
            if found.asked == 0 {
                *found = Found::default();
            }
        });
    }
}

/// Whether a question is open: then only types of results matter, and whether they have tangents or the new axis.
pub(super) fn is_asked() -> bool {
    FOUND.with_borrow(|found| found.asked > 0)
}

/// Returns the known answer about a program, or computes it.
fn looked_up<K: Hash + Eq + Clone, V: Clone>(
    table: fn(&mut Found) -> &mut Known<K, V>,
    program: &Arc<Program>,
    question: K,
    find: impl FnOnce() -> V,
) -> V {
    let key = (Arc::as_ptr(program), question);
    if let Some(answer) = FOUND.with_borrow_mut(|found| table(found).get(&key).map(|(_, answer)| answer.clone())) {
        return answer;
    }
    FOUND.with_borrow_mut(|found| found.asked += 1);
    let _asked = Asked;
    let answer = find();
    FOUND.with_borrow_mut(|found| table(found).insert(key, (program.clone(), answer.clone())));
    answer
}

/// Placeholders for the tangents of these values, if they have one.
pub(super) fn stand_ins(outs: &[Value], active: &[bool]) -> Vec<Option<Value>> {
    outs.iter().zip(active).map(|(out, active)| active.then(|| zeros(out.aval()))).collect()
}

/// Placeholders for values of these types, with one more axis at these positions.
pub(super) fn batched_stand_ins(avals: &[Aval], at: &[Option<usize>], size: &Dim) -> Vec<(Value, Option<usize>)> {
    batched_avals(avals, at, size).iter().map(zeros).zip(at.iter().copied()).collect()
}

/// The types of a program's arguments.
pub(super) fn arg_avals(program: &Program) -> Vec<Aval> {
    program.args.iter().map(|binder| binder.aval.clone()).collect()
}

/// The types of values.
pub(super) fn avals(values: &[Value]) -> Vec<Aval> {
    values.iter().map(|value| value.aval().clone()).collect()
}

/// The items that are marked.
pub(super) fn marked<T: Clone>(items: &[T], marks: &[bool]) -> Vec<T> {
    items.iter().zip(marks).filter(|(_, mark)| **mark).map(|(item, _)| item.clone()).collect()
}

/// For each mark that is set, the next item; `None` for the others.
pub(super) fn spread<T>(items: impl IntoIterator<Item = T>, marks: &[bool]) -> Vec<Option<T>> {
    let mut items = items.into_iter();
    marks.iter().map(|mark| if *mark { items.next() } else { None }).collect()
}

/// The value, or zeros of this type.
pub(super) fn or_zeros(value: Option<Value>, aval: &Aval) -> Value {
    value.unwrap_or_else(|| zeros(aval))
}

/// A tangent for each marked operand: zeros if it has none.
pub(super) fn tangents_of(primals: &[Value], tangents: &[Option<Value>], active: &[bool]) -> Vec<Value> {
    let all = primals.iter().zip(tangents).zip(active).filter(|(_, active)| **active);
    all.map(|((primal, tangent), _)| or_zeros(tangent.clone(), primal.aval())).collect()
}

/// Checks that a nested program takes these operands and has no constants.
pub(super) fn check_takes(what: &str, program: &Program, ins: &[Aval]) -> Result<(), TypeError> {
    if !program.consts.is_empty() {
        return Err(TypeError::new(format!("{what} must have no constants: pass them as operands")));
    }
    let wanted = arg_avals(program);
    if wanted != ins {
        return Err(TypeError::new(format!("{what} takes {wanted:?}, not {ins:?}")));
    }
    Ok(())
}

/// Records `f` with arguments of these types, under the name of the program that it transforms.
pub(super) fn retrace(
    program: &Program,
    suffix: &str,
    avals: &[Aval],
    f: impl FnOnce(&[Value]) -> Vec<Value>,
) -> Arc<Program> {
    let traced = trace(&format!("{}_{suffix}", program.name), avals, |values| f(&values));
    assert!(traced.consts.is_empty(), "a rule captured an array: {}", traced.program);
    Arc::new(traced.program)
}

/// Results and tangents of a program without constants.
pub(super) fn push(
    program: &Program,
    primals: &[Value],
    tangents: &[Option<Value>],
) -> (Vec<Value>, Vec<Option<Value>>) {
    transform::jvp(program, &[], primals, tangents)
}

/// Which results of a program have tangents if these arguments have.
pub(super) fn active_outs(program: &Arc<Program>, active: &[bool]) -> Vec<bool> {
    looked_up(
        |found| &mut found.active,
        program,
        active.to_vec(),
        || {
            let mut found = vec![];
            retrace(program, "activity", &arg_avals(program), |args| {
                let tangents = spread(marked(args, active), active);
                found = push(program, args, &tangents).1.iter().map(Option::is_some).collect();
                vec![]
            });
            found
        },
    )
}

/// Results of a program without constants over one more axis, each with the axis's position.
pub(super) fn batched(program: &Program, args: &[(Value, Option<usize>)], size: &Dim) -> Vec<(Value, Option<usize>)> {
    match args.iter().any(|(_, at)| at.is_some()) {
        true => transform::vmap(program, &[], args, size),
        false => {
            let args: Vec<Value> = args.iter().map(|(value, _)| value.clone()).collect();
            gavotte_core::ir::interpret(program, &[], &args).into_iter().map(|value| (value, None)).collect()
        }
    }
}

/// The positions of the new axis in the results of a program, from those in its arguments.
pub(super) fn batched_outs(program: &Arc<Program>, at: &[Option<usize>], size: &Dim) -> Vec<Option<usize>> {
    looked_up(
        |found| &mut found.places,
        program,
        (at.to_vec(), size.clone()),
        || {
            let mut found = vec![];
            retrace(program, "batch", &batched_avals(&arg_avals(program), at, size), |args| {
                let args: Vec<_> = args.iter().cloned().zip(at.iter().copied()).collect();
                found = batched(program, &args, size).into_iter().map(|(_, at)| at).collect();
                vec![]
            });
            found
        },
    )
}

/// The types with the new axis at these positions.
pub(super) fn batched_avals(avals: &[Aval], at: &[Option<usize>], size: &Dim) -> Vec<Aval> {
    let with = |(aval, at): (&Aval, &Option<usize>)| {
        let mut aval = aval.clone();
        at.iter().for_each(|at| aval.shape.insert(*at, size.clone()));
        aval
    };
    avals.iter().zip(at).map(with).collect()
}

/// A batched value with its axis at `want`; unchanged if `want` is `None`.
pub(super) fn placed(value: &(Value, Option<usize>), want: Option<usize>, size: &Dim) -> Value {
    match want {
        Some(axis) => place_axis(value, axis, size),
        None => value.0.clone(),
    }
}

/// Runs a nested program on the reference interpreter.
pub(super) fn eval(program: &Program, ins: &[Arc<HostArray>]) -> Vec<Arc<HostArray>> {
    evaluate(program, ins, &[], &Sizes::new())
}

/// Row `i` of an array.
pub(super) fn row(array: &HostArray, i: usize) -> HostArray {
    fn cut<T: HostElement>(xs: &[T], i: usize, n: usize) -> Data {
        T::wrap(xs[i * n..(i + 1) * n].to_vec())
    }
    let shape = array.shape();
    let n = shape[1..].iter().product();
    HostArray::from_data(&shape[1..], with_data!(array.data(), xs => cut(xs, i, n)))
}

/// An array of these rows; `like` is the type of one.
pub(super) fn stack(like: &Aval, rows: &[Arc<HostArray>]) -> HostArray {
    let extents = like.shape.iter().map(|dim| dim.as_usize().expect("sizes are numbers when a program runs"));
    let shape: Vec<usize> = std::iter::once(rows.len()).chain(extents).collect();
    let elements = rows.iter().flat_map(|row| (0..row.len()).map(|i| row.get(i)));
    let data = Data::of(like.dtype, elements);
    HostArray::from_data(&shape, data)
}
