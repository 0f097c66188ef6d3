//! The order of instructions between labels and jumps: independent chains are interleaved.
//!
//! A processor looks ahead over some hundred instructions. A block of threefry, or the `exp` of a vector, is a chain of
//! nearly that length, in which each instruction waits for the one before: of chains written one after the other the
//! processor sees only one at a time. List scheduling (Cooper and Torczon, *Engineering a Compiler*, chapter 12) first
//! takes the instruction with the longest way to the end of its block, as soon as its operands are ready, while
//! registers last.

use super::allocate::{File, constant};
use super::lir::{Class, Function, Inst, Op, Reg};
use rustc_hash::FxHashSet;
use smallvec::SmallVec;

/// Blocks of fewer instructions are left unchanged.
const SHORTEST: usize = 12;
/// Longer ones are cut: no processor sees instructions further apart at once.
const LONGEST: usize = 1024;
/// How far an instruction may move ahead of one that precedes it: the first of these for which registers last.
const WINDOWS: [usize; 4] = [LONGEST, 128, 48, 20];
/// About how many instructions a processor starts in one cycle.
const WIDTH: u32 = 4;

/// Orders the instructions of each block of a function whose registers are of these files.
pub(super) fn schedule(f: &mut Function, files: &[File]) {
    let is_edge = |inst: &Inst| matches!(inst.op, Op::Label | Op::JumpLt | Op::JumpGe | Op::Call);
    let own: FxHashSet<Reg> =
        f.insts.iter().filter(|inst| inst.op == Op::StackAddr).filter_map(|inst| inst.dst).collect();
    let mut registers: Vec<Register> = f.classes.iter().map(|_| Register::default()).collect();
    let mut uses = vec![0; f.classes.len()];
    f.insts.iter().flat_map(named).for_each(|reg| uses[reg.0 as usize] += 1);
    // Constants come first.
    let mut start = f.insts.iter().take_while(|inst| constant(inst).is_some()).count();
    while start < f.insts.len() {
        let rest = &f.insts[start..];
        let n = rest.iter().take(LONGEST).position(is_edge).unwrap_or(rest.len().min(LONGEST));
        if n >= SHORTEST {
            let insts = &f.insts[start..start + n];
            let nodes = dependences(insts, &own, &mut registers);
            let mut pressure = Pressure::new(insts, &uses, &f.classes, files, &mut registers);
            insts.iter().flat_map(named).for_each(|reg| registers[reg.0 as usize] = Register::default());
            let ranked = Ranked::new(&nodes);
            if let Some(order) = WINDOWS.iter().find_map(|window| order(&nodes, &ranked, &mut pressure, *window)) {
                let sorted: Vec<Inst> = order.into_iter().map(|i| insts[i].clone()).collect();
                f.insts.splice(start..start + n, sorted);
            }
        }
        start += n.max(1);
    }
}

/// The registers that an instruction reads or writes.
fn named(inst: &Inst) -> impl Iterator<Item = Reg> + '_ {
    inst.reads().chain(inst.dst)
}

/// About how many cycles pass from an instruction's start until its result can be read.
fn latency(op: Op) -> u32 {
    match op {
        Op::Gather | Op::GatherBytes => 20,
        Op::DivF | Op::SqrtF => 12,
        Op::MulI => 8,
        Op::Load | Op::LoadBytes | Op::LoadInto | Op::LoadI32 | Op::Bcst | Op::BcstByte | Op::SplatArg => 6,
        Op::AddF | Op::SubF | Op::MulF | Op::Fma | Op::MaxF | Op::MinF | Op::ScaleF => 4,
        Op::FloorF | Op::CeilF | Op::NearestF | Op::TruncF => 4,
        Op::CvtToF | Op::CvtUToF | Op::CvtToI | Op::CvtToU | Op::CvtF => 4,
        Op::Perm | Op::Perm2 | Op::Compress | Op::CmpF(_) | Op::CmpS(_) | Op::CmpU(_) | Op::Test => 3,
        Op::LaneToInt | Op::MaskCount | Op::Splat | Op::Mul | Op::MulImm => 3,
        _ => 1,
    }
}

/// An instruction of a block in the dependence graph.
#[derive(Clone, Default)]
struct Node {
    /// The instructions that wait for it, with the cycles from its start to theirs.
    after: SmallVec<[(u32, u32); 4]>,
    /// The number of instructions that it waits for.
    waits: u32,
    /// Cycles from its start to the end of the block.
    to_end: u32,
}

/// The last writer of something, and its readers since.
#[derive(Clone, Default)]
struct Access {
    writer: Option<usize>,
    readers: SmallVec<[usize; 4]>,
}

impl Access {
    fn read(&mut self, nodes: &mut [Node], i: usize, latency: u32) {
        edge(nodes, self.writer, i, latency);
        self.readers.push(i);
    }

    fn write(&mut self, nodes: &mut [Node], i: usize) {
        edge(nodes, self.writer, i, 1);
        self.readers.drain(..).for_each(|reader| edge(nodes, Some(reader), i, 0));
        self.writer = Some(i);
    }
}

/// A register in a block.
#[derive(Default)]
struct Register {
    access: Access,
    /// How often the block's instructions name it.
    named: u32,
    /// Its number among the values that only this block uses.
    value: Option<u32>,
}

fn edge(nodes: &mut [Node], from: Option<usize>, to: usize, latency: u32) {
    if let Some(from) = from.filter(|from| *from != to) {
        nodes[from].after.push((to as u32, latency));
        nodes[to].waits += 1;
    }
}

/// Which instructions must precede which in a block. `own` are addresses of the function's own memory; `registers` is
/// empty on entry.
fn dependences(insts: &[Inst], own: &FxHashSet<Reg>, registers: &mut [Register]) -> Vec<Node> {
    let mut nodes: Vec<Node> = insts.iter().map(|_| Node::default()).collect();
    let (mut arrays, mut frame, mut check) = (Access::default(), Access::default(), None);
    for (i, inst) in insts.iter().enumerate() {
        for reg in inst.reads() {
            let register = &mut registers[reg.0 as usize];
            let latency = register.access.writer.map_or(0, |writer| latency(insts[writer].op));
            register.access.read(&mut nodes, i, latency);
            register.named += 1;
        }
        if let Some(dst) = inst.dst {
            let register = &mut registers[dst.0 as usize];
            register.access.write(&mut nodes, i);
            register.named += 1;
        }
        let checks = matches!(inst.op, Op::CheckInt | Op::CheckVec | Op::CheckOrder);
        if checks || inst.mem.is_some() {
            // A read at a computed position must follow its check, and of two checks that fail the first is reported.
            edge(&mut nodes, check, i, 0);
        }
        if checks {
            check = Some(i);
        }
        match inst.mem {
            None => {}
            Some(mem) if own.contains(&mem.base) => match inst.dst {
                Some(_) => frame.read(&mut nodes, i, latency(Op::Load)),
                None => frame.write(&mut nodes, i),
            },
            // An array that is updated in place is read only where it is not yet written: a read may pass a write
            // before it.
            Some(_) if inst.dst.is_some() => arrays.readers.push(i),
            Some(_) => arrays.write(&mut nodes, i),
        }
    }
    for i in (0..insts.len()).rev() {
        let after = nodes[i].after.iter().map(|(next, latency)| nodes[*next as usize].to_end + latency).max();
        nodes[i].to_end = after.unwrap_or(0).max(latency(insts[i].op));
    }
    nodes
}

/// A number for each register file: vectors, masks if they have their own, integers.
type PerFile = [u32; 3];

/// How many registers a block's own values occupy at a time.
#[derive(Clone)]
struct Pressure {
    /// For each instruction the values that only this block uses.
    values: Vec<SmallVec<[u32; 4]>>,
    /// For each value its file, and how many instructions that name it there are, in all and still to come.
    file: Vec<usize>,
    named: Vec<u32>,
    left: Vec<u32>,
    live: PerFile,
    /// How many values may be live.
    most: PerFile,
    /// How many may be live before the existing order continues: it needs the rest.
    free: PerFile,
}

impl Pressure {
    /// Of a block whose `registers` are those of its [`dependences`].
    fn new(insts: &[Inst], uses: &[u32], classes: &[Class], files: &[File], registers: &mut [Register]) -> Pressure {
        let file_of = |reg: Reg| files.iter().position(|(of, _)| of.contains(&classes[reg.0 as usize]));
        let (mut file, mut named_by) = (Vec::new(), Vec::new());
        let mut values_of = |inst: &Inst| {
            let mut values: SmallVec<[u32; 4]> = SmallVec::new();
            for reg in named(inst) {
                let register = &mut registers[reg.0 as usize];
                if register.named != uses[reg.0 as usize] {
                    continue;
                }
                let value = *register.value.get_or_insert_with(|| {
                    file.push(file_of(reg).unwrap_or(0));
                    named_by.push(0);
                    file.len() as u32 - 1
                });
                if !values.contains(&value) {
                    named_by[value as usize] += 1;
                    values.push(value);
                }
            }
            values
        };
        let values: Vec<SmallVec<[u32; 4]>> = insts.iter().map(&mut values_of).collect();
        let mut pressure = Pressure {
            values,
            file,
            left: named_by.clone(),
            named: named_by,
            live: [0; 3],
            most: [0; 3],
            free: [0; 3],
        };
        let mut peak = [0; 3];
        for i in 0..insts.len() {
            let live = pressure.take(i);
            (0..3).for_each(|file| peak[file] = live[file].max(peak[file]));
        }
        pressure.restart();
        for (file, (classes, n)) in files.iter().enumerate() {
            // Constants need vector registers, too.
            let n = u32::from(if classes.contains(&Class::Vec) { n - n / 4 } else { *n });
            pressure.most[file] = n.max(peak[file]);
            pressure.free[file] = n.saturating_sub(peak[file]).max(n / 2);
        }
        pressure
    }

    /// Returns to the start of the block.
    fn restart(&mut self) {
        self.left.copy_from_slice(&self.named);
        self.live = [0; 3];
    }

    /// How many values an instruction starts and ends.
    fn changes(&self, i: usize) -> (PerFile, PerFile) {
        let (mut begins, mut ends) = ([0; 3], [0; 3]);
        for value in &self.values[i] {
            let value = *value as usize;
            begins[self.file[value]] += u32::from(self.left[value] == self.named[value]);
            ends[self.file[value]] += u32::from(self.left[value] == 1);
        }
        (begins, ends)
    }

    /// Whether there are enough registers for an instruction.
    fn fits(&self, i: usize) -> bool {
        let (begins, ends) = self.changes(i);
        (0..3).all(|file| begins[file] <= ends[file] || self.live[file] + begins[file] <= self.free[file])
    }

    /// Runs an instruction; returns the number of values live during it.
    fn take(&mut self, i: usize) -> PerFile {
        let (begins, ends) = self.changes(i);
        let peak = std::array::from_fn(|file| self.live[file] + begins[file]);
        self.live = std::array::from_fn(|file| peak[file] - ends[file]);
        for value in &self.values[i] {
            self.left[*value as usize] -= 1;
        }
        peak
    }
}

/// The instructions of a block in the order in which they are preferred: the longest way to the end first.
struct Ranked {
    insts: Vec<u32>,
    /// The place of each instruction in `insts`.
    places: Vec<u32>,
}

impl Ranked {
    fn new(nodes: &[Node]) -> Ranked {
        let mut insts: Vec<u32> = (0..nodes.len() as u32).collect();
        insts.sort_unstable_by_key(|i| (std::cmp::Reverse(nodes[*i as usize].to_end), *i));
        let mut places = vec![0; insts.len()];
        for (place, i) in insts.iter().enumerate() {
            places[*i as usize] = place as u32;
        }
        Ranked { insts, places }
    }
}

/// An order of a block's instructions, unless it needs more registers than exist and than the existing order needs.
/// None moves ahead of one that comes `window` before it.
fn order(nodes: &[Node], ranked: &Ranked, pressure: &mut Pressure, window: usize) -> Option<Vec<usize>> {
    pressure.restart();
    let mut order = Vec::with_capacity(nodes.len());
    let mut waits: Vec<u32> = nodes.iter().map(|node| node.waits).collect();
    // The first cycle in which each can start, given those scheduled before it.
    let mut ready = vec![0; nodes.len()];
    // The places of those that wait for no other, ascending.
    let mut waiting: Vec<u32> =
        (0..).zip(&ranked.insts).filter(|(_, i)| waits[**i as usize] == 0).map(|(at, _)| at).collect();
    let mut taken = vec![false; nodes.len()];
    let mut oldest = 0;
    // In fractions of a cycle.
    let mut now = 0;
    while !waiting.is_empty() {
        while taken[oldest] {
            oldest += 1;
        }
        // The first that can start now, or else the one that can start next.
        let mut best: Option<(u32, usize)> = None;
        for (at, place) in waiting.iter().enumerate() {
            let i = ranked.insts[*place as usize] as usize;
            let start = now.max(ready[i] * WIDTH);
            if best.is_none_or(|(least, _)| start < least) && i < oldest + window && pressure.fits(i) {
                best = Some((start, at));
                if start == now {
                    break;
                }
            }
        }
        // If none fits, the existing order is known to continue.
        let first = || (0..waiting.len()).min_by_key(|at| ranked.insts[waiting[*at] as usize]);
        let at = best.map(|(_, at)| at).or_else(first)?;
        let i = ranked.insts[waiting.remove(at) as usize] as usize;
        let peak = pressure.take(i);
        if (0..3).any(|file| peak[file] > pressure.most[file]) {
            return None;
        }
        order.push(i);
        taken[i] = true;
        let start = now.max(ready[i] * WIDTH);
        now = start + 1;
        for (next, latency) in &nodes[i].after {
            let next = *next as usize;
            ready[next] = ready[next].max(start / WIDTH + latency);
            waits[next] -= 1;
            if waits[next] == 0 {
                let place = ranked.places[next];
                let at = waiting.partition_point(|other| *other < place);
                waiting.insert(at, place);
            }
        }
    }
    Some(order)
}

#[cfg(test)]
mod tests {
    use super::super::lir::Mem;
    use super::*;

    const FILES: [File; 3] = [(&[Class::Vec, Class::Wide], 29), (&[Class::Mask], 4), (&[Class::Int], 9)];

    /// Two loads, followed by a chain of additions and a store for each.
    fn chains(n: usize) -> (Function, Vec<usize>) {
        let mut f = Function::new(16);
        let base = f.int(Op::Arg, &[], 5);
        let mut owner = vec![2];
        for chain in 0..2 {
            let mem = Mem::at(base).plus(64 * chain);
            let mut x = f.load(Class::Vec, Op::Load, mem, None);
            for _ in 0..n {
                x = f.vec(Op::AddF, &[x, x]);
            }
            f.store(Op::Store, mem, x, None);
            owner.extend(vec![chain as usize; n + 2]);
        }
        (f, owner)
    }

    /// The position in `before` of each instruction of `f`, identified by what it writes or stores.
    fn moved(before: &Function, f: &Function) -> Vec<usize> {
        let key = |inst: &Inst| (inst.dst, inst.srcs.to_vec());
        let of = |inst: &Inst| before.insts.iter().position(|old| key(old) == key(inst)).expect("it was there");
        f.insts.iter().map(of).collect()
    }

    #[test]
    fn independent_chains_are_interleaved() {
        let (before, owner) = chains(20);
        let mut f = before.clone();
        schedule(&mut f, &FILES);
        let chain: Vec<usize> = moved(&before, &f).into_iter().map(|i| owner[i]).collect();
        let changes = chain.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!(changes >= 20, "{chain:?}");
    }

    #[test]
    fn an_order_that_needs_more_registers_than_there_are_is_not_taken() {
        let (before, _) = chains(20);
        for n in 1..=4 {
            let mut f = before.clone();
            let files: [File; 3] = [(&[Class::Vec], n), (&[Class::Mask], 4), (&[Class::Int], 9)];
            schedule(&mut f, &files);
            let mut uses = vec![0; f.classes.len()];
            f.insts.iter().flat_map(named).for_each(|reg| uses[reg.0 as usize] += 1);
            let most = |f: &Function| {
                let mut registers: Vec<Register> = f.classes.iter().map(|_| Register::default()).collect();
                dependences(&f.insts, &FxHashSet::default(), &mut registers);
                Pressure::new(&f.insts, &uses, &f.classes, &files, &mut registers).most[0]
            };
            assert!(most(&f) <= most(&before).max(n.into()), "{n} registers");
        }
    }

    #[test]
    fn what_is_read_stays_behind_its_check_and_before_what_overwrites_it() {
        let mut f = Function::new(16);
        let (base, own) = (f.int(Op::Arg, &[], 5), f.int(Op::StackAddr, &[], 64));
        let mut last = f.load(Class::Vec, Op::Load, Mem::at(own), None);
        for i in 0..8 {
            let at = f.load(Class::Int, Op::LoadI32, Mem::at(base).plus(4 * i), None);
            f.push(Inst { srcs: SmallVec::from_slice(&[at]), imm: 100, ..Inst::new(Op::CheckInt) });
            let mem = Mem { base, index: Some((at, 4)), disp: 0 };
            let x = f.load(Class::Vec, Op::Load, mem, None);
            let sum = f.vec(Op::AddF, &[x, last]);
            f.store(Op::Store, Mem::at(own), sum, None);
            last = f.load(Class::Vec, Op::Load, Mem::at(own), None);
            f.store(Op::Store, Mem::at(base), last, None);
        }
        let before = f.clone();
        schedule(&mut f, &FILES);
        let place = |i: usize| moved(&before, &f).into_iter().position(|from| from == i).expect("it is there");
        for i in 0..8 {
            let first = 3 + 7 * i;
            let [at, check, x, sum, own_store, own_load, store] = std::array::from_fn(|k| place(first + k));
            assert!(at < check && check < x && x < sum && sum < own_store && own_store < own_load && own_load < store);
            assert!((0..i).all(|j| place(3 + 7 * j + 1) < check), "checks in their order");
            assert!((0..=i).all(|j| place(3 + 7 * j + 2) < store), "arrays are read before they are written");
        }
    }
}
