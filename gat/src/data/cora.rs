//! Cora as LINQS publishes it: `cora.content` holds the papers, `cora.cites` the citations.
//!
//! McCallum et al. 2000, "Automating the construction of internet portals with machine learning"; Sen et al. 2008,
//! "Collective classification in network data".

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
};

use sha2::{Digest, Sha256};

use super::{
    DataError, Dataset, SparseMatrix, archive,
    dataset::messages,
    files::{self, hex},
    planetoid::{self, read_planetoid},
};
use crate::plural::counted;

const CONTENT: &str = "cora.content";
const CITES: &str = "cora.cites";
const CONTENT_LINE: &str =
    "a line is `paper id TAB words, each 0 or 1 TAB class name`, with as many words as the first";
const CITES_LINE: &str = "a line is `cited paper id TAB citing paper id`";

/// Reads Cora.
///
/// `path` is one of
/// - the archive `cora.tgz`; it is read as a stream, and nothing is unpacked;
/// - a folder with `cora.content` and `cora.cites`, or with these in a folder `cora`, or with `cora.tgz`;
/// - a folder with Planetoid's `ind.cora.*`, or with these in `raw` or `Cora/raw`.
///
/// Nodes are in the order of `cora.content`, classes in the order of their names. The digest of a folder is that of
/// `cora.content` followed by `cora.cites`.
///
/// # Errors
/// If nothing of the kind is there, or what is there is damaged; the error names the file, the line and the reason.
pub fn read_cora(path: &Path) -> Result<Dataset, DataError> {
    match std::fs::metadata(path) {
        Err(error) => Err(DataError::io(path, "find it", error)),
        Ok(metadata) if metadata.is_dir() => read_folder(path),
        Ok(_) => read_archive(path),
    }
}

fn read_archive(path: &Path) -> Result<Dataset, DataError> {
    let ([content, cites], sha256) = archive::read_entries(path, [CONTENT, CITES])?;
    let place = |entry| format!("{}: {entry}", path.display());
    parse(Part { place: place(CONTENT), bytes: &content }, Part { place: place(CITES), bytes: &cites }, sha256)
}

fn read_folder(path: &Path) -> Result<Dataset, DataError> {
    // What may not be read looks as if it were not there.
    std::fs::read_dir(path).map_err(|error| DataError::io(path, "look into it", error))?;
    for folder in [path.to_path_buf(), path.join("cora")] {
        if folder.join(CONTENT).exists() || folder.join(CITES).exists() {
            return read_texts(&folder);
        }
    }
    let archive = path.join("cora.tgz");
    if archive.exists() {
        return read_archive(&archive);
    }
    for folder in [path.to_path_buf(), path.join("raw"), path.join("Cora").join("raw")] {
        if planetoid::is_in(&folder, "cora") {
            return read_planetoid(&folder, "cora");
        }
    }
    Err(DataError::layout(
        path,
        "the folder holds no Cora",
        "give a folder with cora.tgz, with cora.content and cora.cites, or with Planetoid's ind.cora.* files",
    ))
}

fn read_texts(folder: &Path) -> Result<Dataset, DataError> {
    let (content_path, cites_path) = (folder.join(CONTENT), folder.join(CITES));
    let (content, cites) = (files::read_file(&content_path)?, files::read_file(&cites_path)?);
    let sha256 = hex(Sha256::new().chain_update(&content).chain_update(&cites));
    parse(
        Part { place: content_path.display().to_string(), bytes: &content },
        Part { place: cites_path.display().to_string(), bytes: &cites },
        sha256,
    )
}

/// One of the two texts, and its name in errors.
struct Part<'a> {
    place: String,
    bytes: &'a [u8],
}

fn parse(content: Part<'_>, cites: Part<'_>, sha256: String) -> Result<Dataset, DataError> {
    let papers = parse_content(&content.place, files::text(&content.place, content.bytes)?)?;
    let citations = parse_cites(&cites.place, files::text(&cites.place, cites.bytes)?, &papers.index)?;
    let (senders, receivers) = messages(papers.ids.len(), citations);
    // A sorted set, so that a class has the same number in every run.
    let classes: Vec<_> = papers.class_names.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let label = |class: &&str| classes.partition_point(|name| name < class) as i32;
    Ok(Dataset {
        name: "cora".into(),
        labels: papers.class_names.iter().map(label).collect(),
        ids: papers.ids.into_iter().map(String::from).collect(),
        features: papers.words.into(),
        senders,
        receivers,
        classes: classes.into_iter().map(String::from).collect(),
        sha256,
        default_split: None,
    })
}

struct Papers<'a> {
    ids: Vec<&'a str>,
    index: HashMap<&'a str, i32>,
    words: SparseMatrix,
    class_names: Vec<&'a str>,
}

fn parse_content<'a>(place: &str, text: &'a str) -> Result<Papers<'a>, DataError> {
    let first = files::lines(text).next();
    let n_field = first.map_or(0, |(_, line)| files::fields(line).len());
    let n_word = n_field.saturating_sub(2);
    let mut papers =
        Papers { ids: Vec::new(), index: HashMap::new(), words: SparseMatrix::empty(n_word), class_names: Vec::new() };
    for (line, row) in files::lines(text) {
        let fail = |what: String| DataError::line(place, line, what, CONTENT_LINE);
        let fields = files::fields(row);
        let &[id, ref words @ .., class] = &fields[..] else {
            return Err(fail("the line has one field, and at least three are needed".into()));
        };
        if words.is_empty() {
            return Err(fail("the line has two fields, and at least three are needed".into()));
        }
        if fields.len() != n_field {
            return Err(fail(format!("the line has {} where the first has {n_field}", counted(fields.len(), "field"))));
        }
        if id.is_empty() || class.is_empty() {
            return Err(fail(format!("the {} is empty", if id.is_empty() { "paper id" } else { "class name" })));
        }
        parse_words(words).and_then(|words| papers.words.push_normalised(&words)).map_err(fail)?;
        if papers.index.insert(id, papers.ids.len() as i32).is_some() {
            return Err(fail(format!("paper id `{id}` is on an earlier line too")));
        }
        papers.ids.push(id);
        papers.class_names.push(class);
    }
    if papers.ids.is_empty() {
        return Err(DataError::line(place, 1, "the text is empty", CONTENT_LINE));
    }
    Ok(papers)
}

/// The words of a paper, each with the value 1.
fn parse_words(words: &[&str]) -> Result<Vec<(i32, f64)>, String> {
    let mut present = Vec::new();
    for (column, &word) in words.iter().enumerate() {
        match word {
            "0" => {}
            "1" => present.push((column as i32, 1.0)),
            _ => return Err(format!("word {} (field {}) is `{word}`, not 0 or 1", column + 1, column + 2)),
        }
    }
    Ok(present)
}

/// Citations as pairs of nodes. A paper that cites itself adds nothing: every node gets its loop anyway.
fn parse_cites(place: &str, text: &str, index: &HashMap<&str, i32>) -> Result<Vec<(i32, i32)>, DataError> {
    let mut citations = Vec::new();
    for (line, row) in files::lines(text) {
        let fields = files::fields(row);
        let &[cited, citing] = &fields[..] else {
            return Err(DataError::line(
                place,
                line,
                format!("the line has {}, not two", counted(fields.len(), "field")),
                CITES_LINE,
            ));
        };
        let node = |id: &str| {
            let unknown = || {
                let what = format!("paper id `{id}` is not in {CONTENT}");
                DataError::line(place, line, what, "the two files belong together: get both from one source")
            };
            index.get(id).copied().ok_or_else(unknown)
        };
        citations.push((node(cited)?, node(citing)?));
    }
    Ok(citations)
}
