//! Loops and branches over trees, as users call them.

use super::nested::avals;
use super::scan::Spec as Scan;
use super::switch::bind_switch;
use super::while_loop::Spec as While;
use crate::Array;
use crate::elementwise::CONVERT_ELEMENT_TYPE;
use gavotte_core::aval::{Aval, DType, Dim};
use gavotte_core::error::Error;
use gavotte_core::ir::{Location, Params, Program, Traced, Value, bind1, refuse, trace};
use gavotte_core::tree::{Tree, TreeDef};
use std::sync::Arc;

/// Options of a scan.
#[derive(Clone, Debug, Default)]
pub struct ScanOptions {
    /// The number of iterations; needed only if there are no sequences.
    pub length: Option<Dim>,
    /// Whether to iterate from the last row to the first. Result rows are stored at the positions of the rows they came
    /// from.
    pub reverse: bool,
}

/// A traced function of trees, its result's structure, and its captured values.
struct Nested {
    program: Arc<Program>,
    consts: Vec<Value>,
    def: TreeDef,
}

/// Records `f`; captured values become arguments in front of its own.
#[track_caller]
fn nested(name: &str, avals: &[Aval], f: impl FnOnce(Vec<Value>) -> (TreeDef, Vec<Value>)) -> Nested {
    let mut def = TreeDef::Leaf;
    let Traced { program, consts } = trace(name, avals, |leaves| {
        let (found, leaves) = f(leaves);
        def = found;
        leaves
    });
    Nested { program: Arc::new(program.closed()), consts, def }
}

#[track_caller]
fn fail(why: String) -> ! {
    refuse(Error::Type(format!("{why}\n  at {}", Location::current())))
}

/// Refuses a carry whose structure or type an iteration changes.
#[track_caller]
fn check_carry(operation: &str, (def, types): (&TreeDef, &[Aval]), (found_def, found): (&TreeDef, &[Aval])) {
    if let Some(difference) = def.first_difference(found_def) {
        fail(format!("{operation}: the carry before an iteration and after it differ {difference}"));
    }
    for ((path, before), after) in def.paths().iter().zip(types).zip(found) {
        if before != after {
            let leaf = if path.is_empty() { "the carry".to_string() } else { format!("the carry's leaf `{path}`") };
            fail(format!(
                "{operation}: {leaf} is {before} before an iteration and {after} after it\n  its type must stay \
                 the same: convert it with `astype`, or start with the other type"
            ));
        }
    }
}

/// Iterates over the first axis of the arrays in `xs`: `f` takes the carry and one row of each, and returns the next
/// carry and one row of each result. Returns the last carry, and the results with all their rows.
///
/// ```
/// use gavotte::{Array, scan};
/// let sums = |sum: Array, x: Array| {
///     let sum = sum + x;
///     (sum.clone(), sum)
/// };
/// let (last, all) = scan(sums, Array::scalar(0), Array::new(&[4], vec![1, 2, 3, 4]));
/// assert_eq!(last.item::<i32>(), 10);
/// assert_eq!(all.to_vec::<i32>(), [1, 3, 6, 10]);
/// ```
///
/// # Panics
/// If `xs` has no array or its arrays differ in the extent of their first axis, or if `f` changes a type of the carry.
#[track_caller]
pub fn scan<C: Tree, X: Tree, Y: Tree>(f: impl Fn(C, X) -> (C, Y), init: C, xs: X) -> (C, Y) {
    scan_with(f, init, xs, ScanOptions::default())
}

/// [`scan`] with options.
///
/// # Panics
/// As [`scan`]; without a sequence, if no length is given.
#[track_caller]
pub fn scan_with<C: Tree, X: Tree, Y: Tree>(
    f: impl Fn(C, X) -> (C, Y),
    init: C,
    xs: X,
    options: ScanOptions,
) -> (C, Y) {
    let ((def, carries), (xs_def, rows)) = (init.into_leaves(), xs.into_leaves());
    let length = length_of(&xs_def, &rows, &options);
    let types = avals(&carries);
    let row_types = rows.iter().map(|rows| {
        let shape = rows.shape()[1..].iter().cloned();
        Aval { dtype: rows.dtype(), shape: shape.collect() }
    });
    let args: Vec<Aval> = types.iter().cloned().chain(row_types).collect();
    let (mut carry_def, mut n_carry, mut row_def) = (TreeDef::Leaf, 0, TreeDef::Leaf);
    let Nested { program, consts, .. } = nested("body", &args, |mut leaves| {
        let rows = leaves.split_off(types.len());
        let (carry, row) = f(C::unflatten(&def, leaves), X::unflatten(&xs_def, rows));
        let ((found, mut leaves), (rows_def, rows)) = (carry.into_leaves(), row.into_leaves());
        (carry_def, n_carry, row_def) = (found, leaves.len(), rows_def);
        leaves.extend(rows);
        (TreeDef::Leaf, leaves)
    });
    check_carry("scan", (&def, &types), (&carry_def, &program.out_avals()[..n_carry]));
    let spec = Scan { body: program, n_const: consts.len(), n_carry, length, reverse: options.reverse };
    let mut outs = spec.bind(&[consts, carries, rows].concat()).into_vec();
    let rows = outs.split_off(n_carry);
    (C::unflatten(&def, outs), Y::unflatten(&row_def, rows))
}

#[track_caller]
fn length_of(def: &TreeDef, rows: &[Value], options: &ScanOptions) -> Dim {
    let mut found = options.length.clone().map(|length| ("the given length is".to_string(), length));
    for (path, rows) in def.paths().into_iter().zip(rows) {
        let place = if path.is_empty() { "the sequence".to_string() } else { format!("the sequence `{path}`") };
        let Some(length) = rows.shape().first().cloned() else {
            fail(format!("scan: {place} is {} and has no rows: it needs an axis to iterate over", rows.aval()));
        };
        match &found {
            Some((other, old)) if *old != length => {
                fail(format!("scan: {place} has {length} rows, but {other} {old}: all must have the same number"));
            }
            Some(_) => {}
            None => found = Some((format!("{place} has"), length)),
        }
    }
    match found {
        Some((_, length)) => length,
        None => fail("scan: there is no sequence: give the number of iterations as the length in ScanOptions".into()),
    }
}

/// `f(i, carry)` for every `i` in `lower..upper`. If both bounds are numbers or sizes, the number of iterations is
/// fixed, and the loop can be differentiated in reverse mode; a bound that is computed in a program makes it a
/// [`while_loop`].
///
/// ```
/// use gavotte::{Array, fori_loop};
/// let factorial = fori_loop(1, 6, |i: Array, x: Array| x * i, Array::scalar(1));
/// assert_eq!(factorial.item::<i32>(), 120);
/// ```
///
/// # Panics
/// If `f` changes a type of the carry, an array bound is not of type `i32[]`, or a numeric bound exceeds `i32`, the
/// type of the counter. A call in which a symbolic bound exceeds `i32` is refused.
#[track_caller]
pub fn fori_loop<C: Tree>(lower: impl Into<Bound>, upper: impl Into<Bound>, f: impl Fn(Array, C) -> C, init: C) -> C {
    match (lower.into().checked(), upper.into().checked()) {
        (Bound::Size(lower), Bound::Size(upper)) => {
            let length = match (&upper - &lower).as_number() {
                Some(n) => Dim::from(n.max(0)),
                None => &upper - &lower,
            };
            let numbers = crate::iota([length], 0, DType::I32);
            let first = crate::dim_value(lower, DType::I32);
            scan(|carry, i: Array| (f(&i + &first, carry), ()), init, numbers).0
        }
        (lower, upper) => {
            let (lower, upper) = (lower.array(), upper.array());
            let holds = |(i, _): (Array, C)| i.lt(&upper);
            while_loop(holds, |(i, carry): (Array, C)| (&i + 1, f(i, carry)), (lower, init)).1
        }
    }
}

/// The start or the end of a [`fori_loop`].
#[derive(Clone, Debug)]
pub enum Bound {
    /// A number, or the size of an axis.
    Size(Dim),
    /// A computed `i32`.
    Computed(Array),
}

impl Bound {
    #[track_caller]
    fn checked(self) -> Bound {
        match &self {
            Bound::Size(dim) if dim.as_number().is_some_and(|n| i32::try_from(n).is_err()) => {
                fail(format!("fori_loop: the bound {dim} lies beyond i32, the counter's type: count from 0"))
            }
            _ => self,
        }
    }

    #[track_caller]
    fn array(self) -> Array {
        match self {
            Bound::Size(dim) => crate::dim_value(dim, DType::I32),
            Bound::Computed(array) if *array.value().aval() == Aval::scalar(DType::I32) => array,
            Bound::Computed(array) => {
                fail(format!("fori_loop: a bound must be i32[], not {}: convert it first", array.value().aval()))
            }
        }
    }
}

impl From<Dim> for Bound {
    fn from(dim: Dim) -> Self {
        Bound::Size(dim)
    }
}
impl From<&Dim> for Bound {
    fn from(dim: &Dim) -> Self {
        Bound::Size(dim.clone())
    }
}
impl From<usize> for Bound {
    fn from(x: usize) -> Self {
        Bound::Size(x.into())
    }
}
impl From<i32> for Bound {
    fn from(x: i32) -> Self {
        Bound::Size(x.into())
    }
}
impl From<Array> for Bound {
    fn from(array: Array) -> Self {
        Bound::Computed(array)
    }
}
impl From<&Array> for Bound {
    fn from(array: &Array) -> Self {
        Bound::Computed(array.clone())
    }
}

/// Repeats `body` while `cond` of the carry holds.
///
/// Forward mode and `vmap` work; a mapped iteration runs for the elements that are not done. Reverse mode needs a fixed
/// number of iterations: see [`fori_loop`] and [`scan`].
///
/// ```
/// use gavotte::{Array, while_loop};
/// let halves = while_loop(|x: Array| x.gt(1.0), |x: Array| x * 0.5, Array::scalar(20.0));
/// assert_eq!(halves.item::<f64>(), 0.625);
/// ```
///
/// # Panics
/// If `cond` does not return one `bool`, or `body` changes a type of the carry.
#[track_caller]
pub fn while_loop<C: Tree>(cond: impl Fn(C) -> Array, body: impl Fn(C) -> C, init: C) -> C {
    let (def, carries) = init.into_leaves();
    let types = avals(&carries);
    let holds = nested("cond", &types, |leaves| (TreeDef::Leaf, vec![cond(C::unflatten(&def, leaves)).into()]));
    let iteration = nested("body", &types, |leaves| body(C::unflatten(&def, leaves)).into_leaves());
    let found = holds.program.out_avals().swap_remove(0);
    if found != Aval::scalar(DType::Bool) {
        fail(format!("while_loop: the condition must return bool[], not {found}: compare, and reduce to one"));
    }
    check_carry("while_loop", (&def, &types), (&iteration.def, &iteration.program.out_avals()));
    let spec = While {
        cond: holds.program,
        body: iteration.program,
        n_cond_const: holds.consts.len(),
        n_body_const: iteration.consts.len(),
    };
    C::unflatten(&def, spec.bind(&[holds.consts, iteration.consts, carries].concat()).into_vec())
}

/// `on_true(operand)` if `which` holds, else `on_false(operand)`. Only one of the two runs. If `which` is mapped both
/// run, each for the elements that take it: what it would read, refuse or differentiate for other elements has no
/// effect.
///
/// ```
/// use gavotte::{Array, cond};
/// let x = Array::scalar(-3.0);
/// let root = cond(x.lt(0.0), |x: Array| -(-x).sqrt(), |x: Array| x.sqrt(), x);
/// assert!((root.item::<f64>() + 3f64.sqrt()).abs() < 1e-12);
/// ```
///
/// # Panics
/// If `which` is not `bool[]`, or the two return different structures or types.
#[track_caller]
pub fn cond<A: Tree, O: Tree>(
    which: impl Into<Array>,
    on_true: impl Fn(A) -> O,
    on_false: impl Fn(A) -> O,
    operand: A,
) -> O {
    let which = which.into();
    if *which.value().aval() != Aval::scalar(DType::Bool) {
        fail(format!("cond: the predicate must be bool[], not {}: compare, and reduce to one", which.value().aval()));
    }
    let index = bind1(CONVERT_ELEMENT_TYPE, &[which.value()], Params::new().with("dtype", DType::I32));
    branch("cond", &Array(index), &[&on_false, &on_true], operand)
}

/// `branches[index](operand)`. Only one of them runs; `index` is clamped to the existing branches. If `index` is
/// mapped, each runs for the elements that take it, as in [`cond`].
///
/// ```
/// use gavotte::{Array, switch};
/// let double = |x: Array| x * 2.0;
/// let square = |x: Array| &x * &x;
/// let y = switch(Array::scalar(1), &[&double, &square], Array::scalar(5.0));
/// assert_eq!(y.item::<f64>(), 25.0);
/// ```
///
/// # Panics
/// If `index` is not `i32[]`, there are no branches, or branches return different structures or types.
#[track_caller]
pub fn switch<A: Tree, O: Tree>(index: impl Into<Array>, branches: &[&dyn Fn(A) -> O], operand: A) -> O {
    let index = index.into();
    if *index.value().aval() != Aval::scalar(DType::I32) {
        fail(format!("switch: the index must be i32[], not {}: convert it with `astype`", index.value().aval()));
    }
    branch("switch", &index, branches, operand)
}

#[track_caller]
fn branch<A: Tree, O: Tree>(operation: &str, index: &Array, branches: &[&dyn Fn(A) -> O], operand: A) -> O {
    let (def, operands) = operand.into_leaves();
    let types = avals(&operands);
    let mut traced = vec![];
    for (i, f) in branches.iter().enumerate() {
        let made_at = |leaves| f(A::unflatten(&def, leaves)).into_leaves();
        traced.push(nested(&format!("branch_{i}"), &types, made_at));
    }
    let Some(first) = traced.first() else { fail(format!("{operation}: there is no branch to take")) };
    let branch = |i: usize| match (operation, i) {
        ("cond", 0) => "the branch for `false`".into(),
        ("cond", _) => "the branch for `true`".into(),
        _ => format!("branch {i}"),
    };
    for (i, other) in traced.iter().enumerate().skip(1) {
        if let Some(difference) = first.def.first_difference(&other.def) {
            fail(format!("{operation}: the results of {} and {} differ {difference}", branch(0), branch(i)));
        }
        let (a, b) = (first.program.out_avals(), other.program.out_avals());
        if let Some(k) = (0..a.len()).find(|k| a[*k] != b[*k]) {
            let path = &first.def.paths()[k];
            let leaf = if path.is_empty() { "the result".to_string() } else { format!("leaf `{path}` of the result") };
            fail(format!(
                "{operation}: {leaf} is {} in {} and {} in {}: branches must return the same types",
                a[k],
                branch(0),
                b[k],
                branch(i)
            ));
        }
    }
    let (programs, captured) = joined(&traced, &types);
    let out_def = first.def.clone();
    let outs = bind_switch(programs, index.value(), &[captured, operands].concat());
    O::unflatten(&out_def, outs.into_vec())
}

/// The branches as programs with the same arguments: the values that any of them captured, each once, then the
/// operands.
fn joined(branches: &[Nested], types: &[Aval]) -> (Vec<Arc<Program>>, Vec<Value>) {
    let captured: Vec<Value> = branches.iter().flat_map(|branch| branch.consts.clone()).collect();
    let avals: Vec<Aval> = avals(&captured).into_iter().chain(types.iter().cloned()).collect();
    let mut first = 0;
    let programs = branches.iter().map(|branch| {
        let own = first..first + branch.consts.len();
        first = own.end;
        super::nested::retrace(&branch.program, "joined", &avals, |values| {
            let args = [&values[own], &values[captured.len()..]].concat();
            gavotte_core::ir::interpret(&branch.program, &[], &args)
        })
    });
    (programs.collect(), captured)
}
