//! The library, as a test uses it.

use crate::control::Counts;
use libloading::Library;
use std::collections::BTreeMap;
use std::ffi::{CString, c_char};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

type Text = unsafe extern "C" fn(*mut c_char, usize) -> usize;

/// The functions that set and read the emulator, exported by the library in the driver's place.
struct Functions {
    reset: unsafe extern "C" fn(),
    configure: unsafe extern "C" fn(*const c_char) -> i32,
    counts: unsafe extern "C" fn(*mut Counts),
    report: Text,
    kernels: Text,
}

/// The library, loaded as this process's `libcuda.so.1`.
pub struct Emulator {
    functions: Functions,
    path: PathBuf,
    folder: OnceLock<PathBuf>,
    /// The state belongs to the process: one session at a time.
    turn: Mutex<()>,
    _library: Library,
}

impl Emulator {
    /// Loads the library that Cargo built next to this program. Later requests for `libcuda.so.1` find it.
    ///
    /// # Panics
    ///
    /// If it is missing: only packages that depend on this one have it built.
    pub fn get() -> &'static Emulator {
        static EMULATOR: OnceLock<Emulator> = OnceLock::new();
        EMULATOR.get_or_init(|| {
            let path = find();
            // SAFETY: it is this crate, whose initialisation does nothing.
            let library = unsafe { Library::new(&path) }.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            Emulator {
                functions: functions(&library),
                path,
                folder: OnceLock::new(),
                turn: Mutex::new(()),
                _library: library,
            }
        })
    }

    /// Begins a session on a fresh device, with settings such as `memory=1M,compute=9.0`. Waits for other sessions to
    /// end.
    ///
    /// # Panics
    ///
    /// If the settings are wrong.
    pub fn session(&self, settings: &str) -> Session<'_> {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the function has this signature, and takes nothing.
        unsafe { (self.functions.reset)() };
        let session = Session { emulator: self, _turn: turn };
        session.configure(settings);
        session
    }

    /// A folder with the library as `libcuda.so.1`, for the `LD_LIBRARY_PATH` of another process.
    ///
    /// # Panics
    ///
    /// If it cannot be written next to this program.
    pub fn folder(&self) -> &Path {
        self.folder.get_or_init(|| {
            let folder = self.path.with_file_name("emulator");
            // Written next to it and moved into place: another process may be using it.
            let own = folder.join(format!("libcuda.{}", std::process::id()));
            let copied = std::fs::create_dir_all(&folder)
                .and_then(|()| std::fs::copy(&self.path, &own))
                .and_then(|_| std::fs::rename(&own, folder.join("libcuda.so.1")));
            copied.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
            folder
        })
    }
}

impl Emulator {
    /// Writes the library as `libcuda.so.1` into a folder, without one of its functions, like an older driver.
    ///
    /// # Panics
    ///
    /// If there is no such function, or the folder cannot be written.
    pub fn without(&self, function: &str, folder: &Path) {
        hide(&self.path, function, &folder.join("libcuda.so.1"));
    }
}

/// Copies a library and hides the symbol of a function: a look-up by name fails, but the library itself still has it.
///
/// # Panics
///
/// If there is no such function, or a file cannot be read or written.
pub fn hide(library: &Path, function: &str, copy: &Path) {
    /// The type of the section with the symbols for the loader.
    const DYNAMIC_SYMBOLS: u64 = 11;
    const SYMBOL_BYTES: usize = 24;
    /// The visibility of symbols that a library keeps to itself.
    const HIDDEN: u8 = 2;
    let mut bytes = std::fs::read(library).unwrap_or_else(|error| panic!("{}: {error}", library.display()));
    let number = |at: usize, n: usize| bytes[at..at + n].iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte));
    let (sections, size, n) = (number(0x28, 8) as usize, number(0x3a, 2) as usize, number(0x3c, 2) as usize);
    let section = |i: usize| sections + i * size;
    let symbols = (0..n).map(section).find(|at| number(at + 4, 4) == DYNAMIC_SYMBOLS).expect("a library has symbols");
    let names = number(section(number(symbols + 0x28, 4) as usize) + 0x18, 8) as usize;
    let first = number(symbols + 0x18, 8) as usize;
    let name = [function.as_bytes(), b"\0"].concat();
    let all = (first..first + number(symbols + 0x20, 8) as usize).step_by(SYMBOL_BYTES);
    let found: Vec<usize> = all.filter(|at| bytes[names + number(*at, 4) as usize..].starts_with(&name)).collect();
    assert!(!found.is_empty(), "{function} is no name in {}", library.display());
    found.into_iter().for_each(|at| bytes[at + 5] |= HIDDEN);
    std::fs::write(copy, bytes).unwrap_or_else(|error| panic!("{}: {error}", copy.display()));
}

/// A session: one test's exclusive use of the emulator.
pub struct Session<'a> {
    emulator: &'a Emulator,
    _turn: MutexGuard<'a, ()>,
}

impl Session<'_> {
    /// Changes settings.
    ///
    /// # Panics
    ///
    /// If they are wrong.
    pub fn configure(&self, settings: &str) {
        let text = CString::new(settings).expect("settings have no zero");
        // SAFETY: the function has this signature, and the text ends with a zero.
        let code = unsafe { (self.emulator.functions.configure)(text.as_ptr()) };
        assert_eq!(code, 0, "{}", self.report());
    }

    /// The counts.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        // SAFETY: the function has this signature, and the counts are its output.
        unsafe { (self.emulator.functions.counts)(&mut counts) };
        counts
    }

    /// The last report.
    pub fn report(&self) -> String {
        read(self.emulator.functions.report)
    }

    /// Launches by kernel.
    pub fn kernels(&self) -> BTreeMap<String, u64> {
        let lines = read(self.emulator.functions.kernels);
        let pair =
            |line: &str| line.rsplit_once(' ').and_then(|(name, count)| Some((name.into(), count.parse().ok()?)));
        lines.lines().filter_map(pair).collect()
    }
}

fn read(function: Text) -> String {
    // SAFETY: the function has this signature, and writes nothing into a buffer of no bytes.
    let length = unsafe { function(std::ptr::null_mut(), 0) };
    let mut bytes = vec![0u8; length + 1];
    // SAFETY: the function has this signature, and the buffer has this many bytes.
    unsafe { function(bytes.as_mut_ptr().cast(), bytes.len()) };
    bytes.truncate(length);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The path of the library: next to the tests, or one folder above.
fn find() -> PathBuf {
    let program = std::env::current_exe().expect("a program has a path");
    let folders: Vec<&Path> = program.ancestors().skip(1).take(2).collect();
    let mut paths = folders
        .iter()
        .flat_map(|folder| [folder.join("libgavotte_emulator.so"), folder.join("deps/libgavotte_emulator.so")]);
    paths.find(|path| path.exists()).unwrap_or_else(|| panic!("libgavotte_emulator.so is in none of {folders:?}"))
}

fn functions(library: &Library) -> Functions {
    fn function<T: Copy>(library: &Library, name: &str) -> T {
        // SAFETY: `Functions` has the signature that `exports` declares for each name.
        let symbol = unsafe { library.get::<T>(name) };
        *symbol.unwrap_or_else(|error| panic!("{name}: {error}"))
    }
    Functions {
        reset: function(library, "gavotte_emulator_reset"),
        configure: function(library, "gavotte_emulator_configure"),
        counts: function(library, "gavotte_emulator_counts"),
        report: function(library, "gavotte_emulator_report"),
        kernels: function(library, "gavotte_emulator_kernels"),
    }
}
