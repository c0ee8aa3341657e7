//! A store with every kind of row, made by a real server, and an older copy of it in which most rows have
//! another version.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use signoff::modules::Slot;
use signoff::store::redb::{CheckIntegrity, OpenMode, RedbStore};
use signoff::store::{About, Change, Store, Trust};

use super::tables::Contents;
use crate::support::modules::{Core, change, push, sealed};
use crate::support::{Client, Home, KeyV2, Office, Server, id, text, until};

pub const ANN: &str = "ann@example.com";
pub const BOB: &str = "bob@example.com";
/// The approver whose key is revoked between the two copies.
pub const CARL: &str = "carl@example.com";
/// The idempotency key of every repeated call.
pub const KEY: &str = "only-once";
/// The number of entries after which a store saves its state when it is closed.
const SAVED_AFTER: u64 = 1_000;

/// The name of each approval of the scene.
pub const NAMES: [&str; 11] = [
    "pending",
    "half",
    "approved",
    "planned",
    "of-carl",
    "claimed",
    "succeeded",
    "failed",
    "rejected",
    "withdrawn",
    "expired",
];

/// A closed store, and what is needed to call its server.
pub struct Scene {
    pub home: Home,
    /// The file before [`Scene::second_part`].
    pub old: Vec<u8>,
    /// The file as the product left it.
    pub honest: Vec<u8>,
    pub old_rows: Contents,
    pub rows: Contents,
    /// The approvals as first shown, in the order of [`NAMES`].
    pub approvals: Vec<Value>,
    pub tokens: Tokens,
    /// The keyring before Carl's key was revoked.
    pub old_keyring: Vec<u8>,
    /// The digests of the previously active policy and of the active one.
    pub policies: [String; 2],
}

/// The tokens of the scene, by purpose.
pub struct Tokens {
    pub admin: String,
    pub requester: String,
    pub executor: String,
    /// Another executor of the same agents.
    pub second: String,
    pub ann: String,
    pub bob: String,
    pub carl: String,
    pub policy: String,
    /// The token that was revoked between the two copies.
    pub leaver: String,
}

/// Returns the body of a request.
pub fn request(name: &str) -> Value {
    let mut body = json!({
        "agent": if name == "half" { "inbox_triage" } else { "knowledge_update" },
        "action": if name == "planned" { "deploy" } else { "apply" },
        "context": { "file": format!("config/{name}.yaml"), "changes_count": 1500 },
        "reason": format!("the change of {name}"),
    });
    match name {
        "half" => body["requirement"] = json!({ "threshold": 2 }),
        "planned" => body["plan"] = json!({ "steps": ["stop", "copy", "start"] }),
        "expired" => body["expires_in_seconds"] = json!(1),
        _ => {}
    }
    body
}

/// Returns the claim of the approval with this name.
pub fn claim(name: &str) -> Value {
    let mut body = request(name);
    let fields = body.as_object_mut().unwrap();
    fields.retain(|field, _| ["agent", "action", "context", "plan"].contains(&field.as_str()));
    body
}

pub fn path(approval: &Value, operation: &str) -> String {
    format!("/api/v1/approvals/{}/{operation}", id(approval))
}

impl Scene {
    /// Returns a store whose state is read from its log at each start.
    pub fn new() -> Self {
        Self::after_entries(0)
    }

    /// Returns a store with a saved state; a start reads only later entries of its log.
    pub fn saved() -> Self {
        Self::after_entries(SAVED_AFTER)
    }

    fn after_entries(entries: u64) -> Self {
        let home = Home::new();
        home.run(&["key", "generate", "--use", "log"]).ok();
        let module = ["key", "generate", "--use", "module", "--slot", "policy", "--id", "team"];
        home.run(&module).ok();
        for (id, approver) in [("ann", ANN), ("bob", BOB), ("carl", CARL)] {
            home.run(&["key", "generate", "--id", id, "--approver", approver]).ok();
        }
        let office = Office::of(home);
        let tokens = Tokens::new(&office);
        let approvals: Vec<Value> = NAMES.map(|name| first_part(&office, &tokens, name)).into();
        let policies = [("allow", "first", 1), ("require_approval", "second", 2)];
        let policies = policies.map(|(decision, rule, version)| {
            let policy = office.server.with_token(&tokens.policy);
            pushed(&office.home, &policy, decision, rule, version)
        });
        change(&office.server.with_token(&tokens.policy), &policies[0], "activate").ok();
        let Office { server, home, .. } = office;
        until_expired(&server.with_token(&tokens.admin), approvals.last().unwrap());
        server.stop();
        fill(&home, entries);
        let old = fs::read(home.store()).unwrap();
        let old_keyring = fs::read(home.path("signoff.keys.json")).unwrap();
        let old_rows = Contents::of(&home.store());
        let mut scene = Self {
            honest: Vec::new(),
            rows: Contents::default(),
            old,
            old_rows,
            approvals,
            tokens,
            old_keyring,
            policies,
            home,
        };
        scene.second_part();
        scene.honest = fs::read(scene.home.store()).unwrap();
        scene.rows = Contents::of(&scene.home.store());
        scene
    }

    pub fn approval(&self, name: &str) -> &Value {
        &self.approvals[NAMES.iter().position(|other| *other == name).expect("a name")]
    }

    /// Returns the keys to open the store with: the keyring of the home.
    pub fn trust(&self) -> Trust {
        self.home.trust()
    }

    /// Opens a copy of the store as the product does.
    pub fn open(&self, path: &Path) -> Result<RedbStore, signoff::store::StoreError> {
        RedbStore::open(path, OpenMode::Write, CheckIntegrity::No, self.trust())
    }

    /// Writes a copy of the honest store to a separate file.
    pub fn copy(&self, name: &str) -> PathBuf {
        let path = self.home.path(name);
        fs::write(&path, &self.honest).unwrap();
        path
    }

    /// Restores the honest store.
    pub fn restore(&self) {
        fs::write(self.home.store(), &self.honest).unwrap();
    }

    /// Makes the changes after the older copy.
    fn second_part(&mut self) {
        let server = self.home.serve();
        let tokens = &self.tokens;
        let [executor, admin] = [&tokens.executor, &tokens.admin].map(|t| server.with_token(t));
        let [ann, bob] = [&tokens.ann, &tokens.bob].map(|token| server.with_token(token));
        for name in ["claimed", "succeeded", "failed"] {
            let approval = self.approval(name);
            let claimed = executor.post_once(&path(approval, "execute"), KEY, &claim(name)).ok();
            if name != "claimed" {
                let execution = &claimed["execution"]["id"];
                let outcome = json!({ "execution_id": execution, "outcome": name });
                executor.post_once(&path(approval, "outcome"), KEY, &outcome).ok();
            }
        }
        let rejected = self.approval("rejected");
        ann.act(rejected, "reject", &self.key("ann").ballot(rejected, "rejected")).ok();
        let withdrawn = self.approval("withdrawn");
        server.with_token(&tokens.requester).act(withdrawn, "withdraw", &json!({})).ok();
        let half = self.approval("half");
        ann.act(half, "approve", &self.key("ann").ballot(half, "approved")).ok();
        let planned = self.approval("planned");
        bob.act(planned, "approve", &self.key("bob").ballot(planned, "approved")).ok();
        let leaver = listed_token(&admin, "leaver@example.com");
        admin.post(&format!("/api/v1/tokens/{leaver}/revoke"), &json!({})).ok();
        self.home.run(&["key", "revoke", "carl", "--yes"]).ok();
        change(&server.with_token(&tokens.policy), &self.policies[1], "activate").ok();
        let of_carl = self.approval("of-carl");
        executor.act(of_carl, "execute", &claim("of-carl")).refused("key-revoked");
        server.stop();
    }

    /// Returns an approver's key.
    pub fn key(&self, id: &str) -> KeyV2 {
        KeyV2::of(&self.home, id)
    }
}

impl Tokens {
    fn new(office: &Office) -> Self {
        let of = |subject: &str, roles: &[&str]| office.token(subject, roles).token().to_owned();
        Self {
            admin: office.admin.token().to_owned(),
            requester: office.requester.token().to_owned(),
            executor: office.executor.token().to_owned(),
            second: of("second@example.com", &["executor"]),
            ann: of(ANN, &["approver"]),
            bob: of(BOB, &["approver"]),
            carl: of(CARL, &["approver"]),
            policy: of("policy@example.com", &["policy"]),
            leaver: of("leaver@example.com", &["admin", "executor"]),
        }
    }
}

/// Makes the changes of an approval before the older copy.
fn first_part(office: &Office, tokens: &Tokens, name: &str) -> Value {
    let requested = office.requester.post_once("/api/v1/approvals", name, &request(name)).json(201);
    let sign = |key: &str, token: &str| {
        let ballot = KeyV2::of(&office.home, key).ballot(&requested, "approved");
        office.server.with_token(token).act(&requested, "approve", &ballot).ok();
    };
    match name {
        "approved" | "claimed" | "succeeded" | "failed" => sign("ann", &tokens.ann),
        "of-carl" => sign("carl", &tokens.carl),
        _ => {}
    }
    requested
}

fn pushed(home: &Home, policy: &Client, decision: &str, rule: &str, version: u64) -> String {
    let wasm = Core::deciding(decision, rule).component();
    let manifest = sealed(home, &wasm, Slot::Policy, version, "team");
    text(&push(policy, &manifest, &wasm).json(201), "digest").to_owned()
}

fn until_expired(admin: &Client, approval: &Value) {
    let expired = || admin.events_of(approval).contains(&"approval_expired".to_owned());
    until("the sweeper has been there", || expired().then_some(()));
}

/// Returns the id of a subject's token.
#[track_caller]
pub fn listed_token(admin: &Client, subject: &str) -> String {
    let list = admin.get("/api/v1/tokens").ok();
    let items = list["items"].as_array().unwrap();
    let token = items.iter().find(|token| token["subject"] == subject).expect("a token");
    text(token, "id").to_owned()
}

/// Appends entries of evaluations, as a server with the keyring of the home does.
fn fill(home: &Home, entries: u64) {
    if entries == 0 {
        return;
    }
    let mode = OpenMode::Write;
    let store = RedbStore::open(&home.store(), mode, CheckIntegrity::No, home.trust()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let commits = (0..entries).map(|number| {
            store.commit(Change {
                removed: Vec::new(),
                forgotten: Vec::new(),
                approval: None,
                rows: Vec::new(),
                blob: None,
                event: format!(
                    r#"{{"event":"guardrails_evaluated","agent":"bulk","number":{number}}}"#
                ),
                host: "{}".to_owned(),
                about: About::named("agent", "bulk"),
                answer: None,
                at: 0,
            })
        });
        for kept in futures_util::future::join_all(commits).await {
            kept.unwrap();
        }
    });
    store.close();
}

/// Runs a server of a home during `work`.
pub fn with_server<T>(home: &Home, work: impl FnOnce(&Server) -> T) -> T {
    let server = home.serve();
    let done = work(&server);
    server.stop();
    done
}
