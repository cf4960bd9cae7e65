"""LLM calls of `boto3` and `botocore` clients, which talk through urllib3: Amazon Bedrock's.

Three places are wrapped, each when the program imports its module:

- `URLLib3Session.send`, which sends one HTTP request. A body that comes whole has been read when it returns; one that
  is streamed is shown to us as the program reads it. The caller's request, response and exceptions are its own.
- `Endpoint.make_request`, botocore's retry loop in any of its modes: its attempts share one span.
- `EventStream.__iter__`, which raises when an event of a stream is an exception.

What is no LLM call — S3, DynamoDB, all the rest — costs a look at its method and path. An answer that a `before-send`
or `before-call` handler makes up (a stubber's) is no exchange and leaves no span; neither do `aiobotocore`'s calls,
which have a transport of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmtrace_otel.instrument.lazy import LazyInstrumentor

if TYPE_CHECKING:
    from llmtrace_otel.instrument.wrapping import BaseWrappers


class BotocoreInstrumentor(LazyInstrumentor):
    """Traces LLM calls made through botocore; see `LazyInstrumentor` for the options."""

    modules = ("botocore.httpsession", "botocore.endpoint", "botocore.eventstream")

    def make_wrappers(self, options: Mapping[str, Any]) -> BaseWrappers:
        from llmtrace_otel.instrument.botocore_wrappers import BotocoreWrappers

        return BotocoreWrappers(options)
