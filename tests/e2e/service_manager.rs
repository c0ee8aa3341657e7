//! `serve` under a service manager: the messages of `sd_notify(3)`, received by a socket of the test.

use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Command;

use rustix::process::Signal;

use crate::support::{HANG, Home, SERVE, Server, until};

/// A watchdog that is fed every 10 ms.
const FAST: &str = "20000";

/// The receiving end, as systemd has it.
struct Manager {
    socket: UnixDatagram,
    name: String,
}

impl Manager {
    /// Listens on a path in a home.
    fn at_path(home: &Home) -> Self {
        let path = home.path("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        Self::of(socket, path.to_str().unwrap().to_owned())
    }

    /// Listens on an abstract name.
    fn at_abstract_name() -> Self {
        let name = format!("signoff-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        Self::of(UnixDatagram::bind_addr(&address).unwrap(), format!("@{name}"))
    }

    fn of(socket: UnixDatagram, name: String) -> Self {
        socket.set_read_timeout(Some(HANG)).unwrap();
        Self { socket, name }
    }

    fn serve(&self, home: &Home) -> Server {
        Server::start_with(self.watching(home.signoff(SERVE)))
    }

    /// Adds the environment of a service.
    fn watching(&self, mut command: Command) -> Command {
        command.env("NOTIFY_SOCKET", &self.name);
        command
    }

    /// Receives one message.
    #[track_caller]
    fn next(&self) -> String {
        let mut bytes = [0; 4096];
        let length = self.socket.recv(&mut bytes).expect("a message");
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    /// Receives messages until one starts with a text; returns all of them.
    #[track_caller]
    fn until(&self, start: &str) -> Vec<String> {
        let mut received = Vec::new();
        loop {
            received.push(self.next());
            if received.last().unwrap().starts_with(start) {
                return received;
            }
        }
    }
}

/// Returns the microseconds since the start of this machine; the monotonic clock may be behind, as it
/// stops while the machine sleeps.
fn uptime() -> u128 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap();
    let seconds: f64 = text.split(' ').next().unwrap().parse().unwrap();
    std::time::Duration::from_secs_f64(seconds + 0.02).as_micros()
}

/// Reads the time of a reload.
#[track_caller]
fn reloading(message: &str) -> u128 {
    let at = message.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect(message);
    at.strip_suffix('\n').expect(message).parse().expect(message)
}

#[test]
fn a_server_reports_its_start_reload_and_stop() {
    let home = Home::new();
    let manager = Manager::at_path(&home);
    let mut server = manager.serve(&home);
    assert_eq!(manager.next(), "READY=1\n");
    server.assert_ready();
    assert_eq!(manager.next(), format!("STATUS=ready on {}\n", server.url));

    server.signal(Signal::HUP);
    let first = reloading(&manager.next());
    assert_eq!(manager.next(), "READY=1\n");
    server.signal(Signal::HUP);
    let second = reloading(&manager.next());
    assert_eq!(manager.next(), "READY=1\n");
    assert!(0 < first && first < second && second <= uptime(), "{first}, {second}");
    until("the reloads are noted", || {
        (server.printed().matches("keys reloaded").count() == 2).then_some(())
    });

    server.terminate();
    assert_eq!(manager.next(), "STOPPING=1\nSTATUS=finishing accepted requests\n");
    assert!(server.ended().success());
    manager.socket.set_nonblocking(true).unwrap();
    let more = manager.socket.recv(&mut [0; 64]).map_err(|e| e.kind());
    assert_eq!(more, Err(ErrorKind::WouldBlock), "no watchdog was asked for");
}

#[test]
fn a_manager_may_listen_on_an_abstract_socket() {
    let home = Home::new();
    let manager = Manager::at_abstract_name();
    let server = manager.serve(&home);
    assert_eq!(manager.next(), "READY=1\n");
    server.stop();
    manager.until("STOPPING=1\n");
}

#[test]
fn a_start_that_is_refused_is_never_reported_as_ready() {
    let home = Home::new();
    let manager = Manager::at_path(&home);
    home.file("signoff.redb", "not a store");
    let refused = Server::try_start_with(manager.watching(home.signoff(SERVE)));
    assert!(refused.is_err());
    manager.socket.set_nonblocking(true).unwrap();
    let message = manager.socket.recv(&mut [0; 64]).map_err(|e| e.kind());
    assert_eq!(message, Err(ErrorKind::WouldBlock));
}

#[test]
fn the_watchdog_is_answered_while_the_server_can_decide() {
    let home = Home::new();
    let manager = Manager::at_path(&home);
    let mut command = manager.watching(home.signoff(SERVE));
    command.env("WATCHDOG_USEC", FAST);
    let server = Server::start_with(command);
    for _ in 0..5 {
        manager.until("WATCHDOG=1\n");
    }
    server.stop();
}

#[test]
fn the_watchdog_of_another_process_is_not_answered() {
    let home = Home::new();
    let manager = Manager::at_path(&home);
    let mut command = manager.watching(home.signoff(SERVE));
    command.env("WATCHDOG_USEC", FAST).env("WATCHDOG_PID", "1");
    let server = Server::start_with(command);
    manager.until("STATUS=ready");
    server.stop();
    let rest = manager.until("STOPPING=1\n");
    assert_eq!(rest.len(), 1, "{rest:?}");
}

#[test]
fn the_watchdog_restarts_a_server_whose_store_takes_no_writes() {
    let home = Home::new();
    home.serve().stop();
    let kib = std::fs::metadata(home.store()).unwrap().len() / 1024;
    let manager = Manager::at_path(&home);
    let mut command = manager.watching(home.program("sh"));
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", (kib + 1_024) * 2);
    command.args(["-c", &script, env!("CARGO_BIN_EXE_signoff")]).args(SERVE);
    command.env("WATCHDOG_USEC", FAST);
    let server = Server::start_with(command);
    manager.until("WATCHDOG=1\n");
    let large = serde_json::json!({
        "agent": "a", "action": "b", "context": { "text": "x".repeat(500_000) }
    });
    until("the disk is full", || {
        // The watchdog's messages are read meanwhile, as a manager does.
        while let Some(message) = try_next(&manager) {
            assert!(message.starts_with("WATCHDOG=1") || message.starts_with("STATUS="));
        }
        (server.post("/api/v1/approvals", &large).status == 503).then_some(())
    });
    until("it is noticed", || try_next(&manager)?.starts_with("STATUS=not ready").then_some(()));
    for _ in 0..20 {
        server.get("/readyz").refused("store-unavailable");
    }
    server.terminate();
    let rest = manager.until("STOPPING=1\n");
    assert_eq!(rest.len(), 1, "the watchdog was answered: {rest:?}");
}

#[test]
fn the_watchdog_is_answered_if_a_restart_would_fix_nothing() {
    let home = Home::new();
    home.run(&["init"]).ok();
    let manager = Manager::at_path(&home);
    let mut command = manager.watching(home.signoff(SERVE));
    command.env("WATCHDOG_USEC", FAST);
    let server = Server::start_with(command);
    manager.until("STATUS=ready");
    home.file("signoff.keys.json", "no keyring");
    server.signal(Signal::HUP);
    let received = manager.until("STATUS=not ready");
    let status = received.last().unwrap();
    assert!(status.starts_with("STATUS=not ready: keyring-unavailable: "), "{status}");
    assert_eq!(status.matches('\n').count(), 1, "{status}");
    manager.until("WATCHDOG=1\n");
    server.stop();
}

#[test]
fn a_malformed_address_of_a_manager_is_noted_and_the_server_serves() {
    let home = Home::new();
    let mut command = home.signoff(SERVE);
    command.env("NOTIFY_SOCKET", "vsock:2:1\u{1b}[2J").env("WATCHDOG_USEC", FAST);
    let server = Server::start_with(command);
    server.assert_ready();
    let printed = server.stop();
    assert!(printed.contains("NOTIFY_SOCKET") && printed.contains("expected an absolute path"));
    assert!(!printed.contains('\u{1b}'), "{printed}");
}

#[test]
fn a_manager_that_never_reads_prevents_neither_start_nor_stop() {
    let home = Home::new();
    let manager = Manager::at_path(&home);
    let filler = UnixDatagram::unbound().unwrap();
    filler.connect(&manager.name).unwrap();
    filler.set_nonblocking(true).unwrap();
    while filler.send(b"X=1\n").is_ok() {}
    let server = manager.serve(&home);
    server.assert_ready();
    let printed = server.stop();
    assert!(printed.contains("service manager not notified"), "{printed}");
}

/// Receives a message that is there.
fn try_next(manager: &Manager) -> Option<String> {
    manager.socket.set_nonblocking(true).unwrap();
    let mut bytes = [0; 4096];
    let received = manager.socket.recv(&mut bytes);
    manager.socket.set_nonblocking(false).unwrap();
    received.ok().map(|length| String::from_utf8(bytes[..length].to_vec()).unwrap())
}
