"""Files of recorded spans and rules for tests of `llmtrace check`, and the command as people run it."""

import json
import os

import pytest
from check_helpers import spans

from llmtrace_otel.cli import main

TRACE = "7f3a91c2d4e5f60718293a4b5c6d7e8f"
OTHER = "c0ffee00d4e5f60718293a4b5c6d7e8f"

AGENT = """
agent planner session=s-42
  llm gpt-5-mini in=1200 out=85 cache=0 usd=0.0011 llmtrace.cost.pricing_version=2026-11-18a
  tool search {"q": "cats"}
  llm gpt-5-mini in=2400 out=310 cache=1200 usd=0.0034
  tool delete_file {"path": "a"} error=PermissionError
  llm gpt-5 in=3100 out=420 usd=0.0182
"""


def lines(*texts):
    """Lines of OTLP JSON, one for each span of the texts, of which each is a trace."""
    ids = [TRACE, OTHER, *(f"{number:032x}" for number in range(3, len(texts) + 1))]
    return "".join(line(span) for text, trace in zip(texts, ids, strict=False) for span in spans(text, trace))


def line(span):
    """The span as a line."""
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [encoded(span)]}]}]}) + "\n"


def encoded(span):
    return {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "parentSpanId": span.parent_id,
        "name": span.name,
        "startTimeUnixNano": str(span.start),
        "endTimeUnixNano": str(span.end),
        "attributes": [{"key": key, "value": value(held)} for key, held in span.attributes.items()],
        "status": {"code": {"unset": 0, "ok": 1, "error": 2}[span.status]},
    }


def value(held):
    return {{bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}[type(held)]: held}


class Folder:
    """A working directory of files, and commands run in it."""

    def __init__(self, path, capsys):
        self.path = path
        self._capsys = capsys

    def write(self, name, content):
        data = content if isinstance(content, bytes) else content.encode()
        (self.path / name).write_bytes(data)

    def run(self, *arguments):
        """The exit code, standard output, standard error."""
        try:
            code = main(list(arguments))
        except SystemExit as ended:  # argparse's way to refuse an option
            code = ended.code
        return code, *self._capsys.readouterr()

    def check(self, rules, *texts, options=()):
        """`llmtrace check` on traces by those rules: exit code and output. There are no messages."""
        self.write("llmtrace.toml", rules)
        self.write("t.jsonl", lines(*(texts or [AGENT])))
        code, out, err = self.run("check", "t.jsonl", *options)
        assert err == ""
        return code, out


@pytest.fixture
def folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    assert os.listdir() == []
    return Folder(tmp_path, capsys)
