//! Single instructions of AVX-512 that take several of AVX2. The results have the same bits.

use super::super::super::lir::{Inst, Op};
use super::super::Emit;
use super::{Avx2, Operand, SCRATCH};
use iced_x86::{Code, IcedError, Instruction, Register};

impl Emit<'_, Avx2> {
    pub(super) fn emulated(&mut self, inst: &Inst, d: Register, wide: bool) -> Result<(), IcedError> {
        let a = self.read(inst.srcs[0], SCRATCH[1])?;
        let t = SCRATCH[2];
        let (in_d, in_t) = (Operand::Register(d), Operand::Register(t));
        match (inst.op, wide) {
            (Op::RolImm, _) => self.rotate(inst.imm as i32, d, a),
            (Op::CvtUToF, false) => {
                // Both halves are exact as floats; only their sum is rounded.
                self.add(Instruction::with3(Code::VEX_Vpsrld_ymm_ymm_imm8, t, a, 16)?)?;
                self.two(Code::VEX_Vcvtdq2ps_ymm_ymmm256, t, in_t)?;
                let (half, scale) = (self.bits(0xffff), self.bits(65536f32.to_bits()));
                self.three(Code::VEX_Vmulps_ymm_ymm_ymmm256, t, t, scale)?;
                self.three(Code::VEX_Vpand_ymm_ymm_ymmm256, d, a, half)?;
                self.two(Code::VEX_Vcvtdq2ps_ymm_ymmm256, d, in_d)?;
                self.three(Code::VEX_Vaddps_ymm_ymm_ymmm256, d, d, in_t)
            }
            (Op::CvtUToF, true) => {
                // As a signed number it is 2³¹ less, and every sum is exact.
                let sign = self.bits(1 << 31);
                self.three(Code::VEX_Vpxor_ymm_ymm_ymmm256, d, a, sign)?;
                self.two(Code::VEX_Vcvtdq2pd_ymm_xmmm128, d, in_d.low())?;
                let less = Operand::Memory(self.pooled_all(&2_147_483_648f64.to_le_bytes()));
                self.three(Code::VEX_Vaddpd_ymm_ymm_ymmm256, d, d, less)
            }
            (Op::CvtToU, false) => {
                // Subtracts 2³¹ where the machine's signed numbers end; the sign bit adds it back.
                let limit = self.bits(2_147_483_648f32.to_bits());
                self.three_imm(Code::VEX_Vcmpps_ymm_ymm_ymmm256_imm8, t, a, limit, 0x1d)?;
                self.three(Code::VEX_Vandps_ymm_ymm_ymmm256, d, t, limit)?;
                self.three(Code::VEX_Vsubps_ymm_ymm_ymmm256, d, a, in_d)?;
                self.two(Code::VEX_Vcvttps2dq_ymm_ymmm256, d, in_d)?;
                self.add(Instruction::with3(Code::VEX_Vpslld_ymm_ymm_imm8, t, t, 31)?)?;
                self.three(Code::VEX_Vpxor_ymm_ymm_ymmm256, d, d, in_t)
            }
            (Op::CvtToU, true) => {
                // From 2⁵² on the lowest bit of a double is 1.
                self.two_imm(Code::VEX_Vroundpd_ymm_ymmm256_imm8, d, Operand::Register(a), 11)?;
                let large = Operand::Memory(self.pooled_all(&4_503_599_627_370_496f64.to_le_bytes()));
                self.three(Code::VEX_Vaddpd_ymm_ymm_ymmm256, d, d, large)?;
                let numbers = Operand::Memory(self.lower_halves());
                self.two(Code::VEX_Vmovups_ymm_ymmm256, t, numbers)?;
                self.three(Code::VEX_Vpermd_ymm_ymm_ymmm256, d, t, in_d)
            }
            (Op::ScaleF, false) => {
                // Two powers of two, so that each is a normal number for exponents from -252 to 254; the first product
                // of a normal number is exact.
                let k = self.operand(inst.srcs[1]);
                let one = self.bits(1f32.to_bits());
                self.two(Code::VEX_Vcvtps2dq_ymm_ymmm256, d, k)?;
                self.add(Instruction::with3(Code::VEX_Vpsrad_ymm_ymm_imm8, t, d, 1)?)?;
                self.three(Code::VEX_Vpsubd_ymm_ymm_ymmm256, d, d, in_t)?;
                for power in [t, d] {
                    self.add(Instruction::with3(Code::VEX_Vpslld_ymm_ymm_imm8, power, power, 23)?)?;
                    self.three(Code::VEX_Vpaddd_ymm_ymm_ymmm256, power, power, one)?;
                }
                self.three(Code::VEX_Vmulps_ymm_ymm_ymmm256, t, a, in_t)?;
                self.three(Code::VEX_Vmulps_ymm_ymm_ymmm256, d, t, in_d)
            }
            (other, _) => unreachable!("{other:?} has an instruction, 64 bits: {wide}"),
        }
    }

    fn rotate(&mut self, by: i32, d: Register, a: Register) -> Result<(), IcedError> {
        if by % 8 == 0 {
            // Whole bytes move.
            let byte = |i: usize| (i / 4 * 4 + (i + 4 - by as usize / 8) % 4) as u8;
            let numbers: [u8; 32] = std::array::from_fn(|i| byte(i % 16));
            let numbers = Operand::Memory(self.pooled(&numbers));
            return self.three(Code::VEX_Vpshufb_ymm_ymm_ymmm256, d, a, numbers);
        }
        let t = SCRATCH[2];
        self.add(Instruction::with3(Code::VEX_Vpsrld_ymm_ymm_imm8, t, a, 32 - by)?)?;
        self.add(Instruction::with3(Code::VEX_Vpslld_ymm_ymm_imm8, d, a, by)?)?;
        self.three(Code::VEX_Vpor_ymm_ymm_ymmm256, d, d, Operand::Register(t))
    }
}
