//! The rules and attempts that every engine gets, and the expected answers.
//!
//! A rule has an action and a condition. Five rules of a set concern [`ACTION`], each of the others a
//! different action. The strictest verdict wins, and of its rules the first. If none matches, a person
//! must approve.

use std::fmt;

/// The action that five rules of a set concern.
pub const ACTION: &str = "quarantine";
/// The agent of every attempt.
pub const AGENT: &str = "inbox_triage";
/// The facts of a host that requires no tokens.
pub const FACTS: &str = r#"{"requester": "agent:inbox_triage"}"#;

/// From the mildest to the strictest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    Allow,
    RequireApproval,
    Deny,
}

/// A condition; each engine gets it in its own language.
#[derive(Clone, Copy, Debug)]
pub enum Condition {
    /// The risk is at least this value.
    Risk(i64),
    /// More than this many changes of production.
    Changes(i64),
    /// The path is in a folder.
    Folder(&'static str),
    /// The mail was reviewed, and the risk is below this value.
    Reviewed(i64),
    /// More than this many recipients.
    Recipients(i64),
}

#[derive(Clone, Debug)]
pub struct Rule {
    pub number: usize,
    pub action: String,
    pub condition: Condition,
    pub decision: Decision,
}

/// An attempt: an action and its context, a JSON text.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub action: String,
    pub context: String,
}

/// The expected answer: the decision, and the number of the rule that decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub decision: Decision,
    pub rule: Option<usize>,
}

/// The members of a context.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    pub risk: i64,
    pub production: bool,
    pub changes: i64,
    pub folder: &'static str,
    pub reviewed: bool,
    pub recipients: i64,
}

/// Returns a set of `count` rules, of which five (or all, if there are fewer) concern [`ACTION`].
pub fn set(count: usize) -> Vec<Rule> {
    let concerning = count.min(5);
    let every = count / concerning;
    let rule = |number: usize| {
        let concerns = number % every == 0 && number / every < concerning;
        let kind = if concerns { number / every } else { number };
        let level = i64::try_from(number % 7).unwrap_or_default();
        let (condition, decision) = match kind % 5 {
            0 => (Condition::Risk(80 + level), Decision::RequireApproval),
            1 => (Condition::Changes(1000 + level), Decision::RequireApproval),
            2 => (Condition::Folder("secret/"), Decision::Deny),
            3 => (Condition::Reviewed(50 + level), Decision::Allow),
            _ => (Condition::Recipients(100 + level), Decision::RequireApproval),
        };
        let action = if concerns { ACTION.to_owned() } else { format!("action-{number}") };
        Rule { number, action, condition, decision }
    };
    (0..count).map(rule).collect()
}

/// Evaluates the rules directly.
pub fn expected(rules: &[Rule], action: &str, facts: &Facts) -> Answer {
    let matched =
        rules.iter().filter(|r| r.action == action && r.condition.holds(facts)).map(|r| r.number);
    strictest(rules, matched)
}

/// Returns the verdict of the matching rules, given by their numbers in any order.
pub fn strictest(rules: &[Rule], matched: impl Iterator<Item = usize>) -> Answer {
    let decision = |number: usize| rules.get(number).map(|rule| rule.decision);
    let first = matched.max_by_key(|number| (decision(*number), usize::MAX - number));
    Answer { decision: first.and_then(decision).unwrap_or(Decision::RequireApproval), rule: first }
}

impl Condition {
    fn holds(self, facts: &Facts) -> bool {
        match self {
            Self::Risk(least) => facts.risk >= least,
            Self::Changes(most) => facts.production && facts.changes > most,
            Self::Folder(folder) => facts.folder == folder,
            Self::Reviewed(below) => facts.reviewed && facts.risk < below,
            Self::Recipients(most) => facts.recipients > most,
        }
    }
}

impl Facts {
    /// Two of the five rules match.
    pub const MATCHING: Self = Self {
        risk: 92,
        production: true,
        changes: 1500,
        folder: "inbox/",
        reviewed: false,
        recipients: 3,
    };
    /// No rule matches, and each evaluates its condition.
    pub const PLAIN: Self = Self { risk: 12, production: true, changes: 3, ..Self::MATCHING };

    /// Pseudo-random, from a seed.
    pub fn some(seed: u64) -> Self {
        // Knuth's MMIX multiplier: enough to mix six fields.
        let mut state = seed.wrapping_add(1);
        let mut below = |n: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            i64::try_from((state >> 33) % n).unwrap_or_default()
        };
        Self {
            risk: below(101),
            production: below(2) == 0,
            changes: below(2000),
            folder: if below(4) == 0 { "secret/" } else { "inbox/" },
            reviewed: below(2) == 0,
            recipients: below(200),
        }
    }

    /// Returns the canonical JSON text.
    pub fn context(&self) -> String {
        let environment = if self.production { "production" } else { "staging" };
        format!(
            "{{\"changes_count\": {}, \"email_id\": \"email_123\", \"environment\": \"{environment}\", \
             \"path\": \"{}2025/10/17/mail.eml\", \"recipients\": {}, \"reviewed\": {}, \
             \"risk_score\": {}, \"subject\": \"Your invoice of October\"}}",
            self.changes, self.folder, self.recipients, self.reviewed, self.risk
        )
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::RequireApproval => "require_approval",
            Self::Deny => "deny",
        })
    }
}
