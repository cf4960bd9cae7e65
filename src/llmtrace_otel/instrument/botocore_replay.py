"""Answers botocore's LLM calls from recordings; what is no LLM call is sent."""

from __future__ import annotations

import functools
from io import BytesIO
from typing import TYPE_CHECKING, Any

from botocore.awsrequest import AWSResponse  # type: ignore[import-untyped, unused-ignore]
from urllib3 import HTTPResponse

from llmtrace_otel.instrument.wrapping import sending
from llmtrace_otel.replay.asked import is_call
from llmtrace_otel.replay.tape import Answer, Player

if TYPE_CHECKING:
    from llmtrace_otel.instrument.botocore_wrappers import BotocoreRequests


def replayed(send: Any, requests: BotocoreRequests, player: Player) -> Any:
    """Wraps `URLLib3Session.send`, below what observes it."""

    @functools.wraps(send)
    def answer(session: Any, request: Any) -> Any:
        asked, observation = requests.asked(request), sending()
        if requests.wrappers.retired or (observation is None and not is_call(asked, requests.providers)):
            return send(session, request)
        answer = player.answer(asked)
        if observation is not None and answer.seconds is not None:
            observation.replayed(answer.seconds)
        return _response(request, answer)

    return answer


class _Body(BytesIO):
    """A body that is over once it is read, as that of a connection is."""

    def isclosed(self) -> bool:
        return self.closed or self.tell() == len(self.getbuffer())


def _response(request: Any, answer: Answer) -> Any:
    body = _Body(b"".join(answer.chunks))
    raw = HTTPResponse(body, answer.headers, answer.status, preload_content=False, request_method=request.method)
    response = AWSResponse(request.url, answer.status, raw.headers, raw)
    if not request.stream_output:
        _ = response.content  # is read here, as botocore does
    return response
