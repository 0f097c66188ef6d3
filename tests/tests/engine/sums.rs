//! Sums of any length: how far they are from the exact ones, and that their order is fixed.
//!
//! Each way to sum is a program over `n` terms. It runs on every target, with `n` as a symbol and as a number, on one
//! thread and on several. The exact sum is that of the same program in `f64`.

use gavotte_core::codegen::x86::Isa;
use gavotte_core::device::HostArray;
use gavotte_core::ir::{Program, Value, parse};
use gavotte_core::runtime::{Executable, Options, Target};
use gavotte_tests::arrays::{Random, from_numbers, numbers, widened};
use gavotte_tests::compare::{difference, run, sizes};
use gavotte_tests::report::check_all;
use std::num::NonZeroUsize;

/// A way to sum.
struct Path {
    name: &'static str,
    /// The program, with arrays of `f32` and of `i32`.
    text: &'static str,
    /// The most terms it is tried with.
    most: usize,
    /// Whether the interpreter and the portable target return the same bits.
    is_one_order: bool,
}

const PATHS: &[Path] = &[
    path("all", "program @f(%0: f32[n]) -> (f32[]) {\n  %1: f32[] = reduce_sum %0 {axes=[0]}\n  return %1\n}\n"),
    path("rows", "program @f(%0: f32[3,n]) -> (f32[3]) {\n  %1: f32[3] = reduce_sum %0 {axes=[1]}\n  return %1\n}\n"),
    path(
        "columns",
        "program @f(%0: f32[n,5]) -> (f32[5]) {\n  %1: f32[5] = reduce_sum %0 {axes=[0]}\n  return %1\n}\n",
    ),
    path(
        "the middle",
        "program @f(%0: f32[2,n,3]) -> (f32[2,3]) {\n  %1: f32[2,3] = reduce_sum %0 {axes=[1]}\n  return %1\n}\n",
    ),
    path(
        "both ends",
        "program @f(%0: f32[n,3,2]) -> (f32[3]) {\n  %1: f32[3] = reduce_sum %0 {axes=[0,2]}\n  return %1\n}\n",
    ),
    Path {
        most: 20_000,
        ..path(
            "wide columns",
            "program @f(%0: f32[2,n,64]) -> (f32[2,64]) {\n  %1: f32[2,64] = reduce_sum %0 {axes=[1]}\n  return %1\n}\n",
        )
    },
    path(
        "two kinds at once",
        "program @f(%0: f32[n]) -> (f32[], f32[]) {
  %1: f32[n] = exp %0
  %2: f32[] = reduce_sum %1 {axes=[0]}
  %3: f32[] = reduce_sum %0 {axes=[0]}
  return %2, %3
}
",
    )
    .computed(),
    path(
        "a vector by a vector",
        "program @f(%0: f32[n], %1: f32[n]) -> (f32[]) {
  %2: f32[] = dot_general %0, %1 {batch=[[],[]], contract=[[0],[0]]}
  return %2
}
",
    ),
    path(
        "rows by a vector",
        "program @f(%0: f32[3,n], %1: f32[n]) -> (f32[3]) {
  %2: f32[3] = dot_general %0, %1 {batch=[[],[]], contract=[[1],[0]]}
  return %2
}
",
    ),
    path(
        "a batch of products",
        "program @f(%0: f32[2,3,n], %1: f32[2,n,2]) -> (f32[2,3,2]) {
  %2: f32[2,3,2] = dot_general %0, %1 {batch=[[0],[0]], contract=[[2],[1]]}
  return %2
}
",
    ),
    path(
        "a large product",
        "program @f(%0: f32[9,n], %1: f32[n,10]) -> (f32[9,10]) {
  %2: f32[9,10] = dot_general %0, %1 {batch=[[],[]], contract=[[1],[0]]}
  return %2
}
",
    ),
    path(
        "segments",
        "program @f(%0: f32[n,3], %1: i32[n], %2: i32[5], %3: i32[n]) -> (f32[4,3]) {
  %4: f32[4,3] = segment_sum %0, %1, %2, %3
  return %4
}
",
    ),
    path(
        "segments of numbers",
        "program @f(%0: f32[n], %1: i32[n], %2: i32[5], %3: i32[n]) -> (f32[4]) {
  %4: f32[4] = segment_sum %0, %1, %2, %3
  return %4
}
",
    ),
    Path {
        most: 20_000,
        ..path(
            "segments of weighted rows",
            "program @f(%0: f32[n,16], %1: f32[n], %2: i32[n], %3: i32[5], %4: i32[n]) -> (f32[4,16]) {
  %5: f32[n,16] = broadcast_in_dim %1 {dims=[0], shape=[n,16]}
  %6: f32[n,16] = mul %5, %0
  %7: f32[4,16] = segment_sum %6, %2, %3, %4
  return %7
}
",
        )
    },
    Path {
        most: 20_000,
        ..path(
            "segments of rows that a mask leaves out",
            "program @f(%0: f32[n,16], %1: f32[n], %2: i32[n], %3: i32[5], %4: i32[n]) -> (f32[4,16]) {
  %5: bool[n] = gt %1, 0.25f32
  %6: f32[n] = select_n %5, 0f32, %1
  %7: f32[n,16] = broadcast_in_dim %6 {dims=[0], shape=[n,16]}
  %8: f32[n,16] = weigh %7, %0
  %9: f32[4,16] = segment_sum %8, %2, %3, %4
  return %9
}
",
        )
    }
    .computed(),
    path(
        "equal numbers",
        "program @f(%0: f32[2], %1: i32[n], %2: f32[n]) -> (f32[2]) {
  %3: f32[2] = scatter_add %0, %1, %2 {axis=0}
  return %3
}
",
    ),
];

const fn path(name: &'static str, text: &'static str) -> Path {
    Path { name, text, most: 100_000, is_one_order: true }
}

impl Path {
    /// A path whose terms are computed, but not by the same formulas everywhere.
    const fn computed(self) -> Path {
        Path { is_one_order: false, ..self }
    }

    /// The most terms that machine code adds one after another.
    fn chain(&self) -> usize {
        let has_segments = ["segment", "scatter"].iter().any(|word| self.text.contains(word));
        if has_segments { 1152 } else { 256 }
    }

    fn program(&self, dtype: &str, n: Option<usize>) -> Program {
        let text = self.text.replace("f32", dtype);
        let text = match n {
            None => text,
            Some(n) => {
                let n = n.to_string();
                let places = [("[n", format!("[{n}")), (",n", format!(",{n}"))];
                places.iter().fold(text, |text, (symbol, number)| text.replace(symbol, number))
            }
        };
        parse(&text, gavotte::registry()).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    /// Arguments for `n` terms. The first segment has nearly all, the others two, one and none.
    fn arrays(&self, n: usize, kind: Kind, random: &mut Random) -> Vec<HostArray> {
        let args = self.program("f32", Some(n)).args;
        let is_scatter = self.text.contains("scatter");
        let last = n - n.min(3);
        args.iter()
            .map(|arg| {
                let shape: Vec<usize> = arg.aval.shape.iter().filter_map(|dim| dim.as_usize()).collect();
                let volume: usize = shape.iter().product();
                match (arg.aval.dtype.is_float(), &shape[..]) {
                    (true, _) => {
                        let numbers: Vec<f64> = (0..volume).map(|_| kind.number(random)).collect();
                        from_numbers(&shape, arg.aval.dtype, &numbers)
                    }
                    (false, [5]) => {
                        HostArray::new(&[5], [0, last, last + (n - last).min(2), n, n].map(|x| x as i32).to_vec())
                    }
                    // Segments of the members, or their order: within a segment it is reversed.
                    (false, _) => {
                        let is_order = !is_scatter && arg.var == args[args.len() - 1].var;
                        let number = |i: usize| match i {
                            _ if is_order && i < last => last - 1 - i,
                            _ if is_order => i,
                            _ if is_scatter => usize::from(i + 1 == n),
                            _ if i < last => 0,
                            _ if i < last + 2 => 1,
                            _ => 2,
                        };
                        HostArray::new(&shape, (0..volume).map(|i| number(i) as i32).collect())
                    }
                }
            })
            .collect()
    }
}

/// The kinds of terms.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Ones,
    /// One number whose sums are rounded, always to the same side.
    Tenths,
    Positive,
    Mixed,
}

impl Kind {
    fn number(self, random: &mut Random) -> f64 {
        match self {
            Kind::Ones => 1.0,
            Kind::Tenths => f64::from(0.1f32),
            Kind::Positive => f64::from(random.float() as f32),
            Kind::Mixed => f64::from((random.float() - 0.5) as f32),
        }
    }

    /// How far a sum may be off, in units of the sum of all magnitudes. Where all terms are equal, each addition of a
    /// `chain` may round to the same side.
    fn tolerance(self, n: usize, chain: usize) -> f64 {
        let chain = match self {
            Kind::Ones => return 0.0,
            Kind::Tenths => n.min(chain) as f64 / 8.0,
            _ => 0.0,
        };
        f64::from(f32::EPSILON) * (2.0 + ((n + 2) as f64).log2() + chain)
    }
}

fn targets() -> Vec<Target> {
    let all = [Target::Portable, Target::Avx2, Target::Avx512];
    let is_available = |target: &Target| match target {
        Target::Portable => true,
        Target::Avx2 => Isa::Avx2.is_available(),
        Target::Avx512 => Isa::Avx512.is_available(),
    };
    all.into_iter().filter(is_available).collect()
}

fn compiled(target: Target, threads: usize, program: &Program, arrays: &[HostArray]) -> Vec<HostArray> {
    let threads = NonZeroUsize::new(threads).expect("a thread at least");
    let options = Options { target, threads, ..Options::default() };
    let executable = Executable::compile(program, &[], &options).unwrap_or_else(|error| panic!("{error}"));
    let args = arrays.iter().cloned().map(Value::from).collect();
    let outs = executable.call(args, &sizes(program, arrays)).unwrap_or_else(|error| panic!("{error}"));
    outs.iter().map(|out| HostArray::clone(&out.to_host().expect("results are computed"))).collect()
}

/// The exact sums, and the scale of their allowed errors.
struct Exact {
    sums: Vec<f64>,
    /// Sums of the terms' magnitudes.
    sizes: Vec<f64>,
}

impl Exact {
    fn of(program: &Program, arrays: &[HostArray]) -> Exact {
        let all = |arrays: &[HostArray]| run(program, arrays).iter().flat_map(numbers).collect();
        let wide: Vec<HostArray> = arrays.iter().map(widened).collect();
        let size = |array: &HostArray| match array.dtype().is_float() {
            true => {
                let sizes: Vec<f64> = numbers(array).into_iter().map(f64::abs).collect();
                from_numbers(&array.shape(), array.dtype(), &sizes)
            }
            false => array.clone(),
        };
        let sums: Vec<f64> = all(&wide);
        // Of terms that are magnitudes the sums are known.
        let signed = |array: &HostArray| array.dtype().is_float() && numbers(array).iter().any(|x| *x < 0.0);
        let sizes = match wide.iter().any(signed) {
            true => all(&wide.iter().map(size).collect::<Vec<_>>()),
            false => sums.clone(),
        };
        Exact { sums, sizes }
    }

    fn check(&self, found: &[HostArray], tolerance: f64) -> Result<(), String> {
        let found: Vec<f64> = found.iter().flat_map(numbers).collect();
        assert_eq!(found.len(), self.sums.len());
        for ((x, sum), size) in found.into_iter().zip(&self.sums).zip(&self.sizes) {
            if (x - sum).abs() > tolerance * size {
                return Err(format!("{x}, not {sum}: {:.1e} of {size} off", (x - sum).abs() / size));
            }
        }
        Ok(())
    }
}

/// Runs one path with this many terms everywhere.
fn check(path: &Path, n: usize, kind: Kind) -> Result<(), String> {
    let arrays = path.arrays(n, kind, &mut Random::new(n as u64));
    let programs = [path.program("f32", None), path.program("f32", Some(n))];
    let exact = Exact::of(&path.program("f64", Some(n)), &arrays);
    // Other formulas for the terms differ by a few roundings each.
    let more = if path.is_one_order { 0.0 } else { 4.0 * f64::from(f32::EPSILON) };
    let eager = run(&programs[1], &arrays);
    exact.check(&eager, kind.tolerance(n, 0) + more).map_err(|why| format!("interpreter: {why}"))?;
    for program in &programs {
        let mut native: Option<Vec<HostArray>> = None;
        for target in targets() {
            let is_machine_code = target != Target::Portable;
            let found = compiled(target, 1, program, &arrays);
            let context = |why: String| format!("{target:?}: {why}\n{program}");
            exact
                .check(&found, kind.tolerance(n, if is_machine_code { path.chain() } else { 0 }) + more)
                .map_err(context)?;
            // Where any order of these terms has the same sum, nothing is to be seen.
            let threads: &[usize] = if matches!(kind, Kind::Mixed) { &[2, 3] } else { &[] };
            for &threads in threads {
                if let Some(why) = difference(&compiled(target, threads, program, &arrays), &found, 0.0) {
                    return Err(context(format!("{threads} threads: {why}")));
                }
            }
            if !is_machine_code && path.is_one_order {
                difference(&found, &eager, 0.0)
                    .map_or(Ok(()), |why| Err(context(format!("not the interpreter's: {why}"))))?;
            }
            if is_machine_code {
                let other = native.get_or_insert_with(|| found.clone());
                difference(&found, other, 0.0)
                    .map_or(Ok(()), |why| Err(context(format!("not the same code's: {why}"))))?;
            }
        }
    }
    Ok(())
}

#[test]
fn errors_do_not_grow_with_the_number_of_terms() {
    let mut checks = vec![];
    for path in PATHS {
        for n in [0, 1, 7, 8, 9, 1000, 2049, 20_000, 100_000].into_iter().filter(|n| *n <= path.most) {
            let kinds = [Kind::Ones, Kind::Tenths, Kind::Positive, Kind::Mixed];
            let computed = !path.is_one_order;
            for kind in kinds.into_iter().filter(|kind| !(computed && matches!(kind, Kind::Ones))) {
                checks.push((format!("{}: {n} {kind:?}", path.name), (path, n, kind)));
            }
        }
    }
    check_all(checks, |(path, n, kind)| check(path, *n, *kind));
}

/// Sums of more ones than a chain of additions can count.
#[test]
fn seventeen_million_ones_are_seventeen_million() {
    const N: usize = 17_000_000;
    let mut checks = vec![];
    for path in PATHS.iter().filter(|path| ["all", "segments of numbers", "equal numbers"].contains(&path.name)) {
        checks.push((path.name.to_string(), path));
    }
    check_all(checks, |path| {
        let (program, arrays) = (path.program("f32", None), path.arrays(N, Kind::Ones, &mut Random::new(1)));
        let counts: Vec<f64> = match path.name {
            "all" => vec![N as f64],
            // The third argument is where each segment begins.
            "segments of numbers" => numbers(&arrays[2]).windows(2).map(|pair| pair[1] - pair[0]).collect(),
            // A one each, and one more for each position.
            _ => {
                let first = numbers(&arrays[1]).iter().filter(|position| **position == 0.0).count();
                vec![1.0 + first as f64, 1.0 + (N - first) as f64]
            }
        };
        let wanted: Vec<f64> = counts.into_iter().map(|n| f64::from(n as f32)).collect();
        let mut found = vec![("interpreter".to_string(), numbers(&run(&program, &arrays)[0]))];
        for target in targets() {
            found.push((format!("{target:?}"), numbers(&compiled(target, 2, &program, &arrays)[0])));
        }
        let wrong: Vec<_> = found.iter().filter(|(_, sums)| *sums != wanted).collect();
        if wrong.is_empty() { Ok(()) } else { Err(format!("{wrong:?}, not {wanted:?}")) }
    });
}

/// Terms that a program makes itself are summed as accurately as its arguments.
#[test]
fn equal_terms_are_added_up_as_one() {
    let text = "program @f(%0: f32[]) -> (f32[]) {
  %1: f32[10000000] = broadcast_in_dim %0 {dims=[], shape=[10000000]}
  %2: f32[] = reduce_sum %1 {axes=[0]}
  return %2
}
";
    let program = parse(text, gavotte::registry()).unwrap_or_else(|error| panic!("{error}"));
    let tenth = [HostArray::new(&[], vec![0.1f32])];
    let wanted = 1e7 * f64::from(0.1f32);
    let mut found = vec![run(&program, &tenth)];
    found.extend(targets().into_iter().map(|target| compiled(target, 2, &program, &tenth)));
    for found in found {
        let off = (numbers(&found[0])[0] - wanted).abs() / wanted;
        assert!(off <= 1e-7, "{off:e} off");
    }
}

/// A round may add less than half a unit in the total's last place: it is carried along until it is more. Where the
/// total is infinite, nothing is carried, since infinity minus infinity is NaN.
#[test]
fn small_terms_count_next_to_a_large_total() {
    const N: usize = 1 << 17;
    // Enough rows to fill the lanes of vectors.
    const ROWS: usize = 40;
    let kinds = [(16_777_216f32, 0.003f32), (f32::INFINITY, 1.0), (f32::MAX, f32::MAX)];
    let row = |(first, other): (f32, f32)| std::iter::once(first).chain(std::iter::repeat_n(other, N - 1));
    let terms = (0..ROWS).flat_map(|i| row(kinds[i % 3])).collect::<Vec<f32>>();
    let arrays = [HostArray::new(&[ROWS, N], terms)];
    let text = format!(
        "program @f(%0: f32[{ROWS},{N}]) -> (f32[{ROWS}]) {{
  %1: f32[{ROWS}] = reduce_sum %0 {{axes=[1]}}
  return %1
}}
"
    );
    let program = parse(&text, gavotte::registry()).unwrap_or_else(|error| panic!("{error}"));
    let wanted = 16_777_216.0 + 0.003 * (N - 1) as f64;
    for target in targets() {
        for threads in [1, 2] {
            for (i, sum) in numbers(&compiled(target, threads, &program, &arrays)[0]).into_iter().enumerate() {
                match i % 3 {
                    0 => assert!((sum - wanted).abs() <= 4.0, "{target:?}, row {i}: {sum}, not {wanted}"),
                    _ => assert_eq!(sum, f64::INFINITY, "{target:?}, row {i}"),
                }
            }
        }
    }
}
