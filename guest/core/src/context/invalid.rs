//! Why and where a text is refused.

use std::fmt;

use super::{BYTES_MAX, DEPTH_MAX, INT_DIGITS_MAX};

/// A text that has no canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Offset in bytes from the start of the input; each [`Reason`] says which byte it is.
    pub offset: usize,
    /// Why it is refused.
    pub reason: Reason,
}

/// Why a text has no canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The input is longer than [`BYTES_MAX`]. Offset: the first byte too many.
    InputTooLong,
    /// The text breaks the grammar. Offset: the byte found there, or the length of the text.
    Unexpected {
        /// What the grammar expects.
        expected: Expected,
        /// The character found; `None` at the end of the text.
        found: Option<char>,
    },
    /// Objects and arrays are nested deeper than [`DEPTH_MAX`]. Offset: the opening bracket.
    TooDeep,
    /// A string contains an unescaped character below U+0020. Offset: that character.
    ControlCharacter,
    /// A backslash does not start a JSON escape. Offset: the backslash.
    EscapeInvalid,
    /// An escaped surrogate is not part of a pair. Offset: its backslash.
    LoneSurrogate,
    /// `NaN`, `Infinity` or `-Infinity`. Offset: its first byte.
    NotFinite,
    /// The number is too large for a float. Offset: its first byte, which may be the sign.
    FloatTooLarge,
    /// A number's integer part has a leading zero and more digits. Offset: the zero.
    LeadingZero,
    /// The integer has more than [`INT_DIGITS_MAX`] digits. Offset: its first byte, which may be
    /// the sign.
    IntegerTooLong,
    /// An object has two members with the same name. Offset: the opening quote of the second; of
    /// several, the first in the text. Names are compared after decoding escapes.
    DuplicateKey(
        /// The key as the canonical form writes it, truncated if long.
        String,
    ),
    /// The canonical form is longer than [`BYTES_MAX`]. Offset: the first byte of the key, scalar
    /// or closing bracket that exceeds the limit.
    CanonicalTooLong,
}

/// What the grammar expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is what its text says")]
pub enum Expected {
    Object,
    Key,
    Colon,
    Value,
    Digit,
    ClosingQuote,
    CommaOrBrace,
    CommaOrBracket,
    EndOfText,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.reason, self.offset)
    }
}

impl std::error::Error for Invalid {}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InputTooLong => write!(f, "text longer than {BYTES_MAX} bytes"),
            Self::Unexpected { expected, found } => unexpected(f, *expected, *found),
            Self::TooDeep => write!(f, "nesting deeper than {DEPTH_MAX} levels"),
            Self::ControlCharacter => f.write_str("control character in a string"),
            Self::EscapeInvalid => f.write_str("invalid escape in a string"),
            Self::LoneSurrogate => f.write_str("surrogate without its partner"),
            Self::NotFinite => f.write_str("number that is not finite"),
            Self::FloatTooLarge => f.write_str("number too large for a float"),
            Self::LeadingZero => f.write_str("number with a leading zero"),
            Self::IntegerTooLong => write!(f, "integer of more than {INT_DIGITS_MAX} digits"),
            Self::DuplicateKey(key) => write!(f, "duplicate key `{key}`"),
            Self::CanonicalTooLong => write!(f, "canonical form longer than {BYTES_MAX} bytes"),
        }
    }
}

fn unexpected(f: &mut fmt::Formatter<'_>, expected: Expected, found: Option<char>) -> fmt::Result {
    match found {
        Some(found @ ' '..='~') => write!(f, "expected {expected}, found `{found}`"),
        // A terminal or a log might interpret any other character.
        Some(found) => write!(f, "expected {expected}, found `{}`", found.escape_unicode()),
        None => write!(f, "expected {expected}, found the end of the text"),
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Object => "an object",
            Self::Key => "a key in double quotes",
            Self::Colon => "`:`",
            Self::Value => "a value",
            Self::Digit => "a digit",
            Self::ClosingQuote => "a closing `\"`",
            Self::CommaOrBrace => "`,` or `}`",
            Self::CommaOrBracket => "`,` or `]`",
            Self::EndOfText => "the end of the text",
        })
    }
}
