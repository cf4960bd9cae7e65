"""`llmtrace collect`: the embedded collector. Receives OTLP, writes OTLP JSON lines, forwards them if told."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from llmtrace_otel.cli.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from llmtrace_collector.config.settings import Config, OTLPReceiver, PipelineSettings, Settings

T = TypeVar("T")

MISSING = "the collector is not installed ({module} is missing); run: pip install 'llmtrace-otel[collector]'"
JAEGER_UI_PORT = 16686
PREFIX = "llmtrace collect: "


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        action="append",
        help="a collector configuration; more are merged into it",
    )
    parser.add_argument("--check", action="store_true", help="say what the configuration does, and start nothing")
    parser.add_argument(
        "--endpoint", metavar="HOST:PORT", help="serve OTLP/HTTP here (default 127.0.0.1:4318; port 0: any)"
    )
    parser.add_argument(
        "--grpc-endpoint",
        metavar="HOST:PORT",
        help="OTLP/gRPC here (default 127.0.0.1:4317, none with --endpoint)",
    )
    parser.add_argument("--output", metavar="FILE", help="append spans to this file (default traces.jsonl)")
    parser.add_argument(
        "--forward", metavar="TO", help="also send spans to this OTLP endpoint: a URL for HTTP, HOST:PORT for gRPC"
    )
    parser.add_argument("--jaeger", metavar="TO", help="the same, for a Jaeger: its OTLP endpoint")
    parser.add_argument("--allow-remote", action="store_true", help="allow an address that other machines can reach")
    parser.add_argument("--plain", action="store_true", help="lines only, also on a terminal")


def run(args: argparse.Namespace) -> int:
    """Collects until SIGINT or SIGTERM. Raises UsageError when it cannot start."""
    try:
        from llmtrace_collector.config.explain import explain
        from llmtrace_collector.errors import ConfigError
        from llmtrace_collector.run import collect
    except ModuleNotFoundError as error:
        raise UsageError(MISSING.format(module=error.name)) from error
    try:
        config = configured(args)
        if args.check:
            print("\n".join(explain(config)))
        else:
            live = PREFIX if sys.stderr.isatty() and not args.plain else None
            collect(config, say, allow_remote=args.allow_remote, live=live)
    except ConfigError as error:
        raise UsageError(str(error)) from error
    return 0


def configured(args: argparse.Namespace) -> Config:
    """The configuration files, or the default, with the command line's words over them. Raises ConfigError."""
    from llmtrace_collector.config import loader, settings

    config = loader.load(*args.config) if args.config else settings.DEFAULT
    if args.endpoint or args.grpc_endpoint:
        config = replace(config, receivers={"otlp": _listening(config, args)})
        config = _piped(config, lambda _, pipeline: replace(pipeline, receivers=("otlp",)))
    if args.output:
        config = _written_to(config, Path(args.output))
    for flag in ("forward", "jaeger"):
        if text := getattr(args, flag):
            name = f"otlp/{flag}"
            if not any(pipeline.partition("/")[0] == "traces" for pipeline in config.service.pipelines):
                raise UsageError(f"--{flag}: the configuration has no pipeline of traces")
            config = replace(config, exporters={**config.exporters, name: _destination(f"--{flag}", text)})
            config = _piped(config, _traces_also_to(name))
    return config


def _listening(config: Config, args: argparse.Namespace) -> OTLPReceiver:
    """The receiver at the addresses that were given; the rest of its settings is the first configured one's."""
    from llmtrace_collector.config import settings
    from llmtrace_collector.config.values import Address

    protocols = next(iter(config.receivers.values())).protocols
    http, grpc = protocols.http or settings.HTTPServer(), protocols.grpc or settings.GRPCServer()
    if args.endpoint:
        http = replace(http, endpoint=_parsed("--endpoint", args.endpoint, Address.parse))
    if args.grpc_endpoint:
        grpc = replace(grpc, endpoint=_parsed("--grpc-endpoint", args.grpc_endpoint, Address.parse))
    return settings.OTLPReceiver(
        settings.Protocols(http=http if args.endpoint else protocols.http, grpc=grpc if args.grpc_endpoint else None)
    )


def _destination(flag: str, text: str) -> Settings:
    """Where to forward to, without an end of trying: the file has everything meanwhile."""
    from llmtrace_collector.config import settings
    from llmtrace_collector.config.values import Duration, base_url, target

    retry = settings.Retry(initial_interval=Duration(1.0), max_elapsed_time=Duration(0.0))
    if "://" in text:
        url = _parsed(flag, text, base_url)
        _refuse_page(flag, urlsplit(url).port)
        return settings.OTLPHTTPExporter(endpoint=url, compression="none", retry_on_failure=retry)
    to = _parsed(flag, text, target)
    _refuse_page(flag, urlsplit(f"//{to}").port)
    insecure = settings.TLSClient(insecure=True)
    return settings.OTLPGRPCExporter(endpoint=to, compression="none", tls=insecure, retry_on_failure=retry)


def _refuse_page(flag: str, port: int | None) -> None:
    if port == JAEGER_UI_PORT:
        raise UsageError(f"{flag}: {port} is the port of Jaeger's page; give that of its OTLP, 4318 by default")


def _written_to(config: Config, output: Path) -> Config:
    """The configuration with its files replaced: traces into `output`, other signals beside it.

    A pipe or a device takes all signals. Of several pipelines of a signal those write it that wrote a file before, if
    there are any: the others may have the same spans.
    """
    from llmtrace_collector.config import settings

    alone = output.exists() and not output.is_file()
    paths = {
        signal: output if alone or signal == "traces" else output.parent / f"{signal}.jsonl"
        for signal in settings.SIGNALS
    }
    files = {name for name, kind in config.exporters.items() if isinstance(kind, settings.FileExporter)}
    added = {f"file/{signal}": settings.FileExporter(str(path), append=True) for signal, path in paths.items()}

    pipelines = config.service.pipelines.items()
    writing = {name.partition("/")[0] for name, pipeline in pipelines if files.intersection(pipeline.exporters)}

    def instead(signal: str, pipeline: PipelineSettings) -> PipelineSettings:
        kept = tuple(name for name in pipeline.exporters if name not in files)
        writes = signal not in writing or len(kept) < len(pipeline.exporters)
        return replace(pipeline, exporters=(*kept, f"file/{signal}") if writes else kept)

    return _piped(replace(config, exporters={**config.exporters, **added}), instead)


def _traces_also_to(exporter: str) -> Callable[[str, PipelineSettings], PipelineSettings]:
    def also(signal: str, pipeline: PipelineSettings) -> PipelineSettings:
        return replace(pipeline, exporters=(*pipeline.exporters, exporter)) if signal == "traces" else pipeline

    return also


def _piped(config: Config, change: Callable[[str, PipelineSettings], PipelineSettings]) -> Config:
    """The configuration with every pipeline changed; `change` gets its signal's name and the pipeline."""
    pipelines = {name: change(name.partition("/")[0], pipeline) for name, pipeline in config.service.pipelines.items()}
    return replace(config, service=replace(config.service, pipelines=pipelines))


def _parsed(flag: str, text: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise UsageError(f"{flag}: {error}") from error


def say(line: str) -> None:
    """Shows one line on standard error; a closed one stops nothing."""
    with suppress(OSError):
        print(PREFIX + line, file=sys.stderr, flush=True)
