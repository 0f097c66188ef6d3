//! Kernels as text.

use crate::ir::Index;
use crate::kernel::{Instr, Kernel, LoopKind};
use std::fmt;

struct At<'a>(&'a Index);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Index::Value(scalar) => write!(f, "${}", scalar.0),
            Index::Affine { constant, terms } => {
                let mut plus = false;
                for (number, stride) in terms {
                    if plus {
                        f.write_str(" + ")?;
                    }
                    plus = true;
                    match stride.as_number() {
                        Some(1) => write!(f, "i{number}")?,
                        Some(_) => write!(f, "{stride}.i{number}")?,
                        None => write!(f, "({stride}).i{number}")?,
                    }
                }
                match constant.as_number() {
                    Some(0) if plus => Ok(()),
                    _ if plus => write!(f, " + {constant}"),
                    _ => write!(f, "{constant}"),
                }
            }
        }
    }
}

impl fmt::Display for Kernel {
    /// ```text
    /// kernel @segment_sum_7(%3: f32[z], %4: f32[1433,64], %5: i32[n+1]) -> (%9: f32[n,64]) {
    ///   row i0: n
    ///   row i1: 64
    ///   segment i2: z of i0 by %5
    ///   $0: f32 = load %3[i2]
    ///   sum $0 -> %9
    /// }
    /// ```
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |binders: &[(crate::ir::Var, crate::aval::Aval)]| {
            binders.iter().map(|(var, aval)| format!("{var}: {aval}")).collect::<Vec<_>>().join(", ")
        };
        writeln!(f, "kernel @{}({}) -> ({}) {{", self.name, list(&self.inputs), list(&self.outputs))?;
        for (i, l) in self.loops.iter().enumerate() {
            match l.kind {
                LoopKind::Row => writeln!(f, "  row i{i}: {}", l.extent)?,
                LoopKind::Reduce => writeln!(f, "  reduce i{i}: {}", l.extent)?,
                LoopKind::Segment { segment, offsets } => {
                    let by = self.inputs[offsets as usize].0;
                    writeln!(f, "  segment i{i}: {} of i{segment} by {by}", l.extent)?;
                }
            }
        }
        for (i, (instr, dtype)) in self.body.iter().zip(self.dtypes()).enumerate() {
            write!(f, "  ${i}: {dtype} = ")?;
            match instr {
                Instr::Const(literal) => write!(f, "const {literal}")?,
                Instr::Size(dim, _) => write!(f, "size {dim}")?,
                Instr::Position(index) => write!(f, "position {}", At(index))?,
                Instr::Load(input, index) => {
                    let at: Vec<String> = index.iter().map(|i| At(i).to_string()).collect();
                    write!(f, "load {}[{}]", self.inputs[*input as usize].0, at.join(", "))?;
                }
                Instr::Op(op, ins) => {
                    let ins: Vec<String> = ins.iter().map(|s| format!("${}", s.0)).collect();
                    write!(f, "{} {}", op.name(), ins.join(", "))?;
                }
            }
            writeln!(f)?;
        }
        for (scalar, (var, _)) in self.results.iter().zip(&self.outputs) {
            let how = self.reduce.map_or("store", |op| op.name());
            writeln!(f, "  {how} ${} -> {var}", scalar.0)?;
        }
        writeln!(f, "}}")
    }
}
