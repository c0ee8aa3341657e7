//! Globs over agent and action names. `*` matches any run of characters, including none; no other
//! character is special.

use crate::limits::IDENTIFIER_BYTES_MAX;

/// A glob pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    text: String,
    first_star: Option<usize>,
}

impl Glob {
    /// Validates a pattern.
    ///
    /// # Errors
    ///
    /// A message for a pattern that is empty, longer than 128 bytes, or has a character other than
    /// visible ASCII.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > IDENTIFIER_BYTES_MAX {
            return Err(format!(
                "a glob has 1 to {IDENTIFIER_BYTES_MAX} bytes, got {}",
                text.len()
            ));
        }
        if let Some(odd) = text.chars().find(|char| !char.is_ascii_graphic()) {
            return Err(format!(
                "a glob may contain only visible ASCII characters, got `{}`",
                odd.escape_default()
            ));
        }
        Ok(Self { text: text.to_owned(), first_star: text.find('*') })
    }

    /// Returns the pattern.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the prefix of every matching name, and whether it is the whole name.
    #[must_use]
    pub fn prefix(&self) -> (&str, bool) {
        match self.first_star {
            None => (&self.text, true),
            Some(at) => (self.text.get(..at).unwrap_or_default(), false),
        }
    }

    /// Returns whether the pattern matches the whole of `name`.
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
            // The leftmost match leaves the most for the remaining pieces.
            let Some(at) = rest.find(piece) else { return false };
            rest = rest.get(at + piece.len()..).unwrap_or_default();
        }
        rest.ends_with(last)
    }

    /// Returns the pattern in ASCII lower case. It matches the lower case of the names that this one
    /// matches in any case.
    #[must_use]
    pub fn to_lower(&self) -> Self {
        Self { text: self.text.to_ascii_lowercase(), first_star: self.first_star }
    }

    /// Returns whether every name that matches `other` also matches this pattern.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        // `matches` treats a star in `other` as an ordinary character, and only a star in this
        // pattern matches that character.
        self.matches(&other.text)
    }
}
