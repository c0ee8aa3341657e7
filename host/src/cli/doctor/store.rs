//! Checks of the store: its consistency, file permissions and tokens.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::Result;

use super::Finding;
use crate::cli::transport::Transport;
use crate::clock::{Clock, SystemClock};
use crate::identity::{TokenRow, token_rows};
use crate::role::Role;
use crate::service::StoredTexts;
use crate::store::redb::{CheckIntegrity, Examined, OpenMode, RedbStore};
use crate::store::{Store, StoreError, Trust};

pub(super) fn look(path: &Path, trust: &Trust) -> Result<Vec<Finding>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    Ok(runtime.block_on(async {
        let mut findings = Vec::new();
        match examined(path, trust).await {
            Ok(examined) => findings.extend(examined),
            Err(e) => findings.push(Finding::bad("store", e.to_string())),
        }
        findings.push(mode(path));
        findings
    }))
}

/// Verifies every page unless another process writes, replays the log, and compares every row with
/// it.
async fn examined(path: &Path, trust: &Trust) -> Result<Vec<Finding>, StoreError> {
    let texts = StoredTexts { now: SystemClock.now() };
    let opened = RedbStore::open(path, OpenMode::Write, CheckIntegrity::Yes, trust.clone());
    let (store, note) = match opened {
        Err(StoreError::Held) => {
            let read = OpenMode::Read;
            let store = RedbStore::open(path, read, CheckIntegrity::No, trust.clone())?;
            (store, ", while another process writes")
        }
        Err(why @ StoreError::Untrusted(_)) => {
            let examined = RedbStore::examine_untrusted(path, trust, &texts)?;
            let mut findings = vec![Finding::bad("store", why.to_string())];
            findings.extend(differences(&examined));
            return Ok(findings);
        }
        store => (store?, ""),
    };
    let examined = store.examine(&texts)?;
    if examined.differing > 0 {
        return Ok(differences(&examined));
    }
    let head = store.head().await?;
    let found = format!(
        "{} approvals and {} audit entries agree (audience {}{note})",
        examined.approvals, examined.entries, head.audience
    );
    let mut findings = vec![Finding::ok("store", found)];
    if !head.signed {
        findings.push(Finding::weak(
            "log",
            "no log key signs its head: rows are not authenticated, and edits of the store are not detected",
            "run `signoff serve`, which creates a log key; then keep the keyring where users who can write the store cannot read it",
        ));
    }
    if store.owes_compaction() {
        findings.push(Finding::weak(
            "file",
            "its unused space may still hold bytes of erased or removed rows",
            "signoff store compact; a running server does it by itself",
        ));
    }
    findings.extend(token_findings(&token_rows(&store).await?));
    Ok(findings)
}

/// Ballots by lost keys that are named.
const LOST_KEYS_SHOWN: usize = 10;

/// Reports what a start would check: the witness, the settings, the clock, the keys. Reports TLS
/// without a certificate that was checked.
pub(super) fn start_checks(transport: &Transport, has_certificate: bool) -> Vec<Finding> {
    let checks = match transport.start_checks() {
        // `examined` reports a store that cannot be opened.
        Err(_) | Ok(None) => return Vec::new(),
        Ok(Some(checks)) => checks,
    };
    let witness = match checks.witness {
        Err(why) => Finding::bad("witness", why.to_string()),
        Ok(Some(path)) => {
            Finding::ok("witness", format!("{} has not seen a later log", path.display()))
        }
        Ok(None) => Finding::weak(
            "witness",
            "none: replacing the store by an old copy is not detected",
            "signoff serve --witness FILE --new-witness, with a file that users who can write the store cannot write",
        ),
    };
    let settings = match checks.settings {
        Err(why) => Finding::bad("settings", why.detail),
        Ok(()) => Finding::ok("settings", "none is weaker than recorded in the audit log"),
    };
    let clock = match checks.clock {
        Err(why) => Finding::bad("clock", why),
        Ok(()) => Finding::ok("clock", "neither behind the audit log nor far ahead of it"),
    };
    let keys = checks.keys.err().map(|why| Finding::bad("keys", why.detail));
    let certificate = (checks.tls && !has_certificate).then(|| {
        Finding::weak(
            "TLS",
            "the server's certificate is not checked here, only at its start and at SIGHUP",
            "signoff doctor --tls-cert FILE, with the file that `signoff serve` has",
        )
    });
    keys.into_iter().chain([witness, settings, clock]).chain(certificate).collect()
}

/// Reports unfinished approvals with a ballot whose key is gone.
pub(super) fn lost_keys(transport: &Transport) -> Vec<Finding> {
    // `examined` reports a store that cannot be read.
    let lost = transport.lost_keys().unwrap_or_default();
    let fix = "restore the key's entry, or the secret as SIGNOFF_HMAC_SECRET_PREVIOUS; else decide a new request";
    let mut findings: Vec<Finding> = lost
        .iter()
        .take(LOST_KEYS_SHOWN)
        .map(|lost| Finding::weak("ballot", lost.to_string(), fix))
        .collect();
    let hidden = lost.len().saturating_sub(findings.len());
    if hidden > 0 {
        findings.push(Finding::weak(
            "ballot",
            format!("{hidden} more ballots are by lost keys"),
            fix,
        ));
    }
    findings
}

/// Returns a finding for each row that differs from the log.
fn differences(examined: &Examined) -> Vec<Finding> {
    let named = examined.differences.iter();
    let mut findings: Vec<Finding> =
        named.map(|difference| Finding::bad("row", difference.to_string())).collect();
    let hidden = examined.differing.saturating_sub(findings.len() as u64);
    if hidden > 0 {
        findings.push(Finding::bad("row", format!("{hidden} more rows differ from the log")));
    }
    findings
}

/// The time before the expiry of a token in which it is reported, as for certificates.
const TOKEN_EXPIRES_SOON: u64 = 14 * 24 * 60 * 60;

fn token_findings(tokens: &[TokenRow]) -> Vec<Finding> {
    let living: Vec<&TokenRow> = tokens.iter().filter(|token| token.revoked_at.is_none()).collect();
    if tokens.is_empty() {
        return vec![Finding::weak(
            "tokens",
            "none: a server of this store listens on loopback only, and every caller is admin",
            "signoff token create --subject NAME --role admin",
        )];
    }
    let mut findings = vec![Finding::ok("tokens", format!("{} in use", living.len()))];
    let both = |token: &&&TokenRow| {
        token.roles.contains(&Role::Approver)
            && (token.roles.contains(&Role::Requester) || token.roles.contains(&Role::Executor))
    };
    let subjects = |rows: Vec<&&TokenRow>| {
        let mut names: Vec<&str> = rows.into_iter().map(|token| token.subject.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names.join(", ")
    };
    let mixed = subjects(living.iter().filter(both).collect());
    if !mixed.is_empty() {
        findings.push(Finding::weak(
            "tokens",
            format!("one token of {mixed} may request or execute, and also decide"),
            "use separate tokens: an approver should not also be the requester or executor",
        ));
    }
    let now = SystemClock.now();
    let soon = |token: &&&TokenRow| {
        token.expires_at.is_some_and(|at| at > now && at - now <= TOKEN_EXPIRES_SOON)
    };
    let expiring = subjects(living.iter().filter(soon).collect());
    if !expiring.is_empty() {
        findings.push(Finding::weak(
            "tokens",
            format!("tokens of {expiring} expire within 14 days"),
            "create others with `signoff token create`; `signoff token list --expires-within 14d` has the ids",
        ));
    }
    let strong = |token: &&&TokenRow| {
        token.expires_at.is_none()
            && (token.roles.contains(&Role::Admin) || token.roles.contains(&Role::Approver))
    };
    let forever = subjects(living.iter().filter(strong).collect());
    if !forever.is_empty() {
        findings.push(Finding::weak(
            "tokens",
            format!("tokens of {forever} never expire, and may decide or create tokens"),
            "signoff token create --subject NAME --role ROLE --expires-in 90d, then signoff token revoke for the old ones",
        ));
    }
    findings
}

fn mode(path: &Path) -> Finding {
    match path.metadata().map(|meta| meta.mode() & 0o777) {
        Err(e) => Finding::bad("mode", format!("{}: {e}", path.display())),
        Ok(mode) if mode & 0o077 == 0 => {
            Finding::ok("mode", format!("{} is {mode:03o}", path.display()))
        }
        Ok(mode) => Finding::bad(
            "mode",
            format!("{} is {mode:03o}, other users can read contexts", path.display()),
        )
        .fixed_by(format!("chmod 600 {}", path.display())),
    }
}
