"""Each value of the table that all SDKs share has its canonical text, or is refused."""

from __future__ import annotations

import datetime
import decimal
import json
import pathlib
from typing import Any, Callable, Dict

import pytest

import signoff
from signoff.encode import canonical, json_text

TABLE = pathlib.Path(__file__).resolve().parents[2] / "values.json"
ROWS = [
    {**row, **row.get("python", {})}
    for row in json.loads(TABLE.read_text(encoding="utf-8"))["values"]
    if "python" in row.get("only", ["python"])
]
CONSTANTS = {"null": None, "true": True, "false": False}


def native(described: Dict[str, Any]) -> Any:
    ((kind, value),) = described.items()
    if kind in CONSTANTS:
        return CONSTANTS[kind]
    if kind == "cycle":
        cycle: Any = []
        cycle.append(cycle)
        return cycle
    if kind == "nested":
        nested: Any = []
        for _ in range(value - 1):
            nested = [nested]
        return nested
    if kind == "datetime":
        zone = {"naive": None, "utc": datetime.timezone.utc}[value[-1]]
        return datetime.datetime(*value[:-1]).replace(tzinfo=zone)
    units: Dict[str, Callable[[Any], Any]] = {
        "int": int,
        "float": float,
        "decimal": decimal.Decimal,
        "string": str,
        "utf16": lambda hexed: "".join(
            chr(int(hexed[at : at + 4], 16)) for at in range(0, len(hexed), 4)
        ),
        "bytes": bytes.fromhex,
        "list": lambda items: [native(item) for item in items],
        "map": lambda pairs: {key: native(item) for key, item in pairs},
        "intkey": lambda _: {1: "a"},
        "raw": signoff.RawJson,
    }
    return units[kind](value)


@pytest.mark.parametrize("row", ROWS, ids=[row["name"] for row in ROWS])
def test_value_has_its_canonical_text_or_is_refused(row: Dict[str, Any]) -> None:
    verifier, context = signoff.Verifier(), {"v": native(row["native"])}
    if "refused" in row:
        with pytest.raises(signoff.Invalid) as refused:
            verifier.canonicalize(context)
        assert refused.value.code == "context-invalid"
        assert row["refused"] in refused.value.detail
        return
    text = verifier.canonicalize(context)
    if row["canonical"] is not None:
        assert text == row["canonical"]
    assert canonical(json_text(context)) == (text, verifier.digest(context))


def test_table_has_rows_of_both_kinds() -> None:
    assert sum("refused" in row for row in ROWS) > 10
    assert sum("refused" not in row for row in ROWS) > 20


@pytest.mark.parametrize(
    "value, expected",
    [
        ({"a": {"b": [1, {"c": {1, 2}}]}}, "`context.a.b[1].c`: set has no JSON form"),
        ({"a": {True: 1}}, "`context.a`: keys must be str, found bool"),
        ("{}", "`context`: expected a mapping or RawJson, found str: wrap a JSON text in RawJson"),
        ([1], "`context`: expected a mapping or RawJson, found list"),
        (signoff.RawJson("[1]"), "`context`: expected a JSON object"),
        (signoff.RawJson('{"a": NaN}'), "`context`: malformed JSON: NaN is not a JSON number"),
        (signoff.RawJson('{"a": "\\ud800"}'), "`context`: a lone surrogate is not Unicode text"),
        ({"big": 10**5000}, "`context.big`: an integer of more than 4300 digits"),
    ],
)
def test_refusal_names_the_path(value: Any, expected: str) -> None:
    with pytest.raises(signoff.Invalid) as refused:
        json_text(value)
    assert refused.value.detail == expected


def test_other_zone_becomes_utc() -> None:
    zone = datetime.timezone(datetime.timedelta(hours=2))
    time = datetime.datetime(2025, 10, 17, 13, 30, tzinfo=zone)
    assert json_text({"at": time}) == '{"at":"2025-10-17T11:30:00Z"}'
