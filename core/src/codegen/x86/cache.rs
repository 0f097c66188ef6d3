//! The functions that a process has compiled, by the canonical form of their kernels.

use super::canonical::Canonical;
use super::{Isa, Job, Size, Spread, check, emit, instruction_order, nest};
use crate::ir::Unsupported;
use rustc_hash::FxHashMap;
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};

/// How many unused functions are kept: some tens of megabytes.
const MAX_UNUSED: usize = 4096;

/// Everything a function is generated from.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    /// The text of the canonical kernel. It includes the types, which determine the lanes of vectors.
    text: String,
    partition: Option<usize>,
    masked: Vec<bool>,
    far: Vec<bool>,
    isa: Isa,
}

/// A canonical kernel, and everything else its function is generated from.
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
    /// Where the instructions start; the constants come before them.
    pub(super) entry: usize,
    /// The sizes after inputs and outputs in the table of arguments, in the symbols of the canonical kernel.
    pub(super) sizes: Vec<Size>,
    /// Constants of the canonical kernel by number, and the byte offset of each.
    pub(super) open: Vec<(usize, usize)>,
}

impl Shared {
    fn new(Form { canonical, key }: &Form) -> Result<Shared, Unsupported> {
        let isa = key.isa;
        let (mut function, signature) = nest::build(canonical, key.partition, [&key.masked, &key.far], isa)?;
        let before = cfg!(debug_assertions).then(|| function.clone());
        instruction_order::schedule(&mut function, &emit::files(isa));
        debug_assert_eq!(before.map_or(Ok(()), |before| check::keeps_order(&before, &function)), Ok(()));
        let emit::Emitted { bytes, entry, open } =
            emit::emit(&function, isa).map_err(|error| Unsupported(error.to_string()))?;
        Ok(Shared { bytes, entry, sizes: signature.sizes, open })
    }
}

/// The functions of the process.
static FUNCTIONS: LazyLock<Mutex<FxHashMap<Key, Arc<Shared>>>> = LazyLock::new(Mutex::default);

/// The function of each form, and whether it was known: in the process, or from an earlier form. Unknown ones are
/// generated on the threads of `spread`.
pub(super) fn find_or_make(forms: &[&Form], spread: Spread<'_>) -> Vec<Result<(Arc<Shared>, bool), Unsupported>> {
    // A function is inserted whole: another thread's panic leaves nothing half done.
    let functions = || FUNCTIONS.lock().unwrap_or_else(PoisonError::into_inner);
    let known: Vec<Option<Arc<Shared>>> = {
        let functions = functions();
        forms.iter().map(|form| functions.get(&form.key).cloned()).collect()
    };
    let mut firsts: FxHashMap<&Key, usize> = FxHashMap::default();
    let mut missing = vec![];
    for (form, _) in forms.iter().zip(&known).filter(|(_, known)| known.is_none()) {
        firsts.entry(&form.key).or_insert_with(|| {
            missing.push(*form);
            missing.len() - 1
        });
    }
    // Other threads need not wait for these.
    let made: Vec<OnceLock<_>> = missing.iter().map(|_| OnceLock::new()).collect();
    spread(missing.len(), &|i| {
        made[i].get_or_init(|| Shared::new(missing[i]).map(Arc::new));
    });
    let made: Vec<_> = made.into_iter().map(|made| made.into_inner().expect("each is made")).collect();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codegen::x86::{Code, alone};
    use crate::kernel::{Kernel, parse_kernel};

    /// A kernel that negates a number this many times: no other test does that, and functions are shared by the
    /// process.
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
            // In order, and on several threads.
            let all_at_once = |n: usize, work: &(dyn Fn(usize) + Sync)| {
                std::thread::scope(|scope| (0..n).for_each(|i| drop(scope.spawn(move || work(i)))));
            };
            for (threads, spread) in [(1, &alone as Spread<'_>), (2, &all_at_once)] {
                let kernels: Vec<Kernel> = (0..40).map(|i| kernel(30 * threads + i % 30)).collect();
                let job = |kernel| Job { kernel, partition: Some(0), masked: vec![false], far: vec![false] };
                let jobs: Vec<Job<'_>> = kernels.iter().map(job).collect();
                for (i, (code, job)) in Code::all(&jobs, isa, spread).into_iter().zip(&jobs).enumerate() {
                    let code = code.unwrap_or_else(|why| panic!("{why}"));
                    assert_eq!(code.was_known(), i >= 30, "kernel {i}, {threads} threads");
                    let again = Form::new(job, isa).and_then(|form| Shared::new(&form));
                    assert_eq!(code.function.bytes, again.unwrap_or_else(|why| panic!("{why}")).bytes);
                }
            }
        }
    }
}
