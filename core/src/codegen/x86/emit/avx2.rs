//! Vectors and masks of AVX2: eight lanes, or four where some have 64 bits.
//!
//! A mask is a vector whose lanes have all bits or none. Its lanes have the size of the largest elements, so in a
//! function of four lanes they have 64 bits. In such a function a vector of 32-bit elements is the lower half of a
//! register, and the upper half is undefined: only code that accesses memory, or lanes of both sizes, must handle this.
//!
//! There are half as many registers as with AVX-512, so more values are spilled, and instructions take their last
//! operand from memory.

mod bytes;
mod codes;
mod emulate;
mod masks;
mod memory;
mod permute;

use super::super::allocate::{File, Place};
use super::super::lir::{Class, Inst, Op, Reg};
use super::{Emit, Failure, INT_SCRATCH, Vectors, arg, low_half, memory, rounding};
use iced_x86::{Code, IcedError, Instruction, MemoryOperand, Register};

/// The instruction set: AVX2 and FMA.
pub(super) struct Avx2;

/// Lanes of 32 bits.
const LANES: usize = 8;
/// Bytes of a register.
const BYTES: usize = 32;

const SCRATCH: [Register; 3] = [Register::YMM13, Register::YMM14, Register::YMM15];

/// The last operand of an instruction.
#[derive(Clone, Copy)]
enum Operand {
    Register(Register),
    Memory(MemoryOperand),
}

impl Operand {
    /// The lower half.
    fn low(self) -> Operand {
        match self {
            Operand::Register(register) => Operand::Register(low(register)),
            at => at,
        }
    }
}

impl Emit<'_, Avx2> {
    /// Whether masks have lanes of 64 bits.
    fn has_wide_masks(&self) -> bool {
        self.f.lanes < LANES
    }

    /// Whether lanes of 32 bits, or 64 if `wide`, fill half a register.
    fn is_half(&self, wide: bool) -> bool {
        self.has_wide_masks() && !wide
    }

    /// A value as an instruction's last operand.
    fn operand(&mut self, reg: Reg) -> Operand {
        match self.places[reg.0 as usize] {
            Place::Register(n) => Operand::Register(Self::register(self.f.classes[reg.0 as usize], n)),
            Place::Slot(at) => Operand::Memory(memory(Register::RSP, None, at as i32)),
            Place::Nowhere => Operand::Register(SCRATCH[2]),
            place => Operand::Memory(self.constant_place(self.f.classes[reg.0 as usize], place)),
        }
    }

    /// The pool's place of a constant.
    fn constant_place(&mut self, class: Class, place: Place) -> MemoryOperand {
        match place {
            Place::Pool(bits) if class == Class::Wide => self.pooled_all(&bits.to_le_bytes()),
            Place::Pool(bits) => self.pooled_all(&(bits as u32).to_le_bytes()),
            Place::Open(number) => {
                let size = if class == Class::Wide { 8 } else { 4 };
                self.open(number, size, BYTES / size)
            }
            Place::Mask(lanes) => {
                let lane = |i: usize| if lanes >> i & 1 == 1 { u8::MAX } else { 0 };
                let size = BYTES / self.f.lanes;
                let bytes: Vec<u8> = (0..BYTES).map(|i| lane(i / size)).collect();
                self.pooled(&bytes)
            }
            Place::Table(n) => Self::table(n as usize),
            _ => unreachable!("{place:?} is no constant"),
        }
    }

    /// An element in every lane.
    fn pooled_all(&mut self, element: &[u8]) -> MemoryOperand {
        self.pooled(&element.repeat(BYTES / element.len()))
    }

    /// A constant of 32 bits in every lane.
    fn bits(&mut self, bits: u32) -> Operand {
        Operand::Memory(self.pooled_all(&bits.to_le_bytes()))
    }

    /// The numbers of the lower halves of lanes of 64 bits.
    fn lower_halves(&mut self) -> MemoryOperand {
        let numbers: Vec<u8> = [0u32, 2, 4, 6, 0, 2, 4, 6].iter().flat_map(|n| n.to_le_bytes()).collect();
        self.pooled(&numbers)
    }

    fn two(&mut self, code: Code, d: Register, a: Operand) -> Result<(), IcedError> {
        self.add(match a {
            Operand::Register(a) => Instruction::with2(code, d, a)?,
            Operand::Memory(a) => Instruction::with2(code, d, a)?,
        })
    }

    fn two_imm(&mut self, code: Code, d: Register, a: Operand, imm: i32) -> Result<(), IcedError> {
        self.add(match a {
            Operand::Register(a) => Instruction::with3(code, d, a, imm)?,
            Operand::Memory(a) => Instruction::with3(code, d, a, imm)?,
        })
    }

    fn three(&mut self, code: Code, d: Register, a: Register, b: Operand) -> Result<(), IcedError> {
        self.add(match b {
            Operand::Register(b) => Instruction::with3(code, d, a, b)?,
            Operand::Memory(b) => Instruction::with3(code, d, a, b)?,
        })
    }

    fn three_imm(&mut self, code: Code, d: Register, a: Register, b: Operand, imm: i32) -> Result<(), IcedError> {
        self.add(match b {
            Operand::Register(b) => Instruction::with4(code, d, a, b, imm)?,
            Operand::Memory(b) => Instruction::with4(code, d, a, b, imm)?,
        })
    }

    fn move_to(&mut self, d: Register, a: Register) -> Result<(), IcedError> {
        if d == a { Ok(()) } else { self.two(Code::VEX_Vmovups_ymm_ymmm256, d, Operand::Register(a)) }
    }

    fn ones(&mut self, d: Register) -> Result<(), IcedError> {
        self.add(Instruction::with3(Code::VEX_Vpcmpeqd_ymm_ymm_ymmm256, d, d, d)?)
    }

    fn zeros(&mut self, d: Register) -> Result<(), IcedError> {
        self.add(Instruction::with3(Code::VEX_Vpxor_ymm_ymm_ymmm256, d, d, d)?)
    }

    /// `b` where the mask has a lane, else `a`.
    fn choose(&mut self, d: Register, a: Register, b: Operand, mask: Register) -> Result<(), IcedError> {
        let code = Code::VEX_Vblendvps_ymm_ymm_ymmm256_ymm;
        self.add(match b {
            Operand::Register(b) => Instruction::with4(code, d, a, b, mask)?,
            Operand::Memory(b) => Instruction::with4(code, d, a, b, mask)?,
        })
    }

    /// Computes the result of an instruction into `d`, which is a machine register but not that of an operand; a
    /// merging mask is ignored.
    fn compute(&mut self, inst: &Inst, d: Register) -> Result<(), IcedError> {
        let wide = self.is_wide(inst);
        match inst.op {
            Op::Splat => {
                let a = self.read(inst.srcs[0], INT_SCRATCH[1])?;
                self.splat(d, low_half(a))
            }
            Op::SplatArg => {
                let code = if wide { Code::VEX_Vpbroadcastq_ymm_xmmm64 } else { Code::VEX_Vpbroadcastd_ymm_xmmm32 };
                self.two(code, d, Operand::Memory(arg(inst.imm)))
            }
            Op::Load | Op::LoadInto => self.load(inst, d, wide),
            Op::LoadBytes => self.load_bytes(inst, d),
            Op::Bcst => {
                let at = self.mem(inst.mem.expect("a load has a place"))?;
                let code = if wide { Code::VEX_Vbroadcastsd_ymm_m64 } else { Code::VEX_Vbroadcastss_ymm_m32 };
                self.two(code, d, Operand::Memory(at))
            }
            Op::BcstByte => {
                let at = self.mem(inst.mem.expect("a load has a place"))?;
                self.add(Instruction::with2(Code::Movzx_r32_rm8, Register::EAX, at)?)?;
                self.splat(d, Register::EAX)
            }
            Op::Compress => {
                let x = self.read(inst.srcs[0], SCRATCH[1])?;
                self.compress(d, x, inst.mask.expect("a mask says which lanes"), wide)
            }
            Op::Perm => self.permute(inst, d, wide),
            Op::Perm2 => self.permute_two(inst, d, wide),
            Op::Gather => self.gather(inst, d, wide),
            Op::GatherBytes => self.gather_bytes(inst, d),
            _ => self.arithmetic(inst, d, wide),
        }
    }

    fn splat(&mut self, d: Register, from: Register) -> Result<(), IcedError> {
        self.add(Instruction::with2(Code::VEX_Vmovd_xmm_rm32, low(d), from)?)?;
        self.add(Instruction::with2(Code::VEX_Vpbroadcastd_ymm_xmmm32, d, low(d))?)
    }

    fn arithmetic(&mut self, inst: &Inst, d: Register, wide: bool) -> Result<(), IcedError> {
        let to_wide = inst.dst.is_some_and(|dst| self.f.is_wide(dst));
        match inst.op {
            Op::CvtUToF | Op::CvtToU | Op::ScaleF | Op::RolImm => self.emulated(inst, d, wide),
            Op::CvtToF | Op::CvtToI | Op::CvtF if wide => {
                let a = self.operand(inst.srcs[0]);
                match (inst.op, to_wide) {
                    (Op::CvtToF, _) => self.two(Code::VEX_Vcvtdq2pd_ymm_xmmm128, d, a.low()),
                    (Op::CvtToI, _) => self.two(Code::VEX_Vcvttpd2dq_xmm_ymmm256, low(d), a),
                    (_, true) => self.two(Code::VEX_Vcvtps2pd_ymm_xmmm128, d, a.low()),
                    (_, false) => self.two(Code::VEX_Vcvtpd2ps_xmm_ymmm256, low(d), a),
                }
            }
            Op::FloorF | Op::CeilF | Op::NearestF | Op::TruncF => {
                let a = self.operand(inst.srcs[0]);
                let code = if wide { Code::VEX_Vroundpd_ymm_ymmm256_imm8 } else { Code::VEX_Vroundps_ymm_ymmm256_imm8 };
                self.two_imm(code, d, a, rounding(inst.op))
            }
            Op::SarImm => {
                let a = self.read(inst.srcs[0], SCRATCH[1])?;
                self.add(Instruction::with3(Code::VEX_Vpsrad_ymm_ymm_imm8, d, a, inst.imm as i32)?)
            }
            Op::MovV | Op::SqrtF | Op::CvtToF | Op::CvtToI => {
                let a = self.operand(inst.srcs[0]);
                self.two(codes::unary(inst.op, wide), d, a)
            }
            _ => {
                let a = self.read(inst.srcs[0], SCRATCH[1])?;
                let b = self.operand(inst.srcs[1]);
                self.three(codes::binary(inst.op, wide), d, a, b)
            }
        }
    }

    /// An instruction whose result takes only the lanes of a mask.
    fn merged(&mut self, inst: &Inst, mask: Reg, dst: Reg) -> Result<(), IcedError> {
        let new = SCRATCH[0];
        if inst.op == Op::Fma {
            let old = self.operand(dst);
            self.two(Code::VEX_Vmovups_ymm_ymmm256, new, old)?;
        }
        self.compute(inst, new)?;
        let old = self.read(dst, SCRATCH[1])?;
        let k = self.lanes_of(mask, self.f.is_wide(dst), SCRATCH[2])?;
        let d = self.target(dst, new);
        self.choose(d, old, Operand::Register(new), k)?;
        self.written(dst, d)
    }
}

impl Vectors for Emit<'_, Avx2> {
    const FILES: &'static [File] = &[(&[Class::Vec, Class::Wide, Class::Mask], 13)];

    const SCRATCH: [Register; 3] = SCRATCH;

    fn register(_class: Class, n: u8) -> Register {
        Register::YMM0 + u32::from(n)
    }

    fn read_constant(&mut self, class: Class, place: Place, to: Register) -> Result<(), IcedError> {
        if place == Place::Pool(0) {
            return self.zeros(to);
        }
        let at = self.constant_place(class, place);
        self.two(Code::VEX_Vmovups_ymm_ymmm256, to, Operand::Memory(at))
    }

    fn reload(&mut self, _class: Class, to: Register, at: MemoryOperand) -> Result<(), IcedError> {
        self.two(Code::VEX_Vmovups_ymm_ymmm256, to, Operand::Memory(at))
    }

    fn spill(&mut self, _class: Class, at: MemoryOperand, from: Register) -> Result<(), IcedError> {
        self.add(Instruction::with2(Code::VEX_Vmovups_ymmm256_ymm, at, from)?)
    }

    fn lane_to_int(&mut self, from: Reg, to: Register) -> Result<(), IcedError> {
        let x = self.read(from, SCRATCH[0])?;
        self.add(Instruction::with2(Code::VEX_Vmovd_rm32_xmm, to, low(x))?)
    }

    fn count(&mut self, mask: Reg) -> Result<(), IcedError> {
        self.mask_to_bits(mask, SCRATCH[1])?;
        self.add(Instruction::with2(Code::Popcnt_r32_rm32, Register::EAX, Register::EAX)?)
    }

    fn check_vec(&mut self, inst: &Inst) -> Result<(), IcedError> {
        let at = self.read(inst.srcs[0], SCRATCH[1])?;
        let wrong = SCRATCH[0];
        let extent = match inst.srcs.get(1) {
            Some(extent) => self.operand(*extent),
            None => {
                let extent = self.extent(inst.imm);
                self.two(Code::VEX_Vpbroadcastd_ymm_xmmm32, wrong, Operand::Memory(extent))?;
                Operand::Register(wrong)
            }
        };
        // Not less than, as unsigned numbers.
        self.three(Code::VEX_Vpmaxud_ymm_ymm_ymmm256, wrong, at, extent)?;
        self.three(Code::VEX_Vpcmpeqd_ymm_ymm_ymmm256, wrong, wrong, Operand::Register(at))?;
        if let Some(mask) = inst.mask {
            let k = self.lanes_of(mask, false, SCRATCH[2])?;
            self.three(Code::VEX_Vpand_ymm_ymm_ymmm256, wrong, wrong, Operand::Register(k))?;
        }
        let i = if self.is_half(false) {
            Instruction::with2(Code::VEX_Vmovmskps_r32_xmm, Register::EAX, low(wrong))?
        } else {
            Instruction::with2(Code::VEX_Vmovmskps_r32_ymm, Register::EAX, wrong)?
        };
        self.add(i)?;
        self.add(Instruction::with2(Code::Test_rm32_r32, Register::EAX, Register::EAX)?)?;
        let label = self.a.label();
        self.a.branch(Code::Jne_rel8_64, label)?;
        self.failures.push(Failure { label, position: at, extent: inst.imm });
        Ok(())
    }

    fn wrong_lane(&mut self, at: Register) -> Result<(), IcedError> {
        let wrong = SCRATCH[0];
        self.add(Instruction::with2(Code::Bsf_r32_rm32, Register::EAX, Register::EAX)?)?;
        self.add(Instruction::with2(Code::VEX_Vmovd_xmm_rm32, low(wrong), Register::EAX)?)?;
        self.three(Code::VEX_Vpermd_ymm_ymm_ymmm256, wrong, wrong, Operand::Register(at))?;
        self.add(Instruction::with2(Code::VEX_Vmovd_rm32_xmm, Register::EAX, low(wrong))?)?;
        self.add(Instruction::with2(Code::Movsxd_r64_rm32, Register::RAX, Register::EAX)?)
    }

    fn store(&mut self, inst: &Inst) -> Result<(), IcedError> {
        let wide = self.is_wide(inst);
        let mem = inst.mem.expect("a store has a place");
        match (inst.op, inst.mask) {
            (Op::Store, mask) => {
                let x = self.read(inst.srcs[0], SCRATCH[0])?;
                let short = match self.first_bytes(inst, wide) {
                    Some(16) => Some(Code::VEX_Vmovups_xmmm128_xmm),
                    Some(8) => Some(Code::VEX_Vmovq_xmmm64_xmm),
                    Some(4) => Some(Code::VEX_Vmovd_rm32_xmm),
                    _ => None,
                };
                if let Some(code) = short {
                    let at = self.mem(mem)?;
                    return self.add(Instruction::with2(code, at, low(x))?);
                }
                let mask = match mask {
                    Some(mask) => Some(self.lanes_of(mask, wide, SCRATCH[1])?),
                    None => None,
                };
                let at = self.mem(mem)?;
                self.store_lanes(x, at, mask, wide)
            }
            (Op::StoreBytes, _) => self.store_bytes(inst),
            (Op::StoreCompressed, Some(mask)) => {
                let x = self.read(inst.srcs[0], SCRATCH[0])?;
                self.compress(SCRATCH[0], x, mask, wide)?;
                self.count(mask)?;
                self.first_lanes(wide, SCRATCH[1])?;
                let at = self.mem(mem)?;
                self.store_lanes(SCRATCH[0], at, Some(SCRATCH[1]), wide)
            }
            (other, _) => unreachable!("{other:?} is no store"),
        }
    }

    fn vec(&mut self, inst: &Inst, dst: Reg) -> Result<(), IcedError> {
        match (inst.op, inst.mask) {
            (Op::Const | Op::Open | Op::Table, _) => return self.constant(inst, dst),
            (Op::Blend, Some(mask)) => {
                let a = self.read(inst.srcs[0], SCRATCH[1])?;
                let b = self.operand(inst.srcs[1]);
                let k = self.lanes_of(mask, self.f.is_wide(dst), SCRATCH[0])?;
                let d = self.target(dst, SCRATCH[0]);
                self.choose(d, a, b, k)?;
                return self.written(dst, d);
            }
            (_, Some(mask)) if inst.reads_dst() => return self.merged(inst, mask, dst),
            _ => {}
        }
        if inst.op == Op::MovV
            && let (Place::Slot(at), Some(a)) = (self.places[dst.0 as usize], self.physical(inst.srcs[0]))
        {
            return self.spill(Class::Vec, memory(Register::RSP, None, at as i32), a);
        }
        let d = if inst.reads_dst() { self.read(dst, SCRATCH[0])? } else { self.target(dst, SCRATCH[0]) };
        self.compute(inst, d)?;
        self.written(dst, d)
    }

    fn mask(&mut self, inst: &Inst, dst: Reg) -> Result<(), IcedError> {
        if inst.op == Op::MaskImm {
            return self.constant(inst, dst);
        }
        let d = self.target(dst, SCRATCH[0]);
        self.compute_mask(inst, d)?;
        self.written(dst, d)
    }
}

/// The lower half of a register.
fn low(register: Register) -> Register {
    Register::XMM0 + (register as u32 - Register::YMM0 as u32)
}
