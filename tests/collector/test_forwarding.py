"""The `otlp_http` exporter against a destination that answers as it is told."""

import asyncio
import gzip
import http.server
import threading
from email.utils import formatdate

import pytest
from collector_helpers import request_of
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from llmtrace_collector import otlp
from llmtrace_collector.config import OTLPHTTPExporter
from llmtrace_collector.errors import RejectedError, UnavailableError
from llmtrace_collector.exporters.file import FileExporter
from llmtrace_collector.exporters.otlp_http import Backoff, Forwarder, retry_after
from llmtrace_collector.http_client import Response
from llmtrace_collector.pipeline import Pipeline

AT_ONCE = Backoff(first=0, longest=0)


def batch_of(*names):
    return otlp.decode(request_of(*names).SerializeToString(), otlp.PROTOBUF)


class Destination:
    """An HTTP server that gives the listed answers in turn, then 200; an answer is (status, headers, body)."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []
        destination = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                destination.requests.append((self.path, dict(self.headers.items()), body))
                status, headers, answer = destination.answers.pop(0) if destination.answers else (200, {}, b"")
                if status is None:  # hang up
                    return
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(answer))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def destination():
    """Starts destinations; they close with the test."""
    started = []

    def start(*answers):
        started.append(Destination(*answers))
        return started[-1]

    yield start
    for each in started:
        each.close()


def forwarder_to(url, said=None, **options):
    say = [].append if said is None else said.append
    return Forwarder(OTLPHTTPExporter(url, compression="none"), say, backoff=AT_ONCE, **options)


def in_background(forwarder, *batches):
    """Offers the batches, and closes once they are settled."""

    async def run():
        forwarder.start()
        for batch in batches:
            forwarder.offer(batch)
        await forwarder.close(10)

    asyncio.run(run())


def test_a_batch_arrives_as_protobuf_with_the_configured_headers(destination):
    target = destination()
    exporter = OTLPHTTPExporter(target.url, headers={"Authorization": "Bearer x"}, compression="none")
    asyncio.run(Forwarder(exporter, print).deliver(batch_of("chat")))
    expected = {
        "Host": target.url.removeprefix("http://"),
        "Content-Length": str(len(batch_of("chat").protobuf)),
        "Connection": "close",
        "Authorization": "Bearer x",
        "Content-Type": "application/x-protobuf",
    }
    assert target.requests == [("/v1/traces", expected, batch_of("chat").protobuf)]


def test_a_batch_is_compressed_if_told(destination):
    target = destination()
    asyncio.run(Forwarder(OTLPHTTPExporter(target.url, compression="gzip"), print).deliver(batch_of("chat")))
    [(_, headers, body)] = target.requests
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body) == batch_of("chat").protobuf


@pytest.mark.parametrize("answer", [(429, {}, b""), (502, {}, b""), (503, {}, b""), (504, {}, b""), (None, {}, b"")])
def test_what_may_pass_is_tried_again_in_order(destination, answer):
    target = destination(answer, answer)
    forwarder = forwarder_to(target.url)
    in_background(forwarder, batch_of("first"), batch_of("second"))
    first, second = batch_of("first").protobuf, batch_of("second").protobuf
    assert [body for _, _, body in target.requests] == [first, first, first, second]
    assert (forwarder.delivered, forwarder.dropped) == (2, 0)


def test_going_and_coming_back_are_told_once(destination):
    target = destination((503, {}, b""), (503, {}, b""), (502, {}, b""))
    said = []
    in_background(forwarder_to(target.url, said), batch_of("a"), batch_of("b"))
    url = f"{target.url}/v1/traces"
    assert said == [f"{url} is unreachable (answered 503)", f"{url} is back"]


def test_a_batch_that_is_refused_for_good_is_dropped_counted_and_told_once(destination):
    target = destination((400, {}, b""), (413, {}, b""))
    said = []
    forwarder = forwarder_to(target.url, said)
    in_background(forwarder, batch_of("a", "b"), batch_of("c"), batch_of("d"))
    assert (len(target.requests), forwarder.delivered, forwarder.dropped) == (3, 1, 3)
    assert said == [f"{target.url}/v1/traces answered 400; refused spans are not sent again"]


def test_spans_that_the_destination_did_not_take_are_counted(destination):
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = 1
    answer.partial_success.error_message = "no name"
    target = destination((200, {}, answer.SerializeToString()))
    said = []
    forwarder = forwarder_to(target.url, said)
    in_background(forwarder, batch_of("a", "b"))
    assert (forwarder.delivered, forwarder.dropped) == (1, 1)
    assert said == [f"{target.url}/v1/traces did not take 1 spans: no name; refused spans are not sent again"]


def test_what_does_not_fit_into_the_queue_is_dropped_and_counted(destination):
    target = destination()
    batch = batch_of("a", "b")
    forwarder = forwarder_to(target.url, queue_bytes=2 * len(batch.protobuf))
    in_background(forwarder, batch, batch, batch)
    assert (forwarder.delivered, forwarder.dropped) == (4, 2)


def test_a_settled_batch_makes_room_in_the_queue(destination):
    target = destination()
    batch = batch_of("a")
    forwarder = forwarder_to(target.url, queue_bytes=len(batch.protobuf))

    async def one_after_the_other():
        forwarder.start()
        for number in (1, 2, 3):
            forwarder.offer(batch)
            async with asyncio.timeout(10):
                while forwarder.delivered < number:
                    await asyncio.sleep(0)
        await forwarder.close(10)

    asyncio.run(one_after_the_other())
    assert (forwarder.delivered, forwarder.dropped) == (3, 0)


def test_what_an_unreachable_destination_did_not_get_is_counted_at_the_end(free_port):
    forwarder = forwarder_to(f"http://127.0.0.1:{free_port}")

    async def run():
        forwarder.start()
        forwarder.offer(batch_of("a", "b"))
        with pytest.raises(UnavailableError):
            await forwarder.deliver(batch_of("x"))
        await forwarder.close(10)

    asyncio.run(run())
    assert (forwarder.delivered, forwarder.dropped) == (0, 2)


def test_with_a_file_the_answer_does_not_wait_for_the_destination(free_port, tmp_path):
    file = FileExporter(str(tmp_path / "traces.jsonl"), print, append=True)
    forwarder = forwarder_to(f"http://127.0.0.1:{free_port}")
    asyncio.run(Pipeline(files=[file], forwarders=[forwarder]).accept(batch_of("a")))
    file.close()
    assert (tmp_path / "traces.jsonl").read_bytes() == batch_of("a").line


@pytest.mark.parametrize(
    ("answer", "error", "wait"),
    [
        ((503, {"Retry-After": "3"}, b""), UnavailableError, 3.0),
        ((503, {}, b""), UnavailableError, None),
        ((400, {}, b""), RejectedError, None),
    ],
)
def test_without_a_file_the_destinations_refusal_is_the_answer(destination, answer, error, wait):
    target = destination(answer)
    pipeline = Pipeline(forwarders=[forwarder_to(target.url)])
    with pytest.raises(error) as refusal:
        asyncio.run(pipeline.accept(batch_of("a")))
    assert str(refusal.value) == f"{target.url}/v1/traces answered {answer[0]}"
    assert refusal.value.retry_after == wait


def test_pauses_grow_up_to_the_longest():
    delays = Backoff(first=1, factor=2, longest=5).delays()
    assert [next(delays) for _ in range(5)] == [1, 2, 4, 5, 5]


def waits(value):
    return retry_after(Response(503, {"retry-after": value}, b""))


def test_retry_after_is_seconds_or_a_date():
    assert waits("7") == 7
    assert waits(formatdate(0, usegmt=True)) == 0
    assert waits(formatdate(4_000_000_000, usegmt=True)) > 3000
    assert waits("soon") is None
    assert retry_after(Response(503, {}, b"")) is None


def test_a_longer_retry_after_replaces_the_pause(destination, monkeypatch):
    pauses = []

    async def pause(seconds):
        pauses.append(seconds)

    target = destination((503, {"Retry-After": "9"}, b""), (503, {}, b""))
    monkeypatch.setattr("llmtrace_collector.exporters.otlp_http.asyncio.sleep", pause)
    exporter = OTLPHTTPExporter(target.url, compression="none")
    in_background(Forwarder(exporter, print, backoff=Backoff(first=2, factor=3)), batch_of("a"))
    assert pauses == [9, 6]
