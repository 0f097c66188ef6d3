//! From a loop nest to instructions over virtual registers.
//!
//! The scalar body is computed on vectors. A scalar that depends on no lane is the same in all lanes, or an integer if
//! it only determines an address. Every instruction is placed in the outermost loop that it depends on.

mod address;
mod analyse;
mod checked;
mod far;
mod known;
mod loads;
mod loops;
mod results;
mod rounds;
mod stage;
mod values;

pub(super) use checked::{Checked, CheckedList};

use super::canonical::Canonical;
use super::choose::choose;
use super::layout::{Layout, Place};
use super::lir::{Class, Function, Label, Op, Reg};
use super::{ARGS, Isa, Size};
use crate::aval::{DType, Dim, Literal};
use crate::ir::{Scalar, ScalarOp, Unsupported};
use crate::kernel::{Guarded, Kernel};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// The contents of the table of arguments after the first entries: inputs, outputs, then these sizes.
#[derive(Default)]
pub(super) struct Signature {
    pub(super) sizes: Vec<Size>,
    /// The number of each of them.
    numbers: FxHashMap<Size, usize>,
}

/// A stride in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Stride {
    Number(i64),
    /// Entry of the table that holds the stride in elements, and the elements' size.
    Entry(u32, i64),
}

/// The terms of an address so far: the array's entry, and loops with their strides.
type Sum = (u32, Vec<(u32, Stride)>);

/// A load, prepared.
#[derive(Clone)]
pub(super) struct Access {
    input: usize,
    size: i64,
    pub(super) class: Class,
    pub(super) place: Place,
    /// Loops that are not lanes, outermost first, with the level at which each index is known.
    strides: Vec<(usize, usize, Stride)>,
    /// Constant offset in bytes.
    constant: Stride,
    /// Where the staged copy starts in the function's memory, and the loops by which it is read with their trip counts.
    staged: Option<(usize, Vec<(usize, usize)>)>,
}

/// The state of one scope of the generated code.
#[derive(Clone, Default)]
pub(super) struct Scope {
    vecs: FxHashMap<(u32, usize), Reg>,
    /// The results of operations on these registers, with the type of the operands.
    ops: FxHashMap<(ScalarOp, DType, SmallVec<[Reg; 4]>), Reg>,
    ints: FxHashMap<u32, Checked>,
    sums: FxHashMap<Sum, Reg>,
    /// Small rows that several vectors take their lanes from, by load, first element and number of elements.
    rows: FxHashMap<(usize, i64, usize), Reg>,
    /// Computed positions of single iterations of the packed loop.
    iterations: FxHashMap<(u32, i64), Checked>,
    /// Computed positions times a stride in bytes.
    products: FxHashMap<(u32, i64), Reg>,
    /// Lanes of computed positions, by scalar and vector, times a stride in elements, in bounds.
    offsets: FxHashMap<(u32, usize, Stride), Checked>,
    /// The lanes of each vector whose iterations are left.
    iteration_masks: FxHashMap<usize, Reg>,
    pub(super) indices: Vec<Option<Reg>>,
    /// The valid lanes, if not all are.
    pub(super) mask: Option<Reg>,
    /// The number of iterations of the packed loop that are left, in all lanes, if they may be fewer than the vectors
    /// hold.
    pub(super) left: Option<Reg>,
    pub(super) vectors: usize,
}

impl Scope {
    /// Sets the value of a scalar that is the same for all lanes.
    pub(super) fn set(&mut self, scalar: Scalar, value: Reg) {
        self.vecs.insert((scalar.0, 0), value);
    }

    /// Sets the value of a position that is known to be in bounds.
    pub(super) fn set_checked(&mut self, scalar: Scalar, value: Checked) {
        self.ints.insert(scalar.0, value);
    }
}

/// A kernel being translated to instructions: a layout, what is known about each scalar in it, and the function being
/// written. Several nests may write to one function, each with its own layout.
pub(super) struct Nest<'a> {
    pub(super) kernel: &'a Kernel,
    /// For each scalar, the number of the constant that it is, if the pool has a place for it.
    open: &'a [Option<u32>],
    partition: Option<usize>,
    pub(super) layout: Layout,
    pub(super) f: &'a mut Function,
    signature: &'a mut Signature,
    /// The inputs that have more elements than 32-bit lanes can address.
    far: &'a [bool],
    pub(super) dtypes: Vec<DType>,
    /// The loops and the scalars that each scalar depends on.
    depends: Vec<(Vec<usize>, Vec<Scalar>)>,
    /// For each scalar: its level, whether it differs by lane, by iteration of the packed loop.
    pub(super) levels: Vec<usize>,
    by_lane: Vec<bool>,
    by_iteration: Vec<bool>,
    pub(super) wanted: Vec<bool>,
    pub(super) accesses: Vec<Option<Access>>,
    /// The extents that each computed position is checked against.
    extents: FxHashMap<Scalar, Vec<Dim>>,
    /// The result of [`Layout::span`] for loads, by number.
    spans: FxHashMap<usize, Option<(i64, usize)>>,
    /// Results that are sums of products.
    pub(super) fused: Vec<Option<Fused>>,
    /// One for each result and vector.
    sums: Vec<Vec<Reg>>,
    /// How a long sum is computed.
    rounds: Option<rounds::Rounds>,
    /// The weight of a sum of weighted rows whose zeros are skipped.
    pub(super) compacted: Option<Guarded>,
    /// Positions that are listed along with it.
    pub(super) listed: Vec<Scalar>,
    end_label: Label,
}

/// A product that is added without being rounded, and only if its guard says that it counts.
#[derive(Clone, Copy)]
pub(super) struct Fused {
    factors: [Scalar; 2],
    pub(super) guard: Option<Guarded>,
}

/// The registers that hold the elements of an array as lanes.
pub(super) fn class_of(dtype: DType) -> Class {
    if dtype == DType::F64 { Class::Wide } else { Class::Vec }
}

/// The instructions of a canonical kernel. `masked` says which inputs have many elements that a mask made 0; `far`,
/// which have more elements than 32-bit lanes can address.
pub(super) fn build<'a>(
    Canonical { kernel, open, .. }: &'a Canonical,
    partition: Option<usize>,
    [masked, far]: [&'a [bool]; 2],
    isa: Isa,
) -> Result<(Function, Signature), Unsupported> {
    let layout = choose(kernel, partition, isa)?;
    let (mut f, mut signature) = (Function::new(layout.vector), Signature::default());
    let end_label = f.label();
    let mut nest = Nest {
        kernel,
        open,
        partition,
        layout,
        f: &mut f,
        signature: &mut signature,
        far,
        dtypes: kernel.dtypes(),
        depends: vec![],
        levels: vec![],
        by_lane: vec![],
        by_iteration: vec![],
        wanted: vec![],
        accesses: vec![],
        extents: FxHashMap::default(),
        spans: FxHashMap::default(),
        fused: vec![],
        sums: vec![],
        rounds: None,
        compacted: None,
        listed: vec![],
        end_label,
    };
    nest.analyse();
    nest.find_compacted(masked);
    nest.stage_small_operands();
    nest.find_rounds();
    let scope = Scope { indices: vec![None; kernel.loops.len()], vectors: nest.layout.vectors(), ..Scope::default() };
    let mut scope = scope;
    scope.mask = nest.whole_mask(0);
    nest.fill_staged(&mut scope)?;
    nest.level(0, &mut scope)?;
    let end = nest.end_label;
    nest.f.set_label(end);
    nest.f.finish();
    Ok((f, signature))
}

impl Nest<'_> {
    /// A nest of the same kernel, in the same state, that writes to the same function.
    pub(super) fn second(&mut self) -> Nest<'_> {
        Nest {
            kernel: self.kernel,
            open: self.open,
            partition: self.partition,
            layout: self.layout.clone(),
            f: self.f,
            signature: self.signature,
            far: self.far,
            dtypes: self.dtypes.clone(),
            depends: self.depends.clone(),
            levels: self.levels.clone(),
            by_lane: self.by_lane.clone(),
            by_iteration: self.by_iteration.clone(),
            wanted: self.wanted.clone(),
            accesses: self.accesses.clone(),
            extents: self.extents.clone(),
            spans: FxHashMap::default(),
            fused: self.fused.clone(),
            sums: self.sums.clone(),
            rounds: self.rounds,
            compacted: self.compacted,
            listed: self.listed.clone(),
            end_label: self.end_label,
        }
    }

    fn dim(&mut self, dim: &Dim) -> u32 {
        self.entry(Size { dim: dim.clone(), dtype: None })
    }

    /// The table's entry for a size.
    fn entry(&mut self, size: Size) -> u32 {
        let Signature { sizes, numbers } = &mut *self.signature;
        let next = sizes.len();
        let at = *numbers.entry(size.clone()).or_insert(next);
        if at == next {
            sizes.push(size);
        }
        (ARGS + self.kernel.inputs.len() + self.kernel.outputs.len() + at) as u32
    }

    /// A size in a register.
    fn size(&mut self, dim: &Dim) -> Reg {
        match dim.as_number() {
            Some(n) => self.f.int(Op::Imm, &[], n),
            None => {
                let entry = self.dim(dim);
                self.f.int(Op::Arg, &[], entry.into())
            }
        }
    }

    /// A size in all lanes.
    fn splat_size(&mut self, dim: &Dim) -> Reg {
        match dim.as_number() {
            Some(n) => self.f.bits(n as u32),
            None => {
                let entry = self.dim(dim);
                self.f.emit(Class::Vec, Op::SplatArg, &[], entry.into())
            }
        }
    }

    /// A size as a scalar of the kernel, in all lanes.
    fn scalar_size(&mut self, dim: &Dim, dtype: DType) -> Reg {
        match dim.as_number() {
            Some(n) => self.f.literal(Literal::from_f64(dtype, n as f64)),
            None => {
                let entry = self.entry(Size { dim: dim.clone(), dtype: Some(dtype) });
                self.f.emit(class_of(dtype), Op::SplatArg, &[], entry.into())
            }
        }
    }

    fn stride(&mut self, dim: &Dim, size: i64) -> Stride {
        match dim.as_number() {
            Some(n) => Stride::Number(n * size),
            None => Stride::Entry(self.dim(dim), size),
        }
    }

    fn whole_mask(&mut self, v: usize) -> Option<Reg> {
        let n = self.layout.active(v);
        (n < self.f.lanes).then(|| self.f.first_lanes(n))
    }
}
