//! Structures as text, and back: a type rebuilds its structure from what was written.

use crate::tree::{Segment, StaticValue, Tree, TreeDef};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A [`TreeDef`] without what only types know: names are text, static values are their `Debug` text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Structure {
    /// An array.
    Leaf,
    /// A static field's text.
    Static(String),
    /// A node's name, and its children by path segment.
    Node(String, Vec<(String, Structure)>),
}

/// Where and why a type has no structure such as the written one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Misfit {
    path: Vec<String>,
    why: String,
}

impl Misfit {
    /// A misfit at the root of the structure.
    pub fn new(why: impl Into<String>) -> Self {
        Misfit { path: vec![], why: why.into() }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.is_empty() {
            true => write!(f, "at the root: {}", self.why),
            false => write!(f, "at {}: {}", self.path.iter().rev().cloned().collect::<Vec<_>>().join("."), self.why),
        }
    }
}

impl TreeDef {
    /// The structure as text.
    pub fn structure(&self) -> Structure {
        match self {
            TreeDef::Leaf => Structure::Leaf,
            TreeDef::Static(value) => Structure::Static(format!("{value:?}")),
            TreeDef::Node(name, children) => Structure::Node(
                name.to_string(),
                children.iter().map(|(segment, child)| (segment.name().into_owned(), child.structure())).collect(),
            ),
        }
    }

    /// Every static value, in order.
    pub fn statics(&self) -> Vec<StaticValue> {
        match self {
            TreeDef::Leaf => vec![],
            TreeDef::Static(value) => vec![value.clone()],
            TreeDef::Node(_, children) => children.iter().flat_map(|(_, child)| child.statics()).collect(),
        }
    }
}

impl Structure {
    /// The structure of an array.
    pub fn leaf(&self) -> Result<TreeDef, Misfit> {
        match self {
            Structure::Leaf => Ok(TreeDef::Leaf),
            other => Err(Misfit::new(format!("{other}, where the type has an array"))),
        }
    }

    /// The children of a node with this name.
    pub fn node(&self, name: &str) -> Result<&[(String, Structure)], Misfit> {
        match self {
            Structure::Node(found, children) if found == name => Ok(children),
            other => Err(Misfit::new(format!("{other}, where the type has {name}"))),
        }
    }

    /// The children of a node with this name and these fields.
    pub fn fields(&self, name: &str, fields: &[&str]) -> Result<&[(String, Structure)], Misfit> {
        let children = self.node(name)?;
        if children.iter().map(|(field, _)| field.as_str()).eq(fields.iter().copied()) {
            return Ok(children);
        }
        let found: Vec<&str> = children.iter().map(|(field, _)| field.as_str()).collect();
        Err(Misfit::new(format!("{name} has the fields {found:?}, and the type has {fields:?}")))
    }
}

impl fmt::Display for Structure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Structure::Leaf => f.write_str("an array"),
            Structure::Static(text) => write!(f, "static {text}"),
            Structure::Node(name, children) => write!(f, "{name} of {}", children.len()),
        }
    }
}

/// Restores a child that is a tree of type `T`.
pub fn restore_child<T: Tree>(
    segment: Segment,
    saved: &Structure,
    statics: &[StaticValue],
) -> Result<(Segment, TreeDef), Misfit> {
    restored(segment, T::restore(saved, statics))
}

/// A restored child with its segment, or its misfit located at this segment.
pub fn restored(segment: Segment, child: Result<TreeDef, Misfit>) -> Result<(Segment, TreeDef), Misfit> {
    match child {
        Ok(def) => Ok((segment, def)),
        Err(mut misfit) => {
            misfit.path.push(segment.to_string());
            Err(misfit)
        }
    }
}

/// A static field of type `T`: the first of `statics` that is a `T` and has the text that was written.
pub fn restore_static<T: 'static>(
    field: &'static str,
    saved: &Structure,
    statics: &[StaticValue],
) -> Result<(Segment, TreeDef), Misfit> {
    let why = match saved {
        Structure::Static(text) => {
            let found = statics.iter().find(|value| value.is::<T>() && format!("{value:?}") == *text);
            match found {
                Some(value) => return Ok((Segment::Field(field), TreeDef::Static(value.clone()))),
                None => {
                    format!("the static value {text} cannot be made from text: pass a tree that has it to load_like")
                }
            }
        }
        other => format!("{other}, where the type has a static field"),
    };
    Err(Misfit { path: vec![field.to_string()], why })
}
