//! The functions that a process has made, by the canonical form of their kernels.

use super::canonical::Canonical;
use super::{Isa, Job, Size, check, emit, nest, schedule};
use crate::ir::Unsupported;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// How many functions are kept that no program has: some tens of megabytes.
const MAX_UNUSED: usize = 4096;

/// So many functions are worth a thread.
const WORTH: usize = 4;

/// What a function is generated from.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    /// The text of the canonical kernel, which has its types and so the lanes of its vectors.
    text: String,
    partition: Option<usize>,
    masked: Vec<bool>,
    far: Vec<bool>,
    isa: Isa,
}

/// A canonical kernel, and what else its function is generated from.
pub(super) struct Form {
    pub(super) canonical: Canonical,
    key: Key,
}

impl Form {
    pub(super) fn new(job: &Job<'_>, isa: Isa) -> Result<Form, Unsupported> {
        let canonical = Canonical::new(job.kernel, job.partition, isa)?;
        let (text, masked, far) = (canonical.kernel.to_string(), job.masked.clone(), job.far.clone());
        Ok(Form { canonical, key: Key { text, partition: job.partition, masked, far, isa } })
    }
}

/// A function that kernels of one canonical form share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) bytes: Vec<u8>,
    /// Where the instructions begin; the constants stand before them.
    pub(super) entry: usize,
    /// The sizes behind inputs and outputs in the table of arguments, in the symbols of the canonical kernel.
    pub(super) sizes: Vec<Size>,
    /// Constants of the canonical kernel by number, and at which bytes each is.
    pub(super) open: Vec<(usize, usize)>,
}

impl Shared {
    fn new(Form { canonical, key }: &Form) -> Result<Shared, Unsupported> {
        let isa = key.isa;
        let (mut function, signature) = nest::build(canonical, key.partition, [&key.masked, &key.far], isa)?;
        let before = cfg!(debug_assertions).then(|| function.clone());
        schedule::schedule(&mut function, &emit::files(isa));
        debug_assert_eq!(before.map_or(Ok(()), |before| check::keeps_order(&before, &function)), Ok(()));
        let emit::Emitted { bytes, entry, open } =
            emit::emit(&function, isa).map_err(|error| Unsupported(error.to_string()))?;
        Ok(Shared { bytes, entry, sizes: signature.sizes, open })
    }
}

/// The functions of the process.
static FUNCTIONS: LazyLock<Mutex<HashMap<Key, Arc<Shared>>>> = LazyLock::new(Mutex::default);

/// The function of each form, and whether it was there: in the process, or for a form before it. Those that were not are
/// generated on so many threads.
pub(super) fn find_or_make(forms: &[&Form], threads: usize) -> Vec<Result<(Arc<Shared>, bool), Unsupported>> {
    // A function is put there whole: another thread's panic leaves nothing half done.
    let functions = || FUNCTIONS.lock().unwrap_or_else(PoisonError::into_inner);
    let known: Vec<Option<Arc<Shared>>> = {
        let functions = functions();
        forms.iter().map(|form| functions.get(&form.key).cloned()).collect()
    };
    let mut firsts: HashMap<&Key, usize> = HashMap::new();
    let mut missing = vec![];
    for (form, _) in forms.iter().zip(&known).filter(|(_, known)| known.is_none()) {
        firsts.entry(&form.key).or_insert_with(|| {
            missing.push(*form);
            missing.len() - 1
        });
    }
    // Others need not wait for these.
    let made = on_threads(&missing, threads, |form| Shared::new(form).map(Arc::new));
    let mut kept = functions();
    if kept.len() >= MAX_UNUSED {
        kept.retain(|_, function| Arc::strong_count(function) > 1);
    }
    for (form, function) in missing.iter().zip(&made) {
        if let Ok(function) = function {
            kept.insert(form.key.clone(), function.clone());
        }
    }
    let mut is_first = vec![true; made.len()];
    let of_form = |(form, known): (&&Form, Option<Arc<Shared>>)| match known {
        Some(known) => Ok((known, true)),
        None => {
            let number = firsts[&form.key];
            let was_first = std::mem::replace(&mut is_first[number], false);
            made[number].clone().map(|function| (function, !was_first))
        }
    };
    forms.iter().zip(known).map(of_form).collect()
}

/// What a function gives for each item, in order, worked out on up to so many threads.
fn on_threads<T: Sync, R: Send>(items: &[T], threads: usize, f: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mine = std::iter::from_fn(|| {
            let i = next.fetch_add(1, Ordering::Relaxed);
            items.get(i).map(|item| (i, f(item)))
        });
        mine.collect::<Vec<(usize, R)>>()
    };
    let mut all = std::thread::scope(|scope| {
        // A thread that the system does not give leaves more to the others.
        let spawn = |_| std::thread::Builder::new().spawn_scoped(scope, work).ok();
        let others: Vec<_> = (1..threads.min(items.len() / WORTH)).filter_map(spawn).collect();
        let mut all = work();
        for other in others {
            all.extend(other.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload)));
        }
        all
    });
    all.sort_unstable_by_key(|(i, _)| *i);
    all.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codegen::x86::Code;
    use crate::kernel::{Kernel, parse_kernel};

    /// A number, negated so many times: no other test does that, and functions are the process's.
    fn kernel(times: usize) -> Kernel {
        let body: String = (0..times).map(|i| format!("${}: f32 = neg ${i} ", i + 1)).collect();
        let text = format!(
            "kernel @neg_0(%0: f32[n]) -> (%1: f32[n]) {{ row i0: n $0: f32 = load %0[i0] {body}store ${times} -> %1 }}"
        );
        parse_kernel(&text).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn each_form_is_generated_once_on_any_number_of_threads() {
        for isa in Isa::ALL {
            for threads in [1, 2, 7] {
                let kernels: Vec<Kernel> = (0..40).map(|i| kernel(30 * threads + i % 30)).collect();
                let job = |kernel| Job { kernel, partition: Some(0), masked: vec![false], far: vec![false] };
                let jobs: Vec<Job<'_>> = kernels.iter().map(job).collect();
                for (i, (code, job)) in Code::all(&jobs, isa, threads).into_iter().zip(&jobs).enumerate() {
                    let code = code.unwrap_or_else(|why| panic!("{why}"));
                    assert_eq!(code.was_known(), i >= 30, "kernel {i}, {threads} threads");
                    let again = Form::new(job, isa).and_then(|form| Shared::new(&form));
                    assert_eq!(code.function.bytes, again.unwrap_or_else(|why| panic!("{why}")).bytes);
                }
            }
        }
    }
}
