//! From names to numbers: kernels as arrays of instructions on rows of registers.
//!
//! Constants, special registers and addresses of variables have rows of their own, filled before a kernel runs, so that
//! an operand is always the number of a row. What an opcode's modifiers add (flushing, saturation, a second
//! destination, a carry) becomes instructions of their own. Functions are put in the place of their calls.

mod access;
mod collective;
mod compute;
mod function;
mod names;
mod opcode;

use crate::arith::{Conversion, Lanewise, Rows};
use crate::ptx::{Module, PtxError, Space};
use std::collections::HashMap;

/// Where the addresses of shared memory lie among generic addresses.
pub const SHARED_WINDOW: u64 = 1 << 60;
/// Where those of a thread's memory lie.
pub const LOCAL_WINDOW: u64 = 2 << 60;
/// Where those of a launch's parameters lie.
pub const PARAM_WINDOW: u64 = 3 << 60;

/// The predicate that an instruction runs under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// Its row.
    pub row: u32,
    /// Whether it must not hold.
    pub is_negated: bool,
}

/// How an address is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The state space.
    pub space: Space,
    /// The row of what is added to.
    pub base: u32,
    /// What is added.
    pub offset: i64,
    /// The bits that count: a register may have 32.
    pub mask: u64,
}

/// A load or a store.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transfer {
    /// Where.
    pub address: Address,
    /// The rows of the elements.
    pub rows: [u32; 4],
    /// How many elements there are.
    pub count: u8,
    /// Bytes of an element.
    pub bytes: u8,
    /// For a load: whether the top bit is a sign that fills the register.
    pub is_signed: bool,
    /// For a load: bits of the register.
    pub width: u8,
    /// Whether others may touch the same at the same time: `.volatile`, `.relaxed` and their like.
    pub is_strong: bool,
    /// Whether the memory must not be written while the kernel runs: `.nc`.
    pub is_constant: bool,
}

/// An atomic operation.
#[derive(Clone, Copy, Debug)]
pub struct Atomic {
    /// Where.
    pub address: Address,
    /// Bytes of the operand.
    pub bytes: u8,
    /// What memory holds afterwards, of what it holds and two operands.
    pub update: fn(u64, u64, u64) -> u64,
    /// The row that gets what memory held.
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

/// What a vote finds.
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
        /// Where what is read goes.
        to: u32,
        /// Where it goes whether there was such a lane.
        found: u32,
        /// What is read, the lane, and bounds.
        from: [u32; 3],
    },
    /// They count for whom a predicate holds.
    Vote {
        /// What is asked.
        kind: Vote,
        /// Where the answer goes.
        to: u32,
        /// The predicate.
        from: u32,
    },
    /// One value is made of all of theirs.
    Reduce {
        /// Of two, one.
        combine: fn(u64, u64, u64) -> u64,
        /// Where it goes.
        to: u32,
        /// Each lane's part.
        from: u32,
    },
}

/// What threads of a block wait for.
#[derive(Clone, Copy, Debug)]
pub struct Barrier {
    /// The row of the barrier's number.
    pub id: u32,
    /// The row of the number of threads; else all of the block.
    pub threads: Option<u32>,
    /// What they find out together: question, destination, predicate.
    pub vote: Option<(Vote, u32, u32)>,
    /// Whether the threads of a warp must come to the same place.
    pub is_aligned: bool,
}

/// What an instruction does.
#[derive(Clone, Debug)]
pub enum Op {
    /// Each lane by itself.
    Compute(Lanewise, Rows),
    /// `cvt`.
    Convert(Conversion, Rows),
    /// `bra`.
    Branch(u32),
    /// `brx.idx`: the row of the index, and the places.
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
    /// An error of the program's own.
    Trap,
}

/// One instruction.
#[derive(Clone, Debug)]
pub struct Inst {
    /// What it does.
    pub op: Op,
    /// When.
    pub guard: Option<Guard>,
}

/// What a special register holds.
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
    /// `%lanemask_lt` and its like: whether lanes below, the lane itself, and lanes above are in it.
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
    /// Where it lies among all.
    pub offset: usize,
    /// Its size.
    pub bytes: usize,
}

/// A kernel that can run.
#[derive(Clone, Debug, Default)]
pub struct Kernel {
    /// Its name.
    pub name: String,
    /// What it does; the last instruction is an exit.
    pub code: Vec<Inst>,
    /// Where each instruction comes from.
    pub origins: Vec<Origin>,
    /// How many rows of registers there are.
    pub rows: u32,
    /// Rows that hold a number.
    pub constants: Vec<(u32, u64)>,
    /// Rows that hold a special register.
    pub specials: Vec<(u32, Special)>,
    /// The parameters.
    pub params: Vec<Param>,
    /// Bytes of all parameters.
    pub param_bytes: usize,
    /// Bytes of shared memory; what a launch adds comes behind.
    pub shared_bytes: usize,
    /// Bytes of each thread's memory.
    pub local_bytes: usize,
    /// The most threads of a block, where the text says so.
    pub max_threads: Option<u32>,
}

/// All kernels of a module.
///
/// `addresses` says where the variables outside functions are, but for shared memory.
pub fn decode(source: &str, module: &Module, addresses: &HashMap<String, u64>) -> Result<Vec<Kernel>, PtxError> {
    let entries = module.functions.iter().filter(|function| function.is_entry);
    entries.map(|function| function::kernel(source, module, addresses, function)).collect()
}
