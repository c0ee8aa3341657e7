//! An honest server in this process, whose rules are the verifier's own, with one approver. A test hooks
//! into it to decide, to fail or to lie.

pub(crate) mod http;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use http::{Asked, Handler, Reply, serve};
use serde_json::{Value, json};
use signoff_client::verify::{Decision, Key, Keyring, Profile, SigningKey, Verifier};
use signoff_client::{Client, ClientBuilder};

pub(crate) const AUDIENCE: &str = "prod";
const SEED: [u8; 32] = [7; 32];
const ALICE: &str = "alice@company.com";

/// What the approver does with a request, as soon as it is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Approver {
    Approves,
    Rejects,
    Is,
}

type Before = Box<dyn Fn(&Asked) -> Option<Reply> + Send + Sync>;
type After = Box<dyn Fn(&Asked, Value) -> Value + Send + Sync>;

pub(crate) struct Office {
    pub(crate) url: String,
    desk: Arc<Desk>,
}

struct Desk {
    approver: Approver,
    before: Before,
    after: After,
    state: Mutex<State>,
    changed: Condvar,
    /// How long ago requests are made.
    age: AtomicU64,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, File>,
    asked: Vec<Asked>,
    /// The routes that were asked, answered or not.
    arrived: Vec<String>,
}

struct File {
    record: String,
    context: String,
    plan: Option<String>,
}

impl Office {
    pub(crate) fn open(approver: Approver) -> Self {
        Self::hooked(approver, |_| None, |_, shown| shown)
    }

    /// `before` may answer in place of the server; `after` may change what it shows of an approval.
    pub(crate) fn hooked(
        approver: Approver,
        before: impl Fn(&Asked) -> Option<Reply> + Send + Sync + 'static,
        after: impl Fn(&Asked, Value) -> Value + Send + Sync + 'static,
    ) -> Self {
        let desk = Arc::new(Desk {
            approver,
            before: Box::new(before),
            after: Box::new(after),
            state: Mutex::default(),
            changed: Condvar::new(),
            age: AtomicU64::new(0),
        });
        let url = serve(handler(&desk));
        Self { url, desk }
    }

    /// Answers requests with approvals that were requested this long ago.
    pub(crate) fn aged(self, seconds: u64) -> Self {
        self.desk.age.store(seconds, Ordering::Relaxed);
        self
    }

    /// A client of this server, that takes nothing from its surroundings.
    pub(crate) fn client(&self) -> ClientBuilder {
        Client::builder().only_arguments().url(&self.url).token("secret-token")
    }

    pub(crate) fn pinned(&self) -> ClientBuilder {
        self.client().keys(keyring()).audience(AUDIENCE)
    }

    pub(crate) fn handler(&self) -> Handler {
        handler(&self.desk)
    }

    /// What was asked, in order.
    pub(crate) fn routes(&self) -> Vec<String> {
        let state = self.desk.state.lock().unwrap();
        state.asked.iter().map(|asked| asked.route().to_owned()).collect()
    }

    /// All requests of a route.
    pub(crate) fn asked(&self, route: &str) -> Vec<Asked> {
        let state = self.desk.state.lock().unwrap();
        state.asked.iter().filter(|asked| asked.route() == route).cloned().collect()
    }

    /// Waits until a route was asked, and answered, so often.
    pub(crate) fn until(&self, route: &str, times: usize) -> Vec<Asked> {
        let state = self.desk.state.lock().unwrap();
        let is_seen = |state: &mut State| {
            state.asked.iter().filter(|asked| asked.route() == route).count() < times
        };
        drop(self.desk.changed.wait_while(state, is_seen).unwrap());
        self.asked(route)
    }

    /// Waits until a route was asked; the answer may be held.
    pub(crate) fn until_arrived(&self, route: &str) {
        let state = self.desk.state.lock().unwrap();
        let is_missing = |state: &mut State| !state.arrived.iter().any(|arrived| arrived == route);
        drop(self.desk.changed.wait_while(state, is_missing).unwrap());
    }

    /// The truth about the only approval.
    pub(crate) fn truth(&self) -> Value {
        let state = self.desk.state.lock().unwrap();
        let (id, file) = state.files.iter().next().unwrap();
        file.shown(id)
    }
}

/// The approver's public key.
pub(crate) fn keyring() -> Keyring {
    let public = ed25519_dalek::SigningKey::from_bytes(&SEED).verifying_key().to_bytes();
    Keyring::new([Key::ed25519("alice", &public, ALICE)])
}

fn handler(desk: &Arc<Desk>) -> Handler {
    let desk = Arc::clone(desk);
    Arc::new(move |asked| {
        desk.state.lock().unwrap().arrived.push(asked.route().to_owned());
        desk.changed.notify_all();
        let reply = (desk.before)(asked).unwrap_or_else(|| desk.answer(asked));
        desk.state.lock().unwrap().asked.push(asked.clone());
        desk.changed.notify_all();
        reply
    })
}

impl Desk {
    fn answer(&self, asked: &Asked) -> Reply {
        let words: Vec<&str> = asked.path.trim_matches('/').split('/').collect();
        let id = words.get(3).map_or("", |id| *id);
        let mut state = self.state.lock().unwrap();
        let changed = match asked.route() {
            "keys" => return Reply::problem(403, "forbidden"),
            "create" => return self.create(&mut state, asked),
            "show" => {
                let waits = asked.query.contains("wait=");
                let is_pending = |state: &mut State| {
                    let file = state.files.get(id);
                    waits && file.is_some_and(|file| file.shown(id)["status"] == "pending")
                };
                state = self.changed.wait_while(state, is_pending).unwrap();
                Ok(())
            }
            "execute" => state.execute(id, &asked.json(), &asked.body),
            "outcome" => state.settle(id, asked.json()),
            "withdraw" => state.withdraw(id),
            route => panic!("no route {route}"),
        };
        self.changed.notify_all();
        match (changed, state.files.get(id)) {
            (Ok(()), Some(file)) => {
                Reply::json(200, (self.after)(asked, file.shown(id)).to_string())
            }
            (Err(code), _) => Reply::problem(409, &code),
            (Ok(()), None) => Reply::problem(404, "not-found"),
        }
    }

    fn create(&self, state: &mut State, asked: &Asked) -> Reply {
        let id = format!("appr_{:0>26}", fresh());
        let body = asked.json();
        let request = json!({
            "id": id, "audience": AUDIENCE, "agent": body["agent"], "action": body["action"],
            "requested_by": "agent:deployer", "ttl_seconds": 600,
        });
        let (context, plan) = (raw(&asked.body, "context"), raw(&asked.body, "plan"));
        let opened = call(
            "lifecycle.open",
            &json!({"request": request.to_string(), "context": context, "plan": plan, "accept": ["v2"],
                "now": now() - self.age.load(Ordering::Relaxed)}),
        )
        .unwrap();
        let text = |name: &str| opened[name].as_str().map(str::to_owned);
        let file = File {
            record: text("record").unwrap(),
            context: text("context").unwrap(),
            plan: text("plan"),
        };
        state.files.insert(id.clone(), file);
        match self.approver {
            Approver::Approves => state.decide(&id, Decision::Approved),
            Approver::Rejects => state.decide(&id, Decision::Rejected),
            Approver::Is => {}
        }
        let shown = state.files[&id].shown(&id);
        Reply::json(201, (self.after)(asked, shown).to_string())
    }
}

impl State {
    fn decide(&mut self, id: &str, decision: Decision) {
        let file = self.files.get_mut(id).unwrap();
        let verifier = Verifier::new();
        let shown = file.shown(id).to_string();
        let plan = file.plan.as_deref();
        let statement = verifier
            .review(&shown, &file.context, plan, decision, ALICE, "alice", "so be it")
            .unwrap();
        let key = SigningKey::ed25519("alice", &SEED, ALICE);
        let signature = verifier.sign(&statement, Profile::V2, &key).unwrap();
        let ballot = json!({"decision": decision, "approver": ALICE, "comment": "so be it",
            "signature": signature});
        file.change(
            "lifecycle.decide",
            id,
            json!({"ballot": ballot.to_string(), "keys": keyring(),
            "accept": ["v2"]}),
        )
        .unwrap();
    }

    fn execute(&mut self, id: &str, body: &Value, text: &str) -> Result<(), String> {
        let claim = json!({"agent": body["agent"], "action": body["action"],
            "claimed_by": "agent:deployer", "execution_id": format!("exec_{:0>26}", fresh())});
        let file = self.files.get_mut(id).unwrap();
        file.change(
            "lifecycle.claim",
            id,
            json!({"claim": claim.to_string(), "context": raw(text, "context"), "plan": raw(text, "plan"),
                "keys": keyring(), "accept": ["v2"]}),
        )
    }

    fn settle(&mut self, id: &str, mut outcome: Value) -> Result<(), String> {
        outcome["actor"] = json!({"subject": "agent:deployer", "roles": ["executor"]});
        let file = self.files.get_mut(id).unwrap();
        file.change("lifecycle.settle", id, json!({"outcome": outcome.to_string()}))
    }

    fn withdraw(&mut self, id: &str) -> Result<(), String> {
        let actor = json!({"actor": {"subject": "agent:deployer", "roles": ["requester"]}});
        let file = self.files.get_mut(id).unwrap();
        file.change("lifecycle.withdraw", id, json!({"withdrawal": actor.to_string()}))
    }
}

impl File {
    fn change(&mut self, op: &str, id: &str, mut args: Value) -> Result<(), String> {
        args["id"] = id.into();
        args["approval"] = self.record.as_str().into();
        args["now"] = now().into();
        if let Some(record) = call(op, &args)?["record"].as_str() {
            record.clone_into(&mut self.record);
        }
        Ok(())
    }

    fn shown(&self, id: &str) -> Value {
        let args = json!({"id": id, "approval": self.record, "now": now()});
        let view = call("lifecycle.show", &args).unwrap();
        let mut view: Value = serde_json::from_str(view["view"].as_str().unwrap()).unwrap();
        view["context"] = serde_json::from_str(&self.context).unwrap();
        view["plan"] =
            self.plan.as_ref().map_or(Value::Null, |plan| serde_json::from_str(plan).unwrap());
        view
    }
}

fn call(op: &str, args: &Value) -> Result<Value, String> {
    let answer = Verifier::new().call(op, &args.to_string()).map_err(|e| e.code().to_owned())?;
    Ok(serde_json::from_str(&answer).unwrap())
}

/// A member of a JSON text, as text.
fn raw(text: &str, name: &str) -> Option<String> {
    let members: BTreeMap<String, Box<serde_json::value::RawValue>> =
        serde_json::from_str(text).unwrap();
    members.get(name).map(|member| member.get().to_owned())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A number that no other call in this process gets, nor an earlier process.
fn fresh() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    format!("{nanos}{:0>3}", NEXT.fetch_add(1, Ordering::Relaxed) % 1000)
}
