//! HTTP at the byte level, for requests that no client would send.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{Answer, HANG, Server};

/// Opens a connection to a server.
pub fn open(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).expect("a connection");
    stream.set_read_timeout(Some(HANG)).unwrap();
    stream.set_write_timeout(Some(HANG)).unwrap();
    stream
}

/// Raises the limit of open files for this process and its servers: each end of a connection needs one.
pub fn allow_files(needed: u64) {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.map_or(8_192, |most| most.min(8_192));
    setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: limit.maximum }).unwrap();
    assert!(most > needed, "this test needs {needed} file descriptors, the limit is {most}");
}

/// Returns a request with a JSON body as sent on the wire; the server closes the connection after it.
pub fn request_text(path: &str, headers: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\n{headers}\r\n{body}"
    )
}

/// Exchanges of raw bytes.
pub struct Raw;

impl Raw {
    /// Sends bytes, ends the stream, and reads until the server closes. The server gives up a request
    /// whose client is gone, so this may read nothing. A failed write, because the server has closed
    /// already, is ignored.
    pub fn exchange(server: &Server, bytes: &[u8]) -> String {
        let mut stream = open(server);
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        Self::rest(stream)
    }

    /// Sends bytes, keeps the connection open, and reads until the server closes.
    pub fn hold(server: &Server, bytes: &[u8]) -> String {
        let mut stream = open(server);
        let _ = stream.write_all(bytes);
        Self::rest(stream)
    }

    /// Reads until the server closes or resets the connection.
    pub fn rest(stream: TcpStream) -> String {
        String::from_utf8(Self::rest_bytes(stream)).expect("UTF-8")
    }

    /// Like [`Self::rest`], for bytes that need not be text.
    pub fn rest_bytes(mut stream: TcpStream) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut piece = [0; 4096];
        loop {
            match stream.read(&mut piece) {
                Ok(0) => break,
                Ok(n) => bytes.extend_from_slice(&piece[..n]),
                Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => break,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => panic!("the server neither answers nor closes: {e}"),
            }
        }
        bytes
    }

    /// Parses the only answer in a text, which must have a content-length.
    #[track_caller]
    pub fn answer(text: &str) -> Answer {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text}"));
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap();
        let headers = lines
            .map(|line| line.split_once(": ").expect("a header"))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let answer = Answer { status: status.parse().unwrap(), headers, body: body.to_owned() };
        let length = answer.header("content-length").expect("a length");
        assert_eq!(length, body.len().to_string(), "{text}");
        answer
    }
}
