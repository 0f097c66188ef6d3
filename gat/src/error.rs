//! Errors of graphs, models and their training.

/// A graph, parameters or arguments that do not fit, or a device that failed. The text says what is wrong, where, and
/// how to correct it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] gavotte::Error),
    /// Messages, features or masks that do not make a graph.
    #[error("{0}")]
    Graph(String),
    /// Parameters that do not fit the model.
    #[error("{0}")]
    Params(String),
    /// More memory is needed than is available.
    #[error("{0}")]
    Memory(String),
    /// A setting is out of its range.
    #[error("{0}")]
    Config(String),
}

/// Refuses a setting outside `range`, which `fits` says.
pub(crate) fn check_range(name: &str, x: f64, fits: bool, range: &str) -> Result<(), Error> {
    match fits {
        true => Ok(()),
        false => Err(Error::Config(format!("{name} is {x}, and must be {range}"))),
    }
}
