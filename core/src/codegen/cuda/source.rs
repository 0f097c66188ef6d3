//! The code generated for a kernel: text, parameters, and launches.

use super::function::{Function, Name};
use super::launch::{Argument, Launch, Param, Parts, WARP, When, Width, number};
use super::{map, product, reduce};
use crate::aval::{DType, Dim, Literal, Sizes, volume};
use crate::error::Error;
use crate::ir::Unsupported;
use crate::kernel::Kernel;

/// The most parameters of a function: all devices accept 4096 bytes of them.
const MAX_PARAMS: usize = 4096 / 8;

/// The most blocks of a launch.
const MAX_BLOCKS: u32 = i32::MAX as u32;

/// The CUDA C of a kernel: its functions, which run one after the other.
#[derive(Clone, Debug)]
pub struct Source {
    /// The kernel as a comment, and the text of the functions.
    pub text: String,
    /// In the order in which they run.
    pub functions: Vec<Function>,
    width: Width,
    parts: Option<Parts>,
    /// For each output, the type of its parts, and the number of elements in a part.
    scratch: Vec<(DType, Dim)>,
}

/// Whether kernels may have elements of this type.
pub fn has_kernels(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F64 | DType::I32 | DType::U32 | DType::Bool)
}

impl Source {
    /// Writes a kernel. `name` is that of its first function; `note` goes into the comment before it.
    pub(super) fn new(kernel: &Kernel, name: String, width: Width, note: &str) -> Result<Source, Unsupported> {
        if let Some(dtype) = kernel.dtypes().into_iter().find(|dtype| !has_kernels(*dtype)) {
            return Err(Unsupported(format!("{name}: kernels for GPUs have no {dtype} yet: convert with `astype`")));
        }
        let name = Name { name, width };
        let written = match (product::recognised(kernel), kernel.reduce) {
            (Some(product), _) => product::write(kernel, &product, &name),
            (None, None) => map::write(kernel, &name)?,
            (None, Some(op)) => reduce::write(kernel, op, &name)?,
        };
        if let Some(function) = written.functions.iter().find(|function| function.params.len() > MAX_PARAMS) {
            return Err(Unsupported(format!("{}: {} parameters are too many", name.name, function.params.len())));
        }
        let comment: String = kernel.to_string().lines().map(|line| format!("// {line}\n")).collect();
        let note: String = note.lines().map(|line| format!("// {line}\n")).collect();
        let functions: Vec<&str> = written.functions.iter().map(|function| function.text.as_str()).collect();
        let scratch = kernel.outputs.iter().map(|(_, aval)| (aval.dtype, volume(&aval.shape)));
        Ok(Source {
            text: format!("{note}{comment}{}", functions.join("\n")),
            width,
            scratch: if written.parts.is_some() { scratch.collect() } else { vec![] },
            functions: written.functions,
            parts: written.parts,
        })
    }

    /// The integer type of its positions.
    pub fn width(&self) -> Width {
        self.width
    }

    /// Bytes of each scratch memory for these sizes. Scratch memory of zero bytes is not used.
    ///
    /// # Panics
    /// If a symbol has no size.
    pub fn scratch_bytes(&self, sizes: &Sizes) -> Vec<usize> {
        let parts = self.n_part(sizes);
        let bytes = |(dtype, elements): &(DType, _)| {
            if parts == 1 { 0 } else { parts * number(elements, sizes) * dtype.size() }
        };
        self.scratch.iter().map(bytes).collect()
    }

    /// The launches for these sizes, in order, with about `block` threads in each block: a multiple of 32 up to 1024. No
    /// bit of a result depends on it. An output without elements needs no launch.
    ///
    /// # Errors
    /// If a launch has more blocks than a GPU can start, 2^31 - 1.
    ///
    /// # Panics
    /// If a symbol has no size, if positions of 32 bits do not suffice ([`Width::of`]), or if `block` is not such a
    /// number.
    pub fn launches(&self, sizes: &Sizes, block: u32) -> Result<Vec<Launch>, Error> {
        assert!(block.is_multiple_of(WARP as u32) && (1..=1024).contains(&block), "no block has {block} threads");
        let parts = self.n_part(sizes);
        let launch = |(i, function): (usize, &Function)| {
            let (grid, block) = function.work.grid(sizes, parts, block);
            let grid = u32::try_from(grid).ok().filter(|grid| *grid <= MAX_BLOCKS).ok_or_else(|| {
                let name = &function.name;
                Error::Call(format!(
                    "{name}: {grid} blocks of {block} threads, and a GPU starts {MAX_BLOCKS}: take smaller arrays"
                ))
            })?;
            let arguments = function.params.iter().map(|param| self.argument(param, sizes, parts)).collect();
            let is_concurrent = matches!(function.work.when, When::Above(..));
            Ok(Launch { function: i, grid, block, arguments, is_concurrent })
        };
        let runs = |(_, function): &(usize, &Function)| function.work.when.holds(sizes, parts);
        let launches = self.functions.iter().enumerate().filter(runs).map(launch);
        launches.filter(|launch| !matches!(launch, Ok(launch) if launch.grid == 0)).collect()
    }

    fn n_part(&self, sizes: &Sizes) -> usize {
        self.parts.as_ref().map_or(1, |parts| parts.number(sizes))
    }

    fn argument(&self, param: &Param, sizes: &Sizes, parts: usize) -> Argument {
        let integer = |x: usize| match self.width {
            Width::Narrow => Argument::Narrow(i32::try_from(x).expect("32 bits are enough: the caller ensures it")),
            Width::Wide => Argument::Wide(x as i64),
        };
        match param {
            Param::Input(i) => Argument::Input(*i),
            Param::Output(i) => Argument::Output(*i),
            // A single part is the result.
            Param::Scratch(i) if parts == 1 => Argument::Output(*i),
            Param::Scratch(i) => Argument::Scratch(*i),
            Param::Record => Argument::Record,
            Param::Number => Argument::Number,
            Param::Symbol(symbol) => {
                let size = sizes.get(symbol);
                integer(size.unwrap_or_else(|| panic!("{symbol} has no size: every symbol must have one")))
            }
            Param::Scalar(dim, dtype) => {
                let number = dim.at(sizes).as_number();
                let number = number.unwrap_or_else(|| panic!("{dim} has no size: every symbol must have one"));
                Argument::Scalar(Literal::from_f64(*dtype, number as f64))
            }
            Param::PartLength => integer(self.parts.as_ref().map_or(0, |parts| parts.length(sizes))),
            Param::Parts => integer(parts),
        }
    }
}
