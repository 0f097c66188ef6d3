//! `random` against `jax.random`: every entry of the golden file's section `partitionable_true`.

use gavotte::random::Key;
use gavotte::{Array, DType, init};
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;

/// The golden file, next to the test data; `None` if it is absent.
fn golden() -> Option<Value> {
    let folder = match std::env::var_os("GAVOTTE_TEST_DATA") {
        Some(data) => PathBuf::from(data).join("../golden"),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/golden"),
    };
    let text = std::fs::read_to_string(folder.join("prng.json")).ok()?;
    Some(serde_json::from_str(&text).expect("prng.json is JSON"))
}

fn word(hex: &Value) -> u32 {
    let digits = hex.as_str().and_then(|text| text.strip_prefix("0x")).expect("a hexadecimal word");
    u32::from_str_radix(digits, 16).expect("a word of 32 bits")
}

/// The draw that an entry's name asks for; `None` for an unknown name.
fn draw(seed: u64, name: &str) -> Option<Array> {
    const FLOAT: DType = DType::F32;
    let key = || Key::new(seed);
    Some(match name {
        "words" => key().into_array(),
        "split(key,2)" => key().split_array(2),
        "split(key,3)" => key().split_array(3),
        "split(key,4)" => key().split_array(4),
        "fold_in(key,7)" => key().fold_in(7u32).into_array(),
        "bits(key,(8,))" => key().bits([8]),
        "bits(key,(7,))" => key().bits([7]),
        "bits(key,(3,5))" => key().bits([3, 5]),
        "bits(key,())" => key().bits([0usize; 0]),
        "uniform(key,(8,))" => key().uniform([8], FLOAT),
        "uniform(key,(3,5))" => key().uniform([3, 5], FLOAT),
        "uniform(key,(8,),minval=-2,maxval=3)" => key().uniform_range([8], -2.0, 3.0, FLOAT),
        "normal(key,(8,))" => key().normal([8], FLOAT),
        "truncated_normal(key,-2,2,(8,))" => key().truncated_normal([8], -2.0, 2.0, FLOAT),
        "bernoulli(key,0.4,(16,))" => key().bernoulli(0.4, [16]),
        "randint(key,(8,),0,100)" => key().randint([8], 0, 100),
        "randint(key,(8,),-5,17)" => key().randint([8], -5, 17),
        "permutation(key,10)" => key().permutation(10),
        "permutation(key,2708)[:16]" => Array::new(&[16], key().permutation(2708).to_vec::<i32>()[..16].to_vec()),
        "glorot_normal(key,(5,4))" => init::glorot_normal(key(), [5, 4], FLOAT),
        "glorot_uniform(key,(5,4))" => init::glorot_uniform(key(), [5, 4], FLOAT),
        _ => return None,
    })
}

#[test]
fn every_entry_is_that_of_jax() {
    let Some(golden) = golden() else {
        let _ = writeln!(std::io::stderr(), "skipped: no golden values");
        return;
    };
    let section = &golden["partitionable_true"];
    let mut n = 0;
    for (key, entries) in section["keys"].as_object().expect("keys by seed") {
        let seed: i64 = key.trim_start_matches("PRNGKey(").trim_end_matches(')').parse().expect("PRNGKey(seed)");
        // The file was made with 32-bit integers, where a seed is one word.
        let seed = u64::from(seed as u32);
        for (name, entry) in entries.as_object().expect("entries by name") {
            check(&format!("{key} {name}"), seed, name, entry);
            n += 1;
        }
    }
    let known = ["keys", "threefry_2x32_block", "jax_threefry_partitionable"];
    for name in section.as_object().expect("a section").keys() {
        assert!(known.contains(&name.as_str()), "{name}: no test reads this part of the golden file");
    }
    assert!(n >= 45, "only {n} entries");
}

fn check(what: &str, seed: u64, name: &str, entry: &Value) {
    let found = draw(seed, name).unwrap_or_else(|| panic!("{what}: no test knows this entry"));
    let shape: Vec<i64> = found.shape().iter().map(|dim| dim.as_number().expect("a number")).collect();
    let expected: Vec<i64> =
        entry["shape"].as_array().expect("a shape").iter().map(|x| x.as_i64().expect("an extent")).collect();
    assert_eq!(shape, expected, "{what}: shape");
    if let Some(values) = entry.get("value") {
        let values: Vec<i64> = values.as_array().expect("a list").iter().map(|x| x.as_i64().expect("whole")).collect();
        let found: Vec<i64> = found.astype(DType::I32).to_vec::<i32>().into_iter().map(i64::from).collect();
        assert_eq!(found, values, "{what}");
        return;
    }
    let expected: Vec<u32> = entry["hex"].as_array().expect("words").iter().map(word).collect();
    let found = found.bitcast(DType::U32).to_vec::<u32>();
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (a, b)) in found.iter().zip(&expected).enumerate() {
        assert!(a == b, "{what}: element {i} is {a:#010x}, not {b:#010x}");
    }
}

#[test]
fn an_unknown_entry_fails() {
    assert!(draw(0, "gamma(key,(8,))").is_none());
    let entry = serde_json::json!({"shape": [1], "hex": ["0x00000000"]});
    assert!(std::panic::catch_unwind(|| check("new", 0, "gamma(key,(8,))", &entry)).is_err());
}

#[test]
fn a_wrong_value_fails() {
    let key = serde_json::json!({"shape": [2], "hex": ["0x00000000", "0x00000001"]});
    assert!(std::panic::catch_unwind(|| check("wrong", 0, "words", &key)).is_err());
}

/// A sum that depends on every bit and its place.
fn checksum(x: &Array) -> u64 {
    let words = x.bitcast(DType::U32).to_vec::<u32>();
    words.iter().zip(0u64..).fold(0, |sum, (word, i)| sum.wrapping_add(u64::from(*word).wrapping_mul(2 * i + 1)))
}

/// 100,000 numbers each, as `jax.random` 0.10.2 draws them on a processor with keys of `jax.random.key(seed)`.
#[test]
fn normal_numbers_have_the_bits_of_jax() {
    const FLOAT: DType = DType::F32;
    let cut = |seed, low, high| Key::new(seed).truncated_normal([100_000], low, high, FLOAT);
    for (what, found, wanted) in [
        ("normal", Key::new(5).normal([100_000], FLOAT), 0x278f_1a89_05db_717b),
        ("truncated_normal(-2, 2)", cut(6, -2.0, 2.0), 0x27f6_f324_d6e4_0e0c),
        ("truncated_normal(3, 4)", cut(7, 3.0, 4.0), 0x95be_c55c_0156_a644),
        ("glorot_normal", init::glorot_normal(Key::new(8), [300, 200], FLOAT), 0x681d_b497_5510_ad9d),
        ("he_normal", init::he_normal(Key::new(9), [300, 200], FLOAT), 0x6949_7400_cc8d_1373),
    ] {
        assert_eq!(checksum(&found), wanted, "{what}");
    }
}

#[test]
fn blocks_are_those_of_the_published_vectors() {
    let Some(golden) = golden() else {
        let _ = writeln!(std::io::stderr(), "skipped: no golden values");
        return;
    };
    let blocks = golden["partitionable_true"]["threefry_2x32_block"].as_array().expect("blocks");
    assert!(!blocks.is_empty());
    for block in blocks {
        let words = |name: &str| {
            let words: Vec<u32> = block[name].as_array().expect("words").iter().map(word).collect();
            [words[0], words[1]]
        };
        let text = {
            let ([k0, k1], [x0, x1]) = (words("key"), words("count"));
            format!(
                "program @block() -> (u32[], u32[]) {{\n  %0: u32[], %1: u32[] = \
                 threefry2x32 {k0}u32, {k1}u32, {x0}u32, {x1}u32\n  return %0, %1\n}}\n"
            )
        };
        let program = gavotte_core::ir::parse(&text, gavotte::registry()).unwrap_or_else(|error| panic!("{error}"));
        let found = gavotte_core::ir::evaluate(&program, &[], &[], &Default::default());
        let found: Vec<u32> = found.iter().map(|word| word.as_slice::<u32>()[0]).collect();
        assert_eq!(found, words("out"));
    }
}
