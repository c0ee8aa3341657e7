"""One MCP client in a process of its own.

Commands and answers are lines of JSON. A command has an `id` and `do`: `connect`, `list`, `tools`, `read`,
`prompt`, `call`, `cancel`, `answer` (to an elicitation) or `close`. An answer has the id and `ok`, `error`
(an error of JSON-RPC), `cancelled` or `failed`; elicitations and progress are events.
"""

import json
import queue
import subprocess
import threading

# Longer than anything takes here: a hang becomes a failure with a name.
PATIENCE = 120


class Client:
    """An official client in one version of the protocol."""

    def __init__(self, command, **connection):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.events, self.answers, self.number = queue.Queue(), {}, 0
        self.lock = threading.Lock()
        threading.Thread(target=self.read, daemon=True).start()
        self.connected = self.do("connect", **connection)

    def read(self):
        for line in self.process.stdout:
            line = json.loads(line)
            if "event" in line:
                self.events.put(line)
            else:
                self.answers[line["id"]].put(line)
        for waiting in list(self.answers.values()):
            waiting.put({"failed": "the client ended"})

    def start(self, do, **arguments):
        """Starts a command; returns its number."""
        with self.lock:
            self.number += 1
            number = self.number
            self.answers[number] = queue.Queue()
            self.process.stdin.write(json.dumps({"id": number, "do": do, **arguments}) + "\n")
            self.process.stdin.flush()
        return number

    def end(self, number):
        """Waits for the answer to a command."""
        answer = self.answers[number].get(timeout=PATIENCE)
        if "failed" in answer:
            raise RuntimeError(answer["failed"])
        answer.pop("id")
        return answer

    def do(self, do, **arguments):
        answer = self.end(self.start(do, **arguments))
        if "ok" not in answer:
            raise RuntimeError(f"{do}: {answer}")
        return answer["ok"]

    def call(self, name, arguments, **more):
        return self.end(self.start("call", name=name, arguments=arguments, **more))

    def event(self):
        return self.events.get(timeout=PATIENCE)

    def close(self):
        self.do("close")
        self.process.stdin.close()
        self.process.wait(timeout=PATIENCE)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.close()
        else:
            self.kill()
