//! Elements of one byte: no instruction reads or writes only some of them, so the first few are moved in pieces.

use super::super::super::allocate::Place;
use super::super::super::lir::{Inst, Mem, Reg};
use super::super::assembler::Label;
use super::super::{Emit, INT_SCRATCH, memory};
use super::{Avx2, Operand, SCRATCH, low};
use iced_x86::{Code, IcedError, Instruction, MemoryOperand, Register};

/// The address of the bytes while only some are read or written, and their number.
const START: Register = Register::RCX;
const COUNT: Register = Register::RDX;

/// The branch targets, by the number of bytes.
struct Branches {
    /// All.
    all: Label,
    /// Fewer than four.
    few: Label,
    /// None, and after the others.
    done: Label,
}

impl Emit<'_, Avx2> {
    /// The number of lanes of a mask that is the same in every call; `None` for others.
    fn known_count(&self, mask: Option<Reg>) -> Option<usize> {
        let Some(mask) = mask else { return Some(self.f.lanes) };
        let Some(Place::Mask(lanes)) = self.constant_of(mask) else { return None };
        Some(lanes.trailing_ones() as usize)
    }

    /// Branches on the number of lanes of a mask; code for four and more comes first.
    fn by_count(&mut self, mask: Reg, mem: Mem) -> Result<Branches, IcedError> {
        let branches = Branches { all: self.a.label(), few: self.a.label(), done: self.a.label() };
        self.mask_to_bits(mask, SCRATCH[1])?;
        let at = self.mem(mem)?;
        self.add(Instruction::with2(Code::Lea_r64_m, START, at)?)?;
        self.add(Instruction::with2(Code::Cmp_rm32_imm32, Register::EAX, (1 << self.f.lanes) - 1)?)?;
        self.a.branch(Code::Je_rel8_64, branches.all)?;
        self.add(Instruction::with2(Code::Popcnt_r32_rm32, Register::EDX, Register::EAX)?)?;
        self.a.branch(Code::Je_rel8_64, branches.done)?;
        self.add(Instruction::with2(Code::Cmp_rm32_imm32, Register::EDX, 4)?)?;
        self.a.branch(Code::Jb_rel8_64, branches.few)?;
        Ok(branches)
    }

    /// The distance of the last four bytes from the first, in bits.
    fn bits_to_last_four(&mut self, to: Register) -> Result<(), IcedError> {
        let bits = MemoryOperand::with_index_scale_displ_size(COUNT, 8, -32, 1);
        self.add(Instruction::with2(Code::Lea_r32_m, to, bits)?)
    }

    pub(super) fn load_bytes(&mut self, inst: &Inst, d: Register) -> Result<(), IcedError> {
        let mem = inst.mem.expect("a load has a place");
        match (self.known_count(inst.mask), inst.mask) {
            (Some(n), _) if n == self.f.lanes => {
                let at = self.mem(mem)?;
                self.widen(d, Operand::Memory(at))
            }
            (Some(n), _) => {
                let at = self.mem(mem)?;
                self.zeros(d)?;
                for (first, n) in pieces(n) {
                    self.insert(d, at, first, n)?;
                }
                self.widen(d, Operand::Register(low(d)))
            }
            (None, Some(mask)) => self.load_first_bytes(mask, mem, d),
            (None, None) => unreachable!("all lanes are known"),
        }
    }

    fn load_first_bytes(&mut self, mask: Reg, mem: Mem, d: Register) -> Result<(), IcedError> {
        self.zeros(d)?;
        let Branches { all, few, done } = self.by_count(mask, mem)?;
        // The first four, then the last four, which may overlap.
        let (dense, rest) = (low(d), low(SCRATCH[1]));
        self.add(Instruction::with2(Code::VEX_Vmovd_xmm_rm32, dense, memory(START, None, 0))?)?;
        self.add(Instruction::with2(Code::Mov_r32_rm32, Register::EAX, last_four())?)?;
        self.bits_to_last_four(Register::ECX)?;
        self.add(Instruction::with2(Code::Shl_rm64_CL, Register::RAX, Register::CL)?)?;
        self.add(Instruction::with2(Code::VEX_Vmovq_xmm_rm64, rest, Register::RAX)?)?;
        self.three(Code::VEX_Vpor_xmm_xmm_xmmm128, dense, dense, Operand::Register(rest))?;
        self.widen(d, Operand::Register(dense))?;
        self.a.branch(Code::Jmp_rel8_64, done)?;
        // The first, the middle and the last byte: fewer than three repeat, which the mask hides.
        self.a.place(few);
        self.insert(d, memory(START, None, 0), 0, 1)?;
        self.add(Instruction::with2(Code::Mov_r32_rm32, Register::EAX, Register::EDX)?)?;
        self.add(Instruction::with2(Code::Shr_rm32_1, Register::EAX, 1)?)?;
        let middle = memory(START, Some((Register::RAX, 1)), 0);
        self.add(Instruction::with4(Code::VEX_Vpinsrb_xmm_xmm_r32m8_imm8, dense, dense, middle, 1)?)?;
        let last = memory(START, Some((COUNT, 1)), -1);
        self.add(Instruction::with4(Code::VEX_Vpinsrb_xmm_xmm_r32m8_imm8, dense, dense, last, 2)?)?;
        self.widen(d, Operand::Register(dense))?;
        let k = self.lanes_of(mask, false, SCRATCH[1])?;
        self.three(Code::VEX_Vpand_ymm_ymm_ymmm256, d, d, Operand::Register(k))?;
        self.a.branch(Code::Jmp_rel8_64, done)?;
        self.a.place(all);
        self.widen(d, Operand::Memory(memory(START, None, 0)))?;
        self.a.place(done);
        Ok(())
    }

    /// Stores lanes that are less than 256.
    pub(super) fn store_bytes(&mut self, inst: &Inst) -> Result<(), IcedError> {
        let x = self.read(inst.srcs[0], SCRATCH[0])?;
        let dense = low(SCRATCH[0]);
        let upper = if self.is_half(false) {
            low(x)
        } else {
            self.add(Instruction::with3(Code::VEX_Vextracti128_xmmm128_ymm_imm8, low(SCRATCH[1]), x, 1)?)?;
            low(SCRATCH[1])
        };
        self.add(Instruction::with3(Code::VEX_Vpackusdw_xmm_xmm_xmmm128, dense, low(x), upper)?)?;
        self.add(Instruction::with3(Code::VEX_Vpackuswb_xmm_xmm_xmmm128, dense, dense, dense)?)?;
        let mem = inst.mem.expect("a store has a place");
        match (self.known_count(inst.mask), inst.mask) {
            (Some(n), _) => {
                let at = self.mem(mem)?;
                self.extract(dense, at, n)
            }
            (None, Some(mask)) => self.store_first_bytes(mask, mem, dense),
            (None, None) => unreachable!("all lanes are known"),
        }
    }

    fn store_first_bytes(&mut self, mask: Reg, mem: Mem, dense: Register) -> Result<(), IcedError> {
        let Branches { all, few, done } = self.by_count(mask, mem)?;
        let first = memory(START, None, 0);
        // The first four, then the last four.
        self.extract(dense, first, 4)?;
        let rest = low(SCRATCH[1]);
        self.bits_to_last_four(Register::EAX)?;
        self.add(Instruction::with2(Code::VEX_Vmovd_xmm_rm32, rest, Register::EAX)?)?;
        self.three(Code::VEX_Vpsrlq_xmm_xmm_xmmm128, dense, dense, Operand::Register(rest))?;
        self.extract(dense, last_four(), 4)?;
        self.a.branch(Code::Jmp_rel8_64, done)?;
        self.a.place(few);
        for lane in 0..3 {
            if lane > 0 {
                self.add(Instruction::with2(Code::Cmp_rm32_imm32, Register::EDX, lane + 1)?)?;
                self.a.branch(Code::Jb_rel8_64, done)?;
            }
            let at = memory(START, None, lane);
            self.add(Instruction::with3(Code::VEX_Vpextrb_r32m8_xmm_imm8, at, dense, lane)?)?;
        }
        self.a.branch(Code::Jmp_rel8_64, done)?;
        self.a.place(all);
        self.extract(dense, first, self.f.lanes)?;
        self.a.place(done);
        Ok(())
    }

    /// Bytes have no gather: lane by lane through the frame's first bytes, which a function that gathers bytes keeps
    /// free.
    pub(super) fn gather_bytes(&mut self, inst: &Inst, d: Register) -> Result<(), IcedError> {
        let at = self.read(inst.srcs[0], SCRATCH[1])?;
        let slot = |lane: usize| memory(Register::RSP, None, 4 * lane as i32);
        let mut numbers = at;
        if let Some(mask) = inst.mask {
            // A masked-out lane reads the first element.
            let k = self.lanes_of(mask, false, SCRATCH[2])?;
            self.three(Code::VEX_Vpand_ymm_ymm_ymmm256, SCRATCH[2], k, Operand::Register(at))?;
            numbers = SCRATCH[2];
        }
        self.add(Instruction::with2(Code::VEX_Vmovups_ymmm256_ymm, slot(0), numbers)?)?;
        let Mem { base, disp, .. } = inst.mem.expect("a gather has a place");
        let base = self.read(base, INT_SCRATCH[1])?;
        for lane in 0..self.f.lanes {
            self.add(Instruction::with2(Code::Movsxd_r64_rm32, Register::RAX, slot(lane))?)?;
            let from = memory(base, Some((Register::RAX, 1)), disp);
            self.add(Instruction::with2(Code::Movzx_r32_rm8, Register::EAX, from)?)?;
            self.add(Instruction::with2(Code::Mov_rm32_r32, slot(lane), Register::EAX)?)?;
        }
        self.two(Code::VEX_Vmovups_ymm_ymmm256, d, Operand::Memory(slot(0)))
    }

    /// Bytes as lanes of 32 bits.
    fn widen(&mut self, d: Register, from: Operand) -> Result<(), IcedError> {
        if self.is_half(false) {
            self.two(Code::VEX_Vpmovzxbd_xmm_xmmm32, low(d), from)
        } else {
            self.two(Code::VEX_Vpmovzxbd_ymm_xmmm64, d, from)
        }
    }

    /// Reads `n` bytes from byte `first` on into the same place of a register.
    fn insert(&mut self, d: Register, at: MemoryOperand, first: usize, n: usize) -> Result<(), IcedError> {
        let code = match n {
            4 => Code::VEX_Vpinsrd_xmm_xmm_rm32_imm8,
            2 => Code::VEX_Vpinsrw_xmm_xmm_r32m16_imm8,
            _ => Code::VEX_Vpinsrb_xmm_xmm_r32m8_imm8,
        };
        let number = (first / n) as i32;
        self.add(Instruction::with4(code, low(d), low(d), further(at, first), number)?)
    }

    /// Writes the first `n` bytes of a register.
    fn extract(&mut self, x: Register, at: MemoryOperand, n: usize) -> Result<(), IcedError> {
        if n == 8 {
            return self.add(Instruction::with2(Code::VEX_Vmovq_xmmm64_xmm, at, x)?);
        }
        for (first, n) in pieces(n) {
            let code = match n {
                4 => Code::VEX_Vpextrd_rm32_xmm_imm8,
                2 => Code::VEX_Vpextrw_r32m16_xmm_imm8,
                _ => Code::VEX_Vpextrb_r32m8_xmm_imm8,
            };
            self.add(Instruction::with3(code, further(at, first), x, (first / n) as i32)?)?;
        }
        Ok(())
    }
}

/// This many bytes in pieces of four, two and one: the first byte and the length of each.
fn pieces(n: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let size = [4, 2, 1].into_iter().find(|size| at + size <= n)?;
        at += size;
        Some((at - size, size))
    })
}

fn last_four() -> MemoryOperand {
    memory(START, Some((COUNT, 1)), -4)
}

/// This many bytes further.
fn further(at: MemoryOperand, by: usize) -> MemoryOperand {
    MemoryOperand { displacement: at.displacement + by as i64, displ_size: 1, ..at }
}
