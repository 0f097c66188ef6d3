//! Finding Cora: where the user says, in the cache, or on the network.

use std::{
    env,
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest, Sha256};
use ureq::Agent;

use super::{
    DataError,
    files::{self, hex},
};

const VARIABLE: &str = "GAVOTTE_DATA";
const URL: &str = "https://linqs-data.soe.ucsc.edu/public/lbc/cora.tgz";
const SHA256: &str = "0d4ed463d1627bb7f3e8420effe8f5545fd492ae8f88dab44ce86cee7b26d7e8";
const TIMEOUT: Duration = Duration::from_secs(30);
/// A hundred times the archive's size: a server that sends more sends something else.
const DOWNLOAD_LIMIT: u64 = 16 << 20;

/// Finds Cora, and returns a path for [`read_cora`](super::read_cora): what `GAVOTTE_DATA` names, if it is set; else
/// `gavotte/cora.tgz` in the user's cache folder; else that same file after downloading it. `progress` is told how many
/// bytes of a download are done, and of how many, where the server says so.
///
/// # Errors
/// If there is no such file and it cannot be downloaded, or what comes is not Cora; the error says what can be done.
pub fn locate_cora(progress: &mut dyn FnMut(u64, Option<u64>)) -> Result<PathBuf, DataError> {
    let given = env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    Source { given, cache: dirs::cache_dir(), url: URL, sha256: SHA256 }.locate(progress)
}

/// Where to look.
pub(super) struct Source<'a> {
    /// What the user says.
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
            return Err(failure(format!("{VARIABLE} is not set, and this user has no cache folder to download to")));
        };
        let folder = cache.join("gavotte");
        let archive = folder.join("cora.tgz");
        // A file that is not Cora, whatever became of it, is replaced.
        if archive.exists() && self.is_cora(&files::read_file(&archive)?) {
            return Ok(archive);
        }
        let bytes = self.download(progress).map_err(|why| {
            failure(format!(
                "{VARIABLE} is not set, {} does not hold it, and downloading {} failed: {why}",
                archive.display(),
                self.url
            ))
        })?;
        keep(&folder, &archive, &bytes).map_err(|error| {
            failure(format!("it was downloaded, but cannot be kept as {}: {error}", archive.display()))
        })?;
        Ok(archive)
    }

    fn is_cora(&self, bytes: &[u8]) -> bool {
        hex(Sha256::new_with_prefix(bytes)) == self.sha256
    }

    fn download(&self, progress: &mut dyn FnMut(u64, Option<u64>)) -> Result<Vec<u8>, String> {
        // A slow network is given time; one that is silent is not waited for.
        let config = Agent::config_builder()
            .https_only(self.url.starts_with("https:"))
            .timeout_resolve(Some(TIMEOUT))
            .timeout_connect(Some(TIMEOUT))
            .timeout_recv_response(Some(TIMEOUT))
            .timeout_per_read(Some(TIMEOUT))
            .timeout_recv_body(Some(10 * TIMEOUT))
            .build();
        let mut response = Agent::new_with_config(config).get(self.url).call().map_err(|error| error.to_string())?;
        let total = response.body().content_length();
        let mut body = response.body_mut().with_config().limit(DOWNLOAD_LIMIT).reader();
        let mut bytes = Vec::new();
        let mut chunk = [0; 16 << 10];
        loop {
            progress(bytes.len() as u64, total);
            match body.read(&mut chunk) {
                Ok(0) => break,
                Ok(n) => bytes.extend_from_slice(&chunk[..n]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("after {} bytes: {error}", bytes.len())),
            }
        }
        match self.is_cora(&bytes) {
            true => Ok(bytes),
            false => {
                Err(format!("the {} bytes that came are not Cora: their SHA-256 is not {}", bytes.len(), self.sha256))
            }
        }
    }
}

fn failure(what: String) -> DataError {
    DataError::Locate { what }
}

/// Writes the file whole or not at all: a reader never sees half of it, even if two programs download at once.
fn keep(folder: &Path, archive: &Path, bytes: &[u8]) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(archive).map(drop::<File>).map_err(|error| error.error)
}
