//! Digests of mixed JSON: in the component, natively, and by CPython.

use anyhow::Result;
use signoff::engine::{Allocation, Cache};
use signoff::measure::Case;
use signoff::measure::work::mixed_json;
use signoff::verifier::Verifier;

use crate::Plan;
use crate::peer::{Peer, Sha, scratch};
use crate::table::{Figures, Target};

pub(crate) fn measure(plan: &Plan, figures: &mut Figures) -> Result<()> {
    let verifier = Verifier::embedded(Allocation::Pooled, &Cache::none())?;
    let (native, soft) = (Peer::native(Sha::Fastest)?, Peer::native(Sha::Soft)?);
    let python = Peer::python()?;
    for (size, bytes) in [("1 KiB", 1 << 10), ("64 KiB", 64 << 10)] {
        let text = mixed_json(bytes);
        let file = scratch("mixed.json");
        std::fs::write(&file, &text)?;
        let peer = |peer: &Peer, time| peer.measure("digest", time, &file);
        let mut cases = [
            Case::repeated(format!("digest of {size} in the component"), || {
                digest(&verifier, &text)
            }),
            Case::timed("native without SHA instructions", |time| peer(&soft, time)),
            Case::timed("native with", |time| peer(&native, time)),
            Case::timed("CPython", |time| peer(&python, time)),
        ];
        plan.take_turns(&mut cases)?;
        let [component, soft, native, python] = &cases;
        figures.faster(component, python, Target::AtLeast(4.0));
        figures.slower(component, soft, Target::AtMost(2.0));
        figures.slower(component, native, Target::None);
    }
    Ok(())
}

fn digest(verifier: &Verifier, text: &str) -> Result<String> {
    Ok(verifier.digest_of(text)?)
}
