//! Programs: single-assignment, straight-line, typed at every binder.

use crate::aval::{Aval, Facts, Literal, Sizes, Symbol};
use crate::ir::{Attr, Kind, NameScope, Params, Primitive};
use smallvec::SmallVec;
use std::fmt;
use std::sync::Arc;

/// A variable, numbered in the order of binding: arguments, constants, equations.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Var(pub u32);

impl Var {
    /// The number as an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Var {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

/// An operand: a variable or a scalar constant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Atom {
    /// A variable.
    Var(Var),
    /// A scalar constant.
    Literal(Literal),
}

impl Atom {
    /// The variable, if it is one.
    pub fn var(self) -> Option<Var> {
        match self {
            Atom::Var(var) => Some(var),
            Atom::Literal(_) => None,
        }
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Atom::Var(var) => var.fmt(f),
            Atom::Literal(literal) => literal.fmt(f),
        }
    }
}

/// A variable where it is bound, with its type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Binder {
    /// The variable.
    pub var: Var,
    /// Its type.
    pub aval: Aval,
}

/// A place in the user's source, or a line of the text that holds the program, which is unknown for a program that was
/// loaded; and the named part of the program.
#[derive(Clone, Copy, Default, Debug)]
pub struct Location {
    place: Place,
    scope: NameScope,
}

#[derive(Clone, Copy, Default, Debug)]
enum Place {
    #[default]
    Unknown,
    Source(&'static std::panic::Location<'static>),
    Line(u32),
}

impl Location {
    /// The place of the caller; in a transformed function, for a caller within the library, where that was made.
    #[track_caller]
    pub fn caller() -> Self {
        let at = std::panic::Location::caller();
        match crate::ir::bind::maker() {
            Some(made_at) if crate::ir::bind::is_in_library(at.file()) => made_at,
            _ => Location { place: Place::Source(at), scope: NameScope::default() },
        }
    }

    /// A line of a text, from 1.
    pub(crate) fn in_text(line: usize) -> Self {
        let place = u32::try_from(line).map_or(Place::Unknown, Place::Line);
        Location { place, scope: NameScope::default() }
    }

    /// The line of the text, where it is one.
    pub fn line(self) -> Option<u32> {
        match self.place {
            Place::Line(line) => Some(line),
            Place::Unknown | Place::Source(_) => None,
        }
    }

    /// The user's line for which a transformation currently binds equations; otherwise the place of the caller.
    #[track_caller]
    pub fn current() -> Self {
        // Not `unwrap_or_else(Location::caller)`: the caller of a function passed as a value is the standard library.
        let at = match crate::ir::bind::location() {
            Some(location) => location,
            None => Location::caller(),
        };
        at.in_scope(NameScope::current())
    }

    /// The same place in a named part of the program.
    pub(crate) fn in_scope(self, scope: NameScope) -> Self {
        Location { scope, ..self }
    }

    /// The named part of the program.
    pub fn scope(self) -> NameScope {
        self.scope
    }

    /// That of an equation that takes the place of one at `outer`, with a program that holds it.
    fn within(self, outer: Location) -> Self {
        let place = if self.is_known() { self.place } else { outer.place };
        Location { place, scope: outer.scope.join(self.scope) }
    }

    /// Whether the place is known, and outside of the library.
    pub fn is_users(self) -> bool {
        match self.place {
            Place::Source(at) => !crate::ir::bind::is_in_library(at.file()),
            Place::Line(_) => true,
            Place::Unknown => false,
        }
    }

    /// Whether the place is known.
    pub fn is_known(self) -> bool {
        !matches!(self.place, Place::Unknown)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::Source(at) => write!(f, "{at}"),
            Place::Line(line) => write!(f, "line {line}"),
            Place::Unknown => f.write_str("an unknown place"),
        }?;
        self.scope.name().map_or(Ok(()), |name| write!(f, " in {name}"))
    }
}

/// One equation: `%3: f32[2] = add %1, %2`.
#[derive(Clone, Debug)]
pub struct Eqn {
    /// The operation.
    pub prim: &'static dyn Primitive,
    /// Attributes.
    pub params: Params,
    /// Operands.
    pub ins: SmallVec<[Atom; 4]>,
    /// The variables that it binds.
    pub outs: SmallVec<[Binder; 1]>,
    /// The user's line that made it; ignored by equality.
    pub location: Location,
}

impl Program {
    /// The name of a function of the host that it calls, or a nested program does.
    pub fn host_function(&self) -> Option<&str> {
        self.eqns.iter().find_map(|eqn| {
            let own = eqn.params.iter().find_map(|(_, attr)| match attr {
                Attr::Host(function) => Some(function.name()),
                _ => None,
            });
            own.or_else(|| eqn.params.programs_within().find_map(|program| program.host_function()))
        })
    }
}

impl Eqn {
    /// Whether it, or a program nested in it, does more than return outputs.
    pub fn has_effect(&self) -> bool {
        self.prim.has_effect() || self.params.programs_within().any(|program| program.has_effect())
    }

    /// The same equation with the effects of nested programs removed.
    pub(crate) fn without_effects(&self) -> Eqn {
        fn put(attr: &Attr) -> Attr {
            match attr {
                Attr::Program(program) => Attr::Program(Arc::new(program.without_effects())),
                Attr::List(attrs) => Attr::List(attrs.iter().map(put).collect()),
                other => other.clone(),
            }
        }
        match self.prim.kind() {
            // The rules of a primitive with a nested program expect that program unchanged.
            Kind::Control | Kind::Call if self.has_effect() => {
                Eqn { params: self.params.map(&mut put), ..self.clone() }
            }
            _ => self.clone(),
        }
    }
}

impl PartialEq for Eqn {
    fn eq(&self, other: &Self) -> bool {
        self.prim.name() == other.prim.name()
            && self.params == other.params
            && self.ins == other.ins
            && self.outs == other.outs
    }
}

/// A program. `verify`'s documentation says when it is well formed.
#[derive(Clone, PartialEq, Debug)]
pub struct Program {
    /// Its name, without the `@`.
    pub name: String,
    /// Arguments.
    pub args: Vec<Binder>,
    /// Captured constants: arguments that the tracer added.
    pub consts: Vec<Binder>,
    /// Equations, each after those it reads.
    pub eqns: Vec<Eqn>,
    /// Results.
    pub outs: Vec<Atom>,
    /// Assumptions about the symbols' sizes; checked at every call.
    pub facts: Facts,
}

impl Program {
    /// Every binder in order: arguments, constants, equations.
    pub fn binders(&self) -> impl Iterator<Item = &Binder> {
        self.args.iter().chain(&self.consts).chain(self.eqns.iter().flat_map(|eqn| &eqn.outs))
    }

    /// One more than the largest variable number.
    pub fn n_var(&self) -> usize {
        self.binders().map(|binder| binder.var.index() + 1).max().unwrap_or(0)
    }

    /// The type of every variable, by number. Variables that are not bound have the type `bool[]`.
    pub fn avals(&self) -> Vec<Aval> {
        self.avals_by(Aval::clone)
    }

    /// The type of every variable for these sizes of symbols.
    pub fn avals_at(&self, sizes: &Sizes) -> Vec<Aval> {
        self.avals_by(|aval| aval.at(sizes))
    }

    fn avals_by(&self, of: impl Fn(&Aval) -> Aval) -> Vec<Aval> {
        let mut avals = vec![Aval::scalar(crate::aval::DType::Bool); self.n_var()];
        for binder in self.binders() {
            avals[binder.var.index()] = of(&binder.aval);
        }
        avals
    }

    /// The types of the results.
    pub fn out_avals(&self) -> Vec<Aval> {
        let avals = self.avals();
        self.outs.iter().map(|atom| atom_aval(*atom, &avals)).collect()
    }

    /// Every symbol in the types of arguments and constants, sorted.
    pub fn symbols(&self) -> Vec<Symbol> {
        let binders = self.args.iter().chain(&self.consts);
        let mut all: Vec<Symbol> =
            binders.flat_map(|binder| binder.aval.shape.iter().flat_map(|dim| dim.symbols())).collect();
        all.sort();
        all.dedup();
        all
    }

    /// Whether running it does more than return its results.
    pub fn has_effect(&self) -> bool {
        self.eqns.iter().any(Eqn::has_effect)
    }

    /// The same program without equations whose only purpose is their effect, in loops, branches and calls too. If both
    /// programs run, effects happen once.
    pub fn without_effects(&self) -> Program {
        let kept = self.eqns.iter().filter(|eqn| !eqn.prim.has_effect());
        Program { eqns: kept.map(Eqn::without_effects).collect(), ..self.clone() }.renumbered()
    }

    /// The same program with every symbol that has a size replaced by it, in nested programs too. Facts that hold for
    /// these sizes are removed; one that does not hold makes the program ill-formed.
    pub fn at(&self, sizes: &Sizes) -> Program {
        let binder = |binder: &Binder| Binder { var: binder.var, aval: binder.aval.at(sizes) };
        let eqn = |eqn: &Eqn| Eqn {
            params: eqn.params.at(sizes),
            outs: eqn.outs.iter().map(binder).collect(),
            ..eqn.clone()
        };
        Program {
            name: self.name.clone(),
            args: self.args.iter().map(binder).collect(),
            consts: self.consts.iter().map(binder).collect(),
            eqns: self.eqns.iter().map(eqn).collect(),
            outs: self.outs.clone(),
            facts: self.facts.at(sizes),
        }
    }

    /// The same program without the equations that no result needs, except those with an effect. An equation with
    /// several outputs stays whole as long as one is read; arguments and constants stay, because callers pass them by
    /// position.
    pub fn pruned(mut self) -> Program {
        let mut stays = self.needed().into_iter();
        self.eqns.retain(|_| stays.next().unwrap_or(true));
        self.renumbered()
    }

    /// For each equation, whether a result needs it or it has an effect.
    pub(crate) fn needed(&self) -> Vec<bool> {
        let mut live = vec![false; self.n_var()];
        let mark = |atoms: &[Atom], live: &mut [bool]| {
            atoms.iter().filter_map(|atom| atom.var()).for_each(|var| live[var.index()] = true);
        };
        mark(&self.outs, &mut live);
        let mut stays = vec![false; self.eqns.len()];
        for (eqn, stays) in self.eqns.iter().zip(&mut stays).rev() {
            *stays = eqn.outs.iter().any(|binder| live[binder.var.index()]) || eqn.has_effect();
            if *stays {
                mark(&eqn.ins, &mut live);
            }
        }
        stays
    }

    /// The same program with its constants as arguments in front of its own, so that its results depend only on its
    /// arguments.
    pub fn closed(mut self) -> Program {
        let args = std::mem::take(&mut self.args);
        self.args = std::mem::take(&mut self.consts);
        self.args.extend(args);
        self.renumbered()
    }

    /// The same program with variables renumbered in the order of binding.
    pub fn renumbered(mut self) -> Self {
        let mut new = vec![Var(u32::MAX); self.n_var()];
        for (i, binder) in self.binders().enumerate() {
            new[binder.var.index()] = Var(i as u32);
        }
        let rename = |atom: &mut Atom| {
            if let Atom::Var(var) = atom {
                *var = new.get(var.index()).copied().unwrap_or(Var(u32::MAX));
            }
        };
        for binder in self.args.iter_mut().chain(&mut self.consts) {
            binder.var = new[binder.var.index()];
        }
        for eqn in &mut self.eqns {
            eqn.ins.iter_mut().for_each(rename);
            for binder in &mut eqn.outs {
                binder.var = new[binder.var.index()];
            }
        }
        self.outs.iter_mut().for_each(rename);
        self
    }

    /// The same program with every call replaced by its program; transformations begin with it.
    pub fn inlined(&self) -> Program {
        self.clone().inlined_where(&|kind| kind == Kind::Call)
    }

    /// The same program with every equation of these kinds replaced by its nested program.
    pub(crate) fn inlined_where(mut self, kinds: &dyn Fn(Kind) -> bool) -> Program {
        if self.eqns.iter().any(|eqn| kinds(eqn.prim.kind())) {
            let mut next = self.n_var() as u32;
            let mut names: Vec<Option<Atom>> = vec![None; self.n_var()];
            let mut eqns = Vec::with_capacity(self.eqns.len());
            inline_into(&self.eqns, kinds, &mut names, &mut next, &mut eqns, Location::default());
            self.outs.iter_mut().for_each(|atom| *atom = resolve(*atom, &names));
            self.eqns = eqns;
        }
        self.renumbered()
    }
}

/// The type of an operand from the types of variables; `bool[]` for a variable that is not bound.
pub(crate) fn atom_aval(atom: Atom, avals: &[Aval]) -> Aval {
    match atom {
        Atom::Var(var) => avals.get(var.index()).cloned().unwrap_or(Aval::scalar(crate::aval::DType::Bool)),
        Atom::Literal(literal) => Aval::scalar(literal.dtype()),
    }
}

fn resolve(atom: Atom, names: &[Option<Atom>]) -> Atom {
    match atom {
        Atom::Var(var) => names[var.index()].unwrap_or(atom),
        Atom::Literal(_) => atom,
    }
}

/// Appends `eqns` with those of these kinds replaced by their programs. `names` maps variables to their replacements.
fn inline_into(
    eqns: &[Eqn],
    kinds: &dyn Fn(Kind) -> bool,
    names: &mut [Option<Atom>],
    next: &mut u32,
    into: &mut Vec<Eqn>,
    call_location: Location,
) {
    for eqn in eqns {
        let ins: SmallVec<[Atom; 4]> = eqn.ins.iter().map(|atom| resolve(*atom, names)).collect();
        let location = eqn.location.within(call_location);
        if !kinds(eqn.prim.kind()) {
            let outs = eqn
                .outs
                .iter()
                .map(|binder| match names[binder.var.index()] {
                    Some(Atom::Var(var)) => Binder { var, aval: binder.aval.clone() },
                    _ => binder.clone(),
                })
                .collect();
            into.push(Eqn { prim: eqn.prim, params: eqn.params.clone(), ins, outs, location });
            continue;
        }
        let inner = eqn.params.program("program");
        let mut inner_names: Vec<Option<Atom>> = vec![None; inner.n_var()];
        for (binder, atom) in inner.consts.iter().chain(&inner.args).zip(&ins) {
            inner_names[binder.var.index()] = Some(*atom);
        }
        for binder in inner.eqns.iter().flat_map(|eqn| &eqn.outs) {
            inner_names[binder.var.index()] = Some(Atom::Var(Var(*next)));
            *next += 1;
        }
        inline_into(&inner.eqns, kinds, &mut inner_names, next, into, location);
        for (binder, atom) in eqn.outs.iter().zip(&inner.outs) {
            names[binder.var.index()] = Some(resolve(*atom, &inner_names));
        }
    }
}
