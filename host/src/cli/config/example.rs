//! `signoff config example`: a settings file with every setting, each commented out.

use crate::cli::{Exit, output};
use crate::config::SETTINGS;

/// Width of the comments.
const WIDTH: usize = 96;

pub(super) fn run() -> Exit {
    output::styled_line(text().trim_end());
    Exit::Done
}

/// Returns the file. Without a change it sets nothing.
fn text() -> String {
    let mut text =
        "# The settings of a signoff server. `signoff config check --config FILE` checks them;\n\
        # each line that begins with `#` and a setting is an example of it.\n"
            .to_owned();
    let mut table = "";
    for setting in SETTINGS {
        // A table may come twice in the list, and once in TOML.
        if setting.table() != table && !text.contains(&format!("\n[{}]\n", setting.table())) {
            table = setting.table();
            text.push_str(&format!("\n[{table}]\n"));
        }
        for line in wrapped(setting.about) {
            text.push_str(&format!("## {line}\n"));
        }
        if let Some(default) = setting.default {
            text.push_str(&format!("## Default: {default}\n"));
        }
        text.push_str(&format!("#{} = {}\n", setting.key(), setting.example));
    }
    text
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + word.len() < WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on may stop")]
mod tests {
    use std::path::Path;

    use super::text;
    use crate::config::{SETTINGS, SettingsFile};

    #[test]
    fn the_example_sets_nothing_and_everything_once_the_marks_are_removed() {
        let nothing = SettingsFile::parse(&text(), Path::new("")).unwrap();
        assert!(SETTINGS.iter().all(|setting| nothing.get(setting.name).is_none()));
        let uncommented: Vec<String> = text()
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(setting) if !setting.starts_with(['#', ' ']) => setting.to_owned(),
                _ => line.to_owned(),
            })
            .collect();
        let all = SettingsFile::parse(&uncommented.join("\n"), Path::new("")).unwrap();
        for setting in SETTINGS {
            assert!(all.get(setting.name).is_some(), "{}", setting.name);
        }
    }
}
