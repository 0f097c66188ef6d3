//! Products of several matrices.

use super::square;
use crate::array::Array;
use crate::generate::eye;
use crate::movement::reject;
use gavotte_core::aval::Dim;

/// The product of two or more matrices, two at a time in the order that needs the fewest products of numbers. The first
/// may be a vector, a row, and the last one too, a column. If an extent is a symbol, they are multiplied from left to right.
///
/// ```
/// use gavotte::{Array, linalg::multi_dot};
/// let (a, x) = (Array::from([[1, 2], [3, 4]]), Array::from([1, 10]));
/// assert_eq!(multi_dot(&[&x, &a, &x]).item::<i32>(), 451);
/// ```
///
/// # Panics
/// If there are fewer than two arrays, one of them has another number of axes, inner extents differ, or the element types
/// do.
#[track_caller]
pub fn multi_dot(arrays: &[&Array]) -> Array {
    if arrays.len() < 2 {
        reject("multi_dot", format!("takes two or more arrays, not {}", arrays.len()), arrays);
    }
    for (i, array) in arrays.iter().enumerate() {
        let may_be_vector = i == 0 || i == arrays.len() - 1;
        if array.ndim() != 2 && !(may_be_vector && array.ndim() == 1) {
            let what = if may_be_vector { "a vector or a matrix" } else { "a matrix" };
            reject("multi_dot", format!("array {i} must be {what}, and has {} axes", array.ndim()), arrays);
        }
    }
    // Extent i is that of the rows of array i, and the last that of the columns of the last array.
    let (first, last) = (arrays[0], arrays[arrays.len() - 1]);
    let mut extents = vec![if first.ndim() == 1 { Dim::from(1) } else { first.dim(0) }];
    extents.extend(arrays[1..].iter().map(|array| array.dim(0)));
    extents.push(if last.ndim() == 1 { Dim::from(1) } else { last.dim(1) });
    let splits = splits(&extents);
    chain(arrays, 0, &|i, j| splits.as_ref().map_or(j - 1, |splits| splits[i][j]))
}

/// For the arrays from `i` to below `j`, where to split them into two products; `None` if an extent is a symbol.
///
/// Source: Cormen, Leiserson, Rivest, Stein, *Introduction to algorithms*, 14.2.
// cost(i, j) = min over k of cost(i, k) + cost(k, j) + nᵢ nₖ nⱼ
fn splits(extents: &[Dim]) -> Option<Vec<Vec<usize>>> {
    let n: Vec<f64> = extents.iter().map(|n| n.as_number().map(|n| n as f64)).collect::<Option<_>>()?;
    let mut cost = vec![vec![0.0; n.len()]; n.len()];
    let mut splits = vec![vec![0; n.len()]; n.len()];
    for length in 2..n.len() {
        for i in 0..n.len() - length {
            let j = i + length;
            cost[i][j] = f64::INFINITY;
            for k in i + 1..j {
                let here = cost[i][k] + cost[k][j] + n[i] * n[k] * n[j];
                if here < cost[i][j] {
                    (cost[i][j], splits[i][j]) = (here, k);
                }
            }
        }
    }
    Some(splits)
}

/// The product of arrays of which the first has the number `start`.
#[track_caller]
fn chain(arrays: &[&Array], start: usize, split: &dyn Fn(usize, usize) -> usize) -> Array {
    if let [one] = arrays {
        return (*one).clone();
    }
    let at = split(start, start + arrays.len());
    let (left, right) = arrays.split_at(at - start);
    chain(left, start, split).matmul(&chain(right, at, split))
}

/// The `n`-th power of the square matrices in the last two axes, by repeated squaring: identity matrices for 0.
///
/// ```
/// use gavotte::{Array, linalg::matrix_power};
/// assert_eq!(matrix_power(&Array::from([[1, 1], [1, 0]]), 5).to_vec::<i32>(), [8, 5, 5, 3]);
/// ```
///
/// # Panics
/// If there are fewer than two axes, or the matrices are not square.
#[track_caller]
pub fn matrix_power(x: &Array, n: u32) -> Array {
    let rows = square("matrix_power", x);
    let (mut power, mut doubled, mut rest) = (None, x.clone(), n);
    while rest > 0 {
        if rest & 1 == 1 {
            power = Some(match power {
                Some(power) => doubled.matmul(&power),
                None => doubled.clone(),
            });
        }
        rest >>= 1;
        if rest > 0 {
            doubled = doubled.matmul(&doubled);
        }
    }
    match power {
        Some(power) => power,
        None => eye(rows, x.dtype()).broadcast_to(x.shape().iter().cloned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_splits_where_it_costs_least() {
        let last = |extents: [i64; 4]| splits(&extents.map(Dim::from)).expect("they are numbers")[0][3];
        // 10 · 100 · 5 + 10 · 5 · 50 = 7,500, against 75,000 with the last two first.
        assert_eq!(last([10, 100, 5, 50]), 2);
        assert_eq!(last([50, 5, 100, 10]), 1);
        assert!(splits(&[2.into(), Dim::symbol("n"), 3.into()]).is_none());
    }
}
