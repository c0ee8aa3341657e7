//! The store: that all of it agrees, who can read the file, and who has tokens.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::Result;

use super::Finding;
use crate::role::Role;
use crate::service::{TokenRow, token_rows};
use crate::store::redb::{CheckIntegrity, OpenMode, RedbStore};
use crate::store::{Store, StoreError};

pub(super) fn look(path: &Path) -> Result<Vec<Finding>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    Ok(runtime.block_on(async {
        let mut findings = Vec::new();
        match examined(path).await {
            Ok((found, tokens)) => {
                findings.push(Finding::ok("store", found));
                findings.extend(of_tokens(&tokens));
            }
            Err(e) => findings.push(Finding::bad("store", e.to_string())),
        }
        findings.push(mode(path));
        findings
    }))
}

/// Verifies every page where nobody writes; beside a server, that all tables agree.
async fn examined(path: &Path) -> Result<(String, Vec<TokenRow>), StoreError> {
    let (store, note) = match RedbStore::open(path, OpenMode::Write, CheckIntegrity::Yes) {
        Err(StoreError::Held) => {
            let store = RedbStore::open(path, OpenMode::Read, CheckIntegrity::No)?;
            (store, ", while another process writes")
        }
        store => (store?, ""),
    };
    store.verify_consistency()?;
    let head = store.head().await?;
    let approvals: u64 = head.counts.iter().sum();
    let found = format!(
        "{approvals} approvals and {} audit entries agree (audience {}{note})",
        head.entries, head.audience
    );
    Ok((found, token_rows(&store).await?))
}

fn of_tokens(tokens: &[TokenRow]) -> Vec<Finding> {
    let living: Vec<&TokenRow> = tokens.iter().filter(|token| token.revoked_at.is_none()).collect();
    if tokens.is_empty() {
        return vec![Finding::weak(
            "tokens",
            "none: a server of this store listens on loopback alone, and everybody there is admin",
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
            format!("one token of {mixed} asks or executes, and decides"),
            "a token for each: who decides should not be who acts",
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
            format!("tokens of {forever} never expire, and may decide or make others"),
            "signoff token create --expires-in 90d, then revoke the old ones",
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
            format!("{} is {mode:03o}, others can read contexts", path.display()),
        )
        .mended_by(format!("chmod 600 {}", path.display())),
    }
}
