//! The Python processes that compute.

use crate::tests_dir;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError, TryLockError};

/// A process that answers one request after another. It ends with this process.
#[derive(Debug)]
pub struct Worker {
    _child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    fn start(python: &str) -> Result<Worker, String> {
        let mut child = Command::new(python)
            .arg(tests_dir().join("python/worker.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{python} does not start: {error}"))?;
        let (requests, answers) = (child.stdin.take(), child.stdout.take());
        let (requests, answers) = (requests.expect("it is piped"), answers.expect("it is piped"));
        Ok(Worker { _child: child, requests, answers: BufReader::new(answers) })
    }

    /// The answer to a request, or what went wrong.
    pub fn ask(&mut self, request: &Value) -> Result<Value, String> {
        let mut line = request.to_string();
        line.push('\n');
        let mut answer = String::new();
        self.requests
            .write_all(line.as_bytes())
            .and_then(|()| self.requests.flush())
            .and_then(|()| self.answers.read_line(&mut answer))
            .unwrap_or_else(|error| panic!("the worker has ended: {error}"));
        assert!(!answer.is_empty(), "the worker has ended: its last words stand above");
        let mut answer: Value = serde_json::from_str(&answer).expect("the worker answers in JSON");
        match answer["error"].as_str() {
            Some(why) => Err(why.to_string()),
            None => Ok(answer["ok"].take()),
        }
    }
}

/// One for each core of the tests' machine; more would only wait for each other.
const N_WORKER: usize = 2;

/// The interpreter; `None` if there is none and none was asked for.
///
/// # Panics
/// If `GAVOTTE_PYTHON` names an interpreter that cannot compute.
fn python() -> Option<String> {
    let wanted = include_str!("../../python/requirements.txt")
        .lines()
        .find_map(|line| line.strip_prefix("jax=="))
        .expect("the requirements pin jax");
    let named = std::env::var("GAVOTTE_PYTHON").ok();
    let python = named.clone().unwrap_or_else(|| "python3".into());
    let asked = Command::new(&python).args(["-c", "import jax; print(jax.__version__)"]).output();
    let found = match &asked {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_string(),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_string(),
        Err(error) => error.to_string(),
    };
    if found == wanted {
        return Some(python);
    }
    assert!(named.is_none(), "GAVOTTE_PYTHON={python} must have jax {wanted}, but says: {found}");
    None
}

static WORKERS: LazyLock<Option<Vec<Mutex<Worker>>>> = LazyLock::new(|| {
    let python = python()?;
    let start = |_| Mutex::new(Worker::start(&python).unwrap_or_else(|why| panic!("{why}")));
    Some((0..N_WORKER).map(start).collect())
});

/// The number of workers: this many threads may ask at once. Without an interpreter, reports that and returns 0.
pub fn workers() -> usize {
    let n = WORKERS.as_ref().map_or(0, Vec::len);
    if n == 0 {
        crate::skip("python3 has no jax; set GAVOTTE_PYTHON to an interpreter with tests/python/requirements.txt");
    }
    n
}

/// Runs `f` with a worker that nobody else is using.
///
/// # Panics
/// If there are no workers.
pub fn with_worker<T>(f: impl FnOnce(&mut Worker) -> T) -> T {
    let workers = WORKERS.as_ref().expect("there are workers: ask `workers` first");
    f(&mut free(workers))
}

/// A free worker, or else one to wait for. A failed test leaves its worker usable: a request is answered before
/// anything can fail.
fn free(workers: &[Mutex<Worker>]) -> MutexGuard<'_, Worker> {
    for worker in workers {
        match worker.try_lock() {
            Ok(worker) => return worker,
            Err(TryLockError::Poisoned(worker)) => return worker.into_inner(),
            Err(TryLockError::WouldBlock) => {}
        }
    }
    let place = std::process::id() as usize + thread_number();
    workers[place % workers.len()].lock().unwrap_or_else(PoisonError::into_inner)
}

/// Numbers threads in the order in which they ask, so that they spread over the workers.
fn thread_number() -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
