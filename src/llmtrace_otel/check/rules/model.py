"""What is to be checked, as read from a rule file, from options, or from both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct, structs

from llmtrace_otel.check.compare import TOLERANCE

if TYPE_CHECKING:
    from llmtrace_otel.check.rules.values import Pattern
    from llmtrace_otel.check.trees.expected import ExpectedTree
    from llmtrace_otel.telemetry.prices_user import UserPrices


class Origin(NamedTuple):
    """Where something is written: a rule file and a line of it, or an option, which has no line."""

    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class Limit(Struct, frozen=True):
    """A limit of the budget: USD, tokens, calls, tools, seconds."""

    name: str
    most: float
    origin: Origin = Origin()

    @property
    def id(self) -> str:
        return f"budget.{self.name}"


class Rule(Struct, frozen=True, kw_only=True):
    """What must hold of the steps of every group."""

    id: str
    match: Pattern | None = None
    where: dict[str, Any] = {}
    checks: dict[str, Any] = {}
    """By name, as in `keys.CHECKS`; in that order."""
    level: str = "error"
    why: str = ""
    allow_empty: bool = False
    origin: Origin = Origin()

    @property
    def may_select_nothing(self) -> bool:
        """Whether it may pass without a step that matches: a count says so itself, an allow-list is kept by none."""
        return self.allow_empty or "count" in self.checks or (self.match is None and not self.where)


class TreeRule(Struct, frozen=True, kw_only=True):
    """The shape that the steps of every group must have."""

    id: str
    shape: ExpectedTree
    level: str = "error"
    why: str = ""
    origin: Origin = Origin()


class Baseline(Struct, frozen=True, kw_only=True):
    """Recorded spans, or a file of profiles, that no more than this may be used."""

    file: str
    tolerance: float = TOLERANCE
    level: str = "warn"
    origin: Origin = Origin()


class Defaults(Struct, frozen=True):
    """What holds for all rules; see `keys.TABLES`."""

    group: str = "trace"
    on_no_spans: str = "error"
    unknown_cost: str = "error"
    fail_on: str = "error"


class Rules(Struct, frozen=True):
    """Everything that is to be checked. `file` is "" without a rule file."""

    file: str = ""
    defaults: Defaults = Defaults()
    limits: tuple[Limit, ...] = ()
    rules: tuple[Rule, ...] = ()
    trees: tuple[TreeRule, ...] = ()
    baseline: Baseline | None = None
    prices: UserPrices | None = None

    @property
    def empty(self) -> bool:
        return not (self.limits or self.rules or self.trees or self.baseline)

    def with_limits(self, limits: dict[str, float]) -> Rules:
        """Other limits in place of, or beside, its own."""
        if not limits:
            return self
        kept = tuple(limit for limit in self.limits if limit.name not in limits)
        told = tuple(Limit(name, most, Origin(f"--max-{name}")) for name, most in limits.items())
        return structs.replace(self, limits=kept + told)

    def grouped(self, group: str | None) -> Rules:
        """Another grouping, if one is given."""
        return structs.replace(self, defaults=structs.replace(self.defaults, group=group)) if group else self
