//! The differences of two rules files, member by member.

use serde_json::{Map, Value, json};
use signoff_core::authoring::{FILE_MEMBERS, RULE_MEMBERS};

use super::super::lines::{Line, Mark, differing};
use super::super::members::position;
use super::super::outline::Outline;

/// The differences between two files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    settings: Vec<Change>,
    /// Rules only in the second, with their members.
    added: Vec<(String, Vec<Change>)>,
    /// Rules only in the first, with their members.
    removed: Vec<(String, Vec<Change>)>,
    /// Rules in both with different members, and those members.
    changed: Vec<(String, Vec<Change>)>,
    /// Whether the order of common rules differs, which affects the rule named in a verdict.
    moved: bool,
}

/// A member with its values; `None` where it is not set.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    member: String,
    before: Option<Value>,
    after: Option<Value>,
}

impl Changes {
    /// Compares two files.
    pub(super) fn between(before: &Outline, after: &Outline) -> Self {
        let common = |of: &Outline, among: &Outline| -> Vec<String> {
            let ids = of.rules.iter().map(|(id, _)| id);
            ids.filter(|id| among.rule(id).is_some()).cloned().collect()
        };
        let nothing = Map::new();
        let only = |of: &Outline, among: &Outline| {
            of.rules.iter().filter(|(id, _)| among.rule(id).is_none()).cloned().collect::<Vec<_>>()
        };
        let of_rule = |one: &Map<String, Value>, two: &Map<String, Value>| {
            let mut changes = changes(one, two);
            changes.sort_by_key(|change| position(&RULE_MEMBERS, &change.member));
            changes
        };
        let changed = before.rules.iter().filter_map(|(id, rule)| {
            let changes = of_rule(rule, after.rule(id)?);
            (!changes.is_empty()).then(|| (id.clone(), changes))
        });
        let (added, removed) = (only(after, before), only(before, after));
        let settings = |outline: &Outline| outline.settings.clone().into_iter().collect();
        let mut settings = changes(&settings(before), &settings(after));
        settings.sort_by_key(|change| {
            let table = change.member.split('.').next().unwrap_or_default();
            position(&FILE_MEMBERS, table)
        });
        Self {
            settings,
            changed: changed.collect(),
            moved: common(before, after) != common(after, before),
            added: added.into_iter().map(|(id, rule)| (id, of_rule(&nothing, &rule))).collect(),
            removed: removed.into_iter().map(|(id, rule)| (id, of_rule(&rule, &nothing))).collect(),
        }
    }

    /// Returns whether nothing differs.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the changes as JSON.
    pub(super) fn as_json(&self) -> Value {
        let ids = |rules: &[(String, Vec<Change>)]| -> Vec<String> {
            rules.iter().map(|(id, _)| id.clone()).collect()
        };
        let settings = self.settings.iter().map(|change| {
            json!({ "name": change.member, "before": change.before, "after": change.after })
        });
        let changed = self.changed.iter().map(|(rule, changes)| {
            let members: Vec<&str> = changes.iter().map(|change| change.member.as_str()).collect();
            let changes = changes.iter().map(|Change { member, before, after }| {
                json!({ "member": member, "before": before, "after": after })
            });
            json!({ "rule": rule, "members": members, "changes": changes.collect::<Vec<_>>() })
        });
        json!({
            "settings": settings.collect::<Vec<_>>(), "added": ids(&self.added),
            "removed": ids(&self.removed), "changed": changed.collect::<Vec<_>>(),
            "moved": self.moved,
        })
    }

    /// Returns the changes for people, in the style of a diff.
    pub(super) fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        for change in &self.settings {
            let Change { member, before, after } = change;
            let (before, after) = (or_not_set(before.as_ref()), or_not_set(after.as_ref()));
            lines.push(Line::new(Mark::Changed, format!("~ {member}: {before} -> {after}")));
        }
        for (id, changes) in &self.removed {
            lines.push(Line::new(Mark::Removed, format!("- rule `{id}`")));
            lines.extend(changes.iter().flat_map(Change::lines));
        }
        for (id, changes) in &self.added {
            lines.push(Line::new(Mark::Added, format!("+ rule `{id}`")));
            lines.extend(changes.iter().flat_map(Change::lines));
        }
        for (id, changes) in &self.changed {
            lines.push(Line::new(Mark::Changed, format!("~ rule `{id}`")));
            lines.extend(changes.iter().flat_map(Change::lines));
        }
        if self.moved {
            lines.push(Line::new(Mark::Changed, "~ the rules are in another order"));
        }
        lines
    }
}

impl Change {
    /// Returns the lines of a rule's member. A text of several lines is shown line by line.
    fn lines(&self) -> Vec<Line> {
        let Self { member, before, after } = self;
        let text =
            |value: &Option<Value>| value.as_ref().and_then(Value::as_str).map(str::to_owned);
        let texts = [text(before), text(after)];
        if texts.iter().flatten().any(|text| text.trim_end().contains('\n')) {
            let [before, after] = texts.map(|text| ended(text.unwrap_or_default().trim_end()));
            let mut lines = vec![Line::new(Mark::Same, format!("    {member}:"))];
            lines.extend(
                differing(&before, &after)
                    .into_iter()
                    .map(|line| Line { text: format!("      {}", line.text), ..line }),
            );
            return lines;
        }
        let text = match (before, after) {
            (None, Some(value)) => return vec![self.one(Mark::Added, "+", value)],
            (Some(value), None) => return vec![self.one(Mark::Removed, "-", value)],
            (before, after) => {
                let (before, after) = (or_not_set(before.as_ref()), or_not_set(after.as_ref()));
                format!("    {member}: {before} -> {after}")
            }
        };
        vec![Line::new(Mark::Changed, text)]
    }

    fn one(&self, mark: Mark, sign: &str, value: &Value) -> Line {
        Line::new(mark, format!("  {sign} {}: `{}`", self.member, written(value)))
    }
}

/// Returns the members that differ or are in one only.
fn changes(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<Change> {
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let change = |member: &String| Change {
        member: member.clone(),
        before: before.get(member).cloned(),
        after: after.get(member).cloned(),
    };
    names.into_iter().map(change).filter(|change| change.before != change.after).collect()
}

fn or_not_set(value: Option<&Value>) -> String {
    value.map_or_else(|| "not set".to_owned(), |value| format!("`{}`", written(value)))
}

/// Writes a value as in a rules file; a text without quotes.
fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.trim_end().replace('\n', " "),
        value => inline(value),
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", "))
        }
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| format!("{name} = {}", inline(value)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
        value => value.to_string(),
    }
}

/// Ends a text with a line feed, so that only its words are compared.
fn ended(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{text}\n") }
}
