"""The wheel: installed in an empty environment it gives the command, and lives beside the SDK."""

import email
import os
import sys
import time
import zipfile

from harness import ROOT, check, fresh, one, run


def main():
    wheel = one(r"signoff_cli-.*\.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
        message = email.message_from_bytes(archive.read(metadata))
        licences = next(name for name in names if name.endswith("THIRD-PARTY-LICENCES.txt"))
        check("it has the licences of what it contains", b"wasmtime" in archive.read(licences))
    modules = [name for name in names if ".dist-info/" not in name and ".data/scripts/" not in name]
    check("it has the command and no Python module", modules == [], modules)
    check("its name is not the SDK's", message["Name"] == "signoff-cli", message["Name"])
    check("its tags name both C libraries", "manylinux2014" in wheel.name and "musllinux" in wheel.name)

    home = fresh("wheel")
    env = {"HOME": str(home), "TMPDIR": str(home), "PATH": str(home / "venv" / "bin")}
    pip = [home / "venv" / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
    run(sys.executable, "-m", "venv", home / "venv")
    begun = time.monotonic()
    run(*pip, "install", "--no-index", "--no-deps", wheel, env=env)
    shown = run(home / "venv" / "bin" / "signoff", "demo", env=env)
    seconds = time.monotonic() - begun
    check(f"install and demo without a compiler, in {seconds:.0f} s", "All checks passed." in shown)

    if os.path.exists(ROOT / "host" / "sdk" / "python" / "src" / "signoff" / "verifier.wasm"):
        run(*pip, "install", "--quiet", ROOT / "host" / "sdk" / "python", env={**env, "PATH": os.environ["PATH"]})
        python = home / "venv" / "bin" / "python"
        run(python, "-c", "import signoff; signoff.Client", env=env)
        run(home / "venv" / "bin" / "signoff", "--version", env=env)
        run(*pip, "uninstall", "--yes", "signoff", env=env)
        run(home / "venv" / "bin" / "signoff", "--version", env=env)
        check("it and the SDK are installed and removed independently", True)
    run(*pip, "uninstall", "--yes", "signoff-cli", env=env)
    check("an uninstall removes the command", not (home / "venv" / "bin" / "signoff").exists())


if __name__ == "__main__":
    main()
