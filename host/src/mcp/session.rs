//! One client and one server, and the messages between them.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;
use serde_json::value::RawValue;

use super::answer::{self, Answer};
use super::call::{self, Call, CallParams, Ended};
use super::message::{
    INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, Id, Malformed, Members, Message,
};
use super::pins::Pins;
use super::tools::{self, Listed, Refusal, Shown, Toolbox};
use super::{CALLS_MAX, Decider};

/// What ids of the gate's own requests begin with. No request of a server with such an id passes.
pub(super) const OWN_PREFIX: &str = "signoff-";
/// Requests of a client without an answer at a time.
const REQUESTS_MAX: usize = 4_096;
/// The first version with links in elicitations.
const VERSION_WITH_LINKS: &str = "2025-11-25";
/// Longest part of a tool's error that is reported.
const ERROR_CHARS_MAX: usize = 200;

/// Time that the server has for a request of the gate's own.
const OWN_TIME_MAX: Duration = Duration::from_secs(60);

/// The other end is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone;

/// Where messages go. A message is one JSON text.
pub(crate) trait Out: Send + Sync {
    /// Sends a message. `about` is the client's request that it belongs to, if it belongs to one: a
    /// response, the progress of a call, or a question about one.
    ///
    /// # Errors
    ///
    /// The other end is gone, and the message was not sent.
    fn send(&self, message: &str, about: Option<&Id>) -> Result<(), Gone>;
}

/// What the connections of all clients share.
pub(crate) struct Gate {
    decider: Box<dyn Decider>,
    pins: Arc<Pins>,
    toolboxes: Mutex<HashMap<String, Arc<Toolbox>>>,
}

impl Gate {
    /// Makes a gate.
    pub(crate) fn new(decider: Box<dyn Decider>, pins: Pins) -> Self {
        Self { decider, pins: Arc::new(pins), toolboxes: Mutex::default() }
    }

    /// Returns the tools of a server, which its sessions share.
    fn toolbox(&self, server: &str) -> Arc<Toolbox> {
        let mut all = self.toolboxes.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Toolbox::new(server, Arc::clone(&self.pins)));
        Arc::clone(all.entry(server.to_owned()).or_insert_with(new))
    }

    /// Begins a session of a client with the server of a name.
    pub(crate) fn session(
        self: &Arc<Self>,
        server: &str,
        to_client: Box<dyn Out>,
        to_server: Box<dyn Out>,
    ) -> Arc<Session> {
        Arc::new(Session {
            gate: Arc::clone(self),
            server: server.to_owned(),
            tools: self.toolbox(server),
            own: format!("{OWN_PREFIX}{}-", hex::encode(rand::random::<[u8; 8]>())),
            to_client,
            to_server,
            state: Mutex::default(),
            running: Mutex::default(),
            idle: Condvar::new(),
        })
    }
}

/// A session. Messages of both sides may arrive at the same time.
pub(crate) struct Session {
    gate: Arc<Gate>,
    /// The name of the server.
    pub(crate) server: String,
    /// Its tools.
    pub(crate) tools: Arc<Toolbox>,
    /// What the ids of the gate's requests in this session begin with.
    own: String,
    to_client: Box<dyn Out>,
    to_server: Box<dyn Out>,
    state: Mutex<State>,
    /// Calls that are being decided, and what else runs in the background.
    running: Mutex<usize>,
    idle: Condvar,
}

#[derive(Default)]
struct State {
    /// Whether the client said at its start that it shows links.
    shows_links: bool,
    /// The version of the protocol that the server chose at the start.
    version: Option<String>,
    /// Requests of the client without an answer.
    in_flight: HashMap<Id, InFlight>,
    /// Questions of the gate to the client, with the call that they are about.
    asked: HashMap<Id, Arc<Call>>,
    /// Requests of the gate to the server without an answer.
    own: HashMap<Id, Sender<String>>,
    /// Requests of the server to the client without an answer.
    of_server: HashSet<Id>,
    /// Whether the client has begun a session of the protocol.
    has_begun: bool,
    /// What the client was shown of tools since its last first page, and was not accepted then.
    shown: Shown,
    /// The number of the gate's last question.
    last: u64,
    /// The client is gone.
    closed: bool,
}

#[derive(Clone)]
enum InFlight {
    Passed(Passed),
    Call(Arc<Call>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Passed {
    Initialize,
    /// A list of tools; whether it is the first page.
    Tools {
        first: bool,
    },
    Other,
}

/// Returns whether a request for tools is one for their first page.
fn is_first_page(params: Option<&RawValue>) -> bool {
    let Some(params) = params else { return true };
    let members = Members::parse(params.get());
    members.is_ok_and(|members| members.value("cursor").is_none_or(|raw| raw.get() == "null"))
}

impl Session {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn send_to_client(&self, text: &str, about: Option<&Id>) -> Result<(), Gone> {
        self.to_client.send(text, about)
    }

    pub(super) fn send_to_server(&self, text: &str, about: Option<&Id>) -> Result<(), Gone> {
        self.to_server.send(text, about)
    }

    /// Forgets a request that is answered.
    pub(super) fn forget(&self, id: &Id) {
        self.state().in_flight.remove(id);
    }

    /// Takes one message of the client.
    pub(crate) fn take_from_client(self: &Arc<Self>, text: &str) {
        match Message::parse(text) {
            Err(Malformed { code, id, why }) => self.refuse(id.as_ref(), code, &why),
            Ok(Message::Request { id, method, params }) => {
                self.request(text, &id, &method, params);
            }
            Ok(Message::Notification { method, params }) => {
                self.notification(text, &method, params);
            }
            Ok(Message::Response { id, result }) => self.response(text, id, result),
        }
    }

    /// Answers a request that goes no further.
    fn refuse(&self, id: Option<&Id>, code: i32, why: &str) {
        let text = answer::error(id, code, &format!("refused by signoff: {why}"));
        let _ = self.send_to_client(&text, id);
    }

    fn request(self: &Arc<Self>, text: &str, id: &Id, method: &str, params: Option<&RawValue>) {
        if let Id::Text(written) = id
            && written.starts_with(OWN_PREFIX)
        {
            let why = format!("an `id` must not begin with `{OWN_PREFIX}`");
            return self.refuse(Some(id), INVALID_REQUEST, &why);
        }
        let entry = match method {
            "tools/call" => match CallParams::parse(params) {
                Ok(params) => {
                    InFlight::Call(Arc::new(Call::new(Arc::clone(self), id.clone(), params, text)))
                }
                Err(why) => return self.refuse(Some(id), INVALID_PARAMS, &why),
            },
            "initialize" => InFlight::Passed(Passed::Initialize),
            "tools/list" => InFlight::Passed(Passed::Tools { first: is_first_page(params) }),
            _ => InFlight::Passed(Passed::Other),
        };
        if let Err(why) = self.register(id, entry.clone(), method, params) {
            return self.refuse(None, INVALID_REQUEST, &why);
        }
        match entry {
            InFlight::Call(call) => self.begin(&call),
            InFlight::Passed(_) => {
                if self.send_to_server(text, Some(id)).is_err() {
                    self.forget(id);
                    let why = "the MCP server has ended";
                    self.refuse(Some(id), INTERNAL_ERROR, why);
                }
            }
        }
    }

    /// Remembers a request.
    fn register(
        &self,
        id: &Id,
        entry: InFlight,
        method: &str,
        params: Option<&RawValue>,
    ) -> Result<(), String> {
        let mut state = self.state();
        if state.closed {
            return Err("the session has ended".to_owned());
        }
        if state.in_flight.contains_key(id) {
            return Err(format!("a request with the `id` {id} has no answer yet"));
        }
        if state.in_flight.len() >= REQUESTS_MAX {
            return Err(format!("{REQUESTS_MAX} requests have no answer yet"));
        }
        if method == "initialize" {
            let members = params.and_then(|params| Members::parse(params.get()).ok());
            state.has_begun = true;
            let capabilities = members.and_then(|members| members.value("capabilities"));
            state.shows_links = capabilities.is_some_and(call::shows_links);
        }
        state.in_flight.insert(id.clone(), entry);
        Ok(())
    }

    /// Has a call decided, on a thread of its own.
    fn begin(self: &Arc<Self>, call: &Arc<Call>) {
        let calls = {
            let state = self.state();
            state.in_flight.values().filter(|one| matches!(one, InFlight::Call(_))).count()
        };
        if calls > CALLS_MAX {
            let words = format!("{CALLS_MAX} calls have no answer yet; make it again later");
            return call.answer(&Answer::refused("too-many-calls", words));
        }
        let session = Arc::clone(self);
        let theirs = Arc::clone(call);
        let started = self.spawn(move || {
            let decided = catch_unwind(AssertUnwindSafe(|| session.gate.decider.decide(&theirs)));
            let words = match decided {
                Ok(()) => "the call was not decided; this is a defect, please report it",
                Err(_) => "signoff failed; this is a defect, please report it",
            };
            // Does nothing if the call is answered or passed on.
            theirs.answer(&Answer::refused("internal", words));
        });
        if started.is_err() {
            call.answer(&Answer::refused("internal", "this machine starts no more threads"));
        }
    }

    /// Runs something that may wait for the server of approvals.
    pub(super) fn in_background(self: &Arc<Self>, work: impl FnOnce() + Send + 'static) {
        let _ = self.spawn(work);
    }

    fn spawn(self: &Arc<Self>, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        let running = Running::new(self);
        std::thread::Builder::new()
            .spawn(move || {
                let _running = running;
                let _ = catch_unwind(AssertUnwindSafe(work));
            })
            .map(drop)
    }

    fn notification(self: &Arc<Self>, text: &str, method: &str, params: Option<&RawValue>) {
        match method {
            "tools/call" => {
                // It has no answer, so nobody could learn of an approval or a refusal.
                self.refuse(None, INVALID_REQUEST, "`tools/call` without an `id` is refused");
            }
            "notifications/cancelled" => {
                let id = cancelled(params);
                let call = id.and_then(|id| match self.state().in_flight.get(&id) {
                    Some(InFlight::Call(call)) => Some(Arc::clone(call)),
                    _ => None,
                });
                if call.is_none_or(|call| call.cancel()) {
                    let _ = self.send_to_server(text, None);
                }
            }
            _ => {
                let _ = self.send_to_server(text, None);
            }
        }
    }

    /// Takes a response of the client.
    fn response(&self, text: &str, id: Option<Id>, result: Option<&RawValue>) {
        let Some(id) = id else { return };
        let mut state = self.state();
        if let Some(call) = state.asked.remove(&id) {
            drop(state);
            let members = result.and_then(|result| Members::parse(result.get()).ok());
            let action = members.and_then(|members| members.string("action").ok().flatten());
            return call.link_answered(action.as_deref());
        }
        if state.of_server.remove(&id) {
            drop(state);
            let _ = self.send_to_server(text, None);
        }
    }

    /// Takes one message of the server. `about` is the client's request that the server sent it for, where
    /// the way that it came says so.
    pub(crate) fn take_from_server(self: &Arc<Self>, text: &str, about: Option<&Id>) {
        match Message::parse(text) {
            Err(Malformed { why, .. }) => {
                note(&format!("a message of the server `{}` is dropped: {why}", self.server));
            }
            Ok(Message::Request { id, method, .. }) => {
                self.server_request(text, &id, &method, about);
            }
            Ok(Message::Notification { method, .. }) => {
                if method == "notifications/tools/list_changed" {
                    self.tools.has_changed();
                }
                let _ = self.send_to_client(text, about);
            }
            Ok(Message::Response { id, result }) => self.server_response(text, id, result),
        }
    }

    fn server_request(&self, text: &str, id: &Id, method: &str, about: Option<&Id>) {
        let refused = |why: &str| {
            let _ = self.send_to_server(&answer::error(Some(id), INVALID_REQUEST, why), None);
        };
        if matches!(id, Id::Text(written) if written.starts_with(OWN_PREFIX)) {
            return refused("the id is reserved");
        }
        if method == "tools/call" {
            return refused("a client has no tools");
        }
        {
            let mut state = self.state();
            if state.of_server.len() >= REQUESTS_MAX || !state.of_server.insert(id.clone()) {
                drop(state);
                return refused("a request with this id, or too many, have no answer yet");
            }
        }
        let _ = self.send_to_client(text, about);
    }

    fn server_response(&self, text: &str, id: Option<Id>, result: Option<&RawValue>) {
        let Some(id) = id else {
            // An error about a message that the server could not read.
            let _ = self.send_to_client(text, None);
            return;
        };
        if let Some(asker) = self.state().own.remove(&id) {
            let _ = asker.send(text.to_owned());
            return;
        }
        let Some(entry) = self.state().in_flight.get(&id).cloned() else {
            return note(&format!("a response of the server `{}` to {id} is dropped", self.server));
        };
        match entry {
            InFlight::Passed(passed) => {
                let mut state = self.state();
                state.in_flight.remove(&id);
                if passed == Passed::Initialize {
                    let members = result.and_then(|result| Members::parse(result.get()).ok());
                    state.version = members
                        .and_then(|members| members.string("protocolVersion").ok().flatten());
                }
                drop(state);
                // Before the client can call one of them.
                if let (Passed::Tools { first }, Some(result)) = (passed, result)
                    && let Err(why) = self.show_tools(result, first)
                {
                    return self.refuse(Some(&id), INTERNAL_ERROR, &why);
                }
                let _ = self.send_to_client(text, Some(&id));
            }
            InFlight::Call(call) => {
                if call.ended(end_of(text, result)) {
                    self.forget(&id);
                    let _ = self.send_to_client(text, Some(&id));
                } else {
                    note(&format!("a response of the server `{}` to {id} is dropped", self.server));
                }
            }
        }
    }

    /// Takes a page of tools that the client is about to see. What the gate cannot read, the client does
    /// not see.
    fn show_tools(&self, result: &RawValue, is_first: bool) -> Result<(), String> {
        let (page, _) = self.listed(result)?;
        self.tools.take(page.clone());
        let refused = self.tools.not_accepted(&page);
        let mut state = self.state();
        if !state.has_begun {
            // Nothing tells which requests are of one client.
            drop(state);
            return self.tools.shown_to_some(refused);
        }
        if is_first {
            state.shown = Shown::default();
        }
        state.shown.add(refused)
    }

    /// Returns the refusal of a tool if the client was shown another text of it than an accepted one.
    ///
    /// # Errors
    ///
    /// `tool-changed`.
    pub(crate) fn was_shown_as_accepted(&self, name: &str) -> Result<(), Refusal> {
        let state = self.state();
        let shown = state.has_begun.then(|| state.shown.of(name));
        drop(state);
        self.tools.were_accepted(name, shown)
    }

    /// Reads a page of tools.
    fn listed(&self, result: &RawValue) -> Result<(Vec<Listed>, Option<String>), String> {
        tools::listed(result).map_err(|why| {
            let words = format!(
                "the list of tools of the MCP server `{}` is malformed: {why}",
                self.server
            );
            note(&words);
            words
        })
    }

    /// Asks the server for its tools, all pages. `meta` is the `_meta` of a call, for versions in which each
    /// request has one.
    ///
    /// # Errors
    ///
    /// The server does not answer, or its list cannot be read.
    pub(crate) fn list_tools(&self, meta: Option<&str>) -> Result<(), String> {
        const PAGES_MAX: usize = 100;
        let mut cursor: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let cursor_member = cursor.map(|cursor| format!("\"cursor\":{}", json!(cursor)));
            let meta_member = meta.map(|meta| format!("\"_meta\":{meta}"));
            let members: Vec<String> = cursor_member.into_iter().chain(meta_member).collect();
            let answer = self.ask_server("tools/list", &format!("{{{}}}", members.join(",")))?;
            let Ok(Message::Response { result: Some(result), .. }) = Message::parse(&answer) else {
                return Err("the MCP server does not list its tools".to_owned());
            };
            let (page, next) = self.listed(result)?;
            self.tools.take(page);
            cursor = next;
            if cursor.is_none() {
                self.tools.is_read();
                return Ok(());
            }
        }
        Err(format!("the MCP server lists its tools on more than {PAGES_MAX} pages"))
    }

    /// Sends a request of the gate's own to the server. Returns the response.
    fn ask_server(&self, method: &str, params: &str) -> Result<String, String> {
        let (sender, receiver) = channel();
        let id = {
            let mut state = self.state();
            state.last += 1;
            let id = Id::Text(format!("{}{}", self.own, state.last));
            state.own.insert(id.clone(), sender);
            id
        };
        let text = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":{},\"params\":{params}}}",
            id.json(),
            json!(method)
        );
        let sent = self.send_to_server(&text, None);
        let answer = sent.ok().and_then(|()| receiver.recv_timeout(OWN_TIME_MAX).ok());
        self.state().own.remove(&id);
        answer.ok_or_else(|| format!("the MCP server does not answer `{method}`"))
    }

    /// Returns whether links can be shown with `elicitation/create`.
    pub(crate) fn shows_links(&self) -> bool {
        let state = self.state();
        let version = state.version.as_deref();
        state.shows_links && version.is_some_and(|version| version >= VERSION_WITH_LINKS)
    }

    /// Sends `elicitation/create` with a link.
    pub(super) fn elicit(&self, call: &Arc<Call>, elicitation: &str, url: &str, words: &str) {
        let id = {
            let mut state = self.state();
            state.last += 1;
            let id = Id::Text(format!("{}{}", self.own, state.last));
            state.asked.insert(id.clone(), Arc::clone(call));
            id
        };
        let params = json!({
            "mode": "url", "elicitationId": elicitation, "url": url,
            "message": signoff_core::deceptive::in_lines(words),
        });
        let text = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"elicitation/create\",\"params\":{params}}}",
            id.json()
        );
        let _ = self.send_to_client(&text, Some(&call.id));
    }

    /// Cancels a request of the client whose connection is closed, as `notifications/cancelled` does.
    /// Returns whether the server has the request.
    pub(crate) fn cancel(&self, id: &Id) -> bool {
        let entry = self.state().in_flight.get(id).cloned();
        match entry {
            Some(InFlight::Call(call)) => call.cancel(),
            Some(InFlight::Passed(_)) => self.state().in_flight.remove(id).is_some(),
            None => false,
        }
    }

    /// Cancels a call that the server does not have yet, because the client closed its connection. Returns
    /// whether it was cancelled.
    pub(crate) fn abandon(&self, id: &Id) -> bool {
        let entry = self.state().in_flight.get(id).cloned();
        match entry {
            Some(InFlight::Call(call)) if !call.is_passed_on() => {
                call.cancel();
                true
            }
            _ => false,
        }
    }

    /// Ends a request that the server will not answer. The client gets the sentence; nobody knows whether
    /// a call ran.
    pub(crate) fn lost(&self, id: &Id, why: &str) {
        let Some(entry) = self.state().in_flight.get(id).cloned() else { return };
        if let InFlight::Call(call) = &entry
            && !call.ended(Ended::Unknown)
        {
            return;
        }
        self.forget(id);
        self.refuse(Some(id), INTERNAL_ERROR, why);
    }

    /// Takes note that the server is gone: no request of the client that it has is answered any more.
    pub(crate) fn server_gone(&self) {
        let ids: Vec<Id> = {
            let mut state = self.state();
            state.own.clear();
            state.in_flight.keys().cloned().collect()
        };
        for id in ids {
            self.lost(&id, "the MCP server has ended");
        }
    }

    /// Takes note that the client is gone: calls that are not decided yet are cancelled.
    pub(crate) fn client_gone(&self) {
        let entries: Vec<InFlight> = {
            let mut state = self.state();
            state.closed = true;
            state.asked.clear();
            state.in_flight.values().cloned().collect()
        };
        for entry in entries {
            if let InFlight::Call(call) = entry
                && !call.is_passed_on()
            {
                call.cancel();
            }
        }
    }

    /// Waits until nothing runs in the background, up to a limit. Returns whether it is so.
    pub(crate) fn finish(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        while *running > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.idle.wait_timeout(running, left);
            running = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

/// Counts what runs in the background.
struct Running(Arc<Session>);

impl Running {
    fn new(session: &Arc<Session>) -> Self {
        *session.running.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Self(Arc::clone(session))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut running = self.0.running.lock().unwrap_or_else(PoisonError::into_inner);
        *running = running.saturating_sub(1);
        self.0.idle.notify_all();
    }
}

/// Returns the request that a client cancels.
fn cancelled(params: Option<&RawValue>) -> Option<Id> {
    Id::parse(Members::parse(params?.get()).ok()?.value("requestId")?)
}

/// Returns how a call ended.
fn end_of(text: &str, result: Option<&RawValue>) -> Ended {
    let Some(result) = result else {
        let beginning: String = text.chars().take(ERROR_CHARS_MAX).collect();
        return Ended::Failed(signoff_core::deceptive::in_one_line(&beginning));
    };
    let Ok(members) = Members::parse(result.get()) else { return Ended::Unknown };
    let kind = members.string("resultType").ok().flatten();
    let is_error = members.value("isError").is_some_and(|value| value.get() == "true");
    match kind.as_deref() {
        Some("input_required") => Ended::InputRequired,
        Some("task") => Ended::Task,
        _ if members.value("task").is_some() => Ended::Task,
        _ if is_error => {
            let beginning: String = result.get().chars().take(ERROR_CHARS_MAX).collect();
            Ended::Failed(signoff_core::deceptive::in_one_line(&beginning))
        }
        _ => Ended::Succeeded,
    }
}

/// Writes a line for whoever reads the gate's log.
pub(super) fn note(words: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "signoff: {}", signoff_core::deceptive::in_one_line(words));
}
