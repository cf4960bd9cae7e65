"""The ids of sessions, users and agents, as entries in the context's W3C baggage.

Baggage travels: a program that propagates it in HTTP headers shows these ids to the servers that it calls.
Propagators drop what exceeds the W3C limits of 4,096 bytes an entry and 8,192 in all, with a warning for each request.
An entry that would not fit is therefore left out whole when it is set, and said once; an id cut short would be another
id. Metadata fills at most half, so that it never displaces an id.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Mapping
from typing import Final, cast
from urllib.parse import quote_plus

from opentelemetry import baggage
from opentelemetry.context import Context

from llmtrace_otel.telemetry import semconv as sc

_log = logging.getLogger("llmtrace_otel")

_SESSION_ENTRIES: Final = frozenset({sc.SESSION_ID, sc.CONVERSATION_ID, sc.SESSION_DATA_ID, sc.SESSION_COMBO_ID})
_ENTRIES: Final = _SESSION_ENTRIES | {
    sc.USER_ID,
    sc.AGENT_NAME,
    sc.AGENT_PARENT,
    sc.AGENT_TYPE,
    sc.AGENT_PARENT_SESSION,
    sc.TASK_ID,
    sc.TURN_COUNT,
}
_MAX_ENTRIES: Final = 180
_MAX_ENTRY_BYTES: Final = 4096
_MAX_BYTES: Final = 8192


def left_behind(id: object, context: Context) -> dict[str, object]:  # noqa: A002
    """The outer session's entries, to be removed, if `id` begins another session."""
    entries = baggage.get_all(context)
    if id is None or entries.get(sc.SESSION_ID) in (None, text_of(id)):
        return {}
    return {key: None for key in entries if key in _SESSION_ENTRIES or _is_metadata(key)}


def identify(entries: Mapping[str, object], context: Context) -> Context:
    """`context` with the entries in its baggage; None takes an entry away."""
    for key, value in entries.items():
        context = baggage.remove_baggage(key, context)
        text = "" if value is None else text_of(value)
        if text and _fits(key, text, context):
            context = baggage.set_baggage(key, text, context)
        elif value is not None:
            warn_left_out(key)
    return _tell_util_genai(context) if sc.CONVERSATION_ID in entries else context


def _tell_util_genai(context: Context) -> Context:
    """Set the conversation for the events of opentelemetry-util-genai too, whose context key only it can name."""
    theirs = sys.modules.get("opentelemetry.util.genai._conversation_context")
    with_conversation_id = getattr(theirs, "with_conversation_id", None)
    if with_conversation_id is None:
        return context
    return cast("Context", with_conversation_id(baggage.get_baggage(sc.CONVERSATION_ID, context), context))


def is_ours(key: object) -> bool:
    """Whether a baggage entry of this key says who a call belongs to."""
    return key in _ENTRIES or _is_metadata(key)


def text_of(value: object) -> str:
    """The value as propagation returns it, stripped and encodable; empty if it has no string form. Never raises."""
    try:
        return str(value).encode("utf-8", "replace").decode().strip()
    except Exception:
        return ""


def _fits(key: str, text: str, context: Context) -> bool:
    sizes = [_encoded_size(*entry) for entry in baggage.get_all(context).items()]
    size = _encoded_size(key, text)
    limit = _MAX_BYTES // 2 if _is_metadata(key) else _MAX_BYTES
    return size <= _MAX_ENTRY_BYTES and sum(sizes) + len(sizes) + size <= limit and len(sizes) < _MAX_ENTRIES


def _encoded_size(key: object, value: object) -> int:
    return len(f"{quote_plus(str(key), errors='replace')}={quote_plus(str(value), errors='replace')}")


def _is_metadata(key: object) -> bool:
    return str(key).startswith(sc.SESSION_METADATA)  # others may have put anything into baggage


@functools.lru_cache(maxsize=128)  # once for each entry
def warn_left_out(key: str) -> None:
    """Say that an entry is not in the session, and why."""
    _log.warning(
        "llmtrace: %s is left out of the session: it is empty, has no string form or is too long for baggage", key
    )
