//! The headers of requests: which ones pass, and whether they agree with the message.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use base64ct::{Base64, Encoding};
use serde_json::Value;
use serde_json::value::RawValue;

use super::upstream::Upstream;
use crate::mcp::{Members, VERSION_WITHOUT_HANDSHAKE};

pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
pub(super) const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
pub(super) const METHOD: HeaderName = HeaderName::from_static("mcp-method");
pub(super) const NAME: HeaderName = HeaderName::from_static("mcp-name");
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const PARAM_PREFIX: &str = "mcp-param-";
const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";

/// The code of JSON-RPC for headers that do not agree with the message.
pub(super) const HEADER_MISMATCH: i32 = -32_020;

/// Headers of a client that the server gets.
const OF_CLIENT: [&str; 9] = [
    "accept",
    "accept-language",
    "content-type",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "traceparent",
    "tracestate",
    "last-event-id",
];
/// Headers of a server that the client gets.
const OF_SERVER: [&str; 6] =
    ["allow", "cache-control", "content-type", "mcp-session-id", "retry-after", "www-authenticate"];

/// Returns the headers of a client's request that pass.
pub(super) fn of_client(all: &HeaderMap, upstream: &Upstream, authorization: bool) -> HeaderMap {
    let passes = |name: &HeaderName| {
        OF_CLIENT.contains(&name.as_str())
            || name.as_str().starts_with(PARAM_PREFIX)
            || (authorization && name == header::AUTHORIZATION)
    };
    let passing = all.iter().filter(|(name, _)| passes(name) && !upstream.sets(name));
    let mut passing: HeaderMap =
        passing.map(|(name, value)| (name.clone(), value.clone())).collect();
    if let Some(kind) = passing.get_mut(header::CONTENT_TYPE) {
        // The gate read the body as UTF-8. In another charset it could be another message.
        *kind = HeaderValue::from_static("application/json");
    }
    passing
}

/// Returns whether a content type is JSON in UTF-8: without parameters other than that charset.
pub(super) fn is_json(kind: &str) -> bool {
    let mut parts = kind.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    let is_utf8 = |part: &str| {
        let part = part.to_ascii_lowercase();
        ["", "charset=utf-8", "charset=\"utf-8\""].contains(&part.as_str())
    };
    is_json && parts.all(is_utf8)
}

/// Returns the headers of a server's response that pass.
pub(super) fn of_server(all: &HeaderMap) -> HeaderMap {
    let passing = all.iter().filter(|(name, _)| OF_SERVER.contains(&name.as_str()));
    let mut passing: HeaderMap =
        passing.map(|(name, value)| (name.clone(), value.clone())).collect();
    if let Some(kind) = passing.get_mut(header::CONTENT_TYPE) {
        // As for requests: the client is to read what the gate read.
        let essence = kind.to_str().ok().and_then(|kind| kind.split(';').next()).map(str::trim);
        let essence = essence.and_then(|essence| HeaderValue::from_str(essence).ok());
        *kind = essence.unwrap_or(HeaderValue::from_static("application/octet-stream"));
    }
    passing
}

/// Returns a header that must not be there twice: of two values, the server could take the other.
///
/// # Errors
///
/// It is there twice, or not text.
pub(super) fn only<'a>(all: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, String> {
    let mut values = all.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            value.to_str().map(Some).map_err(|_| format!("header `{name}` is not ASCII"))
        }
        (Some(_), Some(_)) => Err(format!("header `{name}` is there twice")),
    }
}

/// What a request says of itself.
pub(super) struct Named {
    pub(super) method: String,
    /// The member of the parameters that `Mcp-Name` repeats.
    name: Option<String>,
    /// The version that the parameters name.
    version: Option<String>,
}

impl Named {
    /// Reads the parameters as far as headers repeat them.
    pub(super) fn of(method: &str, params: Option<&RawValue>) -> Self {
        let members = params.and_then(|params| Members::parse(params.get()).ok());
        let member = |name: &str| members.as_ref()?.string(name).ok().flatten();
        let name = match method {
            "tools/call" | "prompts/get" => member("name"),
            "resources/read" => member("uri"),
            _ => None,
        };
        let meta = members.as_ref().and_then(|members| members.value("_meta"));
        let meta = meta.and_then(|meta| Members::parse(meta.get()).ok());
        let version = meta.and_then(|meta| meta.string(META_VERSION).ok().flatten());
        Self { method: method.to_owned(), name, version }
    }

    /// Returns whether the request is of a version without sessions.
    pub(super) fn has_no_session(&self) -> bool {
        self.version.as_deref().is_some_and(|version| version >= VERSION_WITHOUT_HANDSHAKE)
    }

    /// Compares headers with the message. Without a handshake they are required, and a server may act on
    /// them without reading the message.
    ///
    /// # Errors
    ///
    /// One is there twice, is missing, or differs.
    pub(super) fn agrees(&self, all: &HeaderMap) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        for name in all.keys().filter(|name| name.as_str().starts_with(PARAM_PREFIX)) {
            only(all, name)?;
            seen.insert(name.as_str());
        }
        let strict = self.has_no_session();
        let repeats_arguments = strict && self.method == "tools/call";
        if !seen.is_empty() && !repeats_arguments {
            return Err(format!(
                "headers `{PARAM_PREFIX}…` belong to `tools/call` since 2026-07-28"
            ));
        }
        let version = only(all, &VERSION)?;
        if let Some(own) = &self.version
            && version != Some(own.as_str())
        {
            return Err(format!("header `{VERSION}` does not agree with the message"));
        }
        if !strict && version.is_some_and(|version| version >= VERSION_WITHOUT_HANDSHAKE) {
            return Err(format!("header `{VERSION}` does not agree with the message"));
        }
        let method = only(all, &METHOD)?;
        if method.map_or(strict, |method| method != self.method) {
            return Err(format!("header `{METHOD}` does not agree with the message"));
        }
        let name = only(all, &NAME)?;
        let matches = match (name, &self.name) {
            (None, None) => true,
            (None, Some(_)) => !strict,
            (Some(_), None) => false,
            (Some(given), Some(own)) => decoded(given).as_deref() == Some(own.as_str()),
        };
        if !matches {
            return Err(format!("header `{NAME}` does not agree with the message"));
        }
        Ok(())
    }

    /// Compares the headers that repeat arguments with the arguments. A server, or what is in front of it,
    /// may act on either.
    ///
    /// # Errors
    ///
    /// One differs, is missing, or repeats nothing; the tool is not known, so that nobody knows.
    pub(super) fn agrees_with(
        &self,
        all: &HeaderMap,
        tool: Option<&str>,
        params: Option<&RawValue>,
    ) -> Result<(), String> {
        let mut expected = match tool {
            Some(tool) => repeated(tool, params),
            None => BTreeMap::new(),
        };
        for name in all.keys().filter(|name| name.as_str().starts_with(PARAM_PREFIX)) {
            let given = only(all, name)?.and_then(decoded);
            let own = expected.remove(name.as_str());
            if given.is_none() || given != own {
                return Err(format!("header `{name}` does not agree with the arguments"));
            }
        }
        match expected.pop_first() {
            None => Ok(()),
            Some((name, _)) => Err(format!("header `{name}` is missing")),
        }
    }

    /// The name of the tool that is called.
    pub(super) fn tool(&self) -> Option<&str> {
        self.name.as_deref().filter(|_| self.method == "tools/call")
    }

    /// Returns the headers of a message of a client that has none. `tool` is the text of the tool that it
    /// calls.
    pub(super) fn headers(
        &self,
        negotiated: Option<&str>,
        tool: Option<&str>,
        params: Option<&RawValue>,
    ) -> HeaderMap {
        let mut all = HeaderMap::new();
        all.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        all.insert(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        let mut add = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(&encoded(value)) {
                all.insert(name, value);
            }
        };
        if let Some(version) = self.version.as_deref().or(negotiated) {
            add(VERSION, version);
        }
        if self.has_no_session() {
            add(METHOD, &self.method);
            if let Some(name) = &self.name {
                add(NAME, name);
            }
            for (name, value) in tool.map(|tool| repeated(tool, params)).unwrap_or_default() {
                if let Ok(name) = HeaderName::try_from(name) {
                    add(name, &value);
                }
            }
        }
        all
    }
}

/// Returns the arguments that headers repeat: those of properties with `x-mcp-header`, which are reached
/// from the root of the schema by `properties` alone. Values of other types than text, integer and boolean
/// have no header.
fn repeated(tool: &str, params: Option<&RawValue>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let tool: Value = serde_json::from_str(tool).unwrap_or_default();
    let params: Value =
        params.and_then(|params| serde_json::from_str(params.get()).ok()).unwrap_or_default();
    if let (Some(schema), Some(arguments)) = (tool.get("inputSchema"), params.get("arguments")) {
        collect(schema, arguments, &mut found);
    }
    found
}

/// Depth is limited by the parser.
fn collect(schema: &Value, arguments: &Value, found: &mut BTreeMap<String, String>) {
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        let Some(value) = arguments.get(name) else { continue };
        if let Some(token) = property.get("x-mcp-header").and_then(Value::as_str) {
            let text = match value {
                Value::String(text) => Some(text.clone()),
                Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
                _ => None,
            };
            if let Some(text) = text {
                found.insert(format!("{PARAM_PREFIX}{}", token.to_ascii_lowercase()), text);
            }
        }
        collect(property, value, found);
    }
}

const ENCODED: (&str, &str) = ("=?base64?", "?=");

/// Decodes a value that may not stand in a header as it is.
fn decoded(value: &str) -> Option<String> {
    let inner = value.strip_prefix(ENCODED.0).and_then(|rest| rest.strip_suffix(ENCODED.1));
    let Some(inner) = inner else { return Some(value.to_owned()) };
    let bytes = Base64::decode_vec(inner).ok()?;
    // Of one value there is one form.
    (Base64::encode_string(&bytes) == inner).then_some(())?;
    String::from_utf8(bytes).ok()
}

fn encoded(value: &str) -> String {
    let fits = value.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) && value.trim() == value;
    let looks_encoded = value.starts_with(ENCODED.0) && value.ends_with(ENCODED.1);
    match fits && !looks_encoded {
        true => value.to_owned(),
        false => {
            format!("{}{}{}", ENCODED.0, Base64::encode_string(value.as_bytes()), ENCODED.1)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let one = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        let mut all = HeaderMap::new();
        for (name, value) in pairs.iter().map(one) {
            all.append(name, value);
        }
        all
    }

    fn named(method: &str, params: &str) -> Named {
        Named::of(method, Some(serde_json::from_str::<Box<RawValue>>(params).unwrap().as_ref()))
    }

    const MODERN: &str =
        r#"{"name":"add","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#;

    #[test]
    fn headers_must_agree_with_the_message() {
        let version = ("mcp-protocol-version", "2026-07-28");
        let call = ("mcp-method", "tools/call");
        for (pairs, agrees) in [
            (&[version, call, ("mcp-name", "add")][..], true),
            (&[version, call, ("mcp-name", "=?base64?YWRk?=")], true),
            (&[version, call, ("mcp-name", "=?base64?YWRl?=")], false),
            (&[version, call, ("mcp-name", "=?base64?YWRk")], false),
            (&[version, call], false),
            (&[version, ("mcp-name", "add")], false),
            (&[call, ("mcp-name", "add")], false),
            (&[version, call, ("mcp-name", "Add")], false),
            (&[version, ("mcp-method", "tools/list"), ("mcp-name", "add")], false),
            (&[version, call, call, ("mcp-name", "add")], false),
            (
                &[version, call, ("mcp-name", "add"), ("mcp-param-x", "1"), ("mcp-param-x", "1")],
                false,
            ),
            (&[("mcp-protocol-version", "2025-11-25"), call, ("mcp-name", "add")], false),
        ] {
            assert_eq!(
                named("tools/call", MODERN).agrees(&headers(pairs)).is_ok(),
                agrees,
                "{pairs:?}"
            );
        }
        let old = named("tools/call", r#"{"name":"add"}"#);
        assert!(old.agrees(&headers(&[("mcp-protocol-version", "2025-11-25")])).is_ok());
        assert!(old.agrees(&headers(&[])).is_ok());
        assert!(old.agrees(&headers(&[("mcp-name", "other")])).is_err());
        assert!(old.agrees(&headers(&[version])).is_err());
    }

    #[test]
    fn headers_are_made_for_a_client_without_them() {
        let made =
            named("tools/call", &MODERN.replace("add", "z\u{fc}rich")).headers(None, None, None);
        assert!(named("tools/call", &MODERN.replace("add", "z\u{fc}rich")).agrees(&made).is_ok());
        let made = named("tools/call", r#"{"name":"add"}"#).headers(Some("2025-06-18"), None, None);
        assert_eq!(made.get(VERSION).unwrap(), "2025-06-18");
        assert!(made.get(NAME).is_none());
    }

    #[test]
    fn headers_that_repeat_arguments_must_agree_with_them() {
        let tool = r#"{"inputSchema":{"properties":{"region":{"type":"string","x-mcp-header":"Region"},
            "deep":{"properties":{"n":{"type":"integer","x-mcp-header":"N"}}},"other":{"type":"string"}}}}"#;
        let params = r#"{"name":"add","arguments":{"region":"eu","deep":{"n":7},"other":"x"}}"#;
        let params: Box<RawValue> = serde_json::from_str(params).unwrap();
        let named = named("tools/call", MODERN);
        let (region, n) = (("mcp-param-region", "eu"), ("mcp-param-n", "7"));
        for (pairs, tool, agrees) in [
            (&[region, n][..], Some(tool), true),
            (&[region, n], None, false),
            (&[], None, true),
            (&[region], Some(tool), false),
            (&[("mcp-param-region", "us"), n], Some(tool), false),
            (&[region, n, ("mcp-param-other", "x")], Some(tool), false),
        ] {
            let agreed = named.agrees_with(&headers(pairs), tool, Some(&params));
            assert_eq!(agreed.is_ok(), agrees, "{pairs:?}");
        }
        let made = named.headers(None, Some(tool), Some(&params));
        assert!(named.agrees_with(&made, Some(tool), Some(&params)).is_ok());
        assert_eq!(made.get("mcp-param-n").unwrap(), "7");
    }
}
