//! What NumPy and SciPy write, by every protocol: the files beside `pickles/make.py`, which says what is in them.

use super::*;
use crate::data::{numpy, pickle::Pickle, planetoid};

/// The pickles of this name, by protocol.
fn pickles(name: &str) -> impl Iterator<Item = (String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/data/tests/pickles");
    (0..6).map(move |protocol| {
        let file = format!("{name}.{protocol}.pickle");
        let bytes = std::fs::read(folder.join(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        (file, bytes)
    })
}

#[test]
fn matrices_of_every_kind_and_protocol_are_read() {
    for name in ["csr_matrix", "csr_array", "dense", "fortran", "doubles"] {
        for (file, bytes) in pickles(name) {
            let matrix = numpy::read_matrix(&file, &bytes).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(matrix.n_cols, 4, "{file}");
            assert_eq!(matrix.rows, [vec![(2, 2.0)], vec![(0, 1.0), (3, 0.5)], vec![]], "{file}");
        }
    }
}

#[test]
fn arrays_of_every_protocol_are_read() {
    for name in ["labels", "bools"] {
        for (file, bytes) in pickles(name) {
            let array = numpy::read_array(&file, &bytes).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((array.shape, array.data), (vec![3, 2], vec![0.0, 1.0, 1.0, 0.0, 0.0, 1.0]), "{file}");
        }
    }
}

#[test]
fn dictionaries_of_every_protocol_are_read() {
    for name in ["graph", "dict"] {
        for (file, bytes) in pickles(name) {
            let pickle = Pickle::read(&file, &bytes).unwrap_or_else(|error| panic!("{error}"));
            let edges = planetoid::edges(&pickle, 3).unwrap_or_else(|error| panic!("{file}: {error}"));
            assert_eq!(edges, [(0, 1), (0, 2), (1, 0), (2, 0), (2, 2)], "{file}");
        }
    }
}

#[test]
fn no_piece_and_no_noise_of_a_pickle_panics() {
    for name in ["csr_array", "fortran", "graph"] {
        for (file, bytes) in pickles(name) {
            for place in 0..bytes.len() {
                let _ = numpy::read_matrix(&file, &bytes[..place]);
                for byte in [0, b'0', b'.', b'(', b'\\', b'\'', 0x7f, 0x80, 0x94, 0xff] {
                    let mut noisy = bytes.clone();
                    noisy[place] = byte;
                    let _ = numpy::read_matrix(&file, &noisy);
                }
            }
        }
    }
}

#[test]
fn what_is_in_other_files_or_of_other_kinds_is_refused() {
    let refused = |bytes: &[u8], parts: &[&str]| assert_fails(Pickle::read("p", bytes).map(drop), parts);
    refused(b"\x80\x05\x97.", &["byte 2", "another file"]);
    refused(b"\x80\x06N.", &["protocol 6"]);
    refused(b"cnumpy\nmatrix\n.", &["byte 0", "`numpy.matrix`"]);
    refused(b"I1x\n.", &["byte 0", "`1x` is not a number"]);
    refused(b"L99999999999999999999L\n.", &["`99999999999999999999L`", "64 bits"]);
    refused(b"S'a\n.", &["byte 0", "as Python writes it"]);
}

/// An opcode of one byte makes an object of many: a file within the limit would take gigabytes.
#[test]
fn objects_that_take_more_than_any_data_set_are_refused() {
    for (opcode, count) in [(&b")"[..], 48 << 20), (b"]", 48 << 20), (b"N\x94", 24 << 20), (b"(", 48 << 20)] {
        assert_fails(
            Pickle::read("large", &opcode.repeat(count)).map(drop),
            &["the objects up to here take", "the limit"],
        );
    }
}
