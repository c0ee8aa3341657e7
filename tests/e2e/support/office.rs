//! A server with tokens, and people with their own keys.

use std::process::Command;

use serde_json::{Value, json};

use super::{Answer, Client, Home, KeyV2, SERVE, Server, request_body, text};

/// A server that identifies its callers by their tokens.
pub struct Office {
    pub server: Server,
    pub admin: Client,
    /// A requester for any agent.
    pub requester: Client,
    /// An executor for any agent.
    pub executor: Client,
    pub home: Home,
}

/// An approver with a key on another machine; the server has its public half.
pub struct Person {
    pub client: Client,
    pub key: KeyV2,
    /// The public entry, as `signoff key generate` printed it.
    pub entry: Value,
}

impl Office {
    pub fn new() -> Self {
        Self::set_to("")
    }

    /// Creates an office with these settings in `signoff.toml`.
    pub fn set_to(settings: &str) -> Self {
        let home = Home::new();
        home.file("signoff.toml", settings);
        Self::in_home(home, |home| home.signoff(SERVE))
    }

    /// Creates an office in a home; its store is created even if there is a log key.
    pub fn of(home: Home) -> Self {
        Self::in_home(home, |home| {
            let mut command = home.signoff(SERVE);
            command.arg("--create-store");
            command
        })
    }

    /// Creates an office in a home, by a command that ends in `signoff serve --json`.
    pub fn in_home(home: Home, command: impl FnOnce(&Home) -> Command) -> Self {
        let server = Server::start_with(command(&home));
        // Without any token, any local caller may create the first one.
        let first = json!({ "subject": "root", "roles": ["admin"] });
        let first = server.post("/api/v1/tokens", &first).json(201);
        let admin = server.with_token(text(&first, "token"));
        let token = |subject: &str, role: &str| {
            let made = json!({ "subject": subject, "roles": [role] });
            let made = admin.post("/api/v1/tokens", &made).json(201);
            server.with_token(text(&made, "token"))
        };
        let requester = token("requester@company.com", "requester");
        let executor = token("executor@company.com", "executor");
        Self { server, admin, requester, executor, home }
    }

    /// Creates a token; returns its client.
    #[track_caller]
    pub fn token(&self, subject: &str, roles: &[&str]) -> Client {
        let made = json!({ "subject": subject, "roles": roles });
        let made = self.admin.post("/api/v1/tokens", &made).json(201);
        self.server.with_token(text(&made, "token"))
    }

    /// Creates an approver with an Ed25519 key on another machine, and imports the public half.
    #[track_caller]
    pub fn person(&self, name: &str, groups: &[&str]) -> Person {
        let client = self.token(name, &["approver"]);
        let home = Home::new();
        let id = name.split('@').next().unwrap();
        let generate = ["--json", "key", "generate", "--approver", name, "--id", id];
        let entry = home.run(&generate).exits(0).json()["entry"].clone();
        self.import(&entry, groups);
        Person { client, key: KeyV2::of(&home, id), entry }
    }

    /// Imports an entry into the server's keyring, with groups.
    #[track_caller]
    pub fn import(&self, entry: &Value, groups: &[&str]) {
        let (text, approver) = (entry.to_string(), text(entry, "approver"));
        let mut import = vec!["key", "import", &text, "--approver", approver, "--yes"];
        import.extend(groups.iter().flat_map(|group| ["--group", *group]));
        self.home.run(&import).ok();
    }

    /// Checks that a request is refused, because too few people have a key.
    #[track_caller]
    pub fn request_unmeetable(&self, requirement: Value) {
        let mut body = request_body();
        body["requirement"] = requirement;
        let refused = self.requester.post("/api/v1/approvals", &body);
        refused.refused_with(409, "requirement-unmeetable");
    }

    /// Makes the runbook's request with a requirement.
    #[track_caller]
    pub fn request(&self, requirement: Value) -> Value {
        let mut body = request_body();
        body["requirement"] = requirement;
        self.requester.request_of(&body)
    }
}

impl Person {
    #[track_caller]
    pub fn decides(&self, approval: &Value, decision: &str) -> Answer {
        self.client.act(approval, "approve", &self.key.ballot(approval, decision))
    }

    /// Approves successfully; returns the resulting status.
    #[track_caller]
    pub fn approves(&self, approval: &Value) -> String {
        text(&self.decides(approval, "approved").ok(), "status").to_owned()
    }
}
