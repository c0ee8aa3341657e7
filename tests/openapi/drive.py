"""Runs programs against a server with tokens. They read their settings from SETTINGS, JSON:

    python3 tests/openapi/drive.py SIGNOFF COMMAND…
"""

import json
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "sdk"))

from deployment import Deployment  # noqa: E402


def main():
    signoff, *commands = sys.argv[1:]
    with Deployment(signoff) as deployment:
        ann = deployment.approvers[0]
        settings = {
            "url": f"http://127.0.0.1:{deployment.port}",
            "executor": deployment.executor,
            "approver": deployment.ballot_tokens[ann.approver],
            "auditor": deployment.auditor,
            "stranger": "sgnt_" + "0" * 72,
            "name": ann.approver,
            "key": ann.id,
            "seed": ann.secret.hex(),
        }
        for command in commands:
            subprocess.run(command, shell=True, check=True, env=os.environ | {"SETTINGS": json.dumps(settings)})


main()
