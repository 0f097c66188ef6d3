//! What a kernel may read of its own group.
//!
//! A range of rows makes rows of arrays, and the members of these rows. Within the same range another kernel may read
//! its current row, its current member, the row of that member, and the members of that row. Anything else may belong
//! to rows that no thread has reached yet.

use crate::aval::Dim;
use crate::ir::{Index, Program, Scalar, Var};
use crate::kernel::fuse::Fusion;
use crate::kernel::{Instr, Kernel, LoopKind, Members, Part};

/// A map from members to rows that the program's equations name.
#[derive(Clone, Debug)]
pub(super) struct Pairing {
    pub(super) rows: Dim,
    pub(super) members: Members,
}

/// The pairings whose members are sorted by row, each once: those known to be consistent.
pub(super) fn sorted_pairings(program: &Program, fusion: &Fusion) -> Vec<Pairing> {
    let avals = program.avals();
    let mut found: Vec<Pairing> = vec![];
    for eqn in &program.eqns {
        let Some(operands) = eqn.prim.segments() else { continue };
        let vars = operands.map(|operand| eqn.ins.get(operand).and_then(|atom| atom.var()));
        let [Some(ids), Some(offsets), _] = vars else { continue };
        let (ids, offsets) = (fusion.memory(ids), fusion.memory(offsets));
        let is_found = found.iter().any(|p| p.members.ids == ids && p.members.offsets == offsets);
        if !is_found && fusion.is_paired(ids, offsets) {
            let (rows, extent) = (&avals[offsets.index()].shape[0] - 1, avals[ids.index()].shape[0].clone());
            found.push(Pairing { rows, members: Members { ids, offsets, extent } });
        }
    }
    found
}

/// The loops of a kernel that are at the rows and members of a range.
struct Walk {
    row: Option<u32>,
    member: Option<u32>,
}

fn walk(kernel: &Kernel, part: Part, members: Option<&Members>, fusion: &Fusion) -> Walk {
    let own = |offsets: u32| members.is_some_and(|m| m.offsets == fusion.memory(kernel.inputs[offsets as usize].0));
    match part {
        Part::Row => {
            let member = kernel
                .loops
                .iter()
                .position(|l| matches!(l.kind, LoopKind::Segment { segment: 0, offsets } if own(offsets)));
            Walk { row: Some(0), member: member.map(|number| number as u32) }
        }
        Part::RowReduce(number) => Walk { row: Some(number), member: None },
        Part::Member => Walk { row: None, member: Some(0) },
        Part::MemberReduce(number) => Walk { row: None, member: Some(number) },
    }
}

/// How a kernel reads an array that another kernel of its group makes, or why it cannot do so within one group.
pub(super) type Reach = Result<&'static str, &'static str>;

/// Whether `kernel`, which goes over the rows as `part` says, may read `var` in the group that makes it as `made`.
/// `same_rows` says whether an alias has the same first axis as the memory that it names.
pub(super) fn reach(
    kernel: &Kernel,
    part: Part,
    members: Option<&Members>,
    fusion: &Fusion,
    (var, made): (Var, Part),
    same_rows: &dyn Fn(Var) -> bool,
) -> Reach {
    if made.is_partial() {
        return Err("a reduction of all rows, which is complete after its group");
    }
    let walk = walk(kernel, part, members, fusion);
    let of = |input: u32| fusion.memory(kernel.inputs[input as usize].0) == var;
    if kernel.loops.iter().any(|l| matches!(l.kind, LoopKind::Segment { offsets, .. } if of(offsets))) {
        return Err("the offsets of a segment loop");
    }
    // The row of the member that a loop is at, by the group's own list.
    let is_row_of_member = |scalar: Scalar| match &kernel.body[scalar.0 as usize] {
        Instr::Load(input, index) => {
            let ids = fusion.memory(kernel.inputs[*input as usize].0);
            members.is_some_and(|m| m.ids == ids)
                && index.len() == 1
                && walk.member.is_some_and(|number| index[0].is_loop(number))
        }
        _ => false,
    };
    let mut how = "not read";
    for instr in &kernel.body {
        let Instr::Load(input, index) = instr else { continue };
        if !of(*input) {
            continue;
        }
        let Some(first) = index.first().filter(|_| same_rows(kernel.inputs[*input as usize].0)) else {
            return Err("read with other rows than it is made with");
        };
        let at = |number: Option<u32>| number.is_some_and(|number| first.is_loop(number));
        how = match (made, first) {
            (Part::Row, _) if at(walk.row) => "read at its row",
            (Part::Row, Index::Value(scalar)) if is_row_of_member(*scalar) => "read at the row of each member",
            (Part::Member, _) if at(walk.member) && part == Part::Row => "read at the members of each row",
            (Part::Member, _) if at(walk.member) => "read at its member",
            (Part::Row, Index::Value(_)) => return Err("read at gathered rows"),
            (_, Index::Value(_)) => return Err("read at gathered members"),
            _ => return Err("read at other rows than the current ones"),
        };
    }
    Ok(how)
}
