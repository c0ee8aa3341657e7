//! Why keys cannot be had, or a keyring not be changed. No message holds material.

/// Why keys cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No source has one.
    #[error(
        "no secret: set SIGNOFF_HMAC_SECRET (or HMAC_SECRET), or run `signoff init` to make a keyring"
    )]
    None,
    /// A secret that anybody could guess.
    #[error("{source_name} is refused: {why}; `openssl rand -base64 33` makes a good one")]
    Weak {
        /// The variable or key.
        source_name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A keyring that others can read or write.
    #[error(
        "keyring `{path}` must be a file of mode 0600 that you own; `chmod 600` mends the mode"
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
        /// What is wrong with it.
        why: String,
    },
    /// A keyring is there already.
    #[error("keyring `{0}` exists already and is left as it is")]
    Exists(String),
    /// A command that gives no keys.
    #[error("the keys' command `{program}` {why}")]
    Command {
        /// The program, without its arguments: they may be secret.
        program: String,
        /// What went wrong.
        why: String,
    },
    /// An entry out of its form.
    #[error("{0}")]
    Entry(String),
    /// Keys that do not go together.
    #[error("{0}")]
    Conflict(String),
    /// A change that a key's status does not let through.
    #[error("key `{id}` {why}")]
    Change {
        /// The key.
        id: String,
        /// What stands against it.
        why: String,
    },
}

pub(crate) fn weak(source_name: &str, why: &'static str) -> KeyError {
    KeyError::Weak { source_name: source_name.to_owned(), why }
}
