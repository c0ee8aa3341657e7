//! The shadow: a candidate policy that evaluates the same attempts as the active policy, without
//! effect.
//!
//! The real answer never waits for it. Comparisons wait in a separate queue; if it is full, they
//! are counted and dropped. A *flip* is a different verdict or a failure of the candidate. Each is
//! counted; the first 10,000 get an audit entry of a kind of their own, so that none is mistaken for
//! an effective verdict.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use signoff_core::deceptive::in_one_line;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, watch};

use super::{Guardrails, Judged, Moment, Read};
use crate::caller::Caller;
use crate::ledger::{Answered, Event, FlipFields, Note};
use crate::modules::Counts;
use crate::policy::{Attempt, Decision, Policy, PolicyFailure, Verdict};
use crate::refusal::Refusal;
use crate::store::About;

/// Maximum queued comparisons.
const WAITING_MAX: usize = 1_024;
/// Maximum size of their contexts and plans together, in KiB: each may have 1 MiB, and a slow
/// candidate fills the queue.
const WAITING_KIB_MAX: usize = 64 << 10;
/// Comparisons per batch; their flips share a commit.
const BATCH: usize = 64;
/// Maximum flips recorded for one candidate since it became the shadow, or since the start; further
/// ones are only counted.
const FLIPS_KEPT_MAX: u64 = 10_000;

/// The queue of comparisons.
pub(super) struct Comparisons {
    waiting: mpsc::Sender<Waiting>,
    queue: Mutex<mpsc::Receiver<Waiting>>,
    room: Arc<Semaphore>,
}

/// A queued comparison, and its share of the size limit.
struct Waiting {
    compared: Compared,
    _room: OwnedSemaphorePermit,
}

/// The active policy's verdict, and the candidate to compare it with.
pub(super) struct Compared {
    pub(super) candidate: Policy,
    /// Where the comparison is counted: each shadow has its own counts.
    pub(super) counts: Arc<Counts>,
    pub(super) attempt: Arc<Attempt>,
    pub(super) judged: Judged,
    pub(super) action: Read,
}

/// The audit entry of a flip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flip {
    /// The entry's number.
    pub number: u64,
    /// The entry, JSON.
    pub entry: String,
}

impl Default for Comparisons {
    fn default() -> Self {
        let (waiting, queue) = mpsc::channel(WAITING_MAX);
        let room = Arc::new(Semaphore::new(WAITING_KIB_MAX));
        Self { waiting, queue: Mutex::new(queue), room }
    }
}

impl Comparisons {
    /// Queues a comparison, or drops it if the queue is full.
    pub(super) fn queue(&self, compared: Compared) {
        let counts = Arc::clone(&compared.counts);
        let kib = u32::try_from(compared.bytes() / 1_024 + 1).unwrap_or(u32::MAX);
        let waits = match Arc::clone(&self.room).try_acquire_many_owned(kib) {
            Ok(room) => self.waiting.try_send(Waiting { compared, _room: room }).is_ok(),
            Err(_) => false,
        };
        if !waits {
            counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Compared {
    fn bytes(&self) -> usize {
        self.attempt.context.len() + self.attempt.plan.as_ref().map_or(0, String::len)
    }
}

impl Guardrails {
    /// Runs queued comparisons until the server stops.
    pub async fn compare(&self, mut stopping: watch::Receiver<bool>) {
        let stopped = stopping.clone();
        let mut queue = self.comparisons.queue.lock().await;
        loop {
            let mut batch = Vec::with_capacity(BATCH);
            tokio::select! {
                _ = queue.recv_many(&mut batch, BATCH) => {}
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
            tokio::select! {
                // The process waits for the evaluation in progress, which fuel and time limit, but
                // not for the rest of the batch.
                () = self.compare_batch(batch, stopped.clone()) => {}
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
        }
    }

    /// Runs the queued comparisons once, for a process that handles one request and exits.
    pub async fn compare_queued(&self) {
        let mut queue = self.comparisons.queue.lock().await;
        let mut batch = Vec::new();
        while let Ok(compared) = queue.try_recv() {
            batch.push(compared);
        }
        drop(queue);
        let (_sender, stopped) = watch::channel(false);
        self.compare_batch(batch, stopped).await;
    }

    /// Lists the flips of a candidate with a number above `after`, in order.
    ///
    /// # Errors
    ///
    /// `store-unavailable`.
    pub async fn flips(
        &self,
        candidate: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Flip>, Refusal> {
        let about = About::named("shadow", candidate);
        let entries = self.ledger.store().entries_about(about, after, limit).await?;
        let flips = entries.into_iter().filter(|entry| is_flip(&entry.text));
        Ok(flips.map(|entry| Flip { number: entry.number, entry: entry.text }).collect())
    }

    async fn compare_batch(&self, batch: Vec<Waiting>, stopped: watch::Receiver<bool>) {
        let modules = Arc::clone(&self.modules);
        let evaluated = tokio::task::spawn_blocking(move || -> Vec<_> {
            // Comparisons with a shadow that ended or was replaced meanwhile are dropped.
            let counts = |compared: &Compared| {
                let slot = modules.policy_now();
                slot.shadow.is_some() && Arc::ptr_eq(&slot.counts, &compared.counts)
            };
            let evaluate = |Waiting { compared, _room }: Waiting| {
                (counts(&compared) && !*stopped.borrow()).then(|| {
                    let answer = compared.candidate.evaluate(&compared.attempt);
                    (compared, answer)
                })
            };
            let evaluated: Vec<_> = batch.into_iter().filter_map(evaluate).collect();
            evaluated.into_iter().filter(|(compared, _)| counts(compared)).collect()
        });
        let Ok(evaluated) = evaluated.await else { return };
        for (compared, _) in &evaluated {
            compared.counts.compared.fetch_add(1, Ordering::Relaxed);
        }
        let flipped = evaluated.iter().filter(|(compared, answer)| flips(&compared.judged, answer));
        // A flip that cannot be recorded is still counted, and no request fails because of it.
        join_all(flipped.map(|(compared, answer)| self.keep_flip(compared, answer))).await;
    }

    async fn keep_flip(&self, compared: &Compared, answer: &Result<Verdict, PolicyFailure>) {
        if answer.is_err() {
            compared.counts.failures.fetch_add(1, Ordering::Relaxed);
        }
        if compared.counts.flips.fetch_add(1, Ordering::Relaxed) >= FLIPS_KEPT_MAX {
            return;
        }
        if let Err(failure) = answer {
            tracing::warn!(
                policy = compared.candidate.digest(),
                cause = in_one_line(&failure.to_string()),
                "shadow policy failed"
            );
        }
        let note = Note::of(Event::ShadowFlipped(flip_fields(compared, answer)));
        let _ = self.ledger.note(&Caller::system(), note, None).await;
    }
}

/// Returns whether a candidate's answer differs from the effective verdict.
fn flips(judged: &Judged, answer: &Result<Verdict, PolicyFailure>) -> bool {
    let Ok(candidate) = answer else { return true };
    let denies = |verdict: &Verdict| verdict.decision == Decision::Deny;
    match judged.moment {
        // At a claim only `deny` has an effect.
        Moment::Claim(_) => denies(&judged.verdict) != denies(candidate),
        Moment::Evaluate | Moment::Request(_) => {
            judged.verdict.decision != candidate.decision
                || judged.verdict.requirement.clone().unwrap_or_default()
                    != candidate.requirement.clone().unwrap_or_default()
        }
    }
}

fn flip_fields<'a>(
    compared: &'a Compared,
    answer: &'a Result<Verdict, PolicyFailure>,
) -> FlipFields<'a> {
    let Compared { candidate, judged, action, .. } = compared;
    FlipFields {
        moment: judged.moment.as_str(),
        approval_id: judged.moment.approval().map(|id| id.to_string()),
        agent: &action.agent,
        action: &action.action,
        context_hash: &action.context_hash,
        plan_hash: action.plan_hash.as_deref(),
        active: judged.policy.as_deref().map(|policy| side(policy, &judged.verdict)),
        shadow: match answer {
            Ok(verdict) => side(candidate.digest(), verdict),
            Err(failure) => {
                Answered::Failure { policy: candidate.digest(), failure: failure.to_string() }
            }
        },
    }
}

fn side<'a>(policy: &'a str, verdict: &'a Verdict) -> Answered<'a> {
    Answered::Verdict {
        policy,
        decision: verdict.decision,
        rule: verdict.rule.as_deref(),
        requirement: verdict.requirement.as_ref(),
        failed: &verdict.failed,
    }
}

fn is_flip(entry: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Entry<'a> {
        #[serde(borrow)]
        event: Event<'a>,
    }
    #[derive(serde::Deserialize)]
    struct Event<'a> {
        event: &'a str,
    }
    serde_json::from_str::<Entry<'_>>(entry)
        .is_ok_and(|entry| entry.event.event == "shadow_flipped")
}
