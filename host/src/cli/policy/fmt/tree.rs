//! The layout of a TOML text: tables, keys, values and comments as they are written. Values are not
//! interpreted, so none can change.

use std::iter::Peekable;
use std::vec::IntoIter;

use toml_parser::Source;
use toml_parser::parser::{Event, EventKind, parse_document};

/// A comment or an empty line above something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Above<'t> {
    Empty,
    Comment(&'t str),
}

/// A text as its tables.
#[derive(Debug, Default)]
pub(super) struct Document<'t> {
    /// The first one has no header.
    pub(super) tables: Vec<Table<'t>>,
    /// After the last table.
    pub(super) rest: Vec<Above<'t>>,
}

/// A table with its header.
#[derive(Debug, Default)]
pub(super) struct Table<'t> {
    pub(super) above: Vec<Above<'t>>,
    /// `[name]` or `[[name]]`; empty before the first header.
    pub(super) header: String,
    /// The name without brackets.
    pub(super) name: String,
    pub(super) beside: Option<&'t str>,
    pub(super) members: Vec<Member<'t>>,
    /// Comments right after its last member.
    pub(super) below: Vec<Above<'t>>,
}

/// A member of a table, or an item of an array, which has no key.
#[derive(Debug)]
pub(super) struct Member<'t> {
    pub(super) above: Vec<Above<'t>>,
    /// With its dots and quotes; empty in an array.
    pub(super) key: String,
    pub(super) value: Value<'t>,
    /// The comment in the line of its end.
    pub(super) beside: Option<&'t str>,
}

/// A value.
#[derive(Debug)]
pub(super) enum Value<'t> {
    /// As it is written.
    Scalar(&'t str),
    Array(List<'t>),
    Table(List<'t>),
}

/// What an array or an inline table contains.
#[derive(Debug, Default)]
pub(super) struct List<'t> {
    pub(super) members: Vec<Member<'t>>,
    /// Comments after the last member.
    pub(super) rest: Vec<Above<'t>>,
    /// Whether it is written over several lines.
    pub(super) has_lines: bool,
}

impl Member<'_> {
    /// Returns the first part of a key, without its quotes.
    pub(super) fn name(&self) -> &str {
        for quote in ['"', '\''] {
            if let Some(quoted) = self.key.strip_prefix(quote) {
                return quoted.split(quote).next().unwrap_or_default();
            }
        }
        self.key.split('.').next().unwrap_or_default().trim_end()
    }
}

impl<'t> Document<'t> {
    /// Reads a text that is valid TOML; `None` if it is not.
    pub(super) fn read(text: &'t str) -> Option<Self> {
        let source = Source::new(text);
        let tokens = source.lex().into_vec();
        let mut events: Vec<Event> = Vec::new();
        let mut error: Option<toml_parser::ParseError> = None;
        parse_document(&tokens, &mut events, &mut error);
        if error.is_some() {
            return None;
        }
        let mut reader = Reader { text, events: events.into_iter().peekable() };
        reader.document()
    }
}

/// Over how many lines a member may be written: in an inline table over several, since TOML 1.1.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lines {
    One,
    Several,
}

struct Reader<'t> {
    text: &'t str,
    events: Peekable<IntoIter<Event>>,
}

impl<'t> Reader<'t> {
    fn document(&mut self) -> Option<Document<'t>> {
        let mut document = Document { tables: vec![Table::default()], rest: Vec::new() };
        let mut above = Vec::new();
        loop {
            self.blanks();
            let Some(event) = self.events.peek().copied() else { break };
            match event.kind() {
                EventKind::Newline => {
                    self.events.next();
                    above.push(Above::Empty);
                }
                EventKind::Comment => {
                    self.events.next();
                    above.push(Above::Comment(self.of(event)?));
                    self.line_end()?;
                }
                EventKind::StdTableOpen | EventKind::ArrayTableOpen => {
                    let above = std::mem::take(&mut above);
                    let last = document.tables.last_mut()?;
                    let (below, above) = split(above, last);
                    last.below = below;
                    document.tables.push(self.table(above)?);
                }
                EventKind::SimpleKey => {
                    let mut member = self.member(std::mem::take(&mut above), Lines::One)?;
                    self.blanks();
                    member.beside = self.comment();
                    self.line_end()?;
                    document.tables.last_mut()?.members.push(member);
                }
                _ => return None,
            }
        }
        document.rest = above;
        Some(document)
    }

    fn table(&mut self, above: Vec<Above<'t>>) -> Option<Table<'t>> {
        let open = self.events.next()?;
        let name = self.key(&mut Vec::new(), Lines::One)?;
        let header = match open.kind() {
            EventKind::StdTableOpen => format!("[{name}]"),
            _ => format!("[[{name}]]"),
        };
        // The end of the header.
        self.events.next()?;
        self.blanks();
        let beside = self.comment();
        self.line_end()?;
        Some(Table { above, header, name, beside, members: Vec::new(), below: Vec::new() })
    }

    /// Reads a key and its value. Comments between the two go above.
    fn member(&mut self, mut above: Vec<Above<'t>>, lines: Lines) -> Option<Member<'t>> {
        let key = self.key(&mut above, lines)?;
        self.next_of(EventKind::KeyValSep)?;
        self.gap(&mut above, lines)?;
        Some(Member { above, key, value: self.value()?, beside: None })
    }

    /// Reads a key with its dots.
    fn key(&mut self, above: &mut Vec<Above<'t>>, lines: Lines) -> Option<String> {
        let mut key = String::new();
        loop {
            self.gap(above, lines)?;
            match self.events.peek()?.kind() {
                EventKind::SimpleKey | EventKind::KeySep => {
                    let event = self.events.next()?;
                    key.push_str(self.of(event)?);
                }
                _ => return Some(key),
            }
        }
    }

    fn value(&mut self) -> Option<Value<'t>> {
        let event = self.events.next()?;
        match event.kind() {
            EventKind::Scalar => self.of(event).map(Value::Scalar),
            EventKind::ArrayOpen => self.list(EventKind::ArrayClose).map(Value::Array),
            EventKind::InlineTableOpen => self.list(EventKind::InlineTableClose).map(Value::Table),
            _ => None,
        }
    }

    /// Reads an array or an inline table up to its end.
    fn list(&mut self, end: EventKind) -> Option<List<'t>> {
        let mut list = List::default();
        let mut above = Vec::new();
        // Whether a comment that follows is beside the last member.
        let mut is_beside = false;
        loop {
            let event = self.events.peek().copied()?;
            match event.kind() {
                EventKind::Whitespace | EventKind::ValueSep => {
                    self.events.next();
                }
                EventKind::Newline => {
                    self.events.next();
                    (list.has_lines, is_beside) = (true, false);
                }
                EventKind::Comment => {
                    self.events.next();
                    let comment = self.of(event)?;
                    match list.members.last_mut().filter(|member| member.beside.is_none()) {
                        Some(member) if is_beside => member.beside = Some(comment),
                        _ => above.push(Above::Comment(comment)),
                    }
                }
                kind if kind == end => {
                    self.events.next();
                    list.rest = above;
                    return Some(list);
                }
                EventKind::SimpleKey => {
                    list.members.push(self.member(std::mem::take(&mut above), Lines::Several)?);
                    is_beside = true;
                }
                _ => {
                    let above = std::mem::take(&mut above);
                    let value = self.value()?;
                    list.members.push(Member { above, key: String::new(), value, beside: None });
                    is_beside = true;
                }
            }
        }
    }

    /// Skips what may be between the parts of a member.
    fn gap(&mut self, above: &mut Vec<Above<'t>>, lines: Lines) -> Option<()> {
        loop {
            self.blanks();
            let Some(event) = self.events.peek().copied() else { return Some(()) };
            match event.kind() {
                EventKind::Newline if lines == Lines::Several => {}
                EventKind::Comment if lines == Lines::Several => {
                    above.push(Above::Comment(self.of(event)?));
                }
                _ => return Some(()),
            }
            self.events.next();
        }
    }

    fn blanks(&mut self) {
        while self.events.next_if(|event| event.kind() == EventKind::Whitespace).is_some() {}
    }

    /// Reads a comment if there is one.
    fn comment(&mut self) -> Option<&'t str> {
        let event = self.events.next_if(|event| event.kind() == EventKind::Comment)?;
        self.of(event)
    }

    /// Reads the end of a line or of the text.
    fn line_end(&mut self) -> Option<()> {
        self.blanks();
        match self.events.next() {
            None => Some(()),
            Some(event) if event.kind() == EventKind::Newline => Some(()),
            Some(_) => None,
        }
    }

    fn next_of(&mut self, kind: EventKind) -> Option<Event> {
        self.events.next_if(|event| event.kind() == kind)
    }

    /// Returns the text of an event, without blanks at its end.
    fn of(&self, event: Event) -> Option<&'t str> {
        let span = event.span();
        self.text.get(span.start()..span.end()).map(str::trim_end)
    }
}

/// Splits what is between two tables: comments that an empty line separates from the next header, but
/// not from the table before, belong to that one.
fn split<'t>(mut between: Vec<Above<'t>>, before: &Table<'_>) -> (Vec<Above<'t>>, Vec<Above<'t>>) {
    let is_first = before.header.is_empty() && before.members.is_empty();
    let first_empty = between.iter().position(|line| *line == Above::Empty).unwrap_or(0);
    let above = between.split_off(if is_first { 0 } else { first_empty });
    (between, above)
}
