//! Custom buffers: the type they claim is not believed where their elements are read.

use super::{assert_has, refused};
use gavotte::{Array, Aval, DType, Error, Literal, Options, device_put, grad, jit, jit_with, load, scan, vmap};
use gavotte_core::device::{Buffer, DeviceRef, HostArray, cpu};
use gavotte_core::ir::Value;
use std::any::Any;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A buffer that claims one type and returns another.
#[derive(Debug)]
struct Liar {
    /// The types it claims, one per query; the last one for good.
    says: Vec<Aval>,
    asked: AtomicUsize,
    to_host: Arc<HostArray>,
    into_any: Arc<dyn Any + Send + Sync>,
}

impl Buffer for Liar {
    fn aval(&self) -> &Aval {
        let nth = self.asked.fetch_add(1, Ordering::Relaxed);
        &self.says[nth.min(self.says.len() - 1)]
    }
    fn device(&self) -> DeviceRef {
        cpu()
    }
    fn to_host(self: Arc<Self>) -> Result<Arc<HostArray>, Error> {
        Ok(self.to_host.clone())
    }
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self.into_any.clone()
    }
}

fn ones(n: usize) -> Arc<HostArray> {
    Arc::new(HostArray::full(&[n], Literal::F32(1.0)))
}

fn floats(n: usize) -> Aval {
    Aval::new(DType::F32, [n])
}

/// A buffer that claims these types and returns these contents.
fn liar(says: Vec<Aval>, to_host: Arc<HostArray>, into_any: Arc<dyn Any + Send + Sync>) -> Array {
    Array::from(Value::from_buffer(Arc::new(Liar { says, asked: AtomicUsize::new(0), to_host, into_any })))
}

const MANY: usize = 1 << 22;

/// Buffers that claim to be `f32[MANY]`.
fn liars() -> Vec<(&'static str, Array)> {
    let (said, few) = (|| vec![floats(MANY)], || ones(16));
    let of_words = Arc::new(HostArray::full(&[MANY], Literal::U32(1)));
    let of_halves = Arc::new(HostArray::full(&[MANY], Literal::Bool(true)));
    vec![
        ("fewer elements", liar(said(), few(), few())),
        ("elements of another type", liar(said(), of_words.clone(), of_words)),
        ("shorter elements", liar(said(), of_halves.clone(), of_halves)),
        ("a scalar", liar(said(), Arc::new(HostArray::scalar(Literal::F32(1.0))), few())),
        ("another array for running", liar(said(), few(), few())),
        ("another answer each time", liar(vec![floats(MANY), floats(16), floats(MANY)], few(), few())),
        ("no elements", liar(said(), ones(0), ones(0))),
    ]
}

#[test]
fn arguments_are_asked_for_their_own_type() {
    for threads in [1, 2] {
        let options = Options { threads: NonZeroUsize::new(threads).expect("not zero"), ..Options::default() };
        let total = jit_with(|x: Array| (x * 2.0).sum(()), options);
        for (_, x) in liars() {
            let error = refused(|| total.try_call((x,)));
            assert_has(&error, &["array 0 is", "must be f32[4194304]"]);
        }
    }
    // A claim made on the way to the host does not matter where the buffer returns the array itself.
    let honest = liar(vec![floats(16)], ones(3), ones(16));
    assert_eq!(jit(|x: Array| x.sum(()))(honest).item::<f32>(), 16.0);
}

#[test]
fn operations_outside_jit_ask_too() {
    for (_, x) in liars() {
        let error = refused(|| Ok(&x + 1.0));
        assert_has(&error, &["a buffer says that it holds f32[4194304], but returns"]);
        assert_has(&refused(|| x.to_host()), &["a buffer says"]);
        assert_has(&refused(|| grad(|x: Array| (&x * &x).sum(())).try_call((x.clone(),))), &["a buffer says"]);
    }
}

#[test]
fn constants_are_asked_when_they_are_compiled() {
    for (_, x) in liars() {
        let f = jit(|y: Array| (&x * y).sum(()));
        assert_has(&refused(|| f.try_call((Array::scalar(2.0f32),))), &["a buffer says"]);
    }
}

#[test]
fn other_entry_points_ask_too() {
    let step = |total: Array, x: Array| (&total + &x, x);
    let looped = jit(move |x: Array| scan(step, Array::scalar(0.0f32), x).0);
    let mapped = jit(vmap(|x: Array| x * 2.0, [Some(0)]));
    let compiled = mapped.lower((Array::from(Value::from(ones(MANY))),)).and_then(|lowered| lowered.compile());
    let compiled = compiled.unwrap_or_else(|error| panic!("{error}"));
    let folder = tempfile::tempdir().expect("a folder can be created");
    let path = folder.path().join("step");
    compiled.save(&path).unwrap_or_else(|error| panic!("{error}"));
    let loaded = load::<(Array,), Array>(&path).unwrap_or_else(|error| panic!("{error}"));
    for (_, x) in liars() {
        assert_has(&refused(|| looped.try_call((x.clone(),))), &["array 0 is"]);
        assert_has(&refused(|| mapped.try_call((x.clone(),))), &["array 0 is"]);
        assert_has(&refused(|| compiled.try_call((x.clone(),))), &["array 0 is"]);
        assert_has(&refused(|| loaded.try_call((x.clone(),))), &["array 0 is"]);
        // The device already has it; readers on the device ask.
        let there = device_put(x, &cpu()).unwrap_or_else(|error| panic!("{error}"));
        assert_has(&refused(|| there.to_host()), &["a buffer says"]);
        let saved = jit(|y: Array| (&there * y).sum(())).lower((Array::scalar(1.0f32),)).map(drop);
        assert_has(&refused(|| saved.clone()), &["a buffer says"]);
    }
}

#[test]
fn a_buffer_that_is_no_array_is_refused() {
    let strange = liar(vec![floats(16)], ones(16), Arc::new("sixteen".to_string()));
    assert_has(
        &refused(|| jit(|x: Array| x * 2.0).try_call((strange,))),
        &["a buffer of another kind than programs on cpu read"],
    );
}

#[test]
#[should_panic(expected = "every extent of a computed array is a number")]
fn a_buffer_of_unknown_size_is_refused() {
    liar(vec![Aval::new(DType::F32, ["n"])], ones(16), ones(16));
}
