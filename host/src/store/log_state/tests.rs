//! Compares the state with a simple model, and checks the entries that must be refused.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::approvals::Approvals;
use super::entry::{EntryParts, StateItem, write};
use super::*;
use crate::id::ApprovalId;
use signoff_core::log::tree;

fn id(number: u128) -> String {
    ApprovalId::from_u128(number).to_string()
}

fn approval(number: u128, status: Status, sha256: Hash, prev: u64) -> StateItem<'static> {
    StateItem {
        kind: RowKind::Approval,
        id: Cow::Owned(id(number)),
        status: Some(status),
        sha256: Some(sha256),
        prev,
    }
}

fn row(kind: RowKind, id: &'static str, sha256: Option<Hash>, prev: u64) -> StateItem<'static> {
    StateItem { kind, id: Cow::Borrowed(id), status: None, sha256, prev }
}

fn text(at: u64, state: &[StateItem<'_>]) -> String {
    write(at, r#"{"event":"x"}"#, "{}", state)
}

/// Folds entries one by one, and applies each immediately.
fn folded(entries: &[String]) -> Result<LogState, FoldError> {
    let mut state = LogState::default();
    for entry in entries {
        let mut pending = Pending::after(&state);
        pending.fold(&ReadEntry::of(entry))?;
        let delta = pending.finish();
        state.apply(delta);
    }
    Ok(state)
}

#[test]
fn an_entry_is_written_and_read_byte_for_byte() {
    let items =
        [approval(7, Status::Executed, [0xab; 32], 3), row(RowKind::Token, "tok_1", None, 2)];
    let written = write(1_764_379_253, r#"{"event":"x","a":1}"#, r#"{"verifier":"00"}"#, &items);
    assert_eq!(
        written,
        format!(
            r#"{{"format":2,"at":"2025-11-29T01:20:53Z","event":{{"event":"x","a":1}},"host":{{"verifier":"00"}},"state":[{{"kind":"approval","id":"{}","status":"executed","sha256":"{}","prev":3}},{{"kind":"token","id":"tok_1","sha256":null,"prev":2}}]}}"#,
            id(7),
            "ab".repeat(32)
        )
    );
    let parts = EntryParts::read(&written).unwrap();
    assert_eq!(parts.at, 1_764_379_253);
    assert_eq!(parts.state, items);
    assert_eq!(parts.hash_of(RowKind::Approval, &id(7)), Some([0xab; 32]));
    assert_eq!(parts.hash_of(RowKind::Approval, &id(8)), None);
    assert_eq!(parts.hash_of(RowKind::Token, "tok_1"), None);
}

#[test]
fn a_malformed_entry_is_refused() {
    let sound = text(5, &[approval(1, Status::Pending, [1; 32], 0)]);
    EntryParts::read(&sound).unwrap();
    let sha256 = "01".repeat(32);
    for (from, to) in [
        (r#""format":2"#, r#""format":1"#),
        (r#""format":2"#, r#""format":2,"more":1"#),
        (r#""format":2"#, r#""format":2,"format":2"#),
        (r#""at":"1970-01-01T00:00:05Z""#, r#""at":"yesterday""#),
        (r#""at":"1970-01-01T00:00:05Z""#, r#""at":"1969-12-31T23:59:59Z""#),
        (r#""host":{},"#, ""),
        (r#""kind":"approval""#, r#""kind":"approvals""#),
        (r#""status":"pending""#, r#""status":"open""#),
        (&format!(r#""sha256":"{sha256}""#), r#""sha256":"01""#),
        (r#""prev":0"#, r#""prev":-1"#),
        ("]}", "]"),
    ] {
        let changed = sound.replacen(from, to, 1);
        assert_ne!(changed, sound);
        EntryParts::read(&changed).unwrap_err();
    }
    EntryParts::read("").unwrap_err();
}

#[test]
fn a_log_leads_to_what_it_wrote_last() {
    let state = folded(&[
        text(10, &[approval(1, Status::Pending, [1; 32], 0)]),
        text(10, &[row(RowKind::Token, "t", Some([2; 32]), 0)]),
        text(12, &[]),
        text(13, &[approval(1, Status::Approved, [3; 32], 1)]),
        text(13, &[row(RowKind::Token, "t", None, 2), row(RowKind::Key, "k", Some([4; 32]), 0)]),
    ])
    .unwrap();
    assert_eq!((state.size(), state.at(), state.counts()), (5, 13, [0, 1, 0, 0, 0, 0]));
    let approval = state.approval(1).unwrap();
    assert_eq!((approval.status, approval.entry), (Some(Status::Approved), 4));
    assert!(approval.is(&[3; 32]) && !approval.is(&[1; 32]));
    assert_eq!(state.row(RowKind::Token, "t"), Some(RowState { sha256: None, entry: 5 }));
    assert_eq!(state.rows_after(RowKind::Token, "").count(), 0, "a removed row is not listed");
    let keys: Vec<_> = state.rows_after(RowKind::Key, "").collect();
    assert_eq!(keys, [("k", RowState { sha256: Some([4; 32]), entry: 5 })]);
    assert_eq!(state.row(RowKind::Key, "t"), None);
    assert!(state.unfinished_after(None).eq([1]) && state.unfinished_after(Some(1)).eq([]));
}

#[test]
fn finished_approvals_are_not_listed_as_unfinished() {
    let entries =
        Status::ALL.map(|status| text(10, &[approval(status as u128 + 1, status, [1; 32], 0)]));
    let state = folded(&entries).unwrap();
    assert!(state.approvals_after(None).eq(1..=6));
    assert!(state.unfinished_after(None).eq([1, 2]));
}

#[test]
fn an_entry_that_does_not_follow_is_refused() {
    let first = text(10, &[approval(1, Status::Pending, [1; 32], 0)]);
    let second = text(10, &[row(RowKind::Token, "t", Some([2; 32]), 0)]);
    for bad in [
        text(9, &[]),
        text(11, &[approval(1, Status::Approved, [3; 32], 0)]),
        text(11, &[approval(1, Status::Approved, [3; 32], 2)]),
        text(11, &[approval(2, Status::Approved, [3; 32], 1)]),
        text(11, &[row(RowKind::Token, "t", Some([3; 32]), 1)]),
        text(11, &[row(RowKind::Token, "u", Some([3; 32]), 2)]),
        // The same row twice in one entry.
        text(
            11,
            &[approval(1, Status::Approved, [3; 32], 1), approval(1, Status::Executed, [4; 32], 1)],
        ),
        text(
            11,
            &[row(RowKind::Slot, "s", Some([3; 32]), 0), row(RowKind::Slot, "s", Some([4; 32]), 3)],
        ),
        text(11, &[StateItem { status: None, ..approval(2, Status::Pending, [1; 32], 0) }]),
        text(11, &[StateItem { id: "appr_".into(), ..approval(2, Status::Pending, [1; 32], 0) }]),
        "{}".to_owned(),
    ] {
        let error = folded(&[first.clone(), second.clone(), bad.clone()]).unwrap_err();
        assert_eq!(error.number, 3, "{bad}");
    }
}

#[test]
fn the_tree_is_that_of_the_texts() {
    let entries: Vec<_> = (0..40).map(|at| text(at, &[])).collect();
    let state = folded(&entries).unwrap();
    let mut expected = Frontier::new();
    entries.iter().for_each(|entry| expected.add(tree::leaf(entry.as_bytes())));
    assert_eq!(*state.tree(), expected);
}

/// Below and above the number of entries read on two threads, and around its half.
#[test]
fn entries_are_read_in_order_and_a_wrong_one_is_named_on_either_thread() {
    let count = u64::try_from(pending::ONE_THREAD_MAX).unwrap() + 101;
    let approval = |n: u64| approval(n.into(), Status::Pending, [n as u8; 32], 0);
    let entries: Vec<_> = (1..=count).map(|n| text(n, &[approval(n)])).collect();
    let at_once = |entries: &[String]| {
        let base = LogState::default();
        let mut pending = Pending::after(&base);
        for entry in read_entries(entries) {
            pending.fold(&entry)?;
        }
        Ok::<_, FoldError>(pending.tree().root())
    };
    for len in [0, 1, pending::ONE_THREAD_MAX - 1, pending::ONE_THREAD_MAX, entries.len()] {
        let one_by_one = folded(&entries[..len]).unwrap().tree().root();
        assert_eq!(at_once(&entries[..len]).unwrap(), one_by_one, "{len} entries");
    }
    for wrong in [1, count / 2, count / 2 + 1, count] {
        let mut entries = entries.clone();
        entries[usize::try_from(wrong).unwrap() - 1].push('x');
        assert_eq!(at_once(&entries).unwrap_err().number, wrong);
    }
}

#[test]
fn a_saved_state_is_read_as_it_was_and_nothing_else_is_read() {
    let mut entries: Vec<_> = (1..=5_000_u32)
        .map(|n| text(10, &[approval(u128::from(n) * 7, Status::Pending, [n as u8; 32], 0)]))
        .collect();
    entries.push(text(11, &[row(RowKind::Token, "tok", Some([2; 32]), 0)]));
    entries.push(text(11, &[row(RowKind::Token, "tok", None, 5_001)]));
    entries.push(text(12, &[row(RowKind::Setting, "accept", Some([3; 32]), 0)]));
    let state = folded(&entries).unwrap();
    let bytes = saved::write(&state);
    let read = saved::read(&bytes, state.tree().clone()).unwrap();
    assert_eq!(format!("{read:?}"), format!("{state:?}"));
    assert!(saved::read(&bytes, Frontier::new()).is_none(), "of another size");
    for cut in [0, 1, 24, 25, 26, bytes.len() - 1] {
        assert!(saved::read(&bytes[..cut], state.tree().clone()).is_none(), "cut at {cut}");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert!(saved::read(&longer, state.tree().clone()).is_none());
}

/// Ids in an order that fills chunks at the end, in the middle and at the beginning.
#[test]
fn approvals_are_found_whatever_the_order_they_came_in() {
    let mut approvals = Approvals::default();
    let mut model = BTreeMap::new();
    let mut number = 1_u128;
    for turn in 0..30_000_u64 {
        number = match turn % 3 {
            0 => number + 1_000,
            1 => number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(turn.into()),
            _ => u128::from(turn),
        };
        let state = ApprovalState::new(Some(Status::Pending), turn, Some(&[turn as u8; 32]));
        approvals.put(number, state);
        model.insert(number, state);
    }
    assert_eq!(approvals.len(), model.len() as u64);
    assert!(approvals.iter().eq(model.iter().map(|(id, state)| (*id, *state))));
    for (id, state) in &model {
        assert_eq!(approvals.get(*id), Some(*state));
        assert_eq!(approvals.get(id ^ (1 << 127)), model.get(&(id ^ (1 << 127))).copied());
    }
    let middle = *model.keys().nth(12_345).unwrap();
    let after = approvals.after(Some(middle));
    assert!(after.eq(model.range(middle + 1..).map(|(id, state)| (*id, *state))));
    assert!(approvals.after(None).eq(model.iter().map(|(id, state)| (*id, *state))));
}

#[test]
fn an_approval_takes_42_bytes() {
    assert_eq!(Approvals::BYTES_EACH, 42);
    // Ids begin with the time, and concurrent writes arrive in any order.
    for run in [1, 2, 16, 64] {
        let mut approvals = Approvals::default();
        let count = 40_960_u64;
        for turn in 0..count {
            let number = turn - turn % run + (run - 1 - turn % run);
            approvals.put(number.into(), ApprovalState::new(None, turn, None));
        }
        let least = 42 * usize::try_from(count).unwrap();
        assert!(approvals.bytes() * 100 <= least * 115, "{run}: {} of {least}", approvals.bytes());
    }
    // The reverse order costs at most twice that.
    let mut approvals = Approvals::default();
    for turn in (0..40_960_u64).rev() {
        approvals.put(turn.into(), ApprovalState::new(None, turn, None));
    }
    assert!(approvals.bytes() <= 42 * 2 * 45_056, "{}", approvals.bytes());
}
