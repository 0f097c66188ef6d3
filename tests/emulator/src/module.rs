//! A PTX text on a device: its kernels, and its variables in memory.

use crate::decode::{Kernel, decode};
use crate::exec::Text;
use crate::memory::Heap;
use crate::ptx::{self, Initial, Literal, PtxError, Space, Type};
use std::collections::HashMap;
use std::fmt;

/// Why a text cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// It is not PTX, or has something unknown.
    Ptx(PtxError),
    /// Its variables do not fit.
    OutOfMemory,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Ptx(error) => error.fmt(f),
            LoadError::OutOfMemory => f.write_str("too little memory for the variables of a module"),
        }
    }
}

impl std::error::Error for LoadError {}

impl From<PtxError> for LoadError {
    fn from(error: PtxError) -> LoadError {
        LoadError::Ptx(error)
    }
}

/// A variable of the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Global {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub address: u64,
    /// Its size.
    pub bytes: u64,
}

/// A loaded text.
#[derive(Debug, Default)]
pub struct Module {
    source: String,
    files: Vec<(u32, String)>,
    /// The kernels.
    pub kernels: Vec<Kernel>,
    /// The variables in memory.
    pub globals: Vec<Global>,
}

impl Module {
    /// Parses a text, decodes its kernels and places its variables in memory.
    pub fn load(source: &str, heap: &mut Heap) -> Result<Module, LoadError> {
        Module::of(source, ptx::parse(source)?, heap)
    }

    /// The same for a parsed text.
    pub fn of(source: &str, parsed: ptx::Module, heap: &mut Heap) -> Result<Module, LoadError> {
        let mut module = Module { source: source.into(), files: parsed.files.clone(), ..Module::default() };
        let loaded = module.place(&parsed, heap).and_then(|()| module.decode(&parsed));
        match loaded {
            Ok(()) => Ok(module),
            Err(error) => {
                module.unload(heap);
                Err(error)
            }
        }
    }

    /// Frees the memory of its variables.
    pub fn unload(&self, heap: &mut Heap) {
        for global in &self.globals {
            heap.free(global.address);
        }
    }

    /// The kernel of this name.
    pub fn kernel(&self, name: &str) -> Option<&Kernel> {
        self.kernels.iter().find(|kernel| kernel.name == name)
    }

    /// What reports of faults need.
    pub fn text(&self) -> Text<'_> {
        Text { ptx: &self.source, files: &self.files }
    }

    fn decode(&mut self, parsed: &ptx::Module) -> Result<(), LoadError> {
        let addresses = self.addresses();
        self.kernels = decode(&self.source, parsed, &addresses)?;
        Ok(())
    }

    fn addresses(&self) -> HashMap<String, u64> {
        self.globals.iter().map(|global| (global.name.clone(), global.address)).collect()
    }

    fn place(&mut self, parsed: &ptx::Module, heap: &mut Heap) -> Result<(), LoadError> {
        let error = |line: u32, message: String| PtxError::at(&self.source, line, message);
        let variables = || parsed.variables.iter().filter(|variable| variable.space != Space::Shared);
        for variable in variables() {
            let Some(bytes) = variable.bytes.filter(|_| !variable.is_extern) else {
                return Err(error(variable.line, format!("`{}` is nowhere", variable.name)).into());
            };
            let address = heap.allocate(bytes.max(1) as u64).ok_or(LoadError::OutOfMemory)?;
            self.globals.push(Global { name: variable.name.clone(), address, bytes: bytes as u64 });
        }
        // All have addresses now: a variable may hold another's.
        let addresses = self.addresses();
        for (variable, global) in variables().zip(&self.globals) {
            let contents = contents(&variable.init, variable.ty, global.bytes as usize, &addresses);
            let contents = contents.map_err(|message| error(variable.line, message))?;
            if let Ok(index) = heap.find(global.address, global.bytes) {
                heap.allocation_mut(index).region.write(0, contents.len()).copy_from_slice(&contents);
            }
        }
        Ok(())
    }
}

/// The bytes of a variable; those without a value are zero.
fn contents(init: &[Initial], ty: Type, bytes: usize, addresses: &HashMap<String, u64>) -> Result<Vec<u8>, String> {
    let width = ty.bytes() as usize;
    let mut contents = vec![0; bytes];
    for (index, initial) in init.iter().enumerate() {
        let bits = match initial {
            Initial::Number(Literal::Int(value)) => *value,
            Initial::Number(Literal::F32(bits)) => (*bits).into(),
            Initial::Number(Literal::F64(bits)) if ty == Type::F32 => (f64::from_bits(*bits) as f32).to_bits().into(),
            Initial::Number(Literal::F64(bits)) => *bits,
            Initial::Address(name) => *addresses.get(name).ok_or_else(|| format!("`{name}` has no address"))?,
        };
        let place = contents.get_mut(index * width..(index + 1) * width).ok_or("more values than fit")?;
        place.copy_from_slice(&bits.to_le_bytes()[..width]);
    }
    Ok(contents)
}
