//! TLS: the server with independent clients, and the command line with servers that it must not
//! trust.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{
    Authority, HANG, Home, Issued, Ran, Raw, Server, allow_files, open, serve_tls, until,
};

/// More connections than the server accepts.
const CONNECTIONS: usize = 1_100;

/// Returns a home with a TLS server, its authority in `ca.pem`.
fn secured() -> (Home, Server, Issued) {
    let home = Home::new();
    let authority = Authority::new("an authority of a test");
    authority.file(&home);
    let issued = authority.issue("127.0.0.1");
    issued.install(&home);
    let server = serve_tls(&home);
    (home, server, issued)
}

/// Runs curl, which trusts `ca.pem`.
fn curl(home: &Home, url: &str, arguments: &[&str]) -> Ran {
    let mut command = home.program("curl");
    command.args(["-sS", "--cacert", "ca.pem"]).args(arguments).arg(url);
    Ran::of(&mut command)
}

fn python(home: &Home, script: &str, server: &Server) -> Command {
    let mut command = home.program("python3");
    command.args(["-c", script]).arg(server.address().port().to_string());
    command
}

#[track_caller]
fn assert_ready(home: &Home, server: &Server) {
    let answer = curl(home, &format!("{}/readyz", server.url), &[]).ok();
    assert!(answer.contains("\"ready\""), "{answer}");
}

#[test]
fn curl_and_python_connect_with_tls_1_2_and_1_3_only() {
    const SCRIPT: &str = r#"
import json, socket, ssl, sys, urllib.request
port = int(sys.argv[1])
url = f"https://127.0.0.1:{port}/healthz"
trusting = ssl.create_default_context(cafile="ca.pem")
print(json.load(urllib.request.urlopen(url, context=trusting))["status"])
for version in ("TLSv1_1", "TLSv1_2", "TLSv1_3"):
    context = ssl.create_default_context(cafile="ca.pem")
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    context.set_alpn_protocols(["h2", "http/1.1"])
    try:
        with socket.create_connection(("127.0.0.1", port)) as plain:
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as shaken:
                print(shaken.version(), shaken.selected_alpn_protocol())
    except ssl.SSLError:
        print(version, "refused")
"#;
    let (home, server, issued) = secured();
    assert_ready(&home, &server);
    let http2 =
        curl(&home, &format!("{}/healthz", server.url), &["--http2", "-w", "%{http_version}"]);
    assert!(http2.ok().ends_with("1.1"));
    let warnings_off = Ran::of(python(&home, SCRIPT, &server).env("PYTHONWARNINGS", "ignore"));
    assert_eq!(warnings_off.ok(), "ok\nTLSv1_1 refused\nTLSv1.2 http/1.1\nTLSv1.3 http/1.1",);
    issued.assert_hidden(&server.stop());
}

#[test]
fn key_formats_of_openssl_are_accepted() {
    let make = [
        (
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout k -out ca.pem",
            "cp k key.pem",
            "PRIVATE KEY",
        ),
        (
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout k -out ca.pem",
            "openssl rsa -traditional -in k -out key.pem",
            "RSA PRIVATE KEY",
        ),
        (
            "openssl ecparam -name prime256v1 -genkey -out k && openssl req -x509 -key k -out ca.pem",
            "cp k key.pem",
            "EC PRIVATE KEY",
        ),
        (
            "openssl genpkey -algorithm ed25519 -out k && openssl req -x509 -key k -out ca.pem",
            "cp k key.pem",
            "PRIVATE KEY",
        ),
    ];
    let subject = "-subj /CN=localhost -addext subjectAltName=IP:127.0.0.1";
    for (certificate, key, form) in make {
        let home = Home::new();
        let script = format!(
            "umask 077 && {certificate} {subject} && {key} && cp ca.pem cert.pem && grep -q 'BEGIN {form}' key.pem"
        );
        Ran::of(home.program("sh").args(["-c", &script])).ok();
        let server = serve_tls(&home);
        assert_ready(&home, &server);
        // `openssl req -x509` makes an authority's certificate, which is not valid for a server.
        let ran = home.run(&["--server", &server.url, "--ca", "ca.pem", "list"]).exits(1);
        assert!(ran.err.contains("it is an authority's own"), "{ran:?}");
    }
}

#[test]
fn a_self_signed_certificate_is_trusted_only_with_ca() {
    let home = Home::new();
    let script = "umask 077 && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
        -keyout key.pem -out cert.pem -subj /CN=signoff -addext subjectAltName=IP:127.0.0.1 \
        -addext basicConstraints=critical,CA:FALSE";
    Ran::of(home.program("sh").args(["-c", script])).ok();
    let server = serve_tls(&home);
    home.run(&["--server", &server.url, "--ca", "cert.pem", "list"]).ok();
    home.run(&["--server", &server.url, "list"]).exits(1);
}

#[test]
fn the_command_line_works_over_tls() {
    let (home, server, issued) = secured();
    let request = [
        "request",
        "--agent",
        "a",
        "--action",
        "b",
        "--context",
        "{\"v\":1}",
        "--json",
        "--server",
        &server.url,
    ];
    let mut with_flag = request.to_vec();
    with_flag.extend(["--ca", "ca.pem"]);
    let made = home.run(&with_flag).exits(0).json();
    assert_eq!(made["status"], "pending");
    let mut by_variable = home.signoff(&["list", "--json", "--server", &server.url]);
    let listed = Ran::of(by_variable.env("SIGNOFF_CA", "ca.pem")).exits(0).json();
    assert_eq!(listed["items"][0]["id"], made["id"]);
    let id = made["id"].as_str().unwrap();
    let approve =
        ["approve", id, "--approver", "u", "--yes", "--server", &server.url, "--ca", "ca.pem"];
    home.run(&approve).ok();
    issued.assert_hidden(&server.stop());
}

#[test]
fn the_command_line_refuses_other_certificates() {
    const TOKEN: &str = "token-that-must-not-be-printed";
    let authority = Authority::new("an authority of a test");
    let other = Authority::new("another authority of a test");
    let namesake = Authority::new("an authority of a test");
    let good = authority.issue("127.0.0.1");
    let table = [
        (&other, good.clone(), "its issuer is not trusted on this machine"),
        (&namesake, good, "its signature does not match"),
        (&authority, authority.issue("signoff.example"), "it is not valid for the name"),
        (&authority, authority.issue_until("127.0.0.1", (2021, 1, 1)), "it has expired"),
    ];
    for (believed, issued, why) in table {
        let home = Home::new();
        believed.file(&home);
        issued.install(&home);
        let server = serve_tls(&home);
        let call = ["list", "--server", &server.url, "--ca", "ca.pem"];
        let ran = Ran::of(home.signoff(&call).env("SIGNOFF_TOKEN", TOKEN)).exits(1);
        assert!(ran.err.contains("is refused"), "{ran:?}");
        assert!(ran.err.contains(why), "{why}: {ran:?}");
        assert!(!ran.err.contains(TOKEN) && ran.out.is_empty(), "{ran:?}");
        assert!(!server.stop().contains(TOKEN));
    }
}

#[test]
fn an_unreadable_authority_fails_before_anything_is_sent() {
    let (home, server, _) = secured();
    home.file("empty.pem", "");
    home.file("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    home.file("half.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    for (file, why) in [
        ("missing.pem", "No such file"),
        ("empty.pem", "contains no certificate"),
        ("key.pem", "contains no certificate"),
        ("broken.pem", "certificate 1 is not an X.509 certificate"),
        ("half.pem", "malformed PEM"),
        (".", "directory"),
    ] {
        let ran = home.run(&["--server", &server.url, "--ca", file, "list"]).exits(1);
        assert!(ran.err.contains(why) && ran.err.contains(file), "{ran:?}");
    }
}

#[test]
fn http_and_https_are_not_mixed() {
    let (home, server, _) = secured();
    let plain = format!("http://{}", server.address());
    home.run(&["--server", &plain, "list"]).exits(1);
    let unsecured = Home::new().serve();
    let secure = format!("https://{}", unsecured.address());
    let ran = home.run(&["--server", &secure, "--ca", "ca.pem", "list"]).exits(1);
    assert!(ran.err.contains("does not speak TLS"), "{ran:?}");
}

#[test]
fn plain_http_to_the_tls_port_is_closed_and_logged() {
    let (home, server, _) = secured();
    for bytes in [
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec(),
        b"\x16\x03\x01\xff\xff".to_vec(),
        vec![0; 100_000],
        b"\r\n".to_vec(),
        Vec::new(),
    ] {
        let mut stream = open(&server);
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let answer = Raw::rest_bytes(stream);
        // The answer is at most a TLS alert: 7 bytes.
        assert!(answer.len() <= 7, "{}", String::from_utf8_lossy(&answer));
    }
    assert_ready(&home, &server);
    // A client that is gone without a byte is no failure.
    until("the failures are logged", || {
        (server.log_of("connection failed").len() >= 4).then_some(())
    });
    let failed = server.log_of("connection failed");
    assert_eq!(failed.len(), 4, "{failed:?}");
    for line in failed {
        assert_eq!((&line["level"], &line["reason"]), (&"INFO".into(), &"tls".into()), "{line}");
        assert_eq!(line["peer"], "127.0.0.1");
    }
}

#[test]
fn a_flood_of_handshakes_does_not_block_others() {
    allow_files(2_500);
    let (home, server, _) = secured();
    let mut held = Vec::new();
    for n in 0..CONNECTIONS {
        let mut stream = TcpStream::connect_timeout(&server.address(), HANG).unwrap();
        stream.set_read_timeout(Some(HANG)).unwrap();
        // Half of them start a handshake.
        if n % 2 == 0 {
            stream.write_all(b"\x16\x03\x01\x02\x00\x01").unwrap();
        }
        held.push(stream);
        if n % 100 == 99 {
            assert_ready(&home, &server);
        }
    }
    assert_ready(&home, &server);
    // The oldest connections were closed, and none is held forever.
    for stream in held {
        assert!(Raw::rest_bytes(stream).is_empty());
    }
    until("all places are free but one", || {
        let metrics = curl(&home, &format!("{}/metrics", server.url), &[]).ok();
        metrics.contains("signoff_connections 1\n").then_some(())
    });
}

#[test]
fn open_tls_connections_do_not_delay_a_shutdown() {
    let (home, mut server, _) = secured();
    let half_open: Vec<TcpStream> = (0..20).map(|_| open(&server)).collect();
    let idle = Held::open(&home, &server);
    server.terminate();
    assert!(server.ended().success());
    drop((half_open, idle));
}

#[test]
fn a_hangup_reloads_the_certificate_and_keeps_connections() {
    let (home, server, first) = secured();
    let mut held = Held::open(&home, &server);
    let authority = Authority::new("another authority of a test");
    let second = authority.issue("127.0.0.1");
    second.install(&home);
    assert_eq!(served(&home, &server), first.certificate, "before the hangup");
    server.signal(Signal::HUP);
    until("the second certificate is served", || {
        (served(&home, &server) == second.certificate).then_some(())
    });
    assert_eq!(server.log_of("TLS certificate reloaded").len(), 1);
    // The open connection still answers.
    assert_eq!(held.request(), "200");
    // A broken pair changes nothing and is reported.
    let assert_reported = |what: &str| {
        server.signal(Signal::HUP);
        until(what, || server.printed().contains(what).then_some(()));
        assert!(server.printed().contains("still using"), "{}", server.printed());
        assert_eq!(served(&home, &server), second.certificate, "{what}");
        assert_eq!(Held::open(&home, &server).request(), "200");
    };
    home.file("cert.pem", "nothing");
    assert_reported("contains no certificate");
    home.file("cert.pem", &first.certificate);
    assert_reported("does not match");
    std::fs::remove_file(home.path("key.pem")).unwrap();
    home.file("key.pem", &first.key);
    assert_reported("mode 0600");
    first.install(&home);
    server.signal(Signal::HUP);
    until("the first certificate is served again", || {
        (served(&home, &server) == first.certificate).then_some(())
    });
    assert_eq!(held.request(), "200");
    let printed = server.stop();
    first.assert_hidden(&printed);
    second.assert_hidden(&printed);
}

#[test]
fn hangup_does_not_end_a_server_without_tls() {
    let home = Home::new();
    let server = home.serve();
    server.signal(Signal::HUP);
    server.assert_ready();
    server.stop();
}

#[test]
fn an_unusable_certificate_or_key_is_reported_in_order() {
    let home = Home::new();
    let authority = Authority::new("an authority of a test");
    let issued = authority.issue("127.0.0.1");
    issued.install(&home);
    let ca = authority.file(&home);
    let ca = std::fs::read_to_string(ca).unwrap();
    home.file("open.pem", &issued.key);
    home.file("empty.pem", "");
    home.file("ca-first.pem", &format!("{ca}{}", issued.certificate));
    home.file("half.pem", issued.certificate.split_at(200).0);
    let private = |name: &str, text: &str| crate::support::private(&home, name, text);
    private("none.pem", &issued.certificate);
    private("two.pem", &format!("{}{}", issued.key, authority.issue("a").key));
    private("other.pem", &authority.issue("127.0.0.1").key);
    private("half-key.pem", issued.key.split_at(100).0);
    private("junk.pem", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n");
    private("large.pem", &"x".repeat(70_000));
    let script = "umask 077 && openssl pkey -in key.pem -aes256 -passout pass:secret -out locked.pem && \
        openssl ecparam -name secp521r1 -genkey -out p521.pem && mkfifo -m 600 pipe";
    Ran::of(home.program("sh").args(["-c", script])).ok();
    for (certificate, key, why) in [
        ("missing.pem", "missing-key.pem", "TLS certificate `missing.pem`: No such file"),
        ("empty.pem", "missing-key.pem", "TLS certificate `empty.pem`: contains no certificate"),
        ("key.pem", "cert.pem", "TLS certificate `key.pem`: contains no certificate"),
        ("half.pem", "key.pem", "TLS certificate `half.pem`: malformed PEM"),
        ("cert.pem", "missing-key.pem", "TLS key `missing-key.pem`: No such file"),
        ("cert.pem", "open.pem", "TLS key `open.pem` must be a file of mode 0600 that you own"),
        ("cert.pem", ".", "must be a file of mode 0600"),
        ("cert.pem", "pipe", "must be a file of mode 0600"),
        ("cert.pem", "none.pem", "TLS key `none.pem`: contains no private key"),
        ("cert.pem", "two.pem", "TLS key `two.pem`: contains several private keys"),
        ("cert.pem", "half-key.pem", "TLS key `half-key.pem`: malformed PEM"),
        ("cert.pem", "junk.pem", "TLS key `junk.pem`: not an RSA key"),
        ("cert.pem", "p521.pem", "TLS key `p521.pem`: not an RSA key"),
        ("cert.pem", "large.pem", "TLS key `large.pem`: larger than 65536 bytes"),
        ("cert.pem", "locked.pem", "TLS key `locked.pem`: encrypted"),
        ("cert.pem", "other.pem", "TLS key `other.pem` does not match the first certificate"),
        ("ca-first.pem", "key.pem", "does not match the first certificate of `ca-first.pem`"),
    ] {
        let arguments =
            ["serve", "--listen", "127.0.0.1:0", "--tls-cert", certificate, "--tls-key", key];
        let ran = home.run(&arguments).exits(1);
        assert!(ran.err.contains(why), "{why}: {ran:?}");
        assert!(ran.out.is_empty() && !ran.err.contains("c2VjcmV0"), "{ran:?}");
        issued.assert_hidden(&ran.err);
    }
    for (flag, missing) in [("--tls-cert", "--tls-key"), ("--tls-key", "--tls-cert")] {
        let ran = home.run(&["serve", flag, "missing.pem"]).exits(2);
        assert!(ran.err.contains(&format!("{flag} needs {missing}")), "{ran:?}");
    }
    assert!(!home.store().exists());
}

#[test]
fn without_tokens_a_server_stays_on_loopback() {
    let home = Home::new();
    Authority::new("an authority of a test").issue("127.0.0.1").install(&home);
    let tls = ["--tls-cert", "cert.pem", "--tls-key", "key.pem"];
    for more in [&[][..], &["--behind-proxy"], &tls, &[&tls[..], &["--behind-proxy"]].concat()] {
        let mut arguments = vec!["serve", "--listen", "0.0.0.0:0"];
        arguments.extend(more);
        let ran = home.run(&arguments).exits(1);
        assert!(ran.err.contains("refusing to listen on `0.0.0.0:0`"), "{ran:?}");
        assert!(ran.err.contains("without tokens"), "{ran:?}");
        assert_eq!(ran.err.contains("--tls-cert"), more.is_empty(), "{ran:?}");
    }
    // A proxy on this machine connects from loopback, often with a loopback `Host`.
    let ran = home.run(&["serve", "--listen", "127.0.0.1:0", "--behind-proxy"]).exits(1);
    assert!(ran.err.contains("proxy") && ran.err.contains("without tokens"), "{ran:?}");
    assert!(!home.store().exists());
}

#[test]
fn a_token_is_not_sent_unencrypted_to_another_machine() {
    let home = Home::new();
    // The address is in a documentation network; nothing is ever sent there.
    let call = ["list", "--server", "http://192.0.2.1:8787"];
    let ran = Ran::of(home.signoff(&call).env("SIGNOFF_TOKEN", "hush")).exits(2);
    assert!(ran.err.contains("in the clear") && ran.err.contains("--insecure-http"), "{ran:?}");
    assert!(!ran.err.contains("hush"), "{ran:?}");
}

#[test]
fn environment_proxies_are_not_used_for_loopback() {
    let (home, server, _) = secured();
    let plain = Home::new().serve();
    for url in [&server.url, &plain.url] {
        let mut command = home.signoff(&["list", "--server", url, "--ca", "ca.pem"]);
        for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
            command.env(name, "http://127.0.0.1:9");
        }
        Ran::of(&mut command).ok();
    }
}

/// Returns the certificate that a new connection gets, as PEM.
fn served(home: &Home, server: &Server) -> String {
    const SCRIPT: &str = r#"
import ssl, sys
sys.stdout.write(ssl.get_server_certificate(("127.0.0.1", int(sys.argv[1]))))
"#;
    let shown = Ran::of(&mut python(home, SCRIPT, server)).exits(0).out;
    shown.replace("\r\n", "\n")
}

/// A TLS connection of a Python process that never opens a second one.
struct Held {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Held {
    fn open(home: &Home, server: &Server) -> Self {
        const SCRIPT: &str = r#"
import http.client, ssl, sys
context = ssl._create_unverified_context()
connection = http.client.HTTPSConnection("127.0.0.1", int(sys.argv[1]), context=context)
connection.connect()
connection.auto_open = 0
print("open", flush=True)
for _ in sys.stdin:
    connection.request("GET", "/healthz")
    answer = connection.getresponse()
    answer.read()
    print(answer.status, flush=True)
"#;
        let mut command = python(home, SCRIPT, server);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut held = Self { child, answers };
        assert_eq!(held.line(), "open");
        held
    }

    /// Sends one more request; returns its status.
    fn request(&mut self) -> String {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        self.line()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_output_names_the_certificate_and_not_the_key() {
    let (home, server, issued) = secured();
    let printed = server.stop();
    let facts = printed.lines().find(|line| line.contains("\"url\"")).unwrap();
    let facts: Value = serde_json::from_str(facts).unwrap();
    let fingerprint = ["x509", "-in", "cert.pem", "-noout", "-fingerprint", "-sha256"];
    let openssl = Ran::of(home.program("openssl").args(fingerprint)).ok();
    let expected = openssl.split_once('=').unwrap().1.replace(':', "").to_lowercase();
    assert_eq!(facts["certificate"], expected);
    issued.assert_hidden(&printed);
}
