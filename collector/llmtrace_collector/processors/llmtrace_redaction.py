"""Our own redaction: secrets, personal data and patterns of one's own, inside the messages of LLM calls.

The official redaction replaces the value of an attribute that matches, JSON or not. This one reads the JSON that
messages are, and the JSON that is a text within it (a tool's arguments), and changes nothing but the texts that are
content, the keys of objects in it included: what comes out is JSON of the same shape, every number as it was written.
Models, token counts, ids, roles and names are never touched; neither are files in base64, whose text is none. Error
messages of spans are content too. A span that was changed says in `llmtrace.redaction.count` how many replacements
were made.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from llmtrace_collector.otlp.batch import Batch
from llmtrace_collector.processors.items import add, by_resource, by_scope, find, items
from llmtrace_collector.processors.patterns import any_of, compiled, replaced
from llmtrace_otel.telemetry import personal, secrets, semconv
from llmtrace_otel.telemetry.shorten import STRUCTURE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llmtrace_collector.config.settings import LLMRedaction

    Kind = Literal["messages", "content", "none"]

MESSAGES = frozenset(
    {semconv.INPUT_MESSAGES, semconv.OUTPUT_MESSAGES, semconv.SYSTEM_INSTRUCTIONS, semconv.TOOL_DEFINITIONS}
)
CONTENT = frozenset(
    {
        *(semconv.TOOL_CALL_ARGUMENTS, semconv.TOOL_CALL_RESULT, "gen_ai.evaluation.explanation"),
        *("exception.message", "exception.stacktrace", "error.message"),
    }
)
CONTENT_PREFIXES = ("gen_ai.retrieval.", "gen_ai.prompt", "gen_ai.completion")
"""The last two are what messages were called before 2025; some instrumentations still have an attribute a message."""
EVENTS = "gen_ai."
REMEMBERED = 1024
LONGEST_REMEMBERED = 8192
"""Each turn of a conversation sends all earlier ones again: what became of a text up to this long is remembered."""

_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"')
_FILE = re.compile(r"(?:data:[^,\s]{0,100};base64,[A-Za-z0-9+/_\-]*+|[A-Za-z0-9+/_\-]{512,}+)={0,2}\Z")


class LLMRedactionProcessor:
    """Redacts what spans, their events and log records hold of messages."""

    looks = True

    def __init__(self, settings: LLMRedaction) -> None:
        """Raises ValueError for what is not a regular expression."""
        self._texts = Texts(settings)

    def process(self, batch: Batch) -> Batch:
        """The batch with its content redacted; metrics have none."""
        if batch.signal.name == "metrics":
            return batch
        redact = self._span if batch.signal.name == "traces" else self._record
        replacements = 0
        for group in by_resource(batch):
            for scope in by_scope(batch.signal, group):
                for item in items(batch.signal, scope):
                    replacements += redact(item)
        return Batch(batch.signal, batch.message) if replacements else batch

    def _span(self, span: Any) -> int:
        count = self._attributes(span.attributes)
        for event in span.events:
            count += self._attributes(event.attributes)
        if message := span.status.message:
            after, changed = self._texts.redacted(message)
            if changed:
                span.status.message = after
                count += changed
        if count:
            add(span.attributes, semconv.REDACTION_COUNT, count)
        return count

    def _record(self, record: Any) -> int:
        count = self._attributes(record.attributes)
        if _event_name(record).startswith(EVENTS):
            count += self._value(record.body, "", "messages")
        return count

    def _attributes(self, attributes: Any) -> int:
        count = 0
        for attribute in attributes:
            key = attribute.key
            if (kind := kind_of(key)) != "none":
                count += self._value(attribute.value, key, kind)
        return count

    def _value(self, value: Any, key: str, kind: Kind) -> int:
        """Redacts an `AnyValue`: text, JSON or not, or the same structure as it is."""
        match value.WhichOneof("value"):
            case "string_value":
                after, count = self._texts.redacted(value.string_value, key, kind)
                if count:
                    value.string_value = after
                return count
            case "array_value":
                return sum(self._value(item, key, kind) for item in value.array_value.values)
            case "kvlist_value":
                pairs = value.kvlist_value.values
                part = {pair.key: pair.value.string_value for pair in pairs if pair.key == "type"}
                count = sum(self._value(pair.value, pair.key, within(kind, pair.key, part)) for pair in pairs)
                return count + sum(self._key(pair) for pair in pairs if kind == "content")
            case _:
                return 0

    def _key(self, pair: Any) -> int:
        after, count = self._texts.redacted(pair.key)
        if count:
            pair.key = after
        return count


@lru_cache(4096)
def kind_of(key: str) -> Kind:
    """What an attribute holds, by its name."""
    if key in MESSAGES:
        return "messages"
    return "content" if key in CONTENT or key.startswith(CONTENT_PREFIXES) else "none"


def within(kind: Kind, key: str, part: dict[str, Any]) -> Kind:
    """What a key of a message, or of a part of one, holds; within content everything is content."""
    if kind != "messages":
        return kind
    if key in STRUCTURE or part.get("type") == "blob":
        return "none"
    return "messages" if key == "parts" else "content"


def _event_name(record: Any) -> str:
    if record.event_name:
        return str(record.event_name)
    named = find(record.attributes, "event.name")
    return named.string_value if named is not None else ""


class Texts:
    """Takes out of texts what the settings name, and counts it."""

    def __init__(self, settings: LLMRedaction) -> None:
        """Raises ValueError for what is not a regular expression."""
        self._secrets = settings.secrets
        self._others: list[Callable[[str], str]] = [personal.scrubbed] if settings.personal else []
        if settings.patterns:
            self._others.append(_replacing(settings.patterns, settings.replacement))
        marks = (secrets.REDACTED, *personal.MARKS, settings.replacement)
        self._remembered = lru_cache(REMEMBERED)(self._plain)
        self._marks = re.compile("|".join(re.escape(mark) for mark in marks if mark))

    def redacted(self, text: str, key: str = "", kind: Kind = "content") -> tuple[str, int]:
        """A text without them, and how many there were. `key` is what it stands under in its JSON.

        Where the text is itself JSON, the texts in it are redacted, as those of messages or of any content.
        """
        if kind == "none" or _FILE.match(text):
            return text, 0
        if text.startswith(("[", "{")):
            try:
                return self._json(text, kind)
            except (ValueError, RecursionError):
                pass  # not JSON: a text like any other
        return self._remembered(text, key) if len(text) <= LONGEST_REMEMBERED else self._plain(text, key)

    def _plain(self, text: str, key: str) -> tuple[str, int]:
        after: str = secrets.scrubbed_value({key: text})[key] if self._secrets else text
        for other in self._others:
            after = other(after)
        if after == text:
            return text, 0
        return after, max(1, len(self._marks.findall(after)) - len(self._marks.findall(text)))

    def _json(self, text: str, kind: Kind) -> tuple[str, int]:
        """Only texts that change are written anew. Raises ValueError for what is not JSON."""
        found = strings(json.loads(text, object_pairs_hook=tuple), "", kind)
        after = [self.redacted(within, key, its) for within, key, its in found]
        count = sum(changed for _, changed in after)
        if not count:
            return text, 0
        written = (json.dumps(new, ensure_ascii=text.isascii()) if changed else None for new, changed in after)
        redacted = _STRING.sub(lambda match: next(written) or match[0], text)
        redacted.encode()  # half a surrogate pair has no place in protobuf
        return redacted, count


def strings(value: Any, key: str, kind: Kind) -> Iterator[tuple[str, str, Kind]]:
    """The texts of a JSON value and its keys, in their order, with the key that each stands under, and what it is.

    An object is a tuple of pairs: a key that stands twice hides nothing.
    """
    if isinstance(value, str):
        yield value, key, kind
    elif isinstance(value, list):
        for item in value:
            yield from strings(item, key, kind)
    elif isinstance(value, tuple):
        part = {name: item for name, item in value if name == "type"}
        for name, item in value:
            yield name, "", "content" if kind == "content" else "none"
            yield from strings(item, name, within(kind, name, part))


def _replacing(patterns: tuple[str, ...], replacement: str) -> Callable[[str], str]:
    found, each = any_of(patterns), [compiled(pattern) for pattern in patterns]

    def replace(text: str) -> str:
        if found(text):
            for pattern in each:
                text = replaced(pattern, text, lambda _: replacement)
        return text

    return replace
