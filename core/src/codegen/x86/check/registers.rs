//! Whether every instruction finds the values that it reads where the allocation puts them.
//!
//! Symbols flow through the code. At each instruction a state says for every location, a register of the machine or a
//! slot of the frame, which virtual register's value it holds:
//!
//! ```text
//!        unreached          no path has reached it
//!     /    |    |    \
//!   v0    v1    v2   ...    the current value of v0, v1, v2, ...
//!     \    |    |    /
//!          none             nothing, or different values on different paths
//! ```
//!
//! A write puts its register's symbol into its place, and removes what was there or overlapped it. A call keeps the
//! slots, the callee-saved registers, and those that it is told to keep. Where paths meet, a location keeps its symbol
//! if it is the same on both. States only move down the lattice, so the walk ends when none changes; a read that fails
//! during the walk also fails at the end. Constants, arguments and addresses of the frame are rematerialised wherever
//! they are read: their place must match the only instruction that writes the register.

use super::super::allocate::INTS;
use super::super::allocate::{Allocation, File, Place};
use super::super::lir::{Class, Function, Inst, Op, Reg};
use iced_x86::Register;
use rustc_hash::FxHashMap;

/// The most bytes of a value in the frame.
const SLOT: u32 = 64;

/// Where a value may be at run time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Location {
    /// A register of a file, by number.
    Register(usize, u8),
    /// This byte of the frame and those after it.
    Slot(u32),
}

/// The symbol of each location that holds a value.
type State = FxHashMap<Location, Reg>;

/// Checks an allocation of registers of these files; `Err` says which instruction finds the wrong value.
pub(in crate::codegen::x86) fn holds_values(
    f: &Function,
    allocation: &Allocation,
    files: &[File],
) -> Result<(), String> {
    let checker = Checker { f, allocation, files };
    for reg in (0..f.classes.len() as u32).map(Reg) {
        checker.place(reg).map_err(|why| format!("v{}: {why}", reg.0))?;
    }
    let mut labels: Vec<Option<State>> = vec![None; f.n_label as usize];
    while checker.walk(&mut labels)? {}
    Ok(())
}

struct Checker<'a> {
    f: &'a Function,
    allocation: &'a Allocation,
    files: &'a [File],
}

impl Checker<'_> {
    /// Whether a register may be in its place at all.
    fn place(&self, reg: Reg) -> Result<(), String> {
        let place = self.allocation.places[reg.0 as usize];
        let own = self.f.stack as u32;
        match place {
            Place::Register(n) => {
                let (_, given) = self.files[self.file(reg)];
                if n < given { Ok(()) } else { Err(format!("register {n} may not be allocated")) }
            }
            Place::Slot(at) if at < own => Err(format!("its slot {at} is the function's own memory")),
            Place::Slot(at) if (at + SLOT) as usize > self.allocation.frame => {
                Err(format!("its slot {at} lies after the frame"))
            }
            Place::Slot(_) => Ok(()),
            Place::Nowhere => {
                match self.f.insts.iter().any(|inst| inst.dst == Some(reg) || inst.reads().any(|r| r == reg)) {
                    true => Err("it has no place".into()),
                    false => Ok(()),
                }
            }
            Place::Pool(_) | Place::Open(_) | Place::Mask(_) | Place::Table(_) | Place::Arg(_) | Place::Frame(_) => {
                let mut writers = self.f.insts.iter().filter(|inst| inst.dst == Some(reg));
                match (writers.next(), writers.next()) {
                    (Some(only), None) if says(place, only) => Ok(()),
                    (writer, _) => Err(format!("{place:?} does not match {writer:?}")),
                }
            }
        }
    }

    fn file(&self, reg: Reg) -> usize {
        let class = self.f.classes[reg.0 as usize];
        self.files.iter().position(|(classes, _)| classes.contains(&class)).expect("every class has a file")
    }

    /// The location through which a register's value flows; `None` if it is rematerialised.
    fn location(&self, reg: Reg) -> Option<Location> {
        match self.allocation.places[reg.0 as usize] {
            Place::Register(n) => Some(Location::Register(self.file(reg), n)),
            Place::Slot(at) => Some(Location::Slot(at)),
            _ => None,
        }
    }

    /// Walks the code once from the states at its labels; returns whether a state changed.
    fn walk(&self, labels: &mut [Option<State>]) -> Result<bool, String> {
        let (mut state, mut has_changed) = (State::default(), false);
        let mut calls = self.allocation.calls.iter();
        for (i, inst) in self.f.insts.iter().enumerate() {
            if inst.op == Op::Label {
                let known = &mut labels[inst.imm as usize];
                has_changed |= meet(known, &state);
                state.clone_from(known.as_ref().expect("a path has reached it"));
            }
            for reg in inst.reads() {
                let Some(location) = self.location(reg) else { continue };
                let found = state.get(&location);
                if found != Some(&reg) {
                    let found = found.map_or("nothing".into(), |other| format!("v{}", other.0));
                    return Err(format!(
                        "instruction {i}, {inst:?}: reads v{} at {location:?}, which holds {found}",
                        reg.0
                    ));
                }
            }
            if inst.op == Op::Call {
                let kept =
                    calls.next().ok_or_else(|| format!("instruction {i}: no entry says what this call keeps"))?;
                state.retain(|location, reg| self.survives(*location) || kept.contains(reg));
            }
            if let Some(location) = inst.dst.and_then(|dst| self.location(dst)) {
                if let Location::Slot(at) = location {
                    state.retain(|other, _| !matches!(other, Location::Slot(other) if other.abs_diff(at) < SLOT));
                }
                state.extend(inst.dst.map(|dst| (location, dst)));
            }
            if matches!(inst.op, Op::JumpLt | Op::JumpGe) {
                has_changed |= meet(&mut labels[inst.imm as usize], &state);
            }
        }
        Ok(has_changed)
    }

    /// Whether a location keeps its value through a call, by the System V calling convention.
    fn survives(&self, location: Location) -> bool {
        let Location::Register(file, n) = location else { return true };
        let is_callers = |register| register == Register::RBX || (Register::R12..=Register::R15).contains(&register);
        self.files[file].0.contains(&Class::Int) && is_callers(INTS[n as usize])
    }
}

/// Whether an instruction makes the value that a place stands for.
fn says(place: Place, inst: &Inst) -> bool {
    match place {
        Place::Pool(bits) => inst.op == Op::Const && inst.imm as u64 == bits,
        Place::Open(number) => inst.op == Op::Open && inst.imm == i64::from(number),
        Place::Mask(lanes) => inst.op == Op::MaskImm && inst.imm == i64::from(lanes),
        Place::Table(number) => inst.op == Op::Table && inst.imm == i64::from(number),
        Place::Arg(entry) => inst.op == Op::Arg && inst.imm == i64::from(entry),
        Place::Frame(at) => inst.op == Op::StackAddr && inst.imm == i64::from(at),
        Place::Register(_) | Place::Slot(_) | Place::Nowhere => false,
    }
}

/// Intersects the state at a label with that of one more path; returns whether it shrank.
fn meet(known: &mut Option<State>, other: &State) -> bool {
    let Some(known) = known else {
        *known = Some(other.clone());
        return true;
    };
    let n = known.len();
    known.retain(|location, reg| other.get(location) == Some(reg));
    known.len() < n
}

#[cfg(test)]
mod tests {
    use super::super::super::lir::{Mem, Pred};
    use super::*;
    use smallvec::smallvec;

    const FILES: [File; 3] = [(&[Class::Vec, Class::Wide], 8), (&[Class::Mask], 4), (&[Class::Int], 9)];
    const ONE: u32 = 0x3f80_0000;

    /// A sum of what a call computes from an array's elements, and the places of its registers.
    struct Summed {
        f: Function,
        allocation: Allocation,
        base: Reg,
        own: Reg,
        one: Reg,
        mask: Reg,
        i: Reg,
        end: Reg,
        sum: Reg,
        x: Reg,
        y: Reg,
        differs: Reg,
        next: Reg,
        chosen: Reg,
    }

    fn summed() -> Summed {
        let mut f = Function::new(16);
        f.stack = 128;
        let (one, mask) = (f.bits(ONE), f.first_lanes(3));
        let (base, own, end) = (f.int(Op::Arg, &[], 5), f.int(Op::StackAddr, &[], 64), f.int(Op::Arg, &[], 1));
        let begin = f.int(Op::Imm, &[], 0);
        let i = f.int(Op::Mov, &[begin], 0);
        let sum = f.vec(Op::MovV, &[one]);
        let (top, after) = (f.label(), f.label());
        f.jump(Op::JumpGe, &[i, end], after);
        let start = f.insts.len();
        f.set_label(top);
        let x = f.load(Class::Vec, Op::Load, Mem { base, index: Some((i, 4)), disp: 0 }, Some(mask));
        f.store(Op::Store, Mem::at(own), x, None);
        let y = f.emit(Class::Vec, Op::Call, &[x], 0);
        let differs = f.mask(Op::CmpF(Pred::Lt), &[x, y]);
        let next = f.int(Op::AddImm, &[i], 1);
        let chosen = f.blend(differs, x, y);
        f.update(sum, Op::AddF, &[sum, chosen], Some(mask), 0);
        f.update(i, Op::Mov, &[next], None, 0);
        f.jump(Op::JumpLt, &[i, end], top);
        f.loops.push((start, f.insts.len() - 1));
        f.set_label(after);
        f.store(Op::Store, Mem::at(base), sum, Some(mask));
        f.finish();
        let mut places = vec![Place::Nowhere; f.classes.len()];
        let all = [
            (one, Place::Pool(ONE.into())),
            (mask, Place::Register(0)),
            (base, Place::Register(5)),
            (own, Place::Frame(64)),
            (begin, Place::Register(2)),
            (i, Place::Register(4)),
            // A call does not preserve these by itself.
            (end, Place::Register(0)),
            (sum, Place::Register(1)),
            (x, Place::Slot(128)),
            (y, Place::Register(2)),
            (differs, Place::Register(1)),
            (next, Place::Register(1)),
            (chosen, Place::Register(3)),
        ];
        all.into_iter().for_each(|(reg, place)| places[reg.0 as usize] = place);
        let allocation = Allocation { places, frame: 256, calls: vec![vec![mask, end, sum]] };
        Summed { f, allocation, base, own, one, mask, i, end, sum, x, y, differs, next, chosen }
    }

    impl Summed {
        fn put(&mut self, reg: Reg, place: Place) {
            self.allocation.places[reg.0 as usize] = place;
        }

        fn forget(&mut self, reg: Reg) {
            self.allocation.calls[0].retain(|kept| *kept != reg);
        }
    }

    #[test]
    fn right_places_are_right() {
        let Summed { f, allocation, .. } = summed();
        assert_eq!(holds_values(&f, &allocation, &FILES), Ok(()));
    }

    type Mistake = (&'static str, fn(&mut Summed));

    /// Each is one mistake, and the message that it must cause.
    const MISTAKES: [Mistake; 18] = [
        ("reads v7", |s| s.put(s.chosen, Place::Register(1))),
        ("reads v2 at Register(2, 5), which holds nothing", |s| s.put(s.next, Place::Register(5))),
        ("reads v4", |s| s.put(s.end, Place::Register(4))),
        ("reads v1 at Register(1, 0), which holds v10", |s| s.put(s.differs, Place::Register(0))),
        ("own memory", |s| s.put(s.x, Place::Slot(64))),
        ("after the frame", |s| s.put(s.x, Place::Slot(256))),
        ("after the frame", |s| s.allocation.frame = 191),
        ("which holds nothing", |s| s.put(s.sum, Place::Slot(160))),
        ("reads v4", |s| s.forget(s.end)),
        ("reads v7", |s| s.forget(s.sum)),
        ("reads v1", |s| s.forget(s.mask)),
        ("reads v6", |s| s.put(s.i, Place::Register(3))),
        ("Pool(1)", |s| s.put(s.one, Place::Pool(1))),
        ("Arg(6)", |s| s.put(s.base, Place::Arg(6))),
        ("Frame(0)", |s| s.put(s.own, Place::Frame(0))),
        ("may not be allocated", |s| s.put(s.y, Place::Register(8))),
        ("has no place", |s| s.put(s.y, Place::Nowhere)),
        ("reads v9", |s| {
            // After a loop without iterations there is no value.
            let last = s.f.insts.last_mut().expect("a store");
            (last.srcs, last.mask) = (smallvec![s.y], Some(s.differs));
        }),
    ];

    #[test]
    fn planted_mistakes_are_found() {
        for (i, (tells, make)) in MISTAKES.iter().enumerate() {
            let mut wrong = summed();
            make(&mut wrong);
            let found = holds_values(&wrong.f, &wrong.allocation, &FILES);
            assert!(found.as_ref().is_err_and(|why| why.contains(tells)), "{i}: {tells} is not in {found:?}");
        }
    }
}
