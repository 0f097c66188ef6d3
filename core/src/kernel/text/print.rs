//! Kernels as text. `parse` has the grammar.

use crate::aval::Aval;
use crate::ir::{Index, Var};
use crate::kernel::{Composed, Instr, Kernel, KernelProgram, LoopKind, Space, Step};
use std::fmt;

/// A position: `i0`, `8*i0 + i2 - 1`, `(n)*i0 + (n-1)`, `$3`. Loops and symbols may have the same names, so factors
/// with symbols are in parentheses.
struct At<'a>(&'a Index);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (constant, terms) = match self.0 {
            Index::Value(scalar) => return write!(f, "${}", scalar.0),
            Index::Affine { constant, terms } => (constant, terms),
        };
        let factors = terms.iter().map(|(number, stride)| (stride, Some(number)));
        let last = (*constant != 0usize || terms.is_empty()).then_some((constant, None));
        for (i, (factor, number)) in factors.chain(last).enumerate() {
            let is_negative = factor.as_number().is_some_and(|x| x < 0);
            f.write_str(match (i, is_negative) {
                (0, false) => "",
                (0, true) => "-",
                (_, false) => " + ",
                (_, true) => " - ",
            })?;
            match (factor.as_number().map(i64::unsigned_abs), number) {
                (Some(1), Some(number)) => write!(f, "i{number}")?,
                (Some(size), Some(number)) => write!(f, "{size}*i{number}")?,
                (Some(size), None) => write!(f, "{size}")?,
                (None, Some(number)) => write!(f, "({factor})*i{number}")?,
                (None, None) => write!(f, "({factor})")?,
            }
        }
        Ok(())
    }
}

fn list<T>(items: &[T], show: impl Fn(&T) -> String) -> String {
    items.iter().map(show).collect::<Vec<_>>().join(", ")
}

impl Kernel {
    /// The name of an input; `%?` for one that does not exist.
    fn input_name(&self, input: u32) -> String {
        self.inputs.get(input as usize).map_or("%?".into(), |(var, _)| var.to_string())
    }

    /// The lines of the text: the head, the loops, the body, the results, the closing brace.
    pub(in crate::kernel) fn lines(&self) -> Vec<String> {
        let binders = |binders: &[(Var, Aval)]| list(binders, |(var, aval)| format!("{var}: {aval}"));
        let head = format!("kernel @{}({}) -> ({}) {{", self.name, binders(&self.inputs), binders(&self.outputs));
        let mut lines = vec![head];
        lines.extend(self.loops.iter().enumerate().map(|(i, l)| match l.kind {
            LoopKind::Row => format!("  row i{i}: {}", l.extent),
            LoopKind::Reduce => format!("  reduce i{i}: {}", l.extent),
            LoopKind::Segment { segment, offsets } => {
                format!("  segment i{i}: {} of i{segment} by {}", l.extent, self.input_name(offsets))
            }
        }));
        lines.extend(self.body.iter().zip(self.dtypes()).enumerate().map(|(i, (instr, dtype))| {
            let work = match instr {
                Instr::Const(literal) => format!("const {literal}"),
                Instr::Size(dim, _) => format!("size {dim}"),
                Instr::Position(index) => format!("position {}", At(index)),
                Instr::Load(input, index) => {
                    format!("load {}[{}]", self.input_name(*input), list(index, |i| At(i).to_string()))
                }
                Instr::Op(op, ins) => format!("{} {}", op.name(), list(ins, |s| format!("${}", s.0))),
            };
            format!("  ${i}: {dtype} = {work}")
        }));
        let how = self.reduce.map_or("store", |op| op.name());
        let results = self.results.iter().zip(&self.outputs);
        lines.extend(results.map(|(scalar, (var, _))| format!("  {how} ${} -> {var}", scalar.0)));
        lines.push("}".into());
        lines
    }
}

impl fmt::Display for Kernel {
    /// ```text
    /// kernel @segment_sum_7(%3: f32[z], %5: i32[n+1]) -> (%9: f32[n]) {
    ///   row i0: n
    ///   segment i1: z of i0 by %5
    ///   $0: f32 = load %3[i1]
    ///   sum $0 -> %9
    /// }
    /// ```
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines().iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match self {
            Step::Kernel(kernel, _) => return write!(f, "{kernel}"),
            Step::Eval(eqn) => return writeln!(f, "interpreted {eqn}"),
            Step::Control(step) => step,
        };
        let names = |atoms: Vec<String>| atoms.join(", ");
        let outs = names(step.eqn.outs.iter().map(|binder| format!("{}: {}", binder.var, binder.aval)).collect());
        let ins = names(step.eqn.ins.iter().map(|atom| atom.to_string()).collect());
        writeln!(f, "{outs} = {} {ins}", step.eqn.prim.name())?;
        for nested in &step.nested {
            let binders = nested.program.args.iter().map(|binder| format!("{}: {}", binder.var, binder.aval));
            let outs = names(nested.program.outs.iter().map(|atom| atom.to_string()).collect());
            writeln!(f, "  @{}({}) -> {outs}", nested.program.name, names(binders.collect()))?;
            nested.to_string().lines().try_for_each(|line| writeln!(f, "    {line}"))?;
        }
        Ok(())
    }
}

impl fmt::Display for KernelProgram {
    /// Group by group: `group 3: rows n, members e by %36`, then its steps. In a group that splits rows, a comment
    /// before each kernel says which of its loops goes over them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Composed { var, of, at, aval, .. } in &self.composed {
            writeln!(f, "// {var}: {aval} is {of}[{at}], once for each graph")?;
        }
        for (i, group) in self.groups.iter().enumerate() {
            writeln!(f, "group {i}: {}", group.space)?;
            for (k, step) in self.steps[group.steps.clone()].iter().enumerate() {
                if let Space::Rows { parts, .. } = &group.space {
                    writeln!(f, "// {}", parts[k])?;
                }
                write!(f, "{step}")?;
            }
        }
        Ok(())
    }
}
