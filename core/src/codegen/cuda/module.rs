//! Several kernels in one translation unit.

use super::launch::Width;
use super::prelude::{Helper, prelude};
use super::source::Source;
use super::text::function_name;
use crate::ir::Unsupported;
use crate::kernel::Kernel;
use rustc_hash::FxHashSet;
use std::collections::BTreeSet;

/// A translation unit: the device functions that its kernels use, and the kernels' functions, each with a unique name.
#[derive(Clone, Default, Debug)]
pub struct Module {
    sources: Vec<Source>,
    names: FxHashSet<String>,
}

impl Module {
    /// A module without kernels.
    pub fn new() -> Self {
        Module::default()
    }

    /// Adds a kernel with positions of this width; returns its number in [`Self::sources`]. `note` goes into the
    /// comment before it: the program and the user's line, say.
    ///
    /// # Errors
    /// If the kernel has an operation that does not exist for its type.
    pub fn push(&mut self, kernel: &Kernel, width: Width, note: &str) -> Result<usize, Unsupported> {
        let name = self.unused_name(&function_name(&kernel.name));
        let source = Source::new(kernel, name, width, note)?;
        self.names.extend(source.functions.iter().map(|function| function.name.clone()));
        self.sources.push(source);
        Ok(self.sources.len() - 1)
    }

    /// The name, or the name followed by a number.
    fn unused_name(&self, name: &str) -> String {
        let others = (2..).map(|n| format!("{name}_{n}"));
        let mut names = std::iter::once(name.to_string()).chain(others);
        names.find(|name| !self.names.contains(name)).expect("there are more numbers than names")
    }

    /// The kernels in the order in which they were added.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The text to compile.
    pub fn text(&self) -> String {
        let functions = self.sources.iter().flat_map(|source| &source.functions);
        let helpers: BTreeSet<Helper> = functions.flat_map(|function| &function.helpers).copied().collect();
        let sources: Vec<&str> = self.sources.iter().map(|source| source.text.as_str()).collect();
        format!("{}{}", prelude(&helpers), sources.join("\n"))
    }
}
