//! `signoff policy schema` and the tools' lists of members, compared with what the rules engine accepts.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::support::Home;

fn schema(home: &Home) -> Value {
    serde_json::from_str(&home.run(&["policy", "schema"]).ok()).unwrap()
}

/// Returns the members that the engine accepts in the table to which `text` adds an unknown one: its
/// error names them.
fn accepted(home: &Home, text: &str) -> Vec<String> {
    home.file("probe.toml", text);
    let report = home.run(&["policy", "check", "--json", "probe.toml"]).exits(1).json();
    let problems = report["items"][0]["problems"].as_array().unwrap();
    let message = problems
        .iter()
        .filter_map(|problem| problem["message"].as_str())
        .find(|message| message.contains("`zz`"))
        .unwrap_or_else(|| panic!("{report}"));
    let (_, names) = message.split_once("expected one of ").unwrap();
    names.split(", ").map(|name| name.split_whitespace().next().unwrap().to_owned()).collect()
}

#[test]
fn the_schema_has_exactly_the_members_that_the_engine_accepts() {
    let home = Home::new();
    let schema = schema(&home);
    for (at, probe) in [
        ("/properties", "zz = 1\n"),
        ("/definitions/rule/properties", "[[rule]]\nzz = 1\n"),
        ("/definitions/test/properties", "[[test]]\nzz = 1\n"),
        (
            "/definitions/test/properties/requirement/properties",
            "[[test]]\nrequirement = { zz = 1 }\n",
        ),
    ] {
        let listed = schema.pointer(at).unwrap().as_object().unwrap();
        let listed: BTreeSet<String> = listed.keys().cloned().collect();
        let accepted: BTreeSet<String> = accepted(&home, probe).into_iter().collect();
        assert_eq!(listed, accepted, "{at}");
        // An editor shows what each one is.
        for (name, member) in schema.pointer(at).unwrap().as_object().unwrap() {
            assert!(member["description"].is_string(), "{at}/{name}");
        }
    }
    for open in [
        "/additionalProperties",
        "/definitions/rule/additionalProperties",
        "/definitions/test/additionalProperties",
    ] {
        assert_eq!(schema.pointer(open), Some(&Value::Bool(false)), "{open}");
    }
}

/// The formatter writes members in the order in which the engine lists them, so it knows each of them.
#[test]
fn the_formatter_knows_every_member_that_the_engine_accepts() {
    let home = Home::new();
    for (head, probe) in [
        ("", "zz = 1\n"),
        ("[[rule]]\n", "[[rule]]\nzz = 1\n"),
        ("[[test]]\n", "[[test]]\nzz = 1\n"),
    ] {
        let members = accepted(&home, probe);
        let lines = |members: &mut dyn Iterator<Item = &String>| -> String {
            members.map(|member| format!("{member} = 1\n")).collect()
        };
        // A file with an unknown member is no rules file.
        let unknown = if head.is_empty() { "" } else { "zz = 1\n" };
        let backwards = format!("{head}{unknown}{}", lines(&mut members.iter().rev()));
        let ran = home.run_with_input(&["policy", "fmt", "-"], &backwards).exits(0);
        assert_eq!(ran.out, format!("{head}{}{unknown}", lines(&mut members.iter())));
    }
}

/// Editors check included files and files of tests with the same schema. `tests/runners/policy` validates
/// files with it.
#[test]
fn the_schema_has_a_form_for_each_kind_of_file() {
    let schema = schema(&Home::new());
    let forms = schema["anyOf"].as_array().unwrap().iter();
    let required: Vec<String> = forms.map(|form| form["required"].to_string()).collect();
    assert_eq!(required, [r#"["format","name"]"#, r#"["const"]"#, r#"["test"]"#]);
    assert!(schema["required"].is_null());
}

#[test]
fn init_writes_the_schema_beside_the_rules_and_names_it() {
    let home = Home::new();
    let out = home.run(&["policy", "init", "mail.toml", "--schema"]).ok();
    assert!(out.starts_with("created mail.toml\ncreated signoff.schema.json\n"), "{out}");
    let rules = fs::read_to_string(home.path("mail.toml")).unwrap();
    assert!(rules.starts_with("#:schema ./signoff.schema.json\n"), "{rules}");
    assert_eq!(
        fs::read_to_string(home.path("signoff.schema.json")).unwrap(),
        home.run(&["policy", "schema"]).exits(0).out
    );
    home.run(&["policy", "check", "--deny-warnings", "mail.toml"]).ok();
    home.run(&["policy", "fmt", "--check", "mail.toml"]).ok();
    // Without the option, neither.
    home.run(&["policy", "init", "other.toml"]).ok();
    assert!(!fs::read_to_string(home.path("other.toml")).unwrap().contains("#:schema"));
    home.run(&["policy", "schema", "-o", "s.json"]).ok();
    assert!(home.path("s.json").exists());
}
