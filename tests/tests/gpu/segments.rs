//! Segments whose arrays contradict one another are found before a GPU reads them.

use gavotte::device::cuda;
use gavotte::segment::Segments;
use gavotte::{Array, device_put, jit, scan};
use gavotte_tests::gpu::machine;
use gavotte_tests::refused::{assert_has, refused};
use gavotte_tests::segments::{ADVICE, data, ids, made, offsets, share, wrong};

/// Arrays on the device and arrays from the host are checked; arrays that stay are checked once.
#[test]
fn gpus_are_given_what_is_checked() {
    let Some(machine) = machine("unwritten=refuse") else { return };
    {
        let device = cuda(0).expect("the emulator is a GPU");
        let there = |args: (Segments, Array)| device_put(args, &device).expect("it fits");
        let f = jit(|s: Segments, x: Array| share(&s, &x));
        let looped = jit(|s: Segments, x: Array| {
            let body = |x: Array, i: Array| (s.gather(&share(&s, &x)) * 0.5, i);
            scan(body, x, Array::new(&[2], vec![0.0f32; 2])).0
        });
        let right = there((made(ids(), offsets(), None), data()));
        let sums = f(right.0.clone(), right.1.clone()).to_vec::<f32>();
        assert!(sums.iter().all(|sum| (sum - 2.0).abs() < 1e-5), "{sums:?}");
        for (i, (what, segments)) in wrong().into_iter().enumerate() {
            let args = there((segments.clone(), data()));
            let error = refused(|| f.try_call(args.clone()));
            assert_has(&error, ADVICE);
            assert!(error.contains("segment.rs") || error.contains("segments.rs"), "{what}: {error}");
            assert_eq!(error, refused(|| f.try_call((segments.clone(), args.1.clone()))), "{what}, from the host");
            if i % 5 == 0 {
                assert_has(&refused(|| looped.try_call(args.clone())), ADVICE);
                assert_has(&refused(|| jit(move |x: Array| share(&segments, &x)).try_call((args.1,))), ADVICE);
            }
        }
        let before = machine.counts().copies_to_host;
        let again = f(right.0.clone(), right.1.clone());
        assert_eq!(machine.counts().copies_to_host, before, "what is known stays on the device");
        assert_eq!(again.to_vec::<f32>(), sums);
    }
    assert_eq!(machine.report(), "");
}
