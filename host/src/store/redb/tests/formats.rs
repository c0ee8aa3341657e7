//! The bytes of format 3. A store written by any release must stay readable: if one of these
//! changes, the format needs a new number, and format 3 must stay readable too.

use super::super::format::{self, Filter};
use super::super::rows::{self, ApprovalRow};
use super::*;

fn sample() -> Summary {
    Summary {
        id: id(1),
        status: Status::Rejected,
        agent: "agent:é".to_owned(),
        action: "pay".to_owned(),
        requested_at: 0x0102_0304,
        expires_at: 0x0506_0708,
        due_at: Some(9),
    }
}

const APPROVAL: &str = concat!(
    "01",
    "02",
    "01",
    "0000000001020304",
    "0000000005060708",
    "0000000000000009",
    "0606060606060606060606060606060606060606060606060606060606060606",
    "00000008",
    "00000003",
    "6167656e743ac3a9",
    "706179",
    "7b7d"
);
const TEXTS: &str = concat!("01", "01", "00000002", "7b7d", "5b5d");
const TEXTS_WITHOUT_PLAN: &str = concat!("01", "00", "00000002", "7b7d");
const ENTRY: &str = concat!("01", "7b7d");
const BLOB: &str = concat!("01", "ff00");
const ANSWER: &str = concat!(
    "01",
    "0000000000000011",
    "0707070707070707070707070707070707070707070707070707070707070707",
    "00c9",
    "0000000000000005",
    "7b226174223a20357d"
);
/// `sha256(pack('>Q', 3) + b'key' + pack('>Q', 6) + b'2025q4')`, the first half.
const NAMED: &str = "2f7193a6b1a7890cfae9e0e1f925167c";

#[test]
fn rows_are_written_byte_for_byte() {
    let mut row = Vec::new();
    let summary = sample();
    ApprovalRow::new(&summary, [6; 32], "{}").encode(&mut row).unwrap();
    assert_eq!(hex::encode(&row), APPROVAL);
    let mut texts = Texts { context: "{}".to_owned(), plan: Some("[]".to_owned()) };
    rows::encode_texts(&texts, &mut row).unwrap();
    assert_eq!(hex::encode(&row), TEXTS);
    texts.plan = None;
    rows::encode_texts(&texts, &mut row).unwrap();
    assert_eq!(hex::encode(&row), TEXTS_WITHOUT_PLAN);
    rows::encode_text("{}", &mut row);
    assert_eq!(hex::encode(&row), ENTRY);
    rows::encode_blob(&[0xff, 0], &mut row);
    assert_eq!(hex::encode(&row), BLOB);
    rows::encode_answer(&answer(5), 17, &mut row);
    assert_eq!(hex::encode(&row), ANSWER);
    assert_eq!(hex::encode(rows::answer_value(&row)), ANSWER[18..]);
}

#[test]
fn rows_are_read_byte_for_byte() {
    let bytes = |text: &str| hex::decode(text).unwrap();
    let summary = sample();
    let approval = ApprovalRow::new(&summary, [6; 32], "{}");
    assert_eq!(ApprovalRow::decode(&bytes(APPROVAL)), Some(approval));
    let texts = Texts { context: "{}".to_owned(), plan: Some("[]".to_owned()) };
    assert_eq!(rows::decode_texts(&bytes(TEXTS)), Some(texts.clone()));
    let without_plan = Texts { plan: None, ..texts };
    assert_eq!(rows::decode_texts(&bytes(TEXTS_WITHOUT_PLAN)), Some(without_plan));
    assert_eq!(rows::decode_text(&bytes(ENTRY)), Some("{}"));
    assert_eq!(rows::decode_blob(&bytes(BLOB)), Some(&[0xff, 0][..]));
    assert_eq!(rows::decode_answer(&bytes(ANSWER)), Some((17, stored_answer(5, 17))));
}

#[test]
fn a_row_of_another_format_or_cut_short_is_not_read() {
    for text in [APPROVAL, TEXTS, ENTRY, ANSWER] {
        let mut row = hex::decode(text).unwrap();
        for end in 0..row.len().min(51) {
            assert_eq!(ApprovalRow::decode(&row[..end]), None);
            assert_eq!(rows::decode_answer(&row[..end]), None);
        }
        row[0] = 3;
        assert_eq!(ApprovalRow::decode(&row), None);
        assert_eq!(rows::decode_texts(&row), None);
        assert_eq!(rows::decode_text(&row), None);
        assert_eq!(rows::decode_answer(&row), None);
    }
}

#[test]
fn values_out_of_range_are_not_read() {
    let changed = |text: &str, at: usize, byte: u8| {
        let mut row = hex::decode(text).unwrap();
        row[at] = byte;
        row
    };
    assert_eq!(ApprovalRow::decode(&changed(APPROVAL, 1, 6)), None, "a seventh status");
    assert_eq!(ApprovalRow::decode(&changed(APPROVAL, 2, 2)), None, "neither yes nor no");
    assert_eq!(ApprovalRow::decode(&changed(APPROVAL, 59, 1)), None, "longer than the row");
    assert_eq!(ApprovalRow::decode(&changed(APPROVAL, 73, 0xff)), None, "not UTF-8");
    assert_eq!(rows::decode_texts(&changed(TEXTS, 5, 9)), None, "longer than the row");
    assert_eq!(rows::decode_text(&changed(ENTRY, 1, 0xff)), None, "not UTF-8");
}

#[test]
fn keys_are_written_byte_for_byte() {
    let id = 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10;
    let names = format::list_names("agent:a", "pay").map(hex::encode);
    let expected =
        ["000000000000000000", "011e9fe7e7c72b789c", "02b6bb85119e49f348", "034638a288392ec0a8"];
    assert_eq!(names, expected);
    let name = Filter::new(None, None).name();
    let key = format::list_key(Status::Withdrawn, &name, id);
    assert_eq!(hex::encode(key), "050000000000000000000102030405060708090a0b0c0d0e0f10");
    assert_eq!(format::id_of(&key), Some(id));
    let key = format::due_key(0xff, id);
    assert_eq!(hex::encode(key), "00000000000000ff0102030405060708090a0b0c0d0e0f10");
    let key = format::about_key(About(id), 0xff);
    assert_eq!(hex::encode(key), "0102030405060708090a0b0c0d0e0f1000000000000000ff");
    assert_eq!(format::number_of(&key), Some(0xff));
    let named = About::named("key", "2025q4");
    let digest = "SHA-256 of two lengths and two texts";
    assert_eq!(format!("{:032x}", named.0), NAMED, "{digest}");
    assert_ne!(named, About::named("key2", "025q4"));
    let key = format::answer_time_key(0xff, &[3; 32]);
    assert_eq!(hex::encode(key), format!("00000000000000ff{}", "03".repeat(32)));
    assert_eq!(format::scope_of(&key), Some([3; 32]));
}
