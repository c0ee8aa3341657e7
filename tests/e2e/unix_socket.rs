//! A server on a Unix socket, and the command line over it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::support::{Home, Ran, Server, until};

const BOTH: &[&str] =
    &["serve", "--listen", "127.0.0.1:0", "--listen", "unix:here.sock", "--json", "--create-store"];

fn over(home: &Home, arguments: &[&str]) -> Ran {
    home.run(&[&["--server", "unix:here.sock"], arguments].concat())
}

#[test]
fn the_command_line_works_over_a_socket_that_only_this_user_can_use() {
    let home = Home::new();
    let server = Server::start_with(home.signoff(BOTH));
    assert!(server.printed().contains("\"further_urls\":[\"unix:here.sock\"]"));
    let mode = fs::metadata(home.path("here.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let approval = server.request();
    let id = approval["id"].as_str().unwrap();
    assert!(over(&home, &["show", id]).ok().contains("pending"));
    // Several requests over one agent, and one that waits.
    assert!(
        over(&home, &["approve", id, "--approver", "user@company.com", "--yes"])
            .ok()
            .contains("approved")
    );
    assert!(over(&home, &["wait", id]).ok().contains("approved"));
    assert!(over(&home, &["list", "--all"]).ok().contains(id));
    let curl = home
        .program("curl")
        .args(["-s", "--unix-socket", "here.sock", "http://localhost/readyz"])
        .output();
    assert!(String::from_utf8(curl.unwrap().stdout).unwrap().contains("ready"));
    // With tokens, the socket needs one too.
    let token = over(&home, &["token", "create", "--subject", "a@b.c", "--role", "auditor"]).ok();
    assert!(over(&home, &["list"]).exits(3).err.contains("unauthenticated"));
    over(&home, &["--token", token.trim(), "list"]).ok();
    server.stop();
    assert!(!home.path("here.sock").exists(), "the socket is removed");
    let ran = over(&home, &["list"]).exits(1);
    assert!(ran.err.contains("cannot reach the server at unix:here.sock"), "{ran:?}");
}

#[test]
fn a_server_listens_on_a_socket_alone() {
    let home = Home::new();
    let mut serve =
        home.signoff(&["serve", "--listen", "unix:here.sock", "--create-store", "--quiet"]);
    let mut child = serve.spawn().unwrap();
    until("it answers", || (over(&home, &["list"]).code == 0).then_some(()));
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&child),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_socket_replaces_only_what_a_killed_server_left() {
    let home = Home::new();
    let server = Server::start_with(home.signoff(BOTH));
    let refused = |message: &str| {
        let serve = [BOTH, &["--store", "other.redb"]].concat();
        let output = Server::try_start_with(home.signoff(&serve)).map(drop).unwrap_err();
        assert!(output.contains(message), "{output}");
    };
    refused("another process listens on `unix:here.sock`");
    server.kill();
    assert!(home.path("here.sock").exists());
    Server::start_with(home.signoff(BOTH)).stop();
    home.file("here.sock", "a file");
    refused("is not a socket of this user");
    assert_eq!(fs::read_to_string(home.path("here.sock")).unwrap(), "a file");
    fs::remove_file(home.path("here.sock")).unwrap();
    symlink(home.path("elsewhere"), home.path("here.sock")).unwrap();
    refused("is not a socket of this user");
    assert!(!home.path("elsewhere").exists());
}

#[test]
fn a_full_queue_is_reported_and_not_waited_for_without_end() {
    let home = Home::new();
    let listen = "import socket, time; s = socket.socket(socket.AF_UNIX); s.bind('here.sock'); \
                  s.listen(0); c = [socket.socket(socket.AF_UNIX) for _ in range(3)]; \
                  [(x.setblocking(False), x.connect_ex('here.sock')) for x in c]; \
                  open('full', 'w'); time.sleep(600)";
    let mut child = home.program("python3").args(["-c", listen]).spawn().unwrap();
    until("the queue is full", || home.path("full").exists().then_some(()));
    let ran = over(&home, &["list"]).exits(1);
    assert!(ran.err.contains("cannot reach the server at unix:here.sock"), "{ran:?}");
    let output = Server::try_start_with(home.signoff(BOTH)).map(drop).unwrap_err();
    assert!(output.contains("another process listens"), "{output}");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Only root can make what belongs to another user, so elsewhere there is nothing to try.
#[test]
fn nothing_is_sent_to_the_socket_of_another_user() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let home = Home::new();
    fs::set_permissions(home.path("."), fs::Permissions::from_mode(0o777)).unwrap();
    let listen = "import os, socket; os.setuid(65534); s = socket.socket(socket.AF_UNIX); s.bind('here.sock'); \
                  s.listen(); print(len(s.accept()[0].recv(4096)))";
    let mut child = home.program("python3");
    let child = child.args(["-c", listen]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    until("it listens", || home.path("here.sock").exists().then_some(()));
    let ran = until("it accepts", || {
        let ran = over(&home, &["--token", "secret", "list"]);
        ran.err.contains("of another user").then_some(ran)
    });
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(child.wait_with_output().unwrap().stdout, b"0\n");
}
