//! The program IR: values, primitives, programs, tracing, text, verifier and reference interpreter.

mod assume;
mod bind;
mod cascade;
mod control;
mod cursor;
mod effect;
mod eval;
mod host_function;
mod lower_rule;
mod params;
mod parse;
mod primitive;
mod print;
mod program;
pub mod scalar;
mod scope;
mod segments;
pub mod stablehlo;
pub mod structural;
mod value;
mod verify;

pub use assume::{
    IntoFact, assume, compare, decide, facts_in_force, require_at_least, require_countable, require_equal,
    require_extents, require_shape, same, undecided,
};
pub(crate) use assume::{adopt, check_facts, check_facts_with, with_facts_of, within_facts_of};
pub(crate) use bind::read as interpret_read;
pub use bind::{Traced, bind, bind1, demand, interpret, is_tracing, quietly, trace, try_bind};
pub use bind::{for_caller, refuse, with_location, with_maker};
pub use cascade::{BLOCK, Cascade};
pub use control::Control;
pub(crate) use control::check_nested;
pub(crate) use cursor::Cursor;
pub use effect::{effects_take_place, without_effects};
pub(crate) use eval::{Values, eval_checked, eval_concrete, evaluate_values, observed};
pub use eval::{eval_primitive, evaluate};
pub use host_function::HostFunction;
pub use lower_rule::{Index, Lower, ReduceOp, Scalar};
pub use params::{Attr, Params};
pub use parse::{parse, parse_many};
pub use primitive::{
    Batch, Batched, Derivative, Jvp, Kind, Linear, Linearize, Linearized, Primitive, Pushed, Registry, Rewrite,
    RewriteRule, Sample, Simplify, Transpose, Unsupported, ValueAndJvp,
};
pub use print::PrintOptions;
pub(crate) use program::atom_aval;
pub use program::{Atom, Binder, Eqn, Location, Program, Var};
pub use scalar::ScalarOp;
pub use scope::{NameScope, named_scope};
pub use segments::check_segments;
pub use value::Value;
pub use verify::verify;
