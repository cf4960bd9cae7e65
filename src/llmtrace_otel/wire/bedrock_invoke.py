"""Amazon Bedrock's InvokeModel: `POST /model/{model}/invoke`, and `…/invoke-with-response-stream` in AWS's frames.

Bodies have the shape that the model's vendor gave them, and most are read by that vendor's own reader. The keys of a
body tell its shape more surely than the model's id, which may be the ARN of a profile or of a model of one's own. What
a body does not count AWS does, in headers or in a stream's last chunk; its input excludes cached tokens. A stream's
events hold the vendor's JSON in base64.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw, Struct, field

from llmtrace_otel.wire import (
    anthropic_messages,
    bedrock_converse,
    bedrock_native,
    cohere_v1,
    openai_chat,
)
from llmtrace_otel.wire.anthropic_messages import MessagesUsage
from llmtrace_otel.wire.call import Call
from llmtrace_otel.wire.decode import Body, Count, Reader, loads
from llmtrace_otel.wire.errors import set_error
from llmtrace_otel.wire.formats import Format, Request, StreamReader

_EMBED = "embeddings"
"""The operation whose answers are told by nothing but that."""


class Asked(NamedTuple):
    """A shape of requests."""

    operation: str
    read: Callable[[bytes, Call], Request | None]


_EMBEDDINGS = Asked(_EMBED, bedrock_native.read_embed_request)
_TEXT = Asked("text_completion", bedrock_native.read_text_request)
_NOVA = Asked("chat", bedrock_converse.read_request)
_ASKED = {
    "anthropic_version": Asked("chat", anthropic_messages.read_request),
    "max_tokens_to_sample": Asked("text_completion", anthropic_messages.read_request),
    "schemaVersion": _NOVA,
    "inferenceConfig": _NOVA,
    "toolConfig": _NOVA,
    "singleEmbeddingParams": _EMBEDDINGS,
    "texts": _EMBEDDINGS,
    "textGenerationConfig": _TEXT,
    "prompt": _TEXT,
    "message": Asked("chat", bedrock_native.read_text_request),
    "messages": Asked("chat", openai_chat.read_request),
    "inputText": _EMBEDDINGS,
}
"""By a key that tells the shape; the first one counts."""


def _asked(keys: Mapping[str, Any], model: str) -> Asked | None:
    if "embed" in model:
        return _EMBEDDINGS
    if "messages" in keys and "amazon.nova" in model:
        return _NOVA
    if "inputText" in keys and "amazon.titan-t" in model:  # whose configuration may be left out
        return _TEXT
    return next((asked for key, asked in _ASKED.items() if key in keys), None)


_CLAUDE_ASKED: Mapping[str, Any] = {"anthropic_version": None}
"""The key that tells most requests, which a plain search finds."""


class Invocation(NamedTuple):
    """A request whose model is named by the path."""

    model: str | None
    inner: Request | None

    def fits(self) -> bool:
        return self.model is not None and self.inner is not None

    def write(self, call: Call) -> None:
        if self.inner is not None:
            self.inner.write(call)


def read_request(body: bytes, call: Call) -> Invocation:
    model = call.request_model
    asked = _asked(_CLAUDE_ASKED if b'"anthropic_version":' in body else _keys(body), model or "")
    inner = None
    if asked is not None:
        call.operation = asked.operation
        inner = asked.read(body, call)
    call.request_model = model or call.request_model
    call.stream = None
    return Invocation(model, inner)


_read_keys = msgspec.json.Decoder(dict[str, Raw]).decode


def _keys(body: Body) -> Mapping[str, Any]:
    """A JSON object by its keys, its values unread."""
    try:
        return _read_keys(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        document = loads(body)
    return document if isinstance(document, dict) else {}


def _read_cohere(body: bytes, call: Call) -> None:
    cohere_v1.read_response(body, call)
    call.response_id = None  # Bedrock puts the id of its own request where Cohere has the answer's


class CohereStream(cohere_v1.V1Stream):
    """Reads the chunks of one streamed chat or generation of Cohere's."""

    def close(self) -> None:
        super().close()
        self._call.response_id = None


class Answer(NamedTuple):
    """A shape of answers."""

    read: Callable[[bytes, Call], None]
    stream: Callable[[Call], StreamReader]


_ANTHROPIC_ANSWER = Answer(anthropic_messages.read_response, anthropic_messages.MessageStream)
_NOVA_ANSWER = Answer(bedrock_converse.read_response, bedrock_converse.ConverseStream)
_COHERE_ANSWER = Answer(_read_cohere, CohereStream)
_TEXT_ANSWER = Answer(bedrock_native.read_text, bedrock_native.TextStream)
_ANSWERS = {
    "choices": Answer(bedrock_native.read_choices, bedrock_native.ChoicesStream),
    "output": _NOVA_ANSWER,
    "messageStart": _NOVA_ANSWER,
    "type": _ANTHROPIC_ANSWER,
    "completion": _ANTHROPIC_ANSWER,
    "generations": _COHERE_ANSWER,
    "generation_id": _COHERE_ANSWER,
    "event_type": _COHERE_ANSWER,
    "is_finished": _COHERE_ANSWER,
}
"""By a key that tells the shape; the first one counts."""


def _answer(keys: Mapping[str, Any]) -> Answer:
    return next((answer for key, answer in _ANSWERS.items() if key in keys), _TEXT_ANSWER)


def read_response(body: bytes, call: Call) -> None:
    if b'"type":"message"' in body:  # in no text, where the quotes are escaped
        answer = _ANTHROPIC_ANSWER
    else:
        answer = _TEXT_ANSWER if call.operation == _EMBED else _answer(_keys(body))
    answer.read(body, call)


class Counts(Struct, rename="camel"):
    """What AWS counts, in the order of `_HEADERS`."""

    input_token_count: Count | None = None
    cache_read_input_token_count: Count | None = None
    cache_write_input_token_count: Count | None = None
    output_token_count: Count | None = None


_HEADERS = ("input", "cache-read-input", "cache-write-input", "output")


def read_headers(headers: Mapping[str, str], call: Call) -> None:
    """What AWS counts, where the body counts nothing, and the tier that it served the call in."""
    stated, tier = call.usage, call.service_tier
    if stated is None or stated.input is None or stated.output is None:
        _set_usage(Counts(*(_count(headers, kind) for kind in _HEADERS)), call)
        if stated is not None and (counted := call.usage) is not None:
            counted.input = bedrock_converse.first(stated.input, counted.input)
            counted.output = bedrock_converse.first(stated.output, counted.output)
    call.service_tier = headers.get("x-amzn-bedrock-service-tier") or tier


def _count(headers: Mapping[str, str], kind: str) -> int | None:
    with suppress(ValueError):
        count = int(headers.get(f"x-amzn-bedrock-{kind}-token-count", ""))
        return count if 0 <= count < 2**63 else None
    return None


def _set_usage(counts: Counts, call: Call) -> None:
    usage = MessagesUsage(
        input_tokens=counts.input_token_count,
        cache_read_input_tokens=counts.cache_read_input_token_count,
        cache_creation_input_tokens=counts.cache_write_input_token_count,
        output_tokens=counts.output_token_count,
    )
    anthropic_messages.set_usage(usage, call)


class Chunk(Struct):
    data: bytes = field(name="bytes", default=b"")
    """The vendor's JSON, in base64 on the wire."""


class Event(Struct):
    chunk: Chunk | None = None
    error: Raw = Raw()


class LastChunk(Struct):
    metrics: Counts | None = field(name="amazon-bedrock-invocationMetrics", default=None)


_read_event = Reader(Event)
_read_last_chunk = Reader(LastChunk)


def _starting(start: bytes) -> bytes:
    """How a chunk looks on the wire that starts so; base64 keeps what is a multiple of three bytes long."""
    return b'"bytes":"' + b64encode(start[: len(start) // 3 * 3])


_MARKS = tuple(map(_starting, (b'{"type":"message_', b'{"type":"content_block_start"', b'{"type":"error"')))
"""What only those events of an Anthropic stream have that are needed with content off."""


class InvokeStream:
    """Unpacks the events of one streamed answer and hands them to the reader that their first one asks for.

    Base64 hides the marks of the vendors' events, so that every chunk is unpacked; but where an Anthropic stream's
    first chunk shows that they begin with their type, as Anthropic's own do, the others are told by that.
    """

    last = False
    marks = _MARKS

    def __init__(self, call: Call) -> None:
        self.every = True
        self._call = call
        self._reader: StreamReader | None = None
        self._metrics: Counts | None = None

    def event(self, data: bytes) -> None:
        event = _read_event(data)
        if event is None:
            return
        if bytes(event.error):
            set_error(loads(event.error), self._call)
        if event.chunk is not None and event.chunk.data:
            self._chunk(event.chunk.data)
            self.every = self.every and (self._call.capture or _MARKS[0] not in data)

    def close(self) -> None:
        call = self._call
        if self._reader is not None:
            self._reader.close()
        if (metrics := self._metrics) is not None:
            call.complete = True
            if call.usage is None:
                _set_usage(metrics, call)

    def _chunk(self, data: bytes) -> None:
        if b"amazon-bedrock-invocationMetrics" in data and (last := _read_last_chunk(data)) is not None:
            self._metrics = last.metrics
        if self._reader is None and (keys := _keys(data)):
            self._reader = _answer(keys).stream(self._call)
        reader = self._reader
        if reader is not None and (reader.every or any(mark in data for mark in reader.marks)):
            reader.event(data)


BEDROCK_INVOKE = Format(
    "bedrock.invoke", "chat", "aws.bedrock", read_request, read_response, InvokeStream, read_headers=read_headers
)
BEDROCK_INVOKE_STREAM = BEDROCK_INVOKE._replace(name="bedrock.invoke_stream", streams=True)
