//! From names to numbers: kernels as arrays of instructions on rows of registers.
//!
//! Constants, special registers and addresses of variables have rows of their own, filled before a kernel runs, so that
//! an operand is always the number of a row. An opcode's modifiers (flushing, saturation, a second destination, a
//! carry) become separate instructions. Functions are inlined.

mod access;
mod collective;
mod compute;
mod function;
mod names;
mod opcode;

use crate::arith::{Conversion, Lanewise, Rows};
use crate::ptx::{Module, PtxError, Space};
use std::collections::HashMap;

/// Where shared memory begins among generic addresses.
pub const SHARED_WINDOW: u64 = 1 << 60;
/// Where a thread's memory begins among them.
pub const LOCAL_WINDOW: u64 = 2 << 60;
/// Where a launch's parameters begin among them.
pub const PARAM_WINDOW: u64 = 3 << 60;

/// The predicate that an instruction runs under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// Its row.
    pub row: u32,
    /// Whether the guard is negated.
    pub is_negated: bool,
}

/// How an address is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The state space.
    pub space: Space,
    /// The row of the base.
    pub base: u32,
    /// The offset from it.
    pub offset: i64,
    /// The address bits used: a register may have only 32.
    pub mask: u64,
}

/// A load or a store.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transfer {
    /// The address.
    pub address: Address,
    /// The rows of the elements.
    pub rows: [u32; 4],
    /// The number of elements.
    pub count: u8,
    /// Bytes of an element.
    pub bytes: u8,
    /// For a load: whether the value is sign-extended to the register.
    pub is_signed: bool,
    /// For a load: bits of the register.
    pub width: u8,
    /// Whether accesses may be concurrent: `.volatile`, `.relaxed` and the like.
    pub is_strong: bool,
    /// Whether the memory must not be written while the kernel runs: `.nc`.
    pub is_constant: bool,
}

/// An atomic operation.
#[derive(Clone, Copy, Debug)]
pub struct Atomic {
    /// The address.
    pub address: Address,
    /// Bytes of the operand.
    pub bytes: u8,
    /// The new value in memory, from the old value and two operands.
    pub update: fn(u64, u64, u64) -> u64,
    /// The row of the old value.
    pub to: u32,
    /// The rows of the operands.
    pub from: [u32; 2],
}

/// Which lane a shuffle reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are PTX's own")]
pub enum Shuffle {
    Up,
    Down,
    Bfly,
    Idx,
}

/// The question of a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are PTX's own")]
pub enum Vote {
    All,
    Any,
    Uni,
    Ballot,
    Popc,
}

/// What lanes of a warp do together.
#[derive(Clone, Copy, Debug)]
pub enum Collective {
    /// They wait for one another.
    Sync,
    /// Each reads another's register.
    Shuffle {
        /// Which lane it reads.
        kind: Shuffle,
        /// The row of the value read.
        to: u32,
        /// The row that says whether there was such a lane.
        found: u32,
        /// The rows of the value, the lane, and the bounds.
        from: [u32; 3],
    },
    /// They vote on a predicate.
    Vote {
        /// The question.
        kind: Vote,
        /// The row of the answer.
        to: u32,
        /// The predicate.
        from: u32,
    },
    /// One value is computed from all of theirs.
    Reduce {
        /// The operation on two values.
        combine: fn(u64, u64, u64) -> u64,
        /// The row of the result.
        to: u32,
        /// Each lane's part.
        from: u32,
    },
}

/// A barrier of a block.
#[derive(Clone, Copy, Debug)]
pub struct Barrier {
    /// The row of the barrier's number.
    pub id: u32,
    /// The row of the number of threads; none for the whole block.
    pub threads: Option<u32>,
    /// The vote: question, destination, predicate.
    pub vote: Option<(Vote, u32, u32)>,
    /// Whether the threads of a warp must be at the same instruction.
    pub is_aligned: bool,
}

/// The action of an instruction.
#[derive(Clone, Debug)]
pub enum Op {
    /// Each lane independently.
    Compute(Lanewise, Rows),
    /// `cvt`.
    Convert(Conversion, Rows),
    /// `bra`.
    Branch(u32),
    /// `brx.idx`: the row of the index, and the positions.
    BranchIndexed(u32, Box<[u32]>),
    /// `ld`.
    Load(Transfer),
    /// `st`.
    Store(Transfer),
    /// `atom` and `red`.
    Atomic(Atomic),
    /// Lanes of a warp, by the mask in a row.
    Collective(Collective, u32),
    /// The lanes that run now.
    ActiveMask(u32),
    /// Threads of a block.
    Barrier(Barrier),
    /// The end of a thread.
    Exit,
    /// The program's own error.
    Trap,
}

/// One instruction.
#[derive(Clone, Debug)]
pub struct Inst {
    /// The action.
    pub op: Op,
    /// The guard.
    pub guard: Option<Guard>,
}

/// A special register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// `%tid`, by axis.
    Thread(usize),
    /// `%ntid`.
    BlockExtent(usize),
    /// `%ctaid`.
    Block(usize),
    /// `%nctaid`.
    GridExtent(usize),
    /// `%laneid`.
    Lane,
    /// `%warpid`.
    Warp,
    /// `%nwarpid`.
    Warps,
    /// `%lanemask_lt` and the like: whether the mask has lanes below, the lane itself, and lanes above.
    LaneMask(bool, bool, bool),
    /// `%dynamic_smem_size`.
    DynamicShared,
    /// `%total_smem_size`.
    TotalShared,
}

/// Where an instruction comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The line of the PTX.
    pub line: u32,
    /// File and line of the source, where the PTX says so.
    pub source: Option<(u32, u32)>,
}

/// A parameter of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param {
    /// Its offset among all parameters.
    pub offset: usize,
    /// Its size.
    pub bytes: usize,
}

/// A kernel that can run.
#[derive(Clone, Debug, Default)]
pub struct Kernel {
    /// Its name.
    pub name: String,
    /// Its code; the last instruction is an exit.
    pub code: Vec<Inst>,
    /// Where each instruction comes from.
    pub origins: Vec<Origin>,
    /// The number of register rows.
    pub rows: u32,
    /// Rows that hold a number.
    pub constants: Vec<(u32, u64)>,
    /// Rows that hold a special register.
    pub specials: Vec<(u32, Special)>,
    /// The parameters.
    pub params: Vec<Param>,
    /// Bytes of all parameters.
    pub param_bytes: usize,
    /// Bytes of shared memory; a launch adds its own after them.
    pub shared_bytes: usize,
    /// Bytes of each thread's memory.
    pub local_bytes: usize,
    /// The most threads of a block, if declared.
    pub max_threads: Option<u32>,
}

/// All kernels of a module.
///
/// `addresses` holds the variables declared outside functions, except shared memory.
pub fn decode(source: &str, module: &Module, addresses: &HashMap<String, u64>) -> Result<Vec<Kernel>, PtxError> {
    let entries = module.functions.iter().filter(|function| function.is_entry);
    entries.map(|function| function::kernel(source, module, addresses, function)).collect()
}
