//! The tokens of a condition, for what is done before a text is parsed, and for messages about a text
//! that cannot be parsed.

/// A token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind,
    /// Its first byte in the text.
    pub(super) start: usize,
    pub(super) text: &'t str,
}

/// The kind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name or a keyword.
    Word,
    Number,
    /// A string or bytes.
    Text,
    /// A string without its closing quotes. It is the last token.
    OpenText,
    /// A member's name in backticks.
    Escaped,
    /// An operator, a bracket, a comma.
    Sign,
    /// A character that no condition has outside a string.
    Odd,
}

impl Token<'_> {
    pub(super) fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// Returns whether a value may end with it.
    pub(super) fn ends_value(&self) -> bool {
        match self.kind {
            Kind::Word => self.text != "in",
            Kind::Number | Kind::Text | Kind::Escaped => true,
            Kind::Sign => matches!(self.text, ")" | "]" | "}"),
            Kind::OpenText | Kind::Odd => false,
        }
    }

    /// Returns whether it is this sign or word.
    pub(super) fn is(&self, text: &str) -> bool {
        matches!(self.kind, Kind::Sign | Kind::Word) && self.text == text
    }
}

/// Returns the tokens of a text, without white space and comments.
pub(super) fn tokens(text: &str) -> Tokens<'_> {
    Tokens { text, at: 0 }
}

pub(super) struct Tokens<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Iterator for Tokens<'t> {
    type Item = Token<'t>;

    fn next(&mut self) -> Option<Token<'t>> {
        self.skip_blanks();
        let rest = self.text.get(self.at..).unwrap_or_default();
        let first = rest.chars().next()?;
        let (kind, length) = match first {
            '"' | '\'' => string(rest, 0),
            'a'..='z' | 'A'..='Z' | '_' => {
                let length = run(rest, |byte| byte.is_ascii_alphanumeric() || byte == b'_');
                let is_prefix = ["r", "b", "br"].iter().any(|prefix| {
                    rest.get(..length).is_some_and(|word| word.eq_ignore_ascii_case(prefix))
                });
                if is_prefix && rest.get(length..).is_some_and(|rest| rest.starts_with(['"', '\'']))
                {
                    string(rest, length)
                } else {
                    (Kind::Word, length)
                }
            }
            '0'..='9' => (Kind::Number, number(rest)),
            '.' if rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit) => {
                (Kind::Number, number(rest))
            }
            '`' => escaped(rest),
            '.' | '+' | '-' | '*' | '/' | '%' | '<' | '>' | '=' | '!' | '?' | ':' | ',' | '('
            | ')' | '[' | ']' | '{' | '}' | '&' | '|' => {
                let pairs = ["&&", "||", "==", "!=", "<=", ">="];
                let is_pair = pairs.iter().any(|pair| rest.starts_with(pair));
                (Kind::Sign, if is_pair { 2 } else { 1 })
            }
            other => (Kind::Odd, other.len_utf8()),
        };
        let token = Token { kind, start: self.at, text: rest.get(..length).unwrap_or(rest) };
        self.at += token.text.len();
        Some(token)
    }
}

impl Tokens<'_> {
    fn skip_blanks(&mut self) {
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let blanks =
                rest.len() - rest.trim_start_matches(['\t', ' ', '\r', '\n', '\u{c}']).len();
            let comment = rest.get(blanks..).filter(|rest| rest.starts_with("//"));
            let comment = comment.map_or(0, |rest| rest.find('\n').unwrap_or(rest.len()));
            if blanks + comment == 0 {
                return;
            }
            self.at += blanks + comment;
        }
    }
}

fn run(text: &str, belongs: impl Fn(u8) -> bool) -> usize {
    text.bytes().take_while(|byte| belongs(*byte)).count()
}

/// Returns the length of a number; its form is left to the parser.
fn number(text: &str) -> usize {
    let bytes = text.as_bytes();
    if text.starts_with("0x") {
        return 2 + run(text.get(2..).unwrap_or_default(), |byte| byte.is_ascii_alphanumeric());
    }
    let mut at = run(text, |byte| byte.is_ascii_digit());
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    if bytes.get(at) == Some(&b'.') && digit(at + 1) {
        at += 1;
        at += run(text.get(at..).unwrap_or_default(), |byte| byte.is_ascii_digit());
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        if digit(at + 1 + sign) {
            at += 1 + sign;
        }
    }
    at + run(text.get(at..).unwrap_or_default(), |byte| {
        byte.is_ascii_alphanumeric() || byte == b'_'
    })
}

/// Returns the length of a string whose prefix (`r`, `b` or both) has this length.
fn string(text: &str, prefix: usize) -> (Kind, usize) {
    let is_raw = text.get(..prefix).is_some_and(|prefix| prefix.contains(['r', 'R']));
    let bytes = text.as_bytes();
    let Some(quote) = bytes.get(prefix).copied() else { return (Kind::OpenText, text.len()) };
    let is_triple = bytes.get(prefix + 1) == Some(&quote) && bytes.get(prefix + 2) == Some(&quote);
    let quotes = if is_triple { 3 } else { 1 };
    let mut at = prefix + quotes;
    while let Some(byte) = bytes.get(at).copied() {
        let closes = byte == quote
            && bytes.get(at..at + quotes).is_some_and(|end| end.iter().all(|byte| *byte == quote));
        if closes {
            return (Kind::Text, at + quotes);
        }
        if !is_triple && matches!(byte, b'\n' | b'\r') {
            return (Kind::OpenText, at);
        }
        at += if byte == b'\\' && !is_raw { 2 } else { 1 };
    }
    (Kind::OpenText, text.len())
}

/// Returns the length of a name in backticks; a lone backtick is odd.
fn escaped(text: &str) -> (Kind, usize) {
    let inside = text.get(1..).unwrap_or_default();
    let belongs =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'/' | b' ');
    let length = run(inside, belongs);
    if length > 0 && inside.as_bytes().get(length) == Some(&b'`') {
        return (Kind::Escaped, length + 2);
    }
    (Kind::Odd, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_split_as_the_parser_splits_it() {
        for (text, expected) in [
            ("a.b", "Word:a Sign:. Word:b"),
            ("a // b 'c\n+1", "Word:a Sign:+ Number:1"),
            ("x.`a//b`=='`'", "Word:x Sign:. Escaped:`a//b` Sign:== Text:'`'"),
            (r#"r"\" + 'a\'b'"#, r#"Text:r"\" Sign:+ Text:'a\'b'"#),
            (r#"bR'\' b"\"""#, r#"Text:bR'\' Text:b"\"""#),
            ("rb'x'", "Word:rb Text:'x'"),
            ("'''a'b\n''' 1", "Text:'''a'b\n''' Number:1"),
            ("'abc", "OpenText:'abc"),
            ("'ab\n+1", "OpenText:'ab Sign:+ Number:1"),
            ("'a\\", "OpenText:'a\\"),
            (
                "1.5e-3 .5 0x1Fu 1e5 10k 1.a",
                "Number:1.5e-3 Number:.5 Number:0x1Fu Number:1e5 Number:10k Number:1 Sign:. Word:a",
            ),
            ("a&&b & é`", "Word:a Sign:&& Word:b Sign:& Odd:é Odd:`"),
            ("`a b`` `", "Escaped:`a b` Escaped:` `"),
            ("", ""),
        ] {
            let found: Vec<String> =
                tokens(text).map(|token| format!("{:?}:{}", token.kind, token.text)).collect();
            assert_eq!(found.join(" "), expected, "{text}");
            for token in tokens(text) {
                assert_eq!(text.get(token.start..token.end()), Some(token.text));
            }
        }
    }
}
