//! `signoff doctor`: reports errors and weaknesses, with fixes. `certificates` checks the server's
//! certificates, `keys` checks keys and settings, `modules` the active modules and their signers,
//! `store` the store and its tokens.

mod certificates;
mod keys;
mod modules;
mod store;

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::transport::{Target, Transport};
use super::{Exit, Global, exit::Failure, output};
use crate::engine::{Allocation, Cache};
use crate::keys::trust;
use crate::verifier::Verifier;

pub(super) use self::certificates::look as certificates;
pub(super) use self::keys::{look as keys, settings};

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DoctorArgs {
    /// Check the server's TLS certificate and its issuers, PEM: the file of `serve --tls-cert`
    /// [default: that of the settings file]
    #[arg(long, value_name = "FILE", env = "SIGNOFF_TLS_CERT")]
    tls_cert: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  signoff doctor
  signoff doctor --tls-cert tls.pem   # of a server with this certificate";

/// The level of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    /// As it should be.
    Ok,
    /// It works, but could be safer.
    Weak,
    /// It does not work, or is open to others.
    Bad,
}

/// The subject of a check, and its result.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    what: &'static str,
    level: Level,
    found: String,
    /// How to fix it.
    fix: Option<String>,
}

pub(super) fn run(args: &DoctorArgs, global: &Global, target: &Target) -> Result<Exit, Failure> {
    let Target::Store(path) = target else {
        return Err(Failure::usage(
            "doctor examines this machine: leave out --server, and unset SIGNOFF_SERVER",
        ));
    };
    let file = global.settings_file();
    let of_file = file.as_ref().ok().and_then(|file| file.path_of("tls.cert")).map(Path::to_owned);
    let tls_cert = args.tls_cert.clone().or(of_file);
    let config = file.map(|file| file.config());
    let mut findings = Vec::new();
    findings.extend(settings(&config, &global.config_path()));
    let config = config.unwrap_or_default();
    let source = global.key_source(&config);
    let keys = source.load();
    findings.extend(keys::look(&keys, &config));
    findings.extend(modules::signers(&keys));
    findings.extend(tls_cert.iter().flat_map(|file| certificates::look(file)));
    findings.push(verifier());
    findings.extend(store::look(path, &trust(&source))?);
    // A store that cannot be read was reported above.
    if let Ok(transport) = Transport::new(target, global)
        && !transport.has_no_store()
        && keys.is_ok()
    {
        findings.extend(store::start_checks(&transport, tls_cert.is_some()));
        findings.extend(store::lost_keys(&transport));
        findings.extend(modules::active_modules(&transport));
    }
    let good = findings.iter().all(Finding::is_good);
    if global.json {
        let items: Vec<Value> = findings.iter().map(Finding::json).collect();
        output::line(&json!({ "good": good, "items": items }).to_string());
    } else {
        for finding in &findings {
            finding.print();
        }
    }
    Ok(if good { Exit::Done } else { Exit::Failed })
}

impl Finding {
    /// Returns whether it is no error; it may be a weakness.
    pub(super) fn is_good(&self) -> bool {
        self.level != Level::Bad
    }

    pub(super) fn ok(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, level: Level::Ok, found: found.into(), fix: None }
    }

    pub(super) fn weak(
        what: &'static str,
        found: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { what, level: Level::Weak, found: found.into(), fix: Some(fix.into()) }
    }

    pub(super) fn bad(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, level: Level::Bad, found: found.into(), fix: None }
    }

    pub(super) fn fixed_by(self, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..self }
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "what": self.what,
            "good": self.is_good(),
            "level": self.level.as_str(),
            "found": self.found,
            "mend": self.fix,
        })
    }

    pub(super) fn print(&self) {
        let mark = match self.level {
            Level::Ok => "ok  ",
            Level::Weak => "weak",
            Level::Bad => "BAD ",
        };
        output::line(&format!("{mark}  {:<10}{}", self.what, indented(&self.found)));
        if let Some(fix) = &self.fix {
            output::line(&format!("{:16}-> {}", "", indented(fix)));
        }
    }
}

/// Escapes a text, and marks its further lines, so that none looks like a finding of its own.
fn indented(text: &str) -> String {
    output::safe(text).replace('\n', &format!("\n{:16}| ", ""))
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Weak => "weak",
            Self::Bad => "bad",
        }
    }
}

fn verifier() -> Finding {
    let verifier = Verifier::embedded(Allocation::OnDemand, &Cache::of_user());
    let answered = verifier.map_err(|e| format!("{e:#}")).and_then(|verifier| {
        verifier.describe().map(|_| verifier.digest().to_owned()).map_err(|e| e.to_string())
    });
    match answered {
        Ok(digest) => Finding::ok("built in", digest),
        Err(why) => Finding::bad("built in", why),
    }
}
