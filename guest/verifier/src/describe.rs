//! The verifier's self-description, returned by `describe`.

use serde::{Deserialize, Serialize};

use crate::context::{BYTES_MAX, DEPTH_MAX, INT_DIGITS_MAX};
use crate::limits;
use crate::operation::OPS;
use crate::record;
use crate::rejection::Rejection;
use crate::statement::Profile;

/// The arguments of `describe`: none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Describe {}

impl Describe {
    /// Returns the description: name, version, WIT package, record formats read, profiles, ops,
    /// limits.
    ///
    /// Rejections: none.
    pub fn run(&self) -> Result<Description, Rejection> {
        Ok(DESCRIPTION)
    }
}

const DESCRIPTION: Description = Description {
    name: "signoff-verifier",
    version: env!("CARGO_PKG_VERSION"),
    package: "signoff:approval@0.1.0",
    formats: &[record::FORMAT],
    profiles: Profile::ALL,
    ops: OPS,
    limits: Limits {
        context_bytes_max: BYTES_MAX,
        context_depth_max: DEPTH_MAX,
        context_int_digits_max: INT_DIGITS_MAX,
        identifier_bytes_max: limits::IDENTIFIER_BYTES_MAX,
        key_id_bytes_max: limits::NAME_BYTES_MAX,
        text_bytes_max: limits::TEXT_BYTES_MAX,
        ttl_seconds_max: limits::TTL_SECONDS_MAX,
        ttl_seconds_default: limits::TTL_SECONDS_DEFAULT,
        lease_seconds_max: limits::LEASE_SECONDS_MAX,
        lease_seconds_default: limits::LEASE_SECONDS_DEFAULT,
        threshold_max: limits::THRESHOLD_MAX,
        ballots_max: limits::BALLOTS_MAX,
        hmac_key_bytes_min: limits::HMAC_KEY_BYTES_MIN,
        hmac_key_bytes_max: limits::HMAC_KEY_BYTES_MAX,
        keys_max: limits::KEYS_MAX,
        policies_max: limits::POLICIES_MAX,
        event_bytes_max: limits::EVENT_BYTES_MAX,
        record_bytes_max: limits::RECORD_BYTES_MAX,
        view_bytes_max: limits::VIEW_BYTES_MAX,
        wire_bytes_max: limits::WIRE_BYTES_MAX,
    },
};

/// The verifier's self-description.
#[derive(Debug, Serialize)]
pub struct Description {
    name: &'static str,
    version: &'static str,
    package: &'static str,
    formats: &'static [u32],
    profiles: &'static [Profile],
    ops: &'static [&'static str],
    limits: Limits,
}

#[derive(Debug, Serialize)]
struct Limits {
    context_bytes_max: usize,
    context_depth_max: usize,
    context_int_digits_max: usize,
    identifier_bytes_max: usize,
    key_id_bytes_max: usize,
    text_bytes_max: usize,
    ttl_seconds_max: u64,
    ttl_seconds_default: u64,
    lease_seconds_max: u64,
    lease_seconds_default: u64,
    threshold_max: u32,
    ballots_max: usize,
    hmac_key_bytes_min: usize,
    hmac_key_bytes_max: usize,
    keys_max: usize,
    policies_max: usize,
    event_bytes_max: usize,
    record_bytes_max: usize,
    view_bytes_max: usize,
    wire_bytes_max: usize,
}
