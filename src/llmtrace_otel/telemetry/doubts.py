"""What a reader of the numbers should know, said once per host: answers without usage, answers that went unread."""

from __future__ import annotations

import logging

from llmtrace_otel.wire.call import Call

_log = logging.getLogger("llmtrace_otel")
PENDING = ("queued", "in_progress")
"""A background response has no usage before it is fetched."""
_MOST = 1_000
_said: set[tuple[str, str]] = set()


def usage_is_missing(call: Call) -> bool:
    """Whether an answer came whole and should have stated its usage, but did not."""
    return (
        call.complete
        and call.usage is None
        and call.error_type is None
        and call.operation != "fetch_response"
        and call.response_status not in PENDING
    )


def stream_is_incomplete(call: Call) -> bool:
    """Whether a stream was cut, or left by its reader before its end."""
    return call.stream is True and not call.complete and call.http_status is not None and call.http_status < 400


def warn(call: Call) -> None:
    """Logs one line per host for each kind of doubt."""
    if usage_is_missing(call):
        seen = f"it stated {', '.join(call.keys_seen)}" if call.keys_seen else "streams may need to be asked for it"
        _once(call, "usage", f"answers of %s have no usage, so their tokens and cost are unknown ({seen})")
    elif call.unreadable is not None:
        _once(
            call,
            "unreadable",
            f"an answer of %s could not be read ({call.unreadable}); its call is recorded without it",
        )


def _once(call: Call, kind: str, message: str) -> None:
    source = call.server_address or call.provider
    if (source, kind) not in _said and len(_said) < _MOST:
        _said.add((source, kind))
        _log.warning("llmtrace: " + message, source)
