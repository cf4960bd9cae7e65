"""A recording's file: one exchange as JSON that people read and compare.

    {
      "llmtrace_recording": 1,
      "request": {"body": {…}, "host": "api.openai.com", "method": "POST", "path": "/v1/chat/completions"},
      "response": {"status": 200, "headers": {…}, "body": {…}},
      "seconds": 0.81
    }

An answer that is a JSON object is there as such. Any other has `chunks`: each is a list of texts, cut behind every
event so that an event is a line of the file, or the base64 of what is no text. `cut` says why an answer ends before its
end. Nothing in it is a date, and `seconds` is how long the answer took.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from llmtrace_otel.replay import volatile
from llmtrace_otel.replay.asked import Document
from llmtrace_otel.telemetry.secrets import scrubbed, scrubbed_value

VERSION: Final = 1
_KEPT_HEADERS: Final = frozenset(
    {
        *("content-type", "retry-after", "retry-after-ms", "x-should-retry"),
        *("request-id", "x-request-id", "x-amzn-requestid", "x-amzn-errortype", "x-litellm-version"),
    }
)
_KEPT_FAMILY: Final = "x-amzn-bedrock-"  # where some models' tokens are counted
_EVENT: Final = re.compile(r"[^\n]*\n+|[^\n]+")
_NUMBERS: Final = re.compile(r"\[\n\s+(-?\d[^\[\]{}\"]*?)\s+\]")
"""A list of nothing but numbers, as `json` indents it; no string in JSON has a line's end in it."""


class Damaged(ValueError):  # noqa: N818 - a condition of the data
    """A file is no recording. The text says why."""


class Recording(NamedTuple):
    """One exchange."""

    request: Document
    status: int
    headers: dict[str, str]
    chunks: list[bytes]
    """The answer's body, as it came, without content codings."""
    seconds: float
    """From the request to the answer's end."""
    cut: str | None = None
    """Why the answer ends before its end."""

    def same_as(self, other: Recording) -> bool:
        """Whether both say the same, however fast and in whatever pieces, and on whatever day."""
        return _compared(self) == _compared(other)


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Those of a response's headers that a recording keeps, sorted."""
    lowered = sorted((name.lower(), value) for name, value in headers.items())
    return {name: value for name, value in lowered if name in _KEPT_HEADERS or name.startswith(_KEPT_FAMILY)}


def encode(recording: Recording) -> str:
    """The text of a file."""
    response: dict[str, Any] = {"status": recording.status, "headers": recording.headers}
    whole = b"".join(recording.chunks)
    body = _object(whole) if recording.cut is None else None
    if body is not None:
        response["body"] = scrubbed_value(body)
    elif whole:
        response["chunks"] = [_lines(chunk) for chunk in _uncut(recording.chunks, whole)]
    if recording.cut is not None:
        response["cut"] = recording.cut
    document = {
        "llmtrace_recording": VERSION,
        "request": _sorted(recording.request),
        "response": response,
        "seconds": recording.seconds,
    }
    text = json.dumps(document, indent=2, ensure_ascii=False)
    return _NUMBERS.sub(lambda match: f"[{' '.join(match[1].split())}]", text) + "\n"


def decode(text: str) -> Recording:
    """A recording from the text of its file. Raises Damaged."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"it is not JSON: {error}") from None
    try:
        version = document["llmtrace_recording"]
        if version != VERSION:
            raise Damaged(f"it is of version {version}, and this llmtrace reads version {VERSION}")
        response = document["response"]
        chunks = (
            [_encoded(response["body"])] if "body" in response else [_bytes(one) for one in response.get("chunks", ())]
        )
        return Recording(
            dict(document["request"]),
            int(response["status"]),
            {str(name): str(value) for name, value in response["headers"].items()},
            chunks,
            float(document.get("seconds", 0)),
            response.get("cut"),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"it lacks what a recording has ({type(error).__name__}: {error})") from None
    except (ValueError, OverflowError) as error:
        raise Damaged(str(error)) from None


def _object(whole: bytes) -> dict[str, Any] | None:
    """A body that is one JSON object, and comes out of a file as it went in."""
    if whole.lstrip()[:1] != b"{":
        return None
    try:
        found = json.loads(whole)
        _encoded(found)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _encoded(body: Any) -> bytes:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _uncut(chunks: list[bytes], whole: bytes) -> list[bytes]:
    """An answer's pieces; one piece, if a secret was cut in two: it would not be found in either."""
    try:
        pieces = "".join(scrubbed(chunk.decode()) for chunk in chunks)
    except UnicodeDecodeError:
        pieces = ""  # a character was cut, and is base64 in both pieces
    found = scrubbed(text := whole.decode("utf-8", "replace"))
    return chunks if found in (text, pieces) else [whole]


def _lines(chunk: bytes) -> list[str] | dict[str, str]:
    try:
        return _EVENT.findall(scrubbed(chunk.decode()))
    except UnicodeDecodeError:
        return {"base64": b64encode(chunk).decode()}


def _bytes(lines: Any) -> bytes:
    return b64decode(lines["base64"]) if isinstance(lines, dict) else "".join(lines).encode()


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def _compared(recording: Recording) -> tuple[object, ...]:
    request = volatile.undated(json.dumps(recording.request, sort_keys=True))
    return request, recording.status, recording.headers, b"".join(recording.chunks), recording.cut
