//! What is wrong with a safetensors file that its reader refuses: which array, and how.

use safetensors::tensor::{Dtype, SafeTensorError};
use serde_json::{Map, Value};

/// Why these bytes are not a whole file.
pub(super) fn explained(bytes: &[u8], error: SafeTensorError) -> String {
    use SafeTensorError::*;
    match error {
        InvalidHeader(_) => "its header is not UTF-8 text".into(),
        InvalidHeaderDeserialization(error) | JsonError(error) if !error.is_data() => {
            format!("its header is not JSON from byte {} on", 8 + error.column())
        }
        HeaderTooSmall => "it ends before its header does".into(),
        HeaderTooLarge | InvalidHeaderLength => "it ends before its header does, or its header is too long".into(),
        other => wrong_in_header(bytes).unwrap_or_else(|| other.to_string()),
    }
}

/// An array as the header describes it.
struct Entry {
    name: String,
    /// Its type and shape, for messages.
    described: String,
    /// How long it is by its type and shape, in bytes.
    needed: u128,
    /// Where it lies in the data after the header, in bytes.
    begin: u64,
    end: u64,
}

/// The header, and the data after it.
pub(super) fn header_of(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)
}

fn wrong_in_header(bytes: &[u8]) -> Option<String> {
    let (header, data) = header_of(bytes)?;
    let no_arrays = |why: String| Some(format!("its header is JSON, but does not describe arrays{why}"));
    let Ok(header) = serde_json::from_slice::<Map<String, Value>>(header) else { return no_arrays(String::new()) };
    let mut entries = vec![];
    for (name, entry) in header.iter().filter(|(name, _)| *name != "__metadata__") {
        match Entry::read(name, entry) {
            Ok(entry) => entries.push(entry),
            Err(why) => return no_arrays(format!(": `{name}` {why}")),
        }
    }
    match header.get("__metadata__") {
        None | Some(Value::Null) => {}
        Some(Value::Object(metadata)) => {
            if let Some((name, _)) = metadata.iter().find(|(_, value)| !value.is_string()) {
                return no_arrays(format!(": the values in `__metadata__` must be texts, and that of `{name}` is not"));
            }
        }
        Some(_) => return no_arrays(": `__metadata__` must be an object of texts".into()),
    }
    entries.sort_by_key(|entry| (entry.begin, entry.end));
    wrong_place(&entries).or_else(|| {
        let needed = entries.last().map_or(0, |entry| entry.end);
        let found = match data.len() as u64 > needed {
            true => "more bytes".to_string(),
            false => format!("{} bytes", data.len()),
        };
        Some(format!("the data after its header is not as long as its arrays: {needed} bytes, and {found} follow"))
    })
}

impl Entry {
    fn read(name: &str, entry: &Value) -> Result<Entry, String> {
        let numbers = |key: &str| {
            let numbers: Option<Vec<u64>> = entry[key].as_array()?.iter().map(Value::as_u64).collect();
            numbers
        };
        let dtype = entry["dtype"].as_str().ok_or("has no text for `dtype`, its type")?;
        let parsed: Dtype =
            serde_json::from_value(dtype.into()).map_err(|_| format!("has the unknown type `{dtype}`"))?;
        let shape = numbers("shape").ok_or("has no natural numbers for `shape`")?;
        let [begin, end] = numbers("data_offsets")
            .and_then(|offsets| <[u64; 2]>::try_from(offsets).ok())
            .ok_or("has no two natural numbers for `data_offsets`, where it begins and ends")?;
        let volume = shape.iter().try_fold(1u128, |product, extent| product.checked_mul(u128::from(*extent)));
        let bits = volume.and_then(|volume| volume.checked_mul(parsed.bitsize() as u128));
        let needed = bits.ok_or("has a size that is too large to count")?.div_ceil(8);
        Ok(Entry { name: name.to_string(), described: format!("{dtype}{shape:?}"), needed, begin, end })
    }
}

/// The first array that does not lie where it should; they are in the order of their places.
fn wrong_place(entries: &[Entry]) -> Option<String> {
    let mut last: Option<&Entry> = None;
    for entry in entries {
        let Entry { name, described, needed, begin, end } = entry;
        let known = last.map_or(0, |last| last.end);
        if end < begin {
            return Some(format!("`{name}` ends at byte {end} of the data, before it begins at byte {begin}"));
        }
        if let Some(last) = last.filter(|last| *begin < last.end) {
            return Some(format!(
                "`{name}` overlaps `{}`: it begins at byte {begin} of the data, within it",
                last.name
            ));
        }
        if *begin > known {
            let place = last.map_or("before".to_string(), |last| format!("between `{}` and", last.name));
            return Some(format!("{} bytes of the data {place} `{name}` belong to no array", begin - known));
        }
        if u128::from(end - begin) != *needed {
            let found = end - begin;
            return Some(format!("`{name}` is {described}, {needed} bytes, but its place has {found}"));
        }
        last = Some(entry);
    }
    None
}
