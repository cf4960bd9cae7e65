"""`session()`: what it says of the calls inside."""

from __future__ import annotations

import asyncio

import pytest
from attributed import Exported, call, llm

from llmtrace_otel import agent, session, tool, workflow


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
