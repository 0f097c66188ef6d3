//! Trees of the standard library's types.

use crate::tree::{Misfit, Segment, StaticValue, Structure, Tree, TreeDef, Value, restore_child};
use indexmap::IndexMap;
use std::any::type_name;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;
use std::sync::Arc;

/// The children of a list; their segments are their numbers.
fn restore_items<T: Tree>(name: &'static str, saved: &Structure, statics: &[StaticValue]) -> Result<TreeDef, Misfit> {
    let children = saved.node(name)?.iter().enumerate().map(|(i, (segment, child))| {
        if *segment != i.to_string() {
            return Err(Misfit::new(format!("item {i} of {name} is called `{segment}`")));
        }
        restore_child::<T>(Segment::Item(i), child, statics)
    });
    Ok(TreeDef::Node(name, children.collect::<Result<_, _>>()?))
}

impl<T: Tree> Tree for Vec<T> {
    fn disassemble(&self, leaves: &mut Vec<Value>) -> TreeDef {
        let children = self.iter().enumerate().map(|(i, item)| (Segment::Item(i), item.disassemble(leaves)));
        TreeDef::Node("Vec", children.collect())
    }
    fn assemble(def: &TreeDef, leaves: &mut dyn Iterator<Item = Value>) -> Self {
        def.children().iter().map(|(_, child)| T::assemble(child, leaves)).collect()
    }
    fn restore(saved: &Structure, statics: &[StaticValue]) -> Result<TreeDef, Misfit> {
        restore_items::<T>("Vec", saved, statics)
    }
}

impl<T: Tree, const N: usize> Tree for [T; N] {
    fn disassemble(&self, leaves: &mut Vec<Value>) -> TreeDef {
        let children = self.iter().enumerate().map(|(i, item)| (Segment::Item(i), item.disassemble(leaves)));
        TreeDef::Node("array", children.collect())
    }
    fn assemble(def: &TreeDef, leaves: &mut dyn Iterator<Item = Value>) -> Self {
        std::array::from_fn(|i| T::assemble(def.child(i), leaves))
    }
    fn restore(saved: &Structure, statics: &[StaticValue]) -> Result<TreeDef, Misfit> {
        match saved.node("array")?.len() {
            n if n == N => restore_items::<T>("array", saved, statics),
            n => Err(Misfit::new(format!("array of {n}, where the type has {N}"))),
        }
    }
}

impl<T: Tree> Tree for Option<T> {
    fn disassemble(&self, leaves: &mut Vec<Value>) -> TreeDef {
        match self {
            Some(item) => TreeDef::Node("Some", vec![(Segment::Field("0"), item.disassemble(leaves))]),
            None => TreeDef::Node("None", vec![]),
        }
    }
    fn assemble(def: &TreeDef, leaves: &mut dyn Iterator<Item = Value>) -> Self {
        def.children().first().map(|(_, child)| T::assemble(child, leaves))
    }
    fn restore(saved: &Structure, statics: &[StaticValue]) -> Result<TreeDef, Misfit> {
        if saved.fields("None", &[]).is_ok() {
            return Ok(TreeDef::Node("None", vec![]));
        }
        let children = saved.fields("Some", &["0"])?;
        Ok(TreeDef::Node("Some", vec![restore_child::<T>(Segment::Field("0"), &children[0].1, statics)?]))
    }
}

/// A type that keys of a map may have: converts to the text in a path and back.
pub trait TreeKey: Clone + Eq + Ord + Hash + 'static {
    /// The text; no two keys have the same text.
    fn to_text(&self) -> Arc<str>;
    /// The key with this text; `None` if there is none.
    fn from_text(text: &str) -> Option<Self>;
}

macro_rules! keys {
    ($($t:ty)*) => { $(impl TreeKey for $t {
        fn to_text(&self) -> Arc<str> {
            self.to_string().into()
        }
        fn from_text(text: &str) -> Option<Self> {
            text.parse().ok().filter(|key: &Self| &*key.to_text() == text)
        }
    })* };
}
keys!(String char bool u8 u16 u32 u64 usize i8 i16 i32 i64 isize);

/// The children of a map, in this order.
fn disassemble_items<'a, K: TreeKey, T: Tree + 'a>(
    name: &'static str,
    items: impl Iterator<Item = (&'a K, &'a T)>,
    leaves: &mut Vec<Value>,
) -> TreeDef {
    TreeDef::Node(name, items.map(|(key, item)| (Segment::Key(key.to_text()), item.disassemble(leaves))).collect())
}

/// The items of a map.
fn assemble_items<K: TreeKey, T: Tree, M: FromIterator<(K, T)>>(
    def: &TreeDef,
    leaves: &mut dyn Iterator<Item = Value>,
) -> M {
    let key = |segment: &Segment| K::from_text(&segment.name()).expect("a map's segments are its keys");
    def.children().iter().map(|(segment, child)| (key(segment), T::assemble(child, leaves))).collect()
}

/// The children of a map that was written; `is_sorted` if its items are sorted by key.
fn restore_map<K: TreeKey, T: Tree>(
    name: &'static str,
    is_sorted: bool,
    saved: &Structure,
    statics: &[StaticValue],
) -> Result<TreeDef, Misfit> {
    let written = saved.node(name)?;
    let mut keys: Vec<K> = vec![];
    let mut children = vec![];
    for (text, child) in written {
        let Some(key) = K::from_text(text) else {
            return Err(Misfit::new(format!("`{text}` is not a key of type {}", type_name::<K>())));
        };
        if keys.contains(&key) {
            return Err(Misfit::new(format!("the key `{text}` is there twice")));
        }
        if is_sorted && keys.last().is_some_and(|last| *last > key) {
            return Err(Misfit::new(format!("the key `{text}` is not in its place: a {name} is sorted by key")));
        }
        children.push(restore_child::<T>(Segment::Key(key.to_text()), child, statics)?);
        keys.push(key);
    }
    Ok(TreeDef::Node(name, children))
}

/// In insertion order, which is part of the structure.
impl<K: TreeKey, T: Tree, S: BuildHasher + Default> Tree for IndexMap<K, T, S> {
    fn disassemble(&self, leaves: &mut Vec<Value>) -> TreeDef {
        disassemble_items("IndexMap", self.iter(), leaves)
    }
    fn assemble(def: &TreeDef, leaves: &mut dyn Iterator<Item = Value>) -> Self {
        assemble_items::<K, T, Self>(def, leaves)
    }
    fn restore(saved: &Structure, statics: &[StaticValue]) -> Result<TreeDef, Misfit> {
        restore_map::<K, T>("IndexMap", false, saved, statics)
    }
}

/// Sorted by key.
impl<K: TreeKey, T: Tree> Tree for BTreeMap<K, T> {
    fn disassemble(&self, leaves: &mut Vec<Value>) -> TreeDef {
        disassemble_items("BTreeMap", self.iter(), leaves)
    }
    fn assemble(def: &TreeDef, leaves: &mut dyn Iterator<Item = Value>) -> Self {
        assemble_items::<K, T, Self>(def, leaves)
    }
    fn restore(saved: &Structure, statics: &[StaticValue]) -> Result<TreeDef, Misfit> {
        restore_map::<K, T>("BTreeMap", true, saved, statics)
    }
}

/// Sorted by key, whatever the map's iteration order.
impl<K: TreeKey, T: Tree, S: BuildHasher + Default> Tree for HashMap<K, T, S> {
    fn disassemble(&self, leaves: &mut Vec<Value>) -> TreeDef {
        let mut items: Vec<(&K, &T)> = self.iter().collect();
        items.sort_by_key(|(key, _)| *key);
        disassemble_items("HashMap", items.into_iter(), leaves)
    }
    fn assemble(def: &TreeDef, leaves: &mut dyn Iterator<Item = Value>) -> Self {
        assemble_items::<K, T, Self>(def, leaves)
    }
    fn restore(saved: &Structure, statics: &[StaticValue]) -> Result<TreeDef, Misfit> {
        restore_map::<K, T>("HashMap", true, saved, statics)
    }
}

/// Like its content: a box adds no segment to a path.
impl<T: Tree> Tree for Box<T> {
    fn disassemble(&self, leaves: &mut Vec<Value>) -> TreeDef {
        T::disassemble(self, leaves)
    }
    fn assemble(def: &TreeDef, leaves: &mut dyn Iterator<Item = Value>) -> Self {
        Box::new(T::assemble(def, leaves))
    }
    fn restore(saved: &Structure, statics: &[StaticValue]) -> Result<TreeDef, Misfit> {
        T::restore(saved, statics)
    }
}

impl<T: ?Sized> Tree for PhantomData<T> {
    fn disassemble(&self, _: &mut Vec<Value>) -> TreeDef {
        TreeDef::Node("PhantomData", vec![])
    }
    fn assemble(_: &TreeDef, _: &mut dyn Iterator<Item = Value>) -> Self {
        PhantomData
    }
    fn restore(saved: &Structure, _: &[StaticValue]) -> Result<TreeDef, Misfit> {
        saved.fields("PhantomData", &[]).map(|_| TreeDef::Node("PhantomData", vec![]))
    }
}

macro_rules! tuple {
    ($($t:ident $i:tt $name:literal),*) => {
        impl<$($t: Tree),*> Tree for ($($t,)*) {
            #[allow(unused_variables, reason = "the empty tuple has no leaf")]
            fn disassemble(&self, leaves: &mut Vec<Value>) -> TreeDef {
                TreeDef::Node("tuple", vec![$((Segment::Field($name), self.$i.disassemble(leaves))),*])
            }
            #[allow(unused_variables, clippy::unused_unit, reason = "the empty tuple has no leaf")]
            fn assemble(def: &TreeDef, leaves: &mut dyn Iterator<Item = Value>) -> Self {
                ($($t::assemble(def.child($i), leaves),)*)
            }
            #[allow(unused_variables, reason = "the empty tuple has no leaf")]
            fn restore(saved: &Structure, statics: &[StaticValue]) -> Result<TreeDef, Misfit> {
                let children = saved.fields("tuple", &[$($name),*])?;
                Ok(TreeDef::Node(
                    "tuple",
                    vec![$(restore_child::<$t>(Segment::Field($name), &children[$i].1, statics)?),*],
                ))
            }
        }
    };
}
tuple!();
tuple!(A 0 "0");
tuple!(A 0 "0", B 1 "1");
tuple!(A 0 "0", B 1 "1", C 2 "2");
tuple!(A 0 "0", B 1 "1", C 2 "2", D 3 "3");
tuple!(A 0 "0", B 1 "1", C 2 "2", D 3 "3", E 4 "4");
tuple!(A 0 "0", B 1 "1", C 2 "2", D 3 "3", E 4 "4", F 5 "5");
tuple!(A 0 "0", B 1 "1", C 2 "2", D 3 "3", E 4 "4", F 5 "5", G 6 "6");
tuple!(A 0 "0", B 1 "1", C 2 "2", D 3 "3", E 4 "4", F 5 "5", G 6 "6", H 7 "7");
