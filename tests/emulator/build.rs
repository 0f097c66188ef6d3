//! Sets the library's soname to the name that programs ask the loader for.

fn main() {
    // Loaded by its path, the library then answers to `libcuda.so.1` in the whole process.
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libcuda.so.1");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
