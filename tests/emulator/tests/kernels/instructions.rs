//! What a text may say, and that it runs as it says.

use crate::device::{Device, HEAD, kernel, load_error, per_thread, words};

/// The word that one thread stores in `%rd2`.
fn word(body: &str) -> u64 {
    words(1, &format!("{body}\nst.global.u64 [%rd1], %rd2;"))[0]
}

#[test]
fn packs_and_parts() {
    assert_eq!(
        word(
            "mov.u64 %rd3, 0x1122334455667788;
            mov.b64 {%r1, %r2}, %rd3;
            mov.b64 %rd2, {%r2, %r1};"
        ),
        0x5566_7788_1122_3344
    );
    assert_eq!(
        word(
            "mov.u32 %r1, 0x11223344;
            mov.b32 {%rs1, %rs2}, %r1;
            mov.b64 %rd2, {%rs2, %rs1, %rs1, %rs2};"
        ),
        0x1122_3344_3344_1122
    );
}

#[test]
fn comparisons_are_joined() {
    let body = |join: &str| {
        format!(
            "setp.eq.s32 %p3, 0, {};
                setp.lt.{join}.s32 %p1|%p2, 1, 2, %p3;
                selp.b32 %r1, 1, 0, %p1;
                selp.b32 %r2, 1, 0, %p2;
                mov.b64 %rd2, {{%r1, %r2}};",
            "0"
        )
    };
    assert_eq!(word(&body("and")), 1);
    assert_eq!(word(&body("or")), 1 << 32 | 1);
    assert_eq!(word(&body("xor")), 1 << 32);
    assert_eq!(
        word(
            "setp.eq.s32 %p3, 0, 1;
        setp.lt.and.s32 %p1, 1, 2, !%p3;
        selp.b64 %rd2, 7, 8, %p1;"
        ),
        7
    );
    assert_eq!(
        word(
            "set.gt.u32.f32 %r1, 0f40000000, 0f3F800000;
        cvt.u64.u32 %rd2, %r1;"
        ),
        0xffff_ffff
    );
    assert_eq!(
        word(
            "slct.s32.f32 %r1, 5, 6, 0fBF800000;
        cvt.u64.u32 %rd2, %r1;"
        ),
        6
    );
}

/// A guard that its own instruction changes before it is done.
#[test]
fn a_guard_is_read_once() {
    let body = "setp.eq.s32 %p1, 0, 0;
        setp.eq.s32 %p2, 0, 1;
        @%p1 setp.ne.or.s32 %p1|%p2, 1, 1, %p2;
        selp.b32 %r1, 1, 0, %p1;
        selp.b32 %r2, 1, 0, %p2;
        mov.b64 %rd2, {%r1, %r2};";
    assert_eq!(word(body), 1 << 32);
}

#[test]
fn subnormals_are_flushed_where_it_is_said() {
    let tiny = "0f00400000";
    assert_eq!(
        word(&format!(
            "add.f32 %f1, {tiny}, {tiny};
        mov.b32 %r1, %f1;
        cvt.u64.u32 %rd2, %r1;"
        )),
        0x0080_0000
    );
    assert_eq!(
        word(&format!(
            "add.ftz.f32 %f1, {tiny}, {tiny};
        mov.b32 %r1, %f1;
        cvt.u64.u32 %rd2, %r1;"
        )),
        0
    );
    assert_eq!(
        word(&format!(
            "setp.gt.ftz.f32 %p1, {tiny}, 0f00000000;
        selp.b64 %rd2, 1, 0, %p1;"
        )),
        0
    );
    assert_eq!(
        word(
            "add.sat.f32 %f1, 0f3F800000, 0f3F800000;
            mov.b32 %r1, %f1;
            cvt.u64.u32 %rd2, %r1;"
        ),
        0x3f80_0000
    );
}

#[test]
fn carries_go_from_word_to_word() {
    let body = "mov.u32 %r1, -1;
        add.cc.u32 %r2, %r1, 1;
        addc.u32 %r3, 5, 6;
        mov.b64 %rd2, {%r2, %r3};";
    assert_eq!(word(body), 12 << 32);
    let product = "mov.u32 %r1, -1;
            mad.lo.cc.u32 %r2, %r1, %r1, %r1;
            madc.hi.u32 %r3, %r1, %r1, 0;
            mov.b64 %rd2, {%r2, %r3};";
    assert_eq!(word(product), 0xffff_ffff * 0xffff_ffff + 0xffff_ffff);
}

#[test]
fn loads_extend_to_the_register() {
    let mut device = Device::default();
    let from = device.upload(&[0xfe80_8182u32]);
    let out = device.upload(&[0u64; 4]);
    let body = "ld.param.u64 %rd0, [a];
        ld.param.u64 %rd1, [b];
        ld.global.s8 %r1, [%rd0];
        ld.global.u8 %r2, [%rd0+3];
        ld.global.s16 %rd3, [%rd0];
        mov.b64 %rd2, {%r1, %r2};
        st.global.v2.u64 [%rd1], {%rd2, %rd3};
        st.global.u8 [%rd1+16], %r2;
        ret;";
    device.launch(&kernel(".param .u64 a, .param .u64 b", body), 1, 1, &[from, out]).unwrap();
    assert_eq!(device.download::<u64>(out, 3), [0xfe_ffff_ff82, 0xffff_ffff_ffff_8182, 0xfe]);
}

#[test]
fn variables_have_their_contents() {
    let ptx = kernel(
        ".param .u64 p0",
        "ld.param.u64 %rd0, [p0];
            mov.u64 %rd3, table+8;
            ld.const.f32 %f1, [%rd3+-4];
            ld.global.u64 %rd4, [pointer];
            ld.f32 %f2, [%rd4+8];
            mov.u64 %rd5, count;
            atom.global.add.u32 %r1, [%rd5], 3;
            ld.global.u32 %r2, [count];
            add.f32 %f1, %f1, %f2;
            st.global.f32 [%rd0], %f1;
            st.global.u32 [%rd0+4], %r2;
            ret;",
    );
    let variables = ".const .align 4 .b8 table[12] = {0, 0, 128, 63, 0, 0, 0, 64, 0, 0, 64, 64};
        .global .align 8 .u64 pointer = generic(table);
        .global .align 4 .u32 count;";
    let mut device = Device::default();
    let out = device.upload(&[0u64]);
    device.launch(&ptx.replace(HEAD, &format!("{HEAD}{variables}\n")), 1, 1, &[out]).unwrap();
    assert_eq!(device.download::<u32>(out, 2), [5f32.to_bits(), 3]);
}

const TWICE: &str = ".func (.param .b32 result) twice(.param .b32 x)
    {
    .reg .b32 %r<3>;
    .reg .pred %p<2>;
    ld.param.u32 %r1, [x];
    setp.eq.u32 %p1, %r1, 3;
    @%p1 bra $L;
    add.s32 %r2, %r1, %r1;
    st.param.b32 [result+0], %r2;
    ret;
    $L:
    st.param.b32 [result], 100;
    ret;
    }
    ";

const CALL: &str = "{
    .param .b32 a;
    st.param.b32 [a], %r0;
    .param .b32 b;
    call.uni (b), twice, (a);
    ld.param.b32 %r1, [b];
    }
    cvt.u64.u32 %rd2, %r1;
    st.global.u64 [%rd1], %rd2;";

#[test]
fn functions_are_called() {
    let mut device = Device::default();
    let out = device.upload(&[0u64; 5]);
    device.launch(&per_thread(CALL).replace(HEAD, &format!("{HEAD}{TWICE}")), 1, 5, &[out]).unwrap();
    assert_eq!(device.download::<u64>(out, 5), [0, 2, 4, 100, 8]);
    // Only the threads for which a guard holds call.
    let guarded = CALL.replace(
        "call.uni",
        "setp.gt.u32 %p1, %r0, 1;
        st.param.b32 [b], 9;
        @%p1 call",
    );
    device.launch(&per_thread(&guarded).replace(HEAD, &format!("{HEAD}{TWICE}")), 1, 5, &[out]).unwrap();
    assert_eq!(device.download::<u64>(out, 5), [9, 9, 4, 100, 8]);
}

#[test]
fn a_function_that_calls_itself_is_refused() {
    let itself = TWICE.replace("add.s32 %r2, %r1, %r1;", "call (result), twice, (x);");
    let error = load_error(&per_thread(CALL).replace(HEAD, &format!("{HEAD}{itself}")));
    assert!(error.to_string().contains("`twice` calls itself"), "{error}");
}

#[test]
fn local_memory_is_each_thread_s_own() {
    let body = ".local .align 8 .b8 depot[16];
        mov.u64 %rd3, depot;
        cvta.local.u64 %rd4, %rd3;
        st.u32 [%rd4+4], %r0;
        st.local.u32 [%rd3+8], 5;
        ld.local.u32 %r1, [depot+4];
        ld.u32 %r2, [%rd4+8];
        mov.b64 %rd2, {%r1, %r2};
        st.global.u64 [%rd1], %rd2;";
    assert_eq!(words(40, body), (0..40).map(|i| 5 << 32 | i).collect::<Vec<u64>>());
}

#[test]
fn dynamic_shared_memory_comes_behind() {
    let ptx = per_thread(
        ".shared .align 4 .b8 own[20];
            mov.u32 %r1, s;
            mov.u32 %r2, own;
            shl.b32 %r3, %r0, 3;
            add.s32 %r3, %r3, %r1;
            st.shared.u64 [%r3], %rd1;
            ld.shared.u64 %rd3, [%r3];
            mov.b64 %rd2, {%r1, %r2};
            st.global.u64 [%rd1], %rd2;",
    );
    let ptx = ptx.replace(
        HEAD,
        &format!(
            "{HEAD}.extern .shared .align 16 .b8 s[];
        "
        ),
    );
    let mut device = Device::default();
    let out = device.upload(&[0u64; 2]);
    device.launch_with_shared(&ptx, 1, 2, 16, &[out]).unwrap();
    assert_eq!(device.download::<u64>(out, 2), [32, 32]);
    let fault = device.launch_with_shared(&ptx, 1, 2, 8, &[out]).unwrap_err();
    assert!(fault.message.contains("shared memory (40 bytes)"), "{fault}");
}

#[test]
fn places_are_branched_to_by_index() {
    let body = "t: .branchtargets $A, $B, $C;
        rem.u32 %r1, %r0, 3;
        mov.u64 %rd2, 0;
        brx.idx %r1, t;
        $A:
        add.u64 %rd2, %rd2, 1;
        $B:
        add.u64 %rd2, %rd2, 10;
        $C:
        add.u64 %rd2, %rd2, 100;
        st.global.u64 [%rd1], %rd2;";
    assert_eq!(words(4, body), [111, 110, 100, 111]);
}

/// Each thread runs a loop for as many iterations as its number, with a branch inside.
#[test]
fn lanes_that_part_join_again() {
    let body = "mov.u32 %r1, 0;
        mov.u32 %r2, 0;
        $L:
        setp.ge.u32 %p1, %r1, %r0;
        @%p1 bra $E;
        and.b32 %r3, %r1, 1;
        setp.eq.u32 %p2, %r3, 0;
        @%p2 bra $S;
        add.s32 %r2, %r2, 10;
        bra.uni $N;
        $S:
        add.s32 %r2, %r2, 1;
        $N:
        add.s32 %r1, %r1, 1;
        bra.uni $L;
        $E:
        shfl.sync.idx.b32 %r4, %r2, 31, 31, -1;
        mov.b64 %rd2, {%r2, %r4};
        st.global.u64 [%rd1], %rd2;";
    let expected: Vec<u64> = (0..32u64).map(|i| (15 * 10 + 16) << 32 | (i / 2 * 10 + i.div_ceil(2))).collect();
    assert_eq!(words(32, body), expected);
}

/// A lock within a warp: running only the lowest instruction would never end.
#[test]
fn lanes_that_wait_let_others_run() {
    let body = ".shared .align 4 .b8 lock[4];
        setp.eq.u32 %p1, %r0, 0;
        @%p1 st.shared.u32 [lock], 0;
        bar.warp.sync -1;
        $L:
        atom.shared.cas.b32 %r1, [lock], 0, 1;
        setp.ne.u32 %p2, %r1, 0;
        @%p2 bra $L;
        atom.shared.exch.b32 %r2, [lock], 0;
        mov.u64 %rd2, 1;
        st.global.u64 [%rd1], %rd2;";
    assert_eq!(words(32, body), [1; 32]);
}

#[test]
fn a_loop_without_end_is_stopped() {
    let mut device = Device::default();
    device.checks.steps = 1 << 20;
    let out = device.upload(&[0u64; 64]);
    let fault = device
        .launch(
            &per_thread(
                "$L:
        bra.uni $L;",
            ),
            1,
            64,
            &[out],
        )
        .unwrap_err();
    assert_eq!(fault.kind, gavotte_emulator::exec::Kind::Timeout);
}

#[test]
fn what_is_not_known_is_named_when_it_is_loaded() {
    for (statement, name) in [
        ("tex.2d.v4.f32.f32 {%f1, %f2, %f3, %f4}, [t, {%f1, %f2}];", "unknown instruction `tex.2d.v4.f32.f32`"),
        ("add.f16 %rs1, %rs1, %rs1;", "unknown instruction `add.f16`"),
        ("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 %f1, %f1, %f1, %f1;", "unknown instruction `mma.sync"),
        ("ld.global.v2.q32 %r1, [%rd1];", "unknown instruction `ld.global.v2.q32`"),
        ("shfl.down.b32 %r1, %r0, 1, 31;", "unknown instruction `shfl.down.b32`"),
        ("atom.global.min.f32 %f1, [%rd1], %f1;", "unknown instruction `atom.global.min.f32`"),
        ("mov.u32 %r1, %clock;", "`%clock` is not known"),
        ("mov.u32 %r1, %r99;", "`%r99` is not known"),
        ("bra $nowhere;", "the label `$nowhere` is nowhere"),
        ("call vprintf, (%r1);", "`vprintf` has no body to call"),
        ("add.s32 %r1, %r2;", "2 operands expected"),
    ] {
        let error = load_error(&per_thread(statement)).to_string();
        assert!(error.contains(name), "{statement}: {error}");
        assert!(error.contains("line 16: ") && error.contains(statement), "{error}");
    }
}
