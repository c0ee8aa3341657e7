//! An answer of the server, and the checks of tests.

use serde_json::Value;

use super::{title_and_status, titles};

/// Status, headers with lower-case names, and body.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    /// Returns the header of a name, which must not occur twice.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str());
        let first = found.next();
        assert_eq!(found.next(), None, "duplicate header `{name}`");
        first
    }

    /// Checks the status and returns the body as JSON.
    #[track_caller]
    pub fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.header("content-type"), Some("application/json"), "{}", self.body);
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// Returns the body of a 200.
    #[track_caller]
    pub fn ok(&self) -> Value {
        self.json(200)
    }

    /// Checks that this is a complete refusal with this code, and with its status and title in the table of
    /// codes.
    #[track_caller]
    pub fn refused(&self, code: &str) -> Value {
        self.refused_with(title_and_status(code).1, code)
    }

    /// Like [`Self::refused`], for a code whose status varies.
    #[track_caller]
    pub fn refused_with(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem: Value = serde_json::from_str(&self.body).expect("JSON");
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(self.status, status, "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        let title = problem["title"].as_str().expect("a title");
        assert!(titles(code).contains(&title), "{problem}");
        assert!(!problem["detail"].as_str().expect("a detail").is_empty(), "{problem}");
        // `members`, only where the text of the caller differs from an approved one.
        let names_members = problem["members"].is_array();
        assert!(
            !names_members || ["context-mismatch", "plan-mismatch"].contains(&code),
            "{problem}"
        );
        // `type`, only where the AuthZEN profile has one.
        let has_type = problem.get("type").is_some();
        let of_profile = "urn:openid:authzen:access-request:error:";
        assert!(
            !has_type || problem["type"].as_str().unwrap().starts_with(of_profile),
            "{problem}"
        );
        let members = 4 + usize::from(names_members) + usize::from(has_type);
        assert_eq!(problem.as_object().unwrap().len(), members, "{problem}");
        let retry = self.header("retry-after").is_some();
        assert_eq!(retry, matches!(status, 429 | 503), "retry-after: {self:?}");
        problem
    }

    /// Checks that this is a refusal; returns its code.
    #[track_caller]
    pub fn code(&self) -> String {
        let problem: Value = serde_json::from_str(&self.body).expect("JSON");
        let code = problem["code"].as_str().expect("a code").to_owned();
        self.refused_with(self.status, &code);
        code
    }
}
