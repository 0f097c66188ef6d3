//! Rows at computed positions are asked for some turns before they are read, where their array is beyond the caches:
//! the processor cannot guess where the next one is.

use super::super::AHEAD;
use super::super::lir::{Inst, Op};
use super::{Nest, Scope};
use crate::ir::{Index, Unsupported};
use crate::kernel::{Instr, Kernel};

/// Bytes of a line of the caches.
const LINE: usize = 64;

/// The inputs that a kernel reads at positions which it reads from memory, with the inputs that hold the positions.
pub(in crate::codegen::x86) fn gathered(kernel: &Kernel) -> Vec<(usize, usize)> {
    let holder = |at: &Index| match at {
        Index::Value(s) => match kernel.body[s.0 as usize] {
            Instr::Load(holder, _) => Some(holder as usize),
            _ => None,
        },
        Index::Affine { .. } => None,
    };
    let reads = kernel.body.iter().filter_map(|instr| match instr {
        Instr::Load(input, index) => Some((*input as usize, index)),
        _ => None,
    });
    reads.flat_map(|(input, index)| index.iter().filter_map(holder).map(move |holder| (input, holder))).collect()
}

impl Nest<'_> {
    /// Through how many arrays of positions a load goes that begin with elements which the innermost loop `l` steps over;
    /// `None` where it does not begin so.
    fn depth(&self, load: usize, l: usize) -> Option<usize> {
        let access = self.accesses[load].as_ref().filter(|access| access.staged.is_none())?;
        let mut depth = None;
        for (scalar, ..) in &access.place.computed {
            let holder = scalar.0 as usize;
            let known = Some(holder).filter(|_| !self.varies(holder)).and_then(|holder| self.depth(holder, l))?;
            depth = depth.max(Some(known + 1));
        }
        let is_stepped_over = || access.place.terms.iter().any(|(number, _)| *number == l);
        depth.or_else(|| is_stepped_over().then_some(0))
    }

    /// Asks for the rows of later turns of the innermost loop, unless entry [`AHEAD`] is 0: so many turns ahead, and what
    /// holds their positions, where it is read at positions itself, as many again.
    pub(super) fn read_ahead(&mut self, scope: &Scope) -> Result<(), Unsupported> {
        let is_plain = self.layout.packed.is_none() && self.compacted.is_none();
        let Some(l) = self.layout.order.last().copied().filter(|_| is_plain) else { return Ok(()) };
        let depths: Vec<(usize, usize)> = (0..self.accesses.len())
            .filter_map(|load| Some((load, self.depth(load, l).filter(|depth| *depth > 0)?)))
            .collect();
        let (Some(i), Some(most)) = (scope.indices[l], depths.iter().map(|(_, depth)| *depth).max()) else {
            return Ok(());
        };
        let skip = self.f.label();
        let (none, ahead) = (self.f.int(Op::Imm, &[], 0), self.f.int(Op::Arg, &[], AHEAD as i64));
        self.f.jump(Op::JumpGe, &[none, ahead], skip);
        let extent = self.kernel.loops[l].extent.clone();
        let extent = self.size(&extent);
        // The last turn of all is there for certain.
        let last = self.f.int(Op::AddImm, &[extent], -1);
        let mut later = i;
        for depth in (1..=most).rev() {
            later = self.f.int(Op::Add, &[later, ahead], 0);
            let at = self.f.int(Op::Min, &[later, last], 0);
            // What is computed here is of no use elsewhere.
            let mut own = Scope { indices: scope.indices.clone(), vectors: 1, ..Scope::default() };
            own.indices[l] = Some(at);
            for (load, _) in depths.iter().filter(|(_, own)| *own == depth) {
                let mem = self.address(*load, &mut own)?;
                for line in 0..self.lines(*load) {
                    self.f.push(Inst { mem: Some(mem.plus((line * LINE) as i32)), ..Inst::new(Op::Prefetch) });
                }
            }
        }
        self.f.set_label(skip);
        Ok(())
    }

    /// Over how many lines of the caches the lanes of a load lie, about.
    fn lines(&self, load: usize) -> usize {
        let access = self.accesses[load].as_ref().expect("a load");
        let last = self.layout.vectors - 1;
        let offsets = self.layout.offsets(last, &access.place.terms).unwrap_or_default();
        let most = offsets.into_iter().max().unwrap_or(0).max(0) as usize;
        (most * access.size as usize / LINE + 1).min(8)
    }
}
