//! Why a function is traced again.

use super::vector;
use gavotte::{Array, Change, ChangeKind, DType, Jit, Miss, Options, Tree, assume, jit, jit_with};
use gavotte_core::aval::Aval;
use gavotte_core::device::{Buffer, Device, DeviceRef, HostArray};
use gavotte_core::ir::Value;
use gavotte_tests::refused::assert_has;
use std::any::Any;
use std::process::Command;
use std::sync::Arc;

#[derive(Tree, Clone)]
struct Model {
    w: Array,
    #[tree(static)]
    power: i32,
}

fn last(misses: Vec<Miss>) -> Miss {
    misses.last().cloned().expect("a call has traced")
}

/// The one change in the second call, and the text of its miss.
fn change<T: Tree>(f: &Jit<'_, (T,), Array>, first: T, second: T) -> (Change, String) {
    assert!(f.try_call((first,)).is_ok());
    let _ = f.try_call((second,));
    let miss = last(f.misses());
    assert_eq!((f.misses().len(), miss.n_entry, miss.changes.len()), (2, 1, 1), "{miss}");
    (miss.changes[0].clone(), miss.to_string())
}

fn expect(found: (Change, String), kind: ChangeKind, path: &str, values: [&str; 2], line: &str, remedy: &str) {
    let (change, text) = found;
    let argument = path.split('.').next().and_then(|first| first.parse().ok());
    let [old, new] = values.map(String::from);
    assert_eq!(change, Change { argument, path: path.into(), kind, old, new });
    assert_eq!(change.to_string(), line);
    assert!(
        text.ends_with(&format!("is traced again: none of 1 compiled program fits\n  {line}\n    {remedy}")),
        "{text}"
    );
}

#[test]
fn the_first_call_finds_nothing() {
    let double = jit(|x: Array| x * 2f32);
    double(vector(&[1.0]));
    double(vector(&[2.0]));
    assert_eq!(double.misses().len(), 1, "the second call finds the first one's program");
    let text = last(double.misses()).to_string();
    assert_eq!(text, "@the_first_call_finds_nothing is traced: nothing is compiled yet");
}

#[test]
fn another_size() {
    let found = change(&jit(|m: Model| &m.w * 2f32), model(2, 1), model(3, 1));
    expect(
        found,
        ChangeKind::Axis(0),
        "0.w",
        ["2", "3"],
        "argument 0, leaf `0.w`: axis 0 was 2 and is 3",
        "declare the axis with a symbol to share one program for every size",
    );
}

fn model(n: usize, power: i32) -> Model {
    Model { w: vector(&vec![1.0; n]), power }
}

#[test]
fn an_axis_without_its_symbol() {
    let xs = vector(&[1.0, 2.0]);
    expect(
        change(&jit(|x: Array| x * 2f32), xs.clone().declare(["n"]), xs),
        ChangeKind::Axis(0),
        "0",
        ["n", "2"],
        "argument 0: axis 0 was n and is 2",
        "declare the axis with the same symbol in every call to share one program",
    );
}

#[test]
fn another_element_type() {
    expect(
        change(&jit(|x: Array| x.astype(DType::F32)), vector(&[1.0]), Array::new(&[1], vec![1f64])),
        ChangeKind::DType,
        "0",
        ["f32", "f64"],
        "argument 0: elements were f32 and are f64",
        "convert it with astype before the call to share one program",
    );
}

#[test]
fn another_number_of_axes() {
    expect(
        change(&jit(|x: Array| x * 2f32), vector(&[1.0, 2.0]), vector(&[1.0, 2.0]).reshape([1, 2])),
        ChangeKind::Rank,
        "0",
        ["[2]", "[1, 2]"],
        "argument 0: axes were [2] and are [1, 2]",
        "reshape it before the call to share one program",
    );
}

#[test]
fn another_static_value() {
    expect(
        change(&jit(|m: Model| m.w.powi(m.power)), model(1, 2), model(1, 3)),
        ChangeKind::Static,
        "0.power",
        ["2", "3"],
        "argument 0, leaf `0.power`: the static value was 2 and is 3",
        "static fields are part of the program: make it an array, a leaf, to share one program",
    );
}

#[test]
fn another_structure() {
    let sum = jit(|xs: Vec<Array>| xs.iter().fold(Array::scalar(0f32), |sum, x| sum + x));
    let scalars = |n: usize| (0..n).map(|_| Array::scalar(1f32)).collect::<Vec<_>>();
    expect(
        change(&sum, scalars(1), scalars(2)),
        ChangeKind::Structure,
        "0",
        ["Vec of 1", "Vec of 2"],
        "argument 0: the structure was Vec of 1 and is Vec of 2",
        "pass trees of the same structure in both calls to share one program",
    );
}

/// Memory that does not belong to the processor.
#[derive(Debug)]
struct Elsewhere(HostArray);

#[derive(Debug)]
struct ElsewhereDevice;

impl Buffer for Elsewhere {
    fn aval(&self) -> &Aval {
        self.0.aval()
    }
    fn device(&self) -> DeviceRef {
        Arc::new(ElsewhereDevice)
    }
    fn to_host(self: Arc<Self>) -> Result<Arc<HostArray>, gavotte::Error> {
        Ok(Arc::new(self.0.clone()))
    }
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

impl Device for ElsewhereDevice {
    fn name(&self) -> &str {
        "elsewhere"
    }
    fn put(&self, array: Arc<HostArray>) -> Result<Arc<dyn Buffer>, gavotte::Error> {
        Ok(Arc::new(Elsewhere(HostArray::clone(&array))))
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[test]
fn another_device() {
    let there = Array::from(Value::from_buffer(Arc::new(Elsewhere(HostArray::new(&[1], vec![1f32])))));
    let (change, text) = change(&jit(|x: Array| x * 2f32), vector(&[1.0]), there);
    assert_eq!((change.argument, change.kind), (None, ChangeKind::Device));
    assert_has(&text, &["the device was cpu and is elsewhere", "move the arguments with device_put"]);
}

#[test]
fn other_facts_around() {
    let inner = jit(|x: Array| x * 2f32);
    for fact in ["n >= 1", "n >= 2"] {
        let outer = jit(|x: Array| {
            assume(fact);
            inner(x)
        });
        outer(vector(&[1.0, 2.0]).declare(["n"]));
    }
    let miss = last(inner.misses());
    let [change] = &miss.changes[..] else { panic!("{miss}") };
    assert_eq!((change.argument, change.kind), (None, ChangeKind::Facts));
    assert_has(
        &miss.to_string(),
        &["the facts of the enclosing traces were `", "call it under the same assumptions, or assume"],
    );
}

#[test]
fn the_nearest_program_is_what_is_compared_with() {
    let add = jit(|x: Array, y: Array| x + y.sum(()));
    add(vector(&[1.0]), vector(&[1.0]));
    add(vector(&[1.0, 2.0]), vector(&[1.0, 2.0]));
    add(vector(&[1.0, 2.0]), vector(&[1.0, 2.0, 3.0]));
    let miss = last(add.misses());
    assert_eq!(miss.n_entry, 2);
    assert_has(&miss.to_string(), &["none of 2 compiled programs fit\n", "argument 1: axis 0 was 2 and is 3"]);
    assert_eq!(miss.changes.len(), 1, "{miss}");
}

const WITHIN: &str = "GAVOTTE_TEST_EXPLAINS";

/// Run by the test below in its own process, whose standard error stream it reads.
#[test]
fn explaining() {
    let explain_misses = std::env::var_os(WITHIN).is_some();
    let double = jit_with(|x: Array| x * 2f32, Options { explain_misses, ..Options::default() });
    double(vector(&[1.0]));
    double(vector(&[1.0]));
    double(vector(&[1.0, 2.0]));
}

#[test]
fn misses_are_printed_where_asked_for() {
    let program = std::env::current_exe().expect("tests have a file");
    let stderr = |explains: bool| {
        let mut command = Command::new(&program);
        command.args(["inside::misses::explaining", "--exact", "--nocapture"]).env_remove(WITHIN);
        if explains {
            command.env(WITHIN, "1");
        }
        let output = command.output().expect("the test program runs");
        assert!(output.status.success());
        String::from_utf8_lossy(&output.stderr).to_string()
    };
    assert!(!stderr(false).contains("explain_misses"));
    let told = stderr(true);
    assert_has(
        &told,
        &[
            "explain_misses: @explaining is traced: nothing is compiled yet\n",
            "explain_misses: @explaining is traced again: none of 1 compiled program fits\n  argument 0: axis 0 was 1 \
             and is 2\n    declare the axis with a symbol",
        ],
    );
    assert_eq!(told.matches("explain_misses").count(), 2, "{told}");
}
