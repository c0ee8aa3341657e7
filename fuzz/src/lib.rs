//! The properties that the fuzz targets check. Each takes any bytes, and panics if the property
//! does not hold. The binary `seeds` checks each property on its target's seeds, without libFuzzer.

use serde_json::Value;
use serde_json::value::RawValue;
use signoff_core::context;
use signoff_core::log::checkpoint::Checkpoint;
use signoff_core::log::note::Note;
use signoff_policy::attempt::Attempt;
use signoff_policy::policy::Policy;

/// Every target: its name, and its property.
pub const TARGETS: [(&str, fn(&[u8])); 8] = [
    ("canonicalize", canonicalize),
    ("wire", wire),
    ("record", record),
    ("view", view),
    ("receipt", receipt),
    ("note", note),
    ("rules", rules),
    ("conditions", conditions),
];

/// An approval's id.
const ID: &str = "appr_01k7s2e3m8q4w6x9y0z1a2b3c4";
/// A log key that signed no receipt: the public key of RFC 8032, section 7.1, test 1.
const LOG_KEY: &str = "signoff/fuzz+4e01ef5c+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea";
/// The context that conditions are evaluated on.
const CONTEXT: &str = r#"{"score": 80, "name": "a", "list": [1, 2.5, "x"], "when": "2025-10-17T10:30:00Z", "big": 123456789012345678901234567890}"#;

/// The named values that conditions may read.
const CONSTS: &str = "[const]\nlimit = 80\nlist = ['a', 'x']\ntable = { a = 1.5 }\n";

/// The canonicalizer: accepted input is JSON; its canonical form is ASCII and canonicalizes to
/// itself; both digest functions agree.
pub fn canonicalize(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let Ok(canonical) = context::canonicalize(text) else { return };
    assert!(canonical.is_ascii());
    assert_eq!(context::canonicalize(&canonical).as_deref(), Ok(canonical.as_str()));
    let digest = context::digest(text).expect("a canonical context has a digest");
    assert_eq!(context::canonicalize_and_digest(text), Ok((canonical, digest)));
    serde_json::from_str::<&RawValue>(text).expect("JSON");
}

/// The wire: the answer to any bytes is a JSON object with one member: `ok`, or `error` with a
/// string `code`.
pub fn wire(bytes: &[u8]) {
    let answer = signoff_verifier::wire::call_bytes(bytes);
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(answer.as_object().expect("an object").len(), 1);
    assert!(answer.get("ok").is_some() || answer["error"]["code"].is_string());
}

/// The record of an approval: `lifecycle.show` refuses it, or returns a JSON view with the
/// requested id.
pub fn record(bytes: &[u8]) {
    let Ok(record) = str::from_utf8(bytes) else { return };
    let args = serde_json::json!({ "id": ID, "approval": record, "now": 1_760_697_900 });
    if let Ok(shown) = called("lifecycle.show", &args) {
        let view = shown["view"].as_str().expect("a text");
        let view: Value = serde_json::from_str(view).expect("JSON");
        assert_eq!(view["id"], ID);
    }
}

/// A view: `approval.verify` with an empty keyring rejects every view.
pub fn view(bytes: &[u8]) {
    let Ok(view) = str::from_utf8(bytes) else { return };
    let args = serde_json::json!({
        "approval": view, "id": ID, "audience": "prod", "keys": [], "now": 1_760_697_900,
        "attempt": r#"{"agent":"knowledge_update","action":"apply","context":"{}"}"#,
    });
    called("approval.verify", &args).expect_err("no key signed it");
}

/// A receipt: `receipt.verify` rejects every receipt if the only log key signed nothing. Without
/// log keys it checks only consistency, and must not panic.
pub fn receipt(bytes: &[u8]) {
    let Ok(receipt) = str::from_utf8(bytes) else { return };
    let args = serde_json::json!({ "receipt": receipt, "log_keys": [LOG_KEY], "accept": ["v2"] });
    called("receipt.verify", &args).expect_err("this log key signed nothing");
    let args = serde_json::json!({ "receipt": receipt, "log_keys": [], "accept": ["v1", "v2"] });
    let _ = called("receipt.verify", &args);
}

/// Signed notes and checkpoints: the parsers do not panic, and the text of a parsed checkpoint is a
/// prefix of the input; extension lines may follow.
pub fn note(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let _ = Note::read(text);
    let _ = Checkpoint::unverified(text);
    if let Ok(checkpoint) = Checkpoint::from_text(text) {
        assert!(text.starts_with(&checkpoint.text()));
    }
}

/// A rules file with the files that it includes: it loads, or at least one problem is returned, each at a
/// line and a column; a loaded policy describes itself in JSON, and its own tests run.
pub fn rules(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let _ = signoff_policy::file::includes(text);
    match Policy::load(text) {
        Ok((policy, _)) => {
            let description: Value = serde_json::from_str(&policy.describe()).expect("JSON");
            assert_eq!(description["rules"], text);
            let tested = policy.test(&[]);
            assert_eq!(tested.fired.len() + tested.unfired.len(), policy.rules());
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            assert!(problems.iter().all(|problem| problem.line > 0 && problem.column > 0));
        }
    }
}

/// The condition of an `allow` rule: the action is allowed if and only if the condition is true. A
/// condition that fails to evaluate does not allow it. With a schema that the context does not fit, nothing
/// allows it.
pub fn conditions(bytes: &[u8]) {
    let Ok(condition) = str::from_utf8(bytes) else { return };
    if condition.contains("'''") {
        return;
    }
    let rules = |schema: &str| {
        format!(
            "format = 1\nname = \"f\"\ndefault = \"deny\"\n{CONSTS}{schema}[[rule]]\nid = \"r\"\naction = \"quarantine\"\nverdict = \"allow\"\nwhen = '''{condition}'''\n"
        )
    };
    let Ok((policy, _)) = Policy::load(&rules("")) else { return };
    let attempt = Attempt {
        agent: "inbox",
        action: "quarantine",
        context: CONTEXT,
        plan: None,
        facts: r#"{"requester": "agent:inbox"}"#,
        now: 1_760_697_000,
    };
    let trace = policy.trace(&attempt);
    let is_true = trace.iter().any(|rule| rule.when == "true");
    let is_allowed = policy.evaluate(&attempt).decision.as_str() == "allow";
    assert_eq!(is_allowed, is_true, "{trace:?}");
    if let Ok((strict, _)) = Policy::load(&rules("[context.quarantine]\nscore = \"string\"\n")) {
        assert_eq!(strict.evaluate(&attempt).decision.as_str(), "deny");
    }
}

/// Calls an operation of the verifier through `wire`; the error is the code of its rejection.
fn called(op: &str, args: &Value) -> Result<Value, String> {
    let request = serde_json::json!({ "op": op, "args": args }).to_string();
    let answer = signoff_verifier::wire::call(&request);
    let mut answer: Value = serde_json::from_str(&answer).expect("JSON");
    match answer.get_mut("ok") {
        Some(ok) => Ok(ok.take()),
        None => Err(answer["error"]["code"].as_str().expect("a code").to_owned()),
    }
}
