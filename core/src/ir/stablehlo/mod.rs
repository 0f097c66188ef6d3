//! StableHLO: a program as a module that XLA compiles.
//!
//! One module, one public function `@main`: parameters are the program's arguments, then its constants; results are in
//! order. Operations are written in the generic form, which every StableHLO parser accepts. The names of element types
//! are `f32 f64 i32 ui32 i1`.
//!
//! Run-time checks have no counterpart: where the interpreter panics for an index out of bounds, a module reads the
//! nearest element, or adds nothing.

mod control;
mod export;
mod scalar;
mod text;

pub use export::{Body, Export, Operand, extents};
pub use text::{axes, number};

use crate::aval::Sizes;
use crate::error::Error;
use crate::ir::Program;
use text::{Text, signature, tensor};

impl Program {
    /// The program as a StableHLO module in text form, for these sizes of its symbols.
    ///
    /// # Errors
    /// If a symbol has no size, an extent is negative for these sizes, or an operation has no StableHLO form.
    pub fn to_stablehlo(&self, sizes: &Sizes) -> Result<String, Error> {
        crate::ir::check_facts(self, sizes)?;
        let program = self.at(sizes);
        if let Some(symbol) = program.symbols().first() {
            return Err(Error::Call(format!(
                "@{}: the size `{symbol}` has no number, but StableHLO needs numbers: set one, as in \
                 `sizes.set(Symbol::new(\"{symbol}\"), 8)`",
                self.name
            )));
        }
        if let Some(binder) = program.binders().find(|binder| binder.aval.shape.iter().any(|dim| !dim.is_natural())) {
            return Err(Error::Call(format!(
                "@{}: {} would be {}: an extent is below zero for these sizes",
                self.name, binder.var, binder.aval
            )));
        }
        let mut text = Text::new();
        let params: Vec<Operand> =
            program.args.iter().chain(&program.consts).map(|binder| text.fresh(binder.aval.clone())).collect();
        let outs = export::program(&mut text, &program, &params).map_err(|why| match text.failed_at() {
            Some(location) => Error::Unsupported(format!("{why}\n  at {location}")),
            None => Error::Unsupported(why.to_string()),
        })?;
        let list: Vec<String> = params.iter().map(|operand| format!("{operand}: {}", tensor(operand.aval()))).collect();
        let results: Vec<_> = outs.iter().map(|operand| operand.aval().clone()).collect();
        text.finish("func.return", &outs);
        let (list, results, body) = (list.join(", "), signature(&results), text.into_lines());
        let name = text::symbol_name(&self.name);
        Ok(format!("module @{name} {{\n  func.func public @main({list}) -> {results} {{\n{body}  }}\n}}\n"))
    }
}

#[cfg(test)]
mod tests;
