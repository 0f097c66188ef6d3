//! Masks made by comparisons, for lanes of either size.

use super::super::super::lir::{Inst, Op, Pred, Reg};
use super::super::{Emit, float, memory};
use super::{Avx2, BYTES, Operand, SCRATCH, codes, low};
use iced_x86::{Code, IcedError, Instruction, Register};

impl Emit<'_, Avx2> {
    /// A mask for lanes of 64 bits if `wide`, else of 32.
    pub(super) fn lanes_of(&mut self, mask: Reg, wide: bool, scratch: Register) -> Result<Register, IcedError> {
        if !self.is_half(wide) {
            return self.read(mask, scratch);
        }
        let numbers = self.lower_halves();
        self.two(Code::VEX_Vmovups_ymm_ymmm256, scratch, Operand::Memory(numbers))?;
        let mask = self.operand(mask);
        self.three(Code::VEX_Vpermd_ymm_ymm_ymmm256, scratch, scratch, mask)?;
        Ok(scratch)
    }

    /// One bit for each lane of a mask, in `eax`.
    pub(super) fn mask_to_bits(&mut self, mask: Reg, scratch: Register) -> Result<(), IcedError> {
        let k = self.read(mask, scratch)?;
        let code = if self.has_wide_masks() { Code::VEX_Vmovmskpd_r32_ymm } else { Code::VEX_Vmovmskps_r32_ymm };
        self.add(Instruction::with2(code, Register::EAX, k)?)
    }

    /// The mask of the first `rax` lanes, clamped to all; `rax` is overwritten.
    pub(super) fn first_lanes(&mut self, wide: bool, d: Register) -> Result<(), IcedError> {
        // A window onto ones, then zeros.
        let mut window = [u8::MAX; 2 * BYTES];
        window[BYTES..].fill(0);
        let window = self.pooled(&window);
        self.add(Instruction::with1(Code::Neg_rm64, Register::RAX)?)?;
        let disp = window.displacement as i32 + BYTES as i32;
        let at = memory(Register::RSI, Some((Register::RAX, if wide { 8 } else { 4 })), disp);
        self.two(Code::VEX_Vmovups_ymm_ymmm256, d, Operand::Memory(at))
    }

    /// Computes the mask that an instruction returns into `d`.
    pub(super) fn compute_mask(&mut self, inst: &Inst, d: Register) -> Result<(), IcedError> {
        match inst.op {
            Op::CmpF(pred) => {
                let wide = self.is_wide(inst);
                let a = self.read(inst.srcs[0], SCRATCH[1])?;
                let code =
                    if wide { Code::VEX_Vcmppd_ymm_ymm_ymmm256_imm8 } else { Code::VEX_Vcmpps_ymm_ymm_ymmm256_imm8 };
                let b = self.operand(inst.srcs[1]);
                self.three_imm(code, d, a, b, float(pred))?;
                self.spread(d, wide)?;
            }
            Op::CmpS(pred) | Op::CmpU(pred) => {
                self.compare_ints(pred, matches!(inst.op, Op::CmpS(_)), &inst.srcs, d)?;
                self.spread(d, false)?;
            }
            Op::Test => {
                self.zeros(SCRATCH[2])?;
                let a = self.operand(inst.srcs[0]);
                self.three(Code::VEX_Vpcmpeqd_ymm_ymm_ymmm256, d, SCRATCH[2], a)?;
                self.not(d)?;
                self.spread(d, false)?;
            }
            Op::MaskNot => {
                let a = self.read(inst.srcs[0], SCRATCH[1])?;
                let ones = self.bits(u32::MAX);
                self.three(Code::VEX_Vpxor_ymm_ymm_ymmm256, d, a, ones)?;
            }
            Op::MaskAnd | Op::MaskOr | Op::MaskXor => {
                let a = self.read(inst.srcs[0], SCRATCH[1])?;
                let b = self.operand(inst.srcs[1]);
                self.three(codes::binary(inst.op, false), d, a, b)?;
            }
            other => unreachable!("{other:?} is no mask"),
        }
        Ok(())
    }

    fn not(&mut self, d: Register) -> Result<(), IcedError> {
        let ones = self.bits(u32::MAX);
        self.three(Code::VEX_Vpxor_ymm_ymm_ymmm256, d, d, ones)
    }

    fn compare_ints(&mut self, pred: Pred, signed: bool, ins: &[Reg], d: Register) -> Result<(), IcedError> {
        use Code::{VEX_Vpcmpeqd_ymm_ymm_ymmm256, VEX_Vpcmpgtd_ymm_ymm_ymmm256};
        use Code::{VEX_Vpmaxud_ymm_ymm_ymmm256, VEX_Vpminud_ymm_ymm_ymmm256};
        // The machine has equal, and greater for signed numbers.
        let swaps = signed && matches!(pred, Pred::Lt | Pred::Ge);
        let (first, second) = if swaps { (ins[1], ins[0]) } else { (ins[0], ins[1]) };
        let a = self.read(first, SCRATCH[1])?;
        let b = self.operand(second);
        let is_negated = match (pred, signed) {
            (Pred::Eq | Pred::Ne, _) => {
                self.three(VEX_Vpcmpeqd_ymm_ymm_ymmm256, d, a, b)?;
                pred == Pred::Ne
            }
            (Pred::Gt | Pred::Le, true) => {
                self.three(VEX_Vpcmpgtd_ymm_ymm_ymmm256, d, a, b)?;
                pred == Pred::Le
            }
            (Pred::Lt | Pred::Ge, true) => {
                self.three(VEX_Vpcmpgtd_ymm_ymm_ymmm256, d, a, b)?;
                pred == Pred::Ge
            }
            (Pred::Ge | Pred::Lt, false) => {
                self.three(VEX_Vpmaxud_ymm_ymm_ymmm256, d, a, b)?;
                self.three(VEX_Vpcmpeqd_ymm_ymm_ymmm256, d, d, Operand::Register(a))?;
                pred == Pred::Lt
            }
            (Pred::Le | Pred::Gt, false) => {
                self.three(VEX_Vpminud_ymm_ymm_ymmm256, d, a, b)?;
                self.three(VEX_Vpcmpeqd_ymm_ymm_ymmm256, d, d, Operand::Register(a))?;
                pred == Pred::Gt
            }
            (Pred::Unordered, _) => unreachable!("integers are ordered"),
        };
        if is_negated { self.not(d) } else { Ok(()) }
    }

    /// Makes a mask of a comparison's result.
    fn spread(&mut self, d: Register, wide: bool) -> Result<(), IcedError> {
        if !self.is_half(wide) {
            return Ok(());
        }
        self.add(Instruction::with2(Code::VEX_Vpmovsxdq_ymm_xmmm128, d, low(d))?)
    }
}
