//! Symbols: the names of sizes, and the sizes that they have in one call.

use smallvec::SmallVec;
use std::fmt;
use std::sync::Arc;

/// The name of a size that is known only when a program runs, such as `n` nodes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Symbol(Arc<str>);

impl Symbol {
    /// The symbol with this name: a letter or `_`, then letters, digits and `_`.
    ///
    /// # Panics
    /// If the name is not of that form.
    #[track_caller]
    pub fn new(name: &str) -> Self {
        if !is_name(name) {
            let why = format!("`{name}` is no symbol: use letters, digits and `_`, with no digit first");
            crate::error::stop(crate::error::Error::Type(why));
        }
        Symbol(name.into())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

pub(super) fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The sizes of symbols in one call.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
pub struct Sizes(SmallVec<[(Symbol, usize); 4]>);

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (symbol, size)) in self.0.iter().enumerate() {
            write!(f, "{}{symbol} = {size}", if i > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

impl Sizes {
    /// No symbol has a size.
    pub fn new() -> Self {
        Sizes::default()
    }

    /// Whether no symbol has a size.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The size of a symbol, if it has one.
    pub fn get(&self, symbol: &Symbol) -> Option<usize> {
        self.0.iter().find(|(s, _)| s == symbol).map(|(_, size)| *size)
    }

    /// Sets the size of a symbol; `Err` holds the previous size, if that differs.
    pub fn set(&mut self, symbol: Symbol, size: usize) -> Result<(), usize> {
        match self.get(&symbol) {
            Some(old) if old != size => Err(old),
            Some(_) => Ok(()),
            None => {
                self.0.push((symbol, size));
                self.0.sort();
                Ok(())
            }
        }
    }

    /// Every symbol and its size, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Symbol, usize)> {
        self.0.iter().map(|(symbol, size)| (symbol, *size))
    }
}
