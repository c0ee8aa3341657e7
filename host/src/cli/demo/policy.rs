//! The third part: a policy team ships modules to a running host. An agent keeps acting meanwhile,
//! and its permissions change under it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use axum::http::Method;
use serde_json::json;

use super::Tale;
use super::person::{Person, Served, expect, field, public_entry};
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
type Told = BTreeMap<(String, String, Option<String>), u64>;

/// Runs this part in folders below `folder`, and checks it.
pub(super) fn tell(tale: &mut Tale, folder: &Path) -> Result<(), Failure> {
    let folder = folder.join("policy");
    std::fs::create_dir(&folder)?;
    let mut cast = Cast {
        operator: Person::new(&folder, "operator")?,
        rita: Person::new(&folder, "rita")?,
        agent: Person::new(&folder, "agent")?,
        stranger: Person::new(&folder, "stranger")?,
    };
    let served = cast.set_up(tale)?;
    let first = cast.ships(tale)?;
    let over = AtomicBool::new(false);
    let (url, token) = (served.url.as_str(), cast.agent.token.as_deref());
    let (changed, told) = thread::scope(|scope| {
        let agent = scope.spawn(|| acts(url, token, &over));
        let changed = cast.changes(tale, &first);
        over.store(true, Ordering::Relaxed);
        (changed, agent.join())
    });
    let second = changed?;
    let told = told.map_err(|_| anyhow!("the agent of the demo failed"))??;
    judge(tale, &told, &first, &second);
    served.stop()?;
    Ok(())
}

impl Cast {
    /// Starts a server that trusts the policy team's key, and creates tokens for the team and the
    /// agent.
    fn set_up(&mut self, tale: &mut Tale) -> Result<Served> {
        tale.title("Now a policy. Rita writes rules for agents; the server accepts policies signed with her key.");
        let made = self.operator.types(tale, &["init", "--audience", "demo", "--json"])?.done()?;
        let admin = field(&made, "admin_token")?;
        let generate = ["key", "generate", "--use", "module", "--slot", "policy", "--id", "rita"];
        let entry = public_entry(&self.rita, tale, &generate)?;
        self.operator.types(tale, &["key", "import", &entry])?.done()?;
        let served = self.operator.serves(tale)?;
        for person in [&mut self.operator, &mut self.rita, &mut self.agent, &mut self.stranger] {
            person.server = Some(served.url.clone());
        }
        self.operator.token = Some(admin);
        let operator = &self.operator;
        let token = |subject: &str, roles: &str| -> Result<Option<String>> {
            let create = ["token", "create", "--subject", subject, "--role", roles];
            operator.types(tale, &create)?.done().map(Some)
        };
        self.rita.token = token("rita@company.com", "policy,auditor")?;
        self.agent.token = token("agent:inbox_triage", "requester,executor")?;
        self.stranger.token = self.rita.token.clone();
        Ok(served)
    }

    /// Ships the first version, from a rules file to the active module. Returns its digest.
    fn ships(&self, tale: &mut Tale) -> Result<String> {
        tale.title("She writes the rules, tests them, and builds a module from them.");
        std::fs::write(self.rita.path("mail-1.toml"), RULES)?;
        let tested = self.rita.types(tale, &["policy", "test", "mail-1.toml"])?;
        tale.say(tested.out.lines().last().unwrap_or_default());
        tale.compare("its own tests pass", tested.code == 0);
        self.builds(tale, "mail-1", "1")?;
        tale.title("She pushes it to the running server and activates it.");
        let digest = self.pushes(tale, "mail-1")?;
        self.rita.types(tale, &["module", "activate", &digest])?.done()?;
        let asked = self.asks(tale)?;
        tale.compare("the action is allowed without an approval", asked == "allow");
        Ok(digest)
    }

    fn builds(&self, tale: &Tale, name: &str, version: &str) -> Result<()> {
        let (rules, wasm) = (format!("{name}.toml"), format!("{name}.wasm"));
        self.rita.types(tale, &["policy", "build", &rules, "-o", &wasm])?.done()?;
        let sign = ["module", "sign", &wasm, "--slot", "policy", "--name", "mail"];
        let by = ["--version", version, "--key", "rita"];
        self.rita.types(tale, &[&sign[..], &by].concat())?.done()?;
        Ok(())
    }

    fn pushes(&self, tale: &Tale, name: &str) -> Result<String> {
        let push = ["module", "push", &format!("{name}.wasm"), "--json"];
        field(&self.rita.types(tale, &push)?.done()?, "digest")
    }

    /// Returns the decision on the agent's action, using the command line.
    fn asks(&self, tale: &Tale) -> Result<String> {
        let context = json!({ "risk_score": RISK }).to_string();
        let evaluate = ["evaluate", "--agent", "inbox_triage", "--action", "quarantine"];
        let asked = [&evaluate[..], &["--context", &context, "--json"]].concat();
        let ran = self.agent.types(tale, &asked)?;
        field(&ran.out, "decision")
    }

    /// Ships the second version while the agent keeps acting. Returns its digest.
    fn changes(&self, tale: &mut Tale, first: &str) -> Result<String> {
        tale.title("From now on the agent acts continuously. Rita wants to know what a lower threshold would change.");
        let stricter = RULES
            .replace(">= 90", ">= 70")
            .replace("\"allow\"\n\n[[test]]", "\"require_approval\"\n\n[[test]]")
            .replace("a mail of little risk goes by itself", "a mail of some risk waits too");
        ensure!(stricter != RULES, "the demo's second rules do not differ from the first");
        std::fs::write(self.rita.path("mail-2.toml"), stricter)?;
        self.builds(tale, "mail-2", "2")?;
        let second = self.pushes(tale, "mail-2")?;
        self.rita.types(tale, &["module", "shadow", &second])?.done()?;
        let flips = self.flips(tale)?;
        tale.say(flips.lines().last().unwrap_or_default());
        tale.compare(
            "the shadow policy would require approval",
            flips.contains("require_approval"),
        );
        let asked = self.asks(tale)?;
        tale.compare("and has no effect yet", asked == "allow");
        tale.title("She activates it. Nothing restarts.");
        self.rita.types(tale, &["module", "activate", &second])?.done()?;
        let asked = self.asks(tale)?;
        tale.compare("the next action requires approval", asked == "require_approval");
        self.is_refused(tale, first)?;
        tale.title("It requires too many approvals: she rolls back, and gives a reason.");
        let back = ["module", "rollback", "policy", "--reason", "too many questions"];
        self.rita.types(tale, &back)?.done()?;
        let asked = self.asks(tale)?;
        tale.compare("the action is allowed again without an approval", asked == "allow");
        Ok(second)
    }

    /// Returns the flips, once there are any: they are recorded concurrently with the responses.
    fn flips(&self, tale: &Tale) -> Result<String> {
        for _ in 0..600 {
            let flips = self.rita.runs(&["module", "flips"])?.done()?;
            if flips.contains("require_approval") {
                return self.rita.types(tale, &["module", "flips"])?.done();
            }
            thread::sleep(std::time::Duration::from_millis(100));
        }
        Err(anyhow!("the shadow policy reported no flip"))
    }

    /// Shows modules that the server refuses.
    fn is_refused(&self, tale: &mut Tale, first: &str) -> Result<()> {
        tale.title("A module that is not signed with her key, or is older than the active one, is refused.");
        let older = self.rita.types(tale, &["module", "activate", first])?;
        expect(tale, &older, 3, "version-not-newer");
        let generate =
            ["key", "generate", "--use", "module", "--slot", "policy", "--id", "stranger"];
        public_entry(&self.stranger, tale, &generate)?;
        std::fs::copy(self.rita.path("mail-2.wasm"), self.stranger.path("mine.wasm"))?;
        let sign = ["module", "sign", "mine.wasm", "--slot", "policy", "--name", "mail"];
        let by = ["--version", "3", "--key", "stranger"];
        self.stranger.types(tale, &[&sign[..], &by].concat())?.done()?;
        let unknown = self.stranger.types(tale, &["module", "push", "mine.wasm"])?;
        expect(tale, &unknown, 3, "key-unknown");
        Ok(())
    }
}

/// The agent: evaluates its action repeatedly and counts the verdicts.
fn acts(url: &str, token: Option<&str>, over: &AtomicBool) -> Result<Told> {
    let server = Remote::new(url, token, &Trust::default()).map_err(|_| anyhow!("no server"))?;
    let mut told = Told::new();
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
        *told.entry((policy, verdict.decision.to_string(), verdict.rule)).or_default() += 1;
    }
    Ok(told)
}

/// Checks that each verdict came from exactly one policy.
fn judge(tale: &mut Tale, told: &Told, first: &str, second: &str) {
    let answers: u64 = told.values().sum();
    tale.title(&format!(
        "The agent made {answers} evaluations meanwhile. Each verdict came from one policy, and none failed."
    ));
    for ((policy, decision, rule), count) in told {
        let rule = rule.as_deref().unwrap_or("the default");
        tale.say(&format!(
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
    tale.compare("no verdict mixes two policies", told.keys().all(known));
    let both = [first, second].iter().all(|one| told.keys().any(|(policy, ..)| policy == one));
    tale.compare("both policies have returned verdicts", both);
}
