"""Requests become larger or smaller: merging is concatenation, splitting is done on the message.

Serialised export requests behind one another are one request with all their items, so merging costs one copy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llmtrace_collector.otlp.signals import Signal

LEVELS = {
    "traces": ("resource_spans", "scope_spans", "spans"),
    "logs": ("resource_logs", "scope_logs", "log_records"),
    "metrics": ("resource_metrics", "scope_metrics", "metrics", "data", "data_points"),
}
FRAME = 11  # bytes at most that a message's tag and length take in the message around it

Path = tuple[tuple[str, int, Any], ...]
"""The way to an item: of each message around it, the field it is in, its place there, and the message."""


def split(signal: Signal, body: bytes, limit: int, *, by_bytes: bool) -> Iterator[tuple[bytes, int]]:
    """Requests of at most `limit` items or bytes, with their count of items; in order, all items of `body`.

    An item that is larger than the limit by itself is a request by itself.
    """
    piece = _Piece(signal)
    for path, item in _items(signal.request.FromString(body), LEVELS[signal.name]):
        size = item.ByteSize() + FRAME if by_bytes else 1
        around = piece.missing(path) if by_bytes else 0
        if piece.items and piece.size + size + around > limit:
            yield piece.request.SerializeToString(), piece.items
            piece = _Piece(signal)
            around = piece.missing(path) if by_bytes else 0
        piece.add(path, item, size + around)
    if piece.items:
        yield piece.request.SerializeToString(), piece.items


class _Piece:
    """A request that is being filled. `size` is in what the limit is in."""

    def __init__(self, signal: Signal) -> None:
        self.request = signal.request()
        self.items = 0
        self.size = 0
        self._last = LEVELS[signal.name][-1]
        self._open: list[tuple[tuple[str, int], Any]] = []

    def add(self, path: Path, item: Any, size: int) -> None:
        """Puts an item into copies of the messages that were around it."""
        shared = self._shared(path)
        del self._open[shared:]
        for (name, place, source), child in self._closed(path, shared):
            parent = self._open[-1][1] if self._open else self.request
            self._open.append(((name, place), _shell(source, child, _new_child(parent, name))))
        getattr(self._open[-1][1], self._last).append(item)
        self.items += 1
        self.size += size

    def missing(self, path: Path) -> int:
        """Bytes of the messages around an item that are not in this piece yet."""
        closed = self._closed(path, self._shared(path))
        return sum(_shell(source, child, type(source)()).ByteSize() + FRAME for (_, _, source), child in closed)

    def _closed(self, path: Path, shared: int) -> list[tuple[tuple[str, int, Any], str]]:
        """The messages around an item that are not open, each with the field that leads on to the item."""
        children = (*(name for name, _, _ in path[1:]), self._last)
        return list(zip(path, children, strict=True))[shared:]

    def _shared(self, path: Path) -> int:
        """How many of the messages around an item are open already."""
        shared = 0
        while shared < len(self._open) and self._open[shared][0] == path[shared][:2]:
            shared += 1
        return shared


def _items(message: Any, levels: tuple[str, ...], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    field, *below = levels
    if field == "data":
        kind = message.WhichOneof("data")
        children = [] if kind is None else [(kind, 0, getattr(message, kind))]
    else:
        children = [(field, place, child) for place, child in enumerate(getattr(message, field))]
    for step in children:
        if below:
            yield from _items(step[2], tuple(below), (*path, step))
        else:
            yield path, step[2]


def _new_child(parent: Any, field: str) -> Any:
    child = getattr(parent, field)
    if hasattr(child, "add"):
        return child.add()
    child.SetInParent()
    return child


def _shell(source: Any, without: str, copy: Any) -> Any:
    """`copy` with all fields of `source` but one."""
    for field, value in source.ListFields():
        if field.name == without:
            continue
        if field.message_type is None:
            setattr(copy, field.name, value)
        else:
            getattr(copy, field.name).MergeFrom(value)
    return copy


def merge(bodies: Iterable[bytes]) -> bytes:
    """One request with the items of all; a single one as it is."""
    return b"".join(bodies)
