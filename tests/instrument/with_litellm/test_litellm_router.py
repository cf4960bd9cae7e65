"""A router's attempts at one model are one call; a fallback to another model is another."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from litellm_helpers import HI, TOKENS, attributes, litellm

from llmtrace_otel.instrument.litellm import LiteLLMInstrumentor
from support.spans import Recorded


def router(openai: dict[str, Any], headers: dict[str, str], **options: Any) -> Any:
    """A group that answers as `headers` ask, and one that always answers."""
    failing = {"model": "openai/gpt-5-mini", "max_retries": 0, "extra_headers": headers, **openai}
    models = [
        {"model_name": "cheap", "litellm_params": failing},
        {"model_name": "good", "litellm_params": {"model": "openai/gpt-5", **openai}},
    ]
    return litellm.Router(model_list=models, retry_after=0, disable_cooldowns=True, **options)


def test_a_routed_call_says_the_model_it_was_sent_to_and_the_one_asked_for(either: Recorded, openai: Any) -> None:
    router(openai, {}).completion(model="good", messages=HI)
    assert (
        attributes(either).items()
        >= {
            **TOKENS,
            "gen_ai.request.model": "gpt-5",
            "llmtrace.request.original_model": "good",
        }.items()
    )


def test_attempts_at_one_model_are_one_call(either: Recorded, openai: Any) -> None:
    headers = {"x-mode": "fail-500-times-2", "x-test-id": f"router-{uuid4()}"}
    asyncio.run(router(openai, headers, num_retries=2).acompletion(model="cheap", messages=HI))
    found = attributes(either)
    assert found.items() >= {**TOKENS, "llmtrace.attempts": 3}.items()
    assert "error.type" not in found


def test_a_fallback_is_a_call_of_its_own(either: Recorded, openai: Any) -> None:
    routed = router(openai, {"x-mode": "fail-500"}, num_retries=1, fallbacks=[{"cheap": ["good"]}])
    asyncio.run(routed.acompletion(model="cheap", messages=HI))
    told = {
        (span.attributes or {})["gen_ai.request.model"]: (
            (span.attributes or {}).get("error.type"),
            (span.attributes or {}).get("llmtrace.attempts"),
            (span.attributes or {}).get("gen_ai.usage.input_tokens"),
        )
        for span in either.spans
    }
    assert told == {
        "gpt-5-mini": ("litellm.exceptions.InternalServerError", 2, None),
        "gpt-5": (None, None, 10),
    }


def test_a_routed_call_that_fails_for_good_is_one_error(either: Recorded, openai: Any) -> None:
    with pytest.raises(litellm.InternalServerError):
        router(openai, {"x-mode": "fail-500"}, num_retries=1).completion(model="cheap", messages=HI)
    assert attributes(either)["llmtrace.attempts"] == 2


def test_a_routed_stream(either: Recorded, openai: Any) -> None:
    async def main() -> None:
        asked = {"stream": True, "stream_options": {"include_usage": True}}
        async for _ in await router(openai, {}).acompletion(model="good", messages=HI, **asked):
            pass

    asyncio.run(main())
    assert attributes(either).items() >= TOKENS.items()


def test_a_routed_call_is_a_child_of_its_caller(traced: Recorded, openai: Any) -> None:
    with traced.tracer_provider.get_tracer("app").start_as_current_span("agent"):
        router(openai, {}).completion(model="good", messages=HI)
    call, agent = traced.spans
    assert call.parent == agent.context


def test_a_routed_call_made_from_a_hook_of_an_earlier_one_is_one_call_too(either: Recorded, openai: Any) -> None:
    from litellm.integrations.custom_logger import CustomLogger

    headers = {"x-mode": "fail-500-times-2", "x-test-id": f"hook-{uuid4()}"}
    asked = [{"role": "user", "content": f"hook-{uuid4()}"}]

    class Reviewer(CustomLogger):
        """Has an answer reviewed by another model."""

        def __init__(self) -> None:
            super().__init__()
            self.done = asyncio.Event()

        async def async_log_success_event(self, kwargs: Any, *_: Any, **__: Any) -> None:
            if kwargs["messages"] == asked:  # LiteLLM may still have to tell of earlier tests' calls
                await router(openai, headers, num_retries=2).acompletion(model="cheap", messages=HI)
                self.done.set()

    async def main() -> None:
        litellm.callbacks = [reviewer := Reviewer()]
        await router(openai, {}).acompletion(model="good", messages=asked)
        await asyncio.wait_for(reviewer.done.wait(), 20)

    try:
        asyncio.run(main())
    finally:
        litellm.logging_callback_manager._reset_all_callbacks()
    told = [(span.name, (span.attributes or {}).get("llmtrace.attempts")) for span in either.spans]
    assert told == [("chat gpt-5", None), ("chat gpt-5-mini", 3)]


def closed_from_without(openai: dict[str, Any]) -> str | None:
    """What comes of closing a call that is pending, as when a loop is shut down."""
    loop = asyncio.new_event_loop()
    call = router(openai, {"x-delay": "0.3"}).acompletion(model="cheap", messages=HI)
    task = loop.create_task(call)
    loop.run_until_complete(asyncio.wait([task], timeout=0.1))
    try:
        call.close()
    except RuntimeError as error:  # some releases want to tell their callbacks, and have no loop to do it in
        return str(error)
    finally:
        task.cancel()
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        loop.close()
    return None


def test_a_routed_call_that_is_closed_from_without_its_task_ends_as_it_does_untraced(
    recorded: Recorded, openai: Any
) -> None:
    without = closed_from_without(openai)
    instrumentor = LiteLLMInstrumentor()
    instrumentor.instrument(**recorded.providers)
    try:
        assert closed_from_without(openai) == without
    finally:
        instrumentor.uninstrument()
