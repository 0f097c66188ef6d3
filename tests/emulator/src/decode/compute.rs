//! Instructions that compute, and what their modifiers add.

use super::Op;
use super::function::Decoder;
use super::opcode::Opcode;
use crate::arith::{Conversion, Entry, Rounding, Rows, compare, entry};
use crate::ptx::{Operand, PtxError, Statement, Type};

/// Rounding modifiers: of floats, and to whole numbers.
const ROUNDINGS: [(&str, (Rounding, bool)); 8] = [
    ("rn", (Rounding::Nearest, false)),
    ("rz", (Rounding::Zero, false)),
    ("rm", (Rounding::Down, false)),
    ("rp", (Rounding::Up, false)),
    ("rni", (Rounding::Nearest, true)),
    ("rzi", (Rounding::Zero, true)),
    ("rmi", (Rounding::Down, true)),
    ("rpi", (Rounding::Up, true)),
];

/// Operations that may join a comparison with a predicate.
const JOINS: [(&str, &str); 3] = [("and", "and"), ("or", "or"), ("xor", "xor")];

impl Decoder<'_> {
    pub(super) fn compute(&mut self, opcode: Opcode<'_>, statement: &Statement) -> Result<(), PtxError> {
        match opcode.name {
            "cvt" => self.convert(opcode, statement),
            "setp" => self.set_predicate(opcode, statement),
            "set" => self.set(opcode, statement),
            "mov" if statement.operands.iter().any(|operand| matches!(operand, Operand::Vector(_))) => {
                self.move_vector(&opcode, statement)
            }
            "add" | "addc" | "sub" | "subc" | "mad" | "madc"
                if opcode.modifiers.contains(&"cc") || opcode.name.ends_with('c') =>
            {
                self.carrying(opcode, statement)
            }
            _ => self.table_instruction(opcode, statement),
        }
    }

    /// An instruction of the table. `.ftz` and `.sat` become separate steps.
    fn table_instruction(&mut self, mut opcode: Opcode<'_>, statement: &Statement) -> Result<(), PtxError> {
        let ty = self.table_type(&mut opcode, statement)?;
        let flushes = opcode.takes("ftz");
        let saturates = ty == Type::F32 && opcode.takes("sat");
        if ty.is_float() {
            // All three round to nearest here.
            for modifier in ["rn", "approx", "full"] {
                opcode.takes(modifier);
            }
        }
        let name = joined_with_last_type(&opcode);
        let entry = entry(&name, ty).ok_or_else(|| self.unknown(statement))?;
        let [to, from @ ..] = &statement.operands[..] else { return Err(self.error("operands expected")) };
        if from.len() != entry.operands {
            return Err(self.error(format!("{} operands expected, and a destination", entry.operands)));
        }
        let to = self.destination(to)?.0;
        let mut rows = Rows { to, from: [0; 4] };
        for (index, operand) in from.iter().enumerate() {
            rows.from[index] = self.operand(operand, operand_type(&name, index, ty))?;
            if flushes {
                rows.from[index] = self.emit_new("flush", ty, &[rows.from[index]])?;
            }
        }
        self.emit(Op::Compute(entry.run, rows))?;
        if flushes && !name.starts_with("testp") {
            self.emit_entry("flush", ty, to, &[to])?;
        }
        if saturates {
            self.emit_entry("saturate", ty, to, &[to])?;
        }
        Ok(())
    }

    /// The type under which the table is searched: the first.
    fn table_type(&self, opcode: &mut Opcode<'_>, statement: &Statement) -> Result<Type, PtxError> {
        let is_known =
            opcode.types.len() == 1 || opcode.types.len() == 2 && ["slct", "dp2a", "dp4a"].contains(&opcode.name);
        let ty = opcode.types.first().copied().filter(|_| is_known);
        ty.ok_or_else(|| self.unknown(statement))
    }

    fn convert(&mut self, mut opcode: Opcode<'_>, statement: &Statement) -> Result<(), PtxError> {
        let [to, from] = opcode.types[..] else { return Err(self.unknown(statement)) };
        let rounding = opcode.takes_one(&ROUNDINGS);
        let (flushes, saturates) = (opcode.takes("ftz"), opcode.takes("sat"));
        if !opcode.modifiers.is_empty() || to == Type::Pred || from == Type::Pred {
            return Err(self.unknown(statement));
        }
        let [target, operand] = &statement.operands[..] else { return Err(self.error("two operands expected")) };
        let (row, register) = self.destination(target)?;
        let mut operand = self.operand(operand, from)?;
        if flushes && from == Type::F32 {
            operand = self.emit_new("flush", from, &[operand])?;
        }
        let (rounding, to_whole) = rounding.unwrap_or((Rounding::Nearest, false));
        let width = 8 * register.map_or(8, Type::bytes);
        let conversion = Conversion { to, from, rounding, to_whole, saturates, width };
        self.emit(Op::Convert(conversion, Rows { to: row, from: [operand, 0, 0, 0] }))?;
        if flushes && to == Type::F32 {
            self.emit_entry("flush", to, row, &[row])?;
        }
        Ok(())
    }

    /// A comparison and its opposite as new rows, each joined with the other predicate.
    fn comparison(
        &mut self,
        opcode: &mut Opcode<'_>,
        ty: Type,
        operands: &[Operand],
        statement: &Statement,
    ) -> Result<(u32, u32), PtxError> {
        let flushes = opcode.takes("ftz");
        let join = opcode.takes_one(&JOINS);
        let [name] = opcode.modifiers[..] else { return Err(self.unknown(statement)) };
        let Entry { run, .. } = compare(name, ty).ok_or_else(|| self.unknown(statement))?;
        let (a, b, other) = match (operands, join) {
            ([a, b], None) => (a, b, None),
            ([a, b, other], Some(join)) => (a, b, Some((join, other))),
            _ => return Err(self.error("two operands expected, and a third where they are joined with it")),
        };
        let (mut a, mut b) = (self.operand(a, ty)?, self.operand(b, ty)?);
        if flushes {
            (a, b) = (self.emit_new("flush", ty, &[a])?, self.emit_new("flush", ty, &[b])?);
        }
        let holds = self.row()?;
        self.emit(Op::Compute(run, Rows { to: holds, from: [a, b, 0, 0] }))?;
        let fails = self.emit_new("not", Type::Pred, &[holds])?;
        let Some((join, other)) = other else { return Ok((holds, fails)) };
        let other = self.operand(other, Type::Pred)?;
        let both = self.emit_new(join, Type::Pred, &[holds, other])?;
        Ok((both, self.emit_new(join, Type::Pred, &[fails, other])?))
    }

    fn set_predicate(&mut self, mut opcode: Opcode<'_>, statement: &Statement) -> Result<(), PtxError> {
        let ty = opcode.only_type().ok_or_else(|| self.unknown(statement))?;
        let [target, operands @ ..] = &statement.operands[..] else { return Err(self.error("operands expected")) };
        // The usual case is one instruction.
        if let ([name], Operand::Name(_), [a, b]) = (&opcode.modifiers[..], target, operands) {
            let Entry { run, .. } = compare(name, ty).ok_or_else(|| self.unknown(statement))?;
            let to = self.destination(target)?.0;
            let rows = Rows { to, from: [self.operand(a, ty)?, self.operand(b, ty)?, 0, 0] };
            return self.emit(Op::Compute(run, rows));
        }
        let (holds, fails) = self.comparison(&mut opcode, ty, operands, statement)?;
        let (first, second) = match target {
            Operand::Pair(first, second) => (Operand::Name(first.clone()), Some(Operand::Name(second.clone()))),
            target => (target.clone(), None),
        };
        let first = self.destination(&first)?.0;
        self.emit_entry("mov", Type::Pred, first, &[holds])?;
        if let Some(second) = second {
            let second = self.destination(&second)?.0;
            self.emit_entry("mov", Type::Pred, second, &[fails])?;
        }
        Ok(())
    }

    /// `set`: the result of a comparison as all ones, or as 1.0.
    fn set(&mut self, mut opcode: Opcode<'_>, statement: &Statement) -> Result<(), PtxError> {
        let [to, ty] = opcode.types[..] else { return Err(self.unknown(statement)) };
        let yes = match to {
            Type::U32 | Type::S32 => self.constant(u64::from(u32::MAX))?,
            Type::F32 => self.constant(u64::from(1f32.to_bits()))?,
            _ => return Err(self.unknown(statement)),
        };
        let no = self.constant(0)?;
        let [target, operands @ ..] = &statement.operands[..] else { return Err(self.error("operands expected")) };
        let (holds, _) = self.comparison(&mut opcode, ty, operands, statement)?;
        let target = self.destination(target)?.0;
        self.emit_entry("selp", Type::B32, target, &[yes, no, holds])
    }

    /// `mov.b64 {a, b}, c` and `mov.b64 c, {a, b}`.
    fn move_vector(&mut self, opcode: &Opcode<'_>, statement: &Statement) -> Result<(), PtxError> {
        let ty = opcode.only_type().filter(|_| opcode.modifiers.is_empty()).ok_or_else(|| self.unknown(statement))?;
        match &statement.operands[..] {
            [Operand::Vector(parts), whole] => {
                let width = self.part_width(ty, parts.len())?;
                let mask = self.constant(u64::MAX >> (64 - width))?;
                let mut whole = self.operand(whole, ty)?;
                for (index, part) in parts.iter().enumerate() {
                    let part = self.destination(part)?.0;
                    if index > 0 {
                        let width = self.constant(u64::from(width))?;
                        whole = self.emit_new("shr", Type::U64, &[whole, width])?;
                    }
                    self.emit_entry("and", Type::B64, part, &[whole, mask])?;
                }
                Ok(())
            }
            [whole, Operand::Vector(parts)] => {
                let width = self.part_width(ty, parts.len())?;
                let part_type = if width == 16 { Type::B16 } else { Type::B32 };
                let target = self.destination(whole)?.0;
                let mut sum = self.constant(0)?;
                for (index, part) in parts.iter().enumerate() {
                    let part = self.operand(part, part_type)?;
                    let by = self.constant(u64::from(width) * index as u64)?;
                    let shifted = self.emit_new("shl", Type::B64, &[part, by])?;
                    sum = self.emit_new("or", Type::B64, &[sum, shifted])?;
                }
                self.emit_entry("mov", Type::B64, target, &[sum])
            }
            _ => Err(self.unknown(statement)),
        }
    }

    /// The bits of each part of a value.
    fn part_width(&self, ty: Type, parts: usize) -> Result<u32, PtxError> {
        match (ty.bytes(), parts) {
            (8, 2) => Ok(32),
            (8, 4) | (4, 2) => Ok(16),
            _ => Err(self.error("parts that make up the whole expected")),
        }
    }

    /// Sums with a carry: `add.cc`, `addc`, and the multiply-adds like them.
    fn carrying(&mut self, mut opcode: Opcode<'_>, statement: &Statement) -> Result<(), PtxError> {
        let ty = opcode.only_type().ok_or_else(|| self.unknown(statement))?;
        let sets = opcode.takes("cc");
        let uses = opcode.name.ends_with('c');
        let half = opcode.takes_one(&[("lo", "mul.lo"), ("hi", "mul.hi")]);
        let is_product = opcode.name.starts_with("mad");
        if !opcode.modifiers.is_empty() || is_product != half.is_some() {
            return Err(self.unknown(statement));
        }
        let [to, operands @ ..] = &statement.operands[..] else { return Err(self.error("operands expected")) };
        let to = self.destination(to)?.0;
        let mut rows = operands.iter().map(|operand| self.operand(operand, ty)).collect::<Result<Vec<_>, _>>()?;
        if let (Some(half), [a, b, c]) = (half, &rows[..]) {
            rows = vec![self.emit_new(half, ty, &[*a, *b])?, *c];
        }
        let [a, b] = rows[..] else { return Err(self.error("other operands expected")) };
        let carry = self.carry()?;
        let carried = if uses { carry } else { self.constant(0)? };
        let (name, flag) = if opcode.name.starts_with("sub") { ("subc", "borrow") } else { ("addc", "carry") };
        let sum = self.emit_new(name, ty, &[a, b, carried])?;
        if sets {
            self.emit_entry(flag, ty, carry, &[a, b, carried])?;
        }
        self.emit_entry("mov", ty, to, &[sum])
    }
}

/// The name in the table: `slct.f32.s32` is `slct.s32` of `f32`.
fn joined_with_last_type(opcode: &Opcode<'_>) -> String {
    match opcode.types[..] {
        [_, Type::S32] => opcode.joined() + ".s32",
        [_, Type::F32] => opcode.joined() + ".f32",
        _ => opcode.joined(),
    }
}

/// The type of each operand, for operands that are numbers.
fn operand_type(name: &str, index: usize, ty: Type) -> Type {
    match (name, index, ty) {
        ("mad.wide", 2, Type::U16) => Type::U32,
        ("mad.wide", 2, Type::S16) => Type::S32,
        ("mad.wide", 2, Type::U32) => Type::U64,
        ("mad.wide", 2, Type::S32) => Type::S64,
        ("selp", 2, _) => Type::Pred,
        ("slct.f32", 2, _) => Type::F32,
        ("shl" | "shr" | "bfe", 1.., _) | ("bfi", 2.., _) | ("slct.s32", 2, _) => Type::U32,
        _ => ty,
    }
}
