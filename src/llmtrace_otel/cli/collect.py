"""`llmtrace collect`: the embedded collector. Receives OTLP/HTTP, writes OTLP JSON lines, forwards them if told."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from llmtrace_otel.cli.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from llmtrace_collector.config import Config

T = TypeVar("T")

MISSING = "the collector is not installed ({module} is missing); run: pip install 'llmtrace-otel[collector]'"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="a collector configuration, as otel-collector.yaml")
    parser.add_argument(
        "--endpoint", metavar="HOST:PORT", help="listen here (default 127.0.0.1:4318; port 0: any free)"
    )
    parser.add_argument("--output", metavar="FILE", help="append spans to this file (default traces.jsonl)")
    parser.add_argument("--forward", metavar="URL", help="also send spans to this OTLP/HTTP endpoint")
    parser.add_argument("--allow-remote", action="store_true", help="allow an address that other machines can reach")


def run(args: argparse.Namespace) -> int:
    """Collects until SIGINT or SIGTERM. Raises UsageError when it cannot start."""
    try:
        from llmtrace_collector.errors import ConfigError
        from llmtrace_collector.run import collect
    except ModuleNotFoundError as error:
        raise UsageError(MISSING.format(module=error.name)) from error
    try:
        collect(configured(args), say, allow_remote=args.allow_remote)
    except ConfigError as error:
        raise UsageError(str(error)) from error
    return 0


def configured(args: argparse.Namespace) -> Config:
    """The configuration file, or the default, with the command line's words over it. Raises ConfigError."""
    from llmtrace_collector import config as collector

    config = collector.load(args.config) if args.config else collector.DEFAULT
    exporters = list(config.exporters)
    if args.endpoint:
        address = _parsed("--endpoint", args.endpoint, collector.Address.parse)
        config = replace(config, http=replace(config.http, endpoint=address))
    if args.output:
        exporters = [kept for kept in exporters if not isinstance(kept, collector.FileExporter)]
        exporters.append(collector.FileExporter(args.output, append=True))
    if args.forward:
        url = _parsed("--forward", args.forward, collector.base_url)
        exporters.append(collector.OTLPHTTPExporter(url, compression="none"))
    return replace(config, exporters=tuple(exporters))


def _parsed(flag: str, text: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise UsageError(f"{flag}: {error}") from error


def say(line: str) -> None:
    """Shows one line on standard error; a closed one stops nothing."""
    with suppress(OSError):
        print(f"llmtrace collect: {line}", file=sys.stderr, flush=True)
