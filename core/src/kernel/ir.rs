//! The kernel IR.

use crate::aval::{Aval, DType, Dim, Literal};
use crate::ir::{Index, ReduceOp, Scalar, ScalarOp, Var};
use smallvec::SmallVec;

/// A loop nest with one body. Output element `(i0, i1, …)` is made when the row loops are at `i0, i1, …`.
#[derive(Clone, PartialEq, Debug)]
pub struct Kernel {
    /// The name of the operation at its root, and a number.
    pub name: String,
    /// Arrays it reads: the program's variable and the type it is read as.
    pub inputs: Vec<(Var, Aval)>,
    /// Arrays it writes; all have the row loops' extents as shape.
    pub outputs: Vec<(Var, Aval)>,
    /// Loops, by number: row loops in the order of the output's axes, then the reduced loops.
    pub loops: Vec<Loop>,
    /// The work for one point of the loops; `Scalar(i)` is the result of `body[i]`.
    pub body: Vec<Instr>,
    /// How `results` are combined over the loops that are not rows; `None` where every loop is a row.
    pub reduce: Option<ReduceOp>,
    /// The scalar that each output stores.
    pub results: Vec<Scalar>,
}

/// One loop.
#[derive(Clone, PartialEq, Debug)]
pub struct Loop {
    /// The number of iterations in the whole kernel: of a segment loop, over all segments together.
    pub extent: Dim,
    /// What it runs over.
    pub kind: LoopKind,
}

/// What a loop runs over.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LoopKind {
    /// An axis of the output; points are independent.
    Row,
    /// An axis that is reduced.
    Reduce,
    /// The members of a segment, reduced: positions `offsets[s] .. offsets[s+1]`, where row loop `segment` is at `s`
    /// and `offsets` is an input by number.
    Segment {
        /// The number of the row loop.
        segment: u32,
        /// The number of the input.
        offsets: u32,
    },
}

/// One instruction.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Instr {
    /// A constant.
    Const(Literal),
    /// A size, known when the kernel is launched.
    Size(Dim, DType),
    /// An element of an input, by number; one position for each axis.
    Load(u32, Vec<Index>),
    /// A position as an `i32`.
    Position(Index),
    /// A scalar operation.
    Op(ScalarOp, SmallVec<[Scalar; 4]>),
}

impl Kernel {
    /// The element type of every scalar of the body. A scalar with an undefined operand is `bool`.
    pub fn dtypes(&self) -> Vec<DType> {
        let mut dtypes: Vec<DType> = Vec::with_capacity(self.body.len());
        for instr in &self.body {
            let dtype = match instr {
                Instr::Const(literal) => literal.dtype(),
                Instr::Size(_, dtype) => *dtype,
                Instr::Load(input, _) => self.inputs.get(*input as usize).map_or(DType::Bool, |(_, aval)| aval.dtype),
                Instr::Position(_) => DType::I32,
                Instr::Op(op, ins) => {
                    let dtype = |s: &Scalar| dtypes.get(s.0 as usize).copied().unwrap_or(DType::Bool);
                    let ins: SmallVec<[DType; 4]> = ins.iter().map(dtype).collect();
                    if ins.is_empty() { DType::Bool } else { op.result(&ins) }
                }
            };
            dtypes.push(dtype);
        }
        dtypes
    }

    /// Number of row loops.
    pub fn n_row(&self) -> usize {
        self.loops.iter().filter(|l| l.kind == LoopKind::Row).count()
    }
}
