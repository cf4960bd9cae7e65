"""Spans of files, with no more of each than rules ask for: what was said in a call is passed over, not kept.

A span remembers where it stands, so that a message can say so.
"""

from __future__ import annotations

import os
from sys import intern
from typing import TYPE_CHECKING, Any, Final

from llmtrace_otel.read import otlp
from llmtrace_otel.read.lines import Problem, numbered_lines
from llmtrace_otel.read.span import EXCEPTION_TYPE, EXECUTABLE_NAME, HTTP_METHOD, Span
from llmtrace_otel.telemetry import semconv
from llmtrace_otel.wire.call import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from llmtrace_otel.telemetry.prices_user import UserPrices

MEASURED: Final = frozenset(
    {
        semconv.OPERATION,
        semconv.REQUEST_MODEL,
        semconv.RESPONSE_MODEL,
        semconv.TOOL_NAME,
        semconv.SESSION_ID,
        semconv.CONVERSATION_ID,
        semconv.USAGE_INPUT,
        semconv.USAGE_OUTPUT,
        semconv.COST_USD,
        semconv.COST_OPERATION,
        semconv.COST_STATUS,
        semconv.COST_SAVED_USD,
        semconv.CACHE_HIT,
        semconv.REPLAY,
        semconv.ERROR_TYPE,
        EXECUTABLE_NAME,
        HTTP_METHOD,
    }
)
"""Attributes that tell the kind of a step and what it used."""

PRICED: Final = frozenset(
    {
        semconv.PROVIDER,
        semconv.OPENAI_RESPONSE_SERVICE_TIER,
        semconv.USAGE_CACHE_READ,
        *semconv.USAGE_CACHE_WRITE_NAMES,
        semconv.USAGE_REASONING,
        semconv.STREAM_INCOMPLETE,
    }
)
"""Attributes that tell what it would cost by other prices."""

SHOWN: Final = frozenset(
    {
        *MEASURED,
        *PRICED,
        semconv.AGENT_NAME,
        semconv.AGENT_TYPE,
        semconv.AGENT_ID,
        semconv.WORKFLOW_NAME,
        semconv.SERVER_ADDRESS,
        semconv.HTTP_STATUS,
    }
)
"""Attributes that a step in its tree needs."""

CONTENT: Final = frozenset(
    {
        semconv.INPUT_MESSAGES,
        semconv.OUTPUT_MESSAGES,
        semconv.SYSTEM_INSTRUCTIONS,
        semconv.TOOL_DEFINITIONS,
        semconv.TOOL_CALL_RESULT,
    }
)
"""What was said: most of a file, and nothing that a rule asks for."""

COMPARED: Final = frozenset(
    {
        semconv.TOOL_CALL_ARGUMENTS,
        semconv.INPUT_MESSAGES,
        semconv.OUTPUT_MESSAGES,
        semconv.CONTENT_PREVIOUS_TRACE_ID,
        semconv.CONTENT_PREVIOUS_SPAN_ID,
        semconv.CONTENT_OMITTED_MESSAGES,
    }
)
"""What tells whether a tool or a model was given the same again."""

_LARGEST: Final = 2**63
_NOTHING: Final[dict[str, Any]] = {}
_NO_EVENTS: Final[list[Any]] = []


class Recorded(Span, frozen=True, gc=False, kw_only=True, array_like=True):
    """A span, and where it was recorded: a file and its line from 1."""

    file: str = ""
    line: int = 0


class Recording:
    """The spans of files, one after another; `-` is standard input.

    Args:
        files: Paths of OTLP-JSON lines, plain or gzip.
        keep: The attributes that spans keep; None for all but those of `drop`.
        drop: What spans do not keep then.
        of_resource: Those of them that are taken from the resource where a span lacks them.
        on_problem: Is told of each line that cannot be read, and of which file.
        prices: For calls that were recorded without a cost.

    Iterating raises OSError if a file cannot be opened.
    """

    def __init__(
        self,
        files: Sequence[str],
        on_problem: Callable[[str, Problem], None],
        keep: Collection[str] | None = None,
        *,
        drop: Collection[str] = CONTENT,
        of_resource: Sequence[str] = (),
        prices: UserPrices | None = None,
    ) -> None:
        self._files = files
        kept = {name: name for name in (*(keep or ()), semconv.COST_PRICING_VERSION)}
        self._name_of: Callable[[str], str | None] = _all_but(drop) if keep is None else kept.get
        """The one object that stands for a name, None for a name that is not kept."""
        self._of_resource = of_resource
        self._on_problem = on_problem
        self._prices = prices
        self.price_versions: set[str] = set()
        """Of the price tables that recorded costs are from."""

    def __iter__(self) -> Iterator[Recorded]:
        for file in self._files:
            yield from self._spans(file)

    def _spans(self, file: str) -> Iterator[Recorded]:
        def problem(found: Problem) -> None:
            self._on_problem(file, found)

        name = os.fsencode(file).decode("utf-8", "replace")  # can be written, whatever the bytes
        number = 0

        def recorded(group: otlp.ResourceSpans) -> list[Recorded]:
            scopes = group.scope_spans or ()
            return [self._recorded(span, group, name, number) for scope in scopes for span in scope.spans or ()]

        for number, line in numbered_lines(file, problem):
            try:
                spans = otlp.parse_as(line, recorded)
            except otlp.NotOTLPError as error:
                problem(Problem(number, str(error)))
                continue
            for span in spans:
                if span.trace_id and span.span_id:
                    yield span
                else:
                    problem(Problem(number, "a span without traceId or spanId"))

    def _recorded(self, span: otlp.WrittenSpan, group: otlp.ResourceSpans, file: str, line: int) -> Recorded:
        attributes = self._kept(span.attributes or ())
        for key in self._of_resource:
            if key not in attributes and (held := otlp.resource_attributes(group).get(key)) is not None:
                attributes[key] = _storable(held)
        status = span.status
        failed = status is not None and otlp.STATUSES.get(status.code or 0) == "error"
        if failed and semconv.ERROR_TYPE not in attributes and span.events:
            attributes |= _raised(span.events)
        recorded = Recorded(
            trace_id=otlp.identifier(span.trace_id),
            span_id=otlp.identifier(span.span_id),
            parent_id=otlp.identifier(span.parent_span_id),
            name=span.name or "",
            start=otlp.nanoseconds(span.start_time_unix_nano),
            end=otlp.nanoseconds(span.end_time_unix_nano),
            status="error" if failed else "unset",
            attributes=attributes,
            resource=_NOTHING,
            events=_NO_EVENTS,
            file=file,
            line=line,
        )
        if self._prices is not None and recorded.unpriced:
            _price(recorded, self._prices)
        return recorded

    def _kept(self, pairs: Iterable[otlp.KeyValue]) -> dict[str, Any]:
        # Much of the time goes here, so the commonest case, a string, costs no call.
        name_of = self._name_of
        kept: dict[str, Any] = {}
        for pair in pairs:
            if (name := name_of(pair.key)) is not None and (value := pair.value) is not None:
                text = value.string_value
                kept[name] = text if text.__class__ is str else _held(value)
        if (version := kept.pop(semconv.COST_PRICING_VERSION, None)) is not None:
            self.price_versions.add(str(version))
        return kept


def _all_but(drop: Collection[str]) -> Callable[[str], str | None]:
    return lambda name: None if name in drop else intern(name)


def _held(value: otlp.AnyValue) -> Any:
    """What can be put away and read again as it was: no number beyond the 64 bits that OTLP has, lists of such."""
    whole = value.int_value
    try:
        number = int(whole) if whole is not None else value.double_value
        if number is None:
            return _storable(otlp.plain(value))
        return number if -_LARGEST <= number < _LARGEST else None
    except (TypeError, ValueError, OverflowError):
        return _storable(otlp.plain(value))


def _storable(value: Any) -> Any:
    if isinstance(value, list):
        return [_storable(item) for item in value if not isinstance(item, list)]
    if isinstance(value, str | float | bool) or (isinstance(value, int) and -_LARGEST <= value < _LARGEST):
        return value
    return None


def _raised(events: list[otlp.WrittenEvent]) -> dict[str, str]:
    """The error's type, where only an event tells it."""
    kinds = (otlp.plain_attributes(event.attributes).get(EXCEPTION_TYPE) for event in events)
    found = next((kind for kind in kinds if isinstance(kind, str) and kind), None)
    return {} if found is None else {semconv.ERROR_TYPE: found}


def _price(span: Recorded, prices: UserPrices) -> None:
    """Prices a call that was recorded without a cost, if its model is listed and its tokens are known."""
    usage = span.usage
    models = (span.text(semconv.RESPONSE_MODEL), span.text(semconv.REQUEST_MODEL))
    tier = span.text(semconv.OPENAI_RESPONSE_SERVICE_TIER)
    found = (prices.find(span.provider or "", model, tier) for model in models if model)
    if usage.input is None or span.incomplete or (price := next(filter(None, found), None)) is None:
        return
    usd = price.charge(Usage(usage.input, usage.output, usage.cache_read, usage.cache_write))
    if usd is not None:
        span.attributes[semconv.COST_USD] = usd
