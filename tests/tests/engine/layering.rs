//! Which module may use which: the order of the core's modules and of the crates, and where `unsafe` and the CUDA
//! driver are allowed.

use gavotte_tests::{files, tests_dir, workspace_dir};
use std::path::Path;

/// The folders whose modules have an order, given in ARCHITECTURE.md.
const ORDERED: [&str; 10] = [
    "core/src",
    "core/src/kernel",
    "core/src/codegen/portable",
    "core/src/codegen/x86",
    "core/src/codegen/cuda",
    "core/src/runtime",
    "core/src/runtime/plan",
    "core/src/runtime/cpu",
    "core/src/runtime/cuda",
    "core/src/api",
];

/// The crates by folder and package: each uses only those before it. The derive macro uses none.
const CRATES: [(&str, &str); 5] = [
    ("core/derive", "gavotte-derive"),
    ("core", "gavotte-core"),
    ("ops", "gavotte"),
    ("gat", "gavotte-gat"),
    ("cli", "gavotte-cli"),
];

/// Where `unsafe` is allowed. In the tests: where kernels are launched on guarded memory, where NVRTC, a C library, is
/// called, and where the emulator is a driver, whose callers pass pointers; the emulator's interpreter has none.
const UNSAFE: [&str; 6] = [
    "core/src/runtime",
    "core/src/codegen",
    "tests/src/launch",
    "tests/src/nvrtc.rs",
    "tests/emulator/src/driver",
    "tests/emulator/tests/driver",
];
/// Where the CUDA driver's crate may be named. The emulator's tests are programs that use it.
const DRIVER: [&str; 2] = ["core/src/runtime", "tests/emulator/tests/driver"];

/// The lines of a file with their numbers, without comments and the contents of quotes.
fn code(path: &Path) -> Vec<(usize, String)> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().enumerate().map(|(i, line)| (i + 1, without_text(line))).collect()
}

fn without_text(line: &str) -> String {
    let line = line.replace("'\"'", "").replace("\\\\", "").replace("\\\"", "");
    let mut code = String::new();
    for (i, part) in line.split('"').enumerate().filter(|(i, _)| i % 2 == 0) {
        if i > 0 {
            code.push_str("\"\"");
        }
        match part.find("//") {
            Some(at) => return code + &part[..at],
            None => code.push_str(part),
        }
    }
    code
}

/// The words of a line of code.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// The first names after `root::` in a line: one, or those of a braced list.
fn names_after<'a>(line: &'a str, root: &str) -> Vec<&'a str> {
    let path = format!("{root}::");
    let mut names = vec![];
    for (at, _) in line.match_indices(&path) {
        let is_whole = !line[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$' || c == ':');
        let rest = &line[at + path.len()..];
        match rest.strip_prefix('{') {
            _ if !is_whole => {}
            None => names.extend(words(rest).next()),
            Some(list) => names.extend(top_level(list)),
        }
    }
    names
}

/// The first name of each entry of a braced list, up to its end.
fn top_level(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut names) = (0, 0, vec![]);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.extend(words(&list[start..at]).next());
                start = at + 1;
                if c == '}' {
                    return names;
                }
            }
            _ => {}
        }
    }
    names.extend(words(&list[start..]).next());
    names
}

fn shown(path: &Path) -> String {
    path.strip_prefix(workspace_dir()).unwrap_or(path).display().to_string()
}

fn assert_none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

/// An entry of a folder's order: a module, or several that form one circle, joined by `↔`.
struct Row {
    modules: Vec<String>,
    is_circle: bool,
    about: String,
}

/// The order of a folder's modules in ARCHITECTURE.md: the table below the line that names the folder, or its row in
/// the table of folders.
fn order_of(folder: &str) -> Vec<Row> {
    let page = std::fs::read_to_string(workspace_dir().join("ARCHITECTURE.md")).expect("the page is there");
    let row = |names: &str, about: &str| Row {
        modules: words(names).map(str::to_string).collect(),
        is_circle: names.contains('↔'),
        about: about.to_string(),
    };
    // Modules on one line are in order, unless they form a circle.
    let rows_of = |names: &str, about: &str| -> Vec<Row> { names.split(',').map(|name| row(name, about)).collect() };
    let cells = |line: &str| -> Vec<String> { line.split('|').skip(1).map(|cell| cell.trim().to_string()).collect() };
    if let Some(line) = page.lines().find(|line| line.starts_with(&format!("| `{folder}` |"))) {
        let cells = cells(line);
        return rows_of(&cells[1], &cells[2]);
    }
    let from = page.find(&format!("Within `{folder}`, each module")).unwrap_or_else(|| panic!("no table of {folder}"));
    let rows = page[from..].lines().skip(1).skip_while(|line| !line.starts_with('|')).skip(2);
    rows.take_while(|line| line.starts_with('|')).map(cells).flat_map(|cells| rows_of(&cells[0], &cells[1])).collect()
}

/// A file without its unit tests, on one line.
fn whole_code(path: &Path) -> String {
    let lines = code(path).into_iter().map(|(_, line)| line);
    lines.take_while(|line| !line.starts_with("mod tests {")).collect::<Vec<_>>().join(" ")
}

/// The names that a folder's file exports from its modules, each with its module.
fn exports_of(dir: &Path) -> Vec<(String, String)> {
    let file = ["mod.rs", "lib.rs"].map(|name| dir.join(name)).into_iter().find(|path| path.exists());
    let code = whole_code(&file.unwrap_or_else(|| dir.with_extension("rs")));
    let mut found = vec![];
    for rest in code.split("use ").skip(1) {
        let path = rest.split(';').next().unwrap_or("").replace(' ', "");
        let Some((module, names)) = path.trim_start_matches("self::").split_once("::") else { continue };
        found.extend(words(names).map(|name| (name.to_string(), module.to_string())));
    }
    found
}

#[test]
fn modules_use_only_those_above_them() {
    let mut found = vec![];
    for folder in ORDERED {
        let (dir, order) = (workspace_dir().join(folder), order_of(folder));
        let row_of = |module: &str| order.iter().position(|row| row.modules.iter().any(|name| name == module));
        let absolute = folder.replace("core/src", "crate").replace('/', "::");
        let exports = exports_of(&dir);
        let (mut seen, mut used): (Vec<String>, usize) = (vec![], 0);
        for path in files(&dir, ".rs") {
            let inside = path.strip_prefix(&dir).expect("it is in there").with_extension("");
            let mut names: Vec<String> = inside.iter().map(|name| name.to_string_lossy().to_string()).collect();
            names.retain(|name| name != "mod" && name != "lib");
            if names.is_empty() || names.contains(&"tests".to_string()) {
                continue;
            }
            let module = names[0].clone();
            let Some(place) = row_of(&module) else {
                found.push(format!("{}: `{module}` has no place in the table of {folder}", shown(&path)));
                continue;
            };
            let code = whole_code(&path);
            let relative = vec!["super"; names.len()].join("::");
            let roots = [absolute.clone(), absolute.replace("crate", "gavotte_core"), relative];
            for name in roots.iter().flat_map(|root| names_after(&code, root)) {
                let exported = exports.iter().find(|(known, module)| known == name && known != module);
                let other = exported.map_or(name, |(_, module)| module);
                let Some(at) = row_of(other).filter(|_| other != module) else { continue };
                used += 1;
                if at > place || at == place && !order[place].is_circle {
                    found.push(format!("{}: `{module}` is above `{other}` ({name})", shown(&path)));
                }
            }
            seen.push(module);
        }
        for row in &order {
            let missing = row.modules.iter().filter(|name| !seen.contains(name));
            found.extend(missing.map(|name| format!("{folder}: the table names `{name}`, and there is none")));
            if row.is_circle && !row.about.contains("recursive") {
                found.push(format!("{folder}: a circle without a reason: {:?}", row.modules));
            }
        }
        assert!(used >= order.len() / 2, "the uses within {folder} are not read: {used}");
    }
    assert_none("a module may use only those above it", &found);
}

/// The lines of a manifest that name a dependency, with the package they name.
fn dependencies(manifest: &Path) -> Vec<(usize, String)> {
    let text = std::fs::read_to_string(manifest).unwrap_or_else(|error| panic!("{}: {error}", manifest.display()));
    let mut section = String::new();
    let mut found = vec![];
    for (i, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or("").trim();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.into();
            // `[dependencies.name]`
            if let Some((_, name)) = section.split_once("dependencies.") {
                found.push((i + 1, name.trim_matches('"').to_string()));
            }
        } else if section.ends_with("dependencies")
            && let Some((name, rest)) = line.split_once('=')
        {
            let renamed = rest.split_once("package").and_then(|(_, rest)| rest.split('"').nth(1));
            let name = renamed.unwrap_or(name.trim().trim_end_matches(".workspace").trim_matches('"'));
            found.push((i + 1, name.to_string()));
        }
    }
    found
}

#[test]
fn crates_use_only_those_above_them() {
    let mut found = vec![];
    for (place, (folder, package)) in CRATES.iter().enumerate() {
        let manifest = workspace_dir().join(folder).join("Cargo.toml");
        for (number, name) in dependencies(&manifest) {
            let ours = CRATES.iter().position(|(_, package)| *package == name);
            if ours.is_some_and(|other| other >= place) || name == "gavotte-tests" {
                found.push(format!("{}:{number}: `{package}` is above `{name}`", shown(&manifest)));
            }
        }
    }
    assert_none("a crate may use only those above it", &found);
}

/// Lines outside the folders `allowed` for which `is` holds.
fn lines_outside(allowed: &[&str], is: impl Fn(&str) -> bool) -> Vec<String> {
    let folders = CRATES.iter().map(|(folder, _)| workspace_dir().join(folder).join("src"));
    let folders =
        folders.chain(["src", "tests", "emulator/src", "emulator/tests"].map(|folder| tests_dir().join(folder)));
    let mut found = vec![];
    for path in folders.flat_map(|folder| files(&folder, ".rs")) {
        if allowed.iter().any(|folder| path.starts_with(workspace_dir().join(folder))) {
            continue;
        }
        let lines = code(&path).into_iter().filter(|(_, line)| is(line));
        found.extend(lines.map(|(number, line)| format!("{}:{number}: {}", shown(&path), line.trim())));
    }
    found
}

#[test]
fn unsafe_code_lives_in_runtime_and_codegen() {
    let found = lines_outside(&UNSAFE, |line| words(line).any(|word| word == "unsafe"));
    assert_none(
        "`unsafe` is allowed only in the runtime, in the code generators, and where tests launch kernels or call NVRTC",
        &found,
    );
}

#[test]
fn the_cuda_driver_is_known_to_the_runtime_only() {
    let mut found = lines_outside(&DRIVER, |line| words(line).any(|word| word == "cudarc"));
    for (folder, _) in CRATES.iter().filter(|(folder, _)| *folder != "core") {
        let manifest = workspace_dir().join(folder).join("Cargo.toml");
        let named = dependencies(&manifest).into_iter().filter(|(_, name)| name == "cudarc");
        found.extend(named.map(|(number, _)| format!("{}:{number}", shown(&manifest))));
    }
    assert_none("only the runtime of the core may name `cudarc`", &found);
}

/// The reader of sources sees what it should; otherwise the tests above would pass on anything.
#[test]
fn the_reader_sees_names() {
    assert_eq!(names_after("use crate::{ir::{self, Var}, api, tree::Tree};", "crate"), ["ir", "api", "tree"]);
    assert_eq!(names_after("let x: crate::api::Jit = gavotte_core::ir::f();", "crate"), ["api"]);
    assert_eq!(names_after("$crate::device::Data", "crate"), Vec::<&str>::new());
    assert_eq!(without_text("let a = \"use crate::api\"; b // unsafe"), "let a = \"\"; b ");
    assert_eq!(words(&without_text("unsafe { f('\"') }")).collect::<Vec<_>>(), ["unsafe", "f"]);
}
