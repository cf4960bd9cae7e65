"""Files of every shape in which exporters, crashes and people leave them."""

import gzip
import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recording import DATA, TRACE, line, span

from llmtrace_otel.read import Event, Problem, Span, read_spans, read_traces
from llmtrace_otel.read.otlp import NotOTLPError, parse


@pytest.fixture
def read(tmp_path):
    """Writes bytes to a file and reads it: (the spans' ids, the problems as text)."""

    def read(content, name="traces.jsonl"):
        path = tmp_path / name
        path.write_bytes(content)
        problems = []
        ids = [span.span_id for span in read_spans(path, problems.append)]
        return ids, [str(problem) for problem in problems]

    return read


def test_the_official_exporters_line_holds_many_spans_of_several_resources():
    start = 1_795_000_000_000_000_000
    problems = []
    spans = list(read_spans(DATA / "official.jsonl", problems.append))
    assert problems == []  # the lines of metrics and logs before it are no problem
    assert [(span.span_id, span.parent_id, span.name, span.kind, span.scope, span.resource) for span in spans] == [
        ("0000000000000001", "", "invoke_agent a", "internal", "first", {"service.name": "api"}),
        ("0000000000000002", "0000000000000001", "chat m", "client", "first", {"service.name": "api"}),
        ("0000000000000003", "0000000000000002", "POST", "client", "", {"service.name": "api"}),
        ("0000000000000004", "0000000000000001", "odd", "server", "second", {}),
    ]
    assert spans[3] == Span(
        trace_id=TRACE,
        span_id="0000000000000004",
        parent_id="0000000000000001",
        name="odd",
        kind="server",
        start=start + 4,
        end=start + 4 + 10**9,
        status="error",
        status_message="no",
        attributes={
            "number": 7,
            "text number": -8,
            "whole": 2.0,
            "nan": math.inf,
            "yes": True,
            "empty list": [],
            "list": [1, "two", None],
            "map": {"a": False},
            "bytes": b"\x00\x01\x02",
            "nothing": None,
            "empty text": "",
        },
        resource={},
        scope="second",
        events=[Event("retry", start + 5, {"n": 1})],
    )


def test_a_span_per_line_reads_the_same_from_plain_and_gzip_files(read):
    content = (DATA / "agent.jsonl").read_bytes()
    ids, problems = read(content)
    assert (len(ids), problems) == (20, [])
    assert read(gzip.compress(content), "traces.jsonl.gz") == (ids, problems)
    half = content.index(b"\n", len(content) // 2) + 1
    assert read(gzip.compress(content[:half]) + gzip.compress(content[half:])) == (ids, problems)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_standard_input_may_be_gzip_and_stays_open(monkeypatch, pack):
    stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(pack(line(span("a"))))))
    monkeypatch.setattr("sys.stdin", stdin)
    assert [span.span_id for span in read_spans("-")] == ["a"]
    assert not stdin.closed


def test_numbers_and_enums_are_read_however_they_are_spelled(read):
    strange = {"kind": "SPAN_KIND_CLIENT", "status": {"code": "STATUS_CODE_ERROR"}, "startTimeUnixNano": 5}
    [read_back] = parse(line(span("AB", "0000", **strange)))
    assert (read_back.span_id, read_back.parent_id, read_back.kind, read_back.status, read_back.start) == (
        "ab",
        "",
        "client",
        "error",
        5,
    )


def test_null_stands_for_absent():
    fields = ("parentSpanId", "name", "kind", "startTimeUnixNano", "endTimeUnixNano", "attributes", "events", "status")
    assert parse(line({"traceId": "a", "spanId": "b"} | dict.fromkeys(fields))) == [Span(trace_id="a", span_id="b")]


def test_a_value_that_contradicts_its_type_is_absent_and_the_rest_is_kept():
    odd = span("a")
    odd["attributes"] = [
        {"key": "int", "value": {"intValue": "many"}},
        {"key": "bool", "value": {"boolValue": "perhaps"}},
        {"key": "list", "value": {"arrayValue": 3}},
        {"key": "bytes", "value": {"bytesValue": "é"}},
        {"key": "good", "value": {"stringValue": "yes"}},
    ]
    [read_back] = parse(line(odd))
    assert read_back.attributes == {"int": None, "bool": None, "list": None, "bytes": None, "good": "yes"}


def test_times_that_no_clock_shows_are_absent():
    [read_back] = parse(line(span("a", start=-1, end=2**64)))
    assert (read_back.start, read_back.end) == (0, 0)


def test_rubbish_between_lines_is_reported_and_passed_over(read):
    content = (
        line(span("a")) + b"\x80\xff\x00 binary\n" + b"{not json}\n" + b"\n" + b'{"level": "info"}\n'
        b'{"resourceSpans": 3}\n' + line({"name": "no ids"}) + line(span("b"))
    )
    ids, problems = read(content)
    assert ids == ["a", "b"]
    assert [problem.partition(" (")[0] for problem in problems] == [
        "line 2: not JSON",
        "line 3: not JSON",
        "line 5: JSON, but not OTLP",
        "line 6: JSON, but not OTLP",
        "line 7: a span without traceId or spanId",
    ]


def test_a_torn_last_line_is_called_that(read):
    ids, [problem] = read(line(span("a")) + line(span("b"))[:-20])
    assert ids == ["a"]
    assert problem.startswith("line 2: cut off in mid-line (")


def test_a_last_line_without_its_end_is_whole(read):
    assert read(line(span("a")).rstrip()) == (["a"], [])


def test_a_truncated_gzip_file_gives_what_it_still_holds(read):
    packed = gzip.compress((DATA / "agent.jsonl").read_bytes() * 20)
    ids, [problem] = read(packed[:-100])
    assert len(ids) >= 20
    assert "the gzip data is cut short or damaged (" in problem


def test_a_damaged_gzip_file_is_a_problem_not_an_exception(read):
    packed = bytearray(gzip.compress(line(span("a"))))
    packed[10:20] = b"\xff" * 10
    ids, [problem] = read(bytes(packed))
    assert ids == []
    assert problem.startswith("line 1: the gzip data is cut short or damaged (")


def test_json_nested_beyond_reason_is_a_problem(read):
    _, [problem] = read(b"[" * 100_000 + b"\n")
    assert problem.startswith("line 1: ")
    deep = b'{"arrayValue":{"values":[' * 400 + b'{"intValue":1}' + b"]}}" * 400
    with pytest.raises(NotOTLPError):
        parse(line(span("a")).replace(b'"attributes": []', b'"attributes": [{"key":"a","value":' + deep + b"}]"))


def test_a_missing_file_is_the_callers_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_traces(tmp_path / "none.jsonl")


def test_problems_that_nobody_asked_for_are_logged(tmp_path, caplog):
    path = tmp_path / "traces.jsonl"
    path.write_bytes(b"rubbish\n" + line(span("a")))
    assert [trace.id for trace in read_traces(path)] == [TRACE]
    [record] = caplog.records
    assert record.getMessage().startswith("line 1: not JSON (")


def test_a_problem_says_where():
    assert str(Problem(17, "not JSON")) == "line 17: not JSON"


def read_or_refused(content):
    """The spans of a line, None if it is refused with a reason; anything else that is raised fails the test."""
    try:
        return parse(content)
    except NotOTLPError as error:
        return None if str(error) else "refused without a reason"


@given(st.binary())
def test_arbitrary_bytes_hold_no_spans(content):
    assert not read_or_refused(content)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["stringValue", "intValue", "doubleValue", "arrayValue", "kvlistValue", "values", "key", "value"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(st.sampled_from(["kind", "startTimeUnixNano", "name", "events", "status", "attributes", "links"]), json_values)
def test_a_field_of_any_shape_is_read_or_refused(field, value):
    spans = read_or_refused(line(span("a") | {field: value}))
    assert spans is None or [span.span_id for span in spans] == ["a"]


@given(json_values)
def test_an_attribute_of_any_shape_is_read_or_refused(value):
    spans = read_or_refused(line(span("a") | {"attributes": [{"key": "odd", "value": value}]}))
    assert spans is None or [list(span.attributes) for span in spans] == [["odd"]]
