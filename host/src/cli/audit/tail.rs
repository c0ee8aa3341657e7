//! `signoff audit tail`: prints entries, one per line.

use std::thread::sleep;
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value};

use super::super::transport::Transport;
use super::super::{Exit, exit::Failure, output};
use super::{Item, PAGE, page};

/// Polling interval of `--follow`.
const LOOK: Duration = Duration::from_millis(500);

#[derive(Args)]
pub(in super::super) struct TailArgs {
    /// Only entries with a higher number
    #[arg(long, default_value_t = 0)]
    after: u64,
    /// Keep printing new entries
    #[arg(long, short)]
    follow: bool,
}

pub(super) fn run(args: &TailArgs, transport: &Transport) -> Result<Exit, Failure> {
    let mut after = args.after;
    loop {
        let page = page(transport, after, PAGE)?;
        for item in &page.items {
            print(transport, item)?;
            after = item.number;
        }
        match (page.next_after, args.follow) {
            (Some(_), _) => {}
            (None, true) => sleep(LOOK),
            (None, false) => return Ok(Exit::Done),
        }
    }
}

/// Prints number, time, event, subject, result and actor. The members of entries depend on their
/// event and on the version that wrote them; a column without a value is `-`.
fn print(transport: &Transport, item: &Item) -> Result<(), Failure> {
    if transport.json {
        output::line(&format!("{{\"number\":{},\"entry\":{}}}", item.number, item.entry));
        return Ok(());
    }
    let entry: Map<String, Value> = transport.parse(item.entry.get())?;
    let event = entry.get("event").and_then(Value::as_object);
    let first = |names: &[&str]| {
        let members = names.iter().filter_map(|name| event.and_then(|event| event.get(*name)));
        let value = members.into_iter().find(|value| !value.is_null());
        match value {
            None => "-".to_owned(),
            Some(Value::String(text)) => shown(text),
            Some(value) => shown(&value.to_string()),
        }
    };
    // A module is shown by slot and digest, not by the key that signed it.
    let module: Vec<String> =
        [first(&["slot"]), first(&["digest"])].into_iter().filter(|text| text != "-").collect();
    let about = if module.is_empty() {
        first(&["approval_id", "key_id", "token_id", "subject"])
    } else {
        module.join(" ")
    };
    let led_to = first(&["to", "code", "status"]);
    output::line(&format!(
        "{}\t{}\t{}\t{about}\t{led_to}\t{}",
        item.number,
        entry.get("at").and_then(Value::as_str).map_or_else(|| "-".to_owned(), shown),
        first(&["event"]),
        first(&["actor"])
    ));
    Ok(())
}

/// Returns a text that stays within its column.
fn shown(text: &str) -> String {
    output::safe(text).replace(['\n', '\t'], " ")
}
