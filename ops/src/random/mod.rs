//! Random numbers as a function of a key: `threefry2x32`, bit for bit as `jax.random` with
//! `jax_threefry_partitionable=True`.
//!
//! A [`Key`] is neither `Copy` nor `Clone`, and every sampler takes it by value: a key is used once. Element `i`
//! (row-major) of a draw depends only on the key and on `i`, so a mask can be recomputed wherever it is needed.
//!
//! ```compile_fail,E0382
//! # use gavotte::{DType, random::Key};
//! let key = Key::new(0);
//! let a = key.uniform([2], DType::F32);
//! let b = key.uniform([2], DType::F32); // the key has been used
//! ```

mod distributions;
mod erf;
mod rng;
mod single;

pub(crate) use erf::{horner, inverse_by_log};

pub use rng::KeyRng;

use crate::array::{Array, apply_many};
use crate::elementwise::{THREEFRY2X32, threefry2x32};
use crate::generate::{dim_value, iota};
use crate::movement::{reject, reshape, slice, stack};
use crate::operators::where_;
use gavotte_core::aval::{DType, Dim, Shape, volume};
use gavotte_core::device::memory;
use gavotte_core::error::Error;
use gavotte_core::ir::{Params, assume, demand, for_caller, refuse};
use gavotte_core::tree::Tree;

/// A key: `u32[2]`. Use it once, or [`split`](Key::split) it.
///
/// A batch of keys, `u32[n,2]`, has this type too, so that a function of a key can be mapped over it with `vmap`; every
/// sampler refuses it.
#[derive(Tree, Debug)]
pub struct Key(Array);

impl Key {
    /// The key of a seed: its high and its low word.
    pub fn new(seed: u64) -> Key {
        Key::from_words([(seed >> 32) as u32, seed as u32])
    }

    fn from_words(words: [u32; 2]) -> Key {
        Key(Array::new(&[2], words.to_vec()))
    }

    /// The key in an array of two words, such as a row of [`split_array`](Key::split_array).
    ///
    /// # Panics
    /// If the array is not `u32[2]`.
    #[track_caller]
    pub fn from_array(words: Array) -> Key {
        if words.dtype() != DType::U32 || words.ndim() != 1 || words.dim(0) != 2usize {
            reject("from_array", "a key is u32[2]", &[&words]);
        }
        Key(words)
    }

    /// The two words, as an array.
    pub fn into_array(self) -> Array {
        self.0
    }

    /// The two words on the host; an error while the key is being traced, and for a batch of keys.
    fn to_words(&self) -> Result<[u32; 2], Error> {
        self.check_single()?;
        let host = self.0.to_host()?;
        let words = host.as_slice::<u32>();
        Ok([words[0], words[1]])
    }

    fn check_single(&self) -> Result<(), Error> {
        match self.0.ndim() {
            1 => Ok(()),
            _ => Err(Error::Type(format!(
                "{} is a batch of keys, not one: map the function of a key over it, with vmap",
                self.0.value().aval()
            ))),
        }
    }

    /// The two words as scalars.
    #[track_caller]
    fn words(&self) -> [Array; 2] {
        if let Err(error) = self.check_single() {
            refuse(error);
        }
        if let Ok(words) = self.to_words() {
            return words.map(Array::scalar);
        }
        let word = |i: usize| reshape(&slice(self.0.value(), &[i.into()], &[(i + 1).into()], &[1]), &[]).into();
        for_caller(|| [0usize, 1].map(word))
    }

    /// Both words of the block function at a counter.
    #[track_caller]
    fn blocks(&self, high: &Array, low: &Array) -> [Array; 2] {
        let [k0, k1] = self.words();
        let blocks = apply_many(THREEFRY2X32, &[&k0, &k1, high, low], Params::new());
        blocks.try_into().unwrap_or_else(|_| unreachable!("threefry2x32 has two outputs"))
    }

    /// The key made of both words at a counter.
    #[track_caller]
    fn at(&self, high: &Array, low: &Array) -> Key {
        let [a, b] = self.blocks(high, low);
        Key(where_(&iota([2], 0, DType::U32).eq(0u32), a, b))
    }

    #[track_caller]
    fn child(&self, i: usize) -> Key {
        self.at(&Array::scalar(0u32), &Array::scalar(i as u32))
    }

    /// `N` new keys.
    #[track_caller]
    pub fn split<const N: usize>(self) -> [Key; N] {
        let keys = self.split_into(N);
        keys.try_into().unwrap_or_else(|_| unreachable!("as many as were asked for"))
    }

    /// `n` new keys.
    ///
    /// # Panics
    /// If there are more than 2³², or more than fit in memory. [`split_batch`](Self::split_batch) makes many at less cost.
    #[track_caller]
    pub fn split_into(self, n: usize) -> Vec<Key> {
        let advice = "`split_batch` makes many at less cost";
        demand(n as u64 <= MOST as u64, || format!("split_into: {n} keys: a key has 2³² of its own; {advice}"));
        // About what an array takes.
        let room = memory::require(n.saturating_mul(256));
        demand(room.is_ok(), || format!("split_into: {n} keys: {}; {advice}", room.unwrap_err()));
        let mut keys = Vec::with_capacity(n);
        for i in 0..n {
            keys.push(self.child(i));
        }
        keys
    }

    /// `n` new keys as `u32[n,2]`, for a map over them.
    #[track_caller]
    pub fn split_array(self, n: impl Into<Dim>) -> Array {
        let shape = [n.into(), Dim::from(2)];
        let [a, b] = self.blocks(&Array::scalar(0u32), &iota(&shape, 0, DType::U32));
        where_(&iota(&shape, 1, DType::U32).eq(0u32), a, b)
    }

    /// A batch of `n` new keys, over which `vmap` maps a function of a key.
    ///
    /// ```
    /// # use gavotte::{DType, random::Key, vmap};
    /// let rows = vmap(|key: Key| key.uniform([2], DType::F32), [Some(0)])(Key::new(0).split_batch(3));
    /// assert_eq!(rows.shape().as_slice(), [3, 2]);
    /// ```
    #[track_caller]
    pub fn split_batch(self, n: impl Into<Dim>) -> Key {
        Key(self.split_array(n))
    }

    /// These keys as a batch.
    ///
    /// # Panics
    /// If there are none, or one is a batch.
    #[track_caller]
    pub fn stack(keys: impl IntoIterator<Item = Key>) -> Key {
        let mut words = vec![];
        for key in keys {
            if let Err(error) = key.check_single() {
                refuse(error);
            }
            words.push(key.0);
        }
        Key(stack(&words, 0))
    }

    /// A new key for a number, such as that of a training step: a `u32`, or a scalar array of integers.
    ///
    /// # Panics
    /// If it is an array but not an integer scalar.
    #[track_caller]
    pub fn fold_in(self, data: impl FoldIn) -> Key {
        let data = data.word();
        if data.ndim() > 0 || !data.dtype().is_int() {
            reject("fold_in", "takes one integer: an i32 or u32 scalar", &[&data]);
        }
        self.at(&Array::scalar(0u32), &data.astype(DType::U32))
    }

    /// A generator for work on the host, which implements the traits of the crate `rand`.
    ///
    /// # Panics
    /// If the key is being traced.
    #[track_caller]
    pub fn rng(self) -> KeyRng {
        match self.to_words() {
            Ok(words) => KeyRng::from_words(words),
            Err(error) => refuse(Error::Trace(format!("rng: numbers on the host need a computed key: {error}"))),
        }
    }
}

/// An argument of [`Key::fold_in`].
pub trait FoldIn {
    /// The number as an array.
    fn word(self) -> Array;
}
impl FoldIn for u32 {
    fn word(self) -> Array {
        Array::scalar(self)
    }
}
impl FoldIn for &Array {
    fn word(self) -> Array {
        self.clone()
    }
}
impl FoldIn for Array {
    fn word(self) -> Array {
        self
    }
}

/// The row-major number of each element of `shape`, as `u32`: elementwise, so that it fuses.
#[track_caller]
fn counter(shape: &Shape) -> Array {
    for_caller(|| numbered(shape, |axis| iota(shape, axis, DType::U32)))
}

/// The most elements that may be drawn with one key: their numbers are words.
const MOST: i64 = 1 << 32;

/// Refuses a shape of more elements than may be drawn with one key.
#[track_caller]
fn check_draw(shape: &[Dim]) {
    let n = volume(shape);
    let fits = !n.is_too_large() && n.as_number().is_none_or(|n| n <= MOST);
    demand(fits, || {
        let elements = if n.is_too_large() { "2⁶³ or more".to_string() } else { n.to_string() };
        let advice = "draw parts, each with a key of its own (`split`)";
        format!("a draw of {elements} elements, of shape {shape:?}: at most 2³² fit one key; {advice}")
    });
}

/// The row-major number, in an array of shape `shape`, of the element at these positions.
#[track_caller]
fn numbered(shape: &Shape, position: impl Fn(usize) -> Array) -> Array {
    check_draw(shape);
    let n = volume(shape);
    if n.as_number().is_none() {
        // The number may exceed the limit for some sizes; calls with such sizes are refused.
        assume(Dim::from(MOST).at_least(&n));
    }
    let mut sum: Option<Array> = None;
    for axis in 0..shape.len() {
        let stride = volume(&shape[axis + 1..]);
        let here = position(axis);
        let here = if stride == 1usize { here } else { here * dim_value(&stride, DType::U32) };
        sum = Some(match sum {
            Some(sum) => sum + here,
            None => here,
        });
    }
    sum.unwrap_or(Array::scalar(0u32))
}
