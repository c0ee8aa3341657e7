//! One `[[rule]]`.

use signoff_core::authoring::RULE_MEMBERS;

use super::member::Members;
use super::requirement::{self, Classes};
use super::{DeValue, Member};
use crate::constants::Constants;
use crate::glob::Glob;
use crate::limits::{GLOBS_MAX, IDENTIFIER_BYTES_MAX};
use crate::reason::Reason;
use crate::verdict::{Decision, Requirement};

/// A rule as it is written in the file.
#[derive(Debug)]
pub struct Rule {
    /// Unique in the file; empty if malformed.
    pub id: String,
    /// Offset of the rule in the file.
    pub at: usize,
    /// Offset of its id.
    pub id_at: usize,
    /// The line in which the rule starts.
    pub line: usize,
    /// The agents and actions that it concerns.
    pub shape: Shape,
    /// The text of its condition.
    pub when: Option<When>,
    /// Its verdict.
    pub verdict: Decision,
    /// What an approval requires.
    pub requirement: Requirement,
    /// The reason, for people.
    pub reason: Option<Reason>,
}

/// The agents and actions that a rule concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Globs, any of which must match the agent; in lower case if the case is ignored.
    pub agent: Vec<Glob>,
    /// Globs, any of which must match the action; in lower case if the case is ignored.
    pub action: Vec<Glob>,
    /// Whether a name matches in any ASCII case.
    pub ignore_case: bool,
}

/// The names of an attempt, as they are and in ASCII lower case.
#[derive(Clone, Debug)]
pub struct Names<'n> {
    agent: &'n str,
    action: &'n str,
    /// The agent in lower case.
    pub lower_agent: String,
    /// The action in lower case.
    pub lower_action: String,
}

impl<'n> Names<'n> {
    /// Creates the names of an agent and an action.
    #[must_use]
    pub fn new(agent: &'n str, action: &'n str) -> Self {
        let (lower_agent, lower_action) = (agent.to_ascii_lowercase(), action.to_ascii_lowercase());
        Self { agent, action, lower_agent, lower_action }
    }
}

impl Shape {
    /// Returns whether the rule concerns an attempt.
    #[must_use]
    pub fn fits(&self, names: &Names<'_>) -> bool {
        let any = |globs: &[Glob], name: &str| globs.iter().any(|glob| glob.matches(name));
        if self.ignore_case {
            any(&self.action, &names.lower_action) && any(&self.agent, &names.lower_agent)
        } else {
            any(&self.action, names.action) && any(&self.agent, names.agent)
        }
    }

    /// Returns whether every attempt that matches `other` also matches this shape. `false` if
    /// unknown.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let covers = |ours: &Glob, theirs: &Glob| match (self.ignore_case, other.ignore_case) {
            (true, false) => ours.covers(&theirs.to_lower()),
            // A letter of ours matches one case of theirs only.
            (false, true) if ours.as_str().contains(|char: char| char.is_ascii_alphabetic()) => {
                false
            }
            _ => ours.covers(theirs),
        };
        let all = |ours: &[Glob], theirs: &[Glob]| {
            theirs.iter().all(|theirs| ours.iter().any(|ours| covers(ours, theirs)))
        };
        all(&self.action, &other.action) && all(&self.agent, &other.agent)
    }
}

/// A condition's text and its position in the file.
#[derive(Clone, Debug)]
pub struct When {
    /// The text.
    pub text: String,
    at: std::ops::Range<usize>,
}

impl When {
    /// Returns the file offset of a byte of the text.
    #[must_use]
    pub fn place(&self, file: &str, at: usize) -> usize {
        Member { text: &self.text, at: self.at.clone() }.place(file, at)
    }
}

impl Rule {
    pub(super) fn read(
        mut members: Members<'_, '_, '_>,
        classes: &Classes,
        constants: &Constants,
    ) -> Self {
        let id = members.value("id").and_then(|id| id.get_ref().as_str());
        members.problems.rule = id.map(|id| crate::text::cut(id, 128).to_owned());
        members.only(&RULE_MEMBERS);
        let id = members.identifier("id");
        if !members.has("id") {
            members.problems.error(members.at, "the rule has no `id`");
        }
        let verdict = members.decision("verdict").map(|(verdict, _)| verdict);
        if !members.has("verdict") {
            members.problems.error(
                members.at,
                "the rule has no `verdict`, expected allow, deny or require_approval",
            );
        }
        if verdict.is_some_and(|verdict| verdict != Decision::RequireApproval) {
            for name in ["ttl", "threshold", "groups"]
                .into_iter()
                .filter(|name| members.table.contains_key(*name))
            {
                let at = members.place(name);
                members.problems.error(
                    at,
                    format!("`{name}` is only allowed with the verdict require_approval"),
                );
            }
        }
        let ignore_case = members.bool("ignore_case").unwrap_or(false);
        if ignore_case && verdict == Some(Decision::Allow) {
            let at = members.place("ignore_case");
            members.problems.warning(
                at,
                "`ignore_case` on an `allow` rule allows names in every spelling of upper and lower case",
            );
        }
        let rule = Self {
            id: id.as_ref().map(|id| id.text.to_owned()).unwrap_or_default(),
            at: members.at,
            id_at: members.place("id"),
            line: members.problems.line(members.at),
            shape: Shape {
                agent: globs(&mut members, "agent", ignore_case),
                action: globs(&mut members, "action", ignore_case),
                ignore_case,
            },
            when: members
                .string("when")
                .map(|when| When { text: when.text.to_owned(), at: when.at }),
            verdict: verdict.unwrap_or(Decision::Deny),
            requirement: requirement::read(&mut members, classes),
            reason: reason(&mut members, constants),
        };
        if verdict.is_some_and(|verdict| verdict != Decision::Allow) && !members.has("reason") {
            members
                .problems
                .warning(members.at, "the rule has no `reason`: people will only see its id");
        }
        members.problems.rule = None;
        rule
    }
}

fn reason(members: &mut Members<'_, '_, '_>, constants: &Constants) -> Option<Reason> {
    let member = members.string("reason")?;
    match Reason::parse(member.text, constants) {
        Ok(reason) => Some(reason),
        Err((at, message)) => {
            members.problems.error(member.place(members.text, at), message);
            None
        }
    }
}

fn globs(members: &mut Members<'_, '_, '_>, name: &str, ignore_case: bool) -> Vec<Glob> {
    let Some(value) = members.value(name) else { return Glob::new("*").into_iter().collect() };
    let single = [value];
    let values: Vec<_> = match value.get_ref() {
        DeValue::Array(array) => array.iter().collect(),
        _ => single.to_vec(),
    };
    if values.is_empty() || values.len() > GLOBS_MAX {
        let message = format!("`{name}` has 1 to {GLOBS_MAX} globs, got {}", values.len());
        members.problems.error(value.span().start, message);
        return Vec::new();
    }
    let mut globs = Vec::new();
    for value in values {
        let Some(text) = value.get_ref().as_str() else {
            members.wrong(value, name, "a glob or a list of globs");
            continue;
        };
        match Glob::new(text) {
            Ok(glob) if ignore_case => globs.push(glob.to_lower()),
            Ok(glob) => globs.push(glob),
            Err(message) => members.problems.error(value.span().start, message),
        }
        if let Some(message) = literal_signs(text) {
            members.problems.warning(value.span().start, message);
        }
    }
    globs
}

/// Returns the warning about a glob that has the signs of a regular expression or of another kind of glob.
pub(super) fn literal_signs(glob: &str) -> Option<String> {
    if !glob.contains(['?', '[', '^', '$', '|', '(', '+', '\\', '{']) {
        return None;
    }
    let shown = crate::text::cut(glob, IDENTIFIER_BYTES_MAX).escape_debug();
    let mut message = format!(
        "only `*` is special in a glob: `{}` matches its other characters literally",
        shown.to_string().replace("\\\\", "\\")
    );
    if glob.starts_with('^') || glob.ends_with('$') {
        message.push_str("; a glob is always for the whole name, without `^` and `$`");
    }
    if glob.contains(".*") {
        message.push_str("; `.*` is written `*`");
    }
    Some(message)
}
