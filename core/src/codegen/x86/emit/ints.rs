//! Integers: addresses, loop variables and branch conditions.

use super::super::lir::{Inst, Op, Reg};
use super::{Emit, INT_SCRATCH, Vectors, low_half, memory};
use iced_x86::{Code, IcedError, Instruction, Register};

impl<I> Emit<'_, I>
where
    Self: Vectors,
{
    pub(super) fn int(&mut self, inst: &Inst, dst: Reg) -> Result<(), IcedError> {
        let d = self.target(dst, INT_SCRATCH[0]);
        match inst.op {
            Op::Imm if i32::try_from(inst.imm).is_ok() => {
                self.add(Instruction::with2(Code::Mov_rm64_imm32, d, inst.imm as i32)?)?;
            }
            Op::Imm => self.add(Instruction::with2(Code::Mov_r64_imm64, d, inst.imm as u64)?)?,
            // An operand that is rematerialised where it is read needs no instruction.
            Op::Arg if self.physical(dst).is_none() => {}
            Op::Arg => self.read_arg(d, inst.imm as u32)?,
            Op::StackAddr => {}
            Op::LoadI32 => {
                let at = self.mem(inst.mem.expect("a load has a place"))?;
                self.add(Instruction::with2(Code::Movsxd_r64_rm32, d, at)?)?;
            }
            Op::LaneToInt => {
                let e = low_half(d);
                self.lane_to_int(inst.srcs[0], e)?;
                self.add(Instruction::with2(Code::Movsxd_r64_rm32, d, e)?)?;
            }
            Op::MaskCount => {
                self.count(inst.srcs[0])?;
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
                } else if let Ok(imm) = i32::try_from(imm) {
                    self.add(Instruction::with3(Code::Imul_r64_rm64_imm32, d, a, imm)?)?;
                } else {
                    let by = INT_SCRATCH[2];
                    self.add(Instruction::with2(Code::Mov_r64_imm64, by, imm as u64)?)?;
                    self.add(Instruction::with2(Code::Imul_r64_rm64, by, a)?)?;
                    self.add(Instruction::with2(Code::Mov_r64_rm64, d, by)?)?;
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
            other => unreachable!("{other:?} is no integer"),
        }
        self.written(dst, d)
    }
}
