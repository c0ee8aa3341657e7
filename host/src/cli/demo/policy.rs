//! The third part: a policy team ships modules to a running host. An agent keeps acting meanwhile,
//! and its permissions change under it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use axum::http::Method;
use serde_json::json;

use super::Narration;
use super::person::{DemoServer, Person, expect, field, public_entry};
use crate::api::Evaluation;
use crate::cli::exit::Failure;
use crate::cli::remote::{Remote, Trust};

/// The first version of the rules.
const RULES: &str = r#"format = 1
name = "mail"
default = "allow"

[[rule]]
id = "risky-mail"
action = "quarantine"
when = "context.risk_score >= 90"
verdict = "require_approval"
ttl = "urgent"
reason = "a mail of risk {context.risk_score}"

[[test]]
name = "a mail of little risk goes by itself"
agent = "inbox_triage"
action = "quarantine"
context = { risk_score = 75 }
expect = "allow"

[[test]]
name = "a risky one waits for a person"
agent = "inbox_triage"
action = "quarantine"
context = { risk_score = 95 }
expect = "require_approval"
rule = "risky-mail"
"#;

/// The risk of the agent's action, which it repeats.
const RISK: u32 = 75;

/// The people in this part.
struct Cast {
    operator: Person,
    rita: Person,
    agent: Person,
    stranger: Person,
}

/// The verdicts that the agent received: the number of each policy, decision and rule.
type Counts = BTreeMap<(String, String, Option<String>), u64>;

/// Runs this part in folders below `folder`, and checks it.
pub(super) fn run(narration: &mut Narration, folder: &Path) -> Result<(), Failure> {
    let folder = folder.join("policy");
    std::fs::create_dir(&folder)?;
    let mut cast = Cast {
        operator: Person::new(&folder, "operator")?,
        rita: Person::new(&folder, "rita")?,
        agent: Person::new(&folder, "agent")?,
        stranger: Person::new(&folder, "stranger")?,
    };
    let server = cast.set_up(narration)?;
    let first = cast.ship(narration)?;
    let over = AtomicBool::new(false);
    let (url, token) = (server.url.as_str(), cast.agent.token.as_deref());
    let (changed, counts) = thread::scope(|scope| {
        let agent = scope.spawn(|| act(url, token, &over));
        let changed = cast.change(narration, &first);
        over.store(true, Ordering::Relaxed);
        (changed, agent.join())
    });
    let second = changed?;
    let counts = counts.map_err(|_| anyhow!("the agent of the demo failed"))??;
    check_verdicts(narration, &counts, &first, &second);
    server.stop()?;
    Ok(())
}

impl Cast {
    /// Starts a server that trusts the policy team's key, and creates tokens for the team and the
    /// agent.
    fn set_up(&mut self, narration: &mut Narration) -> Result<DemoServer> {
        narration.title("Now a policy. Rita writes rules for agents; the server accepts policies signed with her key.");
        let made = self
            .operator
            .type_command(narration, &["init", "--audience", "demo", "--json"])?
            .done()?;
        let admin = field(&made, "admin_token")?;
        let generate = ["key", "generate", "--use", "module", "--slot", "policy", "--id", "rita"];
        let entry = public_entry(&self.rita, narration, &generate)?;
        let import = ["key", "import", &entry, "--use", "module", "--slot", "policy", "--yes"];
        self.operator.type_command(narration, &import)?.done()?;
        let server = self.operator.start_server(narration)?;
        for person in [&mut self.operator, &mut self.rita, &mut self.agent, &mut self.stranger] {
            person.server = Some(server.url.clone());
        }
        self.operator.token = Some(admin);
        let operator = &self.operator;
        let token = |subject: &str, roles: &str| -> Result<Option<String>> {
            let create = ["token", "create", "--subject", subject, "--role", roles];
            operator.type_command(narration, &create)?.done().map(Some)
        };
        self.rita.token = token("rita@company.com", "policy,auditor")?;
        self.agent.token = token("agent:inbox_triage", "requester,executor")?;
        self.stranger.token = self.rita.token.clone();
        Ok(server)
    }

    /// Ships the first version, from a rules file to the active module. Returns its digest.
    fn ship(&self, narration: &mut Narration) -> Result<String> {
        narration.title("She writes the rules, tests them, and builds a module from them.");
        std::fs::write(self.rita.path("mail-1.toml"), RULES)?;
        let tested = self.rita.type_command(narration, &["policy", "test", "mail-1.toml"])?;
        narration.say(tested.out.lines().last().unwrap_or_default());
        narration.compare("its own tests pass", tested.code == 0);
        self.build(narration, "mail-1", "1")?;
        narration.title("She pushes it to the running server and activates it.");
        let digest = self.push(narration, "mail-1")?;
        self.rita.type_command(narration, &["module", "activate", &digest])?.done()?;
        let decision = self.evaluate(narration)?;
        narration.compare("the action is allowed without an approval", decision == "allow");
        Ok(digest)
    }

    fn build(&self, narration: &Narration, name: &str, version: &str) -> Result<()> {
        let (rules, wasm) = (format!("{name}.toml"), format!("{name}.wasm"));
        self.rita.type_command(narration, &["policy", "build", &rules, "-o", &wasm])?.done()?;
        let sign = ["module", "sign", &wasm, "--slot", "policy", "--name", "mail"];
        let by = ["--version", version, "--key", "rita"];
        self.rita.type_command(narration, &[&sign[..], &by].concat())?.done()?;
        Ok(())
    }

    fn push(&self, narration: &Narration, name: &str) -> Result<String> {
        let push = ["module", "push", &format!("{name}.wasm"), "--json"];
        field(&self.rita.type_command(narration, &push)?.done()?, "digest")
    }

    /// Returns the decision on the agent's action, using the command line.
    fn evaluate(&self, narration: &Narration) -> Result<String> {
        let context = json!({ "risk_score": RISK }).to_string();
        let evaluate = ["evaluate", "--agent", "inbox_triage", "--action", "quarantine"];
        let arguments = [&evaluate[..], &["--context", &context, "--json"]].concat();
        let ran = self.agent.type_command(narration, &arguments)?;
        field(&ran.out, "decision")
    }

    /// Ships the second version while the agent keeps acting. Returns its digest.
    fn change(&self, narration: &mut Narration, first: &str) -> Result<String> {
        narration.title("From now on the agent acts continuously. Rita wants to know what a lower threshold would change.");
        let stricter = RULES
            .replace(">= 90", ">= 70")
            .replace("\"allow\"\n\n[[test]]", "\"require_approval\"\n\n[[test]]")
            .replace("a mail of little risk goes by itself", "a mail of some risk waits too");
        ensure!(stricter != RULES, "the demo's second rules do not differ from the first");
        std::fs::write(self.rita.path("mail-2.toml"), stricter)?;
        self.build(narration, "mail-2", "2")?;
        let second = self.push(narration, "mail-2")?;
        self.rita.type_command(narration, &["module", "shadow", &second])?.done()?;
        let flips = self.flips(narration)?;
        narration.say(flips.lines().last().unwrap_or_default());
        narration.compare(
            "the shadow policy would require approval",
            flips.contains("require_approval"),
        );
        let decision = self.evaluate(narration)?;
        narration.compare("and has no effect yet", decision == "allow");
        narration.title("She activates it. Nothing restarts.");
        self.rita.type_command(narration, &["module", "activate", &second])?.done()?;
        let decision = self.evaluate(narration)?;
        narration.compare("the next action requires approval", decision == "require_approval");
        self.show_refusals(narration, first)?;
        narration.title("It requires too many approvals: she rolls back, and gives a reason.");
        let back = ["module", "rollback", "policy", "--reason", "too many questions"];
        self.rita.type_command(narration, &back)?.done()?;
        let decision = self.evaluate(narration)?;
        narration.compare("the action is allowed again without an approval", decision == "allow");
        Ok(second)
    }

    /// Returns the flips, once there are any: they are recorded concurrently with the responses.
    fn flips(&self, narration: &Narration) -> Result<String> {
        for _ in 0..600 {
            let flips = self.rita.run(&["module", "flips"])?.done()?;
            if flips.contains("require_approval") {
                return self.rita.type_command(narration, &["module", "flips"])?.done();
            }
            thread::sleep(std::time::Duration::from_millis(100));
        }
        Err(anyhow!("the shadow policy reported no flip"))
    }

    /// Shows modules that the server refuses.
    fn show_refusals(&self, narration: &mut Narration, first: &str) -> Result<()> {
        narration.title("A module that is not signed with her key, or is older than the active one, is refused.");
        let older = self.rita.type_command(narration, &["module", "activate", first])?;
        expect(narration, &older, 3, "version-not-newer");
        let generate =
            ["key", "generate", "--use", "module", "--slot", "policy", "--id", "stranger"];
        public_entry(&self.stranger, narration, &generate)?;
        std::fs::copy(self.rita.path("mail-2.wasm"), self.stranger.path("mine.wasm"))?;
        let sign = ["module", "sign", "mine.wasm", "--slot", "policy", "--name", "mail"];
        let by = ["--version", "3", "--key", "stranger"];
        self.stranger.type_command(narration, &[&sign[..], &by].concat())?.done()?;
        let unknown = self.stranger.type_command(narration, &["module", "push", "mine.wasm"])?;
        expect(narration, &unknown, 3, "key-unknown");
        Ok(())
    }
}

/// The agent: evaluates its action repeatedly and counts the verdicts.
fn act(url: &str, token: Option<&str>, over: &AtomicBool) -> Result<Counts> {
    let server = Remote::new(url, token, &Trust::default()).map_err(|_| anyhow!("no server"))?;
    let mut counts = Counts::new();
    while !over.load(Ordering::Relaxed) {
        let body = json!({ "agent": "inbox_triage", "action": "quarantine", "context": { "risk_score": RISK } });
        let path = "/api/v1/guardrails/evaluate";
        let (status, answer) = server
            .call(&Method::POST, path, Some(body.to_string()))
            .map_err(|_| anyhow!("the server does not respond"))?;
        ensure!(
            status == 200,
            "the agent received status {status}: {}",
            String::from_utf8_lossy(&answer)
        );
        let verdict: Evaluation =
            serde_json::from_slice(&answer).context("a response is not a verdict")?;
        let policy = verdict.policy.context("no policy decided")?;
        *counts.entry((policy, verdict.decision.to_string(), verdict.rule)).or_default() += 1;
    }
    Ok(counts)
}

/// Checks that each verdict came from exactly one policy.
fn check_verdicts(narration: &mut Narration, counts: &Counts, first: &str, second: &str) {
    let answers: u64 = counts.values().sum();
    narration.title(&format!(
        "The agent made {answers} evaluations meanwhile. Each verdict came from one policy, and none failed."
    ));
    for ((policy, decision, rule), count) in counts {
        let rule = rule.as_deref().unwrap_or("the default");
        narration.say(&format!(
            "{count} x {decision} by {rule} of {}",
            policy.get(..12).unwrap_or(policy)
        ));
    }
    let known = |(policy, decision, rule): &(String, String, Option<String>)| {
        (policy == first && decision == "allow" && rule.is_none())
            || (policy == second
                && decision == "require_approval"
                && rule.as_deref() == Some("risky-mail"))
    };
    narration.compare("no verdict mixes two policies", counts.keys().all(known));
    let both = [first, second].iter().all(|one| counts.keys().any(|(policy, ..)| policy == one));
    narration.compare("both policies have returned verdicts", both);
}
