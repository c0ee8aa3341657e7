//! Globs over agent and action names: `*` matches any run of characters, also none; nothing else is
//! special.

use crate::limits::IDENTIFIER_BYTES_MAX;

/// One pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    text: String,
    first_star: Option<usize>,
}

impl Glob {
    /// Takes a pattern.
    ///
    /// # Errors
    ///
    /// Empty, over 128 bytes, or with a character that no name has.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > IDENTIFIER_BYTES_MAX {
            return Err(format!(
                "a glob has 1 to {IDENTIFIER_BYTES_MAX} characters, got {}",
                text.chars().count()
            ));
        }
        if let Some(odd) = text.chars().find(|char| !char.is_ascii_graphic()) {
            return Err(format!(
                "a glob has visible ASCII characters only, got `{}`",
                odd.escape_default()
            ));
        }
        Ok(Self { text: text.to_owned(), first_star: text.find('*') })
    }

    /// The pattern.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What every name that fits starts with, and whether that is the whole name.
    #[must_use]
    pub fn prefix(&self) -> (&str, bool) {
        match self.first_star {
            None => (&self.text, true),
            Some(at) => (self.text.get(..at).unwrap_or_default(), false),
        }
    }

    /// Whether the whole of `name` fits.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let (prefix, literal) = self.prefix();
        if literal {
            return name == prefix;
        }
        let Some(mut rest) = name.strip_prefix(prefix) else { return false };
        let after = self.text.get(prefix.len() + 1..).unwrap_or_default();
        let Some((middle, last)) = after.rsplit_once('*') else { return rest.ends_with(after) };
        for piece in middle.split('*') {
            // The leftmost place leaves the most for what follows.
            let Some(at) = rest.find(piece) else { return false };
            rest = rest.get(at + piece.len()..).unwrap_or_default();
        }
        rest.ends_with(last)
    }

    /// Whether every name that fits `other` fits this too, where that can be told.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        // A star of the other can only be taken up by a star of this.
        self.matches(&other.text)
    }
}
