//! Programs as text. `parse` reads what is printed here.

use crate::ir::{Attr, Binder, Eqn, Program};
use std::fmt::{self, Write};

/// What to print in addition to the program.
#[derive(Clone, Copy, Default, Debug)]
pub struct PrintOptions {
    /// The user's line after each equation, as a comment.
    pub locations: bool,
}

/// How a part of a program is printed.
#[derive(Clone, Copy, Default)]
struct Style {
    locations: bool,
    /// A program within an equation is its name alone, so that the equation is one line.
    is_brief: bool,
}

impl Program {
    /// The text of the program.
    pub fn to_text(&self, options: PrintOptions) -> String {
        let mut text = String::new();
        let style = Style { locations: options.locations, is_brief: false };
        write_program(&mut text, self, 0, style).expect("writing to a string does not fail");
        text
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text(PrintOptions::default()))
    }
}

impl Eqn {
    /// The equation on one line, with the names of programs in their place. It cannot be read back.
    pub(crate) fn to_line(&self) -> String {
        let mut text = String::new();
        let style = Style { locations: false, is_brief: true };
        write_eqn(&mut text, self, 0, style).expect("writing to a string does not fail");
        text
    }
}

impl fmt::Display for Eqn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        write_eqn(&mut text, self, 0, Style::default())?;
        f.write_str(&text)
    }
}

fn write_binders<'a>(out: &mut String, binders: impl IntoIterator<Item = &'a Binder>) -> fmt::Result {
    for (i, binder) in binders.into_iter().enumerate() {
        let comma = if i > 0 { ", " } else { "" };
        write!(out, "{comma}{}: {}", binder.var, binder.aval)?;
    }
    Ok(())
}

fn write_program(out: &mut String, program: &Program, indent: usize, style: Style) -> fmt::Result {
    let pad = "  ".repeat(indent);
    write!(out, "{pad}program @{}(", program.name)?;
    write_binders(out, &program.args)?;
    if !program.consts.is_empty() {
        out.push_str("; ");
        write_binders(out, &program.consts)?;
    }
    out.push_str(") -> (");
    for (i, aval) in program.out_avals().iter().enumerate() {
        write!(out, "{}{aval}", if i > 0 { ", " } else { "" })?;
    }
    out.push(')');
    if !program.facts.is_empty() {
        write!(out, " where {}", program.facts)?;
    }
    out.push_str(" {\n");
    for eqn in &program.eqns {
        write!(out, "{pad}  ")?;
        write_eqn(out, eqn, indent, style)?;
        if style.locations {
            write!(out, "  // {}", eqn.location)?;
        }
        out.push('\n');
    }
    write!(out, "{pad}  return")?;
    for (i, atom) in program.outs.iter().enumerate() {
        write!(out, "{}{atom}", if i > 0 { ", " } else { " " })?;
    }
    write!(out, "\n{pad}}}")?;
    if indent == 0 {
        out.push('\n');
    }
    Ok(())
}

fn write_eqn(out: &mut String, eqn: &Eqn, indent: usize, style: Style) -> fmt::Result {
    if !eqn.outs.is_empty() {
        write_binders(out, &eqn.outs)?;
        out.push_str(" = ");
    }
    out.push_str(eqn.prim.name());
    for (i, atom) in eqn.ins.iter().enumerate() {
        write!(out, "{}{atom}", if i > 0 { ", " } else { " " })?;
    }
    if !eqn.params.is_empty() {
        out.push_str(" {");
        for (i, (name, attr)) in eqn.params.iter().enumerate() {
            write!(out, "{}{name}=", if i > 0 { ", " } else { "" })?;
            write_attr(out, attr, indent, style)?;
        }
        out.push('}');
    }
    match eqn.location.scope().name() {
        Some(name) => write!(out, " @\"{}\"", escaped(name)),
        None => Ok(()),
    }
}

fn write_attr(out: &mut String, attr: &Attr, indent: usize, style: Style) -> fmt::Result {
    match attr {
        Attr::Dim(dim) => write!(out, "{dim}"),
        Attr::Literal(literal) => write!(out, "{literal}"),
        Attr::DType(dtype) => write!(out, "{dtype}"),
        Attr::Word(word) => write!(out, "\"{}\"", escaped(word)),
        Attr::List(attrs) => {
            out.push('[');
            for (i, attr) in attrs.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_attr(out, attr, indent, style)?;
            }
            out.push(']');
            Ok(())
        }
        Attr::Host(function) => write!(out, "host(\"{}\")", escaped(function.name())),
        Attr::Program(program) if style.is_brief => write!(out, "@{}", program.name),
        Attr::Program(program) => {
            out.push('\n');
            write_program(out, program, indent + 2, style)
        }
    }
}

/// A word as it appears between quotes: on one line, with its quotes escaped.
fn escaped(word: &str) -> String {
    word.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
