//! The audit log: verifying an exported one, compared with SHA-256 over the same bytes; and
//! appending.

use anyhow::Result;
use sha2::{Digest, Sha256};
use signoff::audit::export::{Expected, Writer, verify};
use signoff::log_key::LogSigner;
use signoff::measure::Case;
use signoff_core::log::checkpoint::Checkpoint;
use signoff_core::log::tree::{Frontier, leaf};

use crate::Plan;
use crate::table::{Figures, Target};

const ENTRIES: u64 = 10_000;

pub(crate) fn measure(plan: &Plan, figures: &mut Figures) -> Result<()> {
    let signer = LogSigner::new("default", &[7; 32])?;
    let entries: Vec<String> = (1..=ENTRIES).map(entry).collect();
    let mut tree = Frontier::new();
    entries.iter().for_each(|entry| tree.add(leaf(entry.as_bytes())));
    let file = exported(&entries, &signer.sign(&Checkpoint::of(&tree, signer.key().name())))?;
    let expected = Expected { trusted: vec![signer.key().clone()], saved: None };
    let mut grown = tree;
    let mut cases = [
        Case::repeated(format!("checking an exported log of {ENTRIES} entries"), || {
            Ok(verify(file.as_slice(), &expected, |_| {})?)
        }),
        Case::repeated("SHA-256 of the same bytes", || Ok(Sha256::digest(&file))),
        Case::repeated("adding an entry to the tree", || {
            Ok(grown.push(leaf(entries.first().map_or(&[], |entry| entry.as_bytes()))).count())
        }),
    ];
    plan.take_turns(&mut cases)?;
    let [checked, hashed, added] = &cases;
    figures.slower(checked, hashed, Target::AtMost(3.0));
    figures.time(added, 10e-6);
    Ok(())
}

fn entry(number: u64) -> String {
    let digest = hex::encode(leaf(&number.to_be_bytes()));
    format!(
        "{{\"format\":1,\"event\":\"approval_requested\",\"at\":\"2025-10-17T10:30:00Z\",\"approval_id\":\"appr_{number:026}\",\"agent\":\"deployer\",\"action\":\"deploy\",\"actor\":\"agent:deployer\",\"to\":\"pending\",\"context_hash\":\"{digest}\",\"request_digest\":\"{digest}\",\"expires_at\":\"2025-10-17T11:30:00Z\",\"verifier\":\"{digest}\"}}"
    )
}

fn exported(entries: &[String], note: &str) -> Result<Vec<u8>> {
    let mut writer = Writer::new(Vec::new(), "default", ENTRIES)?;
    entries.iter().try_for_each(|entry| writer.entry(entry))?;
    Ok(writer.finish(Some(note))?)
}
