//! Lanes in memory.

use super::super::super::lir::{Inst, Mem};
use super::super::{Emit, INT_SCRATCH, memory};
use super::{Avx2, Operand, SCRATCH, low};
use iced_x86::{Code, IcedError, Instruction, MemoryOperand, Register};

impl Emit<'_, Avx2> {
    pub(super) fn load(&mut self, inst: &Inst, d: Register, wide: bool) -> Result<(), IcedError> {
        let short = match self.first_bytes(inst, wide) {
            Some(16) => Some(Code::VEX_Vmovups_xmm_xmmm128),
            Some(8) => Some(Code::VEX_Vmovq_xmm_xmmm64),
            Some(4) => Some(Code::VEX_Vmovd_xmm_rm32),
            _ => None,
        };
        if let Some(code) = short {
            let at = self.mem(inst.mem.expect("a load has a place"))?;
            return self.two(code, low(d), Operand::Memory(at));
        }
        let mask = match inst.mask {
            Some(mask) => Some(self.lanes_of(mask, wide, SCRATCH[1])?),
            None => None,
        };
        let at = self.mem(inst.mem.expect("a load has a place"))?;
        let half = self.is_half(wide);
        match mask {
            None if half => self.two(Code::VEX_Vmovups_xmm_xmmm128, low(d), Operand::Memory(at)),
            None => self.two(Code::VEX_Vmovups_ymm_ymmm256, d, Operand::Memory(at)),
            Some(k) if half => self.three(Code::VEX_Vmaskmovps_xmm_xmm_m128, low(d), low(k), Operand::Memory(at)),
            Some(k) => {
                let code = if wide { Code::VEX_Vmaskmovpd_ymm_ymm_m256 } else { Code::VEX_Vmaskmovps_ymm_ymm_m256 };
                self.three(code, d, k, Operand::Memory(at))
            }
        }
    }

    /// Stores all lanes of a vector, or those of a mask.
    pub(super) fn store_lanes(
        &mut self,
        x: Register,
        at: MemoryOperand,
        mask: Option<Register>,
        wide: bool,
    ) -> Result<(), IcedError> {
        let i = match (mask, self.is_half(wide)) {
            (None, true) => Instruction::with2(Code::VEX_Vmovups_xmmm128_xmm, at, low(x))?,
            (None, false) => Instruction::with2(Code::VEX_Vmovups_ymmm256_ymm, at, x)?,
            (Some(k), true) => Instruction::with3(Code::VEX_Vmaskmovps_m128_xmm_xmm, at, low(k), low(x))?,
            (Some(k), false) => {
                let code = if wide { Code::VEX_Vmaskmovpd_m256_ymm_ymm } else { Code::VEX_Vmaskmovps_m256_ymm_ymm };
                Instruction::with3(code, at, k, x)?
            }
        };
        self.add(i)
    }

    pub(super) fn gather(&mut self, inst: &Inst, d: Register, wide: bool) -> Result<(), IcedError> {
        let at = self.read(inst.srcs[0], SCRATCH[1])?;
        // The machine clears the mask as it goes; skipped lanes keep their old values.
        let k = SCRATCH[2];
        match inst.mask {
            Some(mask) => {
                let lanes = self.lanes_of(mask, wide, k)?;
                self.move_to(k, lanes)?;
            }
            None => self.ones(k)?,
        }
        self.zeros(d)?;
        let Mem { base, disp, .. } = inst.mem.expect("a gather has a place");
        let base = self.read(base, INT_SCRATCH[1])?;
        let (d, k, index, scale, code) = match (wide, self.is_half(wide)) {
            (true, _) => (d, k, low(at), 8, Code::VEX_Vgatherdpd_ymm_vm32x_ymm),
            (false, true) => (low(d), low(k), low(at), 4, Code::VEX_Vpgatherdd_xmm_vm32x_xmm),
            (false, false) => (d, k, at, 4, Code::VEX_Vpgatherdd_ymm_vm32y_ymm),
        };
        self.add(Instruction::with3(code, d, memory(base, Some((index, scale)), disp), k)?)
    }
}
