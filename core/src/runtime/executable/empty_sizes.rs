//! Calls with sizes that leave an axis without elements, or make it longer than an `i32` counts.
//!
//! A kernel that joins or borders arrays reads every operand at the place nearest to the wanted one, and selects. An
//! axis that turns out to be empty has no such place, and the place along a very long one is no `i32`. Then the program is
//! compiled once more, for these numbers: its kernels do not mention what is empty, and do not join what is that long.

use crate::aval::{Dim, Sizes};
use crate::device::{DeviceRef, HostArray};
use crate::error::Error;
use crate::ir::{Program, Value, check_facts};
use crate::runtime::{Executable, Options};
use crate::sync::locked;
use std::sync::{Arc, Mutex};

/// How many such programs are kept.
const MAX_PROGRAMS: usize = 16;

/// The programs compiled for sizes that leave an axis empty.
pub(in crate::runtime) struct EmptySizes {
    /// Every extent with symbols, once.
    extents: Vec<Dim>,
    device: DeviceRef,
    options: Options,
    programs: Mutex<Vec<(Sizes, Arc<Executable>)>>,
}

impl EmptySizes {
    pub(in crate::runtime) fn new(program: &Program, device: &DeviceRef, options: &Options) -> Self {
        let mut extents = vec![];
        collect(program, &mut extents);
        EmptySizes { extents, device: device.clone(), options: options.clone(), programs: Mutex::default() }
    }

    /// The program for these sizes, where they leave an axis empty.
    pub(in crate::runtime) fn executable(
        &self,
        program: &Program,
        consts: &[Arc<HostArray>],
        sizes: &Sizes,
    ) -> Result<Option<Arc<Executable>>, Error> {
        let is_usual = |n: i64| (1..=i64::from(i32::MAX)).contains(&n);
        if !self.extents.iter().any(|dim| dim.at(sizes).as_number().is_some_and(|n| !is_usual(n))) {
            return Ok(None);
        }
        let mut programs = locked(&self.programs);
        if let Some((_, found)) = programs.iter().find(|(known, _)| known == sizes) {
            return Ok(Some(found.clone()));
        }
        check_facts(program, sizes)?;
        let consts: Vec<Value> = consts.iter().cloned().map(Value::from).collect();
        let executable = Arc::new(Executable::compile_for(&self.device, &program.at(sizes), &consts, &self.options)?);
        if programs.len() == MAX_PROGRAMS {
            programs.remove(0);
        }
        programs.push((sizes.clone(), executable.clone()));
        Ok(Some(executable))
    }
}

/// Adds the extents with symbols of a program and of those within it.
fn collect(program: &Program, extents: &mut Vec<Dim>) {
    for dim in program.binders().flat_map(|binder| &binder.aval.shape).filter(|dim| dim.as_number().is_none()) {
        if !extents.contains(dim) {
            extents.push(dim.clone());
        }
    }
    program.eqns.iter().flat_map(|eqn| eqn.params.programs_within()).for_each(|inner| collect(inner, extents));
}
