//! The audit log under load and on a full disk: every change has its entry, and its proofs are
//! verified by an independent implementation.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use base64ct::{Base64, Encoding};
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{
    APPROVER, Client, Home, KeyV2, SERVE, Server, ballot, id, serve_with_file_size, text, until,
};

/// Up to this size every earlier tree is compared with every later one.
const ALL_PAIRS: u64 = 40;
/// The least number of entries that the log has at the end.
const ENTRIES: u64 = 150;

type Root = RootHash<Sha256>;

/// A client that follows the log.
struct Follower<'a> {
    client: &'a Client,
    key: LogKey,
    tree: MemoryBackedTree<Sha256, Vec<u8>>,
    /// Signed roots by size.
    roots: BTreeMap<u64, Root>,
}

/// A verifier key, parsed as C2SP's `signed-note` defines it.
struct LogKey {
    name: String,
    id: [u8; 4],
    key: VerifyingKey,
}

impl LogKey {
    fn read(text: &str) -> Self {
        let (name, rest) = text.split_once('+').unwrap();
        let (id, key) = rest.split_once('+').unwrap();
        let key = Base64::decode_vec(key).unwrap();
        let named = Sha256::digest([name.as_bytes(), b"\n", &key].concat());
        assert_eq!(hex::encode(&named[..4]), id, "the id is derived from name and key");
        assert_eq!(key[0], 1, "Ed25519");
        let id = named[..4].try_into().unwrap();
        let key = VerifyingKey::from_bytes(key[1..].try_into().unwrap()).unwrap();
        Self { name: name.to_owned(), id, key }
    }

    /// Verifies a checkpoint with this key; returns its size and root.
    #[track_caller]
    fn open(&self, note: &str) -> (u64, Root) {
        let (signed, signature) = note.split_once("\n\n").unwrap();
        let signed = format!("{signed}\n");
        let signature = signature.strip_prefix("\u{2014} ").unwrap().strip_suffix('\n').unwrap();
        let (name, signature) = signature.split_once(' ').unwrap();
        assert_eq!(name, self.name);
        let signature = Base64::decode_vec(signature).unwrap();
        assert_eq!(signature[..4], self.id);
        let signature = Signature::from_slice(&signature[4..]).unwrap();
        self.key.verify_strict(signed.as_bytes(), &signature).expect("the log signed it");
        let mut lines = signed.lines();
        assert_eq!(lines.next(), Some(self.name.as_str()), "the origin");
        let size: u64 = lines.next().unwrap().parse().unwrap();
        let root = Base64::decode_vec(lines.next().unwrap()).unwrap();
        assert_eq!(lines.next(), None);
        (size, root_of(&root, size))
    }
}

fn root_of(root: &[u8], size: u64) -> Root {
    let root: [u8; 32] = root.try_into().unwrap();
    RootHash::new(root.into(), size)
}

impl<'a> Follower<'a> {
    fn new(client: &'a Client) -> Self {
        let keys = client.get("/api/v1/audit/keys").ok();
        let key = LogKey::read(text(&keys["items"][0], "log_key"));
        Self { client, key, tree: MemoryBackedTree::new(), roots: BTreeMap::new() }
    }

    /// Fetches the newest checkpoint and the entries that it covers, as the stored bytes.
    fn follow(&mut self) -> u64 {
        let (size, root) = self.key.open(&self.client.get("/api/v1/audit/checkpoint").body);
        while self.tree.len() < size {
            let after = self.tree.len();
            let limit = (size - after).min(100);
            let page = self.client.get(&format!("/api/v1/audit?after={after}&limit={limit}"));
            for entry in texts_of(&page.body) {
                self.tree.push(entry.into_bytes());
            }
        }
        assert_eq!(self.tree.root(), root, "the entries have the root that was signed");
        self.roots.insert(size, root);
        size
    }

    fn proof(&self, query: &str) -> (Value, Vec<u8>) {
        let proof = self.client.get(&format!("/api/v1/audit/proof?{query}")).ok();
        let hashes = proof["hashes"].as_array().unwrap().iter();
        let hashes = hashes.flat_map(|hash| hex::decode(hash.as_str().unwrap()).unwrap()).collect();
        (proof, hashes)
    }

    /// Checks that every entry is in the signed tree of this size.
    fn check_inclusion(&self, size: u64) {
        let root = &self.roots[&size];
        for number in 1..=size {
            let (proof, hashes) = self.proof(&format!("entry={number}&size={size}"));
            assert_eq!(root_of(&hex::decode(text(&proof, "root")).unwrap(), size), *root);
            let entry = self.tree.get(number as usize - 1).unwrap();
            let hashes = InclusionProof::try_from_bytes(hashes).unwrap();
            root.verify_inclusion(entry, number - 1, &hashes)
                .unwrap_or_else(|e| panic!("entry {number} of {size}: {e:?}"));
        }
    }

    /// Checks that one tree extends the other, both as computed from the fetched entries.
    fn check_consistency(&self, from: u64, size: u64) {
        let (proof, hashes) = self.proof(&format!("from={from}&size={size}"));
        let later = root_of(&hex::decode(text(&proof, "root")).unwrap(), size);
        let earlier = self.own_root(from);
        assert_eq!(later, self.own_root(size));
        let hashes = ConsistencyProof::try_from_bytes(hashes).unwrap();
        later
            .verify_consistency(&earlier, &hashes)
            .unwrap_or_else(|e| panic!("{from} to {size}: {e:?}"));
    }

    /// Returns the root of the first `size` fetched entries.
    fn own_root(&self, size: u64) -> Root {
        let mut tree = MemoryBackedTree::<Sha256, Vec<u8>>::new();
        for index in 0..size {
            tree.push(self.tree.get(index as usize).unwrap().clone());
        }
        tree.root()
    }
}

/// Returns the entries of a page as their original text, which parsing and printing would not keep.
fn texts_of(page: &str) -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct Page {
        items: Vec<Item>,
    }
    #[derive(serde::Deserialize)]
    struct Item {
        entry: Box<serde_json::value::RawValue>,
    }
    let page: Page = serde_json::from_str(page).unwrap();
    page.items.into_iter().map(|item| item.entry.get().to_owned()).collect()
}

/// Ends the writers when it is dropped.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn inclusion_and_consistency_are_proven_while_the_log_grows() {
    let home = Home::new();
    home.run(&["key", "generate", "--use", "log"]).ok();
    let server = home.serve();
    let client: &Client = &server;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        // Ends the writers even if this test fails.
        let end = End(&done);
        let writers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    while !done.load(Ordering::SeqCst) {
                        let approval = client.approved();
                        client.claim(&approval).ok();
                    }
                })
            })
            .collect();
        let mut follower = Follower::new(client);
        let mut sizes = vec![follower.follow()];
        while *sizes.last().unwrap() < ENTRIES {
            let size = follower.follow();
            let before = *sizes.last().unwrap();
            follower.check_consistency(before, size);
            follower.check_inclusion(size.min(before));
            sizes.push(size);
        }
        drop(end);
        for writer in writers {
            writer.join().unwrap();
        }
        let size = follower.follow();
        follower.check_inclusion(size);
        for from in sizes {
            follower.check_consistency(from, size);
        }
    });
}

#[test]
fn every_earlier_tree_is_consistent_with_every_later_one() {
    let home = Home::new();
    home.run(&["key", "generate", "--use", "log"]).ok();
    let server = home.serve();
    let mut follower = Follower::new(&server);
    let mut size = follower.follow();
    while size < ALL_PAIRS {
        server.request();
        size = follower.follow();
        follower.check_inclusion(size);
    }
    for size in 1..=size {
        for from in 1..=size {
            follower.check_consistency(from, size);
        }
    }
    for (query, code) in [
        ("entry=0", "not-found"),
        (&format!("entry={}", size + 1), "not-found"),
        (&format!("entry=1&size={}", size + 1), "not-found"),
        ("entry=2&size=1", "not-found"),
        ("entry=1&size=0", "not-found"),
        (&format!("from={}", size + 1), "not-found"),
        ("from=3&size=2", "not-found"),
        ("", "request-invalid"),
        ("entry=1&from=1", "request-invalid"),
        ("entry=-1", "request-invalid"),
        ("entry=1&entry=2", "request-invalid"),
        ("entry=18446744073709551616", "request-invalid"),
        ("leaf=1", "request-invalid"),
    ] {
        server.get(&format!("/api/v1/audit/proof?{query}")).refused(code);
    }
    let most = u64::MAX;
    server.get(&format!("/api/v1/audit/proof?entry={most}&size={most}")).refused("not-found");
    server.get(&format!("/api/v1/audit/proof?from={most}&size={most}")).refused("not-found");
}

/// Fills the disk.
fn fill(server: &Server) {
    until("the disk is full", || {
        let body = json!({ "agent": "a", "action": "b", "context": { "x": "x".repeat(500_000) } });
        let answer = server.post("/api/v1/approvals", &body);
        if answer.status == 201 {
            return None;
        }
        answer.refused("store-unavailable");
        Some(())
    });
}

#[test]
fn on_a_full_disk_nothing_changes_without_its_entry() {
    let home = Home::new();
    home.run(&["key", "generate", "--use", "log"]).ok();
    home.run(&["key", "generate", "--approver", APPROVER, "--id", "user"]).ok();
    let key = KeyV2::of(&home, "user");
    home.serve().stop();
    let kib = fs::metadata(home.store()).unwrap().len() / 1024;
    let server = serve_with_file_size(&home, kib + 4_096);
    let [pending, other] = [(); 2].map(|()| server.request());
    let approved = server.approved();
    fill(&server);
    let before = server.audit();
    // A new key cannot be recorded, so it cannot decide, and neither can the others.
    home.run(&["key", "generate", "--approver", "eve@example.com", "--id", "eve"]).ok();
    let eve = KeyV2::of(&home, "eve");
    for (key, approval) in [(&eve, &pending), (&key, &other)] {
        let ballot = key.ballot(approval, "approved");
        server.act(approval, "approve", &ballot).refused("store-unavailable");
    }
    let v1 = ballot(&pending, "approved", APPROVER);
    server.act(&pending, "approve", &v1).refused("store-unavailable");
    server.claim(&approved).refused("store-unavailable");
    server.act(&pending, "withdraw", &json!({})).refused("store-unavailable");
    let more = json!({ "expires_in_seconds": 7_200 });
    server.act(&pending, "extend", &more).refused("store-unavailable");
    let token = json!({ "subject": "root", "roles": ["admin"] });
    server.post("/api/v1/tokens", &token).refused("store-unavailable");
    // No token was created, so none is required.
    assert_eq!(server.audit(), before);
    for (approval, status) in [(&pending, "pending"), (&other, "pending"), (&approved, "approved")]
    {
        assert_eq!(server.show(approval)["status"], status);
    }
    server.stop();
    let server = home.serve();
    assert_eq!(server.get("/api/v1/tokens").ok()["items"], json!([]));
    each_state_has_its_entries(&server);
    for (key, approval) in [(&eve, &pending), (&key, &other)] {
        server.act(approval, "approve", &key.ballot(approval, "approved")).ok();
        server.claim(approval).ok();
    }
    each_state_has_its_entries(&server);
    let mut follower = Follower::new(&server);
    let size = follower.follow();
    follower.check_inclusion(size);
    server.stop();
    home.run(&["doctor"]).ok();
}

/// Checks that the audit entries of each approval match its state.
fn each_state_has_its_entries(server: &Client) {
    let list = server.get("/api/v1/approvals?limit=200").ok();
    for approval in list["items"].as_array().unwrap() {
        let mut expected = vec!["approval_requested"];
        let ballots = approval["ballots"].as_array().unwrap().len();
        expected.extend(vec!["approval_decided"; ballots]);
        expected.extend((!approval["execution"].is_null()).then_some("approval_claimed"));
        assert_eq!(server.events_of(approval), expected, "{}", id(approval));
    }
}

#[test]
fn without_a_log_key_there_are_entries_and_no_checkpoint() {
    let home = Home::new();
    let mut command = home.signoff(SERVE);
    command.env("SIGNOFF_KEYRING", "no-such-folder/keys.json");
    let server = Server::start_with(command);
    server.approved();
    server.get("/api/v1/audit/checkpoint").refused("not-found");
    assert_eq!(server.get("/api/v1/audit/keys").ok()["items"], json!([]));
    // The tree exists nevertheless.
    let (entry, proof) = (server.get("/api/v1/audit?limit=1"), "/api/v1/audit/proof?entry=1");
    let proof = server.get(proof).ok();
    let size = proof["size"].as_u64().unwrap();
    let root = root_of(&hex::decode(text(&proof, "root")).unwrap(), size);
    let hashes = proof["hashes"].as_array().unwrap().iter();
    let hashes = hashes.flat_map(|hash| hex::decode(hash.as_str().unwrap()).unwrap()).collect();
    let leaf = texts_of(&entry.body)[0].clone().into_bytes();
    root.verify_inclusion(&leaf, 0, &InclusionProof::try_from_bytes(hashes).unwrap()).unwrap();
}
