"""A call of LiteLLM leaves one span, with what the provider stated and what LiteLLM alone knows."""

from __future__ import annotations

import asyncio
import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from litellm_helpers import ANTHROPIC_TOKENS, HAIKU, HI, MINI, TOKENS, attributes, litellm, some
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from llmtrace_otel.instrument.litellm import LiteLLMInstrumentor
from llmtrace_otel.instrument.threads import ThreadsInstrumentor
from llmtrace_otel.telemetry import content
from provider import Provider
from support.spans import Recorded

COST = ("llmtrace.cost.usd", "llmtrace.cost.status", "llmtrace.cost.source")


def test_a_completion_has_all_that_was_seen_of_it(traced: Recorded, openai: dict[str, Any], provider: Provider) -> None:
    litellm.completion(MINI, HI, max_completion_tokens=64, **openai)
    span = traced.span
    assert span.name == "chat gpt-5-mini"
    assert dict(span.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5-mini",
        "gen_ai.request.max_tokens": 64,
        "gen_ai.response.id": "chatcmpl-000000000000000000000001",
        "gen_ai.response.model": "gpt-5-mini-2025-08-07",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 0,
        **TOKENS,
        "openai.api.type": "chat_completions",
        "openai.response.service_tier": "default",
        "server.address": "127.0.0.1",
        "server.port": int(provider.url.rpartition(":")[2]),
        "http.response.status_code": 200,
        "llmtrace.layer": "litellm",
        "llmtrace.cost.usd": pytest.approx(1.25e-05),
        "operation.cost": pytest.approx(1.25e-05),
        "llmtrace.cost.status": "estimated",
        "llmtrace.cost.source": "litellm",
        "llmtrace.cost.breakdown.input": pytest.approx(2.5e-06),
        "llmtrace.cost.breakdown.output": pytest.approx(1e-05),
    }


def test_a_completion_whose_request_nobody_read_is_told_by_its_answer(unwatched: Recorded, openai: Any) -> None:
    litellm.completion(MINI, HI, **openai)
    assert attributes(unwatched) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5-mini",
        "gen_ai.response.id": "chatcmpl-000000000000000000000001",
        "gen_ai.response.model": "gpt-5-mini-2025-08-07",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 0,
        **TOKENS,
        "llmtrace.layer": "litellm",
        "llmtrace.cost.usd": pytest.approx(1.25e-05),
        "operation.cost": pytest.approx(1.25e-05),
        "llmtrace.cost.status": "estimated",
        "llmtrace.cost.source": "litellm",
        "llmtrace.cost.breakdown.input": pytest.approx(2.5e-06),
        "llmtrace.cost.breakdown.output": pytest.approx(1e-05),
    }


def test_anthropics_cached_tokens_are_part_of_the_input(either: Recorded, anthropic: Any) -> None:
    litellm.completion(HAIKU, HI, **anthropic)
    found = attributes(either)
    assert found.items() >= ANTHROPIC_TOKENS.items()
    assert found["gen_ai.provider.name"] == "anthropic"
    assert found["llmtrace.cost.breakdown.cache_read"] == pytest.approx(1e-05)
    assert found["llmtrace.cost.breakdown.cache_write"] == pytest.approx(2.5e-05)


def test_the_id_is_the_providers_where_it_was_seen(traced: Recorded, anthropic: Any) -> None:
    """LiteLLM gives Anthropic's answers, and those of OpenAI's Responses, ids of its own."""
    answer = litellm.completion(HAIKU, HI, **anthropic)
    assert answer.id.startswith("chatcmpl-")
    assert attributes(traced)["gen_ai.response.id"].startswith("msg_")


FUNCTIONS = {
    "text_completion": (litellm.text_completion, {"model": "openai/gpt-3.5-turbo-instruct", "prompt": "hi"}),
    "responses": (litellm.responses, {"model": MINI, "input": "hi"}),
    "embedding": (litellm.embedding, {"model": "openai/text-embedding-3-small", "input": ["hi"]}),
    "acompletion": (litellm.acompletion, {"model": MINI, "messages": HI}),
    "atext_completion": (litellm.atext_completion, {"model": "openai/gpt-3.5-turbo-instruct", "prompt": "hi"}),
    "aresponses": (litellm.aresponses, {"model": MINI, "input": "hi"}),
    "aembedding": (litellm.aembedding, {"model": "openai/text-embedding-3-small", "input": ["hi"]}),
}
OPERATIONS = {"text_completion": "text_completion", "embedding": "embeddings"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_leaves_one_span(either: Recorded, openai: Any, name: str) -> None:
    arguments = FUNCTIONS[name][1]
    call = getattr(litellm, name)
    answer = asyncio.run(call(**arguments, **openai)) if name.startswith("a") else call(**arguments, **openai)
    found = attributes(either)
    assert type(answer).__module__.startswith("litellm")
    assert found["gen_ai.operation.name"] == OPERATIONS.get(name.removeprefix("a"), "chat")
    assert found["gen_ai.usage.input_tokens"] == 10
    assert found["llmtrace.cost.source"] == "litellm"


def test_anthropics_own_interface_leaves_one_span(either: Recorded, anthropic: Any) -> None:
    answer = asyncio.run(litellm.anthropic.messages.acreate(max_tokens=64, messages=HI, model=HAIKU, **anthropic))
    assert answer["usage"]["input_tokens"] == 10
    assert attributes(either).items() >= {**ANTHROPIC_TOKENS, "gen_ai.request.max_tokens": 64}.items()


def test_responses_of_another_vendor_are_one_call_though_litellm_makes_a_completion_of_them(
    either: Recorded, anthropic: Any
) -> None:
    litellm.responses(input="hi", model=HAIKU, **anthropic)
    assert attributes(either).items() >= ANTHROPIC_TOKENS.items()


def test_an_image_that_cannot_be_had_is_an_error_of_its_own_call(either: Recorded, openai: Any) -> None:
    with pytest.raises(litellm.NotFoundError):
        litellm.image_generation(prompt="a cat", model="openai/gpt-image-1", **openai)
    assert some(attributes(either), "gen_ai.operation.name", "gen_ai.output.type", "error.type") == {
        "gen_ai.operation.name": "generate_content",
        "gen_ai.output.type": "image",
        "error.type": "litellm.exceptions.NotFoundError",
    }


def test_calls_at_once_are_each_a_child_of_their_caller(traced: Recorded, openai: Any) -> None:
    async def main() -> None:
        with traced.tracer_provider.get_tracer("app").start_as_current_span("agent"):
            await asyncio.gather(*(litellm.acompletion(MINI, HI, **openai) for _ in range(3)))

    asyncio.run(main())
    *calls, agent = traced.spans
    assert [(span.name, span.parent) for span in calls] == [("chat gpt-5-mini", agent.context)] * 3


def test_calls_in_threads_are_children_of_who_started_them(traced: Recorded, openai: Any) -> None:
    threads = ThreadsInstrumentor()
    threads.instrument()
    try:
        with (
            traced.tracer_provider.get_tracer("app").start_as_current_span("agent"),
            ThreadPoolExecutor(2) as pool,
        ):
            list(pool.map(lambda _: litellm.completion(MINI, HI, **openai), range(2)))
            litellm.batch_completion(MINI, [HI, HI], **openai)
    finally:
        threads.uninstrument()
    *calls, agent = traced.spans
    assert [(span.name, span.parent) for span in calls] == [("chat gpt-5-mini", agent.context)] * 4


def test_the_span_is_current_while_the_call_runs(traced: Recorded, openai: Any, provider: Provider) -> None:
    current = []
    litellm.input_callback.append(lambda _: current.append(trace.get_current_span().get_span_context().span_id))
    try:
        litellm.completion(MINI, HI, **openai)
    finally:
        litellm.input_callback.pop()
    assert current
    assert set(current) == {traced.span.context.span_id}
    assert not trace.get_current_span().get_span_context().is_valid


def test_a_function_imported_before_is_seen(recorded: Recorded, openai: Any) -> None:
    from litellm import acompletion, aembedding, aresponses, completion, embedding, responses

    instrumentor = LiteLLMInstrumentor()
    instrumentor.instrument(**recorded.providers)
    try:
        completion(MINI, HI, **openai)
        responses("hi", MINI, **openai)
        embedding("openai/text-embedding-3-small", ["hi"], **openai)
        asyncio.run(acompletion(MINI, HI, **openai))
        asyncio.run(aresponses("hi", MINI, **openai))
        asyncio.run(aembedding("openai/text-embedding-3-small", ["hi"], **openai))
    finally:
        instrumentor.uninstrument()
    assert [(span.attributes or {})["llmtrace.layer"] for span in recorded.spans] == ["litellm"] * 6


def test_uninstrumenting_restores_the_very_functions(recorded: Recorded) -> None:
    from litellm.litellm_core_utils.litellm_logging import Logging

    names = [*FUNCTIONS, "image_generation", "aimage_generation", "completion"]
    before = [vars(litellm)[name] for name in names], Logging.__init__, litellm.main.completion
    instrumentor = LiteLLMInstrumentor()
    instrumentor.instrument(**recorded.providers)
    assert vars(litellm)["completion"] is not before[0][-1]
    instrumentor.uninstrument()
    after = [vars(litellm)[name] for name in names], Logging.__init__, litellm.main.completion
    assert all(one is other for one, other in zip(before[0], after[0], strict=True))
    assert before[1:] == after[1:]


# What the program says of the call


def test_a_subagents_call_says_whose_it_is(either: Recorded, anthropic: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A conversation with a tool call, of a sub-agent's, at prices of the program's own."""
    monkeypatch.setenv(content.MODE_VARIABLE, "span_only")
    content.refresh()
    call = {"id": "call_1", "type": "function", "function": {"name": "read_file", "arguments": '{"path": "a.txt"}'}}
    litellm.completion(
        "anthropic/claude-opus-4-5",
        [
            {"role": "system", "content": "You read files."},
            {"role": "user", "content": "What is in a.txt?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "Hello World"},
            {"role": "user", "content": "Well?"},
        ],
        metadata={
            "session_key": "subagent:abc12345",
            "agent_type": "subagent",
            "parent_session": "cli:direct",
            "task_id": "abc12345",
            "turn_count": 3,
        },
        input_cost_per_token=1e-05,
        output_cost_per_token=5e-05,
        extra_headers={
            "x-input-tokens": "150",
            "x-output-tokens": "20",
            "x-cache-read-tokens": "0",
            "x-cache-write-tokens": "0",
        },
        **anthropic,
    )
    found = attributes(either)
    assert (
        found.items()
        >= {
            "gen_ai.conversation.id": "subagent:abc12345",
            "session.id": "subagent:abc12345",
            "llmtrace.agent.type": "subagent",
            "llmtrace.agent.parent_session": "cli:direct",
            "llmtrace.task.id": "abc12345",
            "llmtrace.turn.count": 3,
            "gen_ai.request.model": "claude-opus-4-5",
            "gen_ai.usage.input_tokens": 150,
            "gen_ai.usage.output_tokens": 20,
            "gen_ai.response.finish_reasons": ("stop",),
            "llmtrace.cost.usd": pytest.approx(0.0025),
        }.items()
    )
    assert "llmtrace.cache.hit" not in found
    roles = [message["role"] for message in json.loads(found["gen_ai.input.messages"])]
    assert roles in (
        ["system", "user", "assistant", "tool", "user"],
        ["user", "assistant", "user"],  # as Anthropic is sent them: a tool's result is a user's message
    )
    assert "Paris is sunny today" in found["gen_ai.output.messages"]


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_metadata_that_has_no_text_loses_its_key_alone(either: Recorded, openai: Any) -> None:
    metadata = {"session_key": Unprintable(), "agent_type": "main", "turn_count": "many", "task_id": {"a": 1}}
    litellm.completion(MINI, HI, metadata=metadata, **openai)
    told = some(
        attributes(either), "session.id", "gen_ai.conversation.id", "llmtrace.agent.type", "llmtrace.turn.count"
    )
    assert told == {
        "session.id": None,
        "gen_ai.conversation.id": None,
        "llmtrace.agent.type": "main",
        "llmtrace.turn.count": None,
    }


@pytest.mark.parametrize(
    "said", [{"metadata": {"session_id": "s"}}, {"litellm_session_id": "s"}, {"litellm_metadata": {"session_id": "s"}}]
)
def test_litellms_own_session_is_the_session(either: Recorded, openai: Any, said: dict[str, Any]) -> None:
    litellm.completion(MINI, HI, **said, **openai)
    assert some(attributes(either), "session.id", "gen_ai.conversation.id") == {
        "session.id": "s",
        "gen_ai.conversation.id": "s",
    }


def test_keys_of_a_proxys_users_are_never_told(either: Recorded, openai: Any) -> None:
    litellm.completion(MINI, HI, metadata={"user_api_key": "sk-secret", "user_api_key_team_id": "team"}, **openai)
    assert not any("secret" in str(value) or "team" in str(value) for value in attributes(either).values())


# What it costs


def test_an_unpriced_model_has_no_cost(either: Recorded, openai: Any) -> None:
    litellm.completion("openai/acme-foo", HI, **openai)
    assert some(attributes(either), *COST, "operation.cost") == {
        "llmtrace.cost.usd": None,
        "llmtrace.cost.status": "unknown",
        "llmtrace.cost.source": None,
        "operation.cost": None,
    }


def test_an_answer_from_litellms_cache_costs_nothing(either: Recorded, openai: Any) -> None:
    litellm.cache = litellm.Cache()
    try:
        for _ in range(2):
            litellm.completion(MINI, HI, caching=True, **openai)
    finally:
        litellm.cache = None
    first, second = (dict(span.attributes or {}) for span in either.spans)
    assert "llmtrace.cache.hit" not in first
    assert second.items() >= {**TOKENS, "llmtrace.cache.hit": True, "llmtrace.cost.usd": 0.0}.items()
    assert second["gen_ai.request.model"] == "gpt-5-mini"
    assert second["llmtrace.cost.saved_usd"] == pytest.approx(first["llmtrace.cost.usd"])
    used = either.metrics["gen_ai.client.inference.usage.input_tokens"].data.data_points
    assert [point.value for point in used] == [10]


def test_what_litellm_makes_up_for_a_test_is_no_number(either: Recorded, openai: Any) -> None:
    litellm.completion(MINI, HI, mock_response="made up", **openai)
    found = attributes(either)
    assert not [name for name in found if name.startswith(("gen_ai.usage", "llmtrace.cost", "llmtrace.usage"))]


# What goes wrong


def test_a_limit_is_an_error_and_its_attempts_are_counted(traced: Recorded, openai: Any) -> None:
    with pytest.raises(litellm.RateLimitError):
        litellm.completion(MINI, HI, extra_headers={"x-mode": "fail-429"}, max_retries=1, **openai)
    span = traced.span
    assert span.status.status_code is StatusCode.ERROR
    assert "Rate limit reached" in (span.status.description or "")
    assert (
        dict(span.attributes or {}).items()
        >= {
            "error.type": "litellm.exceptions.RateLimitError",
            "http.response.status_code": 429,
            "llmtrace.attempts": 2,
        }.items()
    )


def test_litellms_own_retries_are_one_call(traced: Recorded, openai: Any) -> None:
    headers = {"x-mode": "fail-429-times-2", "x-test-id": "litellm-retries"}
    litellm.completion(MINI, HI, extra_headers=headers, max_retries=0, num_retries=2, **openai)
    found = attributes(traced)
    assert found.items() >= {**TOKENS, "llmtrace.attempts": 3}.items()
    assert "error.type" not in found


def test_a_call_that_never_reaches_a_provider_is_an_error(either: Recorded, openai: Any) -> None:
    def refuse(_: Any) -> bool:
        raise ValueError("API error")

    litellm.pre_call_rules = [refuse]
    try:
        with pytest.raises(Exception, match="API error") as raised:
            litellm.completion(MINI, HI, metadata={"session_key": "test:456"}, **openai)
    finally:
        litellm.pre_call_rules = []
    kind = (
        raised.type.__qualname__
        if raised.type.__module__ == "builtins"
        else f"{raised.type.__module__}.{raised.type.__qualname__}"
    )
    assert some(attributes(either), "session.id", "error.type") == {"session.id": "test:456", "error.type": kind}
    assert "API error" in (either.span.status.description or "")


def test_a_reused_dictionary_of_metadata_and_a_later_error_are_two_calls(either: Recorded, openai: Any) -> None:
    """LiteLLM writes into the dictionary that it is given."""
    metadata = {"session_key": "cli:direct"}
    for _ in litellm.completion(MINI, HI, stream=True, metadata=metadata, **openai):
        pass
    with pytest.raises(litellm.RateLimitError):
        litellm.completion(MINI, HI, metadata=metadata, extra_headers={"x-mode": "fail-429"}, max_retries=0, **openai)
    told = [
        (span.status.status_code, *some(dict(span.attributes or {}), "session.id", "error.type").values())
        for span in either.spans
    ]
    assert told == [
        (StatusCode.UNSET, "cli:direct", None),
        (StatusCode.ERROR, "cli:direct", "litellm.exceptions.RateLimitError"),
    ]


def test_a_wrapped_function_can_be_pickled(traced: Recorded) -> None:
    for name in ("completion", "acompletion", "text_completion", "image_generation"):
        function = vars(litellm)[name]
        assert pickle.loads(pickle.dumps(function)) is function


def test_a_model_that_nobody_knows_is_asked_about_once(
    traced: Recorded, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """LiteLLM prints its list of providers whenever it is asked who serves such a model."""
    monkeypatch.setattr(litellm, "suppress_debug_info", False)
    with pytest.raises(litellm.BadRequestError):
        litellm.completion("nobody-knows", HI)
    printed = capsys.readouterr().out.count("Provider List")
    LiteLLMInstrumentor().uninstrument()
    with pytest.raises(litellm.BadRequestError):
        litellm.completion("nobody-knows", HI)
    assert capsys.readouterr().out.count("Provider List") == printed


def test_a_call_that_the_program_makes_from_a_hook_is_its_own(either: Recorded, openai: Any) -> None:
    """A guard that asks a cheap model about each prompt."""

    from litellm.integrations.custom_logger import CustomLogger

    class Guard(CustomLogger):
        def log_pre_api_call(self, model: str, messages: Any, kwargs: Any) -> None:
            if model == "gpt-5-mini":
                litellm.completion("openai/gpt-5-nano", HI, **openai)

    litellm.callbacks = [Guard()]
    try:
        litellm.completion(MINI, HI, **openai)
    finally:
        litellm.logging_callback_manager._reset_all_callbacks()
    told = [(span.name, some(dict(span.attributes or {}), *TOKENS)) for span in either.spans]
    assert told == [("chat gpt-5-nano", TOKENS), ("chat gpt-5-mini", TOKENS)]
    guard, call = either.spans
    assert guard.parent == call.context


def test_a_function_that_tries_again_is_one_call(either: Recorded, openai: Any) -> None:
    headers = {"x-mode": "fail-429-times-1", "x-test-id": f"again-{uuid4()}"}
    litellm.completion_with_retries(model=MINI, messages=HI, extra_headers=headers, max_retries=0, **openai)
    assert attributes(either).items() >= {**TOKENS, "llmtrace.attempts": 2}.items()


def test_a_fallback_within_a_call_says_the_model_that_was_asked_for(either: Recorded, openai: Any) -> None:
    headers = {"x-mode": "fail-500-times-1", "x-test-id": f"fallback-{uuid4()}"}
    litellm.completion(MINI, HI, extra_headers=headers, max_retries=0, fallbacks=["openai/gpt-5"], **openai)
    assert attributes(either).items() >= {**TOKENS, "gen_ai.response.model": "gpt-5"}.items()
