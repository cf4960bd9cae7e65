"""Events that are decoded together: whatever comes, it is read as if each were decoded for itself."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Struct

from llmtrace_otel.wire import framing
from llmtrace_otel.wire.bedrock_native import ChoicesStream
from llmtrace_otel.wire.call import Call
from llmtrace_otel.wire.decode import Reader
from llmtrace_otel.wire.framing import NDJSON, SSE, Separated
from wire.fuzzing import cut, fuzz
from wire.test_fuzz_exchange import STREAMS, Endpoint, mutated, summary


class Document(Struct):
    a: Any = None
    b: int = 0


read_document = Reader(Document)


class Listener:
    """Keeps the documents that it takes, and how many it had to read for itself."""

    every = True
    last = False
    marks: tuple[bytes, ...] = ()

    def __init__(self, *, together: bool = True) -> None:
        self.lines = read_document.lines if together else None
        self.taken: list[Document] = []
        self.alone = 0

    def event(self, data: bytes) -> None:
        self.alone += 1
        if (document := read_document(data)) is not None:
            self.take(document)

    def take(self, document: Document) -> None:
        if document.a == "raise":
            raise KeyError(document.a)
        self.taken.append(document)


def heard(kind: type[Separated], pieces: list[bytes], *, together: bool = True) -> Listener:
    listener = Listener(together=together)
    stream = kind(listener)
    for piece in pieces:
        stream.feed(piece)
    stream.close()
    return listener


PLAIN = [b'{"a":1}', b'{"a":"two\\n\\ndata: {}"}', b'{"b":3}', b'{"a":[{},{}]}', b"{}"]


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        (SSE, b"data: ", b"\n\n"),
        (SSE, b"data: ", b"\r\n\r\n"),
        (SSE, b"event: message\ndata: ", b"\n\n"),
        (NDJSON, b"", b"\n"),
    ],
    ids=["SSE", "CRLF", "named", "lines"],
)
def test_plain_events_are_not_decoded_one_by_one(kind: type[Separated], before: bytes, after: bytes):
    found = heard(kind, [b"".join(before + data + after for data in PLAIN)])
    assert found.taken == [read_document(data) for data in PLAIN]
    assert found.alone == 0


def test_what_closes_a_stream_is_no_json_and_keeps_nothing_from_being_decoded_together():
    found = heard(SSE, [b"".join(b"data: " + data + b"\n\n" for data in [*PLAIN, b"[DONE]"])])
    assert (len(found.taken), found.alone) == (len(PLAIN), 1)


def test_an_event_that_cannot_be_taken_loses_itself():
    documents = [b'{"b":1}', b'{"a":"raise"}', b'{"b":2}']
    found = heard(NDJSON, [b"\n".join(documents)])
    assert ([document.b for document in found.taken], found.alone) == ([1, 2], 0)


@pytest.mark.parametrize(
    "events",
    [
        [b'{"b":1', b'"a":2}'],
        [b'{"a":', b"1}", b"{}{}"],
        [b'{"a":"x', b'y"}', b"{},{}"],
        [b'{"a":[{"b":1}', b'{"b":2}]}', b"{}{}"],
        [b'{"a":[[1', b"2]]}", b"{}],[{}"],
        [b"{}\n{}"],
        [b"{}\ndata: {}"],
        [b"{}\nevent: x\ndata: {}", b"{}"],
        [b'{"a":\n1}', b"{}"],
        [b"{} {}", b"{}"],
        [b'"}', b'{"'],
        [b"{}", b"null", b"{}"],
        [b'{"a":NaN}', b'{"b":"two"}', b'{"a":"\\ud800"}', b'{"a":"\xff"}', b'{"b":-1}'],
    ],
)
@pytest.mark.parametrize("prefix", [b"data: ", b"event: x\ndata: ", b"event: data: {\ndata: "])
def test_what_only_looks_like_documents_is_not_taken_for_them(events: list[bytes], prefix: bytes):
    for kind, stream in (
        (SSE, b"".join(prefix + data + b"\n\n" for data in events)),
        (NDJSON, b"\n".join(events)),
    ):
        assert heard(kind, [stream]).taken == heard(kind, [stream], together=False).taken


def test_an_event_that_is_put_into_another_shape_first_is_read_alone():
    found = []
    for most_together in (framing._MOST_TOGETHER, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(framing, "_MOST_TOGETHER", most_together)
            call = Call("chat", "aws.bedrock", capture=True)
            reader = ChoicesStream(call)
            stream = SSE(reader)
            stream.feed(b'data: {"choices":[{"message":{"content":"Hi"},"stop_reason":"stop"}]}\n\n')
            stream.close()
            reader.close()
            found.append((call.finish_reasons, call.output_messages))
    assert found[0] == found[1]
    assert found[0][0] == ["stop"]


fragments = st.sampled_from(
    [
        *PLAIN,
        *PLAIN,
        b'{"a":',
        b"1}",
        b'{"a":"x',
        b'y"}',
        b'"b":2}',
        b"{}{}",
        b"{},{}",
        b"[{}",
        b"{}]",
        b"[DONE]",
        b"}",
        b"{",
        b'{"b":"two"}',
        b'{"a":"raise"}',
        b"",
        b" ",
    ]
)
before = st.sampled_from(
    [b"data: ", b"data: ", b"data: ", b"event: x\ndata: ", b"event: x\n", b"\ndata: ", b"data:", b": c\n\n", b""]
)
after = st.sampled_from([b"\n\n", b"\n\n", b"\n\n", b"\n", b"\r\n\r\n", b"\n\n\n", b""])
events = st.tuples(before, fragments, after).map(b"".join)
regular = st.tuples(
    st.sampled_from([b"data: ", b"event: x\ndata: "]), st.lists(fragments, max_size=12), st.sampled_from([b"\n\n"])
).map(lambda drawn: b"".join(drawn[0] + data + drawn[2] for data in drawn[1]))
streams = regular | st.lists(events, max_size=12).map(b"".join)


@pytest.mark.parametrize("kind", [SSE, NDJSON])
@pytest.mark.parametrize("look_after", [1, 16 * 1024])
@fuzz
@given(streams.flatmap(cut))
@example([b'data: {}\n\ndata: {"a":\n\ndata: 1}\n\n'])
def test_any_events_are_taken_as_if_each_were_alone(look_after: int, kind: type[Separated], pieces: list[bytes]):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(framing, "_LOOK_AFTER", look_after)
        assert heard(kind, pieces).taken == heard(kind, pieces, together=False).taken


@fuzz
@given(st.sampled_from(STREAMS), st.data())
def test_any_stream_is_read_as_if_each_of_its_events_were_alone(real: tuple[Endpoint, bytes], data: st.DataObject):
    endpoint, answer = real
    pieces = data.draw(mutated(answer).flatmap(cut))
    found = []
    for most_together in (framing._MOST_TOGETHER, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(framing, "_MOST_TOGETHER", most_together)
            exchange = endpoint.begin(capture=True)
            exchange.response(200)
            for piece in pieces:
                exchange.feed(piece)
            exchange.end()
        found.append(summary(exchange))
    assert found[0] == found[1]
