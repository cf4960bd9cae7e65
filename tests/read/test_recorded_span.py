"""What a span says about itself."""

import pytest

from llmtrace_otel.read import Cost, Event, Span, Usage

CACHE_WRITE_SPELLINGS = ("gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens")


def recorded(attributes=None, **fields):
    return Span(trace_id="t", span_id="s", attributes=attributes or {}, **fields)


def chat(**attributes):
    return recorded({"gen_ai.operation.name": "chat"} | {key.replace("__", "."): attributes[key] for key in attributes})


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({"gen_ai.operation.name": "chat"}, "llm"),
        ({"gen_ai.operation.name": "generate_content"}, "llm"),
        ({"gen_ai.operation.name": "text_completion"}, "llm"),
        ({"gen_ai.operation.name": "embeddings"}, "embed"),
        ({"gen_ai.operation.name": "invoke_agent"}, "agent"),
        ({"gen_ai.operation.name": "invoke_workflow"}, "workflow"),
        ({"gen_ai.operation.name": "fetch_response"}, "fetch"),
        ({"gen_ai.operation.name": "execute_tool", "process.executable.name": "git"}, "tool"),
        ({"gen_ai.operation.name": "retrieval", "gen_ai.request.model": "m"}, "span"),
        ({"gen_ai.operation.name": "rerank", "gen_ai.request.model": "m"}, "llm"),
        ({"gen_ai.operation.name": "rerank"}, "span"),
        ({"process.executable.name": "git"}, "process"),
        ({"http.request.method": "GET"}, "http"),
        ({}, "span"),
    ],
)
def test_the_kind_follows_from_the_attributes(attributes, kind):
    assert recorded(attributes).kind_of == kind


def test_what_is_absent_is_none():
    span = chat()
    assert (span.model, span.provider, span.session, span.agent, span.error, span.duration, span.usage, span.cost) == (
        None, None, None, None, None, None, Usage(), Cost(),
    )  # fmt: skip


@pytest.mark.parametrize("cache_write", CACHE_WRITE_SPELLINGS)
def test_usage_is_read_in_either_spelling_of_cache_writes(cache_write):
    span = chat(
        gen_ai__usage__input_tokens=130,
        gen_ai__usage__output_tokens=5,
        gen_ai__usage__cache_read__input_tokens=100,
        gen_ai__usage__reasoning__output_tokens=0,
        **{cache_write: 20},
    )
    assert span.usage == Usage(input=130, output=5, cache_read=100, cache_write=20, reasoning=0)


@pytest.mark.parametrize("value", ["12", 1.5, float("inf"), float("nan"), -1, True, None, [1]])
def test_a_count_that_is_no_count_is_absent(value):
    assert chat(gen_ai__usage__input_tokens=value).usage == Usage()


def test_a_count_may_be_a_whole_double():
    assert chat(gen_ai__usage__input_tokens=12.0).usage == Usage(input=12)


def test_the_model_asked_for_comes_before_the_one_that_answered():
    asked, answered = {"gen_ai__request__model": "auto"}, {"gen_ai__response__model": "gpt-5"}
    assert (chat(**asked, **answered).model, chat(**answered).model) == ("auto", "gpt-5")


def test_a_conversation_stands_in_for_a_session():
    conversation = {"gen_ai__conversation__id": "c"}
    assert (chat(**conversation).session, chat(**conversation, session__id="s").session) == ("c", "s")


def test_cost_is_ours_or_the_one_that_other_tools_write():
    ours = chat(llmtrace__cost__usd=0.5, operation__cost=0.4, llmtrace__cost__status="actual")
    assert (ours.cost, chat(operation__cost=1).cost) == (Cost(0.5, "actual"), Cost(1.0))


@pytest.mark.parametrize("value", ["0.5", float("nan"), float("inf"), -0.1, True])
def test_a_cost_that_is_no_amount_is_absent(value):
    assert chat(llmtrace__cost__usd=value).cost == Cost()


@pytest.mark.parametrize(
    ("attributes", "spend", "unpriced"),
    [
        ({"llmtrace__cost__usd": 0.5}, 0.5, False),
        ({"llmtrace__cost__status": "included", "llmtrace__cost__usd": 0.5}, 0.0, False),
        ({"llmtrace__cache__hit": True, "llmtrace__cost__usd": 0.5}, 0.0, False),
        ({"llmtrace__cost__status": "unknown"}, None, True),
        ({}, None, True),
        ({"error__type": "429"}, None, False),
        ({"error__type": "429", "gen_ai__usage__input_tokens": 9}, None, True),
    ],
)
def test_spend_is_what_a_call_added_to_a_bill(attributes, spend, unpriced):
    assert (chat(**attributes).spend, chat(**attributes).unpriced) == (spend, unpriced)


def test_an_error_is_named_as_well_as_the_span_can():
    raised = [Event("exception", 0, {"exception.type": "ValueError"})]
    assert recorded({"error.type": "429"}, status="error", events=raised).error == "429"
    assert recorded(status="error", events=raised).error == "ValueError"
    assert recorded(status="error").error == "error"
    assert recorded(status="ok", events=raised).error is None


@pytest.mark.parametrize(("start", "end", "seconds"), [(10, 10**9 + 10, 1.0), (5, 5, 0.0), (5, 0, None), (5, 4, None)])
def test_a_duration_needs_both_times_in_order(start, end, seconds):
    assert recorded(start=start, end=end).duration == seconds
