//! Kernels without a reduction: a thread for each row.

use super::body::{Body, Level};
use super::draft::Draft;
use super::function::{Name, Written};
use super::launch::{Param, Pieces, ThreadGroup, When, Work};
use super::nest::{declare_row, write_row_loops};
use super::shape::rows;
use crate::ir::Unsupported;
use crate::kernel::Kernel;

/// Writes a kernel whose loops are all rows.
pub(super) fn write(kernel: &Kernel, name: &Name) -> Result<Written, Unsupported> {
    let mut draft = Draft::new(kernel, name.width);
    let mut body = Body::new(kernel);
    let places = declare_row(&mut draft);
    body.write(&mut draft, Level::Row)?;
    for (scalar, (var, _)) in kernel.results.iter().zip(&kernel.outputs) {
        let (row, value) = (draft.row_number(), body.operand(&mut draft, *scalar));
        draft.line(format!("v{}[{row}] = {value};", var.0));
    }
    write_row_loops(&mut draft, places.mark);
    let units = vec![Pieces { extent: rows(kernel), of: 1 }];
    let work = Work { team: ThreadGroup::Thread, units, is_parted: false, when: When::Always };
    let arrays = (0..kernel.inputs.len()).map(Param::Input).chain((0..kernel.outputs.len()).map(Param::Output));
    Ok(Written { functions: vec![name.function(&draft, arrays.collect(), work)], parts: None })
}
