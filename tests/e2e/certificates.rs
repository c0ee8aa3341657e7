//! Certificates that clients refuse, or will soon: reported at a start, at a reload, when they expire, by
//! `doctor` and in `/metrics`.

use std::time::UNIX_EPOCH;

use rustix::process::Signal;

use crate::support::{Authority, Home, Issued, Ran, Server, log_of, serve_tls, text, until};

const DAY: i64 = 24 * 60 * 60;
/// 2100-01-01T00:00:00Z
const FAR: i64 = 4_102_444_800;
/// 2021-01-01T00:00:00Z
const PAST: i64 = 1_609_459_200;

/// A certificate, and what is said of it.
#[derive(Clone)]
struct Case {
    names: &'static [&'static str],
    from: i64,
    to: i64,
    /// The line without the remedy; none if nothing is wrong.
    said: Option<String>,
    /// What `doctor` prints before it.
    mark: &'static str,
    /// The clients' reason to refuse it.
    refused: Option<&'static str>,
}

fn now() -> i64 {
    UNIX_EPOCH.elapsed().unwrap().as_secs() as i64
}

/// Returns a time as `date` prints it.
fn date(home: &Home, seconds: i64) -> String {
    let at = format!("@{seconds}");
    Ran::of(home.program("date").args(["-u", "-d", &at, "+%Y-%m-%dT%H:%M:%SZ"]))
        .ok()
        .trim()
        .to_owned()
}

/// Returns every rule with a certificate for it.
fn cases(home: &Home) -> Vec<Case> {
    let local: &[&str] = &["127.0.0.1", "localhost"];
    let good = Case { names: local, from: 0, to: FAR, said: None, mark: "ok  ", refused: None };
    let soon = now() + 13 * DAY;
    vec![
        Case {
            to: PAST,
            said: Some("expired at 2021-01-01T00:00:00Z, so clients refuse it".to_owned()),
            mark: "BAD ",
            refused: Some("expired"),
            ..good
        },
        good.clone(),
        Case {
            from: FAR - DAY,
            said: Some("is not valid before 2099-12-31T00:00:00Z, so clients refuse it".to_owned()),
            mark: "BAD ",
            refused: Some("not yet valid"),
            ..good
        },
        Case {
            names: &[],
            said: Some(
                "has neither a DNS name nor an IP address as `subjectAltName`, so clients refuse it"
                    .to_owned(),
            ),
            mark: "BAD ",
            refused: Some("no alternative certificate subject name|does not match"),
            ..good
        },
        Case {
            to: soon,
            said: Some(format!("expires at {}", date(home, soon))),
            mark: "weak",
            ..good
        },
        Case { to: now() + 15 * DAY, ..good },
    ]
}

/// Returns what the log says about certificates that are not right.
fn warnings(printed: &str) -> Vec<String> {
    let problems = log_of(printed, "TLS certificate problem").into_iter().map(|line| {
        assert_eq!(line["level"], "WARN");
        format!("`{}`: {}; {}", text(&line, "file"), text(&line, "problem"), text(&line, "fix"))
    });
    problems.collect()
}

#[track_caller]
fn assert_said(warnings: &[String], said: Option<&str>) {
    let start = said.map(|said| format!("`cert.pem`: {said}; "));
    let matches = match (warnings, &start) {
        ([], None) => true,
        ([warning], Some(start)) => warning.starts_with(start) && warning.len() > start.len(),
        _ => false,
    };
    assert!(matches, "expected {start:?}: {warnings:?}");
}

/// Returns the metrics of certificates, read without a check of the certificate.
fn metrics(home: &Home, server: &Server) -> Vec<String> {
    let url = format!("{}/metrics", server.url);
    let all = Ran::of(home.program("curl").args(["-sSk", &url])).ok();
    all.lines().filter(|line| line.starts_with("signoff_tls_")).map(str::to_owned).collect()
}

fn expected_metrics(case: &Case) -> Vec<String> {
    let series =
        |name: &str, value: i64| format!("signoff_tls_{name}{{certificate=\"1\"}} {value}");
    vec![
        series("not_before_seconds", case.from),
        series("not_after_seconds", case.to),
        series("names", case.names.len() as i64),
    ]
}

/// Checks that curl refuses the server's certificate for a reason, or accepts it.
#[track_caller]
fn assert_curl(home: &Home, server: &Server, refused: Option<&str>) {
    let url = format!("{}/healthz", server.url);
    let ran = Ran::of(home.program("curl").args(["-sS", "--cacert", "ca.pem", &url]));
    match refused {
        None => assert!(ran.out.contains("ok"), "{ran:?}"),
        Some(why) => assert!(why.split('|').any(|why| ran.err.contains(why)), "{why}: {ran:?}"),
    }
}

#[test]
fn a_certificate_that_clients_refuse_is_reported_at_the_start() {
    for case in cases(&Home::new()) {
        let home = Home::new();
        let authority = Authority::new("an authority of a test");
        authority.file(&home);
        authority.issue_between(case.names, case.from, case.to).install(&home);
        let server = serve_tls(&home);
        assert_curl(&home, &server, case.refused);
        assert_eq!(metrics(&home, &server), expected_metrics(&case));
        assert_said(&warnings(&server.stop()), case.said.as_deref());
    }
}

#[test]
fn a_certificate_that_clients_refuse_is_reported_at_each_reload() {
    let home = Home::new();
    let authority = Authority::new("an authority of a test");
    authority.file(&home);
    authority.issue("127.0.0.1").install(&home);
    let server = serve_tls(&home);
    let reload = |n: usize| {
        let before = server.printed().len();
        server.signal(Signal::HUP);
        // The keys are reloaded after the certificate.
        until("the keys are reloaded", || {
            (server.printed().matches("keys reloaded").count() == n).then_some(())
        });
        warnings(&server.printed()[before..])
    };
    let mut reloads = 0;
    for case in cases(&home) {
        authority.issue_between(case.names, case.from, case.to).install(&home);
        // The second time nothing has changed.
        for _ in 0..2 {
            reloads += 1;
            assert_said(&reload(reloads), case.said.as_deref());
        }
        assert_curl(&home, &server, case.refused);
        assert_eq!(metrics(&home, &server), expected_metrics(&case));
    }
    // A reload that fails leaves the certificate and what is wrong with it.
    let expired = authority.issue_between(&["127.0.0.1"], 0, PAST);
    expired.install(&home);
    reload(reloads + 1);
    home.file("cert.pem", "nothing");
    let failed = reload(reloads + 2);
    assert_eq!(
        server.log_of("TLS certificate not reloaded; still using the old one").len(),
        1,
        "{}",
        server.printed()
    );
    assert_said(&failed, Some("expired at 2021-01-01T00:00:00Z, so clients refuse it"));
}

#[test]
fn doctor_reports_a_certificate_that_clients_refuse() {
    let home = Home::new();
    home.run(&["init"]).ok();
    let authority = Authority::new("an authority of a test");
    let doctor = ["doctor", "--tls-cert", "cert.pem"];
    for case in cases(&home) {
        authority.issue_between(case.names, case.from, case.to).install(&home);
        let ran = home.run(&doctor).exits(i32::from(case.mark == "BAD "));
        let lines: Vec<&str> = ran.out.lines().collect();
        let place = lines.iter().position(|line| line.contains("  TLS ")).unwrap();
        let expected = match &case.said {
            Some(said) => format!("{}  TLS       `cert.pem`: {said}", case.mark),
            None => {
                let end = date(&home, case.to);
                format!("ok    TLS       `cert.pem` is valid until {end} for 127.0.0.1, localhost")
            }
        };
        assert_eq!(lines[place], expected);
        let has_remedy = lines[place + 1].trim_start().starts_with("-> ");
        assert_eq!(has_remedy, case.said.is_some(), "{ran:?}");
        assert_eq!(ran.out.matches("  TLS ").count(), 1, "{ran:?}");
        let json = home.run(&[&["--json"], &doctor[..]].concat()).json();
        let items = json["items"].as_array().unwrap();
        let item = items.iter().find(|item| item["what"] == "TLS").unwrap();
        assert_eq!(item["good"], case.mark != "BAD ", "{item}");
    }
    home.file("cert.pem", "nothing");
    for file in ["cert.pem", "missing.pem"] {
        let ran = home.run(&["doctor", "--tls-cert", file]).exits(1);
        assert!(ran.out.contains(&format!("BAD   TLS       `{file}`: ")), "{ran:?}");
    }
}

#[test]
fn doctor_names_its_flag_if_the_last_start_used_tls() {
    let home = Home::new();
    let authority = Authority::new("an authority of a test");
    authority.issue("127.0.0.1").install(&home);
    serve_tls(&home).stop();
    let hint = "weak  TLS       the server's certificate is not checked here";
    assert!(home.run(&["doctor"]).ok().contains(hint));
    assert!(!home.run(&["doctor", "--tls-cert", "cert.pem"]).ok().contains(hint));
    let plain = Home::new();
    plain.serve().stop();
    assert!(!plain.run(&["doctor"]).ok().contains("TLS"));
}

#[test]
fn an_expired_issuer_is_reported() {
    let home = Home::new();
    let root = Authority::new("an authority of a test");
    root.file(&home);
    let said = "certificate 2, an issuer, expired at 2021-01-01T00:00:00Z, so clients that rely on it refuse the server";
    for (until, said, refused) in [(FAR, None, None), (PAST, Some(said), Some("expired"))] {
        let between = root.intermediate_until("an intermediate of a test", until);
        let Issued { certificate, key } = between.issue("127.0.0.1");
        let chain = format!("{certificate}{}", between.certificate());
        Issued { certificate: chain, key }.install(&home);
        let server = serve_tls(&home);
        assert_curl(&home, &server, refused);
        let series = format!("signoff_tls_not_after_seconds{{certificate=\"2\"}} {until}");
        assert!(metrics(&home, &server).contains(&series));
        assert_said(&warnings(&server.stop()), said);
        let doctor = home.run(&["doctor", "--tls-cert", "cert.pem"]);
        assert_eq!(doctor.out.contains("BAD   TLS"), said.is_some(), "{doctor:?}");
        assert!(doctor.out.contains(said.unwrap_or("is valid until 2100")), "{doctor:?}");
    }
}

#[test]
fn a_certificate_that_expires_while_the_server_runs_is_reported_once() {
    let home = Home::new();
    let authority = Authority::new("an authority of a test");
    authority.issue("127.0.0.1").install(&home);
    let server = serve_tls(&home);
    // Enough for a reload.
    let end = now() + 5;
    authority.issue_between(&["127.0.0.1"], 0, end).install(&home);
    server.signal(Signal::HUP);
    let expired = format!("expired at {}", date(&home, end));
    until("the certificate has expired", || server.printed().contains(&expired).then_some(()));
    // The server's own clock decides: three more checks.
    until("three seconds have passed", || (now() > end + 3).then_some(()));
    let warnings = warnings(&server.stop());
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert_said(&warnings[..1], Some(&format!("expires at {}", date(&home, end))));
    assert_said(&warnings[1..], Some(&format!("{expired}, so clients refuse it")));
}

#[test]
fn a_certificate_that_only_signoff_cannot_read_is_reported_and_used() {
    let home = Home::new();
    let authority = Authority::new("an authority of a test");
    authority.file(&home);
    // A year before 1970 is allowed, and no number of seconds since then.
    authority.issue_between(&["127.0.0.1"], -10 * 365 * DAY, FAR).install(&home);
    let server = serve_tls(&home);
    assert_curl(&home, &server, None);
    assert!(metrics(&home, &server).is_empty());
    let said = "has a form that signoff cannot read, so its dates and names are not checked";
    assert_said(&warnings(&server.stop()), Some(said));
    let doctor = home.run(&["doctor", "--tls-cert", "cert.pem"]).ok();
    assert!(doctor.contains(&format!("weak  TLS       `cert.pem`: {said}")), "{doctor}");
}

#[test]
fn a_server_without_tls_has_no_metrics_of_certificates() {
    let home = Home::new();
    let server = home.serve();
    assert!(metrics(&home, &server).is_empty());
    assert!(warnings(&server.stop()).is_empty());
}
