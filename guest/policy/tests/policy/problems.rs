//! Every mistake is reported at its position.

use signoff_policy::policy::Policy;
use signoff_policy::problem::Severity;

use super::support::{errors, problems};

/// Checks the line, the column and a piece of the message of an error; lines count from the one
/// after `name`.
fn assert_error(rules: &str, line: usize, column: usize, message: &str) {
    let found = errors(rules);
    assert!(
        found.iter().any(|problem| (problem.line, problem.column) == (line + 2, column)
            && problem.message.contains(message)),
        "{rules}\nexpected {}:{column} {message}\n{found:#?}",
        line + 2
    );
}

const RULE: &str = "[[rule]]\nid = 'r'\nverdict = 'require_approval'\n";

#[test]
fn mistakes_in_members_are_reported_at_their_position() {
    let line_four = [
        ("color = 1", 1, "unknown member `color`"),
        ("default = 'deny'", 1, "it belongs to the file, above the first `[[rule]]`"),
        ("\"co\\u0000lor\" = 1", 1, "unknown member `co\\0lor`"),
        ("agent = 1", 9, "`agent` is a glob or a list of globs, got an integer"),
        ("agent = ''", 9, "1 to 128 bytes, got 0"),
        ("agent = 'a b'", 9, "only visible ASCII characters, got ` `"),
        ("agent = ['a', 'é']", 15, "only visible ASCII characters"),
        ("agent = []", 9, "1 to 64 globs, got 0"),
        ("agent = ['a', 1]", 15, "got an integer"),
        ("action = { a = 1 }", 10, "`action` is a glob or a list of globs, got a table"),
        ("when = 1", 8, "`when` is a string, got an integer"),
        ("when = 'context.a ='", 19, "not a CEL expression"),
        ("when = 'contxt.a == 1'", 9, "`contxt` is not declared"),
        ("when = \"'caf\\u00e9' == contxt.a\"", 24, "`contxt` is not declared"),
        ("when = \"'\\t\\\"' == contxt.a\"", 19, "`contxt` is not declared"),
        ("when = \"'é' == contxt.a\"", 16, "`contxt` is not declared"),
        ("when = \"'\\U0001F600' == contxt.a\"", 25, "`contxt` is not declared"),
        ("ttl = 'soon'", 7, "`ttl` is a time like 90s, 45m, 2h or 7d, or one of emergency"),
        ("ttl = '1w'", 7, "`ttl` is a time"),
        ("ttl = '-1s'", 7, "`ttl` is a time"),
        ("ttl = '1.5h'", 7, "`ttl` is a time"),
        ("ttl = ''", 7, "`ttl` is a time"),
        ("ttl = 'é'", 7, "`ttl` is a time"),
        ("ttl = 1.5", 7, "`ttl` is a time"),
        ("ttl = 0", 7, "1 to 604800 seconds"),
        ("ttl = -1", 7, "1 to 604800 seconds"),
        ("ttl = 604801", 7, "1 to 604800 seconds"),
        ("ttl = '8d'", 7, "1 to 604800 seconds"),
        ("ttl = '99999999999999999999d'", 7, "1 to 604800 seconds"),
        ("threshold = 0", 13, "`threshold` is 1 to 16, got 0"),
        ("threshold = 17", 13, "`threshold` is 1 to 16, got 17"),
        ("threshold = '2'", 13, "`threshold` is an integer, got a string"),
        ("threshold = 99999999999999999999", 13, ""),
        ("groups = ['a']", 10, "`groups` is a table of minimums, as `{ sre = 1 }`, got an array"),
        ("groups = {}", 10, "1 to 16 groups, got 0"),
        ("groups = { a = 0 }", 16, "1 to 16, got 0"),
        ("groups = { a = 17 }", 16, "1 to 16, got 17"),
        ("groups = { a = true }", 16, "`a` is an integer, got a boolean"),
        ("groups = { 'a b' = 1 }", 12, "a group is 1 to 128 visible ASCII characters"),
        ("reason = 1", 10, "`reason` is a string"),
        ("reason = 'risk {context.a'", 16, "a `{` without its `}`"),
        ("reason = 'risk }'", 16, "a `}` without its `{`"),
        ("reason = 'risk {}'", 16, "`{}` is not a placeholder"),
        ("reason = \"a\\rb\"", 12, "a reason has no control character `\\u{d}`"),
        ("reason = \"\\u001B[2J\"", 11, "a reason has no control character `\\u{1b}`"),
        ("reason = 'risk {contxt.a}'", 16, "`{contxt.a}` is not a placeholder"),
        ("reason = 'risk {context.}'", 16, "is not a placeholder"),
        ("reason = 'risk {context[a]}'", 16, "is not a placeholder"),
        ("reason = 'risk {context[-1]}'", 16, "is not a placeholder"),
        ("reason = 'risk {context[0}'", 16, "is not a placeholder"),
        ("reason = 'risk {agent.a}'", 16, "is not a placeholder"),
        ("reason = 'risk {context .a}'", 16, "is not a placeholder"),
        ("reason = 'risk {context.a:.2f}'", 16, "without a format"),
        ("reason = 'risk {context.a!r}'", 16, "without a format"),
        ("reason = 'risk {context.a?}'", 16, "without a format"),
        ("reason = \"\\u00e9 {x}\"", 18, "is not a placeholder"),
    ];
    for (member, column, message) in line_four {
        assert_error(&format!("{RULE}{member}\n"), 4, column, message);
    }
}

#[test]
fn mistakes_in_multiline_strings_are_reported_in_their_line() {
    for (text, line, column) in [
        ("when = \"\"\"\ncontext.a == 1 &&\n  contxt.b == 2\n\"\"\"\n", 6, 3),
        ("when = \"\"\"context.a == 1 &&\n  contxt.b == 2\"\"\"\n", 5, 3),
        ("when = '''\ncontext.a == 1 &&\n\tcontxt.b == 2\n'''\n", 6, 2),
        ("when = \"\"\"\r\ncontext.a == 1 &&\r\n  contxt.b == 2\r\n\"\"\"\r\n", 6, 3),
        ("when = \"\"\"\n'\\u00e9' == \\\n\n   contxt.b\n\"\"\"\n", 7, 4),
        ("when = \"\"\"\\\n   'é' == contxt.b\"\"\"\n", 5, 11),
    ] {
        assert_error(&format!("{RULE}{text}"), line, column, "`contxt` is not declared");
    }
    assert_error(
        &format!("{RULE}when = \"\"\"\ncontext.a == 1\n  && (context.b ==\n)\"\"\"\n"),
        7,
        1,
        "not a CEL",
    );
    assert_error(
        &format!("{RULE}reason = \"\"\"\nrisk\n  {{x}}\"\"\"\n"),
        6,
        3,
        "is not a placeholder",
    );
}

#[test]
fn mistakes_of_a_whole_rule_are_reported_at_its_start() {
    for (rule, message) in [("verdict = 'deny'", "no `id`"), ("id = 'a'", "no `verdict`")] {
        assert_error(&format!("[[rule]]\n{rule}\n"), 1, 1, message);
    }
    for (member, line, column, message) in [
        ("id = 'a b'\nverdict = 'deny'", 2, 6, "`id` is 1 to 128 visible ASCII characters"),
        ("id = ''\nverdict = 'deny'", 2, 6, "`id` is 1 to 128"),
        ("id = 1\nverdict = 'deny'", 2, 6, "`id` is a string"),
        (
            "id = 'a'\nverdict = 'DENY'",
            3,
            11,
            "`verdict` is allow, deny or require_approval, got `DENY`",
        ),
        ("id = 'a'\nverdict = ['deny']", 3, 11, "`verdict` is a string"),
        (
            "id = 'a'\nverdict = 'deny'\nttl = 60",
            4,
            7,
            "`ttl` is only allowed with the verdict require_approval",
        ),
        ("id = 'a'\nverdict = 'allow'\nthreshold = 2", 4, 13, "`threshold` is only allowed with"),
        ("id = 'a'\nverdict = 'allow'\ngroups = { a = 1 }", 4, 10, "`groups` is only allowed with"),
        (
            "id = 'a'\nverdict = 'deny'\n[[rule]]\nid = 'a'\nverdict = 'deny'",
            5,
            6,
            "taken by the rule in line 3",
        ),
    ] {
        assert_error(&format!("[[rule]]\n{member}\n"), line, column, message);
    }
    let found = errors("[[rule]]\nid = 'a'\nverdict = 'no'\n");
    assert_eq!(found.first().and_then(|problem| problem.rule.as_deref()), Some("a"));
    assert_eq!(found.first().map(|problem| problem.source.as_str()), Some("verdict = 'no'"));
}

#[test]
fn mistakes_of_a_file_are_reported() {
    for (text, line, column, message) in [
        ("", 1, 1, "`format` is missing"),
        ("", 1, 1, "`name` is missing"),
        ("format = 2\nname = 'a'", 1, 10, "format 2 is not known, expected 1"),
        ("format = '1'\nname = 'a'", 1, 10, "`format` is an integer, got a string"),
        ("format = 1\nname = 'A'", 2, 8, "a name is [a-z0-9_-]{1,64}, got `A`"),
        ("format = 1\nname = ''", 2, 8, "a name is"),
        ("format = 1\nname = 1", 2, 8, "`name` is a string"),
        (
            "format = 1\nname = 'a'\ndefault = 'no'",
            3,
            11,
            "`default` is allow, deny or require_approval",
        ),
        ("format = 1\nname = 'a'\nrules = []", 3, 1, "unknown member `rules`"),
        ("format = 1\nname = 'a'\nrule = 1", 3, 8, "`rule` is `[[rule]]`, got an integer"),
        ("format = 1\nname = 'a'\nrule = [1]", 3, 9, "`rule` is `[[rule]]`"),
        ("format = 1\nname = 'a'\n[rule]\nid = 'a'", 3, 1, "`rule` is `[[rule]]`, got a table"),
        ("format = 1\nname = 'a'\nttl = 5", 3, 7, "`ttl` is a table of named times"),
        ("format = 1\nname = 'a'\n[ttl]\nurgent = 5", 4, 1, "the ttl class `urgent` is built in"),
        ("format = 1\nname = 'a'\n[ttl]\nA = 5", 4, 1, "a ttl class is [a-z0-9_-]{1,64}"),
        ("format = 1\nname = 'a'\n[ttl]\na = 'urgent'", 4, 5, "`a` is a time like"),
        ("format = 1\nname = 'a'\n[ttl]\na = '8d'", 4, 5, "1 to 604800 seconds"),
        ("format = 1\nname = 'a'\nname = 'b'", 3, 1, "not TOML"),
        ("format = 1\nname = 'a\n[[rule]]", 2, 10, "not TOML"),
        ("format = 1\nname", 2, 5, "not TOML"),
        ("format = ", 1, 9, "not TOML"),
        ("\u{0}", 1, 1, "not TOML"),
        ("format = 1\n[context.pay.*]\n", 2, 14, "put the action of a schema in quotes"),
        ("format = 1\nname = \"\\d\"\n", 2, 10, "single quotes takes backslashes as they are"),
    ] {
        let found = match Policy::load(text) {
            Ok(_) => panic!("{text}"),
            Err(found) => found,
        };
        assert!(
            found.iter().any(|problem| problem.line == line
                && (problem.column == column || problem.message.contains("not TOML"))
                && problem.message.contains(message)),
            "{text}\n{found:#?}"
        );
    }
}

#[test]
fn mistakes_in_tests_are_reported() {
    let test = "[[test]]\nname = 'a'\nagent = 'a'\naction = 'b'\nexpect = 'deny'\n";
    for (member, column, message) in [
        ("color = 1", 1, "unknown member `color`"),
        ("context = 1", 11, "`context` is a table, or a JSON object as a string"),
        ("context = '[]'", 11, "not a JSON object"),
        ("context = '{\"a\": 1, \"a\": 2}'", 11, "not a JSON object"),
        ("context = '{\"a\": 1,}'", 11, " at character 9"),
        ("context = { a = 1979-05-27 }", 17, "JSON has no times"),
        ("context = { a = nan }", 17, "JSON has no such number"),
        ("plan = 'x'", 8, "`plan` is not a JSON object"),
        ("facts = 1", 9, "`facts` is a table, got an integer"),
        ("facts = '{}'", 9, "`facts` is a table, got a string"),
        ("facts = { role = 'x' }", 11, "there is no fact `role`, expected claimed_by or requester"),
        ("facts = { requester = 1 }", 23, "`requester` is a string, got an integer"),
        ("facts = { requester = '' }", 23, "`requester` is 1 to 128"),
        ("facts = { requester = 'Ci' }", 23, "a host gives facts in lower case, expected `ci`"),
        ("now = 5", 7, "`now` is a time with its offset"),
        ("now = '2025-10-17T10:30:00Z'", 7, "without quotes: 2025-10-17T10:30:00Z"),
        ("now = 'noon'", 7, "`now` is a time with its offset"),
        ("now = 2025-10-17", 7, "`now` is a time with its offset"),
        ("now = 2025-10-17T10:30:00", 7, "`now` is a time with its offset"),
        ("now = 1960-10-17T10:30:00Z", 7, "`now` is a time with its offset, from 1970"),
        ("rule = ''", 8, "`rule` is 1 to 128"),
        ("requirement = 1", 15, "`requirement` is a table"),
        ("requirement = { ttl = 1 }", 17, "unknown member `ttl`"),
        ("requirement = { ttl_seconds = 0 }", 31, "`ttl_seconds` is 1 to 604800"),
        ("requirement = { threshold = 17 }", 29, "`threshold` is 1 to 16"),
        ("reason = 1", 10, "`reason` is a string"),
    ] {
        assert_error(&format!("{test}{member}\n"), 6, column, message);
    }
    for missing in ["name", "agent", "action", "expect"] {
        let text: String = test
            .lines()
            .filter(|line| !line.starts_with(missing))
            .map(|l| format!("{l}\n"))
            .collect();
        assert_error(&text, 1, 1, &format!("the test has no `{missing}`"));
    }
}

#[test]
fn all_mistakes_are_reported_at_once_up_to_a_hundred() {
    let found = errors(&format!(
        "{RULE}color = 1\nttl = 0\nthreshold = 0\nwhen = 'x'\n[[rule]]\nid = ''\nverdict = 'a'\n"
    ));
    assert_eq!(found.len(), 6, "{found:#?}");
    assert!(found.is_sorted_by_key(|problem| problem.line));
    let many: String =
        (0..500).map(|n| format!("[[rule]]\nid = 'r{n}'\nverdict = 'x'\n")).collect();
    assert_eq!(problems(&many).len(), 100);
    let drowned: String =
        (0..200).map(|n| format!("[[rule]]\nid = 'r{n}'\nverdict = 'deny'\n")).collect();
    let found = problems(&format!("{drowned}[[rule]]\nid = 'last'\nverdict = 'x'\n"));
    assert!(
        found.iter().any(|problem| problem.severity == Severity::Error),
        "an error is not lost among warnings"
    );
}

/// Where names are not what a rule goes by, or nothing is allowed by default, there is no warning.
#[test]
fn a_rule_that_another_spelling_evades_is_warned_about() {
    let rule = |default: &str, rule: &str| {
        format!("default = '{default}'\n[[rule]]\nid = 'a'\nreason = 'x'\n{rule}")
    };
    for named in
        ["action = 'purge'\nverdict = 'deny'", "agent = 'a*'\nverdict = 'require_approval'"]
    {
        let found = problems(&rule("allow", named));
        let spelling = found.iter().find(|problem| problem.message.contains("another spelling"));
        assert_eq!(spelling.map(|problem| problem.rule.as_deref()), Some(Some("a")), "{found:?}");
    }
    let several = format!(
        "{}\n[[rule]]\nid = 'b'\nagent = 'b'\nreason = 'x'\nverdict = 'deny'",
        rule("allow", "action = 'purge'\nverdict = 'deny'")
    );
    let found = problems(&several);
    let named = found.iter().filter(|problem| problem.message.contains("another spelling"));
    let messages: Vec<&str> = named.map(|problem| problem.message.as_str()).collect();
    assert!(matches!(messages.as_slice(), [only] if only.contains("and another one")), "{found:?}");
    for text in [
        rule("require_approval", "action = 'purge'\nverdict = 'deny'"),
        rule("deny", "agent = 'a*'\nverdict = 'require_approval'"),
        rule("allow", "when = 'context.a == 1'\nverdict = 'deny'"),
        rule("allow", "agent = ['a', '*']\nverdict = 'deny'"),
    ] {
        let found = problems(&text);
        assert!(found.iter().all(|problem| !problem.message.contains("spelling")), "{found:?}");
    }
}

#[test]
fn likely_mistakes_are_warnings() {
    let cases = [
        ("default = 'allow'", "the default is `allow`"),
        ("[[rule]]\nid = 'a'\nverdict = 'deny'", "no `reason`"),
        (
            "[[rule]]\nid = 'a'\nverdict = 'require_approval'\nreason = 'x'\nttl = '25h'",
            "over 24 hours",
        ),
        (
            "[[rule]]\nid = 'a'\nverdict = 'require_approval'\nreason = 'x'\nthreshold = 2\ngroups = { finance = 3 }",
            "3 approvers of `finance` are more than `threshold = 2`",
        ),
        ("[[rule]]\nid = 'a'\nagent = 'a?'\nverdict = 'allow'", "only `*` is special"),
        (
            "[[rule]]\nid = 'a'\naction = ['^pay.*$']\nverdict = 'allow'",
            "`^pay.*$` matches its other characters literally; a glob is always for the whole name, without `^` and `$`; `.*` is written `*`",
        ),
        ("[[rule]]\nid = 'a'\naction = 'a|b'\nverdict = 'allow'", "only `*` is special"),
        ("[[rule]]\nid = 'a'\naction = 'a\\d'\nverdict = 'allow'", "`a\\d` matches its"),
        ("[[rule]]\nid = 'a'\naction = '{a,b}'\nverdict = 'allow'", "only `*` is special"),
        (
            "[[test]]\nname = 'a'\nagent = 'a'\naction = 'a'\nexpect = 'deny'\nrule = 'z'",
            "the rule `z`, which does not exist",
        ),
        (
            "[[test]]\nname = 'a'\nagent = 'a'\naction = 'a'\nexpect = 'deny'\n[[test]]\nname = 'a'\nagent = 'a'\naction = 'a'\nexpect = 'deny'",
            "the test in line 3 has the same name",
        ),
    ];
    for (text, message) in cases {
        let found = problems(text);
        let [only] = found.as_slice() else { panic!("{text} {found:#?}") };
        assert_eq!(only.severity, Severity::Warning, "{text}");
        assert!(only.message.contains(message), "{text} {only:?}");
    }
}

#[test]
fn rules_that_can_never_decide_are_warned_about() {
    let rule = |id: &str, agent: &str, verdict: &str, more: &str| {
        format!(
            "[[rule]]\nid = '{id}'\nagent = '{agent}'\nverdict = '{verdict}'\nreason = 'x'\n{more}\n"
        )
    };
    // first rule, second rule, whether the first and the second are warned about
    let when = "when = 'context.a == 1'";
    let cases = [
        (("*", "deny", ""), ("a*", "allow", when), [false, true]),
        (("a*", "allow", when), ("*", "deny", ""), [true, false]),
        (("a*", "deny", ""), ("*", "allow", when), [false, false]),
        (("a*", "require_approval", ""), ("ab", "allow", ""), [false, true]),
        (("a*", "allow", ""), ("ab", "allow", when), [false, true]),
        (("ab", "allow", when), ("a*", "allow", ""), [false, false]),
        (("*", "require_approval", ""), ("*", "deny", when), [false, false]),
        (("*", "require_approval", ""), ("*", "require_approval", "ttl = 60"), [false, false]),
        (
            ("*", "require_approval", "ttl = 30"),
            ("*", "require_approval", "ttl = 60"),
            [false, true],
        ),
        (("*", "deny", when), ("*", "deny", when), [false, true]),
        (("*", "deny", when), ("*", "deny", "when = 'context.a == 2'"), [false, false]),
        (("*", "deny", when), ("a", "deny", when), [false, false]),
        (("*", "deny", "when = 'true'"), ("a", "allow", when), [true, true]),
    ];
    for (first, second, warned) in cases {
        let text =
            rule("one", first.0, first.1, first.2) + &rule("two", second.0, second.1, second.2);
        let found = problems(&text);
        for (id, expected) in ["one", "two"].into_iter().zip(warned) {
            let got = found.iter().any(|problem| problem.rule.as_deref() == Some(id));
            assert_eq!(got, expected, "{id} in\n{text}{found:#?}");
        }
    }
}

#[test]
fn ignoring_case_is_warned_about_where_it_allows_more() {
    let rule = |verdict: &str, ignore_case: &str| {
        format!(
            "[[rule]]\nid = 'r'\nreason = 'x'\naction = 'purge'\nverdict = '{verdict}'\nignore_case = {ignore_case}\n"
        )
    };
    for (verdict, ignore_case, piece) in [
        ("allow", "true", Some("in every spelling of upper and lower case")),
        ("allow", "false", None),
        ("deny", "true", None),
        ("require_approval", "true", None),
        ("deny", "'yes'", Some("`ignore_case` is true or false, got a string")),
    ] {
        let found = problems(&rule(verdict, ignore_case));
        assert_eq!(found.len(), usize::from(piece.is_some()), "{found:?}");
        assert!(found.iter().all(|one| one.message.contains(piece.unwrap_or(""))), "{found:?}");
    }
    let found = problems(&format!("default = 'allow'\n{}", rule("deny", "true")));
    assert!(found.iter().any(|one| one.message.contains("a `/` at the end")), "{found:?}");
}

#[test]
fn a_rule_that_ignores_case_covers_more_than_one_that_does_not() {
    for (ours, ignore_case, theirs, their_case, covered) in [
        ("Pur*", "true", "purge", "false", true),
        ("pur*", "true", "PURGE", "true", true),
        ("pur*", "false", "purge", "true", false),
        ("pur*", "false", "purge", "false", true),
        ("Pur*", "false", "purge", "false", false),
        ("*", "false", "purge", "true", true),
        ("1*", "false", "1a", "true", true),
    ] {
        let found = problems(&format!(
            "[[rule]]\nid = 'a'\nreason = 'x'\naction = '{ours}'\nverdict = 'deny'\nignore_case = {ignore_case}\n[[rule]]\nid = 'b'\nreason = 'x'\naction = '{theirs}'\nverdict = 'deny'\nignore_case = {their_case}\n"
        ));
        let never = found.iter().any(|one| one.message.contains("can never decide"));
        assert_eq!(never, covered, "{ours} {theirs}: {found:?}");
    }
}
