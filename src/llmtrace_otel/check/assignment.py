"""Who gets which place, when each fits only some: a maximum flow between two sides, by augmenting paths.

Guests and places may come and go; whoever is seated stays so, perhaps elsewhere, as long as there are places enough.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

Guest = TypeVar("Guest", bound="Hashable")
Place = TypeVar("Place", bound="Hashable")


class Assignment(Generic[Guest, Place]):
    """Guests in places. `fits` gives the places that a guest may have, open or not."""

    def __init__(self, fits: Callable[[Guest], Iterable[Place]]) -> None:
        self._fits = fits
        self._free: defaultdict[Place, float] = defaultdict(int)
        self.held: defaultdict[Place, Counter[Guest]] = defaultdict(Counter)
        """Who is in each place."""

    def open(self, place: Place, count: float = 1) -> None:
        """Makes room for so many more; may be infinite."""
        self._free[place] += count

    def close(self, place: Place) -> Guest | None:
        """Takes one seat of a place away. Returns the guest who has lost it, None if it was free."""
        if self._free[place]:
            self._free[place] -= 1
            return None
        loser = next(guest for guest, count in self.held[place].items() if count)
        self.held[place][loser] -= 1
        return loser

    def seat(self, guest: Guest, count: int = 1) -> int:
        """Seats a guest so many times, where others may have to move on. Returns how often that was possible."""
        seated = 0
        while seated < count and (moved := self._push(guest, count - seated)):
            seated += moved
        return seated

    def leave(self, guest: Guest) -> None:
        """Frees one seat of a guest who has one."""
        place = next(place for place in self._fits(guest) if self.held[place][guest])
        self.held[place][guest] -= 1
        self._free[place] += 1

    def _push(self, guest: Guest, count: int) -> int:
        came: dict[Place, tuple[Guest, Place | None]] = {}  # place → who moves in, and from where
        queue: deque[tuple[Guest, Place | None]] = deque([(guest, None)])
        while queue:
            mover, leaves = queue.popleft()
            for place in self._fits(mover):
                if place in came:
                    continue
                came[place] = (mover, leaves)
                if self._free[place]:
                    return self._move(place, count, came)
                queue.extend((other, place) for other, held in self.held[place].items() if held)
        return 0

    def _move(self, last: Place, count: int, came: dict[Place, tuple[Guest, Place | None]]) -> int:
        moves = []
        place: Place | None = last
        while place is not None:
            mover, leaves = came[place]
            moves.append((mover, place, leaves))
            place = leaves
        room = [self.held[leaves][mover] for mover, _, leaves in moves if leaves is not None]
        moved = int(min(count, self._free[last], *room))
        for mover, place, leaves in moves:
            self.held[place][mover] += moved
            if leaves is not None:
                self.held[leaves][mover] -= moved
        self._free[last] -= moved
        return moved
