"""The container image: read by a tool that others wrote, and run from its own file system alone."""

import hashlib
import json
import os
import re
import signal
import tarfile

from harness import PACKAGES, ROOT, check, fresh, loopback_up, one, run, running, until, with_namespaces


def dockerfile():
    """The settings of packaging/image/Dockerfile, as an image has them."""
    text = (ROOT / "packaging" / "image" / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line.split(None, 1) for line in text.splitlines() if line and not line.startswith("#")]
    of = dict(lines)
    options, probe = of["HEALTHCHECK"].split(" CMD ", 1)
    seconds = {name: int(value) * 10**9 for name, value in re.findall(r"--([a-z-]+)=(\d+)s", options)}
    return {
        "User": of["USER"],
        "Env": of["ENV"].split(),
        "Entrypoint": json.loads(of["ENTRYPOINT"]),
        "Cmd": json.loads(of["CMD"]),
        "WorkingDir": of["WORKDIR"],
        "Volumes": {of["VOLUME"]: {}},
        "ExposedPorts": {f"{of['EXPOSE']}/tcp": {}},
        "Healthcheck": {
            "Test": ["CMD", *json.loads(probe)],
            "Interval": seconds["interval"],
            "Timeout": seconds["timeout"],
            "StartPeriod": seconds["start-period"],
        },
        "StopSignal": of["STOPSIGNAL"],
    }


def container(rootfs, config, *command, status=None):
    """What an engine does: the image's user, environment and folder, its files alone, the command as
    the first process, and no capability. `status` is a descriptor that gets the process id."""
    user, group = config["User"].split(":")
    words = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs"]
    words += ["bwrap", "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--as-pid-1"]
    words += ["--bind", rootfs, "/", "--proc", "/proc", "--dev", "/dev", "--die-with-parent"]
    words += ["--uid", user, "--gid", group, "--cap-drop", "ALL", "--clearenv", "--chdir", config["WorkingDir"]]
    for variable in config["Env"]:
        words += ["--setenv", *variable.split("=", 1)]
    if status is not None:
        words += ["--json-status-fd", str(status)]
    return [*words, "--", *command]


def main():
    with_namespaces("--net", "--mount")
    loopback_up()
    packed = one(r"signoff-.*-image\.tar")
    home = fresh("image")

    shown = json.loads(run("skopeo", "inspect", f"oci-archive:{packed}", env={"HOME": str(home)}))
    check("skopeo reads the image", shown["Os"] == "linux" and shown["Architecture"] in ("amd64", "arm64"))
    config = json.loads(run("skopeo", "inspect", "--config", "--raw", f"oci-archive:{packed}"))["config"]
    labels = config.pop("Labels")
    check("it is labelled", labels["org.opencontainers.image.version"] in packed.name, labels)
    check("the Dockerfile says the same", config == dockerfile(), f"{config}\n{dockerfile()}")
    docker = f"docker-archive:{home}/docker.tar:signoff:test"
    run("skopeo", "--insecure-policy", "copy", f"oci-archive:{packed}", docker)
    check("skopeo converts it to what `docker load` reads", (home / "docker.tar").stat().st_size > 0)
    run("skopeo", "--insecure-policy", "copy", f"oci-archive:{packed}", f"dir:{home}/dir")
    manifest = json.loads((home / "dir" / "manifest.json").read_text())
    layer = home / "dir" / manifest["layers"][0]["digest"].split(":")[1]
    check("the layer that skopeo copied is the rootfs of the Dockerfile",
          hashlib.sha256(layer.read_bytes()).digest()
          == hashlib.sha256((PACKAGES / "signoff-rootfs.tar").read_bytes()).digest())

    rootfs = home / "rootfs"
    rootfs.mkdir()
    with tarfile.open(layer) as tar:
        tar.extractall(rootfs, numeric_owner=True)
    data = (rootfs / "data").stat()
    check("/data is of the user alone", (data.st_uid, data.st_mode & 0o777) == (65532, 0o700))
    # bwrap makes these mount points; the image has none, as engines make them too.
    for name in ["proc", "dev"]:
        (rootfs / name).mkdir()

    def inside(*command, status=None):
        return container(rootfs, config, *command, status=status)

    entry = config["Entrypoint"]
    refused = run(*inside(*entry, *config["Cmd"]), code=1)
    check("without keys it says what to do", "signoff init" in refused, refused)
    made = json.loads(run(*inside(*entry, "init", "--audience", "test", "--json")))
    check("init writes to /data", made["store"] == "/data/signoff.redb", made)
    probe = config["Healthcheck"]["Test"]
    check("the health check is a command", probe[0] == "CMD")
    unhealthy = run(*inside(*probe[1:]), code=1)
    check("the health check fails without a server", "cannot reach" in unhealthy, unhealthy)
    reading, writing = os.pipe()
    serve = inside(*entry, *config["Cmd"], status=writing)
    with running(*serve, pass_fds=[writing]) as server, open(reading) as status:
        os.close(writing)
        until("it is healthy", lambda: run(*inside(*probe[1:]), code=None) == "ready\n")
        check("the health check succeeds", True)
        outside = PACKAGES / "stage" / "bin" / "signoff"
        named = {"SIGNOFF_TOKEN": made["admin_token"], "HOME": str(home)}
        call = [outside, "--server", "http://127.0.0.1:8787", "token", "list"]
        run(*call, env=named)
        run(*call, code=3, env={"HOME": str(home)})
        check("a token of init is accepted, and no token is refused", True)
        first = json.loads(status.readline())["child-pid"]
        os.kill(first, getattr(signal, config["StopSignal"]))
        check("it ends with exit code 0 at the stop signal", server.wait() == 0)
    opened = run(*inside(*entry, "serve", "--listen", "0.0.0.0:8787"), code=1)
    check("it does not listen for others in the clear", "refusing to listen" in opened, opened)


if __name__ == "__main__":
    main()
