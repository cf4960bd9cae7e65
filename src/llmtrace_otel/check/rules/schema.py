"""The JSON Schema of rule files, for editors that complete and check them: made from `keys`, shipped.

python -m llmtrace_otel.check.rules.schema      # writes it anew
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from msgspec import structs

from llmtrace_otel.check.rules.keys import LISTS, TABLES, VERSION, Key
from llmtrace_otel.telemetry.prices_user import _Rates

FILE: Final = Path(__file__).parent.parent / "llmtrace.schema.json"
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """The schema as an object."""
    tables: dict[str, Any] = {name: _table(keys) for name, keys in TABLES.items()}
    for name in LISTS:
        tables[name] = {"type": "array", "items": tables[name]}
    return {
        "$schema": DIALECT,
        "title": "Rules of llmtrace check",
        "type": "object",
        "additionalProperties": False,
        "properties": {"version": {"const": VERSION}, **tables, "prices": _prices()},
    }


def schema_text() -> str:
    return json.dumps(schema(), indent=2) + "\n"


def _table(keys: dict[str, Key]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: {"description": key.doc, **key.schema} for name, key in keys.items()},
        "required": [name for name, key in keys.items() if key.required],
    }


def _prices() -> dict[str, Any]:
    """USD per million tokens, by model; the rest of what an entry may hold is told in `telemetry/prices_user.py`."""
    rate = {"type": "number", "minimum": 0}
    rates = {field.name: rate for field in structs.fields(_Rates)}
    return {"type": "object", "additionalProperties": {"type": "object", "properties": rates}}


if __name__ == "__main__":
    FILE.write_text(schema_text(), "utf-8")
