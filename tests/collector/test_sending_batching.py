"""Merging and splitting: all items, once, in order, with what was around them."""

import asyncio

import pytest
from destinations import batch_of, ids
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtrace_collector.config.settings import QueueBatch, SendingQueue
from llmtrace_collector.exporters.batching import merge, split
from llmtrace_collector.exporters.merger import Merger
from llmtrace_collector.exporters.queues import MemoryQueue
from llmtrace_collector.otlp.signals import LOGS, METRICS, TRACES


def traces(*shape):
    """A request with scopes of as many spans as told: `shape` has a row for each resource."""
    request = TRACES.request()
    number = 0
    for place, scopes in enumerate(shape):
        resource = request.resource_spans.add(schema_url=f"url {place}")
        resource.resource.attributes.add(key="place").value.int_value = place
        for scope, count in enumerate(scopes):
            block = resource.scope_spans.add(schema_url=f"url {place}.{scope}")
            block.scope.name = f"scope {scope}"
            for _ in range(count):
                number += 1
                block.spans.add(span_id=number.to_bytes(8, "big"), name="chat")
    return request


def flat(request):
    """Every span with all that is around it."""
    return [
        (resource.schema_url, resource.resource, scope.schema_url, scope.scope, span)
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def pieces(signal, request, limit, *, by_bytes=False):
    cut = list(split(signal, request.SerializeToString(), limit, by_bytes=by_bytes))
    messages = [signal.request.FromString(body) for body, _ in cut]
    assert [signal.count(message) for message in messages] == [items for _, items in cut]
    return messages


shapes = st.lists(st.lists(st.integers(0, 5), max_size=3), max_size=4)


@given(shapes, st.integers(1, 7))
@settings(max_examples=60)
def test_splitting_by_items_keeps_every_span_and_its_surroundings(shape, limit):
    request = traces(*shape)
    parts = pieces(TRACES, request, limit)
    assert [item for part in parts for item in flat(part)] == flat(request)
    total = TRACES.count(request)
    assert [TRACES.count(part) for part in parts] == [limit] * (total // limit) + [total % limit] * (total % limit > 0)


@given(shapes, st.integers(150, 400))
@settings(max_examples=60)
def test_splitting_by_bytes_stays_under_the_limit(shape, limit):
    request = traces(*shape)
    parts = pieces(TRACES, request, limit, by_bytes=True)
    assert [item for part in parts for item in flat(part)] == flat(request)
    assert [part for part in parts if part.ByteSize() > limit] == []


def test_a_span_over_the_limit_goes_by_itself():
    request = traces([3])
    request.resource_spans[0].scope_spans[0].spans[1].name = "x" * 1000
    assert [len(ids(part)) for part in pieces(TRACES, request, 500, by_bytes=True)] == [1, 1, 1]


def test_log_records_are_split():
    request = LOGS.request()
    records = request.resource_logs.add().scope_logs.add().log_records
    for number in range(5):
        records.add(severity_number=number + 1)
    parts = pieces(LOGS, request, 2)
    numbers = [[record.severity_number for record in part.resource_logs[0].scope_logs[0].log_records] for part in parts]
    assert numbers == [[1, 2], [3, 4], [5]]


def test_a_metric_is_split_between_its_points_and_keeps_its_kind():
    request = METRICS.request()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="tokens", unit="1")
    metric.metadata.add(key="k").value.string_value = "v"
    metric.sum.is_monotonic, metric.sum.aggregation_temporality = True, 2
    for number in range(3):
        metric.sum.data_points.add(as_int=number)
    first, second = pieces(METRICS, request, 2)
    expected = METRICS.request()
    expected.CopyFrom(request)
    del expected.resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points[2]
    assert first == expected
    expected.CopyFrom(request)
    del expected.resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points[:2]
    assert second == expected


def test_metrics_of_several_kinds_are_kept_apart():
    request = METRICS.request()
    metrics = request.resource_metrics.add().scope_metrics.add().metrics
    metrics.add(name="a").gauge.data_points.add(as_int=1)
    metrics.add(name="b").histogram.data_points.add(count=2)
    metrics.add(name="c").exponential_histogram.data_points.add(count=3)
    metrics.add(name="d").summary.data_points.add(count=4)
    assert pieces(METRICS, request, 9) == [request]
    assert [METRICS.count(part) for part in pieces(METRICS, request, 1)] == [1, 1, 1, 1]


def test_requests_behind_one_another_are_one_request():
    one, other = batch_of(2), batch_of(3)
    merged = TRACES.request.FromString(merge([one.protobuf, other.protobuf]))
    assert ids(merged) == ids(one) + ids(other)


def gathered(batches, batch, *, sizer="requests"):
    """What is sent at once, request by request, in counts of items; what is left when nothing more comes is one."""

    async def run():
        options = SendingQueue(batch=batch, sizer=sizer, queue_size=10**9)
        queue = MemoryQueue(options)
        merger = Merger(TRACES, queue, options)
        for each in batches:
            await queue.put(each.protobuf, each.items, block=False, answered=False)
        found, total = [], 0
        while total < sum(each.items for each in batches):
            together = [piece.items for piece in await merger.gather()]
            total += sum(together)
            found.append(together)
        return found

    return asyncio.run(run())


SOON = 0.001


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        (None, [[3], [3], [3], [10], [1]]),
        (QueueBatch(flush_timeout=SOON, min_size=6), [[3, 3], [3, 10], [1]]),
        (QueueBatch(flush_timeout=SOON, min_size=100), [[3, 3, 3, 10, 1]]),
        (QueueBatch(flush_timeout=SOON, min_size=4, max_size=4), [[3], [3], [3], [4], [4], [2, 1]]),
        (QueueBatch(flush_timeout=SOON, min_size=0, max_size=7), [[3], [3], [3], [7], [3], [1]]),
    ],
)
def test_requests_are_merged_up_to_min_size_and_split_over_max_size(batch, expected):
    assert gathered([batch_of(count) for count in (3, 3, 3, 10, 1)], batch) == expected


def test_the_sizer_of_the_queue_is_the_batchs_too_if_it_has_none():
    batches = [batch_of(1, size=1000) for _ in range(4)]
    batch = QueueBatch(flush_timeout=SOON, min_size=2000)
    assert gathered(batches, batch, sizer="bytes") == [[1, 1], [1, 1]]
    assert gathered(batches, batch) == [[1, 1, 1, 1]]
