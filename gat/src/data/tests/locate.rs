use std::fs;
#[cfg(feature = "download")]
use std::{
    io::{Read, Write},
    net::TcpListener,
};

use tempfile::TempDir;

use super::*;
use crate::data::locate::Source;

const BODY: &[u8] = b"hello";
const BODY_SHA256: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
const WAYS_ON: [&str; 3] = ["--data PATH", "GAVOTTE_DATA=PATH", "--dataset planted"];

/// A server on this machine that answers one request; its address.
#[cfg(feature = "download")]
fn serve(status: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]);
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", BODY.len());
        stream.write_all(&[head.as_bytes(), BODY].concat()).unwrap();
    });
    format!("http://{address}/cora.tgz")
}

fn locate(cache: &TempDir, url: &str, sha256: &str) -> Result<PathBuf, DataError> {
    Source { given: None, cache: Some(cache.path().into()), url, sha256 }.locate(&mut |_, _| {})
}

#[test]
fn what_the_user_says_comes_first() {
    let folder = TempDir::new().unwrap();
    let given = |path: PathBuf| Source { given: Some(path), cache: None, url: "http://127.0.0.1:1", sha256: "" };
    assert_eq!(given(folder.path().into()).locate(&mut |_, _| {}).unwrap(), folder.path());
    let missing = given(folder.path().join("missing")).locate(&mut |_, _| {});
    assert_fails(missing, &[&["GAVOTTE_DATA is", "missing, and nothing is there"], &WAYS_ON[..]].concat());
}

#[test]
#[cfg(feature = "download")]
fn a_download_is_kept_and_used_again() {
    let cache = TempDir::new().unwrap();
    let url = serve("200 OK");
    let mut seen = Vec::new();
    let source = Source { given: None, cache: Some(cache.path().into()), url: &url, sha256: BODY_SHA256 };
    let path = source.locate(&mut |done, total| seen.push((done, total))).unwrap();
    assert_eq!(path, cache.path().join("gavotte/cora.tgz"));
    assert_eq!(fs::read(&path).unwrap(), BODY);
    assert_eq!(seen.last(), Some(&(5, Some(5))));
    // The server is gone, so this answer can only come from the cache.
    assert_eq!(locate(&cache, &url, BODY_SHA256).unwrap(), path);
    // A damaged file in the cache is replaced.
    fs::write(&path, "damaged").unwrap();
    locate(&cache, &serve("200 OK"), BODY_SHA256).unwrap();
    assert_eq!(fs::read(&path).unwrap(), BODY);
    assert_eq!(fs::read_dir(cache.path().join("gavotte")).unwrap().count(), 1, "nothing else is left behind");
}

#[test]
#[cfg(feature = "download")]
fn what_is_not_cora_is_not_kept() {
    let cache = TempDir::new().unwrap();
    let other = "0d4ed463d1627bb7f3e8420effe8f5545fd492ae8f88dab44ce86cee7b26d7e8";
    assert_fails(
        locate(&cache, &serve("200 OK"), other),
        &[&["5 downloaded bytes are not Cora", other], &WAYS_ON[..]].concat(),
    );
    assert_fails(locate(&cache, &serve("404 Not Found"), other), &[&["404"], &WAYS_ON[..]].concat());
    assert_fails(locate(&cache, "http://127.0.0.1:1/cora.tgz", other), &[&["failed"], &WAYS_ON[..]].concat());
    assert!(!cache.path().join("gavotte/cora.tgz").exists());
    let nowhere = Source { given: None, cache: None, url: "http://127.0.0.1:1", sha256: other };
    assert_fails(nowhere.locate(&mut |_, _| {}), &[&["no cache folder"], &WAYS_ON[..]].concat());
}

#[test]
#[cfg(not(feature = "download"))]
fn without_the_feature_the_error_says_what_to_fetch() {
    let cache = TempDir::new().unwrap();
    let url = "http://127.0.0.1:1/cora.tgz";
    let path = cache.path().join("gavotte/cora.tgz");
    let wanted = format!("fetch {url} by hand, and save it as {}", path.display());
    let parts = [&["without the feature `download`", wanted.as_str()], &WAYS_ON[..]].concat();
    assert_fails(locate(&cache, url, BODY_SHA256), &parts);
    // A file that was fetched by hand is found.
    fs::create_dir(cache.path().join("gavotte")).unwrap();
    fs::write(&path, BODY).unwrap();
    assert_eq!(locate(&cache, url, BODY_SHA256).unwrap(), path);
    // A damaged one is not, and stays.
    fs::write(&path, "damaged").unwrap();
    assert_fails(locate(&cache, url, BODY_SHA256), &parts);
    assert_eq!(fs::read(&path).unwrap(), b"damaged");
}
