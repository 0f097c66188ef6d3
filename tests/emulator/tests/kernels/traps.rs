//! Kernels that other emulators got wrong: a wrong one computes something else for each.

use crate::device::{Device, fault, kernel, per_thread, words};
use gavotte_emulator::exec::Kind;

#[test]
fn shuffles_move_values() {
    let down = "shfl.sync.down.b32 %r1|%p1, %r0, 1, 31, -1;
        cvt.u64.u32 %rd2, %r1;
        st.global.u64 [%rd1], %rd2;";
    let expected: Vec<u64> = (0..64).map(|i| if i % 32 == 31 { i } else { i + 1 }).collect();
    assert_eq!(words(64, down), expected);
    let butterfly = "shfl.sync.bfly.b32 %r1, %r0, 5, 31, -1;
        cvt.u64.u32 %rd2, %r1;
        st.global.u64 [%rd1], %rd2;";
    assert_eq!(words(64, butterfly), (0..64).map(|i| i ^ 5).collect::<Vec<u64>>());
}

#[test]
fn votes_and_lanes_are_of_the_warp() {
    let ballot = "setp.gt.u32 %p1, %r0, 40;
        vote.sync.ballot.b32 %r1, %p1, -1;
        mov.u32 %r2, %laneid;
        mov.b64 %rd2, {%r1, %r2};
        st.global.u64 [%rd1], %rd2;";
    let found = words(64, ballot);
    assert_eq!(found[..2], [0, 1 << 32]);
    assert_eq!(found[33], 0xffff_fe00 | 1 << 32);
    let any = "setp.eq.u32 %p1, %r0, 40;
        vote.sync.any.pred %p2, %p1, -1;
        selp.b64 %rd2, 1, 0, %p2;
        st.global.u64 [%rd1], %rd2;";
    assert_eq!(words(64, any), [[0; 32], [1; 32]].concat());
}

#[test]
fn fma_rounds_once() {
    // (1 + 2⁻¹³)(1 - 2⁻¹³) - 1: a rounded product is 1.
    let body = "mov.f32 %f1, 0f3F800400;
        mov.f32 %f2, 0f3F7FF800;
        fma.rn.f32 %f3, %f1, %f2, 0fBF800000;
        mov.b32 %r1, %f3;
        cvt.u64.u32 %rd2, %r1;
        st.global.u64 [%rd1], %rd2;";
    let exact = -2f64.powi(-26);
    assert_eq!(f32::from_bits(words(1, body)[0] as u32), exact as f32);
}

#[test]
fn shifts_clamp_at_the_width() {
    let body = "mov.u32 %r2, 40;
        mov.u32 %r3, -1;
        shl.b32 %r4, %r3, %r2;
        shr.s32 %r5, %r3, %r2;
        mov.b64 %rd2, {%r4, %r5};
        st.global.u64 [%rd1], %rd2;";
    assert_eq!(words(1, body), [0xffff_ffff_0000_0000]);
    let long = "mov.u64 %rd3, -1;
        shr.u64 %rd2, %rd3, 64;
        st.global.u64 [%rd1], %rd2;";
    assert_eq!(words(1, long), [0]);
}

#[test]
fn doubles_are_rounded_to_whole() {
    for (suffix, from, to) in [("rmi", -1.5, -2.0), ("rni", 2.5, 2.0), ("rzi", -1.5, -1.0), ("rpi", 1.2, 2.0)] {
        let bits = f64::to_bits(from);
        let body = format!(
            "cvt.{suffix}.f64.f64 %fd1, 0d{bits:016X};
            st.global.f64 [%rd1], %fd1;"
        );
        assert_eq!(words(1, &body), [f64::to_bits(to)], "{suffix}");
    }
}

#[test]
fn nan_stays_nan_when_it_is_rounded() {
    let body = "mov.f32 %f1, 0f7FC00000;
        cvt.rni.f32.f32 %f2, %f1;
        setp.nan.f32 %p1, %f2, %f2;
        cvt.rzi.s32.f32 %r1, %f1;
        selp.b32 %r2, 1, 0, %p1;
        mov.b64 %rd2, {%r1, %r2};
        st.global.u64 [%rd1], %rd2;";
    assert_eq!(words(1, body), [1 << 32]);
}

#[test]
fn long_atomics_have_signs() {
    let ptx = |op: &str| {
        kernel(
            ".param .u64 p0",
            &format!(
                "ld.param.u64 %rd0, [p0];
                    mov.u32 %r0, %tid.x;
                    cvt.s64.s32 %rd2, %r0;
                    sub.s64 %rd2, %rd2, 10;
                    atom.global.{op} %rd3, [%rd0], %rd2;
                    ret;"
            ),
        )
    };
    for (op, first, last) in
        [("min.s64", 0, -10), ("max.s64", -20, 21), ("min.u64", u64::MAX as i64, 0), ("max.u64", 0, -1)]
    {
        let mut device = Device::default();
        let out = device.upload(&[first as u64]);
        device.launch(&ptx(op), 1, 32, &[out]).unwrap();
        assert_eq!(device.download::<u64>(out, 1), [last as u64], "{op}");
    }
}

/// In lock step, instruction by instruction, threads that reverse an array in place without a barrier seem right.
#[test]
fn races_are_noticed() {
    let body = "mov.u32 %r1, s;
        shl.b32 %r2, %r0, 2;
        add.s32 %r2, %r1, %r2;
        st.shared.u32 [%r2], %r0;
        sub.s32 %r3, 63, %r0;
        shl.b32 %r3, %r3, 2;
        add.s32 %r3, %r1, %r3;
        @BARRIER
        ld.shared.u32 %r4, [%r3];
        cvt.u64.u32 %rd2, %r4;
        st.global.u64 [%rd1], %rd2;";
    let text = |barrier: &str| {
        format!(
            ".shared .align 4 .b8 s[256];
        {}",
            body.replace("@BARRIER", barrier)
        )
    };
    assert_eq!(words(64, &text("bar.sync 0;")), (0..64).rev().collect::<Vec<u64>>());
    let fault = fault(64, &text(""));
    assert!(fault.message.starts_with("race"), "{fault}");
    let told = fault.to_string();
    assert!(told.contains("ld.shared.u32 %r4, [%r3];") && told.contains("st.shared.u32 [%r2], %r0;"), "{told}");
}

#[test]
fn reads_out_of_bounds_are_noticed() {
    let mut device = Device::default();
    let (a, _neighbour) = (device.upload(&[1u64; 4]), device.upload(&[1u64; 4]));
    let fault = device.launch(&per_thread("ld.global.u64 %rd2, [%rd1];"), 1, 5, &[a]).unwrap_err();
    assert_eq!(fault.kind, Kind::IllegalAddress);
    assert_eq!(fault.thread, Some([4, 0, 0]));
    assert!(fault.message.contains("at byte 32 of an allocation of 32 bytes"), "{fault}");
}
