"""`llmtrace init --from FILE… [--output llmtrace.toml]`: a first rule file for `llmtrace check` from a good run."""

from __future__ import annotations

import argparse
import sys

from llmtrace_otel.check.errors import NotEvaluableError
from llmtrace_otel.check.rules.first import first_rules
from llmtrace_otel.cli.errors import UsageError
from llmtrace_otel.cli.problems import Problems


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from",
        dest="files",
        nargs="+",
        required=True,
        metavar="FILE",
        help="OTLP-JSON lines of a good run, also gzip",
    )
    parser.add_argument(
        "--output", default="llmtrace.toml", metavar="TOML", help="file to write (default: llmtrace.toml)"
    )


def run(args: argparse.Namespace) -> int:
    """Exit code 0 if the file was written, 3 if no call of a model is recorded. Raises UsageError."""
    if "-" in args.files:
        raise UsageError("the recording is read more than once: name a file in place of -")
    problems = Problems("init")
    try:
        text = first_rules(args.files, problems.add)
    except NotEvaluableError as error:
        problems.print()
        raise UsageError(f"{', '.join(args.files)}: {error}, so there is nothing to make rules of", 3) from None
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}. Name files of OTLP-JSON lines", 3) from None
    problems.print()
    _write(args.output, text)
    print(f"{args.output} written. Check a recording with: llmtrace check FILE", file=sys.stderr)
    return 0


def _write(path: str, text: str) -> None:
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} is there already; name another file with --output, or remove it") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None
