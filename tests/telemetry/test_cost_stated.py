"""What providers state that a call cost is taken to the last digit, wherever their formats put it."""

from __future__ import annotations

from typing import Any

import pytest

from llmtrace_otel.telemetry.cost import Cost, cost_of
from wire.talk import CHAT, COMPLETIONS, EMBEDDINGS, MESSAGES, RESPONSES, Endpoint, played, sse

OPENAI = {"prompt_tokens": 12, "completion_tokens": 3}
ANTHROPIC = {"input_tokens": 12, "output_tokens": 3}

STATED = [
    ({"cost": 0.00042}, 0.00042),
    ({"cost": 0}, 0.0),
    ({"cost": 0.00042, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.00042}}, 0.00042),
    ({"cost": 0.00042, "cost_details": {"upstream_inference_cost": None}}, 0.00042),
    ({"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.00417}}, 0.00417),
    ({"cost": 0.25, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.5}}, 0.75),
]
ELSEWHERE = [
    ({"cost": {"input_tokens_cost": 0.1, "output_tokens_cost": 0.1, "total_cost": 0.25}}, 0.25),
    ({"cost_in_usd_ticks": 37_756_000}, 0.0037756),
    ({"cost_in_usd_ticks": 1}, 1e-10),
]


def whole(endpoint: Endpoint, usage: dict[str, Any]) -> Any:
    """A JSON answer of an endpoint, with this usage."""
    if endpoint is RESPONSES:
        return {"id": "resp_1", "status": "completed", "usage": usage}
    return {"id": "1", "usage": usage}


def pieces(endpoint: Endpoint, usage: dict[str, Any]) -> bytes:
    """The same as a stream."""
    if endpoint is RESPONSES:
        return sse({"type": "response.completed", "response": whole(endpoint, usage)})
    if endpoint is MESSAGES:
        return sse(
            {"type": "message_start", "message": {"id": "msg_1", "usage": {"input_tokens": 12, "output_tokens": 1}}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage},
            {"type": "message_stop"},
        )
    return sse({"id": "1", "choices": [], "usage": usage}, "[DONE]")


def actual(usd: float) -> Cost:
    return Cost(usd, "actual", "provider_response")


@pytest.mark.parametrize("endpoint", [CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES], ids=lambda found: found.path)
@pytest.mark.parametrize(("stated", "usd"), [*STATED, *ELSEWHERE], ids=str)
def test_a_stated_cost_is_taken_as_it_is(endpoint: Endpoint, stated: dict[str, Any], usd: float) -> None:
    assert cost_of(played(endpoint, whole(endpoint, OPENAI | stated))) == actual(usd)


@pytest.mark.parametrize("endpoint", [CHAT, COMPLETIONS, RESPONSES], ids=lambda found: found.path)
@pytest.mark.parametrize(("stated", "usd"), [*STATED, *ELSEWHERE], ids=str)
def test_so_it_is_in_a_stream(endpoint: Endpoint, stated: dict[str, Any], usd: float) -> None:
    assert cost_of(played(endpoint, pieces(endpoint, OPENAI | stated))) == actual(usd)


@pytest.mark.parametrize("answer", [whole, pieces])
@pytest.mark.parametrize(("stated", "usd"), STATED, ids=str)
def test_so_it_is_in_anthropics_format(answer: Any, stated: dict[str, Any], usd: float) -> None:
    assert cost_of(played(MESSAGES, answer(MESSAGES, ANTHROPIC | stated))) == actual(usd)


@pytest.mark.parametrize("details", [{}, {"cost_details": None}, {"cost_details": {"upstream_inference_cost": None}}])
@pytest.mark.parametrize(("endpoint", "usage"), [(CHAT, OPENAI), (MESSAGES, ANTHROPIC)], ids=["chat", "messages"])
def test_a_fee_alone_is_not_what_a_call_with_a_key_of_ones_own_cost(
    endpoint: Endpoint, usage: dict[str, Any], details: dict[str, Any]
) -> None:
    by_tokens = cost_of(played(endpoint, whole(endpoint, usage)))
    assert cost_of(played(endpoint, whole(endpoint, usage | {"cost": 0.01, "is_byok": True} | details))) == by_tokens


def test_zero_ticks_are_a_cost_at_xai_and_none_where_somebody_else_charges() -> None:
    grok = {"model": "grok-4", "messages": [{"role": "user", "content": "Capital of Peru?"}]}
    usage = OPENAI | {"cost_in_usd_ticks": 0}
    xai = Endpoint("api.x.ai", "/v1/chat/completions", grok)
    azure = Endpoint("me.services.ai.azure.com", "/models/chat/completions", grok)
    assert cost_of(played(xai, whole(xai, usage))) == actual(0.0)
    assert cost_of(played(azure, whole(azure, usage))) == cost_of(played(azure, whole(azure, OPENAI)))


def test_a_running_total_is_replaced_by_the_next() -> None:
    chunks = ({"choices": [], "usage": OPENAI | {"cost": {"total_cost": usd}}} for usd in (0.1, 0.2, 0.25))
    assert cost_of(played(CHAT, sse(*chunks, "[DONE]"))) == actual(0.25)


@pytest.mark.parametrize("answer", [whole, pieces])
def test_anthropics_fast_mode_is_the_tier_that_served_the_call(answer: Any) -> None:
    usage = ANTHROPIC | {"service_tier": "standard"}
    assert played(MESSAGES, answer(MESSAGES, usage | {"speed": "standard"})).service_tier == "standard"
    assert played(MESSAGES, answer(MESSAGES, usage | {"speed": "fast"})).service_tier == "fast"
