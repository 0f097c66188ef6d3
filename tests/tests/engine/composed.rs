//! Composed index arrays are computed once per graph. Whichever graph a call is for, and whoever keeps its arrays, the
//! results are that graph's.

use gavotte_core::aval::{Sizes, Symbol};
use gavotte_core::device::HostArray;
use gavotte_core::ir::{Value, parse};
use gavotte_core::runtime::{Executable, Options, Target};
use gavotte_tests::arrays::Random;

const K: usize = 5;
const N: usize = 7;
const Z: usize = 40;

/// Rows of `%0` gathered by member and summed in the order of other segments, as the transpose of a gather does. The
/// order is also returned, changed, so that it may be written in place.
const PROGRAM: &str = "program @moved(%0: f32[k,4], %1: i32[z], %2: i32[k+1], %3: i32[z], %4: i32[z], %5: i32[n+1], \
                       %6: i32[z]) -> (f32[n,4], i32[z]) {
  %7: f32[z,4] = gather %0, %1, %2, %3 {axis=0}
  %8: f32[n,4] = segment_sum %7, %4, %5, %6
  %9: i32[z] = neg %6
  return %8, %9
}";

fn executable(target: Target) -> (Executable, Sizes) {
    let program = parse(PROGRAM, gavotte::registry()).unwrap_or_else(|error| panic!("{error}"));
    let options = Options { target, ..Options::default() };
    let mut sizes = Sizes::new();
    for (symbol, size) in [("k", K), ("n", N), ("z", Z)] {
        sizes.set(Symbol::new(symbol), size).expect("it has no size yet");
    }
    (Executable::compile(&program, &[], &options).unwrap_or_else(|error| panic!("{error}")), sizes)
}

/// The arguments and the expected results.
struct Graph {
    args: Vec<HostArray>,
    sums: Vec<f32>,
    order: Vec<i32>,
}

/// Members by segment: offsets, and the members in the segments' order.
fn segments(ids: &[i32], n: usize) -> (Vec<i32>, Vec<i32>) {
    let before = |segment: usize| ids.iter().filter(|id| (**id as usize) < segment).count() as i32;
    let mut order: Vec<i32> = (0..ids.len() as i32).collect();
    order.sort_by_key(|member| ids[*member as usize]);
    ((0..=n).map(before).collect(), order)
}

fn graph(random: &mut Random) -> Graph {
    let rows: Vec<f32> = (0..K * 4).map(|_| random.below(100) as f32).collect();
    let [from, to] = [K, N].map(|n| (0..Z).map(|_| random.below(n) as i32).collect::<Vec<i32>>());
    let ((from_offsets, from_order), (to_offsets, to_order)) = (segments(&from, K), segments(&to, N));
    let mut sums = vec![0.0; N * 4];
    for (from, to) in from.iter().zip(&to) {
        for i in 0..4 {
            sums[*to as usize * 4 + i] += rows[*from as usize * 4 + i];
        }
    }
    let order = to_order.iter().map(|member| -member).collect();
    let list = |xs: Vec<i32>| HostArray::new(&[xs.len()], xs);
    let rows = HostArray::new(&[K, 4], rows);
    let args = [from, from_offsets, from_order, to, to_offsets, to_order].map(list);
    Graph { args: std::iter::once(rows).chain(args).collect(), sums, order }
}

fn check(executable: &Executable, sizes: &Sizes, args: Vec<Value>, graph: &Graph) {
    let outs = executable.call(args, sizes).unwrap_or_else(|error| panic!("{error}"));
    let found: Vec<_> = outs.iter().map(|out| out.to_host().expect("it is computed")).collect();
    assert_eq!((found[0].as_slice::<f32>(), found[1].as_slice::<i32>()), (&*graph.sums, &*graph.order));
}

fn targets() -> impl Iterator<Item = Target> {
    [Target::Portable, Target::native()].into_iter()
}

#[test]
fn each_graph_has_its_own() {
    for target in targets() {
        let (executable, sizes) = executable(target);
        assert!(executable.kernels_text().contains("is %1[%6], once for each graph"), "{}", executable.kernels_text());
        let mut random = Random::new(1);
        let graphs: Vec<Graph> = (0..3).map(|_| graph(&mut random)).collect();
        let kept: Vec<Vec<Value>> =
            graphs.iter().map(|graph| graph.args.iter().cloned().map(Value::from).collect()).collect();
        for i in [0, 0, 1, 0, 2, 2, 1] {
            check(&executable, &sizes, kept[i].clone(), &graphs[i]);
        }
        // One array of another graph makes a different pair.
        let mut mixed = kept[0].clone();
        mixed[1..4].clone_from_slice(&kept[1][1..4]);
        let ids = graphs[1].args[1].as_slice::<i32>();
        let rows = graphs[0].args[0].as_slice::<f32>();
        let mut sums = vec![0.0; N * 4];
        for (from, to) in ids.iter().zip(graphs[0].args[4].as_slice::<i32>()) {
            (0..4).for_each(|i| sums[*to as usize * 4 + i] += rows[*from as usize * 4 + i]);
        }
        let wanted = Graph { args: vec![], sums, order: graphs[0].order.clone() };
        check(&executable, &sizes, mixed, &wanted);
    }
}

/// Graphs that are gone free their memory for others.
#[test]
fn graphs_that_are_gone_are_forgotten() {
    for target in targets() {
        let (executable, sizes) = executable(target);
        let mut random = Random::new(2);
        for _ in 0..200 {
            let graph = graph(&mut random);
            // Every argument is donated: the order is written in place.
            check(&executable, &sizes, graph.args.iter().cloned().map(Value::from).collect(), &graph);
        }
    }
}

#[test]
fn a_wrong_order_is_an_error() {
    for target in targets() {
        let (executable, sizes) = executable(target);
        let graph = graph(&mut Random::new(3));
        let right: Vec<Value> = graph.args.iter().cloned().map(Value::from).collect();
        for wrong in [-1, Z as i32] {
            let mut order = graph.args[6].as_slice::<i32>().to_vec();
            order[3] = wrong;
            let mut args = right.clone();
            args[6] = HostArray::new(&[Z], order).into();
            let error = executable.call(args, &sizes).expect_err("a position is outside").to_string();
            assert!(error.contains(&format!("the order has {wrong} at position 3")), "{error}");
        }
        check(&executable, &sizes, right, &graph);
    }
}

/// Positions that belong to no segments are checked when they are composed.
#[test]
fn a_position_outside_is_an_error() {
    let text = "program @taken(%0: f32[5], %1: i32[40], %2: i32[30]) -> (f32[30]) {
  %3: i32[30] = gather %1, %2 {axis=0}
  %4: f32[30] = gather %0, %3 {axis=0}
  return %4
}";
    let program = parse(text, gavotte::registry()).unwrap_or_else(|error| panic!("{error}"));
    for target in targets() {
        let options = Options { target, ..Options::default() };
        let executable = Executable::compile(&program, &[], &options).unwrap_or_else(|error| panic!("{error}"));
        let call = |at: i32| {
            let list = |xs: Vec<i32>| Value::from(HostArray::new(&[xs.len()], xs));
            let rows = Value::from(HostArray::new(&[5], vec![1f32; 5]));
            let mut positions = vec![0; 30];
            positions[3] = at;
            executable.call(vec![rows, list(vec![4; 40]), list(positions)], &Sizes::new()).map(drop)
        };
        assert_eq!(call(39), Ok(()));
        for wrong in [-1, 40] {
            let error = call(wrong).expect_err("a position is outside").to_string();
            assert!(error.contains(&format!("position {wrong} is not in 0..40")), "{error}");
        }
    }
}

/// Unread elements may hold anything: the padding after a slice.
#[test]
fn positions_that_are_not_read_are_not_checked() {
    let text = "program @padded(%0: f32[3], %1: i32[4], %2: i32[5], %3: i32[6]) -> (i32[2]) {
  %4: i32[2] = slice %3 {limit=[2], start=[0], stride=[1]}
  %5: i32[2] = gather %1, %4, %2, %4 {axis=0}
  return %5
}";
    let program = parse(text, gavotte::registry()).unwrap_or_else(|error| panic!("{error}"));
    let list = |xs: &[i32]| Value::from(HostArray::new(&[xs.len()], xs.to_vec()));
    for target in targets() {
        let options = Options { target, ..Options::default() };
        let executable = Executable::compile(&program, &[], &options).unwrap_or_else(|error| panic!("{error}"));
        let rows = Value::from(HostArray::new(&[3], vec![0f32; 3]));
        let args = vec![rows, list(&[5, 6, 7, 8]), list(&[0, 1, 1, 2, 2]), list(&[0, 2, -1, -1, 99, -1])];
        let outs = executable.call(args, &Sizes::new()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(outs[0].to_host().expect("it is computed").as_slice::<i32>(), [5, 7]);
    }
}
