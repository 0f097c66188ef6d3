//! Kernels from text: the inverse of `print`.
//!
//! ```text
//! kernel  = "kernel" "@" name "(" binders ")" "->" "(" binders ")" "{" loop* scalar* result* "}"
//! loop    = ("row" | "reduce") "i" number ":" dim
//!         | "segment" "i" number ":" dim "of" "i" number "by" "%" number
//! scalar  = "$" number ":" dtype "=" instr
//! instr   = "const" literal | "size" dim | "position" index | "load" "%" number "[" indices "]" | op scalars
//! index   = "$" number | ["-"] term (("+" | "-") term)*
//! term    = [factor "*"] "i" number | factor          factor = number | "(" dim ")"
//! result  = ("store" | "sum" | "max") "$" number "->" "%" number
//! binder  = "%" number ":" type
//! ```
//! Loops and scalars are numbered in order, from 0; a factor alone is the last term of its index; results come in the
//! order of the outputs. `//` starts a comment that ends with the line.

use crate::aval::{Aval, DType, Dim};
use crate::error::Error;
use crate::ir::{Cursor, Index, ReduceOp, Scalar, ScalarOp, Var};
use crate::kernel::{Instr, Kernel, Loop, LoopKind, verify_kernel};

/// Reads one kernel and verifies it.
pub fn parse_kernel(text: &str) -> Result<Kernel, Error> {
    let mut c = Cursor::new(text);
    let (kernel, declared) = kernel(&mut c)?;
    if !c.is_at_end() {
        return Err(c.error("one kernel ends here; nothing may follow it"));
    }
    verify_kernel(&kernel)?;
    for (i, (found, (place, dtype))) in kernel.dtypes().iter().zip(declared).enumerate() {
        if *found != dtype {
            return Err(c.error_at(place, format!("${i} is {found}, not {dtype}")));
        }
    }
    Ok(kernel)
}

/// A kernel, and for each scalar the type that the text states, with the place of that type.
fn kernel(c: &mut Cursor<'_>) -> Result<(Kernel, Vec<(usize, DType)>), Error> {
    c.expect("kernel")?;
    c.expect("@")?;
    let name = c.name("the kernel's name")?.to_string();
    let inputs = binders(c)?;
    c.expect("->")?;
    let outputs = binders(c)?;
    c.expect("{")?;
    let mut kernel = Kernel { name, inputs, outputs, loops: vec![], body: vec![], reduce: None, results: vec![] };
    while let Some(word) = ["row", "reduce", "segment"].into_iter().find(|word| c.eat(word)) {
        let l = one_loop(c, word, &kernel)?;
        kernel.loops.push(l);
    }
    let mut declared = vec![];
    while c.sees("$") {
        let place = c.place();
        let number = scalar(c)?;
        in_order(c, place, "$", number.0, kernel.body.len())?;
        c.expect(":")?;
        let place = c.place();
        let dtype = c.dtype()?;
        declared.push((place, dtype));
        c.expect("=")?;
        let instr = instr(c, dtype, &kernel.inputs)?;
        kernel.body.push(instr);
    }
    while !c.eat("}") {
        result(c, &mut kernel)?;
    }
    Ok((kernel, declared))
}

fn binders(c: &mut Cursor<'_>) -> Result<Vec<(Var, Aval)>, Error> {
    c.expect("(")?;
    let binders = c.list(&[")"], Cursor::binder)?;
    c.expect(")")?;
    Ok(binders.into_iter().map(|binder| (binder.var, binder.aval)).collect())
}

/// An item's number must equal its place in its list.
fn in_order(c: &Cursor<'_>, place: usize, letter: &str, found: u32, wanted: usize) -> Result<(), Error> {
    if found as usize == wanted {
        return Ok(());
    }
    Err(c.error_at(place, format!("expected `{letter}{wanted}`, found `{letter}{found}`: number them in order")))
}

fn scalar(c: &mut Cursor<'_>) -> Result<Scalar, Error> {
    c.expect("$")?;
    c.number("a scalar").map(Scalar)
}

fn loop_number(c: &mut Cursor<'_>) -> Result<u32, Error> {
    c.expect("i")?;
    c.number("a loop")
}

/// The number of an input, by its variable.
fn input(c: &mut Cursor<'_>, inputs: &[(Var, Aval)]) -> Result<u32, Error> {
    let place = c.place();
    let var = c.var()?;
    match inputs.iter().position(|(input, _)| *input == var) {
        Some(at) => Ok(at as u32),
        None => Err(c.error_at(place, format!("{var} is no input of the kernel"))),
    }
}

fn one_loop(c: &mut Cursor<'_>, word: &str, kernel: &Kernel) -> Result<Loop, Error> {
    let place = c.place();
    let number = loop_number(c)?;
    in_order(c, place, "i", number, kernel.loops.len())?;
    c.expect(":")?;
    let extent = c.dim()?;
    let kind = match word {
        "row" => LoopKind::Row,
        "reduce" => LoopKind::Reduce,
        _ => {
            c.expect("of")?;
            let segment = loop_number(c)?;
            c.expect("by")?;
            LoopKind::Segment { segment, offsets: input(c, &kernel.inputs)? }
        }
    };
    Ok(Loop { extent, kind })
}

/// An instruction whose result has the type `dtype`: sizes and conversions have no other source for it.
fn instr(c: &mut Cursor<'_>, dtype: DType, inputs: &[(Var, Aval)]) -> Result<Instr, Error> {
    let place = c.place();
    let op = match c.name("an instruction")? {
        "const" => return Ok(Instr::Const(c.literal("a literal")?)),
        "size" => return Ok(Instr::Size(c.dim()?, dtype)),
        "position" => return Ok(Instr::Position(index(c)?)),
        "load" => {
            let input = input(c, inputs)?;
            c.expect("[")?;
            let at = c.list(&["]"], index)?;
            c.expect("]")?;
            return Ok(Instr::Load(input, at));
        }
        name => match ScalarOp::ALL.into_iter().find(|op| op.name() == name) {
            Some(ScalarOp::Convert(_)) => ScalarOp::Convert(dtype),
            Some(ScalarOp::Bitcast(_)) => ScalarOp::Bitcast(dtype),
            Some(op) => op,
            None => return Err(c.error_at(place, format!("`{name}` is no instruction"))),
        },
    };
    // Operands are on the operation's line: the next line may begin with a scalar, too.
    let ins = if c.rest_of_line().starts_with('$') { c.list(&[], scalar)? } else { vec![] };
    Ok(Instr::Op(op, ins.into_iter().collect()))
}

fn index(c: &mut Cursor<'_>) -> Result<Index, Error> {
    if c.sees("$") {
        return scalar(c).map(Index::Value);
    }
    let mut terms = vec![];
    let mut is_negative = c.eat("-");
    loop {
        let is_loop = c.sees("i");
        let factor = if is_loop { Dim::from(if is_negative { -1 } else { 1 }) } else { factor(c, is_negative)? };
        if !is_loop && !c.eat("*") {
            return Ok(Index::Affine { constant: factor, terms });
        }
        terms.push((loop_number(c)?, factor));
        is_negative = c.eat("-");
        if !is_negative && !c.eat("+") {
            return Ok(Index::Affine { constant: Dim::from(0), terms });
        }
    }
}

fn factor(c: &mut Cursor<'_>, is_negative: bool) -> Result<Dim, Error> {
    if c.eat("(") {
        let dim = c.dim()?;
        c.expect(")")?;
        return Ok(if is_negative { Dim::from(0) - dim } else { dim });
    }
    let place = c.place();
    let digits = c.word("a loop, a number or `(`", |x| x.is_ascii_digit())?;
    let sign = if is_negative { "-" } else { "" };
    let number = format!("{sign}{digits}").parse::<i64>();
    number.map(Dim::from).map_err(|_| c.error_at(place, format!("{digits} is too large for a position")))
}

fn result(c: &mut Cursor<'_>, kernel: &mut Kernel) -> Result<(), Error> {
    let place = c.place();
    let reduce = match c.name("a scalar, a result or `}`")? {
        "store" => None,
        word => match ReduceOp::ALL.into_iter().find(|op| op.name() == word) {
            Some(op) => Some(op),
            None => {
                let why = format!("`{word}` is no way to a result: store, sum, prod, max or min");
                return Err(c.error_at(place, why));
            }
        },
    };
    if !kernel.results.is_empty() && kernel.reduce != reduce {
        return Err(c.error_at(place, "all results of a kernel are stored or combined in one way"));
    }
    kernel.reduce = reduce;
    kernel.results.push(scalar(c)?);
    c.expect("->")?;
    let place = c.place();
    let var = c.var()?;
    match kernel.outputs.get(kernel.results.len() - 1) {
        Some((output, _)) if *output == var => Ok(()),
        Some((output, _)) => Err(c.error_at(place, format!("expected {output}: results stand in the outputs' order"))),
        None => Err(c.error_at(place, format!("{var} is one result more than there are outputs"))),
    }
}
