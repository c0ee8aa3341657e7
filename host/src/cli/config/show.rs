//! `signoff config show`: the settings in force, with their sources.

use serde_json::{Value, json};

use crate::cli::{Exit, Global, exit::Failure, output};
use crate::config::{Effective, Given, Setting, SettingsFile, Source};

pub(super) fn run(given: &Given, global: &Global) -> Result<Exit, Failure> {
    let file = global.settings_file()?;
    let effective = Effective::of(given, &file);
    if global.json {
        let shown =
            json!({ "file": file.path().map(output::json_path), "settings": to_json(&effective) });
        output::line(&shown.to_string());
        return Ok(Exit::Done);
    }
    let rows = effective.iter().map(|(setting, value, source)| {
        let value = value.map_or_else(|| "-".to_owned(), |value| value.shown(setting.kind));
        [setting.name.to_owned(), value, name_of(setting, source, &file)]
    });
    output::table(["SETTING", "VALUE", "SOURCE"], rows.collect());
    Ok(Exit::Done)
}

/// Returns the settings in force as JSON, by name.
pub(super) fn to_json(effective: &Effective) -> Value {
    let settings = effective.iter().map(|(setting, value, source)| {
        let value = value.map_or(Value::Null, |value| value.to_json(setting.kind));
        let mut shown = json!({ "value": value, "source": word_for(source) });
        if let (Source::File { line, column }, Some(fields)) = (source, shown.as_object_mut()) {
            fields.insert("line".to_owned(), json!(line));
            fields.insert("column".to_owned(), json!(column));
        }
        (setting.name.to_owned(), shown)
    });
    Value::Object(settings.collect())
}

fn word_for(source: Source) -> &'static str {
    match source {
        Source::CommandLine => "command-line",
        Source::Environment => "environment",
        Source::File { .. } => "file",
        Source::Default => "default",
    }
}

fn name_of(setting: &Setting, source: Source, file: &SettingsFile) -> String {
    let path = file.path().map_or_else(String::new, |path| path.display().to_string());
    match source {
        Source::CommandLine => format!("--{}", setting.flag.map_or("", |flag| flag.long)),
        Source::Environment => setting.variable.unwrap_or_default().to_owned(),
        Source::File { line, column } => format!("{path}:{line}:{column}"),
        Source::Default if setting.name == "server.audience" => "default of a new store".to_owned(),
        Source::Default => "default".to_owned(),
    }
}
