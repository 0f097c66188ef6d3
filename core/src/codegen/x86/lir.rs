//! Instructions over virtual registers: the form of a loop nest before registers and bytes are chosen.
//!
//! Code is a straight list with labels. A register is written once, except for loop variables and accumulators, which
//! instructions may write again. Integers are 64 bits wide; vectors hold [`Function::lanes`] elements of 32 or of 64
//! bits; masks one bit for each lane. The classes of its registers determine which elements an instruction works on.

use crate::aval::DType;
use smallvec::SmallVec;

/// Kernels with other types are refused before any code is generated.
pub(super) const NO_VECTORS: &str = "an element type without vectors";

/// Whether there are vectors of elements of this type.
pub fn has_vectors(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F64 | DType::I32 | DType::U32 | DType::Bool)
}

/// The most lanes of a vector. A function that has elements of 64 bits has half as many lanes as the machine has of 32.
pub(super) const LANES: usize = 16;

/// A virtual register.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) struct Reg(pub(super) u32);

/// A place in the code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Label(pub(super) u32);

/// The content of a register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    Int,
    /// Elements of 32 bits.
    Vec,
    /// Elements of 64 bits.
    Wide,
    Mask,
}

/// `base + index·scale + disp`, in bytes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Mem {
    pub(super) base: Reg,
    pub(super) index: Option<(Reg, u32)>,
    pub(super) disp: i32,
}

impl Mem {
    pub(super) fn at(base: Reg) -> Mem {
        Mem { base, index: None, disp: 0 }
    }

    pub(super) fn plus(self, disp: i32) -> Mem {
        Mem { disp: self.disp + disp, ..self }
    }
}

/// A comparison; `Unordered` holds where an operand is NaN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pred {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Unordered,
}

/// An operation. Operands are in `srcs`; `imm` is the number named here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Op {
    // integers
    /// The number `imm`.
    Imm,
    /// Entry `imm` of the table of arguments.
    Arg,
    /// The address of byte `imm` of the function's own memory.
    StackAddr,
    /// A 32-bit integer from memory, sign-extended.
    LoadI32,
    Mov,
    Add,
    Sub,
    Mul,
    AddImm,
    MulImm,
    Min,
    /// Lane 0 of a vector, sign-extended.
    LaneToInt,
    /// The number of lanes of a mask.
    MaskCount,
    // flow
    Label,
    /// Jumps to the label if the first operand is less than the second.
    JumpLt,
    /// Jumps to the label if the first operand is not less than the second.
    JumpGe,
    /// Fails if the operand is not in `0..imm`, or, for a negative `imm`, `0..argument -imm`.
    CheckInt,
    /// As `CheckInt`, for each lane of the mask; if there is a second operand its lanes are the extent, and `imm` is
    /// the extent that is reported.
    CheckVec,
    /// Fails if the second operand is less than the first, as with unsorted offsets.
    CheckOrder,
    // vectors
    /// The bits `imm` in all lanes.
    Const,
    /// The constant with place `imm` in the pool in all lanes: kernels of one form differ in it.
    Open,
    /// Entry `imm` of the function's tables.
    Table,
    Splat,
    /// Argument `imm` in all lanes; for 32 bits its lower half.
    SplatArg,
    Load,
    /// Reads the lanes of the mask; the others keep their values.
    LoadInto,
    /// Bytes; a mask has the first lanes, any number of them.
    LoadBytes,
    Bcst,
    BcstByte,
    /// Elements at `base + size·lane of the operand`.
    Gather,
    GatherBytes,
    Store,
    /// Bytes; a mask has the first lanes, any number of them.
    StoreBytes,
    /// Stores the lanes of the mask contiguously.
    StoreCompressed,
    MovV,
    AddF,
    SubF,
    MulF,
    DivF,
    /// The second operand if either is NaN or both are zero.
    MaxF,
    /// As `MaxF`.
    MinF,
    SqrtF,
    FloorF,
    CeilF,
    /// To the nearest whole number, halves to the even one.
    NearestF,
    TruncF,
    /// `a · 2^⌊b⌋`, rounded once.
    ScaleF,
    /// `result += a · b`, rounded once.
    Fma,
    AddI,
    SubI,
    MulI,
    MaxS,
    MinS,
    MaxU,
    MinU,
    And,
    Or,
    Xor,
    /// Shifts the sign in.
    SarImm,
    RolImm,
    ShlV,
    ShrV,
    CvtToF,
    CvtUToF,
    CvtToI,
    CvtToU,
    /// Converts to the float of the other size.
    CvtF,
    /// Lanes of the second operand, by the numbers in the first. For 64 bits each half has its number, here and below.
    Perm,
    /// Lanes of the second and the third operand, by the numbers in the first: those from the number of lanes on are
    /// the third's.
    Perm2,
    /// The second operand where the mask has a bit, else the first.
    Blend,
    /// The lanes of the mask, contiguous.
    Compress,
    /// The result of `call::apply` for the operands; `imm` is the operation's number.
    Call,
    // masks
    CmpF(Pred),
    CmpS(Pred),
    CmpU(Pred),
    /// Lanes that are not zero, of 32 bits.
    Test,
    MaskImm,
    MaskAnd,
    MaskOr,
    MaskXor,
    MaskNot,
}

impl Op {
    /// Whether a mask leaves the other lanes of the result unchanged.
    fn merges(self) -> bool {
        !matches!(
            self,
            Op::Load
                | Op::LoadBytes
                | Op::Gather
                | Op::GatherBytes
                | Op::Store
                | Op::StoreBytes
                | Op::StoreCompressed
                | Op::Blend
                | Op::Compress
                | Op::CmpF(_)
                | Op::CmpS(_)
                | Op::CmpU(_)
                | Op::CheckVec
        )
    }
}

/// One instruction.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Inst {
    pub(super) op: Op,
    pub(super) dst: Option<Reg>,
    pub(super) srcs: SmallVec<[Reg; 2]>,
    pub(super) mask: Option<Reg>,
    pub(super) mem: Option<Mem>,
    pub(super) imm: i64,
}

impl Inst {
    pub(super) fn new(op: Op) -> Inst {
        Inst { op, dst: None, srcs: SmallVec::new(), mask: None, mem: None, imm: 0 }
    }

    /// Whether the result depends on what the register held before.
    pub(super) fn reads_dst(&self) -> bool {
        matches!(self.op, Op::Fma | Op::LoadInto) || (self.mask.is_some() && self.op.merges())
    }

    /// All registers that it reads.
    pub(super) fn reads(&self) -> impl Iterator<Item = Reg> + '_ {
        let mem = self.mem.into_iter().flat_map(|mem| [Some(mem.base), mem.index.map(|(reg, _)| reg)]).flatten();
        let dst = self.dst.filter(|_| self.reads_dst());
        self.srcs.iter().copied().chain(self.mask).chain(mem).chain(dst)
    }
}

/// The code of one function.
#[derive(Clone, Debug, Default)]
pub(super) struct Function {
    /// Lanes of a vector.
    pub(super) lanes: usize,
    pub(super) insts: Vec<Inst>,
    pub(super) classes: Vec<Class>,
    /// First and last instruction of each loop.
    pub(super) loops: Vec<(usize, usize)>,
    /// First and last instruction, a jump and its label, of code that rarely runs.
    pub(super) rare: Vec<(usize, usize)>,
    pub(super) n_label: u32,
    pub(super) tables: Vec<[i32; LANES]>,
    /// Bytes of memory for the function's own use.
    pub(super) stack: usize,
    /// Key schedules of generators whose keys no loop changes, by the registers of the keys.
    pub(super) schedules: Vec<((Reg, Reg), [Reg; 7])>,
    consts: Vec<(Constant, Reg)>,
}

/// A value that a function sets once, at its start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Constant {
    Bits(u32),
    Wide(u64),
    Open(u32),
    Table(usize),
    Mask(u16),
}

impl Function {
    /// An empty function on vectors with this many lanes.
    pub(super) fn new(lanes: usize) -> Function {
        Function { lanes, ..Function::default() }
    }

    pub(super) fn reg(&mut self, class: Class) -> Reg {
        self.classes.push(class);
        Reg(self.classes.len() as u32 - 1)
    }

    pub(super) fn label(&mut self) -> Label {
        self.n_label += 1;
        Label(self.n_label - 1)
    }

    pub(super) fn push(&mut self, inst: Inst) {
        self.insts.push(inst);
    }

    /// An operation with a new register for its result.
    pub(super) fn emit(&mut self, class: Class, op: Op, srcs: &[Reg], imm: i64) -> Reg {
        let dst = self.reg(class);
        self.push(Inst { dst: Some(dst), srcs: SmallVec::from_slice(srcs), imm, ..Inst::new(op) });
        dst
    }

    /// Whether a vector has elements of 64 bits.
    pub(super) fn is_wide(&self, reg: Reg) -> bool {
        self.class(reg) == Class::Wide
    }

    fn class(&self, reg: Reg) -> Class {
        self.classes[reg.0 as usize]
    }

    /// An operation on vectors that returns elements of the last operand's size.
    pub(super) fn vec(&mut self, op: Op, srcs: &[Reg]) -> Reg {
        let is_wide = srcs.last().is_some_and(|reg| self.is_wide(*reg));
        self.emit(if is_wide { Class::Wide } else { Class::Vec }, op, srcs, 0)
    }

    /// An operation on a vector and a number.
    pub(super) fn vec_imm(&mut self, op: Op, src: Reg, imm: i64) -> Reg {
        self.emit(Class::Vec, op, &[src], imm)
    }

    /// An operation that returns a mask.
    pub(super) fn mask(&mut self, op: Op, srcs: &[Reg]) -> Reg {
        self.emit(Class::Mask, op, srcs, 0)
    }

    /// An operation on integers.
    pub(super) fn int(&mut self, op: Op, srcs: &[Reg], imm: i64) -> Reg {
        self.emit(Class::Int, op, srcs, imm)
    }

    /// Overwrites a register with the result of an operation.
    pub(super) fn update(&mut self, dst: Reg, op: Op, srcs: &[Reg], mask: Option<Reg>, imm: i64) {
        self.push(Inst { dst: Some(dst), srcs: SmallVec::from_slice(srcs), mask, imm, ..Inst::new(op) });
    }

    /// Reads memory; lanes outside the mask are 0.
    pub(super) fn load(&mut self, class: Class, op: Op, mem: Mem, mask: Option<Reg>) -> Reg {
        let dst = self.reg(class);
        self.push(Inst { dst: Some(dst), mem: Some(mem), mask, ..Inst::new(op) });
        dst
    }

    /// Reads the elements that a vector of numbers names.
    pub(super) fn gather(&mut self, class: Class, op: Op, mem: Mem, at: Reg, mask: Option<Reg>) -> Reg {
        let dst = self.reg(class);
        let srcs = SmallVec::from_slice(&[at]);
        self.push(Inst { dst: Some(dst), srcs, mem: Some(mem), mask, ..Inst::new(op) });
        dst
    }

    /// Writes the lanes of the mask to memory.
    pub(super) fn store(&mut self, op: Op, mem: Mem, value: Reg, mask: Option<Reg>) {
        self.push(Inst { srcs: SmallVec::from_slice(&[value]), mem: Some(mem), mask, ..Inst::new(op) });
    }

    pub(super) fn blend(&mut self, mask: Reg, when_false: Reg, when_true: Reg) -> Reg {
        let dst = self.reg(self.class(when_true));
        let srcs = SmallVec::from_slice(&[when_false, when_true]);
        self.push(Inst { dst: Some(dst), srcs, mask: Some(mask), ..Inst::new(Op::Blend) });
        dst
    }

    pub(super) fn compress(&mut self, mask: Reg, x: Reg) -> Reg {
        let dst = self.reg(self.class(x));
        let srcs = SmallVec::from_slice(&[x]);
        self.push(Inst { dst: Some(dst), srcs, mask: Some(mask), ..Inst::new(Op::Compress) });
        dst
    }

    /// The constant with these bits in all lanes: one register for the whole function, set at its start.
    pub(super) fn bits(&mut self, bits: u32) -> Reg {
        self.constant(Constant::Bits(bits), Class::Vec)
    }

    /// The constant with these 64 bits in all lanes, likewise.
    pub(super) fn wide_bits(&mut self, bits: u64) -> Reg {
        self.constant(Constant::Wide(bits), Class::Wide)
    }

    /// The constant with this number among those that the function's form leaves open, likewise.
    pub(super) fn open(&mut self, number: u32, class: Class) -> Reg {
        self.constant(Constant::Open(number), class)
    }

    /// The mask of the first `n` lanes, likewise.
    pub(super) fn first_lanes(&mut self, n: usize) -> Reg {
        self.mask_of(((1u32 << n) - 1) as u16)
    }

    /// The mask of these lanes, likewise.
    pub(super) fn mask_of(&mut self, lanes: u16) -> Reg {
        self.constant(Constant::Mask(lanes), Class::Mask)
    }

    fn constant(&mut self, constant: Constant, class: Class) -> Reg {
        if let Some((_, reg)) = self.consts.iter().find(|(c, _)| *c == constant) {
            return *reg;
        }
        let reg = self.reg(class);
        self.consts.push((constant, reg));
        reg
    }

    fn constant_of(&self, reg: Reg) -> Option<Constant> {
        self.consts.iter().find(|(_, r)| *r == reg).map(|(constant, _)| *constant)
    }

    /// The lanes of a vector of 32-bit elements that is a constant.
    pub(super) fn known_numbers(&self, reg: Reg) -> Option<[i32; LANES]> {
        match self.constant_of(reg)? {
            Constant::Bits(bits) => Some([bits as i32; LANES]),
            Constant::Table(at) => Some(self.tables[at]),
            Constant::Wide(_) | Constant::Open(_) | Constant::Mask(_) => None,
        }
    }

    /// The lanes of a mask that is a constant.
    pub(super) fn known_mask(&self, reg: Reg) -> Option<u16> {
        match self.constant_of(reg)? {
            Constant::Mask(lanes) => Some(lanes),
            Constant::Bits(_) | Constant::Wide(_) | Constant::Open(_) | Constant::Table(_) => None,
        }
    }

    pub(super) fn float(&mut self, x: f32) -> Reg {
        self.bits(x.to_bits())
    }

    /// A float of the size of the elements of `like`.
    pub(super) fn real(&mut self, like: Reg, x: f64) -> Reg {
        if self.is_wide(like) { self.wide_bits(x.to_bits()) } else { self.float(x as f32) }
    }

    /// Lanes of `x` by number.
    pub(super) fn permute(&mut self, numbers: [i32; LANES], x: Reg) -> Reg {
        let numbers = self.numbers(numbers, x);
        self.vec(Op::Perm, &[numbers, x])
    }

    /// Lanes of `a`, then of `b`, by number.
    pub(super) fn permute_two(&mut self, numbers: [i32; LANES], a: Reg, b: Reg) -> Reg {
        let numbers = self.numbers(numbers, b);
        self.vec(Op::Perm2, &[numbers, a, b])
    }

    /// The numbers of lanes in the form in which a permutation of vectors like `like` takes them.
    fn numbers(&mut self, numbers: [i32; LANES], like: Reg) -> Reg {
        let is_wide = self.is_wide(like);
        self.table(if is_wide { std::array::from_fn(|i| 2 * numbers[i / 2] + (i % 2) as i32) } else { numbers })
    }

    /// A vector of numbers, one for each lane.
    pub(super) fn table(&mut self, table: [i32; LANES]) -> Reg {
        let at = self.tables.iter().position(|t| *t == table).unwrap_or_else(|| {
            self.tables.push(table);
            self.tables.len() - 1
        });
        self.constant(Constant::Table(at), Class::Vec)
    }

    pub(super) fn set_label(&mut self, label: Label) {
        self.push(Inst { imm: label.0.into(), ..Inst::new(Op::Label) });
    }

    /// Jumps to a label; `srcs` are compared.
    pub(super) fn jump(&mut self, op: Op, srcs: &[Reg], label: Label) {
        self.push(Inst { srcs: SmallVec::from_slice(srcs), imm: label.0.into(), ..Inst::new(op) });
    }

    /// Puts the constants at the start; nothing may be appended afterwards.
    pub(super) fn finish(&mut self) {
        let is_read = self.remove_dead();
        let consts: Vec<Inst> = self
            .consts
            .iter()
            .filter(|(_, reg)| is_read[reg.0 as usize])
            .map(|(constant, reg)| {
                let (op, imm) = match constant {
                    Constant::Bits(bits) => (Op::Const, i64::from(*bits)),
                    Constant::Wide(bits) => (Op::Const, *bits as i64),
                    Constant::Open(number) => (Op::Open, i64::from(*number)),
                    Constant::Table(at) => (Op::Table, *at as i64),
                    Constant::Mask(lanes) => (Op::MaskImm, i64::from(*lanes)),
                };
                Inst { dst: Some(*reg), imm, ..Inst::new(op) }
            })
            .collect();
        let n = consts.len();
        self.insts.splice(0..0, consts);
        self.loops.iter_mut().chain(&mut self.rare).for_each(|(start, end)| {
            *start += n;
            *end += n;
        });
    }
}
