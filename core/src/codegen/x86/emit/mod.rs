//! Machine code with AVX-512: every instruction of a function becomes one or a few of the machine's.
//!
//! The function takes the address of its table of arguments in `rdi`, which stays there; `rsi` holds the address of the
//! pool of constants behind the code; `rbp` the frame. It returns 0, or 1 where a check failed, with the position and the
//! extent in entries [`POSITION`] and [`EXTENT`] of the table.

mod avx512;
mod call;
mod codes;
mod ints;

use super::allocate::{Allocation, Available, Place};
use super::lir::{Class, Function, Inst, LANES, Mem, Op, Reg};
use super::{EXTENT, POSITION};
use iced_x86::code_asm::{CodeAssembler, CodeLabel, ptr, qword_ptr};
use iced_x86::code_asm::{r12, r13, r14, r15, rax, rbp, rbx, rsi, rsp};
use iced_x86::{Code, IcedError, Instruction, MemoryOperand, Register};

/// What may be given away; three vectors, four integers and three masks are kept for values that live in memory.
pub(super) const AVAILABLE: Available = Available { int: 9, vec: 29, mask: 4 };

const INTS: [Register; 9] = [
    Register::R8,
    Register::R9,
    Register::R10,
    Register::R11,
    Register::RBX,
    Register::R12,
    Register::R13,
    Register::R14,
    Register::R15,
];
const INT_SCRATCH: [Register; 3] = [Register::RAX, Register::RCX, Register::RDX];
const VEC_SCRATCH: [Register; 3] = [Register::ZMM29, Register::ZMM30, Register::ZMM31];
const MASK_SCRATCH: [Register; 3] = [Register::K5, Register::K6, Register::K7];

/// The registers of the caller that the function keeps, in the frame below `rbp`.
const SAVED: i32 = 5 * 8;

struct Emit<'a> {
    a: CodeAssembler,
    f: &'a Function,
    places: &'a [Place],
    labels: Vec<CodeLabel>,
    exit: CodeLabel,
    pool_label: CodeLabel,
    pool: Vec<u8>,
    consts: Vec<(Class, u64, i32)>,
    /// Where the frame's part for calls begins.
    call_area: usize,
    /// Checks whose failure is told behind the code: label, position, whether the extent is in the table, and its entry
    /// or itself.
    failures: Vec<(CodeLabel, Register, i64)>,
}

/// The bytes of a function.
pub(super) struct Emitted {
    pub(super) bytes: Vec<u8>,
    /// How many of the bytes are instructions: the pool of constants stands behind.
    pub(super) code_bytes: usize,
    /// The bits of each of the pool's constants, and at which byte of all it is.
    pub(super) constants: Vec<(u64, usize)>,
}

/// Writes a function, whose registers have these places.
pub(super) fn emit(f: &Function, allocation: &Allocation) -> Result<Emitted, IcedError> {
    let mut a = CodeAssembler::new(64)?;
    let labels = (0..f.n_label).map(|_| a.create_label()).collect();
    let (exit, pool_label) = (a.create_label(), a.create_label());
    let mut pool = vec![];
    f.tables.iter().flatten().for_each(|x| pool.extend_from_slice(&x.to_le_bytes()));
    let places = &allocation.places;
    let call_area = allocation.frame;
    let frame = if allocation.calls.is_empty() { allocation.frame } else { call_area + call::BYTES };
    let mut e = Emit { a, f, places, labels, exit, pool_label, pool, consts: vec![], call_area, failures: vec![] };
    e.prologue(frame)?;
    let mut calls = allocation.calls.iter();
    for inst in &f.insts {
        match (inst.op, inst.dst) {
            (Op::Call, Some(dst)) => e.call(inst, dst, calls.next().map_or(&[], |live| live))?,
            _ => e.inst(inst)?,
        }
    }
    let pool = e.epilogue()?;
    let bytes = e.a.assemble(0)?;
    let code_bytes = bytes.len() - pool;
    let constants = e.consts.iter().map(|(_, bits, at)| (*bits, code_bytes + *at as usize)).collect();
    Ok(Emitted { bytes, code_bytes, constants })
}

/// One element of memory in all lanes.
fn broadcast(class: Class) -> Code {
    if class == Class::Wide { Code::EVEX_Vbroadcastsd_zmm_k1z_xmmm64 } else { Code::EVEX_Vbroadcastss_zmm_k1z_xmmm32 }
}

fn memory(base: Register, index: Option<(Register, u32)>, disp: i32) -> MemoryOperand {
    let (index, scale) = index.unwrap_or((Register::None, 1));
    MemoryOperand::with_base_index_scale_displ_size(base, index, scale, disp.into(), u32::from(disp != 0))
}

/// The lower 32 bits of an integer register.
fn low_half(reg: Register) -> Register {
    Register::EAX + (reg as u32 - Register::RAX as u32)
}

impl Emit<'_> {
    fn prologue(&mut self, frame: usize) -> Result<(), IcedError> {
        let a = &mut self.a;
        a.push(rbp)?;
        a.mov(rbp, rsp)?;
        for reg in [rbx, r12, r13, r14, r15] {
            a.push(reg)?;
        }
        if frame > 0 {
            a.sub(rsp, frame as i32)?;
            a.and(rsp, -64)?;
        }
        a.lea(rsi, ptr(self.pool_label))
    }

    /// The end of the function, and the pool; its bytes are told.
    fn epilogue(&mut self) -> Result<usize, IcedError> {
        let failures = std::mem::take(&mut self.failures);
        self.a.xor(rax, rax)?;
        self.a.set_label(&mut self.exit)?;
        self.a.vzeroupper()?;
        self.a.lea(rsp, qword_ptr(rbp - SAVED))?;
        for reg in [r15, r14, r13, r12, rbx, rbp] {
            self.a.pop(reg)?;
        }
        self.a.ret()?;
        for (mut label, position, extent) in failures {
            self.a.set_label(&mut label)?;
            let at = |entry: usize| memory(Register::RDI, None, 8 * entry as i32);
            self.add(Instruction::with2(Code::Mov_rm64_r64, at(POSITION), position)?)?;
            match extent {
                0.. => self.add(Instruction::with2(Code::Mov_r64_imm64, Register::RAX, extent as u64)?)?,
                _ => self.add(Instruction::with2(Code::Mov_r64_rm64, Register::RAX, at(-extent as usize))?)?,
            }
            self.add(Instruction::with2(Code::Mov_rm64_r64, at(EXTENT), Register::RAX)?)?;
            self.a.mov(rax, 1u64)?;
            self.a.jmp(self.exit)?;
        }
        self.a.set_label(&mut self.pool_label)?;
        let pool = std::mem::take(&mut self.pool);
        // Something must stand behind the label.
        self.a.db(if pool.is_empty() { &[0] } else { &pool })?;
        Ok(pool.len().max(1))
    }

    fn add(&mut self, instruction: Instruction) -> Result<(), IcedError> {
        self.a.add_instruction(instruction)
    }

    fn with_mask(&mut self, mut i: Instruction, mask: Option<Register>, zeroes: bool) -> Result<(), IcedError> {
        if let Some(k) = mask {
            i.set_op_mask(k);
            i.set_zeroing_masking(zeroes);
        }
        self.add(i)
    }

    /// The place of a constant's element.
    fn pooled(&mut self, class: Class, bits: u64) -> MemoryOperand {
        let at = match self.consts.iter().find(|(c, b, _)| (*c, *b) == (class, bits)) {
            Some((.., at)) => *at,
            None => {
                let size = if class == Class::Wide { 8 } else { 4 };
                self.pool.resize(self.pool.len().next_multiple_of(size), 0);
                let at = self.pool.len() as i32;
                self.pool.extend_from_slice(&bits.to_le_bytes()[..size]);
                self.consts.push((class, bits, at));
                at
            }
        };
        memory(Register::RSI, None, at)
    }

    fn physical(&self, reg: Reg) -> Option<Register> {
        let Place::Register(n) = self.places[reg.0 as usize] else { return None };
        Some(match self.f.classes[reg.0 as usize] {
            Class::Int => INTS[n as usize],
            Class::Vec | Class::Wide => Register::ZMM0 + u32::from(n),
            Class::Mask => Register::K1 + u32::from(n),
        })
    }

    /// The register that holds a value, `scratch` where it lives in memory.
    fn read(&mut self, reg: Reg, scratch: Register) -> Result<Register, IcedError> {
        if let Some(r) = self.physical(reg) {
            return Ok(r);
        }
        let i = match (self.places[reg.0 as usize], self.f.classes[reg.0 as usize]) {
            (Place::Pool(bits), class) => {
                let at = self.pooled(class, bits);
                Instruction::with2(broadcast(class), scratch, at)?
            }
            (Place::Table(at), _) => {
                let at = memory(Register::RSI, None, at as i32 * 4 * LANES as i32);
                Instruction::with2(Code::EVEX_Vmovups_zmm_k1z_zmmm512, scratch, at)?
            }
            (Place::Slot(at), class) => {
                self.load_slot(class, scratch, at as i32)?;
                return Ok(scratch);
            }
            _ => return Ok(scratch),
        };
        self.add(i)?;
        Ok(scratch)
    }

    /// The register to write a value to; `scratch` where it lives in memory, for [`Self::written`].
    fn target(&self, reg: Reg, scratch: Register) -> Register {
        self.physical(reg).unwrap_or(scratch)
    }

    /// Stores a value that lives in memory.
    fn written(&mut self, reg: Reg, from: Register) -> Result<(), IcedError> {
        let Place::Slot(at) = self.places[reg.0 as usize] else { return Ok(()) };
        self.store_slot(self.f.classes[reg.0 as usize], from, at as i32)
    }

    /// Reads a register from the frame.
    fn load_slot(&mut self, class: Class, register: Register, at: i32) -> Result<(), IcedError> {
        let code = match class {
            Class::Int => Code::Mov_r64_rm64,
            Class::Vec | Class::Wide => Code::EVEX_Vmovups_zmm_k1z_zmmm512,
            Class::Mask => Code::VEX_Kmovw_kr_km16,
        };
        self.add(Instruction::with2(code, register, memory(Register::RSP, None, at))?)
    }

    /// Writes a register to the frame.
    fn store_slot(&mut self, class: Class, register: Register, at: i32) -> Result<(), IcedError> {
        let code = match class {
            Class::Int => Code::Mov_rm64_r64,
            Class::Vec | Class::Wide => Code::EVEX_Vmovups_zmmm512_k1z_zmm,
            Class::Mask => Code::VEX_Kmovw_m16_kr,
        };
        self.add(Instruction::with2(code, memory(Register::RSP, None, at), register)?)
    }

    fn mem(&mut self, mem: Mem) -> Result<MemoryOperand, IcedError> {
        let base = self.read(mem.base, INT_SCRATCH[1])?;
        let index = match mem.index {
            Some((reg, scale)) => Some((self.read(reg, INT_SCRATCH[2])?, scale)),
            None => None,
        };
        Ok(memory(base, index, mem.disp))
    }

    fn inst(&mut self, inst: &Inst) -> Result<(), IcedError> {
        match inst.op {
            Op::Label => {
                let label = inst.imm as usize;
                // Two labels in a row need an instruction between them.
                self.a.nop()?;
                let mut l = self.labels[label];
                self.a.set_label(&mut l)?;
                self.labels[label] = l;
                Ok(())
            }
            Op::JumpLt | Op::JumpGe => {
                let a = self.read(inst.srcs[0], INT_SCRATCH[1])?;
                let b = self.read(inst.srcs[1], INT_SCRATCH[2])?;
                self.add(Instruction::with2(Code::Cmp_r64_rm64, a, b)?)?;
                let label = self.labels[inst.imm as usize];
                if inst.op == Op::JumpLt { self.a.jl(label) } else { self.a.jge(label) }
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
        let label = self.a.create_label();
        let a = self.read(inst.srcs[0], INT_SCRATCH[0])?;
        if inst.op == Op::CheckOrder {
            let b = self.read(inst.srcs[1], INT_SCRATCH[1])?;
            self.add(Instruction::with2(Code::Cmp_r64_rm64, b, a)?)?;
            self.a.jl(label)?;
            self.failures.push((label, a, inst.imm));
            return Ok(());
        }
        match inst.imm {
            0.. => self.add(Instruction::with2(Code::Cmp_rm64_imm32, a, inst.imm as i32)?)?,
            entry => {
                let at = memory(Register::RDI, None, -8 * entry as i32);
                self.add(Instruction::with2(Code::Cmp_r64_rm64, a, at)?)?;
            }
        }
        self.a.jae(label)?;
        self.failures.push((label, a, inst.imm));
        Ok(())
    }
}
