"""What all processors have in common: they are counted, share a limiter, and leave what they do not change."""

from __future__ import annotations

import json

import pytest
from collector_helpers import request_of
from processor_helpers import configured, made, processed

from llmtrace_collector.config.settings import Redaction
from llmtrace_collector.errors import ConfigError, UnavailableError
from llmtrace_collector.figures.counts import Counts
from llmtrace_collector.otlp.batch import Batch
from llmtrace_collector.otlp.signals import LOGS, METRICS, TRACES
from llmtrace_collector.processors import Processors

SETTINGS = {
    "memory_limiter": {"check_interval": "1s", "limit_mib": 1_000_000},
    "attributes": {"actions": [{"key": "secret", "action": "delete"}]},
    "resource": {"attributes": [{"key": "secret", "action": "delete"}]},
    "redaction": {"allow_all_keys": True, "blocked_values": ["secret"]},
    "llmtrace_redaction": {"patterns": ["secret"]},
    "batch": {},
}
CHANGED = {
    "attributes": {"actions": [{"key": "a", "action": "upsert", "value": 1}]},
    "resource": {"attributes": [{"key": "a", "action": "upsert", "value": 1}]},
    "redaction": {},
    "llmtrace_redaction": {"patterns": ["failed"]},
    "probabilistic_sampler": {"sampling_percentage": 100},
}


def a_batch():
    request = request_of("a", "b")
    for span in request.resource_spans[0].scope_spans[0].spans:
        span.attributes.add(key="model").value.string_value = "gpt-4o"
        span.status.message = "failed"
    return Batch.from_protobuf(TRACES, request.SerializeToString())


@pytest.mark.parametrize(("name", "asked"), SETTINGS.items(), ids=SETTINGS)
def test_a_batch_that_does_not_change_is_the_same_batch(name, asked):
    batch = a_batch()
    assert made(name, asked).process(batch) is batch


@pytest.mark.parametrize(("name", "asked"), CHANGED.items(), ids=CHANGED)
def test_a_batch_that_changes_is_another_in_all_its_forms(name, asked):
    batch = a_batch()
    before = batch.protobuf, batch.line
    after = made(name, asked).process(batch)
    assert Batch.from_protobuf(TRACES, after.protobuf).line == after.line
    assert (after.protobuf, after.line) != before
    assert not set(before) & {after.protobuf, after.line}


@pytest.mark.parametrize("name", [*SETTINGS, "probabilistic_sampler"])
@pytest.mark.parametrize("signal", [TRACES, METRICS, LOGS], ids=lambda signal: signal.name)
def test_an_empty_request_stays_empty(name, signal):
    if name in ("probabilistic_sampler", "llmtrace_redaction") and signal is METRICS:
        pytest.skip("metrics are not sampled, and hold no messages")
    processor = made(name, {**SETTINGS, **CHANGED}[name], signal.name)
    assert processor.process(Batch(signal, signal.request())).items == 0


def test_what_goes_in_and_what_comes_out_is_counted():
    counts = Counts()
    sampler = made("probabilistic_sampler", {"sampling_percentage": 0}, counts=counts)
    assert sampler.process(a_batch()).items == 0
    labels = (("otel_signal", "traces"), ("processor", "probabilistic_sampler"))
    assert counts.totals == {
        ("otelcol_processor_incoming_items", labels): 2,
        ("otelcol_processor_outgoing_items", labels): 0,
        (
            "otelcol_processor_probabilistic_sampler_count_traces_sampled",
            (("policy", "sampling_priority"), ("sampled", "false")),
        ): 2,
    }


def test_the_policy_of_every_sampling_decision_is_counted():
    counts = Counts()
    sampler = made("probabilistic_sampler", {"sampling_percentage": 100, "mode": "equalizing"}, counts=counts)
    low, priority = {"key": "sampling.priority", "value": {"intValue": 0}}, f"{7:032x}"
    spans = [
        {"traceId": priority},
        {"traceId": priority, "attributes": [low]},
        {"traceId": priority, "traceState": "ot=rv:00000000000001"},
        {},
    ]
    processed(sampler, {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]})
    policies = {
        (dict(labels)["policy"], dict(labels)["sampled"]): number
        for (name, labels), number in counts.totals.items()
        if name.endswith("count_traces_sampled")
    }
    assert policies == {
        ("trace_id_w3c", "true"): 1,
        ("sampling_priority", "false"): 1,
        ("sampling_randomness", "true"): 1,
        ("missing_randomness", "false"): 1,
    }


def test_pipelines_share_the_memory_limiter():
    said = []
    settings = configured("memory_limiter", {"check_interval": "1h", "limit_mib": 1})
    processors = Processors(settings, Counts(), said.append)
    for signal in (TRACES, LOGS):
        with pytest.raises(UnavailableError, match="high memory usage"):
            processors.of("memory_limiter", signal).process(Batch(signal, signal.request()))
    assert len(said) == 1


def test_a_mistake_names_the_processor_and_what_is_wrong():
    processors = Processors({"redaction": Redaction(blocked_values=("fine", "a(b"))}, Counts(), print)
    with pytest.raises(ConfigError) as raised:
        processors.of("redaction", TRACES)
    assert str(raised.value) == "processors.redaction: 'a(b' is not a regular expression of RE2: missing ): a(b"


def test_a_count_that_cannot_grow_stays_at_the_most_there_is():
    given = [
        {"key": "a", "value": {"stringValue": "secret"}},
        {"key": "redaction.masked.count", "value": {"intValue": str(2**63 - 1)}},
    ]
    processor = made("redaction", {"allow_all_keys": True, "blocked_values": ["secret"], "summary": "info"})
    line = processed(
        processor, {"resourceSpans": [{"resource": {"attributes": given}, "scopeSpans": [{"spans": [{}]}]}]}
    )
    assert line["resourceSpans"][0]["resource"]["attributes"][1] == given[1]


def test_an_integer_that_no_attribute_can_hold_is_a_mistake():
    with pytest.raises(ConfigError, match="9223372036854775808 is no integer of 64 bits"):
        made("attributes", {"actions": [{"key": "a", "action": "upsert", "value": 2**63}]})


def test_a_pattern_takes_linear_time():
    attribute = {"key": "a", "value": {"stringValue": "a" * 100_000}}
    processor = made("redaction", {"allow_all_keys": True, "blocked_values": ["(a+)+$b", "(a|aa)*c"]})
    line = processed(
        processor, {"resourceSpans": [{"resource": {"attributes": [attribute]}, "scopeSpans": [{"spans": [{}]}]}]}
    )
    assert json.dumps(line["resourceSpans"][0]["resource"]) == json.dumps({"attributes": [attribute]})
