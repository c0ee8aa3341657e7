//! `signoff version`: what this binary is and contains.

use serde_json::json;

use super::{Exit, exit::Failure, output};
use crate::engine::VERIFIER_DIGEST;

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The system that this binary was compiled for, of the build script.
const TARGET: &str = env!("SIGNOFF_TARGET");

pub(super) fn run(json: bool) -> Result<Exit, Failure> {
    if json {
        let facts = json!({ "version": VERSION, "target": TARGET, "verifier": VERIFIER_DIGEST });
        output::line(&facts.to_string());
    } else {
        output::line(&format!("signoff   {VERSION}"));
        output::line(&format!("target    {TARGET}"));
        output::line(&format!("verifier  {VERIFIER_DIGEST}"));
    }
    Ok(Exit::Done)
}
