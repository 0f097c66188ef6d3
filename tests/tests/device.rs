//! GPUs as devices, on the emulator: arrays go there and come back, and failures say why. A program of its own, as no
//! NVRTC may be found in it.
#![cfg(target_os = "linux")]

use gavotte::device::{DeviceRef, cpu, cuda, devices};
use gavotte::{Array, DType, Dim, Error, device_copy, device_put};
use gavotte_core::aval::Literal;
use gavotte_core::device::{Data, HostArray};
use gavotte_emulator::driver::{Emulator, Session};
use gavotte_tests::arrays::Random;
use std::sync::Arc;

/// A fresh machine with these settings.
fn machine(settings: &str) -> Session<'static> {
    Emulator::get().session(settings)
}

fn array(dtype: DType, n: usize, random: &mut Random) -> Arc<HostArray> {
    let mut element = || match Literal::from_bits(dtype, random.bits()) {
        // Arrays are compared as numbers.
        x if x.as_f64().is_nan() => Literal::from_f64(dtype, 1.0),
        x => x,
    };
    let elements: Vec<Literal> = (0..n).map(|_| element()).collect();
    Arc::new(HostArray::from_data(&[n], Data::of(dtype, elements.into_iter())))
}

/// There and back.
fn round_trip(device: &DeviceRef, array: &Arc<HostArray>) -> Result<Arc<HostArray>, Error> {
    device.put(array.clone())?.to_host()
}

#[test]
fn arrays_come_back_as_they_went() {
    let machine = machine("unwritten=refuse");
    {
        let device = cuda(0).expect("the emulator is a GPU");
        let mut random = Random::new(1);
        // Empty, one element, one piece of pinned memory and its neighbours, several pieces.
        for n in [0, 1, 7, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (5 << 20) + 3] {
            let array = array(DType::F32, n, &mut random);
            assert_eq!(round_trip(&device, &array).unwrap().data(), array.data(), "{n} elements");
        }
        for &dtype in DType::ALL {
            let array = array(dtype, 1000, &mut random);
            assert_eq!(round_trip(&device, &array).unwrap().data(), array.data(), "{dtype}");
        }
    }
    assert_eq!(machine.report(), "");
    let counts = machine.counts();
    assert_eq!(counts.live_allocations, 0, "memory goes back with the device");
    assert_eq!(counts.unwritten_reads, 0);
}

#[test]
fn trees_are_moved_and_know_where_they_are() {
    let _machine = machine("");
    let device = cuda(0).expect("the emulator is a GPU");
    let pair = (Array::new(&[2, 2], vec![1f32, 2.0, 3.0, 4.0]), Array::new(&[1], vec![7i32]));
    let there = device_put(pair.clone(), &device).unwrap();
    assert_eq!(there.0.device().expect("it is computed").name(), "cuda:0");
    // Arrays already on the device stay.
    let again = device_put(there, &device).unwrap();
    let back = device_put(again, &cpu()).unwrap();
    assert_eq!(back.0.device().expect("it is computed").name(), "cpu");
    assert_eq!((back.0.to_vec::<f32>(), back.1.to_vec::<i32>()), (pair.0.to_vec::<f32>(), pair.1.to_vec::<i32>()));
}

#[test]
fn arrays_go_from_gpu_to_gpu_without_the_host() {
    let machine = machine("devices=2,unwritten=refuse");
    {
        let (first, second) = (cuda(0).expect("a GPU"), cuda(1).expect("another"));
        let mut random = Random::new(5);
        for &dtype in DType::ALL {
            let array = array(dtype, 3000, &mut random);
            let there = first.put(array.clone()).unwrap();
            let before = machine.counts();
            let other = second.bring(there).unwrap();
            let after = machine.counts();
            assert_eq!(other.device().name(), "cuda:1");
            assert_eq!(after.copies_within - before.copies_within, 1);
            assert_eq!(
                (after.copies_to_host, after.copies_to_device),
                (before.copies_to_host, before.copies_to_device)
            );
            // The first one's memory is reused at once.
            let again = first.put(Arc::new(HostArray::from_data(&[3000], array.data().clone()))).unwrap();
            assert_eq!(other.to_host().unwrap().data(), array.data(), "{dtype}");
            assert_eq!(again.to_host().unwrap().data(), array.data(), "{dtype}");
        }
        let pair = (Array::new(&[0], Vec::<f32>::new()), Array::new(&[2], vec![1f64, 2.0]));
        let there = device_put(device_put(pair, &first).unwrap(), &second).unwrap();
        assert_eq!((there.0.to_vec::<f32>(), there.1.to_vec::<f64>()), (vec![], vec![1.0, 2.0]));
    }
    assert_eq!(machine.report(), "");
    assert_eq!(machine.counts().live_allocations, 0);
}

#[test]
fn copies_are_made_where_arrays_are() {
    let machine = machine("unwritten=refuse");
    {
        let device = cuda(0).expect("the emulator is a GPU");
        let (here, rows) =
            (Array::scalar(3i32), Array::new(&[4], vec![1f32, 2.0, 3.0, 4.0]).declare([Dim::symbol("n")]));
        let there = device_put((rows, Array::new(&[0], Vec::<f32>::new())), &device).unwrap();
        let before = machine.counts();
        let copied = device_copy(&(here, there.clone())).unwrap();
        let after = machine.counts();
        assert_eq!(after.copies_within - before.copies_within, 1, "what is empty is not copied");
        assert_eq!(after.allocations - before.allocations, 1);
        assert_eq!((after.copies_to_host, after.copies_to_device), (before.copies_to_host, before.copies_to_device));
        let (number, (rows, none)) = copied;
        assert_eq!(rows.value().declared_aval(), there.0.value().declared_aval());
        assert_eq!((number.item::<i32>(), rows.to_vec::<f32>(), none.ndim()), (3, there.0.to_vec::<f32>(), 1));
    }
    assert_eq!(machine.report(), "");
    assert_eq!(machine.counts().live_allocations, 0);
}

/// Pinned memory is refilled only after the driver has copied its contents, whatever failed before.
#[test]
fn what_is_being_copied_is_not_overwritten() {
    for call in ["cuEventRecord", "cuEventCreate", "cuMemcpyHtoDAsync_v2", "cuEventSynchronize", "cuMemHostAlloc"] {
        for nth in 1..=8 {
            let machine = machine(&format!("fail={call}:{nth}:999"));
            {
                let device = cuda(0).expect("the emulator is a GPU");
                let mut random = Random::new(nth);
                // Three pieces. The element says which array it is, and where it was.
                for i in 0..4 {
                    let first = f64::from(i) * 1e9 + random.float();
                    let elements = (0..(1 << 20) + 7).map(|k| first + f64::from(k)).collect();
                    let array = Arc::new(HostArray::new(&[(1 << 20) + 7], elements));
                    if let Ok(back) = round_trip(&device, &array) {
                        assert_eq!(back.data(), array.data(), "{call}, {nth}");
                    }
                }
            }
            assert_eq!(machine.report(), "", "{call}, {nth}");
            assert_eq!(machine.counts().live_allocations, 0, "{call}, {nth}");
        }
    }
}

#[test]
fn memory_that_is_given_back_is_given_out_again() {
    let machine = machine("");
    let device = cuda(0).expect("the emulator is a GPU");
    let array = array(DType::F32, 5000, &mut Random::new(2));
    for _ in 0..20 {
        round_trip(&device, &array).unwrap();
    }
    assert_eq!(machine.counts().allocations, 1, "one block serves twenty arrays");
    let both = [device.put(array.clone()).unwrap(), device.put(array.clone()).unwrap()];
    assert_eq!(machine.counts().allocations, 2, "two that live have a block each");
    let last = both.map(|buffer| buffer.to_host().unwrap());
    assert!(last.iter().all(|back| back.data() == array.data()));
}

#[test]
fn what_does_not_fit_says_what_was_asked_for_and_leaves_the_device_usable() {
    let machine = machine("memory=8M");
    let device = cuda(0).expect("the emulator is a GPU");
    let mut random = Random::new(3);
    let (large, small) = (array(DType::F32, 1 << 20, &mut random), array(DType::F32, 1000, &mut random));
    let kept = device.put(large.clone()).unwrap();
    let error = device.put(array(DType::F64, 1 << 20, &mut random)).unwrap_err().to_string();
    for part in ["cuda:0", "out of memory", "8.4 MB", "4.2 MB in use", "4.2 MB of 8.4 MB are free"] {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
    assert_eq!(round_trip(&device, &small).unwrap().data(), small.data());
    // Freed arrays make room.
    drop(kept);
    let wide = array(DType::F64, 900_000, &mut random);
    assert_eq!(round_trip(&device, &wide).unwrap().data(), wide.data());
    assert_eq!(machine.report(), "");
}

#[test]
fn every_call_that_fails_is_an_error() {
    let calls = ["cuInit", "cuDeviceGetCount", "cuDevicePrimaryCtxRetain", "cuStreamCreate", "cuMemAlloc_v2"];
    let more =
        ["cuMemHostAlloc", "cuMemcpyHtoDAsync_v2", "cuMemcpyDtoHAsync_v2", "cuEventRecord", "cuEventSynchronize"];
    let array = array(DType::F32, 3 << 20, &mut Random::new(4));
    for call in calls.into_iter().chain(more) {
        for nth in 1..=3 {
            let machine = machine(&format!("fail={call}:{nth}:999"));
            let result = cuda(0).and_then(|device| round_trip(&device, &array));
            match result {
                Err(error) => {
                    let text = error.to_string();
                    assert!(text.contains("CUDA_ERROR_UNKNOWN") && text.contains("unknown error"), "{call}: {text}");
                }
                Ok(back) => assert!(nth > 1 && back.data() == array.data(), "{call} is not asked for so often"),
            }
            assert_eq!(machine.counts().live_allocations, 0, "{call}, {nth}");
        }
    }
}

#[test]
fn a_driver_that_is_too_old_is_refused() {
    let old = machine("driver=11030");
    let error = cuda(0).unwrap_err().to_string();
    for part in ["libcuda.so", "knows CUDA 11.3", "11.4 is the least", "newer graphics driver"] {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
    assert_eq!(devices().unwrap_err().to_string(), error);
    old.configure("driver=11040");
    assert_eq!(cuda(0).expect("it is new enough").name(), "cuda:0");
}

#[test]
fn a_driver_without_a_gpu_is_no_device() {
    let _machine = machine("devices=0");
    assert_eq!(devices().unwrap(), vec![]);
    let error = cuda(0).unwrap_err().to_string();
    assert!(error.contains("no cuda:0") && error.contains("no GPU") && error.contains("gavotte devices"), "{error}");
}

#[test]
fn devices_are_described_and_numbers_beyond_them_refused() {
    let _machine = machine("devices=2,compute=9.0,memory=64M,multiprocessors=4");
    let found = devices().unwrap();
    assert_eq!(found.iter().map(|gpu| gpu.name.as_str()).collect::<Vec<_>>(), ["cuda:0", "cuda:1"]);
    assert_eq!((found[0].compute_capability, found[0].memory, found[0].multiprocessors), ((9, 0), 64 << 20, 4));
    let error = cuda(2).unwrap_err().to_string();
    assert!(error.contains("no cuda:2") && error.contains("cuda:0, cuda:1"), "{error}");
    assert_eq!(cuda(1).unwrap().name(), "cuda:1");
}
