"""The three signals that OTLP carries: where each arrives, which messages it is made of, and how its items are counted.

Everything behind the receivers is written once, for a `Signal`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal. `items` is what the official metrics call its items, `rejected` the field of refused ones."""

    name: str
    items: str
    path: str
    rpc: str
    request: type[Any]
    response: type[Any]
    rejected: str
    count: Callable[[Any], int]


def _spans(request: Any) -> int:
    return sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans)


def _log_records(request: Any) -> int:
    return sum(len(scope.log_records) for resource in request.resource_logs for scope in resource.scope_logs)


def _metric_points(request: Any) -> int:
    metrics = (
        metric for resource in request.resource_metrics for scope in resource.scope_metrics for metric in scope.metrics
    )
    return sum(len(getattr(metric, kind).data_points) for metric in metrics if (kind := metric.WhichOneof("data")))


TRACES = Signal(
    "traces",
    "spans",
    "/v1/traces",
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
    "rejected_spans",
    _spans,
)
METRICS = Signal(
    "metrics",
    "metric_points",
    "/v1/metrics",
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
    "rejected_data_points",
    _metric_points,
)
LOGS = Signal(
    "logs",
    "log_records",
    "/v1/logs",
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
    "rejected_log_records",
    _log_records,
)
SIGNALS = {signal.name: signal for signal in (TRACES, METRICS, LOGS)}
