//! Calls, what they count, and how they fail.

use crate::program::{AXPY, Program};
use cudarc::driver::sys::{self, CUfunction_attribute_enum, CUresult, CUstreamCaptureMode, CUstreamCaptureStatus};
use cudarc::driver::{CudaContext, DriverError, LaunchConfig, PushKernelArg, result};
use cudarc::nvrtc::Ptx;
use gavotte_emulator::driver::Emulator;

fn code<T>(result: Result<T, DriverError>) -> CUresult {
    result.err().map_or(CUresult::CUDA_SUCCESS, |error| error.0)
}

#[test]
fn a_program_runs_and_is_counted() {
    let program = Program::new("memory=1M");
    let stream = &program.stream;
    let axpy = program.function(AXPY, "axpy");
    let x = stream.clone_htod(&[1f32, 2., 3., 4., 5.]).unwrap();
    let mut y = stream.alloc_zeros::<f32>(5).unwrap();
    for _ in 0..2 {
        program.axpy(stream, &axpy, 2.0, &x, &mut y, 5).unwrap();
    }
    let copy = stream.clone_dtod(&y).unwrap();
    assert_eq!(stream.clone_dtoh(&copy).unwrap(), [4., 8., 12., 16., 20.]);
    let counts = program.session.counts();
    assert_eq!((counts.live_allocations, counts.allocations, counts.live_bytes), (3, 3, 3 * 512));
    assert_eq!((counts.copies_to_device, counts.bytes_to_device), (1, 20));
    assert_eq!((counts.copies_to_host, counts.bytes_to_host), (1, 20));
    assert_eq!((counts.copies_within, counts.bytes_within, counts.memsets), (1, 20, 1));
    assert_eq!((counts.launches, counts.modules, counts.unwritten_reads), (2, 1, 0));
    assert_eq!(program.session.kernels(), [("axpy".to_string(), 2)].into());
    drop((x, y, copy));
    let counts = program.session.counts();
    assert_eq!((counts.live_allocations, counts.live_bytes, counts.peak_bytes), (0, 0, 3 * 512));
    assert_eq!(counts.leaked_allocations, 0);
}

#[test]
fn a_device_says_what_it_is() {
    let program = Program::new("compute=9.0,memory=3M,driver=12080,devices=2");
    assert_eq!(program.context.compute_capability().unwrap(), (9, 0));
    assert_eq!(program.context.name().unwrap(), "Gavotte emulator");
    assert_eq!(program.context.mem_get_info().unwrap(), (3 << 20, 3 << 20));
    let _taken = program.stream.alloc_zeros::<u8>(1 << 20).unwrap();
    assert_eq!(program.context.mem_get_info().unwrap(), (2 << 20, 3 << 20));
    assert_eq!(CudaContext::device_count().unwrap(), 2);
    let mut version = 0;
    // SAFETY: the version is one number.
    unsafe { sys::cuDriverGetVersion(&mut version) }.result().unwrap();
    assert_eq!(version, 12080);
    assert!(CudaContext::new(2).is_err());
}

#[test]
fn there_may_be_no_device() {
    let _session = Emulator::get().session("devices=0");
    assert_eq!(code(CudaContext::device_count()), CUresult::CUDA_ERROR_NO_DEVICE);
}

#[test]
fn memory_ends() {
    let program = Program::new("memory=1M");
    let taken = program.stream.alloc_zeros::<u8>(600 << 10).unwrap();
    assert_eq!(code(program.stream.alloc_zeros::<u8>(600 << 10)), CUresult::CUDA_ERROR_OUT_OF_MEMORY);
    drop(taken);
    program.stream.alloc_zeros::<u8>(600 << 10).unwrap();
}

#[test]
fn a_fault_stays_and_is_reported() {
    let program = Program::new("");
    let axpy = program.function(AXPY, "axpy");
    let x = program.stream.clone_htod(&[1f32; 4]).unwrap();
    let mut y = program.stream.clone_htod(&[1f32; 8]).unwrap();
    // The launch itself reports nothing yet.
    program.axpy(&program.stream, &axpy, 1.0, &x, &mut y, 8).unwrap();
    for _ in 0..2 {
        assert_eq!(code(program.stream.synchronize()), CUresult::CUDA_ERROR_ILLEGAL_ADDRESS);
    }
    assert_eq!(code(program.stream.clone_dtoh(&x)), CUresult::CUDA_ERROR_ILLEGAL_ADDRESS);
    let report = program.session.report();
    assert!(report.starts_with("axpy: reads 4 bytes at 0x"), "{report}");
    assert!(report.contains("at byte 16 of an allocation of 16 bytes"), "{report}");
    assert!(report.contains("line 26: ld.global.f32 %f2, [%rd6];"), "{report}");
    assert!(report.ends_with("block (0, 0, 0), thread (4, 0, 0)"), "{report}");
}

#[test]
fn misaligned_addresses_have_their_code() {
    let program = Program::new("");
    let axpy = program.function(AXPY, "axpy");
    let x = program.stream.clone_htod(&[1u8; 8]).unwrap();
    let mut y = program.stream.clone_htod(&[1f32; 1]).unwrap();
    let mut launch = program.stream.launch_builder(&axpy);
    let view = x.slice(1..);
    launch.arg(&1f32).arg(&view).arg(&mut y).arg(&1i32);
    // SAFETY: these are the kernel's parameters, except for the alignment.
    unsafe { launch.launch(LaunchConfig::for_num_elems(1)) }.unwrap();
    assert_eq!(code(program.stream.synchronize()), CUresult::CUDA_ERROR_MISALIGNED_ADDRESS);
}

#[test]
fn calls_fail_when_they_shall() {
    let program = Program::new("fail=cuMemcpyHtoDAsync_v2:2:700,fail=cuEventQuery:0:600");
    program.stream.clone_htod(&[1f32]).unwrap();
    assert_eq!(code(program.stream.clone_htod(&[1f32])), CUresult::CUDA_ERROR_ILLEGAL_ADDRESS);
    program.stream.clone_htod(&[1f32]).unwrap();
    let event = program.context.new_event(None).unwrap();
    for _ in 0..2 {
        assert_eq!(code(event.try_is_complete().map(|is_complete| assert!(!is_complete))), CUresult::CUDA_SUCCESS);
    }
}

#[test]
fn modules_are_refused_with_reason() {
    let program = Program::new("ptx=8.4");
    let load = |source: &str| code(program.context.load_module(Ptx::from_src(source)));
    assert_eq!(load(AXPY), CUresult::CUDA_SUCCESS);
    assert_eq!(load(&AXPY.replace(".version 8.0", ".version 8.5")), CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
    assert_eq!(load(&AXPY.replace("sm_80", "sm_90")), CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU);
    assert_eq!(load(&AXPY.replace("fma.rn", "fma.rq")), CUresult::CUDA_ERROR_INVALID_PTX);
    assert_eq!(program.session.report(), "unknown instruction `fma.rq.f32`\n  line 28: fma.rq.f32 %f4, %f1, %f2, %f3;");
    assert_eq!(load("not PTX"), CUresult::CUDA_ERROR_INVALID_PTX);
    assert_eq!(load("\u{7f}ELF"), CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU);
    let module = program.context.load_module(Ptx::from_src(AXPY)).unwrap();
    assert_eq!(code(module.load_function("other")), CUresult::CUDA_ERROR_NOT_FOUND);
}

#[test]
fn launches_are_refused_with_reason() {
    let program = Program::new("");
    let axpy = program.function(AXPY, "axpy");
    let launch = |grid_dim: (u32, u32, u32), block_dim: (u32, u32, u32), shared_mem_bytes: u32| {
        let mut launch = program.stream.launch_builder(&axpy);
        launch.arg(&1f32).arg(&0u64).arg(&0u64).arg(&0i32);
        // SAFETY: these are the kernel's parameters.
        code(unsafe { launch.launch(LaunchConfig { grid_dim, block_dim, shared_mem_bytes }) })
    };
    assert_eq!(launch((1, 1, 1), (32, 1, 1), 0), CUresult::CUDA_SUCCESS);
    for (grid, block, shared) in [
        ((0, 1, 1), (32, 1, 1), 0),
        ((1, 1, 1), (0, 1, 1), 0),
        ((1, 1, 1), (1025, 1, 1), 0),
        ((1, 1, 1), (2, 1, 65), 0),
        ((1, 65536, 1), (1, 1, 1), 0),
        ((1, 1, 1), (1, 1, 1), 50 << 10),
    ] {
        assert_eq!(launch(grid, block, shared), CUresult::CUDA_ERROR_INVALID_VALUE, "{grid:?} {block:?} {shared}");
    }
    let most = CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
    axpy.set_attribute(most, 100 << 10).unwrap();
    assert_eq!(launch((1, 1, 1), (1, 1, 1), 50 << 10), CUresult::CUDA_SUCCESS);
    assert!(axpy.set_attribute(most, 200 << 10).is_err());
    assert_eq!(axpy.occupancy_max_active_blocks_per_multiprocessor(256, 60 << 10, None).unwrap(), 2);
    assert_eq!(axpy.max_threads_per_block().unwrap(), 1024);
}

/// The work of a stream is recorded, and repeated with what is then in memory.
#[test]
fn graphs_replay() {
    let program = Program::new("");
    let stream = program.context.new_stream().unwrap();
    let axpy = program.function(AXPY, "axpy");
    // SAFETY: the stream is the only one that works with this memory.
    unsafe { program.context.disable_event_tracking() };
    let x = stream.clone_htod(&[1f32; 4]).unwrap();
    let mut y = stream.clone_htod(&[10f32; 4]).unwrap();
    stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL).unwrap();
    assert_eq!(stream.capture_status().unwrap(), CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_ACTIVE);
    program.axpy(&stream, &axpy, 1.0, &x, &mut y, 4).unwrap();
    program.axpy(&stream, &axpy, 2.0, &x, &mut y, 4).unwrap();
    let flags = sys::CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH;
    let graph = stream.end_capture(flags).unwrap().expect("a graph");
    assert_eq!(program.session.counts().launches, 0);
    assert_eq!(stream.clone_dtoh(&y).unwrap(), [10.; 4]);
    graph.upload().unwrap();
    for _ in 0..3 {
        graph.launch().unwrap();
    }
    assert_eq!(stream.clone_dtoh(&y).unwrap(), [19.; 4]);
    let counts = program.session.counts();
    assert_eq!((counts.launches, counts.graph_launches), (6, 3));
    let mut count = 0;
    // SAFETY: no nodes are asked for, only their number.
    unsafe { sys::cuGraphGetNodes(graph.cu_graph(), std::ptr::null_mut(), &mut count) }.result().unwrap();
    assert_eq!(count, 2);
}

#[test]
fn what_cannot_be_captured_spoils_the_capture() {
    let program = Program::new("");
    let stream = program.context.new_stream().unwrap();
    stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL).unwrap();
    assert_eq!(code(stream.synchronize()), CUresult::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    let flags = sys::CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH;
    assert_eq!(code(stream.end_capture(flags).map(|_| ())), CUresult::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    assert_eq!(code(stream.end_capture(flags).map(|_| ())), CUresult::CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
    stream.synchronize().unwrap();
    stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL).unwrap();
    program.context.bind_to_thread().unwrap();
    // SAFETY: nothing is allocated.
    assert_eq!(code(unsafe { result::malloc_sync(4) }), CUresult::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    assert_eq!(code(stream.end_capture(flags).map(|_| ())), CUresult::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    let default = program.context.default_stream();
    let begun = default.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL);
    assert_eq!(code(begun), CUresult::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
}

#[test]
fn errors_have_names_and_texts() {
    let _program = Program::new("");
    let error = DriverError(CUresult::CUDA_ERROR_ILLEGAL_ADDRESS);
    assert_eq!(error.error_name().unwrap().to_str(), Ok("CUDA_ERROR_ILLEGAL_ADDRESS"));
    assert_eq!(error.error_string().unwrap().to_str(), Ok("an illegal memory access was encountered"));
}

#[test]
fn handles_that_are_none_are_refused() {
    let program = Program::new("");
    program.context.bind_to_thread().unwrap();
    let none = 0x77 as sys::CUstream;
    // SAFETY: the emulator looks the handle up before it does anything with it.
    assert_eq!(code(unsafe { result::stream::synchronize(none) }), CUresult::CUDA_ERROR_INVALID_HANDLE);
    // SAFETY: nothing is freed where no allocation begins.
    assert_eq!(code(unsafe { result::free_sync(0x1234) }), CUresult::CUDA_ERROR_INVALID_VALUE);
    // SAFETY: as above.
    assert_eq!(unsafe { sys::cuModuleUnload(std::ptr::null_mut()) }, CUresult::CUDA_ERROR_INVALID_HANDLE);
    // SAFETY: an address of zero is refused.
    assert_eq!(unsafe { sys::cuMemAlloc_v2(std::ptr::null_mut(), 4) }, CUresult::CUDA_ERROR_INVALID_VALUE);
}

#[test]
fn host_memory_is_pinned() {
    let program = Program::new("");
    // SAFETY: the memory is written before it is read.
    let mut pinned = unsafe { program.context.alloc_pinned::<f32>(4) }.unwrap();
    pinned.as_mut_slice().unwrap().copy_from_slice(&[1., 2., 3., 4.]);
    let x = program.stream.clone_htod(&pinned).unwrap();
    assert_eq!(program.stream.clone_dtoh(&x).unwrap(), [1., 2., 3., 4.]);
}
