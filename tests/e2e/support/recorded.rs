//! Records the calls of the tests with their answers, so that `tests/openapi/answers.py` can compare
//! them with the OpenAPI document. `SIGNOFF_TEST_ANSWERS` names the file; without it nothing is
//! recorded.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::{LazyLock, Mutex};

use serde_json::json;

use super::Answer;

/// Larger bodies are left out: a limit of what is recorded, not of the API.
const BODY_BYTES_MAX: usize = 64 << 10;

static FILE: LazyLock<Option<Mutex<File>>> = LazyLock::new(|| {
    let path = std::env::var_os("SIGNOFF_TEST_ANSWERS")?;
    let file = OpenOptions::new().create(true).append(true).open(path).expect("the file opens");
    Some(Mutex::new(file))
});

/// Adds a call as one line of JSON. `answer` may have no body if only the head was read.
pub fn record(method: &str, path: &str, sent: Option<&[u8]>, answer: &Answer, is_whole: bool) {
    let Some(file) = FILE.as_ref() else { return };
    let sent = sent.filter(|sent| sent.len() <= BODY_BYTES_MAX);
    let line = json!({
        "method": method,
        "path": path,
        "sent": sent.map(|sent| String::from_utf8_lossy(sent)),
        "status": answer.status,
        "headers": answer.headers,
        "body": Some(&answer.body).filter(|body| is_whole && body.len() <= BODY_BYTES_MAX),
    });
    let line = format!("{line}\n");
    file.lock().unwrap().write_all(line.as_bytes()).expect("the file is written");
}
