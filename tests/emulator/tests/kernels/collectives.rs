//! What threads do together.

use crate::device::{Device, fault, kernel, per_thread, words};
use gavotte_emulator::exec::Kind;

/// The sum of a block's numbers, by shuffles within warps and shared memory between them.
#[test]
fn a_block_adds_up() {
    let body = ".shared .align 4 .b8 s[32];
        mov.u32 %r1, %r0;
        mov.u32 %r5, 16;
        $L:
        shfl.sync.down.b32 %r2|%p1, %r1, %r5, 31, -1;
        add.s32 %r1, %r1, %r2;
        shr.u32 %r5, %r5, 1;
        setp.ne.u32 %p2, %r5, 0;
        @%p2 bra $L;
        mov.u32 %r3, %laneid;
        setp.ne.u32 %p3, %r3, 0;
        @%p3 bra $M;
        shr.u32 %r4, %r0, 5;
        shl.b32 %r4, %r4, 2;
        mov.u32 %r6, s;
        add.s32 %r4, %r4, %r6;
        st.shared.u32 [%r4], %r1;
        $M:
        bar.sync 0;
        ld.shared.v4.u32 {%r7, %r8, %r9, %r10}, [s];
        add.s32 %r7, %r7, %r8;
        add.s32 %r9, %r9, %r10;
        add.s32 %r7, %r7, %r9;
        cvt.u64.u32 %rd2, %r7;
        st.global.u64 [%rd1], %rd2;";
    assert_eq!(words(128, body), [8128; 128]);
}

#[test]
fn a_warp_reduces_at_once() {
    for (op, expected) in
        [("add.u32", 496), ("max.s32", 31), ("min.u32", 0), ("or.b32", 31), ("xor.b32", 0), ("and.b32", 0)]
    {
        let body = format!(
            "redux.sync.{op} %r1, %r0, -1;
            cvt.u64.u32 %rd2, %r1;
            st.global.u64 [%rd1], %rd2;"
        );
        assert_eq!(words(32, &body), [expected; 32], "{op}");
    }
}

#[test]
fn a_barrier_counts() {
    let body = "setp.gt.u32 %p1, %r0, 9;
        bar.red.popc.u32 %r1, 0, %p1;
        barrier.cta.red.aligned.or.pred %p2, 0, %p1;
        selp.b32 %r2, 1, 0, %p2;
        mov.b64 %rd2, {%r1, %r2};
        st.global.u64 [%rd1], %rd2;";
    assert_eq!(words(100, body), [1 << 32 | 90; 100]);
}

/// Half a warp shuffles with a mask of its own while the other half takes another path.
#[test]
fn masks_are_kept_apart() {
    let body = "mov.u32 %r1, 7;
        setp.lt.u32 %p1, %r0, 16;
        @!%p1 bra $H;
        shfl.sync.bfly.b32 %r1, %r0, 1, 31, 0xffff;
        bra.uni $E;
        $H:
        shfl.sync.bfly.b32 %r1, %r0, 2, 31, 0xffff0000;
        $E:
        bar.warp.sync -1;
        cvt.u64.u32 %rd2, %r1;
        st.global.u64 [%rd1], %rd2;";
    assert_eq!(words(32, body), (0..32).map(|i| if i < 16 { i ^ 1 } else { i ^ 2 }).collect::<Vec<u64>>());
}

/// Lanes that arrive later at a shuffle are waited for.
#[test]
fn lanes_wait_for_one_another() {
    let body = "setp.lt.u32 %p1, %r0, 5;
        @%p1 bra $S;
        add.s32 %r1, %r0, 0;
        $S:
        mov.u32 %r2, %r0;
        @!%p1 bra $W;
        add.s32 %r2, %r2, 100;
        $W:
        shfl.sync.idx.b32 %r3, %r2, 3, 31, -1;
        cvt.u64.u32 %rd2, %r3;
        st.global.u64 [%rd1], %rd2;";
    assert_eq!(words(32, body), [103; 32]);
}

/// `__syncwarp` orders accesses of the lanes of a warp; without it they race.
#[test]
fn a_warp_synchronises_its_memory() {
    let body = |sync: &str| {
        format!(
            ".shared .align 4 .b8 s[128];
                mov.u32 %r1, s;
                shl.b32 %r2, %r0, 2;
                add.s32 %r2, %r2, %r1;
                st.shared.u32 [%r2], %r0;
                {sync}
                xor.b32 %r3, %r0, 1;
                shl.b32 %r3, %r3, 2;
                add.s32 %r3, %r3, %r1;
                ld.shared.u32 %r4, [%r3];
                cvt.u64.u32 %rd2, %r4;
                st.global.u64 [%rd1], %rd2;"
        )
    };
    assert_eq!(words(32, &body("bar.warp.sync -1;")), (0..32).map(|i| i ^ 1).collect::<Vec<u64>>());
    assert!(fault(32, &body("")).message.starts_with("race"));
}

/// Two halves of a block, each with its own barrier.
#[test]
fn barriers_have_numbers() {
    let body = "shr.u32 %r1, %r0, 5;
        add.s32 %r1, %r1, 1;
        bar.sync %r1, 32;
        cvt.u64.u32 %rd2, %r1;
        st.global.u64 [%rd1], %rd2;";
    assert_eq!(words(64, body), [[1; 32], [2; 32]].concat());
}

#[test]
fn a_thread_that_ends_is_missed_at_a_barrier() {
    let fault = fault(
        64,
        "setp.gt.u32 %p1, %r0, 50;
        @%p1 exit;
        bar.sync 0;",
    );
    assert_eq!(fault.kind, Kind::Failed);
    assert!(fault.message.contains("51 threads wait for one another, and 13 have ended"), "{fault}");
    assert!(fault.message.contains("51 wait at line 18: bar.sync 0;"), "{fault}");
}

#[test]
fn threads_that_wait_for_different_things_are_named() {
    let fault = fault(
        64,
        "setp.lt.u32 %p1, %r0, 32;
        @%p1 bra $A;
        bar.sync 1;
        bra.uni $E;
        $A:
        bar.sync 2;
        $E:",
    );
    assert!(fault.message.contains("32 wait at line 18: bar.sync 1;"), "{fault}");
    assert!(fault.message.contains("32 wait at line 21: bar.sync 2;"), "{fault}");
}

#[test]
fn a_lane_that_never_comes_is_missed() {
    let text = "setp.lt.u32 %p1, %r0, 4;
        @%p1 bra $A;
        shfl.sync.idx.b32 %r1, %r0, 0, 31, -1;
        bra.uni $E;
        $A:
        vote.sync.ballot.b32 %r1, %p1, -1;
        $E:";
    let fault = fault(32, text);
    assert!(fault.message.contains("28 wait at line 18: shfl.sync.idx.b32"), "{fault}");
    assert!(fault.message.contains("4 wait at line 21: vote.sync.ballot.b32"), "{fault}");
}

#[test]
fn a_warp_comes_to_a_barrier_together() {
    let fault = fault(
        32,
        "setp.lt.u32 %p1, %r0, 4;
        @%p1 bra $A;
        bar.sync 0;
        bra.uni $E;
        $A:
        bar.sync 0;
        $E:",
    );
    assert!(fault.message.contains("for one barrier at different places"), "{fault}");
}

#[test]
fn a_mask_without_its_thread_is_an_error() {
    let fault = fault(
        32,
        "setp.lt.u32 %p1, %r0, 4;
        @%p1 bra $A;
        bar.warp.sync 15;
        $A:",
    );
    assert!(fault.message.contains("not in the mask 0x0000000f"), "{fault}");
}

/// A lane outside the warp yields nothing that could be taken for a value.
#[test]
fn what_no_lane_gives_is_no_number() {
    let mut device = Device::default();
    let out = device.upload(&[0u64; 20]);
    let body = "shfl.sync.down.b32 %r1, %r0, 16, 31, -1;
        cvt.u64.u32 %rd2, %r1;
        st.global.u64 [%rd1], %rd2;";
    let outcome = device.launch(&per_thread(body), 1, 20, &[out]).unwrap();
    assert_eq!(device.download::<u64>(out, 5), [16, 17, 18, 19, 0xffff_ffff]);
    assert_eq!(outcome.unwritten, 12);
}

#[test]
fn atomics_add_up_over_blocks() {
    let ptx = kernel(
        ".param .u64 p0",
        "ld.param.u64 %rd0, [p0];
            atom.global.add.f64 %fd1, [%rd0], 0d3FE0000000000000;
            red.global.add.u32 [%rd0+8], 1;
            red.global.inc.u32 [%rd0+12], 99;
            ret;",
    );
    let mut device = Device::default();
    let out = device.upload(&[0u64; 2]);
    device.launch(&ptx, 10, 70, &[out]).unwrap();
    assert_eq!(device.download::<f64>(out, 1), [350.0]);
    assert_eq!(device.download::<u32>(out, 4)[2..], [700, 0]);
}

/// Blocks take numbers in the order in which they run, on which nothing may rely.
#[test]
fn blocks_run_in_any_order() {
    let ptx = kernel(
        ".param .u64 p0",
        "ld.param.u64 %rd0, [p0];
            atom.global.add.u32 %r1, [%rd0], 1;
            mov.u32 %r2, %ctaid.x;
            mul.wide.u32 %rd1, %r2, 4;
            add.s64 %rd1, %rd0, %rd1;
            st.global.u32 [%rd1+4], %r1;
            ret;",
    );
    let order = |seed: u64| {
        let mut device = Device::default();
        device.checks.seed = seed;
        let out = device.upload(&[0u32; 33]);
        device.launch(&ptx, 32, 1, &[out]).unwrap();
        device.download::<u32>(out, 33)[1..].to_vec()
    };
    let mut sorted = order(1);
    assert_ne!(sorted, order(2));
    assert_eq!(sorted, order(1));
    assert!(!sorted.is_sorted());
    sorted.sort();
    assert_eq!(sorted, (0..32).collect::<Vec<u32>>());
}
