//! Vectors and masks of AVX-512: sixteen lanes, or eight if some have 64 bits, with one mask bit for each.
//!
//! Instructions are written as those on whole registers. In a function of eight lanes, those of 32 bits are the lower
//! half of a register: [`Emit::lanes`] converts the instruction to one on half a register.

mod codes;

use super::super::allocate::{File, Place};
use super::super::lir::{Class, Inst, LANES, Mem, Op, Pred, Reg};
use super::{Emit, Failure, INT_SCRATCH, Vectors, arg, float, low_half, memory, rounding};
use iced_x86::{Code, IcedError, Instruction, MemoryOperand, OpKind, Register};

/// The instruction set: F, BW, DQ and VL.
pub(super) struct Avx512;

const VEC_SCRATCH: [Register; 3] = [Register::ZMM29, Register::ZMM30, Register::ZMM31];
const MASK_SCRATCH: [Register; 3] = [Register::K5, Register::K6, Register::K7];

/// One element of memory in all lanes.
fn broadcast(class: Class) -> Code {
    if class == Class::Wide { Code::EVEX_Vbroadcastsd_zmm_k1z_xmmm64 } else { Code::EVEX_Vbroadcastss_zmm_k1z_xmmm32 }
}

impl Emit<'_, Avx512> {
    fn with_mask(&mut self, mut i: Instruction, mask: Option<Register>, zeroes: bool) -> Result<(), IcedError> {
        if let Some(k) = mask {
            i.set_op_mask(k);
            i.set_zeroing_masking(zeroes);
        }
        self.add(i)
    }

    /// Adds an instruction on lanes of 32 bits, which is passed as that on a whole register.
    fn lanes(&mut self, i: Instruction, mask: Option<Register>, zeroes: bool) -> Result<(), IcedError> {
        let i = if self.f.lanes < LANES { halved(i)? } else { i };
        self.with_mask(i, mask, zeroes)
    }

    /// The same, on lanes of 64 bits if `wide`.
    fn lanes_of(&mut self, wide: bool, i: Instruction, mask: Option<Register>, zeroes: bool) -> Result<(), IcedError> {
        if wide { self.with_mask(i, mask, zeroes) } else { self.lanes(i, mask, zeroes) }
    }

    fn gather(&mut self, inst: &Inst, wide: bool, d: Register, mask: Option<Register>) -> Result<(), IcedError> {
        let at = self.read(inst.srcs[0], VEC_SCRATCH[1])?;
        // The machine clears the mask as it goes; skipped lanes keep their old values.
        let k = MASK_SCRATCH[2];
        match mask {
            Some(mask) => self.add(Instruction::with2(Code::VEX_Kmovw_kr_km16, k, mask)?)?,
            None => self.add(Instruction::with3(Code::VEX_Kxnorw_kr_kr_kr, k, k, k)?)?,
        }
        self.add(Instruction::with3(Code::EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32, d, d, d)?)?;
        let Mem { base, disp, .. } = inst.mem.expect("a gather has a place");
        let base = self.read(base, INT_SCRATCH[1])?;
        if wide {
            let from = memory(base, Some((half(at), 8)), disp);
            return self.with_mask(Instruction::with2(Code::EVEX_Vgatherdpd_zmm_k1_vm32y, d, from)?, Some(k), false);
        }
        let i = Instruction::with2(Code::EVEX_Vpgatherdd_zmm_k1_vm32z, d, memory(base, Some((at, 4)), disp))?;
        self.lanes(i, Some(k), false)
    }

    /// Bytes have no gather: lane by lane through the frame's first bytes, which a function that gathers bytes keeps free.
    fn gather_bytes(&mut self, inst: &Inst, d: Register, mask: Option<Register>) -> Result<(), IcedError> {
        let at = self.read(inst.srcs[0], VEC_SCRATCH[1])?;
        let slot = memory(Register::RSP, None, 0);
        // A masked-out lane reads the first element.
        let clear = Instruction::with2(Code::EVEX_Vmovdqu32_zmm_k1z_zmmm512, VEC_SCRATCH[2], at)?;
        self.with_mask(clear, mask, true)?;
        self.add(Instruction::with2(Code::EVEX_Vmovups_zmmm512_k1z_zmm, slot, VEC_SCRATCH[2])?)?;
        let Mem { base, disp, .. } = inst.mem.expect("a gather has a place");
        let base = self.read(base, INT_SCRATCH[1])?;
        for lane in 0..self.f.lanes as i32 {
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
        let wide = self.is_wide(inst);
        let i = match inst.op {
            Op::CvtToF | Op::CvtUToF | Op::CvtToI | Op::CvtToU | Op::CvtF if wide => {
                // Both sizes: the 32-bit side is half a register.
                let to_wide = inst.dst.is_some_and(|dst| self.f.is_wide(dst));
                let (d, a) = if to_wide { (d, half(a)) } else { (half(d), a) };
                return self.with_mask(Instruction::with2(codes::conversion(inst.op, to_wide), d, a)?, mask, false);
            }
            Op::FloorF | Op::CeilF | Op::NearestF | Op::TruncF => {
                Instruction::with3(codes::unary(inst.op, wide), d, a, rounding(inst.op))?
            }
            Op::SarImm | Op::RolImm => Instruction::with3(codes::unary(inst.op, wide), d, a, inst.imm as i32)?,
            Op::MovV | Op::SqrtF | Op::CvtToF | Op::CvtUToF | Op::CvtToI | Op::CvtToU => {
                Instruction::with2(codes::unary(inst.op, wide), d, a)?
            }
            _ => {
                let b = self.read(inst.srcs[1], VEC_SCRATCH[2])?;
                Instruction::with3(codes::binary(inst.op, wide), d, a, b)?
            }
        };
        self.lanes_of(wide, i, mask, false)
    }

    fn compare(&mut self, inst: &Inst, d: Register, code: Code, imm: i32) -> Result<(), IcedError> {
        let a = self.read(inst.srcs[0], VEC_SCRATCH[1])?;
        let b = self.read(inst.srcs[1], VEC_SCRATCH[2])?;
        self.lanes_of(self.is_wide(inst), Instruction::with4(code, d, a, b, imm)?, None, false)
    }
}

impl Vectors for Emit<'_, Avx512> {
    const FILES: &'static [File] = &[(&[Class::Vec, Class::Wide], 29), (&[Class::Mask], 4)];

    const SCRATCH: [Register; 3] = VEC_SCRATCH;

    fn register(class: Class, n: u8) -> Register {
        if class == Class::Mask { Register::K1 + u32::from(n) } else { Register::ZMM0 + u32::from(n) }
    }

    fn read_constant(&mut self, class: Class, place: Place, to: Register) -> Result<(), IcedError> {
        let i = match place {
            Place::Pool(0) => Instruction::with3(Code::EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32, to, to, to)?,
            Place::Pool(bits) => {
                let size = if class == Class::Wide { 8 } else { 4 };
                let at = self.pooled(&bits.to_le_bytes()[..size]);
                Instruction::with2(broadcast(class), to, at)?
            }
            Place::Open(number) => {
                let at = self.open(number, if class == Class::Wide { 8 } else { 4 }, 1);
                Instruction::with2(broadcast(class), to, at)?
            }
            Place::Mask(lanes) => {
                let at = self.pooled(&lanes.to_le_bytes());
                Instruction::with2(Code::VEX_Kmovw_kr_km16, to, at)?
            }
            Place::Table(n) => Instruction::with2(Code::EVEX_Vmovups_zmm_k1z_zmmm512, to, Self::table(n as usize))?,
            _ => unreachable!("{place:?} is no constant"),
        };
        self.add(i)
    }

    fn reload(&mut self, class: Class, to: Register, at: MemoryOperand) -> Result<(), IcedError> {
        let code = if class == Class::Mask { Code::VEX_Kmovw_kr_km16 } else { Code::EVEX_Vmovups_zmm_k1z_zmmm512 };
        self.add(Instruction::with2(code, to, at)?)
    }

    fn spill(&mut self, class: Class, at: MemoryOperand, from: Register) -> Result<(), IcedError> {
        let code = if class == Class::Mask { Code::VEX_Kmovw_m16_kr } else { Code::EVEX_Vmovups_zmmm512_k1z_zmm };
        self.add(Instruction::with2(code, at, from)?)
    }

    fn lane_to_int(&mut self, from: Reg, to: Register) -> Result<(), IcedError> {
        let v = self.read(from, VEC_SCRATCH[0])?;
        let low = Register::XMM0 + (v as u32 - Register::ZMM0 as u32);
        self.add(Instruction::with2(Code::EVEX_Vmovd_rm32_xmm, to, low)?)
    }

    fn count(&mut self, mask: Reg) -> Result<(), IcedError> {
        let k = self.read(mask, MASK_SCRATCH[1])?;
        self.add(Instruction::with2(Code::VEX_Kmovw_r32_kr, Register::EAX, k)?)?;
        self.add(Instruction::with2(Code::Popcnt_r32_rm32, Register::EAX, Register::EAX)?)
    }

    fn check_vec(&mut self, inst: &Inst) -> Result<(), IcedError> {
        let label = self.a.label();
        let at = self.read(inst.srcs[0], VEC_SCRATCH[1])?;
        let mask = match inst.mask {
            Some(mask) => Some(self.read(mask, MASK_SCRATCH[1])?),
            None => None,
        };
        let k = MASK_SCRATCH[0];
        // not less than, as unsigned numbers
        let code = Code::EVEX_Vpcmpud_kr_k1_zmm_zmmm512b32_imm8;
        let cmp = match inst.srcs.get(1) {
            Some(extent) => Instruction::with4(code, k, at, self.read(*extent, VEC_SCRATCH[2])?, 5)?,
            None => {
                let extent = MemoryOperand { is_broadcast: true, ..self.extent(inst.imm) };
                Instruction::with4(code, k, at, extent, 5)?
            }
        };
        self.lanes(cmp, mask, false)?;
        self.add(Instruction::with2(Code::VEX_Kortestw_kr_kr, k, k)?)?;
        self.a.branch(Code::Jne_rel8_64, label)?;
        self.failures.push(Failure { label, position: at, extent: inst.imm });
        Ok(())
    }

    fn wrong_lane(&mut self, at: Register) -> Result<(), IcedError> {
        let compress = Instruction::with2(Code::EVEX_Vpcompressd_zmmm512_k1z_zmm, VEC_SCRATCH[0], at)?;
        self.lanes(compress, Some(MASK_SCRATCH[0]), true)?;
        self.add(Instruction::with2(Code::EVEX_Vmovd_rm32_xmm, Register::EAX, Register::XMM29)?)?;
        self.add(Instruction::with2(Code::Movsxd_r64_rm32, Register::RAX, Register::EAX)?)
    }

    fn store(&mut self, inst: &Inst) -> Result<(), IcedError> {
        let value = self.read(inst.srcs[0], VEC_SCRATCH[0])?;
        let mask = match inst.mask {
            Some(mask) => Some(self.read(mask, MASK_SCRATCH[1])?),
            None => None,
        };
        let mem = self.mem(inst.mem.expect("a store has a place"))?;
        let wide = self.is_wide(inst);
        let first = self.first_bytes(inst, wide).filter(|_| inst.op == Op::Store);
        if let Some((code, register)) = first.and_then(codes::store_first) {
            return self.add(Instruction::with2(code, mem, shorter(value, register))?);
        }
        let code = match (inst.op, wide) {
            (Op::Store, false) => Code::EVEX_Vmovups_zmmm512_k1z_zmm,
            (Op::Store, true) => Code::EVEX_Vmovupd_zmmm512_k1z_zmm,
            (Op::StoreBytes, false) => Code::EVEX_Vpmovdb_xmmm128_k1z_zmm,
            (Op::StoreCompressed, false) => Code::EVEX_Vpcompressd_zmmm512_k1z_zmm,
            (Op::StoreCompressed, true) => Code::EVEX_Vcompresspd_zmmm512_k1z_zmm,
            (other, _) => unreachable!("{other:?} is no store"),
        };
        self.lanes_of(wide, Instruction::with2(code, mem, value)?, mask, false)
    }

    fn vec(&mut self, inst: &Inst, dst: Reg) -> Result<(), IcedError> {
        let d = if inst.reads_dst() { self.read(dst, VEC_SCRATCH[0])? } else { self.target(dst, VEC_SCRATCH[0]) };
        if matches!(inst.op, Op::Const | Op::Open | Op::Table) {
            return self.constant(inst, dst);
        }
        let mask = match inst.mask {
            Some(mask) => Some(self.read(mask, MASK_SCRATCH[1])?),
            None => None,
        };
        let wide = self.f.is_wide(dst);
        let whole = if wide { Code::EVEX_Vmovupd_zmm_k1z_zmmm512 } else { Code::EVEX_Vmovups_zmm_k1z_zmmm512 };
        match inst.op {
            Op::Splat => {
                let a = self.read(inst.srcs[0], INT_SCRATCH[1])?;
                self.lanes(Instruction::with2(Code::EVEX_Vpbroadcastd_zmm_k1z_r32, d, low_half(a))?, None, false)?;
            }
            Op::SplatArg => {
                let code =
                    if wide { Code::EVEX_Vpbroadcastq_zmm_k1z_xmmm64 } else { Code::EVEX_Vpbroadcastd_zmm_k1z_xmmm32 };
                self.lanes_of(wide, Instruction::with2(code, d, arg(inst.imm))?, None, false)?;
            }
            Op::LoadInto => {
                let at = self.mem(inst.mem.expect("a load has a place"))?;
                self.lanes_of(wide, Instruction::with2(whole, d, at)?, mask, false)?;
            }
            Op::Load | Op::LoadBytes | Op::Bcst => {
                let first = self.first_bytes(inst, wide).filter(|_| inst.op == Op::Load);
                if let Some((code, register)) = first.and_then(codes::load_first) {
                    let at = self.mem(inst.mem.expect("a load has a place"))?;
                    self.add(Instruction::with2(code, shorter(d, register), at)?)?;
                    return self.written(dst, d);
                }
                let code = match inst.op {
                    Op::Load => whole,
                    Op::LoadBytes => Code::EVEX_Vpmovzxbd_zmm_k1z_xmmm128,
                    _ => broadcast(self.f.classes[dst.0 as usize]),
                };
                let at = self.mem(inst.mem.expect("a load has a place"))?;
                self.lanes_of(wide, Instruction::with2(code, d, at)?, mask, true)?;
            }
            Op::BcstByte => {
                let at = self.mem(inst.mem.expect("a load has a place"))?;
                self.add(Instruction::with2(Code::Movzx_r32_rm8, Register::EAX, at)?)?;
                self.lanes(Instruction::with2(Code::EVEX_Vpbroadcastd_zmm_k1z_r32, d, Register::EAX)?, None, false)?;
            }
            Op::Compress => {
                let a = self.read(inst.srcs[0], VEC_SCRATCH[1])?;
                let code =
                    if wide { Code::EVEX_Vcompresspd_zmmm512_k1z_zmm } else { Code::EVEX_Vpcompressd_zmmm512_k1z_zmm };
                self.lanes_of(wide, Instruction::with2(code, d, a)?, mask, true)?;
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
                let i = Instruction::with3(Code::EVEX_Vpermi2d_zmm_k1z_zmm_zmmm512b32, target, a, b)?;
                self.lanes_of(wide, i, None, false)?;
                if target != d {
                    self.add(Instruction::with2(Code::EVEX_Vmovups_zmm_k1z_zmmm512, d, target)?)?;
                }
            }
            Op::Gather => self.gather(inst, wide, d, mask)?,
            Op::GatherBytes => self.gather_bytes(inst, d, mask)?,
            _ => self.arithmetic(inst, d, mask)?,
        }
        self.written(dst, d)
    }

    fn mask(&mut self, inst: &Inst, dst: Reg) -> Result<(), IcedError> {
        let d = self.target(dst, MASK_SCRATCH[0]);
        match inst.op {
            Op::MaskImm => return self.constant(inst, dst),
            Op::CmpF(pred) if self.is_wide(inst) => {
                self.compare(inst, d, Code::EVEX_Vcmppd_kr_k1_zmm_zmmm512b64_imm8_sae, float(pred))?;
            }
            Op::CmpF(pred) => self.compare(inst, d, Code::EVEX_Vcmpps_kr_k1_zmm_zmmm512b32_imm8_sae, float(pred))?,
            Op::CmpS(pred) => self.compare(inst, d, Code::EVEX_Vpcmpd_kr_k1_zmm_zmmm512b32_imm8, int(pred))?,
            Op::CmpU(pred) => self.compare(inst, d, Code::EVEX_Vpcmpud_kr_k1_zmm_zmmm512b32_imm8, int(pred))?,
            Op::Test => {
                let a = self.read(inst.srcs[0], VEC_SCRATCH[1])?;
                let i = Instruction::with3(Code::EVEX_Vptestmd_kr_k1_zmm_zmmm512b32, d, a, a)?;
                self.lanes(i, None, false)?;
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
            other => unreachable!("{other:?} is no mask"),
        }
        self.written(dst, d)
    }
}

/// Half of a vector register.
fn half(register: Register) -> Register {
    if register.is_zmm() { Register::YMM0 + (register as u32 - Register::ZMM0 as u32) } else { register }
}

/// The instruction on half registers for one on whole registers: in the assembler's list of instructions it is the
/// preceding one.
fn halved(mut i: Instruction) -> Result<Instruction, IcedError> {
    i.set_code(Code::try_from(i.code() as usize - 1)?);
    for operand in 0..i.op_count() {
        if i.op_kind(operand) == OpKind::Register {
            i.set_op_register(operand, half(i.op_register(operand)));
        }
    }
    i.set_memory_index(half(i.memory_index()));
    Ok(i)
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

/// The register with the same number among those from `first` on.
fn shorter(register: Register, first: Register) -> Register {
    first + (register as u32 - Register::ZMM0 as u32)
}
