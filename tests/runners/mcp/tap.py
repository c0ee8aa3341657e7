"""Runs a server and appends each line that it receives to a file: `tap.py FILE COMMAND…`."""

import os
import subprocess
import sys
import threading

log, *command = sys.argv[1:]
server = subprocess.Popen(command, stdin=subprocess.PIPE)


def copy():
    with open(log, "ab", buffering=0) as kept:
        for line in sys.stdin.buffer:
            kept.write(line)
            try:
                server.stdin.write(line)
                server.stdin.flush()
            except OSError:
                break
    server.stdin.close()


threading.Thread(target=copy, daemon=True).start()
os._exit(server.wait())
