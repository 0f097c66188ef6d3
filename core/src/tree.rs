//! Trees of arrays: what functions take and return, flattened into leaves and rebuilt from them.

mod containers;
mod statics;
mod structure;

use crate::aval::Aval;
use crate::error::Error;
use crate::ir::refuse;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

pub use crate::ir::Value;
pub use containers::TreeKey;
pub use gavotte_derive::Tree;
pub use statics::{
    Comparable, ComparedByBits, ComparedByEq, NotCompared, StaticBits, StaticField, StaticKind, StaticValue, WhichKind,
};
pub use structure::{Misfit, Structure, restore_child, restore_static, restored};

/// The structure of a tree, without its leaves. Trees of the same structure share a compiled program.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum TreeDef {
    /// An array.
    Leaf,
    /// A value that is part of the structure.
    Static(StaticValue),
    /// A named node with its children, each with its path segment.
    Node(&'static str, Vec<(Segment, TreeDef)>),
}

/// One segment of a path: `.w`, `[3]`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Segment {
    /// A field, by name or number.
    Field(&'static str),
    /// An element.
    Item(usize),
    /// A key.
    Key(Arc<str>),
}

impl Segment {
    /// The name, field number, item number or key, unquoted.
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            Segment::Field(name) => Cow::Borrowed(name),
            Segment::Item(i) => Cow::Owned(i.to_string()),
            Segment::Key(key) => Cow::Borrowed(key),
        }
    }
}

/// As in a path. A key that could be mistaken for a path is quoted: no two leaves of a tree have the same path.
impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Segment::Key(key) if key.is_empty() || key.contains(['.', '"']) => write!(f, "{key:?}"),
            other => f.write_str(&other.name()),
        }
    }
}

impl TreeDef {
    /// The children of a node; none for a leaf.
    pub fn children(&self) -> &[(Segment, TreeDef)] {
        match self {
            TreeDef::Leaf | TreeDef::Static(_) => &[],
            TreeDef::Node(_, children) => children,
        }
    }

    /// A child of a node.
    ///
    /// # Panics
    /// If there is no such child.
    #[track_caller]
    pub fn child(&self, i: usize) -> &TreeDef {
        &self.children()[i].1
    }

    /// The number of leaves.
    pub fn n_leaf(&self) -> usize {
        match self {
            TreeDef::Leaf => 1,
            TreeDef::Static(_) => 0,
            TreeDef::Node(_, children) => children.iter().map(|(_, child)| child.n_leaf()).sum(),
        }
    }

    /// The path of every leaf, in order: `0.params.1.w`.
    pub fn paths(&self) -> Vec<String> {
        fn walk(def: &TreeDef, path: &str, out: &mut Vec<String>) {
            match def {
                TreeDef::Leaf => out.push(path.to_string()),
                TreeDef::Static(_) => {}
                TreeDef::Node(_, children) => {
                    for (segment, child) in children {
                        let dot = if path.is_empty() { "" } else { "." };
                        walk(child, &format!("{path}{dot}{segment}"), out);
                    }
                }
            }
        }
        let mut out = vec![];
        walk(self, "", &mut out);
        out
    }

    /// Where and how two structures first differ, or `None`.
    pub fn first_difference(&self, other: &TreeDef) -> Option<String> {
        self.difference(other).map(|difference| difference.to_string())
    }

    /// Where two structures first differ, or `None`.
    pub fn difference(&self, other: &TreeDef) -> Option<Difference> {
        fn walk(a: &TreeDef, b: &TreeDef, path: &str) -> Option<Difference> {
            let differ = |one: String, other: String, is_static: bool| {
                Some(Difference { path: path.to_string(), one, other, is_static })
            };
            match (a, b) {
                (TreeDef::Node(x, xs), TreeDef::Node(y, ys)) if x == y && xs.len() == ys.len() => {
                    xs.iter().zip(ys).find_map(|((s, a), (t, b))| {
                        if s != t {
                            return differ(format!("`{s}`"), format!("`{t}`"), false);
                        }
                        let dot = if path.is_empty() { "" } else { "." };
                        walk(a, b, &format!("{path}{dot}{s}"))
                    })
                }
                (a, b) if a == b => None,
                (TreeDef::Static(x), TreeDef::Static(y)) => differ(format!("{x:?}"), format!("{y:?}"), true),
                (a, b) => differ(a.summary(), b.summary(), false),
            }
        }
        walk(self, other, "")
    }

    fn summary(&self) -> String {
        match self {
            TreeDef::Leaf => "an array".into(),
            TreeDef::Static(value) => format!("static {value:?}"),
            TreeDef::Node(name, children) => format!("{name} of {}", children.len()),
        }
    }
}

/// Where two structures first differ.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// The path; empty at the root.
    pub path: String,
    /// What the first structure has at this path.
    pub one: String,
    /// What the second structure has at this path.
    pub other: String,
    /// Whether both have a static value at this path.
    pub is_static: bool,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { path, one, other, is_static } = self;
        let at = if path.is_empty() { "the root" } else { path };
        let word = if *is_static { "static " } else { "" };
        write!(f, "at {at}: {word}{one} and {word}{other}")
    }
}

/// A type made of arrays. `#[derive(Tree)]` implements it for structs and enumerations; a field marked `#[tree(static)]` is
/// part of the structure instead.
///
/// `Box`, `Option`, `Vec`, arrays, tuples of up to eight, `BTreeMap`, `HashMap` and `IndexMap` of trees are trees, and
/// so are `()` and `PhantomData`. The variant of an `Option`, the number of items, and the keys are part of the
/// structure.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a tree of arrays",
    label = "not a tree",
    note = "mark a field that holds no arrays `#[tree(static)]`, which takes `f32` and `f64` by their bits",
    note = "make a number an array with `Array::scalar`; add `#[derive(Tree)]` to a type of arrays",
    note = "an argument that is not an array can be captured by the closure instead"
)]
pub trait Tree: Sized {
    /// Appends the leaves to `leaves` and returns the structure.
    fn disassemble(&self, leaves: &mut Vec<Value>) -> TreeDef;

    /// Builds a tree from its structure and the next leaves.
    fn assemble(def: &TreeDef, leaves: &mut dyn Iterator<Item = Value>) -> Self;

    /// This type's structure for one that was written as `saved`, with the values of static fields taken from
    /// `statics`.
    ///
    /// # Errors
    /// If no tree of this type has such a structure. A type without this method cannot be restored.
    fn restore(saved: &Structure, statics: &[StaticValue]) -> Result<TreeDef, Misfit> {
        let _ = statics;
        Err(Misfit::new(format!(
            "{saved}, and {} does not say how it is restored: implement `Tree::restore` for it",
            std::any::type_name::<Self>()
        )))
    }

    /// Structure and leaves.
    fn flatten(&self) -> (TreeDef, Vec<Value>) {
        let mut leaves = vec![];
        let def = self.disassemble(&mut leaves);
        (def, leaves)
    }

    /// Structure and leaves of a tree that is moved in: the leaves hold the last handles.
    fn into_leaves(self) -> (TreeDef, Vec<Value>) {
        self.flatten()
    }

    /// The tree with this structure and these leaves.
    ///
    /// # Panics
    /// If their number differs.
    #[track_caller]
    fn unflatten(def: &TreeDef, leaves: Vec<Value>) -> Self {
        assert_eq!(def.n_leaf(), leaves.len(), "the structure and the leaves differ in number");
        Self::assemble(def, &mut leaves.into_iter())
    }

    /// Every leaf with its path.
    fn leaves_with_paths(&self) -> Vec<(String, Value)> {
        let (def, leaves) = self.flatten();
        def.paths().into_iter().zip(leaves).collect()
    }

    /// The types of the leaves.
    fn avals(&self) -> Vec<Aval> {
        self.flatten().1.iter().map(|leaf| leaf.aval().clone()).collect()
    }

    /// Applies `f` to every leaf.
    #[track_caller]
    fn map(&self, f: impl FnMut(&Value) -> Value) -> Self {
        let (def, leaves) = self.flatten();
        Self::unflatten(&def, leaves.iter().map(f).collect())
    }

    /// Applies `f` to the leaves of two trees of one structure, pair by pair.
    ///
    /// # Panics
    /// If the structures differ; the message names the first difference.
    #[track_caller]
    fn zip_map(&self, other: &Self, mut f: impl FnMut(&Value, &Value) -> Value) -> Self {
        let ((def, a), (other, b)) = (self.flatten(), other.flatten());
        if let Some(difference) = def.first_difference(&other) {
            refuse(Error::Type(format!("two trees differ {difference}")));
        }
        Self::unflatten(&def, a.iter().zip(&b).map(|(a, b)| f(a, b)).collect())
    }
}

/// The next leaf.
///
/// # Panics
/// If there is none.
#[track_caller]
pub fn next_leaf(leaves: &mut dyn Iterator<Item = Value>) -> Value {
    leaves.next().expect("a leaf for every leaf of the structure")
}

impl Tree for Value {
    fn disassemble(&self, leaves: &mut Vec<Value>) -> TreeDef {
        leaves.push(self.clone());
        TreeDef::Leaf
    }
    fn assemble(_: &TreeDef, leaves: &mut dyn Iterator<Item = Value>) -> Self {
        next_leaf(leaves)
    }
    fn restore(saved: &Structure, _: &[StaticValue]) -> Result<TreeDef, Misfit> {
        saved.leaf()
    }
}
