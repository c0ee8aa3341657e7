//! Strict parsing of JSON objects. Serde's derived deserializers also accept an array in place of
//! an object, with its items as the fields in order; the functions here refuse it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use crate::rejection::Rejection;

/// A value that deserializes only from a JSON object.
pub struct Object<T>(pub T);

/// Parses a text as one JSON object; `what` names it in messages.
///
/// Rejections: `request-invalid`.
pub fn parse<'a, T: Deserialize<'a>>(what: &str, text: &'a str) -> Result<T, Rejection> {
    match serde_json::from_str(text) {
        Ok(Object(value)) => Ok(value),
        Err(e) => Err(Rejection::request(format!("{what}: {}", redacted_message(&e)))),
    }
}

/// Refuses a text that is not one JSON object, or whose top level has a duplicate member. [`parse`]
/// refuses only duplicates of the fields of `T`; of any other duplicate, two readers could take
/// different values.
///
/// Rejections: `request-invalid`.
pub fn refuse_duplicate_members(what: &str, text: &str) -> Result<(), Rejection> {
    parse::<Names>(what, text).map(drop)
}

struct Names;

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NamesVisitor)
    }
}

struct NamesVisitor;

impl<'de> Visitor<'de> for NamesVisitor {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(name) = map.next_key::<String>()? {
            map.next_value::<IgnoredAny>()?;
            if !seen.insert(name) {
                return Err(A::Error::custom("duplicate member"));
            }
        }
        Ok(Names)
    }
}

/// Deserializes a nested object.
pub fn object<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Object::deserialize(deserializer).map(|Object(value)| value)
}

/// Deserializes a nested object, or null.
pub fn object_or_null<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let object = Option::<Object<T>>::deserialize(deserializer)?;
    Ok(object.map(|Object(value)| value))
}

/// Deserializes a list of objects.
pub fn objects<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let objects = Vec::<Object<T>>::deserialize(deserializer)?;
    Ok(objects.into_iter().map(|Object(value)| value).collect())
}

/// Deserializes a list of objects, or null.
pub fn optional_objects<'de, T, D>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let objects = Option::<Vec<Object<T>>>::deserialize(deserializer)?;
    Ok(objects.map(|objects| objects.into_iter().map(|Object(value)| value).collect()))
}

/// Deserializes an object whose values are numbers. Refuses duplicate names.
pub fn counts<'de, D>(deserializer: D) -> Result<BTreeMap<String, u32>, D::Error>
where
    D: Deserializer<'de>,
{
    deserializer.deserialize_map(Counts)
}

struct Counts;

impl<'de> Visitor<'de> for Counts {
    type Value = BTreeMap<String, u32>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of numbers")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut counts = BTreeMap::new();
        while let Some((name, count)) = map.next_entry::<String, u32>()? {
            if counts.insert(name, count).is_some() {
                return Err(A::Error::custom("duplicate name in an object of numbers"));
            }
        }
        Ok(counts)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

/// Returns serde_json's message without the value that it quotes: the value may be a secret in the
/// wrong place.
pub fn redacted_message(e: &serde_json::Error) -> String {
    let text = e.to_string();
    let found =
        ["invalid type: ", "invalid value: "].iter().find_map(|prefix| text.strip_prefix(prefix));
    let Some(found) = found else { return text };
    let kind = found.split(['"', '`', ',']).next().unwrap_or_default();
    format!("wrong type, found {} at line {} column {}", kind.trim_end(), e.line(), e.column())
}

#[cfg(test)]
mod tests {
    use super::{counts, parse};

    #[derive(Debug, serde::Deserialize)]
    struct Requirement {
        #[serde(deserialize_with = "counts")]
        #[allow(dead_code, reason = "read by its Debug")]
        groups: std::collections::BTreeMap<String, u32>,
    }

    #[test]
    fn duplicate_names_are_refused() {
        assert!(parse::<Requirement>("x", r#"{"groups":{"sre":1,"legal":2}}"#).is_ok());
        let twice = parse::<Requirement>("x", r#"{"groups":{"sre":2,"sre":1}}"#)
            .map(|requirement| requirement.groups);
        assert!(twice.is_err_and(|e| e.message.contains("duplicate")));
    }
}
