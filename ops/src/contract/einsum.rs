//! `einsum`: sums of products whose axes are named by letters.

use super::dot_general::{Roles, dot_general};
use super::subscripts::{Label, Subscripts};
use crate::array::Array;
use crate::movement::reject;
use gavotte_core::aval::{Dim, Verdict, volume};
use gavotte_core::ir::structural::renamed;
use gavotte_core::ir::{decide, same, undecided};

/// The sum of products of any number of arrays, whose axes are named by letters: axes of the same letter run together,
/// and letters that the result lacks are summed over.
///
/// The operands' letters are separated by commas; those of the result follow an arrow. Without an arrow, the result has
/// the letters that occur once, in the order of the alphabet, upper case first. A letter that an operand has twice takes
/// its diagonal. `...` stands for any number of axes, aligned at the last; they come first in a result without an arrow.
/// Spaces mean nothing. As in NumPy, an axis of extent 1 stretches to the extent that its letter has in another operand.
///
/// | `spec` | result |
/// | --- | --- |
/// | `"ij,jk->ik"` | the product of two matrices |
/// | `"bij,bjk->bik"`, `"...ij,...jk"` | products of batches of matrices |
/// | `"i,j->ij"` | every element times every element |
/// | `"ij,ij->i"` | products of rows |
/// | `"ii->i"`, `"ii"` | the diagonal, its sum |
/// | `"ij->ji"` | the transpose |
///
/// Two operands at a time are multiplied and summed: of the pairs that share a letter, or of all if none do, the one with
/// the smallest result; of equal results, the one with fewer products; of equal ones, the first. Where symbols are not
/// known to compare, the earlier pair counts as the smaller: pairs are then taken from left to right. The result of a
/// pair takes the place of its first operand.
///
/// ```
/// use gavotte::{Array, einsum};
/// let (a, x) = (Array::from([[1, 2], [3, 4]]), Array::from([1, 10]));
/// assert_eq!(einsum("ij,j->i", &[&a, &x]).to_vec::<i32>(), [21, 43]);
/// assert_eq!(einsum("ii", &[&a]).item::<i32>(), 5);
/// assert_eq!(einsum("i,ij,j->", &[&x, &a, &x]).item::<i32>(), 451);
/// ```
///
/// # Panics
/// If `spec` has another number of operands, or of letters for an operand, than are given; has another character; has
/// two arrows; has a letter in the result that occurs there twice or in no operand; or has an ellipsis among the operands
/// but not in the result. If a letter has two extents, or the element types differ.
#[track_caller]
pub fn einsum(spec: &str, operands: &[&Array]) -> Array {
    let ranks: Vec<usize> = operands.iter().map(|array| array.ndim()).collect();
    let subscripts = match Subscripts::parse(spec, &ranks) {
        Ok(subscripts) => subscripts,
        Err(why) => reject("einsum", why, operands),
    };
    let first = operands[0].dtype();
    if let Some(other) = operands.iter().find(|array| array.dtype() != first) {
        let why = format!("element types {first} and {} differ: convert with `astype` first", other.dtype());
        reject("einsum", why, operands);
    }
    let extents = extents(&subscripts, operands);
    let extent =
        |label: Label| extents.iter().find(|(known, _)| *known == label).map_or(Dim::from(1), |(_, n)| n.clone());
    let mut terms = vec![];
    for (array, labels) in operands.iter().zip(&subscripts.ins) {
        terms.push(Term::new(array, labels, &extent));
    }
    for i in 0..terms.len() {
        terms[i] = terms[i].summed(&needed(terms.iter().map(|term| &term.labels[..]), &[i], &subscripts.out));
    }
    let labels: Vec<Vec<Label>> = terms.iter().map(|term| term.labels.clone()).collect();
    for (i, j) in order(labels, &subscripts.out, &extent) {
        let kept = needed(terms.iter().map(|term| &term.labels[..]), &[i, j], &subscripts.out);
        terms[i] = terms[i].times(&terms[j], &kept);
        terms.remove(j);
    }
    let Term { array, labels } = &terms[0];
    let place = |label: &Label| labels.iter().position(|own| own == label).expect("an operand has each letter");
    array.permute(&subscripts.out.iter().map(place).collect::<Vec<usize>>())
}

/// The extent of each label. An axis of extent 1 stretches, but not next to another of its own operand.
#[track_caller]
fn extents(subscripts: &Subscripts, operands: &[&Array]) -> Vec<(Label, Dim)> {
    // With the operand where it was found.
    let mut found: Vec<(Label, Dim, usize)> = vec![];
    for (i, (array, labels)) in operands.iter().zip(&subscripts.ins).enumerate() {
        for (axis, label) in labels.iter().enumerate() {
            let n = array.dim(axis);
            let own = labels.iter().position(|other| other == label).filter(|other| *other < axis);
            if let Some(m) = own.map(|other| array.dim(other)).filter(|m| !same(m, &n)) {
                let open = undecided(&m.equal_to(&n), &m, &n);
                reject("einsum", format!("the {label} has the extents {m} and {n} in operand {i}{open}"), operands);
            }
            let Some((_, m, at)) = found.iter_mut().find(|(known, ..)| known == label) else {
                found.push((*label, n, i));
                continue;
            };
            if *m == 1 {
                (*m, *at) = (n, i);
            } else if n != 1 && !same(m, &n) {
                let open = undecided(&m.equal_to(&n), m, &n);
                let why = format!("the {label} has the extent {m} in operand {at} and {n} in operand {i}{open}");
                reject("einsum", why, operands);
            }
        }
    }
    found.into_iter().map(|(label, extent, _)| (label, extent)).collect()
}

/// The labels that the result has, or a term besides these.
fn needed<'a>(terms: impl Iterator<Item = &'a [Label]>, besides: &[usize], out: &[Label]) -> Vec<Label> {
    let others = terms.enumerate().filter(|(at, _)| !besides.contains(at)).flat_map(|(_, labels)| labels);
    others.chain(out).copied().collect()
}

/// The pairs in the order in which they are contracted, each by its places among the terms that are left then. The result
/// takes the first place of its pair.
fn order(mut terms: Vec<Vec<Label>>, out: &[Label], extent: &dyn Fn(Label) -> Dim) -> Vec<(usize, usize)> {
    let mut pairs = vec![];
    while terms.len() > 1 {
        let all = (0..terms.len()).flat_map(|i| (i + 1..terms.len()).map(move |j| (i, j)));
        let (near, far): (Vec<_>, Vec<_>) =
            all.partition(|(i, j)| terms[*i].iter().any(|label| terms[*j].contains(label)));
        let mut best: Option<Candidate> = None;
        for pair in if near.is_empty() { far } else { near } {
            let next = Candidate::of(pair, &terms, out, extent);
            if best.as_ref().is_none_or(|best| next.is_cheaper_than(best)) {
                best = Some(next);
            }
        }
        let Candidate { pair: (i, j), labels, .. } = best.expect("two terms are a pair");
        terms[i] = labels;
        terms.remove(j);
        pairs.push((i, j));
    }
    pairs
}

/// A pair that may be contracted.
struct Candidate {
    pair: (usize, usize),
    /// The labels of the result.
    labels: Vec<Label>,
    /// The number of its elements.
    size: Dim,
    /// The number of products that are summed.
    products: Dim,
}

impl Candidate {
    fn of((i, j): (usize, usize), terms: &[Vec<Label>], out: &[Label], extent: &dyn Fn(Label) -> Dim) -> Candidate {
        let kept = needed(terms.iter().map(Vec::as_slice), &[i, j], out);
        let mut both = terms[i].clone();
        both.extend(terms[j].iter().filter(|label| !terms[i].contains(label)));
        let labels: Vec<Label> = both.iter().copied().filter(|label| kept.contains(label)).collect();
        let count = |labels: &[Label]| volume(&labels.iter().map(|label| extent(*label)).collect::<Vec<Dim>>());
        Candidate { pair: (i, j), size: count(&labels), products: count(&both), labels }
    }

    /// Whether it surely costs less.
    fn is_cheaper_than(&self, other: &Candidate) -> bool {
        let is_at_most = |a: &Dim, b: &Dim| decide(&a.at_most(b)) == Verdict::Holds;
        let is_less = |a: &Dim, b: &Dim| is_at_most(a, b) && !is_at_most(b, a);
        is_less(&self.size, &other.size) || (same(&self.size, &other.size) && is_less(&self.products, &other.products))
    }
}

/// An array whose axes have different labels.
struct Term {
    array: Array,
    labels: Vec<Label>,
}

impl Term {
    /// An operand: diagonals taken, axes that stretch left out, equal extents under one name.
    #[track_caller]
    fn new(array: &Array, labels: &[Label], extent: &dyn Fn(Label) -> Dim) -> Term {
        let stretched: Vec<usize> =
            (0..labels.len()).filter(|axis| array.shape()[*axis] == 1 && extent(labels[*axis]) != 1).collect();
        let mut array = if stretched.is_empty() { array.clone() } else { array.squeeze(stretched.as_slice()) };
        let all = labels.iter().enumerate().filter(|(axis, _)| !stretched.contains(axis));
        let mut labels: Vec<Label> = all.map(|(_, label)| *label).collect();
        let shape: Vec<Dim> = labels.iter().map(|label| extent(*label)).collect();
        array = renamed(array.value(), &shape).into();
        while let Some((a, b)) = twice(&labels) {
            array = array.diagonal(0, a as isize, b as isize);
            let label = labels.remove(b);
            labels.remove(a);
            labels.push(label);
        }
        Term { array, labels }
    }

    /// Summed over the axes whose labels are not kept.
    #[track_caller]
    fn summed(&self, kept: &[Label]) -> Term {
        let axes: Vec<usize> = (0..self.labels.len()).filter(|axis| !kept.contains(&self.labels[*axis])).collect();
        let labels = self.labels.iter().copied().filter(|label| kept.contains(label)).collect();
        let array = if axes.is_empty() { self.array.clone() } else { self.array.sum(axes.as_slice()) };
        Term { array, labels }
    }

    /// The product with another term, summed over the shared labels that are not kept.
    #[track_caller]
    fn times(&self, other: &Term, kept: &[Label]) -> Term {
        let mut roles = Roles { batch: [vec![], vec![]], contract: [vec![], vec![]] };
        let (mut batch, mut free) = (vec![], vec![]);
        for (i, label) in self.labels.iter().enumerate() {
            let Some(j) = other.labels.iter().position(|known| known == label) else {
                free.push(*label);
                continue;
            };
            let shared = if kept.contains(label) {
                batch.push(*label);
                &mut roles.batch
            } else {
                &mut roles.contract
            };
            shared[0].push(i);
            shared[1].push(j);
        }
        free.extend(other.labels.iter().filter(|label| !self.labels.contains(label)));
        Term {
            array: dot_general(self.array.value(), other.array.value(), &roles).into(),
            labels: [batch, free].concat(),
        }
    }
}

/// The first two places with the same label.
fn twice(labels: &[Label]) -> Option<(usize, usize)> {
    let second = (0..labels.len()).find(|j| labels[..*j].contains(&labels[*j]))?;
    Some((labels.iter().position(|label| *label == labels[second])?, second))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pairs for operands whose letters have these extents.
    fn pairs(spec: &str, extents: &[(char, Dim)]) -> Vec<(usize, usize)> {
        let ranks: Vec<usize> = spec.split("->").next().unwrap_or("").split(',').map(str::len).collect();
        let Subscripts { ins, out } = Subscripts::parse(spec, &ranks).expect("it parses");
        let extent = |label: Label| {
            extents.iter().find(|(letter, _)| Label::Letter(*letter) == label).expect("an extent").1.clone()
        };
        order(ins, &out, &extent)
    }

    #[test]
    fn the_smallest_result_comes_first() {
        let numbers = |list: [i64; 4]| -> Vec<(char, Dim)> { "abcd".chars().zip(list.map(Dim::from)).collect() };
        assert_eq!(pairs("ab,bc,cd->ad", &numbers([2, 30, 40, 50])), [(0, 1), (0, 1)]);
        assert_eq!(pairs("ab,bc,cd->ad", &numbers([50, 40, 30, 2])), [(1, 2), (0, 1)]);
        // The results have 8 elements each, of 32 products and of 16.
        assert_eq!(pairs("ab,bc,cd->ad", &numbers([4, 4, 2, 2]))[0], (1, 2));
        assert_eq!(pairs("ab,bc,ac->abc", &numbers([2, 3, 4, 1])), [(0, 1), (0, 1)]);
        // A pair without a shared letter waits, though its result is smaller.
        assert_eq!(pairs("ab,cd,bc->ad", &numbers([2, 90, 90, 2])), [(0, 2), (0, 1)]);
    }

    #[test]
    fn symbols_that_do_not_compare_go_from_left_to_right() {
        let extents: Vec<(char, Dim)> =
            "abcd".chars().map(|letter| (letter, Dim::symbol(&letter.to_string()))).collect();
        assert_eq!(pairs("ab,bc,cd->ad", &extents), [(0, 1), (0, 1)]);
        assert_eq!(pairs("ab,cd,bc->ad", &extents), [(0, 2), (0, 1)]);
        let mixed = [('a', Dim::symbol("n")), ('b', 8.into()), ('c', 4.into()), ('d', 2.into())];
        assert_eq!(pairs("ab,bc,cd->ad", &mixed)[0], (0, 1));
    }
}
