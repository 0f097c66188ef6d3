//! Axes for a map, leaf by leaf: a prefix of a tree.

use crate::tree::{Segment, TreeDef};

/// Which axis of each leaf a map runs over: a prefix of the tree, as in JAX. An entry for a node applies to every leaf
/// below it. A number is an axis, and negative numbers count from the end; `()` and `None` leave the leaf unmapped;
/// tuples, arrays and vectors have one entry per child; [`MapAxes::field`] names children.
///
/// ```
/// # use gavotte_core::api::MapAxes;
/// // The first argument along its axis 0, of the second `w` along its last axis, of the third nothing.
/// let axes: MapAxes = (0, MapAxes::field("w", -1), ()).into();
/// # assert_eq!(axes, MapAxes::Children(vec![MapAxes::At(0), MapAxes::field("w", -1), MapAxes::Unmapped]));
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MapAxes {
    /// Every leaf at this axis; negative numbers count from the end.
    At(isize),
    /// Every leaf is the same for all batch elements.
    Unmapped,
    /// One entry per child, in order; static fields do not count.
    Children(Vec<MapAxes>),
    /// Children by name, number or key; those without an entry are the same for all batch elements.
    Fields(Vec<(String, MapAxes)>),
}

impl MapAxes {
    /// Axes for one child; the others are the same for all batch elements.
    pub fn field(name: impl Into<String>, axes: impl Into<MapAxes>) -> MapAxes {
        MapAxes::Fields(vec![(name.into(), axes.into())])
    }

    /// Adds axes for one more child.
    pub fn and(self, name: impl Into<String>, axes: impl Into<MapAxes>) -> MapAxes {
        let mut fields = match self {
            MapAxes::Fields(fields) => fields,
            _ => vec![],
        };
        fields.push((name.into(), axes.into()));
        MapAxes::Fields(fields)
    }

    /// Returns an entry for each leaf of a tree, or where and why the prefix does not fit. `what` names the tree.
    pub(super) fn of_leaves(&self, def: &TreeDef, what: &str) -> Result<Vec<Option<isize>>, String> {
        let mut found = vec![];
        self.walk(def, "", what, &mut found)?;
        Ok(found)
    }

    fn walk(&self, def: &TreeDef, path: &str, what: &str, found: &mut Vec<Option<isize>>) -> Result<(), String> {
        let children: Vec<&(Segment, TreeDef)> =
            def.children().iter().filter(|(_, child)| !matches!(child, TreeDef::Static(_))).collect();
        let at = if path.is_empty() { String::new() } else { format!(" at {path}") };
        let names = || children.iter().map(|(segment, _)| segment.to_string()).collect::<Vec<_>>().join(", ");
        let below = |segment: &Segment| if path.is_empty() { segment.to_string() } else { format!("{path}.{segment}") };
        match self {
            MapAxes::At(axis) => found.extend(vec![Some(*axis); def.n_leaf()]),
            MapAxes::Unmapped => found.extend(vec![None; def.n_leaf()]),
            _ if *def == TreeDef::Leaf => {
                return Err(format!("{what}{at} is an array: it takes one axis or none, not entries for children"));
            }
            MapAxes::Children(all) if all.len() != children.len() => {
                let (n, m) = (all.len(), children.len());
                return Err(format!("{what}{at} has {m} children ({}), but {n} entries", names()));
            }
            MapAxes::Children(all) => {
                for (axes, (segment, child)) in all.iter().zip(&children) {
                    axes.walk(child, &below(segment), what, found)?;
                }
            }
            MapAxes::Fields(fields) => {
                let is_child = |name: &str| children.iter().any(|(segment, _)| segment.name() == *name);
                if let Some((name, _)) = fields.iter().find(|(name, _)| !is_child(name)) {
                    return Err(format!("{what}{at} has no child `{name}`: there are {}", names()));
                }
                for (segment, child) in &children {
                    let name = segment.name();
                    let axes = fields.iter().find(|(field, _)| *field == name).map(|(_, axes)| axes);
                    axes.unwrap_or(&MapAxes::Unmapped).walk(child, &below(segment), what, found)?;
                }
            }
        }
        Ok(())
    }
}

/// An axis of `rank` axes; negative numbers count from the end.
pub(super) fn resolved(axis: isize, rank: usize) -> Result<usize, String> {
    let at = if axis < 0 { axis + rank as isize } else { axis };
    match usize::try_from(at) {
        Ok(at) if at < rank => Ok(at),
        _ if rank == 0 => Err(format!("no axis {axis}: it has none")),
        _ => Err(format!("no axis {axis}: it must lie in -{rank}..{rank}")),
    }
}

// `i32` makes a bare number such as `-1` fit.
macro_rules! from_number {
    ($($t:ty)*) => { $(
        impl From<$t> for MapAxes {
            fn from(axis: $t) -> Self {
                MapAxes::At(axis as isize)
            }
        }
    )* };
}
from_number!(i32 isize usize);

impl From<()> for MapAxes {
    fn from((): ()) -> Self {
        MapAxes::Unmapped
    }
}
impl<T: Into<MapAxes>> From<Option<T>> for MapAxes {
    fn from(axes: Option<T>) -> Self {
        axes.map_or(MapAxes::Unmapped, Into::into)
    }
}
impl<T: Into<MapAxes>> From<Vec<T>> for MapAxes {
    fn from(axes: Vec<T>) -> Self {
        MapAxes::Children(axes.into_iter().map(Into::into).collect())
    }
}
impl<T: Into<MapAxes>, const N: usize> From<[T; N]> for MapAxes {
    fn from(axes: [T; N]) -> Self {
        MapAxes::Children(axes.into_iter().map(Into::into).collect())
    }
}

macro_rules! from_tuple {
    ($($t:ident $v:ident),*) => {
        impl<$($t: Into<MapAxes>),*> From<($($t,)*)> for MapAxes {
            fn from(($($v,)*): ($($t,)*)) -> Self {
                MapAxes::Children(vec![$($v.into()),*])
            }
        }
    };
}
from_tuple!(A a);
from_tuple!(A a, B b);
from_tuple!(A a, B b, C c);
from_tuple!(A a, B b, C c, D d);
from_tuple!(A a, B b, C c, D d, E e);
from_tuple!(A a, B b, C c, D d, E e, F f);
from_tuple!(A a, B b, C c, D d, E e, F f, G g);
from_tuple!(A a, B b, C c, D d, E e, F f, G g, H h);
