"""A failure that lasts is told once when it begins and once when it ends, however often it is met in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Outage:
    """One thing that works or does not. `say` shows one line to the user."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self.present = False

    def begins(self, line: str) -> None:
        """Called at every failure."""
        if not self.present:
            self._say(line)
        self.present = True

    def ends(self, line: str) -> None:
        """Called at every success."""
        if self.present:
            self._say(line)
        self.present = False
