"""The exporters that forward, against back ends that refuse, hang, reset, answer nonsense and go away.

Every span has an id of its own: what was acknowledged arrives, and the counts say what happened.
"""

import asyncio
import gzip
import json
import signal
import subprocess
import sys
import zlib
from collections import Counter
from email.utils import formatdate

import grpc
import pytest
import zstandard
from collector_certificates import authority
from destinations import (
    HANG,
    REFUSED,
    Answer,
    GRPCDestination,
    HTTPDestination,
    batch_of,
    ids,
    refusing,
    started,
    until,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from llmtrace_collector.config.settings import (
    FileStorage,
    OTLPGRPCExporter,
    OTLPHTTPExporter,
    QueueBatch,
    Retry,
    SendingQueue,
    TLSClient,
)
from llmtrace_collector.errors import ConfigError, RejectedError, UnavailableError
from llmtrace_collector.exporters.http_connections import Response
from llmtrace_collector.exporters.otlp_http import retry_after
from llmtrace_collector.exporters.sending import sender_for
from llmtrace_collector.figures.counts import Counts
from llmtrace_collector.otlp.batch import Batch
from llmtrace_collector.otlp.signals import LOGS, METRICS, TRACES

SOON = Retry(initial_interval=0.01, max_interval=0.02, max_elapsed_time=0)
PLAIN = TLSClient(insecure=True)


def http_to(url, *, say=None, counts=None, storage=None, credential=None, signals=(TRACES,), **options):
    options = {"compression": "none", "retry_on_failure": SOON, **options}
    return made(OTLPHTTPExporter(url, **options), say, counts, storage, credential, signals)


def grpc_to(port, *, say=None, counts=None, storage=None, credential=None, signals=(TRACES,), **options):
    options = {"compression": "none", "retry_on_failure": SOON, "tls": PLAIN, **options}
    target = port if isinstance(port, str) else f"127.0.0.1:{port}"
    return made(OTLPGRPCExporter(target, **options), say, counts, storage, credential, signals)


def made(settings, say, counts, storage, credential, signals):
    storage = storage and FileStorage(str(storage))
    return sender_for(
        "otlp/a", settings, signals, say or [].append, counts or Counts(), storage=storage, credential=credential
    )


def on_disk(**options):
    return SendingQueue(storage="file_storage", **options)


async def persistent(exporter, batch):
    """A client as SDKs are: it comes again while it is told to."""
    while True:
        try:
            return await exporter.export(batch, kept=False)
        except UnavailableError:
            await asyncio.sleep(0)


def sent(batches):
    return Counter(span for batch in batches for span in ids(batch))


async def forwarded(exporter, batches, *, kept):
    """Sends all, waits until all is settled, closes."""
    exporter.start()
    if kept:
        for batch in batches:
            await exporter.export(batch, kept=True)
    else:
        await asyncio.gather(*(persistent(exporter, batch) for batch in batches))
    total = sum(batch.items for batch in batches)
    await until(lambda: exporter.delivered + exporter.dropped >= total)
    await exporter.close(10)


# One request


def test_a_request_arrives_as_it_came():
    async def run():
        async with started(HTTPDestination()) as there:
            batch = batch_of(2)
            exporter = http_to(there.url, headers={"Authorization": "Bearer x", "x-tenant": "a"})
            await forwarded(exporter, [batch], kept=False)
            return there, batch, exporter.describe()

    there, batch, described = asyncio.run(run())
    expected = {
        "host": there.url.removeprefix("http://"),
        "content-length": str(len(batch.protobuf)),
        "user-agent": "llmtrace-collector",
        "authorization": "Bearer x",
        "x-tenant": "a",
        "content-type": "application/x-protobuf",
    }
    assert there.requests == [("/v1/traces", expected, batch.protobuf)]
    assert described == f"forwarding to {there.url}/v1/traces"


def test_every_signal_has_its_path_or_its_own_endpoint():
    async def run():
        async with started(HTTPDestination(), HTTPDestination()) as (there, elsewhere):
            exporter = http_to(there.url, signals=(TRACES, METRICS, LOGS), logs_endpoint=f"{elsewhere.url}/logs")
            exporter.start()
            for each, fill in ((TRACES, spans_of), (METRICS, points_of), (LOGS, records_of)):
                await exporter.export(Batch(each, fill(each.request())), kept=False)
            await exporter.close(1)
            return [path for path, _, _ in there.requests], [path for path, _, _ in elsewhere.requests]

    assert asyncio.run(run()) == (["/v1/traces", "/v1/metrics"], ["/logs"])


def spans_of(request):
    request.resource_spans.add().scope_spans.add().spans.add(name="chat")
    return request


def points_of(request):
    request.resource_metrics.add().scope_metrics.add().metrics.add(name="m").gauge.data_points.add(as_int=1)
    return request


def records_of(request):
    request.resource_logs.add().scope_logs.add().log_records.add(severity_number=9)
    return request


@pytest.mark.parametrize(
    ("compression", "decompress"),
    [
        ("gzip", gzip.decompress),
        ("zstd", lambda body: zstandard.ZstdDecompressor().decompress(body)),
        ("deflate", zlib.decompress),
        ("zlib", zlib.decompress),
    ],
)
@pytest.mark.parametrize("size", [10, 500_000])
def test_a_request_is_compressed_if_told(compression, decompress, size):
    async def run():
        there = HTTPDestination([Answer(kept=False)])
        async with started(there):
            batch = batch_of(1, size=size)
            await forwarded(http_to(there.url, compression=compression), [batch], kept=False)
            return there.requests[0], batch.protobuf

    (_, headers, body), protobuf = asyncio.run(run())
    assert (headers["content-encoding"], decompress(body)) == (compression, protobuf)


def test_a_request_is_json_if_told():
    answer = Answer(200, {"content-type": "application/json"}, b'{"partialSuccess":{"rejectedSpans":"1"}}', kept=False)

    async def run():
        async with started(HTTPDestination([answer])) as there:
            batch = batch_of(2)
            exporter = http_to(there.url, encoding="json")
            await forwarded(exporter, [batch], kept=False)
            return there.requests[0], batch, exporter

    (_, headers, body), batch, exporter = asyncio.run(run())
    assert (headers["content-type"], json.loads(body)) == ("application/json", json.loads(batch.line))
    assert (exporter.delivered, exporter.dropped) == (1, 1)


def test_connections_are_kept():
    async def run():
        async with started(HTTPDestination([Answer(), Answer(503), Answer()])) as there:
            exporter = http_to(there.url)
            for _ in range(3):
                await forwarded_once(exporter)
            connections = there.connections
            await exporter.close(1)
            return connections, len(there.received)

    assert asyncio.run(run()) == (1, 3)


async def forwarded_once(exporter):
    if exporter._lanes["traces"]._dispatcher is None:
        exporter.start()
    await persistent(exporter, batch_of())


def test_a_connection_that_was_closed_meanwhile_is_not_used():
    async def run():
        there = HTTPDestination()
        async with started(there):
            exporter = http_to(there.url)
            await forwarded_once(exporter)
            await there.stop()
            await there.start()
            await exporter.export(batch_of(), kept=False)
            await exporter.close(1)
            return there.connections

    assert asyncio.run(run()) == 2


def test_an_answer_that_comes_before_a_large_request_is_sent_is_read_and_its_connection_given_up():
    async def run():
        async with started(HTTPDestination([Answer(413, early=True)])) as there:
            exporter = http_to(there.url)
            exporter.start()
            with pytest.raises(RejectedError, match="answered 413"):
                await exporter.export(batch_of(1, size=9_000_000), kept=False)
            await exporter.export(batch_of(1, size=9_000_000), kept=False)
            await exporter.close(1)
            return sum(there.received.values()), there.connections

    assert asyncio.run(run()) == (1, 2)


def test_a_connection_that_the_destination_wants_closed_is_given_up():
    async def run():
        async with started(HTTPDestination([Answer(headers={"connection": "close"})])) as there:
            exporter = http_to(there.url)
            exporter.start()
            for _ in range(2):
                await exporter.export(batch_of(), kept=False)
            await exporter.close(1)
            return there.connections

    assert asyncio.run(run()) == 2


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, {"content-type": "text/html"}, b"<html>"),
        Answer(200, {"content-type": "application/x-protobuf"}, b"\xff\xff\xff"),
        Answer(200, {"content-type": "application/json"}, b"[" * 100_000),
    ],
)
def test_an_answer_of_success_that_cannot_be_read_is_success(answer):
    async def run():
        async with started(HTTPDestination([answer])) as there:
            exporter = http_to(there.url)
            await forwarded(exporter, [batch_of()], kept=False)
            return len(there.requests), exporter.delivered

    assert asyncio.run(run()) == (1, 1)


def test_the_destinations_own_words_are_passed_on():
    answer = Answer(400, {"content-type": "application/x-protobuf"}, b"\x12\x07no name", kept=False)

    async def run():
        async with started(HTTPDestination([answer])) as there:
            exporter = http_to(there.url)
            exporter.start()
            with pytest.raises(RejectedError) as refusal:
                await exporter.export(batch_of(), kept=False)
            await exporter.close(1)
            return str(refusal.value), there.url

    told, url = asyncio.run(run())
    assert told == f"{url}/v1/traces answered 400: no name"


def test_a_redirect_is_a_refusal():
    async def run():
        async with started(HTTPDestination([Answer(307, {"location": "/elsewhere"}, kept=False)])) as there:
            exporter = http_to(there.url)
            await forwarded(exporter, [batch_of()], kept=True)
            return len(there.requests), exporter.dropped

    assert asyncio.run(run()) == (1, 1)


def test_retry_after_is_seconds_or_a_date():
    def waits(value):
        return retry_after(Response(503, {"retry-after": value}, b""))

    assert waits("7") == 7
    assert waits(formatdate(0, usegmt=True)) == 0
    assert waits(formatdate(4_000_000_000, usegmt=True)) > 3000
    assert waits("soon") is None
    assert retry_after(Response(503, {}, b"")) is None


# Proxies, TLS, credentials


async def through_a_tunnel(tmp_path):
    """What a proxy saw of a request over https, how many spans arrived, and the port that they arrived at."""
    seen = []

    async def tunnel(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        seen.append(head)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        onward = await asyncio.open_connection("127.0.0.1", int(head.split()[1].rpartition(":")[2]))

        async def copy(source, sink):
            while data := await source.read(65536):
                sink.write(data)
            sink.transport.abort()

        await asyncio.gather(copy(reader, onward[1]), copy(onward[0], writer), return_exceptions=True)

    ca = authority(tmp_path / "ca")
    there = HTTPDestination(ssl=ca.server())
    async with started(there):
        proxy = await asyncio.start_server(tunnel, "127.0.0.1", 0)
        port = proxy.sockets[0].getsockname()[1]
        exporter = http_to(
            there.url, proxy_url=f"http://user:pass%20word@127.0.0.1:{port}", tls=TLSClient(ca_file=ca.file)
        )
        await forwarded(exporter, [batch_of()], kept=False)
        proxy.close()
        await asyncio.sleep(0.01)
        return seen, sum(there.received.values()), there.port


def test_a_proxy_makes_a_tunnel_to_https(tmp_path):
    seen, received, port = asyncio.run(through_a_tunnel(tmp_path))
    assert seen == [
        f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        "Proxy-Authorization: Basic dXNlcjpwYXNzIHdvcmQ=\r\n\r\n"
    ]
    assert received == 1


def test_a_proxy_is_asked_for_the_whole_url_over_http():
    async def run():
        async with started(HTTPDestination()) as proxy:
            await forwarded(http_to("http://there.invalid:4318", proxy_url=proxy.url), [batch_of()], kept=False)
            [(target, headers, _)] = proxy.requests
            return target, headers["host"]

    assert asyncio.run(run()) == ("http://there.invalid:4318/v1/traces", "there.invalid:4318")


def test_the_environments_proxy_is_used_but_not_to_this_machine(monkeypatch):
    async def run():
        async with started(HTTPDestination(), HTTPDestination()) as (proxy, there):
            monkeypatch.setenv("http_proxy", proxy.url)
            monkeypatch.setenv("no_proxy", "direct.invalid")
            await forwarded(http_to("http://there.invalid"), [batch_of()], kept=False)
            await forwarded(http_to(there.url), [batch_of()], kept=False)
            exporter = http_to("http://direct.invalid")
            exporter.start()
            with pytest.raises(UnavailableError):
                await exporter.export(batch_of(), kept=False)
            await exporter.close(1)
            return [path for path, _, _ in proxy.requests], [path for path, _, _ in there.requests]

    assert asyncio.run(run()) == (["http://there.invalid/v1/traces"], ["/v1/traces"])


def test_user_and_password_of_a_url_are_sent_and_not_shown():
    async def run():
        async with started(HTTPDestination()) as there:
            exporter = http_to(there.url.replace("://", "://user:secret@"))
            await forwarded(exporter, [batch_of()], kept=False)
            return there.requests[0][1]["authorization"], exporter.describe(), there.url

    authorization, described, url = asyncio.run(run())
    assert authorization == "Basic dXNlcjpzZWNyZXQ="
    assert described == f"forwarding to {url}/v1/traces"


async def over_tls(folder, tls, *, client_authority=None, names=("127.0.0.1",)):
    """Whether a request arrives at an HTTPS and a gRPC back end with a certificate for these names."""
    ca = authority(folder)
    context = ca.server(*names, clients=client_authority)
    secure = ca.grpc_server(*names, clients=client_authority)
    settings = tls(ca)
    async with started(HTTPDestination(ssl=context), GRPCDestination(credentials=secure)) as (http, rpc):
        found = []
        for there, exporter in (
            (http, http_to(http.url, tls=settings)),
            (rpc, grpc_to(f"https://127.0.0.1:{rpc.port}", tls=settings)),
        ):
            exporter.start()
            try:
                await exporter.export(batch_of(), kept=False)
            except UnavailableError:
                assert not there.received
            found.append(bool(there.received))
            await exporter.close(1)
        return found


def test_tls_verifies_against_the_named_authority(tmp_path):
    assert asyncio.run(over_tls(tmp_path / "named", lambda ca: TLSClient(ca_file=ca.file))) == [True, True]
    assert asyncio.run(over_tls(tmp_path / "unknown", lambda ca: TLSClient())) == [False, False]


@pytest.mark.parametrize(("name", "arrives"), [("jaeger.invalid", True), ("other.invalid", False)])
def test_the_name_in_the_certificate_may_be_another_if_told(name, arrives, tmp_path):
    def tls(ca):
        return TLSClient(ca_file=ca.file, server_name_override=name)

    assert asyncio.run(over_tls(tmp_path / "ca", tls, names=("jaeger.invalid",))) == [arrives, arrives]


@pytest.mark.parametrize("shown", [True, False])
def test_a_client_certificate_is_shown(shown, tmp_path):
    clients = authority(tmp_path / "clients")
    own = dict(zip(("cert_file", "key_file"), clients.files("client"), strict=True)) if shown else {}

    def tls(ca):
        return TLSClient(ca_file=ca.file, **own)

    assert asyncio.run(over_tls(tmp_path / "ca", tls, client_authority=clients)) == [shown, shown]


def test_verification_can_be_switched_off_for_http_only(tmp_path):
    async def run():
        async with started(HTTPDestination(ssl=authority(tmp_path / "ca").server())) as there:
            await forwarded(http_to(there.url, tls=TLSClient(insecure_skip_verify=True)), [batch_of()], kept=False)
            return len(there.received)

    assert asyncio.run(run()) == 1
    with pytest.raises(ConfigError) as refusal:
        grpc_to("there:4317", tls=TLSClient(insecure_skip_verify=True))
    line = "gRPC always verifies here; name the authority with ca_file"
    assert str(refusal.value) == f"exporters.otlp/a.tls.insecure_skip_verify: {line}"


@pytest.mark.parametrize(
    "make", [lambda tls: http_to("https://there", tls=tls), lambda tls: grpc_to("there:1", tls=tls)]
)
def test_a_missing_certificate_is_a_clear_error(make, tmp_path):
    with pytest.raises(ConfigError, match=r"exporters\.otlp/a\.tls: cannot use .*missing\.pem: .*No such file"):
        make(TLSClient(ca_file=str(tmp_path / "missing.pem")))


@pytest.mark.parametrize(
    "make",
    [
        lambda: http_to("http://there", headers={"x": "a\nb"}),
        lambda: grpc_to("there:1", headers={"x": "ä"}),
        lambda: http_to(""),
        lambda: http_to("http://there", proxy_url="https://proxy"),
    ],
)
def test_what_cannot_be_sent_is_refused_at_start(make):
    with pytest.raises(ConfigError, match=r"exporters\.otlp/a"):
        make()


def test_the_credential_is_asked_at_every_request():
    tokens = iter([("Authorization", "Bearer 1"), ("Authorization", "Bearer 2"), None] * 2)

    async def run():
        async with started(HTTPDestination(), GRPCDestination()) as (http, rpc):
            for exporter in (
                http_to(http.url, credential=lambda: next(tokens)),
                grpc_to(rpc.port, credential=lambda: next(tokens), headers={"X-Tenant": "a"}),
            ):
                exporter.start()
                for _ in range(3):
                    await exporter.export(batch_of(), kept=False)
                await exporter.close(1)
            over_http = [sent.get("authorization") for _, sent, _ in http.requests]
            return over_http, [(sent.get("authorization"), sent["x-tenant"]) for sent in rpc.metadata]

    expected = ["Bearer 1", "Bearer 2", None]
    assert asyncio.run(run()) == (expected, [(each, "a") for each in expected])


# gRPC


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "http://127.0.0.1:{}", "dns:///127.0.0.1:{}", "dns://127.0.0.1:{}"])
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_request_arrives_over_grpc(form, compression):
    async def run():
        async with started(GRPCDestination()) as there:
            batches = [batch_of(2)]
            exporter = grpc_to(form.format(there.port), compression=compression)
            await forwarded(exporter, batches, kept=False)
            return there.received == sent(batches), there.metadata[0]["user-agent"].split()[0]

    assert asyncio.run(run()) == (True, "llmtrace-collector")


def test_every_signal_has_its_service():
    async def run():
        async with started(GRPCDestination()) as there:
            exporter = grpc_to(there.port, signals=(METRICS, LOGS))
            exporter.start()
            await exporter.export(Batch(METRICS, points_of(METRICS.request())), kept=False)
            await exporter.export(Batch(LOGS, records_of(LOGS.request())), kept=False)
            await exporter.close(1)
            return exporter.delivered

    assert asyncio.run(run()) == 2


def test_what_a_grpc_destination_did_not_take_is_counted():
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = 1

    async def run():
        async with started(GRPCDestination(response=answer.SerializeToString())) as there:
            exporter = grpc_to(there.port)
            await forwarded(exporter, [batch_of(2)], kept=False)
            return exporter.delivered, exporter.dropped

    assert asyncio.run(run()) == (1, 1)


RETRYABLE = ["CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"]
PERMANENT = [code.name for code in grpc.StatusCode if code.name not in (*RETRYABLE, "OK", "RESOURCE_EXHAUSTED")]


async def answered(code, seconds=None):
    """The exception that a client gets for this answer, and the wait that it asks for."""
    async with started(GRPCDestination([(grpc.StatusCode[code], seconds)])) as there:
        exporter = grpc_to(there.port)
        exporter.start()
        with pytest.raises((UnavailableError, RejectedError)) as refusal:
            await exporter.export(batch_of(), kept=False)
        await exporter.close(1)
        return type(refusal.value), refusal.value.retry_after


def test_which_codes_may_be_tried_again():
    found = {code: asyncio.run(answered(code)) for code in RETRYABLE + PERMANENT + ["RESOURCE_EXHAUSTED"]}
    expected = dict.fromkeys(RETRYABLE, (UnavailableError, 1.0))
    expected |= dict.fromkeys([*PERMANENT, "RESOURCE_EXHAUSTED"], (RejectedError, None))
    assert found == expected


def test_retry_info_is_read():
    assert asyncio.run(answered("UNAVAILABLE", 1.5)) == (UnavailableError, 1.5)
    assert asyncio.run(answered("RESOURCE_EXHAUSTED", 0.25)) == (UnavailableError, 0.25)
    assert asyncio.run(answered("INVALID_ARGUMENT", 0.25)) == (RejectedError, None)


def test_tls_to_a_destination_without_it_is_explained():
    async def run():
        async with started(GRPCDestination()) as there:
            exporter = grpc_to(there.port, tls=TLSClient())
            exporter.start()
            with pytest.raises(UnavailableError) as refusal:
                await exporter.export(batch_of(), kept=False)
            await exporter.close(1)
            return str(refusal.value).partition(": ")[2]

    assert asyncio.run(run()) == "it does not speak TLS; if that is meant, set tls: {insecure: true}"


# Loss: sent is received


HTTP_REFUSALS = [Answer(status, kept=False) for status in (503, 502, 504, 429)] + [
    Answer(429, {"retry-after": "0"}, kept=False),
    Answer(503, {"retry-after": formatdate(0, usegmt=True)}, kept=False),
    Answer(cut="before", kept=False),
    Answer(cut="after", kept=False),
]
UNAVAILABLE = (grpc.StatusCode.UNAVAILABLE, None)
WAYS = [
    pytest.param({"kept": False}, id="waiting clients"),
    pytest.param({"kept": True}, id="in memory"),
    pytest.param({"kept": False, "disk": True}, id="on disk"),
    pytest.param({"kept": True, "batch": QueueBatch(flush_timeout=0.01, min_size=7, max_size=20)}, id="batched"),
    pytest.param(
        {"kept": False, "disk": True, "batch": QueueBatch(flush_timeout=0.01, min_size=7)}, id="disk, batched"
    ),
]


def queue_for(way):
    return SendingQueue(storage="file_storage" if way.get("disk") else "", batch=way.get("batch"))


def exporter_for(way, make, where, tmp_path, **options):
    return make(where, sending_queue=queue_for(way), storage=tmp_path if way.get("disk") else None, **options)


@pytest.mark.parametrize("way", WAYS)
def test_all_arrives_once_though_seven_of_ten_are_refused(way, tmp_path):
    async def run():
        batches = [batch_of(1 + number % 4) for number in range(60)]
        async with started(HTTPDestination(refusing(0.7, *HTTP_REFUSALS))) as there:
            await forwarded(exporter_for(way, http_to, there.url, tmp_path), batches, kept=way["kept"])
            return there.received == sent(batches)

    assert asyncio.run(run())


@pytest.mark.parametrize("way", WAYS)
def test_all_arrives_once_over_grpc_though_seven_of_ten_are_refused(way, tmp_path):
    refusals = [UNAVAILABLE, (grpc.StatusCode.RESOURCE_EXHAUSTED, 0), (grpc.StatusCode.ABORTED, 0.001)]

    async def run():
        batches = [batch_of(1 + number % 4) for number in range(60)]
        there = GRPCDestination(each if isinstance(each, tuple) else None for each in refusing(0.7, *refusals))
        async with started(there):
            await forwarded(exporter_for(way, grpc_to, there.port, tmp_path), batches, kept=way["kept"])
            return there.received == sent(batches)

    assert asyncio.run(run())


@pytest.mark.parametrize("way", WAYS)
def test_a_destination_that_hangs_is_left_and_tried_again(way, tmp_path):
    async def run():
        batches = [batch_of() for _ in range(20)]
        async with started(HTTPDestination([HANG] * 8), GRPCDestination([HANG] * 8)) as (http, rpc):
            for there, make, where in ((http, http_to, http.url), (rpc, grpc_to, rpc.port)):
                folder = tmp_path / type(there).__name__
                folder.mkdir()
                await forwarded(exporter_for(way, make, where, folder, timeout=0.2), batches, kept=way["kept"])
            return http.received == rpc.received == sent(batches)

    assert asyncio.run(run())


def test_what_arrived_without_an_answer_is_sent_again():
    async def run():
        batches = [batch_of()]
        async with started(HTTPDestination([Answer(cut="after"), Answer()])) as there:
            await forwarded(http_to(there.url), batches, kept=True)
            return there.received == sent(batches * 2)

    assert asyncio.run(run())


@pytest.mark.parametrize("way", WAYS)
def test_what_is_refused_for_good_harms_nothing_else(way, tmp_path):
    async def run():
        batches = [batch_of() for _ in range(10)]
        counts = Counts()
        async with started(HTTPDestination([Answer(400, kept=False)])) as there:
            exporter = exporter_for(way, http_to, there.url, tmp_path, counts=counts)
            exporter.start()
            results = await asyncio.gather(
                *(exporter.export(batch, kept=way["kept"]) for batch in batches), return_exceptions=True
            )
            await until(lambda: not exporter._lanes["traces"].queue.room.used)
            await exporter.close(10)
            label = {"exporter": "otlp/a"}
            failed = counts.total("otelcol_exporter_send_failed_spans", **label)
            told = sum(isinstance(result, RejectedError) for result in results)
            lost = sent(batches) - there.received
            return failed == sum(lost.values()) == exporter.dropped + told, 0 < failed < 10 or "batch" in way

    assert asyncio.run(run()) == (True, True)


@pytest.mark.parametrize("make", [HTTPDestination, GRPCDestination])
def test_a_destination_that_was_away_gets_what_waits_on_disk(make, tmp_path, free_port):
    async def run():
        batches = [batch_of() for _ in range(50)]
        there = make(port=free_port)
        url = f"http://127.0.0.1:{free_port}"
        exporter = (http_to if make is HTTPDestination else grpc_to)(url, sending_queue=on_disk(), storage=tmp_path)
        exporter.start()
        for batch in batches:
            await exporter.export(batch, kept=False)
        await until(lambda: exporter.down_since())
        async with started(there):
            await until(lambda: exporter.delivered == 50)
            await exporter.close(10)
        return there.received == sent(batches), exporter.dropped

    assert asyncio.run(run()) == (True, 0)


def test_a_destination_that_was_away_gets_what_had_room_in_memory(free_port):
    async def run():
        batches = [batch_of() for _ in range(50)]
        exporter = http_to(f"http://127.0.0.1:{free_port}", sending_queue=SendingQueue(queue_size=20))
        exporter.start()
        for batch in batches:
            await exporter.export(batch, kept=True)
        await until(lambda: exporter.down_since())
        async with started(HTTPDestination(port=free_port)) as there:
            await until(lambda: exporter.delivered == 20)
            await exporter.close(10)
            return there.received == sent(batches[:20]), exporter.dropped

    assert asyncio.run(run()) == (True, 30)


def test_memory_does_not_grow_with_what_waits_on_disk(tmp_path):
    program = """
import asyncio, resource, sys
sys.path[:0] = sys.argv[2:]
from destinations import batch_of
from test_forwarding import http_to, on_disk

async def run():
    exporter = http_to("http://127.0.0.1:9", sending_queue=on_disk(), storage=sys.argv[1])
    exporter.start()
    batch = batch_of(1, size=1_000_000)
    for _ in range(20):
        await exporter.export(batch, kept=False)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(300):
        await exporter.export(batch, kept=False)
    await exporter.close(0)
    print(exporter.waiting, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)

asyncio.run(run())
"""
    found = subprocess.run(
        [sys.executable, "-c", program, tmp_path, *sys.path], capture_output=True, text=True, check=True, timeout=100
    )
    waiting, grown = map(int, found.stdout.split())
    assert waiting == 320
    assert grown < 60  # MiB, of 300 that were written


def test_one_destination_that_is_away_does_not_hold_up_another(free_port, tmp_path):
    async def run():
        batches = [batch_of() for _ in range(20)]
        away = http_to(f"http://127.0.0.1:{free_port}", sending_queue=on_disk(), storage=tmp_path)
        async with started(HTTPDestination()) as there:
            here = http_to(there.url)
            for exporter in (away, here):
                exporter.start()
            for batch in batches:
                await away.export(batch, kept=False)
                await here.export(batch, kept=away.durable)
            await until(lambda: here.delivered == 20)
            for exporter in (away, here):
                await exporter.close(0)
            return there.received == sent(batches), away.waiting, here.dropped

    assert asyncio.run(run()) == (True, 20, 0)


CLIENT = """
import asyncio, sys
sys.path[:0] = sys.argv[4:]
import destinations
from test_forwarding import http_to, on_disk

async def client(exporter):
    while True:
        batch = destinations.batch_of(2, size=2000)
        await exporter.export(batch, kept=False)
        print(*(span.hex() for span in destinations.ids(batch)), flush=True)

async def run():
    url, folder, number = sys.argv[1:4]
    destinations.numbers = iter(range(int(number) * 10**6, 10**9))
    exporter = http_to(url, sending_queue=on_disk(queue_size=10**6), storage=folder)
    exporter.start()
    await asyncio.gather(*(client(exporter) for _ in range(4)))

asyncio.run(run())
"""


@pytest.mark.long
def test_nothing_acknowledged_is_lost_when_the_collector_is_killed_again_and_again(tmp_path):
    async def run():
        acknowledged = set()
        async with started(HTTPDestination(refusing(0.5, REFUSED, Answer(cut="after")))) as there:
            for number in range(10):
                child = await asyncio.create_subprocess_exec(
                    sys.executable, "-c", CLIENT, there.url, tmp_path, str(number), *sys.path, stdout=subprocess.PIPE
                )
                for _ in range(20 + 17 * number):
                    acknowledged.update(map(bytes.fromhex, (await child.stdout.readline()).decode().split()))
                child.send_signal(signal.SIGKILL)
                rest = (await child.stdout.read()).decode().splitlines(keepends=True)
                acknowledged.update(bytes.fromhex(word) for line in rest if line[-1] == "\n" for word in line.split())
                await child.wait()
            last = http_to(there.url, sending_queue=on_disk(queue_size=10**6), storage=tmp_path)
            last.start()
            await until(lambda: not last._lanes["traces"].queue.room.used)
            await last.close(1)
            return len(acknowledged) > 1000, acknowledged - there.received.keys()

    assert asyncio.run(run()) == (True, set())
