//! The folder that a training is written to. All its files come from one command.

use crate::claim::Claim;
use crate::failure::{Failure, note};
use crate::layout::listed;
use crate::output::cannot_write;
use crate::replace::{can_be_renamed, finish, replace};
use crate::run_contents::{self, free_name, free_name_within, has_name_of_a_run, names_in};
use crate::temporary::{self, Made, TempFile, TempFolder, together};
use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A folder that exists, is writable, and is claimed by no other run.
pub(crate) struct RunFolder {
    path: PathBuf,
    /// Its path as the user gave it.
    shown: PathBuf,
    /// The folders that were made for it, outermost first.
    made: Vec<Made>,
    /// Where files are until they replace the existing run.
    stage: Option<Stage>,
    claim: Option<Claim>,
    /// The names of the files that were written.
    ours: RefCell<Vec<String>>,
    /// The folder to which the rest goes, since something has appeared in this one.
    aside: RefCell<Option<PathBuf>>,
}

/// The replacement of an existing run.
struct Stage {
    folder: TempFolder,
    /// The contents of the folder that it replaces.
    old: Vec<Entry>,
    /// Whether the folder itself is replaced; otherwise its contents are.
    by_name: bool,
}

impl RunFolder {
    /// Makes the folder if it does not exist, claims it, and checks that it is writable. A folder with a run is
    /// refused, or, with `overwrite`, replaced by [`publish`](Self::publish).
    pub(crate) fn prepare(path: &Path, overwrite: bool) -> Result<RunFolder, Failure> {
        let refuse = |why: String| Failure::input(format!("--out {}: {why}", path.display()));
        let fail = |why: String| refuse(format!("{why}; name a folder that you may write to, or one that can be made"));
        let mut folder = RunFolder {
            path: path.into(),
            shown: path.into(),
            made: vec![],
            stage: None,
            claim: None,
            ours: RefCell::default(),
            aside: RefCell::default(),
        };
        let missing = path.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
        for missing in missing.map(PathBuf::from).collect::<Vec<_>>().into_iter().rev() {
            match Made::folder(missing) {
                Ok(made) => folder.made.push(made),
                // Another program was faster.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(fail(format!("cannot make the folder: {error}"))),
            }
        }
        if !path.is_dir() {
            return Err(fail("this is not a folder".into()));
        }
        folder.path = fs::canonicalize(path).map_err(|error| fail(format!("cannot find it: {error}")))?;
        folder.path.parent().into_iter().chain([folder.path.as_path()]).for_each(temporary::clean);
        folder.claim = Claim::of(&folder.path).map_err(|error| fail(format!("cannot write to it: {error}")))?;
        if folder.claim.is_none() {
            return Err(refuse(
                "another run is writing to it; wait until that has ended, or name another folder".into(),
            ));
        }
        let finished = finish(&folder.path);
        if finished.map_err(|error| fail(format!("cannot finish the replacement of the run in it: {error}")))? {
            note(&format!("a killed program was replacing the run in {}: that is finished now", path.display()));
        }
        let names = names_in(path).map_err(|error| fail(format!("cannot look into it: {error}")))?;
        if names.is_empty() {
            TempFile::within(path).map_err(|error| fail(format!("cannot write to it: {error}")))?;
            return Ok(folder);
        }
        if let Err(foreign) = run_contents::check(path) {
            return Err(refuse(format!("a run replaces only what `train --out` wrote, and {foreign}")));
        }
        if !overwrite {
            let names = listed(names.iter().map(|name| format!("`{name}`")), 3);
            return Err(refuse(format!(
                "there is something in it: {names}; name another folder, or say --overwrite to replace the run in it"
            )));
        }
        let old = entries(&folder.path).map_err(|error| fail(format!("cannot look into it: {error}")))?;
        folder.stage = Some(Stage::new(&folder.path, old).map_err(|error| {
            refuse(format!("cannot make the folder that is to replace it, neither next to it nor within it: {error}"))
        })?);
        Ok(folder)
    }

    /// Whether this run replaces an existing one.
    pub(crate) fn is_replacing(&self) -> bool {
        self.stage.is_some()
    }

    /// The folder in which the run is, as the user knows it.
    pub(crate) fn shown(&self) -> PathBuf {
        self.aside.borrow().clone().unwrap_or_else(|| self.shown.clone())
    }

    /// Writes files to the subfolder `below`, or to the folder itself if `below` is empty: all of them, or none. Files
    /// that have appeared there since stay: what is written goes to a folder next to it, and a note says so.
    pub(crate) fn write(&self, below: &str, files: &[(&str, &[u8])]) -> Result<(), Failure> {
        let is_aside = || self.aside.borrow().is_some();
        if let Some(name) = self.appeared().filter(|_| !is_aside()) {
            self.step_aside(&format!("`{name}` has appeared in {}", self.shown.display()))?;
        }
        let mut written = self.write_files(below, files);
        let is_taken =
            |error: &io::Error| matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory);
        if let Err((path, error)) = &written
            && is_taken(error)
            && !is_aside()
            && self.stage.is_none()
        {
            self.step_aside(&format!("something has taken the place of {}", path.display()))?;
            written = self.write_files(below, files);
        }
        written.map_err(|(path, error)| cannot_write(&path, &error))
    }

    fn write_files(&self, below: &str, files: &[(&str, &[u8])]) -> Result<(), (PathBuf, io::Error)> {
        let (root, shown) = match (&*self.aside.borrow(), &self.stage) {
            (Some(aside), _) => (aside.clone(), aside.clone()),
            (None, Some(stage)) => (stage.folder.path().to_path_buf(), self.shown.clone()),
            (None, None) => (self.path.clone(), self.shown.clone()),
        };
        let folder = if below.is_empty() { root.clone() } else { root.join(below) };
        let shown_folder = if below.is_empty() { shown.clone() } else { shown.join(below) };
        // If somebody has removed the folder meanwhile, the run is not lost.
        fs::create_dir_all(&root).map_err(|error| (shown, error))?;
        // A signal before the end of this function finds an empty folder, or all files.
        let made = match Made::folder(folder.clone()) {
            Ok(made) => Some(made),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => None,
            Err(error) => return Err((shown_folder, error)),
        };
        let clear = || made.iter().for_each(|made| drop(fs::remove_dir(made.path())));
        let mut written = vec![];
        for (name, bytes) in files {
            let file = TempFile::within(&folder).and_then(|mut file| file.write(bytes).map(|()| file));
            match file {
                Ok(file) => written.push((*name, file)),
                Err(error) => {
                    written.clear();
                    clear();
                    return Err((shown_folder.join(name), error));
                }
            }
        }
        let _together = together();
        let mut named = vec![];
        while let Some((name, file)) = written.pop() {
            if let Err(error) = file.name(&folder.join(name)) {
                written.clear();
                named.iter().for_each(|name| drop(fs::remove_file(folder.join(name))));
                clear();
                return Err((shown_folder.join(name), error));
            }
            named.push(name);
        }
        let top = if below.is_empty() { named } else { vec![below] };
        self.ours.borrow_mut().extend(top.into_iter().map(String::from));
        Ok(())
    }

    /// A run's file that has appeared in the folder.
    fn appeared(&self) -> Option<String> {
        let root = self.stage.as_ref().map_or(self.path.as_path(), |stage| stage.folder.path());
        let is_anothers = |name: &String| has_name_of_a_run(root, name) && !self.ours.borrow().contains(name);
        names_in(root).ok()?.into_iter().find(is_anothers)
    }

    /// From now on a new folder is used, next to this one, or, if that has no place either, above it. `why` is told.
    fn step_aside(&self, why: &str) -> Result<(), Failure> {
        // `.` and `..` have no name.
        let path = if self.shown.file_name().is_some() { &self.shown } else { &self.path };
        let name = path.file_name().unwrap_or(OsStr::new("run"));
        let above = path.ancestors().skip(1).map(|folder| free_name(&folder.join(name)));
        let mut failed = None;
        for aside in above {
            match fs::create_dir(&aside) {
                Ok(()) => {
                    let rest = if self.ours.borrow().is_empty() { "this run" } else { "the rest of this run" };
                    note(&format!("{why}: {rest} goes to {}", aside.display()));
                    *self.aside.borrow_mut() = Some(aside);
                    return Ok(());
                }
                Err(error) => failed = failed.or(Some(cannot_write(&aside, &error))),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Replaces the existing run by the files that were written.
    pub(crate) fn publish(mut self) -> Result<(), Failure> {
        let Some(stage) = self.stage.take() else { return Ok(()) };
        if names_in(stage.folder.path()).is_ok_and(|names| names.is_empty()) {
            return Ok(());
        }
        let _together = together();
        let replaced = match entries(&self.path) {
            Ok(found) if found == stage.old => replace(&self.path, stage.folder.path(), stage.by_name),
            Ok(_) => Err(io::Error::other("what is in it is no longer what was there at the start")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let named = stage.folder.name(std::slice::from_ref(&self.path));
                return match named == self.path {
                    true => Ok(()),
                    false => {
                        Err(Failure::Run(format!("cannot make {}; {}", self.shown.display(), kept(&named, &self.path))))
                    }
                };
            }
            Err(error) => Err(error),
        };
        // From now on the folder may be another run's.
        self.claim = None;
        replaced.map_err(|error| {
            let kept = kept(&stage.keep(&self.path), &self.path);
            Failure::Run(format!("cannot replace {}: {error}; {kept}", self.shown.display()))
        })
    }

    /// Leaves the existing run in place, and keeps the new one next to it if that `is_worth` it. Returns a note, if
    /// there is an existing run.
    pub(crate) fn leave(mut self, is_worth: bool) -> Option<String> {
        let stage = self.stage.take()?;
        let _together = together();
        let text = format!("the run that was in {} is kept", self.shown.display());
        let is_empty = names_in(stage.folder.path()).is_ok_and(|names| names.is_empty());
        Some(match is_worth && !is_empty {
            true => format!("{text}; {}", kept(&stage.keep(&self.path), &self.path)),
            false => text,
        })
    }
}

impl Drop for RunFolder {
    /// Removes the folders that were made for files that were never written.
    fn drop(&mut self) {
        self.stage = None;
        self.claim = None;
        // This removes empty folders only.
        self.made.iter().rev().for_each(|folder| drop(fs::remove_dir(folder.path())));
    }
}

impl Stage {
    /// Next to the folder if that can be replaced, otherwise within it.
    fn new(path: &Path, old: Vec<Entry>) -> io::Result<Stage> {
        let beside = path.parent().filter(|_| can_be_renamed(path)).and_then(|parent| TempFolder::within(parent).ok());
        let by_name = beside.is_some();
        let folder = beside.map_or_else(|| TempFolder::within(path), Ok)?;
        Ok(Stage { folder, old, by_name })
    }

    /// Keeps the new run next to the folder `path`, or, if that is on another device, where it is: under a name that no
    /// other run takes for a leftover.
    fn keep(self, path: &Path) -> PathBuf {
        let within = self.folder.path().parent().map(free_name_within);
        self.folder.name(&[free_name(path)].into_iter().chain(within).collect::<Vec<_>>())
    }
}

/// Says where the new run is, instead of in `folder`.
fn kept(new: &Path, folder: &Path) -> String {
    let text = format!("the new run is in {}", new.display());
    match new.starts_with(folder) {
        true => format!("{text}; the next --overwrite replaces that, too: move it to another place to keep it"),
        false => text,
    }
}

/// Identifies a file of a run, so that a change is noticed.
#[derive(PartialEq, Debug)]
struct Entry {
    path: PathBuf,
    length: u64,
    changed: Option<SystemTime>,
}

/// The contents of a folder and of its subfolders.
fn entries(folder: &Path) -> io::Result<Vec<Entry>> {
    let mut found = vec![];
    for name in names_in(folder)? {
        let path = folder.join(name);
        let metadata = fs::symlink_metadata(&path)?;
        if metadata.is_dir() {
            found.extend(entries(&path)?);
        } else {
            found.push(Entry { path, length: metadata.len(), changed: metadata.modified().ok() });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_contents::{METRICS, PARAMS, SUMMARY, file};

    #[track_caller]
    fn assert_refused(path: &Path, overwrite: bool, parts: &[&str]) {
        let Err(Failure::Input(message)) = RunFolder::prepare(path, overwrite) else {
            panic!("{path:?} was accepted");
        };
        for part in parts.iter().chain(&["--out"]) {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
    }

    #[test]
    fn a_folder_without_files_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        drop(RunFolder::prepare(&root.path().join("a/b"), false).unwrap());
        assert!(!root.path().join("a").exists());
        let folder = RunFolder::prepare(&root.path().join("a/b"), false).unwrap();
        folder.write("", &[(SUMMARY, &file(SUMMARY, "1"))]).unwrap();
        folder.publish().unwrap();
        assert_eq!(fs::read(root.path().join("a/b").join(SUMMARY)).unwrap(), file(SUMMARY, "1"));
        assert_eq!(fs::read_dir(root.path().join("a/b")).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_written_is_known_before() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), "").unwrap();
        assert_refused(&root.path().join("file"), false, &["not a folder"]);
        assert_refused(&root.path().join("file/below"), false, &["cannot make the folder"]);
        assert_refused(root.path(), false, &["`file` is something else"]);
        assert_refused(root.path(), true, &["`file` is something else"]);
        // Other programs give files such names, too.
        for name in [PARAMS, METRICS, SUMMARY] {
            let (run, seed) = (root.path().join(format!("of {name}")), root.path().join(format!("seed of {name}")));
            fs::create_dir_all(seed.join("seed-0")).unwrap();
            fs::create_dir(&run).unwrap();
            fs::write(run.join(name), "{\"steps\": [1, 2, 3]}").unwrap();
            fs::write(seed.join("seed-0").join(name), "").unwrap();
            assert_refused(&run, true, &[&format!("`{name}` is something else")]);
            assert_refused(&seed, true, &[&format!("`seed-0/{name}` is something else")]);
        }
        fs::create_dir_all(root.path().join("run/seed-1/deeper")).unwrap();
        assert_refused(&root.path().join("run"), true, &["`seed-1/deeper` is something else"]);
    }

    #[test]
    fn a_run_is_replaced_as_a_whole() {
        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("out");
        let old = RunFolder::prepare(&out, false).unwrap();
        old.write("seed-0", &[(PARAMS, &file(PARAMS, "old")), (METRICS, &file(METRICS, "old"))]).unwrap();
        old.write("", &[(SUMMARY, &file(SUMMARY, "old"))]).unwrap();
        old.publish().unwrap();
        let new = RunFolder::prepare(&out, true).unwrap();
        new.write("", &[(PARAMS, &file(PARAMS, "new"))]).unwrap();
        // Until the end the old run is unchanged.
        assert_eq!(names_in(&out).unwrap(), [SUMMARY, "seed-0"]);
        new.publish().unwrap();
        assert_eq!(names_in(&out).unwrap(), [PARAMS]);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
        // A run without files replaces nothing.
        RunFolder::prepare(&out, true).unwrap().publish().unwrap();
        drop(RunFolder::prepare(&out, true).unwrap());
        assert_eq!(names_in(&out).unwrap(), [PARAMS]);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn of_files_that_belong_together_none_stays_alone() {
        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("out");
        let folder = RunFolder::prepare(&out, false).unwrap();
        fs::create_dir(out.join(METRICS)).unwrap();
        folder.write("", &[(PARAMS, &file(PARAMS, "1")), (METRICS, &file(METRICS, "2"))]).unwrap();
        assert_eq!(names_in(&out).unwrap(), [METRICS]);
        assert_eq!(folder.shown(), root.path().join("out.new"));
        assert_eq!(names_in(&folder.shown()).unwrap(), [METRICS, PARAMS]);
    }

    #[test]
    fn what_has_appeared_stays() {
        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("out");
        let folder = RunFolder::prepare(&out, false).unwrap();
        fs::write(out.join(METRICS), "another's").unwrap();
        // Runs are not mixed, and nothing is lost.
        folder.write("seed-0", &[(PARAMS, &file(PARAMS, "1")), (METRICS, &file(METRICS, "2"))]).unwrap();
        folder.write("", &[(SUMMARY, &file(SUMMARY, "3"))]).unwrap();
        assert_eq!(names_in(&root.path().join("out.new")).unwrap(), [SUMMARY, "seed-0"]);
        drop(folder);
        assert_eq!(fs::read(out.join(METRICS)).unwrap(), b"another's");
        assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
        // The same if a run is to be replaced: the new one gets another name.
        fs::write(out.join(METRICS), file(METRICS, "another's")).unwrap();
        let folder = RunFolder::prepare(&out, true).unwrap();
        folder.write("", &[(METRICS, &file(METRICS, "2"))]).unwrap();
        fs::write(out.join(METRICS), file(METRICS, "another's run")).unwrap();
        let Err(Failure::Run(message)) = folder.publish() else { panic!("it was replaced") };
        assert!(message.contains("no longer what was there") && message.contains("out.new-2"), "{message}");
        assert_eq!(fs::read(out.join(METRICS)).unwrap(), file(METRICS, "another's run"));
        assert_eq!(fs::read(root.path().join("out.new-2").join(METRICS)).unwrap(), file(METRICS, "2"));
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 3);
        // A folder that has been removed is no obstacle.
        let folder = RunFolder::prepare(&out, true).unwrap();
        folder.write("", &[(METRICS, &file(METRICS, "3"))]).unwrap();
        fs::remove_dir_all(&out).unwrap();
        folder.publish().unwrap();
        assert_eq!(fs::read(out.join(METRICS)).unwrap(), file(METRICS, "3"));
    }

    #[test]
    fn what_takes_the_place_of_a_folder_costs_no_run() {
        let summary = file(SUMMARY, "1");
        let files: [(&str, &[u8]); 1] = [(SUMMARY, &summary)];
        // In the place of the folder, of the one above it, and of a seed's.
        for (taken, below, found) in
            [("a/out", "", "a/out.new"), ("a", "", "out.new"), ("a/out/seed-0", "seed-0", "a/out.new/seed-0")]
        {
            let root = tempfile::tempdir().unwrap();
            let out = root.path().join("a/out");
            // The spelling of the folder does not matter.
            let folder = RunFolder::prepare(&out.join(""), false).unwrap();
            let taken = root.path().join(taken);
            drop(fs::remove_dir_all(&taken));
            fs::write(&taken, "another's").unwrap();
            folder.write(below, &files).unwrap();
            folder.write("seed-7", &files).unwrap();
            assert_eq!(fs::read(root.path().join(found).join(SUMMARY)).unwrap(), summary);
            assert_eq!(names_in(&folder.shown()).unwrap().len(), 2);
            assert_eq!(fs::read(&taken).unwrap(), b"another's");
        }
    }

    #[test]
    fn a_run_that_is_left_stays_and_the_new_one_where_it_is_worth_it() {
        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("out");
        RunFolder::prepare(&out, false).unwrap().write("", &[(SUMMARY, &file(SUMMARY, "old"))]).unwrap();
        for (is_worth, n_folder) in [(false, 1), (true, 2), (true, 3)] {
            let folder = RunFolder::prepare(&out, true).unwrap();
            folder.write("", &[(SUMMARY, &file(SUMMARY, "new"))]).unwrap();
            assert!(folder.leave(is_worth).is_some_and(|text| text.contains("is kept")));
            assert_eq!(fs::read(out.join(SUMMARY)).unwrap(), file(SUMMARY, "old"));
            assert_eq!(fs::read_dir(root.path()).unwrap().count(), n_folder);
        }
        assert_eq!(fs::read(root.path().join("out.new-2").join(SUMMARY)).unwrap(), file(SUMMARY, "new"));
    }

    /// Where a folder cannot be replaced and its parent takes no other, such as a mount point, a run that fails leaves what
    /// it has within the folder: that is no obstacle to the next one, which replaces both.
    #[test]
    fn a_run_that_is_kept_within_the_folder_is_replaced_by_the_next() {
        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("out");
        RunFolder::prepare(&out, false).unwrap().write("", &[(SUMMARY, &file(SUMMARY, "old"))]).unwrap();
        for left in [vec![SUMMARY, "run.new"], vec![SUMMARY, "run.new", "run.new-2"]] {
            let mut folder = RunFolder::prepare(&out, true).unwrap();
            let old = entries(&out).unwrap();
            folder.stage = Some(Stage { folder: TempFolder::within(&out).unwrap(), old, by_name: false });
            folder.write("seed-0", &[(METRICS, &file(METRICS, "new"))]).unwrap();
            // Something is in every place next to it.
            let stage = folder.stage.take().unwrap();
            let kept = kept(&stage.keep(Path::new("/nowhere/out")), &folder.path);
            assert!(kept.contains("the next --overwrite replaces that, too"), "{kept}");
            drop(folder);
            assert_eq!(names_in(&out).unwrap(), left);
            assert_refused(&out, false, &["there is something in it", "`run.new`", "--overwrite"]);
        }
        for by_name in [false, true] {
            let mut folder = RunFolder::prepare(&out, true).unwrap();
            if !by_name {
                let old = entries(&out).unwrap();
                folder.stage = Some(Stage { folder: TempFolder::within(&out).unwrap(), old, by_name });
            }
            folder.write("", &[(SUMMARY, &file(SUMMARY, "new"))]).unwrap();
            folder.publish().unwrap();
            assert_eq!(names_in(&out).unwrap(), [SUMMARY]);
            fs::create_dir_all(out.join("run.new/seed-0")).unwrap();
        }
    }

    #[test]
    fn of_several_at_once_one_has_the_folder() {
        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("a/b/c");
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| RunFolder::prepare(&out, false))).collect();
            // No folder is dropped, and so none removed, before all exist.
            let folders: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            let had: Vec<&RunFolder> = folders.iter().flatten().collect();
            assert_eq!(had.len(), 1);
            for failure in folders.iter().filter_map(|folder| folder.as_ref().err()) {
                assert!(matches!(failure, Failure::Input(why) if why.contains("another run")), "{failure:?}");
            }
            had[0].write("", &[(SUMMARY, &file(SUMMARY, "1"))]).unwrap();
        });
        assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
    }
}
