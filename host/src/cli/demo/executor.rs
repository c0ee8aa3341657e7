//! The fourth part: an executor in Python that trusts Ann's key, behind a server that says whatever
//! gets the action run.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, Response, header};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::Narration;
use super::person::{DemoServer, Person, field, public_entry};
use crate::cli::exit::Failure;
use crate::cli::output::safe;
use crate::cli::remote::{Remote, Trust};

/// The executor's program.
const PROGRAM: &str = include_str!("executor.py");
/// Time for the executor's request to arrive.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(60);
/// What the executor's body may have: a request of a few hundred bytes.
const BODY_BYTES_MAX: usize = 64 << 10;

/// The people in this part.
struct Cast {
    operator: Person,
    ann: Person,
    agent: Person,
    python: PathBuf,
}

/// Runs this part in folders below `folder`, and checks it. Without a Python that has the SDK it is
/// left out, unless `python` names one.
pub(super) fn run(
    narration: &mut Narration,
    folder: &Path,
    python: Option<&Path>,
) -> Result<(), Failure> {
    narration.title("Now an executor in Python. It trusts Ann's key, and no server.");
    let candidate = python.map_or_else(|| PathBuf::from("python3"), Path::to_path_buf);
    if let Err(why) = has_sdk(&candidate) {
        if python.is_some() {
            return Err(why.into());
        }
        narration.say("left out: python3 has no `signoff[verifier]` (host/sdk/python); `--python PATH` names another one");
        return Ok(());
    }
    let folder = folder.join("executor");
    std::fs::create_dir(&folder)?;
    let mut cast = Cast {
        operator: Person::new(&folder, "operator")?,
        ann: Person::new(&folder, "ann")?,
        agent: Person::new(&folder, "agent")?,
        python: candidate,
    };
    let server = cast.set_up(narration)?;
    cast.honest(narration, &server)?;
    cast.lied_to(narration, &server)?;
    server.stop()?;
    Ok(())
}

/// Checks that a Python can run the executor.
fn has_sdk(python: &Path) -> Result<()> {
    let mut probe = Command::new(python);
    probe.args(["-c", "import signoff, wasmtime"]).stdin(Stdio::null());
    let ran = probe.output().with_context(|| format!("cannot run `{}`", python.display()))?;
    ensure!(
        ran.status.success(),
        "`{}` has no `signoff[verifier]`: install host/sdk/python",
        python.display()
    );
    Ok(())
}

impl Cast {
    /// Starts a server that knows Ann's key, and gives the executor its public half.
    fn set_up(&mut self, narration: &Narration) -> Result<DemoServer> {
        let made = self.operator.run(&["init", "--audience", "demo", "--json"])?.done()?;
        let generate = ["key", "generate", "--approver", "ann@company.com", "--id", "ann"];
        let entry = public_entry(&self.ann, narration, &generate)?;
        let import = ["key", "import", &entry, "--approver", "ann@company.com", "--yes"];
        self.operator.run(&import)?.done()?;
        std::fs::write(self.agent.path("ann.json"), &entry)?;
        std::fs::write(self.agent.path("deploy.py"), PROGRAM)?;
        let server = self.operator.start_server(narration)?;
        self.operator.token = Some(field(&made, "admin_token")?);
        for person in [&mut self.operator, &mut self.ann, &mut self.agent] {
            person.server = Some(server.url.clone());
        }
        let operator = &self.operator;
        let token = |subject: &str, roles: &str| -> Result<Option<String>> {
            let create = ["token", "create", "--subject", subject, "--role", roles];
            operator.run(&create)?.done().map(Some)
        };
        self.agent.token = token("agent:deployer", "requester,executor")?;
        self.ann.token = token("ann@company.com", "approver")?;
        Ok(server)
    }

    fn honest(&self, narration: &mut Narration, server: &DemoServer) -> Result<()> {
        narration.say("agent$ SIGNOFF_KEYS=ann.json SIGNOFF_AUDIENCE=demo python3 deploy.py");
        let executor = self.start(&server.url)?;
        let id = self.pending()?;
        self.ann.type_command(narration, &["approve", &id, "--yes"])?.done()?;
        let ran = ended(executor)?;
        let out = String::from_utf8_lossy(&ran.stdout).into_owned();
        for line in out.lines() {
            narration.say(&safe(line));
        }
        let is_done = ran.status.success() && out.contains("deployed billing 1.2.3");
        narration.compare("it ran what Ann signed", is_done && out.contains("ann@company.com"));
        Ok(())
    }

    fn lied_to(&self, narration: &mut Narration, server: &DemoServer) -> Result<()> {
        narration.title("The same program, and a server that calls every request approved.");
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let url = runtime.block_on(liar(&server.url, self.agent.token.as_deref()))?;
        narration.say("agent$ python3 deploy.py   # nobody approves");
        let ran = ended(self.start(&url)?)?;
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        narration.say(&safe(said.lines().last().unwrap_or_default()));
        let has_run = String::from_utf8_lossy(&ran.stdout).contains("deployed");
        narration.compare(
            "nothing ran: no signature of Ann's covers it",
            !has_run && !ran.status.success() && said.contains("nothing ran: signature-invalid"),
        );
        runtime.shutdown_background();
        Ok(())
    }

    fn start(&self, url: &str) -> Result<Child> {
        let mut command = Command::new(&self.python);
        command
            .arg(self.agent.path("deploy.py"))
            .current_dir(self.agent.path(""))
            .env("SIGNOFF_SERVER", url)
            .env("SIGNOFF_TOKEN", self.agent.token.as_deref().unwrap_or_default())
            .env("SIGNOFF_KEYS", self.agent.path("ann.json"))
            .env("SIGNOFF_AUDIENCE", "demo")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().context("the executor does not start")
    }

    /// Returns the id of the executor's request, once there is one.
    fn pending(&self) -> Result<String> {
        let begun = Instant::now();
        loop {
            let listed = self.ann.run(&["list", "--status", "pending", "--json"])?.done()?;
            let list: Value = serde_json::from_str(&listed)?;
            if let Some(id) = list.pointer("/items/0/id").and_then(Value::as_str) {
                return Ok(id.to_owned());
            }
            ensure!(begun.elapsed() < REQUEST_TIME_MAX, "the executor made no request");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn ended(executor: Child) -> Result<Output> {
    executor.wait_with_output().context("the executor cannot be waited for")
}

/// Serves a proxy that shows every approval as approved. Returns its address.
async fn liar(url: &str, token: Option<&str>) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (url, token) = (url.to_owned(), token.map(str::to_owned));
    let proxy = Router::new().fallback(async move |request: Request| {
        let passed = pass(request, url, token).await;
        passed.unwrap_or_else(|e| Response::new(Body::from(format!("{e:#}"))))
    });
    tokio::spawn(async move { axum::serve(listener, proxy).await });
    Ok(format!("http://{address}"))
}

async fn pass(request: Request, url: String, token: Option<String>) -> Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await?;
    let body = (head.method == Method::POST).then(|| String::from_utf8_lossy(&body).into_owned());
    let is_view = head.method == Method::GET && head.uri.path().starts_with("/api/v1/approvals/");
    // The true server would wait, because nothing is decided.
    let path = head.uri.path().to_owned();
    let (status, mut answer) = tokio::task::spawn_blocking(move || {
        let server = Remote::new(&url, token.as_deref(), &Trust::default())
            .map_err(|failure| anyhow!(failure.words()))?;
        server.call(&head.method, &path, body)
    })
    .await??;
    if is_view && status == 200 {
        let mut view: Value = serde_json::from_slice(&answer)?;
        if let Some(view) = view.as_object_mut() {
            view.insert("status".to_owned(), json!("approved"));
            view.insert("decision".to_owned(), json!("approved"));
        }
        answer = view.to_string().into_bytes();
    }
    let response =
        Response::builder().status(status).header(header::CONTENT_TYPE, "application/json");
    Ok(response.body(Body::from(answer))?)
}
