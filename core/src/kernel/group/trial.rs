//! A growing group, and the ways in which it takes another step in.

use super::reach::Pairing;
use super::steps::{Axis, is_enough};
use crate::aval::Dim;
use crate::ir::Var;
use crate::kernel::{Members, Part};

/// A growing group.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) split: Split,
    /// Steps by number; the part matters only where rows are split.
    pub(super) steps: Vec<(usize, Part)>,
}

/// How the work of a growing group is split.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Split {
    Alone,
    Serial,
    Rows { extent: Dim, members: Option<Members> },
}

impl Split {
    pub(super) fn is_rows(&self) -> bool {
        matches!(self, Split::Rows { .. })
    }

    pub(super) fn is_serial(&self) -> bool {
        *self == Split::Serial
    }
}

/// How a group of rows takes in a step with a split loop. What the step reads of the group must also be available:
/// `reach` decides that.
enum Entry<'a> {
    /// The step's loop has the extent of the group's rows.
    Rows,
    /// The same, and a segment loop of the step goes over the members of each row, which the group does not know yet
    /// and now learns. Only then may the step read what the group makes of these members.
    RowsWithMembers(&'a Members),
    /// The step's loop has the extent of the members that the group knows.
    Members,
    /// The group does not know members yet, and the program names members of its rows, as many as the extent of the
    /// step's loop: the group learns them. A step that goes over all members in any order may go over them row by row.
    NewMembers(&'a Members),
    /// The group does not know members yet, and its rows are members of the step's rows, by the program: the step's
    /// rows become the group's rows, and the group's rows become their members.
    RowsOfMembers(&'a Pairing),
}

/// A group with steps that may join it.
#[derive(Clone)]
pub(super) struct Trial {
    /// The group, by number; `None` for a new one.
    pub(super) group: Option<usize>,
    pub(super) split: Split,
    /// Whether the rows of the group's steps become the members of others.
    pub(super) to_members: bool,
    /// The steps that join.
    pub(super) added: Vec<(usize, Part)>,
}

impl Trial {
    /// A new group with the rows of a split loop.
    pub(super) fn new(axis: Option<&Axis>) -> Trial {
        let rows = |axis: &Axis| Split::Rows { extent: axis.extent.clone(), members: None };
        Trial { group: None, split: axis.map_or(Split::Alone, rows), to_members: false, added: vec![] }
    }

    /// The group unchanged.
    pub(super) fn of(number: usize, group: &Open) -> Trial {
        Trial { group: Some(number), split: group.split.clone(), to_members: false, added: vec![] }
    }

    /// The group with one more step, once for each way in. `members_of_step` are the members that a segment loop of the
    /// step goes over, by their offsets.
    pub(super) fn with(
        &self,
        step: usize,
        axis: &Axis,
        pairings: &[Pairing],
        members_of_step: Option<Var>,
    ) -> Vec<Trial> {
        let Split::Rows { extent, members } = &self.split else { return vec![] };
        let entries = entries((extent, members.as_ref()), axis, pairings, members_of_step).into_iter();
        entries.map(|entry| self.entered(step, axis, &entry)).collect()
    }

    fn entered(&self, step: usize, axis: &Axis, entry: &Entry<'_>) -> Trial {
        let mut trial = self.clone();
        let Split::Rows { extent, members } = &mut trial.split else { return trial };
        let part = match entry {
            Entry::Rows | Entry::RowsWithMembers(_) | Entry::RowsOfMembers(_) => axis.over_rows(),
            Entry::Members | Entry::NewMembers(_) => axis.over_members(),
        };
        match entry {
            Entry::Rows | Entry::Members => {}
            Entry::RowsWithMembers(new) | Entry::NewMembers(new) => *members = Some((*new).clone()),
            Entry::RowsOfMembers(pairing) => {
                *extent = pairing.rows.clone();
                *members = Some(pairing.members.clone());
                trial.to_members = true;
                trial.added.iter_mut().for_each(|(_, part)| *part = as_member(*part));
            }
        }
        trial.added.push((step, part));
        trial
    }
}

/// The ways in which a group with these rows and members takes a step in, whatever the step reads; the simplest first.
fn entries<'a>(
    (extent, members): (&Dim, Option<&Members>),
    axis: &Axis,
    pairings: &'a [Pairing],
    members_of_step: Option<Var>,
) -> Vec<Entry<'a>> {
    let mut entries = vec![];
    if *extent == axis.extent {
        entries.push(Entry::Rows);
    }
    if let Some(members) = members {
        if members.extent == axis.extent {
            entries.push(Entry::Members);
        }
        return entries;
    }
    if *extent == axis.extent {
        let own = |p: &&Pairing| p.rows == axis.extent && members_of_step == Some(p.members.offsets);
        entries.extend(pairings.iter().filter(own).map(|p| Entry::RowsWithMembers(&p.members)));
    }
    for pairing in pairings.iter().filter(|p| is_enough(&p.rows)) {
        let Pairing { rows, members } = pairing;
        if rows == extent && members.extent == axis.extent {
            entries.push(Entry::NewMembers(members));
        }
        if *rows == axis.extent && members.extent == *extent {
            entries.push(Entry::RowsOfMembers(pairing));
        }
    }
    entries
}

/// The part of a step whose rows become members.
pub(super) fn as_member(part: Part) -> Part {
    match part {
        Part::Row | Part::Member => Part::Member,
        Part::RowReduce(number) | Part::MemberReduce(number) => Part::MemberReduce(number),
    }
}
