//! The OpenAPI document. Handlers describe their operation: path, id, arguments and successful
//! answers. The rest is declared once, here: security, headers, idempotency keys, refusals and
//! examples, for every route of the table.

mod refusals;

use serde_json::{Map, Value, json};

use super::routes::{self, Access, ROUTES, Route};
use crate::code::Code;
use refusals::Takes;

type Object = Map<String, Value>;

/// Parts of the document that do not depend on the routes: OpenAPI, merged into it.
const COMMON: &str = include_str!("common.json");
/// An example of a request and of each answer of an operation, by its id.
const EXAMPLES: &str = include_str!("examples.json");
/// An example of `detail` for each code.
const PROBLEMS: &str = include_str!("problems.json");

/// Returns the OpenAPI document, JSON. A test compares it with a golden copy, so that every change
/// is noticed.
pub fn document() -> String {
    let mut document = serde_json::to_value(routes::described()).unwrap_or_default();
    merge(&mut document, parsed(COMMON));
    open_answers(&mut document);
    let examples = parsed(EXAMPLES);
    let mut codes = Vec::new();
    for route in ROUTES {
        let path = route.path.replace('~', "~0").replace('/', "~1");
        let operation = format!("/paths/{path}/{}", route.method.to_ascii_lowercase());
        if let Some(Value::Object(operation)) = document.pointer_mut(&operation) {
            codes.extend(complete(route, operation, &examples));
        }
    }
    codes.sort_unstable_by_key(|code| code.text);
    codes.dedup();
    declare_problems(&mut document, &codes);
    serde_json::to_string_pretty(&document).unwrap_or_default()
}

/// Completes an operation by what its route and its kind decide; returns its codes.
fn complete(route: &Route, operation: &mut Object, examples: &Value) -> Vec<Code> {
    let id = operation.get("operationId").and_then(Value::as_str).unwrap_or_default().to_owned();
    let takes = Takes {
        body: operation.contains_key("requestBody"),
        key: takes_key(route, &id),
        query: operation.get("parameters").is_some_and(has_query),
    };
    secure(route, operation);
    if takes.key
        && let Some(parameters) = list(operation, "parameters")
    {
        parameters.push(reference("parameters", "IdempotencyKey"));
    }
    if let Some(content) = operation.get_mut("requestBody").and_then(|body| body.get_mut("content"))
    {
        exemplify(content, &examples[&id], "request");
    }
    let Some(Value::Object(responses)) = operation.get_mut("responses") else { return Vec::new() };
    responses.retain(|status, _| status.starts_with('2'));
    for (status, response) in responses.iter_mut() {
        let Some(response) = response.as_object_mut() else { continue };
        if let Some(content) = response.get_mut("content") {
            exemplify(content, &examples[&id], status);
        }
        let mut headers = json!({ "X-Request-Id": reference("headers", "RequestId") });
        if status == "201"
            && ["request_approval", "push_module", "submit_access_request"].contains(&id.as_str())
        {
            merge(&mut headers, json!({ "Location": reference("headers", "Location") }));
        }
        if ["get_index", "get_metrics"].contains(&id.as_str()) {
            merge(&mut headers, json!({ "Vary": reference("headers", "Vary") }));
        }
        if takes.key {
            let replayed = reference("headers", "IdempotencyReplayed");
            merge(&mut headers, json!({ "Idempotency-Replayed": replayed }));
        }
        response.insert("headers".to_owned(), headers);
    }
    let refusals = refusals::of(route, &id, takes);
    for (status, codes) in &refusals {
        responses.insert(status.to_string(), refusal(*status, codes));
    }
    refusals.into_values().flatten().collect()
}

/// Returns whether an operation takes an idempotency key: every change of a row does.
fn takes_key(route: &Route, id: &str) -> bool {
    let changes_no_row = ["verify_approval", "back_up_store", "compact_store"];
    route.method == "POST" && !changes_no_row.contains(&id)
}

fn has_query(parameters: &Value) -> bool {
    let own = |parameter: &Value| matches!(parameter["in"].as_str(), Some("query" | "header"));
    parameters.as_array().is_some_and(|all| all.iter().any(own))
}

/// Declares who may call an operation.
fn secure(route: &Route, operation: &mut Object) {
    let (security, who) = match route.access {
        Access::Everyone => (json!([]), "Open to everyone.".to_owned()),
        Access::Roles(roles) => {
            let roles: Vec<String> = roles.iter().map(|role| format!("`{role}`")).collect();
            (json!([{ "bearer": [] }, {}]), format!("Requires the role {}.", roles.join(" or ")))
        }
    };
    operation.insert("security".to_owned(), security);
    let described = operation.get("description").and_then(Value::as_str).unwrap_or_default();
    let described = format!("{described}\n\n{who}").trim_start().to_owned();
    operation.insert("description".to_owned(), described.into());
}

/// Returns the response of a refusal with one of the codes.
fn refusal(status: u16, codes: &[Code]) -> Value {
    let named = codes.iter().map(|code| (code.text.to_owned(), reference("examples", code.text)));
    let texts: Vec<String> = codes.iter().map(|code| format!("`{}`", code.text)).collect();
    let mut headers = json!({ "X-Request-Id": reference("headers", "RequestId") });
    match status {
        401 => merge(
            &mut headers,
            json!({ "WWW-Authenticate": reference("headers", "WwwAuthenticate") }),
        ),
        429 | 503 => {
            merge(&mut headers, json!({ "Retry-After": reference("headers", "RetryAfter") }));
        }
        _ => {}
    }
    json!({
        "description": texts.join(", "),
        "headers": headers,
        "content": { "application/problem+json": {
            "schema": reference("schemas", "Problem"),
            "examples": named.collect::<Object>(),
        } },
    })
}

/// Adds the list of all codes, and an example of a problem for each that an operation has.
fn declare_problems(document: &mut Value, used: &[Code]) {
    let details = parsed(PROBLEMS);
    let example = |code: &Code| {
        let problem = json!({
            "title": code.title,
            "status": code.status,
            "detail": details.get(code.text),
            "code": code.text,
        });
        (code.text.to_owned(), json!({ "summary": code.title, "value": problem }))
    };
    let examples: Object = used.iter().map(example).collect();
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.text).collect();
    merge(
        document,
        json!({ "components": {
            "examples": examples,
            "schemas": { "Problem": { "properties": { "code": {
                "x-extensible-enum": codes,
                "examples": ["already-executed"],
            } } } },
        } }),
    );
}

/// Declares that answers may have more members than are described. Requests are closed already.
fn open_answers(document: &mut Value) {
    let Some(Value::Object(schemas)) = document.pointer_mut("/components/schemas") else { return };
    for schema in schemas.values_mut().filter_map(Value::as_object_mut) {
        if schema.contains_key("properties") {
            schema.entry("additionalProperties").or_insert(Value::Bool(true));
        }
    }
}

/// Sets the example of each media type: that of its name if there is one, else that of the part.
fn exemplify(content: &mut Value, examples: &Value, part: &str) {
    for (name, media) in content.as_object_mut().into_iter().flatten() {
        let named = examples.get(format!("{part} {name}")).or_else(|| examples.get(part));
        if let Some(example) = named {
            merge(media, json!({ "example": example }));
        }
    }
}

fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

fn list<'a>(operation: &'a mut Object, name: &str) -> Option<&'a mut Vec<Value>> {
    operation.entry(name).or_insert_with(|| json!([])).as_array_mut()
}

/// Merges the members of an object into another one, at every depth.
fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (name, value) in more {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more,
    }
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

#[cfg(test)]
mod tests;
