//! Server-sent events as the text that they are.

use crate::mcp::SERVER_BYTES_MAX;

/// One event, or a comment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// The bytes as they came, with the empty line at the end.
    pub(super) raw: Vec<u8>,
    /// The data; empty if there is none.
    pub(super) data: String,
    /// The id, from which the stream can be continued.
    pub(super) id: Option<String>,
    /// The time to wait before a continuation, in milliseconds.
    pub(super) retry: Option<u64>,
}

/// Why a stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    TooLong,
    NotText,
}

/// Cuts a stream into events.
#[derive(Default)]
pub(super) struct Events {
    buffer: Vec<u8>,
    /// Where the search for the end of an event goes on.
    searched: usize,
    /// Where the line starts in which the search goes on.
    line: usize,
}

impl Events {
    /// Takes bytes of the stream.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next event that is complete.
    ///
    /// # Errors
    ///
    /// It is longer than a message may be, or not UTF-8.
    pub(super) fn next(&mut self) -> Result<Option<Event>, Broken> {
        let Some(end) = self.end() else {
            return match self.buffer.len() > SERVER_BYTES_MAX {
                true => Err(Broken::TooLong),
                false => Ok(None),
            };
        };
        let rest = self.buffer.split_off(end);
        let raw = std::mem::replace(&mut self.buffer, rest);
        (self.searched, self.line) = (0, 0);
        if raw.len() > SERVER_BYTES_MAX {
            return Err(Broken::TooLong);
        }
        parse(raw).map(Some)
    }

    /// Returns the end of the first empty line. A line ends with CR LF, LF or CR.
    fn end(&mut self) -> Option<usize> {
        while let Some(byte) = self.buffer.get(self.searched) {
            let after = match byte {
                b'\n' => self.searched + 1,
                b'\r' => match self.buffer.get(self.searched + 1) {
                    Some(b'\n') => self.searched + 2,
                    Some(_) => self.searched + 1,
                    // A line feed may follow.
                    None => return None,
                },
                _ => {
                    self.searched += 1;
                    continue;
                }
            };
            let is_empty = self.line == self.searched;
            (self.searched, self.line) = (after, after);
            if is_empty {
                return Some(after);
            }
        }
        None
    }
}

fn parse(raw: Vec<u8>) -> Result<Event, Broken> {
    let text = std::str::from_utf8(&raw).map_err(|_| Broken::NotText)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut data, mut id, mut retry): (Vec<&str>, _, _) = (Vec::new(), None, None);
    let normal = text.replace("\r\n", "\n").replace('\r', "\n");
    for line in normal.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => data.push(value),
            "id" if !value.contains('\0') => id = Some(value.to_owned()),
            "retry" => retry = value.parse().ok(),
            _ => {}
        }
    }
    let data = data.join("\n");
    Ok(Event { data, id: id.filter(|id| !id.is_empty()), retry, raw })
}

/// Returns a message as an event.
pub(super) fn of_message(message: &str) -> Vec<u8> {
    let mut event = String::from("event: message\n");
    for line in message.replace("\r\n", "\n").replace('\r', "\n").split('\n') {
        event.push_str("data: ");
        event.push_str(line);
        event.push('\n');
    }
    event.push('\n');
    event.into_bytes()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn all(events: &mut Events) -> Vec<(String, String)> {
        let mut found = Vec::new();
        while let Some(event) = events.next().unwrap() {
            found.push((String::from_utf8(event.raw).unwrap(), event.data));
        }
        found
    }

    #[test]
    fn events_keep_their_bytes_wherever_the_stream_is_cut() {
        let stream = "id: 1\ndata:\n\nevent: message\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\n: ping\n\nretry: 5\rdata:x\r\r";
        let mut whole = Events::default();
        whole.push(stream.as_bytes());
        whole.push(b"\n");
        let expected = all(&mut whole);
        let data: Vec<&str> = expected.iter().map(|(_, data)| data.as_str()).collect();
        assert_eq!(data, ["", "{\"a\":\n1}", "", "x"]);
        for size in 1..9 {
            let mut cut = Events::default();
            let mut found = Vec::new();
            for piece in stream.as_bytes().chunks(size).chain([&b"\n"[..]]) {
                cut.push(piece);
                found.extend(all(&mut cut));
            }
            assert_eq!(found, expected, "{size}");
        }
        let raw: String = expected.iter().map(|(raw, _)| raw.as_str()).collect();
        assert_eq!(raw, format!("{stream}\n"));
    }

    #[test]
    fn a_message_in_lines_is_the_same_message() {
        for message in ["{}", "{\n\"a\": 1\r\n}"] {
            let mut events = Events::default();
            events.push(&of_message(message));
            let data = events.next().unwrap().unwrap().data;
            assert_eq!(data, message.replace("\r\n", "\n"));
        }
    }

    #[test]
    fn what_is_no_text_is_refused() {
        let mut events = Events::default();
        events.push(b"data: \xff\n\n");
        assert_eq!(events.next(), Err(Broken::NotText));
    }
}
