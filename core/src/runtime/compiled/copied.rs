//! Operands of large products that are no matrices, such as the windows of a convolution, which overlap: a block of one is
//! copied before it is multiplied.

use crate::aval::Sizes;
use crate::kernel::Windows;
use std::ops::Range;

/// Nested loops, outermost first: the number of iterations of each, and how many elements an iteration moves.
type Loops = Vec<(usize, usize)>;

/// How to find the elements of an operand.
#[derive(Debug)]
pub(super) struct Copied {
    /// The loops down and across.
    loops: [Loops; 2],
    /// Whether neighbours in a column are neighbours in memory, rather than those in a row.
    is_by_column: bool,
}

impl Copied {
    /// An operand of these loops; `None` if a loop runs backwards.
    pub(super) fn new(windows: &Windows, sizes: &Sizes) -> Option<Copied> {
        let mut loops = [vec![], vec![]];
        for (loops, axes) in loops.iter_mut().zip(windows) {
            for (extent, stride) in axes {
                let (extent, stride) = (extent.at(sizes).as_usize()?, stride.at(sizes).as_usize()?);
                // Loops that are one in this array are one.
                match loops.last_mut() {
                    Some((outer, step)) if *step == stride * extent => (*outer, *step) = (*outer * extent, stride),
                    _ => loops.push((extent, stride)),
                }
            }
        }
        let step = |loops: &Loops| loops.last().map_or(1, |(_, step)| *step);
        let is_by_column = step(&loops[0]) < step(&loops[1]);
        Some(Copied { loops, is_by_column })
    }

    /// Copies the rows and columns in these ranges. Returns how many elements of the copy a step down and a step across
    /// move.
    pub(super) fn copy<T: Copy>(
        &self,
        from: &[T],
        [rows, columns]: [Range<usize>; 2],
        into: &mut Vec<T>,
    ) -> [isize; 2] {
        into.clear();
        into.reserve(rows.len() * columns.len());
        let (height, width) = (rows.len() as isize, columns.len() as isize);
        let [down, across] = &self.loops;
        match self.is_by_column {
            false => copy(from, (down, rows), (across, columns), into),
            true => copy(from, (across, columns), (down, rows), into),
        }
        if self.is_by_column { [1, height] } else { [width, 1] }
    }
}

/// Copies row after row.
fn copy<T: Copy>(
    from: &[T],
    (down, rows): (&Loops, Range<usize>),
    (across, columns): (&Loops, Range<usize>),
    into: &mut Vec<T>,
) {
    let Some((&(length, step), outer)) = across.split_last() else { return };
    // The parts of a row along the innermost loop: where each begins, and its number of elements.
    let mut parts = vec![];
    let mut at = columns.start;
    while at < columns.end {
        let n = (length - at % length).min(columns.end - at);
        parts.push((place(outer, at / length) + at % length * step, n));
        at += n;
    }
    for row in rows {
        let row = place(down, row);
        for (part, n) in &parts {
            let start = row + part;
            match step {
                1 => into.extend_from_slice(&from[start..start + n]),
                _ => into.extend(from[start..].iter().step_by(step).take(*n)),
            }
        }
    }
}

/// Where iteration `n` of nested loops is.
fn place(loops: &[(usize, usize)], mut n: usize) -> usize {
    let mut at = 0;
    for (extent, step) in loops.iter().rev() {
        at += n % extent * step;
        n /= extent;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aval::Dim;

    #[test]
    fn windows_are_copied_by_row_and_by_column() {
        // Windows of 2 by 2 over 3 by 4 elements: rows are places of the window, columns are places in it.
        let from: Vec<i32> = (0..12).collect();
        let loops = |list: [[usize; 2]; 2]| list.map(|[n, step]| (Dim::from(n), Dim::from(step))).to_vec();
        let (places, within) = (loops([[2, 4], [3, 1]]), loops([[2, 4], [2, 1]]));
        for windows in [[places.clone(), within.clone()], [within, places]] {
            let copied = Copied::new(&windows, &Sizes::new()).expect("its loops are numbers");
            let number = |n: &Dim| n.as_usize().expect("it is a number");
            let sizes = windows.each_ref().map(|loops| loops.iter().map(|(n, _)| number(n)).product::<usize>());
            let at = |loops: &[(Dim, Dim)], i: usize| i / number(&loops[1].0) * 4 + i % number(&loops[1].0);
            let mut copy = vec![];
            for ranges in [[0..sizes[0], 0..sizes[1]], [1..sizes[0], 1..sizes[1] - 1], [2..2, 0..1]] {
                let [down, across] = copied.copy(&from, ranges.clone(), &mut copy);
                assert_eq!(copy.len(), ranges[0].len() * ranges[1].len());
                for (i, row) in ranges[0].clone().enumerate() {
                    for (j, column) in ranges[1].clone().enumerate() {
                        let found = copy[i * down as usize + j * across as usize];
                        assert_eq!(found, from[at(&windows[0], row) + at(&windows[1], column)]);
                    }
                }
            }
        }
    }
}
