"""The line of totals."""

from figure_helpers import OTLP, busy_figures, chat, spans

from llmtrace_collector.figures.counts import Counts
from llmtrace_collector.figures.summary import Destination, Figures, File, summary
from llmtrace_collector.figures.tally import Tally, calls_in


def traces_only():
    counts = Counts()
    counts.add("otelcol_receiver_requests", 2, (*OTLP, ("outcome", "success")))
    counts.add("otelcol_receiver_accepted_spans", 3, OTLP)
    counts.add("otelcol_exporter_sent_spans", 3, (("exporter", "otlp_http"),))
    return counts


def test_nothing_came():
    assert summary(Figures()) == "0 requests, 0 spans, 0 bytes written"


def test_spans_into_a_file():
    figures = Figures(traces_only(), files=(File("traces.jsonl", lambda: 1234),))
    assert summary(figures) == "2 requests, 3 spans, 1234 bytes written"


def test_spans_forwarded():
    url = "http://127.0.0.1:4318/v1/traces"
    figures = Figures(traces_only(), destinations=(Destination("otlp_http", url, lambda: None),))
    assert summary(figures) == f"2 requests, 3 spans, 0 bytes written; 3 spans forwarded to {url}, 0 dropped"


def test_calls_are_told_when_there_were_any():
    tally = Tally()
    tally.add(calls_in(spans(chat(input_tokens=1200, output_tokens=85, usd=0.25))))
    assert summary(Figures(traces_only(), tally)) == (
        "2 requests, 3 spans, 0 bytes written; 1 call, 1.2k→85 tokens, $0.25"
    )


def test_everything_at_once():
    assert summary(busy_figures()) == (
        "7 requests, 3412 spans, 1 log record, 1234000 bytes written; "
        "3400 spans forwarded to http://127.0.0.1:4318, 5 dropped; "
        "6 calls, 3.4k→168 tokens, $0.03 + 2 unknown, 1 error"
    )
