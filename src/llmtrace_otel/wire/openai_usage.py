"""Token usage as OpenAI's formats and their many relatives state it: two spellings, one meaning.

Totals already include cached and reasoning tokens; only xAI's chat completions count reasoning apart, as their sum
shows. Relatives put the cached tokens elsewhere (`cached_tokens`, `prompt_cache_hit_tokens`) and some state what the
call cost: OpenRouter in USD, Perplexity as an object, xAI in ticks of 1e-10 USD (Grok on Azure states zero ticks of
every call, which is not what Azure charges).

With a key of the caller's own at the vendor behind it (BYOK), OpenRouter's `cost` is only its fee, and what that vendor
charges is stated beside it; otherwise `cost` is all, and what is beside it a part.
"""

from __future__ import annotations

from msgspec import Struct

from llmtrace_otel.wire.call import Call, Usage
from llmtrace_otel.wire.decode import Amount, Count


class InputDetails(Struct):
    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    audio_tokens: Count | None = None


class OutputDetails(Struct):
    reasoning_tokens: Count | None = None
    audio_tokens: Count | None = None


class StatedCost(Struct):
    total_cost: Amount | None = None


class CostDetails(Struct):
    upstream_inference_cost: Amount | None = None


class OpenAIUsage(Struct):
    """Both spellings: `prompt_tokens`/`completion_tokens` and `input_tokens`/`output_tokens`."""

    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    prompt_tokens_details: InputDetails | None = None
    prompt_token_details: InputDetails | None = None
    """Writer's spelling."""
    completion_tokens_details: OutputDetails | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None
    total_tokens: Count | None = None
    cached_tokens: Count | None = None
    prompt_cache_hit_tokens: Count | None = None
    reasoning_tokens: Count | None = None
    cost: Amount | StatedCost | None = None
    cost_in_usd_ticks: Count | None = None
    is_byok: bool | None = None
    cost_details: CostDetails | None = None


_NO_INPUT = InputDetails()
_NO_OUTPUT = OutputDetails()


def set_usage(stated: OpenAIUsage | None, call: Call) -> None:
    """Puts stated usage and cost on the call; nothing stated changes nothing."""
    if stated is None:
        return
    inputs = stated.prompt_tokens_details or stated.input_tokens_details or stated.prompt_token_details or _NO_INPUT
    outputs = stated.completion_tokens_details or stated.output_tokens_details or _NO_OUTPUT
    usage = Usage(
        input=stated.input_tokens if stated.prompt_tokens is None else stated.prompt_tokens,
        output=stated.output_tokens if stated.completion_tokens is None else stated.completion_tokens,
        cache_read=inputs.cached_tokens,
        cache_write=inputs.cache_write_tokens,
        reasoning=stated.reasoning_tokens if outputs.reasoning_tokens is None else outputs.reasoning_tokens,
        input_audio=inputs.audio_tokens,
        output_audio=outputs.audio_tokens,
    )
    if usage.cache_read is None:
        usage.cache_read = stated.prompt_cache_hit_tokens if stated.cached_tokens is None else stated.cached_tokens
    if usage.reasoning:
        usage.output = _whole_output(usage, stated.total_tokens)
    if usage.input is not None or usage.output is not None:
        call.usage = usage
    if stated.cost_in_usd_ticks or (stated.cost_in_usd_ticks is not None and call.provider == "x_ai"):
        call.stated_cost = stated.cost_in_usd_ticks / 1e10
    elif stated.cost is not None:
        call.stated_cost = _cost(stated)


def _whole_output(usage: Usage, total: int | None) -> int | None:
    """Output with the reasoning, also where the provider's own sum says that its output is without it."""
    if usage.input is None or usage.output is None or usage.reasoning is None:
        return usage.output
    whole = usage.output + usage.reasoning
    return whole if total == usage.input + whole else usage.output


def _cost(stated: OpenAIUsage) -> float | None:
    if isinstance(stated.cost, StatedCost):
        return stated.cost.total_cost
    return with_upstream(stated.cost, stated.cost_details) if stated.is_byok else stated.cost


def with_upstream(fee: float | None, details: CostDetails | None) -> float | None:
    """What a call costs with a key of one's own; `None` when only a part of that is stated."""
    upstream = details.upstream_inference_cost if details is not None else None
    return None if fee is None or upstream is None else fee + upstream
