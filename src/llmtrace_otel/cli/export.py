"""`llmtrace export [FILE|-]`: recorded LLM calls in another form. `--format conversations` is one JSON line per call.

The records are those of `conversations/record.py`, on standard output, in a file, or in a directory with a file for
each session. A file that is there is overwritten; a directory must be new or empty, because files of another run would
get the same calls twice.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmtrace_otel.cli.errors import UsageError
from llmtrace_otel.conversations.files import FilePerSession
from llmtrace_otel.conversations.from_spans import records
from llmtrace_otel.read import read_spans
from llmtrace_otel.read.text import clean, plural
from llmtrace_otel.telemetry.content import MODE_VARIABLE

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from llmtrace_otel.conversations.record import Record
    from llmtrace_otel.read import Problem

MAX_PROBLEMS: Final = 5


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("file", nargs="?", metavar="FILE", help="OTLP-JSON lines, also gzip; - is standard input")
    parser.add_argument("--format", choices=["conversations"], default="conversations", help="(default: %(default)s)")
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--output", metavar="FILE", help="write to this file (default: standard output)")
    target.add_argument("--directory", metavar="DIR", help="write a file for each session to this new directory")


def run(args: argparse.Namespace) -> int:
    """Exit code 0 if anything was exported, 3 if the file holds no LLM calls. Raises UsageError."""
    path = args.file or os.environ.get("LLMTRACE_OUTPUT") or "traces.jsonl"
    found = _records(path)
    if not found:
        _say(f"no LLM calls in {path}; `llmtrace show {path}` tells what is in it")
        return 3
    try:
        _write(found, args, path)
    except OSError as error:
        raise UsageError(f"{error.filename or args.output or args.directory}: {error.strerror or error}") from None
    _tell_missing(found)
    return 0


def _records(path: str) -> list[Record]:
    problems: list[Problem] = []
    try:
        found = list(records(read_spans(path, problems.append)))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; name a file of OTLP-JSON lines, or -") from None
    for problem in problems[:MAX_PROBLEMS]:
        _say(clean(str(problem)))
    if len(problems) > MAX_PROBLEMS:
        _say(f"and {len(problems) - MAX_PROBLEMS} more lines that could not be read")
    return found


def _write(found: Iterable[Record], args: argparse.Namespace, source: str) -> None:
    if args.directory:
        files = FilePerSession(_new_directory(Path(args.directory)))
        for record in found:
            files.write(record)
    elif args.output:
        _overwrite(found, Path(args.output), source)
    else:
        sys.stdout.buffer.writelines(record.line() for record in found)
        sys.stdout.flush()


def _new_directory(path: Path) -> Path:
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(f"{path} is there and not empty; name a new directory")
    return path


def _overwrite(found: Iterable[Record], path: Path, source: str) -> None:
    if path.exists() and Path(source).exists() and path.samefile(source):
        raise UsageError(f"{path} is the file that is read; name another")
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as stream:
        stream.writelines(record.line() for record in found)


def _tell_missing(found: list[Record]) -> None:
    without = sum(record.messages is None for record in found if record.operation != "embeddings")
    if without:
        _say(f"{plural(without, 'call')} without content: recorded without {MODE_VARIABLE}=span_only")


def _say(line: str) -> None:
    print(f"llmtrace export: {line}", file=sys.stderr)
