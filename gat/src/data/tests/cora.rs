use std::fs;

use flate2::{Compression, write::GzEncoder};
use tempfile::TempDir;

use super::*;

const CONTENT: &str = "31\t1\t0\t1\tTheory\n7\t0\t0\t0\tCase_Based\n12\t0\t1\t0\tTheory\n";
const CITES: &str = "7\t31\n31\t7\n12\t12\n";

/// A `.tgz` of these entries.
fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *bytes).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

fn read_bytes(bytes: &[u8]) -> Result<Dataset, DataError> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("cora.tgz");
    fs::write(&path, bytes).unwrap();
    read_cora(&path)
}

fn read_texts(content: impl AsRef<[u8]>, cites: impl AsRef<[u8]>) -> Result<Dataset, DataError> {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("cora.content"), content).unwrap();
    fs::write(folder.path().join("cora.cites"), cites).unwrap();
    read_cora(folder.path())
}

#[test]
fn the_archive_has_the_published_numbers() {
    let Some(data) = test_data() else { return };
    let cora = read_cora(&data.join("cora.tgz")).unwrap();
    assert_sound(&cora);
    assert_eq!((cora.n_node(), cora.n_edge(), cora.n_feat(), cora.n_class()), (2708, 13264, 1433, 7));
    assert_eq!(words(&cora).n_nonzero(), 49216);
    assert!(cora.classes.is_sorted());
    assert_eq!(cora.sha256, "0d4ed463d1627bb7f3e8420effe8f5545fd492ae8f88dab44ce86cee7b26d7e8");
    assert_eq!(cora.homophily(), 4275.0 / 5278.0);
    let spec = PlantedSpec::cora();
    for (class, (name, size)) in spec.class_sizes.iter().enumerate() {
        assert_eq!(&cora.classes[class], name);
        assert_eq!(cora.labels.iter().filter(|&&label| label == class as i32).count(), *size);
    }
}

#[test]
fn archive_and_folders_read_the_same() {
    let entries: [(&str, &[u8]); 2] =
        [("cora/cora.cites", CITES.as_bytes()), ("cora/cora.content", CONTENT.as_bytes())];
    let from_archive = read_bytes(&archive(&entries)).unwrap();
    assert_sound(&from_archive);
    assert_eq!(from_archive.ids, ["31", "7", "12"]);
    assert_eq!(from_archive.classes, ["Case_Based", "Theory"]);
    assert_eq!(from_archive.labels, [1, 0, 1]);
    assert_eq!((&from_archive.senders[..], &from_archive.receivers[..]), (&[0, 1, 0, 1, 2][..], &[0, 0, 1, 1, 2][..]));
    assert_eq!(words(&from_archive).offsets, [0, 2, 2, 3]);
    assert_eq!(words(&from_archive).values, [0.5, 0.5, 1.0]);

    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("cora.tgz"), archive(&entries)).unwrap();
    assert_eq!(read_cora(folder.path()).unwrap(), from_archive);
    fs::create_dir(folder.path().join("cora")).unwrap();
    fs::write(folder.path().join("cora/cora.content"), CONTENT.replace('\n', "\r\n")).unwrap();
    fs::write(folder.path().join("cora/cora.cites"), CITES).unwrap();
    let from_folder = read_cora(folder.path()).unwrap();
    assert_ne!(from_folder.sha256, from_archive.sha256);
    assert_eq!(Dataset { sha256: from_archive.sha256.clone(), ..from_folder }, from_archive);
}

#[test]
fn a_missing_file_is_named() {
    let folder = TempDir::new().unwrap();
    assert_fails(read_cora(&folder.path().join("nowhere.tgz")), &["nowhere.tgz", "check the path"]);
    assert_fails(read_cora(folder.path()), &["the folder holds no Cora", "cora.content", "ind.cora.*"]);
    fs::write(folder.path().join("cora.content"), CONTENT).unwrap();
    assert_fails(read_cora(folder.path()), &["cora.cites", "cannot open"]);
}

#[test]
fn a_damaged_archive_is_refused() {
    assert_fails(read_bytes(b""), &["cora.tgz", "the file is empty"]);
    assert_fails(read_bytes(b"paper"), &["cora.tgz", "not a gzip-compressed file"]);
    let whole = archive(&[("cora.cites", CITES.as_bytes()), ("cora.content", CONTENT.as_bytes())]);
    let mut twice_compressed = GzEncoder::new(Vec::new(), Compression::none());
    twice_compressed.write_all(&[&whole[..], &[0xff; 1024]].concat()).unwrap();
    let twice_compressed = twice_compressed.finish().unwrap();
    assert_fails(read_bytes(&twice_compressed), &["cora.tgz", "not a tar archive", "get it again"]);
    for end in 2..whole.len() {
        assert_fails(read_bytes(&whole[..end]), &["cora.tgz", "get it again"]);
    }
    let mut wrong = whole.clone();
    *wrong.iter_mut().nth_back(6).unwrap() ^= 1; // In the checksum of the gzip stream.
    assert_fails(read_bytes(&wrong), &["cora.tgz", "get it again"]);
    let twice = archive(&[("a/cora.cites", b"".as_slice()), ("b/cora.cites", b"")]);
    assert_fails(read_bytes(&twice), &["`cora.cites` twice"]);
}

#[test]
fn an_incomplete_archive_is_refused() {
    assert_fails(read_bytes(&archive(&[("cora.cites", CITES.as_bytes())])), &["no entry `cora.content`"]);
    assert_fails(read_bytes(&archive(&[("cora.content", CONTENT.as_bytes())])), &["no entry `cora.cites`"]);
}

#[test]
fn an_entry_that_claims_ten_gigabytes_is_not_read() {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    let mut header = tar::Header::new_gnu();
    header.set_path("cora/cora.content").unwrap();
    header.set_size(10 << 30);
    header.set_cksum();
    builder.append(&header, &b""[..]).unwrap();
    let bytes = builder.into_inner().unwrap().finish().unwrap();
    assert_fails(read_bytes(&bytes), &["cora/cora.content", "10737418240", "limit of 268435456"]);
}

#[test]
fn what_unpacks_to_more_than_the_limit_is_refused() {
    // Three entries, each within the limit, of zeros that pack to almost nothing.
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for name in ["a", "b", "c"] {
        let mut header = tar::Header::new_gnu();
        header.set_size(100 << 20);
        builder.append_data(&mut header, name, std::io::Read::take(std::io::repeat(0), 100 << 20)).unwrap();
    }
    let bytes = builder.into_inner().unwrap().finish().unwrap();
    assert_fails(read_bytes(&bytes), &["cora.tgz", "limit of 268435456"]);
}

#[test]
fn what_editors_leave_in_a_text_does_not_matter() {
    let plain = read_texts(CONTENT, CITES).unwrap();
    for end in ["\r\n", "\r"] {
        let edited = |text: &str| {
            let text = text.replace('\t', " \t  ").replace('\n', &format!(" {end}"));
            format!("\u{feff}{end}{text}  {end}")
        };
        let found = read_texts(edited(CONTENT), edited(CITES)).unwrap();
        assert_eq!(Dataset { sha256: plain.sha256.clone(), ..found }, plain);
        // The line that is wrong is the line of the file.
        let wrong = format!("\u{feff}{end}1\t0\tA{end}2\t7\tA{end}");
        assert_fails(read_texts(wrong, CITES), &["line 3", "`7`, not 0 or 1"]);
    }
}

#[test]
fn archives_of_other_programs_are_read() {
    let plain =
        read_bytes(&archive(&[("cora.cites", CITES.as_bytes()), ("cora.content", CONTENT.as_bytes())])).unwrap();
    let mut builder = tar::Builder::new(Vec::new());
    let header = |kind: tar::EntryType, size: usize| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(size as u64);
        header.set_mode(0o755);
        header
    };
    // What `git archive` and macOS write: a global header, folders, notes on files before them, `./`.
    let comment = b"21 comment=something\n";
    builder
        .append_data(&mut header(tar::EntryType::XGlobalHeader, comment.len()), "pax_global_header", &comment[..])
        .unwrap();
    builder.append_data(&mut header(tar::EntryType::Directory, 0), "./cora/", &b""[..]).unwrap();
    builder
        .append_data(&mut header(tar::EntryType::Directory, 0), "./cora/cora.content.d/cora.content", &b""[..])
        .unwrap();
    builder
        .append_data(&mut header(tar::EntryType::Regular, 4), "./cora/._cora.content", &b"\0\x05\x16\x07"[..])
        .unwrap();
    let times = [("mtime", &b"1700000000.123456789"[..]), ("SCHILY.xattr.com.apple.provenance", b"\x01\x02")];
    builder.append_pax_extensions(times).unwrap();
    builder
        .append_data(&mut header(tar::EntryType::Regular, CONTENT.len()), "./cora/cora.content", CONTENT.as_bytes())
        .unwrap();
    // A name that does not fit the header is in a header of its own.
    let long = format!("{}/cora.cites", "folder/".repeat(40));
    builder.append_pax_extensions([("path", long.as_bytes())]).unwrap();
    builder.append_data(&mut header(tar::EntryType::Regular, CITES.len()), "cora.cit", CITES.as_bytes()).unwrap();
    let bytes = builder.into_inner().unwrap();
    // In several members, as pigz packs it.
    let pack = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        Write::write_all(&mut encoder, bytes).unwrap();
        encoder.finish().unwrap()
    };
    for size in [bytes.len(), 512, 700] {
        let found = read_bytes(&bytes.chunks(size).flat_map(pack).collect::<Vec<_>>()).unwrap();
        assert_eq!(Dataset { sha256: plain.sha256.clone(), ..found }, plain);
    }
}

#[test]
fn classes_are_known_by_name() {
    let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
    let cora = read_texts(CONTENT, CITES).unwrap();
    let other = cora.clone().with_classes(&names(&["Theory", "Case_Based"])).unwrap();
    assert_eq!((&other.labels[..], &other.classes[..]), (&[0, 1, 0][..], &names(&["Theory", "Case_Based"])[..]));
    assert_eq!(other.classes_without(&[0, 2]), ["Case_Based"]);
    assert_eq!(other.with_classes(&cora.classes).unwrap(), cora);
    for wanted in [&["Theory"][..], &["Theory", "Rules"], &["Theory", "Theory"], &["Theory", "Case_Based", "Rules"]] {
        assert_fails(
            cora.clone().with_classes(&names(wanted)),
            &["Case_Based, Theory", &wanted.join(", "), "any order"],
        );
    }
}

#[test]
fn a_wrong_line_of_content_is_named() {
    for (content, parts) in [
        ("", ["line 1", "empty"]),
        ("1\tA\n", ["line 1", "two fields"]),
        ("1\n", ["line 1", "one field"]),
        ("1\t0\tA\n2\t0\t1\tA\n", ["line 2", "4 fields where the first has 3"]),
        ("1\t0\t1\tA\n2\t0\tA\n", ["line 2", "3 fields where the first has 4"]),
        ("1\t0\t2\tA\n", ["line 1", "word 2 (field 3) is `2`, not 0 or 1"]),
        ("1\t0\tA\n\n1\t1\tB\n", ["line 3", "paper id `1`"]),
        ("\t0\tA\n", ["line 1", "the paper id is empty"]),
        ("1\t0\t\n", ["line 1", "the class name is empty"]),
    ] {
        assert_fails(read_texts(content, CITES), &[&["cora.content"], &parts[..]].concat());
    }
    assert_fails(read_texts(b"1\t0\tA\n2\t0\t\xff\n", CITES), &["cora.content", "line 2", "UTF-8"]);
    let packed = archive(&[("cora/cora.cites", CITES.as_bytes()), ("cora/cora.content", b"1\t0\tA\n2\t3\tA\n")]);
    assert_fails(read_bytes(&packed), &["cora.tgz: cora.content, line 2", "not 0 or 1"]);
}

#[test]
fn a_wrong_line_of_cites_is_named() {
    for (cites, parts) in [
        ("7\t31\n7\n", ["line 2", "1 field, not two"]),
        ("7\t31\t12\n", ["line 1", "3 fields, not two"]),
        ("7 31\n", ["line 1", "cited paper id TAB citing paper id"]),
        ("7\t31\n7\t99\n", ["line 2", "paper id `99` is not in cora.content"]),
    ] {
        assert_fails(read_texts(CONTENT, cites), &[&["cora.cites"], &parts[..]].concat());
    }
    assert_fails(read_texts(CONTENT, b"\xfe\n"), &["cora.cites", "line 1", "UTF-8"]);
}

#[test]
fn without_a_citation_only_loops_are_left() {
    let dataset = read_texts(CONTENT, "").unwrap();
    assert_sound(&dataset);
    assert_eq!(dataset.n_edge(), 3);
    assert!(dataset.homophily().is_nan());
}
