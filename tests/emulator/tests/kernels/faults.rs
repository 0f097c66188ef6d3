//! Planted mistakes of kernels, each noticed and named.

use crate::device::{Device, HEAD, fault, kernel, per_thread};
use gavotte_emulator::exec::Kind;

/// `y[i] = x[i + shift]` for `i < n`, as NVRTC writes it.
fn shifted(shift: i64) -> String {
    kernel(
        ".param .u64 x, .param .u64 y, .param .u32 n",
        &format!(
            "ld.param.u64 %rd1, [x];
                ld.param.u64 %rd2, [y];
                ld.param.u32 %r2, [n];
                mov.u32 %r3, %ctaid.x;
                mov.u32 %r4, %ntid.x;
                mov.u32 %r5, %tid.x;
                mad.lo.s32 %r1, %r3, %r4, %r5;
                setp.ge.s32 %p1, %r1, %r2;
                @%p1 bra $E;
                mul.wide.s32 %rd5, %r1, 4;
                add.s64 %rd6, %rd1, %rd5;
                .loc 1 7 3
                ld.global.f32 %f1, [%rd6+{}];
                add.s64 %rd8, %rd2, %rd5;
                st.global.f32 [%rd8], %f1;
                $E:
                ret;",
            4 * shift
        ),
    ) + ".file 1 \"shift.cu\"\n"
}

#[test]
fn a_wrong_index_is_out_of_bounds() {
    for (shift, thread, byte) in [
        (1, [35, 0, 0], "at byte 400 of an allocation of 400 bytes"),
        (-1, [0, 0, 0], "4 bytes before an allocation of 400 bytes"),
    ] {
        let mut device = Device::default();
        let (x, y) = (device.upload(&[1f32; 100]), device.upload(&[0f32; 100]));
        let fault = device.launch(&shifted(shift), 2, 64, &[x, y, 100]).unwrap_err();
        assert_eq!((fault.kind, fault.thread), (Kind::IllegalAddress, Some(thread)), "{fault}");
        assert!(fault.message.contains(byte), "{fault}");
        assert!(fault.place.contains("ld.global.f32 %f1") && fault.place.ends_with("(shift.cu:7)"), "{fault}");
    }
}

/// A grid that is too small leaves elements unwritten, and reading them is noticed.
#[test]
fn a_grid_too_small_leaves_memory_unwritten() {
    let mut device = Device::default();
    let x = device.upload(&[1f32; 100]);
    let (y, z) = (device.heap.allocate(400).unwrap(), device.heap.allocate(400).unwrap());
    device.launch(&shifted(0), 1, 64, &[x, y, 100]).unwrap();
    let index = device.heap.find(y, 400).unwrap();
    assert_eq!(device.heap.allocation(index).region.unwritten(0, 400), 144);
    let outcome = device.launch(&shifted(0), 2, 64, &[y, z, 100]).unwrap();
    assert_eq!(outcome.unwritten, 36);
    device.checks.refuses_unwritten = true;
    let fault = device.launch(&shifted(0), 2, 64, &[y, z, 100]).unwrap_err();
    assert!(fault.message.contains("never written"), "{fault}");
    assert!(device.download::<f32>(y, 100)[64..].iter().all(|x| x.is_nan()));
}

#[test]
fn a_grid_too_large_is_out_of_bounds() {
    let mut device = Device::default();
    let (x, y) = (device.upload(&[1f32; 100]), device.upload(&[0f32; 100]));
    let fault = device.launch(&shifted(0), 2, 64, &[x, y, 128]).unwrap_err();
    assert_eq!((fault.kind, fault.block), (Kind::IllegalAddress, [1, 0, 0]), "{fault}");
}

#[test]
fn freed_memory_is_not_touched() {
    let mut device = Device::default();
    let (x, y) = (device.upload(&[1f32; 100]), device.upload(&[0f32; 100]));
    device.heap.free(x);
    let fault = device.launch(&shifted(0), 1, 1, &[x, y, 1]).unwrap_err();
    assert!(fault.message.contains("has been freed"), "{fault}");
}

#[test]
fn addresses_are_aligned() {
    for (statement, bytes) in [
        ("ld.global.u64 %rd2, [%rd1+4];", 8),
        ("ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%rd1+8];", 16),
        ("st.global.u16 [%rd1+1], %rs1;", 2),
    ] {
        let mut device = Device::default();
        let out = device.upload(&[0u64; 8]);
        let fault = device.launch(&per_thread(statement), 1, 1, &[out]).unwrap_err();
        assert_eq!(fault.kind, Kind::Misaligned, "{fault}");
        assert!(fault.message.contains(&format!("{bytes} bytes at")), "{fault}");
    }
}

#[test]
fn shared_memory_ends() {
    let fault = fault(
        40,
        ".shared .align 4 .b8 s[128];
            mov.u32 %r1, s;
            shl.b32 %r2, %r0, 2;
            add.s32 %r1, %r1, %r2;
            st.shared.u32 [%r1], %r0;",
    );
    assert_eq!((fault.kind, fault.thread), (Kind::IllegalAddress, Some([32, 0, 0])), "{fault}");
}

/// All threads of all blocks add to one element without an atomic operation.
#[test]
fn blocks_that_write_the_same_race() {
    let ptx = kernel(
        ".param .u64 p0",
        "ld.param.u64 %rd0, [p0];
            ld.global.f32 %f1, [%rd0];
            add.f32 %f1, %f1, 0f3F800000;
            st.global.f32 [%rd0], %f1;
            ret;",
    );
    for (grid, block, whose) in [(2, 1, "of block"), (1, 2, "of the same block"), (1, 64, "of the same block")] {
        let mut device = Device::default();
        let out = device.upload(&[0u64]);
        let fault = device.launch(&ptx, grid, block, &[out]).unwrap_err();
        assert!(fault.message.contains("race") && fault.message.contains(whose), "{fault}");
        device.checks.finds_races = false;
        device.launch(&ptx, grid, block, &[out]).unwrap();
    }
}

/// Neighbouring bytes are no race, even if a word holds both.
#[test]
fn bytes_of_a_word_are_different_memory() {
    let ptx = kernel(
        ".param .u64 p0",
        "ld.param.u64 %rd0, [p0];
            mov.u32 %r0, %tid.x;
            cvt.u64.u32 %rd1, %r0;
            add.s64 %rd1, %rd0, %rd1;
            st.global.u8 [%rd1], %r0;
            ret;",
    );
    let mut device = Device::default();
    let out = device.upload(&[0u8; 64]);
    device.launch(&ptx, 1, 64, &[out]).unwrap();
    assert_eq!(device.download::<u8>(out, 64), (0..64).collect::<Vec<u8>>());
}

/// Memory read through the read-only path must not be written, not even by the same thread.
#[test]
fn constant_reads_are_of_constant_memory() {
    let fault = fault(
        1,
        "st.global.u64 [%rd1], %rd0;
        ld.global.nc.u64 %rd2, [%rd1];",
    );
    assert!(fault.message.contains("reads as constant"), "{fault}");
}

/// Launches are ordered one after another.
#[test]
fn launches_are_ordered() {
    let mut device = Device::default();
    let out = device.upload(&[0u64; 64]);
    for _ in 0..2 {
        device.launch(&per_thread("st.global.u64 [%rd1], %rd0;"), 1, 64, &[out]).unwrap();
    }
}

#[test]
fn parameters_are_read_only() {
    let fault = fault(
        1,
        "mov.u64 %rd3, p0;
        cvta.param.u64 %rd3, %rd3;
        st.u64 [%rd3], %rd0;",
    );
    assert_eq!(fault.kind, Kind::IllegalAddress);
}

#[test]
fn a_trap_is_named() {
    let fault = fault(1, "trap;");
    assert_eq!((fault.kind, fault.line), (Kind::Trap, 16));
    assert!(HEAD.lines().count() == 3, "the line above counts from there");
}
