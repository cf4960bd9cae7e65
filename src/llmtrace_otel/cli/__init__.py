"""The `llmtrace` command: one module per sub-command, imported only when it is asked for.

A command module offers `configure(parser)`, which adds its arguments, and `run(args) -> int`, which returns the exit
code. A user's mistake is a `UsageError` with one line that says what was wrong and what to do; there is no traceback.
Exit codes: 0 done, 1 the thing asked about failed, 2 wrong usage or configuration, 3 could not be evaluated.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import TYPE_CHECKING

from llmtrace_otel.cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "run": "run any program and record the LLM calls that it and its children make",
    "show": "print recorded traces as a tree with tokens, cost and time",
    "diff": "compare what two recordings used: calls, tokens, cost, tools",
    "export": "write recorded calls in another form: one conversation record per line",
    "check": "hold recorded calls to budgets and rules; the exit code says whether they are kept",
    "init": "write a first rule file for check from a recording of a good run",
    "collect": "receive spans over OTLP, write them as JSON lines, forward them if told",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one `llmtrace` command and returns its exit code. `argv` defaults to the process's arguments."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="llmtrace", description="See every LLM call that a program makes.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    for name, summary in COMMANDS.items():
        sub = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name == chosen:  # the others' modules stay unimported
            importlib.import_module(f"llmtrace_otel.cli.{name}").configure(sub)
    args = parser.parse_args(arguments)
    command = importlib.import_module(f"llmtrace_otel.cli.{args.command}")
    try:
        return int(command.run(args))
    except UsageError as error:
        print(f"llmtrace {args.command}: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `llmtrace show … | head`: the reader has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
