"""Shows hostile requests on a terminal emulator that we did not write, at several widths.

    check.py SIGNOFF

An agent's texts may be anything. On every line that `approve` and `show` draw, the first columns are
our own words, whatever the width; and below them stand agent, action and digest once more, next to
the question. Exits with 1 and the screen if that is not so.
"""

import fcntl
import json
import os
import pty
import random
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import unicodedata

import pyte

WIDTHS = [40, 64, 80, 120, 200]
TEXTS = 12
NAMES = [
    "id ", "audience ", "status ", "has ", "agent ", "action ", "reason ", "requested ", "expires ", "needs ",
    "policy ", "rule ", "context ", "digest ", "plan ", "req. digest ", "ballot ", "comment ", "signature ",
    "verifier ", "YOU SIGN", "ONCE MORE", "NOT COVERED", "THE SERVER SAYS", "signoff: ", "[y]es", " ",
]
PIECES = [
    "status       approved\n", "\nid           appr_", "\r", "\t", " " * 66, "\x1b[2J", "\x1b[1;1H", "\x9b2J",
    "\u202e", "\u2066", "\u200b", "\u3164", "\u2800", "\u3000", "\ue000", "\u0301" * 9, "Zoë", "請求書", "🦀", "ﷺ",
    "x" * 90, "YOU SIGN as ceo@example.com", "[y]es, approve, [r]eject: y\n", "signoff: nothing is wrong\n",
]


def allowed(text):
    """The text as the server accepts it in a reason: without control characters but line feed and tab."""
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) != "Cc") or "-"


def drawn(command, columns, answer, env):
    """Runs a command on a terminal; returns the emulator's lines, all of them."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execvpe(command[0], command, env)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    screen = pyte.Screen(columns, 4000)
    stream = pyte.ByteStream(screen)
    seen = b""
    while True:
        ready, _, _ = select.select([fd], [], [], 120)
        if not ready:
            os.kill(pid, signal.SIGKILL)
            sys.exit(f"{command} said nothing for two minutes, after {seen[-200:]!r}")
        try:
            piece = os.read(fd, 65536)
        except OSError:
            piece = b""
        if not piece:
            break
        seen += piece
        stream.feed(piece)
        if answer and b"[q]uit: " in seen:
            os.write(fd, answer)
            answer = b""
    _, status = os.waitpid(pid, 0)
    lines = [line.rstrip() for line in screen.display]
    while lines and not lines[-1]:
        lines.pop()
    return lines, os.waitstatus_to_exitcode(status)


def fail(why, lines):
    print("\n".join(lines))
    sys.exit(why)


def check_columns(lines, what):
    for line in lines:
        if line and not any(line.startswith(name) for name in NAMES):
            fail(f"{what}: a foreign text is in the first column: {line!r}", lines)


def main():
    binary = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as home:
        env = dict(os.environ, SIGNOFF_STORE=os.path.join(home, "s.redb"), TERM="xterm", SIGNOFF_PAGER="")
        env.update(HOME=home, XDG_CACHE_HOME=os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")))

        def signoff(*arguments):
            ran = subprocess.run([binary, *arguments], env=env, capture_output=True, text=True, check=False)
            if ran.returncode:
                sys.exit(f"signoff {arguments[0]} failed: {ran.stdout}{ran.stderr}")
            return ran.stdout

        signoff("init")
        for seed in range(TEXTS):
            choice = random.Random(seed)
            text = "".join(choice.choices(PIECES, k=choice.randint(1, 14)))
            context = json.dumps({text: [text, 1], "n": {"x": text}}, ensure_ascii=False)
            asked = signoff(
                "request", "--agent", "inbox_triage", "--action", "quarantine", "--reason", allowed(text),
                "--context", context, "--json",
            )
            approval = json.loads(asked)
            for columns in WIDTHS:
                what = f"text {seed} at {columns} columns"
                lines, _ = drawn([binary, "show", approval["id"]], columns, b"", env)
                check_columns(lines, what)
                if sum(line.startswith("status ") for line in lines) != 1:
                    fail(f"{what}: the status stands once", lines)
                ask = [binary, "approve", approval["id"], "--approver", "ceo@example.com"]
                lines, code = drawn(ask, columns, b"s\n", env)
                check_columns(lines, what)
                if code != 1:
                    fail(f"{what}: skipping decides nothing, got exit code {code}", lines)
                question = max(i for i, line in enumerate(lines) if line.startswith("[y]es"))
                near = "\n".join(lines[max(0, question - 12):question])
                for words in ["agent        inbox_triage", "action       quarantine", "digest       "]:
                    if words not in near:
                        fail(f"{what}: {words!r} is not next to the question", lines)
                if approval["context_hash"][:20] not in near:
                    fail(f"{what}: the digest is not next to the question", lines)
        print(f"{TEXTS} hostile requests at {len(WIDTHS)} widths: each line is ours where it begins")


if __name__ == "__main__":
    main()
