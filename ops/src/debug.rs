//! `debug_print`: values on the standard error stream while a program runs.

use crate::Array;
use crate::movement::reject;
use crate::show::write_array;
use gavotte_core::aval::{Aval, Dim, Literal};
use gavotte_core::device::HostArray;
use gavotte_core::error::TypeError;
use gavotte_core::ir::stablehlo::{Export, Operand};
use gavotte_core::ir::structural::move_axis;
use gavotte_core::ir::{
    Attr, Batch, Batched, Jvp, Kind, Params, Primitive, Sample, Unsupported, Value, bind, effects_take_place,
};
use std::cell::RefCell;

/// The primitives of this family.
pub(crate) static PRIMITIVES: &[&dyn Primitive] = &[DEBUG_PRINT];

/// Prints `format` with an array for each `{}`, or `{:.3}` for three decimal places, whenever the program that contains
/// it runs: in compiled programs, too, once per execution, in program order, for any number of threads.
///
/// The line goes to the standard error stream, or to the sink of [`with_debug_output`]. Derivatives print the primal
/// once; `vmap` prints a line per batch element if an array has the mapped axis. `{{` and `}}` are braces.
///
/// # Panics
/// If the number of placeholders in `format` is not the number of `arrays`.
///
/// ```
/// use gavotte::{Array, debug_print, jit, with_debug_output};
/// use std::{cell::RefCell, rc::Rc};
///
/// let halve = jit(|x: Array| {
///     let y = x * 0.5f32;
///     debug_print("halved: {}", &[&y]);
///     y
/// });
/// let lines: Rc<RefCell<Vec<String>>> = Rc::default();
/// let kept = lines.clone();
/// with_debug_output(move |line| kept.borrow_mut().push(line.into()), || halve(Array::scalar(3f32)));
/// assert_eq!(*lines.borrow(), ["halved: 1.5"]);
/// ```
#[track_caller]
pub fn debug_print(format: &'static str, arrays: &[&Array]) {
    if let Err(TypeError(why)) = pieces(format, arrays.len()) {
        reject("debug_print", &why, arrays);
    }
    let ins: Vec<&Value> = arrays.iter().map(|array| &array.0).collect();
    bind(DEBUG_PRINT, &ins, Params::new().with("format", format));
}

type Sink = Box<dyn FnMut(&str)>;

thread_local! {
    static SINK: RefCell<Option<Sink>> = const { RefCell::new(None) };
}

/// Runs `f` and passes every line of [`debug_print`] on this thread to `sink` instead of the standard error stream.
/// Programs print on the thread that calls them.
pub fn with_debug_output<R>(sink: impl FnMut(&str) + 'static, f: impl FnOnce() -> R) -> R {
    /// Restores the old sink, also while a panic unwinds.
    struct Restore(Option<Sink>);
    impl Drop for Restore {
        fn drop(&mut self) {
            let _ = SINK.replace(self.0.take());
        }
    }
    let _restore = Restore(SINK.replace(Some(Box::new(sink))));
    f()
}

fn emit(line: &str) {
    // The sink is taken out while it runs, so that it may print itself.
    match SINK.take() {
        Some(mut sink) => {
            sink(line);
            SINK.set(Some(sink));
        }
        None => eprintln!("{line}"),
    }
}

/// Printing while a program runs.
#[derive(Debug)]
struct DebugPrint;
/// The primitive `debug_print {format}` of any operands, without outputs. Under `vmap` the attribute `sizes` has the
/// extents of the mapped axes, outermost first, and `levels` has, for each operand, the mapped axes that its leading
/// axes are.
pub(crate) static DEBUG_PRINT: &dyn Primitive = &DebugPrint;

/// A part of a format.
#[derive(PartialEq, Debug)]
enum Piece {
    /// Literal text.
    Text(String),
    /// The next array, with this many decimal places.
    Place(Option<usize>),
}

/// The parts of a format for `n` arrays.
fn pieces(format: &str, n: usize) -> Result<Vec<Piece>, TypeError> {
    let mut pieces = vec![];
    let mut text = String::new();
    let mut rest = format;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '{' | '}' if rest.starts_with(c) => {
                text.push(c);
                rest = &rest[1..];
            }
            '{' => {
                let place = rest.split_once('}').and_then(|(inside, after)| Some((place(inside)?, after)));
                let Some((place, after)) = place else {
                    return Err(TypeError::new(format!(
                        "in the format {format:?} a placeholder is `{{}}` or `{{:.3}}`: write `{{{{` for a brace"
                    )));
                };
                pieces.push(Piece::Text(std::mem::take(&mut text)));
                pieces.push(place);
                rest = after;
            }
            '}' => {
                return Err(TypeError::new(format!("in the format {format:?} a `}}` is unmatched: write `}}}}`")));
            }
            c => text.push(c),
        }
    }
    pieces.push(Piece::Text(text));
    let places = pieces.iter().filter(|piece| matches!(piece, Piece::Place(_))).count();
    if places != n {
        return Err(TypeError::new(format!("placeholders in the format {format:?}: {places}; arrays: {n}")));
    }
    Ok(pieces)
}

fn place(inside: &str) -> Option<Piece> {
    if inside.is_empty() {
        return Some(Piece::Place(None));
    }
    let digits: usize = inside.strip_prefix(":.")?.parse().ok()?;
    (digits <= 100).then_some(Piece::Place(Some(digits)))
}

/// The mapped axes of an equation: their extents, and for each operand the mapped axes that its leading axes are.
struct Mapped {
    sizes: Vec<Dim>,
    levels: Vec<Vec<usize>>,
}

impl Mapped {
    fn of(params: &Params, n: usize) -> Result<Mapped, TypeError> {
        if params.get("sizes").is_none() && params.get("levels").is_none() {
            return Ok(Mapped { sizes: vec![], levels: vec![vec![]; n] });
        }
        let sizes = params.try_dims("sizes")?.to_vec();
        let Some(Attr::List(lists)) = params.get("levels") else {
            return Err(TypeError::new("attribute `levels` must be a list for each operand"));
        };
        let wrong = || TypeError::new("attribute `levels` must hold increasing numbers of `sizes` for each operand");
        let list = |attr: &Attr| {
            let Attr::List(list) = attr else { return Err(wrong()) };
            let level = |attr: &Attr| match attr {
                Attr::Dim(dim) => dim.as_usize().filter(|level| *level < sizes.len()).ok_or_else(wrong),
                _ => Err(wrong()),
            };
            let levels = list.iter().map(level).collect::<Result<Vec<usize>, TypeError>>()?;
            if levels.windows(2).all(|pair| pair[0] < pair[1]) { Ok(levels) } else { Err(wrong()) }
        };
        let levels = lists.iter().map(list).collect::<Result<Vec<_>, _>>()?;
        if levels.len() == n { Ok(Mapped { sizes, levels }) } else { Err(wrong()) }
    }

    fn params(&self, format: Attr) -> Params {
        Params::new().with("format", format).with("sizes", self.sizes.clone()).with("levels", self.levels.clone())
    }
}

fn format_of(params: &Params) -> Result<&str, TypeError> {
    match params.get("format") {
        Some(Attr::Word(format)) => Ok(format),
        _ => Err(TypeError::new("attribute `format` must be a word")),
    }
}

impl Primitive for DebugPrint {
    fn name(&self) -> &'static str {
        "debug_print"
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["format", "levels", "sizes"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        pieces(format_of(params)?, ins.len())?;
        let mapped = Mapped::of(params, ins.len())?;
        for (aval, levels) in ins.iter().zip(&mapped.levels) {
            let leading: Vec<&Dim> = levels.iter().map(|level| &mapped.sizes[*level]).collect();
            if aval.rank() < leading.len() || !aval.shape.iter().zip(leading).all(|(dim, size)| dim == size) {
                return Err(TypeError::new(format!(
                    "the leading axes of {aval} must be the mapped axes {levels:?} of {:?}",
                    mapped.sizes
                )));
            }
        }
        Ok(vec![])
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        if effects_take_place() {
            print(ins, params).unwrap_or_else(|why| panic!("{why}"));
        }
        vec![]
    }
    // the primal is printed, not the tangent
    fn jvp(&self, _: &Jvp<'_>) -> Vec<Option<Value>> {
        vec![]
    }
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let old = Mapped::of(cx.params, cx.ins.len()).unwrap_or_else(|why| panic!("{why}"));
        let format = cx.params.get("format").expect("abstract_eval has seen the format").clone();
        let mut mapped = Mapped { sizes: [vec![cx.size.clone()], old.sizes].concat(), levels: vec![] };
        let mut ins = vec![];
        for ((value, at), old) in cx.ins.iter().zip(old.levels) {
            let inner = old.into_iter().map(|level| level + 1);
            mapped.levels.push(at.map(|_| 0).into_iter().chain(inner).collect());
            ins.push(at.map_or_else(|| value.clone(), |at| move_axis(value, at, 0)));
        }
        bind(DEBUG_PRINT, &ins.iter().collect::<Vec<_>>(), mapped.params(format));
        vec![]
    }
    fn kind(&self) -> Kind {
        Kind::Opaque
    }
    fn has_effect(&self) -> bool {
        true
    }
    fn stablehlo(&self, _: &mut Export<'_>) -> Result<Vec<Operand>, Unsupported> {
        Err(Unsupported("debug_print: StableHLO has no printing on the host; export a function without it".into()))
    }
    fn samples(&self) -> Vec<Sample> {
        let x = || HostArray::new(&[3], vec![0.5f32, -1.0, 2.0]);
        let rows = || HostArray::new(&[2, 3], vec![1.5f64, 2.0, -3.0, 4.0, 5.0, -0.25]);
        let n = || HostArray::scalar(Literal::I32(7));
        let plain = |format: &'static str| Params::new().with("format", format);
        let mapped = |sizes: &[usize], levels: &[&[usize]]| {
            let levels = levels.iter().map(|levels| levels.to_vec()).collect();
            let sizes = sizes.iter().map(|size| Dim::from(*size)).collect();
            Mapped { sizes, levels }.params("sample: {} {:.1}".into())
        };
        vec![
            Sample::new("one", vec![x()], plain("sample: x = {}")),
            Sample::new("several", vec![n(), rows()], plain("sample: \"{}\"\\{{}}\n  {:.2}")),
            Sample::new("none", vec![], plain("sample: nothing")),
            Sample::new("mapped", vec![x(), n()], mapped(&[3], &[&[0], &[]])),
            Sample::new("mapped twice", vec![rows(), x()], mapped(&[2, 3], &[&[0], &[1]])),
        ]
    }
}

/// Prints a line for each index of the mapped axes, the last axis fastest.
fn print(ins: &[&HostArray], params: &Params) -> Result<(), TypeError> {
    let pieces = pieces(format_of(params)?, ins.len())?;
    let mapped = Mapped::of(params, ins.len())?;
    let sizes: Vec<usize> = mapped.sizes.iter().map(|size| size.as_usize().unwrap_or(0)).collect();
    for number in 0..sizes.iter().product() {
        let mut at = vec![0; sizes.len()];
        let mut rest: usize = number;
        for (at, size) in at.iter_mut().zip(&sizes).rev() {
            *at = rest % size;
            rest /= size;
        }
        let mut line = String::new();
        let mut arrays = ins.iter().zip(&mapped.levels);
        for piece in &pieces {
            match piece {
                Piece::Text(text) => line.push_str(text),
                Piece::Place(digits) => {
                    let (array, levels) = arrays.next().expect("a place for each array");
                    let shape = array.shape();
                    let row = levels.iter().zip(&shape).fold(0, |row, (level, size)| row * size + at[*level]);
                    let shape = &shape[levels.len()..];
                    write_array(&mut line, array, shape, row * shape.iter().product::<usize>(), *digits);
                }
            }
        }
        emit(&line);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_read_and_refused() {
        let text = |text: &str| Piece::Text(text.into());
        assert_eq!(
            pieces("a {} {{b}} {:.3}", 2),
            Ok(vec![text("a "), Piece::Place(None), text(" {b} "), Piece::Place(Some(3)), text("")])
        );
        let why = |format: &str, n: usize| pieces(format, n).err().map(|why| why.0).unwrap_or_default();
        assert_eq!(why("x = {}", 2), "placeholders in the format \"x = {}\": 1; arrays: 2");
        assert_eq!(why("{x}", 1), "in the format \"{x}\" a placeholder is `{}` or `{:.3}`: write `{{` for a brace");
        assert_eq!(why("x}", 0), "in the format \"x}\" a `}` is unmatched: write `}}`");
        assert!(why("{", 0).contains("a placeholder is") && why("{:.1000}", 1).contains("a placeholder is"));
    }
}
