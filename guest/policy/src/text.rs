//! Maps positions in a TOML string's value to the file, and cuts texts at character boundaries.

/// Returns the longest prefix of a text that has at most `bytes_max` bytes.
#[must_use]
pub(crate) fn cut(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or(text)
}

/// Returns the file offset at which byte `at` of a TOML string's value is written. `start..end` is
/// the range of the string with its quotes.
#[must_use]
pub(crate) fn place_in_string(
    file: &str,
    start: usize,
    end: usize,
    value: &str,
    at: usize,
) -> usize {
    let Some(raw) = file.get(start..end) else { return start };
    let multiline = raw.starts_with("\"\"\"") || raw.starts_with("'''");
    let escapes = raw.starts_with('"');
    let mut written = if multiline { 3 } else { 1 };
    if multiline {
        let rest = raw.get(written..).unwrap_or_default();
        written +=
            ["\r\n", "\n"].iter().find(|end| rest.starts_with(**end)).map_or(0, |end| end.len());
    }
    let mut read = 0;
    loop {
        let rest = raw.get(written..).unwrap_or_default();
        if escapes
            && multiline
            && let Some(skipped) = folded(rest)
        {
            written += skipped;
            continue;
        }
        let Some(char) = value.get(read..).and_then(|value| value.chars().next()) else { break };
        if read >= at {
            break;
        }
        read += char.len_utf8();
        written += match rest.as_bytes() {
            [b'\\', kind, ..] if escapes => match kind {
                b'x' => 4,
                b'u' => 6,
                b'U' => 10,
                _ => 2,
            },
            [b'\r', b'\n', ..] if char == '\n' => 2,
            _ => char.len_utf8(),
        };
    }
    (start + written).min(end)
}

/// Returns the length of a backslash at the end of a line with the white space that it removes.
fn folded(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix('\\')?;
    let blanks = after.len() - after.trim_start_matches([' ', '\t']).len();
    let line = after.get(blanks..)?;
    if !line.starts_with('\n') && !line.starts_with("\r\n") {
        return None;
    }
    Some(1 + after.len() - after.trim_start_matches([' ', '\t', '\r', '\n']).len())
}

/// Appends a member to a path as a condition writes it: `.name`, or `["a name"]` for one that is not an
/// identifier.
pub(crate) fn push_member(path: &mut String, key: &str) {
    if is_identifier(key) {
        path.push('.');
        path.push_str(key);
    } else {
        path.push_str("[\"");
        path.extend(cut(key, 128).escape_debug());
        path.push_str("\"]");
    }
}

/// Returns whether a text is an identifier of CEL.
pub(crate) fn is_identifier(text: &str) -> bool {
    let is_usual = |char: char| char.is_ascii_alphanumeric() || char == '_';
    text.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_')
        && text.chars().all(is_usual)
}
