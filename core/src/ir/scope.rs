//! Names of parts of a program, which only its readers see.

use crate::error::Error;
use crate::ir::refuse;
use crate::scoped::with_value;
use crate::sync::locked;
use rustc_hash::FxHashSet;
use std::cell::Cell;
use std::fmt;
use std::sync::{LazyLock, Mutex};

/// The part of its program that an equation belongs to, such as `encoder/attention`; most belong to none. Names are
/// relative to the equation that holds the program. Each is kept once, for as long as the process runs.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct NameScope(Option<&'static str>);

thread_local! {
    static CURRENT: Cell<NameScope> = const { Cell::new(NameScope(None)) };
}

impl NameScope {
    /// The scope of this name; none for an empty one.
    pub fn new(name: &str) -> NameScope {
        static NAMES: LazyLock<Mutex<FxHashSet<&'static str>>> = LazyLock::new(Mutex::default);
        if name.is_empty() {
            return NameScope(None);
        }
        let mut names = locked(&NAMES);
        let kept = names.get(name).copied().unwrap_or_else(|| {
            let kept: &'static str = Box::leak(name.into());
            names.insert(kept);
            kept
        });
        NameScope(Some(kept))
    }

    /// The name; `None` outside of all scopes.
    pub fn name(self) -> Option<&'static str> {
        self.0
    }

    /// The scope `inner` within this one.
    pub fn join(self, inner: NameScope) -> NameScope {
        match (self.0, inner.0) {
            (None, _) => inner,
            (_, None) => self,
            (Some(outer), Some(inner)) => NameScope::new(&format!("{outer}/{inner}")),
        }
    }

    /// That of the equations that are bound on this thread.
    pub(super) fn current() -> NameScope {
        CURRENT.get()
    }

    /// Runs `f` in this scope within the current one.
    pub(super) fn enter<R>(self, f: impl FnOnce() -> R) -> R {
        match self.0 {
            Some(_) => with_value(&CURRENT, CURRENT.get().join(self), f),
            None => f(),
        }
    }
}

impl fmt::Display for NameScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.unwrap_or("no scope"))
    }
}

/// Runs `f` outside of all scopes: a program that begins has names of its own.
pub(super) fn outside<R>(f: impl FnOnce() -> R) -> R {
    with_value(&CURRENT, NameScope::default(), f)
}

/// Runs `f`; what it records in a program belongs to the part `name`, within the part that is being recorded. The name
/// is printed after each equation (`%1: f32[2] = sin %0 @"encoder/attention"`) and with its line in errors and profiles;
/// derivatives and mapped operations keep it. It changes no result, and costs nothing when the program runs.
///
/// A nested program, such as the body of a loop, begins outside of all scopes, as the equation that runs it has the
/// name; where it takes that equation's place, its names come after it.
///
/// ```
/// # use gavotte_core::api::make_program;
/// # use gavotte_core::ir::{Value, named_scope, structural::add_any};
/// # let x = Value::from(gavotte_core::aval::Literal::F32(1.0));
/// let twice = |x: Value| named_scope("encoder", || named_scope("twice", || add_any(&x, &x)));
/// let program = make_program(&twice, (x,)).to_string();
/// assert!(program.contains("= add_any %0, %0 @\"encoder/twice\""));
/// ```
///
/// # Panics
/// If the name is empty.
///
/// Source: JAX, `jax.named_scope`.
#[track_caller]
pub fn named_scope<R>(name: &str, f: impl FnOnce() -> R) -> R {
    if name.is_empty() {
        refuse(Error::Type("named_scope: a scope has a name: the empty text is none".into()));
    }
    NameScope::new(name).enter(f)
}
