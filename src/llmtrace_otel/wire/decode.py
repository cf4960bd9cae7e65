"""JSON into typed structs that name only what is read; what does not fit loses itself, not the rest.

`Reader(T)(body)` decodes at full speed. A body in which a field has a surprising type (`"n": "two"`) is decoded again
field by field, each that fits is kept; so is one that only lenient parsers take (`NaN`, half a surrogate pair, bytes
that are no UTF-8), because the program's own parser may. A body that is no JSON at all gives `None`.
`Reader(T).lines(text)` decodes many documents by one call.
"""

from __future__ import annotations

import json
from functools import cache
from types import UnionType
from typing import Annotated, Any, Generic, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct
from msgspec.structs import fields

Body: TypeAlias = bytes | bytearray | memoryview | msgspec.Raw
T = TypeVar("T", bound=Struct)
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A number of tokens or the like; what OpenTelemetry cannot carry, or nobody can count, does not fit."""
Amount: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
"""Money: finite, and not owed to the caller."""
Real: TypeAlias = Annotated[float, msgspec.Meta(ge=-1e300, le=1e300)]
"""A number that is one."""
Integer: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class Reader(Generic[T]):
    """Decodes JSON into the struct `T`. Never raises."""

    __slots__ = ("_decode", "_decode_lines", "_type")

    def __init__(self, kind: type[T]) -> None:
        self._type = kind
        decoder = msgspec.json.Decoder(kind, strict=False)
        self._decode = decoder.decode
        self._decode_lines = decoder.decode_lines

    def __call__(self, body: Body) -> T | None:
        try:
            return self._decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            document = loads(body)
        return fitting(document, self._type) if isinstance(document, dict) else None

    def lines(self, text: bytes) -> list[T] | None:
        """The documents of `text`, or `None` where one of them does not fit at once."""
        try:
            return self._decode_lines(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None


def loads(body: Body) -> Any:
    """Any JSON value, or `None` for what is not JSON. Never raises."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _leniently(bytes(body))


def _leniently(body: bytes) -> Any:
    if body.lstrip()[:1] not in (b"{", b"[", b'"'):
        return None
    try:
        return _mended(json.loads(body.decode("utf-8", "replace")))
    except (ValueError, RecursionError):
        return None


def _mended(value: Any) -> Any:
    """`value` with what is half of a surrogate pair, which no exporter can encode, replaced."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_mended(key): _mended(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_mended(item) for item in value]
    return value


def fitting(document: dict[str, Any], kind: type[T]) -> T:
    """`kind` filled with those fields of `document` that fit their types; the others keep their defaults."""
    found: dict[str, Any] = {}
    for name, spelling, hint in _fields(kind):
        if (value := document.get(spelling)) is not None:
            fitted = _fit(value, hint)
            if fitted is not None:
                found[name] = fitted
    return kind(**found)


@cache
def _fields(kind: type[Struct]) -> tuple[tuple[str, str, Any], ...]:
    """Name, spelling in JSON and type of each field."""
    hints = get_type_hints(kind, include_extras=True)
    return tuple((field.name, field.encode_name, hints[field.name]) for field in fields(kind))


def _fit(value: Any, hint: Any) -> Any:
    try:
        if hint is msgspec.Raw:
            return msgspec.Raw(json.dumps(value).encode())
        return msgspec.convert(value, hint, strict=False)
    except (msgspec.ValidationError, TypeError, ValueError):
        pass
    for option in _options(hint):
        if isinstance(value, dict) and isinstance(option, type) and issubclass(option, Struct):
            return fitting(value, option)
        if isinstance(value, list) and get_origin(option) is list:
            (item,) = get_args(option)
            return [fitted for element in value if (fitted := _fit(element, item)) is not None]
    return None


def _options(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
