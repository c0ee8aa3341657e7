//! The vectors of this folder, and the runner that puts them to a verifier. README.md in this folder
//! defines the format. Every Rust test of a verifier uses this crate, each with its own `call`, and so does
//! the host's trial of a new verifier.

#![allow(clippy::indexing_slicing, reason = "indexing a `Value` by a missing member gives null")]

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// A vector file: its name without `.json`, and its text.
pub type File = (&'static str, &'static str);

/// Canonical forms and digests of contexts.
pub const CONTEXT: File = ("context", include_str!("../context.json"));
/// Signatures of profile v1, and keys.
pub const SIGNING: File = ("signing", include_str!("../signing.json"));
/// Signatures of profile v2.
pub const SIGNING_V2: File = ("signing_v2", include_str!("../signing_v2.json"));
/// Transitions of approvals under v1.
pub const LIFECYCLE: File = ("lifecycle", include_str!("../lifecycle.json"));
/// Transitions of approvals under v2.
pub const LIFECYCLE_V2: File = ("lifecycle_v2", include_str!("../lifecycle_v2.json"));
/// Verification of approvals as the API shows them.
pub const APPROVAL: File = ("approval", include_str!("../approval.json"));
/// Verification of receipts.
pub const RECEIPT: File = ("receipt", include_str!("../receipt.json"));
/// Verification of modules' manifests.
pub const MANIFEST: File = ("manifest", include_str!("../manifest.json"));
/// Malformed requests on the wire.
pub const WIRE: File = ("wire", include_str!("../wire.json"));

/// All vector files, in the order in which every runner runs them.
pub const ALL: [File; 9] =
    [CONTEXT, SIGNING, SIGNING_V2, LIFECYCLE, LIFECYCLE_V2, APPROVAL, RECEIPT, MANIFEST, WIRE];

/// The result of a run.
#[derive(Debug)]
pub struct Outcome {
    /// One line: the vectors that ran, the number that failed, and the digest of all requests and answers.
    pub summary: String,
    /// Each vector whose answer differs from the expected one.
    pub failures: Vec<String>,
}

/// Runs every vector of `files` through `call`, which answers a request on the wire.
///
/// # Errors
///
/// A file that holds no vectors of format 1, or a step that cannot be built; an answer that is not JSON.
pub fn run(files: &[File], call: impl Fn(&str) -> String) -> Result<Outcome, String> {
    let mut runner = Runner { call, transcript: Sha256::new(), failures: Vec::new() };
    let mut counts = Vec::new();
    for (name, text) in files {
        let count = runner.file(name, &parsed(text)?)?;
        counts.push(format!("{name} {count}"));
    }
    Ok(Outcome {
        summary: format!(
            "vectors: {}; {} failed; transcript {}",
            counts.join(", "),
            runner.failures.len(),
            hex::encode(runner.transcript.finalize()),
        ),
        failures: runner.failures,
    })
}

struct Runner<D> {
    call: D,
    transcript: Sha256,
    failures: Vec<String>,
}

/// The values of `$ref` by name.
type Scope = Map<String, Value>;

impl<D: Fn(&str) -> String> Runner<D> {
    fn file(&mut self, name: &str, file: &Value) -> Result<usize, String> {
        let vectors = list(&file["vectors"]);
        if file["format"] != 1 || vectors.is_empty() {
            return Err(format!("{name}.json has no vectors of format 1"));
        }
        let mut shared = file["define"].as_object().cloned().unwrap_or_default();
        if !self.steps(&format!("{name}: setup"), list(&file["setup"]), &mut shared)? {
            return Ok(vectors.len()); // every vector needs the setup
        }
        for vector in vectors {
            let name = format!("{name}: {}", vector["name"].as_str().unwrap_or_default());
            self.steps(&name, &steps_of(vector), &mut shared.clone())?;
        }
        Ok(vectors.len())
    }

    /// Runs the steps; returns whether every answer was as expected.
    fn steps(&mut self, name: &str, steps: &[Value], scope: &mut Scope) -> Result<bool, String> {
        for (index, step) in steps.iter().enumerate() {
            let mut answer = self.call(&request_of(step, scope)?)?;
            if let Err(found) = check(step, &answer) {
                let number = index + 1;
                self.failures.push(format!("{name}, step {number}: {found}"));
                return Ok(false); // later steps need this one
            }
            if let Some(name) = step["as"].as_str() {
                scope.insert(name.to_owned(), answer["ok"].take());
            }
        }
        Ok(true)
    }

    fn call(&mut self, request: &str) -> Result<Value, String> {
        let answer = (self.call)(request);
        for part in [request, "\n", &answer, "\n"] {
            self.transcript.update(part);
        }
        parsed(&answer)
    }
}

fn steps_of(vector: &Value) -> Vec<Value> {
    if let Some(steps) = vector["steps"].as_array() {
        return steps.clone();
    }
    if !vector["op"].is_null() || !vector["request"].is_null() {
        return vec![vector.clone()];
    }
    let input = match &vector["input"] {
        Value::Null => json!({"$repeat": vector["input_parts"]}),
        input => input.clone(),
    };
    let step = |op, member: &str, expected: Value| json!({"op": op, "args": {"context": input}, member: expected});
    let ops = ["context.canonicalize", "context.digest", "context.read"];
    if !vector["error"].is_null() {
        return ops.map(|op| step(op, "error", vector["error"].clone())).into();
    }
    let digest = &vector["digest"];
    let (canonical, read) = match &vector["canonical"] {
        Value::Null => (json!({"$has": {}}), json!({"$has": {"digest": digest}})),
        canonical => {
            (json!({"canonical": canonical}), json!({"canonical": canonical, "digest": digest}))
        }
    };
    let answers = [canonical, json!({"digest": digest}), read];
    ops.into_iter().zip(answers).map(|(op, ok)| step(op, "ok", ok)).collect()
}

fn request_of(step: &Value, scope: &Scope) -> Result<String, String> {
    if step["request"].is_null() {
        let op = resolve(&step["op"], scope)?;
        let args = resolve(&step["args"], scope)?;
        return Ok(text(&json!({"op": op, "args": args})));
    }
    string(&resolve(&step["request"], scope)?).map(ToOwned::to_owned)
}

fn resolve(value: &Value, scope: &Scope) -> Result<Value, String> {
    let members = match value {
        Value::Array(items) => return items.iter().map(|item| resolve(item, scope)).collect(),
        Value::Object(members) => members,
        scalar => return Ok(scalar.clone()),
    };
    if let Some(path) = members.get("$ref") {
        let (name, rest) = string(path)?.split_once('.').unwrap_or((string(path)?, ""));
        let found = scope.get(name).and_then(|value| value.pointer(&pointer(rest)));
        return found.cloned().ok_or_else(|| format!("nothing at {path}"));
    }
    if let Some(inner) = members.get("$json") {
        return Ok(text(&resolve(inner, scope)?).into());
    }
    if let Some(document) = members.get("$edit") {
        return edited(document, value, scope);
    }
    if let Some(parts) = members.get("$repeat") {
        let parts = list(parts).iter().map(|part| Ok(string(&part[0])?.repeat(count(&part[1])?)));
        return Ok(parts.collect::<Result<String, String>>()?.into());
    }
    if let Some(copies) = members.get("$copies") {
        return Ok(vec![resolve(&copies[0], scope)?; count(&copies[1])?].into());
    }
    members.iter().map(|(key, item)| Ok((key.clone(), resolve(item, scope)?))).collect()
}

fn edited(document: &Value, edit: &Value, scope: &Scope) -> Result<Value, String> {
    let mut document = parsed(string(&resolve(document, scope)?)?)?;
    for (path, item) in edit["set"].as_object().into_iter().flatten() {
        let item = resolve(item, scope)?;
        let (parent, last) = parent(&mut document, path)?;
        match (parent, last.parse::<usize>()) {
            (Value::Array(items), Ok(index)) if index < items.len() => items[index] = item,
            (Value::Object(members), _) => drop(members.insert(last.to_owned(), item)),
            _ => return Err(format!("nothing at `{path}`")),
        }
    }
    for path in list(&edit["remove"]) {
        if let (Value::Object(members), last) = parent(&mut document, string(path)?)? {
            members.remove(last);
        }
    }
    Ok(text(&document).into())
}

/// Returns the parent of the last member of a path, and that member's name.
fn parent<'a, 'b>(
    document: &'a mut Value,
    path: &'b str,
) -> Result<(&'a mut Value, &'b str), String> {
    let (parents, last) = path.rsplit_once('.').unwrap_or(("", path));
    let parent = document.pointer_mut(&pointer(parents));
    parent.map(|parent| (parent, last)).ok_or_else(|| format!("nothing at `{path}`"))
}

/// Converts a dotted path to a JSON pointer (RFC 6901).
fn pointer(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("/{}", path.replace('.', "/")) }
}

/// Encodes compact JSON with sorted keys, so that every runner sends the same bytes, whichever features
/// `serde_json` was built with.
fn text(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(","))
        }
        Value::Object(members) => {
            let sorted: BTreeMap<_, _> = members.iter().collect();
            let members =
                sorted.into_iter().map(|(key, item)| format!("{}:{}", json!(key), text(item)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        scalar => scalar.to_string(),
    }
}

/// Compares an answer with the expected one.
fn check(step: &Value, answer: &Value) -> Result<(), String> {
    if step["error"].is_null() {
        return equal(&json!({"ok": step["ok"]}), answer, "answer");
    }
    let error = &step["error"];
    let code = if error.is_string() { error } else { &error["code"] };
    let message = answer["error"]["message"].as_str().unwrap_or_default();
    let place = error["offset"].as_u64().map(|offset| format!(" at byte {offset}"));
    if message.is_empty() || !message.ends_with(place.as_deref().unwrap_or_default()) {
        return Err(format!("expected {error}, found {}", shown(answer)));
    }
    equal(&json!({"error": {"code": code, "message": message}}), answer, "answer")
}

fn equal(expected: &Value, actual: &Value, path: &str) -> Result<(), String> {
    let wrong = || Err(format!("{path}: expected {}, found {}", shown(expected), shown(actual)));
    match (expected, actual) {
        (Value::Object(form), Value::String(text)) if form.contains_key("$json") => {
            equal(&form["$json"], &parsed(text)?, path)
        }
        (Value::Object(form), Value::Object(found)) => {
            let some = form.get("$has").and_then(Value::as_object);
            let members = some.unwrap_or(form);
            if some.is_none() && members.len() != found.len() {
                return wrong();
            }
            for (key, item) in members {
                let Some(other) = found.get(key) else { return wrong() };
                equal(item, other, &format!("{path}.{key}"))?;
            }
            Ok(())
        }
        (Value::Array(items), Value::Array(found)) if items.len() == found.len() => {
            let mut pairs = items.iter().zip(found).enumerate();
            pairs.try_for_each(|(index, (item, other))| {
                equal(item, other, &format!("{path}.{index}"))
            })
        }
        _ if expected == actual => Ok(()),
        _ => wrong(),
    }
}

fn parsed(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|e| format!("not JSON: {e}: {}", shown(&json!(text))))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn string(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("expected a text, found {}", shown(value)))
}

fn count(value: &Value) -> Result<usize, String> {
    let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
    number.ok_or_else(|| format!("expected a number, found {}", shown(value)))
}

fn shown(value: &Value) -> String {
    let whole = value.to_string();
    if whole.chars().nth(500).is_none() {
        return whole;
    }
    whole.chars().take(500).chain("…".chars()).collect()
}
