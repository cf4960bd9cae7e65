"""Values as text and text as numbers, in Go's ways: what the official processors compare, mask and convert.

Nested values are JSON with sorted keys; numbers are written as ECMAScript writes them.
"""

from __future__ import annotations

import base64
import json
import math
import re
from decimal import Decimal
from typing import Any

_INTEGER = re.compile(r"[+-]?[0-9]+\Z")
_FLOAT = re.compile(
    r"(?:[+-]?(?:[0-9_]+\.?[0-9_]*|\.[0-9_]+)(?:e[+-]?[0-9_]+)?|[+-]?inf(?:inity)?|nan)\Z", re.IGNORECASE
)
_HEX_FLOAT = re.compile(r"[+-]?0x[0-9a-f]*\.?[0-9a-f]*p[+-]?[0-9]+\Z", re.IGNORECASE)
_LEAST, _MOST = -(2**63), 2**63 - 1


def as_text(value: Any) -> str:
    """An `AnyValue` as text; one without a value is the empty text."""
    match value.WhichOneof("value"):
        case "string_value":
            return str(value.string_value)
        case "bool_value":
            return "true" if value.bool_value else "false"
        case "int_value":
            return str(value.int_value)
        case "double_value":
            return double_text(value.double_value)
        case "bytes_value":
            return base64.b64encode(value.bytes_value).decode()
        case "array_value" | "kvlist_value":
            return _whole_json(value)
        case _:
            return ""


def double_text(number: float) -> str:
    """The shortest decimal that reads back the same; an exponent below 1e-6 and from 1e21 on."""
    if math.isnan(number) or math.isinf(number):
        return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
    if number and not 1e-6 <= abs(number) < 1e21:
        mantissa, _, exponent = repr(number).partition("e")
        return f"{mantissa.removesuffix('.0')}e{exponent[0]}{exponent[1:].lstrip('0')}"
    return format(Decimal(repr(number)), "f").removesuffix(".0")


def _whole_json(value: Any) -> str:
    try:
        return _json(value)
    except ValueError:  # JSON has no NaN; the official collector then has nothing at all
        return ""


def _json(value: Any) -> str:
    match value.WhichOneof("value"):
        case "array_value":
            return "[" + ",".join(_json(item) for item in value.array_value.values) + "]"
        case "kvlist_value":
            last = {pair.key: pair.value for pair in value.kvlist_value.values}
            return "{" + ",".join(f"{_quoted(key)}:{_json(last[key])}" for key in sorted(last)) + "}"
        case "double_value" if not math.isfinite(value.double_value):
            raise ValueError("not a number of JSON")
        case "string_value" | "bytes_value":
            return _quoted(as_text(value))
        case _:
            return as_text(value) or "null"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def integer(text: str) -> int | None:
    """A decimal integer of 64 bits, or `None`."""
    if not _INTEGER.match(text) or len(text) > 1000:
        return None
    number = int(text)
    return number if _LEAST <= number <= _MOST else None


def double(text: str) -> float | None:
    """A decimal or hexadecimal number, `Inf` or `NaN`; `None` for anything else, and for what is beyond the range."""
    try:
        number = float(text) if _FLOAT.match(text) else float.fromhex(text) if _HEX_FLOAT.match(text) else None
    except (OverflowError, ValueError):
        return None
    overflown = number is not None and math.isinf(number) and "n" not in text.lower()
    return None if overflown else number


def truncated(number: float) -> int:
    """The integer part; what 64 bits cannot hold is the least of them, as on the processors that most servers have."""
    inside = math.isfinite(number) and _LEAST <= math.trunc(number) <= _MOST
    return math.trunc(number) if inside else _LEAST
