//! Changes of the store, each with its entry in the audit log.

mod commit;
mod gate;
mod note;
mod refusals;
mod time;
mod watch;

pub(crate) use commit::{
    Call, Deciders, Operation, host_members, json_text, opened_change, quoted, shown, text_of,
    with_fields,
};
pub use commit::{Idempotency, Reply};
pub(crate) use gate::{Gate, Reason};
pub(crate) use note::{Note, rfc3339};
pub(crate) use refusals::Rates;
pub use refusals::Refused;
pub(crate) use time::Time;
pub use watch::{Watch, Watchers};
