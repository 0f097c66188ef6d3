//! The Planetoid layout of Cora, CiteSeer and PubMed.
//!
//! Yang et al. 2016, "Revisiting semi-supervised learning with graph embeddings". The nodes of `allx` come first, and
//! the first of these, those of `x`, are for training. The test nodes follow: their rows of `tx` are in the order of
//! `test.index`.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{
    DataError, Dataset, SparseMatrix, Split, UNKNOWN_CLASS,
    dataset::messages,
    files::{self, hex},
    numpy::{self, Array, Csr},
    pickle::{Id, Pickle, Value},
};
use crate::plural::counted;

const N_VAL: usize = 500;
/// The names of the seven columns of Cora's labels, identified by the sizes of the classes.
const CORA_CLASSES: [&str; 7] = [
    "Theory",
    "Reinforcement_Learning",
    "Genetic_Algorithms",
    "Neural_Networks",
    "Probabilistic_Methods",
    "Case_Based",
    "Rule_Learning",
];

/// Reads the files `ind.NAME.x`, `y`, `tx`, `ty`, `allx`, `ally`, `graph` and `test.index` of a folder. The pickles
/// among them are read as data: nothing in them is run, and one that names a class other than those of arrays, sparse
/// matrices and dictionaries is refused.
///
/// Nodes are numbered as in Planetoid, and named by their numbers; classes are the columns of the labels. Test nodes
/// that `test.index` leaves out, such as 15 of CiteSeer's, have no features, and their class is
/// [unknown](super::UNKNOWN_CLASS). So is the class of a node whose row of labels is all zeros; for a training node
/// that is an error. The public split is included. The digest is that of the files in the order above.
///
/// # Errors
/// If a file is missing or damaged, or the files do not fit together.
pub fn read_planetoid(dir: &Path, name: &str) -> Result<Dataset, DataError> {
    let files = Files::read(dir, name)?;
    let (x, tx, allx) = (files.csr("x")?, files.csr("tx")?, files.csr("allx")?);
    let (y, ty, ally) = (files.labels("y")?, files.labels("ty")?, files.labels("ally")?);
    files.same("row", "x", x.rows.len(), "y", y.nodes.len())?;
    files.same("row", "tx", tx.rows.len(), "ty", ty.nodes.len())?;
    files.same("row", "allx", allx.rows.len(), "ally", ally.nodes.len())?;
    for (part, n, other, n_other) in [
        ("x", x.n_cols, "allx", allx.n_cols),
        ("tx", tx.n_cols, "allx", allx.n_cols),
        ("y", y.n_class, "ally", ally.n_class),
        ("ty", ty.n_class, "ally", ally.n_class),
    ] {
        files.same("column", part, n, other, n_other)?;
    }
    let n_train = y.nodes.len();
    for (part, labels) in [("y", &y), ("ally", &ally)] {
        // In the real files some test nodes have no label; a training node without one is useless.
        if let Some(row) = labels.nodes.iter().take(n_train).position(|label| *label == UNKNOWN_CLASS) {
            return Err(files.fail(part, format!("row {row}, of a node for training, has no label: all of it is 0")));
        }
    }
    if n_train > allx.rows.len() {
        let (rows, all, n_all) = (counted(n_train, "row"), files.name("allx"), allx.rows.len());
        return Err(
            files.fail("x", format!("it has {rows}, more than the {n_all} of {all}, whose first rows they are"))
        );
    }
    let test = files.test_index(allx.rows.len(), tx.rows.len())?;
    let n_node = test.iter().map(|&node| node as usize + 1).max().unwrap_or(allx.rows.len());
    let val_end = (n_train + N_VAL).min(allx.rows.len()) as i32;
    let split = Split { train: (0..n_train as i32).collect(), val: (n_train as i32..val_end).collect(), test };

    let n_before = allx.rows.len();
    let features = place_rows(allx.rows, tx.rows, &split.test, n_node, vec![]);
    let labels = place_rows(ally.nodes, ty.nodes, &split.test, n_node, UNKNOWN_CLASS);
    let split = split.labelled(&labels);
    let mut normalised = SparseMatrix::empty(allx.n_cols);
    for (node, row) in features.iter().enumerate() {
        let part = if node < n_before { "allx" } else { "tx" };
        normalised.push_normalised(row).map_err(|what| files.fail(part, format!("the row of node {node}: {what}")))?;
    }
    let (senders, receivers) = messages(n_node, files.graph(n_node)?);
    Ok(Dataset {
        name: name.into(),
        ids: (0..n_node).map(|node| node.to_string()).collect(),
        features: normalised.into(),
        senders,
        receivers,
        labels,
        classes: class_names(name, ally.n_class),
        sha256: files.sha256(),
        default_split: Some(split.sorted()),
    })
}

/// Whether a folder holds the files of this name.
pub(super) fn is_in(dir: &Path, name: &str) -> bool {
    dir.join(format!("ind.{name}.graph")).exists()
}

/// Appends the rows of the test nodes to the rest, each at its node; a node without a row gets `none`.
fn place_rows<T: Clone>(mut rows: Vec<T>, test_rows: Vec<T>, test: &[i32], n_node: usize, none: T) -> Vec<T> {
    rows.resize(n_node, none);
    test_rows.into_iter().zip(test).for_each(|(row, &node)| rows[node as usize] = row);
    rows
}

fn class_names(name: &str, n_class: usize) -> Vec<String> {
    if name == "cora" && n_class == CORA_CLASSES.len() {
        return CORA_CLASSES.map(String::from).to_vec();
    }
    (0..n_class).map(|class| class.to_string()).collect()
}

/// The class of each row, and the number of classes.
struct Labels {
    n_class: usize,
    nodes: Vec<i32>,
}

const NAMES: [&str; 8] = ["x", "y", "tx", "ty", "allx", "ally", "graph", "test.index"];

/// The bytes of the files of a folder.
struct Files {
    paths: Vec<PathBuf>,
    bytes: Vec<Vec<u8>>,
}

impl Files {
    fn read(dir: &Path, name: &str) -> Result<Self, DataError> {
        let paths: Vec<_> = NAMES.iter().map(|part| dir.join(format!("ind.{name}.{part}"))).collect();
        let bytes = paths.iter().map(|path| files::read_file(path)).collect::<Result<_, _>>()?;
        Ok(Self { paths, bytes })
    }

    fn sha256(&self) -> String {
        hex(self.bytes.iter().fold(Sha256::new(), |digest, bytes| digest.chain_update(bytes)))
    }

    /// The path, as errors write it, and the bytes of a part.
    fn part(&self, part: &str) -> (String, &[u8]) {
        let found = NAMES.iter().position(|&name| name == part);
        found.map_or((part.into(), &[]), |at| (self.paths[at].display().to_string(), &self.bytes[at]))
    }

    fn fail(&self, part: &str, what: impl Into<String>) -> DataError {
        DataError::content(&self.part(part).0, what)
    }

    /// The name of the file of a part.
    fn name(&self, part: &str) -> String {
        let path = self.part(part).0;
        Path::new(&path).file_name().map_or(path.clone(), |name| name.to_string_lossy().into_owned())
    }

    /// Refuses two parts that differ in their number of rows or columns.
    fn same(&self, what: &str, part: &str, n: usize, other: &str, n_other: usize) -> Result<(), DataError> {
        match n == n_other {
            true => Ok(()),
            false => {
                let other = self.name(other);
                Err(self.fail(part, format!("it has {}, and {other} has {n_other}", counted(n, what))))
            }
        }
    }

    fn csr(&self, part: &str) -> Result<Csr, DataError> {
        let (place, bytes) = self.part(part);
        numpy::read_matrix(&place, bytes)
    }

    /// The class of each row of one-hot labels; that of a row of zeros is unknown.
    fn labels(&self, part: &str) -> Result<Labels, DataError> {
        let (place, bytes) = self.part(part);
        let Array { shape, data } = numpy::read_array(&place, bytes)?;
        let &[n_node @ (1..), n_class @ (1..)] = &shape[..] else {
            return Err(self.fail(part, format!("labels of shape {shape:?} are not one row for each node")));
        };
        let class = |(number, row): (usize, &[f64])| {
            let mut hot = (0..n_class).filter(|&class| row[class] != 0.0);
            match (hot.next(), hot.next()) {
                (Some(one), Some(other)) => Err(self.fail(
                    part,
                    format!(
                        "row {number} has a label in column {one} and in column {other}, and a node is of one class"
                    ),
                )),
                (class, _) => Ok(class.map_or(UNKNOWN_CLASS, |class| class as i32)),
            }
        };
        let nodes = data.chunks_exact(n_class).enumerate().map(class).collect::<Result<Vec<_>, _>>()?;
        debug_assert_eq!(nodes.len(), n_node);
        Ok(Labels { n_class, nodes })
    }

    /// The node of each row of `tx`.
    fn test_index(&self, n_before: usize, n_test: usize) -> Result<Vec<i32>, DataError> {
        let (place, bytes) = self.part("test.index");
        let help = "a line is the number of a test node";
        let mut nodes = Vec::with_capacity(n_test);
        let mut seen = std::collections::HashSet::new();
        for (line, text) in files::lines(files::text(&place, bytes)?) {
            let fail = |what| DataError::line(&place, line, what, help);
            let node: usize = text.trim().parse().map_err(|_| fail(format!("`{text}` is not a node")))?;
            // CiteSeer leaves out 15 of 1015; a file that leaves out most nodes belongs to another data set.
            if node < n_before || node >= n_before + 2 * n_test {
                let all = self.name("allx");
                return Err(fail(format!("node {node} is out of bounds: test nodes follow the {n_before} of {all}")));
            }
            if !seen.insert(node) {
                return Err(fail(format!("node {node} is on an earlier line too")));
            }
            nodes.push(node as i32);
        }
        self.same("row", "test.index", nodes.len(), "tx", n_test)?;
        Ok(nodes)
    }

    /// The edges of a dictionary from each node to the list of its neighbours.
    fn graph(&self, n_node: usize) -> Result<Vec<(i32, i32)>, DataError> {
        let (place, bytes) = self.part("graph");
        let pickle = Pickle::read(&place, bytes)?;
        edges(&pickle, n_node).map_err(|what| self.fail("graph", what))
    }
}

pub(super) fn edges(pickle: &Pickle<'_>, n_node: usize) -> Result<Vec<(i32, i32)>, String> {
    let node = |id: Id| match *pickle.get(id) {
        Value::Int(node) if (0..n_node as i64).contains(&node) => Ok(node as i32),
        Value::Int(node) => Err(format!("node {node} is out of bounds: there are {n_node} nodes")),
        _ => Err("a node is not a whole number".into()),
    };
    let Value::Dict(items) = pickle.get(pickle.root()) else {
        return Err("the pickle holds no dictionary".into());
    };
    let mut edges = Vec::new();
    for &(from, neighbours) in items {
        let from = node(from)?;
        let Value::List(neighbours) = pickle.get(neighbours) else {
            return Err(format!("the neighbours of node {from} are not a list"));
        };
        // A list that many nodes share would make far more edges than the file has bytes.
        if edges.len() + neighbours.len() > pickle.n_values() {
            return Err("nodes share lists of neighbours".into());
        }
        for &to in neighbours {
            edges.push((from, node(to)?));
        }
    }
    Ok(edges)
}
