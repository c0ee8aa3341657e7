//! `kill -9` at any moment under load: what was acknowledged is there, nothing is half done.
//!
//! `SIGNOFF_CRASH_ROUNDS` sets how often the server is killed.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{APPROVER, Answer, Client, Home, Server, ballot, id, text};

const ROUNDS_DEFAULT: u32 = 100;
const WORKERS: usize = 4;
/// What becomes of each approval here, in order; its place is how far it got.
const EVENTS: [&str; 4] =
    ["approval_requested", "approval_decided", "approval_claimed", "execution_settled"];

/// One approval as its worker knows it.
#[derive(Clone, Debug)]
struct Story {
    /// Its agent, its own, and the idempotency key of each of its calls.
    name: String,
    /// How many of its changes were acknowledged.
    acknowledged: usize,
    /// The last acknowledged answer.
    last: Value,
}

impl Story {
    fn new(name: String) -> Self {
        Self { name, acknowledged: 0, last: Value::Null }
    }

    /// Asks for the next change; none if it is all told.
    fn next(&self, client: &Client) -> Option<Result<Answer, ureq::Error>> {
        let (operation, body) = match self.acknowledged {
            0 => {
                let body = json!({ "agent": self.name, "action": "apply", "context": {} });
                return Some(self.post(client, "/api/v1/approvals", &body));
            }
            1 => ("approve", ballot(&self.last, "approved", APPROVER)),
            2 => ("execute", json!({ "agent": self.name, "action": "apply", "context": {} })),
            3 => {
                let execution = &self.last["execution"]["id"];
                ("outcome", json!({ "execution_id": execution, "outcome": "succeeded" }))
            }
            _ => return None,
        };
        let path = format!("/api/v1/approvals/{}/{operation}", id(&self.last));
        Some(self.post(client, &path, &body))
    }

    fn post(&self, client: &Client, path: &str, body: &Value) -> Result<Answer, ureq::Error> {
        client.try_post(path, &[("idempotency-key", &self.name)], body.to_string().as_bytes())
    }

    /// Notes an answer that came whole.
    fn acknowledge(&mut self, answer: &Answer) {
        self.last = answer.json(if self.acknowledged == 0 { 201 } else { 200 });
        self.acknowledged += 1;
    }

    /// Tells the story until an answer does not come.
    fn go(&mut self, client: &Client) -> bool {
        while let Some(answer) = self.next(client) {
            match answer {
                Ok(answer) => self.acknowledge(&answer),
                Err(_) => return false,
            }
        }
        true
    }
}

/// Loads a server and kills it meanwhile; answers what its clients know.
fn killed_under_load(server: Server, round: u32, after: Duration) -> Vec<Story> {
    let stories = Mutex::new(Vec::new());
    let over = AtomicBool::new(false);
    let client: Client = server.clone();
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (client, over, stories) = (&client, &over, &stories);
            scope.spawn(move || {
                for n in 0.. {
                    let mut story = Story::new(format!("r{round}-w{worker}-{n}"));
                    let lived = story.go(client);
                    stories.lock().unwrap().push(story);
                    if !lived || over.load(Ordering::SeqCst) {
                        return;
                    }
                }
            });
        }
        sleep(after);
        server.kill();
        over.store(true, Ordering::SeqCst);
    });
    stories.into_inner().unwrap()
}

/// Checks one story against the server that came after, then tells it to its end.
fn check(server: &Server, mut story: Story, audit: &HashMap<String, Vec<Value>>) {
    let none = Vec::new();
    let entries = audit.get(&story.name).unwrap_or(&none);
    let events: Vec<&str> = entries.iter().map(|entry| text(entry, "event")).collect();
    let kept = events.len();
    assert_eq!(events, EVENTS[..kept], "{story:?}");
    // One call was under way, and may have been kept without an answer.
    let possible = story.acknowledged..=story.acknowledged + 1;
    assert!(possible.contains(&kept), "{kept} changes are kept of {story:?}");
    let list = server.get(&format!("/api/v1/approvals?agent={}", story.name)).ok();
    let items = list["items"].as_array().unwrap();
    assert_eq!(items.len(), usize::from(kept > 0), "{story:?}");
    if let Some(item) = items.first() {
        let expected = ["pending", "approved", "executed", "executed"][kept - 1];
        assert_eq!(item["status"], expected, "{story:?}");
        if story.acknowledged > 0 {
            assert_eq!(item["id"], story.last["id"], "{story:?}");
            assert_eq!(item["expires_at"], story.last["expires_at"], "{story:?}");
        }
        if story.acknowledged >= 2 {
            assert_eq!(item["ballots"], story.last["ballots"], "{story:?}");
        }
        if story.acknowledged >= 3 {
            assert_eq!(item["execution"]["id"], story.last["execution"]["id"], "{story:?}");
        }
    }
    assert!(story.go(server), "the retry is answered: {story:?}");
}

fn audit_by_agent(entries: Vec<Value>) -> HashMap<String, Vec<Value>> {
    let mut by_agent: HashMap<String, Vec<Value>> = HashMap::new();
    for entry in entries {
        by_agent.entry(text(&entry, "agent").to_owned()).or_default().push(entry);
    }
    by_agent
}

#[test]
fn what_was_acknowledged_survives_kill_9_at_any_moment() {
    let rounds = std::env::var("SIGNOFF_CRASH_ROUNDS")
        .map_or(ROUNDS_DEFAULT, |rounds| rounds.parse().expect("a number of rounds"));
    let home = Home::new();
    let mut server = home.serve();
    let mut told = 0;
    let mut finished = Vec::new();
    for round in 0..rounds {
        // From at once to late, in no order: 37 has no divisor in common with 101.
        let after = Duration::from_millis(u64::from(round * 37 % 101) * 2);
        let stories = killed_under_load(server, round, after);
        server = home.serve();
        let new = server.audit_after(told);
        let audit = audit_by_agent(new);
        for story in stories {
            finished.push(story.name.clone());
            check(&server, story, &audit);
        }
        told = entries(&server);
    }
    let audit = audit_by_agent(server.audit());
    assert_eq!(audit.len(), finished.len(), "nobody knows of an approval that nobody asked for");
    for name in finished {
        let events: Vec<&str> = audit[&name].iter().map(|entry| text(entry, "event")).collect();
        assert_eq!(events, EVENTS, "each change of {name} is told once");
    }
    server.stop();
    home.run(&["doctor"]).ok();
}

/// How many audit entries there are.
fn entries(server: &Server) -> u64 {
    let metrics = server.get("/metrics").body;
    let count = metrics.lines().find_map(|line| line.strip_prefix("signoff_audit_entries "));
    count.expect("the count").parse().unwrap()
}
