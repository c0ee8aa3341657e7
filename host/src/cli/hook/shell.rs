//! Command lines of a shell, taken apart for an approver. What is not certain is not guessed: a line
//! with anything that the shell computes is refused with the reason.

use super::builtins;

/// Longest line that is taken apart.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Most commands of a line.
const COMMANDS_MAX: usize = 200;

/// Commands after which relative paths mean something else.
const MOVES: [&str; 3] = ["cd", "popd", "pushd"];

/// One command of a line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Simple {
    /// Its words, without quotes; the first is the program.
    pub(super) words: Vec<String>,
    /// Variables that are set for it alone.
    pub(super) assignments: Vec<String>,
    /// Its redirections: an operator and a file or descriptor.
    pub(super) redirections: Vec<(String, String)>,
    /// What stands between it and the command before.
    pub(super) after: Option<&'static str>,
    /// How many subshells it is in.
    pub(super) depth: usize,
    /// Whether the shell replaces a word by the names of files.
    pub(super) patterns: bool,
    /// Whether an earlier command changes the folder.
    pub(super) moved: bool,
}

impl Simple {
    /// Returns whether it is a command of the shell itself.
    pub(super) fn is_builtin(&self) -> bool {
        self.words.first().is_some_and(|word| builtins::is_taken(word))
    }
}

/// A word, as it is written.
#[derive(Default)]
struct Word {
    text: String,
    /// Where the first part begins that is in quotes or behind a backslash.
    quoted: Option<usize>,
    pattern: bool,
}

enum Token {
    Word(Word),
    Operator(&'static str),
    Redirection(String),
}

/// Takes a line apart.
///
/// # Errors
///
/// Why the line is not certain, or not one of a shell.
pub(super) fn parse(line: &str) -> Result<Vec<Simple>, &'static str> {
    if line.len() > LINE_BYTES_MAX {
        return Err("the line is too long");
    }
    Parser::default().parse(tokens(line)?)
}

#[derive(Default)]
struct Parser {
    done: Vec<Simple>,
    current: Simple,
    /// The operator before the current command.
    after: Option<&'static str>,
    depth: usize,
    /// Whether a subshell has just begun.
    opened: bool,
    /// Whether a subshell has just ended.
    closed: bool,
    /// A redirection without its target.
    open: Option<String>,
    moved: bool,
}

impl Parser {
    fn parse(mut self, tokens: Vec<Token>) -> Result<Vec<Simple>, &'static str> {
        for token in tokens {
            match token {
                Token::Word(word) => self.word(word)?,
                _ if self.open.is_some() => return Err("a redirection has no target"),
                Token::Redirection(_) if self.closed => {
                    return Err("the output of a group is redirected");
                }
                Token::Redirection(operator) => self.open = Some(operator),
                Token::Operator(operator) => self.operator(operator)?,
            }
        }
        if self.open.is_some() {
            return Err("a redirection has no target");
        }
        if self.depth > 0 {
            return Err("a parenthesis is not closed");
        }
        let is_continued = matches!(self.after, Some("&&" | "||" | "|" | "|&"));
        if !self.ended()? && !self.closed && is_continued {
            return Err("the line ends in an operator");
        }
        if self.done.is_empty() {
            return Err("the line has no command");
        }
        Ok(self.done)
    }

    fn word(&mut self, word: Word) -> Result<(), &'static str> {
        if let Some(operator) = self.open.take() {
            if word.pattern || word.text.starts_with('!') {
                return Err("the target of a redirection is a pattern");
            }
            // A shell takes `>&-` alone, and the rest for a word of the command.
            let closes = operator.ends_with('&') && word.text.starts_with('-');
            if closes && (word.quoted.is_some() || word.text != "-") {
                return Err("a word follows a closed descriptor");
            }
            self.current.redirections.push((operator, word.text));
            return Ok(());
        }
        if self.closed {
            return Err("words follow a parenthesis");
        }
        let names_path = |text: &str| text == "PATH" || text == "path" || sets(text, "PATH");
        if names_path(&word.text) {
            return Err("the line names PATH");
        }
        if self.current.words.is_empty() {
            if let Some(name) = assigned(&word) {
                if changes_programs(name) {
                    return Err("a variable changes how programs are found or loaded");
                }
                self.current.patterns |= word.pattern;
                self.current.assignments.push(word.text);
                return Ok(());
            }
            if word.pattern {
                return Err("the program is a pattern");
            }
            // What is a name, an element or a number to zsh is not always one to bash.
            let equals = word.text.find('=');
            if equals.is_some_and(|at| word.quoted.is_none_or(|from| from > at)) {
                return Err("the program's name looks like a variable that is set");
            }
            if word.text.starts_with('%') {
                return Err("the line resumes a job");
            }
            builtins::check_name(&word.text)?;
        }
        self.current.patterns |= word.pattern;
        self.current.words.push(word.text);
        Ok(())
    }

    fn operator(&mut self, operator: &'static str) -> Result<(), &'static str> {
        match operator {
            "(" => {
                if self.closed || !self.current.is_empty() {
                    return Err("a parenthesis follows a word");
                }
                self.depth += 1;
                self.opened = true;
            }
            ")" => {
                let is_complete = !matches!(self.after, Some("&&" | "||" | "|" | "|&"));
                if !self.ended()? && (self.opened || !self.closed && !is_complete) {
                    return Err("a group ends in an operator");
                }
                self.depth = self.depth.checked_sub(1).ok_or("a parenthesis is not opened")?;
                self.closed = true;
            }
            _ => {
                let is_empty = !self.ended()? && !self.closed;
                if is_empty && operator == "\n" {
                    return Ok(());
                }
                if is_empty {
                    return Err("a command is empty");
                }
                self.after = Some(operator);
                self.closed = false;
            }
        }
        Ok(())
    }

    /// Ends the current command. Returns whether there is one.
    fn ended(&mut self) -> Result<bool, &'static str> {
        if self.current.is_empty() {
            return Ok(false);
        }
        let mut ended = std::mem::take(&mut self.current);
        let Some(program) = ended.words.first() else {
            return Err("a variable is set, or a file is opened, without a command");
        };
        if ended.is_builtin() && !ended.assignments.is_empty() {
            return Err("a variable is set for a builtin, which can evaluate it");
        }
        builtins::check_words(&ended.words)?;
        let moves = MOVES.contains(&program.as_str());
        self.opened = false;
        ended.after = self.after;
        ended.depth = self.depth;
        ended.moved = self.moved;
        self.moved |= moves;
        self.done.push(ended);
        if self.done.len() > COMMANDS_MAX {
            return Err("the line has too many commands");
        }
        Ok(true)
    }
}

impl Simple {
    fn is_empty(&self) -> bool {
        self.words.is_empty() && self.assignments.is_empty() && self.redirections.is_empty()
    }
}

/// Returns the name that a word sets.
fn assigned(word: &Word) -> Option<&str> {
    let (name, _) = word.text.split_once('=')?;
    if word.quoted.is_some_and(|from| from <= name.len()) {
        return None;
    }
    let name = name.strip_suffix('+').unwrap_or(name);
    let is_name = !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    (is_name && !name.is_empty()).then_some(name)
}

fn sets(text: &str, name: &str) -> bool {
    let rest = text.strip_prefix(name);
    rest.is_some_and(|rest| rest.starts_with('=') || rest.starts_with("+="))
}

/// Returns whether a shell itself uses a variable, in a way that the line does not show.
fn changes_programs(name: &str) -> bool {
    [
        "ARGV0",
        "BASH_CMDS",
        "BASH_ENV",
        "BASHOPTS",
        "CDPATH",
        "ENV",
        "EXECIGNORE",
        "FPATH",
        "HISTCHARS",
        "IFS",
        "MODULE_PATH",
        "PATH",
        "POSIXLY_CORRECT",
        "SHELLOPTS",
        "STTY",
        "ZDOTDIR",
        "cdpath",
        "fpath",
        "histchars",
        "module_path",
        "path",
    ]
    .contains(&name)
        || name.starts_with("LD_")
        || name.starts_with("DYLD_")
        || name.starts_with("BASH_")
}

/// Returns the tokens of a line.
fn tokens(line: &str) -> Result<Vec<Token>, &'static str> {
    let mut tokens = Tokens { rest: line, tokens: Vec::new(), word: None };
    while let Some(char) = tokens.next() {
        tokens.take(char)?;
    }
    tokens.end_word();
    Ok(tokens.tokens)
}

struct Tokens<'a> {
    rest: &'a str,
    tokens: Vec<Token>,
    word: Option<Word>,
}

impl Tokens<'_> {
    fn next(&mut self) -> Option<char> {
        let char = self.rest.chars().next()?;
        self.rest = self.rest.get(char.len_utf8()..)?;
        Some(char)
    }

    /// Consumes a text if it comes next.
    fn follows(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn end_word(&mut self) {
        if let Some(word) = self.word.take() {
            self.tokens.push(Token::Word(word));
        }
    }

    fn push(&mut self, char: char) {
        self.word.get_or_insert_default().text.push(char);
    }

    fn quote(&mut self) -> &mut Word {
        let word = self.word.get_or_insert_default();
        word.quoted = word.quoted.or(Some(word.text.len()));
        word
    }

    fn operator(&mut self, operator: &'static str) {
        self.end_word();
        self.tokens.push(Token::Operator(operator));
    }

    fn take(&mut self, char: char) -> Result<(), &'static str> {
        match char {
            ' ' | '\t' => self.end_word(),
            '\n' => self.operator("\n"),
            '\\' => match self.next() {
                Some('\n') => {}
                Some(next) => self.quote().text.push(next),
                None => return Err("the line ends in a backslash"),
            },
            '\'' => self.single_quotes()?,
            '"' => self.double_quotes()?,
            '$' | '`' => return Err("the line has a substitution"),
            ';' if self.follows(";") || self.follows("&") || self.follows("|") => {
                return Err("the line has a construct of the shell's language");
            }
            ';' => self.operator(";"),
            '&' if self.follows("&") => self.operator("&&"),
            '&' if self.follows(">>") => self.redirection("&>>"),
            '&' if self.follows(">") => self.redirection("&>"),
            '&' if self.rest.starts_with(['!', '|']) => {
                return Err("the line has a construct of the shell's language");
            }
            '&' => self.operator("&"),
            '|' if self.follows("|") => self.operator("||"),
            '|' if self.follows("&") => self.operator("|&"),
            '|' => self.operator("|"),
            '(' if self.word.is_some() || self.follows("(") => {
                return Err("the line has a function, a pattern with parentheses or arithmetic");
            }
            '(' => self.operator("("),
            ')' => self.operator(")"),
            '<' if self.follows("<") => return Err("the line has a here document"),
            '<' | '>' if self.follows("(") => return Err("the line has a substitution"),
            '<' if self.rest.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
                return Err(
                    "the line has a pattern of numbers, or a file whose name looks like one",
                );
            }
            '<' => self.redirect('<', &[">", "&"])?,
            '>' => self.redirect('>', &[">", "&", "|"])?,
            '#' if self.word.is_none() => return Err("the line has a comment"),
            '=' if self.word.is_none() => return Err("a word starts with `=`"),
            '*' | '?' | '[' | '{' | '~' => {
                let word = self.word.get_or_insert_default();
                // A brace alone is a construct, `[` alone a command.
                let ends = self.rest.is_empty() || self.rest.starts_with([' ', '\t', '\n', ';']);
                word.pattern |= !(word.text.is_empty() && ends && matches!(char, '[' | '{'));
                word.text.push(char);
            }
            _ if char.is_control() || char.is_whitespace() => {
                return Err("the line has a control character or an unusual blank");
            }
            _ => self.push(char),
        }
        Ok(())
    }

    fn single_quotes(&mut self) -> Result<(), &'static str> {
        self.quote();
        loop {
            match self.next() {
                Some('\'') => return Ok(()),
                Some('\0') => return Err("the line has a control character or an unusual blank"),
                Some(char) => self.push(char),
                None => return Err("a quote is not closed"),
            }
        }
    }

    fn double_quotes(&mut self) -> Result<(), &'static str> {
        self.quote();
        loop {
            match self.next() {
                Some('"') => return Ok(()),
                Some('$' | '`') => return Err("the line has a substitution"),
                Some('\0') => return Err("the line has a control character or an unusual blank"),
                Some('\\') => match self.next() {
                    Some('\n') => {}
                    Some(char @ ('$' | '`' | '"' | '\\')) => self.push(char),
                    Some(char) => {
                        self.push('\\');
                        self.push(char);
                    }
                    None => return Err("a quote is not closed"),
                },
                Some(char) => self.push(char),
                None => return Err("a quote is not closed"),
            }
        }
    }

    fn redirect(&mut self, first: char, more: &[&str]) -> Result<(), &'static str> {
        let mut operator = String::new();
        match self.word.take() {
            Some(word)
                if word.quoted.is_none() && word.text.bytes().all(|b| b.is_ascii_digit()) =>
            {
                // To bash it is a descriptor, to zsh a word.
                if word.text.len() > 1 {
                    return Err("a descriptor has more than one digit");
                }
                operator.push_str(&word.text);
            }
            Some(word) if word.text.starts_with('{') => {
                return Err("a redirection sets a variable");
            }
            word => self.word = word,
        }
        operator.push(first);
        if let Some(more) = more.iter().find(|more| self.follows(more)) {
            operator.push_str(more);
        }
        self.redirection(&operator);
        Ok(())
    }

    fn redirection(&mut self, operator: &str) {
        self.end_word();
        self.tokens.push(Token::Redirection(operator.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Formats a line as it was taken apart: words in brackets, with what stands between.
    fn shown(line: &str) -> String {
        let commands = parse(line).unwrap_or_else(|why| panic!("{line:?}: {why}"));
        let one = |command: &Simple| {
            let mut text = command.after.map(|op| format!("{op:?} ")).unwrap_or_default();
            text += &"(".repeat(command.depth);
            for assignment in &command.assignments {
                text += &format!("<{assignment}>");
            }
            for word in &command.words {
                text += &format!("[{word}]");
            }
            for (operator, target) in &command.redirections {
                text += &format!("{operator}{{{target}}}");
            }
            text + if command.patterns { "*" } else { "" }
        };
        commands.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn certain_lines_are_taken_apart() {
        for (line, expected) in [
            ("ls", "[ls]"),
            ("  git push --force  ", "[git][push][--force]"),
            ("a && b; c | d", r#"[a] "&&" [b] ";" [c] "|" [d]"#),
            ("a || b & c |& d\n\ne;", r#"[a] "||" [b] "&" [c] "|&" [d] "\n" [e]"#),
            ("(a; b) && c", r#"([a] ";" ([b] "&&" [c]"#),
            ("((a) | b)", "-"),
            ("( (a) | b)", r#"(([a] "|" ([b]"#),
            ("a 'b c' \"d e\" f\\ g ''", "[a][b c][d e][f g][]"),
            ("rm'' -r\"f\" /", "[rm][-rf][/]"),
            ("a \"\\$x \\n \\\"\" '\\'", r#"[a][$x \n "][\]"#),
            ("a \\\n b", "[a][b]"),
            ("X=1 Y='2 3' make", "<X=1><Y=2 3>[make]"),
            ("a >b 2>&1 <c >>d &>e", "[a]>{b}2>&{1}<{c}>>{d}&>{e}"),
            ("a2>b", "[a2]>{b}"),
            ("a 2>&- <&-; b", r#"[a]2>&{-}<&{-} ";" [b]"#),
            ("ls *.rs ~/x {a,b}", "[ls][*.rs][~/x][{a,b}]*"),
            ("ls '*.rs'", "[ls][*.rs]"),
            ("[ -f x ] && y", r#"[[][-f][x][]] "&&" [y]"#),
            ("'X=1' a", "[X=1][a]"),
            ("echo a#b a=b", "[echo][a#b][a=b]"),
        ] {
            if expected == "-" {
                assert!(parse(line).is_err(), "{line}");
            } else {
                assert_eq!(shown(line), expected, "{line:?}");
            }
        }
    }

    #[test]
    fn what_is_uncertain_is_said_to_be() {
        for line in [
            "",
            " ",
            "\n",
            "a $(b)",
            "a `b`",
            "a $x",
            "a \"$x\"",
            "a <<E\nE",
            "a <<< b",
            "a <(b)",
            "a >(b)",
            "eval a",
            "'eval' a",
            "source a",
            ". a",
            "exec a",
            "if a; then b; fi",
            "for x in a; do b; done",
            "{ a; }",
            "! a",
            "[[ a ]]",
            "f() { a; }",
            "f () { a; }",
            "((1))",
            "PATH=. a",
            "a; export PATH=.",
            "LD_PRELOAD=x a",
            "x=1",
            "x=1; a",
            "> a",
            "'a",
            "\"a",
            "a \\",
            "a &&",
            "a && && b",
            "; a",
            "a;; b",
            "(a",
            "a)",
            "()",
            "a (b)",
            "(a) b",
            "(a) > b",
            "*/a",
            "{rm,-rf,/}",
            "~/a",
            "a > *",
            "a # b",
            "#a",
            "=a",
            "a\u{a0}b",
            "a\rb",
            "a\0",
            "alias a=b",
            "command a",
            "a >",
            "a > > b",
            "a >&-b",
            "a >& -b",
            "a <&-''",
            "a; ()",
            "a >! b",
            "{x}>a",
            "a &! b",
            "time a",
            "a\u{2028}b",
            "r a",
            "- a",
            "nocorrect a",
            "'export' a=b",
            "export P{A,}TH=x; a",
            "declare 'a[$(b)]=1'",
            "jobs -x a",
            "test -v 'a[$(b)]'",
            "[ -v 'a[$(b)]' ]",
            "printf -vPATH x; a",
            "printf '%n' IFS",
            "X='a[$(b)]' test X -eq 1",
            "é=1 a",
            "1=a b",
            "a[1]=x b",
            "fpath=x a",
            "MODULE_PATH=x a",
            "BASH_CMDS=x a",
            "EXECIGNORE=x a",
            "ARGV0=x a",
            "STTY=x a",
            "a >!b",
            "a >>!b",
            "a <0-9>b",
            "a<->b",
            "a 12>b",
            "a 10<b",
            "%1 a",
        ] {
            assert!(parse(line).is_err(), "{line:?} is {:?}", parse(line));
        }
        assert!(parse(&"a;".repeat(COMMANDS_MAX + 1)).is_err());
        assert!(parse(&"a".repeat(LINE_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn a_change_of_the_folder_marks_what_follows() {
        let commands = parse("./a && cd b && ./c").unwrap();
        let moved: Vec<bool> = commands.iter().map(|command| command.moved).collect();
        assert_eq!(moved, [false, false, true]);
        assert!(commands.get(1).unwrap().is_builtin());
    }

    /// Options and operators with which builtins take their words for code or for a variable.
    const OPTIONS: [&str; 14] =
        ["", "-v", "-n", "-p", "-np", "-C", "-W", "-x", "-a", "-R", "1 -eq", "-t", "%d", "%n"];
    /// Words that would run `p` if they were evaluated, and plain ones.
    const WORDS: [&str; 9] = [
        "'a[$(p x)]'",
        "'a[$(p x)]=1'",
        "'x=a[$(p x)]'",
        "'p x'",
        "'p x;:' x",
        "'$(p x)'",
        "'`p x`'",
        "1",
        "",
    ];

    #[test]
    fn a_builtin_of_a_real_shell_runs_nothing_that_is_not_shown() {
        let programs = programs();
        let mut bash = std::process::Command::new("/bin/bash");
        bash.args(["--norc", "--noprofile", "-c", "compgen -b; compgen -k"]);
        let names = String::from_utf8(bash.output().unwrap().stdout).unwrap();
        let mut lines = Vec::new();
        for name in names.lines() {
            for (option, word) in OPTIONS.iter().flat_map(|it| WORDS.map(|word| (it, word))) {
                for line in
                    [format!("{name} {option} {word}"), format!("X={word} {name} {option} X")]
                {
                    let end = if name == "[" { " ]" } else { "" };
                    lines.extend([format!("{line}{end}; p y"), format!("{line}{end} <a; p y")]);
                }
            }
        }
        lines.retain(|line| parse(line).is_ok());
        assert!(lines.len() > 500, "{}", lines.len());
        for lines in lines.chunks(50) {
            // Each in a shell of its own, because some end it.
            let all: String = lines.iter().map(|line| format!("({line})\n")).collect();
            let started = started_by_bash(&all, programs.path());
            assert!(started.contains(&vec!["p".to_owned(), "y".to_owned()]), "{all}");
            for one in started {
                assert_eq!(one, ["p", "y"], "one of these runs {one:?}:\n{all}");
            }
        }
    }

    /// Returns the same numbers each time.
    fn random() -> impl FnMut(usize) -> usize {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        move |below| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            usize::try_from(seed % below as u64).unwrap()
        }
    }

    /// Pieces of which lines are made, with those that a shell treats specially.
    const PIECES: [&str; 44] = [
        "p", "q", "s", "p", "q", "s", " ", " ", " ", " ", " ", "\n", ";", "&&", "||", "|", "&",
        "|&", "(", ")", "'", "\"", "\\", "a", "b", "=", "X=1 ", ">", "<", "2>", ">>", "&>", "#",
        "{", "}", "~", "$", "`", "!", "\t", "-x", "''", "[", "*",
    ];

    /// What one command of a line would get: its words.
    type Started = Vec<String>;

    /// Runs a line in a real shell whose only programs `p`, `q` and `s` record what they get.
    fn started_by_bash(line: &str, programs: &std::path::Path) -> Vec<Started> {
        let folder = tempfile::tempdir().unwrap();
        for file in ["a", "b"] {
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        let log = programs.join("log");
        std::fs::write(&log, "").unwrap();
        let mut bash = std::process::Command::new("/bin/bash");
        bash.args(["--norc", "--noprofile", "-c", &format!("{line}\nwait")]).env_clear();
        bash.env("PATH", programs.join("bin")).env("LOG", &log).current_dir(folder.path());
        bash.stdin(std::process::Stdio::null()).output().unwrap();
        let log = std::fs::read_to_string(&log).unwrap();
        let records = log.split_terminator("\u{1}");
        let mut all: Vec<Started> = records
            .map(|record| record.split_terminator("\u{2}").map(str::to_owned).collect())
            .collect();
        all.sort();
        all
    }

    /// Programs that a shell finds by PATH, and that record their words.
    fn programs() -> tempfile::TempDir {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("bin")).unwrap();
        // One write, because commands of a pipeline run at once.
        let script = "#!/bin/bash\nr=${0##*/}$'\\x02'\nfor a in \"$@\"; do r+=$a$'\\x02'; done\n\
            builtin printf '%s' \"$r\"$'\\x01' >>\"$LOG\"\n";
        for name in ["p", "q", "s"] {
            let path = folder.path().join("bin").join(name);
            std::fs::write(&path, script).unwrap();
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        folder
    }

    #[test]
    fn a_real_shell_runs_what_is_shown_and_nothing_else() {
        let programs = programs();
        let mut random = random();
        let mut compared = 0;
        while compared < 400 {
            let line: String = (0..2 + random(12)).map(|_| PIECES[random(PIECES.len())]).collect();
            let Ok(commands) = parse(&line) else { continue };
            if commands.iter().any(|command| command.patterns) {
                continue;
            }
            let mut shown: Vec<Started> =
                commands.iter().map(|command| command.words.clone()).collect();
            shown.sort();
            let started = started_by_bash(&line, programs.path());
            for one in &started {
                assert!(shown.contains(one), "{line:?} runs {one:?}, shown are {shown:?}");
            }
            // Nothing decides in these whether a command runs.
            let all_run = commands.iter().all(|command| {
                !matches!(command.after, Some("||"))
                    && command.redirections.is_empty()
                    && command
                        .words
                        .first()
                        .is_some_and(|word| ["p", "q", "s"].contains(&word.as_str()))
            });
            if all_run {
                assert_eq!(started, shown, "{line:?}");
            }
            compared += usize::from(!started.is_empty());
        }
    }
}
