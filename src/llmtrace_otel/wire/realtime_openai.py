"""OpenAI Realtime, as spoken by OpenAI, Azure (Voice Live too), xAI and servers like theirs: `…/realtime`.

A response is a turn. `response.create` asks for one; where the server hears for itself that the user has stopped
speaking, it begins with `response.created`, which names no request: requests are answered in the order of asking.
`response.done` repeats everything and counts the tokens: `input_tokens` includes cached ones, `output_tokens`
reasoning. xAI leaves `usage` there empty; what it counts beside the response is only what was newly said, not the
prompt, and is left alone.

The session's events tell the model and the settings. A turn's input are the items that the conversation has gained
since the turn before; the server confirms each, those that the client sends too. Speech is told by its transcript.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from msgspec import Raw, Struct

from llmtrace_otel.wire import parts
from llmtrace_otel.wire.call import Call, Message, Usage
from llmtrace_otel.wire.decode import Count, Reader, Real, loads
from llmtrace_otel.wire.errors import UNNAMED, set_error
from llmtrace_otel.wire.openai_chat import tool_definitions
from llmtrace_otel.wire.openai_responses import input_message, output_parts
from llmtrace_otel.wire.realtime_turns import Turns, mark_first_chunk

_OUTPUT_TYPES = {"audio": "speech", "text": "text"}
"""Modalities in the conventions' words; sound comes with its transcript, so that it counts first."""
_ITEM_EVENTS = ("conversation.item.added", "conversation.item.created", "conversation.item.done")


class Settings(Struct):
    """What a session, or one request within it, asks of the model."""

    model: str | None = None
    temperature: Real | None = None
    output_modalities: list[str] | None = None
    modalities: list[str] | None = None
    max_output_tokens: Count | str | None = None
    max_response_output_tokens: Count | str | None = None
    instructions: Raw = Raw()
    tools: Raw = Raw()
    input: Raw = Raw()

    def apply(self, call: Call) -> None:
        """Puts on the call what these settings say, over what others said."""
        limit = self.max_output_tokens or self.max_response_output_tokens
        modalities = self.output_modalities or self.modalities or []
        if isinstance(limit, int):
            call.max_tokens = limit
        if self.temperature is not None and self.temperature >= 0:  # xAI's default is -1
            call.temperature = self.temperature
        call.output_type = next((word for name, word in _OUTPUT_TYPES.items() if name in modalities), call.output_type)

    def write(self, call: Call) -> None:
        """Puts the content of these settings on the call, over that of others."""
        if isinstance(text := loads(self.instructions), str) and text:
            call.system_instructions = [parts.text(text)]
        call.tool_definitions = tool_definitions(loads(self.tools)) or call.tool_definitions


class ClientEvent(Struct):
    type: str | None = None
    event_id: str | None = None
    response: Settings | None = None


class CachedDetails(Struct):
    audio_tokens: Count | None = None


class InputDetails(Struct):
    cached_tokens: Count | None = None
    cached_tokens_details: CachedDetails | None = None
    audio_tokens: Count | None = None


class OutputDetails(Struct):
    reasoning_tokens: Count | None = None
    audio_tokens: Count | None = None


class RealtimeUsage(Struct):
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    input_token_details: InputDetails | None = None
    output_token_details: OutputDetails | None = None


class StatusDetails(Struct):
    reason: str | None = None
    error: Raw = Raw()


class Response(Struct):
    id: str | None = None
    status: str | None = None
    status_details: StatusDetails | str | None = None
    conversation_id: str | None = None
    usage: RealtimeUsage | None = None
    output: Raw = Raw()


class ServerEvent(Struct):
    type: str | None = None
    session: Settings | None = None
    response: Response | None = None
    response_id: str | None = None
    item: Raw = Raw()
    item_id: str | None = None
    transcript: str | None = None
    error: Raw = Raw()


class Refusal(Struct):
    """What an error says of the frame that it answers."""

    event_id: str | None = None
    code: str | None = None
    param: str | None = None

    def concerns_request(self) -> bool:
        return self.code == "conversation_already_has_active_response" or (self.param or "").startswith("response")


_read_client_event = Reader(ClientEvent)
_read_server_event = Reader(ServerEvent)
_read_refusal = Reader(Refusal)


class _Turn:
    """What is known of one response besides its call."""

    def __init__(self, call: Call, asked: ClientEvent | None = None) -> None:
        self.call = call
        self.event_id = asked.event_id if asked else None
        self.settings = asked.response if asked else None
        self.items: list[dict[str, Any]] = []
        self.done = Response()


class OpenAIRealtime(Turns):
    """One Realtime session."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._turns: list[_Turn] = []
        self._asked: deque[_Turn] = deque()
        self._session = Settings()
        self._items: dict[str, dict[str, Any]] = {}
        self._transcripts: dict[str, str] = {}

    def sent(self, data: bytes) -> None:
        event = _read_client_event(data)
        if event is not None and event.type == "response.create":
            self._asked.append(self._begin_turn(event))

    def received(self, data: bytes) -> None:
        event = _read_server_event(data)
        if event is None or event.type is None:
            return
        self.last_error = None
        match event.type:
            case "session.created" | "session.updated" if event.session is not None:
                self._set_session(event.session)
            case "response.created" if event.response is not None:
                self._created(event.response)
            case "response.done" if event.response is not None:
                self._done(event.response)
            case "error":
                self._refused(event.error)
            case kind if kind.startswith("response.") and kind.endswith(".delta"):
                for turn in self._turns:
                    if turn.call.response_id == event.response_id:
                        mark_first_chunk(turn.call)
            case kind if self.template.capture and kind in _ITEM_EVENTS:
                self._add(loads(event.item))
            case _ if self.template.capture and event.item_id and event.transcript is not None:
                self._transcripts[event.item_id] = event.transcript

    def write(self, call: Call) -> None:
        turn = next(turn for turn in self._turns if turn.call is call)
        self._turns.remove(turn)
        if turn in self._asked:
            self._asked.remove(turn)
        if call.capture:
            self._write_content(turn)

    def _begin_turn(self, asked: ClientEvent | None = None) -> _Turn:
        turn = _Turn(self.new(), asked)
        self._session.apply(turn.call)
        if turn.settings is not None:
            turn.settings.apply(turn.call)
        self._turns.append(turn)
        self.begin(turn.call)
        return turn

    def _set_session(self, session: Settings) -> None:
        self._session = session
        if session.model:
            self.template.request_model = self.template.request_model or session.model
            self.template.response_model = session.model

    def _created(self, response: Response) -> _Turn:
        turn = self._asked.popleft() if self._asked else self._begin_turn()
        turn.call.response_id = response.id
        turn.call.conversation_id = response.conversation_id
        turn.items = list(self._items.values())
        self._items.clear()
        return turn

    def _done(self, response: Response) -> None:
        turn = next((turn for turn in self._turns if turn.call.response_id == response.id), None)
        turn = turn or self._created(response)  # it began before we listened
        call, details = turn.call, response.status_details
        call.response_status = response.status
        call.conversation_id = response.conversation_id or call.conversation_id
        call.complete = response.status != "cancelled"
        call.usage = _usage(response.usage)
        if isinstance(details, StatusDetails):
            set_error(loads(details.error), call)
        if response.status == "failed":
            call.error_type = call.error_type or UNNAMED
        turn.done = response
        self.end(call)

    def _refused(self, error: Raw) -> None:
        """An error ends the turn that was asked for in vain; any other leaves the session as it is."""
        refusal, stated = _read_refusal(error) or Refusal(), loads(error)
        for turn in self._asked:
            if turn.event_id == refusal.event_id if refusal.event_id else refusal.concerns_request():
                set_error(stated, turn.call)
                self.end(turn.call)
                return
        self.last_error = stated

    def _add(self, item: Any) -> None:
        """An item of the conversation, which several events tell of."""
        name = item.get("id") if isinstance(item, dict) else None
        if isinstance(name, str) and not any(name == known["id"] for turn in self._turns for known in turn.items):
            self._items[name] = item

    def _write_content(self, turn: _Turn) -> None:
        call, given = turn.call, loads(turn.settings.input) if turn.settings is not None else None
        self._session.write(call)
        if turn.settings is not None:
            turn.settings.write(call)
        call.input_messages = parts.each(turn.items if given is None else given, self._message)
        output = parts.items(loads(turn.done.output))
        for item in output:
            self._items.pop(item.get("id", ""), None)
        if output:
            found = [part for item in output for part in self._parts(item)]
            call.output_messages = [parts.output(found, _finish_reason(turn.done, found))]

    def _message(self, item: dict[str, Any]) -> Message:
        if item.get("type") == "message":
            return parts.message(item.get("role"), self._parts(item))
        return input_message(item)

    def _parts(self, item: dict[str, Any]) -> list[Message]:
        if item.get("type") != "message":
            return output_parts([item])
        heard = self._transcripts.pop(str(item.get("id")), None)
        return parts.each(item.get("content"), lambda part: _part(part, heard))


def _part(part: dict[str, Any], heard: str | None) -> Message:
    match part.get("type"):
        case "input_text" | "output_text" | "text":
            return parts.text(part.get("text", ""))
        case "input_audio" | "output_audio" | "audio":
            transcript = part.get("transcript") or heard
            return parts.text(transcript) if transcript else parts.blob("audio", part.get("audio"))
        case "input_image":
            return parts.media("image", part.get("image_url"))
        case _:
            return parts.generic(part)


def _usage(stated: RealtimeUsage | None) -> Usage | None:
    if stated is None or (stated.input_tokens is None and stated.output_tokens is None):
        return None
    inputs = stated.input_token_details or InputDetails()
    outputs = stated.output_token_details or OutputDetails()
    return Usage(
        input=stated.input_tokens,
        output=stated.output_tokens,
        cache_read=inputs.cached_tokens,
        reasoning=outputs.reasoning_tokens,
        input_audio=inputs.audio_tokens,
        cached_audio=inputs.cached_tokens_details.audio_tokens if inputs.cached_tokens_details else None,
        output_audio=outputs.audio_tokens,
    )


def _finish_reason(response: Response, found: list[Message]) -> str | None:
    if response.status != "completed":
        details = response.status_details
        return (details.reason if isinstance(details, StatusDetails) else None) or response.status
    return "tool_call" if any(part["type"] == "tool_call" for part in found) else "stop"
