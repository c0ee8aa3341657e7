//! `kill -9` at any moment under load: acknowledged changes persist, and no change is partial.
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
/// The events of each approval, in order; the index is the number of changes before.
const EVENTS: [&str; 4] =
    ["approval_requested", "approval_decided", "approval_claimed", "execution_settled"];

/// One approval as seen by its worker.
#[derive(Clone, Debug)]
struct Story {
    /// A unique name: the agent, and the idempotency key of each call.
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

    /// Requests the next change; `None` after the last one.
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

    /// Records a complete answer.
    fn acknowledge(&mut self, answer: &Answer) {
        self.last = answer.json(if self.acknowledged == 0 { 201 } else { 200 });
        self.acknowledged += 1;
    }

    /// Makes changes until a call gets no answer; returns whether all were made.
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

/// Kills a server under load; returns the stories of its clients.
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

/// Checks one story against the restarted server, then completes it.
fn check(server: &Server, mut story: Story, audit: &HashMap<String, Vec<Value>>) {
    let none = Vec::new();
    let entries = audit.get(&story.name).unwrap_or(&none);
    let events: Vec<&str> = entries.iter().map(|entry| text(entry, "event")).collect();
    let kept = events.len();
    assert_eq!(events, EVENTS[..kept], "{story:?}");
    // The last call may have been committed without an answer.
    let possible = story.acknowledged..=story.acknowledged + 1;
    assert!(possible.contains(&kept), "{kept} changes were committed of {story:?}");
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
    assert!(story.go(server), "the retry gets an answer: {story:?}");
}

fn audit_by_agent(entries: Vec<Value>) -> HashMap<String, Vec<Value>> {
    let mut by_agent: HashMap<String, Vec<Value>> = HashMap::new();
    for entry in entries {
        by_agent.entry(text(&entry, "agent").to_owned()).or_default().push(entry);
    }
    by_agent
}

#[test]
fn acknowledged_changes_survive_kill_9_at_any_moment() {
    let rounds = std::env::var("SIGNOFF_CRASH_ROUNDS")
        .map_or(ROUNDS_DEFAULT, |rounds| rounds.parse().expect("a number of rounds"));
    let home = Home::new();
    let mut server = home.serve();
    let mut seen = 0;
    let mut finished = Vec::new();
    for round in 0..rounds {
        // Short and long delays in mixed order: 37 and 101 are coprime.
        let after = Duration::from_millis(u64::from(round * 37 % 101) * 2);
        let stories = killed_under_load(server, round, after);
        server = home.serve();
        let new = server.audit_after(seen);
        let audit = audit_by_agent(new);
        for story in stories {
            finished.push(story.name.clone());
            check(&server, story, &audit);
        }
        seen = entries(&server);
    }
    let audit = audit_by_agent(server.audit());
    assert_eq!(audit.len(), finished.len(), "there is no approval that was not requested");
    for name in finished {
        let events: Vec<&str> = audit[&name].iter().map(|entry| text(entry, "event")).collect();
        assert_eq!(events, EVENTS, "each change of {name} has one entry");
    }
    server.stop();
    home.run(&["doctor"]).ok();
}

/// Returns the number of audit entries.
fn entries(server: &Server) -> u64 {
    let metrics = server.get("/metrics").body;
    let count = metrics.lines().find_map(|line| line.strip_prefix("signoff_audit_entries "));
    count.expect("the count").parse().unwrap()
}
