//! The instructions of AVX-512 on whole registers, for elements of 32 and of 64 bits.

use super::super::super::lir::Op;
use iced_x86::{Code, Register};

/// Reads this many bytes and sets the others to 0; returns the first register of the kind, too.
pub(super) fn load_first(n: u32) -> Option<(Code, Register)> {
    match n {
        32 => Some((Code::EVEX_Vmovups_ymm_k1z_ymmm256, Register::YMM0)),
        16 => Some((Code::EVEX_Vmovups_xmm_k1z_xmmm128, Register::XMM0)),
        8 => Some((Code::EVEX_Vmovq_xmm_xmmm64, Register::XMM0)),
        4 => Some((Code::EVEX_Vmovd_xmm_rm32, Register::XMM0)),
        _ => None,
    }
}

/// Writes this many bytes; returns the first register of the kind, too.
pub(super) fn store_first(n: u32) -> Option<(Code, Register)> {
    match n {
        32 => Some((Code::EVEX_Vmovups_ymmm256_k1z_ymm, Register::YMM0)),
        16 => Some((Code::EVEX_Vmovups_xmmm128_k1z_xmm, Register::XMM0)),
        8 => Some((Code::EVEX_Vmovq_xmmm64_xmm, Register::XMM0)),
        4 => Some((Code::EVEX_Vmovd_rm32_xmm, Register::XMM0)),
        _ => None,
    }
}

/// Instructions of one operand.
pub(super) fn unary(op: Op, wide: bool) -> Code {
    match (op, wide) {
        (Op::MovV, false) => Code::EVEX_Vmovups_zmm_k1z_zmmm512,
        (Op::MovV, true) => Code::EVEX_Vmovupd_zmm_k1z_zmmm512,
        (Op::SqrtF, false) => Code::EVEX_Vsqrtps_zmm_k1z_zmmm512b32_er,
        (Op::SqrtF, true) => Code::EVEX_Vsqrtpd_zmm_k1z_zmmm512b64_er,
        (Op::FloorF | Op::CeilF | Op::NearestF | Op::TruncF, false) => {
            Code::EVEX_Vrndscaleps_zmm_k1z_zmmm512b32_imm8_sae
        }
        (Op::FloorF | Op::CeilF | Op::NearestF | Op::TruncF, true) => {
            Code::EVEX_Vrndscalepd_zmm_k1z_zmmm512b64_imm8_sae
        }
        (Op::CvtToF, false) => Code::EVEX_Vcvtdq2ps_zmm_k1z_zmmm512b32_er,
        (Op::CvtUToF, false) => Code::EVEX_Vcvtudq2ps_zmm_k1z_zmmm512b32_er,
        (Op::CvtToI, false) => Code::EVEX_Vcvttps2dq_zmm_k1z_zmmm512b32_sae,
        (Op::CvtToU, false) => Code::EVEX_Vcvttps2udq_zmm_k1z_zmmm512b32_sae,
        (Op::SarImm, false) => Code::EVEX_Vpsrad_zmm_k1z_zmmm512b32_imm8,
        (Op::RolImm, false) => Code::EVEX_Vprold_zmm_k1z_zmmm512b32_imm8,
        (other, _) => unreachable!("{other:?} of one vector, 64 bits: {wide}"),
    }
}

/// Conversions between elements of both sizes.
pub(super) fn conversion(op: Op, to_wide: bool) -> Code {
    match (op, to_wide) {
        (Op::CvtToF, true) => Code::EVEX_Vcvtdq2pd_zmm_k1z_ymmm256b32_er,
        (Op::CvtUToF, true) => Code::EVEX_Vcvtudq2pd_zmm_k1z_ymmm256b32_er,
        (Op::CvtToI, false) => Code::EVEX_Vcvttpd2dq_ymm_k1z_zmmm512b64_sae,
        (Op::CvtToU, false) => Code::EVEX_Vcvttpd2udq_ymm_k1z_zmmm512b64_sae,
        (Op::CvtF, true) => Code::EVEX_Vcvtps2pd_zmm_k1z_ymmm256b32_sae,
        (Op::CvtF, false) => Code::EVEX_Vcvtpd2ps_ymm_k1z_zmmm512b64_er,
        (other, _) => unreachable!("{other:?} between sizes, to 64 bits: {to_wide}"),
    }
}

/// Instructions of two operands.
pub(super) fn binary(op: Op, wide: bool) -> Code {
    match (op, wide) {
        (Op::AddF, false) => Code::EVEX_Vaddps_zmm_k1z_zmm_zmmm512b32_er,
        (Op::AddF, true) => Code::EVEX_Vaddpd_zmm_k1z_zmm_zmmm512b64_er,
        (Op::SubF, false) => Code::EVEX_Vsubps_zmm_k1z_zmm_zmmm512b32_er,
        (Op::SubF, true) => Code::EVEX_Vsubpd_zmm_k1z_zmm_zmmm512b64_er,
        (Op::MulF, false) => Code::EVEX_Vmulps_zmm_k1z_zmm_zmmm512b32_er,
        (Op::MulF, true) => Code::EVEX_Vmulpd_zmm_k1z_zmm_zmmm512b64_er,
        (Op::DivF, false) => Code::EVEX_Vdivps_zmm_k1z_zmm_zmmm512b32_er,
        (Op::DivF, true) => Code::EVEX_Vdivpd_zmm_k1z_zmm_zmmm512b64_er,
        (Op::MaxF, false) => Code::EVEX_Vmaxps_zmm_k1z_zmm_zmmm512b32_sae,
        (Op::MaxF, true) => Code::EVEX_Vmaxpd_zmm_k1z_zmm_zmmm512b64_sae,
        (Op::MinF, false) => Code::EVEX_Vminps_zmm_k1z_zmm_zmmm512b32_sae,
        (Op::MinF, true) => Code::EVEX_Vminpd_zmm_k1z_zmm_zmmm512b64_sae,
        (Op::Fma, false) => Code::EVEX_Vfmadd231ps_zmm_k1z_zmm_zmmm512b32_er,
        (Op::Fma, true) => Code::EVEX_Vfmadd231pd_zmm_k1z_zmm_zmmm512b64_er,
        (Op::ScaleF, false) => Code::EVEX_Vscalefps_zmm_k1z_zmm_zmmm512b32_er,
        (Op::AddI, false) => Code::EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32,
        (Op::SubI, false) => Code::EVEX_Vpsubd_zmm_k1z_zmm_zmmm512b32,
        (Op::MulI, false) => Code::EVEX_Vpmulld_zmm_k1z_zmm_zmmm512b32,
        (Op::MaxS, false) => Code::EVEX_Vpmaxsd_zmm_k1z_zmm_zmmm512b32,
        (Op::MinS, false) => Code::EVEX_Vpminsd_zmm_k1z_zmm_zmmm512b32,
        (Op::MaxU, false) => Code::EVEX_Vpmaxud_zmm_k1z_zmm_zmmm512b32,
        (Op::MinU, false) => Code::EVEX_Vpminud_zmm_k1z_zmm_zmmm512b32,
        (Op::And, false) => Code::EVEX_Vpandd_zmm_k1z_zmm_zmmm512b32,
        (Op::And, true) => Code::EVEX_Vpandq_zmm_k1z_zmm_zmmm512b64,
        (Op::Or, false) => Code::EVEX_Vpord_zmm_k1z_zmm_zmmm512b32,
        (Op::Xor, false) => Code::EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32,
        (Op::Xor, true) => Code::EVEX_Vpxorq_zmm_k1z_zmm_zmmm512b64,
        (Op::ShlV, false) => Code::EVEX_Vpsllvd_zmm_k1z_zmm_zmmm512b32,
        (Op::ShrV, false) => Code::EVEX_Vpsrlvd_zmm_k1z_zmm_zmmm512b32,
        // Halves of 64 bits are permuted by the numbers of both.
        (Op::Perm, _) => Code::EVEX_Vpermd_zmm_k1z_zmm_zmmm512b32,
        (Op::Blend, false) => Code::EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32,
        (Op::Blend, true) => Code::EVEX_Vblendmpd_zmm_k1z_zmm_zmmm512b64,
        (other, _) => unreachable!("{other:?} of two vectors, 64 bits: {wide}"),
    }
}
