//! Near misses: which known name an author probably meant.

/// Maximum length of a compared name; longer ones are no slips of the pen.
const BYTES_MAX: usize = 64;

/// Returns the known name that is nearest to a given one: it differs in case and separators only, or in
/// at most a third of its letters. `None` if there is none.
pub(crate) fn nearest<'n>(
    given: &str,
    known: impl IntoIterator<Item = &'n str>,
) -> Option<&'n str> {
    if given.is_empty() || given.len() > BYTES_MAX {
        return None;
    }
    let folded = fold(given);
    let scored = known.into_iter().filter(|name| name.len() <= BYTES_MAX).map(|name| {
        let other = fold(name);
        let is_longer_form = folded.len() >= 4 && other.starts_with(&folded);
        let edits = distance(&folded, &other);
        (if is_longer_form { edits.min(1) } else { edits }, name)
    });
    let (edits, name) = scored.min_by_key(|(edits, _)| *edits)?;
    (edits <= folded.len() / 3).then_some(name)
}

/// Returns ` (did you mean …?)` for the nearest known name, or nothing.
pub(crate) fn did_you_mean<'n>(given: &str, known: impl IntoIterator<Item = &'n str>) -> String {
    nearest(given, known).map_or_else(String::new, |name| format!(" (did you mean `{name}`?)"))
}

fn fold(name: &str) -> Vec<char> {
    let chars = name.chars().filter(|char| !matches!(char, '_' | '-'));
    chars.flat_map(char::to_lowercase).collect()
}

/// Returns how many letters must be inserted, removed, replaced or swapped with the next one.
fn distance(one: &[char], other: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (at, left) in one.iter().enumerate() {
        let mut row = Vec::with_capacity(other.len() + 1);
        row.push(at + 1);
        for (to, right) in other.iter().enumerate() {
            let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX - 1);
            let replaced = cell(&last, to) + usize::from(left != right);
            let mut least = replaced.min(cell(&last, to + 1) + 1).min(cell(&row, to) + 1);
            let is_swapped = at > 0
                && to > 0
                && one.get(at - 1) == Some(right)
                && other.get(to - 1) == Some(left);
            if is_swapped {
                least = least.min(cell(&before, to - 1) + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_suggested_only_if_it_is_near() {
        let known = ["contains", "startsWith", "lowerAscii", "size", "currency"];
        for (given, expected) in [
            ("contain", Some("contains")),
            ("starts_with", Some("startsWith")),
            ("startswith", Some("startsWith")),
            ("lower", Some("lowerAscii")),
            ("sise", Some("size")),
            ("curency", Some("currency")),
            ("cotnains", Some("contains")),
            ("s", None),
            ("", None),
            ("amount", None),
            ("includes", None),
        ] {
            assert_eq!(nearest(given, known), expected, "{given}");
        }
        assert_eq!(nearest(&"x".repeat(1_000), known), None);
        assert_eq!(did_you_mean("sise", known), " (did you mean `size`?)");
    }
}
