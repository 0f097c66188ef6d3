//! From operands to rows: registers, numbers, special registers, addresses.

use super::Special;
use super::function::{Decoder, Symbol};
use crate::ptx::{Literal, Operand, PtxError, Space, Type};

/// The most rows of registers.
const MAX_ROWS: u32 = 1 << 18;

impl Decoder<'_> {
    /// A new row.
    pub(super) fn row(&mut self) -> Result<u32, PtxError> {
        if self.kernel.rows == MAX_ROWS {
            return Err(self.error("too many registers"));
        }
        self.kernel.rows += 1;
        Ok(self.kernel.rows - 1)
    }

    /// The row that holds a number.
    pub(super) fn constant(&mut self, bits: u64) -> Result<u32, PtxError> {
        if let Some(&row) = self.constants.get(&bits) {
            return Ok(row);
        }
        let row = self.row()?;
        self.constants.insert(bits, row);
        self.kernel.constants.push((row, bits));
        Ok(row)
    }

    /// The symbol of a name, from the innermost scope outwards.
    pub(super) fn symbol(&self, name: &str) -> Option<Symbol> {
        let scopes = &self.frames.last()?.scopes;
        scopes.iter().rev().find_map(|scope| scope.get(name)).or_else(|| self.globals.get(name)).copied()
    }

    /// The register that a name stands for, with its type.
    pub(super) fn register(&self, name: &str) -> Result<(u32, Type), PtxError> {
        match self.symbol(name) {
            Some(Symbol::Register(row, ty)) => Ok((row, ty)),
            _ => Err(self.error(format!("`{name}` is no register"))),
        }
    }

    /// The row that an instruction writes; nobody reads the row of `_`.
    pub(super) fn destination(&mut self, operand: &Operand) -> Result<(u32, Option<Type>), PtxError> {
        match operand {
            Operand::Name(name) if name == "_" => Ok((self.row()?, None)),
            Operand::Name(name) => self.register(name).map(|(row, ty)| (row, Some(ty))),
            _ => Err(self.error("a register expected")),
        }
    }

    /// The row of an operand read as a type.
    pub(super) fn operand(&mut self, operand: &Operand, ty: Type) -> Result<u32, PtxError> {
        match operand {
            Operand::Name(name) => match self.symbol(name) {
                Some(Symbol::Register(row, _)) => Ok(row),
                Some(Symbol::Variable(_, address)) => self.variable_row(name, address, 0),
                None if name == "WARP_SZ" => self.constant(32),
                None => self.special(name),
            },
            Operand::Sum(name, offset) => match self.symbol(name) {
                Some(Symbol::Variable(_, address)) => self.variable_row(name, address, *offset),
                _ => Err(self.error(format!("`{name}` is no variable"))),
            },
            Operand::Number(literal) => {
                let bits = self.bits(*literal, ty)?;
                self.constant(bits)
            }
            Operand::Not(inner) => {
                let row = self.operand(inner, Type::Pred)?;
                self.emit_new("not", Type::Pred, &[row])
            }
            _ => Err(self.error("a register or a number expected")),
        }
    }

    /// The row of a variable's address. Addresses after all shared memory are filled in at the end.
    pub(super) fn variable_row(&mut self, name: &str, address: u64, offset: i64) -> Result<u32, PtxError> {
        let variable = self.module.variables.iter().find(|variable| variable.name == name);
        match variable {
            Some(variable) if variable.space == Space::Shared && variable.bytes.is_none() => {
                let row = self.row()?;
                self.kernel.constants.push((row, offset as u64));
                self.dynamic.push((row, variable.align));
                Ok(row)
            }
            _ => self.constant(address.wrapping_add_signed(offset)),
        }
    }

    fn bits(&self, literal: Literal, ty: Type) -> Result<u64, PtxError> {
        Ok(match (literal, ty) {
            (Literal::Int(value), Type::Pred) => value & 1,
            (Literal::Int(_), Type::F32 | Type::F64) => return Err(self.error("a number with a fraction expected")),
            (Literal::Int(value), _) => value & u64::MAX >> (64 - 8 * ty.bytes()),
            (Literal::F32(bits), Type::F64) => f64::from(f32::from_bits(bits)).to_bits(),
            (Literal::F32(bits), _) => bits.into(),
            (Literal::F64(bits), Type::F32) => (f64::from_bits(bits) as f32).to_bits().into(),
            (Literal::F64(bits), _) => bits,
        })
    }

    fn special(&mut self, name: &str) -> Result<u32, PtxError> {
        if let Some((_, row)) = self.specials.iter().find(|(known, _)| known == name) {
            return Ok(*row);
        }
        let special = special(name).ok_or_else(|| self.error(format!("`{name}` is not known")))?;
        let row = self.row()?;
        self.specials.push((name.into(), row));
        self.kernel.specials.push((row, special));
        Ok(row)
    }

    /// The row of the carry flag.
    pub(super) fn carry(&mut self) -> Result<u32, PtxError> {
        if let Some(row) = self.carry {
            return Ok(row);
        }
        let row = self.row()?;
        self.carry = Some(row);
        Ok(row)
    }
}

fn special(name: &str) -> Option<Special> {
    let axis = |name: &str| match name {
        "x" => Some(0),
        "y" => Some(1),
        "z" => Some(2),
        _ => None,
    };
    if let Some((name, last)) = name.split_once('.') {
        let axis = axis(last)?;
        return Some(match name {
            "%tid" => Special::Thread(axis),
            "%ntid" => Special::BlockExtent(axis),
            "%ctaid" => Special::Block(axis),
            "%nctaid" => Special::GridExtent(axis),
            _ => return None,
        });
    }
    Some(match name {
        "%laneid" => Special::Lane,
        "%warpid" => Special::Warp,
        "%nwarpid" => Special::Warps,
        "%lanemask_eq" => Special::LaneMask(false, true, false),
        "%lanemask_lt" => Special::LaneMask(true, false, false),
        "%lanemask_le" => Special::LaneMask(true, true, false),
        "%lanemask_gt" => Special::LaneMask(false, false, true),
        "%lanemask_ge" => Special::LaneMask(false, true, true),
        "%dynamic_smem_size" => Special::DynamicShared,
        "%total_smem_size" => Special::TotalShared,
        _ => return None,
    })
}
