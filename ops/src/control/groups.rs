//! The three groups of a scan's operands and results.

/// An item for each constant, carry and sequence of a scan. Results have no constants; in an iteration, rows take the
/// place of sequences.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Groups<T> {
    pub(super) consts: Vec<T>,
    pub(super) carries: Vec<T>,
    pub(super) rows: Vec<T>,
}

impl<T: Clone> Groups<T> {
    /// Items in order: this many constants, this many carries, the rest are rows.
    pub(super) fn of(items: &[T], n_const: usize, n_carry: usize) -> Groups<T> {
        let (consts, others) = items.split_at(n_const);
        let (carries, rows) = others.split_at(n_carry);
        Groups { consts: consts.to_vec(), carries: carries.to_vec(), rows: rows.to_vec() }
    }

    /// Items in order, in groups of the same sizes as these.
    pub(super) fn like<U: Clone>(&self, items: &[U]) -> Groups<U> {
        Groups::of(items, self.consts.len(), self.carries.len())
    }

    /// All items in order.
    pub(super) fn all(&self) -> Vec<T> {
        [&self.consts[..], &self.carries, &self.rows].concat()
    }

    /// The items that are marked.
    pub(super) fn marked(&self, marks: &Groups<bool>) -> Groups<T> {
        self.zip(marks, super::nested::marked)
    }

    /// Concatenates the items of each group with those of the other's group.
    pub(super) fn beside(&self, other: &Groups<T>) -> Groups<T> {
        self.zip(other, |own, other| [own, other].concat())
    }

    /// The inverse of [`Groups::beside`]: splits items in the order of [`Groups::all`] as `self.beside(other)` joins
    /// them.
    pub(super) fn part<U: Clone>(&self, other: &Groups<T>, items: &[U]) -> (Groups<U>, Groups<U>) {
        let joint = self.beside(other).like(items);
        let first = joint.zip(self, |items, own| items[..own.len()].to_vec());
        let second = joint.zip(self, |items, own| items[own.len()..].to_vec());
        (first, second)
    }

    /// Applies `f` to each item.
    pub(super) fn map<U>(&self, f: impl Fn(&T) -> U) -> Groups<U> {
        let each = |items: &[T]| items.iter().map(&f).collect();
        Groups { consts: each(&self.consts), carries: each(&self.carries), rows: each(&self.rows) }
    }

    fn zip<U, V>(&self, other: &Groups<U>, f: impl Fn(&[T], &[U]) -> Vec<V>) -> Groups<V> {
        Groups {
            consts: f(&self.consts, &other.consts),
            carries: f(&self.carries, &other.carries),
            rows: f(&self.rows, &other.rows),
        }
    }
}

impl Groups<bool> {
    /// Marks the carries that an iteration with these marks marks among its results; returns whether another one was
    /// marked.
    pub(super) fn mark_carries(&mut self, outs: &Groups<bool>) -> bool {
        let before = self.carries.clone();
        self.carries.iter_mut().zip(&outs.carries).for_each(|(carry, out)| *carry |= *out);
        self.carries != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_side_by_side_is_parted_again() {
        let own = Groups::of(&[1, 2, 3, 4, 5], 2, 1);
        let marks = Groups::of(&[true, false, true, false, true], 2, 1);
        let marked = own.marked(&marks);
        assert_eq!(marked, Groups { consts: vec![1], carries: vec![3], rows: vec![5] });
        let joint = own.beside(&marked);
        assert_eq!(joint.all(), [1, 2, 1, 3, 3, 4, 5, 5]);
        assert_eq!(own.part(&marked, &joint.all()), (own.clone(), marked));
    }
}
