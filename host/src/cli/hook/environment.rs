//! The environment of a gate. A coding agent can put variables of a project's settings into it, so none of
//! them chooses the server, the store, or what is trusted.

use std::env;
use std::ffi::OsStr;

use clap::ArgMatches;
use clap::parser::ValueSource;

use crate::cli::exit::Failure;
use crate::cli::source;
use crate::cli::transport::Target;

/// Options that a gate takes from the command line or the login only.
const OPTIONS: [(&str, &str); 5] = [
    ("server", "SIGNOFF_SERVER"),
    ("store", "SIGNOFF_STORE"),
    ("ca", "SIGNOFF_CA"),
    ("config", "SIGNOFF_CONFIG"),
    ("keyring", "SIGNOFF_KEYRING"),
];
/// Variables that replace this machine's certificate authorities.
const AUTHORITIES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];
/// Variables that a store file does not depend on: a token is not sent to it, and the cache is a place.
const HARMLESS: [&str; 4] =
    ["SIGNOFF_TOKEN", "SIGNOFF_TOKEN_FILE", "SIGNOFF_APPROVER", "SIGNOFF_CACHE_DIR"];

/// Checks that no variable chooses what the gate asks or trusts.
///
/// # Errors
///
/// A variable is set that names a server, a store, authorities, settings or keys, or, with a store, any
/// other setting or secret.
pub(super) fn check(matches: &ArgMatches, target: &Target) -> Result<(), Failure> {
    for (option, variable) in OPTIONS {
        if source(matches, option) == Some(ValueSource::EnvVariable) {
            return Err(refused(
                variable,
                &format!("give --{option} in the hook's command, or run `signoff login`"),
            ));
        }
    }
    let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    match target {
        Target::Server(url) if url.starts_with("https:") => {
            if let Some(variable) = AUTHORITIES.into_iter().find(|name| is_set(name)) {
                return Err(refused(variable, "unset it, and name your authority with --ca"));
            }
        }
        Target::Server(_) => {}
        Target::Store(_) => {
            let found = env::vars_os().find(|(name, value)| !value.is_empty() && is_setting(name));
            if let Some((name, _)) = found {
                let fix = "unset it, and name the settings with --config";
                return Err(refused(&name.to_string_lossy(), fix));
            }
        }
    }
    Ok(())
}

/// Returns whether a variable is a setting or a secret of a store's service.
fn is_setting(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    (name.starts_with("SIGNOFF_") || name.starts_with("HMAC_SECRET"))
        && !HARMLESS.contains(&name.as_ref())
}

fn refused(variable: &str, fix: &str) -> Failure {
    Failure::usage(format!(
        "`{variable}` is set, and a project's settings can set it for the agent; a gate does not take it from the environment: {fix}"
    ))
}
