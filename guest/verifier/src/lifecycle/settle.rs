//! `settle`: records how a claimed execution ended.

use std::borrow::Cow;

use serde::Deserialize;

use super::entry::Entry;
use super::event::Report;
use super::{Transition, Update};
use crate::record::{Execution, Outcome, Record};
use crate::rejection::{Code, Rejection};
use crate::time::UnixSeconds;

/// The arguments of `lifecycle.settle`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the parameters of the function in wit/lifecycle.wit")]
pub struct Settle<'a> {
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    #[serde(default)]
    pub approval: Option<Cow<'a, str>>,
    pub outcome: Cow<'a, str>,
    pub now: u64,
}

impl Settle<'_> {
    /// Records an outcome; see `lifecycle.settle` in `wit/` for shapes and rejections.
    pub fn run(&self) -> Result<Update, Rejection> {
        let report = Report::read(&self.outcome)?;
        let now = UnixSeconds::new(self.now)?;
        let mut record = Record::read(&self.id, self.approval.as_deref())?;
        let erased = record.erased.is_some();
        let execution = of_report(&mut record, &report)?;
        if execution.outcome == report.outcome {
            return Update::none(&record, now);
        }
        if erased {
            return Err(Rejection::new(
                Code::AlreadyErased,
                "the approval was erased, so its outcome can no longer change",
            ));
        }
        if !execution.outcome.is_open() {
            return Err(Rejection::new(
                Code::AlreadySettled,
                format!("the outcome is already `{}`", execution.outcome.as_str()),
            ));
        }
        execution.late = execution.outcome_at(now) == Outcome::Unknown;
        execution.outcome = report.outcome;
        execution.detail = report.detail.as_ref().map(ToString::to_string);
        execution.settled_at = Some(now);
        let late = execution.late;
        let request_digest = record.request_digest()?;
        let entry = Entry {
            actor: Some(report.actor.subject.as_str()),
            from: Some(record.status),
            execution_id: Some(report.execution_id.as_str()),
            outcome: Some(report.outcome),
            late: Some(late),
            ..Entry::new("execution_settled", &record, &request_digest, now)
        };
        Transition::new(&record, &entry).map(Into::into)
    }
}

/// Returns the execution that a report is about.
///
/// Rejections: 1. `execution-mismatch` 2. `forbidden`
fn of_report<'a>(record: &'a mut Record, report: &Report) -> Result<&'a mut Execution, Rejection> {
    let execution = record
        .execution
        .as_mut()
        .filter(|execution| execution.id == report.execution_id.as_str())
        .ok_or_else(|| {
            Rejection::new(
                Code::ExecutionMismatch,
                format!("`{}` is not the execution of this approval", report.execution_id),
            )
        })?;
    if !report.actor.admin && report.actor.subject.as_str() != execution.claimed_by {
        return Err(Rejection::new(
            Code::Forbidden,
            "only the subject that claimed the execution, or an admin, may report its outcome",
        ));
    }
    Ok(execution)
}
