"""A span that is started for a call is what the SDK would have made of it, whatever the program's set-up."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_ON,
    Decision,
    ParentBased,
    ParentBasedTraceIdRatio,
    Sampler,
    SamplingResult,
)
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.span import TraceState

from llmtrace_otel.telemetry import sdk_spans
from llmtrace_otel.telemetry.tracer import CallTracer
from wire.fuzzing import fuzz


class Counted(IdGenerator):
    """Ids one after the other, the same in each provider."""

    def __init__(self) -> None:
        self._ids = itertools.count(1)

    def generate_span_id(self) -> int:
        return next(self._ids)

    def generate_trace_id(self) -> int:
        return next(self._ids) << 64

    def is_trace_id_random(self) -> Any:
        return None  # as a generator of a program's own may say


class Frozen(Mapping[Any, Any]):
    """A sampler's own kind of attributes, which are odd, too."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = {**given, 7: "seven", "": "nameless", "tenant": "t"}

    def __getitem__(self, key: Any) -> Any:
        return self._given[key]

    def __iter__(self) -> Any:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)


class Adding(Sampler):
    """A sampler of a program's own: what it gives is up to `sampled`."""

    def __init__(self, sampled: Callable[[dict[str, Any]], SamplingResult]) -> None:
        self._sampled = sampled

    def should_sample(
        self,
        parent_context: Any,
        trace_id: int,
        name: str,
        kind: Any = None,
        attributes: Any = None,
        *_: Any,
        **__: Any,
    ) -> SamplingResult:
        return self._sampled({**(attributes or {}), "sampler.saw": [name, str(kind)], "sampler.first": "a" * 40})

    def get_description(self) -> str:
        return "adding"


def choosy(decision: Decision) -> Sampler:
    return Adding(lambda added: SamplingResult(decision, added, TraceState([("vendor", "1")])))


ODD = Adding(lambda added: SamplingResult(Decision.RECORD_AND_SAMPLE, Frozen(added)))
SAMPLERS = [ALWAYS_ON, ALWAYS_OFF, DEFAULT_ON, ParentBasedTraceIdRatio(0.5), *map(choosy, Decision), ODD]
LIMITS = [SpanLimits(), SpanLimits(max_span_attribute_length=5), SpanLimits(max_span_attributes=3)]
plain = st.one_of(st.text(max_size=10), st.integers(-(2**60), 2**60), st.booleans(), st.floats(allow_nan=False))
values = st.one_of(
    plain, plain, plain, st.lists(st.text(max_size=8), max_size=3), st.lists(plain, max_size=3), st.none()
)
attributes = st.dictionaries(st.text("abcdefgh", min_size=1, max_size=2), values, max_size=6)
parents = st.builds(
    SpanContext,
    st.integers(0, 2**100),
    st.integers(0, 2**60),
    st.booleans(),
    st.sampled_from([TraceFlags(flags) for flags in range(4)]),
    st.sampled_from([TraceState(), TraceState([("a", "b")])]),
)
contexts = st.one_of(st.just(Context()), parents.map(lambda parent: below(parent)))


def below(parent: SpanContext) -> Context:
    return trace.set_span_in_context(NonRecordingSpan(parent), Context())


class World:
    """A provider, and what leaves it."""

    def __init__(self, sampler: Sampler = DEFAULT_ON, limits: SpanLimits | None = None) -> None:
        self.provider = TracerProvider(
            sampler, id_generator=Counted(), span_limits=limits or SpanLimits(), shutdown_on_exit=False
        )
        self.exporter = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    @property
    def exported(self) -> list[dict[str, Any]]:
        return [told(span) for span in self.exporter.get_finished_spans()]


def told(span: ReadableSpan) -> dict[str, Any]:
    context = span.get_span_context()
    assert context is not None
    return {
        **{
            name: value
            for name, value in vars(span).items()
            if name not in ("_context", "_attributes", "_resource", "_status")
        },
        "status": (span.status.status_code, span.status.description),
        "_events": list(span.events),
        "_links": list(span.links),
        "attributes": dict(span.attributes or {}),
        "dropped": span.dropped_attributes,
        "context": (*context, context.is_valid),
        "resource": span.resource.attributes,
    }


def by_the_sdk(world: World, started: dict[str, Any], added: Mapping[str, Any], here: Context) -> trace.Span:
    tracer = world.provider.get_tracer("llmtrace_otel")
    span = tracer.start_span("chat m", here, SpanKind.CLIENT, started, start_time=5)
    span.set_attributes(added)
    return span


def by_us(world: World, started: dict[str, Any], added: Mapping[str, Any], here: Context) -> trace.Span:
    tracer = CallTracer(world.provider)
    tracer._tracer = world.provider.get_tracer("llmtrace_otel")  # so that its scope is the same
    span = tracer.start("chat m", started, 5, here)
    assert tracer._quick is sdk_spans
    tracer.add(span, added)
    return span


@fuzz
@given(st.sampled_from(SAMPLERS), st.sampled_from(LIMITS), attributes, attributes, contexts)
def test_it_is_what_the_sdk_makes(
    sampler: Sampler, limits: SpanLimits, started: dict[str, Any], added: dict[str, Any], here: Context
) -> None:
    found = []
    for start in (by_the_sdk, by_us):
        world = World(sampler, limits)
        span = start(world, dict(started), added, here)
        found.append((type(span), span.is_recording(), span.get_span_context(), world.exported))
        span.end(9)
        found[-1] = (*found[-1], world.exported)
    assert found[0] == found[1]


class Listening(SpanProcessor):
    """Notes what a span has when it starts, and writes on it."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_start(self, span: sdk.Span, parent_context: Context | None = None) -> None:
        self.seen.append((span.name, dict(span.attributes or {}), otel_context.get_value("who", parent_context)))
        span.set_attribute("user", "me")

    def _on_ending(self, span: sdk.Span) -> None:
        span.set_status(trace.StatusCode.OK)

    def on_end(self, span: ReadableSpan) -> None:
        self.seen.append(("ended", dict(span.attributes or {}), span.status.status_code.name))


def test_processors_see_it_start_and_end_and_may_write_on_it() -> None:
    world, listening = World(), Listening()
    world.provider.add_span_processor(listening)
    tracer = CallTracer(world.provider)
    span = tracer.start("chat m", {"a": 1}, 5, otel_context.set_value("who", "us", Context()))
    tracer.add(span, {"b": 2})
    span.end()
    whole = {"a": 1, "user": "me", "b": 2}
    assert listening.seen == [("chat m", {"a": 1}, "us"), ("ended", whole, "UNSET")]
    assert [span["attributes"] for span in world.exported] == [whole]


def test_what_the_program_does_with_the_current_span_is_kept() -> None:
    world = World()
    tracer = CallTracer(world.provider)
    span = tracer.start("chat m", {"a": 1}, 5, Context())
    span.set_attribute("mine", "x")
    span.add_event("seen")
    span.update_name("other")
    span.record_exception(ValueError("no"))
    tracer.add(span, {"a": 2})
    span.end()
    (found,) = world.exported
    assert found["attributes"] == {"a": 2, "mine": "x"}
    assert [event.name for event in found["_events"]] == ["seen", "exception"]
    assert found["_name"] == "other"


def test_nothing_is_added_to_a_span_that_has_ended(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    tracer = CallTracer(world.provider)
    span = tracer.start("chat m", {}, 5, Context())
    span.end()
    tracer.add(span, {"late": True})
    assert [span["attributes"] for span in world.exported] == [{}]
    assert "ended span" in caplog.text


class Contextless(trace.NonRecordingSpan):
    """A span that has no context, against its type."""

    def get_span_context(self) -> Any:
        return None


def test_below_a_span_without_a_context_a_trace_begins() -> None:
    world = World()
    here = trace.set_span_in_context(Contextless(SpanContext(1, 2, is_remote=False)), Context())
    CallTracer(world.provider).start("chat m", {}, 5, here).end()
    assert [span["_parent"] for span in world.exported] == [None]


def quick(tracer: CallTracer) -> bool:
    tracer.start("chat m", {}, 5, Context()).end()
    return tracer._quick is not None


def test_a_tracer_of_another_kind_starts_its_own() -> None:
    class Other(sdk.Tracer):
        started = 0

        def start_span(self, *args: Any, **kwargs: Any) -> trace.Span:
            Other.started += 1
            return super().start_span(*args, **kwargs)

    world = World()
    given = world.provider.get_tracer("x")
    given.__class__ = Other
    tracer = CallTracer(world.provider)
    tracer._tracer = given
    assert (quick(tracer), Other.started) == (False, 1)


def test_one_whose_function_somebody_has_wrapped_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    world, names = World(), []
    tracer = CallTracer(world.provider)
    assert quick(tracer)
    original = sdk.Tracer.start_span

    def wrapped(self: sdk.Tracer, name: str, *args: Any, **kwargs: Any) -> trace.Span:
        names.append(name)
        return original(self, name, *args, **kwargs)

    monkeypatch.setattr(sdk.Tracer, "start_span", wrapped)
    tracer.start("chat m", {}, 5, Context()).end()
    assert names == ["chat m"]
    assert len(world.exported) == 2


@pytest.fixture
def another_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """An SDK whose own function makes spans with something more than the one that is known."""
    original = sdk._Span.__init__

    def init(self: Any, *args: Any, sampler: Any = None, **kwargs: Any) -> None:
        original(self, *args, sampler=sampler, **kwargs)
        self.more = "record_exception" in kwargs  # which only the SDK itself passes

    monkeypatch.setattr(sdk._Span, "__init__", init)


@pytest.mark.usefixtures("another_sdk")
def test_an_sdk_that_makes_spans_otherwise_is_left_to_it() -> None:
    world = World()
    assert not quick(CallTracer(world.provider))
    assert len(world.exported) == 1


@pytest.mark.parametrize("given", [Context(), below(SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1)))])
def test_an_sdk_whose_default_sampler_says_more_is_left_to_it(given: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    original = ParentBased.should_sample

    def should_sample(self: ParentBased, parent_context: Any, *args: Any, **kwargs: Any) -> SamplingResult:
        result = original(self, parent_context, *args, **kwargs)
        if trace.get_current_span(parent_context).get_span_context().is_valid is bool(given):
            result.attributes = {**(result.attributes or {}), "sampled.by": "default"}
        return result

    monkeypatch.setattr(ParentBased, "should_sample", should_sample)
    world = World()
    tracer = CallTracer(world.provider)
    tracer.start("chat m", {"a": 1}, 5, given).end()
    assert tracer._quick is None
    assert [span["attributes"] for span in world.exported] == [{"a": 1, "sampled.by": "default"}]


def test_a_provider_that_is_set_later_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    tracer = CallTracer()
    assert not tracer.start("chat m", {}, 5, Context()).is_recording()
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", world.provider)
    assert quick(tracer)
    assert len(world.exported) == 1


def test_a_tracer_that_is_switched_off_records_nothing() -> None:
    world = World()
    tracer = CallTracer(world.provider)
    world.provider._set_tracer_configurator(tracer_configurator=lambda _: sdk._TracerConfig(is_enabled=False))
    parent = SpanContext(1, 2, is_remote=True)
    span = tracer.start("chat m", {}, 5, below(parent))
    assert (span.is_recording(), span.get_span_context(), world.exported) == (False, parent, [])
