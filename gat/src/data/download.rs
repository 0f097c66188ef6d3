//! Fetching Cora from the network into the cache.

use super::DataError;
use super::locate::{Source, VARIABLE, failure};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;
use ureq::Agent;

const TIMEOUT: Duration = Duration::from_secs(30);
/// A hundred times the archive's size: a server that sends more sends something else.
const LIMIT: u64 = 16 << 20;

impl Source<'_> {
    /// Downloads Cora, and keeps it as `archive`.
    pub(super) fn fetch(&self, archive: &Path, progress: &mut dyn FnMut(u64, Option<u64>)) -> Result<(), DataError> {
        let bytes = self.download(progress).map_err(|why| {
            failure(format!(
                "{VARIABLE} is not set, {} does not hold it, and downloading {} failed: {why}",
                archive.display(),
                self.url
            ))
        })?;
        keep(archive, &bytes).map_err(|error| {
            failure(format!("it was downloaded, but cannot be kept as {}: {error}", archive.display()))
        })
    }

    fn download(&self, progress: &mut dyn FnMut(u64, Option<u64>)) -> Result<Vec<u8>, String> {
        // A slow network may take its time; a silent one times out.
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
        let mut body = response.body_mut().with_config().limit(LIMIT).reader();
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
                Err(format!("the {} downloaded bytes are not Cora: their SHA-256 is not {}", bytes.len(), self.sha256))
            }
        }
    }
}

/// Writes the file whole or not at all: a reader never sees half of it, even if two programs download at once.
fn keep(archive: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = archive.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(archive).map(drop::<File>).map_err(|error| error.error)
}
