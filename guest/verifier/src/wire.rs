//! JSON entry point for runtimes without typed bindings: one request in, one answer out. It runs
//! the operations of [`operation`] and adds no rule.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::limits::WIRE_BYTES_MAX;
use crate::object;
use crate::operation;
use crate::record::to_json;
use crate::rejection::Rejection;

/// Answers one request: `{"op": …, "args": {…}}` returns `{"ok": {…}}` or `{"error": {"code": …,
/// "message": …}}`.
///
/// Rejections: 1. `limit-exceeded` for a request over 16 MiB 2. `request-invalid` for anything but
/// an object with a known op and its arguments 3. the op's rejections, in its order.
pub fn call(request: &str) -> String {
    write(answer(request))
}

/// Answers one request given as bytes, because a host of the core module can send bytes that are
/// not UTF-8.
///
/// Rejections: 1. `request-invalid` for bytes that are not UTF-8 2. as [`call`].
pub fn call_bytes(request: &[u8]) -> String {
    write(utf8("request", request).and_then(answer))
}

/// Reads bytes as text; `what` names them in the message.
///
/// Rejections: `request-invalid`, with the offset of the first byte that is not UTF-8.
pub(crate) fn utf8<'a>(what: &str, bytes: &'a [u8]) -> Result<&'a str, Rejection> {
    str::from_utf8(bytes)
        .map_err(|e| Rejection::request(format!("{what} is not UTF-8 at byte {}", e.valid_up_to())))
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum WireResult<'a> {
    Ok(&'a RawValue),
    Error { code: &'a str, message: &'a str },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request<'a> {
    #[serde(borrow)]
    op: Cow<'a, str>,
    #[serde(borrow, default)]
    args: Option<&'a RawValue>,
}

fn answer(request: &str) -> Result<Box<RawValue>, Rejection> {
    if request.len() > WIRE_BYTES_MAX {
        return Err(Rejection::limit(format!(
            "request is {} bytes, the limit is {WIRE_BYTES_MAX}",
            request.len()
        )));
    }
    let request: Request<'_> = object::parse("request", request)?;
    operation::run(&request.op, request.args.map_or("{}", RawValue::get))
}

fn write(answer: Result<Box<RawValue>, Rejection>) -> String {
    answer.and_then(|ok| to_json(&WireResult::Ok(&ok))).unwrap_or_else(|rejection| {
        let error =
            WireResult::Error { code: rejection.code.as_str(), message: &rejection.message };
        // Two strings always serialize. If they did not, callers would refuse the empty answer.
        to_json(&error).unwrap_or_default()
    })
}
