//! A strict reader of JSON-RPC messages. It reads what decides, and leaves the text as it is.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use signoff_core::object::redacted_message;

/// Longest id of a request.
const ID_BYTES_MAX: usize = 512;
/// Members that decide what a message is.
const DECIDING: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];

/// The code of JSON-RPC for a text that is not JSON.
pub(crate) const PARSE_ERROR: i32 = -32_700;
/// The code of JSON-RPC for a text that is not a message.
pub(crate) const INVALID_REQUEST: i32 = -32_600;
/// The code of JSON-RPC for a method that does not exist.
pub(crate) const METHOD_NOT_FOUND: i32 = -32_601;
/// The code of JSON-RPC for parameters that are not the method's.
pub(crate) const INVALID_PARAMS: i32 = -32_602;
/// The code of JSON-RPC for a failure of the server.
pub(crate) const INTERNAL_ERROR: i32 = -32_603;

/// The id of a request: an integer or a string, as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Id {
    /// The digits of an integer.
    Number(String),
    /// The characters of a string.
    Text(String),
}

impl Id {
    /// Parses an id.
    pub(crate) fn parse(raw: &RawValue) -> Option<Self> {
        let text = raw.get();
        if text.len() > ID_BYTES_MAX {
            return None;
        }
        if text.starts_with('"') {
            return serde_json::from_str(text).ok().map(Self::Text);
        }
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_integer = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_integer.then(|| Self::Number(text.to_owned()))
    }

    /// Returns whether it is one of the gate's own requests.
    pub(crate) fn is_of_gate(&self) -> bool {
        matches!(self, Self::Text(text) if text.starts_with(super::session::OWN_PREFIX))
    }

    /// Returns the id as JSON.
    pub(crate) fn json(&self) -> String {
        match self {
            Self::Number(digits) => digits.clone(),
            Self::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&signoff_core::deceptive::in_one_line(&self.json()))
    }
}

/// The members of an object in their order, each with its text.
pub(crate) struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Parses an object.
    ///
    /// # Errors
    ///
    /// It is not an object; of two members, one name is the other's, or its variant in another case: some
    /// servers take either.
    pub(crate) fn parse(text: &'a str) -> Result<Self, String> {
        let members = Self::lenient(text)?;
        let mut seen = std::collections::BTreeSet::new();
        for (name, _) in &members.0 {
            if !seen.insert(folded(name)) {
                return Err(format!(
                    "duplicate member `{}`",
                    signoff_core::deceptive::in_one_line(name)
                ));
            }
        }
        Ok(members)
    }

    /// Parses an object in which some members decide: none of them may be written in another case.
    ///
    /// # Errors
    ///
    /// As [`Self::parse`], or a variant of a name that decides.
    pub(crate) fn exact(text: &'a str, deciding: &[&str]) -> Result<Self, String> {
        let members = Self::parse(text)?;
        for (name, _) in &members.0 {
            let folded = folded(name);
            let meant = deciding.iter().find(|one| folded == self::folded(one));
            if let Some(meant) = meant.filter(|meant| *meant != name) {
                return Err(format!(
                    "member `{}`: did you mean `{meant}`?",
                    signoff_core::deceptive::in_one_line(name)
                ));
            }
        }
        Ok(members)
    }

    /// Parses an object, whatever its names are.
    ///
    /// # Errors
    ///
    /// It is not an object.
    pub(super) fn lenient(text: &'a str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|e| redacted_message(&e))
    }

    /// Returns the value of a member.
    pub(crate) fn value(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(one, _)| one == name).map(|(_, value)| *value)
    }

    /// Returns the value of a member that is a string.
    ///
    /// # Errors
    ///
    /// It is not a string.
    pub(crate) fn string(&self, name: &str) -> Result<Option<String>, String> {
        let Some(raw) = self.value(name) else { return Ok(None) };
        let text = serde_json::from_str(raw.get()).map_err(|_| format!("`{name}` is not a string"));
        text.map(Some)
    }

    /// Returns the value of the only member of a name, whatever else is wrong with the object.
    pub(super) fn only(&self, name: &str) -> Option<&'a RawValue> {
        let wanted = folded(name);
        let mut found = self.0.iter().filter(|(one, _)| folded(one) == wanted);
        let (one, value) = found.next()?;
        (found.next().is_none() && one == name).then_some(*value)
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        const MEMBERS_MAX: usize = 100_000;
        let mut members = Vec::new();
        while let Some(entry) = map.next_entry::<String, &RawValue>()? {
            if members.len() == MEMBERS_MAX {
                return Err(A::Error::custom("too many members"));
            }
            members.push(entry);
        }
        Ok(Members(members))
    }
}

/// Returns a name without its case, as readers that ignore the case compare names: two letters outside
/// of ASCII are variants of ASCII letters.
pub(crate) fn folded(name: &str) -> String {
    name.chars()
        .map(|char| match char {
            '\u{17f}' => 's',
            '\u{212a}' => 'k',
            other => other.to_ascii_lowercase(),
        })
        .collect()
}

/// A message, as far as it decides.
pub(crate) enum Message<'a> {
    /// A question.
    Request { id: Id, method: String, params: Option<&'a RawValue> },
    /// A message without an answer.
    Notification { method: String, params: Option<&'a RawValue> },
    /// An answer; one to no request in particular has no id.
    Response { id: Option<Id>, result: Option<&'a RawValue> },
}

/// A text that is not a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// The code of JSON-RPC.
    pub(crate) code: i32,
    /// The id of the request, if it has one.
    pub(crate) id: Option<Id>,
    /// What is wrong.
    pub(crate) why: String,
}

impl<'a> Message<'a> {
    /// Parses a message.
    ///
    /// # Errors
    ///
    /// It is not JSON, a batch, not an object, has a duplicate member or a variant of one that decides, is
    /// not of version 2.0, its id is neither an integer nor a string, or it is neither request,
    /// notification nor response.
    pub(crate) fn parse(text: &'a str) -> Result<Self, Malformed> {
        let wrong = |code: i32, id: Option<Id>, why: String| Malformed { code, id, why };
        if text.trim_start().starts_with('[') {
            let why = "batches are not part of the protocol since 2025-06-18: send one message";
            return Err(wrong(INVALID_REQUEST, None, why.to_owned()));
        }
        let lenient = Members::lenient(text).map_err(|why| {
            let why = format!("the message is not a JSON object: {why}");
            wrong(PARSE_ERROR, None, why)
        })?;
        let id = lenient.only("id").and_then(Id::parse);
        let invalid = |why: String| wrong(INVALID_REQUEST, id.clone(), why);
        let members = Members::exact(text, &DECIDING).map_err(invalid)?;
        let version = members.string("jsonrpc").map_err(invalid)?;
        if version.as_deref() != Some("2.0") {
            return Err(invalid("`jsonrpc` is not \"2.0\"".to_owned()));
        }
        let method = members.string("method").map_err(invalid)?;
        let raw_id = members.value("id");
        let (params, result) = (members.value("params"), members.value("result"));
        let answers = result.is_some() || members.value("error").is_some();
        match (method, raw_id) {
            (Some(_), _) if answers => {
                Err(invalid("the message is both a request and a response".to_owned()))
            }
            (Some(method), None) => Ok(Self::Notification { method, params }),
            (Some(method), Some(_)) => match id {
                Some(id) => Ok(Self::Request { id, method, params }),
                None => Err(invalid("`id` is neither an integer nor a string".to_owned())),
            },
            (None, _) if result.is_some() && members.value("error").is_some() => {
                Err(invalid("the response has both `result` and `error`".to_owned()))
            }
            (None, Some(raw)) if answers => match id {
                None if raw.get() != "null" => {
                    Err(invalid("`id` is neither an integer nor a string".to_owned()))
                }
                id => Ok(Self::Response { id, result }),
            },
            (None, None) if answers => Ok(Self::Response { id: None, result }),
            (None, _) => Err(invalid("the message has no `method`".to_owned())),
        }
    }
}

/// Returns where a value is in the text that it was parsed from.
pub(crate) fn place(text: &str, part: &RawValue) -> Option<Range<usize>> {
    let start = (part.get().as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    let range = start..start.checked_add(part.get().len())?;
    text.get(range.clone()).filter(|found| *found == part.get()).map(|_| range)
}
