//! The tools of a server: what it listed, what is accepted of it, and which calls that permits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use signoff_core::context;
use signoff_core::deceptive::in_one_line;

use super::message::Members;
use super::pins::{Pinned, Pins};
use super::schema::Schema;

/// Longest text of a tool.
const TOOL_BYTES_MAX: usize = 256 << 10;
/// Tools of one server.
pub(crate) const TOOLS_MAX: usize = 2_000;
/// Time after which a server is asked again for its tools, before a call.
const AGE_MAX: Duration = Duration::from_secs(300);
/// Members of a tool that decide.
const DECIDING: [&str; 4] = ["name", "description", "inputSchema", "outputSchema"];

/// A refusal of a call, with a stable code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The code.
    pub(crate) code: &'static str,
    /// Why, in words.
    pub(crate) words: String,
}

impl Refusal {
    pub(super) fn new(code: &'static str, words: impl Into<String>) -> Self {
        Self { code, words: words.into() }
    }
}

/// A tool as it was listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Its name.
    pub(crate) name: String,
    /// Its whole text, without blanks between tokens.
    pub(crate) text: String,
}

/// Reads the tools of a page of `tools/list`.
///
/// # Errors
///
/// The result is not an object with an array of tools, or has duplicate members.
pub(crate) fn listed(result: &RawValue) -> Result<(Vec<Listed>, Option<String>), String> {
    let members = Members::exact(result.get(), &["tools", "nextCursor"])?;
    let tools = members.value("tools").ok_or("`tools` is missing")?;
    let tools: Vec<&RawValue> =
        serde_json::from_str(tools.get()).map_err(|_| "`tools` is not an array".to_owned())?;
    if tools.len() > TOOLS_MAX {
        return Err(format!("there are more than {TOOLS_MAX} tools"));
    }
    let mut all = Vec::with_capacity(tools.len());
    for tool in tools {
        // What else is wrong with a tool concerns this tool alone.
        let name = Members::lenient(tool.get())?.only("name");
        let name = name.and_then(|name| serde_json::from_str(name.get()).ok());
        let name = name.ok_or("a tool has no `name`, two of them, or one that is not a string")?;
        all.push(Listed { name, text: comparable(tool.get()) });
    }
    let next = match members.value("nextCursor") {
        Some(raw) if raw.get() != "null" => members.string("nextCursor")?,
        _ => None,
    };
    Ok((all, next))
}

/// Returns a tool's text so that it is the same whenever the tool is: servers write members in another
/// order for clients of another version. What has no such form, such as a duplicate member, is compared as
/// it is written.
fn comparable(text: &str) -> String {
    context::canonicalize(text).unwrap_or_else(|_| minified(text))
}

/// Returns a JSON text without blanks between its tokens.
fn minified(text: &str) -> String {
    let mut all = String::with_capacity(text.len());
    let (mut in_string, mut escaped) = (false, false);
    for char in text.chars() {
        match char {
            ' ' | '\t' | '\r' | '\n' if !in_string => continue,
            '"' if !escaped => in_string = !in_string,
            _ => {}
        }
        escaped = in_string && char == '\\' && !escaped;
        all.push(char);
    }
    all
}

/// Returns the digest of a tool's text.
pub(crate) fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

/// The refusals of a tool that end when its text is accepted.
const OF_PINS: [&str; 3] = ["tool-changed", "tool-unknown", "tool-state"];

/// A tool with what it permits.
struct Tool {
    text: String,
    state: State,
}

enum State {
    /// Its text is accepted. The schema is compiled for its first call.
    Accepted(Arc<Accepted>),
    /// It cannot be called.
    Refused(Refusal),
}

/// An accepted tool.
#[derive(Debug)]
pub(crate) struct Accepted {
    text: String,
    schema: OnceLock<Result<Schema, Refusal>>,
    /// Whether its results have structured content, which clients check.
    pub(crate) has_output_schema: bool,
}

/// The tools of one server, for all of its sessions.
pub(crate) struct Toolbox {
    server: String,
    pins: Arc<Pins>,
    tools: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    tools: BTreeMap<String, Tool>,
    /// When the whole list was last read; `None` if it has changed.
    read: Option<Instant>,
    /// What clients without sessions were shown, and was not accepted then.
    shown: Shown,
}

/// Texts of tools that clients were shown and that were not accepted then.
#[derive(Default)]
pub(crate) struct Shown(BTreeMap<String, BTreeSet<String>>);

impl Shown {
    /// Adds digests of texts, each with the name of its tool.
    ///
    /// # Errors
    ///
    /// There are too many. Then the client must not be shown them.
    pub(crate) fn add(&mut self, texts: Vec<(String, String)>) -> Result<(), String> {
        for (name, digest) in texts {
            let is_known = self.0.get(&name).is_some_and(|digests| digests.contains(&digest));
            if !is_known && self.0.values().map(BTreeSet::len).sum::<usize>() >= TOOLS_MAX {
                return Err(format!("the server lists more than {TOOLS_MAX} tools"));
            }
            self.0.entry(name).or_default().insert(digest);
        }
        Ok(())
    }

    /// Returns the digests of a tool's texts.
    pub(crate) fn of(&self, name: &str) -> BTreeSet<String> {
        self.0.get(name).cloned().unwrap_or_default()
    }
}

impl Toolbox {
    pub(crate) fn new(server: &str, pins: Arc<Pins>) -> Self {
        Self { server: server.to_owned(), pins, tools: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.tools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the server is to be asked for its tools before a call.
    pub(crate) fn is_stale(&self) -> bool {
        self.known().read.is_none_or(|read| read.elapsed() > AGE_MAX)
    }

    /// Takes note that the server's tools have changed.
    pub(crate) fn has_changed(&self) {
        self.known().read = None;
    }

    /// Takes note that the whole list is read.
    pub(crate) fn is_read(&self) {
        self.known().read = Some(Instant::now());
    }

    /// Takes a page of the server's tools.
    pub(crate) fn take(&self, page: Vec<Listed>) {
        let mut names = BTreeMap::<&str, usize>::new();
        for tool in &page {
            *names.entry(&tool.name).or_default() += 1;
        }
        let twice: Vec<String> =
            names.into_iter().filter(|(_, times)| *times > 1).map(|(n, _)| n.to_owned()).collect();
        let mut known = self.known();
        let is_new = |tool: &Listed| {
            known.tools.get(&tool.name).is_none_or(|before| {
                before.text != tool.text || matches!(before.state, State::Refused(_))
            })
        };
        let (twice_listed, page): (Vec<Listed>, Vec<Listed>) =
            page.into_iter().partition(|tool| twice.contains(&tool.name));
        let page: Vec<Listed> = page.into_iter().filter(is_new).collect();
        for Listed { name, text } in twice_listed {
            let words = "the server lists two tools of this name";
            let state = State::Refused(Refusal::new("tool-ambiguous", words));
            known.tools.insert(name, Tool { text, state });
        }
        if page.is_empty() {
            return;
        }
        let pinned = self.pins.take(&self.server, &page);
        for (index, Listed { name, text }) in page.into_iter().enumerate() {
            if known.tools.len() >= TOOLS_MAX && !known.tools.contains_key(&name) {
                continue;
            }
            let state = match &pinned {
                Err(why) => State::Refused(Refusal::new("tool-state", why.clone())),
                Ok(pinned) => self.state(&name, &text, pinned.get(index).copied()),
            };
            known.tools.insert(name, Tool { text, state });
        }
    }

    fn state(&self, name: &str, text: &str, pinned: Option<Pinned>) -> State {
        let server = &self.server;
        let shown = in_one_line(name);
        match pinned {
            Some(Pinned::Accepted) => match accepted(text) {
                Ok(tool) => State::Accepted(Arc::new(tool)),
                Err(refusal) => State::Refused(refusal),
            },
            Some(Pinned::Changed) => State::Refused(Refusal::new(
                "tool-changed",
                format!(
                    "the description or schema of `{shown}` has changed since it was accepted; an administrator compares and accepts it with `signoff mcp accept --name {server} {shown}`"
                ),
            )),
            Some(Pinned::Unknown) | None => State::Refused(Refusal::new(
                "tool-unknown",
                format!("`{shown}` is not in the administrator's file of tools"),
            )),
        }
    }

    /// Returns an accepted tool.
    ///
    /// # Errors
    ///
    /// `tool-unknown` if the server never listed it, `tool-changed`, or what is wrong with its text.
    pub(crate) fn accepted(&self, name: &str) -> Result<Arc<Accepted>, Refusal> {
        let known = self.known();
        let Some(tool) = known.tools.get(name) else {
            let words = format!(
                "the server `{}` has not listed a tool `{}`",
                self.server,
                in_one_line(name)
            );
            return Err(Refusal::new("tool-unknown", words));
        };
        match &tool.state {
            State::Accepted(accepted) => Ok(Arc::clone(accepted)),
            State::Refused(refusal) => Err(refusal.clone()),
        }
    }

    /// Returns the tools of a page whose texts are not accepted, each with the digest of its text.
    pub(crate) fn not_accepted(&self, page: &[Listed]) -> Vec<(String, String)> {
        let known = self.known();
        let is_accepted = |listed: &&Listed| {
            let tool = known.tools.get(&listed.name);
            tool.is_some_and(|tool| {
                tool.text == listed.text && matches!(tool.state, State::Accepted(_))
            })
        };
        let refused = page.iter().filter(|listed| !is_accepted(listed));
        refused.map(|listed| (listed.name.clone(), digest(&listed.text))).collect()
    }

    /// Takes note of texts that a client without a session is shown.
    ///
    /// # Errors
    ///
    /// As [`Shown::add`].
    pub(crate) fn shown_to_some(&self, texts: Vec<(String, String)>) -> Result<(), String> {
        self.known().shown.add(texts)
    }

    /// Checks that the texts of a tool that a client was shown are accepted by now. Without `shown`, those
    /// that any client without a session was shown.
    ///
    /// # Errors
    ///
    /// `tool-changed`.
    pub(crate) fn were_accepted(
        &self,
        name: &str,
        shown: Option<BTreeSet<String>>,
    ) -> Result<(), Refusal> {
        let shown = shown.unwrap_or_else(|| self.known().shown.of(name));
        if shown.is_empty() {
            return Ok(());
        }
        let accepted = self.pins.accepted(&self.server, name);
        let accepted: BTreeSet<String> = accepted.iter().map(|text| digest(text)).collect();
        if shown.is_subset(&accepted) {
            return Ok(());
        }
        let words = format!(
            "the client was shown a description or schema of `{}` that is not accepted; list the tools again, and if that does not help, start the gate again",
            in_one_line(name)
        );
        Err(Refusal::new("tool-changed", words))
    }

    /// Looks again for a tool that was refused, which an administrator may have accepted meanwhile.
    pub(crate) fn look_again(&self, name: &str) -> Result<Arc<Accepted>, Refusal> {
        let text = self.known().tools.get(name).and_then(|tool| match &tool.state {
            State::Refused(refusal) if OF_PINS.contains(&refusal.code) => Some(tool.text.clone()),
            // Nobody can accept one that is ambiguous or malformed.
            State::Refused(_) | State::Accepted(_) => None,
        });
        if let Some(text) = text {
            self.take(vec![Listed { name: name.to_owned(), text }]);
        }
        self.accepted(name)
    }

    /// Returns the text of a tool as it was last listed, and the accepted ones.
    pub(crate) fn change(&self, name: &str) -> Option<(String, Vec<String>)> {
        let text = self.known().tools.get(name)?.text.clone();
        Some((text, self.pins.accepted(&self.server, name)))
    }

    /// Accepts a tool as it was last listed.
    pub(crate) fn accept(&self, name: &str, text: &str) -> Result<(), String> {
        self.pins.accept(&self.server, name, text)
    }
}

/// Reads an accepted tool.
fn accepted(text: &str) -> Result<Accepted, Refusal> {
    if text.len() > TOOL_BYTES_MAX {
        let words = format!("the tool's text is longer than {TOOL_BYTES_MAX} bytes");
        return Err(Refusal::new("tool-malformed", words));
    }
    let members = Members::exact(text, &DECIDING)
        .map_err(|why| Refusal::new("tool-malformed", format!("the tool's text: {why}")))?;
    if members.value("inputSchema").is_none() {
        return Err(Refusal::new("tool-malformed", "the tool has no `inputSchema`"));
    }
    let has_output_schema = members.value("outputSchema").is_some_and(|raw| raw.get() != "null");
    Ok(Accepted { text: text.to_owned(), schema: OnceLock::new(), has_output_schema })
}

impl Accepted {
    /// Returns the tool's text as it was listed.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Checks the arguments of a call.
    ///
    /// # Errors
    ///
    /// `tool-schema` if the schema cannot be used, `arguments-invalid` if they do not fit it.
    pub(crate) fn check(&self, arguments: &str) -> Result<(), Refusal> {
        let schema = self.schema.get_or_init(|| {
            let members = Members::parse(&self.text);
            let schema = members.ok().and_then(|members| members.value("inputSchema"));
            let words = "the tool has no `inputSchema`";
            schema.ok_or_else(|| Refusal::new("tool-schema", words)).and_then(Schema::compile)
        });
        schema.as_ref().map_err(Clone::clone)?.check(arguments)
    }
}
