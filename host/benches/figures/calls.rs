//! Calls: an empty one, and a `v1` verification in the component, in a fresh instance, and natively.

use anyhow::{Result, anyhow};
use serde_json::json;
use signoff::engine::{Allocation, Cache, Verifier};
use signoff::measure::Case;
use signoff::measure::work::Signed;

use crate::Plan;
use crate::empty::Empty;
use crate::peer::{Peer, Sha};
use crate::table::{Figures, Target};

pub(crate) fn measure(plan: &Plan, figures: &mut Figures) -> Result<()> {
    let pooled = Verifier::embedded(Allocation::Pooled, &Cache::none())?;
    let on_demand = Verifier::embedded(Allocation::OnDemand, &Cache::none())?;
    let signed = Signed::new(&pooled)?;
    let text = as_json(&signed);
    let (native, soft) = (Peer::native(Sha::Fastest)?, Peer::native(Sha::Soft)?);
    let mut empty = Empty::new()?;
    let fresh = |verifier: &Verifier| {
        let mut instance = verifier.fresh().map_err(|e| anyhow!("{e:#}"))?;
        signed.verify(&mut instance)
    };
    let mut cases = [
        Case::repeated("empty component call", || empty.call()),
        Case::repeated("verify v1 in the component", || {
            pooled.call(|i| Ok(Ok(signed.verify(i)))).map_err(anyhow::Error::from)?
        }),
        Case::timed("native with SHA instructions", |time| native.measure("verify", time, &text)),
        Case::timed("native without", |time| soft.measure("verify", time, &text)),
        Case::repeated("fresh pooled instance and verify", || fresh(&pooled)),
        Case::repeated("fresh instance without pool and verify", || fresh(&on_demand)),
    ];
    plan.take_turns(&mut cases)?;
    let [empty, verify, native, soft, pooled, on_demand] = &cases;
    figures.time(empty, 200e-9);
    figures.slower(verify, native, Target::AtMost(6.0));
    figures.slower(verify, soft, Target::AtMost(1.5));
    figures.time(pooled, 12e-6);
    figures.slower(on_demand, pooled, Target::None);
    Ok(())
}

fn as_json(signed: &Signed) -> String {
    let Signed { statement, signature, key, .. } = signed;
    json!({
        "statement": {
            "approval_id": statement.approval_id,
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
            "use": key.use_,
        },
    })
    .to_string()
}
