//! Values that are part of a tree's structure.

use crate::tree::TreeDef;
use std::any::Any;
use std::fmt::{self, Debug};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;

/// A static field's value: compared, hashed, printed and cloned without its type.
#[derive(Clone)]
pub struct StaticValue {
    value: Arc<dyn Any + Send + Sync>,
    eq: fn(&dyn Any, &dyn Any) -> bool,
    hash: u64,
    text: Arc<str>,
}

impl StaticValue {
    /// Wraps a value.
    pub fn new<T: Clone + Eq + Hash + Debug + Send + Sync + 'static>(value: &T) -> Self {
        StaticValue::with(value, value, |a, b| a.downcast_ref::<T>().is_some_and(|a| Some(a) == b.downcast_ref::<T>()))
    }

    /// Wraps a value that is compared by its bits.
    pub fn of_bits<T: StaticBits>(value: &T) -> Self {
        StaticValue::with(value, &bits_of(value), |a, b| match (a.downcast_ref::<T>(), b.downcast_ref::<T>()) {
            (Some(a), Some(b)) => bits_of(a) == bits_of(b),
            _ => false,
        })
    }

    fn with<T: Clone + Debug + Send + Sync + 'static>(
        value: &T,
        hashed: &impl Hash,
        eq: fn(&dyn Any, &dyn Any) -> bool,
    ) -> Self {
        let mut hasher = DefaultHasher::new();
        hashed.hash(&mut hasher);
        StaticValue { value: Arc::new(value.clone()), eq, hash: hasher.finish(), text: format!("{value:?}").into() }
    }

    /// Whether it is a `T`.
    pub fn is<T: 'static>(&self) -> bool {
        self.value.is::<T>()
    }

    /// Returns the value.
    ///
    /// # Panics
    /// If it is of another type, which does not happen for a flattened tree.
    #[track_caller]
    pub fn get<T: Clone + 'static>(&self) -> T {
        self.value.downcast_ref::<T>().expect("a static field keeps its type").clone()
    }
}

impl PartialEq for StaticValue {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && (self.eq)(&*self.value, &*other.value)
    }
}
impl Eq for StaticValue {}
impl Hash for StaticValue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.hash.hash(state);
    }
}
impl Debug for StaticValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The value of a static field.
#[track_caller]
fn value_of<T: Clone + 'static>(def: &TreeDef) -> T {
    match def {
        TreeDef::Static(value) => value.get(),
        other => panic!("{other:?} is not a static field"),
    }
}

/// A type that a field marked `#[tree(static)]` may have: every type with the traits that a key of compiled functions
/// needs.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a static field of a tree, for which it is a type parameter",
    note = "derive `Clone`, `PartialEq`, `Eq`, `Hash` and `Debug` for it, and let it be `Send`, `Sync` and `'static`",
    note = "floats and arrays cannot stand for the parameter of a static field: give the field the type itself"
)]
pub trait StaticField: Sized + 'static {
    /// The value without its type.
    fn wrap(&self) -> StaticValue;
    /// The value of a static field.
    ///
    /// # Panics
    /// If `def` is not a static field, or has another type.
    #[track_caller]
    fn unwrap(def: &TreeDef) -> Self;
}

#[diagnostic::do_not_recommend]
impl<T: Clone + Eq + Hash + Debug + Send + Sync + 'static> StaticField for T {
    fn wrap(&self) -> StaticValue {
        StaticValue::new(self)
    }
    fn unwrap(def: &TreeDef) -> Self {
        value_of(def)
    }
}

/// How the values of a static field are wrapped, and unwrapped again.
#[derive(Debug)]
pub struct StaticKind<T> {
    /// The value without its type.
    pub wrap: fn(&T) -> StaticValue,
    /// The value of a static field; panics if it has another type.
    pub unwrap: fn(&TreeDef) -> T,
}

/// Chooses the kind of a static field by its type: the method `kind` of `&&&WhichKind<T>` is that of the first of the
/// three traits below that the type has, in the order in which the compiler looks for methods.
#[derive(Debug)]
pub struct WhichKind<T>(PhantomData<T>);

impl<T> WhichKind<T> {
    /// The choice.
    pub const NEW: Self = WhichKind(PhantomData);
}

/// Types whose values are compared by `Eq`.
pub trait ComparedByEq<T> {
    /// The kind of the field.
    fn kind(&self) -> StaticKind<T>;
}
impl<T: StaticField> ComparedByEq<T> for &&WhichKind<T> {
    fn kind(&self) -> StaticKind<T> {
        StaticKind { wrap: T::wrap, unwrap: T::unwrap }
    }
}

/// Types whose values are compared by their bits.
pub trait ComparedByBits<T> {
    /// The kind of the field.
    fn kind(&self) -> StaticKind<T>;
}
impl<T: StaticBits> ComparedByBits<T> for &WhichKind<T> {
    fn kind(&self) -> StaticKind<T> {
        StaticKind { wrap: T::wrap, unwrap: T::unwrap }
    }
}

/// All other types, for which the compiler reports that they are none of [`Comparable`].
pub trait NotCompared<T> {
    /// There is no kind of the field.
    fn kind(&self) -> StaticKind<T>
    where
        T: Comparable;
}
impl<T> NotCompared<T> for WhichKind<T> {
    fn kind(&self) -> StaticKind<T>
    where
        T: Comparable,
    {
        T::kind()
    }
}

/// What no type is for which the compiler asks: it says in an error what a static field needs.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a static field of a tree",
    label = "has no equality that joins the key of compiled functions",
    note = "derive `Clone`, `PartialEq`, `Eq`, `Hash` and `Debug` for it, and let it be `Send`, `Sync` and `'static`",
    note = "`f32` and `f64`, also in `Option`, `Box`, `Vec`, arrays and tuples of up to four, are compared by their bits; a \
            struct that holds floats needs `Eq` and `Hash` of its own",
    note = "a `HashMap` and a `HashSet` have no `Hash`, as their order changes: use a `BTreeMap`, a `BTreeSet`, or a `Vec` \
            of pairs",
    note = "arrays are no static fields: leave `#[tree(static)]` out"
)]
pub trait Comparable: Sized {
    /// The kind of the field.
    fn kind() -> StaticKind<Self>;
}

/// A type that a static field with floats may have. Values are equal if their bits are: NaN equals itself, and 0.0
/// differs from -0.0, as they do as constants of a program.
pub trait StaticBits: Clone + Debug + Send + Sync + 'static {
    /// Appends the bits; equal values append the same bits, different values different ones.
    fn bits(&self, out: &mut Vec<u64>);
    /// The value without its type.
    fn wrap(&self) -> StaticValue {
        StaticValue::of_bits(self)
    }
    /// The value of a static field.
    ///
    /// # Panics
    /// If `def` is not a static field, or has another type.
    #[track_caller]
    fn unwrap(def: &TreeDef) -> Self {
        value_of(def)
    }
}

fn bits_of(value: &impl StaticBits) -> Vec<u64> {
    let mut bits = vec![];
    value.bits(&mut bits);
    bits
}

impl StaticBits for f32 {
    fn bits(&self, out: &mut Vec<u64>) {
        out.push(self.to_bits().into());
    }
}
impl StaticBits for f64 {
    fn bits(&self, out: &mut Vec<u64>) {
        out.push(self.to_bits());
    }
}

macro_rules! integer_bits {
    ($($t:ty)*) => { $(impl StaticBits for $t {
        fn bits(&self, out: &mut Vec<u64>) {
            out.push(*self as u64);
        }
    })* };
}
integer_bits!(bool char u8 u16 u32 u64 usize i8 i16 i32 i64 isize);

macro_rules! text_bits {
    ($($t:ty)*) => { $(impl StaticBits for $t {
        fn bits(&self, out: &mut Vec<u64>) {
            out.push(self.len() as u64);
            out.extend(self.bytes().map(u64::from));
        }
    })* };
}
text_bits!(String &'static str);

impl<T: StaticBits> StaticBits for Option<T> {
    fn bits(&self, out: &mut Vec<u64>) {
        out.push(self.is_some().into());
        self.iter().for_each(|item| item.bits(out));
    }
}
impl<T: StaticBits> StaticBits for Box<T> {
    fn bits(&self, out: &mut Vec<u64>) {
        T::bits(self, out);
    }
}
impl<T: StaticBits> StaticBits for Vec<T> {
    fn bits(&self, out: &mut Vec<u64>) {
        out.push(self.len() as u64);
        self.iter().for_each(|item| item.bits(out));
    }
}
impl<T: StaticBits, const N: usize> StaticBits for [T; N] {
    fn bits(&self, out: &mut Vec<u64>) {
        self.iter().for_each(|item| item.bits(out));
    }
}

macro_rules! tuple_bits {
    ($($t:ident $i:tt),*) => {
        impl<$($t: StaticBits),*> StaticBits for ($($t,)*) {
            fn bits(&self, out: &mut Vec<u64>) {
                $(self.$i.bits(out);)*
            }
        }
    };
}
tuple_bits!(A 0);
tuple_bits!(A 0, B 1);
tuple_bits!(A 0, B 1, C 2);
tuple_bits!(A 0, B 1, C 2, D 3);
