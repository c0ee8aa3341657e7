//! The members of a rules file, for comparing two files. They are only compared here, not
//! interpreted; the template does that.

use std::collections::BTreeMap;

use signoff_core::authoring::without_includes;
use toml::{Table, Value};

/// The settings and rules of a file, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Outline {
    /// `default` and the ttl classes.
    settings: BTreeMap<String, Value>,
    rules: Vec<(String, Table)>,
}

/// The differences between two files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Settings: name, before, after.
    pub(super) settings: Vec<(String, Option<String>, Option<String>)>,
    /// Rules only in the second.
    pub(super) added: Vec<String>,
    /// Rules only in the first.
    pub(super) removed: Vec<String>,
    /// Rules in both with different members, and the names of those members.
    pub(super) changed: Vec<(String, Vec<String>)>,
    /// Whether the order of common rules differs, which affects the rule named in a verdict.
    pub(super) moved: bool,
}

impl Outline {
    /// Makes the outline of a valid file.
    pub(super) fn of(rules: &str) -> Self {
        let Ok(table) = without_includes(rules).parse::<Table>() else { return Self::default() };
        let mut settings = BTreeMap::new();
        if let Some(default) = table.get("default") {
            settings.insert("default".to_owned(), default.clone());
        }
        let classes = table.get("ttl").and_then(Value::as_table).into_iter().flatten();
        settings.extend(classes.map(|(name, ttl)| (format!("ttl.{name}"), ttl.clone())));
        let rules = table.get("rule").and_then(Value::as_array).into_iter().flatten();
        let rules = rules.filter_map(|rule| {
            let rule = rule.as_table()?;
            Some((rule.get("id")?.as_str()?.to_owned(), rule.clone()))
        });
        Self { settings, rules: rules.collect() }
    }

    /// Returns a rule's condition, as written.
    pub(super) fn condition(&self, rule: &str) -> Option<&str> {
        self.rule(rule)?.get("when")?.as_str()
    }

    /// Returns the differences to another file.
    pub(super) fn changes(&self, other: &Self) -> Changes {
        let names = |of: &Self, among: &Self| -> Vec<String> {
            let ids = of.rules.iter().map(|(id, _)| id);
            ids.filter(|id| among.rule(id).is_some()).cloned().collect()
        };
        let only = |of: &Self, among: &Self| -> Vec<String> {
            let ids = of.rules.iter().map(|(id, _)| id);
            ids.filter(|id| among.rule(id).is_none()).cloned().collect()
        };
        let changed = self.rules.iter().filter_map(|(id, rule)| {
            let members = differing(rule, other.rule(id)?);
            (!members.is_empty()).then(|| (id.clone(), members))
        });
        Changes {
            settings: self.settings_changed(other),
            added: only(other, self),
            removed: only(self, other),
            changed: changed.collect(),
            moved: names(self, other) != names(other, self),
        }
    }

    fn rule(&self, id: &str) -> Option<&Table> {
        self.rules.iter().find(|(of, _)| of == id).map(|(_, rule)| rule)
    }

    fn settings_changed(&self, other: &Self) -> Vec<(String, Option<String>, Option<String>)> {
        let mut names: Vec<&String> = self.settings.keys().chain(other.settings.keys()).collect();
        names.sort_unstable();
        names.dedup();
        let setting = |of: &Self, name: &str| of.settings.get(name).map(written);
        names
            .into_iter()
            .map(|name| (name.clone(), setting(self, name), setting(other, name)))
            .filter(|(_, before, after)| before != after)
            .collect()
    }
}

impl Changes {
    /// Returns the changes as JSON.
    pub(super) fn as_json(&self) -> serde_json::Value {
        let settings = self.settings.iter().map(|(name, before, after)| {
            serde_json::json!({ "name": name, "before": before, "after": after })
        });
        let changed = self
            .changed
            .iter()
            .map(|(rule, members)| serde_json::json!({ "rule": rule, "members": members }));
        serde_json::json!({
            "settings": settings.collect::<Vec<_>>(), "added": self.added,
            "removed": self.removed, "changed": changed.collect::<Vec<_>>(), "moved": self.moved,
        })
    }

    /// Returns one line per change, in the style of a diff.
    pub(super) fn lines(&self) -> Vec<String> {
        let or_none = |value: &Option<String>| {
            value.as_ref().map_or_else(|| "not set".to_owned(), |value| format!("`{value}`"))
        };
        let mut lines: Vec<String> = self
            .settings
            .iter()
            .map(|(name, before, after)| {
                format!("~ {name}: {} -> {}", or_none(before), or_none(after))
            })
            .collect();
        lines.extend(self.removed.iter().map(|id| format!("- rule `{id}`")));
        lines.extend(self.added.iter().map(|id| format!("+ rule `{id}`")));
        let changed = self.changed.iter();
        lines.extend(changed.map(|(id, members)| format!("~ rule `{id}`: {}", members.join(", "))));
        if self.moved {
            lines.push("~ the rules are in another order".to_owned());
        }
        lines
    }
}

/// Returns the names of members that differ or are in one only.
fn differing(one: &Table, two: &Table) -> Vec<String> {
    let mut names: Vec<&String> = one.keys().chain(two.keys()).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().filter(|name| one.get(*name) != two.get(*name)).cloned().collect()
}

fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        // Valid files have no other types.
        _ => String::new(),
    }
}
