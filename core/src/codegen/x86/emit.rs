//! Machine code with AVX-512: every instruction of a function becomes one or a few of the machine's.
//!
//! The function takes the address of its table of arguments in `rdi`, which stays there; `rsi` holds the address of the
//! pool of constants behind the code; `rbp` the frame. It returns 0, or 1 where a check failed, with the position and the
//! extent in entries [`POSITION`] and [`EXTENT`] of the table.

use super::allocate::{Allocation, Available, Place};
use super::lir::{Class, Function, Inst, LANES, Mem, Op, Pred, Reg};
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
    consts: Vec<(u32, i32)>,
    /// Checks whose failure is told behind the code: label, position, whether the extent is in the table, and its entry
    /// or itself.
    failures: Vec<(CodeLabel, Register, i64)>,
}

/// The bytes of a function, and how many of them are instructions: the pool of constants stands behind.
pub(super) fn emit(f: &Function, allocation: &Allocation) -> Result<(Vec<u8>, usize), IcedError> {
    let mut a = CodeAssembler::new(64)?;
    let labels = (0..f.n_label).map(|_| a.create_label()).collect();
    let (exit, pool_label) = (a.create_label(), a.create_label());
    let mut pool = vec![];
    f.tables.iter().flatten().for_each(|x| pool.extend_from_slice(&x.to_le_bytes()));
    let places = &allocation.places;
    let mut e = Emit { a, f, places, labels, exit, pool_label, pool, consts: vec![], failures: vec![] };
    e.prologue(allocation.frame)?;
    for inst in &f.insts {
        e.inst(inst)?;
    }
    let pool = e.epilogue()?;
    let bytes = e.a.assemble(0)?;
    let code = bytes.len() - pool;
    Ok((bytes, code))
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

    fn pooled(&mut self, bits: u32) -> MemoryOperand {
        let at = match self.consts.iter().find(|(b, _)| *b == bits) {
            Some((_, at)) => *at,
            None => {
                self.pool.extend_from_slice(&bits.to_le_bytes());
                let at = self.pool.len() as i32 - 4;
                self.consts.push((bits, at));
                at
            }
        };
        memory(Register::RSI, None, at)
    }

    fn physical(&self, reg: Reg) -> Option<Register> {
        let Place::Register(n) = self.places[reg.0 as usize] else { return None };
        Some(match self.f.classes[reg.0 as usize] {
            Class::Int => INTS[n as usize],
            Class::Vec => Register::ZMM0 + u32::from(n),
            Class::Mask => Register::K1 + u32::from(n),
        })
    }

    /// The register that holds a value, `scratch` where it lives in memory.
    fn read(&mut self, reg: Reg, scratch: Register) -> Result<Register, IcedError> {
        if let Some(r) = self.physical(reg) {
            return Ok(r);
        }
        let i = match (self.places[reg.0 as usize], self.f.classes[reg.0 as usize]) {
            (Place::Pool(bits), _) => {
                let at = self.pooled(bits);
                Instruction::with2(Code::EVEX_Vbroadcastss_zmm_k1z_xmmm32, scratch, at)?
            }
            (Place::Table(at), _) => {
                let at = memory(Register::RSI, None, at as i32 * 4 * LANES as i32);
                Instruction::with2(Code::EVEX_Vmovups_zmm_k1z_zmmm512, scratch, at)?
            }
            (Place::Slot(at), class) => {
                let code = match class {
                    Class::Int => Code::Mov_r64_rm64,
                    Class::Vec => Code::EVEX_Vmovups_zmm_k1z_zmmm512,
                    Class::Mask => Code::VEX_Kmovw_kr_km16,
                };
                Instruction::with2(code, scratch, memory(Register::RSP, None, at as i32))?
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
        let code = match self.f.classes[reg.0 as usize] {
            Class::Int => Code::Mov_rm64_r64,
            Class::Vec => Code::EVEX_Vmovups_zmmm512_k1z_zmm,
            Class::Mask => Code::VEX_Kmovw_m16_kr,
        };
        self.add(Instruction::with2(code, memory(Register::RSP, None, at as i32), from)?)
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
            Op::CheckInt | Op::CheckOrder | Op::CheckVec => self.check(inst),
            _ => match inst.dst {
                None => self.store(inst),
                Some(dst) => match self.f.classes[dst.0 as usize] {
                    Class::Int => self.int(inst, dst),
                    Class::Vec => self.vec(inst, dst),
                    Class::Mask => self.mask(inst, dst),
                },
            },
        }
    }

    fn check(&mut self, inst: &Inst) -> Result<(), IcedError> {
        let label = self.a.create_label();
        if inst.op == Op::CheckVec {
            let at = self.read(inst.srcs[0], VEC_SCRATCH[1])?;
            let extent = self.read(inst.srcs[1], VEC_SCRATCH[2])?;
            let mask = match inst.mask {
                Some(mask) => Some(self.read(mask, MASK_SCRATCH[1])?),
                None => None,
            };
            let k = MASK_SCRATCH[0];
            // not less than, as unsigned numbers
            let cmp = Instruction::with4(Code::EVEX_Vpcmpud_kr_k1_zmm_zmmm512b32_imm8, k, at, extent, 5)?;
            self.with_mask(cmp, mask, false)?;
            self.add(Instruction::with2(Code::VEX_Kortestw_kr_kr, k, k)?)?;
            let fine = self.a.create_label();
            self.a.je(fine)?;
            // The first wrong lane is what the message names.
            let compress = Instruction::with2(Code::EVEX_Vpcompressd_zmmm512_k1z_zmm, VEC_SCRATCH[0], at)?;
            self.with_mask(compress, Some(k), true)?;
            self.add(Instruction::with2(Code::EVEX_Vmovd_rm32_xmm, Register::EAX, Register::XMM29)?)?;
            self.add(Instruction::with2(Code::Movsxd_r64_rm32, Register::RAX, Register::EAX)?)?;
            self.a.jmp(label)?;
            let mut fine = fine;
            self.a.nop()?;
            self.a.set_label(&mut fine)?;
            self.failures.push((label, Register::RAX, inst.imm));
            return Ok(());
        }
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

    fn store(&mut self, inst: &Inst) -> Result<(), IcedError> {
        let value = self.read(inst.srcs[0], VEC_SCRATCH[0])?;
        let mask = match inst.mask {
            Some(mask) => Some(self.read(mask, MASK_SCRATCH[1])?),
            None => None,
        };
        let mem = self.mem(inst.mem.expect("a store has a place"))?;
        let code = match inst.op {
            Op::Store => Code::EVEX_Vmovups_zmmm512_k1z_zmm,
            Op::StoreBytes => Code::EVEX_Vpmovdb_xmmm128_k1z_zmm,
            Op::StoreCompressed => Code::EVEX_Vpcompressd_zmmm512_k1z_zmm,
            other => unreachable!("{other:?} is no store"),
        };
        self.with_mask(Instruction::with2(code, mem, value)?, mask, false)
    }

    fn int(&mut self, inst: &Inst, dst: Reg) -> Result<(), IcedError> {
        let d = self.target(dst, INT_SCRATCH[0]);
        match inst.op {
            Op::Imm if i32::try_from(inst.imm).is_ok() => {
                self.add(Instruction::with2(Code::Mov_rm64_imm32, d, inst.imm as i32)?)?;
            }
            Op::Imm => self.add(Instruction::with2(Code::Mov_r64_imm64, d, inst.imm as u64)?)?,
            Op::Arg => {
                let at = memory(Register::RDI, None, 8 * inst.imm as i32);
                self.add(Instruction::with2(Code::Mov_r64_rm64, d, at)?)?;
            }
            Op::StackAddr => {
                let at = memory(Register::RSP, None, inst.imm as i32);
                self.add(Instruction::with2(Code::Lea_r64_m, d, at)?)?;
            }
            Op::LoadI32 => {
                let at = self.mem(inst.mem.expect("a load has a place"))?;
                self.add(Instruction::with2(Code::Movsxd_r64_rm32, d, at)?)?;
            }
            Op::LaneToInt => {
                let v = self.read(inst.srcs[0], VEC_SCRATCH[0])?;
                let low = Register::XMM0 + (v as u32 - Register::ZMM0 as u32);
                let e = low_half(d);
                self.add(Instruction::with2(Code::EVEX_Vmovd_rm32_xmm, e, low)?)?;
                self.add(Instruction::with2(Code::Movsxd_r64_rm32, d, e)?)?;
            }
            Op::MaskCount => {
                let k = self.read(inst.srcs[0], MASK_SCRATCH[1])?;
                self.add(Instruction::with2(Code::VEX_Kmovw_r32_kr, Register::EAX, k)?)?;
                self.add(Instruction::with2(Code::Popcnt_r32_rm32, Register::EAX, Register::EAX)?)?;
                if d != Register::RAX {
                    self.add(Instruction::with2(Code::Mov_r64_rm64, d, Register::RAX)?)?;
                }
            }
            Op::Mov => {
                let a = self.read(inst.srcs[0], INT_SCRATCH[1])?;
                self.add(Instruction::with2(Code::Mov_r64_rm64, d, a)?)?;
            }
            Op::MulImm => {
                let a = self.read(inst.srcs[0], INT_SCRATCH[1])?;
                let imm = inst.imm;
                if imm > 0 && (imm as u64).is_power_of_two() {
                    if d != a {
                        self.add(Instruction::with2(Code::Mov_r64_rm64, d, a)?)?;
                    }
                    self.add(Instruction::with2(Code::Shl_rm64_imm8, d, imm.trailing_zeros())?)?;
                } else {
                    self.add(Instruction::with3(Code::Imul_r64_rm64_imm32, d, a, imm as i32)?)?;
                }
            }
            Op::AddImm => {
                let a = self.read(inst.srcs[0], INT_SCRATCH[1])?;
                let at = memory(a, None, inst.imm as i32);
                self.add(Instruction::with2(Code::Lea_r64_m, d, at)?)?;
            }
            Op::Add => {
                let a = self.read(inst.srcs[0], INT_SCRATCH[1])?;
                let b = self.read(inst.srcs[1], INT_SCRATCH[2])?;
                self.add(Instruction::with2(Code::Lea_r64_m, d, memory(a, Some((b, 1)), 0))?)?;
            }
            Op::Sub | Op::Mul | Op::Min => {
                let a = self.read(inst.srcs[0], INT_SCRATCH[1])?;
                let b = self.read(inst.srcs[1], INT_SCRATCH[2])?;
                self.add(Instruction::with2(Code::Mov_r64_rm64, Register::RAX, a)?)?;
                match inst.op {
                    Op::Sub => self.add(Instruction::with2(Code::Sub_r64_rm64, Register::RAX, b)?)?,
                    Op::Mul => self.add(Instruction::with2(Code::Imul_r64_rm64, Register::RAX, b)?)?,
                    _ => {
                        self.add(Instruction::with2(Code::Cmp_r64_rm64, Register::RAX, b)?)?;
                        self.add(Instruction::with2(Code::Cmovg_r64_rm64, Register::RAX, b)?)?;
                    }
                }
                if d != Register::RAX {
                    self.add(Instruction::with2(Code::Mov_r64_rm64, d, Register::RAX)?)?;
                }
            }
            other => unreachable!("{other:?} gives no integer"),
        }
        self.written(dst, d)
    }

    fn vec(&mut self, inst: &Inst, dst: Reg) -> Result<(), IcedError> {
        let d = if inst.reads_dst() { self.read(dst, VEC_SCRATCH[0])? } else { self.target(dst, VEC_SCRATCH[0]) };
        if matches!(inst.op, Op::Const | Op::Table) && self.physical(dst).is_none() {
            return Ok(());
        }
        if inst.op == Op::Const {
            let i = if inst.imm == 0 {
                Instruction::with3(Code::EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32, d, d, d)?
            } else {
                let at = self.pooled(inst.imm as u32);
                Instruction::with2(Code::EVEX_Vbroadcastss_zmm_k1z_xmmm32, d, at)?
            };
            return self.add(i);
        }
        let mask = match inst.mask {
            Some(mask) => Some(self.read(mask, MASK_SCRATCH[1])?),
            None => None,
        };
        match inst.op {
            Op::Table => {
                let at = memory(Register::RSI, None, (inst.imm as usize * LANES * 4) as i32);
                self.add(Instruction::with2(Code::EVEX_Vmovups_zmm_k1z_zmmm512, d, at)?)?;
            }
            Op::Splat => {
                let a = self.read(inst.srcs[0], INT_SCRATCH[1])?;
                self.add(Instruction::with2(Code::EVEX_Vpbroadcastd_zmm_k1z_r32, d, low_half(a))?)?;
            }
            Op::LoadInto => {
                let at = self.mem(inst.mem.expect("a load has a place"))?;
                let i = Instruction::with2(Code::EVEX_Vmovups_zmm_k1z_zmmm512, d, at)?;
                self.with_mask(i, mask, false)?;
            }
            Op::Load | Op::LoadBytes | Op::Bcst => {
                let code = match inst.op {
                    Op::Load => Code::EVEX_Vmovups_zmm_k1z_zmmm512,
                    Op::LoadBytes => Code::EVEX_Vpmovzxbd_zmm_k1z_xmmm128,
                    _ => Code::EVEX_Vbroadcastss_zmm_k1z_xmmm32,
                };
                let at = self.mem(inst.mem.expect("a load has a place"))?;
                self.with_mask(Instruction::with2(code, d, at)?, mask, true)?;
            }
            Op::BcstByte => {
                let at = self.mem(inst.mem.expect("a load has a place"))?;
                self.add(Instruction::with2(Code::Movzx_r32_rm8, Register::EAX, at)?)?;
                self.add(Instruction::with2(Code::EVEX_Vpbroadcastd_zmm_k1z_r32, d, Register::EAX)?)?;
            }
            Op::Compress => {
                let a = self.read(inst.srcs[0], VEC_SCRATCH[1])?;
                let i = Instruction::with2(Code::EVEX_Vpcompressd_zmmm512_k1z_zmm, d, a)?;
                self.with_mask(i, mask, true)?;
            }
            Op::Perm2 => {
                // The machine overwrites the numbers.
                let numbers = self.read(inst.srcs[0], VEC_SCRATCH[0])?;
                let a = self.read(inst.srcs[1], VEC_SCRATCH[1])?;
                let b = self.read(inst.srcs[2], VEC_SCRATCH[2])?;
                let target = if d == a || d == b { VEC_SCRATCH[0] } else { d };
                if target != numbers {
                    self.add(Instruction::with2(Code::EVEX_Vmovups_zmm_k1z_zmmm512, target, numbers)?)?;
                }
                self.add(Instruction::with3(Code::EVEX_Vpermi2d_zmm_k1z_zmm_zmmm512b32, target, a, b)?)?;
                if target != d {
                    self.add(Instruction::with2(Code::EVEX_Vmovups_zmm_k1z_zmmm512, d, target)?)?;
                }
            }
            Op::Gather => self.gather(inst, d, mask)?,
            Op::GatherBytes => self.gather_bytes(inst, d, mask)?,
            _ => self.arithmetic(inst, d, mask)?,
        }
        self.written(dst, d)
    }

    fn gather(&mut self, inst: &Inst, d: Register, mask: Option<Register>) -> Result<(), IcedError> {
        let at = self.read(inst.srcs[0], VEC_SCRATCH[1])?;
        // The machine clears the mask as it goes; what it skips keeps the old lanes.
        let k = MASK_SCRATCH[2];
        match mask {
            Some(mask) => self.add(Instruction::with2(Code::VEX_Kmovw_kr_km16, k, mask)?)?,
            None => self.add(Instruction::with3(Code::VEX_Kxnorw_kr_kr_kr, k, k, k)?)?,
        }
        self.add(Instruction::with3(Code::EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32, d, d, d)?)?;
        let Mem { base, disp, .. } = inst.mem.expect("a gather has a place");
        let base = self.read(base, INT_SCRATCH[1])?;
        let i = Instruction::with2(Code::EVEX_Vpgatherdd_zmm_k1_vm32z, d, memory(base, Some((at, 4)), disp))?;
        self.with_mask(i, Some(k), false)
    }

    /// Bytes have no gather: lane by lane through the frame's first bytes, which a function that gathers bytes keeps free.
    fn gather_bytes(&mut self, inst: &Inst, d: Register, mask: Option<Register>) -> Result<(), IcedError> {
        let at = self.read(inst.srcs[0], VEC_SCRATCH[1])?;
        let slot = memory(Register::RSP, None, 0);
        // A lane that is not wanted reads the first element.
        let clear = Instruction::with2(Code::EVEX_Vmovdqu32_zmm_k1z_zmmm512, VEC_SCRATCH[2], at)?;
        self.with_mask(clear, mask, true)?;
        self.add(Instruction::with2(Code::EVEX_Vmovups_zmmm512_k1z_zmm, slot, VEC_SCRATCH[2])?)?;
        let Mem { base, disp, .. } = inst.mem.expect("a gather has a place");
        let base = self.read(base, INT_SCRATCH[1])?;
        for lane in 0..LANES as i32 {
            let slot = memory(Register::RSP, None, 4 * lane);
            self.add(Instruction::with2(Code::Movsxd_r64_rm32, Register::RAX, slot)?)?;
            let from = memory(base, Some((Register::RAX, 1)), disp);
            self.add(Instruction::with2(Code::Movzx_r32_rm8, Register::EAX, from)?)?;
            self.add(Instruction::with2(Code::Mov_rm32_r32, slot, Register::EAX)?)?;
        }
        self.add(Instruction::with2(Code::EVEX_Vmovups_zmm_k1z_zmmm512, d, slot)?)
    }

    fn arithmetic(&mut self, inst: &Inst, d: Register, mask: Option<Register>) -> Result<(), IcedError> {
        let a = self.read(inst.srcs[0], VEC_SCRATCH[1])?;
        let one = |code: Code| (code, None);
        let (code, imm) = match inst.op {
            Op::MovV => one(Code::EVEX_Vmovups_zmm_k1z_zmmm512),
            Op::SqrtF => one(Code::EVEX_Vsqrtps_zmm_k1z_zmmm512b32_er),
            Op::CvtToF => one(Code::EVEX_Vcvtdq2ps_zmm_k1z_zmmm512b32_er),
            Op::CvtUToF => one(Code::EVEX_Vcvtudq2ps_zmm_k1z_zmmm512b32_er),
            Op::CvtToI => one(Code::EVEX_Vcvttps2dq_zmm_k1z_zmmm512b32_sae),
            Op::CvtToU => one(Code::EVEX_Vcvttps2udq_zmm_k1z_zmmm512b32_sae),
            Op::FloorF => (Code::EVEX_Vrndscaleps_zmm_k1z_zmmm512b32_imm8_sae, Some(9)),
            Op::SarImm => (Code::EVEX_Vpsrad_zmm_k1z_zmmm512b32_imm8, Some(inst.imm as i32)),
            Op::RolImm => (Code::EVEX_Vprold_zmm_k1z_zmmm512b32_imm8, Some(inst.imm as i32)),
            _ => {
                let code = match inst.op {
                    Op::AddF => Code::EVEX_Vaddps_zmm_k1z_zmm_zmmm512b32_er,
                    Op::SubF => Code::EVEX_Vsubps_zmm_k1z_zmm_zmmm512b32_er,
                    Op::MulF => Code::EVEX_Vmulps_zmm_k1z_zmm_zmmm512b32_er,
                    Op::ScaleF => Code::EVEX_Vscalefps_zmm_k1z_zmm_zmmm512b32_er,
                    Op::DivF => Code::EVEX_Vdivps_zmm_k1z_zmm_zmmm512b32_er,
                    Op::MaxF => Code::EVEX_Vmaxps_zmm_k1z_zmm_zmmm512b32_sae,
                    Op::MinF => Code::EVEX_Vminps_zmm_k1z_zmm_zmmm512b32_sae,
                    Op::Fma => Code::EVEX_Vfmadd231ps_zmm_k1z_zmm_zmmm512b32_er,
                    Op::AddI => Code::EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32,
                    Op::SubI => Code::EVEX_Vpsubd_zmm_k1z_zmm_zmmm512b32,
                    Op::MulI => Code::EVEX_Vpmulld_zmm_k1z_zmm_zmmm512b32,
                    Op::MaxS => Code::EVEX_Vpmaxsd_zmm_k1z_zmm_zmmm512b32,
                    Op::MinS => Code::EVEX_Vpminsd_zmm_k1z_zmm_zmmm512b32,
                    Op::MaxU => Code::EVEX_Vpmaxud_zmm_k1z_zmm_zmmm512b32,
                    Op::MinU => Code::EVEX_Vpminud_zmm_k1z_zmm_zmmm512b32,
                    Op::And => Code::EVEX_Vpandd_zmm_k1z_zmm_zmmm512b32,
                    Op::Or => Code::EVEX_Vpord_zmm_k1z_zmm_zmmm512b32,
                    Op::Xor => Code::EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32,
                    Op::ShlV => Code::EVEX_Vpsllvd_zmm_k1z_zmm_zmmm512b32,
                    Op::ShrV => Code::EVEX_Vpsrlvd_zmm_k1z_zmm_zmmm512b32,
                    Op::Perm => Code::EVEX_Vpermd_zmm_k1z_zmm_zmmm512b32,
                    Op::Blend => Code::EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32,
                    other => unreachable!("{other:?} gives no vector"),
                };
                let b = self.read(inst.srcs[1], VEC_SCRATCH[2])?;
                return self.with_mask(Instruction::with3(code, d, a, b)?, mask, false);
            }
        };
        let i = match imm {
            None => Instruction::with2(code, d, a)?,
            Some(imm) => Instruction::with3(code, d, a, imm)?,
        };
        self.with_mask(i, mask, false)
    }

    fn mask(&mut self, inst: &Inst, dst: Reg) -> Result<(), IcedError> {
        let d = self.target(dst, MASK_SCRATCH[0]);
        match inst.op {
            Op::CmpF(pred) => self.compare(inst, d, Code::EVEX_Vcmpps_kr_k1_zmm_zmmm512b32_imm8_sae, float(pred))?,
            Op::CmpS(pred) => self.compare(inst, d, Code::EVEX_Vpcmpd_kr_k1_zmm_zmmm512b32_imm8, int(pred))?,
            Op::CmpU(pred) => self.compare(inst, d, Code::EVEX_Vpcmpud_kr_k1_zmm_zmmm512b32_imm8, int(pred))?,
            Op::Test => {
                let a = self.read(inst.srcs[0], VEC_SCRATCH[1])?;
                self.add(Instruction::with3(Code::EVEX_Vptestmd_kr_k1_zmm_zmmm512b32, d, a, a)?)?;
            }
            Op::MaskImm => {
                self.add(Instruction::with2(Code::Mov_r32_imm32, Register::EAX, inst.imm as u32)?)?;
                self.add(Instruction::with2(Code::VEX_Kmovw_kr_r32, d, Register::EAX)?)?;
            }
            Op::MaskFirst => {
                let n = self.read(inst.srcs[0], INT_SCRATCH[1])?;
                // More than a byte's number of lanes would count as less.
                self.add(Instruction::with2(Code::Mov_r32_imm32, Register::EAX, LANES as u32)?)?;
                self.add(Instruction::with2(Code::Cmp_r64_rm64, n, Register::RAX)?)?;
                self.add(Instruction::with2(Code::Cmovl_r64_rm64, Register::RAX, n)?)?;
                self.add(Instruction::with2(Code::Mov_r32_imm32, Register::EDX, 0xffffu32)?)?;
                self.add(Instruction::with3(
                    Code::VEX_Bzhi_r32_rm32_r32,
                    Register::EAX,
                    Register::EDX,
                    Register::EAX,
                )?)?;
                self.add(Instruction::with2(Code::VEX_Kmovw_kr_r32, d, Register::EAX)?)?;
            }
            Op::MaskNot => {
                let a = self.read(inst.srcs[0], MASK_SCRATCH[1])?;
                self.add(Instruction::with2(Code::VEX_Knotw_kr_kr, d, a)?)?;
            }
            Op::MaskAnd | Op::MaskOr | Op::MaskXor => {
                let a = self.read(inst.srcs[0], MASK_SCRATCH[1])?;
                let b = self.read(inst.srcs[1], MASK_SCRATCH[2])?;
                let code = match inst.op {
                    Op::MaskAnd => Code::VEX_Kandw_kr_kr_kr,
                    Op::MaskOr => Code::VEX_Korw_kr_kr_kr,
                    _ => Code::VEX_Kxorw_kr_kr_kr,
                };
                self.add(Instruction::with3(code, d, a, b)?)?;
            }
            other => unreachable!("{other:?} gives no mask"),
        }
        self.written(dst, d)
    }

    fn compare(&mut self, inst: &Inst, d: Register, code: Code, imm: i32) -> Result<(), IcedError> {
        let a = self.read(inst.srcs[0], VEC_SCRATCH[1])?;
        let b = self.read(inst.srcs[1], VEC_SCRATCH[2])?;
        self.add(Instruction::with4(code, d, a, b, imm)?)
    }
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

fn int(pred: Pred) -> i32 {
    match pred {
        Pred::Eq => 0,
        Pred::Ne => 4,
        Pred::Lt => 1,
        Pred::Le => 2,
        Pred::Gt => 6,
        Pred::Ge => 5,
        Pred::Unordered => 3,
    }
}
