"""LLM calls of `boto3` and `botocore` clients, which talk through urllib3: Amazon Bedrock's.

Three places are wrapped, each when the program imports its module:

- `URLLib3Session.send`, which sends one HTTP request. A body that comes whole has been read when it returns; one that
  is streamed is shown to us as the program reads it. The caller's request, response and exceptions are its own.
- `Endpoint.make_request`, botocore's retry loop in any of its modes: its attempts share one span.
- `EventStream.__iter__`, which raises when an event of a stream is an exception.

What is no LLM call — S3, DynamoDB, all the rest — costs a look at its method and URL, and what reads LLM calls is not
even loaded before one comes. An answer that a `before-send` or `before-call` handler makes up (a stubber's) is no
exchange and leaves no span; neither do `aiobotocore`'s calls, which have a transport of their own.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from llmtrace_otel.instrument import retries
from llmtrace_otel.instrument.lazy import LateWrappers, LazyInstrumentor, Wrappers

if TYPE_CHECKING:
    from llmtrace_otel.instrument.botocore_wrappers import BotocoreRequests

_PROVIDERS = "llmtrace_otel.wire.providers"
"""Whose table tells better what may be an LLM call, once it has been loaded, as it is to register a provider."""
_WORDS = (
    "/model/",
    "bedrock",
    "chat",
    "complet",
    "embed",
    "generat",
    "infill",
    "interact",
    "messages",
    "predict",
    "respon",
)
"""No path of that table is without one of these."""


class BotocoreInstrumentor(LazyInstrumentor):
    """Traces LLM calls made through botocore; see `LazyInstrumentor` for the options."""

    modules = ("botocore.httpsession", "botocore.endpoint", "botocore.eventstream")

    def make_wrappers(self, options: Mapping[str, Any]) -> Wrappers:
        return BotocoreWrappers(options)


class BotocoreWrappers(LateWrappers["BotocoreRequests"]):
    """Wraps what sends a request, the loop that sends it again, and what reads its events."""

    def wrap(self, module: ModuleType) -> None:
        """Wraps the one class of a module that matters here."""
        match module.__name__:
            case "botocore.httpsession":
                self.replace(module.URLLib3Session, "send", self._sending)
            case "botocore.endpoint":
                self.replace(module.Endpoint, "make_request", retries.one_call)
            case "botocore.eventstream":
                self.replace(module.EventStream, "__iter__", _show_failure)

    def load(self) -> BotocoreRequests:
        from llmtrace_otel.instrument.botocore_wrappers import BotocoreRequests

        return BotocoreRequests(self)

    def _sending(self, original: Any) -> Any:
        """Wraps `URLLib3Session.send`, which takes an `AWSPreparedRequest`."""
        observed = original

        @functools.wraps(original)
        def send(session: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
            nonlocal observed
            if observed is original and may_be_call(request) and (requests := self.part()) is not None:
                observed = requests.observed(original)
            return observed(session, request, *args, **kwargs)

        return send


def may_be_call(request: Any) -> bool:
    """Whether a request may be an LLM call, told without anything of ours. AWS has none that is not a POST."""
    if getattr(request, "method", None) != "POST":
        return False
    return _PROVIDERS in sys.modules or is_likely(str(getattr(request, "url", None)))


def is_likely(url: str) -> bool:
    """Whether a URL may be that of an LLM call: a guess that leaves out none of the table."""
    url = url.lower()
    return any(word in url for word in _WORDS)


def _show_failure(iterate: Callable[[Any], Iterator[Any]]) -> Callable[[Any], Iterator[Any]]:
    """Wraps `EventStream.__iter__`: an event that is an exception ends the call, though the body has not ended."""

    def shown(stream: Any, watched: Any) -> Iterator[Any]:
        try:
            yield from iterate(stream)
        except Exception as error:
            watched.fail(error)
            raise

    @functools.wraps(iterate)
    def iterated(stream: Any) -> Iterator[Any]:
        watched = getattr(getattr(stream, "_raw_stream", None), "_llmtrace", None)
        return iterate(stream) if watched is None else shown(stream, watched)

    return iterated
