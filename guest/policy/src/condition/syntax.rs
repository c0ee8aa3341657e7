//! Messages for texts that the parser refuses, in the words of an author and not of the parser.

use super::Fault;
use super::habits::{habit, thousands};
use super::tokens::{Kind, Token};

/// Words of other languages, and what a condition writes.
const WORDS: [(&str, &str); 3] = [("and", "&&"), ("or", "||"), ("not", "!")];
/// Longest quoted part of a text.
const CHARS_MAX: usize = 40;

/// Returns the first mistake that the tokens alone show: a character or a string that no condition has,
/// or brackets that do not match.
pub(super) fn of_tokens(text: &str, tokens: &[Token<'_>]) -> Option<Fault> {
    let mut open: Vec<Token<'_>> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if let Some((offset, message)) = habit(tokens, at) {
            return Some(Fault { offset, message: not_cel(&message) });
        }
        let is_after = |sign: &str| {
            let before = at.checked_sub(1).and_then(|at| tokens.get(at));
            before.is_some_and(|before| before.is(sign) && before.end() == token.start)
        };
        let message = match (token.kind, token.text) {
            (Kind::OpenText, _) => "the string that begins here has no closing quote".to_owned(),
            (Kind::Odd, "`") => "the name in backticks that begins here is empty, has no closing backtick, or has a character other than letters, digits, `_`, `-`, `.`, `/` and blanks".to_owned(),
            (Kind::Odd, "\u{201c}" | "\u{201d}" | "\u{2018}" | "\u{2019}") => {
                "a typographic quote: write `'` or `\"`".to_owned()
            }
            (Kind::Odd, odd) => format!("`{}` has no meaning outside a string", odd.escape_debug()),
            (Kind::Sign, "&" | "|") => format!("write `{0}{0}` for `{0}`", token.text),
            (Kind::Sign, "=") if is_after("==") || is_after("!=") => {
                format!("write `{0}` for `{0}=`", if is_after("==") { "==" } else { "!=" })
            }
            (Kind::Sign, "=") => "write `==` to compare, a condition assigns nothing".to_owned(),
            (Kind::Sign, ">") if is_after("<") => "write `!=` for `<>`".to_owned(),
            (Kind::Number, number) if !is_number(number) => number_message(number),
            (Kind::Sign, "(" | "[" | "{") => {
                open.push(*token);
                continue;
            }
            (Kind::Sign, ")" | "]" | "}") => match closed(open.pop(), *token) {
                Some(message) => message,
                None => continue,
            },
            _ => continue,
        };
        return Some(Fault { offset: token.start, message: not_cel(&message) });
    }
    let unclosed = open.pop()?;
    let message = format!("`{}` is never closed", unclosed.text);
    Some(Fault { offset: unclosed.start.min(text.len()), message: not_cel(&message) })
}

fn closed(open: Option<Token<'_>>, close: Token<'_>) -> Option<String> {
    let pair = |open: &str| match open {
        "(" => ")",
        "[" => "]",
        _ => "}",
    };
    match open {
        None => Some(format!("`{}` closes nothing", close.text)),
        Some(open) if pair(open.text) != close.text => Some(format!(
            "`{}` where `{}` is open: expected `{}`",
            close.text,
            open.text,
            pair(open.text)
        )),
        Some(_) => None,
    }
}

/// Returns whether a number token is one of CEL: digits, a fraction, an exponent, `0x` and a `u`.
fn is_number(text: &str) -> bool {
    if let Some(hex) = text.strip_prefix("0x") {
        let hex = hex.strip_suffix(['u', 'U']).unwrap_or(hex);
        return !hex.is_empty() && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    }
    let whole = text.strip_suffix(['u', 'U']).unwrap_or(text);
    if whole.len() < text.len() {
        return whole.bytes().all(|byte| byte.is_ascii_digit());
    }
    text.parse::<f64>().is_ok()
        && text.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte))
}

fn number_message(number: &str) -> String {
    let shown: String = number.chars().take(CHARS_MAX).collect();
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    if number.contains('_') && number.chars().all(|char| char == '_' || char.is_ascii_digit()) {
        return format!("`{shown}` is not a number: write `{digits}`");
    }
    format!("`{shown}` is not a number; a time span is written `duration(\"10m\")`")
}

/// Returns the message for a syntax error of the parser at a byte of the text.
pub(super) fn at(text: &str, tokens: &[Token<'_>], offset: usize) -> Fault {
    let next = tokens.iter().position(|token| token.end() > offset);
    let token = next.and_then(|at| tokens.get(at));
    let before = match next {
        Some(at) => at.checked_sub(1).and_then(|at| tokens.get(at)),
        None => tokens.last(),
    };
    for word in [token, before].into_iter().flatten().filter(|token| token.kind == Kind::Word) {
        let known = WORDS.iter().find(|(known, _)| word.text.eq_ignore_ascii_case(known));
        if let Some((_, sign)) = known {
            let message = format!("write `{sign}` for `{}`", word.text);
            return Fault { offset: word.start, message: not_cel(&message) };
        }
    }
    if let Some(message) = next.and_then(|at| thousands(tokens, at)) {
        let offset = before.map_or(offset, |number| number.start);
        return Fault { offset, message: not_cel(&message) };
    }
    let is_value_before = before.is_some_and(Token::ends_value);
    let message = match token {
        None if tokens.is_empty() => "the condition is empty".to_owned(),
        None if is_value_before => "the condition is incomplete".to_owned(),
        None => "the condition ends where a value is expected".to_owned(),
        Some(token) => {
            let shown: String = token.text.chars().take(CHARS_MAX).collect();
            let shown = shown.escape_debug();
            let begins_value =
                !matches!(token.kind, Kind::Sign) || matches!(token.text, "(" | "{" | "!");
            if token.is("?") || token.is(":") {
                format!(
                    "`{shown}` is unexpected here: a choice is written `condition ? one : other`"
                )
            } else if is_value_before && begins_value {
                format!(
                    "`{shown}` is unexpected here, expected an operator such as `&&`, `==` or `in` before it"
                )
            } else if is_value_before {
                format!("`{shown}` is unexpected here")
            } else {
                format!("`{shown}` is unexpected here, expected a value")
            }
        }
    };
    let offset = token.map_or(text.len(), |token| token.start);
    Fault { offset, message: not_cel(&message) }
}

/// Returns the message for a mistake that the parser finds in a text of the right form.
pub(super) fn of_form(message: &str, token: Option<&Token<'_>>) -> String {
    let word = token.map_or("", |token| token.text);
    let word = word.chars().take(CHARS_MAX).collect::<String>().escape_debug().to_string();
    let plain = match message {
        "invalid argument to has() macro" => {
            "`has` takes a member, as in `has(context.ticket)`; a key is tested by `\"ticket\" in context`".to_owned()
        }
        "argument must be a simple name" => {
            "the variable of a macro is a plain name, as `x` in `list.exists(x, x > 1)`".to_owned()
        }
        "invalid int literal" => format!("`{word}` is beyond the 64 bits of an integer"),
        "invalid uint literal" => format!("`{word}` is beyond the 64 bits of a uint"),
        "invalid double literal" => format!("`{word}` is beyond the range of a number"),
        _ if message.starts_with("reserved identifier: const") => {
            "`const` is reserved for named values, which are read as `const.limit`".to_owned()
        }
        _ if message.starts_with("reserved identifier: ") => {
            let name = message.trim_start_matches("reserved identifier: ").trim_start_matches('.');
            format!(
                "`{name}` is a reserved word of CEL; a member with this name is `context.{name}`"
            )
        }
        _ if message.starts_with("invalid string literal")
            || message.starts_with("invalid bytes literal") =>
        {
            "a string has an escape that names no character".to_owned()
        }
        other => super::lowered(other),
    };
    not_cel(&plain)
}

fn not_cel(message: &str) -> String {
    format!("not a CEL expression: {message}")
}
