//! Calls: an empty one, and a verification, by HMAC (`v1`) and by Ed25519 (`v2`), in the component, in
//! a fresh instance, and natively.

use anyhow::Result;
use serde_json::json;
use signoff::engine::{Allocation, Cache};
use signoff::measure::Case;
use signoff::measure::work::Signed;
use signoff::verifier::Verifier;

use crate::Plan;
use crate::empty::Empty;
use crate::peer::{Peer, Sha};
use crate::table::{Figures, Target};

pub(crate) fn measure(plan: &Plan, figures: &mut Figures) -> Result<()> {
    let pooled = Verifier::embedded(Allocation::Pooled, &Cache::none())?;
    let on_demand = Verifier::embedded(Allocation::OnDemand, &Cache::none())?;
    let signed = Signed::new(&pooled)?;
    let ed25519 = Signed::ed25519(&pooled)?;
    let (text, ed25519_text) = (as_json(&signed), as_json(&ed25519));
    let (native, soft) = (Peer::native(Sha::Fastest)?, Peer::native(Sha::Soft)?);
    let mut empty = Empty::new()?;
    let fresh = |verifier: &Verifier| {
        verifier.forget_instances();
        signed.verify(verifier)
    };
    let mut cases = [
        Case::repeated("empty component call", || empty.call()),
        Case::repeated("verify v1 in the component", || signed.verify(&pooled)),
        Case::timed("native with SHA instructions", |time| native.measure("verify", time, &text)),
        Case::timed("native without", |time| soft.measure("verify", time, &text)),
        Case::repeated("verify Ed25519 in the component", || ed25519.verify(&pooled)),
        Case::timed("native Ed25519", |time| native.measure("verify", time, &ed25519_text)),
        Case::repeated("fresh pooled instance and verify", || fresh(&pooled)),
        Case::repeated("fresh instance without pool and verify", || fresh(&on_demand)),
    ];
    plan.take_turns(&mut cases)?;
    let [empty, verify, native, soft, ed25519, native_ed25519, pooled, on_demand] = &cases;
    figures.time(empty, 200e-9);
    figures.slower(verify, native, Target::AtMost(6.0));
    figures.slower(verify, soft, Target::AtMost(1.5));
    figures.slower(ed25519, native_ed25519, Target::None);
    figures.time(pooled, 12e-6);
    figures.slower(on_demand, pooled, Target::None);
    Ok(())
}

fn as_json(signed: &Signed) -> String {
    let Signed { statement, signature, key, .. } = signed;
    json!({
        "statement": {
            "audience": statement.audience,
            "key_id": statement.key_id,
            "approval_id": statement.approval_id,
            "request_digest": statement.request_digest,
            "expires_at": statement.expires_at,
            "decision": statement.decision,
            "approver": statement.approver,
        },
        "signature": signature,
        "key": {
            "id": key.id,
            "algorithm": key.algorithm,
            "material": key.material,
            "status": key.status,
            "use": key.usage,
            "approver": key.approver,
        },
    })
    .to_string()
}
