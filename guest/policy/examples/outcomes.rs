//! Evaluates one condition per line: `{"when": …, "context": {…}}` in; `true`, `false`, `error` or
//! `refused` out. `tests/differential/conditions.py` compares the output with another
//! implementation's.

#![expect(clippy::print_stdout, reason = "it is a filter")]

use std::io::BufRead;

use signoff_policy::attempt::Attempt;
use signoff_policy::policy::Policy;

fn main() {
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        println!("{}", outcome(&line));
    }
}

fn outcome(line: &str) -> String {
    let Ok(request) = serde_json::from_str::<serde_json::Value>(line) else {
        return "refused".to_owned();
    };
    let text = |name: &str| request.get(name).and_then(serde_json::Value::as_str);
    let (Some(when), Some(context)) = (text("when"), text("context")) else {
        return "refused".to_owned();
    };
    let when = serde_json::Value::from(when);
    let rules =
        format!("format = 1\nname = 'x'\n[[rule]]\nid = 'r'\nverdict = 'deny'\nwhen = {when}\n");
    let Ok((policy, _)) = Policy::load(&rules) else { return "refused".to_owned() };
    let attempt = Attempt {
        agent: "inbox",
        action: "quarantine",
        context,
        plan: None,
        facts: "{}",
        now: 1_760_697_000,
    };
    policy.trace(&attempt).first().map_or_else(|| "refused".to_owned(), |trace| trace.when.clone())
}
