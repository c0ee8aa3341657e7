"""The static binary: it needs no library, and finds what the system configures without one."""

import json
import os
import socket
import struct
import threading

from harness import CACHE, PACKAGES, ROOT, check, fresh, loopback_up, run, running, until, with_namespaces

SIGNOFF = PACKAGES / "stage" / "bin" / "signoff"
NAME = "signoff.test"


def answer_names():
    """A name server that knows one name, as `resolv.conf` may name one."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))
    wanted = b"".join(bytes([len(part)]) + part.encode() for part in NAME.split(".")) + b"\0"

    def answer():
        while True:
            question, peer = server.recvfrom(512)
            name = question[12 : 12 + len(wanted)]
            kind = struct.unpack_from("!H", question, 12 + len(wanted))[0]
            is_address = name.lower() == wanted and kind == 1
            code = 0 if name.lower() == wanted else 3
            asked = question[12 : 12 + len(wanted) + 4]
            head = question[:2] + struct.pack("!5H", 0x8180 | code, 1, int(is_address), 0, 0)
            record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + socket.inet_aton("127.0.0.1")
            server.sendto(head + asked + (record if is_address else b""), peer)

    threading.Thread(target=answer, daemon=True).start()


def binds(path, text, folder):
    """Shows a file of the test at a path of the system, in the namespace of this test only."""
    source = folder / path.strip("/").replace("/", "-")
    source.write_text(text)
    run("mount", "--bind", source, os.path.realpath(path))


def certificates(folder):
    authority = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    run("openssl", "req", *authority, "-days", "30", "-subj", "/CN=authority", "-keyout", "ca.key",
        "-out", "ca.pem", cwd=folder)
    run("openssl", "req", *authority, "-days", "30", "-subj", f"/CN={NAME}", "-CA", "ca.pem",
        "-CAkey", "ca.key", "-addext", f"subjectAltName=DNS:{NAME}", "-addext",
        "basicConstraints=critical,CA:FALSE", "-keyout", "tls.key", "-out", "tls.pem", cwd=folder)
    (folder / "tls.key").chmod(0o600)


def main():
    with_namespaces("--net", "--mount")
    loopback_up()
    home = fresh("static")
    env = {"HOME": str(home), "TMPDIR": str(home)}

    check("it needs no library", "(NEEDED)" not in run("readelf", "-dW", SIGNOFF))
    check("it names no loader", "INTERP" not in run("readelf", "-lW", SIGNOFF))
    facts = json.loads(run(SIGNOFF, "version", "--json", env=env))
    check("it was built for musl", facts["target"].endswith("-unknown-linux-musl"), facts)
    dynamic = ROOT / "target" / "debug" / "signoff"
    if dynamic.exists():
        other = json.loads(run(dynamic, "version", "--json", env=env))
        check("it contains the same verifier as other builds", other["verifier"] == facts["verifier"])

    shown = run(SIGNOFF, "demo", cwd=home, env=env)
    check("the demo passes its checks", "All checks passed." in shown, shown)

    answer_names()
    binds("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:2\n", home)
    certificates(home)
    run(SIGNOFF, "init", "--audience", "test", cwd=home, env=env)
    plain = ["--listen", "127.0.0.1:8787"]
    with running(SIGNOFF, "serve", *plain, "--quiet", cwd=home, env={"SIGNOFF_CACHE_DIR": str(CACHE), **env}):
        ready = lambda: run(SIGNOFF, "ready", "--server", f"http://{NAME}:8787", code=None, env=env)
        until("the server answers", lambda: "ready" in ready())
        check("names are resolved by the system's name server", ready() == "ready\n")
        unknown = run(SIGNOFF, "ready", "--server", "http://elsewhere.test:8787", code=1, env=env)
        check("an unknown name is an error", "cannot reach the server" in unknown, unknown)
    tls = ["--listen", "127.0.0.1:8443", "--tls-cert", "tls.pem", "--tls-key", "tls.key"]
    # The settings are weaker without a plain listener of loopback: this store records both.
    (home / "signoff.redb").unlink()
    (home / "signoff.keys.json").unlink()
    run(SIGNOFF, "init", "--audience", "test", cwd=home, env=env)
    with running(SIGNOFF, "serve", *tls, "--quiet", cwd=home, env={"SIGNOFF_CACHE_DIR": str(CACHE), **env}):
        secure = lambda code: run(SIGNOFF, "ready", "--server", f"https://{NAME}:8443", code=code, env=env)
        refused = until("the server answers", lambda: "certificate" in (shown := secure(1)) and shown)
        check("an unknown authority is refused", "is refused" in refused, refused)
        authorities = (home / "ca.pem").read_text()
        binds("/etc/ssl/certs/ca-certificates.crt", authorities, home)
        check("the system's authorities are trusted", secure(0) == "ready\n")


if __name__ == "__main__":
    main()
