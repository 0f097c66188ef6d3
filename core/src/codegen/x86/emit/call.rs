//! Calls of what has no vector code.
//!
//! Behind what the allocation gave away, the frame has room for the operands and the result, and for every register that
//! is read again behind the call.

use super::super::CALL;
use super::super::call::{OPERANDS, STEP};
use super::super::lir::{Class, Inst, Reg};
use super::{AVAILABLE, Emit, VEC_SCRATCH, memory};
use iced_x86::code_asm::{ptr, rsi};
use iced_x86::{Code, IcedError, Instruction, Register};

/// Where the frame's part for calls has what.
const RESULT: usize = OPERANDS * STEP;
const VECTORS: usize = RESULT + STEP;
const INTS: usize = VECTORS + AVAILABLE.vec as usize * STEP;
const MASKS: usize = INTS + AVAILABLE.int as usize * 8;
const TABLE: usize = MASKS + AVAILABLE.mask as usize * 8;
/// Bytes of it.
pub(super) const BYTES: usize = TABLE + 8;

impl Emit<'_> {
    /// Calls an operation; `live` are the registers that keep what they hold.
    pub(super) fn call(&mut self, inst: &Inst, dst: Reg, live: &[Reg]) -> Result<(), IcedError> {
        let at = |place: usize| (self.call_area + place) as i32;
        let (operands, result, table) = (at(0), at(RESULT), at(TABLE));
        let kept: Vec<(Class, Register, i32)> = live.iter().filter_map(|reg| self.kept(*reg)).collect();
        for (i, operand) in inst.srcs.iter().enumerate() {
            let x = self.read(*operand, VEC_SCRATCH[0])?;
            self.store_slot(Class::Vec, x, operands + (i * STEP) as i32)?;
        }
        for (class, register, at) in &kept {
            self.store_slot(*class, *register, *at)?;
        }
        self.store_slot(Class::Int, Register::RDI, table)?;
        let function = memory(Register::RDI, None, 8 * CALL as i32);
        self.add(Instruction::with2(Code::Mov_r64_rm64, Register::RAX, function)?)?;
        self.add(Instruction::with2(Code::Mov_r32_imm32, Register::EDI, inst.imm as u32)?)?;
        self.add(Instruction::with2(Code::Lea_r64_m, Register::RSI, memory(Register::RSP, None, operands))?)?;
        self.add(Instruction::with2(Code::Lea_r64_m, Register::RDX, memory(Register::RSP, None, result))?)?;
        self.add(Instruction::with2(Code::Mov_r32_imm32, Register::ECX, self.f.lanes as u32)?)?;
        // What is called has code without AVX, which is slow where upper halves are in use.
        self.a.vzeroupper()?;
        self.add(Instruction::with1(Code::Call_rm64, Register::RAX)?)?;
        self.load_slot(Class::Int, Register::RDI, table)?;
        self.a.lea(rsi, ptr(self.pool_label))?;
        for (class, register, at) in &kept {
            self.load_slot(*class, *register, *at)?;
        }
        let d = self.target(dst, VEC_SCRATCH[0]);
        self.load_slot(Class::Vec, d, result)?;
        self.written(dst, d)
    }

    /// The register of a value and its place in the frame, where a call may change the register.
    fn kept(&self, reg: Reg) -> Option<(Class, Register, i32)> {
        let register = self.physical(reg)?;
        let class = self.f.classes[reg.0 as usize];
        let place = match class {
            Class::Vec | Class::Wide => VECTORS + (register as usize - Register::ZMM0 as usize) * STEP,
            // The others are the caller's.
            Class::Int if register < Register::R8 || register > Register::R11 => return None,
            Class::Int => INTS + (register as usize - Register::R8 as usize) * 8,
            Class::Mask => MASKS + (register as usize - Register::K1 as usize) * 8,
        };
        Some((class, register, (self.call_area + place) as i32))
    }
}
