//! Whether reordered instructions do the same.
//!
//! Between labels, jumps and calls each instruction of one list must be in the other. It must read what the same
//! instructions wrote, and each register's last writer must be the same. Stores to arrays keep their order, each after
//! the reads that preceded it; a read may pass a store, since an array that is updated in place is read only where it
//! is not yet written. The function's own memory keeps both orders. No memory access may pass a check that preceded it,
//! nor may a check pass another.

use super::super::lir::{Function, Inst, Op, Reg};
use rustc_hash::{FxHashMap, FxHashSet};

/// Compares a function's instructions with those in their original order; `Err` says which one is out of place.
pub(in crate::codegen::x86) fn keeps_order(before: &Function, after: &Function) -> Result<(), String> {
    let own = before.insts.iter().filter(|inst| inst.op == Op::StackAddr).filter_map(|inst| inst.dst).collect();
    if before.insts.len() != after.insts.len() {
        return Err(format!("{} instructions have become {}", before.insts.len(), after.insts.len()));
    }
    let is_edge = |inst: &Inst| matches!(inst.op, Op::Label | Op::JumpLt | Op::JumpGe | Op::Call);
    let mut start = 0;
    for end in 0..=before.insts.len() {
        let edge = before.insts.get(end);
        if edge.is_none_or(is_edge) {
            if edge != after.insts.get(end) {
                return Err(format!("instruction {end}, {edge:?}: has moved"));
            }
            block(&before.insts[start..end], &after.insts[start..end], &own)
                .map_err(|why| format!("of the instructions from {start}, {why}"))?;
            start = end + 1;
        }
    }
    Ok(())
}

/// How an instruction accesses memory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    None,
    Read,
    Write,
    OwnRead,
    OwnWrite,
}

fn access(inst: &Inst, own: &FxHashSet<Reg>) -> Access {
    match inst.mem {
        None => Access::None,
        Some(mem) => match (own.contains(&mem.base), inst.dst.is_some()) {
            (false, true) => Access::Read,
            (false, false) => Access::Write,
            (true, true) => Access::OwnRead,
            (true, false) => Access::OwnWrite,
        },
    }
}

fn is_check(inst: &Inst) -> bool {
    matches!(inst.op, Op::CheckInt | Op::CheckVec | Op::CheckOrder)
}

fn block(before: &[Inst], after: &[Inst], own: &FxHashSet<Reg>) -> Result<(), String> {
    // The original position of each instruction: of equal ones the first stays the first.
    let mut taken = vec![false; before.len()];
    let (mut from, mut first) = (Vec::with_capacity(after.len()), 0);
    for inst in after {
        first += taken[first..].iter().take_while(|taken| **taken).count();
        let at = (first..before.len()).find(|at| !taken[*at] && before[*at] == *inst);
        let at = at.ok_or_else(|| format!("{inst:?} is new"))?;
        taken[at] = true;
        from.push(at);
    }
    let (first, second) = (flow(before, 0..before.len()), flow(before, from.iter().copied()));
    if let Some(at) = (0..before.len()).find(|at| first.read[*at] != second.read[*at]) {
        return Err(format!("{:?} reads another value", before[at]));
    }
    if first.left != second.left {
        return Err("a register is left with another value".into());
    }
    let mut to = vec![0; from.len()];
    from.iter().enumerate().for_each(|(now, at)| to[*at] = now);
    let accesses: Vec<Access> = before.iter().map(|inst| access(inst, own)).collect();
    // Which kinds of instructions must stay in order: the kind of the later, the kind of the earlier.
    let is = |at: usize, kinds: &[Access]| kinds.contains(&accesses[at]);
    let stays = |at: usize, earlier: usize| {
        let checked = is_check(&before[earlier]) && (is_check(&before[at]) || !is(at, &[Access::None]));
        let stored = is(at, &[Access::Write]) && is(earlier, &[Access::Read, Access::Write]);
        let own = is(at, &[Access::OwnWrite]) && is(earlier, &[Access::OwnRead, Access::OwnWrite])
            || is(at, &[Access::OwnRead]) && is(earlier, &[Access::OwnWrite]);
        checked || stored || own
    };
    for at in 0..before.len() {
        if !is_check(&before[at]) && is(at, &[Access::None]) {
            continue;
        }
        if let Some(earlier) = (0..at).find(|earlier| to[*earlier] > to[at] && stays(at, *earlier)) {
            return Err(format!("{:?} has passed {:?}", before[at], before[earlier]));
        }
    }
    Ok(())
}

/// For each instruction of the block the writers of what it reads, and for each register the last writer.
#[derive(Default)]
struct Flow {
    read: Vec<Vec<Option<usize>>>,
    left: FxHashMap<Reg, usize>,
}

fn flow(insts: &[Inst], order: impl Iterator<Item = usize>) -> Flow {
    let mut flow = Flow { read: vec![vec![]; insts.len()], left: FxHashMap::default() };
    for at in order {
        flow.read[at] = insts[at].reads().map(|reg| flow.left.get(&reg).copied()).collect();
        flow.left.extend(insts[at].dst.map(|dst| (dst, at)));
    }
    flow
}

#[cfg(test)]
mod tests {
    use super::super::super::lir::{Class, Mem};
    use super::*;

    /// A check, reads and stores of an array and of the function's own memory, and a sum.
    fn function() -> Function {
        let mut f = Function::new(16);
        let (base, own) = (f.int(Op::Arg, &[], 5), f.int(Op::StackAddr, &[], 64));
        let at = f.load(Class::Int, Op::LoadI32, Mem::at(base), None);
        for imm in [100, 90] {
            f.push(Inst { srcs: smallvec::smallvec![at], imm, ..Inst::new(Op::CheckInt) });
        }
        let x = f.load(Class::Vec, Op::Load, Mem { base, index: Some((at, 4)), disp: 0 }, None);
        let sum = f.vec(Op::MovV, &[x]);
        f.update(sum, Op::AddF, &[sum, x], None, 0);
        f.store(Op::Store, Mem::at(base), sum, None);
        f.store(Op::Store, Mem::at(base).plus(64), x, None);
        f.store(Op::Store, Mem::at(own), sum, None);
        let back = f.load(Class::Vec, Op::Load, Mem::at(own), None);
        f.store(Op::Store, Mem::at(own), x, None);
        f.store(Op::Store, Mem::at(base).plus(128), back, None);
        let label = f.label();
        f.set_label(label);
        let y = f.load(Class::Vec, Op::Load, Mem::at(base), None);
        f.store(Op::Store, Mem::at(base).plus(192), y, None);
        f
    }

    /// The function with instruction `from` removed and inserted before `to`, as numbered after the removal.
    fn moved(from: usize, to: usize) -> Function {
        let mut f = function();
        let inst = f.insts.remove(from);
        f.insts.insert(to, inst);
        f
    }

    #[test]
    fn orders_that_do_the_same_are_right() {
        let f = function();
        assert_eq!(keeps_order(&f, &f), Ok(()));
        // An address computed later, a store to the function's own memory before one to an array.
        for (from, to) in [(1, 7), (10, 8), (13, 12)] {
            assert_eq!(keeps_order(&f, &moved(from, to)), Ok(()), "{from} to {to}");
        }
    }

    #[test]
    fn planted_mistakes_are_found() {
        let f = function();
        let mistakes = [
            (3, 4, "has passed"),          // a check after another
            (4, 5, "has passed"),          // a read before its check
            (6, 7, "reads another value"), // a sum before it begins
            (8, 7, "reads another value"), // a store of a sum not yet computed
            (9, 8, "has passed"),          // two stores of arrays
            (11, 10, "has passed"),        // a read before its store
            (12, 11, "has passed"),        // a read after an overwrite
            (12, 10, "has passed"),        // two stores of the function's own memory
            (13, 15, "has moved"),         // a store after a label
            (2, 3, "reads another value"), // a check before its read
            (5, 9, "reads another value"), // a read after its uses
        ];
        for (from, to, tells) in mistakes {
            let found = keeps_order(&f, &moved(from, to));
            assert!(found.as_ref().is_err_and(|why| why.contains(tells)), "{from} to {to}: {found:?}");
        }
        let mut changed = f.clone();
        changed.insts[3].imm = 101;
        assert!(keeps_order(&f, &changed).is_err_and(|why| why.contains("is new")));
        changed.insts.remove(3);
        assert!(keeps_order(&f, &changed).is_err_and(|why| why.contains("have become")));
    }
}
