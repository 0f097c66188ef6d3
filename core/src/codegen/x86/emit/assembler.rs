//! A list of instructions with labels.
//!
//! iced's own assembler has a method for every mnemonic, and takes longer to compile than the rest of the crate.

use iced_x86::{BlockEncoder, BlockEncoderOptions, Code, IcedError, Instruction, InstructionBlock};

/// Where a branch goes. iced finds the target by its address, for which this number stands until addresses are known; 0
/// is that of instructions without a label.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Label(u64);

/// The instructions of a function.
#[derive(Default)]
pub(super) struct Assembler {
    instructions: Vec<Instruction>,
    n_label: u64,
    /// The label of the next instruction.
    next: Option<Label>,
}

impl Assembler {
    /// A label that is nowhere yet.
    pub(super) fn label(&mut self) -> Label {
        self.n_label += 1;
        Label(self.n_label)
    }

    /// Places a label before the next instruction.
    pub(super) fn place(&mut self, label: Label) {
        if self.next.is_some() {
            // An instruction has one label.
            self.add(Instruction::with(Code::Nopd));
        }
        self.next = Some(label);
    }

    pub(super) fn add(&mut self, mut instruction: Instruction) {
        instruction.set_ip(self.next.take().map_or(0, |label| label.0));
        self.instructions.push(instruction);
    }

    /// A branch, given as its short form; it becomes a long one if it must.
    pub(super) fn branch(&mut self, code: Code, to: Label) -> Result<(), IcedError> {
        self.add(Instruction::with_branch(code, to.0)?);
        Ok(())
    }

    /// The bytes of the instructions, the first of which is at address `at`.
    pub(super) fn assemble(&self, at: u64) -> Result<Vec<u8>, IcedError> {
        debug_assert_eq!(self.next, None, "a label without an instruction");
        let block = InstructionBlock::new(&self.instructions, at);
        Ok(BlockEncoder::encode(64, block, BlockEncoderOptions::NONE)?.code_buffer)
    }
}
