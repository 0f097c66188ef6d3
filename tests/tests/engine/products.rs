//! Large dense products compute what the interpreter computes, whatever the layout of the operands, the computations
//! before and after, the sizes, and the number of threads.

use gavotte::random::Key;
use gavotte::{Array, DType, Policy, Tree, checkpoint, checkpoint_with, grad, jit, jit_with, nn, scan, zeros};
use gavotte_core::aval::Sizes;
use gavotte_core::device::HostArray;
use gavotte_core::ir::{Program, Value, parse};
use gavotte_core::runtime::{Executable, Options, Target};
use gavotte_tests::arrays::{Random, from_numbers};
use gavotte_tests::compare::{difference, run, sizes};
use gavotte_tests::perceptron;
use gavotte_tests::report::check_all;
use std::cell::Cell;
use std::num::NonZeroUsize;

fn options(threads: usize) -> Options {
    let threads = NonZeroUsize::new(threads).expect("a thread at least");
    Options { threads, shares_all: true, ..Options::default() }
}

fn compile(program: &Program, threads: usize) -> Result<Executable, String> {
    Executable::compile(program, &[], &options(threads)).map_err(|error| format!("{error}\n{program}"))
}

fn call(executable: &Executable, arrays: &[HostArray], sizes: &Sizes) -> Result<Vec<HostArray>, String> {
    let args = arrays.iter().cloned().map(Value::from).collect();
    let outs = executable.call(args, sizes).map_err(|error| error.to_string())?;
    Ok(outs.iter().map(|out| HostArray::clone(&out.to_host().expect("results are computed"))).collect())
}

/// The steps of a plan that run as products; none on the portable target, which only runs kernels.
fn n_product(plan: &str) -> usize {
    plan.matches(": product ").count()
}

fn is_native() -> bool {
    Target::native() != Target::Portable
}

/// An axis of a product: its letter and its extent.
type Axis = (char, usize);

/// A random product with computations before and after it.
#[derive(Debug)]
struct Case {
    dtype: DType,
    /// The axes of both operands, in memory order.
    operands: [Vec<Axis>; 2],
    out: Vec<Axis>,
    /// Which operands would be computed where the product reads them, if they were not stored.
    before: [bool; 2],
    after: bool,
}

impl Case {
    fn random(seed: u64) -> Case {
        let random = &mut Random::new(seed);
        let mut extent = |range: std::ops::Range<usize>| range.start + random.below(range.len());
        let long = 9..150;
        // Occasionally two axes of a kind, one of them short: rows, columns, terms, and enclosing loops.
        let [rows, columns, terms, batch] = [('i', 'u'), ('j', 'v'), ('k', 'w'), ('b', 'c')].map(|(one, other)| {
            let first = if one == 'b' { vec![] } else { vec![(one, extent(long.clone()))] };
            let second = if extent(0..3) == 0 { vec![(other, extent(1..4))] } else { vec![] };
            [first, second].concat()
        });
        let shuffled = |mut axes: Vec<Axis>, random: &mut Random| {
            (1..axes.len()).for_each(|i| axes.swap(i, random.below(i + 1)));
            axes
        };
        let x = shuffled([&batch[..], &rows, &terms].concat(), random);
        let y = shuffled([&batch[..], &columns, &terms].concat(), random);
        let free = |axes: &[Axis], of: &[Axis]| axes.iter().copied().filter(|a| of.contains(a)).collect::<Vec<_>>();
        let out = [batch, free(&x, &rows), free(&y, &columns)].concat();
        let mut coin = || random.below(3) == 0;
        let (before, after) = ([coin(), coin()], coin());
        let dtype = if coin() { DType::F64 } else { DType::F32 };
        Case { dtype, operands: [x, y], out, before, after }
    }

    /// The program, with these axes' extents as symbols of the same names.
    fn program(&self, symbols: &[char]) -> Program {
        let [x, y] = &self.operands;
        let shape = |axes: &[Axis]| {
            let dim =
                |(axis, extent): &Axis| if symbols.contains(axis) { axis.to_string() } else { extent.to_string() };
            format!("{}[{}]", self.dtype, axes.iter().map(dim).collect::<Vec<_>>().join(","))
        };
        let place = |axes: &[Axis], of: &[Axis]| {
            let at = |axis: &Axis| axes.iter().position(|a| a == axis).expect("it has the axis").to_string();
            format!("[{}]", of.iter().map(at).collect::<Vec<_>>().join(","))
        };
        let common = |others: &dyn Fn(&Axis) -> bool| x.iter().copied().filter(others).collect::<Vec<_>>();
        let batch: Vec<Axis> = self.out.iter().copied().filter(|a| x.contains(a) && y.contains(a)).collect();
        let terms = common(&|a| y.contains(a) && !self.out.contains(a));
        let (tx, ty, to) = (shape(x), shape(y), shape(&self.out));
        let mut text = format!("program @f(%0: {tx}, %1: {ty}) -> ({to}) {{\n");
        let mut names = ["%0", "%1"];
        for (i, (before, ty)) in self.before.iter().zip([&tx, &ty]).enumerate() {
            if *before {
                let (half, name) = (["%2", "%3"][i], ["%4", "%5"][i]);
                text += &format!("  {half}: {ty} = mul {}, 0.5{}\n", names[i], self.dtype);
                text += &format!("  {name}: {ty} = max {half}, 0{}\n", self.dtype);
                names[i] = name;
            }
        }
        let roles = format!(
            "{{batch=[{},{}], contract=[{},{}]}}",
            place(x, &batch),
            place(y, &batch),
            place(x, &terms),
            place(y, &terms)
        );
        text += &format!("  %6: {to} = dot_general {}, {} {roles}\n", names[0], names[1]);
        text += &format!("  %7: {to} = max %6, -3{}\n", self.dtype);
        text += &format!("  return {}\n}}\n", if self.after { "%7" } else { "%6" });
        parse(&text, gavotte::registry()).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    /// Operands of small whole numbers: sums of their products are exact in any order.
    fn arrays(&self, random: &mut Random, size: impl Fn(&Axis) -> usize) -> Vec<HostArray> {
        let array = |axes: &Vec<Axis>, random: &mut Random| {
            let shape: Vec<usize> = axes.iter().map(&size).collect();
            let numbers: Vec<f64> = (0..shape.iter().product()).map(|_| random.below(9) as f64 - 4.0).collect();
            from_numbers(&shape, self.dtype, &numbers)
        };
        self.operands.iter().map(|axes| array(axes, random)).collect()
    }
}

/// Checks that results equal the interpreter's exactly, on one to seven threads. Returns how many steps were products.
fn check(program: &Program, calls: &[Vec<HostArray>]) -> Result<usize, String> {
    let mut n = 0;
    for threads in [1, 2, 3, 7] {
        let executable = compile(program, threads)?;
        for arrays in calls {
            let sizes = sizes(program, arrays);
            n += n_product(&executable.plan_text(&sizes, None).map_err(|error| error.to_string())?);
            if let Some(difference) = difference(&call(&executable, arrays, &sizes)?, &run(program, arrays), 0.0) {
                return Err(format!("{threads} threads: {difference}\n{program}"));
            }
        }
    }
    Ok(n)
}

#[test]
fn random_products_are_exact_where_their_numbers_are_whole() {
    let n = Cell::new(0);
    check_all((0..60).map(|seed| (format!("seed {seed}"), seed)), |seed| {
        let case = Case::random(*seed);
        let random = &mut Random::new(!seed);
        n.set(n.get() + check(&case.program(&[]), &[case.arrays(random, |axis| axis.1)])?);
        Ok(())
    });
    assert!(!is_native() || n.get() >= 100, "{} of 180 runs as products", n.get());
}

#[test]
fn one_program_serves_large_and_small_sizes() {
    let n = Cell::new(0);
    check_all((0..40).map(|seed| (format!("seed {seed}"), seed)), |seed| {
        let case = Case::random(*seed);
        let random = &mut Random::new(!seed);
        let symbols: Vec<char> = "ijk".chars().filter(|_| random.below(2) == 0).collect();
        let small = |axis: &Axis| if symbols.contains(&axis.0) { 3 } else { axis.1 };
        let large = |axis: &Axis| if symbols.contains(&axis.0) { axis.1 + 100 } else { axis.1 };
        let calls = vec![case.arrays(random, large), case.arrays(random, small), case.arrays(random, |axis| axis.1)];
        n.set(n.get() + check(&case.program(&symbols), &calls)?);
        Ok(())
    });
    assert!(!is_native() || n.get() >= 120, "{} of 360 runs as products", n.get());
}

#[test]
fn many_blocks_and_long_sums_have_the_same_bits_for_every_number_of_threads() {
    // Several blocks in each direction; split sums; enclosing loops.
    for (x, w) in [
        (vec![700, 40], vec![40, 500]),
        (vec![40, 9000], vec![9000, 70]),
        (vec![5, 120, 64], vec![5, 64, 90]),
        (vec![513, 257], vec![257, 131]),
    ] {
        for dtype in [DType::F32, DType::F64] {
            let (x, w) = (Key::new(0).normal(x.clone(), dtype), Key::new(1).normal(w.clone(), dtype));
            let bits = |threads: usize| {
                let product = jit_with(|x: Array, w: Array| x.matmul(&w), options(threads));
                let out = product(x.clone(), w.clone()).astype(DType::F64);
                out.to_vec::<f64>().into_iter().map(f64::to_bits).collect::<Vec<u64>>()
            };
            let one = bits(1);
            for threads in 2..=5 {
                assert!(bits(threads) == one, "{dtype} {:?} on {threads} threads", x.shape());
            }
        }
    }
}

#[test]
fn what_is_computed_for_a_product_is_stored() {
    let f = |x: Array, w: Array, b: Array| nn::relu(&((x * 0.5).dot(&w) + b));
    let ones = |shape: &[usize]| Array::new(shape, vec![1f32; shape.iter().product()]);
    let lowered = jit(f).lower((ones(&[64, 96]), ones(&[96, 128]), ones(&[128]))).expect("it compiles");
    let executable = lowered.executable();
    assert!(executable.fused_text().contains("read by a large product"), "{}", executable.fused_text());
    let plan = executable.plan_text(&Sizes::new(), None).expect("it has a plan");
    assert!(!is_native() || n_product(&plan) == 1 && plan.contains("product 64 x 128 over 96"), "{plan}");
    assert!(
        !is_native() || executable.asm_text().contains("through the crates of `gemm`"),
        "{}",
        executable.asm_text()
    );
    // A thin product stays a kernel, and its operand is computed where it is read, as before.
    let lowered = jit(f).lower((ones(&[4096, 64]), ones(&[64, 8]), ones(&[8]))).expect("it compiles");
    let executable = lowered.executable();
    assert!(!executable.fused_text().contains("read by a large product"), "{}", executable.fused_text());
    assert_eq!(n_product(&executable.plan_text(&Sizes::new(), None).expect("it has a plan")), 0);
}

#[test]
fn the_portable_target_runs_kernels() {
    let program = Case::random(1).program(&[]);
    let options = Options { target: Target::Portable, ..Options::default() };
    let executable = Executable::compile(&program, &[], &options).expect("it compiles");
    assert_eq!(n_product(&executable.plan_text(&Sizes::new(), None).expect("it has a plan")), 0);
}

#[test]
fn loops_have_products_within() {
    let (w, xs) = (Key::new(0).normal([80, 80], DType::F32) * 0.1, Key::new(1).normal([6, 64, 80], DType::F32));
    let last = |w: Array, xs: Array| {
        scan(move |h: Array, x: Array| ((h.dot(&w) + x).tanh(), ()), zeros([64, 80], DType::F32), xs).0
    };
    let compiled = |threads: usize| {
        let f = jit_with(last, options(threads));
        let lowered = f.lower((w.clone(), xs.clone())).expect("it compiles");
        let plan = lowered.executable().plan_text(&Sizes::new(), None).expect("it has a plan");
        assert!(!is_native() || n_product(&plan) == 1, "{plan}");
        f(w.clone(), xs.clone()).to_vec::<f32>()
    };
    let (found, wanted) = (compiled(2), last(w.clone(), xs.clone()).to_vec::<f32>());
    assert_eq!(found, compiled(1));
    for (found, wanted) in found.iter().zip(wanted) {
        assert!((found - wanted).abs() <= 1e-5, "{found} is not {wanted}");
    }
}

#[test]
fn checkpoints_keep_less_between_products() {
    const LAYERS: usize = 8;
    let layer = |x: Array, w: Array| {
        let h = x.matmul(&w).tanh();
        // A reduction, so both `h` and the quotient must be stored.
        let norm = (h.square().sum(-1) + 1.0).sqrt().expand_dims(-1);
        (h / norm).sin()
    };
    let ws: Vec<Array> = (0..LAYERS).map(|_| zeros([64, 64], DType::F32)).collect();
    let x = zeros([128, 64], DType::F32);
    let bytes = |one: &(dyn Fn(Array, Array) -> Array + Send + Sync)| {
        let loss = |ws: Vec<Array>, x: Array| ws.into_iter().fold(x, one).square().sum(());
        let lowered = jit(grad(loss)).lower((ws.clone(), x.clone())).expect("it compiles");
        lowered.executable().plan(&Sizes::new()).expect("it has a plan").bytes()
    };
    let (dots, nothing) = (checkpoint_with(layer, Policy::Dots), checkpoint(layer));
    let (all, dots, nothing) = (bytes(&layer), bytes(&|x, w| dots(x, w)), bytes(&|x, w| nothing(x, w)));
    // For each layer but the last ones: a quotient, then a product.
    let least = (LAYERS - 3) * 128 * 64 * size_of::<f32>();
    assert!(nothing + least <= dots && dots + least <= all, "all {all}, dots {dots}, nothing {nothing} bytes");
}

#[test]
fn a_perceptron_learns_the_same_on_every_number_of_threads_and_target() {
    const WIDTHS: [usize; 4] = [100, 96, 72, 10];
    let steps = |options: Options| {
        let step = jit_with(perceptron::step(WIDTHS), options);
        let (mut state, x, y) = perceptron::start(WIDTHS, 80);
        let mut losses = vec![];
        for i in 0..4 {
            let (next, loss) = step(Array::scalar(i), state, x.clone(), y.clone());
            losses.push(loss.item::<f32>());
            state = next;
        }
        let bits: Vec<Vec<u32>> = state
            .leaves_with_paths()
            .into_iter()
            .map(|(_, leaf)| Array::from(leaf).to_vec::<f32>().into_iter().map(f32::to_bits).collect())
            .collect();
        (losses, bits)
    };
    let (losses, bits) = steps(options(1));
    assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "{losses:?}");
    for threads in 2..=3 {
        assert!(steps(options(threads)) == (losses.clone(), bits.clone()), "{threads} threads");
    }
    let (portable, _) = steps(Options { target: Target::Portable, ..Options::default() });
    for (found, wanted) in losses.iter().zip(portable) {
        assert!((found - wanted).abs() <= 1e-5 * wanted.abs(), "{found} is not {wanted}");
    }
}
