//! Bodies: names and their scopes, labels, calls.

use super::opcode::Opcode;
use super::{Guard, Inst, Kernel, Op, Origin, Param};
use crate::arith::{Rows, entry};
use crate::memory::MAX_PC;
use crate::ptx::{Function, Item, Module, Operand, PtxError, Space, Statement, Type, Variable};
use std::collections::HashMap;

/// The deepest nesting of calls. Functions are inlined, so none may call itself.
const MAX_CALLS: usize = 32;
/// The most memory of a thread that a device has (CUDA C++ Programming Guide, technical specifications).
const MAX_LOCAL: usize = 512 << 10;
/// The most bytes of anything else that is declared.
const MAX_BYTES: usize = 1 << 24;

/// The meaning of a name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Symbol {
    Register(u32, Type),
    /// A variable: its space and its address.
    Variable(Space, u64),
}

/// The names known in the body of one function.
#[derive(Default)]
pub(super) struct Frame {
    function: String,
    pub(super) scopes: Vec<HashMap<String, Symbol>>,
    /// Labels, each with the line that first names it.
    labels: HashMap<String, (u32, u32)>,
    targets: HashMap<String, Vec<String>>,
    /// The label that a return jumps to; none in a kernel, where a return ends the thread.
    end: Option<u32>,
}

/// Decodes a kernel.
pub(super) fn kernel(
    source: &str,
    module: &Module,
    addresses: &HashMap<String, u64>,
    function: &Function,
) -> Result<Kernel, PtxError> {
    let mut decoder = Decoder {
        source,
        module,
        kernel: Kernel { name: function.name.clone(), max_threads: function.max_threads, ..Kernel::default() },
        globals: addresses.iter().map(|(name, &at)| (name.clone(), Symbol::Variable(Space::Global, at))).collect(),
        constants: HashMap::new(),
        specials: vec![],
        dynamic: vec![],
        places: vec![],
        frames: vec![],
        origin: Origin { line: function.line, source: None },
        guard: None,
        carry: None,
    };
    decoder.shared_variables()?;
    decoder.entry(function)?;
    decoder.finish()
}

pub(super) struct Decoder<'a> {
    pub(super) source: &'a str,
    pub(super) module: &'a Module,
    pub(super) kernel: Kernel,
    pub(super) globals: HashMap<String, Symbol>,
    pub(super) constants: HashMap<u64, u32>,
    pub(super) specials: Vec<(String, u32)>,
    /// The rows of addresses just after all shared memory, with their alignment.
    pub(super) dynamic: Vec<(u32, u32)>,
    /// The position of each label.
    places: Vec<Option<u32>>,
    pub(super) frames: Vec<Frame>,
    pub(super) origin: Origin,
    pub(super) guard: Option<Guard>,
    /// The row of the carry flag.
    pub(super) carry: Option<u32>,
}

impl Decoder<'_> {
    pub(super) fn error(&self, message: impl Into<String>) -> PtxError {
        PtxError::at(self.source, self.origin.line, message)
    }

    fn frame(&mut self) -> &mut Frame {
        self.frames.last_mut().expect("a body is being decoded")
    }

    fn declare(&mut self, name: &str, symbol: Symbol) {
        self.frame().scopes.last_mut().expect("a body has a scope").insert(name.into(), symbol);
    }

    /// Emits an instruction under the guard of its statement.
    pub(super) fn emit(&mut self, op: Op) -> Result<(), PtxError> {
        if self.kernel.code.len() as u32 >= MAX_PC {
            return Err(self.error("too many instructions"));
        }
        self.kernel.code.push(Inst { op, guard: self.guard });
        self.kernel.origins.push(self.origin);
        Ok(())
    }

    /// Emits the table's instruction of a name and type.
    pub(super) fn emit_entry(&mut self, name: &str, ty: Type, to: u32, from: &[u32]) -> Result<(), PtxError> {
        let entry = entry(name, ty).ok_or_else(|| self.error(format!("unknown instruction `{name}` of {ty:?}")))?;
        debug_assert_eq!(entry.operands, from.len());
        let mut rows = Rows { to, from: [0; 4] };
        rows.from[..from.len()].copy_from_slice(from);
        self.emit(Op::Compute(entry.run, rows))
    }

    /// The same, into a new row.
    pub(super) fn emit_new(&mut self, name: &str, ty: Type, from: &[u32]) -> Result<u32, PtxError> {
        let to = self.row()?;
        self.emit_entry(name, ty, to, from)?;
        Ok(to)
    }

    /// Places the shared variables declared outside functions.
    fn shared_variables(&mut self) -> Result<(), PtxError> {
        let module = self.module;
        for variable in module.variables.iter().filter(|variable| variable.space == Space::Shared) {
            let address = match variable.bytes {
                Some(bytes) => self.reserve_shared(bytes, variable.align)?,
                None => 0,
            };
            self.globals.insert(variable.name.clone(), Symbol::Variable(Space::Shared, address));
        }
        Ok(())
    }

    fn reserve_shared(&mut self, bytes: usize, align: u32) -> Result<u64, PtxError> {
        let (address, end) = self.placed(self.kernel.shared_bytes, bytes, align)?;
        self.kernel.shared_bytes = end;
        Ok(address)
    }

    fn reserve_local(&mut self, bytes: usize, align: u32) -> Result<u64, PtxError> {
        let (address, end) = self.placed(self.kernel.local_bytes, bytes, align)?;
        if end > MAX_LOCAL {
            return Err(self.error("too much memory for a thread"));
        }
        self.kernel.local_bytes = end;
        Ok(address)
    }

    /// The place of a variable after `end`, and where it ends.
    fn placed(&self, end: usize, bytes: usize, align: u32) -> Result<(u64, usize), PtxError> {
        let place = end.checked_next_multiple_of(align as usize);
        let end = place.and_then(|place| place.checked_add(bytes)).filter(|&end| end <= MAX_BYTES);
        place.zip(end).map(|(place, end)| (place as u64, end)).ok_or_else(|| self.error("too much memory"))
    }

    fn entry(&mut self, function: &Function) -> Result<(), PtxError> {
        self.frames.push(Frame { function: function.name.clone(), scopes: vec![HashMap::new()], ..Frame::default() });
        for param in &function.params {
            self.origin.line = param.line;
            let bytes = param.bytes.ok_or_else(|| self.error("a parameter has a size"))?;
            let (offset, end) = self.placed(self.kernel.param_bytes, bytes, param.align)?;
            self.kernel.params.push(Param { offset: offset as usize, bytes });
            self.kernel.param_bytes = end;
            self.declare(&param.name, Symbol::Variable(Space::Param, offset));
        }
        self.body(function)?;
        self.guard = None;
        self.emit(Op::Exit)
    }

    fn body(&mut self, function: &Function) -> Result<(), PtxError> {
        self.origin.line = function.line;
        let body = function.body.as_ref().ok_or_else(|| self.error(format!("`{}` has no body", function.name)))?;
        self.items(body)?;
        self.guard = None;
        for (name, (label, line)) in std::mem::take(&mut self.frame().labels) {
            if self.places[label as usize].is_none() {
                self.origin.line = line;
                return Err(self.error(format!("the label `{name}` is nowhere")));
            }
        }
        Ok(())
    }

    fn items(&mut self, items: &[Item]) -> Result<(), PtxError> {
        for item in items {
            match item {
                Item::Registers(name, count, ty) => self.registers(name, *count, *ty)?,
                Item::Variable(variable) => self.variable(variable)?,
                Item::Label(name, line) => {
                    self.origin.line = *line;
                    let label = self.label(name)?;
                    if self.places[label as usize].replace(self.kernel.code.len() as u32).is_some() {
                        return Err(self.error(format!("the label `{name}` is there twice")));
                    }
                }
                Item::Targets(name, targets, _) => {
                    self.frame().targets.insert(name.clone(), targets.clone());
                }
                Item::Scope(inner) => {
                    self.frame().scopes.push(HashMap::new());
                    self.items(inner)?;
                    self.frame().scopes.pop();
                }
                Item::Location(file, line) => self.origin.source = Some((*file, *line)).filter(|(_, line)| *line > 0),
                Item::Statement(statement) => self.statement(statement)?,
            }
        }
        Ok(())
    }

    fn registers(&mut self, name: &str, count: Option<u32>, ty: Type) -> Result<(), PtxError> {
        let Some(count) = count else {
            let row = self.row()?;
            self.declare(name, Symbol::Register(row, ty));
            return Ok(());
        };
        for number in 0..count {
            let row = self.row()?;
            self.declare(&format!("{name}{number}"), Symbol::Register(row, ty));
        }
        Ok(())
    }

    /// A variable of a body. Parameters of calls are in the thread's memory.
    fn variable(&mut self, variable: &Variable) -> Result<(), PtxError> {
        self.origin.line = variable.line;
        let bytes = variable.bytes.ok_or_else(|| self.error("a variable of a function has a size"))?;
        let symbol = match variable.space {
            Space::Shared => self.shared_variable(variable, bytes)?,
            Space::Local | Space::Param => Symbol::Variable(Space::Local, self.reserve_local(bytes, variable.align)?),
            space => return Err(self.error(format!("a variable in {space:?} memory stands outside functions"))),
        };
        self.declare(&variable.name, symbol);
        Ok(())
    }

    /// A function that is called twice has one copy of its shared variables.
    fn shared_variable(&mut self, variable: &Variable, bytes: usize) -> Result<Symbol, PtxError> {
        let name = format!("{} {}", self.frame().function, variable.name);
        if let Some(&symbol) = self.globals.get(&name) {
            return Ok(symbol);
        }
        let symbol = Symbol::Variable(Space::Shared, self.reserve_shared(bytes, variable.align)?);
        self.globals.insert(name, symbol);
        Ok(symbol)
    }

    /// The number of a label of this body.
    pub(super) fn label(&mut self, name: &str) -> Result<u32, PtxError> {
        if let Some(&(label, _)) = self.frame().labels.get(name) {
            return Ok(label);
        }
        let (label, line) = (self.new_label(), self.origin.line);
        self.frame().labels.insert(name.into(), (label, line));
        Ok(label)
    }

    fn new_label(&mut self) -> u32 {
        self.places.push(None);
        (self.places.len() - 1) as u32
    }

    fn statement(&mut self, statement: &Statement) -> Result<(), PtxError> {
        self.origin.line = statement.line;
        self.guard = None;
        if let Some((name, is_negated)) = &statement.guard {
            let (row, _) = self.register(name)?;
            self.guard = Some(Guard { row, is_negated: *is_negated });
        }
        let first = self.kernel.code.len();
        let opcode = Opcode::new(&statement.opcode);
        self.instruction(opcode, statement)?;
        self.keep_guard(first)
    }

    /// An instruction that became several must not change its guard before the last of them, so they run under a copy.
    fn keep_guard(&mut self, first: usize) -> Result<(), PtxError> {
        let Some(guard) = self.guard.filter(|_| self.kernel.code.len() > first + 1) else { return Ok(()) };
        let copy = self.row()?;
        self.guard = None;
        self.emit_entry("mov", Type::Pred, copy, &[guard.row])?;
        // The copy comes first.
        self.kernel.code[first..].rotate_right(1);
        for inst in &mut self.kernel.code[first + 1..] {
            inst.guard = Some(Guard { row: copy, ..guard });
        }
        Ok(())
    }

    pub(super) fn unknown(&self, statement: &Statement) -> PtxError {
        self.error(format!("unknown instruction `{}`", statement.opcode))
    }

    fn instruction(&mut self, opcode: Opcode<'_>, statement: &Statement) -> Result<(), PtxError> {
        match opcode.name {
            "bra" => self.branch(statement),
            "brx" if opcode.modifiers.first() == Some(&"idx") => self.branch_indexed(statement),
            "call" => self.call(statement),
            "ret" => match self.frame().end {
                Some(end) => self.emit(Op::Branch(end)),
                None => self.emit(Op::Exit),
            },
            "exit" => self.emit(Op::Exit),
            "trap" => self.emit(Op::Trap),
            // Accesses happen in program order; barriers order what one thread sees of another.
            "membar" | "fence" | "nanosleep" => Ok(()),
            "ld" | "ldu" | "st" | "atom" | "red" | "cvta" => self.access(opcode, statement),
            "shfl" | "vote" | "redux" | "bar" | "barrier" | "activemask" => self.together(opcode, statement),
            _ => self.compute(opcode, statement),
        }
    }

    fn branch(&mut self, statement: &Statement) -> Result<(), PtxError> {
        let [Operand::Name(name)] = &statement.operands[..] else { return Err(self.error("a label expected")) };
        let label = self.label(name)?;
        self.emit(Op::Branch(label))
    }

    fn branch_indexed(&mut self, statement: &Statement) -> Result<(), PtxError> {
        let [index, Operand::Name(table)] = &statement.operands[..] else {
            return Err(self.error("an index and a list of labels expected"));
        };
        let index = self.operand(index, Type::U32)?;
        let names = self.frame().targets.get(table).cloned();
        let names = names.ok_or_else(|| self.error(format!("`{table}` is no list of labels")))?;
        let labels = names.iter().map(|name| self.label(name)).collect::<Result<_, _>>()?;
        self.emit(Op::BranchIndexed(index, labels))
    }

    /// Inlines a function. Its parameters are the variables that the call passes.
    fn call(&mut self, statement: &Statement) -> Result<(), PtxError> {
        let (results, name, args): (&[Operand], _, &[Operand]) = match &statement.operands[..] {
            [Operand::List(results), Operand::Name(name), Operand::List(args)] => (results, name, args),
            [Operand::List(results), Operand::Name(name)] => (results, name, &[]),
            [Operand::Name(name), Operand::List(args)] => (&[], name, args),
            [Operand::Name(name)] => (&[], name, &[]),
            _ => return Err(self.error("a call of a function by its name expected")),
        };
        // A declaration may precede the definition.
        let module = self.module;
        let mut named = module.functions.iter().filter(|function| function.name == *name);
        let function = named.find(|function| function.body.is_some());
        let function = function.ok_or_else(|| self.error(format!("`{name}` has no body to call")))?;
        if self.frames.len() > MAX_CALLS || self.frames.iter().any(|frame| frame.function == *name) {
            return Err(self.error(format!("`{name}` calls itself")));
        }
        if (results.len(), args.len()) != (function.results.len(), function.params.len()) {
            return Err(self.error(format!("`{name}` has other parameters")));
        }
        let mut scope = HashMap::new();
        for (variable, operand) in function.results.iter().chain(&function.params).zip(results.iter().chain(args)) {
            let symbol = match operand {
                Operand::Name(name) => self.symbol(name),
                _ => None,
            };
            let symbol = symbol.ok_or_else(|| self.error("a variable expected"))?;
            scope.insert(variable.name.clone(), symbol);
        }
        let (end, skip) = (self.new_label(), self.new_label());
        let origin = self.origin;
        if let Some(guard) = self.guard.take() {
            self.guard = Some(Guard { is_negated: !guard.is_negated, ..guard });
            self.emit(Op::Branch(skip))?;
            self.guard = None;
        }
        self.frames.push(Frame { function: name.clone(), scopes: vec![scope], end: Some(end), ..Frame::default() });
        self.body(function)?;
        self.frames.pop();
        let here = self.kernel.code.len() as u32;
        self.places[end as usize] = Some(here);
        self.places[skip as usize] = Some(here);
        self.origin = origin;
        Ok(())
    }

    /// Resolves labels to positions, and the addresses after shared memory.
    fn finish(mut self) -> Result<Kernel, PtxError> {
        let place = |label: &mut u32| *label = self.places[*label as usize].unwrap_or(0);
        for inst in &mut self.kernel.code {
            match &mut inst.op {
                Op::Branch(label) => place(label),
                Op::BranchIndexed(_, labels) => labels.iter_mut().for_each(place),
                _ => {}
            }
        }
        let align = self.dynamic.iter().map(|&(_, align)| align as usize).max().unwrap_or(1);
        self.kernel.shared_bytes = self.kernel.shared_bytes.next_multiple_of(align);
        for (row, bits) in &mut self.kernel.constants {
            if self.dynamic.iter().any(|(dynamic, _)| dynamic == row) {
                *bits = bits.wrapping_add(self.kernel.shared_bytes as u64);
            }
        }
        Ok(self.kernel)
    }
}
