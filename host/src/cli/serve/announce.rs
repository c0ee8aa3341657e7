//! The output of a server once it accepts calls.

use std::path::Path;

use serde_json::json;
use signoff_core::deceptive::in_one_line;

use super::Running;
use crate::cli::output;
use crate::keys::KeyDescription;
use crate::modules::Active;

impl Running {
    pub(super) async fn announce(&self, json: bool, store: &Path) {
        let keys_now = self.service.keys.current().unwrap_or_default();
        // Revoked keys stay in the keyring but are not listed.
        let counts = |key: &KeyDescription| key.status != "revoked";
        let keys = keys_now.described().into_iter().filter(counts).map(|key| key.id);
        let keys: Vec<String> = keys.collect();
        let verifier = self.service.verifier.current();
        let verifier = verifier.digest();
        let log_key = keys_now.log_key().map(|key| key.id().to_owned());
        let policy = self.service.modules.policy_slot().await.map(|slot| slot.active);
        if json {
            let facts = json!({
                "url": self.url,
                "further_urls": self.further,
                "store": output::json_path(store),
                "keys": keys,
                "log_key": log_key,
                "verifier": verifier,
                "policy": policy.as_ref().ok().and_then(Active::digest),
                "certificate": self.certificates.as_ref().map(|of| of.fingerprint()),
            });
            output::line(&facts.to_string());
            return;
        }
        output::line(&format!("signoff serves {}", in_one_line(&self.url)));
        for further in &self.further {
            output::line(&format!("also on   {}", in_one_line(further)));
        }
        output::line(&format!("store     {}", in_one_line(&store.display().to_string())));
        output::line(&format!("keys      {}", keys.join(", ")));
        output::line(&format!("log       {}", self.authenticated(log_key.as_deref())));
        output::line(&format!("verifier  {verifier}"));
        output::line(&format!(
            "policy    {}",
            policy.as_ref().map_or_else(ToString::to_string, describe_policy)
        ));
        if let Some(certificates) = &self.certificates {
            // No example: it would depend on the certificate's issuer and name.
            output::line(&format!("TLS       certificate {}", certificates.fingerprint()));
            return;
        }
        let token = match self.service.tokens.required().await {
            Ok(true) => "-H \"Authorization: Bearer $SIGNOFF_TOKEN\" ",
            _ => "",
        };
        output::line(&format!(
            "try       curl -s {}/api/v1/approvals {token}-H 'Content-Type: application/json' -d '{{\"agent\":\"demo\",\"action\":\"deploy\",\"context\":{{\"version\":\"1.2.3\"}},\"reason\":\"try it\"}}'",
            self.url
        ));
    }

    /// Describes in one line whether the rows of the store are authenticated.
    fn authenticated(&self, log_key: Option<&str>) -> String {
        match (&self.unauthenticated, log_key) {
            (Some(why), _) => format!("rows are not authenticated: {why}"),
            (None, Some(id)) => format!("rows are authenticated, key {id} signs"),
            (None, None) => "rows are authenticated, but no key signs at present".to_owned(),
        }
    }
}

/// Describes the active policy in one line.
fn describe_policy(policy: &Active) -> String {
    match policy {
        Active::Empty => "none: every action requires approval".to_owned(),
        Active::Policy(policy) => policy.digest().to_owned(),
        Active::Broken { digest, why } => format!("{digest} fails every call: {why}"),
    }
}
