"""A small server for protocol 2026-07-28, which the reference servers do not speak: over stdio, or with a
port over Streamable HTTP. `append` counts its effects in a file."""

import asyncio
import logging
import pathlib
import sys

from mcp.server import MCPServer
from mcp.server.mcpserver import Context

# Its log would hide what fails.
logging.disable()
folder = pathlib.Path(sys.argv[1])
server = MCPServer("runner")


# Without an output schema, as most tools are.
@server.tool(structured_output=False)
def append(file: str, text: str) -> str:
    """Appends a line to a file."""
    with open(folder / file, "a", encoding="utf-8") as opened:
        opened.write(text + "\n")
    return f"appended to {file}"


@server.tool()
def add(a: float, b: float) -> float:
    """Adds two numbers."""
    return a + b


@server.tool()
def fail(why: str) -> str:
    """Fails."""
    raise ValueError(why)


@server.tool()
async def slow(steps: int, context: Context) -> str:
    """Reports its progress."""
    for step in range(1, steps + 1):
        await context.report_progress(step, steps)
        await asyncio.sleep(0.01)
    return "done"


@server.resource("text://greeting", mime_type="text/plain")
def greeting() -> str:
    """A greeting."""
    return "hello"


@server.prompt()
def review(text: str) -> str:
    """Asks for a review."""
    return f"Review: {text}"


if len(sys.argv) > 2:
    server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[2]))
else:
    server.run("stdio")
