"""`group_by`: a file per value of an attribute, such as one per session.

The attribute is looked for on the resource, as the official exporter does. Where the resource has none, spans and log
records are grouped by their own attribute of that name, because a session is a matter of the span. What has none at all
goes to a file of its own, `_`, instead of being dropped.

Two values never share a file. Everyday values stand in the path as they are; the rest is percent-encoded, or shortened
and told apart by a hash.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmtrace_collector.exporters.file_rotation import is_backup_name
from llmtrace_collector.otlp.batch import Batch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NAMELESS = "_"
RESERVED = {"": "%", NAMELESS: "%5f"}
UNSAFE = re.compile(r"\A[. ]|[. ]\Z|[^\w@+=,.: -]")  # what is left has no separator, no control character, no `~`
LONGEST_NAME = 128  # bytes, of the 255 that a file system allows for a whole file name
SHORTENED = 64
LEVELS = {
    "traces": ("resource_spans", "scope_spans", "spans"),
    "metrics": ("resource_metrics", "scope_metrics", "metrics"),
    "logs": ("resource_logs", "scope_logs", "log_records"),
}


class GroupPaths:
    """The path of each value: `pattern` with the value's name in place of its `*`.

    `folding` says that the file system takes upper and lower case for the same, `rotated` that full files are renamed.
    """

    def __init__(self, pattern: str, *, folding: bool, rotated: bool) -> None:
        self._before, _, self._behind = pattern.partition("*")
        self._folding = folding
        self._rotated = rotated

    def of(self, value: str | None) -> Path:
        """Where the items with this value go; None is for those without the attribute."""
        name = NAMELESS if value is None else self._name(value)
        return self._path(name)

    def _path(self, name: str) -> Path:
        return Path(f"{self._before}{name}{self._behind}")

    def _name(self, value: str) -> str:
        name = RESERVED.get(value) or UNSAFE.sub(_percent_encoded, value)
        if self._rotated and is_backup_name(self._path(name).name):
            name = name.replace("-", "%2d")  # not taken for a full file of another value
        if len(name.encode()) > LONGEST_NAME or (self._folding and not (name.isascii() and name == name.lower())):
            beginning = name.encode()[:SHORTENED].decode(errors="ignore")
            return f"{beginning}~{hashlib.sha256(value.encode()).hexdigest()[:32]}"
        return name


def _percent_encoded(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02x}" for byte in match[0].encode())


def folds_case(directory: Path) -> bool:
    """Whether names that differ in case are the same file there. Raises OSError when nothing can be created there."""
    with tempfile.NamedTemporaryFile(prefix=".llmtrace-", dir=directory) as probe:
        return os.path.exists(directory / Path(probe.name).name.upper())


def split(batch: Batch, attribute: str) -> dict[str | None, Batch]:
    """The batch by the values of an attribute; None is for what has none."""
    resources, _, _ = LEVELS[batch.signal.name]
    groups: dict[str | None, Any] = {}
    for entry in getattr(batch.message, resources):
        for value, part in _parts(entry, batch.signal.name, attribute):
            request = groups.setdefault(value, batch.signal.request())
            getattr(request, resources).append(part)
    if len(groups) == 1:
        return dict.fromkeys(groups, batch)  # whose line or protobuf may be made already
    return {value: Batch(batch.signal, request) for value, request in groups.items()}


def _parts(entry: Any, signal: str, attribute: str) -> Iterator[tuple[str | None, Any]]:
    """One resource with all that is of it, by the values of the attribute."""
    own = _text(entry.resource.attributes, attribute)
    if own is not None:
        yield own, entry
        return
    _, scopes, items = LEVELS[signal]
    values = [_text_of(item, attribute) for scope in getattr(entry, scopes) for item in getattr(scope, items)]
    for value in dict.fromkeys(values or [None]):
        yield value, entry if len(set(values)) <= 1 else _only(entry, scopes, items, attribute, value)


def _only(entry: Any, scopes: str, items: str, attribute: str, value: str | None) -> Any:
    """A copy of a resource entry with just the items of one value."""
    part = type(entry)(resource=entry.resource, schema_url=entry.schema_url)
    for scope in getattr(entry, scopes):
        chosen = [item for item in getattr(scope, items) if _text_of(item, attribute) == value]
        if chosen:
            getattr(part, scopes).add(scope=scope.scope, schema_url=scope.schema_url, **{items: chosen})
    return part


def _text_of(item: Any, attribute: str) -> str | None:
    return _text(getattr(item, "attributes", ()), attribute)  # a metric has none, only its points do


def _text(attributes: Iterable[Any], name: str) -> str | None:
    """The value of an attribute that is text; another type counts as missing, as it does officially."""
    for attribute in attributes:
        if attribute.key == name and attribute.value.WhichOneof("value") == "string_value":
            return str(attribute.value.string_value)
    return None
