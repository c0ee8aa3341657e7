//! The second part: least privilege. Tokens authenticate callers, each approver signs with a key
//! that never leaves their machine, and the audit log can be verified.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use redb::{Builder, ReadableTable, TableDefinition};
use serde_json::Value;

use super::Narration;
use super::person::{DemoServer, Person, Ran, expect, field, public_entry};
use crate::cli::exit::Failure;
use crate::id::ApprovalId;

const CONTEXT: &str = r#"{"service": "billing", "version": "1.2.3"}"#;
const OTHER_CONTEXT: &str = r#"{"service": "billing", "version": "6.6.6"}"#;

/// The people in this part.
struct Cast {
    operator: Person,
    agent: Person,
    ann: Person,
    ben: Person,
    auditor: Person,
}

/// Runs this part in folders below `folder`, and checks it.
pub(super) fn run(narration: &mut Narration, folder: &Path) -> Result<(), Failure> {
    let mut cast = Cast {
        operator: Person::new(folder, "operator")?,
        agent: Person::new(folder, "agent")?,
        ann: Person::new(folder, "ann")?,
        ben: Person::new(folder, "ben")?,
        auditor: Person::new(folder, "auditor")?,
    };
    let server = cast.set_up(narration)?;
    let first = cast.request(narration, "first")?;
    let second = cast.request(narration, "second")?;
    cast.agent_tries_to_approve(narration, &first)?;
    cast.ann_approves(narration, &[&first, &second])?;
    cast.ben_rotates_and_approves(narration, &[&first, &second])?;
    narration.title(
        "The server stops. An attacker with write access to its disk changes what was approved.",
    );
    server.stop()?;
    cast.tamper(narration, &first)?;
    let server = cast.operator.start_server(narration)?;
    cast.set_server(&server);
    cast.claim(narration, &first, &second)?;
    cast.prove(narration, &second)?;
    server.stop()?;
    Ok(())
}

impl Cast {
    /// Creates a store with tokens, and the keys of two approvers.
    fn set_up(&mut self, narration: &mut Narration) -> Result<DemoServer> {
        narration.title(
            "Now with tokens and separate keys. The operator creates a store and serves it.",
        );
        let made = self
            .operator
            .type_command(narration, &["init", "--audience", "demo", "--json"])?
            .done()?;
        let admin = field(&made, "admin_token")?;
        narration.say("the admin's token is printed once and not stored");
        narration.title("Ann and Ben each generate a key. The private half stays with them; the operator imports the public one.");
        for (person, name, groups) in
            [(&self.ann, "ann", &["--group", "sre"][..]), (&self.ben, "ben", &[])]
        {
            let approver = format!("{name}@company.com");
            let generate = ["key", "generate", "--approver", &approver, "--id", name];
            let entry = public_entry(person, narration, &generate)?;
            let mut import = vec!["key", "import", &entry, "--approver", &approver];
            import.extend(groups);
            self.operator.type_command(narration, &[&import[..], &["--yes"]].concat())?.done()?;
        }
        let server = self.operator.start_server(narration)?;
        self.operator.token = Some(admin);
        self.set_server(&server);
        narration.title(
            "Roles: the agent requests and executes, Ann and Ben decide, the auditor reads.",
        );
        let operator = &self.operator;
        let token = |subject: &str, roles: &str| -> Result<Option<String>> {
            let create = ["token", "create", "--subject", subject, "--role", roles];
            operator.type_command(narration, &create)?.done().map(Some)
        };
        self.agent.token = token("agent:deployer", "requester,executor")?;
        self.ann.token = token("ann@company.com", "approver")?;
        self.ben.token = token("ben@company.com", "approver")?;
        self.auditor.token = token("auditor@company.com", "auditor")?;
        Ok(server)
    }

    fn set_server(&mut self, server: &DemoServer) {
        let everybody =
            [&mut self.operator, &mut self.agent, &mut self.ann, &mut self.ben, &mut self.auditor];
        for person in everybody {
            person.server = Some(server.url.clone());
        }
    }

    fn request(&self, narration: &mut Narration, which: &str) -> Result<String> {
        narration.title(&format!(
            "The agent makes its {which} request: two approvers, one of them from the group sre."
        ));
        let request = [
            "request",
            "--agent",
            "deployer",
            "--action",
            "deploy",
            "--context",
            CONTEXT,
            "--threshold",
            "2",
            "--group",
            "sre=1",
            "--reason",
            which,
            "--json",
        ];
        let requested = self.agent.type_command(narration, &request)?.done()?;
        let id = field(&requested, "id")?;
        narration.compare(&format!("{id} is pending"), field(&requested, "status")? == "pending");
        Ok(id)
    }

    fn agent_tries_to_approve(&self, narration: &mut Narration, id: &str) -> Result<()> {
        narration.title("It tries to approve its own request, with a forged signature.");
        let made_up = format!("v2.ann.{}", "A".repeat(86));
        let approve =
            ["approve", id, "--approver", "agent:deployer", "--signature", &made_up, "--yes"];
        let refused = self.agent.type_command(narration, &approve)?;
        expect(narration, &refused, 3, "forbidden");
        Ok(())
    }

    fn ann_approves(&self, narration: &mut Narration, ids: &[&str]) -> Result<()> {
        narration.title(
            "Ann reviews and signs. Her own verifier recomputes every digest from what she is shown.",
        );
        for id in ids {
            let approved = self.ann.type_command(
                narration,
                &["approve", id, "--yes", "--comment", "canary is green"],
            )?;
            expect(narration, &approved, 0, "pending");
        }
        Ok(())
    }

    fn ben_rotates_and_approves(&self, narration: &mut Narration, ids: &[&str]) -> Result<()> {
        narration.title(
            "Ben lost his laptop: his key is revoked, and he generates another. No restart.",
        );
        let generate = ["key", "generate", "--approver", "ben@company.com", "--id", "ben-2"];
        let entry = public_entry(&self.ben, narration, &generate)?;
        let import = ["key", "import", &entry, "--approver", "ben@company.com", "--yes"];
        self.operator.type_command(narration, &import)?.done()?;
        self.operator.type_command(narration, &["key", "revoke", "ben", "--yes"])?.done()?;
        let [first, ..] = ids else { return Ok(()) };
        let refused =
            self.ben.type_command(narration, &["approve", first, "--key", "ben", "--yes"])?;
        expect(narration, &refused, 3, "key-revoked");
        for id in ids {
            let approved =
                self.ben.type_command(narration, &["approve", id, "--key", "ben-2", "--yes"])?;
            expect(narration, &approved, 0, "approved");
        }
        Ok(())
    }

    /// Writes another context's digest into the stored record, which v1 would not detect.
    fn tamper(&self, narration: &mut Narration, id: &str) -> Result<()> {
        const APPROVALS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("approvals");
        let digest = |context: &str| -> Result<String> {
            std::fs::write(self.agent.path("context.json"), context)?;
            self.agent.run(&["hash", "context.json"])?.done()
        };
        let (approved, other) = (digest(CONTEXT)?, digest(OTHER_CONTEXT)?);
        let database = Builder::new().open(self.operator.path("signoff.redb"))?;
        let txn = database.begin_write()?;
        {
            let mut table = txn.open_table(APPROVALS)?;
            let key = ApprovalId::parse(id).context("malformed approval id")?.to_u128();
            let row = table.get(key)?.context("the approval is not stored")?.value().to_vec();
            let at = row.windows(approved.len()).position(|bytes| bytes == approved.as_bytes());
            let at = at.context("the record has no digest")?;
            let mut changed = row;
            let place = changed.get_mut(at..at + other.len()).context("the record is too short")?;
            place.copy_from_slice(other.as_bytes());
            table.insert(key, changed.as_slice())?;
        }
        txn.commit()?;
        narration.say(&format!("{id}: context_hash {approved}"));
        narration.say(&format!("is now                                      {other}"));
        Ok(())
    }

    fn claim(&self, narration: &mut Narration, first: &str, second: &str) -> Result<()> {
        narration.title("The agent claims the tampered approval: the log detects it.");
        let claim = |narration: &Narration, id: &str, context: &str| -> Result<Ran> {
            let claim = [
                "claim",
                id,
                "--agent",
                "deployer",
                "--action",
                "deploy",
                "--context",
                context,
                "--json",
            ];
            self.agent.type_command(narration, &claim)
        };
        let refused = claim(narration, first, OTHER_CONTEXT)?;
        expect(narration, &refused, 1, "store-tampered");
        narration.title("It claims the other approval, and reports the outcome.");
        let claimed = claim(narration, second, CONTEXT)?.done()?;
        let execution: Value = serde_json::from_str(&claimed)?;
        let execution = execution.pointer("/execution/id").and_then(Value::as_str);
        let execution = execution.context("the response to the claim has no execution")?;
        let report = ["outcome", second, "--execution-id", execution, "--outcome", "succeeded"];
        let settled = self.agent.type_command(narration, &report)?;
        expect(narration, &settled, 0, "succeeded");
        Ok(())
    }

    /// Verifies in a second process, in an empty folder, with only the file and the log's key.
    fn prove(&self, narration: &mut Narration, id: &str) -> Result<()> {
        narration.title("The auditor exports a receipt, which anyone can verify without a server.");
        let key = self.auditor.type_command(narration, &["audit", "key"])?.done()?;
        let key = key.split_whitespace().last().context("the log has no key")?.to_owned();
        self.auditor
            .type_command(narration, &["receipt", "export", id, "-o", "receipt.json"])?
            .done()?;
        let folder = self.auditor.path("elsewhere");
        std::fs::create_dir(&folder)?;
        let stranger = Person::new(&folder, "stranger")?;
        std::fs::copy(self.auditor.path("receipt.json"), stranger.path("receipt.json"))?;
        let verified = stranger
            .type_command(narration, &["receipt", "verify", "receipt.json", "--trust", &key])?;
        for line in verified.out.lines() {
            narration.say(&format!("  {line}"));
        }
        narration.compare("the receipt verifies on a machine without a store", verified.code == 0);
        let receipt = std::fs::read_to_string(stranger.path("receipt.json"))?;
        ensure!(receipt.contains("canary is green"), "the receipt lacks Ann's comment");
        let forged = receipt.replace("canary is green", "canary is great");
        std::fs::write(stranger.path("receipt.json"), forged)?;
        let refused = stranger
            .type_command(narration, &["receipt", "verify", "receipt.json", "--trust", &key])?;
        narration.say(refused.last_message());
        narration.compare("with one word changed it does not verify", refused.code == 1);
        narration.title("The whole log verifies, up to the last entry.");
        self.auditor.type_command(narration, &["audit", "export", "-o", "audit.jsonl"])?.done()?;
        let verified = self
            .auditor
            .type_command(narration, &["audit", "verify", "audit.jsonl", "--trust", &key])?;
        narration.say(verified.out.lines().next().unwrap_or_default());
        narration.compare("the log verifies", verified.code == 0);
        let audit = std::fs::read_to_string(self.auditor.path("audit.jsonl"))?;
        for (event, count) in [
            ("approval_requested", 2),
            ("approval_decided", 4),
            ("approval_claimed", 1),
            ("execution_settled", 1),
            ("token_created", 5),
            ("request_refused", 2),
        ] {
            let found = audit.matches(&format!("\"event\":\"{event}\"")).count();
            narration.compare(&format!("{event}: {count}"), found == count);
        }
        Ok(())
    }
}
