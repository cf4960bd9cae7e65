"""Conversations for the tests of delta content: calls made without a network, their spans written and read back."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.trace.sampling import Sampler

from llmtrace_otel.output.encoding import encode
from llmtrace_otel.read import Conversations, Span, Turn
from llmtrace_otel.read.otlp import parse
from llmtrace_otel.telemetry.spans import Recorder
from llmtrace_otel.wire.call import Call
from support.spans import Recorded

CONTENT = ("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.tool.definitions")


def said(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def user(text: str) -> dict[str, Any]:
    return said("user", text)


def assistant(text: str) -> dict[str, Any]:
    return said("assistant", text)


class Program:
    """A program that talks to a model, and what its spans tell of that."""

    def __init__(self, sampler: Sampler | None = None) -> None:
        self.recorded = Recorded()
        if sampler is not None:
            self.recorded.tracer_provider.sampler = sampler
        self.recorder = Recorder(**self.recorded.providers)

    def call(
        self, given: list[Any], answer: str | None = "Yes.", attributes: dict[str, Any] | None = None, **fields: Any
    ) -> None:
        """One call and its answer; `attributes` are on its span already when it ends."""
        call = Call("chat", "openai", request_model="m", capture=True, input_messages=given, **fields)
        span = self.recorder.start(call)
        span.span.set_attributes(attributes or {})
        if answer is not None and call.output_messages is None:
            call.output_messages = [{**assistant(answer), "finish_reason": "stop"}]
        span.end()

    @property
    def spans(self) -> list[Span]:
        """The spans as a file has them."""
        return [span for recorded in self.recorded.spans for span in parse(encode(recorded))]

    @property
    def content(self) -> list[dict[str, Any]]:
        """What the spans tell of their content, by the last word of the attributes' names."""
        return [
            {
                name.rpartition(".")[2] if name.startswith("llmtrace") else name.removeprefix("gen_ai."): value
                for name, value in span.attributes.items()
                if name in CONTENT or name.startswith("llmtrace.content.")
            }
            for span in self.spans
        ]

    @property
    def turns(self) -> list[Turn]:
        """The spans' turns, put together."""
        conversations = Conversations(self.spans)
        return [turn for span in self.spans if (turn := conversations.turn(span)) is not None]
