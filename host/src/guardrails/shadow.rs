//! The shadow: a candidate policy that evaluates the same attempts as the active policy, without
//! effect.
//!
//! The real answer never waits for it. Comparisons wait in a separate queue; if it is full, they
//! are counted and dropped. A verdict that the candidate would have changed is a *flip*: counted,
//! and recorded as a separate kind of audit entry, so that it is never mistaken for an effective
//! verdict.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, watch};

use signoff_core::deceptive::in_one_line;

use crate::caller::Caller;
use crate::guardrails::{Judged, Moment, Read};
use crate::ledger::Note;
use crate::policy::Attempt;
use crate::policy::{Decision, Policy, PolicyFailure, Verdict};
use crate::refusal::Refusal;
use crate::service::Service;
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
/// The event of a flip's audit entry.
const EVENT: &str = "shadow_flipped";

/// The queue of comparisons, and counts of the completed ones.
pub(crate) struct Shadow {
    waiting: mpsc::Sender<Waiting>,
    queue: Mutex<mpsc::Receiver<Waiting>>,
    room: Arc<Semaphore>,
    /// The digest of the current shadow. Queued comparisons for another one are skipped.
    current: Arc<RwLock<Option<String>>>,
    compared: AtomicU64,
    flips: AtomicU64,
    failures: AtomicU64,
    dropped: AtomicU64,
}

/// A queued comparison, and its share of the size limit.
struct Waiting {
    compared: Compared,
    _room: OwnedSemaphorePermit,
}

/// The active policy's verdict, and the candidate to compare it with.
pub(crate) struct Compared {
    pub(crate) candidate: Policy,
    pub(crate) attempt: Arc<Attempt>,
    pub(crate) judged: Judged,
    pub(crate) action: Read,
}

/// Counts of the shadow since it became one, or since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShadowCounts {
    /// Attempts that the candidate evaluated too.
    pub compared: u64,
    /// Attempts on which the candidate differs.
    pub flips: u64,
    /// Attempts on which the candidate failed; each is a flip too.
    pub failures: u64,
    /// Attempts that were dropped because the queue was full.
    pub dropped: u64,
}

/// The audit entry of a flip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flip {
    /// The entry's number.
    pub number: u64,
    /// The entry, JSON.
    pub entry: String,
}

impl Default for Shadow {
    fn default() -> Self {
        let (waiting, queue) = mpsc::channel(WAITING_MAX);
        Self {
            waiting,
            queue: Mutex::new(queue),
            room: Arc::new(Semaphore::new(WAITING_KIB_MAX)),
            current: Arc::default(),
            compared: AtomicU64::new(0),
            flips: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }
}

impl Shadow {
    /// Queues a comparison, or drops it if the queue is full.
    pub(crate) fn compare(&self, compared: Compared) {
        let kib = u32::try_from(compared.bytes() / 1_024 + 1).unwrap_or(u32::MAX);
        let waits = match Arc::clone(&self.room).try_acquire_many_owned(kib) {
            Ok(room) => self.waiting.try_send(Waiting { compared, _room: room }).is_ok(),
            Err(_) => false,
        };
        if !waits {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sets the current shadow and resets the counts; `None` ends shadowing and keeps the counts.
    pub(crate) fn set_current(&self, candidate: Option<&str>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) =
            candidate.map(str::to_owned);
        if candidate.is_some() {
            for count in [&self.compared, &self.flips, &self.failures, &self.dropped] {
                count.store(0, Ordering::Relaxed);
            }
        }
    }
}

impl Compared {
    fn bytes(&self) -> usize {
        self.attempt.context.len() + self.attempt.plan.as_ref().map_or(0, String::len)
    }
}

impl Service {
    /// Runs queued comparisons until the server stops.
    pub async fn shadow(&self, mut stopping: watch::Receiver<bool>) {
        let mut queue = self.shadow.queue.lock().await;
        loop {
            let mut batch = Vec::with_capacity(BATCH);
            tokio::select! {
                _ = queue.recv_many(&mut batch, BATCH) => {}
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
            tokio::select! {
                () = self.compare(batch) => {}
                // The process waits for the evaluation in progress, which fuel and time limit, but
                // not for the rest of the batch.
                _ = stopping.wait_for(|stopping| *stopping) => return self.shadow.set_current(None),
            }
        }
    }

    /// Runs the queued comparisons once, for a process that handles one request and exits.
    pub async fn shadow_once(&self) {
        let mut queue = self.shadow.queue.lock().await;
        let mut batch = Vec::new();
        while let Ok(compared) = queue.try_recv() {
            batch.push(compared);
        }
        drop(queue);
        self.compare(batch).await;
    }

    /// Returns the counts of the shadow since it became one, or since the start.
    pub fn shadow_counts(&self) -> ShadowCounts {
        let count = |n: &AtomicU64| n.load(Ordering::Relaxed);
        ShadowCounts {
            compared: count(&self.shadow.compared),
            flips: count(&self.shadow.flips),
            failures: count(&self.shadow.failures),
            dropped: count(&self.shadow.dropped),
        }
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
        let entries = self.store.entries_about(about, after, limit).await?;
        let flips = entries.into_iter().filter(|entry| is_flip(&entry.text));
        Ok(flips.map(|entry| Flip { number: entry.number, entry: entry.text }).collect())
    }

    async fn compare(&self, batch: Vec<Waiting>) {
        let current = Arc::clone(&self.shadow.current);
        let evaluated = tokio::task::spawn_blocking(move || -> Vec<_> {
            let evaluate = |Waiting { compared, _room }: Waiting| {
                is_current(&current, &compared).then(|| {
                    let answer = compared.candidate.evaluate(&compared.attempt);
                    (compared, answer)
                })
            };
            let evaluated: Vec<_> = batch.into_iter().filter_map(evaluate).collect();
            // Drops verdicts of a candidate that was replaced meanwhile.
            evaluated.into_iter().filter(|(compared, _)| is_current(&current, compared)).collect()
        });
        let Ok(evaluated) = evaluated.await else { return };
        self.shadow.compared.fetch_add(evaluated.len() as u64, Ordering::Relaxed);
        let flipped = evaluated.iter().filter(|(compared, answer)| flips(&compared.judged, answer));
        // A flip that cannot be recorded is still counted, and no request fails because of it.
        join_all(flipped.map(|(compared, answer)| self.keep_flip(compared, answer))).await;
    }

    async fn keep_flip(&self, compared: &Compared, answer: &Result<Verdict, PolicyFailure>) {
        if answer.is_err() {
            self.shadow.failures.fetch_add(1, Ordering::Relaxed);
        }
        if self.shadow.flips.fetch_add(1, Ordering::Relaxed) >= FLIPS_KEPT_MAX {
            return;
        }
        if let Err(failure) = answer {
            let policy = compared.candidate.digest();
            tracing::warn!(
                policy,
                cause = in_one_line(&failure.to_string()),
                "shadow policy failed"
            );
        }
        let Ok(now) = self.now_to_write() else { return };
        let note = Note {
            event: EVENT,
            rows: Vec::new(),
            fields: flip_fields(compared, answer).to_string(),
            guardrail: None,
            answer: None,
        };
        let _ = self.keep_note(&Caller::system(), note, None, now).await;
    }
}

fn is_current(current: &RwLock<Option<String>>, compared: &Compared) -> bool {
    let current = current.read().unwrap_or_else(PoisonError::into_inner);
    current.as_deref() == Some(compared.candidate.digest())
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

fn flip_fields(compared: &Compared, answer: &Result<Verdict, PolicyFailure>) -> Value {
    let Compared { candidate, judged, action, .. } = compared;
    let shadow = match answer {
        Ok(verdict) => side(candidate.digest(), verdict),
        Err(failure) => json!({ "policy": candidate.digest(), "failure": failure.to_string() }),
    };
    json!({
        "moment": judged.moment.as_str(),
        "approval_id": judged.moment.approval().map(|id| id.to_string()),
        "agent": action.agent,
        "action": action.action,
        "context_hash": action.context_hash,
        "plan_hash": action.plan_hash,
        "active": judged.policy.as_deref().map(|policy| side(policy, &judged.verdict)),
        "shadow": shadow,
    })
}

fn side(policy: &str, verdict: &Verdict) -> Value {
    json!({
        "policy": policy,
        "decision": verdict.decision,
        "rule": verdict.rule,
        "requirement": verdict.requirement,
        "failed": verdict.failed,
    })
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
    serde_json::from_str::<Entry<'_>>(entry).is_ok_and(|entry| entry.event.event == EVENT)
}
