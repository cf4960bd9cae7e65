"""Where attributes are in the messages of the three signals, and the few things that are done to a list of them.

An attribute list is a repeated `KeyValue`. Two of one key are an error of the sender; the first is the one that counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llmtrace_collector.otlp.batch import Batch
    from llmtrace_collector.otlp.signals import Signal

_FIELDS = {
    "traces": ("resource_spans", "scope_spans", "spans"),
    "metrics": ("resource_metrics", "scope_metrics", "metrics"),
    "logs": ("resource_logs", "scope_logs", "log_records"),
}


def by_resource(batch: Batch) -> Any:
    """The `ResourceSpans`, `ResourceMetrics` or `ResourceLogs`: a list to change."""
    return getattr(batch.message, _FIELDS[batch.signal.name][0])


def by_scope(signal: Signal, resource: Any) -> Any:
    """What one of `by_resource` has by instrumentation scope: a list to change."""
    return getattr(resource, _FIELDS[signal.name][1])


def items(signal: Signal, scope: Any) -> Any:
    """The spans, metrics or log records of one of `by_scope`: a list to change."""
    return getattr(scope, _FIELDS[signal.name][2])


def attribute_lists(signal: Signal, item: Any) -> Iterator[Any]:
    """The item's own attributes; a metric has a list for each of its data points."""
    if signal.name != "metrics":
        yield item.attributes
    elif kind := item.WhichOneof("data"):
        for point in getattr(item, kind).data_points:
            yield point.attributes


def find(attributes: Iterable[Any], key: str) -> Any | None:
    """The value of an attribute, to read or to change."""
    for attribute in attributes:
        if attribute.key == key:
            return attribute.value
    return None


def put(attributes: Any, key: str) -> Any:
    """The value of an attribute, which is added where it is missing."""
    found = find(attributes, key)
    return attributes.add(key=key).value if found is None else found


def add(attributes: Any, key: str, number: int) -> None:
    """Adds to the integer of an attribute, as far as 64 bits go."""
    value = put(attributes, key)
    value.int_value = min(value.int_value + number, 2**63 - 1)


def remove(attributes: Any, key: str) -> bool:
    """Takes an attribute out. Whether it was there."""
    for index, attribute in enumerate(attributes):
        if attribute.key == key:
            del attributes[index]
            return True
    return False
