"""`/metrics`: the page's text, and its server as HTTP clients see it."""

import asyncio
import re
import socket

import pytest
from figure_helpers import busy_figures

from llmtrace_collector.config.settings import Prometheus
from llmtrace_collector.figures.counts import Counts
from llmtrace_collector.figures.prometheus import MetricsPage, called, counted, page, running
from llmtrace_otel.telemetry.semconv import VERSION

BUSY = """\
# HELP llmtrace_calls LLM calls, failed ones included.
# TYPE llmtrace_calls counter
llmtrace_calls{model="claude-sonnet-5"} 2
llmtrace_calls{model="gpt-5-mini"} 3
llmtrace_calls{model="o9"} 1
# HELP llmtrace_cost_usd What is known of the cost of LLM calls, in US dollars.
# TYPE llmtrace_cost_usd counter
llmtrace_cost_usd{model="gpt-5-mini"} 0.03
# HELP llmtrace_errors LLM calls that failed.
# TYPE llmtrace_errors counter
llmtrace_errors{model="claude-sonnet-5"} 0
llmtrace_errors{model="gpt-5-mini"} 0
llmtrace_errors{model="o9"} 1
# HELP llmtrace_exporter_dropped_log_records Number of log records lost to a destination.
# TYPE llmtrace_exporter_dropped_log_records counter
llmtrace_exporter_dropped_log_records{exporter="otlp_http/jaeger"} 1
# HELP llmtrace_exporter_dropped_spans Number of spans lost to a destination.
# TYPE llmtrace_exporter_dropped_spans counter
llmtrace_exporter_dropped_spans{exporter="otlp_http/jaeger"} 4
# HELP llmtrace_tokens Tokens that LLM calls reported.
# TYPE llmtrace_tokens counter
llmtrace_tokens{model="claude-sonnet-5",type="input"} 400
llmtrace_tokens{model="claude-sonnet-5",type="output"} 18
llmtrace_tokens{model="gpt-5-mini",type="input"} 3000
llmtrace_tokens{model="gpt-5-mini",type="output"} 150
# HELP llmtrace_unpriced_calls LLM calls that cost something nobody knows.
# TYPE llmtrace_unpriced_calls counter
llmtrace_unpriced_calls{model="claude-sonnet-5"} 2
llmtrace_unpriced_calls{model="gpt-5-mini"} 0
llmtrace_unpriced_calls{model="o9"} 0
# HELP otelcol_exporter_enqueue_failed_spans Number of spans failed to be added to the sending queue. [Alpha]
# TYPE otelcol_exporter_enqueue_failed_spans counter
otelcol_exporter_enqueue_failed_spans{exporter="otlp_http/jaeger"} 9
# HELP otelcol_exporter_queue_capacity Fixed capacity of the retry queue (in batches). [Alpha]
# TYPE otelcol_exporter_queue_capacity gauge
otelcol_exporter_queue_capacity{data_type="logs",exporter="otlp_http/jaeger"} 1000
otelcol_exporter_queue_capacity{data_type="traces",exporter="otlp_http/jaeger"} 1000
# HELP otelcol_exporter_queue_size Current size of the retry queue (in batches). [Alpha]
# TYPE otelcol_exporter_queue_size gauge
otelcol_exporter_queue_size{data_type="logs",exporter="otlp_http/jaeger"} 1
otelcol_exporter_queue_size{data_type="traces",exporter="otlp_http/jaeger"} 5
# HELP otelcol_exporter_sent_spans Number of spans successfully sent to destination. [Alpha]
# TYPE otelcol_exporter_sent_spans counter
otelcol_exporter_sent_spans{exporter="file"} 3412
otelcol_exporter_sent_spans{exporter="otlp_http/jaeger"} 3400
# HELP otelcol_receiver_accepted_log_records Number of log records successfully pushed into the pipeline. [Alpha]
# TYPE otelcol_receiver_accepted_log_records counter
otelcol_receiver_accepted_log_records{receiver="otlp",transport="grpc"} 1
# HELP otelcol_receiver_accepted_spans Number of spans successfully pushed into the pipeline. [Alpha]
# TYPE otelcol_receiver_accepted_spans counter
otelcol_receiver_accepted_spans{receiver="otlp",transport="grpc"} 3412
# HELP otelcol_receiver_refused_spans Number of spans that could not be pushed into the pipeline. [Alpha]
# TYPE otelcol_receiver_refused_spans counter
otelcol_receiver_refused_spans{receiver="otlp",transport="grpc"} 12
# HELP otelcol_receiver_requests The number of requests performed. [Alpha]
# TYPE otelcol_receiver_requests counter
otelcol_receiver_requests{outcome="refused",receiver="otlp",transport="grpc"} 1
otelcol_receiver_requests{outcome="success",receiver="otlp",transport="grpc"} 7
"""

# Headers of the official collector's page (otelcol 0.158) for what both have.
OFFICIAL = """\
# HELP otelcol_exporter_enqueue_failed_spans Number of spans failed to be added to the sending queue. [Alpha]
# TYPE otelcol_exporter_enqueue_failed_spans counter
# HELP otelcol_exporter_queue_capacity Fixed capacity of the retry queue (in batches). [Alpha]
# TYPE otelcol_exporter_queue_capacity gauge
# HELP otelcol_exporter_queue_size Current size of the retry queue (in batches). [Alpha]
# TYPE otelcol_exporter_queue_size gauge
# HELP otelcol_exporter_sent_spans Number of spans successfully sent to destination. [Alpha]
# TYPE otelcol_exporter_sent_spans counter
# HELP otelcol_process_cpu_seconds Total CPU user and system time in seconds [Alpha]
# TYPE otelcol_process_cpu_seconds counter
# HELP otelcol_process_memory_rss Total physical memory (resident set size) [Alpha]
# TYPE otelcol_process_memory_rss gauge
# HELP otelcol_process_uptime Uptime of the process [Alpha]
# TYPE otelcol_process_uptime counter
# HELP otelcol_processor_incoming_items Number of items passed to the processor. [Alpha]
# TYPE otelcol_processor_incoming_items counter
# HELP otelcol_processor_memory_limiter_accepted_spans Number of spans successfully pushed into the next component in the pipeline. [Alpha]
# TYPE otelcol_processor_memory_limiter_accepted_spans counter
# HELP otelcol_processor_outgoing_items Number of items emitted from the processor. [Alpha]
# TYPE otelcol_processor_outgoing_items counter
# HELP otelcol_processor_probabilistic_sampler_count_traces_sampled Count of traces that were sampled or not [Development]
# TYPE otelcol_processor_probabilistic_sampler_count_traces_sampled counter
# HELP otelcol_receiver_accepted_spans Number of spans successfully pushed into the pipeline. [Alpha]
# TYPE otelcol_receiver_accepted_spans counter
# HELP otelcol_receiver_failed_spans The number of spans that failed to be processed by the receiver due to internal errors. [Alpha]
# TYPE otelcol_receiver_failed_spans counter
# HELP otelcol_receiver_refused_spans Number of spans that could not be pushed into the pipeline. [Alpha]
# TYPE otelcol_receiver_refused_spans counter
# HELP target_info Target metadata
# TYPE target_info gauge
"""  # noqa: E501


def test_the_page_of_a_busy_collector():
    figures = busy_figures()
    assert page([*counted(figures.counts), *called(figures.tally)]) == BUSY


def test_headers_are_those_of_the_official_collector():
    names = dict.fromkeys(line.split()[2] for line in OFFICIAL.splitlines())
    lines = page((name, (), 0) for name in names).splitlines()
    assert "".join(f"{line}\n" for line in lines if line.startswith("#")) == OFFICIAL


def test_the_samples_of_the_process():
    samples = {name: (labels, value) for name, labels, value in running("an-id")}
    assert list(samples) == [
        "otelcol_process_cpu_seconds",
        "otelcol_process_memory_rss",
        "otelcol_process_uptime",
        "target_info",
    ]
    about = (("service_instance_id", "an-id"), ("service_name", "llmtrace-otel"), ("service_version", VERSION))
    assert samples["target_info"] == (about, 1)
    assert all(value > 0 for _, value in samples.values())


def test_a_label_is_escaped():
    assert (
        page([("a", (("model", 'back\\slash "quote"\nline'),), 1)]) == 'a{model="back\\\\slash \\"quote\\"\\nline"} 1\n'
    )


def test_a_metric_that_is_not_in_the_table_is_shown_without_a_header():
    assert page([("something_new", (), 1.5)]) == "something_new 1.5\n"


def test_a_gauge_is_read_at_every_look():
    values = iter([1, 2])
    counts = Counts()
    counts.gauge("g", (), lambda: next(values))
    assert [list(counted(counts)), list(counted(counts))] == [[("g", (), 1)], [("g", (), 2)]]


def exchange(sent, *, figures=None):
    """What a served page answers to these bytes, up to the end of the connection."""

    async def run():
        said = []
        shown = figures or busy_figures()
        metrics = MetricsPage(Prometheus("localhost", 0), shown.counts, said.append, shown.tally)
        await metrics.start()
        [port] = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/metrics", metrics.url).groups()
        reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
        writer.write(sent)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        await metrics.stop(5)
        assert said == []
        return answer.decode().split("\r\n\r\n", 1)

    return asyncio.run(run())


def test_a_scrape():
    head, text = exchange(b"GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: text/plain\r\n\r\n")
    assert head.split("\r\n") == [
        "HTTP/1.1 200 ",
        "Content-Type: text/plain; version=0.0.4; charset=utf-8",
        f"Content-Length: {len(text)}",
        "Connection: close",
    ]
    busy = text.partition("# HELP otelcol_process_")[0] + text[text.index("# HELP otelcol_receiver_") :]
    assert busy.partition("# HELP target_info")[0] == BUSY


@pytest.mark.parametrize(
    ("sent", "status", "text"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404 ", "only /metrics is here\n"),
        (b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 405 ", ""),
        (b"HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 405 ", ""),
        (b"GET /metrics?name=a HTTP/1.0\r\n\r\n", "HTTP/1.1 200 ", None),
        (b"\x16\x03\x01 nonsense\r\n\r\n", "HTTP/1.1 400 ", "not an HTTP request\n"),
        (b"GET /metrics HTTP/1.1\r\n", "HTTP/1.1 400 ", "not an HTTP request\n"),
        (b"GET /" + b"a" * 100_000, "HTTP/1.1 400 ", "not an HTTP request\n"),
    ],
)
def test_what_else_is_asked_for(sent, status, text):
    head, body = exchange(sent)
    assert head.split("\r\n")[0] == status
    assert body == (body if text is None else text)


def test_a_client_that_goes_away_is_not_answered():
    assert exchange(b"") == [""]


def said_at_start(host, port, **options):
    said = []

    async def run():
        metrics = MetricsPage(Prometheus(host, port), Counts(), said.append, **options)
        await metrics.start()
        await metrics.stop(5)
        return metrics.url

    return asyncio.run(run()), said


def test_a_port_in_use_is_told_and_stops_nothing():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert said_at_start("localhost", port) == (
            "",
            [f"no /metrics: cannot listen on localhost:{port} (Address already in use); choose another port for it"],
        )


def test_other_machines_reach_the_page_only_when_allowed():
    assert said_at_start("0.0.0.0", 0) == (
        "",
        ["no /metrics: 0.0.0.0:0 can be reached from other machines; use 127.0.0.1, or say --allow-remote"],
    )
    url, said = said_at_start("0.0.0.0", 0, allow_remote=True)
    assert url.startswith("http://0.0.0.0:")
    assert said == []
