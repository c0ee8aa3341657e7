//! One `tools/call` on its way through the gate.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;
use serde_json::value::RawValue;

use super::answer::Answer;
use super::message::{Id, Members};
use super::session::Session;
use crate::json_text::JsonText;

/// The members of the parameters that decide.
const DECIDING: [&str; 6] =
    ["name", "arguments", "_meta", "inputResponses", "requestState", "task"];
/// What the client adds when it repeats a call.
const REPEATED: [&str; 2] = ["inputResponses", "requestState"];
const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const META_CLIENT: &str = "io.modelcontextprotocol/clientInfo";
const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// The parameters of a call.
#[derive(Clone, Debug)]
pub(crate) struct CallParams {
    /// The tool's name.
    pub(crate) tool: String,
    /// The arguments, JSON as it is written; `{}` if there are none.
    pub(crate) arguments: String,
    /// The token of progress notifications, JSON.
    pub(crate) progress_token: Option<String>,
    /// The protocol version that the request names, as requests do since 2026-07-28.
    pub(crate) version: Option<String>,
    /// Whether the request says that the client shows links.
    pub(crate) shows_links: bool,
    /// The responses of a repeated call, JSON.
    pub(crate) input_responses: Option<String>,
    /// The state of a repeated call.
    pub(crate) request_state: Option<String>,
    /// What requests of this client have in `_meta`, for the gate's own requests; JSON.
    pub(crate) meta: Option<String>,
}

impl CallParams {
    /// Parses the parameters of `tools/call`.
    ///
    /// # Errors
    ///
    /// They are missing, not an object, have a duplicate member or a variant of one that decides, or a
    /// member of the wrong type.
    pub(crate) fn parse(params: Option<&RawValue>) -> Result<Self, String> {
        let params = params.ok_or("`params` is missing")?;
        let members = Members::exact(params.get(), &DECIDING)?;
        let tool = members.string("name")?.ok_or("`name` is missing")?;
        let arguments = members.value("arguments").map_or("{}", RawValue::get);
        if !arguments.starts_with('{') {
            return Err("`arguments` is not an object".to_owned());
        }
        let meta = members.value("_meta").map(|meta| Members::parse(meta.get())).transpose()?;
        let of_meta = |name: &str| meta.as_ref().and_then(|meta| meta.value(name));
        let progress_token = of_meta("progressToken").map(|raw| {
            let token = Id::parse(raw).ok_or("`progressToken` is neither an integer nor a string");
            token.map(|token| token.json())
        });
        let version = meta.as_ref().map(|meta| meta.string(META_VERSION)).transpose()?.flatten();
        let capabilities = of_meta(META_CAPABILITIES);
        let version_meta = version.is_some().then(|| {
            let named = [META_VERSION, META_CLIENT, META_CAPABILITIES].into_iter();
            let given = named.filter_map(|name| Some((name, of_meta(name)?)));
            let all: Vec<String> =
                given.map(|(name, raw)| format!("\"{name}\":{}", raw.get())).collect();
            format!("{{{}}}", all.join(","))
        });
        let shows_links = capabilities.is_some_and(shows_links);
        Ok(Self {
            tool,
            arguments: arguments.to_owned(),
            progress_token: progress_token.transpose()?,
            version,
            shows_links,
            input_responses: members.value("inputResponses").map(|raw| raw.get().to_owned()),
            request_state: members.string("requestState")?,
            meta: version_meta,
        })
    }

    /// Returns the approval that the state of a repeated call names, if the gate wrote it.
    pub(crate) fn repeats(&self) -> Option<&str> {
        self.request_state.as_deref().and_then(|state| state.strip_prefix("signoff:"))
    }

    /// Returns what the user did with the link: `accept`, `decline` or `cancel`.
    pub(crate) fn link_action(&self) -> Option<String> {
        let responses = Members::parse(self.input_responses.as_deref()?).ok()?;
        let ours = Members::parse(responses.value("signoff")?.get()).ok()?;
        ours.string("action").ok().flatten()
    }
}

/// Returns whether capabilities say that the client shows links to its user.
pub(crate) fn shows_links(capabilities: &RawValue) -> bool {
    let member = |object: &str, name: &str| {
        Members::parse(object).ok()?.value(name).map(|raw| raw.get().to_owned())
    };
    let elicitation = member(capabilities.get(), "elicitation");
    elicitation.and_then(|elicitation| member(&elicitation, "url")).is_some_and(|url| url != "null")
}

/// How a call that was passed on ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With a result.
    Succeeded,
    /// With an error; its beginning, in one line.
    Failed(String),
    /// With a task, whose end is not seen.
    Task,
    /// The server asks for input, and the call is to be made again.
    InputRequired,
    /// Nobody knows: the client cancelled it, or the server is gone.
    Unknown,
}

/// Why a call is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// It was cancelled, or the client is gone, or it is answered.
    Cancelled,
    /// The server is gone.
    ServerGone,
}

#[derive(Default)]
enum Stage {
    #[default]
    Deciding,
    PassedOn(Sender<Ended>),
    Over,
}

type Undo = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    stage: Stage,
    /// What to do if the call is cancelled while it is decided.
    undo: Option<Undo>,
    /// The user refused to open the link.
    declined: bool,
    /// The id of the link's elicitation.
    elicitation: Option<String>,
}

/// One call.
pub(crate) struct Call {
    pub(crate) session: Arc<Session>,
    pub(crate) id: Id,
    pub(crate) params: CallParams,
    /// The message as it came.
    text: String,
    state: Mutex<State>,
    progress: AtomicU64,
}

impl Call {
    pub(crate) fn new(session: Arc<Session>, id: Id, params: CallParams, text: &str) -> Self {
        Self {
            session,
            id,
            params,
            text: text.to_owned(),
            state: Mutex::default(),
            progress: AtomicU64::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether nobody waits for the call any more.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state().stage, Stage::Over)
    }

    /// Returns whether the server has the call.
    pub(crate) fn is_passed_on(&self) -> bool {
        matches!(self.state().stage, Stage::PassedOn(_))
    }

    /// Returns whether the user refused to open the link.
    pub(crate) fn is_declined(&self) -> bool {
        self.state().declined
    }

    /// Sends the call to the server, once. The receiver gets how it ended.
    ///
    /// # Errors
    ///
    /// It was cancelled; the server is gone, which the client is told.
    pub(crate) fn pass_on(&self) -> Result<Receiver<Ended>, Stopped> {
        let text = self.without_our_state().ok_or(Stopped::Cancelled)?;
        {
            let mut state = self.state();
            if !matches!(state.stage, Stage::Deciding) {
                return Err(Stopped::Cancelled);
            }
            let (sender, receiver) = channel();
            state.stage = Stage::PassedOn(sender);
            state.undo = None;
            let elicitation = state.elicitation.take();
            drop(state);
            self.end_elicitation(elicitation);
            if self.session.send_to_server(&text, Some(&self.id)).is_ok() {
                return Ok(receiver);
            }
            let mut state = self.state();
            if !matches!(state.stage, Stage::PassedOn(_)) {
                return Err(Stopped::ServerGone);
            }
            state.stage = Stage::Deciding;
        }
        self.answer(&Answer::refused("server-gone", "the MCP server has ended; nothing ran"));
        Err(Stopped::ServerGone)
    }

    /// Returns the message without what the client adds for the gate when it repeats a call.
    fn without_our_state(&self) -> Option<String> {
        let mut json = JsonText { text: self.text.clone() };
        if self.params.repeats().is_none() {
            return Some(json.text);
        }
        for name in REPEATED {
            let params = json.member(&json.root(), "params")?;
            let parts = json.parts(&params);
            let index = parts.iter().position(|part| {
                let written = part.name.clone().and_then(|range| json.text.get(range));
                written.and_then(|text| serde_json::from_str::<String>(text).ok()).as_deref()
                    == Some(name)
            });
            if let Some(index) = index {
                json.remove(&params, index);
            }
        }
        Some(json.text)
    }

    /// Answers the client in the place of the server, unless it is answered or cancelled.
    pub(crate) fn answer(&self, answer: &Answer) {
        let mut state = self.state();
        if !matches!(state.stage, Stage::Deciding) {
            return;
        }
        state.stage = Stage::Over;
        state.undo = None;
        let elicitation = state.elicitation.take();
        drop(state);
        self.session.forget(&self.id);
        self.end_elicitation(elicitation);
        let _ = self.session.send_to_client(&answer.response(&self.id), Some(&self.id));
    }

    /// Sets what to do if the call is cancelled before it is passed on. Returns false if it was already
    /// cancelled; then nothing is done.
    pub(crate) fn on_cancel(&self, undo: impl FnOnce() + Send + 'static) -> bool {
        let mut state = self.state();
        let is_open = matches!(state.stage, Stage::Deciding);
        if is_open {
            state.undo = Some(Box::new(undo));
        }
        is_open
    }

    /// Ends the call on the client's behalf. Returns whether the server has it.
    pub(crate) fn cancel(&self) -> bool {
        let mut state = self.state();
        let stage = std::mem::replace(&mut state.stage, Stage::Over);
        let undo = state.undo.take();
        let elicitation = state.elicitation.take();
        drop(state);
        self.session.forget(&self.id);
        self.end_elicitation(elicitation);
        if let Some(undo) = undo {
            self.session.in_background(undo);
        }
        match stage {
            Stage::PassedOn(ended) => {
                let _ = ended.send(Ended::Unknown);
                true
            }
            Stage::Deciding | Stage::Over => false,
        }
    }

    /// Takes the end of the call from the server. Returns false if the server does not have it.
    pub(crate) fn ended(&self, end: Ended) -> bool {
        let mut state = self.state();
        let stage = std::mem::replace(&mut state.stage, Stage::Over);
        match stage {
            Stage::PassedOn(ended) => {
                drop(state);
                let _ = ended.send(end);
                true
            }
            before => {
                state.stage = before;
                false
            }
        }
    }

    /// Tells the client that the call goes on, if it wants to know.
    pub(crate) fn tell_progress(&self, words: &str) {
        let Some(token) = &self.params.progress_token else { return };
        if self.is_over() {
            return;
        }
        let progress = self.progress.fetch_add(1, Ordering::Relaxed) + 1;
        let message = json!(signoff_core::deceptive::in_one_line(words));
        let text = format!(
            "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{{\"progressToken\":{token},\"progress\":{progress},\"message\":{message}}}}}"
        );
        let _ = self.session.send_to_client(&text, Some(&self.id));
    }

    /// Asks the client to show a link. That the user opens it decides nothing; that they decline does.
    pub(crate) fn show_link(self: &Arc<Self>, url: &str, words: &str) {
        let id = hex::encode(rand::random::<[u8; 16]>());
        {
            let mut state = self.state();
            if !matches!(state.stage, Stage::Deciding) || state.elicitation.is_some() {
                return;
            }
            state.elicitation = Some(id.clone());
        }
        self.session.elicit(self, &id, url, words);
    }

    /// Takes the user's answer to the link.
    pub(crate) fn link_answered(&self, action: Option<&str>) {
        if action == Some("decline") {
            let mut state = self.state();
            state.declined = true;
            let undo = state.undo.take();
            drop(state);
            if let Some(undo) = undo {
                self.session.in_background(undo);
            }
        }
    }

    fn end_elicitation(&self, elicitation: Option<String>) {
        let Some(elicitation) = elicitation else { return };
        let text = format!(
            "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/elicitation/complete\",\"params\":{{\"elicitationId\":\"{elicitation}\"}}}}"
        );
        let _ = self.session.send_to_client(&text, Some(&self.id));
    }
}
