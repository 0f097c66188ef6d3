//! An opcode in its parts.

use crate::ptx::Type;

/// `mul.wide.s32` is the name `mul`, the modifier `wide`, the type `s32`.
pub(super) struct Opcode<'a> {
    pub(super) name: &'a str,
    pub(super) modifiers: Vec<&'a str>,
    pub(super) types: Vec<Type>,
}

impl<'a> Opcode<'a> {
    pub(super) fn new(text: &'a str) -> Opcode<'a> {
        let mut parts = text.split('.');
        let name = parts.next().unwrap_or("");
        let (mut modifiers, mut types) = (vec![], vec![]);
        for part in parts {
            match Type::named(part) {
                Some(ty) => types.push(ty),
                None => modifiers.push(part),
            }
        }
        Opcode { name, modifiers, types }
    }

    /// Removes a modifier; returns whether it was there.
    pub(super) fn takes(&mut self, modifier: &str) -> bool {
        let at = self.modifiers.iter().position(|&other| other == modifier);
        at.map(|at| self.modifiers.remove(at)).is_some()
    }

    /// Removes all modifiers listed in a table; returns the table's value for the first of them.
    pub(super) fn takes_one<T: Copy>(&mut self, table: &[(&str, T)]) -> Option<T> {
        let at = self.modifiers.iter().position(|modifier| table.iter().any(|(name, _)| name == modifier))?;
        let modifier = self.modifiers.remove(at);
        table.iter().find(|(name, _)| *name == modifier).map(|(_, value)| *value)
    }

    /// The only type; none if there are more.
    pub(super) fn only_type(&self) -> Option<Type> {
        if let [ty] = self.types[..] { Some(ty) } else { None }
    }

    /// Name and modifiers, joined.
    pub(super) fn joined(&self) -> String {
        std::iter::once(self.name).chain(self.modifiers.iter().copied()).collect::<Vec<_>>().join(".")
    }
}
