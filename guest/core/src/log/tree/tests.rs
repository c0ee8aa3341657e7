//! Compares the tree with `ct-merkle`, an independent implementation.

use std::convert::Infallible;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use rand::RngExt;

use super::*;

type Theirs = MemoryBackedTree<Sha256, Vec<u8>>;

/// A tree as a store holds it, and `ct-merkle`'s over the same leaves.
struct Both {
    stored: Vec<Hash>,
    frontier: Frontier,
    theirs: Theirs,
}

impl Both {
    fn of(size: u64) -> Self {
        let mut both =
            Self { stored: Vec::new(), frontier: Frontier::new(), theirs: Theirs::new() };
        (0..size).for_each(|_| both.grow());
        both
    }

    fn grow(&mut self) {
        let entry = entry(self.frontier.size());
        for (position, hash) in self.frontier.push(leaf(&entry)) {
            assert_eq!(position, self.stored.len() as u64);
            self.stored.push(hash);
        }
        self.theirs.push(entry);
    }

    fn read(&self) -> impl Fn(u64) -> Result<Hash, Infallible> {
        |position| Ok(self.stored[usize::try_from(position).unwrap()])
    }

    fn root(&self, size: u64) -> Hash {
        root(size, self.read()).unwrap()
    }
}

fn entry(index: u64) -> Vec<u8> {
    format!("{{\"entry\":{index}}}").into_bytes()
}

fn their_root(root: Hash, size: u64) -> RootHash<Sha256> {
    RootHash::new(root.into(), size)
}

fn concat(proof: &[Hash]) -> Vec<u8> {
    proof.concat()
}

#[test]
fn positions_and_subtrees_are_inverse() {
    let mut position = 0;
    for leaf in 0..5_000_u64 {
        for level in 0..=leaf.trailing_ones() {
            assert_eq!(stored_subtree(position), (level, leaf >> level), "position {position}");
            assert_eq!(stored_position(level, leaf >> level), position);
            position += 1;
        }
    }
    let (level, index) = stored_subtree(stored_position(3, (SIZE_MAX >> 3) - 1));
    assert_eq!((level, index), (3, (SIZE_MAX >> 3) - 1));
}

#[test]
fn the_empty_root_is_the_hash_of_the_empty_string() {
    assert_eq!(EMPTY_ROOT, <Hash>::from(Sha256::digest(b"")));
    assert_eq!(Frontier::new().root(), EMPTY_ROOT);
    assert_eq!(Both::of(0).root(0), EMPTY_ROOT);
}

/// The vectors of eight leaves from the first implementation of RFC 6962.
#[test]
fn roots_are_the_published_ones() {
    let leaves = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut frontier = Frontier::new();
    for (entry, root) in leaves.iter().zip(roots) {
        frontier.add(leaf(&hex::decode(entry).unwrap()));
        assert_eq!(hex::encode(frontier.root()), root);
    }
}

#[test]
fn small_trees_have_the_roots_of_ct_merkle_and_reload_from_storage() {
    let mut both = Both::of(0);
    for size in 1..=300 {
        let added = appended(size - 1, leaf(&entry(size - 1)), both.read()).unwrap();
        both.grow();
        assert_eq!(both.stored.len() as u64, stored_count(size));
        let from = usize::try_from(stored_count(size - 1)).unwrap();
        assert_eq!(both.stored[from..], added);
        assert_eq!(both.frontier.root().as_slice(), both.theirs.root().as_bytes().as_slice());
        assert_eq!(both.root(size), both.frontier.root());
        assert_eq!(Frontier::load(size, both.read()).unwrap(), both.frontier);
    }
}

#[test]
fn inclusion_proofs_equal_those_of_ct_merkle() {
    for size in (1..=40).chain([63, 64, 65, 127, 128, 129, 255, 256, 257, 300]) {
        let both = Both::of(size);
        let root = both.root(size);
        for index in 0..size {
            let ours = inclusion(index, size, both.read()).unwrap();
            let theirs = both.theirs.prove_inclusion(usize::try_from(index).unwrap());
            assert_eq!(concat(&ours), theirs.as_bytes(), "{index} of {size}");
            check_inclusion(&leaf(&entry(index)), index, size, &root, &ours).unwrap();
            let handed = InclusionProof::try_from_bytes(concat(&ours)).unwrap();
            their_root(root, size).verify_inclusion(&entry(index), index, &handed).unwrap();
        }
    }
}

#[test]
fn consistency_proofs_equal_those_of_ct_merkle() {
    for size in (1..=40).chain([64, 65, 127, 128, 200, 257]) {
        let both = Both::of(size);
        let root = both.root(size);
        for from in 1..=size {
            let older = both.root(from);
            let ours = consistency(from, size, both.read()).unwrap();
            let theirs = both.theirs.prove_consistency(usize::try_from(size - from).unwrap());
            assert_eq!(concat(&ours), theirs.as_bytes(), "{from} to {size}");
            check_consistency(from, &older, size, &root, &ours).unwrap();
            let handed = ConsistencyProof::try_from_bytes(concat(&ours)).unwrap();
            their_root(root, size).verify_consistency(&their_root(older, from), &handed).unwrap();
        }
    }
}

#[test]
fn a_large_tree_has_the_root_and_proofs_of_ct_merkle() {
    let mut rng = rand::rng();
    let size = rng.random_range(20_000..40_000);
    let both = Both::of(size);
    let root = both.root(size);
    assert_eq!(root.as_slice(), both.theirs.root().as_bytes().as_slice());
    for _ in 0..300 {
        let index = rng.random_range(0..size);
        let proof = inclusion(index, size, both.read()).unwrap();
        let handed = InclusionProof::try_from_bytes(concat(&proof)).unwrap();
        their_root(root, size).verify_inclusion(&entry(index), index, &handed).unwrap();
        check_inclusion(&leaf(&entry(index)), index, size, &root, &proof).unwrap();
        let from = rng.random_range(1..=size);
        let older = both.root(from);
        let proof = consistency(from, size, both.read()).unwrap();
        let handed = ConsistencyProof::try_from_bytes(concat(&proof)).unwrap();
        their_root(root, size).verify_consistency(&their_root(older, from), &handed).unwrap();
        check_consistency(from, &older, size, &root, &proof).unwrap();
    }
}

/// Every corruption of a proof: a changed hash, a missing one, an extra one, two swapped.
fn spoilt(proof: &[Hash]) -> Vec<Vec<Hash>> {
    let mut spoilt = vec![[proof, &[EMPTY_ROOT]].concat(), [&[EMPTY_ROOT], proof].concat()];
    for at in 0..proof.len() {
        let mut other = proof.to_vec();
        other[at][at % 32] ^= 1;
        spoilt.push(other);
        let mut fewer = proof.to_vec();
        fewer.remove(at);
        spoilt.push(fewer);
        if at > 0 {
            let mut swapped = proof.to_vec();
            swapped.swap(at - 1, at);
            spoilt.push(swapped);
        }
    }
    spoilt
}

#[test]
fn no_spoilt_inclusion_proof_is_accepted() {
    for size in 1..=33 {
        let both = Both::of(size);
        let root = both.root(size);
        for index in 0..size {
            let hash = leaf(&entry(index));
            let proof = inclusion(index, size, both.read()).unwrap();
            for spoilt in spoilt(&proof) {
                check_inclusion(&hash, index, size, &root, &spoilt).unwrap_err();
            }
            check_inclusion(&leaf(b"another"), index, size, &root, &proof).unwrap_err();
            check_inclusion(&hash, index, size, &leaf(b"another"), &proof).unwrap_err();
            for other in (0..size).filter(|other| *other != index) {
                check_inclusion(&hash, other, size, &root, &proof).unwrap_err();
            }
            let outside = ProofError::Outside { requested: size, size };
            assert_eq!(check_inclusion(&hash, size, size, &root, &proof), Err(outside));
        }
    }
}

#[test]
fn no_spoilt_consistency_proof_is_accepted() {
    for size in 1..=33 {
        let both = Both::of(size);
        let root = both.root(size);
        for from in 0..=size {
            let older = both.root(from);
            let proof = consistency(from, size, both.read()).unwrap();
            check_consistency(from, &older, size, &root, &proof).unwrap();
            for spoilt in spoilt(&proof) {
                check_consistency(from, &older, size, &root, &spoilt).unwrap_err();
            }
            let other = leaf(b"another");
            check_consistency(from, &other, size, &root, &proof).unwrap_err();
            if from > 0 {
                check_consistency(from, &older, size, &other, &proof).unwrap_err();
            }
        }
        let proof = consistency(size, size, both.read()).unwrap();
        check_consistency(size + 1, &root, size, &root, &proof).unwrap_err();
    }
}

#[test]
fn out_of_range_requests_are_refused_without_reading() {
    let never = |_| -> Result<Hash, ()> { panic!("nothing is read") };
    for huge in [SIZE_MAX + 1, u64::MAX] {
        assert_eq!(root(huge, never), Err(TreeError::TooLarge(huge)));
        assert_eq!(inclusion(0, huge, never), Err(TreeError::TooLarge(huge)));
        assert_eq!(consistency(0, huge, never), Err(TreeError::TooLarge(huge)));
        appended(huge, EMPTY_ROOT, never).unwrap_err();
        stored_count(huge);
    }
    assert_eq!(inclusion(3, 3, never), Err(TreeError::Outside { requested: 3, size: 3 }));
    assert_eq!(consistency(4, 3, never), Err(TreeError::Outside { requested: 4, size: 3 }));
    assert_eq!(consistency(0, 3, never), Ok(Vec::new()));
    check_inclusion(&EMPTY_ROOT, 0, u64::MAX, &EMPTY_ROOT, &[EMPTY_ROOT; 70]).unwrap_err();
    check_consistency(u64::MAX - 1, &EMPTY_ROOT, u64::MAX, &EMPTY_ROOT, &[]).unwrap_err();
}

#[test]
fn the_largest_tree_stays_within_its_position_and_proof_limits() {
    let read = |position: u64| {
        assert!(position < stored_count(SIZE_MAX));
        Ok::<_, Infallible>(leaf(&position.to_be_bytes()))
    };
    for size in [SIZE_MAX, SIZE_MAX - 1] {
        for index in [0, 1, size / 2, size - 1] {
            assert!(inclusion(index, size, read).unwrap().len() <= PROOF_HASHES_MAX);
            assert!(consistency(index, size, read).unwrap().len() <= PROOF_HASHES_MAX);
        }
    }
}

#[test]
fn read_errors_are_passed_on() {
    let broken = |position| if position > 2 { Err("broken disk") } else { Ok(EMPTY_ROOT) };
    assert_eq!(root(4, broken), Err(TreeError::Read("broken disk")));
    assert_eq!(inclusion(0, 4, broken), Err(TreeError::Read("broken disk")));
    assert_eq!(consistency(1, 4, broken), Err(TreeError::Read("broken disk")));
    assert_eq!(appended(3, EMPTY_ROOT, broken), Err(TreeError::Read("broken disk")));
}
