"""OpenAI Responses over a WebSocket: `…/responses`, where each `response.create` is a request of its own.

A frame out is the body of a `POST …/responses` with a `type` and, at will, a `stream_id`; frames in are the events of
its stream and echo that id. Requests of one `stream_id`, or of none, are answered in order; those of different ones
side by side. A response that is steered ends early, and a successor that nobody asked for goes on with its settings.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from msgspec import Raw, Struct, structs

from llmtrace_otel.wire.call import Call
from llmtrace_otel.wire.decode import Reader, loads
from llmtrace_otel.wire.formats import Request
from llmtrace_otel.wire.openai_responses import Identified, ResponseStream, read_request
from llmtrace_otel.wire.realtime_turns import Turns, mark_first_chunk

_OPENAI = ("openai", "azure.ai.openai")
"""Whose services have an `openai.api.type`; others only speak the format."""
_OVER = ("response.completed", "response.incomplete", "response.failed", "error")
_READ = (*_OVER, "response.created", "response.output_item.done")
"""The events that are read; of the others it only counts that they came."""


class Envelope(Struct):
    type: str | None = None
    generate: bool | None = None
    """`False` where a connection is only warmed up: nothing is generated, and that is no call."""
    stream_id: str | None = None
    previous_response_id: str | None = None
    response: Identified | None = None
    error: Raw = Raw()


_read_envelope = Reader(Envelope)


class _Turn:
    """One response, and what reads it."""

    def __init__(self, call: Call, request: Request | None = None, *, counts: bool = True) -> None:
        self.call = call
        self.counts = counts
        """Whether it is a call. What only warms up is answered in its turn like any other."""
        self.settings = structs.replace(call)
        """How it begins, for a successor to begin alike."""
        self.request = request
        self.reader = ResponseStream(call)

    def is_answered_by(self, event: Envelope) -> bool:
        """Whether an event of this turn's stream is not of a response that is already over."""
        known = self.call.response_id
        return event.response is None or known in (None, event.response.id)


class ResponsesSocket(Turns):
    """One connection to the Responses API."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._streams: dict[str | None, deque[_Turn]] = {}
        self._steered: dict[str | None, Call] = {}
        """How the successor begins that each stream is to have."""

    def sent(self, data: bytes) -> None:
        asked = _read_envelope(data)
        if asked is not None and asked.type == "response.create":
            self._ask(asked, data)
        elif asked is not None and asked.type == "response.steer":
            self._steer(asked)

    def received(self, data: bytes) -> None:
        event = _read_envelope(data)
        if event is None or event.type is None:
            return
        self.last_error = None
        turn = self._turn_of(event)
        if turn is not None and turn.is_answered_by(event):
            mark_first_chunk(turn.call)
            if event.type in _READ:
                turn.reader.event(data)
            if event.type in _OVER:
                self._end_turn(event.stream_id, turn)
        elif event.type == "error":
            self.last_error = loads(event.error)

    def write(self, call: Call) -> None:
        stream_id, turn = next((at, turn) for at, turns in self._streams.items() for turn in turns if turn.call is call)
        self._leave_queue(stream_id, turn)
        turn.reader.close()
        if call.capture and turn.request is not None:
            turn.request.write(call)

    def _ask(self, asked: Envelope, data: bytes) -> None:
        call = self.new()
        request = read_request(data, call)
        call.stream = True  # though the request does not say so
        call.api_type = "responses" if call.provider in _OPENAI else None
        self._begin_turn(asked.stream_id, _Turn(call, request, counts=asked.generate is not False))

    def _steer(self, asked: Envelope) -> None:
        for stream_id, turns in self._streams.items():
            for turn in turns:
                if turn.call.response_id == asked.previous_response_id:
                    self._steered[stream_id] = turn.settings

    def _begin_turn(self, stream_id: str | None, turn: _Turn) -> _Turn:
        self._streams.setdefault(stream_id, deque()).append(turn)
        if turn.counts:
            self.begin(turn.call)
        return turn

    def _end_turn(self, stream_id: str | None, turn: _Turn) -> None:
        if turn.counts:
            self.end(turn.call)
        else:
            self._leave_queue(stream_id, turn)

    def _leave_queue(self, stream_id: str | None, turn: _Turn) -> None:
        self._streams[stream_id].remove(turn)
        if not self._streams[stream_id]:
            del self._streams[stream_id]

    def _turn_of(self, event: Envelope) -> _Turn | None:
        """The turn that an event is of: the first that is open in its stream, or the successor that it begins."""
        turns = self._streams.get(event.stream_id)
        if turns:
            return turns[0]
        if event.type == "response.created":
            settings = self._steered.pop(event.stream_id, self.template)
            return self._begin_turn(event.stream_id, _Turn(structs.replace(settings)))
        return None
