//! What a scrape reads from the service. A value that is not there, such as that of a slot without a
//! policy, has no series, and neither has one that cannot be read: the others are needed most then.

use std::sync::atomic::Ordering;

use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::Amount;
use super::labels::{ByKind, ByResult, BySlot, ByStatus, ByVerdict, Module};
use crate::api::App;
use crate::logging;
use crate::modules::Active;
use crate::refusal::Refusal;
use crate::service::Service;
use crate::store::{Head, Status};

/// Returns the present values.
///
/// Refusals: `store-unavailable`.
pub(super) async fn registry(app: &App) -> Result<Registry, Refusal> {
    let mut registry = Registry::with_prefix("signoff");
    let head = app.service.ledger.head().await?;
    add_approvals(&mut registry, &app.service, &head).await;
    add_store(&mut registry, &app.service, &head);
    add_modules(&mut registry, &app.service).await;
    add_tokens(&mut registry, &app.service).await;
    if let Some(entries) = app.metrics.witnessed() {
        let help = "Audit entries of the last checkpoint that the witness has";
        registry.register("witness_entries", help, ConstGauge::new(entries));
    }
    let held: Family<ByKind, Amount> = Family::default();
    for (kind, count) in app.held.counts() {
        held.get_or_create(&ByKind { kind }).set(count);
    }
    registry.register("held_requests", "Open waits and event streams", held);
    let dropped = ConstCounter::new(logging::dropped());
    let help = "Lines of the log that were dropped, because their reader was too slow or gone";
    registry.register("log_lines_dropped", help, dropped);
    Ok(registry)
}

async fn add_approvals(registry: &mut Registry, service: &Service, head: &Head) {
    let approvals: Family<ByStatus, Amount> = Family::default();
    for (status, count) in Status::ALL.into_iter().zip(head.counts) {
        approvals.get_or_create(&ByStatus { status: status.as_str() }).set(count);
    }
    registry.register("approvals", "Approvals by stored status", approvals);
    let watched = ConstGauge::new(service.ledger.watchers().approvals_watched() as u64);
    registry.register("approvals_watched", "Approvals that calls wait for", watched);
    if let Ok(oldest) = service.approvals.oldest_pending().await {
        let age = oldest.map_or(0, |at| service.ledger.now().saturating_sub(at));
        let help = "Age of the oldest pending approval; 0 without one";
        registry.register("oldest_pending_age_seconds", help, ConstGauge::new(age));
    }
    let help = "Time from a request to its approval or rejection, since the start";
    let times = service.approvals.decision_times();
    registry.register("time_to_decision_seconds", help, times);
}

fn add_store(registry: &mut Registry, service: &Service, head: &Head) {
    registry.register("audit_entries", "Audit entries in the store", ConstGauge::new(head.entries));
    let last = ConstGauge::new(head.last_commit_at);
    let help = "Time of the latest change, in seconds since 1970";
    registry.register("last_commit_timestamp_seconds", help, last);
    let writable = ConstGauge::new(u64::from(head.writable));
    registry.register("store_writable", "1 while the store accepts writes", writable);
    let Some(usage) = service.ledger.usage() else { return };
    if let Some(bytes) = usage.file_bytes {
        registry.register("store_file_bytes", "Size of the store's file", ConstGauge::new(bytes));
    }
    let commits = ConstCounter::new(usage.commits);
    registry.register("store_commits", "Commits to disk, of one or several changes", commits);
    let changes = ConstCounter::new(usage.changes);
    registry.register("store_changes", "Changes in these commits", changes);
    let seconds = ConstCounter::new(usage.commit_time.as_secs_f64());
    registry.register("store_commit_seconds", "Duration of these commits", seconds);
}

async fn add_modules(registry: &mut Registry, service: &Service) {
    let verifier = service.verifier.current();
    let traps = ConstCounter::new(verifier.traps());
    let help = "Calls of the active verifier without a result";
    registry.register("verifier_traps", help, traps);
    let verdicts: Family<ByVerdict, Counter> = Family::default();
    for (moment, decision, count) in service.guardrails.verdicts() {
        let labels = ByVerdict { moment, decision: decision.as_str() };
        verdicts.get_or_create(&labels).inner().store(count, Ordering::Relaxed);
    }
    registry.register("policy_verdicts", "Verdicts by the moment of the evaluation", verdicts);
    // As last loaded, if it cannot be loaded again.
    let _ = service.modules.policy_slot().await;
    let slot = service.modules.policy_now();
    if let Active::Policy(policy) = &slot.active {
        let failures = ConstCounter::new(policy.failures());
        let help = "Evaluations of the active policy without a verdict";
        registry.register("policy_failures", help, failures);
    }
    let counts = slot.shadow_counts();
    let shadow: Family<ByResult, Counter> = Family::default();
    for (result, count) in [
        ("compared", counts.compared),
        ("flips", counts.flips),
        ("failures", counts.failures),
        ("dropped", counts.dropped),
    ] {
        shadow.get_or_create(&ByResult { result }).inner().store(count, Ordering::Relaxed);
    }
    let help = "Evaluations by the shadow since it became one: compared, of these flips and failures; dropped because the queue was full";
    registry.register("shadow_evaluations", help, shadow);
    let active: Family<Module, Amount> = Family::default();
    let failing: Family<BySlot, Amount> = Family::default();
    for module in service.modules.active_modules().await.unwrap_or_default() {
        let is_failing = u64::from(module.is_failing);
        failing.get_or_create(&BySlot { slot: module.slot }).set(is_failing);
        let labels = Module {
            slot: module.slot,
            digest: module.digest,
            name: module.name,
            version: module.version,
            key_id: module.key_id,
        };
        active.get_or_create(&labels).set(1);
    }
    let help = "The active module of each slot, with its signer's key; always 1";
    registry.register("module_info", help, active);
    let help = "1 while every call of a slot's active module fails";
    registry.register("module_failing", help, failing);
}

async fn add_tokens(registry: &mut Registry, service: &Service) {
    let Ok(tokens) = service.tokens.in_force().await else { return };
    let count = ConstGauge::new(tokens.count as u64);
    registry.register("tokens", "Tokens that are neither revoked nor expired", count);
    if let Some(expires_at) = tokens.next_expiry {
        let help = "When the next of these tokens expires, in seconds since 1970";
        registry.register("token_not_after_seconds", help, ConstGauge::new(expires_at));
    }
}
