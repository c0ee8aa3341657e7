//! Checks the codes, ops and arguments documented in `wit/` against what the guest does.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

mod harness;

use harness::requests::requests;
use serde_json::{Map, Value, json};
use signoff_verifier::operation;
use signoff_verifier::rejection::Code;
use signoff_verifier::wire;

const CODES: &str = include_str!("../../../wit/codes.md");
const TYPES: &str = include_str!("../../../wit/types.wit");
const INTERFACES: [(&str, &str); 6] = [
    ("context", include_str!("../../../wit/context.wit")),
    ("signing", include_str!("../../../wit/signing.wit")),
    ("lifecycle", include_str!("../../../wit/lifecycle.wit")),
    ("approval", include_str!("../../../wit/approval.wit")),
    ("receipt", include_str!("../../../wit/receipt.wit")),
    ("manifest", include_str!("../../../wit/manifest.wit")),
];

#[test]
fn raised_codes_equal_the_marked_ones_in_order() {
    let marked = CODES.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        (cells.len() == 6 && cells[4] == "v").then(|| cells[1].trim_matches('`'))
    });
    assert_eq!(raised().collect::<Vec<_>>(), marked.collect::<Vec<_>>());
}

/// The codes that the verifier raises.
fn raised() -> impl Iterator<Item = &'static str> {
    Code::ALL.iter().filter(|code| code.is_raised_by_verifier()).map(|code| code.as_str())
}

#[test]
fn every_rejection_that_wit_names_is_a_code() {
    let known = |code: &str| raised().any(|known| known == code);
    for (interface, text) in INTERFACES {
        let docs = text.lines().filter_map(|line| line.trim().strip_prefix("///"));
        let rejections = docs.skip_while(|line| !line.contains("Rejections"));
        let quoted: Vec<&str> =
            rejections.flat_map(|line| line.split('`').skip(1).step_by(2)).collect();
        let codes =
            quoted.iter().filter(|word| word.contains('-') && !word.contains([' ', '>', '_', '.']));
        // Parameters may also be named.
        let is_parameter = |word: &str| {
            text.contains(&format!(" {word}: ")) || text.contains(&format!("({word}: "))
        };
        let mut codes = codes
            .filter(|word| !["verify-only", "hmac-sha256"].contains(word) && !is_parameter(word))
            .peekable();
        assert!(codes.peek().is_some(), "{interface}");
        codes.for_each(|code| assert!(known(code), "{interface} names `{code}`"));
    }
}

#[test]
fn the_ops_are_the_functions_of_the_interfaces() {
    let mut ops = vec!["describe".to_owned()];
    ops.extend(functions().into_iter().map(|function| function.op));
    assert_eq!(operation::OPS, ops);
    let described: Value = serde_json::from_str(&wire::call(r#"{"op":"describe"}"#)).unwrap();
    assert_eq!(described["ok"]["ops"], json!(operation::OPS));
}

#[test]
fn the_arguments_are_the_parameters() {
    for Function { op, parameters, .. } in functions() {
        let args: Map<String, Value> =
            parameters.iter().map(|(name, of)| (name.clone(), sample(of))).collect();
        assert_eq!(complaint(&op, &args), None, "{op}");

        let mut more = args.clone();
        more.insert("extra".into(), Value::Null);
        let complaint_of_more = complaint(&op, &more).unwrap();
        assert!(
            complaint_of_more.starts_with("args: unknown field `extra`"),
            "{op}: {complaint_of_more}"
        );

        for (name, of) in &parameters {
            let mut fewer = args.clone();
            fewer.remove(name);
            let missing = complaint(&op, &fewer);
            if of.starts_with("option<") {
                assert_eq!(missing, None, "{op} without {name}");
            } else {
                let expected = format!("args: missing field `{name}`");
                assert!(
                    missing.is_some_and(|text| text.starts_with(&expected)),
                    "{op} without {name}"
                );
            }
        }
    }
}

#[test]
fn an_answer_has_the_shape_that_wit_gives_it() {
    let functions = functions();
    let documented = |op: &str| functions.iter().find(|function| function.op == op);
    for (op, args) in requests() {
        let answer = harness::call(op, &args).unwrap();
        let mut members: Vec<&str> =
            answer.as_object().unwrap().keys().map(String::as_str).collect();
        members.sort_unstable();
        // `describe` returns its own object.
        let Some(mut expected) = documented(op).and_then(|function| function.answer.clone()) else {
            continue;
        };
        expected.sort_unstable();
        assert_eq!(members, expected, "{op}");
    }
}

#[test]
fn a_key_and_a_statement_have_the_fields_of_their_types() {
    for (record, op, required) in [("key", "signing.sign", 5), ("statement", "signing.payload", 0)]
    {
        let fields = fields(TYPES, record);
        let mut known = 0;
        for (name, _) in &fields {
            let args = with(op, record, Map::from_iter([(name.clone(), Value::Bool(true))]));
            let text = complaint(op, &args).unwrap();
            assert!(!text.contains("unknown field"), "{record}.{name}: {text}");
            let mut fewer = sample_record(record);
            fewer.remove(name);
            known += usize::from(complaint(op, &with(op, record, fewer)).is_some());
        }
        assert_eq!(known, required, "fields that {record} cannot do without");
        let unknown = with(op, record, Map::from_iter([("extra".to_owned(), Value::Null)]));
        assert!(complaint(op, &unknown).unwrap().contains("unknown field `extra`"));
    }
}

/// Returns the message about malformed arguments, if the call is refused with one.
fn complaint(op: &str, args: &Map<String, Value>) -> Option<String> {
    let answer: Value =
        serde_json::from_str(&wire::call(&json!({"op": op, "args": args}).to_string())).unwrap();
    let message = answer["error"]["message"].as_str()?;
    message.starts_with("args: ").then(|| message.to_owned())
}

/// Returns the arguments of an op, with one of them replaced.
fn with(op: &str, name: &str, value: Map<String, Value>) -> Map<String, Value> {
    let functions = functions();
    let function = functions.iter().find(|function| function.op == op).unwrap();
    let mut args: Map<String, Value> =
        function.parameters.iter().map(|(name, of)| (name.clone(), sample(of))).collect();
    args.insert(name.to_owned(), value.into());
    args
}

/// Returns a value of a WIT type.
fn sample(of: &str) -> Value {
    match of {
        "string" => "".into(),
        "unix-seconds" => 0.into(),
        "decision-statement" => sample_record("statement").into(),
        "key" => sample_record(of).into(),
        _ if of.starts_with("option<") => Value::Null,
        _ if of.starts_with("list<") => json!([]),
        other => panic!("a parameter has a type `{other}` that this test does not know"),
    }
}

fn sample_record(name: &str) -> Map<String, Value> {
    fields(TYPES, name).into_iter().map(|(name, of)| (name, sample(&of))).collect()
}

/// A function of the interfaces.
struct Function {
    op: String,
    /// Names and types.
    parameters: Vec<(String, String)>,
    /// The members of its answer: the fields of the record, or the one value's name in the docs;
    /// `None` if the answer may grow.
    answer: Option<Vec<String>>,
}

/// Returns every function of the interfaces.
fn functions() -> Vec<Function> {
    let mut found = Vec::new();
    for (interface, text) in INTERFACES {
        let mut named = None;
        for line in text.lines().map(str::trim) {
            if let Some(text) = line.strip_prefix("/// Wire: ") {
                named = Some(text.trim_matches(['`', '.']));
            }
            if line.starts_with("//") {
                continue;
            }
            if let Some((name, rest)) = line.split_once(": func(") {
                let (parameters, answer) = rest.split_once(") -> result<").unwrap();
                let record = answer.split_once(", rejection>;").unwrap().0;
                let answer = match named.take() {
                    Some("the object") => None,
                    Some(member) => Some(vec![member.to_owned()]),
                    None => Some(fields(text, record).into_iter().map(|(name, _)| name).collect()),
                };
                found.push(Function {
                    op: format!("{interface}.{}", snake_case(name)),
                    parameters: parameters.split(", ").map(field).collect(),
                    answer,
                });
            }
        }
    }
    found
}

/// Returns the fields of a record in a file of `wit/`, with their types.
fn fields(file: &str, record: &str) -> Vec<(String, String)> {
    let (_, body) = file.split_once(&format!("record {record} {{")).unwrap();
    let (body, _) = body.split_once('}').unwrap();
    let lines = body.lines().map(|line| line.trim().trim_end_matches(','));
    lines.filter(|line| !line.is_empty() && !line.starts_with("//")).map(field).collect()
}

fn field(text: &str) -> (String, String) {
    let (name, of) = text.split_once(": ").unwrap();
    (snake_case(name), of.to_owned())
}

fn snake_case(name: &str) -> String {
    name.trim_start_matches('%').replace('-', "_")
}
