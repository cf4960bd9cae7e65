import gzip
import io
import json
import sys

import pytest
from profiled import call, line, prices, tool

from llmtrace_otel.cli import main
from llmtrace_otel.telemetry import prices_published, semconv

assert prices  # the fixture, for every test here

LIST = f"genai-prices {prices_published.version()}"
PLANNER = {semconv.AGENT_NAME: "planner", semconv.SESSION_ID: "s-1"}


@pytest.fixture
def diff(tmp_path, monkeypatch, capsys):
    """Writes two recordings, runs `llmtrace diff` on them, gives exit code, output and messages."""
    monkeypatch.chdir(tmp_path)

    def run(old, new, *options):
        for name, content in (("old.jsonl", old), ("new.jsonl", new)):
            if content is not None:
                (tmp_path / name).write_bytes(content if isinstance(content, bytes) else line(*content).encode())
        code = main(["diff", "old.jsonl", "new.jsonl", *options])
        return code, *capsys.readouterr()

    return run


OLD = [call(1000, 100), call(1000, 100, "long"), tool("search")]
NEW = [call(1000, 100, cached=500), call(1000, 100, "long"), call(500, 50, "long"), tool("search"), tool("delete_file")]


def test_two_recordings_stand_beside_each_other(diff):
    assert diff(OLD, NEW) == (
        0,
        f"""\
               old.jsonl  new.jsonl          Δ       %
calls                  2          3         +1    +50%  worse
input tokens       2,000      2,500       +500    +25%  worse
output tokens        200        250        +50    +25%  worse
cached tokens          0        500       +500   was 0
cost              $0.004   $0.00455  +$0.00055  +13.7%  worse
tools                  1          2         +1   +100%  worse
errors                 0          0          =
duration            1.0s       1.0s          =

acme/long
  calls                1          2         +1   +100%  worse
  tokens           1,100      1,650       +550    +50%  worse
  cost            $0.002     $0.003    +$0.001    +50%  worse

acme/small
  calls                1          1          =
  tokens           1,100      1,100          =
  cost            $0.002   $0.00155  −$0.00045  −22.5%

costs of both by the prices of now: test prices, {LIST}
more than 10% worse: tokens, calls, tools, tool delete_file, cost
""",
        "",
    )


def test_the_same_recording_is_the_same(diff):
    code, output, _ = diff(OLD, OLD, "--exit-code")
    assert code == 0
    assert output.endswith(
        f"""\
duration            1.0s       1.0s  =

the same in both: acme/long, acme/small
costs of both by the prices of now: test prices, {LIST}
nothing is more than 10% worse
"""
    )


def test_a_tolerance_is_for_all_that_can_be_worse(diff):
    _, output, _ = diff(OLD, NEW, "--tolerance", "100%")
    assert "worse\n" not in output
    assert output.endswith("more than 100% worse: tool delete_file\n")


def test_the_exit_code_tells_when_asked(diff):
    assert [diff(OLD, NEW)[0], diff(OLD, NEW, "--exit-code")[0], diff(NEW, OLD, "--exit-code")[0]] == [0, 1, 0]


def test_what_is_not_known_is_told(diff):
    assert diff([call(1000, 100)], [call(1000, 100), call(9, 9, "foo"), call(None, None)])[1] == (
        f"""\
               old.jsonl   new.jsonl    Δ      %
calls                  1           3   +2  +200%  worse
input tokens       1,000   1,009 + ?    ?      ?
output tokens        100     109 + ?    ?      ?
cached tokens          0           ?    ?      ?
cost              $0.002  $0.002 + ?    ?      ?
tools                  0           0    =
errors                 0           0    =
duration            1.0s        1.0s    =

acme/foo
  calls                0           1   +1  was 0  worse
  tokens               0          18  +18  was 0  worse
  cost             $0.00           ?    ?      ?

acme/small
  calls                1           2   +1  +100%  worse
  tokens           1,100   1,100 + ?    ?      ?
  cost            $0.002  $0.002 + ?    ?      ?

the cost of new.jsonl is not known: no price for 'acme/foo'; give one in LLMTRACE_PRICES
costs of both by the prices of now: test prices, {LIST}
more than 10% worse: calls, model acme/foo
"""
    )


def test_by_tool(diff):
    _, output, _ = diff(OLD, [*NEW, tool("search")], "--by", "tool")
    assert output.split("\n\n")[1].splitlines() == [
        "tools",
        "  delete_file          0          1         +1   was 0  worse",
        "  search               1          2         +1   +100%  worse",
    ]


@pytest.mark.parametrize(("by", "name"), [("agent", "planner"), ("session", "s-1")])
def test_by_what_spans_name(diff, by, name):
    old, new = [call(10, 1), call(10, 0, **PLANNER)], [call(10, 1), call(20, 0, **PLANNER)]
    _, output, _ = diff(old, new, "--by", by)
    assert output.split("\n\n", 1)[1] == (
        f"""\
{name}
  calls                1          1          =
  tokens              10         20        +10   +100%  worse
  cost          $0.00001   $0.00002  +$0.00001   +100%  worse

the same in both: –
costs of both by the prices of now: test prices, {LIST}
more than 10% worse: tokens, cost
"""
    )


def test_as_markdown(diff):
    assert diff([call(1000, 100, "a|b")], [call(2000, 100, "a|b")], "--md")[1] == (
        f"""\
| | old.jsonl | new.jsonl | Δ | % | |
|---|--:|--:|--:|--:|---|
| calls | 1 | 1 | = |  |  |
| input tokens | 1,000 | 2,000 | +1,000 | +100% | worse |
| output tokens | 100 | 100 | = |  |  |
| cached tokens | 0 | 0 | = |  |  |
| cost | ? | ? | ? | ? |  |
| tools | 0 | 0 | = |  |  |
| errors | 0 | 0 | = |  |  |
| duration | 1.0s | 1.0s | = |  |  |
| **acme/a\\|b** | | | | | |
| calls | 1 | 1 | = |  |  |
| tokens | 1,100 | 2,100 | +1,000 | +90.9% | worse |
| cost | ? | ? | ? | ? |  |

- the cost of old.jsonl is not known: no price for 'acme/a\\|b'; give one in LLMTRACE_PRICES
- the cost of new.jsonl is not known: no price for 'acme/a\\|b'; give one in LLMTRACE_PRICES
- costs of both by the prices of now: test prices, {LIST}
- more than 10% worse: tokens
"""
    )


def test_as_json(diff):
    document = json.loads(diff([call(10, 1)], [call(10, 1), call(failed="timeout")], "--json")[1])
    was_0 = {"old": 0, "ratio": None, "worse": True}
    assert document == {
        "old": "old.jsonl",
        "new": "new.jsonl",
        "tolerance": 0.1,
        "prices": f"test prices, {LIST}",
        "rows": [
            {"of": None, "name": "calls", "old": 1, "new": 2, "worse": True},
            {"of": None, "name": "input tokens", "old": 10, "new": 10, "worse": False},
            {"of": None, "name": "output tokens", "old": 1, "new": 1, "worse": False},
            {"of": None, "name": "cached tokens", "old": 0, "new": 0, "worse": False},
            {"of": None, "name": "cost", "old": 2e-05, "new": 2e-05, "worse": False},
            {"of": None, "name": "tools", "old": 0, "new": 0, "worse": False},
            {"of": None, "name": "errors", "old": 0, "new": 1, "worse": True},
            {"of": None, "name": "duration", "old": 1.0, "new": 1.0, "worse": False},
            {"of": "acme/small", "name": "calls", "old": 1, "new": 2, "worse": True},
            {"of": "acme/small", "name": "tokens", "old": 11, "new": 11, "worse": False},
            {"of": "acme/small", "name": "cost", "old": 2e-05, "new": 2e-05, "worse": False},
        ],
        "changes": [
            {"name": "calls", "old": 1, "new": 2, "ratio": 2.0, "worse": True}
            | {"text": "calls  1 → 2 (+100%, 10% allowed)"},
            {"name": "errors", "new": 1, "text": "errors  0 → 1 (was 0)"} | was_0,
        ],
    }


def test_a_number_that_is_not_known_is_null(diff):
    document = json.loads(diff([call(10, 1)], [call(10, 1, "foo")], "--json")[1])
    assert {"of": None, "name": "cost", "old": 2e-05, "new": None, "worse": False} in document["rows"]


def test_gzip_and_standard_input(diff, monkeypatch, tmp_path, capsys):
    old = gzip.compress(line(*OLD).encode())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(old))))
    (tmp_path / "new.jsonl.gz").write_bytes(old)
    assert main(["diff", "-", str(tmp_path / "new.jsonl.gz")]) == 0
    assert capsys.readouterr().out.endswith("nothing is more than 10% worse\n")


def test_a_span_that_was_exported_twice_counts_once(diff):
    assert diff(OLD, [*OLD, *OLD])[1].endswith("nothing is more than 10% worse\n")


def test_a_terminal_cannot_be_moved_by_a_name(diff):
    _, output, _ = diff(OLD, [call(1, 1, "evil\x1b[2J"), tool("t\x1b[2J")])
    assert "\x1b" not in output


def test_an_output_that_cannot_encode_a_sign_does_not_fail(diff, monkeypatch):
    printed = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, encoding="ascii"))
    diff(OLD, OLD)
    sys.stdout.flush()
    assert printed.getvalue().startswith(b"               old.jsonl  new.jsonl  ?  %\n")


def test_lines_that_cannot_be_read_are_told(diff):
    content = line(*OLD).encode() + b"what?\n" * 7
    code, _, messages = diff(OLD, content)
    assert code == 0
    assert len(messages.splitlines()) == 6
    assert messages.splitlines()[0].startswith("llmtrace diff: new.jsonl: line 2: ")
    assert messages.splitlines()[5] == "llmtrace diff: and 2 more"


@pytest.mark.parametrize(
    ("new", "options", "code", "message"),
    [
        (b"", (), 3, "llmtrace diff: no spans in new.jsonl, so there is nothing to compare"),
        (None, (), 2, "llmtrace diff: new.jsonl: No such file or directory; name a file of OTLP-JSON lines, or -"),
    ],
)
def test_what_cannot_be_compared_says_why(diff, new, options, code, message):
    assert diff(OLD, new, *options) == (code, "", f"{message}\n")


def test_standard_input_is_one_file_only(capsys):
    assert main(["diff", "-", "-"]) == 2
    message = "llmtrace diff: only one of the two can be standard input; name a file for the other\n"
    assert capsys.readouterr().err == message


def test_a_tolerance_that_is_none_is_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["diff", "a", "b", "--tolerance", "ten"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith(
        "argument --tolerance: tolerance 'ten': write a share such as 10% or 0.1, 0 or more\n"
    )
