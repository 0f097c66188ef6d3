//! Streams that touch the same memory must wait for one another.

use crate::program::{AXPY, Program};
use cudarc::driver::sys::CUresult;

/// One stream writes, another reads: it is an error unless the program waits in between.
fn read_after_write(
    waits: impl Fn(&Program, &cudarc::driver::CudaStream, &cudarc::driver::CudaStream),
) -> (Program, bool) {
    let program = Program::new("");
    let axpy = program.function(AXPY, "axpy");
    let (first, second) = (program.context.new_stream().unwrap(), program.context.new_stream().unwrap());
    // SAFETY: the test is that nothing is ordered automatically.
    unsafe { program.context.disable_event_tracking() };
    let x = first.clone_htod(&[1f32; 4]).unwrap();
    let mut y = first.clone_htod(&[0f32; 4]).unwrap();
    let mut z = second.clone_htod(&[0f32; 4]).unwrap();
    program.axpy(&first, &axpy, 1.0, &x, &mut y, 4).unwrap();
    waits(&program, &first, &second);
    program.axpy(&second, &axpy, 1.0, &y, &mut z, 4).unwrap();
    let is_ordered = match second.synchronize() {
        Ok(()) => true,
        Err(error) => {
            assert_eq!(error.0, CUresult::CUDA_ERROR_LAUNCH_FAILED);
            false
        }
    };
    (program, is_ordered)
}

#[test]
fn what_is_not_waited_for_is_noticed() {
    let (program, is_ordered) = read_after_write(|_, _, _| {});
    assert!(!is_ordered);
    let report = program.session.report();
    assert!(report.contains("reads memory at") && report.contains("writes, and has not waited for it"), "{report}");
}

#[test]
fn events_and_the_host_order_streams() {
    assert!(read_after_write(|_, first, second| second.join(first).unwrap()).1);
    assert!(read_after_write(|_, first, _| first.synchronize().unwrap()).1);
    assert!(read_after_write(|program, _, _| program.context.synchronize().unwrap()).1);
    // An event of the wrong stream does not.
    assert!(!read_after_write(|_, first, second| first.join(second).unwrap()).1);
}

/// What cudarc orders itself among several streams is enough.
#[test]
fn tracked_events_order_streams() {
    let program = Program::new("");
    let axpy = program.function(AXPY, "axpy");
    let (first, second) = (program.context.new_stream().unwrap(), program.context.new_stream().unwrap());
    let x = first.clone_htod(&[1f32; 4]).unwrap();
    let mut y = first.clone_htod(&[0f32; 4]).unwrap();
    program.axpy(&first, &axpy, 1.0, &x, &mut y, 4).unwrap();
    program.axpy(&second, &axpy, 1.0, &x, &mut y, 4).unwrap();
    program.axpy(&program.stream, &axpy, 1.0, &x, &mut y, 4).unwrap();
    assert_eq!(first.clone_dtoh(&y).unwrap(), [3.; 4]);
}

/// Two streams are captured as one graph if the first waits for the second again.
#[test]
fn streams_that_join_are_captured_together() {
    use cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};
    let program = Program::new("");
    let axpy = program.function(AXPY, "axpy");
    let (first, second) = (program.context.new_stream().unwrap(), program.context.new_stream().unwrap());
    // SAFETY: the streams wait for one another below.
    unsafe { program.context.disable_event_tracking() };
    let x = first.clone_htod(&[1f32; 4]).unwrap();
    let mut y = first.clone_htod(&[0f32; 4]).unwrap();
    first.synchronize().unwrap();
    let capture = |y: &mut cudarc::driver::CudaSlice<f32>, joins: bool| {
        first.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL).unwrap();
        program.axpy(&first, &axpy, 1.0, &x, y, 4).unwrap();
        second.join(&first).unwrap();
        program.axpy(&second, &axpy, 2.0, &x, y, 4).unwrap();
        if joins {
            first.join(&second).unwrap();
        }
        first.end_capture(CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH)
    };
    assert_eq!(capture(&mut y, false).err().unwrap().0, CUresult::CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
    let graph = capture(&mut y, true).unwrap().unwrap();
    assert_eq!(program.session.counts().launches, 0);
    graph.launch().unwrap();
    graph.launch().unwrap();
    assert_eq!(first.clone_dtoh(&y).unwrap(), [6.; 4]);
}

/// Work that a graph does not order runs in any order.
#[test]
fn branches_of_a_graph_run_in_any_order() {
    use cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};
    let program = Program::new("");
    let axpy = program.function(AXPY, "axpy");
    let (first, second) = (program.context.new_stream().unwrap(), program.context.new_stream().unwrap());
    // SAFETY: nothing else uses the arrays.
    unsafe { program.context.disable_event_tracking() };
    let x = first.clone_htod(&[1f32; 4]).unwrap();
    let mut y = first.clone_htod(&[0f32; 4]).unwrap();
    first.synchronize().unwrap();
    let mut results = |waits: bool| {
        first.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL).unwrap();
        if !waits {
            second.join(&first).unwrap();
        }
        first.memset_zeros(&mut y).unwrap();
        if waits {
            second.join(&first).unwrap();
        }
        program.axpy(&second, &axpy, 1.0, &x, &mut y, 4).unwrap();
        first.join(&second).unwrap();
        let flags = CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH;
        let graph = first.end_capture(flags).unwrap().expect("a graph");
        let run = |_| {
            graph.launch().unwrap();
            first.clone_dtoh(&y).unwrap()[0]
        };
        (0..20).map(run).collect::<Vec<f32>>()
    };
    assert_eq!(results(true), [1.0; 20]);
    let any = results(false);
    assert!(any.contains(&1.0) && any.contains(&0.0), "{any:?}");
}

/// Every read on one stream must wait for every write on another, of whatever kind.
#[test]
fn copies_are_ordered_as_kernels_are() {
    type Write = fn(&std::sync::Arc<cudarc::driver::CudaStream>, &mut [cudarc::driver::CudaSlice<f32>; 2]);
    let writes: [Write; 3] = [
        |stream, [_, y]| stream.memcpy_htod(&[1f32; 4], y).unwrap(),
        |stream, [_, y]| stream.memset_zeros(y).unwrap(),
        |stream, [x, y]| stream.memcpy_dtod(&*x, y).unwrap(),
    ];
    for (index, write) in writes.into_iter().enumerate() {
        for waits in [false, true] {
            let program = Program::new("");
            // SAFETY: the test is that nothing is ordered automatically.
            unsafe { program.context.disable_event_tracking() };
            let (first, second) = (program.context.new_stream().unwrap(), program.context.new_stream().unwrap());
            let mut arrays = [first.clone_htod(&[1f32; 4]).unwrap(), first.clone_htod(&[1f32; 4]).unwrap()];
            first.synchronize().unwrap();
            write(&second, &mut arrays);
            if waits {
                second.synchronize().unwrap();
            }
            let _ = first.clone_dtoh(&arrays[1]);
            assert_eq!(first.synchronize().is_ok(), waits, "write {index}");
        }
    }
}
