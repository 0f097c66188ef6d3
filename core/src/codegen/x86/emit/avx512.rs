//! Vectors and masks of AVX-512: sixteen lanes, one bit of a mask for each.

use super::super::lir::{Inst, LANES, Mem, Op, Pred, Reg};
use super::{Emit, INT_SCRATCH, MASK_SCRATCH, VEC_SCRATCH, low_half, memory};
use iced_x86::{Code, IcedError, Instruction, Register};

impl Emit<'_> {
    pub(super) fn check_vec(&mut self, inst: &Inst) -> Result<(), IcedError> {
        let label = self.a.create_label();
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
        Ok(())
    }

    pub(super) fn store(&mut self, inst: &Inst) -> Result<(), IcedError> {
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

    pub(super) fn vec(&mut self, inst: &Inst, dst: Reg) -> Result<(), IcedError> {
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

    pub(super) fn mask(&mut self, inst: &Inst, dst: Reg) -> Result<(), IcedError> {
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
