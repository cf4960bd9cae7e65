"""The OTLP/gRPC receiver: the `Export` method of the trace, metrics and logs services, on raw bytes.

gRPC's own limit is for a message as it travels, and some versions inflate a whole bomb before they look. So gRPC hands
gzip through as it came, and it is inflated here, up to the limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc  # type: ignore[import-untyped]
from grpc import aio

from llmtrace_collector.config.settings import MIB
from llmtrace_collector.errors import ConfigError, RequestError, UnauthenticatedError
from llmtrace_collector.receivers import answers
from llmtrace_collector.receivers.binding import Place, bind, place_of, warn_if_exposed
from llmtrace_collector.receivers.inflate import Body
from llmtrace_collector.receivers.intake import Intake
from llmtrace_collector.receivers.tls import server_credentials

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from llmtrace_collector.config.settings import GRPCServer
    from llmtrace_collector.figures.counts import Counts
    from llmtrace_collector.otlp.signals import Signal
    from llmtrace_collector.receivers.intake import Authenticator, Consumer

    Handler = Callable[[bytes, Any], Awaitable[bytes]]

GZIP_MAGIC = b"\x1f\x8b"
"""Begins no protobuf message: the first byte would be a field of wire type 7, which there is not."""
CODES = {code.value[0]: code for code in grpc.StatusCode}
OPTIONS = (
    ("grpc.so_reuseport", 0),  # a second collector on the same port must fail, not take half of the requests
    ("grpc.per_message_decompression", 0),
    ("grpc.compression_enabled_algorithms_bitset", 0b101),  # identity and gzip
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),  # clients that ping often are not sent away
)


class GRPCReceiver:
    """Serves OTLP/gRPC.

    `intakes` has what stands behind each signal that is taken; the service of any other is unimplemented. `say` shows
    one line to the user. `receiver` is the component's id, a label of the counters.
    """

    def __init__(
        self,
        settings: GRPCServer,
        intakes: Mapping[Signal, Consumer],
        say: Callable[[str], None],
        counts: Counts,
        authenticator: Authenticator | None = None,
        *,
        allow_remote: bool = False,
        receiver: str = "otlp",
    ) -> None:
        self._settings = settings
        self._say = say
        self._allow_remote = allow_remote
        limit = settings.max_recv_msg_size_mib * MIB
        methods = {
            signal.rpc: Method(Intake(signal, consumer, counts, receiver, "grpc"), limit, say).export
            for signal, consumer in intakes.items()
        }
        self._services = Services(methods, authenticator)
        self._server: Any = None
        self.url = ""

    async def start(self) -> None:
        """Begins to serve, in the running event loop. Raises ConfigError."""
        tls = self._settings.tls
        credentials = None if tls is None else server_credentials(tls)
        wanted = self._free_place()
        self._server = aio.server(options=self._options())
        self._server.add_generic_rpc_handlers((self._services,))
        place = wanted._replace(port=self._listen(wanted, credentials))
        self.url = f"{'http' if credentials is None else 'https'}://{place.text}"
        warn_if_exposed(place, self._settings, self._say)
        await self._server.start()

    async def stop(self, grace_seconds: float) -> None:
        """Answers what is under way, within so much time; what is left is cancelled."""
        if self._server is not None:
            await self._server.stop(grace_seconds)

    def _options(self) -> list[tuple[str, int]]:
        options = [*OPTIONS, ("grpc.max_receive_message_length", self._settings.max_recv_msg_size_mib * MIB)]
        if self._settings.max_concurrent_streams:
            options.append(("grpc.max_concurrent_streams", self._settings.max_concurrent_streams))
        return options

    def _free_place(self) -> Place:
        """Where gRPC is to listen. It does not say why it cannot, so a socket of ours finds out before."""
        with bind(self._settings.endpoint, allow_remote=self._allow_remote) as listener:
            taken = place_of(listener)
        return taken._replace(port=self._settings.endpoint.port)

    def _listen(self, place: Place, credentials: Any) -> int:
        try:
            if credentials is None:
                return int(self._server.add_insecure_port(place.text))
            return int(self._server.add_secure_port(place.text, credentials))
        except RuntimeError as error:
            raise ConfigError(f"cannot listen on {place.text}: {error}") from error


class Services(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Finds the handler of a call by its path, which gRPC asks for before it reads the request."""

    def __init__(self, methods: Mapping[str, Handler], authenticator: Authenticator | None) -> None:
        self._handlers = {path: grpc.unary_unary_rpc_method_handler(method) for path, method in methods.items()}
        self._authenticator = authenticator

    def service(self, handler_call_details: Any) -> Any:
        """The handler of a call; None, which is UNIMPLEMENTED, for an unknown one."""
        if (known := self._authenticator) is not None:
            tokens = (value for key, value in handler_call_details.invocation_metadata if key == known.name.lower())
            if not known.accepts(next(tokens, None)):
                return _refuse_unread(UnauthenticatedError(f"no accepted token in the metadata {known.name.lower()}"))
        return self._handlers.get(handler_call_details.method)


class Method:
    """The `Export` method of one service. `limit` is in bytes, after decompression."""

    def __init__(self, intake: Intake, limit: int, say: Callable[[str], None]) -> None:
        self._intake = intake
        self._limit = limit
        self._say = say

    async def export(self, request: bytes, context: Any) -> bytes:
        """Returns the response message when what the request holds is safe."""
        try:
            await self._intake.accept_protobuf(self._inflated(request))
        except RequestError as refusal:
            await abort(context, refusal)
        except Exception as error:  # a defect of ours must be seen, and must not look like an accepted request
            self._say(f"internal error, a request was refused: {error!r}")
            await abort(context, RequestError("internal error"))
        return answers.success(answers.PROTOBUF)

    def _inflated(self, request: bytes) -> bytes:
        if not request.startswith(GZIP_MAGIC):
            return request
        body = Body("gzip", self._limit)
        body.feed(request)
        return body.end()


def _refuse_unread(refusal: RequestError) -> Any:
    """A handler that does not read the request: only a stream's is left alone with it."""

    async def refuse(_: Any, context: Any) -> None:
        await abort(context, refusal)

    return grpc.stream_unary_rpc_method_handler(refuse)


async def abort(context: Any, refusal: RequestError) -> None:
    """Ends a call with a refusal. When to retry stands in the status, and where the Python SDK looks for it."""
    trailers = [("grpc-status-details-bin", answers.status_of(refusal).SerializeToString())]
    if (info := answers.retry_info(refusal)) is not None:
        trailers.append(("google.rpc.retryinfo-bin", info.SerializeToString()))
    await context.abort(CODES[refusal.code], answers.text_of(refusal), tuple(trailers))
