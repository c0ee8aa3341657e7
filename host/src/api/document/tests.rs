//! What the document must have of every route.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{COMMON, Code, EXAMPLES, PROBLEMS, ROUTES, document};

fn parsed() -> Value {
    serde_json::from_str(&document()).unwrap()
}

/// Every operation with its method and path.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (format!("{method} {path}"), operation))
    });
    operations.collect()
}

fn is_sentence(text: &Value) -> bool {
    text.as_str().is_some_and(|text| text.len() > 3)
}

#[test]
fn the_included_files_are_json_objects() {
    for text in [COMMON, EXAMPLES, PROBLEMS] {
        serde_json::from_str::<serde_json::Map<String, Value>>(text).unwrap();
    }
}

/// Ids become the names of methods of generated clients.
#[test]
fn operation_ids_are_unique_names_of_methods() {
    let document = parsed();
    let operations = operations(&document);
    let ids: BTreeSet<&str> =
        operations.iter().map(|(_, o)| o["operationId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), operations.len());
    assert_eq!(ids.len(), ROUTES.len());
    for id in ids {
        assert!(id.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{id}");
        let is_verb_and_noun = id.contains('_') || ["approve", "reject"].contains(&id);
        assert!(is_verb_and_noun, "{id}");
    }
}

#[test]
fn every_operation_is_described() {
    let document = parsed();
    let declared: BTreeSet<&str> = document["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["name"].as_str().unwrap())
        .collect();
    for (name, operation) in operations(&document) {
        assert!(is_sentence(&operation["summary"]), "{name} has a summary");
        assert!(is_sentence(&operation["description"]), "{name} has a description");
        assert!(declared.contains(operation["tags"][0].as_str().unwrap()), "{name} has a tag");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let is_common = parameter["$ref"].is_string();
            assert!(is_common || is_sentence(&parameter["description"]), "{name}: {parameter}");
        }
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(is_sentence(&response["description"]), "{name} {status} has a description");
            assert!(response["headers"]["X-Request-Id"].is_object(), "{name} {status}");
            for (media, content) in response["content"].as_object().unwrap() {
                assert!(content["schema"].is_object(), "{name} {status} {media} has a schema");
                let is_binary =
                    ["application/wasm", "application/octet-stream"].contains(&media.as_str());
                let has_example =
                    content["example"] != Value::Null || content["examples"].is_object();
                assert!(is_binary || has_example, "{name} {status} {media} has an example");
            }
        }
        let body = &operation["requestBody"]["content"]["application/json"];
        assert!(body.is_null() || !body["example"].is_null(), "{name}: an example of the body");
    }
}

#[test]
fn examples_are_of_operations_and_problems_of_codes() {
    let document = parsed();
    let operations = operations(&document);
    let examples: Value = serde_json::from_str(EXAMPLES).unwrap();
    for (id, of_id) in examples.as_object().unwrap() {
        let (_, operation) = operations.iter().find(|(_, o)| o["operationId"] == *id).unwrap();
        for part in of_id.as_object().unwrap().keys() {
            let part = part.split(' ').next().unwrap();
            let known = part == "request" || operation["responses"][part].is_object();
            assert!(known, "{id} has no {part}");
        }
    }
    let problems: Value = serde_json::from_str(PROBLEMS).unwrap();
    let problems: BTreeSet<&str> =
        problems.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(problems, Code::ALL.iter().map(|code| code.text).collect());
}

#[test]
fn answers_are_open_and_requests_are_closed() {
    let document = parsed();
    let schemas = &document["components"]["schemas"];
    for open in ["Approval", "Problem", "Evaluation", "ModuleInfo"] {
        assert_eq!(schemas[open]["additionalProperties"], true, "{open}");
    }
    for closed in ["ApprovalRequest", "TokenRequest", "NoMembers"] {
        assert_eq!(schemas[closed]["additionalProperties"], false, "{closed}");
    }
}
