//! Changes of a JSON text that leave every other byte as it is.

use std::ops::Range;

/// A member of an object or an item of an array.
pub(crate) struct Part {
    /// The name of a member, as it is written, with its quotes.
    pub(crate) name: Option<Range<usize>>,
    pub(crate) value: Range<usize>,
}

impl Part {
    fn start(&self) -> usize {
        self.name.as_ref().unwrap_or(&self.value).start
    }
}

/// A JSON text that was parsed before, so that it is known to be well-formed.
pub(crate) struct JsonText {
    pub(crate) text: String,
}

impl JsonText {
    /// Returns where the root is.
    pub(crate) fn root(&self) -> Range<usize> {
        let start = self.after_blanks(0);
        start..self.value_end(start)
    }

    /// Returns the parts of an object or an array.
    pub(crate) fn parts(&self, container: &Range<usize>) -> Vec<Part> {
        let mut parts = Vec::new();
        let is_object = self.byte(container.start) == b'{';
        let mut at = self.after_blanks(container.start + 1);
        while at + 1 < container.end {
            let name = is_object.then(|| at..self.value_end(at));
            if let Some(name) = &name {
                // Behind the colon.
                at = self.after_blanks(self.after_blanks(name.end) + 1);
            }
            let value = at..self.value_end(at);
            at = self.after_blanks(value.end);
            if self.byte(at) == b',' {
                at = self.after_blanks(at + 1);
            }
            parts.push(Part { name, value });
        }
        parts
    }

    /// Returns the value of a member.
    pub(crate) fn member(&self, object: &Range<usize>, name: &str) -> Option<Range<usize>> {
        let parts = self.parts(object).into_iter();
        let mut named = parts.filter(|part| {
            let written = part.name.clone().and_then(|range| self.text.get(range));
            written.and_then(|text| serde_json::from_str::<String>(text).ok()).as_deref()
                == Some(name)
        });
        named.next().map(|part| part.value)
    }

    /// Returns whether a container has no parts.
    pub(crate) fn is_empty(&self, container: &Range<usize>) -> bool {
        self.parts(container).is_empty()
    }

    /// Appends a part to a container at a depth; the root's parts are at depth 1.
    pub(crate) fn append(
        &mut self,
        container: &Range<usize>,
        depth: usize,
        name: Option<&str>,
        value: &serde_json::Value,
    ) {
        let unit = self.unit();
        let written = |unit: Option<&str>| {
            let (value, colon) = match unit {
                Some(unit) => (indented(value, unit, depth), ": "),
                None => (value.to_string(), ":"),
            };
            name.map_or(value.clone(), |name| {
                format!("{}{colon}{value}", serde_json::Value::from(name))
            })
        };
        let parts = self.parts(container);
        match (parts.last(), unit.as_deref()) {
            (Some(last), unit) => {
                let before = parts.len().checked_sub(2).and_then(|index| parts.get(index));
                let from = before
                    .map_or(container.start + 1, |part| self.after_blanks(part.value.end) + 1);
                let blanks = self.text.get(from..last.start()).unwrap_or_default().to_owned();
                let written = written(unit.filter(|_| blanks.contains('\n')));
                self.text.insert_str(last.value.end, &format!(",{blanks}{written}"));
            }
            (None, Some(unit)) => {
                let (inner, outer) = (unit.repeat(depth), unit.repeat(depth.saturating_sub(1)));
                let written = format!("\n{inner}{}\n{outer}", written(Some(unit)));
                self.text.replace_range(container.start + 1..container.end - 1, &written);
            }
            (None, None) => {
                let written = written(None);
                self.text.replace_range(container.start + 1..container.end - 1, &written);
            }
        }
    }

    /// Removes a part of a container.
    pub(crate) fn remove(&mut self, container: &Range<usize>, index: usize) {
        let parts = self.parts(container);
        let range = match (parts.get(index), parts.get(index + 1)) {
            (Some(part), Some(next)) => part.start()..next.start(),
            (Some(part), None) => match index.checked_sub(1).and_then(|before| parts.get(before)) {
                Some(before) => before.value.end..part.value.end,
                None => container.start + 1..container.end - 1,
            },
            (None, _) => return,
        };
        self.text.replace_range(range, "");
    }

    /// Returns the blanks of one level; `None` for a text in one line.
    fn unit(&self) -> Option<String> {
        let root = self.root();
        let Some(first) = self.parts(&root).into_iter().next() else {
            return Some("  ".to_owned());
        };
        let blanks = self.text.get(root.start + 1..first.start()).unwrap_or_default();
        let (_, unit) = blanks.rsplit_once('\n')?;
        Some(unit.to_owned())
    }

    fn byte(&self, at: usize) -> u8 {
        self.text.as_bytes().get(at).copied().unwrap_or_default()
    }

    fn after_blanks(&self, mut at: usize) -> usize {
        while matches!(self.byte(at), b' ' | b'\t' | b'\n' | b'\r') {
            at += 1;
        }
        at
    }

    /// Returns the end of the value that starts here.
    fn value_end(&self, start: usize) -> usize {
        let (mut at, mut depth) = (start, 0_usize);
        loop {
            match self.byte(at) {
                b'"' => at = self.string_end(at),
                b'{' | b'[' => (at, depth) = (at + 1, depth + 1),
                b'}' | b']' if depth == 0 => return at,
                b'}' | b']' => (at, depth) = (at + 1, depth - 1),
                b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => return at,
                0 => return at,
                _ => at += 1,
            }
            if depth == 0 && matches!(self.byte(start), b'"' | b'{' | b'[') {
                return at;
            }
        }
    }

    fn string_end(&self, start: usize) -> usize {
        let mut at = start + 1;
        loop {
            match self.byte(at) {
                b'\\' => at += 2,
                b'"' => return at + 1,
                0 => return at,
                _ => at += 1,
            }
        }
    }
}

/// Formats a value with the blanks of a level, for a line that is already indented.
fn indented(value: &serde_json::Value, unit: &str, depth: usize) -> String {
    let pretty = serde_json::to_string_pretty(value).unwrap_or_default();
    let mut lines = pretty.lines();
    let mut text = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        let inner = line.trim_start_matches(' ');
        let levels = (line.len() - inner.len()) / 2;
        text.push('\n');
        text.push_str(&unit.repeat(depth + levels));
        text.push_str(inner);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_appended_and_removed_leaves_the_text_as_it_was() {
        for text in [
            "{\n  \"a\": 1\n}\n",
            "{\n\t\"a\": [1, 2],\n\t\"b\": \"x,]}\\\"\"\n}",
            "{\"a\":1}",
            " {\n    \"a\" : { \"b\": null } ,\n    \"c\": true\n}\n",
        ] {
            let mut json = JsonText { text: text.to_owned() };
            let root = json.root();
            json.append(&root, 1, Some("new"), &json!({ "x": [1, "]"] }));
            let parsed: serde_json::Value =
                serde_json::from_str(&json.text).unwrap_or_else(|e| panic!("{e}: {}", json.text));
            assert_eq!(parsed.get("new"), Some(&json!({ "x": [1, "]"] })));
            let root = json.root();
            let last = json.parts(&root).len() - 1;
            json.remove(&root, last);
            assert_eq!(json.text, text);
        }
    }

    #[test]
    fn parts_are_found_and_removed() {
        let mut json = JsonText { text: "{\"a\": [1, {\"b\": 2} , \"c\"], \"d\": {}}".to_owned() };
        let list = json.member(&json.root(), "a").unwrap_or_default();
        assert_eq!(json.parts(&list).len(), 3);
        assert!(json.member(&json.root(), "d").is_some_and(|object| json.is_empty(&object)));
        assert!(json.member(&json.root(), "b").is_none());
        json.remove(&list, 1);
        assert_eq!(json.text, "{\"a\": [1, \"c\"], \"d\": {}}");
    }
}
