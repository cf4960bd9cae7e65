"""Whether message content is recorded, and what happens to it before it leaves: redaction, then JSON.

Content is off unless `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` says otherwise: `SPAN_ONLY`, `EVENT_ONLY` or
`SPAN_AND_EVENT`, in any case; `true`, which older instrumentations used, means `SPAN_ONLY`. What looks like a secret is
taken out of every string of content, and of every error message, before anything is exported. `set_redaction` or
`LLMTRACE_REDACT` say otherwise: `secrets` and `personal` are ours, `module:function` is one's own, several, separated
by commas, follow one another, and `none` leaves all as it is. Where one fails, the content is left out rather than sent
unredacted.
`LLMTRACE_CONTENT_MAX_BYTES` limits what is left, per attribute. With `LLMTRACE_CONTENT=delta` a span refers to the
messages of earlier ones instead of repeating them: see `delta`.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache, partial
from typing import Any, NamedTuple

import msgspec

from llmtrace_otel.telemetry import semconv
from llmtrace_otel.telemetry.shorten import STRUCTURE, Shortened, note, shortened
from llmtrace_otel.wire.call import Message

_log = logging.getLogger("llmtrace_otel")

Redaction = Callable[[str], str]

MODE_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
REDACTION_VARIABLE = "LLMTRACE_REDACT"
LIMIT_VARIABLE = "LLMTRACE_CONTENT_MAX_BYTES"
EXTENT_VARIABLE = "LLMTRACE_CONTENT"
BUILT_IN = {
    "secrets": "llmtrace_otel.telemetry.secrets:scrubbed_value",
    "personal": "llmtrace_otel.telemetry.personal:scrubbed",
}
"""Words of `LLMTRACE_REDACT`, beside `none`."""
DEFAULT = "secrets"
WITHHELD = "[withheld: the redaction function failed]"


class Mode(Enum):
    """Where content goes."""

    NO_CONTENT = 0
    SPAN_ONLY = 1
    EVENT_ONLY = 2
    SPAN_AND_EVENT = 3


@cache
def mode() -> Mode:
    """The mode that the environment asks for, read once; `refresh` forgets it."""
    asked = os.environ.get(MODE_VARIABLE, "").strip().upper()
    if asked in ("", "FALSE", "0"):
        return Mode.NO_CONTENT
    if asked in ("TRUE", "1"):
        return Mode.SPAN_ONLY
    if asked in Mode.__members__:
        return Mode[asked]
    _log.warning(
        "llmtrace: %s=%s is none of %s; content is not captured", MODE_VARIABLE, asked, ", ".join(Mode.__members__)
    )
    return Mode.NO_CONTENT


def refresh() -> None:
    """Forgets what the environment said, so that it is asked again."""
    for read in (mode, limit, as_delta, on_spans, on_events, _named_steps, _say_once):
        read.cache_clear()


@cache
def limit() -> int | None:
    """Bytes that the content of one attribute may have, as JSON; `None` for any number."""
    asked = os.environ.get(LIMIT_VARIABLE, "").strip()
    if not asked:
        return None
    if asked.isdecimal() and len(asked) < 19:
        return int(asked)
    _log.warning("llmtrace: %s=%s is no number of bytes, such as 65536; content is not limited", LIMIT_VARIABLE, asked)
    return None


@cache
def as_delta() -> bool:
    """Whether messages that an earlier span of the conversation has are left out. Says nothing about `mode`."""
    asked = os.environ.get(EXTENT_VARIABLE, "").strip()
    if asked.lower() not in ("", "full", "delta"):
        _log.warning("llmtrace: %s=%s is neither full nor delta; content is recorded in full", EXTENT_VARIABLE, asked)
    return asked.lower() == "delta"


@cache
def on_spans() -> bool:
    """Whether spans carry content."""
    return mode() in (Mode.SPAN_ONLY, Mode.SPAN_AND_EVENT)


@cache
def on_events() -> bool:
    """Whether events carry content."""
    return mode() in (Mode.EVENT_ONLY, Mode.SPAN_AND_EVENT)


_redaction: Redaction | None = None


def set_redaction(redaction: Redaction | None) -> None:
    """Sets the function through which every string of content goes before it is exported.

    Args:
        redaction: Takes a string and returns what may be exported of it. `None` removes it. It stands in the place
            of `LLMTRACE_REDACT`, `secrets` included. An exception that it raises withholds that content and is logged
            once.
    """
    global _redaction
    _redaction = redaction
    _say_once.cache_clear()


class _Step(NamedTuple):
    """One redaction: what a failure of it is told by, and what it makes of a value."""

    name: str
    apply: Callable[[Any], Any]


def _steps() -> tuple[_Step, ...]:
    if _redaction is None:
        return _named_steps()
    name = getattr(_redaction, "__qualname__", None) or type(_redaction).__qualname__
    return (_Step(str(name), partial(_walk, redaction=_redaction)),)


@cache
def _named_steps() -> tuple[_Step, ...]:
    asked = os.environ.get(REDACTION_VARIABLE, "").strip() or DEFAULT
    if asked.lower() == "none":
        return ()
    try:
        return tuple(_loaded(name.strip()) for name in asked.split(","))
    except Exception as error:
        _log.warning("llmtrace: %s=%s cannot be loaded (%s): content is withheld", REDACTION_VARIABLE, asked, error)
        return (_Step(asked, partial(_walk, redaction=_withhold)),)


def _loaded(name: str) -> _Step:
    module, colon, attribute = BUILT_IN.get(name.lower(), name).partition(":")
    if not colon:
        raise ValueError(f"{name!r} is none of {', '.join(BUILT_IN)}, module:function, and none alone")
    found = getattr(importlib.import_module(module), attribute)
    if name.lower() == "secrets":
        return _Step(name, found)  # it looks at keys too, which tell of secrets that values do not show
    return _Step(name, partial(_walk, redaction=found))


def _withhold(_: str) -> str:
    return WITHHELD


@cache
def _say_once(name: str, failure: str) -> None:
    # Names only: the function's own text, and the exception's, may quote what was to be hidden.
    _log.warning("llmtrace: the redaction function %s failed with %s: content is withheld", name, failure)


def redacted(value: Any) -> Any:
    """`value` with every string in it redacted; keys stay. Never raises."""
    return _by(_steps(), value)


def _by(steps: tuple[_Step, ...], value: Any) -> Any:
    for name, apply in steps:
        try:
            value = apply(value)
        except Exception as error:
            _say_once(name, type(error).__name__)
            return WITHHELD
    return value


def redacted_messages(messages: list[Message]) -> Any:
    """Messages, or parts of one, with the content redacted and the structure as it is. Never raises."""
    steps = _steps()
    return _messages_by(steps, messages) if steps else messages


def _messages_by(steps: tuple[_Step, ...], messages: list[Message]) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = list(map(dict, messages))
    for copy in kept:
        for key in copy:
            if key in STRUCTURE:
                continue
            value = copy[key]
            of_parts = key == "parts" and type(value) is list
            copy[key] = _messages_by(steps, value) if of_parts else _by(steps, value)
    return kept


def _walk(value: Any, redaction: Redaction) -> Any:
    if isinstance(value, str):
        return redaction(value)
    if isinstance(value, dict):
        return {key: _walk(item, redaction) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_walk(item, redaction) for item in value]
    return value


def limited(value: Any) -> Shortened:
    """`value`, already redacted, cut to the limit. Never raises."""
    most = limit()
    if most is None:
        return Shortened(value)
    try:
        return shortened(value, most)
    except Exception:  # lone surrogates, or nested too deep to be cut
        if (size := len(encoded(value))) <= most:
            return Shortened(value)
        return Shortened([], len(value)) if isinstance(value, list) else Shortened(note(size, "bytes"))


class Exported(NamedTuple):
    """One attribute's content as it may leave."""

    value: Any
    omitted: int = 0
    """How many items the limit has left out."""
    json: bytes | None = None
    """The value as JSON, where that was made on the way."""

    def to_json(self) -> str:
        return (json_bytes(self.value) if self.json is None else self.json).decode()


Recorded = dict[str, Exported | int | str]
"""Attribute → what it holds: content, or what there is to say about it."""


def recorded(given: dict[str, list[Message]], known: Mapping[str, bytes] | None = None) -> Recorded:
    """Attributes' messages as they may leave: redacted, and cut to the limit. Never raises.

    Args:
        given: Messages by the name of their attribute.
        known: Their JSON, where it has been made already.
    """
    found = {
        name: _exported(messages, known[name] if known and name in known else None) for name, messages in given.items()
    }
    left_out = {name: content.omitted for name, content in found.items() if content.omitted}
    if not left_out:
        return {**found}
    counts = {
        semconv.CONTENT_OMITTED_MESSAGES: left_out.pop(semconv.INPUT_MESSAGES, 0),
        semconv.CONTENT_OMITTED_ITEMS: sum(left_out.values()),
    }
    return {**found, **{name: count for name, count in counts.items() if count}}


def _exported(messages: list[Message], known: bytes | None) -> Exported:
    kept, most = redacted_messages(messages), limit()
    fits = most is None or (known is not None and len(known) <= most)
    if fits and kept == messages:
        return Exported(messages, 0, known)
    return Exported(*limited(kept))


def to_json(value: Any) -> str:
    """`value`, redacted and limited, as compact JSON; what JSON cannot hold becomes its `str`. Never raises."""
    return encoded(limited(redacted(value)).value)


def encoded(value: Any) -> str:
    """`value` as compact JSON, as it is. Never raises."""
    return json_bytes(value).decode()


def json_bytes(value: Any) -> bytes:
    """`value` as compact JSON in UTF-8, as it is. Never raises."""
    try:
        return msgspec.json.encode(value, enc_hook=str)
    except Exception:  # lone surrogates, exotic keys
        return _spelled_out(value).encode()


def _spelled_out(value: Any) -> str:
    try:
        return json.dumps(value, default=str, skipkeys=True)
    except Exception as error:
        return json.dumps(f"[not serialisable: {type(error).__name__}]")
