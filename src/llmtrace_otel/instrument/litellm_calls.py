"""What LiteLLM's functions are given and give back, read into a `Call`.

What the requests show is better known and comes first (`telemetry/within.py`). LiteLLM adds what it alone knows: what
the program told it of the session, what it computed that the call costs, and whether a cache of its own answered. Where
no request was seen (a cached answer, its Rust core, a transport that is not watched), its own objects are read, in the
wire format that they are made after.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from llmtrace_otel.telemetry.within import Frame, add_gaps
from llmtrace_otel.wire.anthropic_messages import ANTHROPIC_MESSAGES
from llmtrace_otel.wire.call import Call, Library
from llmtrace_otel.wire.formats import Format
from llmtrace_otel.wire.openai_chat import OPENAI_CHAT
from llmtrace_otel.wire.openai_completions import OPENAI_COMPLETIONS
from llmtrace_otel.wire.openai_embeddings import OPENAI_EMBEDDINGS
from llmtrace_otel.wire.openai_responses import OPENAI_RESPONSES

SOURCE = "litellm"


class Operation(NamedTuple):
    """A kind of call: which arguments may come without a name, and the wire format that its objects are made after."""

    name: str
    positional: tuple[str, ...]
    format: Format | None


CHAT = Operation("chat", ("model", "messages"), OPENAI_CHAT)
TEXT = Operation("text_completion", ("prompt", "model"), OPENAI_COMPLETIONS)
RESPONSES = Operation("chat", ("input", "model"), OPENAI_RESPONSES)
EMBEDDING = Operation("embeddings", ("model", "input"), OPENAI_EMBEDDINGS)
MESSAGES = Operation("chat", ("max_tokens", "messages", "model"), ANTHROPIC_MESSAGES)
IMAGE = Operation("generate_content", ("prompt", "model"), None)

_PROVIDERS = {
    "azure": "azure.ai.openai",
    "azure_text": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "vertex_ai": "gcp.vertex_ai",
    "vertex_ai_beta": "gcp.vertex_ai",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "codestral": "mistral_ai",
    "xai": "x_ai",
    "watsonx": "ibm.watsonx.ai",
    "watsonx_text": "ibm.watsonx.ai",
    "cohere_chat": "cohere",
    "together_ai": "together",
    "fireworks_ai": "fireworks",
    "moonshot": "moonshot_ai",
    "zai": "z_ai",
    "text-completion-openai": "openai",
    "text-completion-codestral": "mistral_ai",
    "anthropic_text": "anthropic",
    "ollama_chat": "ollama",
    "hosted_vllm": "vllm",
    "lm_studio": "lmstudio",
}
"""Where the conventions, or our table of providers, have another name than LiteLLM."""

_SETTINGS: dict[str, tuple[str, tuple[type, ...]]] = {
    "n": ("choice_count", (int,)),
    "seed": ("seed", (int,)),
    "top_k": ("top_k", (int,)),
    "top_p": ("top_p", (int, float)),
    "temperature": ("temperature", (int, float)),
    "max_tokens": ("max_tokens", (int,)),
    "max_completion_tokens": ("max_tokens", (int,)),
    "max_output_tokens": ("max_tokens", (int,)),
    "frequency_penalty": ("frequency_penalty", (int, float)),
    "presence_penalty": ("presence_penalty", (int, float)),
    "reasoning_effort": ("reasoning_level", (str,)),
    "previous_response_id": ("previous_response_id", (str,)),
    "dimensions": ("dimensions", (int,)),
}
"""Arguments that are settings of the request: the call's field, and what it may be."""

_COSTS = {
    "input_cost": "input",
    "output_cost": "output",
    "cache_read_cost": "cache_read",
    "cache_creation_cost": "cache_write",
    "reasoning_cost": "reasoning",
    "tool_usage_cost": "tool_usage",
    "discount_amount": "discount",
    "margin_total_amount": "margin",
}
"""What LiteLLM splits a cost into, and our names for it."""


def begin(operation: Operation, given: Mapping[str, Any], *, capture: bool) -> Call:
    """The call that LiteLLM is about to make. `given` are its arguments by name."""
    named = _text(given["custom_llm_provider"]) if "custom_llm_provider" in given else None
    model, provider = _served_by(_text(given.get("model")), named)
    call = Call(operation.name, _named(provider), request_model=model, capture=capture, layer="litellm")
    call.stream = True if given.get("stream") is True else None
    call.api_type = None
    if operation is IMAGE:
        call.output_type = "image"
    for argument, (field, types) in _SETTINGS.items():
        if argument in given:
            value = given[argument]
            if value is not None and isinstance(value, types) and not isinstance(value, bool):
                setattr(call, field, value)
    call.library = _told(given, call)
    return call


def _served_by(model: str | None, provider: str | None) -> tuple[str | None, str | None]:
    """The model's name at its provider, and LiteLLM's name of that, as far as the arguments tell.

    LiteLLM's own function prints to the terminal what it does not know; at the end its record of the call says more.
    """
    if model is None or provider is not None:
        return (model.removeprefix(f"{provider}/") if model else None), provider
    litellm = sys.modules["litellm"]  # whose attributes may come when they are asked for
    prefix, slash, rest = model.partition("/")
    if slash and prefix in getattr(litellm, "provider_list", ()):
        return rest, prefix
    return model, getattr(litellm, "model_cost", {}).get(model, {}).get("litellm_provider")


def is_custom(provider: str | None) -> bool:
    """Whether a provider, by LiteLLM's name, is one of the program's own."""
    return provider in getattr(sys.modules["litellm"], "_custom_providers", ())


@lru_cache(maxsize=256)
def _named(provider: str | None) -> str:
    """A provider of LiteLLM's by the name that the conventions have for it."""
    return _PROVIDERS.get(provider or SOURCE, provider or SOURCE)


def _told(given: Mapping[str, Any], call: Call) -> Library:
    """Whose call it is, as the program says in `metadata`. Only these keys are read: the rest may hold anything."""
    metadata: dict[str, Any] = {}
    for argument in ("litellm_metadata", "metadata"):
        if argument in given and isinstance(more := given[argument], Mapping):
            metadata |= more
    if not metadata and given.get("litellm_session_id") is None:
        return Library(cost_source=SOURCE)
    key = _id(metadata.get("session_key"))
    session = _id(metadata.get("session_id")) or _id(given.get("litellm_session_id"))
    session = session or _id(metadata.get("litellm_session_id"))
    call.conversation_id = key or session
    group = _text(metadata.get("model_group"))
    return Library(
        session_id=session or key,
        agent_type=_id(metadata.get("agent_type")),
        parent_session=_id(metadata.get("parent_session")),
        task_id=_id(metadata.get("task_id")),
        turn_count=_count(metadata.get("turn_count")),
        original_model=group if group != call.request_model else None,
        cost_source=SOURCE,
    )


def finish(operation: Operation, call: Call, given: Mapping[str, Any], outcome: Outcome, frame: Frame) -> None:
    """Completes an ended call with what its requests showed, then with what LiteLLM knows. May raise."""
    call.provider = _named(outcome.provider) if outcome.provider else call.provider
    asked = _served_by(call.request_model, outcome.provider)[0]
    served = asked if outcome.model == call.request_model else _served_by(outcome.model, outcome.provider)[0]
    call.request_model = served or asked
    frame.merge()
    library = call.library or Library()
    if call.request_model != asked and library.original_model is None:
        library.original_model = asked
    library.cache_hit = outcome.cache_hit or None
    if call.capture and call.input_messages is None and call.sent is None:
        _read_request(operation, call, given)
    if outcome.error is not None:
        return
    if not outcome.abandoned and (not frame.answers or _lacks_content(call)):
        _read(operation, call, outcome)
    call.finish_reasons = outcome.finish_reasons or call.finish_reasons
    if outcome.passed_on or given.get("mock_response") is not None:  # counted elsewhere, or made up by LiteLLM
        call.usage, call.complete = None, False
        return
    if call.usage is None and not frame.has_requests:
        call.complete = False  # nobody looked: what the answer stated is not known to be missing
    _add_cost(call, library, outcome, frame)
    _tell_estimates(call, library, outcome, frame)


def _lacks_content(call: Call) -> bool:
    return call.capture and call.output_messages is None and call.operation in ("chat", "text_completion")


def _add_cost(call: Call, library: Library, outcome: Outcome, frame: Frame) -> None:
    if library.cache_hit:
        library.saved_cost = outcome.saved()
    elif frame.answers <= 1 and not (frame.answers and outcome.estimated):
        library.cost = outcome.cost
        library.cost_breakdown = outcome.breakdown


def _tell_estimates(call: Call, library: Library, outcome: Outcome, frame: Frame) -> None:
    """LiteLLM counts for itself where it is told nothing, and says so nowhere."""
    told_nothing = frame.complete_without_usage or (not frame.answers and outcome.estimated)
    if call.usage is not None and told_nothing:
        library.usage_estimated = True


def _read(operation: Operation, call: Call, outcome: Outcome) -> None:
    """Reads LiteLLM's own objects, which fills what the requests left open."""
    if operation.format is None:
        return
    body = outcome.body(operation, capture=call.capture)
    seen = Call(call.operation, call.provider, capture=call.capture)
    if body is not None:
        operation.format.read_response(body, seen)
    seen.stated_cost = None  # LiteLLM writes its own where OpenRouter states one
    if seen.usage is not None and not (seen.usage.input or seen.usage.output):
        seen.usage = None  # what LiteLLM has before it knows
    add_gaps(call, seen)
    for field in ("usage", "response_id", "response_model"):
        if getattr(call, field) is None:
            setattr(call, field, getattr(seen, field))


def _read_request(operation: Operation, call: Call, given: Mapping[str, Any]) -> None:
    """Builds the messages of a request that was not seen on its way."""
    if operation.format is None:
        return
    named = ("model", "messages", "prompt", "input", "instructions", "system", "tools", "functions")
    body = encoded({name: value for name in named if (value := given.get(name)) is not None})
    seen = Call(call.operation, call.provider, capture=True)
    request = operation.format.read_request(body, seen) if body is not None else None
    if request is not None:
        request.write(seen)
        add_gaps(call, seen)


class Outcome:
    """What LiteLLM gave back: an answer, or the stream of it and its last chunk, or an exception.

    `record` is LiteLLM's own of the call, `abandoned` says that nobody waited for the end.
    """

    def __init__(
        self,
        answer: Any = None,
        *,
        stream: Any = None,
        last: Any = None,
        error: BaseException | None = None,
        abandoned: bool = False,
        record: Any = None,
    ) -> None:
        self._answer = answer
        self._last = last
        self._stream: Any = None
        self._completed: Any = None
        self._chunks: list[Any] = []
        if stream is not None:
            self._take_stream(stream)
        self.error = error
        self.abandoned = abandoned
        self.passed_on = False
        """Whether the answer is that of another call, which has its tokens and its cost."""
        self._details: Mapping[str, Any] = getattr(record, "model_call_details", None) or {}
        self._costs: Mapping[str, Any] = getattr(record, "cost_breakdown", None) or {}
        self._hidden: Mapping[str, Any] = getattr(last if answer is None else answer, "_hidden_params", None) or {}
        self.provider = _text(self._details.get("custom_llm_provider"))
        """Whom LiteLLM asked, by its name for them."""
        self.model = _text(self._details.get("model"))
        """What it asked for."""

    def _take_stream(self, stream: Any) -> None:
        self._stream = stream if hasattr(stream, "chunks") else getattr(stream, "completion_stream", stream)
        self._completed = getattr(getattr(stream, "completed_response", None), "response", None)
        chunks = getattr(self._stream, "chunks", None)
        self._chunks = list(chunks) if isinstance(chunks, list) else []

    @property
    def id(self) -> str | None:
        """The answer's, which LiteLLM makes up where the provider has none."""
        return _text(getattr(self._last if self._answer is None else self._answer, "id", None))

    @property
    def cache_hit(self) -> bool:
        return (
            self._hidden.get("cache_hit") is True
            or self._details.get("cache_hit") is True
            or getattr(self._stream, "custom_llm_provider", None) == "cached_response"
        )

    @property
    def cost(self) -> float | None:
        """USD; LiteLLM's zero may mean that it has no price."""
        return (
            amount(self._hidden.get("response_cost"))
            or amount(self._details.get("response_cost"))
            or amount(getattr(self._last_usage, "cost", None))
        )

    @property
    def breakdown(self) -> dict[str, float] | None:
        return {
            _COSTS[name]: float(usd)
            for name, usd in self._costs.items()
            if usd and name in _COSTS and (type(usd) is float or isinstance(usd, int | float))
        } or None

    @property
    def finish_reasons(self) -> list[str] | None:
        choices = getattr(self._answer, "choices", None) or ()
        reasons = [getattr(choice, "finish_reason", None) for choice in choices]
        if self._stream is not None:
            reasons.append(getattr(self._stream, "received_finish_reason", None))
        return [reason for reason in reasons if isinstance(reason, str) and reason] or None

    @property
    def estimated(self) -> bool:
        """Whether LiteLLM has counted a stream's tokens itself: no chunk stated any."""
        return bool(self._chunks) and self._stated is None

    @property
    def _stated(self) -> Any:
        """The usage of the last chunk that states any, which is looked for from the end."""
        pieces = filter(None, (self._last, *reversed(self._chunks)))
        return next((usage for piece in pieces if (usage := getattr(piece, "usage", None))), None)

    @property
    def _last_usage(self) -> Any:
        return self._hidden.get("usage") or self._stated

    def saved(self) -> float | None:
        """USD that a cached answer would have cost."""
        with suppress(Exception):
            answer = self._answer or self._completed or self._built()
            cost: float = sys.modules["litellm"].completion_cost(completion_response=answer)
            return cost if cost > 0 else None
        return None

    def body(self, operation: Operation, *, capture: bool) -> bytes | None:
        """The answer as its wire format has it; without the vectors of an embedding."""
        if operation is EMBEDDING:
            return encoded({name: getattr(self._answer, name, None) for name in ("model", "usage")})
        if self._answer is not None or self._completed is not None:
            return encoded(self._completed if self._answer is None else self._answer)
        told = {name: getattr(self._last, name, None) for name in ("id", "model")}
        choices = getattr(self._built(), "choices", None) if capture and self._chunks else []
        return encoded({**told, "choices": choices, "usage": self._last_usage})

    def _built(self) -> Any:
        """The answer that the chunks of a stream make up."""
        return sys.modules["litellm"].stream_chunk_builder(self._chunks)


def encoded(value: Any) -> bytes | None:
    """`value` as JSON, whatever classes LiteLLM has made it of."""
    if value is None:
        return None
    with suppress(Exception):
        return msgspec.json.encode(value, enc_hook=_plain)
    with suppress(Exception):
        return json.dumps(value, default=_plain, skipkeys=True).encode()
    return None


def _plain(value: Any) -> Any:
    dump: Callable[..., Any] | None = getattr(value, "model_dump", None)
    if dump is not None:
        return dump(warnings=False)
    return dict(vars(value)) if hasattr(value, "__dict__") else str(value)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _id(value: Any) -> str | None:
    """An id as text; what has none is left out."""
    if value is None or isinstance(value, Mapping | list | tuple | set | bytes):
        return None
    try:
        return str(value).encode("utf-8", "replace").decode() or None
    except Exception:
        return None


def amount(value: Any) -> float | None:
    """USD, if it is some."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else None


def _count(value: Any) -> int | None:
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else None
