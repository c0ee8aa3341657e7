//! `signoff module` on the command line, over a store file and over a server.

use std::fs;

use serde_json::Value;
use signoff::engine::{VERIFIER_DIGEST, digest};

use crate::support::Home;
use crate::support::modules::Core;

/// Returns a home with a key for policies, and a good module in each `NAME.wasm`.
fn home_with(modules: &[(&str, u64)]) -> Home {
    let home = Home::new();
    home.run(&["key", "generate", "--use", "module", "--slot", "policy", "--id", "team"]).ok();
    for (name, version) in modules {
        let wasm = Core::deciding("allow", name).component();
        fs::write(home.path(&format!("{name}.wasm")), wasm).unwrap();
        let (file, version) = (format!("{name}.wasm"), version.to_string());
        let sign = [
            "module",
            "sign",
            &file,
            "--slot",
            "policy",
            "--name",
            "rules",
            "--version",
            &version,
            "--key",
            "team",
        ];
        home.run(&sign).ok();
    }
    home
}

#[test]
fn a_team_signs_pushes_activates_and_rolls_back() {
    let home = home_with(&[("first", 1), ("second", 2)]);
    let first = home.run(&["module", "push", "first.wasm"]).ok();
    assert_eq!(first, digest(&fs::read(home.path("first.wasm")).unwrap()));
    assert_eq!(home.run(&["module", "activate", &first[..8]]).ok(), format!("policy\t{first}"));
    let activated = home.run(&["module", "push", "second.wasm", "--activate", "--json"]).exits(0);
    let second = activated.json()["active"].as_str().unwrap().to_owned();
    let tail = home.run(&["audit", "tail"]).ok();
    assert!(
        tail.contains(&format!("\tmodule_activated\tpolicy {first} rules version 1\t")),
        "{tail}"
    );
    let list = home.run(&["module", "list"]).ok();
    for row in [
        format!(
            "verifier\tactive\tbuilt-in\t-\tbuilt in\t{}\t{VERIFIER_DIGEST}",
            signoff::engine::VERIFIER.len()
        ),
        "policy\tactive\trules\t2\tteam\t".to_owned(),
        "policy\tprevious\trules\t1\tteam\t".to_owned(),
    ] {
        assert!(list.contains(&row), "{row}\n{list}");
    }
    let evaluated = ["evaluate", "--agent", "a", "--action", "b", "--context", "{}", "--json"];
    assert_eq!(home.run(&evaluated).json()["rule"], "second");
    home.run(&["module", "rollback", "policy"]).exits(2);
    let rollback = ["module", "rollback", "policy", "--reason", "as it was"];
    assert_eq!(home.run(&rollback).ok(), format!("policy\t{first}"));
    assert_eq!(home.run(&evaluated).json()["rule"], "first");
    let inspect = home.run(&["module", "inspect", &first]).ok();
    assert!(inspect.contains("rolled_back by admin: as it was"), "{inspect}");
    home.run(&["module", "remove", &first]).exits(3);
    let back = ["module", "rollback", "policy", "--reason", "x", "--to", &second[..10]];
    home.run(&back).ok();
    home.run(&["module", "export", "policy", "-o", "out.wasm"]).ok();
    assert_eq!(digest(&fs::read(home.path("out.wasm")).unwrap()), second);
    home.run(&["module", "shadow", &first]).ok();
    home.run(&["module", "flips"]).ok();
    home.run(&["module", "unshadow"]).ok();
}

#[test]
fn a_module_that_was_signed_for_another_deployment_is_refused() {
    let home = home_with(&[("rules", 1)]);
    let sign = |audiences: &[&str]| {
        let mut sign = vec!["module", "sign", "rules.wasm", "--slot", "policy", "--name", "rules"];
        sign.extend(["--version", "1", "--key", "team"]);
        sign.extend(audiences.iter().flat_map(|audience| ["--audience", audience]));
        home.run(&sign)
    };
    sign(&["staging", "Default"]).ok();
    let refused = home.run(&["module", "push", "rules.wasm", "--activate", "--json"]).exits(3);
    assert_eq!(refused.json()["code"], "audience-mismatch", "{}", refused.out);
    assert!(refused.json()["detail"].to_string().contains("Default, staging"));
    assert!(!home.run(&["module", "list"]).ok().contains("policy\t"), "nothing is stored");
    sign(&["staging", "default"]).ok();
    let digest = home.run(&["module", "push", "rules.wasm", "--activate"]).ok();
    let digest = digest.rsplit('\t').next().unwrap();
    let inspect = home.run(&["module", "inspect", digest]).ok();
    assert!(inspect.contains("audience   [\"default\",\"staging\"]"), "{inspect}");
    let policy = |doctor: &str| {
        doctor.lines().find(|line| line.contains("rules version 1")).unwrap().to_owned()
    };
    let doctor = home.run(&["doctor"]);
    assert!(policy(&doctor.out).starts_with("ok"), "{}", doctor.out);
    // Another audience does not make another module of it.
    let unnamed = sign(&[]);
    assert!(unnamed.err.contains("for any deployment"), "{}", unnamed.err);
    home.run(&["module", "push", "rules.wasm"]).ok();
    let doctor = home.run(&["doctor"]);
    let found = policy(&doctor.out);
    assert!(found.starts_with("weak") && found.contains("for any deployment"), "{found}");
    sign(&["a b"]).exits(3);
}

#[test]
fn a_faulty_module_or_key_is_refused_before_signing() {
    let home = home_with(&[]);
    let wasm = Core::deciding("allow", "first").core();
    fs::write(home.path("core.wasm"), wasm).unwrap();
    let sign = |file: &str, more: &[&str]| {
        let sign = [
            "--json",
            "module",
            "sign",
            file,
            "--slot",
            "policy",
            "--name",
            "rules",
            "--version",
            "1",
        ];
        home.run(&[&sign, more].concat())
    };
    assert_eq!(sign("core.wasm", &["--key", "team"]).exits(3).json()["code"], "module-invalid");
    assert!(!home.path("core.wasm.dsse.json").exists());
    fs::write(home.path("good.wasm"), Core::deciding("allow", "good").component()).unwrap();
    let missing = sign("good.wasm", &["--key", "nobody"]).exits(1);
    assert!(missing.err.contains("signoff key generate --use module"), "{missing:?}");
    sign("missing.wasm", &["--key", "team"]).exits(1);
    let much = sign("good.wasm", &["--key", "team", "--fuel", "99999999999999"]).exits(3);
    assert_eq!(much.json()["code"], "limit-exceeded");
    home.run(&["key", "generate", "--use", "module"]).exits(2);
    home.run(&["key", "generate", "--slot", "policy"]).exits(2);
    home.run(&["key", "retire", "team"]).ok();
    sign("good.wasm", &["--key", "team"]).exits(1);
}

#[test]
fn without_a_store_the_list_has_the_built_in_verifier() {
    let home = Home::new();
    let list = home.run(&["--json", "module", "list"]).exits(0).json();
    assert_eq!(list["items"][0]["digest"], VERIFIER_DIGEST);
    assert_ne!(list["items"][0]["describe"], Value::Null);
    assert!(home.run(&["module", "list"]).ok().contains("built in"));
    home.run(&["module", "inspect", "0000"]).exits(1);
}
