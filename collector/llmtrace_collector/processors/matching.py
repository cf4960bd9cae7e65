"""`include` and `exclude` of the attributes processor: which items are changed.

All conditions that are given must hold. Those on the resource and on the scope are looked at once for all their items.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from llmtrace_collector.processors.actions import any_value
from llmtrace_collector.processors.items import find
from llmtrace_collector.processors.patterns import any_of
from llmtrace_collector.processors.text import as_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from llmtrace_collector.config.settings import KeyValue, Match
    from llmtrace_collector.otlp.signals import Signal
    from llmtrace_collector.processors.patterns import Test

    Condition = Callable[[Any], bool]

NO_SERVICE = "<nil-service-name>"
_ALLOWED = {
    "traces": {"services", "span_names", "span_kinds", "attributes", "resources", "libraries"},
    "logs": {"attributes", "resources", "libraries"},
    "metrics": {"resources"},
}
_KINDS = frozenset(Span.SpanKind.keys()) - {"SPAN_KIND_UNSPECIFIED"}


class Matcher:
    """The conditions of one `include` or `exclude`."""

    def __init__(self, match: Match) -> None:
        """Raises ValueError for what is not a regular expression."""
        test = any_of if match.match_type == "regexp" else _one_of
        self._resource: list[Condition] = []
        self._scope: list[Condition] = []
        self._item: list[Condition] = []
        if match.services:
            self._resource.append(_service(test(match.services)))
        self._resource += [_attribute(pair, match.match_type) for pair in match.resources]
        for library in match.libraries:
            self._scope.append(_name(test([library.name])))
            if library.version is not None:
                self._scope.append(_version(test([library.version])))
        if match.span_names:
            self._item.append(_name(test(match.span_names)))
        if match.span_kinds:
            self._item.append(_kind(test(match.span_kinds)))
        self._item += [_attribute(pair, match.match_type) for pair in match.attributes]

    def resource(self, resource: Any) -> bool:
        """Whether items of this `Resource` can match."""
        return all(holds(resource) for holds in self._resource)

    def scope(self, scope: Any) -> bool:
        """Whether items of this `InstrumentationScope` can match."""
        return all(holds(scope) for holds in self._scope)

    def item(self, item: Any) -> bool:
        """Whether this span or log record matches, its resource and scope do."""
        return all(holds(item) for holds in self._item)

    @property
    def looks_at_items(self) -> bool:
        """Whether items of one scope can differ."""
        return bool(self._item)


def _matcher(match: Match | None, signal: Signal) -> Matcher | None:
    if match is None:
        return None
    _check(match, signal)
    # The official processor accepts `resources` for metrics, and does not look at them.
    return None if signal.name == "metrics" else Matcher(match)


def _check(match: Match, signal: Signal) -> None:
    fields = ("services", "span_names", "span_kinds", "attributes", "resources", "libraries")
    given = {field for field in fields if getattr(match, field)}
    if wrong := given - _ALLOWED[signal.name]:
        raise ValueError(f"{', '.join(sorted(wrong))} cannot be asked of {signal.name}")
    if not given:
        raise ValueError(f"include and exclude need one of {', '.join(sorted(_ALLOWED[signal.name]))}")
    if match.match_type == "strict" and (wrong := set(match.span_kinds) - _KINDS):
        raise ValueError(f"{', '.join(sorted(wrong))}: a span's kind is one of {', '.join(sorted(_KINDS))}")


def _one_of(texts: Iterable[str]) -> Test:
    return frozenset(texts).__contains__


def _service(test: Test) -> Condition:
    def holds(resource: Any) -> bool:
        service = find(resource.attributes, "service.name")
        return test(NO_SERVICE if service is None else as_text(service))

    return holds


def _name(test: Test) -> Condition:
    return lambda named: test(named.name)


def _version(test: Test) -> Condition:
    return lambda scope: test(scope.version)


def _kind(test: Test) -> Condition:
    names = {number: test(name) for name, number in Span.SpanKind.items()}
    return lambda span: names.get(span.kind, False)


def _attribute(pair: KeyValue, match_type: str) -> Condition:
    if not pair.key:
        raise ValueError("an attribute to match has no key")
    holds = _value(pair, match_type)

    def holder_has(holder: Any) -> bool:
        value = find(holder.attributes, pair.key)
        return value is not None and holds(value)

    return holder_has


def _value(pair: KeyValue, match_type: str) -> Condition:
    if pair.value is None:
        return lambda _: True
    if match_type == "strict":
        expected = any_value(pair.value)
        return lambda value: bool(value == expected)
    if not isinstance(pair.value, str):
        raise ValueError(f"with match_type regexp the value of {pair.key!r} is a regular expression, not {pair.value}")
    test = any_of([pair.value])
    return lambda value: value.WhichOneof("value") in _SCALARS and test(as_text(value))


_SCALARS = {"string_value", "bool_value", "int_value", "double_value"}


class Selection:
    """What `include` and not `exclude` let through."""

    def __init__(self, include: Match | None, exclude: Match | None, signal: Signal) -> None:
        """Raises ValueError for a condition that the signal cannot have, and when there is none."""
        self._include = _matcher(include, signal)
        self._exclude = _matcher(exclude, signal)

    def of(self, resource: Any, scope: Any, items: Any) -> Iterator[Any] | Any:
        """Those of a scope's items that are selected."""
        include, exclude = self._include, self._exclude
        if include:
            if not (include.resource(resource) and include.scope(scope)):
                return ()
            if include.looks_at_items:
                items = [item for item in items if include.item(item)]
        if exclude and exclude.resource(resource) and exclude.scope(scope):
            items = [item for item in items if not exclude.item(item)]
        return items
