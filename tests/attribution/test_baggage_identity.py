"""Identity in baggage: it travels, keeps to the limits of propagation and lives beside what others put there."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
from attributed import MAIN, Exported, call
from opentelemetry import baggage, context, propagate

from llmtrace_otel import agent, session
from llmtrace_otel.attribution.identity import warn_left_out
from llmtrace_otel.attribution.stamping import stamp_spans


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
    warn_left_out.cache_clear()
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
