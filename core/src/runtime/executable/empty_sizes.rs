//! Calls with sizes that leave an axis without elements, or make it too long for an `i32`.
//!
//! A kernel that concatenates or pads arrays reads every operand at the position nearest to the wanted one, and
//! selects. An empty axis has no such position, and a position along a very long one is not an `i32`. In these cases
//! the program is recompiled for these numbers: its kernels do not mention empty arrays, and do not concatenate arrays
//! of that length.

use crate::aval::{Dim, Sizes};
use crate::device::{DeviceRef, HostArray};
use crate::error::Error;
use crate::ir::{Program, Value, check_facts};
use crate::runtime::{Executable, Options};
use crate::sync::locked;
use std::sync::{Arc, Mutex};

/// The most such programs that are kept.
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

    /// The program for these sizes, if they leave an axis empty.
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

/// Adds the extents with symbols of a program and of its nested programs.
fn collect(program: &Program, extents: &mut Vec<Dim>) {
    for dim in program.binders().flat_map(|binder| &binder.aval.shape).filter(|dim| dim.as_number().is_none()) {
        if !extents.contains(dim) {
            extents.push(dim.clone());
        }
    }
    program.eqns.iter().flat_map(|eqn| eqn.params.programs_within()).for_each(|inner| collect(inner, extents));
}
