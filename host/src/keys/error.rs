//! Errors of loading keys and of changing a keyring. No message contains key material.

/// An error of loading keys or of changing a keyring.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No source has a key.
    #[error(
        "no secret: set SIGNOFF_HMAC_SECRET (or HMAC_SECRET), or run `signoff init` to create a keyring; an approver's own key is made by `signoff key generate --approver NAME`, and found with --keyring"
    )]
    None,
    /// A secret that is weak or malformed.
    #[error("{source_name} is refused: {why}; generate one with `openssl rand -base64 33`")]
    Weak {
        /// The variable or key.
        source_name: String,
        /// The reason.
        why: &'static str,
    },
    /// A keyring that other users can read or write.
    #[error(
        "keyring `{path}` must be a file of mode 0600 that you own; fix the mode with `chmod 600`"
    )]
    Exposed {
        /// The file.
        path: String,
    },
    /// A keyring that cannot be read.
    #[error("keyring `{path}`: {why}")]
    Unreadable {
        /// The file.
        path: String,
        /// The reason.
        why: String,
    },
    /// A keyring already exists.
    #[error("keyring `{0}` already exists and was not changed")]
    Exists(String),
    /// A key command that failed.
    #[error("the key command `{program}` {why}")]
    Command {
        /// The program, without its arguments: they may be secret.
        program: String,
        /// The reason.
        why: String,
    },
    /// A malformed entry.
    #[error("{0}")]
    Entry(String),
    /// Keys that conflict with each other.
    #[error("{0}")]
    Conflict(String),
    /// A keyring that was changed while the user was asked.
    #[error("the keyring was changed meanwhile, and nothing was imported; try again")]
    Changed,
    /// A change that the key's current state does not permit.
    #[error("key `{id}` {why}")]
    Change {
        /// The key.
        id: String,
        /// Why it is not permitted.
        why: String,
    },
}

pub(crate) fn weak(source_name: &str, why: &'static str) -> KeyError {
    KeyError::Weak { source_name: source_name.to_owned(), why }
}
