//! The parts of a kernel that its instructions depend on. Kernels that differ only in names, in sizes that no layout
//! depends on, or in constants share one function: such sizes are entries of its table of arguments, such constants are
//! written into its pool.

use super::Isa;
use super::choose::choose;
use super::layout::{Layout, MAX_STAGED, MAX_WIDTH, Pattern, place};
use super::lir::has_vectors;
use crate::aval::{Aval, Dim, Literal, Symbol};
use crate::ir::{Index, Unsupported, Var};
use crate::kernel::{Instr, Kernel, LoopKind};

/// The code knows the stride of rows up to this length: it steps from row to row with one multiplication by a constant,
/// or none.
const MAX_STRIDE: usize = 512;

/// A kernel without anything that its instructions do not depend on.
pub(super) struct Canonical {
    pub(super) kernel: Kernel,
    /// What each symbol of `kernel` stands for.
    dims: Vec<(Symbol, Dim)>,
    /// The constants with places in the pool, by number.
    pub(super) constants: Vec<Literal>,
    /// For each instruction of the body that is an open constant, the constant's number.
    pub(super) open: Vec<Option<u32>>,
}

impl Canonical {
    /// The canonical form of a kernel that is compiled to run ranges of loop `partition`.
    pub(super) fn new(kernel: &Kernel, partition: Option<usize>, isa: Isa) -> Result<Canonical, Unsupported> {
        if let Some(dtype) = kernel.dtypes().into_iter().find(|dtype| !has_vectors(*dtype)) {
            return Err(Unsupported(format!("x86 has no vectors of {dtype}")));
        }
        let layout = choose(kernel, partition, isa)?;
        let canonical = Builder::new(kernel, partition, Some(&layout)).build();
        // Sizes are left open only if that leads to the same code: results must not depend on it.
        if choose(&canonical.kernel, partition, isa)? == layout {
            return Ok(canonical);
        }
        Ok(Builder::new(kernel, partition, None).build())
    }

    /// A dimension of the canonical kernel as one of the kernel itself.
    pub(super) fn original(&self, dim: &Dim) -> Dim {
        let of = |symbol: &Symbol| self.dims.iter().find(|(s, _)| s == symbol).map(|(_, dim)| dim.clone());
        dim.replace(of)
    }
}

/// Whether a constant stays in the kernel: it requires special code, or formulas share it.
fn is_plain(literal: Literal) -> bool {
    let x = literal.as_f64();
    match literal {
        Literal::F32(_) | Literal::F64(_) => !x.is_finite() || [0.0, 0.5, 1.0, 2.0].contains(&x.abs()),
        // Positions may be computed from them in advance.
        _ => true,
    }
}

struct Builder<'a> {
    kernel: &'a Kernel,
    partition: Option<usize>,
    /// The layout that must result again; `None` keeps all sizes.
    layout: Option<&'a Layout>,
    dims: Vec<(Symbol, Dim)>,
    constants: Vec<Literal>,
}

impl<'a> Builder<'a> {
    fn new(kernel: &'a Kernel, partition: Option<usize>, layout: Option<&'a Layout>) -> Self {
        Builder { kernel, partition, layout, dims: vec![], constants: vec![] }
    }

    fn build(mut self) -> Canonical {
        let kernel = self.kernel;
        let mut canonical = Kernel { name: "k".into(), ..kernel.clone() };
        if let Some(layout) = self.layout {
            for (i, l) in canonical.loops.iter_mut().enumerate() {
                l.extent = self.loop_extent(i, layout);
            }
            for (i, (_, aval)) in canonical.inputs.iter_mut().enumerate() {
                *aval = self.array(i, aval, layout);
            }
            for (i, (_, aval)) in canonical.outputs.iter_mut().enumerate() {
                *aval = self.array(kernel.inputs.len() + i, aval, layout);
            }
            canonical.body.iter_mut().for_each(|instr| self.sizes_of(instr, layout));
        }
        let open = canonical.body.iter_mut().map(|instr| self.constant(instr)).collect();
        let arrays = canonical.inputs.iter_mut().chain(&mut canonical.outputs);
        arrays.enumerate().for_each(|(i, (var, _))| *var = Var(i as u32));
        Canonical { kernel: canonical, dims: self.dims, constants: self.constants, open }
    }

    fn loop_extent(&mut self, i: usize, layout: &Layout) -> Dim {
        let kernel = self.kernel;
        let l = &kernel.loops[i];
        if Some(i) == self.partition && l.kind == LoopKind::Row {
            // A call specifies its range.
            return self.named("p".into(), &l.extent);
        }
        let is_staged = || l.kind != LoopKind::Row && self.may_be_staged(i, layout);
        match l.extent.as_usize() {
            Some(n) if layout.is_lane(i) || n <= MAX_WIDTH || n <= MAX_STAGED && is_staged() => l.extent.clone(),
            _ => self.any(&l.extent),
        }
    }

    /// Whether this loop may read copies of an operand that were made before the loops.
    fn may_be_staged(&self, l: usize, layout: &Layout) -> bool {
        self.kernel.body.iter().any(|instr| match instr {
            Instr::Load(input, index) => {
                let place = place(self.kernel, self.partition, *input as usize, index);
                let is_read = place.terms.iter().any(|(number, _)| *number == l);
                let far = |v| matches!(layout.pattern(v, &place.terms), Some(Pattern::Far(..)) | None);
                is_read && (0..layout.vectors()).any(far)
            }
            _ => false,
        })
    }

    /// The type of an array; inputs and outputs are counted together. The number of rows matters if a computed position
    /// must be one of them; the length of rows is their stride.
    fn array(&mut self, i: usize, aval: &Aval, layout: &Layout) -> Aval {
        let axis = |(axis, dim): (usize, &Dim)| match (axis, dim.as_usize()) {
            (0, _) if !self.is_computed(i, 0) => self.named(format!("a{i}"), dim),
            (0, Some(n)) if n <= MAX_WIDTH => dim.clone(),
            (1.., Some(n)) if n <= MAX_STRIDE || self.moves_before(i, axis, layout) => dim.clone(),
            _ => self.any(dim),
        };
        let shape = aval.shape.iter().enumerate().map(axis).collect();
        Aval { shape, ..aval.clone() }
    }

    /// The positions that loads of an array name.
    fn positions(&self, array: usize) -> impl Iterator<Item = &'a [Index]> + use<'a> {
        self.kernel.body.iter().filter_map(move |instr| match instr {
            Instr::Load(input, index) if *input as usize == array => Some(&index[..]),
            _ => None,
        })
    }

    fn is_computed(&self, array: usize, axis: usize) -> bool {
        self.positions(array).any(|index| matches!(index[axis], Index::Value(_)))
    }

    /// Whether lanes, or computed positions, step along an axis before this one.
    fn moves_before(&self, array: usize, axis: usize, layout: &Layout) -> bool {
        self.positions(array).any(|index| {
            index[..axis].iter().any(|at| match at {
                Index::Value(_) => true,
                Index::Affine { terms, .. } => terms.iter().any(|(l, _)| moves(*l, layout)),
            })
        })
    }

    fn sizes_of(&mut self, instr: &mut Instr, layout: &Layout) {
        match instr {
            Instr::Const(_) | Instr::Op(..) => {}
            Instr::Size(dim, _) => *dim = self.beyond(MAX_WIDTH, dim),
            Instr::Position(at) => self.position(at, layout),
            Instr::Load(_, index) => index.iter_mut().for_each(|at| self.position(at, layout)),
        }
    }

    fn position(&mut self, at: &mut Index, layout: &Layout) {
        let Index::Affine { constant, terms } = at else { return };
        *constant = self.beyond(MAX_WIDTH, constant);
        for (l, stride) in terms {
            if stride.as_number().is_none() || !moves(*l, layout) {
                *stride = self.beyond(MAX_STRIDE, stride);
            }
        }
    }

    /// A number up to a limit is kept, anything else becomes a symbol.
    fn beyond(&mut self, limit: usize, dim: &Dim) -> Dim {
        match dim.as_number() {
            Some(n) if n.unsigned_abs() <= limit as u64 => dim.clone(),
            _ => self.any(dim),
        }
    }

    /// The symbol for a size; equal sizes share one.
    fn any(&mut self, dim: &Dim) -> Dim {
        let known = self.dims.iter().find(|(symbol, d)| d == dim && symbol.name().starts_with('s'));
        match known {
            Some((symbol, _)) => Dim::symbol(symbol.name()),
            None => self.named(format!("s{}", self.dims.len()), dim),
        }
    }

    /// A symbol for a size that no other place shares.
    fn named(&mut self, name: String, dim: &Dim) -> Dim {
        self.dims.push((Symbol::new(&name), dim.clone()));
        Dim::symbol(&name)
    }

    /// The number of the constant that an instruction is, unless it is kept. In the kernel's text it is replaced by a
    /// number that no kept constant has; the code only reads its place.
    fn constant(&mut self, instr: &mut Instr) -> Option<u32> {
        let Instr::Const(literal) = instr else { return None };
        if is_plain(*literal) {
            return None;
        }
        let known = self.constants.iter().position(|other| other == literal);
        let i = known.unwrap_or_else(|| {
            self.constants.push(*literal);
            self.constants.len() - 1
        });
        *literal = Literal::from_f64(literal.dtype(), 3.0 + i as f64);
        Some(i as u32)
    }
}

fn moves(l: u32, layout: &Layout) -> bool {
    layout.is_lane(l as usize) || layout.is_packed(l as usize)
}

#[cfg(test)]
mod tests {
    use super::super::{ARGS, Code, END, Isa, Pages};
    use super::*;
    use crate::aval::Sizes;
    use crate::kernel::parse_kernel;
    use std::io::Write;
    use std::sync::Arc;

    /// Row `k` of a matrix, times a number, plus another.
    fn kernel(name: &str, x: usize, [n, m]: [&str; 2], by: &str, plus: &str) -> Kernel {
        let (at, to) = (x + 1, x + 2);
        let text = format!(
            "kernel @{name}(%{x}: f32[{n},{m}], %{at}: i32[{n}]) -> (%{to}: f32[{n},{m}]) {{\n  row i0: {n}\n  row i1: \
             {m}\n  $0: i32 = load %{at}[i0]\n  $1: f32 = load %{x}[$0, i1]\n  $2: f32 = const {by}\n  $3: f32 = mul $1, \
             $2\n  $4: f32 = const {plus}\n  $5: f32 = add $3, $4\n  store $5 -> %{to}\n}}\n"
        );
        parse_kernel(&text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn code(kernel: &Kernel, isa: Isa) -> Code {
        Code::new(kernel, Some(0), &[false; 2], isa).unwrap_or_else(|why| panic!("{why:?}"))
    }

    /// The result of a kernel for three rows of two elements `0, 1, …`, taken in reverse order.
    fn run(code: &Code, sizes: &Sizes) -> Vec<f32> {
        let x: Vec<f32> = (0..6).map(|i| i as f32).collect();
        let (rows, mut out) = ([2, 1, 0], vec![f32::NAN; 6]);
        let mut table = vec![0; ARGS];
        table[END] = 3;
        table.extend([x.as_ptr() as u64, rows.as_ptr() as u64, out.as_mut_ptr() as u64]);
        table.extend(code.sizes(sizes));
        let pages = Pages::new(std::iter::once(code)).unwrap_or_else(|error| panic!("{error}"));
        // SAFETY: the machine has the instructions, and the table names arrays of the kernel's types.
        assert!(unsafe { pages.call(0, &mut table) });
        out
    }

    #[test]
    fn names_rows_and_constants_share_a_function() {
        for isa in Isa::ALL {
            if isa.is_available() {
                share(isa);
            } else {
                let _ = writeln!(std::io::stderr(), "skipped: this machine has no {}", isa.name());
            }
        }
    }

    fn share(isa: Isa) {
        let code = |kernel: &Kernel| code(kernel, isa);
        let mut sizes = Sizes::new();
        sizes.set(Symbol::new("z"), 3).expect("it has no size");
        let first = code(&kernel("a", 0, ["3", "2"], "0.25f32", "-3.5f32"));
        for (other, by, plus) in [
            (kernel("b", 7, ["3", "2"], "0.25f32", "-3.5f32"), 0.25, -3.5),
            (kernel("a", 0, ["3", "2"], "1e10f32", "0.3f32"), 1e10, 0.3),
        ] {
            let other = code(&other);
            assert!(Arc::ptr_eq(&first.function, &other.function) && other.was_known());
            let wanted: Vec<f32> = [4, 5, 2, 3, 0, 1].map(|x| x as f32 * by + plus).to_vec();
            assert_eq!(run(&other, &sizes), wanted);
        }
        assert_eq!(run(&first, &sizes), [-2.5, -2.25, -3.0, -2.75, -3.5, -3.25]);
        // Positions are compared with a number of rows that is large, or a symbol.
        let large = code(&kernel("a", 0, ["1000", "2"], "0.25f32", "-3.5f32"));
        for rows in ["2708", "z"] {
            let same = code(&kernel("a", 0, [rows, "2"], "0.5f32", "-3.5f32"));
            assert!(!Arc::ptr_eq(&large.function, &same.function), "0.5 is a constant of formulas");
            let same = code(&kernel("a", 0, [rows, "2"], "0.75f32", "-3.5f32"));
            assert!(Arc::ptr_eq(&large.function, &same.function), "{rows} rows");
            if rows == "z" {
                assert_eq!(run(&same, &sizes), [-0.5, 0.25, -2.0, -1.25, -3.5, -2.75]);
            }
        }
        // Equal constants share one register.
        let equal = code(&kernel("a", 0, ["3", "2"], "7.0f32", "7.0f32"));
        assert!(!Arc::ptr_eq(&first.function, &equal.function));
        assert_eq!(run(&equal, &sizes), [35.0, 42.0, 21.0, 28.0, 7.0, 14.0]);
        // The lanes are the row's elements.
        assert!(!Arc::ptr_eq(&first.function, &code(&kernel("a", 0, ["3", "3"], "0.25f32", "-3.5f32")).function));
    }

    /// A constant may have the bits of any other, of another type, and of the number that a form shows or that a place
    /// holds before it is written.
    #[test]
    fn constants_are_places_whatever_their_bits() {
        let bits = [0.3f32.to_bits(), 3f32.to_bits(), 4f32.to_bits(), 0, 0x7e5a_5a00, 0x7e5a_5a01, 1];
        for (isa, c) in Isa::ALL.into_iter().filter(|isa| isa.is_available()).flat_map(|isa| bits.map(|c| (isa, c))) {
            let text = format!(
                "kernel @k(%0: u32[n]) -> (%1: u32[n], %2: f32[n], %3: f32[n]) {{\n  row i0: n\n  $0: u32 = load %0[i0]\n  \
                 $1: u32 = const {c}u32\n  $2: u32 = xor $0, $1\n  $3: f32 = convert $0\n  $4: f32 = const 0.3f32\n  $5: \
                 f32 = mul $3, $4\n  $6: f32 = const 3.5f32\n  $7: f32 = mul $3, $6\n  store $2 -> %1\n  store $5 -> \
                 %2\n  store $7 -> %3\n}}\n"
            );
            let kernel = parse_kernel(&text).unwrap_or_else(|error| panic!("{error}"));
            let code = Code::new(&kernel, Some(0), &[false], isa).unwrap_or_else(|why| panic!("{why:?}"));
            let x: Vec<u32> = (0..21).map(|i| i * 7).collect();
            let mut out = [0u32; 3 * 21];
            let starts = [0, 1, 2].map(|k| out[21 * k..].as_mut_ptr() as u64);
            let mut table = vec![0; ARGS];
            table[END] = 21;
            table.push(x.as_ptr() as u64);
            table.extend(starts);
            let pages = Pages::new(std::iter::once(&code)).unwrap_or_else(|error| panic!("{error}"));
            // SAFETY: the machine has the instructions, and the table names arrays of the kernel's types.
            assert!(unsafe { pages.call(0, &mut table) });
            for (i, x) in x.iter().enumerate() {
                let wanted = [x ^ c, (*x as f32 * 0.3).to_bits(), (*x as f32 * 3.5).to_bits()];
                assert_eq!([0, 1, 2].map(|k| out[21 * k + i]), wanted, "{isa:?}, {c:#x}");
            }
        }
    }

    #[test]
    fn sizes_stay_where_the_layout_asks_for_them() {
        let text = |n: usize, k: usize| {
            format!(
                "kernel @product(%0: f32[{n},{k}], %1: f32[{k},8]) -> (%2: f32[{n},8]) {{\n  row i0: {n}\n  row i1: 8\n  \
                 reduce i2: {k}\n  $0: f32 = load %0[i0, i2]\n  $1: f32 = load %1[i2, i1]\n  $2: f32 = mul $0, $1\n  sum \
                 $2 -> %2\n}}\n"
            )
        };
        let canonical = |n: usize, k: usize| {
            let kernel = parse_kernel(&text(n, k)).unwrap_or_else(|error| panic!("{error}"));
            Canonical::new(&kernel, Some(0), Isa::Avx512).unwrap_or_else(|why| panic!("{why:?}")).kernel
        };
        assert_eq!(canonical(10, 48), canonical(3000, 48));
        assert_eq!(canonical(10, 1433), canonical(10, 3000));
        assert_ne!(canonical(10, 48), canonical(10, 49));
        assert_ne!(canonical(10, 48), canonical(10, 1433));
    }
}
