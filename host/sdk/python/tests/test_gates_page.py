"""The programs of docs/gates/python.md run as they are, with the frameworks' fake models."""

from __future__ import annotations

import ast
import os
import pathlib
import re
import subprocess
import sys
from typing import Dict

import pytest
from desk import Desk
from live import AUDIENCE, Office

import signoff
from signoff._answers import TOLD, text_of

PAGE = pathlib.Path(__file__).resolve().parents[4] / "docs" / "gates" / "python.md"
GIVEN = '{"to": "ann", "cents": 500}'

# What stands in place of the line `MODEL = …`.
LANGCHAIN = f"""
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
class Fake(GenericFakeChatModel):
    def bind_tools(self, tools, **_):
        return self
CALL = {{"name": "transfer", "args": {GIVEN}, "id": "c0"}}
MODEL = Fake(messages=iter([AIMessage("", tool_calls=[CALL]), AIMessage("done")]))
"""
OPENAI = f"""
from agents import set_tracing_disabled
from agents.testing import ScriptedModel, assistant_message, function_call
set_tracing_disabled(True)
CALL = function_call("transfer", {GIVEN}, call_id="c0")
MODEL = ScriptedModel([[CALL], [assistant_message("done")]])
"""
PYDANTIC = f"""
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import FunctionModel
def respond(messages, info):
    if any(isinstance(one, ModelResponse) for one in messages):
        return ModelResponse([TextPart("done")])
    return ModelResponse([ToolCallPart("transfer", {GIVEN}, tool_call_id="c0")])
MODEL = FunctionModel(respond)
"""
MODELS = {"langchain": LANGCHAIN, "agents": OPENAI, "pydantic_ai": PYDANTIC}


def programs() -> Dict[str, str]:
    """Returns the complete programs by section and number."""
    found: Dict[str, str] = {}
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        for number, code in enumerate(re.findall(r"^```python\n(.*?)^```$", section, re.M | re.S)):
            if "import signoff\n" in code:
                found[f"{section.splitlines()[0]} {number}"] = code
    return found


PROGRAMS = programs() if PAGE.exists() else {}


def test_every_section_has_its_programs() -> None:
    if not PAGE.exists():
        pytest.skip("no clone of the repository")
    names = ["Functions", "LangChain and LangGraph", "OpenAI Agents", "Pydantic AI"]
    assert list(PROGRAMS) == [f"{names[0]} 0", *(f"{one} {n}" for one in names[1:] for n in "01")]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the frameworks need Python 3.11")
@pytest.mark.parametrize("decision", ["approve", "reject"])
@pytest.mark.parametrize("name", list(PROGRAMS))
def test_program_runs_as_printed(
    office: Office, tmp_path: pathlib.Path, name: str, decision: str
) -> None:
    code = PROGRAMS[name]
    framework = next((one for one in MODELS if f"from {one}" in code), None)
    if framework is not None:
        code, replaced = re.subn(r"^MODEL = .*$", lambda _: MODELS[framework], code, flags=re.M)
        assert replaced == 1
    # In the same run, the same call is the same: each test has a call of its own.
    code = code.replace('"c0"', repr(tmp_path.name))
    (tmp_path / "program.py").write_text(code, encoding="utf-8")
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("SIGNOFF_")},
        "PYTHONPATH": str(pathlib.Path(signoff.__file__).resolve().parents[1]),
        "SIGNOFF_SERVER": office.url,
        "SIGNOFF_TOKEN": office.token("agent:billing", "requester,executor"),
        "SIGNOFF_KEYS": str(office.keys),
        "SIGNOFF_AUDIENCE": AUDIENCE,
    }
    with Desk(office, "transfer", "billing") as desk:
        desk.decide = lambda _: decision
        command = [sys.executable, "program.py"]
        ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    (made,) = desk.seen
    assert made.context == {"to": "ann", "cents": 500}
    if decision == "approve":
        assert ran.stdout == "500 cents to ann\n", ran.stderr
    elif framework is None:
        assert ran.stderr.splitlines()[-1].startswith("signoff.errors.Rejected: ")
    else:
        by = "was rejected by alice@company.com: too risky"
        assert ran.stdout.endswith(f"Not run: approval {made.id} {by}\n"), ran.stderr


def test_page_has_the_texts() -> None:
    page = PAGE.read_text(encoding="utf-8") if PAGE.exists() else pytest.skip("no clone")
    for code in sorted(TOLD):
        error = signoff.SignoffError(
            code, "…", approval_id="appr_…", comment="COMMENT", approver="NAME"
        )
        shown = text_of(error)
        if code == "policy-denied":
            shown = shown.replace("COMMENT", "REASON")
        assert f"| ``{shown}`` |" in page, code


def test_listings_are_python() -> None:
    page = PAGE.read_text(encoding="utf-8") if PAGE.exists() else pytest.skip("no clone")
    for code in re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S):
        ast.parse(code)
