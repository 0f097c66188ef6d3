//! Attributes of an equation: the parameters of an operation other than its operands.

use crate::aval::{DType, Dim, Literal, Shape};
use crate::error::TypeError;
use crate::ir::{HostFunction, Program};
use indexmap::IndexMap;
use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// One attribute.
#[derive(Clone, PartialEq, Debug)]
pub enum Attr {
    /// An integer or a symbolic size.
    Dim(Dim),
    /// A scalar constant.
    Literal(Literal),
    /// An element type.
    DType(DType),
    /// A word.
    Word(Cow<'static, str>),
    /// A list.
    List(Vec<Attr>),
    /// A nested program.
    Program(Arc<Program>),
    /// A function of the host. It has no text, so a program with one is not read back.
    Host(HostFunction),
}

impl From<usize> for Attr {
    fn from(x: usize) -> Self {
        Attr::Dim(x.into())
    }
}
impl From<i64> for Attr {
    fn from(x: i64) -> Self {
        Attr::Dim(x.into())
    }
}
impl From<Dim> for Attr {
    fn from(x: Dim) -> Self {
        Attr::Dim(x)
    }
}
impl From<&Dim> for Attr {
    fn from(x: &Dim) -> Self {
        Attr::Dim(x.clone())
    }
}
impl From<Literal> for Attr {
    fn from(x: Literal) -> Self {
        Attr::Literal(x)
    }
}
impl From<DType> for Attr {
    fn from(x: DType) -> Self {
        Attr::DType(x)
    }
}
impl From<&'static str> for Attr {
    fn from(x: &'static str) -> Self {
        Attr::Word(x.into())
    }
}
impl<T: Clone + Into<Attr>> From<&[T]> for Attr {
    fn from(xs: &[T]) -> Self {
        Attr::List(xs.iter().cloned().map(Into::into).collect())
    }
}
impl<T: Into<Attr>> From<Vec<T>> for Attr {
    fn from(xs: Vec<T>) -> Self {
        Attr::List(xs.into_iter().map(Into::into).collect())
    }
}
impl From<&Shape> for Attr {
    fn from(xs: &Shape) -> Self {
        xs.as_slice().into()
    }
}
impl From<Shape> for Attr {
    fn from(xs: Shape) -> Self {
        xs.as_slice().into()
    }
}
impl From<HostFunction> for Attr {
    fn from(x: HostFunction) -> Self {
        Attr::Host(x)
    }
}
impl From<Arc<Program>> for Attr {
    fn from(x: Arc<Program>) -> Self {
        Attr::Program(x)
    }
}

impl Hash for Attr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Attr::Dim(dim) => dim.hash(state),
            Attr::Literal(literal) => literal.hash(state),
            Attr::DType(dtype) => dtype.hash(state),
            Attr::Word(word) => word.hash(state),
            Attr::List(attrs) => attrs.hash(state),
            // Equal programs have equally many equations; that distinguishes most of them.
            Attr::Program(program) => program.eqns.len().hash(state),
            Attr::Host(function) => function.hash(state),
        }
    }
}

/// Attributes by name, sorted by name.
///
/// The getters panic if the attribute is missing or has another form. `abstract_eval` uses the `try_…` forms; it runs
/// before any other rule does.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Params(IndexMap<Cow<'static, str>, Attr>);

impl Hash for Params {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.iter().for_each(|pair| pair.hash(state));
    }
}

impl Params {
    /// No attributes.
    pub fn new() -> Self {
        Params::default()
    }

    /// Adds or replaces one attribute.
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, attr: impl Into<Attr>) -> Self {
        self.0.insert_sorted(name.into(), attr.into());
        self
    }

    /// Whether there are no attributes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and attributes, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Attr)> {
        self.0.iter().map(|(name, attr)| (name.as_ref(), attr))
    }

    /// The attribute of this name.
    pub fn get(&self, name: &str) -> Option<&Attr> {
        self.0.get(name)
    }

    /// Every nested program, in the order of the text.
    pub fn programs_within(&self) -> impl Iterator<Item = &Arc<Program>> {
        fn within(attr: &Attr) -> Vec<&Arc<Program>> {
            match attr {
                Attr::Program(program) => vec![program],
                Attr::List(attrs) => attrs.iter().flat_map(within).collect(),
                _ => vec![],
            }
        }
        self.0.values().flat_map(within)
    }

    /// Calls `f` with every size and its attribute's name, except in nested programs, until `f` returns `Some`.
    pub(crate) fn find_dim<T>(&self, mut f: impl FnMut(&str, &Dim) -> Option<T>) -> Option<T> {
        fn within<T>(attr: &Attr, f: &mut dyn FnMut(&Dim) -> Option<T>) -> Option<T> {
            match attr {
                Attr::Dim(dim) => f(dim),
                Attr::List(attrs) => attrs.iter().find_map(|attr| within(attr, f)),
                Attr::Literal(_) | Attr::DType(_) | Attr::Word(_) | Attr::Program(_) | Attr::Host(_) => None,
            }
        }
        self.0.iter().find_map(|(name, attr)| within(attr, &mut |dim| f(name, dim)))
    }

    /// The message for a size that is too large, if there is one.
    pub(crate) fn too_large(&self) -> Option<String> {
        let why = |name: &str| format!("attribute `{name}` is too large: sizes are less than 2^63");
        self.find_dim(|name, dim| dim.is_too_large().then(|| why(name)))
    }

    /// Applies `f` to every attribute; names stay.
    pub fn map(&self, f: &mut dyn FnMut(&Attr) -> Attr) -> Params {
        Params(self.0.iter().map(|(name, attr)| (name.clone(), f(attr))).collect())
    }

    /// Applies `f` to every nested program.
    pub fn map_programs(&self, f: &dyn Fn(&Program) -> Program) -> Params {
        fn put(attr: &Attr, f: &dyn Fn(&Program) -> Program) -> Attr {
            match attr {
                Attr::List(attrs) => Attr::List(attrs.iter().map(|attr| put(attr, f)).collect()),
                Attr::Program(program) => Attr::Program(Arc::new(f(program))),
                other => other.clone(),
            }
        }
        self.map(&mut |attr| put(attr, f))
    }

    /// Replaces symbols by their sizes in every dimension, in nested programs too.
    pub fn at(&self, sizes: &crate::aval::Sizes) -> Params {
        fn put(attr: &Attr, sizes: &crate::aval::Sizes) -> Attr {
            match attr {
                Attr::Dim(dim) => Attr::Dim(dim.at(sizes)),
                Attr::List(attrs) => Attr::List(attrs.iter().map(|attr| put(attr, sizes)).collect()),
                Attr::Program(program) => Attr::Program(Arc::new(program.at(sizes))),
                other => other.clone(),
            }
        }
        if sizes.is_empty() {
            return self.clone();
        }
        self.map(&mut |attr| put(attr, sizes))
    }

    fn want<T>(&self, name: &str, form: &str, f: impl FnOnce(&Attr) -> Option<T>) -> Result<T, TypeError> {
        self.get(name).and_then(f).ok_or_else(|| TypeError(format!("attribute `{name}` must be {form}")))
    }

    /// A size, or an error that names the attribute.
    pub fn try_dim(&self, name: &str) -> Result<Dim, TypeError> {
        self.want(name, "a size", |attr| match attr {
            Attr::Dim(dim) => Some(dim.clone()),
            _ => None,
        })
    }

    /// A size.
    #[track_caller]
    pub fn dim(&self, name: &str) -> Dim {
        self.try_dim(name).unwrap_or_else(|why| panic!("{why}"))
    }

    /// A list of sizes, or an error that names the attribute.
    pub fn try_dims(&self, name: &str) -> Result<Shape, TypeError> {
        self.want(name, "a list of sizes", as_dims)
    }

    /// A list of sizes.
    #[track_caller]
    pub fn dims(&self, name: &str) -> Shape {
        self.try_dims(name).unwrap_or_else(|why| panic!("{why}"))
    }

    /// A number, or an error that names the attribute.
    pub fn try_int(&self, name: &str) -> Result<i64, TypeError> {
        self.want(name, "a number", as_int)
    }

    /// A number.
    #[track_caller]
    pub fn int(&self, name: &str) -> i64 {
        self.try_int(name).unwrap_or_else(|why| panic!("{why}"))
    }

    /// An axis or another nonnegative number, or an error that names the attribute.
    pub fn try_axis(&self, name: &str) -> Result<usize, TypeError> {
        self.want(name, "a number that is not negative", |attr| as_int(attr)?.try_into().ok())
    }

    /// An axis or another nonnegative number.
    #[track_caller]
    pub fn axis(&self, name: &str) -> usize {
        self.try_axis(name).unwrap_or_else(|why| panic!("{why}"))
    }

    /// A list of axes or other nonnegative numbers, or an error that names the attribute.
    pub fn try_axes(&self, name: &str) -> Result<Vec<usize>, TypeError> {
        self.want(name, "a list of numbers that are not negative", as_axes)
    }

    /// A list of axes or other nonnegative numbers.
    #[track_caller]
    pub fn axes(&self, name: &str) -> Vec<usize> {
        self.try_axes(name).unwrap_or_else(|why| panic!("{why}"))
    }

    /// A list of numbers, or an error that names the attribute.
    pub fn try_ints(&self, name: &str) -> Result<Vec<i64>, TypeError> {
        self.want(name, "a list of numbers", |attr| as_list(attr)?.iter().map(as_int).collect())
    }

    /// A list of numbers.
    #[track_caller]
    pub fn ints(&self, name: &str) -> Vec<i64> {
        self.try_ints(name).unwrap_or_else(|why| panic!("{why}"))
    }

    /// A pair of lists of axes, one per operand, or an error that names the attribute.
    pub fn try_axes_pair(&self, name: &str) -> Result<[Vec<usize>; 2], TypeError> {
        self.want(name, "two lists of axes", |attr| match as_list(attr)? {
            [a, b] => Some([as_axes(a)?, as_axes(b)?]),
            _ => None,
        })
    }

    /// A pair of lists of axes, one per operand.
    #[track_caller]
    pub fn axes_pair(&self, name: &str) -> [Vec<usize>; 2] {
        self.try_axes_pair(name).unwrap_or_else(|why| panic!("{why}"))
    }

    /// An element type, or an error that names the attribute.
    pub fn try_dtype(&self, name: &str) -> Result<DType, TypeError> {
        self.want(name, "an element type", |attr| match attr {
            Attr::DType(dtype) => Some(*dtype),
            _ => None,
        })
    }

    /// An element type.
    #[track_caller]
    pub fn dtype(&self, name: &str) -> DType {
        self.try_dtype(name).unwrap_or_else(|why| panic!("{why}"))
    }

    /// A scalar constant, or an error that names the attribute.
    pub fn try_literal(&self, name: &str) -> Result<Literal, TypeError> {
        self.want(name, "a literal", |attr| match attr {
            Attr::Literal(literal) => Some(*literal),
            _ => None,
        })
    }

    /// A scalar constant.
    #[track_caller]
    pub fn literal(&self, name: &str) -> Literal {
        self.try_literal(name).unwrap_or_else(|why| panic!("{why}"))
    }

    /// A list of nested programs, or an error that names the attribute.
    pub fn try_programs(&self, name: &str) -> Result<Vec<Arc<Program>>, TypeError> {
        self.want(name, "a list of programs", |attr| {
            let programs = as_list(attr)?.iter().map(|attr| match attr {
                Attr::Program(program) => Some(program.clone()),
                _ => None,
            });
            programs.collect()
        })
    }

    /// A list of nested programs.
    #[track_caller]
    pub fn programs(&self, name: &str) -> Vec<Arc<Program>> {
        self.try_programs(name).unwrap_or_else(|why| panic!("{why}"))
    }

    /// A function of the host, or an error that names the attribute.
    pub fn try_host(&self, name: &str) -> Result<HostFunction, TypeError> {
        self.want(name, "a function of the host", |attr| match attr {
            Attr::Host(function) => Some(function.clone()),
            _ => None,
        })
    }

    /// A function of the host.
    #[track_caller]
    pub fn host(&self, name: &str) -> HostFunction {
        self.try_host(name).unwrap_or_else(|why| panic!("{why}"))
    }

    /// A nested program, or an error that names the attribute.
    pub fn try_program(&self, name: &str) -> Result<Arc<Program>, TypeError> {
        self.want(name, "a program", |attr| match attr {
            Attr::Program(program) => Some(program.clone()),
            _ => None,
        })
    }

    /// A nested program.
    #[track_caller]
    pub fn program(&self, name: &str) -> Arc<Program> {
        self.try_program(name).unwrap_or_else(|why| panic!("{why}"))
    }
}

fn as_list(attr: &Attr) -> Option<&[Attr]> {
    match attr {
        Attr::List(attrs) => Some(attrs),
        _ => None,
    }
}

fn as_int(attr: &Attr) -> Option<i64> {
    match attr {
        Attr::Dim(dim) => dim.as_number(),
        _ => None,
    }
}

fn as_axes(attr: &Attr) -> Option<Vec<usize>> {
    as_list(attr)?.iter().map(|attr| as_int(attr)?.try_into().ok()).collect()
}

fn as_dims(attr: &Attr) -> Option<Shape> {
    as_list(attr)?
        .iter()
        .map(|attr| match attr {
            Attr::Dim(dim) => Some(dim.clone()),
            _ => None,
        })
        .collect()
}
