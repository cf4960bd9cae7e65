"""`llmtrace check FILE… [--rules llmtrace.toml] [--max-cost 0.05 …]`: whether recorded traces keep to rules, for CI.

Rules are in `--rules`, else in `llmtrace.toml`, else in `[tool.llmtrace]` of `pyproject.toml`, both of the working
directory; options add limits to them or replace theirs. Exit code: 0 all is kept, 1 something is broken, 2 the rules or
the options are wrong, 3 it cannot be told. What is broken for sure goes first.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import structs

from llmtrace_otel.check.budget import limit
from llmtrace_otel.check.compare import parse_tolerance
from llmtrace_otel.check.errors import RuleError
from llmtrace_otel.check.formats import FORMATS, markdown
from llmtrace_otel.check.rules import values
from llmtrace_otel.check.rules.engine import check
from llmtrace_otel.check.rules.explain import explain
from llmtrace_otel.check.rules.load import found_in, load
from llmtrace_otel.check.rules.model import Baseline, Origin, Rules
from llmtrace_otel.check.rules.schema import schema_text
from llmtrace_otel.cli.errors import UsageError
from llmtrace_otel.cli.problems import Problems

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from llmtrace_otel.check.rules.report import Report

LIMITS: Final = {"cost": "USD", "tokens": "N", "calls": "N", "tools": "N", "duration": "TIME"}
WHOLE: Final = ("json", "junit", "markdown")
"""Formats that are documents: nothing else may stand beside them."""

GC_THRESHOLD: Final = 50_000
SUMMARY_VARIABLE: Final = "GITHUB_STEP_SUMMARY"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="*", metavar="FILE", help="OTLP-JSON lines, also gzip; - is standard input")
    parser.add_argument("--rules", metavar="TOML", help="rule file (default: llmtrace.toml, or pyproject.toml)")
    for name, unit in LIMITS.items():
        parser.add_argument(
            f"--max-{name}",
            type=_checked(lambda text, name=name: limit(name, text)),  # type: ignore[misc]
            metavar=unit,
            help=f"most {'US dollars' if name == 'cost' else name} of a group",
        )
    parser.add_argument(
        "--group", type=_checked(values.grouping), metavar="BY", help="trace (default), session, file or attr:KEY"
    )
    parser.add_argument(
        "--format",
        action="append",
        type=_formats,
        metavar="FORMAT[=FILE],…",
        help=f"{', '.join(FORMATS)}; default: text",
    )
    parser.add_argument("--baseline", metavar="FILE", help="recorded spans: no more than these may be used")
    parser.add_argument(
        "--tolerance", type=_checked(parse_tolerance), metavar="SHARE", help="how much more (default: 10%%)"
    )
    parser.add_argument("--explain", metavar="ID", help="say what a rule asks for, and end")
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of rule files, and end")


def _checked(read: Callable[[Any], Any]) -> Callable[[str], Any]:
    """A reader of an option's value whose RuleError argparse shows."""

    def checked(text: str) -> Any:
        try:
            return read(text)
        except (RuleError, OverflowError) as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked


class Output(NamedTuple):
    """A format, and the file it goes to; "" for standard output."""

    format: str
    file: str


def _formats(text: str) -> list[Output]:
    outputs = []
    for word in text.split(","):
        name, equals, file = word.strip().partition("=")
        if name not in FORMATS or (equals and not file):
            raise argparse.ArgumentTypeError(f"{word!r}: write {', '.join(FORMATS)}, or such as junit=report.xml")
        outputs.append(Output(name, file))
    return outputs


def run(args: argparse.Namespace) -> int:
    """Exit codes as above. Raises UsageError."""
    if args.schema:
        print(schema_text(), end="")
        return 0
    rules = _rules(args)
    if args.explain is not None:
        print(_explained(rules, args.explain), end="")
        return 0
    outputs = _outputs(args.format)
    _check_files(args.files)
    problems = Problems("check")
    report = _report(rules, args.files, problems)
    report.unread = problems.count
    problems.print()
    for output in outputs:
        _write(output, report)
    if not report.spans and (problems.count or rules.defaults.on_no_spans == "error"):
        return _nothing(args.files, problems)
    return report.exit_code


def _rules(args: argparse.Namespace) -> Rules:
    """The rules of the file, with what the options say instead."""
    try:
        file = args.rules or found_in(".")
        rules = load(file) if file else Rules()
    except RuleError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}. `llmtrace init --from FILE` writes rules") from None
    limits = {name: most for name in LIMITS if (most := getattr(args, f"max_{name}")) is not None}
    rules = _with_baseline(rules.with_limits(limits).grouped(args.group), args)
    if rules.empty:
        told = f"{file} has no rules" if file else "there are no rules"
        raise UsageError(f"{told}: give limits such as --max-cost 0.05, or write some with: llmtrace init --from FILE")
    return rules


def _with_baseline(rules: Rules, args: argparse.Namespace) -> Rules:
    baseline = rules.baseline
    if args.baseline:
        baseline = Baseline(file=args.baseline, level="error", origin=Origin("--baseline"))
    if args.tolerance is not None:
        if baseline is None:
            raise UsageError("--tolerance is about a baseline: name one with --baseline FILE")
        baseline = structs.replace(baseline, tolerance=args.tolerance)
    return structs.replace(rules, baseline=baseline)


def _explained(rules: Rules, name: str) -> str:
    try:
        return explain(rules, name)
    except RuleError as error:
        raise UsageError(str(error)) from None


def _outputs(formats: list[list[Output]] | None) -> list[Output]:
    """What to write, once two documents do not share standard output."""
    outputs = [output for found in formats or [[Output("text", "")]] for output in found]
    printed = [output.format for output in outputs if not output.file]
    if len(printed) > 1 and (whole := [name for name in printed if name in WHOLE]):
        raise UsageError(f"{whole[0]} cannot share standard output; give it a file: --format {whole[0]}=FILE")
    return outputs


def _check_files(files: list[str]) -> None:
    if not files:
        raise UsageError("name a file of recorded spans, or - for standard input")
    if files.count("-") > 1:
        raise UsageError("standard input can be read once: name - once")


def _report(rules: Rules, files: list[str], problems: Problems) -> Report:
    thresholds = gc.get_threshold()
    gc.set_threshold(GC_THRESHOLD)  # spans are no garbage, and thousands come and go
    try:
        return check(rules, files, problems.add)
    except OSError as error:
        if error.filename is None:  # a damaged or a full disk
            told = f"{error.strerror}. Free space for temporary files, or name another place in TMPDIR"
            raise UsageError(f"spans could not be read or put away: {told}", 3) from None
        raise UsageError(f"{error.filename}: {error.strerror}. Name files of OTLP-JSON lines", 3) from None
    finally:
        gc.set_threshold(*thresholds)


def _write(output: Output, report: Report) -> None:
    told = FORMATS[output.format](report)
    if output.file:
        _to_file(output.file, told, "w")
    else:
        _to_stdout(told)
    if output.format == "github" and (summary := os.environ.get(SUMMARY_VARIABLE)):
        _to_file(summary, markdown.write(report), "a")


def _to_stdout(told: str) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    print(told.encode(encoding, "replace").decode(encoding), end="")


def _to_file(path: str, told: str, mode: str) -> None:
    try:
        with open(path, mode, encoding="utf-8", errors="replace") as file:
            file.write(told)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None


def _nothing(files: Iterable[str], problems: Problems) -> int:
    names = ", ".join("standard input" if file == "-" else file for file in files)
    why = "none of its lines is a readable line of OTLP-JSON traces" if problems.count else "it is empty"
    print(f"llmtrace check: no spans in {names}: {why}", file=sys.stderr)
    return 3
