//! Which approvals a list shows.

use std::fmt::Write;

use crate::approval::Status;

/// Which approvals a list shows; the default shows the newest 50.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    status: Option<Status>,
    agent: Option<String>,
    action: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

impl Filter {
    /// Only approvals with this status.
    #[must_use]
    pub fn status(mut self, status: Status) -> Self {
        self.status = Some(status);
        self
    }

    /// Only approvals of this agent.
    #[must_use]
    pub fn agent(mut self, agent: impl Into<String>) -> Self {
        self.agent = Some(agent.into());
        self
    }

    /// Only approvals for this action.
    #[must_use]
    pub fn action(mut self, action: impl Into<String>) -> Self {
        self.action = Some(action.into());
        self
    }

    /// At most this many, 1 to 200.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The page after one whose `next_cursor` this is.
    #[must_use]
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    /// The query, with its question mark; empty if nothing is set.
    pub(crate) fn query(&self) -> String {
        let parameters = [
            ("status", self.status.map(|status| status.as_str().to_owned())),
            ("agent", self.agent.clone()),
            ("action", self.action.clone()),
            ("limit", self.limit.map(|limit| limit.to_string())),
            ("cursor", self.cursor.clone()),
        ];
        let mut query = String::new();
        for (name, value) in parameters {
            let Some(value) = value else { continue };
            query.push(if query.is_empty() { '?' } else { '&' });
            query.push_str(name);
            query.push('=');
            for byte in value.bytes() {
                if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    query.push(char::from(byte));
                } else {
                    let _ = write!(query, "%{byte:02X}");
                }
            }
        }
        query
    }
}

#[cfg(test)]
mod tests {
    use super::Filter;
    use crate::approval::Status;

    #[test]
    fn values_are_escaped() {
        assert_eq!(Filter::default().query(), "");
        let filter = Filter::default().status(Status::Pending).agent("a&b=c d/é").limit(2);
        assert_eq!(filter.query(), "?status=pending&agent=a%26b%3Dc%20d%2F%C3%A9&limit=2");
    }
}
