"""One line of OTLP JSON → spans.

The structs name only the fields that are read; msgspec skips the rest without building it. The format is the OTLP file
format (specification/protocol/file-exporter.md): a line is a whole `TracesData` with any number of resources and spans.
Read generously: 64-bit integers as strings or numbers, enums as numbers or names, null for absent.
"""

from __future__ import annotations

import base64
from functools import lru_cache
from sys import intern
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from llmtrace_otel.read.span import Event, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")

MAX_NANOS: Final = 2**64 - 1  # fixed64 on the wire

KINDS: Final[dict[int | str, str]] = {
    key: name
    for number, name in enumerate(("unspecified", "internal", "server", "client", "producer", "consumer"))
    for key in (number, f"SPAN_KIND_{name.upper()}")
}
STATUSES: Final[dict[int | str, str]] = {
    key: name for number, name in enumerate(("unset", "ok", "error")) for key in (number, f"STATUS_CODE_{name.upper()}")
}


class NotOTLPError(ValueError):
    """Why a line holds no readable telemetry."""


class AnyValue(Struct, rename="camel", gc=False):
    """A value as written: of any type, as long as `plain` has not looked at it."""

    string_value: Any = None
    int_value: Any = None
    double_value: Any = None
    bool_value: Any = None
    array_value: Any = None
    kvlist_value: Any = None
    bytes_value: Any = None


class KeyValue(Struct, gc=False):
    key: str = ""
    value: AnyValue | None = None


class _Attributes(Struct, gc=False):
    attributes: list[KeyValue] | None = None


class WrittenEvent(Struct, rename="camel", gc=False):
    name: str | None = None
    time_unix_nano: int | None = None
    attributes: list[KeyValue] | None = None


class _Status(Struct, gc=False):
    code: int | str | None = None
    message: str | None = None


class WrittenSpan(Struct, rename="camel", gc=False):
    """A span as written: what is not there, or null, is None."""

    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    name: str | None = None
    kind: int | str | None = None
    start_time_unix_nano: int | None = None
    end_time_unix_nano: int | None = None
    attributes: list[KeyValue] | None = None
    events: list[WrittenEvent] | None = None
    status: _Status | None = None


class _Scope(Struct, gc=False):
    name: str | None = None


class _ScopeSpans(Struct, rename="camel", gc=False):
    scope: _Scope | None = None
    spans: list[WrittenSpan] | None = None


class ResourceSpans(Struct, rename="camel", gc=False):
    resource: Raw = Raw(b"null")
    scope_spans: list[_ScopeSpans] | None = None


class _TracesData(Struct, rename="camel", gc=False):
    resource_spans: list[ResourceSpans] | UnsetType | None = UNSET
    resource_metrics: Raw | UnsetType = UNSET
    resource_logs: Raw | UnsetType = UNSET
    resource_profiles: Raw | UnsetType = UNSET


_traces_data = msgspec.json.Decoder(_TracesData, strict=False)
_attributes_of = msgspec.json.Decoder(_Attributes | None, strict=False)


def parse(line: bytes) -> list[Span]:
    """The spans of one line; none for a line of metrics, logs or profiles, or a blank one. Raises NotOTLPError."""
    return parse_as(line, _resource_spans)


def parse_as(line: bytes, build: Callable[[ResourceSpans], Iterable[T]]) -> list[T]:
    """What `build` makes of the spans of one line, those of a resource at a time. Raises NotOTLPError, as `parse`."""
    if line.isspace():
        return []
    try:
        data = _traces_data.decode(line)
        if data.resource_spans is UNSET:
            return _no_spans(data)
        return [span for group in data.resource_spans or () for span in build(group)]
    except msgspec.ValidationError as error:
        raise NotOTLPError(f"JSON, but not OTLP ({error})") from None
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise NotOTLPError(_why_not_json(line, error)) from None


def _no_spans(data: _TracesData) -> list[Any]:
    if data.resource_metrics is data.resource_logs is data.resource_profiles is UNSET:
        raise msgspec.ValidationError("no `resourceSpans`")
    return []


def _why_not_json(line: bytes, error: Exception) -> str:
    return f"not JSON ({error})" if line.endswith(b"\n") else f"cut off in mid-line ({error})"


def _resource_spans(group: ResourceSpans) -> Iterator[Span]:
    resource = resource_attributes(group)
    for scope_spans in group.scope_spans or ():
        scope = (scope_spans.scope and scope_spans.scope.name) or ""
        for span in scope_spans.spans or ():
            yield _span(span, resource, scope)


def resource_attributes(group: ResourceSpans) -> dict[str, Any]:
    """The attributes of the resource that spans are of. Spans share the dictionary: do not change it."""
    return _resource(bytes(group.resource))


@lru_cache(maxsize=64)
def _resource(raw: bytes) -> dict[str, Any]:
    """A program repeats its resource on every line: decode it once, hold it once."""
    resource = _attributes_of.decode(raw)
    return plain_attributes(resource and resource.attributes)


def _span(span: WrittenSpan, resource: dict[str, Any], scope: str) -> Span:
    status = span.status
    return Span(
        trace_id=identifier(span.trace_id),
        span_id=identifier(span.span_id),
        parent_id=identifier(span.parent_span_id),
        name=span.name or "",
        kind=KINDS.get(span.kind or 0, "unspecified"),
        start=nanoseconds(span.start_time_unix_nano),
        end=nanoseconds(span.end_time_unix_nano),
        status=STATUSES.get((status and status.code) or 0, "unset"),
        status_message=(status and status.message) or "",
        attributes=plain_attributes(span.attributes),
        resource=resource,
        scope=scope,
        events=[
            Event(event.name or "", nanoseconds(event.time_unix_nano), plain_attributes(event.attributes))
            for event in span.events or ()
        ],
    )


def identifier(text: str | None) -> str:
    """Lower-case hex; all zeros means that there is none."""
    return text.lower() if text and text.strip("0") else ""


def nanoseconds(time: int | None) -> int:
    return time if time is not None and 0 < time <= MAX_NANOS else 0


def plain_attributes(pairs: list[KeyValue] | None) -> dict[str, Any]:
    # Most of the reader's time goes here, so the commonest case, a string, costs no call.
    # Keys are few and repeat on every span: interned, they are held once.
    return {
        intern(pair.key): text if (value := pair.value) and (text := value.string_value) is not None else plain(value)
        for pair in pairs or ()
    }


def plain(value: AnyValue | None) -> Any:
    """The Python value; None for an empty one and for one that contradicts its own type."""
    if value is None:
        return None
    try:
        return _converted(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _converted(value: AnyValue) -> Any:
    if value.string_value is not None:
        return value.string_value
    if value.int_value is not None:
        return int(value.int_value)
    if value.double_value is not None:
        return float(value.double_value)
    for name, convert in RARER.items():
        if (held := getattr(value, name)) is not None:
            return convert(held)
    return None


def _boolean(held: Any) -> bool:
    return msgspec.convert(held, bool, strict=False)


def _array(held: Any) -> list[Any]:
    return [plain(value) for value in msgspec.convert(held, _Array, strict=False).values or ()]


def _mapping(held: Any) -> dict[str, Any]:
    return plain_attributes(msgspec.convert(held, _KeyValueList, strict=False).values)


class _Array(Struct, gc=False):
    values: list[AnyValue | None] | None = None


class _KeyValueList(Struct, gc=False):
    values: list[KeyValue] | None = None


RARER: Final[dict[str, Callable[[Any], Any]]] = {
    "bool_value": _boolean,
    "array_value": _array,
    "kvlist_value": _mapping,
    "bytes_value": base64.b64decode,
}
