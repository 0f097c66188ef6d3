//! Finding Cora: where the user says, in the cache, or on the network (feature `download`).

#[cfg(not(feature = "download"))]
use std::path::Path;
use std::{env, path::PathBuf};

use sha2::{Digest, Sha256};

use super::{
    DataError,
    files::{self, hex},
};

pub(super) const VARIABLE: &str = "GAVOTTE_DATA";
const URL: &str = "https://linqs-data.soe.ucsc.edu/public/lbc/cora.tgz";
const SHA256: &str = "0d4ed463d1627bb7f3e8420effe8f5545fd492ae8f88dab44ce86cee7b26d7e8";

/// Finds Cora, and returns a path for [`read_cora`](super::read_cora): what `GAVOTTE_DATA` names, if it is set; else
/// `gavotte/cora.tgz` in the user's cache folder; else that same file after downloading it, which takes the feature
/// `download`. `progress` receives the number of bytes downloaded so far, and their total if the server reports it.
///
/// # Errors
/// If there is no such file and it cannot be downloaded, or the download is not Cora; the error says what to do.
pub fn locate_cora(progress: &mut dyn FnMut(u64, Option<u64>)) -> Result<PathBuf, DataError> {
    let given = env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    Source { given, cache: dirs::cache_dir(), url: URL, sha256: SHA256 }.locate(progress)
}

/// The places to look in.
pub(super) struct Source<'a> {
    /// The path that the user gives.
    pub(super) given: Option<PathBuf>,
    /// The user's cache folder.
    pub(super) cache: Option<PathBuf>,
    pub(super) url: &'a str,
    pub(super) sha256: &'a str,
}

impl Source<'_> {
    pub(super) fn locate(&self, progress: &mut dyn FnMut(u64, Option<u64>)) -> Result<PathBuf, DataError> {
        if let Some(given) = &self.given {
            return match given.exists() {
                true => Ok(given.clone()),
                false => Err(failure(format!("{VARIABLE} is {}, and nothing is there", given.display()))),
            };
        }
        let Some(cache) = &self.cache else {
            return Err(failure(format!(
                "{VARIABLE} is not set, and this user has no cache folder to keep it in; fetch {} by hand",
                self.url
            )));
        };
        let archive = cache.join("gavotte").join("cora.tgz");
        // A damaged file counts as missing.
        if archive.exists() && self.is_cora(&files::read_file(&archive)?) {
            return Ok(archive);
        }
        self.fetch(&archive, progress)?;
        Ok(archive)
    }

    pub(super) fn is_cora(&self, bytes: &[u8]) -> bool {
        hex(Sha256::new_with_prefix(bytes)) == self.sha256
    }

    /// Without the feature `download` nothing is fetched: says what to fetch by hand.
    #[cfg(not(feature = "download"))]
    fn fetch(&self, archive: &Path, _progress: &mut dyn FnMut(u64, Option<u64>)) -> Result<(), DataError> {
        Err(failure(format!(
            "{VARIABLE} is not set, {archive} does not hold it, and this program was built without the feature `download`: \
             fetch {url} by hand, and save it as {archive}",
            archive = archive.display(),
            url = self.url
        )))
    }
}

pub(super) fn failure(what: String) -> DataError {
    DataError::Locate { what }
}
