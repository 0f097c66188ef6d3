//! Arrays with more elements than 32 bits can count.

use gavotte::{Array, DType, jit, jit_with};
use gavotte_core::aval::{Dim, Literal};
use gavotte_core::device::{DataMut, HostArray};
use gavotte_core::ir::{Value, parse};
use gavotte_core::kernel::{KernelProgram, Step};
use gavotte_core::runtime::Options;
use gavotte_tests::skip;
use gavotte_tests::targets::engines;

/// Whether the system can hold an array of this many bytes. Few of its pages are touched.
fn has_room(bytes: usize) -> bool {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok());
    let has_room = total.is_some_and(|total: usize| total << 10 > bytes + bytes / 4);
    if !has_room {
        skip(&format!("arrays of {} GiB need a machine with more memory", bytes >> 30));
    }
    has_room
}

/// Elements beyond those that 32 bits can count, at positions from loops and from lists, for sizes that are numbers and
/// symbols.
#[test]
fn every_element_of_a_large_array_is_reached() {
    const ROW: usize = (1 << 30) + 16;
    type Taken = fn(Array, Array) -> Array;
    let taken: [(&str, Taken, &[usize]); 4] = [
        ("a column", |x, ids| x.slice_axis::<usize>(1, 7..8).flatten().take(&ids, 0), &[7]),
        ("the last column", |x, ids| x.slice_axis::<usize>(1, ROW - 1..ROW).flatten().take(&ids, 0), &[ROW - 1]),
        ("columns", |x, ids| x.take(&ids, 0).slice_axis::<usize>(1, ROW - 3..ROW), &[ROW - 3, ROW - 2, ROW - 1]),
        ("a column's sum", |x, ids| x.slice_axis::<usize>(1, 7..8).take(&ids, 0).astype(DType::F32).sum(1), &[7]),
    ];
    let check = |x: &Array, is_set: &dyn Fn(usize, usize) -> bool, n: usize| {
        let ids: Vec<i32> = (0..37).map(|i| (i * i) % n as i32).collect();
        for (target, (name, f, columns)) in engines().into_iter().flat_map(|t| taken.iter().map(move |case| (t, case)))
        {
            let found =
                jit_with(*f, Options { target, ..Options::default() })(x.clone(), Array::new(&[37], ids.clone()));
            let found = found.astype(DType::F32).to_vec::<f32>();
            let element = |(id, column): (i32, usize)| f32::from(u8::from(is_set(id as usize, column)));
            let places = ids.iter().flat_map(|id| columns.iter().map(move |column| (*id, *column)));
            let wanted: Vec<f32> = places.map(element).collect();
            assert_eq!(found, wanted, "{name} of {:?}, {target:?}", x.shape());
        }
    };
    if has_room(5 * ROW) {
        let is_set = |row: usize, column: usize| (row + column).is_multiple_of(3);
        let mut x = HostArray::full(&[5, ROW], Literal::Bool(false));
        if let DataMut::Bool(xs) = x.data_mut() {
            let places =
                [7, ROW - 3, ROW - 2, ROW - 1].into_iter().flat_map(|column| (0..5).map(move |row| (row, column)));
            places.for_each(|(row, column)| xs[row * ROW + column] = is_set(row, column));
        }
        let x = Array::from(Value::from(x));
        check(&x, &is_set, 5);
        check(&x.declare([Dim::symbol("n"), Dim::from(ROW)]), &is_set, 5);
    }
    if has_room(8 * ROW) {
        let is_set = |row: usize, column: usize| row == 1 && column >= 7;
        let mut x = HostArray::full(&[2, ROW], Literal::F32(0.0));
        if let DataMut::F32(xs) = x.data_mut() {
            [7, ROW - 3, ROW - 2, ROW - 1].into_iter().for_each(|column| xs[ROW + column] = 1.0);
        }
        check(&Array::from(Value::from(x)), &is_set, 2);
    }
}

/// Kernels compute positions along a joined or padded axis as `i32`.
#[test]
fn axes_longer_than_an_i32_counts_are_made_without_a_kernel() {
    let most = i32::MAX as usize;
    for (n, is_kernel) in [(most, true), (most + 1, false)] {
        for text in [
            format!("%2: f32[{n}] = concatenate %0, %1 {{axis=0}}"),
            format!("%2: f32[{n}] = pad %0, 1.5f32 {{high=[5], interior=[0], low=[0]}}"),
        ] {
            let text = format!("program @long(%0: f32[{}], %1: f32[5]) -> (f32[{n}]) {{ {text} return %2 }}", n - 5);
            let program = parse(&text, gavotte::registry()).unwrap_or_else(|error| panic!("{error}"));
            let steps = KernelProgram::new(program).unwrap_or_else(|error| panic!("{error}")).steps;
            assert_eq!(matches!(steps.last(), Some(Step::Kernel(..))), is_kernel, "{text}");
        }
    }
}

/// An array made without a kernel is made before the kernel that reads it.
#[test]
fn what_reads_a_long_axis_reads_it_in_memory() {
    let n = i32::MAX as usize + 4;
    let text = format!(
        "program @long(%0: f32[{}]) -> (f32[4]) {{
           %1: f32[{n}] = pad %0, 1.5f32 {{high=[0], interior=[0], low=[4]}}
           %2: f32[4] = slice %1 {{limit=[5], start=[1], stride=[1]}}
           %3: f32[4] = neg %2
           return %3
         }}",
        n - 4
    );
    let program = parse(&text, gavotte::registry()).unwrap_or_else(|error| panic!("{error}"));
    let steps = KernelProgram::new(program).unwrap_or_else(|error| panic!("{error}")).steps;
    let [Step::Eval(pad), Step::Kernel(reader, ..)] = &steps[..] else { panic!("other steps for\n{text}") };
    assert_eq!(reader.inputs.iter().map(|(var, _)| *var).collect::<Vec<_>>(), [pad.outs[0].var]);
}

/// The number of elements may exceed what an integer element can count.
#[test]
fn a_mean_of_many_is_one() {
    let mean = jit(|x: Array| x.broadcast_to([32768usize, 65537]).astype(DType::F32).mean(()));
    assert_eq!(mean(Array::new(&[1, 1], vec![3i32])).item::<f32>(), 3.0);
}
