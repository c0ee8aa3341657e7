//! What authors write by habit from other languages, and what a condition writes.

use super::tokens::{Kind, Token};

/// Longest string that a message repeats.
const TEXT_BYTES_MAX: usize = 64;
/// Methods that other languages write as operators.
const METHODS: [&str; 4] = ["contains", "endsWith", "matches", "startsWith"];

/// Returns the message for the tokens from a place on, in a text that is not CEL, with the offset of the
/// mistake; `None` if no condition of another language begins there.
pub(super) fn habit(tokens: &[Token<'_>], at: usize) -> Option<(usize, String)> {
    let token = tokens.get(at)?;
    match token.kind {
        Kind::Text => escape(token),
        Kind::Sign => sign(tokens, at).map(|message| (token.start, message)),
        Kind::Word => word(tokens, at).map(|message| (token.start, message)),
        Kind::Odd if token.text == "#" => {
            let message = "`#` has no meaning outside a string: a comment in a condition begins with `//`, one of the file with `#` is above `when`";
            Some((token.start, message.to_owned()))
        }
        _ => None,
    }
}

/// Returns the message for a number whose thousands are separated by the comma at a place.
pub(super) fn thousands(tokens: &[Token<'_>], comma: usize) -> Option<String> {
    let is_group = |text: &str| text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    let first = tokens.get(comma.checked_sub(1)?)?;
    let is_first = first.kind == Kind::Number
        && first.text.len() <= 3
        && first.text.bytes().all(|byte| byte.is_ascii_digit());
    let (mut written, mut digits) = (first.text.to_owned(), first.text.to_owned());
    let mut end = first.end();
    for pair in tokens.get(comma..)?.chunks_exact(2) {
        let [comma, group] = pair else { break };
        let is_next = comma.is(",") && comma.start == end && group.start == comma.end();
        if !is_next || group.kind != Kind::Number || !is_group(group.text) {
            break;
        }
        written.push_str(&format!(",{}", group.text));
        digits.push_str(group.text);
        end = group.end();
    }
    (is_first && written != digits).then(|| format!("write `{digits}` for `{written}`"))
}

fn sign(tokens: &[Token<'_>], at: usize) -> Option<String> {
    let token = tokens.get(at)?;
    let before = at.checked_sub(1).and_then(|at| tokens.get(at));
    let next = tokens.get(at + 1).filter(|next| next.start == token.end())?;
    let message = match (token.text, next.text) {
        ("=", "~") => "write `x.matches(\"…\")` for `x =~ \"…\"`",
        ("!", "~") => "write `!x.matches(\"…\")` for `x !~ \"…\"`",
        ("=" | "-", ">") => {
            let is_variable = before.is_some_and(|before| before.kind == Kind::Word)
                && at.checked_sub(2).and_then(|at| tokens.get(at)).is_some_and(|one| one.is("("));
            match (is_variable, token.text) {
                (true, _) => "a macro is written `x.all(v, …)`, with a comma after its variable",
                (false, "=") => "write `>=` for `=>`",
                (false, _) => return None,
            }
        }
        ("=", "<") => "write `<=` for `=<`",
        ("?", "?") => "write `context.?x.orValue(1)` for `context.x ?? 1`",
        ("?", ".") if before.is_some_and(|before| before.end() == token.start) => {
            "write `.?` for `?.`, as in `context.a.?b`"
        }
        _ => return None,
    };
    Some(message.to_owned())
}

fn word(tokens: &[Token<'_>], at: usize) -> Option<String> {
    let token = tokens.get(at)?;
    let before = at.checked_sub(1).and_then(|at| tokens.get(at));
    let is_word = |at: usize, word: &str| {
        let token = tokens.get(at).filter(|token| token.kind == Kind::Word);
        token.is_some_and(|token| token.text.eq_ignore_ascii_case(word))
    };
    if is_word(at, "not") && is_word(at + 1, "in") {
        return Some("write `!(x in y)` for `x not in y`".to_owned());
    }
    let is_member = before.is_some_and(|before| before.is(".") || before.is("?"));
    let has_branches = (at..tokens.len()).any(|at| is_word(at, "then") || is_word(at, "else"));
    if is_word(at, "if") && has_branches && !is_member {
        return Some("a choice is written `condition ? one : other`".to_owned());
    }
    // Two values in a row are no expression, whatever they are.
    before.filter(|before| before.ends_value())?;
    if is_word(at, "is") {
        let is_not = is_word(at + 1, "not");
        let is_null = tokens.get(at + 1 + usize::from(is_not)).is_some_and(|token| {
            ["null", "none", "nil"].iter().any(|null| token.text.eq_ignore_ascii_case(null))
        });
        let message = match (is_not, is_null) {
            (true, true) => "write `x != null`, or `has(x)` for a member that may be missing",
            (false, true) => "write `x == null`, or `!has(x)` for a member that may be missing",
            (true, false) => "write `!=` for `is not`",
            (false, false) => "write `==` for `is`",
        };
        return Some(message.to_owned());
    }
    if is_word(at, "between") {
        return Some("write `x >= 1 && x <= 5` for `x between 1 and 5`".to_owned());
    }
    if is_word(at, "like") {
        return Some("write `x.startsWith(y)`, `x.contains(y)` or `x.matches(\"…\")`".to_owned());
    }
    let method = METHODS.iter().find(|method| **method == token.text)?;
    Some(format!("write `x.{method}(y)` for `x {method} y`"))
}

/// Returns the message for a string with an escape that CEL does not have, as patterns do.
fn escape(token: &Token<'_>) -> Option<(usize, String)> {
    let text = token.text;
    let prefix = text.find(['"', '\''])?;
    if text.get(..prefix)?.contains(['r', 'R']) {
        return None;
    }
    let mut at = prefix;
    while let Some(found) = text.get(at..)?.find('\\') {
        at += found;
        let rest = text.get(at + 1..)?;
        if !is_escape(rest) {
            let char = rest.chars().next()?.escape_debug();
            let string = text.get(prefix..)?;
            let is_plain = string.len() <= TEXT_BYTES_MAX
                && string.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
            let write = if is_plain { format!("r{string}") } else { "r\"…\"".to_owned() };
            let message = format!(
                "`\\{char}` is not an escape of a CEL string: write `{write}`, or name the pattern in `[const]`"
            );
            return Some((token.start + at, message));
        }
        at += 2;
    }
    None
}

/// Returns whether a text begins with what CEL allows after a backslash.
fn is_escape(text: &str) -> bool {
    let digits = |count: usize, is_digit: fn(&u8) -> bool| {
        text.as_bytes().get(1..=count).is_some_and(|digits| digits.iter().all(is_digit))
    };
    match text.as_bytes().first() {
        Some(b'x' | b'X') => digits(2, u8::is_ascii_hexdigit),
        Some(b'u') => digits(4, u8::is_ascii_hexdigit),
        Some(b'U') => digits(8, u8::is_ascii_hexdigit),
        Some(b'0'..=b'3') => digits(2, |digit| matches!(digit, b'0'..=b'7')),
        Some(other) => b"abfnrtv\"'`?\\".contains(other),
        None => false,
    }
}
