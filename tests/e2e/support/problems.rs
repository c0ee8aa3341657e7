//! The documented table of codes, `wit/codes.md`, as the tests' source of titles and statuses.

/// Returns the title and HTTP status of a code.
#[track_caller]
pub fn title_and_status(code: &str) -> (&'static str, u16) {
    let wanted = format!("`{code}`");
    let row = include_str!("../../../wit/codes.md")
        .lines()
        .map(|line| line.split('|').map(str::trim).collect::<Vec<_>>())
        .find(|cells| cells.get(1) == Some(&wanted.as_str()))
        .unwrap_or_else(|| panic!("`{code}` is not in wit/codes.md"));
    (row[3], row[2].parse().expect("an HTTP status"))
}
