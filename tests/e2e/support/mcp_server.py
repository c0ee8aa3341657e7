"""An MCP server for tests of the gate: it writes down each call that it gets, and lists what a file says."""

import json
import os
import sys

RAN, TOOLS = os.environ["RAN"], os.environ["TOOLS"]


def send(message):
    print(message if isinstance(message, str) else json.dumps(message), flush=True)


for line in sys.stdin:
    message = json.loads(line)
    number, method = message.get("id"), message.get("method")

    def result(value):
        send({"jsonrpc": "2.0", "id": number, "result": value})

    if method == "initialize":
        result({
            "protocolVersion": message["params"]["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "stub", "version": "1"},
        })
    elif method == "tools/list":
        with open(TOOLS) as file:
            send('{"jsonrpc":"2.0","id":%s,"result":{"tools":%s}}' % (json.dumps(number), file.read().replace("\n", " ")))
    elif method == "tools/call":
        with open(RAN, "a") as file:
            file.write(line)
        name = message["params"]["name"]
        if name == "fails":
            result({"content": [{"type": "text", "text": "it broke"}], "isError": True})
        elif name == "errs":
            send({"jsonrpc": "2.0", "id": number, "error": {"code": -32000, "message": "no"}})
        elif name == "dies":
            sys.exit(3)
        elif name == "hangs":
            pass
        elif name == "forges":
            send({"jsonrpc": "2.0", "id": "never-asked", "result": {}})
            send({"jsonrpc": "2.0", "id": "signoff-1", "method": "elicitation/create", "params": {}})
            result({"content": []})
        else:
            send('{"jsonrpc":"2.0","id":%s,"result":{"content":[],"futureField":12345678901234567890123,  "x":1}}'
                 % json.dumps(number))
    elif method == "echo":
        send('{"jsonrpc":"2.0","id":%s,"result":{"line":%s}}' % (json.dumps(number), json.dumps(line)))
    elif method is None and number is not None:
        with open(RAN + ".responses", "a") as file:
            file.write(line)
