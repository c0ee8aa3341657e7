//! The third part: a policy team ships into a running host. An agent acts all the while and is asked
//! to stop by nobody; what it may do changes under it.

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

/// Rules as the team first writes them.
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

/// What the agent does, again and again.
const RISK: u32 = 75;

/// Who is in the story.
struct Cast {
    operator: Person,
    rita: Person,
    agent: Person,
    stranger: Person,
}

/// What the agent was told, by policy: the decision, the rule, how often.
type Told = BTreeMap<(String, String, Option<String>), u64>;

/// Tells the story in folders below one, and checks it.
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
    /// A server that knows who signs policies, and tokens for the team and the agent.
    fn set_up(&mut self, tale: &mut Tale) -> Result<Served> {
        tale.title("Now a policy. Rita writes rules for agents; her key signs what the server takes for policies.");
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

    /// The first version, from a file to what serves. Its digest.
    fn ships(&self, tale: &mut Tale) -> Result<String> {
        tale.title("She writes them, has them checked and tested, and builds one module of them.");
        std::fs::write(self.rita.path("mail-1.toml"), RULES)?;
        let tested = self.rita.types(tale, &["policy", "test", "mail-1.toml"])?;
        tale.say(tested.out.lines().last().unwrap_or_default());
        tale.compare("its own tests pass", tested.code == 0);
        self.builds(tale, "mail-1", "1")?;
        tale.title("She pushes it to the running server, and it serves.");
        let digest = self.pushes(tale, "mail-1")?;
        self.rita.types(tale, &["module", "activate", &digest])?.done()?;
        let asked = self.asks(tale)?;
        tale.compare("the agent may, without a person", asked == "allow");
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

    /// What the agent is told about its action, by the command line.
    fn asks(&self, tale: &Tale) -> Result<String> {
        let context = json!({ "risk_score": RISK }).to_string();
        let evaluate = ["evaluate", "--agent", "inbox_triage", "--action", "quarantine"];
        let asked = [&evaluate[..], &["--context", &context, "--json"]].concat();
        let ran = self.agent.types(tale, &asked)?;
        field(&ran.out, "decision")
    }

    /// The second version, under an agent that acts all the while. Its digest.
    fn changes(&self, tale: &mut Tale, first: &str) -> Result<String> {
        tale.title("From here on the agent acts all the time. Rita wants to know what a lower threshold would change.");
        let stricter = RULES
            .replace(">= 90", ">= 70")
            .replace("\"allow\"\n\n[[test]]", "\"require_approval\"\n\n[[test]]")
            .replace("a mail of little risk goes by itself", "a mail of some risk waits too");
        ensure!(stricter != RULES, "the demo's second rules are its first");
        std::fs::write(self.rita.path("mail-2.toml"), stricter)?;
        self.builds(tale, "mail-2", "2")?;
        let second = self.pushes(tale, "mail-2")?;
        self.rita.types(tale, &["module", "shadow", &second])?.done()?;
        let flips = self.flips(tale)?;
        tale.say(flips.lines().last().unwrap_or_default());
        tale.compare(
            "the candidate would ask a person about it",
            flips.contains("require_approval"),
        );
        let asked = self.asks(tale)?;
        tale.compare("and decides nothing yet", asked == "allow");
        tale.title("She promotes it. Nothing restarts.");
        self.rita.types(tale, &["module", "activate", &second])?.done()?;
        let asked = self.asks(tale)?;
        tale.compare("from the next action on a person is asked", asked == "require_approval");
        self.is_refused(tale, first)?;
        tale.title("It asks too much of people: she goes back, and says why.");
        let back = ["module", "rollback", "policy", "--reason", "too many questions"];
        self.rita.types(tale, &back)?.done()?;
        let asked = self.asks(tale)?;
        tale.compare("the agent may again, without a person", asked == "allow");
        Ok(second)
    }

    /// The flips, once there are any: they are told beside the answers, not before them.
    fn flips(&self, tale: &Tale) -> Result<String> {
        for _ in 0..600 {
            let flips = self.rita.runs(&["module", "flips"])?.done()?;
            if flips.contains("require_approval") {
                return self.rita.types(tale, &["module", "flips"])?.done();
            }
            thread::sleep(std::time::Duration::from_millis(100));
        }
        Err(anyhow!("the shadow told of no flip"))
    }

    /// What the server does not take.
    fn is_refused(&self, tale: &mut Tale, first: &str) -> Result<()> {
        tale.title("What is not signed by her key, or is older than what served, is refused.");
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

/// The agent: asks before each action, over and over, and counts what it is told.
fn acts(url: &str, token: Option<&str>, over: &AtomicBool) -> Result<Told> {
    let server = Remote::new(url, token, &Trust::default()).map_err(|_| anyhow!("no server"))?;
    let mut told = Told::new();
    while !over.load(Ordering::Relaxed) {
        let body = json!({ "agent": "inbox_triage", "action": "quarantine", "context": { "risk_score": RISK } });
        let path = "/api/v1/guardrails/evaluate";
        let (status, answer) = server
            .call(&Method::POST, path, Some(body.to_string()))
            .map_err(|_| anyhow!("the server does not answer"))?;
        ensure!(
            status == 200,
            "the agent was answered {status}: {}",
            String::from_utf8_lossy(&answer)
        );
        let verdict: Evaluation =
            serde_json::from_slice(&answer).context("an answer is no verdict")?;
        let policy = verdict.policy.context("no policy decided")?;
        *told.entry((policy, verdict.decision.to_string(), verdict.rule)).or_default() += 1;
    }
    Ok(told)
}

/// Whether each answer that the agent got was one policy's, whole.
fn judge(tale: &mut Tale, told: &Told, first: &str, second: &str) {
    let answers: u64 = told.values().sum();
    tale.title(&format!(
        "The agent asked {answers} times meanwhile. Every answer was one policy's, and none failed."
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
    tale.compare("no answer is a mixture", told.keys().all(known));
    let both = [first, second].iter().all(|one| told.keys().any(|(policy, ..)| policy == one));
    tale.compare("both policies have answered", both);
}
