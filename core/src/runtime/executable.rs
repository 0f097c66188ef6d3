//! A compiled program.

use crate::aval::Sizes;
use crate::error::Error;
use crate::ir::{Program, Value, evaluate};
use std::num::NonZeroUsize;

/// Options of the compiler and the runtime.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many threads run a program; results do not depend on it.
    pub threads: NonZeroUsize,
}

impl Default for Options {
    fn default() -> Self {
        Options { threads: NonZeroUsize::MIN }
    }
}

/// A compiled program: call it with arguments as often as you like.
pub struct Executable {
    program: Program,
    consts: Vec<Value>,
}

impl Executable {
    /// Compiles a program.
    pub fn compile(program: &Program, consts: &[Value], _: &Options) -> Result<Executable, Error> {
        Ok(Executable { program: program.clone(), consts: consts.to_vec() })
    }

    /// Runs it.
    pub fn call(&self, args: Vec<Value>, sizes: &Sizes) -> Result<Vec<Value>, Error> {
        let args = args.iter().map(Value::to_host).collect::<Result<Vec<_>, _>>()?;
        let consts = self.consts.iter().map(Value::to_host).collect::<Result<Vec<_>, _>>()?;
        let outs = evaluate(&self.program, &args, &consts, sizes);
        Ok(outs
            .into_iter()
            .zip(self.program.out_avals())
            .map(|(out, aval)| Value::from(out).declare(aval.shape))
            .collect())
    }
}
