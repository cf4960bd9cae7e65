"""What is remembered of conversations: the latest, in bounded memory, for all threads, and on after a fork."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from threading import RLock
from typing import Final, Generic, TypeVar

SIZE: Final = 8_192
"""Messages of which something is remembered, at some 350 bytes each."""

K = TypeVar("K")
T = TypeVar("T")


class Latest(Generic[K, T]):
    """Conversation up to a message, by what stands for it → what is known of it there. The latest ones only."""

    def __init__(self, size: int = SIZE) -> None:
        self._size = size
        self._known: OrderedDict[K, T] = OrderedDict()
        self._lock = RLock()  # a signal may end a span while another is being ended

    def longest(self, conversation: Sequence[K], least: int = 1) -> tuple[int, T | None]:
        """How many of its messages, if they are `least` or more, are known; and what is known of the last of them."""
        with self._lock:
            for count in range(len(conversation), least - 1, -1):
                if (known := self._known.get(conversation[count - 1])) is not None:
                    self._known.move_to_end(conversation[count - 1])
                    return count, known
        return 0, None

    def add(self, conversation: Iterable[K], known: Iterable[T]) -> None:
        """Remembers what is known of each of its messages; `known` may have more."""
        with self._lock:
            for point, there in zip(conversation, known, strict=False):
                self._known[point] = there
                self._known.move_to_end(point)
            while len(self._known) > self._size:
                self._known.popitem(last=False)

    def go_on_after_fork(self) -> None:
        """Has a child go on with what the parent knows; it must not inherit a lock that nobody will release."""
        lock = self._lock
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
