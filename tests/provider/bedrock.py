"""Amazon Bedrock: Converse, and InvokeModel with the body of an Anthropic model; streams in AWS's binary frames.

The model is in the path. Converse leaves its name out of the answer and, like Anthropic, the cached tokens out of the
input. An invoked stream wraps each event of the model's own format into base64, and the last one tells what it counted.
"""

from __future__ import annotations

import base64
import json
import re
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from zlib import crc32

from . import anthropic_messages
from .format import Format, Stream
from .reply import Reply
from .script import ToolCall, call_of, pieces, text
from .sse import Event, compact
from .usage import anthropic_tokens, count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .ask import Ask

FAILURES = {
    400: ("ValidationException", "The provided request is not valid"),
    403: ("AccessDeniedException", "You don't have access to the model with the specified model ID."),
    404: ("ResourceNotFoundException", "The provided model identifier is not found."),
    424: ("ModelErrorException", "The system encountered an unexpected error during processing."),
    429: ("ThrottlingException", "Too many requests, please wait before trying again."),
    503: ("ServiceUnavailableException", "Bedrock is unable to process your request."),
}
FAILURE = ("InternalServerException", "The system encountered an unexpected error during processing. Try again.")
STREAM_FAILURE = "modelStreamErrorException"
LATENCY = 7  # milliseconds


def error(_: Ask, status: int) -> dict[str, Any]:
    return {"message": FAILURES.get(status, FAILURE)[1]}


def error_name(_: Ask, status: int) -> dict[str, str]:
    """The body does not name the error, a header does."""
    named = FAILURES.get(status, FAILURE)[0]
    return (
        {"x-amzn-errortype": f"{named}:http://internal.amazon.com/coral/com.amazon.bedrock/"} if status >= 400 else {}
    )


def stream_error(_: Ask) -> list[Event]:
    return [Event({"message": FAILURE[1], "originalStatusCode": 500}, STREAM_FAILURE)]


# Converse


def say(ask: Ask) -> str | ToolCall:
    specs = [tool["toolSpec"] for tool in ask.body.get("toolConfig", {}).get("tools", []) if "toolSpec" in tool]
    last = (ask.body.get("messages") or [{"content": []}])[-1]
    if specs and not any("toolResult" in block for block in last["content"]):
        return call_of(specs[0]["name"], specs[0]["inputSchema"]["json"])
    return text(ask)


def converse(ask: Ask) -> dict[str, Any]:
    said = say(ask)
    message = {"role": "assistant", "content": [block(ask, said)]}
    return {"output": {"message": message}, "stopReason": stop_reason(said), **measured(ask, said)}


def block(ask: Ask, said: str | ToolCall) -> dict[str, Any]:
    if isinstance(said, str):
        return {"text": said}
    return {"toolUse": {**named(ask, said), "input": json.loads(said.arguments)}}


def named(ask: Ask, said: ToolCall) -> dict[str, Any]:
    return {"toolUseId": ask.id("tooluse_"), "name": said.name}


def stop_reason(said: str | ToolCall) -> str:
    return "tool_use" if isinstance(said, ToolCall) else "end_turn"


def measured(ask: Ask, said: str | ToolCall) -> dict[str, Any]:
    counted = count(ask, said, anthropic_messages.FIXED, anthropic_tokens)
    usage = {
        "inputTokens": counted.input,
        "outputTokens": counted.output,
        "totalTokens": counted.input + counted.cache_read + counted.cache_write + counted.output,
        "cacheReadInputTokens": counted.cache_read,
        "cacheWriteInputTokens": counted.cache_write,
    }
    return {"usage": usage, "metrics": {"latencyMs": LATENCY}}


def converse_events(ask: Ask) -> Iterator[Event]:
    said = say(ask)
    at = {"contentBlockIndex": 0}
    yield Event({"role": "assistant"}, "messageStart")
    if isinstance(said, ToolCall):
        yield Event({**at, "start": {"toolUse": named(ask, said)}}, "contentBlockStart")
    for delta in deltas(ask, said):
        yield Event({**at, "delta": delta}, "contentBlockDelta")
    yield Event(at, "contentBlockStop")
    yield Event({"stopReason": stop_reason(said)}, "messageStop")
    yield Event(measured(ask, said), "metadata")


def deltas(ask: Ask, said: str | ToolCall) -> Iterator[dict[str, Any]]:
    if isinstance(said, str):
        yield from ({"text": piece} for piece in pieces(ask, said))
    else:
        yield from ({"toolUse": {"input": piece}} for piece in pieces(ask, said.arguments))


# InvokeModel


def anthropic(ask: Ask) -> Ask:
    """The same request as Anthropic's own format has it: with the model in the body."""
    found = re.search(r"/model/(?:.*anthropic\.)?(.+?)(?:-v\d+:\d+)?/invoke", unquote(ask.path))
    return replace(ask, body={**ask.body, "model": found[1] if found else "unknown"})


def invoke(ask: Ask) -> dict[str, Any]:
    return anthropic_messages.answer(anthropic(ask))


def invoked(ask: Ask, status: int) -> dict[str, str]:
    """Whatever the model's format, its tokens are in the head too."""
    if status >= 400:
        return error_name(ask, status)
    usage = invoke(ask)["usage"]
    told = {"input-token-count": usage["input_tokens"], "output-token-count": usage["output_tokens"]}
    counts = {} if "no-usage" in ask.modes else told
    return {f"x-amzn-bedrock-{name}": str(value) for name, value in {**counts, "invocation-latency": LATENCY}.items()}


def invoke_events(ask: Ask) -> Iterator[Event]:
    *told, last = anthropic_messages.events(anthropic(ask))
    usage = invoke(ask)["usage"]
    metrics = {
        "inputTokenCount": usage["input_tokens"],
        "outputTokenCount": usage["output_tokens"],
        "invocationLatency": LATENCY,
        "firstByteLatency": LATENCY,
        "cacheReadInputTokenCount": usage["cache_read_input_tokens"],
        "cacheWriteInputTokenCount": usage["cache_creation_input_tokens"],
    }
    yield from told
    yield last if "no-usage" in ask.modes else Event({**last.data, "amazon-bedrock-invocationMetrics": metrics})


# Frames


def in_frames(frame: Callable[[Event], bytes]) -> Callable[[Iterable[Event], Ask, dict[str, str]], Reply]:
    def reply(events: Iterable[Event], _: Ask, headers: dict[str, str]) -> Reply:
        told = {"content-type": "application/vnd.amazon.eventstream", **headers}
        return Reply(200, told, [frame(event) for event in events])

    return reply


def converse_frame(event: Event) -> bytes:
    kind = "exception" if event.name == STREAM_FAILURE else "event"
    payload = event.data if isinstance(event.data, str) else compact(event.data)
    return framed({f":{kind}-type": event.name, ":content-type": "application/json", ":message-type": kind}, payload)


def invoke_frame(event: Event) -> bytes:
    if event.name == STREAM_FAILURE:
        return converse_frame(event)
    data = event.data if isinstance(event.data, str) else compact(event.data)
    return converse_frame(Event({"bytes": base64.b64encode(data.encode()).decode(), "p": "abcdefg"}, "chunk"))


def framed(headers: dict[str, str], payload: str) -> bytes:
    """Lengths, their checksum, headers of the type "string" (7), the payload, a checksum of it all."""
    block = b"".join(
        struct.pack(f">B{len(n)}sBH", len(n), n.encode(), 7, len(v)) + v.encode() for n, v in headers.items()
    )
    body = payload.encode()
    lengths = struct.pack(">II", 16 + len(block) + len(body), len(block))
    message = lengths + struct.pack(">I", crc32(lengths)) + block + body
    return message + struct.pack(">I", crc32(message))


REQUEST_ID = "x-amzn-requestid"
CONVERSE = Format(converse, error, request_id=REQUEST_ID, headers=error_name)
CONVERSE_STREAM = Format(
    None, error, Stream(converse_events, stream_error, in_frames(converse_frame)), REQUEST_ID, error_name
)
INVOKE = Format(invoke, error, request_id=REQUEST_ID, headers=invoked)
INVOKE_STREAM = Format(
    None, error, Stream(invoke_events, stream_error, in_frames(invoke_frame)), REQUEST_ID, error_name
)
