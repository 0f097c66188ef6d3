//! Data sets of one graph: read from files, embedded, or generated.
//!
//! Everything here lives on the host and knows nothing of the engine. Index vectors are `i32`, values `f64`, dense
//! features `f32`; an experiment converts them once.
//!
//! | source | function |
//! | --- | --- |
//! | Cora as LINQS publishes it, an archive or a folder | [`read_cora`] |
//! | the Planetoid pickles | [`read_planetoid`] |
//! | Cora, wherever it is on this machine, or from the network | [`locate_cora`] |
//! | Zachary's karate club, embedded | [`karate`] |
//! | a generated network with Cora's numbers | [`planted`] |
//! | a generated graph of any size, its degrees by a power law | [`rmat`](fn@rmat) |

mod archive;
mod cora;
mod dataset;
#[cfg(feature = "download")]
mod download;
mod error;
mod files;
mod karate;
mod locate;
mod numpy;
mod pickle;
mod planetoid;
mod planted;
mod rmat;
mod split;
#[cfg(test)]
mod tests;

pub use cora::read_cora;
pub use dataset::{Dataset, Matrix, SparseMatrix, UNKNOWN_CLASS};
pub use error::DataError;
pub use karate::karate;
pub use locate::locate_cora;
pub use planetoid::read_planetoid;
pub use planted::{PlantedSpec, planted};
pub use rmat::{RmatSpec, rmat};
pub use split::Split;
