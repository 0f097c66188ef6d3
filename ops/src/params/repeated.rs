//! Names that the header of a safetensors file repeats. A reader of JSON keeps one of the values without a word.

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::collections::HashSet;
use std::fmt;

/// The first name that an object of the header has twice, and where, as a message says it.
pub(super) fn repeated(header: &[u8]) -> Option<String> {
    let top: Names = serde_json::from_slice(header).ok()?;
    let within = top.0.iter().find_map(|(name, names)| Some((names.repeated()?, format!(" in `{name}`"))));
    let (name, place) = top.repeated().map(|name| (name, String::new())).or(within)?;
    Some(format!("its header has the name `{name}` twice{place}"))
}

/// The names in a JSON object, with those in each of its values; of another value, none.
struct Names(Vec<(String, Names)>);

impl Names {
    fn repeated(&self) -> Option<&str> {
        let mut seen = HashSet::new();
        self.0.iter().map(|(name, _)| name.as_str()).find(|name| !seen.insert(*name))
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
        let mut names = vec![];
        while let Some(entry) = map.next_entry()? {
            names.push(entry);
        }
        Ok(Names(names))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Names, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Names(vec![]))
    }

    fn visit_str<E>(self, _: &str) -> Result<Names, E> {
        Ok(Names(vec![]))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Names, E> {
        Ok(Names(vec![]))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Names, E> {
        Ok(Names(vec![]))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Names, E> {
        Ok(Names(vec![]))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Names, E> {
        Ok(Names(vec![]))
    }

    fn visit_unit<E>(self) -> Result<Names, E> {
        Ok(Names(vec![]))
    }
}
