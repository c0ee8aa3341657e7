//! Messages for names and functions that a condition does not have.

use std::collections::BTreeSet;

use super::Given;
use super::functions::{Type, functions};
use crate::near::{did_you_mean, nearest};
use crate::schema;

/// The variables of every condition.
const VARIABLES: [&str; 7] = ["agent", "action", "context", "plan", "facts", "now", "const"];
/// The macros, which the table of functions does not have.
const MACROS: [&str; 15] = [
    "has",
    "all",
    "exists",
    "exists_one",
    "existsOne",
    "map",
    "filter",
    "transformList",
    "transformMap",
    "optMap",
    "optFlatMap",
    "sortBy",
    "cel.bind",
    "math.greatest",
    "math.least",
];
/// Functions of other languages, and what a condition writes.
const OTHER_FUNCTIONS: [(&str, &str); 36] = [
    ("abs", "`math.abs(x)`"),
    ("any", "`x.exists(v, …)`"),
    ("ceil", "`math.ceil(x)`"),
    ("count", "`x.filter(v, …).size()`"),
    ("day", "`x.getDate()`"),
    ("dayofmonth", "`x.getDate()`"),
    ("dayofweek", "`x.getDayOfWeek()`"),
    ("floor", "`math.floor(x)`"),
    ("getday", "`x.getDayOfWeek()`"),
    ("getyear", "`x.getFullYear()`"),
    ("hour", "`x.getHours()`"),
    ("hours", "`x.getHours()`"),
    ("includes", "`x.contains(y)` for strings, `y in x` for lists"),
    ("indexof", "`x.indexOf(y)`"),
    ("isempty", "`x.size() == 0`"),
    ("len", "`size(x)`"),
    ("length", "`size(x)`"),
    ("lower", "`x.lowerAscii()`"),
    ("math.max", "`math.greatest(a, b)`"),
    ("math.min", "`math.least(a, b)`"),
    ("max", "`math.greatest(a, b)`"),
    ("min", "`math.least(a, b)`"),
    ("minute", "`x.getMinutes()`"),
    ("minutes", "`x.getMinutes()`"),
    ("month", "`x.getMonth()`"),
    ("regex", "`x.matches(\"…\")`"),
    ("round", "`math.round(x)`"),
    ("second", "`x.getSeconds()`"),
    ("seconds", "`x.getSeconds()`"),
    ("today", "`now`"),
    ("tolowercase", "`x.lowerAscii()`"),
    ("tostring", "`string(x)`"),
    ("touppercase", "`x.upperAscii()`"),
    ("transformmapentry", "`transformMap`"),
    ("weekday", "`x.getDayOfWeek()`"),
    ("year", "`x.getFullYear()`"),
];

const REQUESTER: &str = "the requester is `facts.requester`, which no agent can word";
const EXECUTOR: &str = "the executor is `facts.claimed_by`, at a claim";

/// Returns where the host says what a member of this name would say in the words of the agent.
pub(super) fn by_host(name: &str) -> Option<&'static str> {
    match name.to_ascii_lowercase().replace('_', "").as_str() {
        "requester" | "requestedby" | "requestor" => Some(REQUESTER),
        "claimedby" => Some(EXECUTOR),
        "facts" => Some("facts are read without `context`, as `facts.requester`"),
        _ => None,
    }
}

/// Returns the hint for a member that values of a type do not have; empty if there is none.
pub(super) fn member_hint(of: Type, name: &str) -> String {
    let is_read = match of {
        Type::Timestamp | Type::Duration => !name.eq_ignore_ascii_case("length"),
        Type::List | Type::String => true,
        _ => false,
    };
    let write = other_function(name).filter(|_| is_read);
    if of != Type::Timestamp && name == "size" {
        return ": write `size(x)`".to_owned();
    }
    write.map_or_else(String::new, |write| format!(": write {write}"))
}

/// Returns what a condition writes for a function of other languages.
fn other_function(name: &str) -> Option<&'static str> {
    let folded = name.to_ascii_lowercase().replace('_', "");
    OTHER_FUNCTIONS.iter().find(|(other, _)| *other == folded).map(|(_, write)| *write)
}

/// Returns the message for a name that is not declared.
///
/// A member of the context is never suggested for a word that asks who requests or who approves: the
/// agent wrote the context.
pub(super) fn undeclared<'l>(
    name: &str,
    locals: impl Iterator<Item = &'l str>,
    given: Given<'_>,
) -> String {
    if let Some(plain) = name.strip_prefix('.') {
        return format!("`.{plain}` begins with a dot: names are written without it");
    }
    let head = format!("`{name}` is not declared");
    let folded = name.to_ascii_lowercase().replace('_', "");
    let hint = match folded.as_str() {
        _ if by_host(name).is_some() => by_host(name).unwrap_or_default(),
        "user" | "username" | "caller" | "principal" | "subject" | "actor" | "identity" => {
            REQUESTER
        }
        "claimer" | "executor" => EXECUTOR,
        "approver" | "approvers" | "approvedby" | "approval" | "approvals" => {
            "rules are evaluated before anyone approves; a second pair of eyes is `threshold = 2` in the rule, and no requester approves their own request"
        }
        "true" | "false" => {
            return format!("{head}: write `{folded}`");
        }
        "none" | "nil" | "undefined" | "null" => {
            "an absent member is tested by `has(context.x)`, a null one by `== null`"
        }
        "time" | "date" | "today" | "timestamp" | "currenttime" => "the time is `now`",
        "cel" => "the only function of `cel` is `cel.bind(name, value, expression)`",
        _ => "",
    };
    if !hint.is_empty() {
        return format!("{head}: {hint}");
    }
    if given.constants.get(name).is_some() {
        return format!("{head} (did you mean `const.{name}`?)");
    }
    if schema::member(given.context, name).is_ok_and(|found| !found.specs.is_empty()) {
        return format!("{head} (did you mean `context.{name}`?)");
    }
    let known = VARIABLES.into_iter().chain(locals.filter(|local| !local.starts_with('@')));
    let near = did_you_mean(name, known.collect::<Vec<_>>());
    if !near.is_empty() {
        return format!("{head}{near}");
    }
    format!(
        "{head}, expected {}; what the agent says is a member of `context`, and a named value is `const.NAME`",
        VARIABLES.join(", ")
    )
}

/// Returns the message for a function that does not exist, called with so many arguments.
pub(super) fn no_function(name: &str, method: bool, arguments: usize) -> String {
    let head = format!("there is no function `{name}`");
    if MACROS.contains(&name) {
        return macro_form(name, arguments);
    }
    let folded = name.to_ascii_lowercase().replace('_', "");
    if VARIABLES.contains(&name) && !method {
        return format!("{head}: write `{name}`, without `()`");
    }
    if let Some(write) = other_function(name) {
        return format!("{head}: write {write}");
    }
    if ["and", "or", "not"].contains(&folded.as_str()) {
        let sign = match folded.as_str() {
            "and" => "&&",
            "or" => "||",
            _ => "!",
        };
        return format!("{head}: write `{sign}` for `{name}`");
    }
    let of_kind = functions().iter().filter(|function| function.method == method);
    let names: BTreeSet<&str> = of_kind.map(|function| function.name).chain(MACROS).collect();
    let near = nearest(name, names.iter().copied());
    let near = near.or_else(|| nearest(name, functions().iter().map(|function| function.name)));
    let near = near.map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"));
    format!("{head}{near}")
}

/// Returns the message for a macro with the wrong number of arguments.
fn macro_form(name: &str, arguments: usize) -> String {
    let form = match name {
        "has" => "has(context.x)".to_owned(),
        "cel.bind" => "cel.bind(name, value, expression)".to_owned(),
        "math.greatest" | "math.least" => format!("{name}(a, b, …)"),
        "transformList" | "transformMap" => format!("x.{name}(k, v, …)"),
        "all" | "exists" | "exists_one" | "existsOne" => {
            format!("x.{name}(v, …)` or `x.{name}(k, v, …)")
        }
        "optMap" | "optFlatMap" => format!("context.?x.{name}(v, …)"),
        _ => format!("x.{name}(v, …)"),
    };
    let arguments = match arguments {
        0 => "no argument".to_owned(),
        1 => "1 argument".to_owned(),
        count => format!("{count} arguments"),
    };
    format!("`{name}` is written `{form}`, got {arguments}")
}
