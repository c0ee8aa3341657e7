//! Settings of a server: flags, variables and the file; `signoff config`.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Authority, Home, Ran, SECRET, Server, private};

const SERVE: &[&str] = &["serve", "--json"];

/// Returns what a server prints about itself; messages may come before it.
fn facts(server: &Server) -> Value {
    let printed = server.printed();
    let mut lines = printed.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.find(|line| line["url"].is_string()).expect(&printed)
}

fn urls(server: &Server) -> Vec<String> {
    let facts = facts(server);
    let further = facts["further_urls"].as_array().unwrap().iter();
    let all = std::iter::once(&facts["url"]).chain(further);
    all.map(|url| url.as_str().unwrap().to_owned()).collect()
}

/// Returns one setting of `config show --json`: its value and its source.
#[track_caller]
fn shown(command: &mut Command, name: &str) -> (Value, String) {
    let shown = Ran::of(command).exits(0).json()["settings"][name].clone();
    (shown["value"].clone(), shown["source"].as_str().unwrap().to_owned())
}

#[test]
fn flags_precede_variables_and_variables_the_file() {
    let home = Home::new();
    home.file("signoff.toml", "[server]\nlisten = [\"127.0.0.1:0\", \"unix:file.sock\"]\n");
    let server = Server::start_with(home.signoff(SERVE));
    let of_file = urls(&server);
    assert!(of_file[0].starts_with("http://127.0.0.1:"), "{of_file:?}");
    assert!(of_file.len() == 2 && of_file[1].ends_with("file.sock"), "{of_file:?}");
    server.stop();
    let mut command = home.signoff(SERVE);
    command.env("SIGNOFF_LISTEN", "127.0.0.1:0,unix:variable.sock");
    let server = Server::start_with(command);
    let of_variable = urls(&server);
    assert!(of_variable.len() == 2 && of_variable[1] == "unix:variable.sock", "{of_variable:?}");
    server.stop();
    let mut command = home.signoff(SERVE);
    command.args(["--listen", "127.0.0.1:0"]).env("SIGNOFF_LISTEN", "unix:variable.sock");
    let server = Server::start_with(command);
    assert_eq!(urls(&server).len(), 1, "lists are not merged");
}

/// Moving a setting from a flag to the file weakens nothing: the audit log has its value.
#[test]
fn tls_and_the_witness_may_move_from_flags_to_the_file() {
    let home = Home::new();
    let authority = Authority::new("an authority of a test");
    authority.file(&home);
    authority.issue("127.0.0.1").install(&home);
    fs::create_dir(home.path("elsewhere")).unwrap();
    let flags = [
        "--listen",
        "127.0.0.1:0",
        "--tls-cert",
        "cert.pem",
        "--tls-key",
        "key.pem",
        "--witness",
        "elsewhere/witness",
        "--new-witness",
        "--create-store",
    ];
    Server::start_with(home.signoff(&[SERVE, &flags].concat())).stop();
    // Relative to the file, and not to the folder in which the server starts.
    fs::create_dir(home.path("etc")).unwrap();
    home.file(
        "etc/signoff.toml",
        "[server]\nlisten = [\"localhost:0\"]\n[tls]\ncert = \"../cert.pem\"\nkey = \"../key.pem\"\n[witness]\nfile = \"../elsewhere/witness\"\n",
    );
    let mut command = home.signoff(SERVE);
    command.env("SIGNOFF_CONFIG", "etc/signoff.toml");
    let server = Server::start_with(command);
    assert!(urls(&server).iter().all(|url| url.starts_with("https://")), "{:?}", urls(&server));
    server.stop();
    // Without the file the listener is another one.
    let ran = home.run(&[SERVE, &["--listen", "127.0.0.1:0"]].concat()).exits(1);
    assert!(ran.err.contains("witness") || ran.err.contains("listener was"), "{ran:?}");
}

#[test]
fn a_named_file_names_the_store_and_the_keyring() {
    let home = Home::new();
    fs::create_dir_all(home.path("var")).unwrap();
    fs::create_dir_all(home.path("etc")).unwrap();
    home.file(
        "etc/signoff.toml",
        "[store]\nfile = \"../var/a.redb\"\n[keys]\nfile = \"../var/a.keys.json\"\n",
    );
    let named = |arguments: &[&str]| {
        let mut command = home.signoff(arguments);
        command.env("SIGNOFF_CONFIG", "etc/signoff.toml").env_remove("SIGNOFF_HMAC_SECRET");
        Ran::of(&mut command)
    };
    named(&["init", "--audience", "prod"]).ok();
    assert!(home.path("var/a.redb").exists() && home.path("var/a.keys.json").exists());
    assert!(!home.store().exists());
    assert!(named(&["key", "list"]).ok().contains("log-"));
    assert!(named(&["doctor"]).out.contains("audience prod"));
    // A flag names another store; one that is merely found may not name any.
    let ran = named(&["--store", "other.redb", "list"]).exits(1);
    assert!(ran.err.contains("other.redb"), "{ran:?}");
    home.file("signoff.toml", "[store]\nfile = \"var/a.redb\"\n");
    let ran = home.run(&["list"]).exits(1);
    assert!(ran.err.contains("store.file is only accepted in a file named by --config"), "{ran:?}");
    // A command acts on nothing if the file that names it cannot be read.
    home.file("etc/signoff.toml", "[keys]\nfil = \"../var/a.keys.json\"\n");
    let ran = named(&["key", "generate"]).exits(1);
    assert!(ran.err.contains("etc/signoff.toml:2:1: unknown setting `keys.fil`"), "{ran:?}");
    assert!(!home.path("signoff.keys.json").exists());
}

/// In a file, a variable or a unit it would weaken every later start.
#[test]
fn only_a_flag_accepts_what_weakens_a_start() {
    let home = Home::new();
    fs::create_dir(home.path("elsewhere")).unwrap();
    home.file("signoff.toml", "[witness]\nfile = \"elsewhere/witness\"\n");
    let mut command = home.signoff(&[SERVE, &["--listen", "127.0.0.1:0"]].concat());
    for flag in
        ["NEW_WITNESS", "ACCEPT_ROLLBACK", "ACCEPT_UNSIGNED", "CREATE_STORE", "ACCEPT_CLOCK"]
    {
        command.env(format!("SIGNOFF_{flag}"), "true");
    }
    let ran = Ran::of(&mut command).exits(1);
    assert!(ran.err.contains("create the first witness of a store"), "{ran:?}");
    for line in
        ["new_witness = true", "[server]\naccept_rollback = true", "[witness]\naccept-clock = 1"]
    {
        home.file("signoff.toml", line);
        let ran = home.run(SERVE).exits(1);
        assert!(ran.err.contains("is not a setting: it would weaken every start"), "{ran:?}");
    }
    home.file("signoff.toml", "");
    for flag in ["--new-witness", "--accept-rollback"] {
        let ran = home.run(&[SERVE, &[flag]].concat()).exits(2);
        assert!(ran.err.contains(&format!("{flag} needs a witness")), "{ran:?}");
    }
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let home = Home::new();
    let mut command = home.signoff(&[SERVE, &["--listen", "127.0.0.1:0"]].concat());
    let names = [
        "LISTEN",
        "BEHIND_PROXY",
        "AUDIENCE",
        "TLS_CERT",
        "TLS_KEY",
        "WITNESS",
        "QUIET",
        "STORE",
        "KEYRING",
        "CONFIG",
        "SERVER",
        "TOKEN",
        "TOKEN_FILE",
        "CA",
    ];
    for name in names {
        command.env(format!("SIGNOFF_{name}"), "");
    }
    Server::start_with(command).stop();
    let mut show = home.signoff(&["config", "show", "--json"]);
    show.env("SIGNOFF_LISTEN", "");
    assert_eq!(
        shown(&mut show, "server.listen"),
        (json!(["127.0.0.1:8787"]), "default".to_owned())
    );
}

#[test]
fn a_wrong_value_names_its_flag_or_variable() {
    let home = Home::new();
    for (variable, value, says) in [
        ("SIGNOFF_LISTEN", "8443", "`127.0.0.1:8443` is for this machine only"),
        ("SIGNOFF_LISTEN", "127.0.0.1:1,,", "expected `127.0.0.1:8787`"),
        ("SIGNOFF_BEHIND_PROXY", "maybe", "expected `true` or `false`"),
        ("SIGNOFF_AUDIENCE", "a b", "printable ASCII"),
    ] {
        for arguments in [&["serve"][..], &["config", "check"]] {
            let mut command = home.signoff(arguments);
            command.env(variable, value);
            let ran = Ran::of(&mut command).exits(2);
            assert!(ran.err.contains(variable) && ran.err.contains(says), "{ran:?}");
        }
    }
    for (address, says) in [
        ("8443", "is a port without an address"),
        ("localhost", "has no port, as in `localhost:8787`"),
        ("http://localhost:1", "leave out the scheme"),
        ("::1:80", "in brackets"),
    ] {
        let ran = home.run(&["serve", "--listen", address]).exits(2);
        assert!(ran.err.contains("--listen") && ran.err.contains(says), "{ran:?}");
    }
    let ran = home.run(&["serve", "--listen", "no-such-name.invalid:1"]).exits(1);
    assert!(ran.err.contains("cannot listen on `no-such-name.invalid:1`"), "{ran:?}");
    assert!(!home.store().exists(), "nothing is created");
}

#[test]
fn every_address_needs_tokens_and_tls() {
    let home = Home::new();
    let ran = home.run(&["serve", "--listen", ":0"]).exits(1);
    assert!(ran.err.contains("refusing to listen on `:0`") && ran.err.contains("admin"), "{ran:?}");
    let server = Server::start_with(home.signoff(&[SERVE, &["--listen", "localhost:0"]].concat()));
    assert!(
        urls(&server)
            .iter()
            .all(|url| url.starts_with("http://127.") || url.starts_with("http://[::1]"))
    );
    server.request();
}

#[test]
fn a_store_keeps_its_audience() {
    let home = Home::new();
    let with = |audience: &str| {
        home.signoff(&[SERVE, &["--listen", "127.0.0.1:0", "--audience", audience]].concat())
    };
    Server::start_with(with("prod")).stop();
    Server::start_with(with("prod")).stop();
    Server::start_with(home.signoff(&[SERVE, &["--listen", "127.0.0.1:0"]].concat())).stop();
    let ran = Ran::of(&mut with("test")).exits(1);
    assert!(ran.err.contains("is `prod`, not `test`"), "{ran:?}");
}

#[test]
fn config_check_reports_every_fault_with_its_place() {
    let home = Home::new();
    home.file(
        "signoff.toml",
        "[server]\nlisen = [\"localhost:1\"]\n[signature]\naccept = [\"v2\"]\n[requirement]\nthreshold = \"2\"\n[witness]\nnew_witness = true\n",
    );
    let ran = home.run(&["config", "check"]).exits(1);
    for line in [
        "BAD   settings  ./signoff.toml:2:1: unknown setting `server.lisen`, did you mean `server.listen`?",
        "BAD   settings  ./signoff.toml:3:2: unknown table `signature`, did you mean `signatures`?",
        "BAD   settings  ./signoff.toml:6:13: requirement.threshold is a string, expected a number from 1 to 16",
        "BAD   settings  ./signoff.toml:8:1: `new_witness` is not a setting",
    ] {
        assert!(ran.out.contains(line), "{line}: {ran:?}");
    }
    let json = home.run(&["config", "check", "--json"]).exits(1).json();
    assert_eq!(json["good"], false);
    let places: Vec<_> =
        json["problems"].as_array().unwrap().iter().map(|p| p["line"].clone()).collect();
    assert_eq!(places, [2, 3, 6, 8]);
    // `serve` says the same.
    let refused = home.run(SERVE).exits(1);
    assert!(
        refused.err.contains("4 problems") && refused.err.contains("./signoff.toml:8:1"),
        "{refused:?}"
    );
    home.file("signoff.toml", "[server\n");
    let ran = home.run(&["config", "check"]).exits(1);
    assert!(ran.out.contains("./signoff.toml:1:") && ran.out.contains("not TOML"), "{ran:?}");
    for word in ["toml::", "serde", "DeTable", "u32", "usize"] {
        assert!(!ran.out.contains(word), "{ran:?}");
    }
    let ran = home.run(&["config", "check", "--config", "missing.toml"]).exits(1);
    assert!(ran.out.contains("missing.toml"), "{ran:?}");
}

#[test]
fn config_check_looks_at_the_files_that_the_settings_name() {
    let home = Home::new();
    let authority = Authority::new("an authority of a test");
    let issued = authority.issue("127.0.0.1");
    issued.install(&home);
    private(&home, "other.pem", &authority.issue("127.0.0.1").key);
    home.file("open.pem", &issued.key);
    home.file("bom.pem", &format!("\u{feff}{}", issued.certificate));
    let check = |text: &str| {
        home.file("signoff.toml", text);
        let ran = home.run(&["config", "check"]);
        assert!(!home.store().exists() && !ran.err.contains("panicked"), "{ran:?}");
        issued.assert_hidden(&ran.out);
        ran
    };
    let tls = |cert: &str, key: &str| format!("[tls]\ncert = \"{cert}\"\nkey = \"{key}\"\n");
    for (text, says) in [
        (tls("missing.pem", "key.pem"), "TLS certificate `missing.pem`: No such file"),
        (tls("key.pem", "cert.pem"), "are the two files exchanged?"),
        (tls("bom.pem", "key.pem"), "begins with a byte order mark"),
        (tls("cert.pem", "open.pem"), "must be a file of mode 0600"),
        (tls("cert.pem", "other.pem"), "does not match the first certificate"),
        ("[tls]\ncert = \"cert.pem\"\n".to_owned(), "tls.cert (line 2) without tls.key"),
        ("[server]\nlisten = [\":1\"]\n".to_owned(), "refusing to listen on `:1`"),
        ("[server]\nlisten = [\"no-such-name.invalid:1\"]\n".to_owned(), "cannot listen on"),
        ("[witness]\nfile = \"missing/witness\"\n".to_owned(), "witness `missing/witness`"),
    ] {
        let ran = check(&text).exits(1);
        assert!(ran.out.contains(says), "{says}: {ran:?}");
    }
    let good = tls("cert.pem", "key.pem") + "[server]\nlisten = [\":1\"]\n";
    let ran = check(&good).exits(0);
    assert!(ran.out.contains("ok    TLS") && ran.out.contains("weak  witness"), "{ran:?}");
    assert!(ran.out.contains("weak  accept") && ran.out.contains("weak  approvers"), "{ran:?}");
    // Others who can write the file choose the settings.
    Ran::of(home.program("chmod").args(["go+w", "signoff.toml"])).ok();
    assert!(home.run(&["config", "check"]).exits(1).out.contains("other users can change it"));
    // Its flags are those of `serve`.
    fs::remove_file(home.path("signoff.toml")).unwrap();
    let ran = home.run(&["config", "check", "--tls-cert", "cert.pem", "--tls-key", "other.pem"]);
    assert!(ran.exits(1).out.contains("does not match"));
}

#[test]
fn config_show_names_the_source_of_each_setting() {
    let home = Home::new();
    home.file(
        "named.toml",
        "[server]\naudience = \"prod\"\n[keys]\ncommand = [\"/bin/echo\", \"hunter2\"]\n",
    );
    let command = || {
        let mut command = home.signoff(&["config", "show", "--json", "--config", "named.toml"]);
        command.args(["--listen", "localhost:1"]).env("SIGNOFF_QUIET", "yes");
        command
    };
    let from = |source: &str| source.to_owned();
    assert_eq!(
        shown(&mut command(), "server.listen"),
        (json!(["localhost:1"]), from("command-line"))
    );
    assert_eq!(shown(&mut command(), "log.quiet"), (json!(true), from("environment")));
    assert_eq!(shown(&mut command(), "server.audience"), (json!("prod"), from("file")));
    assert_eq!(shown(&mut command(), "quotas.pending"), (json!(1000), from("default")));
    assert_eq!(shown(&mut command(), "tls.cert"), (json!(null), from("default")));
    for arguments in [&["config", "show"][..], &["config", "show", "--json"], &["config", "check"]]
    {
        let mut command = home.signoff(arguments);
        let ran = Ran::of(command.args(["--config", "named.toml"]));
        for secret in ["hunter2", SECRET] {
            assert!(!ran.out.contains(secret) && !ran.err.contains(secret), "{ran:?}");
        }
        assert!(ran.out.contains("/bin/echo") || arguments[1] == "check", "{ran:?}");
    }
    let table = home.run(&["config", "show", "--config", "named.toml"]).ok();
    assert!(table.contains("server.audience\tprod\tnamed.toml:2:12"), "{table}");
    assert!(!home.store().exists());
}

#[test]
fn the_example_is_a_settings_file() {
    let home = Home::new();
    let example = home.run(&["config", "example"]).ok();
    home.file("example.toml", &example);
    home.run(&["config", "check", "--config", "example.toml"]).exits(0);
    assert!(example.contains("#listen = ") && !example.contains("accept_"), "{example}");
}

#[test]
fn doctor_checks_the_certificate_of_the_settings() {
    let home = Home::new();
    let authority = Authority::new("an authority of a test");
    authority.issue_until("127.0.0.1", (2021, 1, 1)).install(&home);
    home.file("signoff.toml", "[tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"\n");
    let ran = home.run(&["doctor"]).exits(1);
    assert!(ran.out.contains("BAD   TLS") && ran.out.contains("expired at 2021-01-01"), "{ran:?}");
}

#[test]
fn config_check_finds_listeners_that_cannot_be_bound() {
    let home = Home::new();
    home.run(&["init"]).ok();
    home.file("plain", "");
    let long = format!("unix:{}", "x".repeat(120));
    for (listen, why) in [
        (vec!["127.0.0.1:18940", "127.0.0.1:18940"], "given more than once"),
        (vec!["unix:a", "unix:a"], "given more than once"),
        (vec![long.as_str()], "path"),
        (vec!["unix:plain"], "not a socket"),
    ] {
        let flags = listen.iter().flat_map(|listen| ["--listen", listen]);
        let check: Vec<&str> = ["config", "check"].into_iter().chain(flags).collect();
        let ran = home.run(&check).exits(1);
        assert!(ran.out.contains(why), "{ran:?}");
    }
    home.run(&["config", "check", "--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"]).ok();
}

#[test]
fn a_setting_forges_no_line_of_a_check() {
    let home = Home::new();
    home.run(&["init"]).ok();
    let forged = "[tls]\ncert = \"x\\nok    TLS       valid until 2099\"\nkey = \"k\"\n";
    home.file("signoff.toml", forged);
    let ran = home.run(&["config", "check"]).exits(1);
    assert!(ran.out.contains("valid until 2099"), "{ran:?}");
    assert!(!ran.out.lines().any(|line| line.starts_with("ok    TLS")), "{ran:?}");
}

#[test]
fn a_link_to_a_missing_settings_file_is_not_an_absent_file() {
    let home = Home::new();
    home.run(&["init"]).ok();
    std::os::unix::fs::symlink("/nowhere/signoff.toml", home.path("signoff.toml")).unwrap();
    home.run(&["config", "check"]).exits(1);
    let refused = Ran::of(&mut home.signoff(&["serve", "--listen", "127.0.0.1:0"])).exits(1);
    assert!(refused.err.contains("signoff.toml"), "{refused:?}");
}

#[test]
fn a_certificate_that_is_a_pipe_is_refused_without_waiting() {
    let home = Home::new();
    home.run(&["init"]).ok();
    assert!(Command::new("mkfifo").arg(home.path("pipe")).status().unwrap().success());
    private(&home, "key.pem", "");
    let ran = home.run(&["config", "check", "--tls-cert", "pipe", "--tls-key", "key.pem"]).exits(1);
    assert!(ran.out.contains("not a file"), "{ran:?}");
}

#[test]
fn paths_that_are_not_utf8_are_shown_as_json() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let home = Home::new();
    let folder = home.path(".").join(OsStr::from_bytes(b"g\xff"));
    fs::create_dir(&folder).unwrap();
    let with_store = |arguments: &[&str]| {
        let mut command = home.signoff(&["--store"]);
        command.arg(folder.join("s.redb")).args(arguments);
        Ran::of(&mut command)
    };
    let made = with_store(&["init", "--json"]).exits(0).json();
    assert!(made["admin_token"].as_str().unwrap().starts_with("sgnt_"), "{made}");
    for command in [
        &["key", "list", "--json"][..],
        &["key", "generate", "--approver", "a@b", "--json"],
        &["config", "check", "--json"],
        &["config", "show", "--json"],
    ] {
        with_store(command).exits(0).json();
    }
}
