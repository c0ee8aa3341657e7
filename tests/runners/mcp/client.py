"""The official Python client, driven by lines of JSON: see `driver.py` for the commands."""

import asyncio
import json
import sys

import mcp.client.session as session
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import ElicitResult, ErrorData


def shown(model):
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


class Driver:
    def __init__(self):
        self.calls, self.answers, self.closing = {}, {}, asyncio.Event()
        self.number = 0

    def write(self, **line):
        print(json.dumps(line), flush=True)

    def server(self, stdio=None, environment=None, url=None, headers=None, **_):
        if url is not None:
            return streamable_http_client(url, http_client=create_mcp_http_client(headers=headers))
        return StdioServerParameters(command=stdio[0], args=stdio[1:], env=environment)

    async def elicit(self, _context, params):
        """Asks the runner, which answers with `answer`."""
        self.number += 1
        answer = self.answers[self.number] = asyncio.get_running_loop().create_future()
        self.write(event="elicitation", number=self.number, params=shown(params))
        action = await answer
        if action == "error":
            return ErrorData(code=-32603, message="the elicitation failed")
        return ElicitResult(action=action)

    async def connect(self, command, connected):
        """Holds the connection in one task, as the client requires."""
        if command["version"] != "2026-07-28":
            session.LATEST_HANDSHAKE_VERSION = command["version"]
        mode = "auto" if command["version"] == "2026-07-28" else "legacy"
        elicit = self.elicit if command.get("elicitation") else None
        try:
            async with Client(self.server(**command), mode=mode, elicitation_callback=elicit) as self.client:
                capabilities = self.client.session.server_capabilities
                connected.set_result({"version": self.client.protocol_version, "capabilities": shown(capabilities)})
                await self.closing.wait()
        except BaseException as error:
            if connected.done():
                raise
            connected.set_exception(error)

    async def list(self):
        """Lists all that the server has."""
        client, has = self.client, self.client.session.server_capabilities
        templates = await client.list_resource_templates() if has.resources else None
        return {
            "tools": [shown(tool) for tool in (await client.list_tools()).tools],
            "resources": [shown(one) for one in (await client.list_resources()).resources] if has.resources else [],
            "templates": [shown(one) for one in templates.resource_templates] if templates else [],
            "prompts": [shown(prompt) for prompt in (await client.list_prompts()).prompts] if has.prompts else [],
        }

    async def call(self, number, name, arguments, progress=False):
        async def on_progress(done, total, message):
            self.write(event="progress", of=number, done=done, message=message)

        seen = on_progress if progress else None
        return shown(await self.client.call_tool(name, arguments, progress_callback=seen))

    async def do(self, command):
        match command:
            case {"do": "connect"}:
                connected = asyncio.get_running_loop().create_future()
                self.connection = asyncio.create_task(self.connect(command, connected))
                return await connected
            case {"do": "list"}:
                return await self.list()
            case {"do": "tools"}:
                return [shown(tool) for tool in (await self.client.list_tools(cache_mode="refresh")).tools]
            case {"do": "read", "uri": uri}:
                return shown(await self.client.read_resource(uri))
            case {"do": "prompt", "name": name, "arguments": arguments}:
                return shown(await self.client.get_prompt(name, arguments))
            case {"do": "call", "name": name, "arguments": arguments, "id": number}:
                return await self.call(number, name, arguments, command.get("progress", False))
            case {"do": "cancel", "of": number}:
                self.calls[number].cancel()
            case {"do": "answer", "number": number, "action": action}:
                self.answers[number].set_result(action)
            case {"do": "close"}:
                self.closing.set()
                await self.connection

    async def answer(self, command):
        number = command["id"]
        try:
            self.write(id=number, ok=await self.do(command))
        except MCPError as error:
            self.write(id=number, error={"code": error.error.code, "message": error.error.message})
        except asyncio.CancelledError:
            self.write(id=number, cancelled=True)
        except BaseException as error:
            self.write(id=number, failed=repr(error))

    async def main(self):
        reader = asyncio.StreamReader(limit=1 << 24)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            command = json.loads(line)
            self.calls[command["id"]] = asyncio.create_task(self.answer(command))


asyncio.run(Driver().main())
