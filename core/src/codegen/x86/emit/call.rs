//! Calls of operations without vector code.
//!
//! After the allocated slots, the frame contains the operands, the result, the address of the table of arguments, and
//! every register that is read after the call.

use super::super::CALL;
use super::super::call::{OPERANDS, STEP};
use super::super::lir::{Class, Inst, Reg};
use super::{Emit, Vectors, memory};
use iced_x86::{Code, IcedError, Instruction, Register};

/// Offsets within the frame's part for calls.
const RESULT: usize = OPERANDS * STEP;
const TABLE: usize = RESULT + STEP;
const KEPT: usize = TABLE + STEP;

/// Bytes of that part, for calls that preserve this many registers.
pub(super) fn bytes(calls: &[Vec<Reg>]) -> usize {
    calls.iter().map(|live| KEPT + live.len() * STEP).max().unwrap_or(0)
}

impl<I> Emit<'_, I>
where
    Self: Vectors,
{
    /// Calls an operation; `live` are the registers whose contents are preserved.
    pub(super) fn call(&mut self, inst: &Inst, dst: Reg, live: &[Reg]) -> Result<(), IcedError> {
        let at = |place: usize| (self.call_area + place) as i32;
        let (operands, result, table) = (at(0), at(RESULT), at(TABLE));
        let kept = live.iter().filter_map(|reg| self.kept(*reg)).enumerate();
        let kept: Vec<(Class, Register, i32)> =
            kept.map(|(i, (class, register))| (class, register, at(KEPT + i * STEP))).collect();
        for (i, operand) in inst.srcs.iter().enumerate() {
            let x = self.read(*operand, Self::SCRATCH[0])?;
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
        // The callee has code without AVX, which is slow while upper halves are in use.
        self.add(Instruction::with(Code::VEX_Vzeroupper))?;
        self.add(Instruction::with1(Code::Call_rm64, Register::RAX)?)?;
        self.load_slot(Class::Int, Register::RDI, table)?;
        self.find_pool()?;
        for (class, register, at) in &kept {
            self.load_slot(*class, *register, *at)?;
        }
        let d = self.target(dst, Self::SCRATCH[0]);
        self.load_slot(Class::Vec, d, result)?;
        self.written(dst, d)
    }

    /// The register of a value, if a call may change it.
    fn kept(&self, reg: Reg) -> Option<(Class, Register)> {
        let register = self.physical(reg)?;
        let class = self.f.classes[reg.0 as usize];
        // Other integer registers are callee-saved.
        let may_change = class != Class::Int || (Register::R8..=Register::R11).contains(&register);
        may_change.then_some((class, register))
    }
}
