"""Back ends that the exporters send to, in the test's own event loop: they answer as they are told and keep ids."""

import asyncio
import contextlib
import gzip
import itertools
import random
from collections import Counter
from dataclasses import dataclass, field

import grpc
import h11
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from llmtrace_collector.otlp.batch import Batch
from llmtrace_collector.otlp.signals import SIGNALS, TRACES

numbers = itertools.count(1)


def batch_of(count=1, size=0):
    """A batch of traces with spans that have ids of their own, each with `size` bytes of content."""
    request = TRACES.request()
    spans = request.resource_spans.add().scope_spans.add().spans
    for _ in range(count):
        span = spans.add(trace_id=bytes(15) + b"\x01", span_id=next(numbers).to_bytes(8, "big"), name="chat")
        if size:
            span.attributes.add(key="content").value.string_value = "x" * size
    return Batch(TRACES, request)


def ids(request):
    """The span ids of a request, or of a batch."""
    request = getattr(request, "message", request)
    return [
        span.span_id for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans
    ]


@dataclass
class Answer:
    """What a back end does with a request. `kept` says whether the request arrived all the same."""

    status: int = 200
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    kept: bool = True
    hang: bool = False
    cut: str = ""  # "before" or "after" the body was read
    early: bool = False  # answers without reading the body, and reads nothing from then on


REFUSED = Answer(503, kept=False)
HANG = Answer(hang=True, kept=False)


def refusing(share, *refusals, seed=1):
    """Answers that refuse with this probability, in the given ways."""
    dice = random.Random(seed)
    while True:
        yield dice.choice(refusals) if dice.random() < share else Answer()


@dataclass
class HTTPDestination:
    """An OTLP/HTTP back end. It gives the answers in turn, then Answer()."""

    answers: object = ()
    requests: list = field(default_factory=list)  # (path, headers, body)
    received: Counter = field(default_factory=Counter)  # span ids
    connections: int = 0
    seen: asyncio.Event = field(default_factory=asyncio.Event)
    ssl: object = None
    port: int = 0

    @property
    def url(self):
        return f"http{'s' if self.ssl else ''}://127.0.0.1:{self.port}"

    async def start(self):
        self.answers = iter(self.answers)
        self.tasks = set()
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.ssl)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def stop(self):
        self.server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.server.wait_closed()

    async def _serve(self, reader, writer):
        self.connections += 1
        self.tasks.add(asyncio.current_task())
        try:
            connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
            while await self._exchange(connection, reader, writer):
                connection.start_next_cycle()
        except (OSError, h11.ProtocolError, asyncio.CancelledError):
            pass
        finally:
            self.tasks.discard(asyncio.current_task())
            writer.transport.abort()

    async def _exchange(self, connection, reader, writer):
        answer, head, body = None, None, b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(1 << 20))
            elif isinstance(event, h11.Request):
                head, answer = event, next(self.answers, Answer())
                if answer.cut == "before":
                    return False
                if answer.early:
                    writer.write(b"HTTP/1.1 %d Early\r\ncontent-length: 0\r\n\r\n" % answer.status)
                    await asyncio.Event().wait()
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return False
        headers = {name.decode(): value.decode() for name, value in head.headers}
        self.requests.append((head.target.decode(), headers, body))
        self.keep(answer, headers, body)
        if answer.cut == "after":
            return False
        if answer.hang:
            await asyncio.Event().wait()
        fields = [(name, value) for name, value in {**answer.headers, "content-length": str(len(answer.body))}.items()]
        writer.write(connection.send(h11.Response(status_code=answer.status, headers=fields)))
        writer.write(connection.send(h11.Data(data=answer.body)) + connection.send(h11.EndOfMessage()))
        await writer.drain()
        return connection.our_state is h11.DONE

    def keep(self, answer, headers, body):
        if answer.kept and answer.status == 200:
            if headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            self.received.update(ids(TRACES.request.FromString(body)))
        self.seen.set()


@dataclass
class GRPCDestination:
    """An OTLP/gRPC back end. Its answers are (status code, seconds of RetryInfo or None), None for success, or HANG."""

    answers: object = ()
    received: Counter = field(default_factory=Counter)
    metadata: list = field(default_factory=list)
    credentials: object = None
    response: bytes = b""
    port: int = 0

    async def start(self):
        self.answers = iter(self.answers)
        self.server = grpc.aio.server()
        handlers = {
            signal.rpc.rpartition("/")[2]: grpc.unary_unary_rpc_method_handler(self._export)
            for signal in SIGNALS.values()
        }
        for signal in SIGNALS.values():
            service = signal.rpc.split("/")[1]
            self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        if self.credentials:
            self.port = self.server.add_secure_port(f"127.0.0.1:{self.port}", self.credentials)
        else:
            self.port = self.server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self.server.start()
        return self

    async def stop(self):
        await self.server.stop(0)

    async def _export(self, body, context):
        self.metadata.append(dict(context.invocation_metadata()))
        answer = next(self.answers, None)
        if answer is HANG:
            await asyncio.Event().wait()
        if answer is not None:
            code, seconds = answer
            if seconds is not None:
                context.set_trailing_metadata((("grpc-status-details-bin", retry_info(code, seconds)),))
            await context.abort(code, "refused")
        self.received.update(ids(TRACES.request.FromString(body)))
        return self.response


def retry_info(code, seconds):
    """The serialised google.rpc.Status that asks to wait."""
    detail = AnyMessage()
    info = RetryInfo()
    info.retry_delay.FromMilliseconds(int(seconds * 1000))
    detail.Pack(info)
    return Status(code=code.value[0], details=[detail]).SerializeToString()


@contextlib.asynccontextmanager
async def started(*destinations):
    """Serves while the body runs."""
    for destination in destinations:
        await destination.start()
    try:
        yield destinations[0] if len(destinations) == 1 else destinations
    finally:
        for destination in destinations:
            await destination.stop()


async def until(condition, seconds=30):
    """Returns when it holds; a test that waits in vain fails."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)
