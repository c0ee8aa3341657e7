//! One client and several servers: their tools as one list, each called `SERVER__TOOL`. Nothing else of the
//! servers is offered, because their resources and prompts could have the same names.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::answer;
use super::message::{
    INTERNAL_ERROR, INVALID_PARAMS, Id, METHOD_NOT_FOUND, Malformed, Members, Message, place,
};
use super::session::{Gone, Out, Session, note};

/// What is between the name of a server and that of its tool.
pub(crate) const SEPARATOR: &str = "__";
/// What cursors of lists of several servers begin with.
const CURSOR: &str = "signoff:";

/// The client's side of several sessions.
pub(crate) struct Several {
    names: Vec<String>,
    sessions: OnceLock<Vec<Arc<Session>>>,
    to_client: Box<dyn Out>,
    gathers: Mutex<HashMap<Id, Gather>>,
}

/// Responses of all servers to one request of the client.
struct Gather {
    method: String,
    /// The result of each server; `None` until it answers.
    results: Vec<Option<Result<String, String>>>,
}

/// Where one of the sessions sends what is for the client.
struct Part {
    all: Arc<Several>,
    index: usize,
}

impl Several {
    /// Makes the client's side of sessions with servers of these names. A name has no `__`.
    pub(crate) fn new(names: Vec<String>, to_client: Box<dyn Out>) -> Arc<Self> {
        let (sessions, gathers) = (OnceLock::new(), Mutex::default());
        Arc::new(Self { names, sessions, to_client, gathers })
    }

    /// Returns where the session of a server sends what is for the client.
    pub(crate) fn part(self: &Arc<Self>, index: usize) -> Box<dyn Out> {
        Box::new(Part { all: Arc::clone(self), index })
    }

    /// Sets the sessions, in the order of the names.
    pub(crate) fn set(&self, sessions: Vec<Arc<Session>>) {
        let _ = self.sessions.set(sessions);
    }

    fn sessions(&self) -> &[Arc<Session>] {
        self.sessions.get().map_or(&[], Vec::as_slice)
    }

    fn gathers(&self) -> MutexGuard<'_, HashMap<Id, Gather>> {
        self.gathers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refuse(&self, id: Option<&Id>, code: i32, why: &str) {
        let _ = self.to_client.send(&answer::error(id, code, why), id);
    }

    /// Takes one message of the client.
    pub(crate) fn take_from_client(&self, text: &str) {
        match Message::parse(text) {
            Err(Malformed { code, id, why }) => self.refuse(id.as_ref(), code, &why),
            Ok(Message::Request { id, method, params }) => self.request(text, &id, &method, params),
            Ok(Message::Notification { .. }) => {
                for session in self.sessions() {
                    session.take_from_client(text);
                }
            }
            Ok(Message::Response { id, .. }) => self.response(text, id),
        }
    }

    fn request(&self, text: &str, id: &Id, method: &str, params: Option<&RawValue>) {
        match method {
            "tools/call" => self.call(text, id, params),
            "initialize" | "server/discover" => self.ask_all(text, id, method, None),
            "tools/list" => self.list(text, id, params),
            "ping" => {
                let text = format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{{}}}}", id.json());
                let _ = self.to_client.send(&text, Some(id));
            }
            _ => {
                let why = "a gate of several servers offers tools only";
                self.refuse(Some(id), METHOD_NOT_FOUND, why);
            }
        }
    }

    /// Passes a call on to the server that its tool's name begins with.
    fn call(&self, text: &str, id: &Id, params: Option<&RawValue>) {
        let unknown = || self.refuse(Some(id), INVALID_PARAMS, "no server has such a tool");
        // The session parses the parameters again, and refuses what is ambiguous in them.
        let name = params.and_then(|params| Members::parse(params.get()).ok()?.value("name"));
        let tool = name.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
        let Some((server, tool)) = tool.as_deref().and_then(|tool| tool.split_once(SEPARATOR))
        else {
            return unknown();
        };
        let index = self.names.iter().position(|name| name == server);
        let session = index.and_then(|index| self.sessions().get(index));
        let (Some(session), Some(name)) = (session, name) else { return unknown() };
        match replaced(text, name, &json!(tool).to_string()) {
            Some(text) => session.take_from_client(&text),
            None => unknown(),
        }
    }

    /// Asks each server for a page of its tools.
    fn list(&self, text: &str, id: &Id, params: Option<&RawValue>) {
        let cursor = params.and_then(|params| Members::parse(params.get()).ok()?.value("cursor"));
        let Some(raw) = cursor.filter(|raw| raw.get() != "null") else {
            return self.ask_all(text, id, "tools/list", None);
        };
        let written = serde_json::from_str::<String>(raw.get()).ok();
        let cursors = written.as_deref().and_then(|cursor| {
            let bytes = hex::decode(cursor.strip_prefix(CURSOR)?).ok()?;
            serde_json::from_slice::<HashMap<usize, String>>(&bytes).ok()
        });
        let Some(cursors) = cursors else {
            return self.refuse(Some(id), INVALID_PARAMS, "the cursor is not one of this list");
        };
        self.ask_all(text, id, "tools/list", Some((raw, &cursors)));
    }

    /// Sends a request to all servers, or to those that a cursor names.
    fn ask_all(
        &self,
        text: &str,
        id: &Id,
        method: &str,
        cursors: Option<(&RawValue, &HashMap<usize, String>)>,
    ) {
        let texts: Vec<Option<String>> = (0..self.names.len())
            .map(|index| match &cursors {
                None => Some(text.to_owned()),
                Some((raw, cursors)) => {
                    replaced(text, raw, &json!(cursors.get(&index)?).to_string())
                }
            })
            .collect();
        let empty = |text: &Option<String>| text.is_none().then(|| Ok("{\"tools\":[]}".to_owned()));
        let results = texts.iter().map(empty).collect();
        {
            let mut gathers = self.gathers();
            if gathers.contains_key(id) {
                drop(gathers);
                return self.refuse(None, super::message::INVALID_REQUEST, "the id is in use");
            }
            gathers.insert(id.clone(), Gather { method: method.to_owned(), results });
        }
        for (session, text) in self.sessions().iter().zip(texts) {
            if let Some(text) = text {
                session.take_from_client(&text);
            }
        }
    }

    /// Passes a response on to the server that asked.
    fn response(&self, text: &str, id: Option<Id>) {
        let Some(Id::Text(written)) = id else { return };
        let rest = written.split_once('/').and_then(|(index, id)| {
            let index: usize = index.parse().ok()?;
            Some((self.sessions().get(index)?, id))
        });
        let raw = Members::parse(text).ok().and_then(|members| members.value("id"));
        match (rest, raw) {
            (Some((session, id)), Some(raw)) => {
                if let Some(text) = replaced(text, raw, id) {
                    session.take_from_client(&text);
                }
            }
            // It may be to a question of a gate; their ids differ.
            _ => self.sessions().iter().for_each(|session| session.take_from_client(text)),
        }
    }

    /// Takes what a session sends to the client.
    fn take_from_part(&self, index: usize, text: &str, about: Option<&Id>) -> Result<(), Gone> {
        match Message::parse(text) {
            Ok(Message::Response { id: Some(id), result }) => {
                let result = result.map(|result| result.get().to_owned());
                let mut gathers = self.gathers();
                let Some(gather) = gathers.get_mut(&id) else {
                    drop(gathers);
                    return self.to_client.send(text, about);
                };
                if let Some(slot) = gather.results.get_mut(index) {
                    *slot = Some(result.ok_or_else(|| text.to_owned()));
                }
                if gather.results.iter().any(Option::is_none) {
                    return Ok(());
                }
                let Some(gather) = gathers.remove(&id) else { return Ok(()) };
                drop(gathers);
                self.to_client.send(&self.merged(&id, gather), Some(&id))
            }
            Ok(Message::Request { id, .. }) if !is_own(&id) => {
                // Two servers may ask with the same id.
                let raw = Members::parse(text).ok().and_then(|members| members.value("id"));
                let new = json!(format!("{index}/{}", id.json())).to_string();
                let text = raw.and_then(|raw| replaced(text, raw, &new));
                text.map_or(Ok(()), |text| self.to_client.send(&text, about))
            }
            _ => self.to_client.send(text, about),
        }
    }

    fn merged(&self, id: &Id, gather: Gather) -> String {
        let mut results = Vec::new();
        for (index, result) in gather.results.into_iter().enumerate() {
            match result {
                Some(Ok(result)) => results.push((index, result)),
                _ => {
                    let name = self.names.get(index).map_or("", String::as_str);
                    note(&format!("the server `{name}` does not answer `{}`", gather.method));
                }
            }
        }
        let merged = match gather.method.as_str() {
            "tools/list" => Ok(self.merged_tools(&results)),
            method => merged_start(method, &results),
        };
        match merged {
            Ok(result) => {
                format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{result}}}", id.json())
            }
            Err(why) => answer::error(Some(id), INTERNAL_ERROR, &why),
        }
    }

    /// Returns one page with the tools of all servers.
    fn merged_tools(&self, results: &[(usize, String)]) -> String {
        let mut tools = Vec::new();
        let mut cursors = HashMap::new();
        for (index, result) in results {
            let Some(name) = self.names.get(*index) else { continue };
            let Ok(members) = Members::parse(result) else { continue };
            let listed = members.value("tools").map(RawValue::get).unwrap_or("[]");
            let listed: Vec<&RawValue> = serde_json::from_str(listed).unwrap_or_default();
            tools.extend(listed.into_iter().filter_map(|tool| {
                let raw = Members::parse(tool.get()).ok()?.value("name")?;
                let tool_name: String = serde_json::from_str(raw.get()).ok()?;
                let new = json!(format!("{name}{SEPARATOR}{tool_name}")).to_string();
                replaced(tool.get(), raw, &new)
            }));
            if let Ok(Some(cursor)) = members.string("nextCursor") {
                cursors.insert(*index, cursor);
            }
        }
        let cursor = serde_json::to_vec(&cursors).unwrap_or_default();
        let cursor = match cursors.is_empty() {
            true => String::new(),
            false => format!(",\"nextCursor\":\"{CURSOR}{}\"", hex::encode(cursor)),
        };
        format!("{{\"resultType\":\"complete\",\"tools\":[{}]{cursor}}}", tools.join(","))
    }
}

/// Returns the result of a start for all servers: what all of them speak.
fn merged_start(method: &str, results: &[(usize, String)]) -> Result<String, String> {
    let values: Vec<Value> =
        results.iter().filter_map(|(_, text)| serde_json::from_str(text).ok()).collect();
    let Some(first) = values.first() else { return Err("no server answers".to_owned()) };
    let info = json!({ "name": "signoff", "version": env!("CARGO_PKG_VERSION") });
    let capabilities = json!({ "tools": { "listChanged": true } });
    if method == "initialize" {
        let version = first.get("protocolVersion");
        if values.iter().any(|value| value.get("protocolVersion") != version) {
            return Err("the servers speak different versions of the protocol".to_owned());
        }
        return Ok(json!({
            "protocolVersion": version, "capabilities": capabilities, "serverInfo": info,
        })
        .to_string());
    }
    let versions = |value: &Value| -> Vec<String> {
        let listed = value.get("supportedVersions").and_then(Value::as_array);
        let listed = listed.into_iter().flatten().filter_map(Value::as_str);
        listed.map(str::to_owned).collect()
    };
    let mut common = versions(first);
    for value in &values {
        let theirs = versions(value);
        common.retain(|version| theirs.contains(version));
    }
    let mut result = first.clone();
    if let Value::Object(members) = &mut result {
        members.insert("supportedVersions".to_owned(), json!(common));
        members.insert("capabilities".to_owned(), capabilities);
        members.insert("serverInfo".to_owned(), info);
        members.remove("instructions");
    }
    Ok(result.to_string())
}

fn is_own(id: &Id) -> bool {
    matches!(id, Id::Text(text) if text.starts_with(super::session::OWN_PREFIX))
}

/// Returns a text with another value in the place of one.
fn replaced(text: &str, part: &RawValue, new: &str) -> Option<String> {
    let range = place(text, part)?;
    Some(format!("{}{new}{}", text.get(..range.start)?, text.get(range.end..)?))
}

impl Out for Part {
    fn send(&self, message: &str, about: Option<&Id>) -> Result<(), Gone> {
        self.all.take_from_part(self.index, message, about)
    }
}
