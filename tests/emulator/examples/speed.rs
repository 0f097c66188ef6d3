//! How many instructions of threads the interpreter runs in a second: `cargo run --release -p gavotte-emulator --example speed`.

use gavotte_emulator::exec::{Checks, Launch, run};
use gavotte_emulator::memory::Heap;
use gavotte_emulator::module::Module;
use std::time::Instant;

/// A loop of `turns` turns around a body, of threads that each have an element of an array.
fn kernel(body: &str) -> String {
    format!(
        ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 x, .param .u32 turns)\n{{\n\
         .reg .pred %p<4>;\n.reg .b32 %r<16>;\n.reg .f32 %f<16>;\n.reg .b64 %rd<8>;\n.shared .align 4 .b8 s[1024];\n\
         ld.param.u64 %rd1, [x];\nld.param.u32 %r1, [turns];\nmov.u32 %r2, %tid.x;\nmov.u32 %r3, %ctaid.x;\nmov.u32 %r4, %ntid.x;\n\
         mad.lo.s32 %r5, %r3, %r4, %r2;\nmul.wide.s32 %rd2, %r5, 4;\nadd.s64 %rd3, %rd1, %rd2;\nshl.b32 %r7, %r2, 2;\nmov.u32 %r8, s;\n\
         add.s32 %r8, %r8, %r7;\nmov.u32 %r6, 0;\nmov.f32 %f1, 0f3F800000;\nst.shared.f32 [%r8], %f1;\n$L:\n{body}\n\
         add.s32 %r6, %r6, 1;\nsetp.lt.u32 %p1, %r6, %r1;\n@%p1 bra $L;\nret;\n}}\n"
    )
}

fn main() {
    let arithmetic = "fma.rn.f32 %f1, %f1, %f1, %f1;\nadd.f32 %f2, %f1, %f1;\nmul.f32 %f3, %f2, %f1;\nxor.b32 %r9, %r6, %r5;\nshl.b32 %r10, %r9, 3;";
    let global = "ld.global.f32 %f2, [%rd3];\nfma.rn.f32 %f1, %f2, %f1, %f2;\nadd.f32 %f3, %f1, %f2;\nst.global.f32 [%rd3], %f3;";
    let shared = "ld.shared.f32 %f2, [%r8];\nfma.rn.f32 %f1, %f2, %f1, %f2;\nbar.sync 0;\nst.shared.f32 [%r8], %f1;\nbar.sync 0;";
    let shuffle = "shfl.sync.bfly.b32 %r9, %r5, 1, 31, -1;\nadd.s32 %r5, %r5, %r9;";
    let diverging = "and.b32 %r9, %r2, 1;\nsetp.eq.u32 %p2, %r9, 0;\n@%p2 bra $A;\nadd.f32 %f1, %f1, %f1;\nbra.uni $B;\n$A:\nmul.f32 %f1, %f1, %f1;\n$B:";
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
        eprintln!("{name:12} {rate:6.0} million instructions of threads in a second");
    }
}
