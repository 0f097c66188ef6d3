//! What the programs of these tests share.

use cudarc::driver::{CudaContext, CudaFunction, CudaSlice, CudaStream, DriverError, LaunchConfig, PushKernelArg};
use cudarc::nvrtc::Ptx;
use gavotte_emulator::driver::{Emulator, Session};
use std::sync::Arc;

/// `y[i] += a x[i]` for `i < n`, as NVRTC writes it.
pub(crate) const AXPY: &str = "
.version 8.0
.target sm_80
.address_size 64
.visible .entry axpy(.param .f32 a, .param .u64 x, .param .u64 y, .param .u32 n)
{
	.reg .pred %p<2>;
	.reg .f32 %f<5>;
	.reg .b32 %r<6>;
	.reg .b64 %rd<8>;
	ld.param.f32 %f1, [a];
	ld.param.u64 %rd1, [x];
	ld.param.u64 %rd2, [y];
	ld.param.u32 %r2, [n];
	mov.u32 %r3, %ctaid.x;
	mov.u32 %r4, %ntid.x;
	mov.u32 %r5, %tid.x;
	mad.lo.s32 %r1, %r3, %r4, %r5;
	setp.ge.s32 %p1, %r1, %r2;
	@%p1 bra $L__BB0_2;
	cvta.to.global.u64 %rd3, %rd1;
	cvta.to.global.u64 %rd4, %rd2;
	mul.wide.s32 %rd5, %r1, 4;
	add.s64 %rd6, %rd3, %rd5;
	add.s64 %rd7, %rd4, %rd5;
	ld.global.f32 %f2, [%rd6];
	ld.global.f32 %f3, [%rd7];
	fma.rn.f32 %f4, %f1, %f2, %f3;
	st.global.f32 [%rd7], %f4;
$L__BB0_2:
	ret;
}
";

/// A fresh device, with a stream.
pub(crate) struct Program {
    // Dropped before the session ends.
    pub(crate) stream: Arc<CudaStream>,
    pub(crate) context: Arc<CudaContext>,
    pub(crate) session: Session<'static>,
}

impl Program {
    pub(crate) fn new(settings: &str) -> Program {
        let session = Emulator::get().session(settings);
        let context = CudaContext::new(0).expect("a device");
        Program { stream: context.default_stream(), context, session }
    }

    pub(crate) fn function(&self, ptx: impl Into<Ptx>, name: &str) -> CudaFunction {
        let module = self.context.load_module(ptx.into());
        let module = module.unwrap_or_else(|error| panic!("{error}: {}", self.session.report()));
        module.load_function(name).expect("the kernel is there")
    }

    /// `y += a x` on a stream.
    pub(crate) fn axpy(
        &self,
        stream: &Arc<CudaStream>,
        function: &CudaFunction,
        a: f32,
        x: &CudaSlice<f32>,
        y: &mut CudaSlice<f32>,
        n: i32,
    ) -> Result<(), DriverError> {
        let mut launch = stream.launch_builder(function);
        launch.arg(&a).arg(x).arg(y).arg(&n);
        // SAFETY: these are the kernel's parameters.
        unsafe { launch.launch(LaunchConfig::for_num_elems(n as u32)) }.map(|_| ())
    }
}
