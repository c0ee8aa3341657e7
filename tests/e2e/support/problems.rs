//! The documented table of codes, `wit/codes.md`, as the tests' source of titles and statuses.

/// The documented titles of `not-found`, each in quotation marks after the table.
fn titles_of_missing() -> Vec<&'static str> {
    let (_, after) = include_str!("../../../wit/codes.md")
        .split_once("`not-found` has the title")
        .expect("the titles of `not-found`");
    let paragraph = after.split("\n\n").next().unwrap();
    paragraph.split('"').skip(1).step_by(2).collect()
}

/// Returns the titles that a code can have: one, or for `not-found` that of what is missing.
#[track_caller]
pub fn titles(code: &str) -> Vec<&'static str> {
    match code {
        "not-found" => titles_of_missing(),
        _ => vec![title_and_status(code).0],
    }
}

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
