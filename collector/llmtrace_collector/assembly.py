"""A configuration becomes running parts: exporters, processors, pipelines, receivers, and what serves beside them.

The one place that knows every component. A component that no pipeline names is not made.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import urlsplit

from llmtrace_collector.config import settings
from llmtrace_collector.errors import ConfigError
from llmtrace_collector.exporters.debug import DebugExporter
from llmtrace_collector.exporters.file import FileExporter
from llmtrace_collector.exporters.sending import Sender, sender_for
from llmtrace_collector.extensions.bearer_tokens import BearerTokens
from llmtrace_collector.extensions.health_check import HealthServer
from llmtrace_collector.figures.counts import Counts
from llmtrace_collector.figures.prometheus import MetricsPage
from llmtrace_collector.figures.summary import Destination, Figures, File
from llmtrace_collector.figures.tally import Tallied, Tally
from llmtrace_collector.otlp.signals import SIGNALS
from llmtrace_collector.pipeline import CountedExporter, Fanout, Pipeline
from llmtrace_collector.processors import Processors
from llmtrace_collector.receivers.grpc import GRPCReceiver
from llmtrace_collector.receivers.http import HTTPReceiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from llmtrace_collector.config.settings import Config
    from llmtrace_collector.otlp.signals import Signal
    from llmtrace_collector.pipeline import Exporter

T = TypeVar("T")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104


class Service(Protocol):
    """Something that serves, in the running event loop."""

    url: str

    async def start(self) -> None:
        """Begins. Raises ConfigError."""

    async def stop(self, grace_seconds: float) -> None:
        """Ends; what is under way has so much time."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that runs, in the order in which it is started. `health` is among the services."""

    exporters: tuple[Exporter, ...]
    services: tuple[Service, ...]
    health: tuple[HealthServer, ...]
    receivers: tuple[Service, ...]
    figures: Figures

    def opening(self) -> str:
        """What is served and where it goes, in one line."""
        urls = " and ".join(
            f"{each.url.removeprefix('http://')} (OTLP/gRPC)"
            if isinstance(each, GRPCReceiver)
            else f"{each.url} (OTLP/HTTP)"
            for each in self.receivers
        )
        files = [each.describe() for each in self.exporters if isinstance(each, FileExporter)]
        words = [f"listening on {urls}", *([f"writing {', '.join(files)}"] if files else [])]
        words += [each.describe() for each in self.exporters if not isinstance(each, FileExporter)]
        return ", ".join([*words, *(f"serving {each.url}" for each in self.services if each.url)])

    def refuse_loop(self) -> None:
        """Forwarding to oneself would multiply every span for ever. Raises ConfigError, once the ports are known."""
        own = [urlsplit(receiver.url) for receiver in self.receivers]
        for exporter in self.exporters:
            if isinstance(exporter, Sender):
                to = urlsplit(exporter.url if "://" in exporter.url else f"//{exporter.url}")
                if any(to.port == at.port and to.hostname in reached_as(at.hostname or "") for at in own):
                    raise ConfigError(f"{exporter.url} is this collector itself; forward to another port")

    def reopen(self) -> None:
        """Opens moved files anew, for SIGHUP."""
        for exporter in self.exporters:
            if isinstance(exporter, FileExporter):
                exporter.reopen()


def assemble(config: Config, say: Callable[[str], None], *, allow_remote: bool, watched: bool = False) -> Parts:
    """Opens what is written to, and makes the rest. `watched`: somebody looks at the figures. Raises ConfigError."""
    return Assembly(config, say, allow_remote=allow_remote, watched=watched).parts()


class Assembly:
    """One configuration on its way to being parts."""

    def __init__(self, config: Config, say: Callable[[str], None], *, allow_remote: bool, watched: bool) -> None:
        self._config = config
        self._say = say
        self._allow_remote = allow_remote
        self._counts = Counts()
        self._tally = Tally()
        self._tallies = watched or bool(self._readers())  # it costs as much as forwarding does
        self._tokens = {name: BearerTokens(each, say) for name, each in self._extensions(settings.BearerToken)}

    def parts(self) -> Parts:
        """Raises ConfigError."""
        exporters = {name: self._exporter(name) for name in self._used("exporters")}
        pipelines = self._pipelines(exporters)
        receivers = [each for name in self._used("receivers") for each in self._receiver(name, pipelines)]
        health = tuple(
            HealthServer(each, allow_remote=self._allow_remote) for _, each in self._extensions(settings.HealthCheck)
        )
        return Parts(
            exporters=tuple(exporters.values()),
            services=(*health, *self._pages()),
            health=health,
            receivers=tuple(receivers),
            figures=self._figures(exporters),
        )

    def _extensions(self, kind: type[T]) -> list[tuple[str, T]]:
        started = [(name, self._config.extensions[name]) for name in self._config.service.extensions]
        return [(name, extension) for name, extension in started if isinstance(extension, kind)]

    def _used(self, section: str) -> dict[str, None]:
        """The ids that pipelines name, each once, in their order."""
        return {name: None for each in self._config.service.pipelines.values() for name in getattr(each, section)}

    def _exporter(self, name: str) -> Exporter:
        match self._config.exporters[name]:
            case settings.FileExporter() as asked:
                return FileExporter(asked, self._say)
            case settings.DebugExporter() as asked:
                return DebugExporter(asked, self._say)
            case asked:
                return self._sender(name, asked)

    def _sender(self, name: str, asked: Any) -> Sender:
        pipelines = self._config.service.pipelines.items()
        return sender_for(
            name,
            asked,
            dict.fromkeys(signal_of(pipeline) for pipeline, parts in pipelines if name in parts.exporters),
            self._say,
            self._counts,
            storage=self._storage(asked.sending_queue),
            credential=self._tokens[asked.auth.authenticator].header if asked.auth else None,
        )

    def _storage(self, queue: settings.SendingQueue) -> settings.FileStorage | None:
        return dict(self._extensions(settings.FileStorage)).get(queue.storage)

    def _pipelines(self, exporters: Mapping[str, Exporter]) -> dict[str, Pipeline]:
        processors = Processors(self._config.processors, self._counts, self._say)
        pipelines = {}
        for name, parts in self._config.service.pipelines.items():
            behind = [self._counted(exporters[each], each) for each in parts.exporters]
            # a file refuses what it cannot write, also behind a queue on disk, which would then get it again and again
            pipelines[name] = Pipeline(
                name,
                tuple(processors.of(each, signal_of(name)) for each in parts.processors),
                tuple(sorted(behind, key=lambda each: (not each.durable, isinstance(each, Sender)))),
            )
        return pipelines

    def _counted(self, exporter: Exporter, name: str) -> Exporter:
        return exporter if isinstance(exporter, Sender) else CountedExporter(exporter, name, self._counts)

    def _receiver(self, name: str, pipelines: Mapping[str, Pipeline]) -> Iterator[Service]:
        """What serves the protocols of one receiver, for the signals that have a pipeline behind it."""
        named = {
            each: pipelines[each] for each, parts in self._config.service.pipelines.items() if name in parts.receivers
        }
        intakes = {
            signal: Tallied(Fanout(behind), self._tally) if self._tallies else Fanout(behind)
            for signal in SIGNALS.values()
            if (behind := tuple(pipeline for each, pipeline in named.items() if signal_of(each) is signal))
        }
        for asked, kind in self._servers(self._config.receivers[name].protocols):
            tokens = self._tokens[asked.auth.authenticator] if asked.auth else None
            yield kind(asked, intakes, self._say, self._counts, tokens, allow_remote=self._allow_remote, receiver=name)

    def _servers(self, protocols: settings.Protocols) -> Iterator[tuple[Any, Any]]:
        if protocols.http:
            yield protocols.http, HTTPReceiver
        if protocols.grpc:
            yield protocols.grpc, GRPCReceiver

    def _readers(self) -> tuple[settings.Reader, ...]:
        metrics = self._config.service.telemetry.metrics
        return () if metrics.level == "none" else metrics.readers

    def _pages(self) -> Iterator[MetricsPage]:
        for reader in self._readers():
            where = reader.pull.exporter.prometheus
            yield MetricsPage(where, self._counts, self._say, self._tally, allow_remote=self._allow_remote)

    def _figures(self, exporters: Mapping[str, Exporter]) -> Figures:
        """What the view and the last line tell of."""
        return Figures(
            self._counts,
            self._tally,
            tuple(
                Destination(name, each.url, each.down_since)
                for name, each in exporters.items()
                if isinstance(each, Sender)
            ),
            tuple(
                File(each.path, partial(getattr, each, "written_bytes"))
                for each in exporters.values()
                if isinstance(each, FileExporter)
            ),
        )


def reached_as(listening: str) -> tuple[str, ...]:
    """The hosts by which this machine reaches what listens on an IP address, as far as they are known."""
    return LOOPBACK if listening in (*LOOPBACK, *EVERYWHERE) else (listening,)


def signal_of(pipeline: str) -> Signal:
    """The signal of a pipeline, by its id."""
    return SIGNALS[pipeline.partition("/")[0]]
