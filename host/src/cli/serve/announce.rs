//! What a server prints once it can be called.

use std::path::Path;

use serde_json::json;

use super::Running;
use crate::cli::output;
use crate::server::Tls;
use crate::service::Active;

impl Running {
    pub(super) async fn announce(&self, json: bool, store: &Path) {
        let keys = self.service.keys().unwrap_or_default();
        let keys: Vec<&str> = keys.ids().collect();
        let verifier = self.service.verifier();
        let verifier = verifier.digest();
        let policy = self.service.policy_slot().await.map(|slot| slot.active);
        if json {
            let facts = json!({
                "url": self.url,
                "store": store,
                "keys": keys,
                "verifier": verifier,
                "policy": policy.as_ref().ok().and_then(Active::digest),
                "certificate": self.tls.as_ref().map(Tls::fingerprint),
            });
            output::line(&facts.to_string());
            return;
        }
        output::line(&format!("signoff serves {}", self.url));
        output::line(&format!("store     {}", store.display()));
        output::line(&format!("keys      {}", keys.join(", ")));
        output::line(&format!("verifier  {verifier}"));
        output::line(&format!(
            "policy    {}",
            policy.as_ref().map_or_else(ToString::to_string, told)
        ));
        if let Some(tls) = &self.tls {
            // What to try depends on who issued the certificate, and for which name.
            output::line(&format!("TLS       certificate {}", tls.fingerprint()));
            return;
        }
        let token = match self.service.tokens_required().await {
            Ok(true) => "-H \"Authorization: Bearer $SIGNOFF_TOKEN\" ",
            _ => "",
        };
        output::line(&format!(
            "try       curl -s {}/api/v1/approvals {token}-H 'Content-Type: application/json' -d '{{\"agent\":\"demo\",\"action\":\"deploy\",\"context\":{{\"version\":\"1.2.3\"}},\"reason\":\"try it\"}}'",
            self.url
        ));
    }
}

/// What decides about actions, in one line.
fn told(policy: &Active) -> String {
    match policy {
        Active::Empty => "none: every action requires approval".to_owned(),
        Active::Policy(policy) => policy.digest().to_owned(),
        Active::Broken { digest, why } => format!("{digest} answers nothing: {why}"),
    }
}
