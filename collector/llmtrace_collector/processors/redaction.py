"""The redaction processor: removes what is not on a list of keys, masks or hashes what matches a pattern.

It looks at the attributes of resources, scopes, spans, span events, log records and data points, and at the bodies of
log records; not at links, names and status messages. For a key the order is: ignored, removed, its value allowed,
masked for its key, masked where its value matches. A summary of what was done can be added beside it.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from llmtrace_collector.otlp.batch import Batch
from llmtrace_collector.processors.items import add, attribute_lists, by_resource, by_scope, items, put, remove
from llmtrace_collector.processors.patterns import any_of, compiled, replaced
from llmtrace_collector.processors.text import as_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llmtrace_collector.config.settings import Redaction

    Fate = Literal["ignored", "redacted", "masked", "looked at"]

MASK = "****"
REMEMBERED = 4096
SHORT = 64
"""Keys, and values up to this many characters, come again and again: what becomes of them is remembered."""

_SUMMARY = ("redaction.redacted.keys", "redaction.redacted.count", "redaction.masked.keys", "redaction.masked.count",
            "redaction.ignored.count")  # fmt: skip
_EVERYTHING = compiled(".*")


class Findings(defaultdict[str, list[str]]):
    """Keys by what became of them."""

    def __init__(self) -> None:
        super().__init__(list)


class RedactionProcessor:
    """Redacts everything that a batch has."""

    looks = True

    def __init__(self, settings: Redaction) -> None:
        """Raises ValueError for what is not a regular expression."""
        self._settings = settings
        self._allowed_keys = frozenset((*settings.allowed_keys, *_SUMMARY))
        self._ignored_keys = frozenset(settings.ignored_keys)
        self._ignored = any_of(settings.ignored_key_patterns)
        self._masked = any_of(settings.blocked_key_patterns)
        self._value_allowed = any_of(settings.allowed_values)
        self._value_blocked = any_of(settings.blocked_values)
        self._blocked = [compiled(pattern) for pattern in settings.blocked_values]
        self._mask = _mask(settings.hash_function)
        self._fate = lru_cache(REMEMBERED)(self._decide)
        self._of_short = lru_cache(REMEMBERED)(self._look)

    def process(self, batch: Batch) -> Batch:
        """The batch without what must not be there."""
        changed = False
        for attributes in _attribute_lists(batch):
            changed |= self._redact(attributes)
        if batch.signal.name == "logs":
            for record in _log_records(batch):
                changed |= self._redact_body(record)
        return Batch(batch.signal, batch.message) if changed else batch

    def _decide(self, key: str) -> Fate:
        if key in self._ignored_keys or self._ignored(key):
            return "ignored"
        if not self._settings.allow_all_keys and key not in self._allowed_keys:
            return "redacted"
        return "masked" if self._masked(key) else "looked at"

    def _look(self, text: str) -> str | None:
        """What a value becomes, `None` where it is allowed for what it is."""
        if self._value_allowed(text):
            return None
        if self._value_blocked(text):
            for pattern in self._blocked:
                text = replaced(pattern, text, self._mask)
        return text

    def _looked_at(self, text: str) -> str | None:
        return self._of_short(text) if len(text) <= SHORT else self._look(text)

    def _masked_whole(self, text: str) -> str:
        return replaced(_EVERYTHING, text, self._mask)

    def _redact(self, attributes: Any) -> bool:
        found = Findings()
        for attribute in attributes:
            key = attribute.key
            if (fate := self._fate(key)) in ("ignored", "redacted"):
                found[fate].append(key)
                continue
            value = attribute.value
            text = as_text(value) if self._settings.redact_all_types else value.string_value
            after = self._looked_at(text)
            if after is None:
                found["allowed"].append(key)
            elif fate == "masked":
                found["masked"].append(key)
                value.string_value = self._masked_whole(text)
            elif after != text:
                found["masked"].append(key)
                value.string_value = after
        for key in found.get("redacted", ()):
            remove(attributes, key)
        return bool(found) and self._tell(attributes, found, "redaction")

    def _redact_body(self, record: Any) -> bool:
        """Redacts the body of a log record; its attributes say what was done."""
        body, found = record.body, Findings()
        match body.WhichOneof("value"):
            case "kvlist_value" | "array_value":
                self._redact_nested(body, None, found)
            case _:
                self._redact_scalar(body, "body", found)
                if "allowed" in found:
                    return False  # the official processor is silent about it
        return bool(found) and self._tell(record.attributes, found, "redaction.body")

    def _redact_nested(self, value: Any, path: str | None, found: Findings) -> None:
        """`path` is where the value is, None for a whole body."""
        prefix = "" if path is None else f"{path}."
        match value.WhichOneof("value"):
            case "kvlist_value":
                self._redact_map(value.kvlist_value.values, prefix, found)
            case "array_value":
                for index, item in enumerate(value.array_value.values):
                    self._redact_nested(item, f"{prefix}[{index}]", found)
            case _:
                self._redact_scalar(value, path or "", found)

    def _redact_map(self, pairs: Any, prefix: str, found: Findings) -> None:
        removed = []
        for pair in pairs:
            fate = self._fate(pair.key)
            if fate == "looked at":
                self._redact_nested(pair.value, prefix + pair.key, found)
                continue
            found[fate].append(prefix + pair.key)
            if fate == "redacted":
                removed.append(pair.key)
            elif fate == "masked":
                pair.value.string_value = self._masked_whole(pair.value.string_value)
        for key in removed:
            remove(pairs, key)

    def _redact_scalar(self, value: Any, path: str, found: Findings) -> None:
        text = as_text(value)
        after = self._looked_at(text)
        if after is None:
            found["allowed"].append(path)
        elif after != text:
            found["masked"].append(path)
            value.string_value = after

    def _tell(self, attributes: Any, found: Findings, prefix: str) -> bool:
        """Adds the summary that the settings ask for. Whether anything has changed at all."""
        summary = self._settings.summary
        for what in ("redacted", "masked", "allowed", "ignored"):
            keys = found.get(what)
            if not keys or summary not in ("info", "debug"):
                continue
            if summary == "debug" and what != "ignored":
                names = put(attributes, f"{prefix}.{what}.keys")
                earlier = names.string_value.split(",") if names.string_value else []
                names.string_value = ",".join(sorted(keys + earlier))
            add(attributes, f"{prefix}.{what}.count", len(keys))
        return summary in ("info", "debug") or bool(found.get("redacted") or found.get("masked"))


def _mask(function: str) -> Callable[[str], str]:
    name = {"md5": "md5", "sha1": "sha1", "sha3": "sha3_256"}.get(function)
    if name is None:
        return lambda _: MASK
    return lambda text: hashlib.new(name, text.encode(), usedforsecurity=False).hexdigest()


def _attribute_lists(batch: Batch) -> Iterator[Any]:
    signal = batch.signal
    for group in by_resource(batch):
        yield group.resource.attributes
        for scope in by_scope(signal, group):
            yield scope.scope.attributes
            for item in items(signal, scope):
                yield from attribute_lists(signal, item)
                if signal.name == "traces":
                    yield from (event.attributes for event in item.events)


def _log_records(batch: Batch) -> Iterator[Any]:
    for group in by_resource(batch):
        for scope in by_scope(batch.signal, group):
            yield from items(batch.signal, scope)
