//! Groups of edits that an attacker would make for one purpose. They are made in one stopped store, and a
//! server of that store shows whether they have an effect.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use signoff::id::ApprovalId;
use signoff::identity::token::Token;

use super::edits::approval_id;
use super::scene::{CARL, KEY, NAMES, Scene, path};
use super::tables::{Contents, Table, Write};
use crate::support::{id, text};

/// Edits with one purpose.
pub struct Group {
    pub name: &'static str,
    pub writes: Vec<Write>,
    /// Tokens that they insert.
    pub intruders: Vec<String>,
    /// Whether the keyring is restored too, to before Carl's key was revoked.
    pub with_old_keyring: bool,
}

impl Group {
    fn new(name: &'static str, writes: Vec<Write>) -> Self {
        assert!(!writes.is_empty(), "{name} edits nothing");
        Self { name, writes, intruders: Vec::new(), with_old_keyring: false }
    }
}

/// Returns every group of a scene.
pub fn all(scene: &Scene) -> Vec<Group> {
    let (now, old) = (&scene.rows, &scene.old_rows);
    let mut groups = vec![
        Group::new("approvals as they were, row alone", as_it_was(old, now, &[Table::Approvals])),
        Group::new(
            "approvals as they were, with every index",
            as_it_was(old, now, &[Table::Approvals, Table::Lists, Table::Due, Table::Abouts]),
        ),
        Group::new(
            "all but the log as it was",
            as_it_was(
                old,
                now,
                &[
                    Table::Approvals,
                    Table::Texts,
                    Table::Lists,
                    Table::Due,
                    Table::Abouts,
                    Table::Rows,
                    Table::Answers,
                    Table::AnswerTimes,
                ],
            ),
        ),
        Group {
            with_old_keyring: true,
            ..Group::new("the host's rows and the keyring as they were", rows_as_they_were(scene))
        },
        inserted(scene),
        Group::new("no token", removed(now, "token/")),
        Group::new("no row of the host", removed(now, "")),
        Group::new("no index", cleared(now, &[Table::Lists, Table::Due, Table::Abouts])),
        Group::new("no approval", cleared(now, &[Table::Approvals, Table::Lists, Table::Due])),
        Group::new("no texts", cleared(now, &[Table::Texts])),
        Group::new("no answers", cleared(now, &[Table::Answers, Table::AnswerTimes])),
        Group::new("no modules", cleared(now, &[Table::Blobs])),
        Group::new("swapped rows", swapped(scene)),
        Group::new("changed fields", changed(scene)),
        Group::new("changed columns", columns(scene)),
        Group::new("indexes with other keys", rekeyed(scene)),
    ];
    groups.push(Group {
        with_old_keyring: true,
        ..Group::new("a key that is active again", vec![key_active_again(scene)])
    });
    groups
}

fn as_it_was(old: &Contents, now: &Contents, tables: &[Table]) -> Vec<Write> {
    old.writes_from(now, tables)
}

fn rows_as_they_were(scene: &Scene) -> Vec<Write> {
    as_it_was(&scene.old_rows, &scene.rows, &[Table::Rows])
}

fn removed(now: &Contents, prefix: &str) -> Vec<Write> {
    let keys = now.rows(Table::Rows).keys().filter(|key| key.starts_with(prefix.as_bytes()));
    keys.map(|key| (Table::Rows, key.clone(), None)).collect()
}

fn cleared(now: &Contents, tables: &[Table]) -> Vec<Write> {
    Contents::default_of(tables).writes_from(now, tables)
}

/// Inserts rows that never existed: tokens of every role, a copy of an approval, keys, a module, an
/// active policy, and the kept answers of another executor's claims.
fn inserted(scene: &Scene) -> Group {
    let mut writes = Vec::new();
    let mut intruders = Vec::new();
    for (at, like) in scene.rows.rows(Table::Rows).iter().filter(is_token).enumerate() {
        let token = Token::generate();
        let mut row = json_of(like.1);
        let new = format!("tok_{:032x}", at + 1);
        row["id"] = json!(new);
        row["hash"] = json!(token.hash());
        row["subject"] = json!("eve@example.com");
        row["roles"] = json!(["admin", "approver", "executor", "requester"]);
        row["revoked_at"] = Value::Null;
        writes.push((Table::Rows, format!("token/{new}").into_bytes(), Some(row_of(&row))));
        intruders.push(token.expose().to_owned());
    }
    let (key, row) = approval_row(scene, "approved");
    let copy = ApprovalId::from_u128(approval_id(&key).to_u128() + 1);
    let text = String::from_utf8_lossy(&row[67..])
        .replace(&approval_id(&key).to_string(), &copy.to_string());
    let copied = [&row[..67], text.as_bytes()].concat();
    let copied_key = copy.to_u128().to_le_bytes().to_vec();
    writes.push((Table::Approvals, copied_key.clone(), Some(copied)));
    let texts = scene.rows.row(Table::Texts, &key).to_vec();
    writes.push((Table::Texts, copied_key, Some(texts)));
    let key = json_of(scene.rows.row(Table::Rows, b"key/ann"));
    for (kind, id) in [("key", "eve"), ("setting", "accept"), ("session", "eve")] {
        writes.push((Table::Rows, format!("{kind}/{id}").into_bytes(), Some(row_of(&key))));
    }
    for name in ["claimed", "succeeded", "failed"] {
        let path = path(scene.approval(name), "execute");
        let theirs = scope("executor@company.com", &path, KEY);
        let answer = scene.rows.row(Table::Answers, &theirs).to_vec();
        let mine = scope("second@example.com", &path, KEY);
        writes.push((Table::AnswerTimes, [&answer[43..51], &mine].concat(), Some(Vec::new())));
        writes.push((Table::Answers, mine.to_vec(), Some(answer)));
    }
    Group { intruders, ..Group::new("inserted rows", writes) }
}

fn is_token((key, _): &(&Vec<u8>, &Vec<u8>)) -> bool {
    key.starts_with(b"token/")
}

/// Swaps each row with another one of its kind.
fn swapped(scene: &Scene) -> Vec<Write> {
    let mut writes = Vec::new();
    let of = |name: &str| approval_id_key(scene, name);
    let mut swap = |table: Table, one: &[u8], other: &[u8]| {
        let (first, second) = (scene.rows.row(table, one), scene.rows.row(table, other));
        writes.push((table, one.to_vec(), Some(second.to_vec())));
        writes.push((table, other.to_vec(), Some(first.to_vec())));
    };
    swap(Table::Approvals, &of("approved"), &of("claimed"));
    swap(Table::Approvals, &of("planned"), &of("succeeded"));
    swap(Table::Texts, &of("pending"), &of("rejected"));
    swap(Table::Texts, &of("half"), &of("failed"));
    let tokens: Vec<&Vec<u8>> =
        scene.rows.rows(Table::Rows).iter().filter(is_token).map(|(key, _)| key).collect();
    for pair in tokens.chunks_exact(2) {
        swap(Table::Rows, pair[0], pair[1]);
    }
    swap(Table::Rows, b"key/ann", b"key/carl");
    let [first, second] = scene.policies.each_ref().map(|digest| hex::decode(digest).unwrap());
    swap(Table::Blobs, &first, &second);
    let [first, second] = scene.policies.each_ref().map(|digest| format!("module/{digest}"));
    swap(Table::Rows, first.as_bytes(), second.as_bytes());
    let claimed = scope("executor@company.com", &path(scene.approval("claimed"), "execute"), KEY);
    let failed = scope("executor@company.com", &path(scene.approval("failed"), "execute"), KEY);
    swap(Table::Answers, &claimed, &failed);
    writes
}

/// Changes one field of each row, to the advantage of a caller.
fn changed(scene: &Scene) -> Vec<Write> {
    let mut writes = vec![key_active_again(scene)];
    for (key, value) in scene.rows.rows(Table::Rows).iter().filter(is_token) {
        let mut row = json_of(value);
        if !row["revoked_at"].is_null() {
            row["revoked_at"] = Value::Null;
            row["revoked_by"] = Value::Null;
        } else if row["roles"] == json!(["admin"]) {
            row["subject"] = json!("somebody");
        } else {
            row["roles"] = json!(["requester", "approver", "executor", "admin"]);
        }
        writes.push((Table::Rows, key.clone(), Some(row_of(&row))));
    }
    let mut slot = json_of(scene.rows.row(Table::Rows, b"slot/policy"));
    slot["active"] = json!(scene.policies[0]);
    writes.push((Table::Rows, b"slot/policy".to_vec(), Some(row_of(&slot))));
    for name in NAMES {
        let key = approval_id_key(scene, name);
        let texts = replaced(scene.rows.row(Table::Texts, &key), name, &"x".repeat(name.len()));
        writes.push((Table::Texts, key, Some(texts)));
    }
    for (key, answer) in scene.rows.rows(Table::Answers) {
        let body: Value = serde_json::from_slice(&answer[51..]).unwrap();
        let other = replaced(answer, text(&body, "id"), id(scene.approval("approved")));
        if other == *answer {
            continue;
        }
        writes.push((Table::Answers, key.clone(), Some(other)));
    }
    let digest = hex::decode(&scene.policies[1]).unwrap();
    let mut bytes = scene.rows.row(Table::Blobs, &digest).to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    writes.push((Table::Blobs, digest, Some(bytes)));
    writes
}

/// Changes one column of each approval, and the same field in its record.
fn columns(scene: &Scene) -> Vec<Write> {
    let mut writes = Vec::new();
    let mut column = |name: &str, edit: &dyn Fn(&mut Vec<u8>)| {
        let (key, mut row) = approval_row(scene, name);
        edit(&mut row);
        assert_ne!(row, scene.rows.row(Table::Approvals, &key), "{name}");
        writes.push((Table::Approvals, key, Some(row)));
    };
    let record = |row: &mut Vec<u8>, from: &str, to: &str| *row = replaced(row, from, to);
    column("claimed", &|row| row[1] = 1);
    column("succeeded", &|row| {
        row[1] = 1;
        record(row, r#""status":"executed""#, r#""status":"approved""#);
    });
    column("failed", &|row| record(row, r#""outcome":"failed""#, r#""outcome":"claimed""#));
    column("pending", &|row| {
        row[1] = 1;
        record(row, r#""status":"pending""#, r#""status":"approved""#);
    });
    column("half", &|row| record(row, r#""threshold":2"#, r#""threshold":1"#));
    column("approved", &|row| record(row, "knowledge_update", "knowledge-update"));
    column("planned", &|row| row[20] ^= 1);
    column("rejected", &|row| record(row, r#""decision":"rejected""#, r#""decision":"approved""#));
    column("withdrawn", &|row| row[2] ^= 1);
    column("expired", &|row| row[14] = u8::MAX);
    column("of-carl", &|row| record(row, CARL, "anna@example.com"));
    writes
}

/// Changes index rows to another status, time or row: an executed approval is listed as approved, its
/// claim as an entry of another approval.
fn rekeyed(scene: &Scene) -> Vec<Write> {
    let mut writes: Vec<Write> = Vec::new();
    let mut move_row = |table: Table, from: &[u8], at: usize, by: u8| {
        let mut to = from.to_vec();
        to[at] = to[at].wrapping_add(by);
        writes.push((table, from.to_vec(), None));
        writes.push((table, to, Some(Vec::new())));
    };
    for key in scene.rows.rows(Table::Lists).keys() {
        // From one status to the next.
        move_row(Table::Lists, key, 0, 1);
    }
    for key in scene.rows.rows(Table::Due).keys() {
        move_row(Table::Due, key, 7, 77);
    }
    for name in ["claimed", "succeeded", "failed"] {
        let about = approval_id(&approval_id_key(scene, name)).to_u128().to_be_bytes();
        let keys = scene.rows.rows(Table::Abouts).keys().filter(|key| key.starts_with(&about));
        let last = keys.max().unwrap();
        move_row(Table::Abouts, last, 0, 1);
    }
    for key in scene.rows.rows(Table::AnswerTimes).keys() {
        move_row(Table::AnswerTimes, key, 7, 1);
    }
    // A row that was moved onto another row's key stays.
    let kept: Vec<_> =
        writes.iter().filter(|w| w.2.is_some()).map(|w| (w.0, w.1.clone())).collect();
    writes.retain(|write| write.2.is_some() || !kept.contains(&(write.0, write.1.clone())));
    writes
}

fn key_active_again(scene: &Scene) -> Write {
    let mut row = json_of(scene.rows.row(Table::Rows, b"key/carl"));
    assert_eq!(row["status"], "revoked");
    row["status"] = json!("active");
    (Table::Rows, b"key/carl".to_vec(), Some(row_of(&row)))
}

fn approval_id_key(scene: &Scene, name: &str) -> Vec<u8> {
    let id = ApprovalId::parse(id(scene.approval(name))).unwrap();
    id.to_u128().to_le_bytes().to_vec()
}

fn approval_row(scene: &Scene, name: &str) -> (Vec<u8>, Vec<u8>) {
    let key = approval_id_key(scene, name);
    let row = scene.rows.row(Table::Approvals, &key).to_vec();
    (key, row)
}

/// Decodes a row of the host: its format, then its value.
fn json_of(row: &[u8]) -> Value {
    assert_eq!(row[0], 1);
    serde_json::from_slice(&row[1..]).unwrap()
}

fn row_of(value: &Value) -> Vec<u8> {
    [&[1], value.to_string().as_bytes()].concat()
}

/// Returns the bytes with one text replaced by another.
fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let mut changed = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(from.len()).position(|part| part == from.as_bytes()) {
        changed.extend_from_slice(&rest[..at]);
        changed.extend_from_slice(to.as_bytes());
        rest = &rest[at + from.len()..];
    }
    [&changed, rest].concat()
}

/// Returns the scope of an idempotency key: its sender and its path.
fn scope(subject: &str, path: &str, key: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    // The prefix of the API is not a part of it.
    let path = path.strip_prefix("/api/v1").unwrap();
    for piece in [subject, path, key] {
        hash.update((piece.len() as u64).to_le_bytes());
        hash.update(piece);
    }
    hash.finalize().into()
}
