//! A function that is being written: its lines, and what they use.

use super::launch::{Param, Width};
use super::positions::Place;
use super::prelude::Helper;
use super::text;
use crate::aval::{DType, Dim, Symbol};
use crate::ir::Scalar;
use crate::kernel::Kernel;
use std::collections::BTreeSet;

/// The lines of a function's body so far, and what they use, which becomes parameters and helpers.
pub(super) struct Draft<'k> {
    pub(super) kernel: &'k Kernel,
    pub(super) width: Width,
    /// The name of a row's flat number: `row`, or the only row loop with several iterations.
    pub(super) row: String,
    /// Loops that the lines name.
    pub(super) named: BTreeSet<usize>,
    lines: Vec<String>,
    depth: usize,
    symbols: BTreeSet<Symbol>,
    scalars: Vec<(Dim, DType)>,
    helpers: BTreeSet<Helper>,
    /// Whether a line may record a position.
    is_checked: bool,
    /// Whether a line names the length of a part, and the number of parts.
    cut: [bool; 2],
}

impl<'k> Draft<'k> {
    pub(super) fn new(kernel: &'k Kernel, width: Width) -> Self {
        let mut moving = (0..kernel.n_row()).filter(|i| kernel.loops[*i].extent != 1usize);
        let row = match (moving.next(), moving.next()) {
            (Some(only), None) => format!("i{only}"),
            _ => "row".into(),
        };
        Draft {
            kernel,
            width,
            row,
            named: BTreeSet::new(),
            lines: vec![],
            depth: 1,
            symbols: BTreeSet::new(),
            scalars: vec![],
            helpers: BTreeSet::new(),
            is_checked: false,
            cut: [false; 2],
        }
    }

    /// Adds a line.
    pub(super) fn line(&mut self, text: impl AsRef<str>) {
        let line = self.indented(text.as_ref());
        self.lines.push(line);
    }

    fn indented(&self, text: &str) -> String {
        format!("{}{text}", "    ".repeat(self.depth))
    }

    /// Adds a line that opens a block.
    pub(super) fn open(&mut self, text: impl AsRef<str>) {
        self.line(format!("{} {{", text.as_ref()));
        self.depth += 1;
    }

    /// Closes the last block.
    pub(super) fn close(&mut self) {
        self.depth -= 1;
        self.line("}");
    }

    /// The place after the last line, for [`Self::insert`].
    pub(super) fn mark(&self) -> (usize, usize) {
        (self.lines.len(), self.depth)
    }

    /// Inserts lines at a place, with the indentation of that place.
    pub(super) fn insert(&mut self, (at, depth): (usize, usize), texts: Vec<String>) {
        let lines = texts.into_iter().map(|text| format!("{}{text}", "    ".repeat(depth)));
        self.lines.splice(at..at, lines);
    }

    /// The type of positions.
    pub(super) fn int(&self) -> &'static str {
        self.width.type_name()
    }

    /// An expression of numbers and sizes, converted to the type of positions: overloaded functions require that.
    pub(super) fn same_type(&self, text: &str) -> String {
        match self.width {
            Width::Wide if text.contains(' ') => format!("(long long)({text})"),
            Width::Wide => format!("(long long){text}"),
            Width::Narrow => text.into(),
        }
    }

    /// A dimension as a stand-alone expression.
    pub(super) fn dim(&mut self, dim: &Dim) -> String {
        self.symbols.extend(dim.symbols());
        text::dim(dim).0
    }

    /// A dimension as a factor or divisor.
    pub(super) fn factor(&mut self, dim: &Dim) -> String {
        self.symbols.extend(dim.symbols());
        match text::dim(dim) {
            (sum, true) => format!("({sum})"),
            // `a / n * 8` would be a different number.
            (product, false) if product.contains(' ') => format!("({product})"),
            (product, false) => product,
        }
    }

    /// `what · dim`.
    pub(super) fn times(&mut self, what: &str, dim: &Dim) -> String {
        self.symbols.extend(dim.symbols());
        match text::dim(dim) {
            _ if *dim == 1usize => what.into(),
            (sum, true) => format!("{what} * ({sum})"),
            (product, false) => format!("{what} * {product}"),
        }
    }

    /// Notes a function of the prelude that the lines call.
    pub(super) fn uses(&mut self, helper: Helper) {
        self.helpers.insert(helper);
    }

    /// The last arguments of `inside` and `members_of`, with which a check records a violation.
    pub(super) fn record(&mut self) -> &'static str {
        self.is_checked = true;
        "record, kernel"
    }

    /// The number of terms in a part.
    pub(super) fn part_length(&mut self) -> &'static str {
        self.cut[0] = true;
        "length"
    }

    /// The number of parts.
    pub(super) fn parts(&mut self) -> &'static str {
        self.cut[1] = true;
        "parts"
    }

    /// A size as a scalar of this type: a parameter.
    pub(super) fn size(&mut self, dim: &Dim, dtype: DType) -> String {
        let wanted = (dim.clone(), dtype);
        let at = self.scalars.iter().position(|known| *known == wanted).unwrap_or_else(|| {
            self.scalars.push(wanted);
            self.scalars.len() - 1
        });
        format!("size{at}")
    }

    /// The position of a loop.
    pub(super) fn index(&mut self, number: usize) -> String {
        self.named.insert(number);
        format!("i{number}")
    }

    /// An element's place as an expression. `scalar` writes computed positions.
    pub(super) fn place(&mut self, place: &Place, scalar: impl Fn(&mut Self, Scalar) -> String) -> String {
        let mut sum = vec![];
        let by_row = place.by_row(self.kernel);
        if let Some(factor) = &by_row {
            let row = self.row_number();
            sum.push(self.times(&row, factor));
        }
        let n_row = self.kernel.n_row();
        for (number, stride) in place.strides.iter().enumerate() {
            if *stride != 0usize && (by_row.is_none() || number >= n_row) {
                let index = self.index(number);
                sum.push(self.times(&index, stride));
            }
        }
        for (computed, stride) in &place.computed {
            let text = scalar(self, *computed);
            let is_wide = self.width == Width::Wide && *stride != 1usize;
            let text = if is_wide { format!("(long long){text}") } else { text };
            sum.push(self.times(&text, stride));
        }
        if place.constant != 0usize || sum.is_empty() {
            sum.push(self.dim(&place.constant));
        }
        sum.join(" + ").replace(" + -", " - ")
    }

    /// The flat number of the row.
    pub(super) fn row_number(&mut self) -> String {
        if let Some(number) = self.row.strip_prefix('i').and_then(|number| number.parse().ok()) {
            self.named.insert(number);
        }
        self.row.clone()
    }

    /// What the lines use of the launch: the record, symbols, sizes and parts, in the order of the parameters.
    pub(super) fn params(&self) -> Vec<Param> {
        let checks = if self.is_checked { vec![Param::Record, Param::Number] } else { vec![] };
        let symbols = self.symbols.iter().cloned().map(Param::Symbol);
        let scalars = self.scalars.iter().map(|(dim, dtype)| Param::Scalar(dim.clone(), *dtype));
        let cut = [Param::PartLength, Param::Parts].into_iter().zip(self.cut).filter(|(_, used)| *used);
        checks.into_iter().chain(symbols).chain(scalars).chain(cut.map(|(param, _)| param)).collect()
    }

    /// The helpers that the lines call.
    pub(super) fn helpers(&self) -> &BTreeSet<Helper> {
        &self.helpers
    }

    /// The function's text. `bounds` tells the compiler the size of a block.
    pub(super) fn function(&self, name: &str, bounds: &str, params: &[String]) -> String {
        let head = format!("extern \"C\" __global__ void {bounds}{name}");
        let one = format!("{head}({}) {{", params.join(", "));
        let head = if one.len() <= 120 { one } else { format!("{head}(\n    {}\n) {{", params.join(",\n    ")) };
        format!("{head}\n{}\n}}\n", self.lines.join("\n"))
    }
}
