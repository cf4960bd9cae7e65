"""Who a call belongs to: identity on every span below, and the spans of agents, tools and workflows.

A span of a plain SDK tracer stands for the LLM call.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import logging
import sys
import threading
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import NamedTuple

import pytest
from opentelemetry import baggage, context, metrics, propagate, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from llmtrace_otel.session import _warn_left_out, agent, session, stamp_spans, tool, workflow
from llmtrace_otel.telemetry import content

MAIN = {"gen_ai.agent.name": "planner", "llmtrace.agent.type": "main"}
CALC = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "calc", "gen_ai.tool.type": "function"}


class Exported(NamedTuple):
    name: str
    attributes: dict[str, object]
    parent: str | None = None
    status: str = "UNSET"
    description: str | None = None
    kind: str = "INTERNAL"


class Spans(InMemorySpanExporter):
    @property
    def all(self) -> list[Exported]:
        """Every ended span, in the order of their ends."""
        names = {span.context.span_id: span.name for span in self.get_finished_spans()}
        return [
            Exported(
                span.name,
                dict(span.attributes),
                names[span.parent.span_id] if span.parent else None,
                span.status.status_code.name,
                span.status.description,
                span.kind.name,
            )
            for span in self.get_finished_spans()
        ]


@pytest.fixture
def spans(monkeypatch) -> Spans:
    exporter = Spans()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return exporter


@pytest.fixture(autouse=True)
def capture(monkeypatch):
    """Content is off; `capture(mode)` asks for it."""

    def ask(mode: str) -> None:
        monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", mode)
        content.refresh()

    ask("NO_CONTENT")
    yield ask
    content.set_redaction(None)
    content.refresh()


@pytest.fixture
def reader(monkeypatch) -> InMemoryMetricReader:
    reader = InMemoryMetricReader()
    monkeypatch.setattr(metrics._internal, "_METER_PROVIDER", MeterProvider([reader], shutdown_on_exit=False))
    return reader


def call(name: str = "chat", **options) -> None:
    """An LLM call, as any other library would record it."""
    llm(name, **options).end()


def llm(name: str = "chat", **options) -> trace.Span:
    return trace.get_tracer("some.library").start_span(name, **options)


# Sessions


def test_a_session_makes_no_span_and_marks_the_calls_inside(spans):
    with session(
        "s1", user="alice", data_id="d1", combo_id="c1", conversation="conv", tenant="acme", attempt=2
    ) as nothing:
        call()

    assert nothing is None
    assert spans.all == [
        Exported(
            "chat",
            {
                "session.id": "s1",
                "user.id": "alice",
                "gen_ai.conversation.id": "conv",
                "llmtrace.session.data_id": "d1",
                "llmtrace.session.combo_id": "c1",
                "llmtrace.session.metadata.tenant": "acme",
                "llmtrace.session.metadata.attempt": "2",
            },
        )
    ]


def test_the_inner_session_wins_inside_and_the_outer_one_returns_after_it(spans):
    with session("outer"):
        with session("inner"):
            call("first")
        call("second")
    call("third")

    assert spans.all == [
        Exported("first", {"session.id": "inner"}),
        Exported("second", {"session.id": "outer"}),
        Exported("third", {}),
    ]


def test_another_session_leaves_all_of_the_outer_one_behind_but_its_user(spans):
    with (
        session("outer", user="alice", data_id="d", combo_id="c", conversation="v", tenant="acme"),
        session("inner", data_id="e"),
    ):
        call()

    assert spans.all == [Exported("chat", {"session.id": "inner", "user.id": "alice", "llmtrace.session.data_id": "e"})]


def test_without_another_id_values_are_added_to_the_session_around(spans):
    with session("s", data_id="d"), session(user="alice"), session("s", tenant="acme"):
        call()

    assert spans.all == [
        Exported(
            "chat",
            {
                "session.id": "s",
                "llmtrace.session.data_id": "d",
                "user.id": "alice",
                "llmtrace.session.metadata.tenant": "acme",
            },
        )
    ]


def test_nothing_is_invented_when_nothing_is_given(spans):
    with session(), session(""), session("  "):
        call()

    assert spans.all == [Exported("chat", {})]


def test_an_exception_leaves_the_session_unchanged(spans):
    error = ValueError("no")
    with pytest.raises(ValueError, match="no") as caught, session("s"):
        raise error
    call()

    assert caught.value is error
    assert spans.all == [Exported("chat", {})]


def test_a_call_that_ends_after_its_session_keeps_it(spans):
    with session("s"):
        span = llm()
    span.end()

    assert spans.all == [Exported("chat", {"session.id": "s"})]


def test_what_a_span_says_itself_stays(spans):
    with session("s", conversation="ours"):
        call(attributes={"gen_ai.conversation.id": "theirs"})

    assert spans.all == [Exported("chat", {"gen_ai.conversation.id": "theirs", "session.id": "s"})]


def test_metadata_without_a_string_form_loses_its_key_only(spans):
    class Mute:
        def __str__(self):
            raise RuntimeError("no string form")

    with session("s", mute=Mute(), absent=None, tenant="acme"):
        call()

    assert spans.all == [Exported("chat", {"session.id": "s", "llmtrace.session.metadata.tenant": "acme"})]


def test_a_session_decorates_functions(spans):
    @session("s")
    def plain():
        call("plain")

    @session("s")
    async def coroutine():
        call("coroutine")

    plain()
    asyncio.run(coroutine())

    assert spans.all == [Exported("plain", {"session.id": "s"}), Exported("coroutine", {"session.id": "s"})]


@pytest.mark.parametrize("make", [session, agent, tool, workflow])
def test_a_decorator_without_a_name_says_what_to_write(make):
    with pytest.raises(TypeError, match=rf'write @{make.__name__}\("…"\) instead of @{make.__name__}'):

        @make
        def function():
            """Never decorated."""


# Identity that travels


def carried_over(carrier: dict[str, str]):
    """The context that a child process starts with."""
    return propagate.extract(carrier, context.Context())


ODD = 'a b;c,d=e%f+g"\\\n\tй 你好 🙂'


def test_identity_survives_propagation_whatever_its_characters(spans):
    carrier: dict[str, str] = {}
    with session(f" {ODD} ", user="Ünal \ud800", **{"odd key; ü=1": ODD}), agent("planner", turn=3, task_id=ODD):
        propagate.inject(carrier)
        call("parent")
    call("child", context=carried_over(carrier))

    identity = {
        "session.id": ODD,
        "user.id": "Ünal ?",
        "llmtrace.session.metadata.odd key; ü=1": ODD,
        **MAIN,
        "llmtrace.task.id": ODD,
        "llmtrace.turn.count": 3,
    }
    parent, _, child = spans.all
    assert parent == Exported("parent", identity, parent="invoke_agent planner")
    assert child == Exported("child", identity, parent="invoke_agent planner")


def test_an_agent_of_a_child_process_is_a_subagent_of_the_parents_agent(spans):
    carrier: dict[str, str] = {}
    with session("s"), agent("planner"):
        propagate.inject(carrier)
    token = context.attach(carried_over(carrier))
    with agent("worker"):
        pass
    context.detach(token)

    assert spans.all[-1] == Exported(
        "invoke_agent worker",
        {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": "worker",
            "session.id": "s",
            "llmtrace.agent.type": "subagent",
            "llmtrace.agent.parent": "planner",
        },
        parent="invoke_agent planner",
    )


def test_foreign_baggage_is_passed_on_but_not_stamped(spans):
    token = context.attach(baggage.set_baggage("theirs", "1"))
    with session("s"):
        assert baggage.get_baggage("theirs") == "1"
        call()
    context.detach(token)

    assert spans.all == [Exported("chat", {"session.id": "s"})]


@pytest.mark.parametrize("turn", ["many", "-", "9" * 19])
def test_a_turn_count_that_is_no_64_bit_number_is_not_stamped(spans, turn):
    stamp_spans()
    call(context=baggage.set_baggage("llmtrace.turn.count", turn))

    assert spans.all == [Exported("chat", {})]


def test_strange_baggage_of_others_breaks_nothing(spans):
    token = context.attach(baggage.set_baggage(7, "\ud800"))
    with session("outer"), session("s", tenant="acme"):
        call()
    context.detach(token)

    assert spans.all == [Exported("chat", {"session.id": "s", "llmtrace.session.metadata.tenant": "acme"})]


def test_an_entry_too_long_for_baggage_is_left_out_whole_and_said_once(spans, caplog):
    _warn_left_out.cache_clear()
    long = "й" * 682  # 6 bytes each when encoded: with its key, more than an entry may have
    for _ in range(2):
        with session("s", user=long, tenant="acme"):
            call()

    assert spans.all == [Exported("chat", {"session.id": "s", "llmtrace.session.metadata.tenant": "acme"})] * 2
    assert caplog.messages == [
        "llmtrace: user.id is left out of the session: it is empty, has no string form or is too long for baggage"
    ]


def test_metadata_never_displaces_an_id(spans):
    carrier: dict[str, str] = {}
    bulk = {f"key{number}": "x" * 1000 for number in range(10)}
    with session("s", **bulk), session(user="u" * 2000), agent("planner"):
        propagate.inject(carrier)
    entries = baggage.get_all(carried_over(carrier))

    assert entries == {
        "session.id": "s",
        "llmtrace.session.metadata.key0": "x" * 1000,
        "llmtrace.session.metadata.key1": "x" * 1000,
        "llmtrace.session.metadata.key2": "x" * 1000,
        "user.id": "u" * 2000,
        "gen_ai.agent.name": "planner",
        "llmtrace.agent.type": "main",
    }


def test_the_conversation_is_told_to_util_genai_where_that_is_loaded(spans, monkeypatch):
    theirs = ModuleType("opentelemetry.util.genai._conversation_context")
    theirs.with_conversation_id = lambda conversation, ctx: context.set_value("their key", conversation, ctx)
    monkeypatch.setitem(sys.modules, theirs.__name__, theirs)

    with session("outer", conversation="conv"):
        assert context.get_value("their key") == "conv"
        with session(user="alice"):
            assert context.get_value("their key") == "conv"
        with session("inner"):
            assert context.get_value("their key") is None


# Registration


def test_spans_are_stamped_once_however_often_it_is_asked(monkeypatch):
    added = []
    provider = TracerProvider(shutdown_on_exit=False)
    monkeypatch.setattr(provider, "add_span_processor", added.append)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)

    stamp_spans()
    stamp_spans()
    with session("s"), agent("planner"):
        pass

    assert [type(processor).__name__ for processor in added] == ["_Stamp"]


def test_before_an_sdk_provider_is_set_nothing_breaks_and_afterwards_it_works(monkeypatch, spans):
    sdk = trace.get_tracer_provider()
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    with session("early"), agent("planner"), tool("calc") as calc:
        calc.result = 1
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", sdk)
    with session("late"):
        call()

    assert spans.all == [Exported("chat", {"session.id": "late"})]


def test_a_provider_that_refuses_processors_costs_the_stamps_only(monkeypatch, spans, caplog):
    def refuse(processor):
        raise RuntimeError("closed")

    monkeypatch.setattr(trace.get_tracer_provider(), "add_span_processor", refuse)
    for _ in range(2):
        with session("s"):
            call()

    assert spans.all == [Exported("chat", {})] * 2
    assert caplog.messages == [
        "llmtrace: spans will not show their session: no span processor can be added (RuntimeError('closed'))"
    ]


def test_after_shutdown_nothing_breaks_and_what_was_recorded_stays(spans):
    with session("s"):
        call()
        trace.get_tracer_provider().shutdown()
        with agent("planner"):
            call()

    assert spans.all == [Exported("chat", {"session.id": "s"})]


# Agents, tools, workflows


def test_a_turn_is_an_agent_span_around_its_calls_and_tools(spans):
    with session("s"), agent("planner", description="Plans", task_id="t", parent_session="p", turn=7):
        call()
        with tool("calc", call_id="call_1", description="Adds"):
            pass

    inside = {
        "session.id": "s",
        **MAIN,
        "llmtrace.agent.parent_session": "p",
        "llmtrace.task.id": "t",
        "llmtrace.turn.count": 7,
    }
    turn = "invoke_agent planner"
    assert spans.all == [
        Exported("chat", inside, parent=turn),
        Exported(
            "execute_tool calc",
            {**CALC, "gen_ai.tool.call.id": "call_1", "gen_ai.tool.description": "Adds", **inside},
            parent=turn,
        ),
        Exported(turn, {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.description": "Plans", **inside}),
    ]


def test_an_agent_inside_another_is_a_subagent_with_entries_of_its_own(spans):
    with agent("planner", turn=1, task_id="t", parent_session="p"):
        with agent("worker"):
            call("inner")
        call("outer")
    with agent("planner"), agent("helper", type="advisor"):
        call("typed")

    calls = {span.name: span.attributes for span in spans.all if not span.name.startswith("invoke_agent")}
    assert calls == {
        "inner": {
            "gen_ai.agent.name": "worker",
            "llmtrace.agent.type": "subagent",
            "llmtrace.agent.parent": "planner",
        },
        "outer": {
            **MAIN,
            "llmtrace.agent.parent_session": "p",
            "llmtrace.task.id": "t",
            "llmtrace.turn.count": 1,
        },
        "typed": {
            "gen_ai.agent.name": "helper",
            "llmtrace.agent.type": "advisor",
            "llmtrace.agent.parent": "planner",
        },
    }


def test_a_workflow_encloses_its_agents(spans):
    with session("s", conversation="c"), workflow("support"), agent("planner"):
        pass

    identity = {"session.id": "s", "gen_ai.conversation.id": "c"}
    assert spans.all == [
        Exported(
            "invoke_agent planner",
            {"gen_ai.operation.name": "invoke_agent", **MAIN, **identity},
            parent="invoke_workflow support",
        ),
        Exported(
            "invoke_workflow support",
            {"gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": "support", **identity},
        ),
    ]


def test_an_agent_yields_its_span(spans):
    with agent("planner") as span:
        span.set_attribute("mine", 1)

    assert spans.all == [Exported("invoke_agent planner", {"gen_ai.operation.name": "invoke_agent", **MAIN, "mine": 1})]


def test_two_overlapping_calls_of_one_tool_are_two_spans(spans):
    calc = tool("calc")
    with calc, calc:
        pass

    assert spans.all == [
        Exported("execute_tool calc", CALC, parent="execute_tool calc"),
        Exported("execute_tool calc", CALC),
    ]


class RefusalError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "error_type", "description"),
    [
        (ValueError("bad input"), "ValueError", "bad input"),
        (RefusalError("no"), f"{__name__}.RefusalError", "no"),
        (KeyError(), "KeyError", None),
        (KeyboardInterrupt(), "KeyboardInterrupt", None),
        (asyncio.CancelledError(), "asyncio.exceptions.CancelledError", None),
        (SystemExit(2), "SystemExit", "2"),
    ],
)
def test_an_error_is_recorded_and_raised_unchanged(spans, error, error_type, description):
    with pytest.raises(BaseException) as caught, tool("calc"):  # noqa: PT011
        raise error

    assert caught.value is error
    assert spans.all == [
        Exported("execute_tool calc", {**CALC, "error.type": error_type}, status="ERROR", description=description)
    ]


def test_a_plain_exit_is_no_error(spans):
    with pytest.raises(SystemExit), tool("calc"):
        raise SystemExit(0)

    assert spans.all == [Exported("execute_tool calc", CALC)]


# Content


def test_without_content_capture_arguments_and_result_stay_private(spans):
    with tool("calc", arguments={"x": 1}) as calc:
        calc.result = 2

    assert spans.all == [Exported("execute_tool calc", CALC)]


@pytest.mark.parametrize("mode", ["SPAN_ONLY", "span_and_event", "true"])
def test_with_content_capture_arguments_and_result_are_json(spans, capture, mode):
    capture(mode)
    with tool("calc", arguments={"x": 1}) as calc:
        calc.result = [2, "two"]

    recorded = {"gen_ai.tool.call.arguments": '{"x":1}', "gen_ai.tool.call.result": '[2,"two"]'}
    assert spans.all == [Exported("execute_tool calc", {**CALC, **recorded})]


@pytest.mark.parametrize(
    ("text", "recorded"), [('{"x": 1}', '{"x":1}'), ("x is 1", '"x is 1"'), ("[" * 9999, f'"{"[" * 9999}"')]
)
def test_arguments_as_a_models_json_text_are_the_object_they_hold(spans, capture, text, recorded):
    capture("SPAN_ONLY")
    with tool("calc", arguments=text):
        pass

    assert spans.all == [Exported("execute_tool calc", {**CALC, "gen_ai.tool.call.arguments": recorded})]


def test_a_decorated_tool_records_its_bound_arguments_and_what_it_returns(spans, capture):
    capture("SPAN_ONLY")

    class Calculator:
        @tool("calc")
        def add(self, x, y=0, *more, **options):
            return x + y

    assert Calculator().add(1, y=2, exact=True) == 3

    recorded = {
        "gen_ai.tool.call.arguments": '{"x":1,"y":2,"options":{"exact":true}}',
        "gen_ai.tool.call.result": "3",
    }
    assert spans.all == [Exported("execute_tool calc", {**CALC, **recorded})]


def test_a_decorated_tool_called_wrongly_raises_its_own_error(spans, capture):
    capture("SPAN_ONLY")

    @tool("calc")
    def add(x):
        return x

    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        add()

    (span,) = spans.all
    assert span.attributes == {**CALC, "error.type": "TypeError"}


def test_content_and_error_messages_are_redacted(spans, capture):
    capture("SPAN_ONLY")
    content.set_redaction(lambda text: text.replace("secret", "***"))
    with tool("calc", arguments={"key": "secret"}) as calc:
        calc.result = "the secret"
    with pytest.raises(ValueError, match="secret"), tool("calc"):
        raise ValueError("bad secret")

    recorded = {"gen_ai.tool.call.arguments": '{"key":"***"}', "gen_ai.tool.call.result": '"the ***"'}
    failed = {**CALC, "error.type": "ValueError"}
    assert spans.all == [
        Exported("execute_tool calc", {**CALC, **recorded}),
        Exported("execute_tool calc", failed, status="ERROR", description="bad ***"),
    ]


def test_arguments_given_to_a_decorated_tool_win_over_its_own(spans, capture):
    capture("SPAN_ONLY")

    @tool("calc", arguments={"x": "hidden"})
    def add(x):
        """Returns nothing, so there is no result."""

    add(1)

    assert spans.all == [Exported("execute_tool calc", {**CALC, "gen_ai.tool.call.arguments": '{"x":"hidden"}'})]


# Decorated functions of every kind


def test_a_decorated_function_stays_what_it_was():
    def plain():
        """Its documentation."""

    async def coroutine(): ...

    def generator():
        yield

    async def async_generator():
        yield

    decorate = agent("planner")
    assert decorate(plain).__doc__ == "Its documentation."
    assert inspect.iscoroutinefunction(decorate(coroutine))
    assert inspect.isgeneratorfunction(decorate(generator))
    assert inspect.isasyncgenfunction(decorate(async_generator))


AGENT_SPAN = Exported("invoke_agent planner", {"gen_ai.operation.name": "invoke_agent", **MAIN})
INSIDE = Exported("chat", MAIN, parent="invoke_agent planner")
OUTSIDE = Exported("outside", {})


def test_a_decorated_coroutine_is_one_span_for_each_call(spans):
    @agent("planner")
    async def run(value):
        await asyncio.sleep(0)
        call()
        return value

    async def main():
        return await asyncio.gather(run(1), run(2))

    assert asyncio.run(main()) == [1, 2]
    assert spans.all == [INSIDE, AGENT_SPAN, INSIDE, AGENT_SPAN]


def test_a_decorated_generator_keeps_its_span_open_while_it_is_read(spans):
    @agent("planner")
    def run():
        call()
        got = yield 1
        call()
        try:
            yield got
        except KeyError:
            call()
            yield "caught"
        return "done"

    def read():
        generator = run()
        before = context.get_current()
        read = [next(generator), generator.send("sent"), generator.throw(KeyError())]
        assert context.get_current() is before
        call("outside")
        with pytest.raises(StopIteration) as stop:
            next(generator)
        return [*read, stop.value.value]

    assert read() == [1, "sent", "caught", "done"]
    assert spans.all == [INSIDE, INSIDE, INSIDE, OUTSIDE, AGENT_SPAN]


def test_a_decorated_async_generator_keeps_its_span_open_while_it_is_read(spans):
    @agent("planner")
    async def run():
        call()
        got = yield 1
        await asyncio.sleep(0)
        call()
        try:
            yield got
        except KeyError:
            call()
            yield "caught"

    async def read():
        generator = run()
        before = context.get_current()
        read = [await anext(generator), await generator.asend("sent"), await generator.athrow(KeyError())]
        assert context.get_current() is before
        call("outside")
        assert [item async for item in generator] == []
        return read

    assert asyncio.run(read()) == [1, "sent", "caught"]
    assert spans.all == [INSIDE, INSIDE, INSIDE, OUTSIDE, AGENT_SPAN]


def test_a_generator_left_early_cleans_up_inside_its_span_and_is_no_error(spans):
    @agent("planner")
    def run():
        try:
            yield 1
            yield 2
        finally:
            call()

    for _ in run():
        break
    gc.collect()

    assert spans.all == [INSIDE, AGENT_SPAN]


def test_an_async_generator_left_early_cleans_up_inside_its_span_and_is_no_error(spans):
    @agent("planner")
    async def run():
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            call()

    async def read():
        generator = run()
        assert await anext(generator) == 1
        await generator.aclose()

    asyncio.run(read())

    assert spans.all == [INSIDE, AGENT_SPAN]


def test_a_generator_that_fails_is_an_error(spans):
    @agent("planner")
    def run():
        yield 1
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        list(run())

    assert spans.all == [
        AGENT_SPAN._replace(
            attributes={**AGENT_SPAN.attributes, "error.type": "ValueError"}, status="ERROR", description="no"
        )
    ]


# Tasks and threads


def test_concurrent_tasks_keep_to_their_own_sessions(spans):
    async def work(number):
        async with session(f"s{number}"), agent("planner"):
            await asyncio.sleep(0)
            call(f"chat {number}")

    async def main():
        await asyncio.gather(*(work(number) for number in range(10)))

    asyncio.run(main())

    calls = {span.name: span.attributes["session.id"] for span in spans.all if span.name.startswith("chat")}
    assert calls == {f"chat {number}": f"s{number}" for number in range(10)}


def test_threads_that_open_sessions_at_once_keep_to_their_own(spans):
    together = threading.Barrier(8)

    def work(number):
        for turn in range(5):
            together.wait(10)
            with session(f"s{number}"), agent("planner", turn=turn):
                call(f"chat {number}.{turn}")

    run_all(threading.Thread(target=work, args=(number,)) for number in range(8))

    calls = {
        span.name: (span.attributes["session.id"], span.attributes["llmtrace.turn.count"])
        for span in spans.all
        if span.name.startswith("chat")
    }
    assert calls == {f"chat {number}.{turn}": (f"s{number}", turn) for number in range(8) for turn in range(5)}


def test_threads_may_share_one_scope(spans):
    together = threading.Barrier(4)
    shared = session("shared")

    def work():
        with shared:
            together.wait(10)
            call()
            together.wait(10)
        call("outside")

    run_all(threading.Thread(target=work) for _ in range(4))

    assert sorted(spans.all, key=lambda span: span.name) == [
        *[Exported("chat", {"session.id": "shared"})] * 4,
        *[OUTSIDE] * 4,
    ]


def run_all(threads):
    started = list(threads)
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()


def test_leaving_in_another_task_ends_the_span_and_logs_nothing(spans, caplog):
    caplog.set_level(logging.DEBUG)
    scope = agent("planner")
    contextvars.copy_context().run(scope.__enter__)
    contextvars.copy_context().run(scope.__exit__, None, None, None)
    call("outside")

    assert spans.all == [AGENT_SPAN, OUTSIDE]
    assert caplog.messages == []


def test_what_was_left_attached_inside_does_not_outlive_the_session(spans):
    @contextmanager
    def careless():
        context.attach(baggage.set_baggage("theirs", "1"))
        yield

    with ExitStack() as stack:
        stack.enter_context(session("s"))
        stack.enter_context(careless())
    call("outside")

    assert spans.all == [OUTSIDE]


# Metrics


def test_durations_are_histograms_in_seconds_with_the_conventions_buckets(spans, reader):
    with workflow("support"), agent("planner"):
        with tool("calc"):
            pass
        with pytest.raises(ValueError, match="no"), tool("calc"):
            raise ValueError("no")

    (resource,) = reader.get_metrics_data().resource_metrics
    (scope,) = resource.scope_metrics
    planner, calc = {"gen_ai.agent.name": "planner"}, {"gen_ai.tool.name": "calc", "gen_ai.tool.type": "function"}
    seconds = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6)
    fractions = tuple(0.01 * 2**power for power in range(14))
    minutes = (1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)
    assert {
        (metric.name, metric.unit): [
            (dict(point.attributes), point.count, point.explicit_bounds) for point in metric.data.data_points
        ]
        for metric in scope.metrics
    } == {
        ("gen_ai.execute_tool.duration", "s"): [
            ({**calc, **planner}, 1, fractions),
            ({**calc, **planner, "error.type": "ValueError"}, 1, fractions),
        ],
        ("gen_ai.invoke_agent.duration", "s"): [(planner, 1, seconds)],
        ("gen_ai.invoke_workflow.duration", "s"): [({"gen_ai.workflow.name": "support"}, 1, minutes)],
    }


def test_the_duration_is_the_spans(spans, reader):
    with tool("calc"):
        pass

    (span,) = spans.get_finished_spans()
    (resource,) = reader.get_metrics_data().resource_metrics
    (point,) = resource.scope_metrics[0].metrics[0].data.data_points
    assert point.sum == (span.end_time - span.start_time) / 1e9
