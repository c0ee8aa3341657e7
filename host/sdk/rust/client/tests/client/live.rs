//! With a real server: set `SIGNOFF_BIN` to the binary.

use std::fs;
use std::io::{self, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use signoff_client::verify::{Keyring, ReceiptTrust, Verifier};
use signoff_client::{Action, Client, ClientBuilder, Context, Decision, Filter, Status, blocking};

/// A server with an approver, and an executor's token.
struct Server {
    folder: tempfile::TempDir,
    bin: PathBuf,
    process: Child,
    url: String,
    approver: String,
    executor: String,
    auditor: String,
    log_key: String,
}

impl Server {
    /// Returns `None`, and says so, if there is no binary.
    fn start() -> Option<Self> {
        let Some(bin) = std::env::var_os("SIGNOFF_BIN").map(PathBuf::from) else {
            let _ = writeln!(io::stderr(), "not run: set SIGNOFF_BIN to the signoff binary");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let (server, alice) = (folder.path().join("server"), folder.path().join("alice"));
        fs::create_dir(&server).unwrap();
        fs::create_dir(&alice).unwrap();
        let run =
            |at: &Path, arguments: &[&str], set: &[(&str, &str)]| run(&bin, at, arguments, set);
        let made = run(&server, &["init", "--audience", "live", "--json"], &[]);
        let made: serde_json::Value = serde_json::from_str(&made).unwrap();
        let admin = made["admin_token"].as_str().unwrap();
        let generate = ["key", "generate", "--id", "alice", "--approver", "alice@company.com"];
        let key = run(&alice, &generate, &[]);
        let key = key.lines().find(|line| line.starts_with('{')).unwrap();
        fs::write(folder.path().join("keys.json"), key).unwrap();
        let import = ["key", "import", key, "--approver", "alice@company.com", "--yes"];
        run(&server, &import, &[]);
        let log_key = run(&server, &["audit", "key"], &[]).trim().to_owned();

        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = format!("http://127.0.0.1:{port}");
        let process = clean(&bin, &server)
            .args(["serve", "--quiet", "--listen", &format!("127.0.0.1:{port}")])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            thread::sleep(Duration::from_millis(20));
        }
        let token = |subject: &str, roles: &[&str]| {
            let mut arguments = vec!["token", "create", "--subject", subject, "--json"];
            roles.iter().for_each(|role| arguments.extend(["--role", role]));
            let made =
                run(&alice, &arguments, &[("SIGNOFF_SERVER", &url), ("SIGNOFF_TOKEN", admin)]);
            let made: serde_json::Value = serde_json::from_str(&made).unwrap();
            made["token"].as_str().unwrap().to_owned()
        };
        Some(Self {
            approver: token("alice@company.com", &["approver"]),
            executor: token("agent:deployer", &["requester", "executor"]),
            auditor: token("auditor@company.com", &["auditor"]),
            log_key,
            folder,
            process,
            url,
            bin,
        })
    }

    fn client(&self) -> ClientBuilder {
        Client::builder().only_arguments().url(&self.url).token(&self.executor)
    }

    fn pinned(&self) -> ClientBuilder {
        self.client().keys_file(self.folder.path().join("keys.json")).audience("live")
    }

    /// Decides everything that is pending, as a person does.
    fn decide(&self, decision: &str) {
        let client = blocking::Client::new(self.client().token(&self.auditor)).unwrap();
        loop {
            let pending = client.list(&Filter::default().status(Status::Pending)).send().unwrap();
            if let Some(approval) = pending.items.first() {
                let set =
                    [("SIGNOFF_SERVER", self.url.as_str()), ("SIGNOFF_TOKEN", &self.approver)];
                let arguments = [decision, approval.id(), "--yes", "--comment", "as agreed"];
                run(&self.bin, &self.folder.path().join("alice"), &arguments, &set);
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn clean(bin: &Path, at: &Path) -> Command {
    let mut command = Command::new(bin);
    command.current_dir(at);
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SIGNOFF_"))
    {
        command.env_remove(name);
    }
    command.env("XDG_CONFIG_HOME", at);
    command
}

fn run(bin: &Path, at: &Path, arguments: &[&str], set: &[(&str, &str)]) -> String {
    let ran = clean(bin, at).args(arguments).envs(set.iter().copied()).output().unwrap();
    assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

fn action() -> Action {
    let context = Context::new(&serde_json::json!({"target": "prod", "ratio": 1.0})).unwrap();
    Action::new("deployer", "deploy", context).reason("release 1.4")
}

#[test]
fn an_action_is_approved_runs_and_leaves_a_receipt() {
    let Some(server) = Server::start() else { return };
    let client = blocking::Client::new(server.pinned()).unwrap();
    let execution = thread::scope(|scope| {
        scope.spawn(|| server.decide("approve"));
        client.guard(action(), Ok::<_, io::Error>).unwrap()
    });
    assert_eq!(execution.context_text(), r#"{"ratio": 1.0, "target": "prod"}"#);
    assert_eq!(execution.approvers()[0].approver, "alice@company.com");
    assert!(execution.reported());

    let shown = client.get(execution.approval_id()).send().unwrap();
    assert_eq!((shown.status(), shown.outcome()), (Status::Executed, Some("succeeded")));
    let receipt = client.receipt(execution.approval_id()).send().unwrap();
    let keys = fs::read_to_string(server.folder.path().join("keys.json")).unwrap();
    let trust = ReceiptTrust::new([&server.log_key])
        .id(execution.approval_id())
        .audience("live")
        .keys(Keyring::from_json(&keys).unwrap().iter().cloned());
    let report = Verifier::new().verify_receipt(&receipt, &trust).unwrap();
    assert_eq!(report.execution.unwrap().outcome, "succeeded");
    assert_eq!(report.ballots[0].comment.as_deref(), Some("as agreed"));

    let again = client.claim(execution.approval_id(), &action()).send().unwrap_err();
    assert_eq!(again.code(), "already-executed");
    let auditor = blocking::Client::new(server.client().token(&server.auditor)).unwrap();
    let first = auditor.events(0).next().unwrap().unwrap();
    assert_eq!(first.id, Some(1));
    assert!(Keyring::from_json(&auditor.keys().send().unwrap()).unwrap().iter().count() >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_action_does_not_run() {
    let Some(server) = Server::start() else { return };
    let client = server.pinned().build().unwrap();
    let verdict = client.evaluate(&action()).await.unwrap();
    assert!(matches!(verdict.decision(), Decision::Allow | Decision::RequireApproval));
    let deciding = thread::spawn(move || {
        server.decide("reject");
        server
    });
    let refused =
        client.guard(action(), |_| async { panic!("it ran") as Result<(), io::Error> }).await;
    let Err(signoff_client::GuardError::NotRun(e)) = refused else { panic!("{refused:?}") };
    assert_eq!((e.name(), e.comment()), ("Rejected", Some("as agreed")));
    drop(deciding.join().unwrap());
}
