"""The installed unit under systemd: its sandbox, its messages, its watchdog."""

import json
import pathlib

from harness import check, until
from systemd import UNITS, Machine

LOG = pathlib.Path("/signoff.log")
DROP_IN = f"""[Service]
StandardOutput=append:{LOG}
StandardError=append:{LOG}
RestartSec=100ms
"""
RULES = """format = 1
name = "rules"
default = "require_approval"

[[rule]]
id = "reads"
action = "read"
verdict = "allow"
"""


def as_user(machine, *command, code=0, **options):
    """Runs `signoff` as an operator does: as the service's user, in the store's folder."""
    user = ["setpriv", "--reuid=signoff", "--regid=signoff", "--init-groups"]
    place = ["env", "--chdir=/var/lib/signoff", "HOME=/var/lib/signoff"]
    return machine.run(*user, *place, "signoff", *command, code=code, **options)


def drop_in(machine, text):
    folder = UNITS / "signoff.service.d"
    folder.mkdir(exist_ok=True)
    (folder / "test.conf").write_text(DROP_IN + text)
    machine.systemctl("daemon-reload")


def status(machine):
    return machine.of_unit("ActiveState"), machine.of_unit("StatusText")


def compiles_a_policy(machine, token):
    """A push compiles the module in a process of its own, and an evaluation runs machine code."""
    server = {"SIGNOFF_SERVER": "http://127.0.0.1:8787"}
    create = ["token", "create", "--subject"]
    made = as_user(machine, *create, "team@company.com", "--role", "policy", env={"SIGNOFF_TOKEN": token, **server})
    env = {"SIGNOFF_TOKEN": made.strip(), **server}
    (pathlib.Path("/var/lib/signoff") / "rules.toml").write_text(RULES)
    as_user(machine, "key", "generate", "--id", "team", "--use", "module", "--slot", "policy")
    as_user(machine, "policy", "build", "rules.toml", "-o", "rules.wasm")
    as_user(machine, "module", "sign", "rules.wasm", "--slot", "policy", "--name", "rules", "--version", "1",
            "--audience", "test", "--key", "team")
    pushed = json.loads(as_user(machine, "module", "push", "rules.wasm", "--json", env=env))
    as_user(machine, "module", "activate", pushed["digest"], env=env)
    made = as_user(machine, *create, "agent:a", "--role", "requester", env={"SIGNOFF_TOKEN": token, **server})
    env = {"SIGNOFF_TOKEN": made.strip(), **server}
    ask = ["evaluate", "--agent", "a", "--context", "{}", "--action"]
    allowed = as_user(machine, *ask, "read", env=env)
    waits = as_user(machine, *ask, "write", code=4, env=env)
    check("a policy is compiled and evaluated in the sandbox", "allow" in allowed and "require" in waits)


def keys_as_a_credential(machine, keyring):
    """The keyring in root's hands, as docs/install.md has it."""
    kept = pathlib.Path("/etc/signoff/private/keys.json")
    kept.parent.mkdir(mode=0o700)
    machine.run("install", "-m", "600", keyring, kept)
    keyring.unlink()
    settings = pathlib.Path("/etc/signoff/signoff.toml")
    before = settings.read_text()
    settings.write_text(before + '[keys]\ncommand = ["cat", "/run/credentials/signoff.service/keys"]\n')
    drop_in(machine, f"LoadCredential=keys:{kept}\n")
    machine.systemctl("restart", "signoff.service")
    until("it is ready", lambda: status(machine)[1].startswith("ready"))
    check("a keyring of root is read as a credential", not keyring.exists())
    settings.write_text(before)
    machine.run("install", "-m", "600", "-o", "signoff", "-g", "signoff", kept, keyring)
    machine.run("rm", "-r", kept.parent)


def test():
    with Machine() as machine:
        drop_in(machine, "Restart=no")
        machine.systemctl("start", "signoff.service", code=1)
        check("before `signoff init` the service fails and says so", "signoff init" in LOG.read_text())

        made = json.loads(as_user(machine, "init", "--audience", "test", "--json"))
        drop_in(machine, "")
        machine.systemctl("start", "signoff.service")
        until("its status is known", lambda: status(machine)[1].startswith("ready"))
        check("a start is over when the server answers",
              status(machine) == ("active", "ready on http://127.0.0.1:8787"), str(status(machine)))
        check("the health check succeeds", as_user(machine, "ready", "--server", "http://127.0.0.1:8787") == "ready\n")
        process = pathlib.Path(f"/proc/{machine.of_unit('MainPID')}/status")
        facts = machine.run("cat", process)
        for what in ["CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"]:
            check(f"the process has {what.split()[0]} {what.split()[1]}", what in facts, facts)
        compiles_a_policy(machine, made["admin_token"])

        LOG.write_text("")
        machine.systemctl("reload", "signoff.service")
        until("the keys are reloaded", lambda: "keys reloaded" in LOG.read_text())
        check("a reload reloads the keys", True)
        check("it is active after a reload", status(machine)[0] == "active")

        keyring = pathlib.Path("/var/lib/signoff/signoff.keys.json")
        text = keyring.read_text()
        keyring.write_text("no keyring")
        until("it is noticed", lambda: "keyring-unavailable" in status(machine)[1])
        check("`systemctl status` says why it is not ready", True)
        keyring.write_text(text)
        until("it is ready again", lambda: status(machine)[1].startswith("ready"))

        keys_as_a_credential(machine, keyring)

        drop_in(machine, "WatchdogSec=2\nTimeoutAbortSec=1\n")
        machine.systemctl("restart", "signoff.service")
        before = machine.of_unit("MainPID")
        machine.run("kill", "-STOP", before)
        until("it is started again", lambda: machine.of_unit("NRestarts") == "1"
              and status(machine)[0] == "active")
        check("the watchdog restarts a process that hangs", machine.of_unit("MainPID") != before)

        machine.systemctl("stop", "signoff.service")
        ended = machine.of_unit("Result"), machine.of_unit("ExecMainStatus"), machine.of_unit("ActiveState")
        check("a stop is a success", ended == ("success", "0", "inactive"), str(ended))
