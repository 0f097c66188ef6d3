//! The names that users of JAX, optax and stax look for, `ops/surface.tsv`, against what a user's crate can name. A name
//! that is there but listed as missing fails, too, so that the list stays true.

use gavotte_tests::rustc::compile_user_crate;
use gavotte_tests::{files, workspace_dir};
use std::collections::BTreeSet;

/// Areas of which every name of the first tier is there.
const COMPLETE: &[&str] = &["array", "dtypes", "lax", "linalg", "nn", "special", "transforms"];

/// Names that are neither functions, nor methods of an array, nor options: where they are.
const ELSEWHERE: &[(&str, &str)] =
    &[("save", "Compiled::<(gavotte::Array,), gavotte::Array>"), ("lower", "Jit::<(gavotte::Array,), gavotte::Array>")];

struct Row {
    area: String,
    name: String,
    tier: u32,
    ours: String,
}

fn rows() -> Vec<Row> {
    let path = workspace_dir().join("ops/surface.tsv");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let row = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let &[area, name, tier, ours] = &fields[..] else { panic!("`{line}` has other columns") };
        let tier = tier.parse().unwrap_or_else(|error| panic!("{line}: {error}"));
        Row { area: area.into(), name: name.into(), tier, ours: ours.into() }
    };
    text.lines().skip(1).map(row).collect()
}

/// A line of a user's crate that names something, and the codes of the errors that say it is not there.
struct Use {
    row: usize,
    line: String,
    codes: &'static [&'static str],
}

/// The ways to name what a row means.
fn uses(row: usize, Row { area, ours, .. }: &Row) -> Vec<Use> {
    const ITEM: &[&str] = &["E0432"];
    const MEMBER: &[&str] = &["E0599", "E0609", "E0610"];
    if area == "dtypes" {
        let variant = if ours == "bool" { "Bool".into() } else { ours.to_uppercase() };
        let line = format!("pub fn f{row}() {{ let _ = gavotte::DType::{variant}; }}");
        return vec![Use { row, line, codes: MEMBER }];
    }
    let owner = ELSEWHERE.iter().find(|(name, _)| name == ours).map_or("Array", |(_, owner)| *owner);
    let method = format!("pub fn f{row}() {{ let _ = gavotte::{owner}::{ours}; }}");
    let option = format!("pub fn g{row}(options: gavotte::Options) {{ let _ = options.{ours}; }}");
    let mut found: Vec<Use> = [method, option].map(|line| Use { row, line, codes: MEMBER }).into();
    for (i, module) in ["", "linalg::", "nn::", "special::", "tree::"].iter().enumerate() {
        let line = format!("pub use gavotte::{module}{ours} as u{row}_{i};");
        found.push(Use { row, line, codes: ITEM });
    }
    found
}

/// The rows that one of these lines names.
fn named(uses: &[Use]) -> BTreeSet<usize> {
    let source: String = uses.iter().map(|used| format!("{}\n", used.line)).collect();
    let said = compile_user_crate("gavotte", &source);
    let (mut code, mut absent) = (None, BTreeSet::new());
    for line in said.lines() {
        if let Some(rest) = line.strip_prefix("error[") {
            code = rest.split(']').next();
        } else if let Some((_, place)) = line.trim_start().split_once("--> ")
            && let Some(code) = code.take()
        {
            let number: usize = place.split(':').rev().nth(1).and_then(|number| number.parse().ok()).expect("a line");
            if uses[number - 1].codes.contains(&code) {
                absent.insert(number - 1);
            }
        }
    }
    (0..uses.len()).filter(|i| !absent.contains(i)).map(|i| uses[i].row).collect()
}

#[test]
fn every_name_is_there() {
    let rows = rows();
    assert!(rows.len() > 600, "{} rows", rows.len());
    let all = rows.iter().enumerate().flat_map(|(i, row)| uses(i, row));
    // Where a name of an item is not found, the compiler looks no further.
    let (items, members): (Vec<Use>, Vec<Use>) = all.partition(|used| used.codes == ["E0432"]);
    let mut found = named(&items);
    found.extend(named(&members));
    let absent = |area: &str| -> Vec<&str> {
        let of_area = rows.iter().enumerate().filter(|(_, row)| row.area == area && row.tier == 1);
        of_area.filter(|(i, _)| !found.contains(i)).map(|(_, row)| row.ours.as_str()).collect()
    };
    let absent: Vec<(&str, Vec<&str>)> = COMPLETE.iter().map(|area| (*area, absent(area))).collect();
    let without = absent.into_iter().filter(|(_, names)| !names.is_empty());
    assert_eq!(without.collect::<Vec<_>>(), []);
}

/// Who looks for another library's name in the documentation finds ours.
#[test]
fn other_names_are_aliases() {
    let paths = ["core/src", "ops/src"].map(|folder| files(&workspace_dir().join(folder), ".rs")).concat();
    let sources: String = paths.iter().map(|path| std::fs::read_to_string(path).expect("a source is text")).collect();
    let is_ours = |row: &Row| COMPLETE.contains(&row.area.as_str());
    let renamed = rows().into_iter().filter(|row| is_ours(row) && row.tier == 1 && row.name != row.ours);
    let without = renamed.map(|row| row.name).filter(|name| !sources.contains(&format!("doc(alias = \"{name}\")")));
    assert_eq!(without.collect::<Vec<_>>(), [""; 0]);
}
