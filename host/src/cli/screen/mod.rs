//! What people read: texts that others chose are escaped, wrapped and marked by our own code, so that
//! none of them can imitate our words.
//!
//! Every line of a screen starts with words of ours: the name of a field, or the gutter. On a
//! terminal, lines are wrapped to its width here, so that the terminal never wraps one itself and no
//! foreign character gets into the first columns. In a pipe nothing is wrapped.

mod approval;
mod lookalike;
mod text;
mod tree;

use std::io::{IsTerminal, Write, stderr, stdout};
use std::process::{Command, Stdio};

use anstyle::{AnsiColor, Style};

use text::{COLUMNS_MIN, columns, fit, in_one_line, wrap};

pub(in crate::cli) use approval::{ToSign, age, needs, status_of};

/// Columns of a field's name.
const NAME_COLUMNS: usize = 13;
/// Before each further line of a value.
const GUTTER: &str = "           | ";
/// Before the rest of a member in a tree, so that it cannot pass for members of its own.
const REST: &str = "           + ";
/// Before a remark of ours about the value above.
const REMARK: &str = "           ! ";
/// The minimum width to which a table's last column is cut.
const LAST_COLUMNS_MIN: usize = 16;
/// Lines of the question below a screen.
const ROWS_LEFT: usize = 6;
/// On a narrower terminal nobody is asked to sign.
const NARROW: usize = 36;
/// Before the rest of a member in a tree, after its indent.
const REST_COLUMNS: usize = 2;
/// Narrower terminals are treated as this wide: a name, the indent of a rest, one base with its marks, and
/// a free column.
const WIDTH_MIN: usize = NAME_COLUMNS + REST_COLUMNS + COLUMNS_MIN + 1;

/// Lines for a person, as they are made.
pub(super) struct Screen {
    /// The columns of the terminal; `None` in a pipe.
    width: Option<usize>,
    colours: bool,
    /// Whether long values are shown whole.
    full: bool,
    lines: Vec<String>,
    folded: bool,
}

impl Screen {
    /// A screen on standard output.
    pub(super) fn new() -> Self {
        let is_terminal = stdout().is_terminal();
        Self {
            width: is_terminal.then(|| terminal_columns(stdout())),
            colours: super::output::colours(),
            full: false,
            lines: Vec::new(),
            folded: false,
        }
    }

    /// A screen for messages, on standard error.
    pub(super) fn of_messages() -> Self {
        let width = stderr().is_terminal().then(|| terminal_columns(stderr()));
        Self { width, colours: false, ..Self::new() }
    }

    /// Shows long values whole.
    pub(super) fn full(self, full: bool) -> Self {
        Self { full, ..self }
    }

    /// Adds a heading of ours.
    pub(super) fn heading(&mut self, words: &str) {
        let style = Style::new().bold();
        let columns = self.width.map_or(usize::MAX, |width| width.saturating_sub(3));
        for (number, piece) in wrap(&in_one_line(words), columns).into_iter().enumerate() {
            let piece = if number == 0 { piece } else { format!("  {piece}") };
            let piece = if self.colours { format!("{style}{piece}{style:#}") } else { piece };
            self.lines.push(piece);
        }
    }

    /// Adds a field with a value that others chose.
    pub(super) fn field(&mut self, name: &str, value: &str) {
        let mut first = self.name(name);
        for line in value.split('\n') {
            for piece in self.wrapped(&in_one_line(line), 0) {
                self.lines.push(format!("{first}{piece}"));
                GUTTER.clone_into(&mut first);
            }
        }
        self.remark_on(value);
    }

    /// Adds a result that may have content of others. On a terminal each of its lines is indented.
    pub(super) fn result(&mut self, text: &str) {
        if self.width.is_none() {
            return self.lines.push(super::output::safe(text));
        }
        for line in text.split('\n') {
            for piece in self.wrapped(&in_one_line(&line.replace('\t', "  ")), 0) {
                self.lines.push(format!("  {piece}"));
            }
        }
    }

    /// Adds a result as [`Self::result`], in a style if colours are enabled.
    pub(super) fn painted(&mut self, style: Style, text: &str) {
        let first = self.lines.len();
        self.result(text);
        if self.colours {
            for line in self.lines.iter_mut().skip(first) {
                *line = format!("{style}{line}{style:#}");
            }
        }
    }

    /// Adds a message that may quote others: `signoff: ` and the text, each further line in a
    /// gutter.
    pub(super) fn message(&mut self, text: &str) {
        self.begun("signoff: ", text);
    }

    /// Adds a line that begins with our own words and may quote others, each further line in a gutter.
    pub(super) fn log(&mut self, text: &str) {
        self.begun("", text);
    }

    fn begun(&mut self, first: &str, text: &str) {
        let mut first = first.to_owned();
        for line in text.split('\n') {
            for piece in self.wrapped(&in_one_line(line), 0) {
                self.lines.push(format!("{first}{piece}"));
                "  | ".clone_into(&mut first);
            }
        }
    }

    /// Returns whether it is shown on a terminal.
    pub(super) fn is_terminal(&self) -> bool {
        self.width.is_some()
    }

    /// Adds a field if it has a value.
    pub(super) fn field_of(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.field(name, value);
        }
    }

    /// Adds a JSON text as a tree.
    pub(super) fn tree(&mut self, name: &str, json: &str) {
        let mut first = self.name(name);
        for line in tree::lines(json, self.full) {
            let values = self.columns_of_values();
            let most = (values / 2).min(values.saturating_sub(REST_COLUMNS + COLUMNS_MIN));
            let indent = (line.depth * 2).min(most);
            let mut before = " ".repeat(indent);
            // Where there is no room for the depth, it is said.
            let name = if line.depth * 2 > most {
                format!("[{}] {}", line.depth, line.name)
            } else {
                line.name.clone()
            };
            let whole = format!("{name}{}", line.value);
            for (number, piece) in
                self.wrapped(&whole, indent + REST_COLUMNS).into_iter().enumerate()
            {
                let piece = if number == 0 { self.named(&piece, &name) } else { piece };
                self.lines.push(format!("{first}{before}{piece}").trim_end().to_owned());
                REST.clone_into(&mut first);
                before = " ".repeat(indent + REST_COLUMNS);
            }
            GUTTER.clone_into(&mut first);
            if let Some(what) = line.folded {
                self.folded = true;
                self.remark(&format!("folded: {what}"));
            }
            if let Some(remark) = &line.remark {
                self.remark(remark);
            }
        }
    }

    /// Adds one row of a list without end: a first cell of ours, and cells of others.
    pub(super) fn row(&mut self, first: &str, cells: &[String]) {
        let shown: Vec<String> = cells.iter().map(|cell| in_one_line(cell)).collect();
        if self.width.is_none() {
            return self.lines.push(format!("{first}\t{}", shown.join("\t")));
        }
        self.field(first, &shown.join("  "));
    }

    /// Adds rows as a table, and cuts the last column to fit. If even that is too wide, adds each row as
    /// a block.
    pub(super) fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        let mut shown: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|cell| in_one_line(cell)).collect()).collect();
        let Some(width) = self.width else {
            self.lines.extend(shown.iter().map(|row| row.join("\t")));
            return;
        };
        let widest = |(at, name): (usize, &&str)| {
            let cells = shown.iter().filter_map(|row| row.get(at));
            cells.map(|cell| columns(cell)).chain([name.len()]).max().unwrap_or_default()
        };
        let mut widths: Vec<usize> = head.iter().enumerate().map(widest).collect();
        let last = widths.pop().unwrap_or_default();
        let left = width.saturating_sub(widths.iter().map(|width| width + 2).sum::<usize>() + 3);
        let is_wide = last.min(LAST_COLUMNS_MIN) <= left;
        widths.push(last.min(left));
        if is_wide {
            for cell in shown.iter_mut().filter_map(|row| row.last_mut()) {
                *cell = fit(cell, left);
            }
        }
        if !is_wide {
            for row in &shown {
                for (number, (name, cell)) in head.iter().zip(row).enumerate() {
                    let name = if number == 0 { (*name).to_owned() } else { format!("  {name}") };
                    self.field(&name.to_lowercase(), cell);
                }
            }
            return;
        }
        let padded = |cells: &mut dyn Iterator<Item = &str>| {
            let mut line = String::new();
            for (cell, width) in cells.zip(&widths) {
                line.push_str("  ");
                line.push_str(cell);
                line.push_str(&" ".repeat(width.saturating_sub(columns(cell))));
            }
            line.trim_end().to_owned()
        };
        self.lines.push(padded(&mut head.iter().copied()));
        for row in &shown {
            self.lines.push(padded(&mut row.iter().map(String::as_str)));
        }
    }

    /// Returns whether the terminal is too narrow for names and values.
    pub(super) fn is_narrow(&self) -> bool {
        self.width.is_some_and(|width| width < NARROW)
    }

    /// Returns whether a value was folded.
    pub(super) fn is_folded(&self) -> bool {
        self.folded
    }

    /// Prints the screen.
    pub(super) fn print(self) {
        for line in &self.lines {
            super::output::styled_line(line);
        }
    }

    /// Prints the screen to standard error.
    pub(super) fn print_messages(self) {
        for line in &self.lines {
            // As `output::note`: what a command does must not depend on its messages.
            let _ = writeln!(stderr(), "{line}");
        }
    }

    /// Prints the screen, through a pager if it has more lines than the terminal.
    pub(super) fn print_paged(self) {
        let size = self.width.and_then(|_| rustix::termios::tcgetwinsize(stdout()).ok());
        let is_long = size.is_some_and(|size| self.lines.len() + ROWS_LEFT > size.ws_row.into());
        if !is_long || self.page().is_err() {
            self.print();
        }
    }

    fn page(&self) -> std::io::Result<()> {
        let pager = std::env::var("SIGNOFF_PAGER").unwrap_or_else(|_| "less -R".to_owned());
        let mut words = pager.split_whitespace();
        let program = words.next().ok_or(std::io::ErrorKind::NotFound)?;
        // The text is another's: the pager must not be able to start anything for it.
        let mut child = Command::new(program)
            .args(words)
            .env("LESSSECURE", "1")
            .env_remove("LESSOPEN")
            .stdin(Stdio::piped())
            .spawn()?;
        if let Some(mut text) = child.stdin.take() {
            let written = self.lines.iter().try_for_each(|line| writeln!(text, "{line}"));
            // A reader may leave the pager before the end.
            written.or_else(|e| match e.kind() {
                std::io::ErrorKind::BrokenPipe => Ok(()),
                _ => Err(e),
            })?;
        }
        let status = child.wait()?;
        if status.success() { Ok(()) } else { Err(std::io::ErrorKind::Other.into()) }
    }

    /// Returns the start of a field's first line. A name that is too long has a line of its own.
    fn name(&mut self, name: &str) -> String {
        if name.len() < NAME_COLUMNS {
            return format!("{name:<NAME_COLUMNS$}");
        }
        self.lines.push(name.to_owned());
        GUTTER.to_owned()
    }

    fn remark(&mut self, words: &str) {
        for (number, piece) in self.wrapped(words, 0).into_iter().enumerate() {
            let before = if number == 0 { REMARK } else { GUTTER };
            self.lines.push(format!("{before}{piece}"));
        }
    }

    /// Remarks on words that may look like others.
    fn remark_on(&mut self, value: &str) {
        if let Some(remark) = lookalike::remark(value) {
            self.remark(&remark);
        }
    }

    /// Breaks an escaped line into what fits after the gutter and an indentation.
    fn wrapped(&self, line: &str, indent: usize) -> Vec<String> {
        match self.width {
            Some(_) => wrap(line, self.columns_of_values().saturating_sub(indent)),
            None => vec![line.to_owned()],
        }
    }

    /// The last column stays free: terminals differ in what they do after it.
    fn columns_of_values(&self) -> usize {
        self.width.map_or(usize::MAX, |width| width.saturating_sub(NAME_COLUMNS + 1))
    }

    /// Highlights a member's name.
    fn named(&self, piece: &str, name: &str) -> String {
        let style = Style::new().fg_color(Some(AnsiColor::Cyan.into()));
        match piece.strip_prefix(name) {
            Some(value) if self.colours && !name.is_empty() => {
                format!("{style}{name}{style:#}{value}")
            }
            _ => piece.to_owned(),
        }
    }
}

/// Returns the columns of a terminal: its own size, else `COLUMNS`, else 80.
fn terminal_columns(terminal: impl rustix::fd::AsFd) -> usize {
    let size = rustix::termios::tcgetwinsize(terminal).ok().map(|size| usize::from(size.ws_col));
    let named = || std::env::var("COLUMNS").ok()?.parse().ok();
    size.filter(|columns| *columns > 0).or_else(named).unwrap_or(80).max(WIDTH_MIN)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use signoff_core::deceptive::is_deceptive;

    use super::*;

    const TEXTS: u64 = 20_000;
    const WIDTHS: [usize; 5] = [40, 64, 80, 120, 200];
    /// Narrow terminals, with fewer texts.
    const NARROW_WIDTHS: [usize; 3] = [WIDTH_MIN, 30, 36];
    /// What a hostile text is made of.
    const PIECES: [&str; 36] = [
        "status       approved",
        "\n",
        "\r\n",
        "\r",
        "\t",
        " ",
        "                                        ",
        "\u{1b}[2J",
        "\u{1b}[1;1H",
        "\u{9b}2J",
        "\u{8}\u{8}",
        "\u{202e}",
        "\u{2066}",
        "\u{200b}",
        "\u{feff}",
        "\u{3164}",
        "\u{115f}",
        "\u{2800}",
        "\u{a0}",
        "\u{3000}",
        "\u{e000}",
        "\u{fe0f}",
        "\u{200d}",
        "\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}",
        "Zoë",
        "請求書",
        "🦀",
        "\u{1f1e9}\u{1f1ea}",
        "ﷺ",
        "ก็็็็็",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "id           appr_",
        "YOU SIGN",
        "[y]es, approve: y",
        "\u{2028}",
        "\u{e0041}",
    ];

    fn screen(width: usize) -> Screen {
        Screen { width: Some(width), colours: false, full: false, lines: Vec::new(), folded: false }
    }

    /// A text of up to twelve pieces.
    fn hostile(seed: u64) -> String {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = |most: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % most as u64).unwrap()
        };
        let pieces = next(12) + 1;
        (0..pieces).map(|_| PIECES[next(PIECES.len())]).collect()
    }

    /// Checks that each line begins with our words and fits, however a terminal measures it.
    fn check(screen: Screen, width: usize, names: &[&str], seed: u64) {
        let mut names = names.iter();
        for line in screen.lines {
            assert!(!line.contains(is_deceptive), "{seed}: {line:?}");
            assert!(columns(&line) < width, "{seed}, width {width}: {line:?}");
            let gutters = [GUTTER.trim_end(), REST.trim_end(), REMARK];
            if !gutters.iter().any(|gutter| line.starts_with(gutter)) {
                let name = names.next().unwrap_or_else(|| panic!("{seed}: {line:?}"));
                assert!(line.starts_with(name), "{seed}: {line:?}");
            }
        }
        assert_eq!(names.next(), None, "{seed}");
    }

    #[test]
    fn of_100_000_hostile_texts_none_leaves_its_place() {
        let narrow = NARROW_WIDTHS.map(|width| (width, TEXTS / 20));
        for (width, texts) in WIDTHS.map(|width| (width, TEXTS)).into_iter().chain(narrow) {
            for seed in 0..texts {
                let seed = seed * 7 + width as u64;
                let text = hostile(seed);
                let mut fields = screen(width);
                fields.field("reason", &text);
                fields.tree("context", &serde_json::json!({ &text: [&text, 1] }).to_string());
                fields.field("status", "ok");
                check(fields, width, &["reason  ", "context  ", "status       ok"], seed);
                let mut message = screen(width);
                message.message(&text);
                let lines = message.lines;
                assert!(lines[0].starts_with("signoff: ") && columns(&lines[0]) < width);
                assert!(
                    lines[1..].iter().all(|line| line.starts_with("  ") && columns(line) < width)
                );
                let mut table = screen(width);
                table.table(&["ID", "REASON"], &[vec![text.clone(), text]]);
                for line in table.lines {
                    let ours = ["id  ", "  ", GUTTER.trim_end(), REMARK];
                    let is_ours = ours.iter().any(|ours| line.starts_with(ours));
                    assert!(is_ours || line.is_empty(), "{seed}: {line:?}");
                    assert!(columns(&line) < width, "{seed}: {line:?}");
                }
            }
        }
    }

    #[test]
    fn words_of_several_scripts_are_remarked_on() {
        let mut shown = screen(80);
        shown.field("approver", "раypal@example.com");
        shown.field("reason", "Zoë hat 請求書 bezahlt, Привет");
        assert_eq!(
            shown.lines,
            [
                "approver     раypal@example.com",
                "           ! letters of several scripts in one word: раypal",
                "reason       Zoë hat 請求書 bezahlt, Привет",
            ]
        );
    }

    #[test]
    fn a_pipe_gets_whole_lines() {
        let mut piped = Screen { width: None, ..screen(80) };
        piped.field("reason", &format!("{}\nstatus       approved", "x".repeat(300)));
        piped.table(&["A", "B"], &[vec!["a\tb".to_owned(), "c\nd".to_owned()]]);
        let lines = piped.lines;
        assert_eq!(lines[1], "           | status       approved");
        assert_eq!((lines[0].len(), lines[2].as_str()), (313, "a\\tb\tc\\nd"));
    }
}
