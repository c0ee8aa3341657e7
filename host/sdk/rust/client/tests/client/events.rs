//! The stream of events.

use std::sync::{Arc, Mutex};

use signoff_client::{Client, Error, blocking};

use crate::office::http::{Asked, Reply, serve};

/// A server that gives these streams in turn, each of which then breaks; then it refuses.
fn streams(streams: Vec<&'static str>) -> (String, Arc<Mutex<Vec<Asked>>>) {
    let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
    let kept = Arc::clone(&asked);
    let url = serve(Arc::new(move |asked| {
        let mut kept = kept.lock().unwrap();
        kept.push(asked.clone());
        match streams.get(kept.len() - 1) {
            Some(stream) => {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
                Reply::Raw(format!("{head}{stream}").into_bytes())
            }
            None => Reply::problem(401, "unauthenticated"),
        }
    }));
    (url, asked)
}

const FIRST: &str =
    ": heartbeat\n\nid: 5\nevent: approval_requested\ndata: {\"a\":1}\n\nid: 6\ndata: {";
const SECOND: &str =
    "id: 6\nevent: approval_decided\ndata: {}\n\nevent: reset\nid: 2\ndata: {}\n\n";

#[tokio::test]
async fn a_stream_that_breaks_goes_on_after_the_last_entry() {
    let (url, asked) = streams(vec![FIRST, SECOND]);
    let client = Client::builder().only_arguments().url(url).build().unwrap();
    let mut events = client.events(4);
    let mut seen = Vec::new();
    let e = loop {
        match events.next().await {
            Ok(event) => seen.push((event.id, event.kind, event.data)),
            Err(e) => break e,
        }
    };
    let event = |id, kind: &str, data: &str| (Some(id), kind.to_owned(), data.to_owned());
    let expected = [
        event(5, "approval_requested", r#"{"a":1}"#),
        event(6, "approval_decided", "{}"),
        event(2, "reset", "{}"),
    ];
    assert_eq!(seen, expected);
    assert!(matches!(e, Error::Forbidden(_)), "{e:?}");
    let asked = asked.lock().unwrap();
    let from: Vec<_> = asked.iter().map(|asked| asked.header("last-event-id")).collect();
    assert_eq!(from, [Some("4"), Some("5"), Some("2")]);
}

#[test]
fn the_blocking_stream_is_an_iterator() {
    let (url, asked) = streams(vec![FIRST, SECOND]);
    let client = blocking::Client::new(Client::builder().only_arguments().url(url)).unwrap();
    let mut events = client.events(None);
    let kinds: Vec<String> =
        events.by_ref().map_while(Result::ok).map(|event| event.kind).collect();
    assert_eq!(kinds, ["approval_requested", "approval_decided", "reset"]);
    assert_eq!(events.next().unwrap().unwrap_err().code(), "unauthenticated");
    assert_eq!(asked.lock().unwrap()[0].header("last-event-id"), None);
}
