"""What a check found: one `Report`, which every output format tells in its own way."""

from __future__ import annotations

from bisect import insort
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from msgspec import Struct, field

from llmtrace_otel.check.rules.model import Origin

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_FINDINGS: Final = 20
MAX_REASONS: Final = 3

Status = Literal["pass", "warn", "fail", "error"]


class Finding(Struct, frozen=True):
    """How a rule was broken in one group. `picture`: rows of its tree; `places`: where the steps are recorded."""

    group: str
    what: str
    detail: str = ""
    picture: list[str] = []
    places: list[str] = []


class Found(NamedTuple):
    """A finding in the order of the groups, which is not that in which they are judged."""

    order: tuple[int, str]
    finding: Finding


class Outcome(Struct, kw_only=True):
    """What became of a rule in all groups. Of many findings the first `MAX_FINDINGS` are kept; `failed` counts all."""

    id: str
    asks: str
    """What it asks for, in short: `cost <= $0.02`."""
    level: str = "error"
    why: str = ""
    origin: Origin = Origin()
    failed: int = 0
    judged: int = 0
    """Groups in which it could be told whether it is kept."""
    untold: int = 0
    doubts: list[str] = field(default_factory=list)
    """Why it could not be told in the others, the first reasons."""
    warnings: list[str] = field(default_factory=list)
    most: tuple[float, str] | None = None
    """Of a limit: the most that a group used, and which."""
    kept: list[Found] = field(default_factory=list)

    @property
    def status(self) -> Status:
        """`error`: it could not be told whether the rule is kept. What is broken for sure is, whatever else is."""
        if self.failed:
            return "warn" if self.level == "warn" else "fail"
        if self.untold:
            return "warn" if self.level == "warn" else "error"
        return "warn" if self.warnings else "pass"

    @property
    def findings(self) -> list[Finding]:
        return [found.finding for found in self.kept]

    def fail(self, order: tuple[int, str], tell: Callable[[], Finding]) -> None:
        """Counts a failure; what there is to tell is asked for only if it is kept."""
        self.judged += 1
        self.failed += 1
        if len(self.kept) == MAX_FINDINGS:
            if order >= self.kept[-1].order:
                return
            self.kept.pop()
        insort(self.kept, Found(order, tell()), key=lambda found: found.order)

    def hold(self) -> None:
        """Counts a group in which the rule is kept."""
        self.judged += 1

    def doubt(self, reason: str) -> None:
        """Counts a group in which it cannot be told."""
        self.untold += 1
        _note(self.doubts, reason)

    def warn(self, reason: str) -> None:
        _note(self.warnings, reason)


def _note(notes: list[str], reason: str) -> None:
    if reason not in notes and len(notes) < MAX_REASONS:
        notes.append(reason)


class Report(Struct, kw_only=True):
    """Everything that a check found. `group` is what was judged: trace, session, file, or an attribute."""

    outcomes: list[Outcome]
    group: str = "trace"
    groups: int = 0
    spans: int = 0
    calls: int = 0
    unread: int = 0
    """Lines that could not be read: with them more may be broken."""
    price_versions: list[str] = []
    fail_on: str = "error"

    def count(self, status: Status) -> int:
        return sum(outcome.status == status for outcome in self.outcomes)

    @property
    def exit_code(self) -> int:
        """0 all is kept, 1 something is broken, 3 it cannot be told; what is broken for sure goes first."""
        if self.count("fail") or (self.fail_on == "warn" and self.count("warn")):
            return 1
        return 3 if self.count("error") or self.unread else 0
