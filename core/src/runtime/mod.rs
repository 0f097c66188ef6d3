//! Runs compiled programs.

mod executable;

pub use executable::{Executable, Options};
