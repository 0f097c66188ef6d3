//! Instructions that threads run together.

use super::function::Decoder;
use super::opcode::Opcode;
use super::{Barrier, Collective, Op, Shuffle, Vote};
use crate::arith::atomic;
use crate::ptx::{Operand, PtxError, Statement, Type};

const SHUFFLES: [(&str, Shuffle); 4] =
    [("up", Shuffle::Up), ("down", Shuffle::Down), ("bfly", Shuffle::Bfly), ("idx", Shuffle::Idx)];

const VOTES: [(&str, Vote); 4] = [("all", Vote::All), ("any", Vote::Any), ("uni", Vote::Uni), ("ballot", Vote::Ballot)];

impl Decoder<'_> {
    pub(super) fn together(&mut self, mut opcode: Opcode<'_>, statement: &Statement) -> Result<(), PtxError> {
        let is_sync = opcode.takes("sync");
        match (opcode.name, is_sync) {
            ("shfl", true) => self.shuffle(opcode, statement),
            ("vote", true) => self.vote(opcode, statement),
            ("redux", true) => self.reduce(&opcode, statement),
            ("activemask", false) => {
                let [to] = &statement.operands[..] else { return Err(self.error("a register expected")) };
                let to = self.destination(to)?.0;
                self.emit(Op::ActiveMask(to))
            }
            ("bar", true) if opcode.modifiers == ["warp"] => {
                let [mask] = &statement.operands[..] else { return Err(self.error("a mask expected")) };
                let mask = self.operand(mask, Type::B32)?;
                self.emit(Op::Collective(Collective::Sync, mask))
            }
            ("bar" | "barrier", _) => self.barrier(opcode, is_sync, statement),
            _ => Err(self.unknown(statement)),
        }
    }

    fn shuffle(&mut self, mut opcode: Opcode<'_>, statement: &Statement) -> Result<(), PtxError> {
        let kind = opcode.takes_one(&SHUFFLES).filter(|_| opcode.modifiers.is_empty());
        let kind = kind.filter(|_| opcode.only_type() == Some(Type::B32)).ok_or_else(|| self.unknown(statement))?;
        let [target, value, lane, bounds, mask] = &statement.operands[..] else {
            return Err(self.error("a value, a lane, bounds and a mask expected"));
        };
        let (to, found) = match target {
            Operand::Pair(to, found) => (self.register(to)?.0, self.register(found)?.0),
            target => (self.destination(target)?.0, self.row()?),
        };
        let from = [self.operand(value, Type::B32)?, self.operand(lane, Type::B32)?, self.operand(bounds, Type::B32)?];
        let mask = self.operand(mask, Type::B32)?;
        self.emit(Op::Collective(Collective::Shuffle { kind, to, found, from }, mask))
    }

    fn vote(&mut self, mut opcode: Opcode<'_>, statement: &Statement) -> Result<(), PtxError> {
        let kind = opcode.takes_one(&VOTES).filter(|_| opcode.modifiers.is_empty());
        let kind = kind.ok_or_else(|| self.unknown(statement))?;
        let ty = if kind == Vote::Ballot { Type::B32 } else { Type::Pred };
        if opcode.only_type() != Some(ty) {
            return Err(self.unknown(statement));
        }
        let [to, from, mask] = &statement.operands[..] else {
            return Err(self.error("a register, a predicate and a mask expected"));
        };
        let (to, from) = (self.destination(to)?.0, self.operand(from, Type::Pred)?);
        let mask = self.operand(mask, Type::B32)?;
        self.emit(Op::Collective(Collective::Vote { kind, to, from }, mask))
    }

    fn reduce(&mut self, opcode: &Opcode<'_>, statement: &Statement) -> Result<(), PtxError> {
        let (Some(ty), [name @ ("add" | "min" | "max" | "and" | "or" | "xor")]) =
            (opcode.only_type(), &opcode.modifiers[..])
        else {
            return Err(self.unknown(statement));
        };
        let combine = atomic(name, ty).filter(|_| ty.bytes() == 4 && !ty.is_float());
        let combine = combine.ok_or_else(|| self.unknown(statement))?;
        let [to, from, mask] = &statement.operands[..] else {
            return Err(self.error("a register, a value and a mask expected"));
        };
        let (to, from) = (self.destination(to)?.0, self.operand(from, ty)?);
        let mask = self.operand(mask, Type::B32)?;
        self.emit(Op::Collective(Collective::Reduce { combine, to, from }, mask))
    }

    /// `bar.sync 0`, `barrier.cta.sync.aligned 1, 64`, `bar.red.popc.u32 d, 0, p`.
    fn barrier(&mut self, mut opcode: Opcode<'_>, is_sync: bool, statement: &Statement) -> Result<(), PtxError> {
        opcode.takes("cta");
        let is_aligned = opcode.takes("aligned") || opcode.name == "bar";
        let vote = if opcode.takes("red") {
            let kind = opcode.takes_one(&[("popc", Vote::Popc), ("and", Vote::All), ("or", Vote::Any)]);
            Some(kind.ok_or_else(|| self.unknown(statement))?)
        } else if is_sync {
            None
        } else {
            return Err(self.unknown(statement));
        };
        if !opcode.modifiers.is_empty() {
            return Err(self.unknown(statement));
        }
        let operands = &statement.operands[..];
        let (target, operands, predicate) = match (vote, operands) {
            (None, operands) => (None, operands, None),
            (Some(_), [target, operands @ .., predicate]) => (Some(target), operands, Some(predicate)),
            _ => return Err(self.error("a register, a barrier and a predicate expected")),
        };
        let (id, threads) = match operands {
            [id] => (id, None),
            [id, threads] => (id, Some(threads)),
            _ => return Err(self.error("the number of a barrier expected")),
        };
        let id = self.operand(id, Type::U32)?;
        let threads = threads.map(|threads| self.operand(threads, Type::U32)).transpose()?;
        let vote = match (vote, target, predicate) {
            (Some(kind), Some(target), Some(predicate)) => {
                Some((kind, self.destination(target)?.0, self.operand(predicate, Type::Pred)?))
            }
            _ => None,
        };
        self.emit(Op::Barrier(Barrier { id, threads, vote, is_aligned }))
    }
}
