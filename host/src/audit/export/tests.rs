//! Every edit of an exported log is detected.

use std::io::{BufReader, Cursor};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt, SeedableRng};

use super::*;
use crate::log_key::{LogKey, LogSigner};
use signoff_core::log::checkpoint::Checkpoint;
use signoff_core::log::tree::{Frontier, leaf};

fn signer() -> LogSigner {
    LogSigner::new("default", &[7; 32]).unwrap()
}

fn entry(number: u64) -> String {
    format!(
        "{{\"format\":1,\"event\":\"approval_requested\",\"at\":\"2025-10-17T10:30:00Z\",\"approval_id\":\"appr_{number:026}\",\"agent\":\"deployer\",\"action\":\"deploy\",\"to\":\"pending\",\"context_hash\":\"{}\"}}",
        hex::encode(leaf(&number.to_be_bytes()))
    )
}

fn checkpoint(size: u64) -> Checkpoint {
    let mut tree = Frontier::new();
    (1..=size).for_each(|number| tree.add(leaf(entry(number).as_bytes())));
    Checkpoint::of(&tree, signer().key().name())
}

fn export(size: u64) -> Vec<u8> {
    export_with(size, Some(&signer().sign(&checkpoint(size)))).unwrap()
}

fn export_with(size: u64, note: Option<&str>) -> Result<Vec<u8>, ExportError> {
    let mut writer = Writer::new(Vec::new(), "default", size)?;
    (1..=size).try_for_each(|number| writer.entry(&entry(number)))?;
    writer.finish(note)
}

fn trusted() -> Vec<LogKey> {
    vec![signer().key().clone()]
}

fn check(file: &[u8], expected: &Expected) -> Result<Report, ExportError> {
    verify(file, expected, |_| {})
}

fn trusting() -> Expected {
    Expected { trusted: trusted(), saved: None }
}

/// The message of the first problem.
#[track_caller]
fn wrong(file: &[u8], expected: &Expected) -> String {
    check(file, expected).expect_err("it is wrong").to_string()
}

#[test]
fn an_export_verifies_at_every_small_size() {
    for size in 0..40 {
        let file = export(size);
        for saved in 0..=size {
            let expected = Expected { saved: Some(checkpoint(saved)), ..trusting() };
            let report = check(&file, &expected).unwrap();
            assert_eq!((report.entries, report.bytes), (size, file.len() as u64));
            assert_eq!(report.signer, Some(signer().key().clone()));
            assert_eq!(report.root, checkpoint(size).root);
        }
    }
}

#[test]
fn without_a_trusted_key_there_is_no_signer() {
    assert_eq!(check(&export(3), &Expected::default()).unwrap().signer, None);
    let unsigned = export_with(3, None).unwrap();
    let report = check(&unsigned, &Expected::default()).unwrap();
    assert_eq!((report.signer, report.checkpoint), (None, None));
    assert!(wrong(&unsigned, &trusting()).contains("no trusted key authenticates"));
    let stranger = LogSigner::new("default", &[8; 32]).unwrap();
    let expected = Expected { trusted: vec![stranger.key().clone()], saved: None };
    assert!(wrong(&export(3), &expected).contains("no trusted key of `signoff/default`"));
}

#[test]
fn the_first_thing_wrong_is_named() {
    let text = String::from_utf8(export(5)).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let with = |at: usize, line: &str| {
        let mut lines = lines.clone();
        lines[at] = line;
        wrong(lines.concat().as_bytes(), &trusting())
    };
    assert!(with(0, &lines[0].replace(":1,", ":2,")).contains("line 1 is not the header"));
    assert!(with(0, &lines[0].replace("-audit", "-receipt")).contains("line 1 is not the header"));
    assert!(with(0, &lines[0].replace("{\"", "{ \"")).contains("line 1 is not the header"));
    assert!(
        with(0, &lines[0].replace(":5", ":5,\"entries\":5")).contains("line 1 is not the header")
    );
    assert!(with(0, "").contains("line 1 is not the header"));
    assert!(with(0, &lines[0].replace(":5", ":6")).contains("ends after 5 of the 6"));
    assert!(with(0, &lines[0].replace(":5", ":4")).contains("line 6 is not the line of the"));
    assert!(with(0, &lines[0].replace("default", "other")).contains("`signoff/other`"));
    assert!(with(2, "[]\n").contains("line 3 is not an entry"));
    assert!(with(2, "\n").contains("line 3 is not an entry"));
    assert!(with(2, &lines[2].replace('\n', "\r\n")).contains("line 3 is not an entry"));
    assert!(with(2, &lines[2].replace("pending", "approved")).contains("not those that the check"));
    assert!(with(2, "").contains("ends after 4 of the 5"));
    assert!(with(6, "").contains("line 7 is missing"));
    assert!(with(6, "{}\n").contains("line 7 is not the line of the checkpoint"));
    assert!(with(6, "{\"checkpoint\":null}\n").contains("no trusted key authenticates"));
    assert!(with(6, &lines[6].replace('\n', "")).contains("line 7 is cut off"));
    assert!(with(6, &lines[6].replace("\\n5\\n", "\\n6\\n")).contains("is not by the trusted key"));
    assert!(with(6, &lines[6].replace('\n', "\n\n")).contains("line 8 is after the end"));
    let long = format!("{{{}}}\n", " ".repeat(LINE_BYTES_MAX));
    assert!(with(2, &long).contains("line 3 is longer than 256 KiB"));
    assert!(wrong(b"", &trusting()).contains("line 1 is not the header"));
    let other = lines[..6].concat() + &line(&footer_of(4)).unwrap() + "\n";
    assert!(wrong(other.as_bytes(), &trusting()).contains("5 entries, its checkpoint covers 4"));
}

fn footer_of(size: u64) -> Footer {
    Footer { checkpoint: Some(signer().sign(&checkpoint(size))) }
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let mut file = export(2);
    let at = file.windows(8).position(|window| window == b"deployer").unwrap();
    file[at] = 0xff;
    assert!(wrong(&file, &trusting()).contains("line 2 is not UTF-8"));
}

#[test]
fn a_line_without_end_is_not_read_into_memory() {
    let endless = BufReader::new(std::io::repeat(b'{'));
    assert!(verify(endless, &trusting(), |_| {}).unwrap_err().to_string().contains("longer than"));
}

#[test]
fn a_genuine_older_log_is_found_only_by_a_saved_checkpoint() {
    let older = export(4);
    check(&older, &trusting()).unwrap();
    let expected = Expected { saved: Some(checkpoint(5)), ..trusting() };
    assert!(wrong(&older, &expected).contains("fewer than the 5 of the saved checkpoint"));
}

#[test]
fn a_rewritten_log_that_is_signed_anew_is_found_by_a_saved_checkpoint() {
    let mut tree = Frontier::new();
    let mut writer = Writer::new(Vec::new(), "default", 4).unwrap();
    for number in [1, 9, 3, 4] {
        writer.entry(&entry(number)).unwrap();
        tree.add(leaf(entry(number).as_bytes()));
    }
    let note = signer().sign(&Checkpoint::of(&tree, signer().key().name()));
    let file = writer.finish(Some(&note)).unwrap();
    check(&file, &trusting()).unwrap();
    check(&file, &Expected { saved: Some(checkpoint(1)), ..trusting() }).unwrap();
    let expected = Expected { saved: Some(checkpoint(2)), ..trusting() };
    assert!(wrong(&file, &expected).contains("its first 2 entries differ"));
    let other = Checkpoint { origin: "signoff/other".to_owned(), ..checkpoint(1) };
    let expected = Expected { saved: Some(other), ..trusting() };
    assert!(wrong(&file, &expected).contains("the saved checkpoint `signoff/other`"));
}

#[test]
fn a_file_that_would_not_verify_is_not_finished() {
    let unfinished = |size, checkpoint: &Checkpoint| {
        export_with(size, Some(&signer().sign(checkpoint))).unwrap_err().to_string()
    };
    assert!(unfinished(3, &checkpoint(2)).contains("3 entries, its checkpoint covers 2"));
    let other = Checkpoint { root: leaf(b"other"), ..checkpoint(3) };
    assert!(unfinished(3, &other).contains("not those"));
    let other = Checkpoint { origin: "signoff/other".to_owned(), ..checkpoint(3) };
    assert!(unfinished(3, &other).contains("`signoff/other`"));

    let mut writer = Writer::new(Vec::new(), "default", 1).unwrap();
    for odd in ["", "text", "{\n}", "[1]"] {
        assert!(writer.entry(odd).unwrap_err().to_string().contains("line 2 is not an entry"));
    }
    writer.entry("{}").unwrap();
    assert!(writer.entry("{}").unwrap_err().to_string().contains("one entry more"));
    let early = Writer::new(Vec::new(), "default", 1).unwrap();
    assert!(early.finish(None).unwrap_err().to_string().contains("ends after 0 of the 1"));
}

#[test]
fn a_write_error_is_returned() {
    let mut small = [0_u8; 100];
    let mut writer = Writer::new(Cursor::new(&mut small[..]), "default", 1).unwrap();
    assert!(matches!(writer.entry(&entry(1)), Err(ExportError::File(_))));
}

/// Makes `SIGNOFF_AUDIT_MUTATIONS` (default 300) edits of an exported log of 10,000 entries.
#[test]
fn every_random_edit_is_found() {
    const ENTRIES: u64 = 10_000;
    let count = std::env::var("SIGNOFF_AUDIT_MUTATIONS");
    let count: usize = count.map_or(300, |count| count.parse().unwrap());
    let original = export(ENTRIES);
    let expected = Expected { saved: Some(checkpoint(ENTRIES)), ..trusting() };
    check(&original, &expected).unwrap();
    let mut rng = StdRng::seed_from_u64(6962);
    let mut found = [0; EDITS.len()];
    for n in 0..count {
        let kind = n % EDITS.len();
        let (name, edit) = EDITS[kind];
        // An edit that changes nothing, such as replacing a byte with itself, is drawn again.
        let edited = std::iter::repeat_with(|| edit(&original, &mut rng))
            .find(|edited| *edited != original)
            .unwrap();
        assert!(check(&edited, &expected).is_err(), "edit {n} was not found: {name}");
        found[kind] += 1;
    }
    for ((name, _), found) in EDITS.iter().zip(found) {
        println!("{found} found: {name}");
    }
    assert_eq!(found.iter().sum::<usize>(), count, "each was found");
}

type Edit = fn(&[u8], &mut StdRng) -> Vec<u8>;

const EDITS: [(&str, Edit); 14] = [
    ("a bit flipped", |file, rng| {
        let mut edited = file.to_vec();
        edited[rng.random_range(0..file.len())] ^= 1 << rng.random_range(0..8);
        edited
    }),
    ("a byte changed", |file, rng| {
        let mut edited = file.to_vec();
        edited[rng.random_range(0..file.len())] = rng.random();
        edited
    }),
    ("a byte changed in the first or last line", |file, rng| {
        let mut edited = file.to_vec();
        let from_end = rng.random_range(0..230);
        let at = if rng.random() { from_end % 60 } else { file.len() - 1 - from_end };
        edited[at] = b"0123456789abcXYZ+/=\"\\ \n{}:,"[rng.random_range(0..27)];
        edited
    }),
    ("bytes removed", |file, rng| {
        let from = rng.random_range(0..file.len());
        let to = (from + rng.random_range(1..400)).min(file.len());
        [&file[..from], &file[to..]].concat()
    }),
    ("bytes inserted", |file, rng| {
        let mut bytes = vec![0; rng.random_range(1..40)];
        rng.fill_bytes(&mut bytes);
        let at = rng.random_range(0..=file.len());
        [&file[..at], &bytes, &file[at..]].concat()
    }),
    ("bytes copied to another place", |file, rng| {
        let (from, at) = (rng.random_range(0..file.len()), rng.random_range(0..=file.len()));
        let to = (from + rng.random_range(1..400)).min(file.len());
        [&file[..at], &file[from..to], &file[at..]].concat()
    }),
    ("cut off", |file, rng| file[..rng.random_range(0..file.len())].to_vec()),
    ("a line removed", |file, rng| {
        lines(file, |lines| drop(lines.remove(rng.random_range(0..lines.len()))))
    }),
    ("a line repeated", |file, rng| {
        lines(file, |lines| {
            let line = lines.choose(rng).unwrap().clone();
            lines.insert(rng.random_range(0..=lines.len()), line);
        })
    }),
    ("two lines swapped", |file, rng| {
        lines(file, |lines| {
            let (a, b) = (rng.random_range(0..lines.len()), rng.random_range(0..lines.len()));
            lines.swap(a, b);
        })
    }),
    ("two neighbours swapped", |file, rng| {
        lines(file, |lines| {
            let at = rng.random_range(1..lines.len());
            lines.swap(at - 1, at);
        })
    }),
    ("an entry removed and the count put right", |file, rng| {
        lines(file, |lines| {
            lines.remove(rng.random_range(1..lines.len() - 1));
            recount(lines);
        })
    }),
    ("an entry forged and the log signed by a stranger", |file, rng| {
        lines(file, |lines| {
            let at = rng.random_range(1..lines.len() - 1);
            lines[at] = format!("{}\n", entry(rng.random_range(20_000..30_000))).into();
            sign_anew(lines, &LogSigner::new("default", &rng.random()).unwrap());
        })
    }),
    ("entries cut off and the log truly signed at that size", |file, rng| {
        lines(file, |lines| {
            let entries = rng.random_range(0..lines.len() - 2);
            lines.drain(1 + entries..lines.len() - 1);
            recount(lines);
            sign_anew(lines, &signer());
        })
    }),
];

fn lines(file: &[u8], edit: impl FnOnce(&mut Vec<Vec<u8>>)) -> Vec<u8> {
    let mut lines = file.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    edit(&mut lines);
    lines.concat()
}

fn recount(lines: &mut [Vec<u8>]) {
    let entries = lines.len() as u64 - 2;
    let header =
        Header { format: FORMAT, kind: KIND.to_owned(), audience: "default".to_owned(), entries };
    lines[0] = format!("{}\n", line(&header).unwrap()).into();
}

fn sign_anew(lines: &mut [Vec<u8>], signer: &LogSigner) {
    let mut tree = Frontier::new();
    let last = lines.len() - 1;
    lines[1..last].iter().for_each(|entry| tree.add(leaf(&entry[..entry.len() - 1])));
    let footer =
        Footer { checkpoint: Some(signer.sign(&Checkpoint::of(&tree, signer.key().name()))) };
    lines[last] = format!("{}\n", line(&footer).unwrap()).into();
}
