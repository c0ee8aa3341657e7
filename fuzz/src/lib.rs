//! What the fuzz targets share.

use serde_json::Value;

/// An approval's id.
pub const ID: &str = "appr_01k7s2e3m8q4w6x9y0z1a2b3c4";
/// A log key that signed no receipt: the public key of RFC 8032, section 7.1, test 1.
pub const LOG_KEY: &str = "signoff/fuzz+4e01ef5c+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea";

/// Calls an operation of the verifier on the wire.
pub fn called(op: &str, args: &Value) -> Result<Value, String> {
    let request = serde_json::json!({ "op": op, "args": args }).to_string();
    let answer = signoff_verifier::wire::call(&request);
    let mut answer: Value = serde_json::from_str(&answer).map_err(|e| e.to_string())?;
    match answer.get_mut("ok") {
        Some(ok) => Ok(ok.take()),
        None => Err(answer["error"]["code"].as_str().unwrap_or_default().to_owned()),
    }
}
