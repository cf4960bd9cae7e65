"""What the official collector (v0.158) answered to a table of requests, and that we answer the same.

A row where we differ says why. The official answers were recorded from its binary; what is compared is the status and
the kind of body: a success, a `google.rpc.Status` in the request's encoding, or plain text.
"""

import gzip
import json
import zlib
from dataclasses import dataclass, field

import pytest
import zstandard
from collector_helpers import call, request_of
from google.rpc.status_pb2 import Status
from receiver_helpers import LIMIT, Receivers

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
ONE = request_of("chat").SerializeToString()
LARGE = request_of("x" * (LIMIT + 1)).SerializeToString()
SPAN = {"traceId": f"{1:032x}", "spanId": f"{1:016x}", "name": "x"}


@dataclass
class Row:
    """One request and its two answers, each a status and a kind of body."""

    name: str
    official: str
    body: bytes = b""
    media_type: str | None = PROTOBUF
    encoding: str | None = None
    method: str = "POST"
    path: str = "/v1/traces"
    ours: str = field(default="")
    why: str = ""


def raw(*attributes, **fields):
    """JSON of one span whose fields are given as JSON text."""
    span = json.dumps(SPAN)[:-1]
    more = "".join(f', "{name}": {text}' for name, text in fields.items())
    for name in fields:
        span = span.replace(f'"{name}": "{SPAN[name]}"', '"_": 0') if name in SPAN else span
    if attributes:
        more += ', "attributes": [' + ", ".join(f'{{"key": "k", "value": {value}}}' for value in attributes) + "]"
    return f'{{"resourceSpans": [{{"scopeSpans": [{{"spans": [{span}{more}}}]}}]}}]}}'


def spans(**fields):
    """Protobuf of one span."""
    request = request_of("x")
    for name, value in fields.items():
        setattr(request.resource_spans[0].scope_spans[0].spans[0], name, value)
    return request.SerializeToString()


def as_json(name, official, text, ours="", why=""):
    body = text if isinstance(text, bytes) else text.encode()
    return Row(name, official, body, JSON, ours=ours, why=why)


PARAMETERS = "the type is clear"
OURS = "bad data is no fault of the server"
SPEC = "the specification wants a Status in every refusal"
TOO_LARGE = "the specification says 413 since its 1.11"
KINDER = "RFC 9110 has these names, in any case"
UTF8 = "text that is not Unicode cannot be written as JSON"
NUMBERS = "our reader of numbers is a little wider"

TRANSPORT = [
    Row("protobuf", "200 ok", ONE),
    Row("json", "200 ok", b"{}", JSON),
    Row("parameters and capitals", "200 ok", b"{}", "Application/JSON; charset=utf-8"),
    Row("trailing semicolon", "200 ok", b"{}", "application/json;"),
    Row(
        "damaged parameters",
        "415 text",
        ONE,
        "application/x-protobuf;;;=",
        ours="200 ok",
        why="parameters mean nothing",
    ),
    Row("another protobuf type", "415 text", ONE, "application/protobuf"),
    Row("no content type", "415 text", ONE, None),
    Row("xml", "415 text", b"<a/>", "text/xml"),
    Row("get", "405 text", method="GET", ours="405 status", why=SPEC),
    Row("put", "405 text", ONE, method="PUT", ours="405 status", why=SPEC),
    Row("options", "405 text", media_type=None, method="OPTIONS"),
    Row("unknown path", "404 text", path="/v1/nothing", ours="404 status", why=SPEC),
    Row("unknown path, no content type", "404 text", path="/v1/nothing", media_type=None),
    Row("trailing slash", "404 text", path="/v1/traces/", ours="404 status", why=SPEC),
    Row("a signal without pipeline", "404 text", path="/v1/metrics", ours="404 status", why=SPEC),
    Row("profiles", "404 text", path="/v1development/profiles", ours="404 status", why=SPEC),
    Row("too large", "400 status", LARGE, ours="413 status", why=TOO_LARGE),
    Row(
        "too large after inflating",
        "400 status",
        gzip.compress(LARGE),
        encoding="gzip",
        ours="413 status",
        why=TOO_LARGE,
    ),
    Row("unknown encoding", "400 status", ONE, encoding="br"),
    Row("identity", "400 status", ONE, encoding="identity", ours="200 ok", why=KINDER),
    Row("none", "400 status", ONE, encoding="none", ours="200 ok", why=KINDER),
    Row("gzip in capitals", "400 status", gzip.compress(ONE), encoding="GZIP", ours="200 ok", why=KINDER),
    Row("two encodings", "400 status", gzip.compress(gzip.compress(ONE)), encoding="gzip, gzip"),
    Row("gzip", "200 ok", gzip.compress(ONE), encoding="gzip"),
    Row("gzip in two members", "200 ok", gzip.compress(ONE) + gzip.compress(b""), encoding="gzip"),
    Row("gzip and more", "400 status", gzip.compress(ONE) + b"more", encoding="gzip"),
    Row("gzip cut", "400 status", gzip.compress(ONE)[:-1], encoding="gzip"),
    Row("gzip of nothing at all", "400 status", encoding="gzip"),
    Row("not gzip", "400 status", ONE, encoding="gzip"),
    Row("deflate", "200 ok", zlib.compress(ONE), encoding="deflate"),
    Row("deflate without container", "400 status", zlib.compress(ONE, wbits=-15), encoding="deflate"),
    Row("zlib", "200 ok", zlib.compress(ONE), encoding="zlib"),
    Row("zlib and more", "200 ok", zlib.compress(ONE) + b"more", encoding="zlib", ours="400 status", why="half a body"),
    Row("zstd", "200 ok", zstandard.compress(ONE), encoding="zstd"),
    Row("zstd in two frames", "200 ok", zstandard.compress(ONE) * 2, encoding="zstd"),
    Row("zstd and more", "400 status", zstandard.compress(ONE) + b"more", encoding="zstd"),
    Row("zstd cut", "400 status", zstandard.compress(ONE)[:-1], encoding="zstd"),
    Row("zstd of nothing at all", "200 ok", encoding="zstd", ours="400 status", why="a frame is wanted, as of gzip"),
    Row("not zstd", "400 status", ONE, encoding="zstd"),
]
MESSAGES = [
    Row("empty protobuf", "200 ok"),
    Row("garbage", "400 status", b"garbage"),
    Row("cut", "400 status", ONE[:-1]),
    Row("traces as logs", "400 status", ONE, path="/v1/logs"),
    Row("short trace id", "400 status", spans(trace_id=b"123")),
    Row("long trace id", "400 status", spans(trace_id=bytes(17))),
    Row("no trace id", "200 ok", spans(trace_id=b"")),
    Row("zero trace id", "200 ok", spans(trace_id=bytes(16))),
    Row("short span id", "400 status", spans(span_id=b"123")),
    Row("short parent span id", "400 status", spans(parent_span_id=b"12")),
    Row("unknown kind", "200 ok", spans(kind=77)),
    Row("not utf-8", "200 ok", spans(name="AB").replace(b"AB", b"\xff\xfe"), ours="400 status", why=UTF8),
]
JSON_TEXTS = [
    as_json("nothing", "400 status", ""),
    as_json("an array", "400 status", "[]"),
    as_json("a number", "400 status", "1"),
    as_json("half", "400 status", "{"),
    as_json("two", "200 ok", "{}{}", "400 status", "the second would be lost"),
    as_json("and more", "200 ok", "{} x", "400 status", "what follows would be lost"),
    as_json("byte order mark", "500 status", b"\xef\xbb\xbf{}", "400 status", OURS),
    as_json("comment", "400 status", "{/*x*/}"),
    as_json("trailing comma", "400 status", '{"resourceSpans":[],}'),
    as_json("number as key", "400 status", "{1:2}"),
    as_json("no list", "400 status", '{"resourceSpans":{}}'),
    as_json("text for a list", "400 status", '{"resourceSpans":"x"}'),
    as_json("null for a list", "200 ok", '{"resourceSpans":null}'),
    as_json("same key twice", "200 ok", '{"resourceSpans":[],"resourceSpans":[]}'),
    as_json("unknown field", "200 ok", raw(nope='{"a": [1, 2]}')),
    as_json("not utf-8", "200 ok", raw(name='"AB"').encode().replace(b"AB", b"\xff\xfe"), "400 status", UTF8),
    as_json("control character", "400 status", raw(name='"\x01"')),
    as_json("nul", "200 ok", raw(name=r'"\u0000"')),
    as_json("deep and unknown", "400 status", '{"x":' + "[" * 20_000 + "]" * 20_000 + "}"),
    as_json("forty deep", "200 ok", raw('{"arrayValue":{"values":[' * 40 + "{}" + "]}}" * 40)),
    as_json("sixty deep", "200 ok", raw('{"arrayValue":{"values":[' * 60 + "{}" + "]}}" * 60), "400 status",
            "readers of protobuf stop at a depth of 100"),
    as_json("id in capitals", "200 ok", raw(traceId=f'"{"AB" * 16}"')),
    as_json("short id", "400 status", raw(traceId='"1234"')),
    as_json("odd id", "400 status", raw(traceId=f'"{"1" * 31}"')),
    as_json("no hex", "400 status", raw(traceId=f'"{"z" * 32}"')),
    as_json("empty id", "200 ok", raw(traceId='""')),
    as_json("number as id", "400 status", raw(traceId="5")),
    as_json("long span id", "400 status", raw(spanId=f'"{"0" * 32}"')),
    as_json("number as name", "400 status", raw(name="5")),
    as_json("null as name", "200 ok", raw(name="null")),
    as_json("kind by name", "200 ok", raw(kind='"SPAN_KIND_CLIENT"')),
    as_json("kind by wrong name", "400 status", raw(kind='"NOPE"')),
    as_json("kind by unknown number", "200 ok", raw(kind="77")),
    as_json("kind too large", "400 status", raw(kind=str(2**40))),
    as_json("kind of 5,000 digits", "400 status", raw(kind="9" * 5000)),
    as_json("kind half", "400 status", raw(kind="3.5")),
    as_json("kind as list", "400 status", raw(kind="[1]")),
    as_json("time as number", "200 ok", raw(startTimeUnixNano="1700000000000000000")),
    as_json("time as text", "200 ok", raw(startTimeUnixNano='"1700000000000000000"')),
    as_json("time as word", "400 status", raw(startTimeUnixNano='"abc"')),
    as_json("time of 30 digits", "400 status", raw(startTimeUnixNano=f'"{"9" * 30}"')),
    as_json("time of 5,000 digits", "400 status", raw(startTimeUnixNano=f'"{"9" * 5000}"')),
    as_json("time empty", "400 status", raw(startTimeUnixNano='""')),
    as_json("time as boolean", "400 status", raw(startTimeUnixNano="true")),
    as_json("time before 1970", "500 status", raw(startTimeUnixNano="-1"), "400 status", OURS),
    as_json("flags too large", "400 status", raw(flags=str(2**32))),
    as_json("integer as text", "200 ok", raw(f'{{"intValue": "{2**63 - 1}"}}')),
    as_json("integer too large", "400 status", raw(f'{{"intValue": "{2**63}"}}')),
    as_json("integer half", "400 status", raw('{"intValue": 1.5}')),
    as_json("integer as 1e3 in text", "400 status", raw('{"intValue": "1e3"}')),
    as_json("integer as 1e3", "400 status", raw('{"intValue": 1e3}'), "200 ok", NUMBERS),
    as_json("double as text", "200 ok", raw('{"doubleValue": "1.5"}')),
    as_json("double NaN", "200 ok", raw('{"doubleValue": "NaN"}')),
    as_json("bare NaN", "400 status", raw('{"doubleValue": NaN}')),
    as_json("double too large", "400 status", raw('{"doubleValue": 1e999}')),
    as_json("double as word", "400 status", raw('{"doubleValue": "x"}')),
    as_json("boolean as text", "400 status", raw('{"boolValue": "true"}')),
    as_json("bytes", "200 ok", raw('{"bytesValue": "AQI="}')),
    as_json("bytes not base64", "400 status", raw('{"bytesValue": "!!!"}')),
    as_json("bytes as number", "400 status", raw('{"bytesValue": 5}')),
    as_json("value as text", "400 status", raw('"x"')),
    as_json("value null", "200 ok", raw("null")),
    as_json("two values", "200 ok", raw('{"intValue": "1", "stringValue": "x"}')),
]  # fmt: skip
ROWS = TRANSPORT + MESSAGES + JSON_TEXTS


def kind_of(answer, media_type):
    """The status and kind of one of our answers."""
    if answer.status == 200:
        assert answer.body == (b"{}" if media_type == JSON else b"")
        return "200 ok"
    if answer.headers["content-type"] == "text/plain; charset=utf-8":
        return f"{answer.status} text"
    code = json.loads(answer.body)["code"] if media_type == JSON else Status.FromString(answer.body).code
    assert code > 0
    return f"{answer.status} status"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_answer_is_the_official_one_unless_we_say_why(row):
    headers = {"content-type": row.media_type, "content-encoding": row.encoding}
    receivers = Receivers()
    answer = call(
        receivers.http(),
        method=row.method,
        path=row.path,
        headers={name: value for name, value in headers.items() if value is not None},
        body=row.body,
    )
    media_type = (row.media_type or "").partition(";")[0].lower()
    assert kind_of(answer, media_type) == (row.ours or row.official)
    assert receivers.said == []


@pytest.mark.parametrize("row", [row for row in ROWS if row.ours], ids=lambda row: row.name)
def test_a_difference_has_a_reason(row):
    assert row.why
    assert row.ours != row.official
