//! `signoff config check`: whether a server would start with these settings, and what weakens it.

use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::SocketAddr;
use std::path::Path;

use serde_json::json;

use super::show::to_json;
use crate::cli::doctor::{self, Finding};
use crate::cli::serve::ServerSettings;
use crate::cli::{Exit, Global, exit::Failure, output};
use crate::config::{Config, ConfigError, Effective, Given, Problem, SettingsFile, beside};
use crate::keys::{KeyError, KeySource, Keys, keyring_beside};
use crate::server::{self, Endpoint, Exposure};
use crate::start::WitnessFile;

pub(super) fn run(given: &Given, global: &Global) -> Result<Exit, Failure> {
    let loaded = global.settings_file();
    let (file, problems) = match &loaded {
        Ok(file) => (file.clone(), Vec::new()),
        // The other sources are checked all the same.
        Err(e) => (SettingsFile::default(), of_file(e)),
    };
    let effective = Effective::of(given, &file);
    let mut findings: Vec<Finding> = problems.iter().map(|(_, finding)| finding.clone()).collect();
    if loaded.is_ok() {
        findings.extend(of_settings(&effective, &file, global)?);
    }
    let good = findings.iter().all(Finding::is_good);
    if global.json {
        let problems: Vec<_> = problems.iter().filter_map(|(at, _)| at.as_ref()).collect();
        let problems: Vec<_> = problems
            .iter()
            .map(|Problem { line, column, message }| {
                json!({ "line": line, "column": column, "message": message })
            })
            .collect();
        let items: Vec<_> = findings.iter().map(Finding::json).collect();
        let settings = loaded.is_ok().then(|| to_json(&effective));
        let path = global.config_path();
        let output = json!({
            "good": good, "file": output::json_path(&path), "problems": problems, "items": items, "settings": settings,
        });
        output::line(&output.to_string());
    } else {
        findings.iter().for_each(Finding::print);
    }
    Ok(if good { Exit::Done } else { Exit::Failed })
}

/// Returns a finding for each fault of the file.
fn of_file(error: &ConfigError) -> Vec<(Option<Problem>, Finding)> {
    match error {
        ConfigError::Unreadable { .. } => vec![(None, Finding::bad("settings", error.to_string()))],
        ConfigError::Invalid { path, problems } => problems
            .iter()
            .map(|problem| {
                let found = format!("{path}:{problem}");
                (Some(problem.clone()), Finding::bad("settings", found))
            })
            .collect(),
    }
}

fn of_settings(
    effective: &Effective,
    file: &SettingsFile,
    global: &Global,
) -> Result<Vec<Finding>, Failure> {
    let config = file.config();
    let path = file.path().map_or_else(|| beside(&global.store), Path::to_owned);
    let mut findings = Vec::new();
    if file.path().is_none() {
        findings.push(Finding::ok("settings", format!("no file at {}", path.display())));
    }
    findings.extend(doctor::settings(&Ok(config.clone()), &path));
    let keyring = effective.path("keys.file").map(Path::to_owned);
    let keyring = keyring.unwrap_or_else(|| keyring_beside(&global.store));
    let keys = KeySource::new(keyring, None).load();
    match ServerSettings::of(effective) {
        Err(failure) => findings.push(Finding::bad("settings", failure.words())),
        Ok(settings) => {
            findings.extend(of_listeners(&settings)?);
            findings.extend(of_tls(&settings));
            findings.push(of_witness(&settings, &global.store));
        }
    }
    if config.requirement.threshold.is_none_or(|threshold| threshold < 2) {
        findings.push(Finding::weak(
            "approvers",
            "one approver suffices for a request that does not require more",
            "set `threshold = 2` under `[requirement]`",
        ));
    }
    findings.extend(of_keys(&keys, &config));
    Ok(findings)
}

/// Checks each address, as if callers need tokens and a log key exists: the store decides that.
fn of_listeners(settings: &ServerSettings) -> Result<Vec<Finding>, Failure> {
    let exposure = Exposure {
        tokens: true,
        tls: settings.tls.is_some(),
        behind_proxy: settings.behind_proxy,
        unauthenticated: false,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let look = |endpoint: &Endpoint| {
        let addresses = match runtime.block_on(server::resolve(std::slice::from_ref(endpoint))) {
            Ok(addresses) => addresses.concat(),
            Err(e) => return Finding::bad("listen", format!("{e:#}")),
        };
        if let Some(e) = addresses.iter().find_map(|address| exposure.allows(address).err()) {
            return Finding::bad("listen", format!("{e:#}"));
        }
        let is_local = addresses.iter().all(server::ListenAddress::is_local);
        let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let reach = if is_local { "this machine only" } else { "other machines; needs a token" };
        match exposure.tls || is_local {
            true => Finding::ok("listen", format!("{endpoint} for {reach}")),
            false => Finding::weak(
                "listen",
                format!("{} without TLS, behind a proxy", shown.join(", ")),
                "make sure that only the proxy reaches it, or listen on loopback or a Unix socket",
            ),
        }
    };
    let mut findings: Vec<Finding> = settings.listen.iter().map(look).collect();
    for (number, endpoint) in settings.listen.iter().enumerate() {
        let is_repeated = settings.listen.iter().take(number).any(|other| other == endpoint);
        if is_repeated && !endpoint.to_string().ends_with(":0") {
            findings.push(Finding::bad("listen", format!("{endpoint} is given more than once")));
        }
        if let Endpoint::Address(server::ListenAddress::Unix(path)) = endpoint
            && let Some(why) = unusable_socket(path)
        {
            findings.push(Finding::bad("listen", format!("{endpoint}: {why}")));
        }
    }
    Ok(findings)
}

/// Returns why no socket can be made at a path.
fn unusable_socket(path: &Path) -> Option<String> {
    if let Err(e) = SocketAddr::from_pathname(path) {
        return Some(e.to_string());
    }
    let is_other = path.symlink_metadata().is_ok_and(|meta| !meta.file_type().is_socket());
    is_other.then(|| "it exists and is not a socket".to_owned())
}

/// Loads the certificate and its key, as a start does, and checks what clients refuse.
fn of_tls(settings: &ServerSettings) -> Vec<Finding> {
    let Some((cert, _)) = &settings.tls else { return Vec::new() };
    match settings.tls() {
        Err(failure) => vec![Finding::bad("TLS", failure.words())],
        Ok(_) => doctor::certificates(cert),
    }
}

/// Checks that the witness can be read, and where it is. Whether the store extends it, a start checks.
fn of_witness(settings: &ServerSettings, store: &Path) -> Finding {
    let Some(path) = &settings.witness else {
        return Finding::weak(
            "witness",
            "none: replacing the store by an old copy is not detected",
            "set `file` under `[witness]`, with a file that users who can write the store cannot write, and start once with --new-witness",
        );
    };
    let shown = path.display();
    match WitnessFile::at(path).has_content() {
        Err(e) => return Finding::bad("witness", e.to_string()),
        Ok(false) => {
            return Finding::weak(
                "witness",
                format!("{shown} holds no checkpoint yet"),
                "start once with --new-witness; if it held one, is its disk mounted?",
            );
        }
        Ok(true) => {}
    }
    let folder = |path: &Path| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        folder.unwrap_or(Path::new(".")).canonicalize().ok()
    };
    match folder(path) == folder(store) {
        true => Finding::weak(
            "witness",
            format!("{shown} is in the folder of the store: who restores the folder restores both"),
            "keep it on another disk or machine",
        ),
        false => Finding::ok("witness", shown.to_string()),
    }
}

/// Checks the keyring and the secret of the environment. The program that prints keys is not run.
fn of_keys(keys: &Result<Keys, KeyError>, config: &Config) -> Vec<Finding> {
    match (keys, &config.keys.command) {
        (Err(KeyError::None), Some(argv)) => {
            let program = argv.first().map_or("", String::as_str);
            vec![Finding::ok("keys", format!("from `{program}`, which is not run here"))]
        }
        _ => doctor::keys(keys, config),
    }
}
