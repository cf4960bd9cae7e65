"""The spans of agents, tools and workflows: identity, errors, content, durations."""

from __future__ import annotations

import asyncio

import pytest
from attributed import CALC, MAIN, Exported, call

from llmtrace_otel import agent, session, tool, workflow
from llmtrace_otel.telemetry import content


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
