//! Measures how many thread instructions the interpreter runs per second: `cargo run --release -p gavotte-emulator
//! --example speed`.

use gavotte_emulator::exec::{Checks, Launch, run};
use gavotte_emulator::memory::Heap;
use gavotte_emulator::module::Module;
use std::time::Instant;

/// A loop of `iterations` iterations around a body; each thread has one element of an array.
fn kernel(body: &str) -> String {
    format!(
        ".version 8.0
            .target sm_80
            .address_size 64
            .visible .entry k(.param .u64 x, .param .u32 iterations)
            {{
            .reg .pred %p<4>;
            .reg .b32 %r<16>;
            .reg .f32 %f<16>;
            .reg .b64 %rd<8>;
            .shared .align 4 .b8 s[1024];
            ld.param.u64 %rd1, [x];
            ld.param.u32 %r1, [iterations];
            mov.u32 %r2, %tid.x;
            mov.u32 %r3, %ctaid.x;
            mov.u32 %r4, %ntid.x;
            mad.lo.s32 %r5, %r3, %r4, %r2;
            mul.wide.s32 %rd2, %r5, 4;
            add.s64 %rd3, %rd1, %rd2;
            shl.b32 %r7, %r2, 2;
            mov.u32 %r8, s;
            add.s32 %r8, %r8, %r7;
            mov.u32 %r6, 0;
            mov.f32 %f1, 0f3F800000;
            st.shared.f32 [%r8], %f1;
            $L:
            {body}
            add.s32 %r6, %r6, 1;
            setp.lt.u32 %p1, %r6, %r1;
            @%p1 bra $L;
            ret;
            }}
            "
    )
}

fn main() {
    let arithmetic = "fma.rn.f32 %f1, %f1, %f1, %f1;
        add.f32 %f2, %f1, %f1;
        mul.f32 %f3, %f2, %f1;
        xor.b32 %r9, %r6, %r5;
        shl.b32 %r10, %r9, 3;";
    let global = "ld.global.f32 %f2, [%rd3];
        fma.rn.f32 %f1, %f2, %f1, %f2;
        add.f32 %f3, %f1, %f2;
        st.global.f32 [%rd3], %f3;";
    let shared = "ld.shared.f32 %f2, [%r8];
        fma.rn.f32 %f1, %f2, %f1, %f2;
        bar.sync 0;
        st.shared.f32 [%r8], %f1;
        bar.sync 0;";
    let shuffle = "shfl.sync.bfly.b32 %r9, %r5, 1, 31, -1;
        add.s32 %r5, %r5, %r9;";
    let diverging = "and.b32 %r9, %r2, 1;
        setp.eq.u32 %p2, %r9, 0;
        @%p2 bra $A;
        add.f32 %f1, %f1, %f1;
        bra.uni $B;
        $A:
        mul.f32 %f1, %f1, %f1;
        $B:";
    for (name, body) in [
        ("arithmetic", arithmetic),
        ("global", global),
        ("shared", shared),
        ("shuffle", shuffle),
        ("diverging", diverging),
    ] {
        let mut heap = Heap::new(1 << 30);
        let module = Module::load(&kernel(body), &mut heap).expect("the kernel is right");
        let (grid, block) = ([64, 1, 1], [256, 1, 1]);
        let x = heap.allocate(4 * 64 * 256).expect("there is memory");
        let mut params = x.to_le_bytes().to_vec();
        params.extend(500u32.to_le_bytes());
        let start = Instant::now();
        let launch = Launch { grid, block, dynamic_shared: 0, params: &params, checks: Checks::default() };
        let outcome = run(&module.kernels[0], &module.text(), &mut heap, &launch).expect("the kernel is right");
        let rate = outcome.instructions as f64 / start.elapsed().as_secs_f64() / 1e6;
        eprintln!("{name:12} {rate:6.0} million thread instructions per second");
    }
}
