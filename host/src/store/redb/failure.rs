//! Converts redb's errors and panics to store errors.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

use crate::store::StoreError;

thread_local! {
    /// The number of nested [`shielded`] calls on this thread.
    static SHIELDED: Cell<u32> = const { Cell::new(0) };
    /// The location of the last panic in one of them.
    static PANICKED_AT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Installs a panic hook that prints nothing for a panic that a store returns as an error, unless
/// `RUST_BACKTRACE` is set. The error contains the location of the panic.
pub fn quiet_shielded_panics() {
    let default = take_hook();
    let with_backtrace = std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0");
    set_hook(Box::new(move |panic| {
        if SHIELDED.get() > 0 {
            let at = panic.location().map(|at| {
                let file = at.file().rsplit('/').next().unwrap_or_default();
                format!(" ({file}:{})", at.line())
            });
            PANICKED_AT.set(at.unwrap_or_default());
        }
        if SHIELDED.get() == 0 || with_backtrace {
            default(panic);
        }
    }));
}

/// Runs code that calls redb. A damaged file can make redb panic; the panic becomes an error
/// instead of ending the thread.
pub(super) fn shielded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    SHIELDED.set(SHIELDED.get() + 1);
    let done = catch_unwind(AssertUnwindSafe(work));
    SHIELDED.set(SHIELDED.get() - 1);
    done.unwrap_or_else(|payload| {
        let said = panic_text(payload.as_ref());
        let at = PANICKED_AT.take();
        Err(StoreError::Damaged(format!("reading it panicked: {said}{at}")))
    })
}

/// Returns the error for a row that cannot be read.
pub(super) fn unreadable(what: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged(format!("{what} cannot be read"))
}

/// Returns the error for reads and writes after the store was closed.
pub(super) fn closed() -> StoreError {
    StoreError::Io("the store is closed".to_owned())
}

fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let owned = payload.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no reason given")
}

impl From<redb::Error> for StoreError {
    fn from(error: redb::Error) -> Self {
        use redb::Error;
        match error {
            Error::DatabaseAlreadyOpen | Error::LockProtocolMismatch => Self::Held,
            Error::Corrupted(what) => Self::Damaged(what),
            Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Self::Damaged("the file ends early".to_owned())
            }
            Error::TableDoesNotExist(_)
            | Error::TableTypeMismatch { .. }
            | Error::TableIsMultimap(_)
            | Error::TypeDefinitionChanged { .. }
            | Error::RepairAborted => Self::Damaged(error.to_string()),
            other => Self::Io(other.to_string()),
        }
    }
}

macro_rules! through_redb_error {
    ($($error:ident)*) => { $(
        impl From<redb::$error> for StoreError {
            fn from(error: redb::$error) -> Self {
                redb::Error::from(error).into()
            }
        }
    )* };
}
through_redb_error! { StorageError TableError TransactionError CommitError DatabaseError }
