//! Durable decisions: a request and its approval, each on disk before the reply.

use std::fs;
use std::sync::Arc;

use anyhow::Result;
use signoff::clock::SystemClock;
use signoff::engine::{Allocation, Cache};
use signoff::keys::keyring_beside;
use signoff::measure::Case;
use signoff::measure::work::Decisions;
use signoff::verifier::Verifier;

use crate::Plan;
use crate::peer::scratch;
use crate::table::{Figures, Target};

pub(crate) fn measure(plan: &Plan, figures: &mut Figures) -> Result<()> {
    let path = scratch("decisions.redb");
    let _ = fs::remove_file(&path);
    let _ = fs::remove_file(keyring_beside(&path));
    let verifier = Verifier::embedded(Allocation::Pooled, &Cache::none())?;
    let decisions = Decisions::new(&path, verifier, Arc::new(SystemClock))?;
    let mut cases = [
        Case::timed("durable decision of 64 callers", |time| decisions.keep(64, time)),
        Case::timed("of one", |time| decisions.keep(1, time)),
    ];
    plan.take_turns(&mut cases)?;
    let [many, one] = &cases;
    figures.faster(many, one, Target::AtLeast(5.0));
    fs::remove_file(keyring_beside(&path))?;
    fs::remove_file(path)?;
    Ok(())
}
