//! A user's crate, compiled as Cargo would: the compiler's messages.

use std::path::PathBuf;
use std::process::Command;
use std::time::SystemTime;

/// The compiler's messages for a library that depends only on the package `gavotte`, which its manifest calls `name`.
/// Empty if it compiles without a warning.
///
/// # Panics
/// If the compiler cannot be started, or this program's own libraries are not next to it.
pub fn compile_user_crate(name: &str, source: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let manifest = format!(
        "[package]\nname = \"user\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
         [dependencies]\n{name} = {{ package = \"gavotte\", version = \"*\" }}\n"
    );
    std::fs::write(folder.path().join("Cargo.toml"), manifest).expect("the folder is writable");
    let path = folder.path().join("lib.rs");
    std::fs::write(&path, source).expect("the folder is writable");
    let (deps, library) = library();
    let found = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()))
        .args(["--edition=2024", "--crate-type=lib", "--emit=metadata", "--crate-name=user", "--color=never"])
        .arg(format!("-Ldependency={}", deps.display()))
        .arg(format!("--extern={name}={}", library.display()))
        .arg("--out-dir")
        .arg(folder.path())
        .arg(&path)
        .env("CARGO", std::env::var_os("CARGO").unwrap_or("cargo".into()))
        .env("CARGO_MANIFEST_DIR", folder.path())
        .env("CARGO_PKG_NAME", "user")
        .output()
        .expect("the compiler starts");
    let said = String::from_utf8_lossy(&found.stderr).into_owned();
    assert_eq!(found.status.success(), !said.contains("error"), "{said}");
    said
}

/// The first line of every error reported by the compiler.
pub fn reported(said: &str) -> Vec<&str> {
    let is_error = |line: &&str| line.starts_with("error") && !line.starts_with("error: aborting due to");
    said.lines().filter(is_error).collect()
}

/// The folder of this program's libraries, and the latest build of `gavotte` there.
fn library() -> (PathBuf, PathBuf) {
    let program = std::env::current_exe().expect("a program knows where it is");
    let deps = program.parent().expect("it is in a folder").to_path_buf();
    let mut found: Vec<(SystemTime, PathBuf)> = vec![];
    for entry in std::fs::read_dir(&deps).expect("the folder can be read").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("libgavotte-") && name.ends_with(".rlib") {
            let built = entry.metadata().and_then(|data| data.modified()).expect("files have a time");
            found.push((built, entry.path()));
        }
    }
    let latest = found.into_iter().max().expect("the library is next to its tests").1;
    (deps, latest)
}
