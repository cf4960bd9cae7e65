"""A provider's error, in each of the shapes that providers use.

`{"error": {"type", "code", "status", "message"}}`, `{"error": "text"}`, `{"errors": [{"code", "message"}]}`,
`{"message", "code"}`, `{"detail"}`: the first of type, code and status that says something names the error, words
before numbers; where none does a header may, else the HTTP status.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Raw, Struct

from llmtrace_otel.wire.call import Call
from llmtrace_otel.wire.decode import Body, Reader, loads

_LONGEST_MESSAGE = 2_000
"""Characters of a message that are kept."""
_LONGEST_NAME = 100
UNNAMED = "_OTHER"
"""What the conventions call an error that has no name."""


class MaybeError(Struct):
    type: str | None = None
    error: Raw = Raw()


_read_maybe_error = Reader(MaybeError)


def read_error(body: Body, call: Call) -> None:
    """Reads the body of an answer whose HTTP status is an error; where it names none, the status will."""
    _set(loads(body), call)


def read_error_in_success(body: Body, call: Call) -> None:
    """Reads an error that came as the body of a success."""
    maybe = _read_maybe_error(body)
    if maybe is not None and bytes(maybe.error):
        set_error(loads(maybe.error), call)


def set_error(error: Any, call: Call) -> None:
    """Puts an error that an answer states on the call. Empty ones are none; the first one counts."""
    if not error or call.error_type is not None:
        return
    _set({"error": error}, call)
    call.error_type = call.error_type or UNNAMED


def named_by(headers: Mapping[str, str]) -> str | None:
    """The name of an error whose body states none: AWS has it in a header, with an address behind a colon at times."""
    return headers.get("x-amzn-errortype", "").partition(":")[0][:_LONGEST_NAME] or None


def _set(document: Any, call: Call) -> None:
    if isinstance(document, list) and document:  # Google's streams answer with an array
        document = document[0]
    if not isinstance(document, dict):
        return
    error = document.get("error", document)
    if isinstance(several := document.get("errors"), list) and several:  # watsonx
        error = several[0]
    if isinstance(error, str):
        error = {"message": error}
    if not isinstance(error, dict):
        return
    words = [error.get(key) for key in ("type", "code", "status")]
    words.sort(key=lambda word: isinstance(word, int))  # Google's code is the HTTP status again, its status a name
    call.error_type = next((name for name in map(_name, words) if name), None)
    message = error.get("message") or error.get("detail") or document.get("message")
    if isinstance(message, str) and message:
        call.error_message = message[:_LONGEST_MESSAGE]


def _name(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    # A bare `{"type": "error"}` around the error names nothing, nor does LiteLLM's text for Python's None.
    return value[:_LONGEST_NAME] if isinstance(value, str) and value not in ("", "error", "None") else None
