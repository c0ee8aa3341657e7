//! A small HTTP/1.1 server: one thread a connection.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
#[cfg(unix)]
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::thread;

/// A request as it came. Names of headers are in lower case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// What the server does.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Status, more headers, body.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Closes the connection without an answer.
    Close,
    /// Sends these bytes and closes the connection.
    Raw(Vec<u8>),
}

pub(crate) type Handler = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The last word of the path, or `create`, `show`.
    pub(crate) fn route(&self) -> &str {
        let words: Vec<&str> = self.path.trim_matches('/').split('/').skip(2).collect();
        match words.as_slice() {
            ["approvals"] if self.method == "POST" => "create",
            ["approvals"] => "list",
            ["approvals", _] => "show",
            _ => words.last().unwrap(),
        }
    }
}

impl Reply {
    pub(crate) fn json(status: u16, body: impl Into<String>) -> Self {
        Self::Answer(status, Vec::new(), body.into().into_bytes())
    }

    pub(crate) fn problem(status: u16, code: &str) -> Self {
        let body = format!(
            r#"{{"title": "T", "status": {status}, "detail": "said by the server", "code": "{code}"}}"#
        );
        let headers = vec![
            ("Content-Type", "application/problem+json".to_owned()),
            ("X-Request-Id", "req_1".to_owned()),
        ];
        Self::Answer(status, headers, body.into_bytes())
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Self::Answer(_, headers, _) = &mut self {
            headers.push((name, value.to_owned()));
        }
        self
    }
}

/// Serves on a new port of this machine. Returns its URL.
pub(crate) fn serve(handler: Handler) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let handler = Arc::clone(&handler);
            thread::spawn(move || {
                let reader = stream.try_clone().unwrap();
                converse(&mut BufReader::new(reader), stream, &handler);
            });
        }
    });
    url
}

/// Serves on a Unix socket.
#[cfg(unix)]
pub(crate) fn serve_unix(path: &Path, handler: Handler) {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let handler = Arc::clone(&handler);
            thread::spawn(move || {
                let reader = stream.try_clone().unwrap();
                converse(&mut BufReader::new(reader), stream, &handler);
            });
        }
    });
}

/// Answers the requests of one connection.
pub(crate) fn converse(reader: &mut impl BufRead, mut writer: impl Write, handler: &Handler) {
    while let Some(asked) = read(reader) {
        if !reply(&mut writer, handler(&asked)) {
            return;
        }
    }
}

/// Writes a reply. Returns whether the connection stays open.
pub(crate) fn reply(writer: &mut impl Write, reply: Reply) -> bool {
    let (status, headers, body) = match reply {
        Reply::Close => return false,
        Reply::Raw(bytes) => {
            let _ = writer.write_all(&bytes);
            return false;
        }
        Reply::Answer(status, headers, body) => (status, headers, body),
    };
    let mut answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        answer += &format!("{name}: {value}\r\n");
    }
    let mut answer = (answer + "\r\n").into_bytes();
    answer.extend(body);
    writer.write_all(&answer).and_then(|()| writer.flush()).is_ok()
}

/// Reads one request.
pub(crate) fn read(reader: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut words = line.split(' ');
    let mut asked = Asked { method: words.next()?.to_owned(), ..Asked::default() };
    let (path, query) = words.next()?.split_once('?').unwrap_or((line.split(' ').nth(1)?, ""));
    (asked.path, asked.query) = (path.to_owned(), query.to_owned());
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        asked.headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let length = asked.header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    asked.body = String::from_utf8(body).unwrap();
    Some(asked)
}
