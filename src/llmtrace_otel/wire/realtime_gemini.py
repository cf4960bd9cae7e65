"""Gemini Live, of the Gemini API and Vertex AI: `…BidiGenerateContent`.

The first frame out, `setup`, names the model and all settings. A turn begins when the client says that the model is to
speak (`clientContent` with `turnComplete`, text, the results of tools, the end of manual activity) or, where the
server hears it for itself, with the first thing that the model says; it ends with `turnComplete`. A tool call is a part
of a turn, unless its frame counts tokens: then the tools' results begin another one. Counts are those of the turn, the
last ones hold: `promptTokenCount` includes cached tokens but not those of tool results, `responseTokenCount` excludes
thoughts (both pairs are added), and Vertex AI calls it `candidatesTokenCount`.

Clients spell field names in camel case or with underscores. Speech is told by its transcript, where there is one.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from msgspec import Raw, Struct, field

from llmtrace_otel.wire import parts
from llmtrace_otel.wire.call import Call, Message, Usage
from llmtrace_otel.wire.decode import Count, Reader, loads
from llmtrace_otel.wire.errors import set_error
from llmtrace_otel.wire.gemini import (
    ModalityCount,
    added,
    content_parts,
    input_message,
    joined,
    listed,
    read_config,
    set_config,
    snake_keys,
    tool_definitions,
)
from llmtrace_otel.wire.realtime_turns import Turns, mark_first_chunk


class Transcription(Struct):
    text: str | None = None


class ServerContent(Struct, rename="camel"):
    model_turn: Raw = Raw()
    turn_complete: bool | None = None
    interrupted: bool | None = None
    turn_complete_reason: str | None = None
    input_transcription: Transcription | None = None
    output_transcription: Transcription | None = None

    @property
    def speaks(self) -> bool:
        """Whether the model says something here."""
        return bool(bytes(self.model_turn)) or self.output_transcription is not None


class ToolCall(Struct, rename="camel"):
    function_calls: Raw = Raw()


class SetupComplete(Struct, rename="camel"):
    session_id: str | None = None


class LiveUsage(Struct, rename="camel"):
    prompt_token_count: Count | None = None
    tool_use_prompt_token_count: Count | None = None
    response_token_count: Count | None = None
    candidates_token_count: Count | None = None
    thoughts_token_count: Count | None = None
    cached_content_token_count: Count | None = None
    prompt_tokens_details: list[ModalityCount] | None = None
    response_tokens_details: list[ModalityCount] | None = None
    candidates_tokens_details: list[ModalityCount] | None = None


class ServerMessage(Struct, rename="camel"):
    setup_complete: SetupComplete | None = None
    server_content: ServerContent | None = None
    tool_call: ToolCall | None = None
    usage_metadata: LiveUsage | None = None
    error: Raw = Raw()


class ClientMessage(Struct):
    """The kinds of frames that a client sends, in both spellings of their names."""

    setup: Raw = Raw()
    client_content: Raw = Raw()
    camel_client_content: Raw = field(default=Raw(), name="clientContent")
    realtime_input: Raw = Raw()
    camel_realtime_input: Raw = field(default=Raw(), name="realtimeInput")
    tool_response: Raw = Raw()
    camel_tool_response: Raw = field(default=Raw(), name="toolResponse")


class RealtimeInput(Struct):
    text: str | None = None
    activity_end: Raw = Raw()
    camel_activity_end: Raw = field(default=Raw(), name="activityEnd")


_read_client = Reader(ClientMessage)
_read_input = Reader(RealtimeInput)
_read_server = Reader(ServerMessage)


class _Sound:
    """The sound of a turn: its size and hash, not itself."""

    def __init__(self) -> None:
        self._kind: Any = None
        self._size = 0
        self._hash = hashlib.sha256()

    def add(self, data: dict[str, Any]) -> None:
        try:
            piece = base64.b64decode(data.get("data") or "")
        except (TypeError, ValueError):
            return
        self._kind = data.get("mime_type")
        self._size += len(piece)
        self._hash.update(piece)

    def parts(self) -> list[Message]:
        if not self._size:
            return []
        return [parts.blob("audio", None, self._kind) | {"size": self._size, "sha256": self._hash.hexdigest()}]


class _Said:
    """What the model says in one turn, if it is wanted."""

    def __init__(self) -> None:
        self._parts: list[Message] = []
        self._sound = _Sound()
        self._is_transcribed = False

    def hear(self, content: ServerContent) -> None:
        told = loads(content.model_turn)
        for item in listed(told.get("parts") if isinstance(told, dict) else None):
            data = snake_keys(item).get("inline_data")
            if isinstance(data, dict):
                self._sound.add(snake_keys(data))
            else:
                self._parts += content_parts({"parts": [item]})
        if content.output_transcription is not None and content.output_transcription.text:
            self._is_transcribed = True
            self._parts.append(parts.text(content.output_transcription.text))

    def call_tools(self, calls: Raw) -> None:
        self._parts += content_parts({"parts": [{"functionCall": item} for item in listed(loads(calls))]})

    def messages(self, cut: str | None) -> list[Message]:
        """What was said, in one message; `cut` tells why it is not whole, if it is not."""
        found = joined(self._parts) + ([] if self._is_transcribed else self._sound.parts())
        if not found:
            return []
        return [parts.output(found, cut or ("tool_call" if found[-1]["type"] == "tool_call" else "stop"))]


class GeminiLive(Turns):
    """One Live session."""

    operation = "generate_content"
    provider = "gcp.gemini"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._setup: dict[str, Any] = {}
        self._given: list[Message] = []
        self._heard: list[str] = []
        self._said = _Said()
        self._interrupted = False

    def sent(self, data: bytes) -> None:
        message = _read_client(data)
        if message is None:
            return
        if bytes(message.setup):
            self._set_up(snake_keys(loads(message.setup)))
        if bytes(content := message.client_content or message.camel_client_content):
            self._take_content(snake_keys(loads(content)))
        if bytes(live := message.realtime_input or message.camel_realtime_input):
            self._take_input(_read_input(live) or RealtimeInput())
        if bytes(results := message.tool_response or message.camel_tool_response):
            self._take_results(snake_keys(loads(results)))

    def received(self, data: bytes) -> None:
        message = _read_server(data)
        if message is None:
            return
        self.last_error = loads(message.error)
        if message.setup_complete is not None:
            self.template.conversation_id = message.setup_complete.session_id
        content = message.server_content or ServerContent()
        if content.input_transcription is not None and content.input_transcription.text:
            self._heard.append(content.input_transcription.text)
        if content.speaks or message.tool_call is not None:
            self._hear(content, message.tool_call)
        self._interrupted = self._interrupted or content.interrupted is True
        self._count(message, content)

    def write(self, call: Call) -> None:
        if call.capture:
            heard = [parts.message("user", [parts.text("".join(self._heard))])] if self._heard else []
            call.input_messages = heard + self._given
            cut = None if call.complete else "interrupted" if self._interrupted else "error"
            call.output_messages = self._said.messages(cut)
            call.system_instructions = content_parts(self._setup.get("system_instruction")) or None
            call.tool_definitions = tool_definitions(self._setup.get("tools")) or None
        self._given, self._heard, self._said, self._interrupted = [], [], _Said(), False

    def _set_up(self, setup: dict[str, Any]) -> None:
        call = self.template
        if isinstance(model := setup.get("model"), str):
            call.request_model = model.rpartition("/")[2]
        set_config(read_config(setup.get("generation_config")), call)
        if call.capture:
            self._setup = setup

    def _take_content(self, content: dict[str, Any]) -> None:
        if self.template.capture:
            self._given += [input_message(item) for item in listed(content.get("turns"))]
        if content.get("turn_complete") is True:
            self._turn()

    def _take_input(self, live: RealtimeInput) -> None:
        if live.text and self.template.capture:
            self._given.append(parts.message("user", [parts.text(live.text)]))
        if live.text or bytes(live.activity_end or live.camel_activity_end):
            self._turn()

    def _take_results(self, results: dict[str, Any]) -> None:
        if self.template.capture:
            told = [{"functionResponse": item} for item in listed(results.get("function_responses"))]
            self._given.append(input_message({"role": "function", "parts": told}))
        self._turn()

    def _turn(self) -> Call:
        """The turn that is open, or one that begins."""
        return self.open[0] if self.open else self.begin(self.new())

    def _hear(self, content: ServerContent, tool_call: ToolCall | None) -> None:
        call = self._turn()
        mark_first_chunk(call)
        if call.capture:
            self._said.hear(content)
            if tool_call is not None:
                self._said.call_tools(tool_call.function_calls)

    def _count(self, message: ServerMessage, content: ServerContent) -> None:
        """Keeps what a frame counts, and ends the turn if it is the last one."""
        counts = message.usage_metadata is not None
        is_over = content.turn_complete is True or (counts and message.tool_call is not None)
        if not self.open and not (is_over and counts):
            return
        call = self._turn()
        if message.usage_metadata is not None:
            call.usage = _usage(message.usage_metadata)
        set_error(self.last_error, call)
        if is_over:
            call.finish_reasons = [content.turn_complete_reason] if content.turn_complete_reason else None
            call.complete = not self._interrupted
            self.end(call)


def _usage(stated: LiveUsage) -> Usage | None:
    said = stated.response_token_count if stated.candidates_token_count is None else stated.candidates_token_count
    usage = Usage(
        input=added(stated.prompt_token_count, stated.tool_use_prompt_token_count),
        output=added(said, stated.thoughts_token_count),
        cache_read=stated.cached_content_token_count,
        reasoning=stated.thoughts_token_count,
        input_audio=_audio(stated.prompt_tokens_details),
        output_audio=_audio(stated.response_tokens_details or stated.candidates_tokens_details),
    )
    return usage if usage.input is not None or usage.output is not None else None


def _audio(details: list[ModalityCount] | None) -> int | None:
    return added(*(detail.token_count for detail in details or () if detail.modality == "AUDIO"))
