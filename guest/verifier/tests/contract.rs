//! What `wit/` says of codes, ops and arguments, against what the guest does.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

use serde_json::{Map, Value, json};
use signoff_verifier::operation;
use signoff_verifier::rejection::Code;
use signoff_verifier::wire;

const CODES: &str = include_str!("../../../wit/codes.md");
const TYPES: &str = include_str!("../../../wit/types.wit");
const INTERFACES: [(&str, &str); 5] = [
    ("context", include_str!("../../../wit/context.wit")),
    ("signing", include_str!("../../../wit/signing.wit")),
    ("lifecycle", include_str!("../../../wit/lifecycle.wit")),
    ("approval", include_str!("../../../wit/approval.wit")),
    ("receipt", include_str!("../../../wit/receipt.wit")),
];

#[test]
fn the_codes_are_those_marked_in_the_table_in_its_order() {
    let marked = CODES.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        (cells.len() == 6 && cells[4] == "v").then(|| cells[1].trim_matches('`'))
    });
    let raised: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(raised, marked.collect::<Vec<_>>());
}

#[test]
fn every_rejection_that_wit_names_is_a_code() {
    let known = |code: &str| Code::ALL.iter().any(|known| known.as_str() == code);
    for (interface, text) in INTERFACES {
        let docs = text.lines().filter_map(|line| line.trim().strip_prefix("///"));
        let rejections = docs.skip_while(|line| !line.contains("Rejections"));
        let quoted: Vec<&str> =
            rejections.flat_map(|line| line.split('`').skip(1).step_by(2)).collect();
        let codes =
            quoted.iter().filter(|word| word.contains('-') && !word.contains([' ', '>', '_', '.']));
        let mut codes =
            codes.filter(|word| !["verify-only", "hmac-sha256"].contains(word)).peekable();
        assert!(codes.peek().is_some(), "{interface}");
        codes.for_each(|code| assert!(known(code), "{interface} names `{code}`"));
    }
}

#[test]
fn the_ops_are_the_functions_of_the_interfaces() {
    let mut ops = vec!["describe".to_owned()];
    ops.extend(functions().into_iter().map(|(op, _)| op));
    assert_eq!(operation::OPS, ops);
    let described: Value = serde_json::from_str(&wire::call(r#"{"op":"describe"}"#)).unwrap();
    assert_eq!(described["ok"]["ops"], json!(operation::OPS));
}

#[test]
fn the_arguments_are_the_parameters() {
    for (op, parameters) in functions() {
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
fn a_key_and_a_statement_have_the_fields_of_their_types() {
    for (record, op, required) in [("key", "signing.sign", 5), ("statement", "signing.payload", 0)]
    {
        let fields = fields(record);
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

/// What the door says of the form of the arguments, if it is that which it refuses.
fn complaint(op: &str, args: &Map<String, Value>) -> Option<String> {
    let answer: Value =
        serde_json::from_str(&wire::call(&json!({"op": op, "args": args}).to_string())).unwrap();
    let message = answer["error"]["message"].as_str()?;
    message.starts_with("args: ").then(|| message.to_owned())
}

/// The arguments of an op, one of them given.
fn with(op: &str, name: &str, value: Map<String, Value>) -> Map<String, Value> {
    let functions = functions();
    let (_, parameters) = functions.iter().find(|(known, _)| known == op).unwrap();
    let mut args: Map<String, Value> =
        parameters.iter().map(|(name, of)| (name.clone(), sample(of))).collect();
    args.insert(name.to_owned(), value.into());
    args
}

/// A value of a WIT type.
fn sample(of: &str) -> Value {
    match of {
        "string" => "".into(),
        "unix-seconds" => 0.into(),
        "statement" | "key" => sample_record(of).into(),
        _ if of.starts_with("option<") => Value::Null,
        _ if of.starts_with("list<") => json!([]),
        other => panic!("a parameter has a type `{other}` that this test does not know"),
    }
}

fn sample_record(name: &str) -> Map<String, Value> {
    fields(name).into_iter().map(|(name, of)| (name, sample(&of))).collect()
}

/// Every function of the interfaces: its op, and its parameters with their types.
fn functions() -> Vec<(String, Vec<(String, String)>)> {
    let mut found = Vec::new();
    for (interface, text) in INTERFACES {
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
            if let Some((name, rest)) = line.split_once(": func(") {
                let parameters = rest.split_once(") -> ").unwrap().0;
                let parameters = parameters.split(", ").map(field).collect();
                found.push((format!("{interface}.{}", snake_case(name)), parameters));
            }
        }
    }
    found
}

/// The fields of a record in `types.wit`, with their types.
fn fields(record: &str) -> Vec<(String, String)> {
    let (_, body) = TYPES.split_once(&format!("record {record} {{")).unwrap();
    let (body, _) = body.split_once('}').unwrap();
    let lines = body.lines().map(|line| line.trim().trim_end_matches(','));
    lines.filter(|line| !line.is_empty()).map(field).collect()
}

fn field(text: &str) -> (String, String) {
    let (name, of) = text.split_once(": ").unwrap();
    (snake_case(name), of.to_owned())
}

fn snake_case(name: &str) -> String {
    name.trim_start_matches('%').replace('-', "_")
}
