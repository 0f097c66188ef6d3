//! Whatever a text says, it is an error or it runs: nothing here ends the process.

use crate::device::{Device, kernel};
use gavotte_emulator::exec::{Launch, run};
use gavotte_emulator::module::Module;

/// A kernel with a bit of everything.
fn text() -> String {
    let kernel = kernel(
        ".param .u64 p0, .param .align 8 .b8 p1[16]",
        ".shared .align 8 .b8 s[64];
            .local .align 4 .b8 depot[8];
            ld.param.u64 %rd0, [p0];
            mov.u32 %r0, %tid.x;
            mul.wide.u32 %rd1, %r0, 8;
            add.s64 %rd1, %rd0, %rd1;
            setp.lt.and.s32 %p1|%p2, %r0, 4, !%p3;
            @%p1 bra $A;
            @!%p2 st.shared.v2.u32 [s+8], {%r0, %r1};
            mov.b64 {%r2, %r3}, %rd1;
            cvt.rzi.sat.s32.f32 %r4, 0f40490FDB;
            shfl.sync.down.b32 %r5|%p4, %r4, 1, 31, -1;
            $A:
            bar.sync 0;
            cvta.local.u64 %rd3, depot;
            st.u32 [%rd3+4], %r5;
            add.cc.u32 %r6, %r5, %r4;
            addc.u32 %r7, %r6, 1;
            bar.red.popc.u32 %r8, 0, %p1;
            t: .branchtargets $B, $C;
            brx.idx 1, t;
            $B:
            atom.shared.cas.b32 %r9, [s], 1, 2;
            $C:
            { .param .b32 a; .param .b32 b; st.param.b32 [a], %r8; call.uni (b), f, (a); ld.param.b32 %r9, [b]; }
            redux.sync.add.u32 %r10, %r9, -1;
            fma.rm.ftz.f32 %f1, %f2, %f3, 0f3F800000;
            prmt.b32 %r11, %r10, %r9, 0x3210;
            st.global.v2.u32 [%rd1], {%r10, %r11};
            ld.const.u32 %r12, [c+4];
            red.global.add.u32 [g], 1;
            ret;",
    );
    let globals = ".const .align 4 .u32 c[2] = {1, 2};
        .global .align 8 .u64 g = generic(c);
        .func (.param .b32 r) f(.param .b32 x)
        {
        .reg .b32 %q<2>;
        ld.param.u32 %q1, [x];
        st.param.b32 [r], %q1;
        ret;
        }
        ";
    kernel.replace(".visible", &format!("{globals}.visible"))
}

/// Loads a text and runs its kernels, if it has any.
fn try_all(text: &str) -> bool {
    let mut device = Device::default();
    device.checks.steps = 1 << 15;
    let out = device.upload(&[0u64; 64]);
    let Ok(module) = Module::load(text, &mut device.heap) else { return false };
    for kernel in module.kernels.iter().filter(|kernel| kernel.local_bytes + kernel.shared_bytes < 1 << 16) {
        let mut params = out.to_le_bytes().to_vec();
        params.resize(kernel.param_bytes, 0);
        let launch =
            Launch { grid: [2, 1, 1], block: [40, 1, 1], dynamic_shared: 0, params: &params, checks: device.checks };
        let _ = run(kernel, &module.text(), &mut device.heap, &launch).map_err(|fault| fault.to_string());
        device.heap.end_launch();
    }
    true
}

#[test]
fn texts_with_mistakes_end_nothing() {
    let text = text();
    assert!(try_all(&text));
    // Words and marks, so that a changed text is often still PTX.
    let mut pieces: Vec<&str> = vec![];
    let mut rest = text.as_str();
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || "._$%".contains(c);
        let end = if is_word(first) { rest.find(|c| !is_word(c)).unwrap_or(rest.len()) } else { 1 };
        pieces.push(&rest[..end]);
        rest = &rest[end..];
    }
    let odd = [
        "-1",
        "0",
        "4294967295",
        "99999999999999999999",
        "%p1",
        "%rd0",
        "s",
        "c",
        "_",
        "{",
        "}",
        "(",
        ".b8",
        "%r<9>",
        "[s]",
        "0d7FF8000000000000",
    ];
    let mut state = 1u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut loaded = 0;
    for _ in 0..6000 {
        let mut changed = pieces.clone();
        let at = random(pieces.len());
        match random(4) {
            0 => changed[at] = "",
            1 => changed[at] = pieces[random(pieces.len())],
            2 => changed[at] = odd[random(odd.len())],
            _ => changed.truncate(at),
        }
        loaded += usize::from(try_all(&changed.concat()));
    }
    assert!(loaded > 300, "only {loaded} texts could be loaded: nothing was tried");
}
