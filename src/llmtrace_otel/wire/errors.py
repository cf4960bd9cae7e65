"""A provider's error, in each of the shapes that providers use.

`{"error": {"type", "code", "status", "message"}}`, `{"error": "text"}`, `{"message", "code"}`, `{"detail"}`: the first
of type, code and status that says something names the error; where none does, the HTTP status is its name.
"""

from __future__ import annotations

from typing import Any

from llmtrace_otel.wire.call import Call
from llmtrace_otel.wire.decode import Body, loads

_LONGEST_MESSAGE = 2_000
"""Characters of a message that are kept."""


def read_error(body: Body, call: Call) -> None:
    """Reads the body of an answer whose HTTP status is an error."""
    set_error(loads(body), call)
    if call.error_type is None:
        call.error_type = str(call.http_status)


def set_error(document: Any, call: Call) -> None:
    """Reads an error object, or an object that holds one; anything else leaves the call as it is."""
    if isinstance(document, list) and document:  # Google's streams answer with an array
        document = document[0]
    if not isinstance(document, dict):
        return
    error = document.get("error", document)
    if isinstance(error, str):
        error = {"message": error}
    if not isinstance(error, dict):
        return
    call.error_type = next((str(name) for key in ("type", "code", "status") if _names(name := error.get(key))), None)
    message = error.get("message") or error.get("detail") or document.get("message")
    if isinstance(message, str) and message:
        call.error_message = message[:_LONGEST_MESSAGE]


def _names(value: Any) -> bool:
    # A bare `{"type": "error"}` around the error names nothing.
    return (isinstance(value, str) and value not in ("", "error")) or (isinstance(value, int) and value is not True)
