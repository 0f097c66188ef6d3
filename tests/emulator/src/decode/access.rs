//! Instructions that touch memory.

use super::function::{Decoder, Symbol};
use super::opcode::Opcode;
use super::{Address, Atomic, LOCAL_WINDOW, Op, PARAM_WINDOW, SHARED_WINDOW, Transfer};
use crate::arith::atomic;
use crate::ptx::{Base, Operand, PtxError, Space, Statement, Type};

/// Modifiers that change nothing here: caching and visibility.
const WITHOUT_EFFECT: [&str; 22] = [
    "ca",
    "cg",
    "cs",
    "lu",
    "cv",
    "wb",
    "wt",
    "weak",
    "cta",
    "cluster",
    "gpu",
    "sys",
    "acq_rel",
    "L1::evict_normal",
    "L1::evict_last",
    "L1::evict_first",
    "L1::no_allocate",
    "L1::evict_unchanged",
    "L2::64B",
    "L2::128B",
    "L2::256B",
    "noftz",
];

/// Modifiers of accesses that may be concurrent with others.
const STRONG: [&str; 4] = ["volatile", "relaxed", "acquire", "release"];

impl Decoder<'_> {
    pub(super) fn access(&mut self, mut opcode: Opcode<'_>, statement: &Statement) -> Result<(), PtxError> {
        let space = self.take_space(&mut opcode);
        let is_to = opcode.takes("to");
        for modifier in WITHOUT_EFFECT {
            opcode.takes(modifier);
        }
        let is_strong = STRONG.map(|modifier| opcode.takes(modifier)).contains(&true);
        match opcode.name {
            "ld" | "ldu" | "st" => self.transfer(opcode, space, is_strong, statement),
            "cvta" => self.convert_address(&opcode, space, is_to, statement),
            _ => self.atomic(&opcode, space, statement),
        }
    }

    fn take_space(&self, opcode: &mut Opcode<'_>) -> Space {
        let at = opcode.modifiers.iter().position(|modifier| Space::named(modifier).is_some());
        at.and_then(|at| Space::named(opcode.modifiers.remove(at))).unwrap_or(Space::Generic)
    }

    fn address(&mut self, operand: &Operand, space: Space) -> Result<Address, PtxError> {
        let Operand::Address(base, offset) = operand else { return Err(self.error("an address in brackets expected")) };
        let Base::Name(name) = base else {
            let base = self.constant(0)?;
            return Ok(Address { space, base, offset: *offset, mask: u64::MAX });
        };
        match self.symbol(name) {
            Some(Symbol::Register(base, ty)) => {
                let mask = u64::MAX >> (64 - 8 * ty.bytes());
                Ok(Address { space, base, offset: *offset, mask })
            }
            Some(Symbol::Variable(space, address)) => {
                let base = self.variable_row(name, address, 0)?;
                Ok(Address { space, base, offset: *offset, mask: u64::MAX })
            }
            None => Err(self.error(format!("`{name}` is not known"))),
        }
    }

    fn transfer(
        &mut self,
        mut opcode: Opcode<'_>,
        space: Space,
        is_strong: bool,
        statement: &Statement,
    ) -> Result<(), PtxError> {
        let is_load = opcode.name != "st";
        let is_constant = is_load && opcode.takes("nc");
        let count = opcode.takes_one(&[("v2", 2), ("v4", 4)]).unwrap_or(1);
        let ty = opcode.only_type().filter(|&ty| ty != Type::Pred && opcode.modifiers.is_empty());
        let ty = ty.ok_or_else(|| self.unknown(statement))?;
        if count * ty.bytes() > 16 {
            return Err(self.unknown(statement));
        }
        let (data, address) = match (&statement.operands[..], is_load) {
            ([data, address], true) | ([address, data], false) => (data, address),
            _ => return Err(self.error("an address and what is moved expected")),
        };
        let elements = match data {
            Operand::Vector(elements) => &elements[..],
            single => std::slice::from_ref(single),
        };
        if elements.len() != count as usize {
            return Err(self.error(format!("{count} registers expected")));
        }
        let address = self.address(address, space)?;
        let (mut rows, mut width) = ([0; 4], 64);
        for (row, element) in rows.iter_mut().zip(elements) {
            if is_load {
                let (to, register) = self.destination(element)?;
                width = 8 * register.map_or(8, Type::bytes) as u8;
                *row = to;
            } else {
                *row = self.operand(element, ty)?;
            }
        }
        let (bytes, is_signed) = (ty.bytes() as u8, ty.is_signed());
        let transfer = Transfer { address, rows, count: count as u8, bytes, is_signed, width, is_strong, is_constant };
        self.emit(if is_load { Op::Load(transfer) } else { Op::Store(transfer) })
    }

    /// `cvta`: addresses of windows are shifted by the start of the window.
    fn convert_address(
        &mut self,
        opcode: &Opcode<'_>,
        space: Space,
        is_to: bool,
        statement: &Statement,
    ) -> Result<(), PtxError> {
        if opcode.only_type() != Some(Type::U64) || !opcode.modifiers.is_empty() {
            return Err(self.unknown(statement));
        }
        let window = match space {
            Space::Shared => SHARED_WINDOW,
            Space::Local => LOCAL_WINDOW,
            Space::Param => PARAM_WINDOW,
            Space::Global | Space::Const => 0,
            Space::Generic => return Err(self.unknown(statement)),
        };
        let [to, from] = &statement.operands[..] else { return Err(self.error("two operands expected")) };
        let (to, from) = (self.destination(to)?.0, self.operand(from, Type::U64)?);
        let window = self.constant(if is_to { window.wrapping_neg() } else { window })?;
        self.emit_entry("add", Type::U64, to, &[from, window])
    }

    fn atomic(&mut self, opcode: &Opcode<'_>, space: Space, statement: &Statement) -> Result<(), PtxError> {
        let ty = opcode.only_type().ok_or_else(|| self.unknown(statement))?;
        let [name] = opcode.modifiers[..] else { return Err(self.unknown(statement)) };
        let update = atomic(name, ty).ok_or_else(|| self.unknown(statement))?;
        let (to, operands) = match (&statement.operands[..], opcode.name) {
            ([to, operands @ ..], "atom") => (self.destination(to)?.0, operands),
            (operands, _) => (self.row()?, operands),
        };
        let (address, values) = match (operands, name) {
            ([address, a, b], "cas") => (address, [a, b]),
            ([address, a], _) if name != "cas" => (address, [a, a]),
            _ => return Err(self.error("an address and values expected")),
        };
        let address = self.address(address, space)?;
        if !matches!(address.space, Space::Global | Space::Shared | Space::Generic) {
            return Err(self.unknown(statement));
        }
        let from = [self.operand(values[0], ty)?, self.operand(values[1], ty)?];
        self.emit(Op::Atomic(Atomic { address, bytes: ty.bytes() as u8, update, to, from }))
    }
}
