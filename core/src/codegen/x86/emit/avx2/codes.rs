//! The instructions of AVX2 on whole registers, for elements of 32 and of 64 bits.

use super::super::super::lir::Op;
use iced_x86::Code;

/// Instructions of one operand.
pub(super) fn unary(op: Op, wide: bool) -> Code {
    match (op, wide) {
        (Op::MovV, _) => Code::VEX_Vmovups_ymm_ymmm256,
        (Op::SqrtF, false) => Code::VEX_Vsqrtps_ymm_ymmm256,
        (Op::SqrtF, true) => Code::VEX_Vsqrtpd_ymm_ymmm256,
        (Op::CvtToF, false) => Code::VEX_Vcvtdq2ps_ymm_ymmm256,
        (Op::CvtToI, false) => Code::VEX_Vcvttps2dq_ymm_ymmm256,
        (other, _) => unreachable!("{other:?} of one vector, 64 bits: {wide}"),
    }
}

/// Instructions of two operands.
pub(super) fn binary(op: Op, wide: bool) -> Code {
    match (op, wide) {
        (Op::AddF, false) => Code::VEX_Vaddps_ymm_ymm_ymmm256,
        (Op::AddF, true) => Code::VEX_Vaddpd_ymm_ymm_ymmm256,
        (Op::SubF, false) => Code::VEX_Vsubps_ymm_ymm_ymmm256,
        (Op::SubF, true) => Code::VEX_Vsubpd_ymm_ymm_ymmm256,
        (Op::MulF, false) => Code::VEX_Vmulps_ymm_ymm_ymmm256,
        (Op::MulF, true) => Code::VEX_Vmulpd_ymm_ymm_ymmm256,
        (Op::DivF, false) => Code::VEX_Vdivps_ymm_ymm_ymmm256,
        (Op::DivF, true) => Code::VEX_Vdivpd_ymm_ymm_ymmm256,
        (Op::MaxF, false) => Code::VEX_Vmaxps_ymm_ymm_ymmm256,
        (Op::MaxF, true) => Code::VEX_Vmaxpd_ymm_ymm_ymmm256,
        (Op::MinF, false) => Code::VEX_Vminps_ymm_ymm_ymmm256,
        (Op::MinF, true) => Code::VEX_Vminpd_ymm_ymm_ymmm256,
        (Op::Fma, false) => Code::VEX_Vfmadd231ps_ymm_ymm_ymmm256,
        (Op::Fma, true) => Code::VEX_Vfmadd231pd_ymm_ymm_ymmm256,
        (Op::AddI, false) => Code::VEX_Vpaddd_ymm_ymm_ymmm256,
        (Op::SubI, false) => Code::VEX_Vpsubd_ymm_ymm_ymmm256,
        (Op::MulI, false) => Code::VEX_Vpmulld_ymm_ymm_ymmm256,
        (Op::MaxS, false) => Code::VEX_Vpmaxsd_ymm_ymm_ymmm256,
        (Op::MinS, false) => Code::VEX_Vpminsd_ymm_ymm_ymmm256,
        (Op::MaxU, false) => Code::VEX_Vpmaxud_ymm_ymm_ymmm256,
        (Op::MinU, false) => Code::VEX_Vpminud_ymm_ymm_ymmm256,
        (Op::ShlV, false) => Code::VEX_Vpsllvd_ymm_ymm_ymmm256,
        (Op::ShrV, false) => Code::VEX_Vpsrlvd_ymm_ymm_ymmm256,
        (Op::And | Op::MaskAnd, _) => Code::VEX_Vpand_ymm_ymm_ymmm256,
        (Op::Or | Op::MaskOr, _) => Code::VEX_Vpor_ymm_ymm_ymmm256,
        (Op::Xor | Op::MaskXor, _) => Code::VEX_Vpxor_ymm_ymm_ymmm256,
        (other, _) => unreachable!("{other:?} of two vectors, 64 bits: {wide}"),
    }
}
