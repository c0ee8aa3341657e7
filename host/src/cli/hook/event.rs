//! The events of coding agents: what they send on standard input before and after a tool.

use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use signoff_core::deceptive::in_one_line;
use signoff_core::object;

/// Maximum size of an event. Its input goes into a context of at most 1 MiB, and the rest is short.
pub(super) const EVENT_BYTES_MAX: u64 = 2 << 20;
/// Maximum length of what is reported of a tool's error, which may quote anything.
const ERROR_CHARS_MAX: usize = 200;

/// A coding agent with hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Harness {
    /// Claude Code.
    Claude,
    /// Codex.
    Codex,
    /// GitHub Copilot.
    Copilot,
}

/// When an event happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// Before the tool runs.
    Before,
    /// After it succeeded.
    Succeeded,
    /// After it failed, with the beginning of the error.
    Failed(Option<String>),
}

/// One use of a tool.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) moment: Moment,
    pub(super) session: String,
    /// The id of this use of the tool, if the coding agent gives it one.
    pub(super) tool_use: Option<String>,
    pub(super) tool: String,
    /// The input of the tool, JSON as it was sent.
    pub(super) input: Box<RawValue>,
    pub(super) folder: PathBuf,
}

/// The members of all coding agents that matter here. Others are ignored, because releases add some.
#[derive(Deserialize)]
struct Wire {
    hook_event_name: Option<String>,
    #[serde(alias = "sessionId")]
    session_id: String,
    cwd: String,
    #[serde(alias = "toolName")]
    tool_name: Option<String>,
    #[serde(alias = "toolArgs")]
    tool_input: Option<Box<RawValue>>,
    tool_use_id: Option<String>,
    error: Option<Box<RawValue>>,
}

impl Harness {
    /// The name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
            Self::Copilot => "copilot",
        }
    }

    /// The agent that requests name by default.
    pub(super) fn agent(self) -> &'static str {
        match self {
            Self::Claude => "claude-code",
            Self::Codex => "codex",
            Self::Copilot => "copilot",
        }
    }
}

/// Reads an event from standard input. `named` is the event's name where the event itself has none.
///
/// # Errors
///
/// It is not UTF-8, longer than 2 MiB, or as [`parse`].
pub(super) fn read(input: impl Read, harness: Harness, named: Option<&str>) -> Result<Event> {
    let mut bytes = Vec::new();
    input
        .take(EVENT_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .context("the event on standard input cannot be read")?;
    ensure!(
        bytes.len() as u64 <= EVENT_BYTES_MAX,
        "the event on standard input is longer than {EVENT_BYTES_MAX} bytes; split the tool call"
    );
    let text = String::from_utf8(bytes).map_err(|_| anyhow!("the event is not UTF-8"))?;
    parse(&text, harness, named)
}

/// Parses an event.
///
/// # Errors
///
/// It is not one JSON object, a member is missing or given twice, or its name is not one of a tool's use.
pub(super) fn parse(text: &str, harness: Harness, named: Option<&str>) -> Result<Event> {
    // Of two members with one name, the coding agent could take the other.
    object::refuse_duplicate_members("the event", text).map_err(|e| anyhow!("{}", e.message))?;
    let wire: Wire = serde_json::from_str(text)
        .map_err(|e| anyhow!("the event: {}", object::redacted_message(&e)))?;
    let name = match (&wire.hook_event_name, harness, named) {
        (Some(name), _, None) => name.as_str(),
        (Some(name), _, Some(named)) => {
            ensure!(
                name.eq_ignore_ascii_case(named),
                "the event is `{}`, and --event says `{named}`",
                in_one_line(name)
            );
            name
        }
        (None, Harness::Copilot, named) => named.unwrap_or("preToolUse"),
        (None, ..) => bail!("the event has no `hook_event_name`"),
    };
    let moment = match name {
        "PreToolUse" | "preToolUse" => Moment::Before,
        "PostToolUse" | "postToolUse" => Moment::Succeeded,
        "PostToolUseFailure" | "postToolUseFailure" => {
            Moment::Failed(wire.error.as_deref().map(beginning))
        }
        other => bail!(
            "`{}` is not an event of this gate: it takes PreToolUse, PostToolUse and PostToolUseFailure",
            in_one_line(other)
        ),
    };
    let tool = wire.tool_name.filter(|name| !name.is_empty());
    let tool = tool.context("the event has no `tool_name`")?;
    let input = wire.tool_input.context("the event has no `tool_input`")?;
    let input = if harness == Harness::Copilot { unwrapped(input) } else { input };
    ensure!(!wire.session_id.is_empty(), "the event's `session_id` is empty");
    let tool_use = wire.tool_use_id.filter(|id| !id.is_empty());
    ensure!(
        tool_use.is_some() || harness == Harness::Copilot,
        "the event has no `tool_use_id`, so two uses of a tool could not be distinguished"
    );
    let folder = PathBuf::from(wire.cwd);
    ensure!(folder.is_absolute(), "the event's `cwd` is not an absolute path");
    Ok(Event { moment, session: wire.session_id, tool_use, tool, input, folder })
}

impl Event {
    /// Returns the name of this use of a tool, for files and idempotency keys: a digest of the session
    /// and the id of the use, or of folder, tool and input if `by_content`.
    pub(super) fn key(&self, harness: Harness, by_content: bool) -> String {
        let mut digest = Sha256::new();
        let mut part = |text: &str| {
            // With its length, so that no two lists of parts are the same bytes.
            digest.update((text.len() as u64).to_be_bytes());
            digest.update(text.as_bytes());
        };
        part(harness.name());
        part(&self.session);
        match &self.tool_use {
            Some(tool_use) if !by_content => {
                part("use");
                part(tool_use);
            }
            _ => {
                part("content");
                part(&self.folder.to_string_lossy());
                part(&self.tool);
                part(self.input.get());
            }
        }
        hex::encode(digest.finalize())
    }

    /// Returns the digest of the input, whatever the order of its members and its blanks.
    pub(super) fn input_digest(&self) -> Result<String> {
        let input: serde_json::Value = serde_json::from_str(self.input.get())?;
        Ok(hex::encode(Sha256::digest(input.to_string())))
    }
}

/// Returns the arguments that Copilot sends as a JSON text in a string; anything else as it is.
fn unwrapped(input: Box<RawValue>) -> Box<RawValue> {
    let inner = serde_json::from_str::<String>(input.get()).ok();
    let inner = inner.filter(|text| text.trim_start().starts_with('{'));
    inner.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(input)
}

/// Returns the beginning of a tool's error, in one line.
fn beginning(error: &RawValue) -> String {
    let text = serde_json::from_str::<String>(error.get());
    let text = text.unwrap_or_else(|_| error.get().to_owned());
    in_one_line(&text.chars().take(ERROR_CHARS_MAX).collect::<String>())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const EVENT: &str = r#"{"session_id":"s","cwd":"/w","hook_event_name":"PreToolUse",
        "tool_name":"Bash","tool_input":{"command":"ls"},"tool_use_id":"t","effort":{"level":1}}"#;

    #[test]
    fn an_event_is_taken_as_it_is_documented() {
        let event = parse(EVENT, Harness::Claude, None).unwrap();
        assert_eq!(event.moment, Moment::Before);
        assert_eq!((event.tool.as_str(), event.input.get()), ("Bash", r#"{"command":"ls"}"#));
        let copilot = r#"{"sessionId":"s","timestamp":1,"cwd":"/w","toolName":"bash",
            "toolArgs":"{\"command\":\"ls\"}"}"#;
        let event = parse(copilot, Harness::Copilot, None).unwrap();
        assert_eq!((event.tool.as_str(), event.input.get()), ("bash", r#"{"command":"ls"}"#));
        let after = parse(copilot, Harness::Copilot, Some("postToolUse")).unwrap();
        assert_eq!(after.moment, Moment::Succeeded);
        assert_eq!(event.key(Harness::Copilot, true), after.key(Harness::Copilot, true));
        assert!(parse(copilot, Harness::Claude, None).is_err());
    }

    #[test]
    fn what_is_not_such_an_event_is_refused() {
        for (from, to) in [
            ("\"session_id\":\"s\",", ""),
            ("\"session_id\":\"s\"", "\"session_id\":\"\""),
            ("\"cwd\":\"/w\"", "\"cwd\":\"w\""),
            ("\"tool_name\":\"Bash\",", ""),
            ("\"tool_use_id\":\"t\",", ""),
            ("PreToolUse", "Stop"),
            ("PreToolUse", "pretooluse"),
            ("\"tool_use_id\":\"t\"", "\"tool_use_id\":\"t\",\"tool_use_id\":\"u\""),
            ("\"tool_use_id\":\"t\"", "\"tool_use_id\":\"t\",\"toolName\":\"Read\""),
            ("{\"level\":1}}", "{}}{}"),
        ] {
            let text = EVENT.replace(from, to);
            assert_ne!(text, EVENT);
            assert!(parse(&text, Harness::Claude, None).is_err(), "{text}");
        }
        assert!(parse("", Harness::Claude, None).is_err());
        assert!(parse("[]", Harness::Claude, None).is_err());
        assert!(read(&b"\xff"[..], Harness::Claude, None).is_err());
    }

    #[test]
    fn uses_of_tools_have_different_keys() {
        let key = |from: &str, to: &str| {
            parse(&EVENT.replace(from, to), Harness::Claude, None)
                .unwrap()
                .key(Harness::Claude, false)
        };
        let own = key("-", "-");
        assert_eq!(own, key("ls", "pwd"));
        assert_ne!(own, key("\"session_id\":\"s\"", "\"session_id\":\"s2\""));
        assert_ne!(own, key("\"tool_use_id\":\"t\"", "\"tool_use_id\":\"t2\""));
        let by_content = |from: &str, to: &str| {
            parse(&EVENT.replace(from, to), Harness::Claude, None)
                .unwrap()
                .key(Harness::Claude, true)
        };
        let own = by_content("-", "-");
        assert_eq!(own, by_content("\"t\"", "\"t2\""));
        assert_ne!(own, by_content("\"ls\"", "\"pwd\""));
        assert_ne!(own, by_content("\"/w\"", "\"/v\""));
    }
}
