//! A plain HTTP client for one server.

use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::{Method, Request};

use super::recorded::record;
use super::{Answer, HANG, ballot, claim_body, id, request_body};

/// Calls one server.
#[derive(Clone)]
pub struct Client {
    pub url: String,
    agent: ureq::Agent,
    token: Option<String>,
}

/// The events that a start records if they are new.
const AT_THE_START: [&str; 3] = ["key_recorded", "settings_recorded", "witness_recorded"];

impl Client {
    pub fn new(url: impl Into<String>) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .max_redirects(0)
            .timeout_global(Some(HANG))
            .max_idle_connections(128)
            .max_idle_connections_per_host(128)
            // The server closes a connection that is idle for 15 s.
            .max_idle_age(Duration::from_secs(5))
            .build()
            .into();
        Self { url: url.into(), agent, token: None }
    }

    /// Returns a client of the same server with a token.
    pub fn with_token(&self, token: impl Into<String>) -> Self {
        Self { token: Some(token.into()), ..self.clone() }
    }

    /// Returns its token.
    pub fn token(&self) -> &str {
        self.token.as_deref().expect("a token")
    }

    /// Returns a client with the same token at another address.
    pub fn at(&self, url: impl Into<String>) -> Self {
        Self { url: url.into(), ..self.clone() }
    }

    /// Makes any call. The error is the reason why there is no answer.
    pub fn try_call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Answer, ureq::Error> {
        let mut request =
            Request::builder().method(method.clone()).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut answer = match body {
            Some(body) => self.agent.run(request.body(body)?)?,
            None => self.agent.run(request.body(())?)?,
        };
        let headers = answer.headers().iter();
        let headers = headers
            .map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap().to_owned()))
            .collect();
        let status = answer.status().as_u16();
        let read = answer.body_mut().with_config().limit(256 << 20).read_to_string()?;
        let answer = Answer { status, headers, body: read };
        // A HEAD has no body, and a body that was not sent as JSON is refused.
        record(method.as_str(), path, body, &answer, method != Method::HEAD);
        Ok(answer)
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.try_call(Method::GET, path, &[], None).expect("an answer")
    }

    /// Returns the head of a GET whose body does not end.
    #[track_caller]
    pub fn head_of(&self, path: &str) -> Answer {
        let mut request = Request::builder().uri(format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut answer = self.agent.run(request.body(()).unwrap()).expect("an answer");
        let status = answer.status().as_u16();
        let headers = answer.headers().iter();
        let headers = headers
            .map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap().to_owned()))
            .collect();
        let refused = status != 200;
        let body =
            if refused { answer.body_mut().read_to_string().unwrap() } else { String::new() };
        let answer = Answer { status, headers, body };
        record("GET", path, None, &answer, refused);
        answer
    }

    /// Returns the body of a successful GET as bytes.
    #[track_caller]
    pub fn get_bytes(&self, path: &str) -> Vec<u8> {
        let mut request = Request::builder().uri(format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut answer = self.agent.run(request.body(()).unwrap()).expect("an answer");
        assert_eq!(answer.status().as_u16(), 200, "{path}");
        answer.body_mut().with_config().limit(256 << 20).read_to_vec().unwrap()
    }

    /// Sends a POST of bytes as JSON, with more headers.
    pub fn try_post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, ureq::Error> {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        self.try_call(Method::POST, path, &all, Some(body))
    }

    #[track_caller]
    pub fn post_text(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.try_post(path, &[], body.as_ref()).expect("an answer")
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_text(path, body.to_string())
    }

    /// Sends a POST with an idempotency key.
    #[track_caller]
    pub fn post_once(&self, path: &str, key: &str, body: &Value) -> Answer {
        let headers = [("idempotency-key", key)];
        self.try_post(path, &headers, body.to_string().as_bytes()).expect("an answer")
    }

    /// Returns the status of a POST whose body is binary; a refusal with its body.
    #[track_caller]
    pub fn post_head(&self, path: &str, body: &Value) -> Answer {
        let mut request =
            Request::builder().method(Method::POST).uri(format!("{}{path}", self.url));
        request = request.header("content-type", "application/json");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let body_sent = body.to_string();
        let mut answer =
            self.agent.run(request.body(body_sent.clone()).unwrap()).expect("an answer");
        let status = answer.status().as_u16();
        let headers = answer.headers().iter();
        let headers = headers
            .map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap().to_owned()))
            .collect();
        let bytes = answer.body_mut().with_config().limit(256 << 20).read_to_vec().unwrap();
        let body = if status == 200 { Vec::new() } else { bytes };
        let answer = Answer { status, headers, body: String::from_utf8(body).unwrap() };
        record("POST", path, Some(body_sent.as_bytes()), &answer, status != 200);
        answer
    }

    /// Calls an operation on an approval.
    #[track_caller]
    pub fn act(&self, approval: &Value, operation: &str, body: &Value) -> Answer {
        self.post(&format!("/api/v1/approvals/{}/{operation}", id(approval)), body)
    }

    /// Makes the runbook's request.
    #[track_caller]
    pub fn request(&self) -> Value {
        self.request_of(&request_body())
    }

    /// Makes a request.
    #[track_caller]
    pub fn request_of(&self, body: &Value) -> Value {
        self.post("/api/v1/approvals", body).json(201)
    }

    /// Makes a request with a time to live.
    #[track_caller]
    pub fn request_for(&self, expires_in_seconds: u64) -> Value {
        let mut body = request_body();
        body["expires_in_seconds"] = json!(expires_in_seconds);
        self.request_of(&body)
    }

    /// Sends a signed decision.
    #[track_caller]
    pub fn decide(&self, approval: &Value, decision: &str, approver: &str) -> Answer {
        self.act(approval, "approve", &ballot(approval, decision, approver))
    }

    /// Makes and approves the runbook's request.
    #[track_caller]
    pub fn approved(&self) -> Value {
        let approval = self.request();
        self.decide(&approval, "approved", super::APPROVER).ok()
    }

    /// Makes the runbook's claim.
    #[track_caller]
    pub fn claim(&self, approval: &Value) -> Answer {
        self.act(approval, "execute", &claim_body())
    }

    /// Returns the current approval.
    #[track_caller]
    pub fn show(&self, approval: &Value) -> Value {
        self.get(&format!("/api/v1/approvals/{}", id(approval))).ok()
    }

    /// Returns every audit entry except those of a start (keys, settings, the witness): the members of
    /// its event and of the host, and its time.
    #[track_caller]
    pub fn audit(&self) -> Vec<Value> {
        self.audit_after(0)
    }

    /// Like [`Self::audit`], for entries above a number, as the API numbers them: without a gap.
    #[track_caller]
    pub fn audit_after(&self, after: u64) -> Vec<Value> {
        let mut entries = Vec::new();
        let mut last = after;
        loop {
            let page = self.get(&format!("/api/v1/audit?after={last}&limit=1000")).ok();
            for item in page["items"].as_array().unwrap() {
                last += 1;
                assert_eq!(item["number"], last, "the audit log has a gap");
                let entry = super::flat(&item["entry"]);
                if !AT_THE_START.iter().any(|event| entry["event"] == *event) {
                    entries.push(entry);
                }
            }
            if page["next_after"].is_null() {
                return entries;
            }
        }
    }

    /// Returns the audited events of one approval, in order.
    #[track_caller]
    pub fn events_of(&self, approval: &Value) -> Vec<String> {
        let mine = |entry: &&Value| entry["approval_id"] == approval["id"];
        let event = |entry: &Value| super::text(entry, "event").to_owned();
        self.audit().iter().filter(mine).map(event).collect()
    }

    /// Checks that the server is ready.
    #[track_caller]
    pub fn assert_ready(&self) {
        assert_eq!(self.get("/readyz").ok()["status"], "ready");
    }
}
