//! Settings: arguments first, then the environment, then the user's home.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

#[cfg(unix)]
use rustix::fs::{Mode, OFlags};
use serde::Deserialize;

use crate::error::Error;

/// The largest home file that is read.
const HOME_BYTES_MAX: u64 = 64 << 10;

/// What a client is told, or finds.
#[derive(Clone, Default)]
pub(crate) struct Settings {
    pub(crate) url: Option<String>,
    pub(crate) token: Option<String>,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) keys: Option<PathBuf>,
    pub(crate) audience: Option<String>,
}

/// `client.json` in the user's home, which `signoff login` writes.
#[derive(Default, Deserialize)]
struct Home {
    #[serde(default)]
    server: Option<String>,
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    ca: Option<PathBuf>,
    #[serde(default)]
    keys: Option<PathBuf>,
    #[serde(default)]
    audience: Option<String>,
}

impl Settings {
    /// Fills what is unset from the environment, then from the home file.
    pub(crate) fn filled(self) -> Result<Self, Error> {
        let environment = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        self.filled_from(environment)
    }

    fn filled_from(self, environment: impl Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        let text = |name: &str| match environment(name).map(OsString::into_string) {
            None => Ok(None),
            Some(Ok(text)) => Ok(Some(text)),
            Some(Err(_)) => Err(Error::invalid(format!("{name} is not UTF-8"))),
        };
        let file = |name: &str| environment(name).map(PathBuf::from);
        let named = Self {
            url: self.url.map_or_else(|| text("SIGNOFF_SERVER"), |url| Ok(Some(url)))?,
            token: self.token.map_or_else(|| text("SIGNOFF_TOKEN"), |token| Ok(Some(token)))?,
            ca: self.ca.or_else(|| file("SIGNOFF_CA")),
            keys: self.keys.or_else(|| file("SIGNOFF_KEYS")),
            audience: self
                .audience
                .map_or_else(|| text("SIGNOFF_AUDIENCE"), |audience| Ok(Some(audience)))?,
        };
        match folder(environment) {
            None => Ok(named),
            Some(folder) => named.filled_from_home(&folder),
        }
    }

    fn filled_from_home(self, folder: &Path) -> Result<Self, Error> {
        let home = read(&folder.join("client.json"))?;
        let absolute = |path: PathBuf| folder.join(path);
        // The token of one server is not sent to another one, nor do its authorities vouch for it.
        let is_same = self.url.is_none() || self.url == home.server;
        Ok(Self {
            url: self.url.or(home.server),
            token: self.token.or(home.token.filter(|_| is_same)),
            ca: self.ca.or(home.ca.filter(|_| is_same).map(absolute)),
            keys: self.keys.or(home.keys.map(absolute)),
            audience: self.audience.or(home.audience),
        })
    }
}

/// Returns `$XDG_CONFIG_HOME/signoff`, or `~/.config/signoff`.
fn folder(environment: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let configured = environment("XDG_CONFIG_HOME").map(PathBuf::from);
    // The specification ignores a relative path.
    let configured = configured.filter(|path| path.is_absolute());
    let base = configured.or_else(|| Some(PathBuf::from(environment("HOME")?).join(".config")));
    base.map(|base| base.join("signoff"))
}

fn read(path: &Path) -> Result<Home, Error> {
    let wrong = |why: &str| Error::invalid(format!("`{}`: {why}", path.display()));
    let mut file = match open(path) {
        Ok(file) => file,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Home::default());
        }
        Err(e) => return Err(wrong(&e.to_string())),
    };
    let metadata = file.metadata().map_err(|e| wrong(&e.to_string()))?;
    if !metadata.is_file() {
        return Err(wrong("it is not a regular file"));
    }
    is_private(&metadata).map_err(wrong)?;
    if metadata.len() > HOME_BYTES_MAX {
        return Err(wrong("larger than 64 KiB"));
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(|e| wrong(&e.to_string()))?;
    // Serde would also read an array with the members in order.
    if !text.trim_start().starts_with('{') {
        return Err(wrong("it is not a JSON object"));
    }
    // Without serde's message, which may quote the token.
    serde_json::from_str(&text).map_err(|e| {
        let at = format!("line {} column {}", e.line(), e.column());
        wrong(&format!("expected a JSON object of texts, found another form at {at}"))
    })
}

/// Opens a file. Does not wait for a writer if it is a pipe.
#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Refuses a file that holds a token and that others can read or write.
#[cfg(unix)]
fn is_private(metadata: &fs::Metadata) -> Result<(), &'static str> {
    use std::os::unix::fs::MetadataExt;

    let me = rustix::process::geteuid().as_raw();
    if metadata.uid() != me {
        return Err("it belongs to another user");
    }
    if metadata.mode() & 0o066 != 0 {
        return Err("other users can read or write it; run `chmod 600` on it");
    }
    Ok(())
}

#[cfg(not(unix))]
fn is_private(_: &fs::Metadata) -> Result<(), &'static str> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::Settings;

    fn home(text: &str, mode: u32) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("signoff");
        fs::create_dir(&folder).unwrap();
        let file = folder.join("client.json");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        home
    }

    fn filled(given: Settings, home: &Path, set: &[(&str, &str)]) -> Result<Settings, String> {
        let environment = |name: &str| match name {
            "XDG_CONFIG_HOME" => Some(home.as_os_str().to_owned()),
            _ => set.iter().find(|(of, _)| *of == name).map(|(_, value)| (*value).into()),
        };
        given.filled_from(environment).map_err(|e| e.to_string())
    }

    const HOME: &str = r#"{"server": "https://home", "token": "of-home", "ca": "ca.pem",
        "keys": "/keys.json", "audience": "home", "later": 1}"#;

    #[test]
    fn arguments_come_before_the_environment_and_that_before_the_home() {
        let home = home(HOME, 0o600);
        let found = filled(Settings::default(), home.path(), &[]).unwrap();
        assert_eq!(found.url.as_deref(), Some("https://home"));
        assert_eq!(found.token.as_deref(), Some("of-home"));
        assert_eq!(found.ca, Some(home.path().join("signoff/ca.pem")));
        assert_eq!(found.keys.as_deref(), Some(Path::new("/keys.json")));
        let set = [("SIGNOFF_AUDIENCE", "environment"), ("SIGNOFF_KEYS", "k")];
        let found = filled(Settings::default(), home.path(), &set).unwrap();
        assert_eq!(found.audience.as_deref(), Some("environment"));
        assert_eq!(found.keys.as_deref(), Some(Path::new("k")));
        let given = Settings { audience: Some("given".to_owned()), ..Settings::default() };
        let found = filled(given, home.path(), &set).unwrap();
        assert_eq!(found.audience.as_deref(), Some("given"));
    }

    #[test]
    fn the_token_and_authorities_of_the_home_are_for_its_server_only() {
        let home = home(HOME, 0o600);
        let found = |url: &str| {
            filled(Settings::default(), home.path(), &[("SIGNOFF_SERVER", url)]).unwrap()
        };
        assert_eq!(found("https://home").token.as_deref(), Some("of-home"));
        assert!(found("https://home").ca.is_some());
        for different in ["https://other", "https://home/", "https://HOME"] {
            let other = found(different);
            assert!(other.token.is_none() && other.ca.is_none(), "{different}");
            assert_eq!(other.audience.as_deref(), Some("home"));
        }
        let set = [("SIGNOFF_SERVER", "https://other"), ("SIGNOFF_TOKEN", "t")];
        let found = filled(Settings::default(), home.path(), &set).unwrap();
        assert_eq!(found.token.as_deref(), Some("t"));
    }

    #[test]
    fn a_home_without_a_server_has_no_token() {
        let home = self::home(r#"{"token": "of-home", "ca": "ca.pem"}"#, 0o600);
        let set = [("SIGNOFF_SERVER", "https://other")];
        let found = filled(Settings::default(), home.path(), &set).unwrap();
        assert!(found.token.is_none() && found.ca.is_none());
    }

    #[test]
    fn a_pipe_is_refused_and_not_waited_for() {
        let home = self::home("{}", 0o600);
        let file = home.path().join("signoff/client.json");
        fs::remove_file(&file).unwrap();
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let refused = filled(Settings::default(), home.path(), &[]).err().unwrap();
        assert!(refused.contains("not a regular file"), "{refused}");
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        let refused = filled(Settings::default(), home.path(), &[]).err().unwrap();
        assert!(refused.contains("not a regular file"), "{refused}");
    }

    #[test]
    fn a_home_file_of_another_user_is_refused() {
        let home = self::home(HOME, 0o600);
        match std::os::unix::fs::chown(home.path().join("signoff/client.json"), Some(12345), None) {
            // Only root can give a file away.
            Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => return,
            given => given.unwrap(),
        }
        let refused = filled(Settings::default(), home.path(), &[]).err().unwrap();
        assert!(refused.contains("another user"), "{refused}");
    }

    #[test]
    fn a_home_file_that_others_can_read_or_write_is_refused() {
        for mode in [0o644, 0o640, 0o620, 0o602] {
            let refused = filled(Settings::default(), home(HOME, mode).path(), &[]).err().unwrap();
            assert!(refused.contains("chmod 600"), "{mode:o}: {refused}");
        }
    }

    #[test]
    fn a_malformed_home_file_is_refused_and_not_quoted() {
        for text in ["", "[]", r#"{"token": 5}"#, r#"{"token": {"SECRET": 1}}"#, "SECRET"] {
            let refused = filled(Settings::default(), home(text, 0o600).path(), &[]).err().unwrap();
            assert!(refused.contains("client.json") && !refused.contains("SECRET"), "{refused}");
        }
        let large = format!(r#"{{"token": "{}"}}"#, "x".repeat(70_000));
        let refused = filled(Settings::default(), home(&large, 0o600).path(), &[]).err().unwrap();
        assert!(refused.contains("64 KiB"), "{refused}");
    }

    #[test]
    fn without_a_home_file_nothing_is_set() {
        let empty = tempfile::tempdir().unwrap();
        let found = filled(Settings::default(), empty.path(), &[]).unwrap();
        assert!(found.url.is_none() && found.token.is_none());
    }
}
