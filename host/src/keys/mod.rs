//! Keys: their sources and validation. Key material never appears in logs, errors or `Debug`
//! output.
//!
//! [`KeySource`] reads keys (`secret`: the environment; `file`: a keyring; `command`: a command's
//! output), [`Keys`] is the loaded set, `entry` validates one entry, and [`Keyring`] changes a
//! keyring file.

mod command;
mod ed25519;
mod entry;
mod error;
mod file;
mod incoming;
mod keyring;
mod lock;
mod log_keys;
mod module_key;
mod name;
mod reach;
mod recorded;
mod secret;
mod set;
mod source;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests;

pub use entry::{KeyDescription, Status, Usage};
pub use error::KeyError;
pub use file::{MadeKeyring, keyring_beside, make_keyring, read_keyring};
pub use incoming::{Binding, Incoming};
pub use keyring::{Changed, Imported, Keyring, NewKey, edit};
pub use log_keys::trust;
pub use module_key::{ModuleKey, ModulePublic};
pub use name::{Approver, Group, KeyId};
pub use reach::Shortage;
pub use recorded::RecordedKeys;
pub use secret::{
    SECRET_VARIABLES, all_secret_variables, check_secret, secret_of_environment, unchecked_key,
    variable_with_newline,
};
pub use set::{Keys, LogPublic, LogSecret, Signer};
pub use source::KeySource;
