"""`llmtrace show` as people run it: whole outputs compared."""

import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmtrace_otel.cli import main

DATA = Path(__file__).parent.parent / "read" / "data"
AGENT = DATA / "agent.jsonl"

AGENT_TREE = """\
trace 7f3a91c2  my-agent  sessions s-42, s-42:research  2026-11-18 11:06:40Z  8.4s
  6.7k→815 tokens (16% cached)  $0.0227  4 llm · 1 embed · 5 tools · 2 errors
span                                   0s                    8.4s   time    in→out  cached      cost
agent planner                          ━━━━━━━━━━━━━━━━━━━━━━━━━━   8.4s
├─ llm gpt-5-mini                      ━━━━━━                       1.9s   1.2k→85      0%   $0.0011
├─ tool search                              ━━                     600ms
│  └─ http GET api.search.dev 200           ━━                     600ms
├─ llm gpt-5-mini                             ━━━━━━                2.1s  2.4k→310     46%   $0.0034
├─ tool read_file ×3                                 ━             300ms
├─ tool delete_file ✗ PermissionError                 ━            100ms
└─ agent researcher                                   ━━━━━━━━━━━   3.4s
   ├─ llm gpt-5 ✗ RateLimitError                      ━             50ms         –       –         –
   ├─ embed text-embedding-3-small                    ━             50ms       7→–       –  $1.4e-07
   └─ llm gpt-5                                        ━━━━━━━━━━   3.2s  3.1k→420      0%   $0.0182
"""

WORKER_TREE = """\
trace c0ffee00  worker  session s-43  2026-11-18 11:07:40Z  6.2s  11k→133 tokens (85% cached)
  ~$0.0126 + ?  5 llm · 1 error
span                                0s                       6.2s   time    in→out  cached      cost
llm claude-sonnet-5 ✂ incomplete    ━━━━━━━━━                       2.0s         –       –         ?
llm gpt-5 cache hit                          ━                       2ms    500→20       –     $0.00
llm gpt-5-codex                                   ━━━━━             1.0s  9.0k→100     99%     incl.
llm openrouter/auto                                   ━━━━━         1.0s   1.0k→10      0%   $0.0125
llm local                                                  ━━━━━    1.0s     ~12→3       –  ~$0.0001
process git ✗ 128 (parent missing)                              ━  200ms
workflow nightly … unfinished                                   ·      –
"""

TOTAL = """\
total  2 traces  17k→948 tokens (58% cached)  ~$0.0353 + ?  9 llm · 1 embed · 5 tools · 3 errors
"""


@pytest.fixture
def show(capsys):
    """Runs the command: (exit code, standard output, standard error)."""

    def show(*arguments):
        code = main(["show", *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, out, err

    return show


@pytest.fixture
def recorded(tmp_path):
    """Writes a file of traces and returns its path."""

    def recorded(content):
        path = tmp_path / "t.jsonl"
        path.write_bytes(content)
        return path

    return recorded


def test_all_traces_of_a_file(show):
    assert show(AGENT) == (0, f"{AGENT_TREE}\n{WORKER_TREE}\n{TOTAL}", "")


def test_one_trace_by_the_beginning_of_its_id_in_either_case(show):
    assert show(AGENT, "7f3a") == (0, AGENT_TREE, "")
    assert show(AGENT, "C0FFEE") == (0, WORKER_TREE, "")


def test_full_output_folds_nothing(show):
    _, out, _ = show("--full", AGENT, "7f3a")
    folded = "├─ tool read_file ×3                                 ━             300ms\n"
    assert out == AGENT_TREE.replace(folded, folded.replace(" ×3", "   ").replace("300ms", "100ms") * 3)


def test_a_narrow_output_drops_the_bars_and_keeps_the_errors(show):
    assert show(AGENT, "7f3a", "--width", "60") == (
        0,
        """\
trace 7f3a91c2  my-agent  sessions s-42, s-42:research
  2026-11-18 11:06:40Z  8.4s  6.7k→815 tokens (16% cached)
  $0.0227  4 llm · 1 embed · 5 tools · 2 errors
span                        time    in→out  cached      cost
agent planner               8.4s
├─ llm gpt-5-mini           1.9s   1.2k→85      0%   $0.0011
├─ tool search             600ms
│  └─ http GET api.searc…  600ms
├─ llm gpt-5-mini           2.1s  2.4k→310     46%   $0.0034
├─ tool read_file ×3       300ms
├─ tool dele… ✗ Permissi…  100ms
└─ agent researcher         3.4s
   ├─ llm gp… ✗ RateLimi…   50ms         –       –         –
   ├─ embed text-embeddi…   50ms       7→–       –  $1.4e-07
   └─ llm gpt-5             3.2s  3.1k→420      0%   $0.0182
""",
        "",
    )


def test_the_official_exporters_file(show):
    bar = "━" * 40
    assert show(DATA / "official.jsonl") == (
        0,
        f"""\
trace 7f3a91c2  api  session s  2026-11-18 11:06:40Z  1.0s  10→5 tokens  ?  1 llm · 1 error
span             0s                                  1.0s  time  in→out  cached  cost
agent a          {bar}  1.0s
├─ llm m         {bar}  1.0s    10→5       –     ?
│  └─ http POST  {bar}  1.0s
└─ odd ✗ error   {bar}  1.0s
""",
        "",
    )


def test_the_default_file_is_the_one_that_programs_write(show, monkeypatch, tmp_path):
    monkeypatch.setenv("LLMTRACE_OUTPUT", str(AGENT))
    assert show()[1].startswith("trace 7f3a91c2")
    monkeypatch.delenv("LLMTRACE_OUTPUT")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "traces.jsonl").write_bytes((DATA / "official.jsonl").read_bytes())
    assert show()[1].startswith("trace 7f3a91c2  api")


def test_standard_input(show, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(AGENT.read_bytes())))
    assert show("-", "7f3a") == (0, AGENT_TREE, "")


def test_json_is_a_document_per_trace(show):
    code, out, err = show(AGENT, "--json")
    agent, worker = map(json.loads, out.splitlines())
    assert (code, err, agent["trace_id"], worker["trace_id"]) == (
        0,
        "",
        "7f3a91c2d4e5f60718293a4b5c6d7e8f",
        "c0ffee00d4e5f60718293a4b5c6d7e8f",
    )
    assert [span["name"] for span in agent["spans"][0]["children"]][-1] == "invoke_agent researcher"


def test_a_json_document_whole(show):
    usage = dict.fromkeys(["input", "output", "cache_read", "cache_write", "reasoning"])
    span = {
        "parent_id": "0000000000000001",
        "orphan": False,
        "kind": "span",
        "duration_s": 1.0,
        "model": None,
        "provider": None,
        "session": None,
        "agent": None,
        "usage": usage,
        "usage_estimated": False,
        "cost": {"usd": None, "status": None},
        "cache_hit": False,
        "incomplete": False,
        "error": None,
        "children": [],
    }
    call = {
        "span_id": "0000000000000002",
        "kind": "llm",
        "name": "chat m",
        "start": "2026-11-18T11:06:40.000000+00:00",
        "model": "m",
        "provider": "openai",
        "session": "s",
        "usage": usage | {"input": 10, "output": 5},
        "cost": {"usd": None, "status": "estimated"},
    }
    request = {"span_id": "0000000000000003", "parent_id": "0000000000000002", "kind": "http", "name": "POST"}
    agent = {"span_id": "0000000000000001", "parent_id": None, "kind": "agent", "name": "invoke_agent a", "agent": "a"}
    failed = {"span_id": "0000000000000004", "name": "odd", "error": "error"}
    start = {"start": "2026-11-18T11:06:40.000000+00:00"}
    _, out, _ = show("--json", DATA / "official.jsonl")
    assert json.loads(out) == {
        "trace_id": "7f3a91c2d4e5f60718293a4b5c6d7e8f",
        "sessions": ["s"],
        "start": "2026-11-18T11:06:40.000000+00:00",
        "duration_s": 1.000000003,
        "totals": {
            "llm": 1,
            "embed": 0,
            "tools": 0,
            "errors": 1,
            "usage": usage | {"input": 10, "output": 5},
            "cost_usd": None,
            "actual": 0,
            "estimated": 0,
            "unpriced": 1,
        },
        "spans": [
            span | start | agent | {"children": [
                span | start | call | {"children": [span | start | request]},
                span | start | failed,
            ]}
        ],
    }  # fmt: skip


def test_json_is_ascii_and_keeps_the_exact_names(show, recorded):
    name = "\x1b[2J\x9b2J\u202e模型"
    path = recorded(AGENT.read_bytes().replace(b'"planner"', json.dumps(name).encode()))
    _, out, _ = show("--json", path, "7f3a")
    assert out.isascii()
    assert json.loads(out)["spans"][0]["agent"] == name


def test_names_cannot_drive_the_terminal_or_break_the_columns(show, recorded):
    hostile = json.dumps("\x1b]0;x\x07\r\n模型").encode()
    path = recorded(AGENT.read_bytes().replace(b'"planner"', hostile).replace(b'"my-agent"', hostile))
    _, out, _ = show(path, "7f3a")
    assert out == AGENT_TREE.replace("my-agent", "�]0;x�  模型").replace("planner         ", "�]0;x�  模型    ")


def test_an_estimate_is_marked_only_beside_stated_costs(show, recorded):
    stated = recorded(AGENT.read_bytes().replace(b'"estimated"', b'"actual"', 1))
    _, out, _ = show(stated, "7f3a")
    assert [line.split()[-1] for line in out.splitlines() if "$" in line and "llm gpt" in line] == [
        "$0.0011",
        "~$0.0034",
        "~$0.0182",
    ]
    assert "  ~$0.0227  " in out


def test_problems_are_told_in_a_few_lines_and_the_rest_is_shown(show, recorded):
    path = recorded(b"\x00\xff\n" * 7 + AGENT.read_bytes() + b'{"resourceSpans": [')
    code, out, err = show(path, "7f3a")
    assert (code, out) == (0, AGENT_TREE)
    assert [line.partition(" (")[0] for line in err.splitlines()] == [
        *(f"llmtrace show: line {number}: not JSON" for number in range(1, 6)),
        "llmtrace show: and 3 more",
    ]


def test_a_torn_last_line(show, recorded):
    code, out, err = show(recorded(AGENT.read_bytes() + b'{"resourceSpans": ['), "7f3a")
    assert (code, out) == (0, AGENT_TREE)
    assert err == "llmtrace show: line 21: cut off in mid-line (Input data was truncated)\n"


def test_a_file_without_spans_says_what_to_do(show, recorded):
    path = recorded(b"")
    how = f"Record one with: LLMTRACE_OUTPUT={path} opentelemetry-instrument python your_program.py"
    assert show(path) == (3, "", f"llmtrace show: no spans in {path}. {how}\n")


def test_a_file_of_something_else_says_so(show, recorded):
    path = recorded(b"hello\n")
    code, out, err = show("--json", path)
    assert (code, out) == (3, "")
    reason, conclusion = err.splitlines()
    assert reason.startswith("llmtrace show: line 1: not JSON (")
    assert conclusion == f"llmtrace show: no spans in {path}: none of its lines is a readable line of OTLP-JSON traces"


def test_a_missing_file_is_wrong_usage(show, tmp_path):
    path = tmp_path / "none.jsonl"
    how = f"Record one with: LLMTRACE_OUTPUT={path} opentelemetry-instrument python your_program.py"
    assert show(path) == (2, "", f"llmtrace show: {path}: no such file. {how}\n")


def test_a_directory_is_wrong_usage(show, tmp_path):
    advice = "Name a file of OTLP-JSON lines, or - for standard input"
    assert show(tmp_path) == (2, "", f"llmtrace show: {tmp_path}: Is a directory. {advice}\n")


def test_a_trace_that_is_not_there_is_wrong_usage(show):
    advice = f"`llmtrace show {AGENT}` shows them all"
    assert show(AGENT, "abc") == (2, "", f"llmtrace show: no trace in {AGENT} begins with 'abc'; {advice}\n")


@pytest.mark.parametrize("width", ["0", "-5", "wide", "39"])
def test_an_impossible_width_is_wrong_usage(show, width, capsys):
    with pytest.raises(SystemExit) as stopped:
        show(AGENT, f"--width={width}")
    assert stopped.value.code == 2
    assert f"argument --width: '{width}' is not a number of columns from 40 up" in capsys.readouterr().err


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.binary(max_size=20)))
def test_no_file_makes_it_raise(show, recorded, lines):
    code, out, err = show(recorded(b"\n".join(lines)))
    assert (code, out, err != "") == (3, "", True)


def run_in_a_terminal(*arguments, **environment):
    """What the command writes to a terminal of 100 columns."""
    keep = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb") as terminal:
        command = [sys.executable, "-c", "from llmtrace_otel.cli import main; main()", "show", *arguments]
        subprocess.run(
            command, stdout=theirs, check=True, env={**keep, "TERM": "xterm", "COLUMNS": "100", **environment}
        )
        os.close(theirs)
        written = b""
        try:
            while chunk := os.read(terminal.fileno(), 65536):
                written += chunk
        except OSError:  # Linux's way to say that the other side is closed
            pass
    return written.decode().replace("\r\n", "\n")


def test_a_terminal_gets_errors_in_red():
    assert "\x1b[31m ✗ PermissionError\x1b[0m" in run_in_a_terminal(str(AGENT), "7f3a")


def test_no_color_is_honoured_in_a_terminal():
    written = run_in_a_terminal(str(AGENT), "7f3a", NO_COLOR="1")
    assert set(re.findall("\x1b[^m]*m", written)) == {"\x1b[0m", "\x1b[1m", "\x1b[2m"}  # bold and dim are no colours


def test_a_pipe_gets_plain_text_even_where_colour_is_forced_and_the_encoding_is_poor():
    command = [sys.executable, "-c", "from llmtrace_otel.cli import main; main()", "show", str(AGENT), "7f3a"]
    poor = {**os.environ, "FORCE_COLOR": "1", "PYTHONIOENCODING": "ascii"}
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env=poor)
    assert shown.stdout == AGENT_TREE.encode("ascii", "replace").decode()
