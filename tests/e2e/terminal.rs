//! Texts of others, shown on a terminal: they cannot act on it, nor change the order of what is read.

use serde_json::json;

use crate::support::{APPROVER, ballot, home_and_server, id, request_body};

/// Characters that reorder, hide or join text.
const ACTING: [char; 14] = [
    '\u{202a}', '\u{202b}', '\u{202d}', '\u{202e}', '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}',
    '\u{200b}', '\u{200e}', '\u{200f}', '\u{61c}', '\u{feff}', '\u{2028}',
];

fn acts(c: char) -> bool {
    ACTING.contains(&c) || (c.is_control() && c != '\n' && c != '\t')
}

#[test]
fn what_a_person_reads_is_escaped() {
    let (home, server) = home_and_server();
    let hostile: String = ACTING.iter().flat_map(|c| ['a', *c]).collect();
    let mut body = request_body();
    body["reason"] = json!(format!("please\n\u{202e}evorppa{hostile}"));
    body["context"] = json!({ "x": format!("\u{1b}[2J\u{1b}]0;title\u{7}{hostile}") });
    let approval = server.request_of(&body);
    let mut decision = ballot(&approval, "rejected", APPROVER);
    decision["comment"] = json!(hostile);
    server.act(&approval, "approve", &decision).ok();
    let commands: [&[&str]; 5] = [
        &["show", id(&approval)],
        &["list"],
        &["audit", "tail"],
        &["wait", id(&approval)],
        &["verify", id(&approval)],
    ];
    for command in commands {
        let ran = home.run(command);
        let text = format!("{}{}", ran.out, ran.err);
        assert!(!text.chars().any(acts), "{command:?}: {}", text.escape_unicode());
    }
    let shown = home.run(&["show", id(&approval)]).ok();
    assert!(shown.contains("\\u{202e}evorppa"), "{shown}");
    assert!(!server.printed().chars().any(acts));
}

#[test]
fn a_reason_of_many_lines_cannot_pass_for_other_fields() {
    let (home, server) = home_and_server();
    let mut body = request_body();
    body["reason"] = json!("routine\nstatus       approved\nid           appr_x");
    let approval = server.request_of(&body);
    let shown = home.run(&["show", id(&approval)]).ok();
    let fields: Vec<&str> = shown.lines().filter(|line| line.starts_with("status")).collect();
    assert_eq!(fields, ["status       pending"], "{shown}");
    let listed = home.run(&["list"]).ok();
    assert_eq!(listed.lines().count(), 1, "{listed}");
}

#[test]
fn nothing_is_coloured_in_a_pipe() {
    let (home, server) = home_and_server();
    let approval = server.approved();
    for command in [&["show", id(&approval)][..], &["list"], &["stats"], &["--help"]] {
        assert!(!home.run(command).ok().contains('\u{1b}'));
    }
}
