//! The gate: one event in, one answer out, within a time limit. Every failure blocks the tool.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::GateArgs;
use super::answer::{Verdict, block, block_with};
use super::deciding::Deciding;
use super::event::Harness;
use crate::cli::Global;
use crate::cli::execution::{report_outcome, withdraw};
use crate::cli::exit::Exit;
use crate::cli::tool_use::{States, Use};
use crate::cli::transport::{Target, Transport};

/// Time for everything after the answer: to withdraw a request, and to report an execution.
pub(super) const CLEAN_UP: Duration = Duration::from_secs(20);

/// What to do while an approval is pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum OnPending {
    /// Wait for the decision, until --timeout
    Wait,
    /// Deny at once; the same call later finds the same approval
    Deny,
    /// Let Claude Code stop; it asks again when the session is resumed
    Defer,
}

/// A gate, with all that it needs.
pub(super) struct Gate {
    pub(super) harness: Harness,
    pub(super) args: GateArgs,
    /// The name of the event, for one that does not have it.
    pub(super) event: Option<String>,
    pub(super) global: Global,
    pub(super) target: Target,
}

/// What the thread that decides shares with the one that keeps the time.
#[derive(Default)]
pub(super) struct Shared {
    /// The answer is given: nothing may be claimed any more.
    pub(super) stopped: AtomicBool,
    /// The event is one before a tool.
    pub(super) before: AtomicBool,
    /// The request that nobody waits for after that.
    pub(super) requested: Mutex<Option<Requested>>,
}

impl Shared {
    /// Takes the request over. Who has it withdraws it.
    pub(super) fn take_requested(&self) -> Option<Requested> {
        self.requested.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A request that is pending.
pub(super) struct Requested {
    pub(super) transport: Arc<Transport>,
    pub(super) id: String,
    /// What is known of it, if it is found by its content.
    pub(super) state: Option<(String, Use)>,
}

/// The end of a decision.
pub(super) struct Concluded {
    pub(super) verdict: Verdict,
    pub(super) claimed: Option<Claimed>,
}

/// An execution whose tool has not run yet.
pub(super) struct Claimed {
    pub(super) transport: Arc<Transport>,
    pub(super) id: String,
    pub(super) execution: String,
}

enum Ended<T> {
    Done(T),
    Panicked,
    TimedOut,
    Interrupted,
}

/// Answers the event on standard input. The exit code is 0 or 2.
pub(super) fn run(gate: Gate) -> Exit {
    let mut watch = match Watch::new() {
        Ok(watch) => watch,
        Err(e) => return block(&e.into()),
    };
    let harness = gate.harness;
    let limit = Duration::from_secs(gate.args.timeout.unsigned_abs());
    let waits = gate.args.on_pending == OnPending::Wait;
    let shared = Arc::new(Shared::default());
    let theirs = Arc::clone(&shared);
    let mut ended = started(move || {
        let deciding = Deciding { started: Instant::now(), gate, shared: theirs };
        deciding.decide()
    });
    let why = match watch.wait(&mut ended, limit) {
        Ended::Done(Err(failure)) => return block(&failure),
        Ended::Panicked => {
            return block_with("signoff failed; this is a defect, please report it");
        }
        Ended::Done(Ok(concluded)) => {
            return concluded.verdict.print(harness).unwrap_or_else(|exit| {
                let why = "the answer could not be given to the coding agent";
                watch.fail(concluded.claimed, why, Instant::now() + CLEAN_UP);
                exit
            });
        }
        Ended::TimedOut if shared.before.load(Ordering::SeqCst) => {
            format!("nobody decided within {} s; make the call again to ask again", limit.as_secs())
        }
        Ended::TimedOut => format!("the event was not handled within {} s", limit.as_secs()),
        Ended::Interrupted => "the gate was interrupted".to_owned(),
    };
    shared.stopped.store(true, Ordering::SeqCst);
    let end = Instant::now() + CLEAN_UP;
    let exit = match shared.before.load(Ordering::SeqCst) {
        true => Verdict::Deny(why).print(harness).unwrap_or_else(|exit| exit),
        // After a tool, and for an event that was not read, a denial has no meaning.
        false => block_with(&why),
    };
    if let (true, Some(requested)) = (waits, shared.take_requested()) {
        watch.wait_until(&mut started(move || requested.withdraw()), end);
    }
    if let Ended::Done(Ok(Concluded { claimed, .. })) = watch.wait_until(&mut ended, end) {
        watch.fail(claimed, "the time limit had passed", end);
    }
    exit
}

/// Starts a thread. It is not joined: the process ends when the answer is given.
fn started<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> oneshot::Receiver<T> {
    let (done, ended) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = done.send(work());
    });
    ended
}

/// The signals that end processes, and the time.
struct Watch {
    runtime: Runtime,
    signals: [Signal; 3],
}

impl Watch {
    /// Takes the signals over.
    fn new() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let context = runtime.enter();
        let signals = [
            signal(SignalKind::hangup())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        ];
        drop(context);
        Ok(Self { runtime, signals })
    }

    /// Waits for the end of a thread, a time limit or a signal.
    fn wait<T>(&mut self, ended: &mut oneshot::Receiver<T>, limit: Duration) -> Ended<T> {
        let [hangup, interrupt, terminate] = &mut self.signals;
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                done = ended => done.map_or(Ended::Panicked, Ended::Done),
                () = tokio::time::sleep(limit) => Ended::TimedOut,
                _ = hangup.recv() => Ended::Interrupted,
                _ = interrupt.recv() => Ended::Interrupted,
                _ = terminate.recv() => Ended::Interrupted,
            }
        })
    }

    fn wait_until<T>(&mut self, ended: &mut oneshot::Receiver<T>, end: Instant) -> Ended<T> {
        self.wait(ended, end.saturating_duration_since(Instant::now()))
    }

    /// Reports until a time that the tool of an execution does not run.
    fn fail(&mut self, claimed: Option<Claimed>, why: &'static str, end: Instant) {
        if let Some(claimed) = claimed {
            self.wait_until(&mut started(move || claimed.failed(why)), end);
        }
    }
}

impl Requested {
    /// Withdraws it, and forgets it, so that the next call makes another one.
    pub(super) fn withdraw(&self) {
        if let Some((key, known)) = &self.state {
            // The tool is blocked already.
            let _ = States::open("hook").and_then(|states| states.forget(key, known));
        }
        withdraw(&self.transport, &self.id);
    }
}

impl Claimed {
    /// Reports that the tool does not run.
    pub(super) fn failed(&self, why: &str) {
        report_outcome(&self.transport, &self.id, &self.execution, "failed", Some(why));
    }
}

impl From<Verdict> for Concluded {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, claimed: None }
    }
}
