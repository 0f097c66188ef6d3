//! Translates every instruction of a function to one or a few of the machine's.
//!
//! The function takes the address of its table of arguments in `rdi`, which stays there; `rsi` holds the address of the
//! pool of constants before the code; `rbp` the frame. It returns 0, or 1 if a check failed, with the position and the
//! extent in entries [`POSITION`] and [`EXTENT`] of the table.
//!
//! The trait [`Vectors`] covers the differences between instruction sets: vectors and masks.

mod assembler;
mod avx2;
mod avx512;
mod call;
mod ints;

use super::allocate::{File, INTS, Place, allocate, constant};
use super::check::holds_values;
use super::lir::{Class, Function, Inst, LANES, Mem, Op, Pred, Reg};
use super::pages::ALIGN;
use super::{EXTENT, Isa, POSITION};
use assembler::{Assembler, Label};
use iced_x86::{Code, IcedError, Instruction, MemoryOperand, Register};
use std::marker::PhantomData;
use std::ops::Range;

/// Integer registers reserved for spilled values.
const INT_SCRATCH: [Register; 3] = [Register::RAX, Register::RCX, Register::RDX];

/// The least number of bytes in a page of memory.
const PAGE: usize = 4096;

/// The callee-saved registers that the function stores, in the frame below `rbp`.
const SAVED: [Register; 5] = [Register::RBX, Register::R12, Register::R13, Register::R14, Register::R15];

/// The immediate operand of an instruction that rounds to whole numbers, without an exception for inexact results.
fn rounding(op: Op) -> i32 {
    match op {
        Op::NearestF => 8,
        Op::FloorF => 9,
        Op::CeilF => 10,
        Op::TruncF => 11,
        other => unreachable!("{other:?} does not round"),
    }
}

/// The differences between instruction sets: vectors and masks.
trait Vectors {
    /// The registers of vectors and masks that may be allocated.
    const FILES: &'static [File];

    /// Three vectors reserved for spilled values.
    const SCRATCH: [Register; 3];

    /// Register `n` of those that may be allocated to vectors or masks.
    fn register(class: Class, n: u8) -> Register;

    /// Reads a constant from the pool.
    fn read_constant(&mut self, class: Class, place: Place, to: Register) -> Result<(), IcedError>;

    /// Reads a vector or a mask from the frame.
    fn reload(&mut self, class: Class, to: Register, at: MemoryOperand) -> Result<(), IcedError>;

    /// Writes a vector or a mask to the frame.
    fn spill(&mut self, class: Class, at: MemoryOperand, from: Register) -> Result<(), IcedError>;

    /// Lane 0 as 32 bits.
    fn lane_to_int(&mut self, from: Reg, to: Register) -> Result<(), IcedError>;

    /// The number of lanes of a mask, in `eax`.
    fn count(&mut self, mask: Reg) -> Result<(), IcedError>;

    /// A check of all lanes.
    fn check_vec(&mut self, inst: &Inst) -> Result<(), IcedError>;

    /// The first lane of `at` that the preceding check found wrong, in `rax`.
    fn wrong_lane(&mut self, at: Register) -> Result<(), IcedError>;

    /// An instruction that writes memory.
    fn store(&mut self, inst: &Inst) -> Result<(), IcedError>;

    /// An instruction whose result is a vector.
    fn vec(&mut self, inst: &Inst, dst: Reg) -> Result<(), IcedError>;

    /// An instruction whose result is a mask.
    fn mask(&mut self, inst: &Inst, dst: Reg) -> Result<(), IcedError>;
}

/// The state of emitting a function for instruction set `I`.
struct Emit<'a, I> {
    a: Assembler,
    f: &'a Function,
    places: Vec<Place>,
    labels: Vec<Label>,
    exit: Label,
    pool: Vec<u8>,
    /// The places of constants in the pool.
    consts: Vec<(Vec<u8>, i32)>,
    /// The places of open constants in the pool, by number, and the bytes from one copy to the next.
    open: Vec<(u32, Range<usize>, usize)>,
    /// Where the frame's part for calls starts.
    call_area: usize,
    /// Checks whose failure is reported after the code.
    failures: Vec<Failure>,
    isa: PhantomData<I>,
}

/// What is reported when a check fails.
struct Failure {
    label: Label,
    /// The register with the position, or with a vector of positions.
    position: Register,
    /// The extent, or its entry in the table, as in [`Inst::imm`].
    extent: i64,
}

/// The bytes of a function.
pub(super) struct Emitted {
    pub(super) bytes: Vec<u8>,
    /// Where its instructions start: the pool of constants comes before them.
    pub(super) entry: usize,
    /// Open constants by number, and the byte offset of each, once or once for each lane.
    pub(super) open: Vec<(usize, usize)>,
}

/// Emits a function.
pub(super) fn emit(f: &Function, isa: Isa) -> Result<Emitted, IcedError> {
    match isa {
        Isa::Avx2 => emit_for::<avx2::Avx2>(f, &files(isa)),
        Isa::Avx512 => emit_for::<avx512::Avx512>(f, &files(isa)),
    }
}

/// The registers of an instruction set that may be allocated.
pub(super) fn files(isa: Isa) -> Vec<File> {
    let vectors = match isa {
        Isa::Avx2 => Emit::<avx2::Avx2>::FILES,
        Isa::Avx512 => Emit::<avx512::Avx512>::FILES,
    };
    let ints: File = (&[Class::Int], INTS.len() as u8);
    vectors.iter().copied().chain([ints]).collect()
}

fn emit_for<'a, I>(f: &'a Function, files: &[File]) -> Result<Emitted, IcedError>
where
    Emit<'a, I>: Vectors,
{
    let allocation = allocate(f, files);
    debug_assert_eq!(holds_values(f, &allocation, files), Ok(()));
    let mut a = Assembler::default();
    let labels = (0..f.n_label).map(|_| a.label()).collect();
    let exit = a.label();
    let pool = f.tables.iter().flatten().flat_map(|x| x.to_le_bytes()).collect();
    let call_area = allocation.frame;
    let frame = call_area + call::bytes(&allocation.calls);
    let places = allocation.places;
    let (consts, open, failures) = (vec![], vec![], vec![]);
    let mut e: Emit<'a, I> =
        Emit { a, f, places, labels, exit, pool, consts, open, call_area, failures, isa: PhantomData };
    e.prologue(frame)?;
    let mut calls = allocation.calls.iter();
    for inst in &f.insts {
        match (inst.op, inst.dst) {
            (Op::Call, Some(dst)) => e.call(inst, dst, calls.next().map_or(&[], |live| live))?,
            _ => e.inst(inst)?,
        }
    }
    e.epilogue()?;
    let mut bytes = e.pool;
    bytes.resize(bytes.len().next_multiple_of(ALIGN), 0xcc);
    let entry = bytes.len();
    bytes.extend(e.a.assemble(entry as u64)?);
    let copies = |(number, at, step): (u32, Range<usize>, usize)| at.step_by(step).map(move |at| (number as usize, at));
    Ok(Emitted { bytes, entry, open: e.open.into_iter().flat_map(copies).collect() })
}

fn memory(base: Register, index: Option<(Register, u32)>, disp: i32) -> MemoryOperand {
    let (index, scale) = index.unwrap_or((Register::None, 1));
    MemoryOperand::with_base_index_scale_displ_size(base, index, scale, disp.into(), u32::from(disp != 0))
}

/// An entry of the table of arguments.
fn arg(entry: i64) -> MemoryOperand {
    memory(Register::RDI, None, 8 * entry as i32)
}

/// The lower 32 bits of an integer register.
fn low_half(reg: Register) -> Register {
    Register::EAX + (reg as u32 - Register::RAX as u32)
}

/// The machine's number of a comparison of floats; none signals.
fn float(pred: Pred) -> i32 {
    match pred {
        Pred::Eq => 0x00,
        Pred::Ne => 0x04,
        Pred::Lt => 0x11,
        Pred::Le => 0x12,
        Pred::Gt => 0x1e,
        Pred::Ge => 0x1d,
        Pred::Unordered => 0x03,
    }
}

impl<I> Emit<'_, I>
where
    Self: Vectors,
{
    fn prologue(&mut self, frame: usize) -> Result<(), IcedError> {
        self.add(Instruction::with1(Code::Push_r64, Register::RBP)?)?;
        self.add(Instruction::with2(Code::Mov_rm64_r64, Register::RBP, Register::RSP)?)?;
        for reg in SAVED {
            self.add(Instruction::with1(Code::Push_r64, reg)?)?;
        }
        if frame > 0 {
            self.make_room(frame)?;
        }
        self.find_pool()
    }

    /// Allocates a frame that starts at a cache line. Below a stack lies a guard page: a frame of several pages touches
    /// each of them in order, and so never steps over that page.
    fn make_room(&mut self, frame: usize) -> Result<(), IcedError> {
        let touch = Instruction::with2(Code::Or_rm64_imm8, memory(Register::RSP, None, 0), 0)?;
        self.add(Instruction::with2(Code::And_rm64_imm8, Register::RSP, -64)?)?;
        if frame >= PAGE {
            self.add(touch)?;
        }
        for _ in 0..frame / PAGE {
            self.add(Instruction::with2(Code::Sub_rm64_imm32, Register::RSP, PAGE as i32)?)?;
            self.add(touch)?;
        }
        self.add(Instruction::with2(Code::Sub_rm64_imm32, Register::RSP, (frame % PAGE) as i32)?)
    }

    /// Points `rsi` at the pool, which starts at the first byte.
    fn find_pool(&mut self) -> Result<(), IcedError> {
        let pool = MemoryOperand::with_base_displ(Register::RIP, 0);
        self.add(Instruction::with2(Code::Lea_r64_m, Register::RSI, pool)?)
    }

    fn epilogue(&mut self) -> Result<(), IcedError> {
        let failures = std::mem::take(&mut self.failures);
        self.add(Instruction::with2(Code::Xor_rm64_r64, Register::RAX, Register::RAX)?)?;
        self.a.place(self.exit);
        self.add(Instruction::with(Code::VEX_Vzeroupper))?;
        let saved = memory(Register::RBP, None, -8 * SAVED.len() as i32);
        self.add(Instruction::with2(Code::Lea_r64_m, Register::RSP, saved)?)?;
        for reg in SAVED.into_iter().rev().chain([Register::RBP]) {
            self.add(Instruction::with1(Code::Pop_r64, reg)?)?;
        }
        self.add(Instruction::with(Code::Retnq))?;
        for Failure { label, position, extent } in failures {
            self.a.place(label);
            let position = if position.is_gpr() {
                position
            } else {
                self.wrong_lane(position)?;
                Register::RAX
            };
            self.add(Instruction::with2(Code::Mov_rm64_r64, arg(POSITION as i64), position)?)?;
            match extent {
                0.. => self.add(Instruction::with2(Code::Mov_r64_imm64, Register::RAX, extent as u64)?)?,
                entry => self.add(Instruction::with2(Code::Mov_r64_rm64, Register::RAX, arg(-entry))?)?,
            }
            self.add(Instruction::with2(Code::Mov_rm64_r64, arg(EXTENT as i64), Register::RAX)?)?;
            self.add(Instruction::with2(Code::Mov_r64_imm64, Register::RAX, 1u64)?)?;
            self.a.branch(Code::Jmp_rel8_64, self.exit)?;
        }
        Ok(())
    }

    fn add(&mut self, instruction: Instruction) -> Result<(), IcedError> {
        self.a.add(instruction);
        Ok(())
    }

    /// The place of the pool that holds these bytes.
    fn pooled(&mut self, bytes: &[u8]) -> MemoryOperand {
        let at = match self.consts.iter().find(|(known, _)| known == bytes) {
            Some((_, at)) => *at,
            None => {
                let at = self.put(bytes) as i32;
                self.consts.push((bytes.to_vec(), at));
                at
            }
        };
        memory(Register::RSI, None, at)
    }

    /// Puts bytes into the pool; returns their offset.
    fn put(&mut self, bytes: &[u8]) -> usize {
        // No constant crosses a cache line.
        self.pool.resize(self.pool.len().next_multiple_of(bytes.len().min(ALIGN)), 0);
        self.pool.extend_from_slice(bytes);
        self.pool.len() - bytes.len()
    }

    /// The place in the pool for this many copies of an open constant of this many bytes: no other constant shares it,
    /// whatever their bits are.
    fn open(&mut self, number: u32, size: usize, copies: usize) -> MemoryOperand {
        let known = self.open.iter().find(|(other, ..)| *other == number).map(|(_, at, _)| at.start);
        let at = known.unwrap_or_else(|| {
            let at = self.put(&vec![0; size * copies]);
            self.open.push((number, at..at + size * copies, size));
            at
        });
        memory(Register::RSI, None, at as i32)
    }

    /// The place of the function's table `n` in the pool.
    fn table(n: usize) -> MemoryOperand {
        memory(Register::RSI, None, (n * LANES * 4) as i32)
    }

    fn physical(&self, reg: Reg) -> Option<Register> {
        let Place::Register(n) = self.places[reg.0 as usize] else { return None };
        Some(match self.f.classes[reg.0 as usize] {
            Class::Int => INTS[n as usize],
            class => Self::register(class, n),
        })
    }

    /// The register that holds a value, `scratch` if it is spilled.
    fn read(&mut self, reg: Reg, scratch: Register) -> Result<Register, IcedError> {
        let class = self.f.classes[reg.0 as usize];
        match self.places[reg.0 as usize] {
            Place::Register(_) => return Ok(self.physical(reg).unwrap_or(scratch)),
            Place::Nowhere => {}
            Place::Slot(at) => self.load_slot(class, scratch, at as i32)?,
            Place::Arg(entry) => self.read_arg(scratch, entry)?,
            Place::Frame(at) => {
                let at = memory(Register::RSP, None, at as i32);
                self.add(Instruction::with2(Code::Lea_r64_m, scratch, at)?)?;
            }
            place => self.read_constant(class, place, scratch)?,
        }
        Ok(scratch)
    }

    /// Whether an instruction works on elements of 64 bits.
    fn is_wide(&self, inst: &Inst) -> bool {
        inst.dst.iter().chain(&inst.srcs).any(|reg| self.f.is_wide(*reg))
    }

    /// The constant that a register holds throughout.
    fn constant_of(&self, reg: Reg) -> Option<Place> {
        let constants = self.f.insts.iter().map_while(|inst| Some((inst.dst, constant(inst)?)));
        constants.into_iter().find(|(dst, _)| *dst == Some(reg)).map(|(_, place)| place)
    }

    /// The number of bytes of a load or a store whose mask is known to have the first lanes: a plain one of a shorter
    /// register costs less than a masked one.
    fn first_bytes(&self, inst: &Inst, wide: bool) -> Option<u32> {
        let Place::Mask(lanes) = self.constant_of(inst.mask?)? else { return None };
        let n = lanes.trailing_ones();
        (u32::from(lanes) == (1 << n) - 1).then_some(if wide { 8 * n } else { 4 * n })
    }

    /// Sets a constant, if it has a register.
    fn constant(&mut self, inst: &Inst, dst: Reg) -> Result<(), IcedError> {
        match (self.physical(dst), constant(inst)) {
            (Some(d), Some(place)) => self.read_constant(self.f.classes[dst.0 as usize], place, d),
            _ => Ok(()),
        }
    }

    /// The register to write a value to; `scratch` if it is spilled, for [`Self::written`].
    fn target(&self, reg: Reg, scratch: Register) -> Register {
        self.physical(reg).unwrap_or(scratch)
    }

    /// Stores a spilled value.
    fn written(&mut self, reg: Reg, from: Register) -> Result<(), IcedError> {
        let Place::Slot(at) = self.places[reg.0 as usize] else { return Ok(()) };
        self.store_slot(self.f.classes[reg.0 as usize], from, at as i32)
    }

    /// Reads a register from the frame.
    fn load_slot(&mut self, class: Class, register: Register, at: i32) -> Result<(), IcedError> {
        let at = memory(Register::RSP, None, at);
        match class {
            Class::Int => self.add(Instruction::with2(Code::Mov_r64_rm64, register, at)?),
            class => self.reload(class, register, at),
        }
    }

    /// Writes a register to the frame.
    fn store_slot(&mut self, class: Class, register: Register, at: i32) -> Result<(), IcedError> {
        let at = memory(Register::RSP, None, at);
        match class {
            Class::Int => self.add(Instruction::with2(Code::Mov_rm64_r64, at, register)?),
            class => self.spill(class, at, register),
        }
    }

    /// Reads an entry of the table of arguments.
    fn read_arg(&mut self, to: Register, entry: u32) -> Result<(), IcedError> {
        self.add(Instruction::with2(Code::Mov_r64_rm64, to, arg(entry.into()))?)
    }

    /// The place of the 32 bits of a check's extent.
    fn extent(&mut self, imm: i64) -> MemoryOperand {
        match imm {
            0.. => self.pooled(&(imm as u32).to_le_bytes()),
            entry => arg(-entry),
        }
    }

    fn mem(&mut self, mem: Mem) -> Result<MemoryOperand, IcedError> {
        let (base, start) = match self.places[mem.base.0 as usize] {
            Place::Frame(at) => (Register::RSP, at as i32),
            _ => (self.read(mem.base, INT_SCRATCH[1])?, 0),
        };
        let index = match mem.index {
            Some((reg, scale)) => Some((self.read(reg, INT_SCRATCH[2])?, scale)),
            None => None,
        };
        Ok(memory(base, index, start + mem.disp))
    }

    fn inst(&mut self, inst: &Inst) -> Result<(), IcedError> {
        match inst.op {
            Op::Label => {
                self.a.place(self.labels[inst.imm as usize]);
                Ok(())
            }
            Op::JumpLt | Op::JumpGe => {
                let a = self.read(inst.srcs[0], INT_SCRATCH[1])?;
                let b = self.read(inst.srcs[1], INT_SCRATCH[2])?;
                self.add(Instruction::with2(Code::Cmp_r64_rm64, a, b)?)?;
                let label = self.labels[inst.imm as usize];
                self.a.branch(if inst.op == Op::JumpLt { Code::Jl_rel8_64 } else { Code::Jge_rel8_64 }, label)
            }
            Op::CheckInt | Op::CheckOrder => self.check(inst),
            Op::CheckVec => self.check_vec(inst),
            _ => match inst.dst {
                None => self.store(inst),
                Some(dst) => match self.f.classes[dst.0 as usize] {
                    Class::Int => self.int(inst, dst),
                    Class::Vec | Class::Wide => self.vec(inst, dst),
                    Class::Mask => self.mask(inst, dst),
                },
            },
        }
    }

    fn check(&mut self, inst: &Inst) -> Result<(), IcedError> {
        let label = self.a.label();
        let a = self.read(inst.srcs[0], INT_SCRATCH[0])?;
        if inst.op == Op::CheckOrder {
            let b = self.read(inst.srcs[1], INT_SCRATCH[1])?;
            self.add(Instruction::with2(Code::Cmp_r64_rm64, b, a)?)?;
            self.a.branch(Code::Jl_rel8_64, label)?;
        } else {
            match (inst.imm, i32::try_from(inst.imm)) {
                (0.., Ok(extent)) => self.add(Instruction::with2(Code::Cmp_rm64_imm32, a, extent)?)?,
                (0.., Err(_)) => {
                    let extent = INT_SCRATCH[1];
                    self.add(Instruction::with2(Code::Mov_r64_imm64, extent, inst.imm as u64)?)?;
                    self.add(Instruction::with2(Code::Cmp_r64_rm64, a, extent)?)?;
                }
                (entry, _) => self.add(Instruction::with2(Code::Cmp_r64_rm64, a, arg(-entry))?)?,
            }
            self.a.branch(Code::Jae_rel8_64, label)?;
        }
        self.failures.push(Failure { label, position: a, extent: inst.imm });
        Ok(())
    }
}
