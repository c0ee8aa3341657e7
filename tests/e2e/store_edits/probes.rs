//! Attempts over HTTP to profit from an edited store: a second claim, an invalid token, another context
//! with the same digest, another policy.

use serde_json::{Value, json};

use super::scene::{KEY, NAMES, Scene, claim, path};
use crate::support::modules::evaluated;
use crate::support::{Answer, Client, Server, id, text};

/// Fields of an approval that change with time only.
const OF_TIME: [&str; 1] = ["expires_in_seconds"];

/// The answers of the honest server.
pub struct Shown {
    /// Each approval of the scene, as `GET` shows it.
    approvals: Vec<Value>,
    /// The entries of the log.
    entries: Vec<Value>,
    /// Each policy's bytes, in the order of [`Scene::policies`].
    policies: [Vec<u8>; 2],
    tokens: Vec<Value>,
    verdict: Value,
    slots: Value,
}

impl Shown {
    /// Reads them from a server of the honest store.
    pub fn by(server: &Server, scene: &Scene) -> Self {
        let admin = server.with_token(&scene.tokens.admin);
        let get = |approval: &Value| seen(&admin.get(&shown_path(approval))).unwrap();
        Self {
            approvals: scene.approvals.iter().map(get).collect(),
            entries: entries(&admin).expect("a log"),
            policies: scene.policies.each_ref().map(|digest| bytes(&admin, digest).unwrap()),
            tokens: items(&admin.get("/api/v1/tokens")).unwrap(),
            verdict: verdict(&server.with_token(&scene.tokens.requester)).unwrap(),
            slots: admin.get("/api/v1/modules").ok()["slots"].clone(),
        }
    }

    /// Returns every answer that an honest server would not give. `intruders` are tokens that were never
    /// created.
    pub fn effects(&self, server: &Server, scene: &Scene, intruders: &[String]) -> Vec<String> {
        let mut effects = Vec::new();
        self.shown(server, scene, &mut effects);
        self.callers(server, scene, intruders, &mut effects);
        self.claims(server, scene, &mut effects);
        self.decisions(server, scene, &mut effects);
        self.policies(server, scene, &mut effects);
        effects
    }

    /// Compares approvals, lists, tokens and the log, as an admin sees them.
    fn shown(&self, server: &Server, scene: &Scene, effects: &mut Vec<String>) {
        let admin = server.with_token(&scene.tokens.admin);
        for (name, honest) in NAMES.iter().zip(&self.approvals) {
            let shown = seen(&admin.get(&shown_path(honest)));
            if shown.as_ref().is_some_and(|shown| shown != honest) {
                effects.push(format!("{name} is shown as {shown:?}"));
            }
            let receipt = admin.get(&path(honest, "receipt"));
            if receipt.status == 200 && !self.is_of_log(&receipt.ok()["entries"]) {
                effects.push(format!("a receipt of {name} with other entries"));
            }
        }
        let mut filters = vec![String::new()];
        let statuses = ["pending", "approved", "rejected", "executed", "expired", "withdrawn"];
        filters.extend(statuses.map(|status| format!("&status={status}")));
        filters.extend(["&agent=inbox_triage".to_owned(), "&action=deploy".to_owned()]);
        for filter in filters {
            let list = items(&admin.get(&format!("/api/v1/approvals?limit=200{filter}")));
            for item in list.into_iter().flatten() {
                let honest = self.approvals.iter().find(|honest| honest["id"] == item["id"]);
                if honest.is_none_or(|honest| !is_part(&item, honest)) {
                    effects.push(format!("listed by `{filter}`: {item}"));
                }
            }
        }
        for token in items(&admin.get("/api/v1/tokens")).into_iter().flatten() {
            if !self.tokens.contains(&token) {
                effects.push(format!("a token is listed: {token}"));
            }
        }
        if entries(&admin).is_some_and(|entries| !entries.starts_with(&self.entries)) {
            effects.push("the log has other entries".to_owned());
        }
    }

    fn is_of_log(&self, entries: &Value) -> bool {
        let entries = entries.as_array().unwrap();
        entries.iter().all(|entry| {
            let text = entry["entry"]
                .as_str()
                .map_or_else(|| entry["entry"].clone(), |text| serde_json::from_str(text).unwrap());
            self.entries.iter().any(|honest| honest["entry"] == text)
        })
    }

    /// Tries tokens that must be refused.
    fn callers(
        &self,
        server: &Server,
        scene: &Scene,
        intruders: &[String],
        effects: &mut Vec<String>,
    ) {
        let mut never: Vec<(String, Client)> = vec![("no token".to_owned(), (**server).clone())];
        never.push(("a revoked token".to_owned(), server.with_token(&scene.tokens.leaver)));
        let intruders = intruders.iter().map(|token| server.with_token(token));
        never.extend(intruders.map(|client| ("a token that was never created".to_owned(), client)));
        for (who, client) in &never {
            for path in ["/api/v1/approvals", "/api/v1/tokens", "/api/v1/audit", "/api/v1/keys"] {
                let answer = client.get(path);
                if answer.status != 401 && !is_failure(&answer) {
                    effects.push(format!("{who} gets {} from {path}", answer.status));
                }
            }
        }
        let tokens = &scene.tokens;
        let weak = [&tokens.requester, &tokens.executor, &tokens.second, &tokens.ann, &tokens.carl];
        for token in weak {
            let made = json!({ "subject": "eve@example.com", "roles": ["admin"] });
            let answer = server.with_token(token).post("/api/v1/tokens", &made);
            if answer.status < 400 {
                effects.push(format!("a token of no admin makes tokens: {}", answer.body));
            }
        }
        let executor = server.with_token(&tokens.executor);
        let answer = executor.post("/api/v1/approvals", &super::scene::request("pending"));
        if answer.status < 400 {
            effects.push("an executor's token requests".to_owned());
        }
    }

    /// Claims approvals that were claimed already or not approved.
    fn claims(&self, server: &Server, scene: &Scene, effects: &mut Vec<String>) {
        let tokens = &scene.tokens;
        let claimers = [&tokens.executor, &tokens.second, &tokens.leaver];
        for (name, honest) in NAMES.iter().zip(&self.approvals) {
            for (at, token) in claimers.iter().enumerate() {
                let client = server.with_token(*token);
                let mut other = claim(name);
                other["context"]["file"] = json!("/etc/shadow");
                let mut attempts = vec![("another context", other)];
                // An approved approval with valid keys may be claimed once, so this is not tried.
                if !["approved", "planned"].contains(name) || at == 2 {
                    attempts.push(("it", claim(name)));
                }
                for (what, body) in attempts {
                    for key in [None, Some(KEY), Some("another")] {
                        let answer = match key {
                            Some(key) => client.post_once(&path(honest, "execute"), key, &body),
                            None => client.post(&path(honest, "execute"), &body),
                        };
                        let replays = (*name, at, what, key) == ("claimed", 0, "it", Some(KEY))
                            && replays(&answer, honest);
                        if answer.status < 400 && !replays {
                            effects.push(format!("executor {at} claims {what} of {name}, {key:?}"));
                        }
                    }
                }
            }
        }
    }

    /// Sends ballots of a revoked key, and ballots for decided approvals.
    fn decisions(&self, server: &Server, scene: &Scene, effects: &mut Vec<String>) {
        let tokens = &scene.tokens;
        for (name, honest) in NAMES.iter().zip(&self.approvals) {
            for (key, token) in [("carl", &tokens.carl), ("ann", &tokens.ann)] {
                let (is_over, is_cast) = (honest["status"] != "pending", *name == "half");
                if key == "carl" || is_over || is_cast {
                    let ballot = scene.key(key).ballot(honest, "approved");
                    let answer = server.with_token(token).act(honest, "approve", &ballot);
                    if answer.status < 400 {
                        effects.push(format!("{key} approves {name}: {}", answer.body));
                    }
                }
            }
        }
    }

    /// Compares the policies that decide about requests.
    fn policies(&self, server: &Server, scene: &Scene, effects: &mut Vec<String>) {
        let requester = server.with_token(&scene.tokens.requester);
        if let Some(verdict) = verdict(&requester).filter(|verdict| *verdict != self.verdict) {
            effects.push(format!("the policy says {verdict}"));
        }
        let admin = server.with_token(&scene.tokens.admin);
        let list = admin.get("/api/v1/modules");
        if list.status == 200 {
            let slots = list.ok()["slots"].clone();
            for (slot, honest) in
                slots.as_array().unwrap().iter().zip(self.slots.as_array().unwrap())
            {
                if slot["active"] != honest["active"] && slot["failing"].is_null() {
                    effects.push(format!("a slot has {slot}"));
                }
            }
        }
        for (digest, honest) in scene.policies.iter().zip(&self.policies) {
            if bytes(&admin, digest).is_some_and(|bytes| bytes != *honest) {
                effects.push(format!("module {digest} has other bytes"));
            }
        }
    }
}

/// Whether a refusal is a server failure, such as `store-tampered` or `policy-trapped`.
fn is_failure(answer: &Answer) -> bool {
    answer.status >= 500
}

/// Whether a claim replays the existing execution.
fn replays(answer: &Answer, honest: &Value) -> bool {
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    body["replayed"] == true && body["execution"] == honest["execution"]
}

/// Returns an approval without the fields that change with time; `None` if it is refused.
fn seen(answer: &Answer) -> Option<Value> {
    let mut shown = (answer.status == 200).then(|| answer.ok())?;
    let fields = shown.as_object_mut().unwrap();
    fields.retain(|field, _| !OF_TIME.contains(&field.as_str()));
    Some(shown)
}

/// Whether each field of an item has the same value in the full object.
fn is_part(item: &Value, whole: &Value) -> bool {
    let fields = item.as_object().unwrap().iter();
    let mut fields = fields.filter(|(field, _)| !OF_TIME.contains(&field.as_str()));
    fields.all(|(field, value)| whole.get(field) == Some(value))
}

fn items(answer: &Answer) -> Option<Vec<Value>> {
    (answer.status == 200).then(|| answer.ok()["items"].as_array().unwrap().clone())
}

/// Returns the entries of the log that the server shows.
fn entries(admin: &Client) -> Option<Vec<Value>> {
    items(&admin.get("/api/v1/audit?limit=1000"))
}

/// Returns the bytes of a module, if the server gives them out.
fn bytes(admin: &Client, digest: &str) -> Option<Vec<u8>> {
    let request = ureq::get(format!("{}/api/v1/modules/{digest}/wasm", admin.url));
    let request = request.header("authorization", format!("Bearer {}", admin.token()));
    request.call().ok().map(|mut answer| answer.body_mut().read_to_vec().unwrap())
}

fn verdict(requester: &Client) -> Option<Value> {
    let answer = evaluated(requester);
    (answer.status == 200).then(|| {
        let verdict = answer.ok();
        json!({ "decision": text(&verdict, "decision"), "rule": verdict["rule"] })
    })
}

fn shown_path(approval: &Value) -> String {
    format!("/api/v1/approvals/{}", id(approval))
}
