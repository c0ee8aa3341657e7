//! The kinds of rows in audit entries.

/// The kind of a row. Its name is part of the row's hash and of its audit entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowKind {
    /// An approval.
    Approval,
    /// A bearer token, by its id.
    Token,
    /// The last recorded state of a key, by its id.
    Key,
    /// A shipped module, by its digest.
    Module,
    /// A slot, by its name.
    Slot,
    /// A setting that affects trust, by its name.
    Setting,
    /// A reviewer's session, by its id.
    Session,
    /// A stored answer, by its scope in hex.
    Answer,
}

impl RowKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Approval,
        Self::Token,
        Self::Key,
        Self::Module,
        Self::Slot,
        Self::Setting,
        Self::Session,
        Self::Answer,
    ];

    /// The name of the kind in entries.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approval => "approval",
            Self::Token => "token",
            Self::Key => "key",
            Self::Module => "module",
            Self::Slot => "slot",
            Self::Setting => "setting",
            Self::Session => "session",
            Self::Answer => "answer",
        }
    }

    /// Parses a kind.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl std::fmt::Display for RowKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
