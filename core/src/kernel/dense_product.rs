//! Dense products among kernels: `out[b, i, j] = Σₖ x[b, i, k] · y[b, k, j]`, whatever the layout of the arrays.
//!
//! A large one runs through a library that keeps blocks of both operands in the caches. So operands of products that
//! may be large are stored: an element that would be computed where it is read is instead computed once for all rows
//! and columns.
//!
//! The windows of a convolution overlap in memory, so they are no matrix: the library gets copies of a few rows at a time,
//! which stay in the caches.

use crate::aval::{Aval, DType, Dim, Sizes, volume};
use crate::ir::{Index, Kind, Program, ReduceOp, Scalar, ScalarOp, Var};
use crate::kernel::fuse::{Fusion, fuse};
use crate::kernel::rules::Trial;
use crate::kernel::{Instr, Kernel, LoopKind};
use rustc_hash::FxHashMap;

/// The least number of rows, columns and terms of a large product. On one core with AVX-512, products over 64 and 256
/// terms with 7 or 8 columns took as long in the library as in machine code; with 10 they took half as long.
const MIN_EXTENT: usize = 9;
/// The least number of multiplications in a large product: there the library gains 3 µs, and the separate step that it
/// needs costs about one.
const MIN_WORK: usize = 64 * 64 * 64;

/// A loop, or several that run through every array as one loop would.
#[derive(Clone, PartialEq, Debug)]
pub struct Axis {
    /// The number of iterations.
    pub extent: Dim,
    /// How many elements an iteration moves in the first operand, the second, and the result.
    pub strides: [Dim; 3],
}

/// An operand that is no matrix: its loops down and across, outermost first, each with its number of iterations and how
/// many elements an iteration moves.
pub type Windows = [Vec<(Dim, Dim)>; 2];

/// A kernel as a dense product.
#[derive(Clone, PartialEq, Debug)]
pub struct Product {
    /// The element type: `f32` or `f64`.
    pub dtype: DType,
    /// Both operands: inputs of the kernel by number.
    pub operands: [usize; 2],
    /// The element of each operand at which all loops start.
    pub starts: [Dim; 2],
    /// Loops around the product.
    pub batch: Vec<Axis>,
    /// Rows of the result: the first operand's.
    pub rows: Axis,
    /// Columns of the result: the second operand's.
    pub columns: Axis,
    /// The terms of each sum.
    pub terms: Axis,
    /// Operands that are no matrices: rows and terms of the first, terms and columns of the second. In `rows`, `columns` and
    /// `terms`, their strides are 0.
    pub windows: [Option<Windows>; 2],
}

impl Product {
    /// A kernel as a product, where it is one of floating-point elements and sums over exactly one loop.
    pub fn of(kernel: &Kernel) -> Option<Product> {
        let [(_, out)] = &kernel.outputs[..] else { return None };
        let is_loop = |kind: LoopKind| matches!(kind, LoopKind::Row | LoopKind::Reduce);
        if kernel.reduce != Some(ReduceOp::Sum)
            || !out.dtype.is_float()
            || !kernel.loops.iter().all(|l| is_loop(l.kind))
        {
            return None;
        }
        let Instr::Op(ScalarOp::Mul, factors) = &kernel.body[kernel.results[0].0 as usize] else { return None };
        let [x, y] = [factors[0], factors[1]].map(|factor| load(kernel, factor));
        let ((x, x_start, x_strides), (y, y_start, y_strides)) = (x?, y?);
        let n_row = kernel.n_row();
        let mut out_strides = row_major(out);
        out_strides.resize(kernel.loops.len(), Dim::from(0));
        let [mut batch, mut rows, mut columns, mut terms] = [const { vec![] }; 4];
        let strides = x_strides.into_iter().zip(y_strides).zip(out_strides);
        for (i, (l, ((x, y), out))) in kernel.loops.iter().zip(strides).enumerate() {
            if l.extent == 1usize {
                continue;
            }
            let kind = match (i < n_row, x != 0usize, y != 0usize) {
                (true, true, false) => &mut rows,
                (true, false, true) => &mut columns,
                (true, ..) => &mut batch,
                (false, true, true) => &mut terms,
                (false, ..) => return None,
            };
            kind.push(Axis { extent: l.extent.clone(), strides: [x, y, out] });
        }
        [&mut rows, &mut columns, &mut terms].into_iter().for_each(join);
        let starts = [x_start, y_start];
        if shows_windows(kernel) && [&rows, &columns, &terms].into_iter().any(|axes| axes.len() > 1) {
            let product = |[rows, columns, terms]: [Axis; 3], windows| Product {
                dtype: out.dtype,
                operands: [x, y],
                starts,
                batch,
                rows,
                columns,
                terms,
                windows,
            };
            return windowed([rows, columns, terms], product);
        }
        let [rows, columns] = [rows, columns].map(|axes| largest(axes, &mut batch));
        let terms = if terms.len() == 1 { terms.pop() } else { None };
        let (rows, columns, terms) = (rows?, columns?, terms?);
        let windows = [None, None];
        let product = Product { dtype: out.dtype, operands: [x, y], starts, batch, rows, columns, terms, windows };
        Some(product.along_memory())
    }

    /// As [`Product::of`], where both operands are matrices.
    pub fn of_matrices(kernel: &Kernel) -> Option<Product> {
        Product::of(kernel).filter(|product| product.windows == [None, None])
    }

    /// The same, written along memory where that is possible.
    fn along_memory(self) -> Product {
        if self.rows.strides[2] == 1usize { self.transposed() } else { self }
    }

    /// The same with both operands exchanged: `outᵀ = yᵀ · xᵀ`.
    fn transposed(mut self) -> Product {
        self.operands.swap(0, 1);
        self.starts.swap(0, 1);
        self.windows.swap(0, 1);
        self.windows.iter_mut().flatten().for_each(|loops| loops.swap(0, 1));
        std::mem::swap(&mut self.rows, &mut self.columns);
        let axes = self.batch.iter_mut().chain([&mut self.rows, &mut self.columns, &mut self.terms]);
        axes.for_each(|axis| axis.strides.swap(0, 1));
        self
    }

    /// Whether the library pays for these sizes; without any, whether it pays for all.
    pub fn is_large_at(&self, sizes: &Sizes) -> bool {
        self.is_large(|dim| dim.at(sizes).as_usize().unwrap_or(0))
    }

    /// Whether the library pays for some sizes: a symbol may be larger than any number.
    pub fn may_be_large(&self) -> bool {
        self.is_large(|dim| dim.as_usize().unwrap_or(MIN_WORK))
    }

    fn is_large(&self, number: impl Fn(&Dim) -> usize) -> bool {
        let extents = [&self.rows, &self.columns, &self.terms].map(|axis| number(&axis.extent));
        extents.iter().all(|extent| *extent >= MIN_EXTENT) && extents.into_iter().product::<usize>() >= MIN_WORK
    }
}

/// The input that a scalar loads, its element at which all loops start, and how far an iteration of each loop moves.
fn load(kernel: &Kernel, scalar: Scalar) -> Option<(usize, Dim, Vec<Dim>)> {
    let Instr::Load(input, index) = &kernel.body[scalar.0 as usize] else { return None };
    let input = *input as usize;
    let (mut start, mut strides) = (Dim::from(0), vec![Dim::from(0); kernel.loops.len()]);
    for (at, step) in index.iter().zip(row_major(&kernel.inputs[input].1)) {
        let Index::Affine { constant, terms } = at else { return None };
        start = &start + &(constant * &step);
        for (number, stride) in terms {
            let sum = &mut strides[*number as usize];
            *sum = &*sum + &(stride * &step);
        }
    }
    Some((input, start, strides))
}

/// Whether a kernel reads an array at a position to which several loops add, as windows do that move along an axis.
fn shows_windows(kernel: &Kernel) -> bool {
    let moves = |at: &Index| matches!(at, Index::Affine { terms, .. } if terms.len() > 1);
    kernel.body.iter().any(|instr| matches!(instr, Instr::Load(_, index) if index.iter().any(moves)))
}

/// The stride of loops, outermost first, that run through an array as one loop would.
fn merged(axes: &[Axis], array: usize) -> Option<Dim> {
    let meets = |pair: &[Axis]| pair[0].strides[array] == &pair[1].strides[array] * &pair[1].extent;
    let last = axes.last()?;
    axes.windows(2).all(meets).then(|| last.strides[array].clone())
}

/// A product of which some operand is no matrix: rows, columns and terms are loops, outermost first.
fn windowed(
    [rows, columns, terms]: [Vec<Axis>; 3],
    product: impl FnOnce([Axis; 3], [Option<Windows>; 2]) -> Product,
) -> Option<Product> {
    let loops = |axes: &[Axis], array: usize| -> Vec<(Dim, Dim)> {
        axes.iter().map(|axis| (axis.extent.clone(), axis.strides[array].clone())).collect()
    };
    let of_operand = |[down, across]: [&[Axis]; 2], array: usize| match (merged(down, array), merged(across, array)) {
        (Some(down), Some(across)) => ([down, across], None),
        _ => ([Dim::from(0), Dim::from(0)], Some([loops(down, array), loops(across, array)])),
    };
    let ([x_rows, x_terms], x) = of_operand([&rows, &terms], 0);
    let ([y_terms, y_columns], y) = of_operand([&terms, &columns], 1);
    let whole = |axes: &[Axis], strides: [Dim; 3]| {
        let extents: Vec<Dim> = axes.iter().map(|axis| axis.extent.clone()).collect();
        Axis { extent: volume(&extents), strides }
    };
    let rows_out = merged(&rows, 2)?;
    let columns_out = merged(&columns, 2)?;
    let rows = whole(&rows, [x_rows, Dim::from(0), rows_out]);
    let columns = whole(&columns, [Dim::from(0), y_columns, columns_out]);
    let terms = whole(&terms, [x_terms, y_terms, Dim::from(0)]);
    Some(product([rows, columns, terms], [x, y]).along_memory())
}

/// How many elements a step along each axis of an array moves.
fn row_major(aval: &Aval) -> Vec<Dim> {
    (1..=aval.rank()).map(|axis| volume(&aval.shape[axis..])).collect()
}

/// Merges two axes wherever one iteration of the outer moves as far as all iterations of the inner, in every array.
fn join(axes: &mut Vec<Axis>) {
    let meets = |outer: &Axis, inner: &Axis| {
        outer.strides.iter().zip(&inner.strides).all(|(outer, inner_stride)| *outer == inner_stride * &inner.extent)
    };
    while let Some((outer, inner)) = (0..axes.len())
        .flat_map(|outer| (0..axes.len()).map(move |inner| (outer, inner)))
        .find(|(outer, inner)| outer != inner && meets(&axes[*outer], &axes[*inner]))
    {
        axes[inner].extent = &axes[outer].extent * &axes[inner].extent;
        axes.remove(outer);
    }
}

/// Takes the largest axis, and leaves the others as loops around the product.
fn largest(mut axes: Vec<Axis>, batch: &mut Vec<Axis>) -> Option<Axis> {
    let at = (0..axes.len()).max_by_key(|i| axes[*i].extent.as_usize().unwrap_or(usize::MAX))?;
    let axis = axes.swap_remove(at);
    batch.append(&mut axes);
    Some(axis)
}

/// Why an operand is stored.
const READ_BY_PRODUCT: &str = "read by a large product";

/// The operands of products that may be large, where they would be computed as they are read. Of an operand that shows
/// each element several times, the array is stored that it shows, if the product can read that.
pub(super) fn operands_to_store(program: &Program, fusion: &Fusion) -> FxHashMap<Var, &'static str> {
    let trial = Trial::new(program);
    // As if everything were stored: this exposes the product, however its operands are computed.
    let stored = fuse(program, &|_| Some(READ_BY_PRODUCT));
    let product = |places: &Fusion, i: usize| {
        let kernel = trial.kernel(places, i)?;
        Product::of(&kernel).filter(Product::may_be_large)
    };
    let mut found = FxHashMap::default();
    for (i, eqn) in program.eqns.iter().enumerate().filter(|(_, eqn)| eqn.prim.kind() == Kind::Contract) {
        let operands: Vec<Var> = eqn.ins.iter().filter_map(|atom| atom.var()).collect();
        let shows = |var: Var| operands.iter().any(|operand| trial.shows(*operand, var));
        // As if only what the operands show were stored.
        let is_shown = operands.iter().any(|operand| trial.shown(*operand).is_some())
            && product(&fuse(program, &|var| (!shows(var)).then_some(READ_BY_PRODUCT)), i)
                .is_some_and(|product| product.windows != [None, None]);
        if !is_shown && product(&stored, i).is_none() {
            continue;
        }
        for operand in operands.into_iter().filter(|var| !trial.is_loaded(fusion, *var)) {
            let shown = trial.shown(operand).filter(|_| is_shown);
            found.insert(shown.unwrap_or(operand), READ_BY_PRODUCT);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::parse_kernel;

    fn product(text: &str) -> Option<Product> {
        Product::of(&parse_kernel(text).unwrap_or_else(|error| panic!("{error}")))
    }

    fn axis(extent: impl Into<Dim>, strides: [i32; 3]) -> Axis {
        Axis { extent: extent.into(), strides: strides.map(Dim::from) }
    }

    #[test]
    fn axes_that_go_on_in_memory_are_one() {
        // Rows are i0 and i1; columns of %1 come first, so it is read across.
        let text = "\
kernel @dot_general_0(%0: f32[n,3,20], %1: f32[40,21]) -> (%2: f32[n,3,40]) {
  row i0: n
  row i1: 3
  row i2: 40
  reduce i3: 20
  $0: f32 = load %0[i0, i1, i3]
  $1: f32 = load %1[i2, i3 + 1]
  $2: f32 = mul $0, $1
  sum $2 -> %2
}
";
        let found = product(text).expect("it is a product");
        assert_eq!((found.operands, found.starts.clone()), ([0, 1], [0.into(), 1.into()]));
        assert_eq!(found.rows, axis(Dim::symbol("n") * 3, [20, 0, 40]));
        assert_eq!((found.columns, found.terms), (axis(40, [0, 21, 1]), axis(20, [1, 1, 0])));
        assert_eq!(found.batch, []);
    }

    #[test]
    fn windows_are_an_operand_that_is_no_matrix() {
        // Windows of 3 by 3 over 34 by 34 elements with 16 channels: the last two loops of the terms are one in memory.
        let text = "\
kernel @dot_general_0(%0: f32[34,34,16], %1: f32[3,3,16,20]) -> (%2: f32[32,32,20]) {
  row i0: 32
  row i1: 32
  row i2: 20
  reduce i3: 3
  reduce i4: 3
  reduce i5: 16
  $0: f32 = load %0[i0 + i3, i1 + i4, i5]
  $1: f32 = load %1[i3, i4, i5, i2]
  $2: f32 = mul $0, $1
  sum $2 -> %2
}
";
        let found = product(text).expect("it is a product");
        assert_eq!((found.rows.clone(), found.columns.clone()), (axis(1024, [0, 0, 20]), axis(20, [0, 1, 1])));
        assert_eq!((found.terms.clone(), found.may_be_large()), (axis(144, [0, 20, 0]), true));
        let loops = |list: [[usize; 2]; 2]| list.map(|[n, stride]| (Dim::from(n), Dim::from(stride))).to_vec();
        assert_eq!(found.windows, [Some([loops([[32, 544], [32, 16]]), loops([[3, 544], [48, 1]])]), None]);
        assert_eq!(Product::of_matrices(&parse_kernel(text).unwrap_or_else(|error| panic!("{error}"))), None);
        // Without windows, sums over several loops are kernels.
        assert_eq!(product(&text.replace("i0 + i3, i1 + i4", "i0, i1")), None);
    }

    #[test]
    fn the_result_is_written_along_memory_and_short_axes_are_loops_around() {
        // out[h, j, i] = Σₖ x[i, h, k] · y[k, h, j]: the columns of the result are the first operand's rows.
        let text = "\
kernel @dot_general_0(%0: f64[100,2,20], %1: f64[20,2,40]) -> (%2: f64[2,40,100]) {
  row i0: 2
  row i1: 40
  row i2: 100
  reduce i3: 20
  $0: f64 = load %0[i2, i0, i3]
  $1: f64 = load %1[i3, i0, i1]
  $2: f64 = mul $0, $1
  sum $2 -> %2
}
";
        let found = product(text).expect("it is a product");
        assert_eq!((found.dtype, found.operands), (DType::F64, [1, 0]));
        assert_eq!((found.rows, found.columns), (axis(40, [1, 0, 100]), axis(100, [0, 40, 1])));
        assert_eq!((found.batch, found.terms), (vec![axis(2, [40, 20, 4000])], axis(20, [80, 1, 0])));
    }

    #[test]
    fn sums_of_anything_else_are_kernels() {
        let with = |dtype: &str, second: &str, product: &str, how: &str| {
            format!(
                "\
kernel @reduce_0(%0: {dtype}[64,64], %1: {dtype}[64,64]) -> (%2: {dtype}[64,64]) {{
  row i0: 64
  row i1: 64
  reduce i2: 64
  $0: {dtype} = load %0[i0, i2]
  $1: {dtype} = load %1[{second}]
  $2: {dtype} = {product}
  {how} $2 -> %2
}}
"
            )
        };
        assert!(product(&with("f32", "i2, i1", "mul $0, $1", "sum")).is_some_and(|product| product.may_be_large()));
        for text in [
            with("i32", "i2, i1", "mul $0, $1", "sum"),
            with("f32", "i2, i1", "add $0, $1", "sum"),
            with("f32", "i2, i1", "mul $0, $1", "max"),
            // a sum of rows, weighted; products of a row with itself
            with("f32", "i1, i0", "mul $0, $1", "sum"),
            with("f32", "i0, i2", "mul $0, $1", "sum"),
        ] {
            assert_eq!(product(&text), None, "{text}");
        }
    }

    #[test]
    fn a_symbol_may_be_large_and_a_size_decides() {
        let text = "\
kernel @dot_general_0(%0: f32[n,64], %1: f32[64,32]) -> (%2: f32[n,32]) {
  row i0: n
  row i1: 32
  reduce i2: 64
  $0: f32 = load %0[i0, i2]
  $1: f32 = load %1[i2, i1]
  $2: f32 = mul $0, $1
  sum $2 -> %2
}
";
        let found = product(text).expect("it is a product");
        assert!(found.may_be_large() && !found.is_large_at(&Sizes::new()));
        for (size, is_large) in [(8, false), (127, false), (128, true)] {
            let mut sizes = Sizes::new();
            sizes.set(crate::aval::Symbol::new("n"), size).expect("it has one size");
            assert_eq!(found.is_large_at(&sizes), is_large, "{size} rows");
        }
        assert!(!product(&text.replace("32]", "8]").replace(": 32", ": 8")).expect("it is a product").may_be_large());
    }
}
