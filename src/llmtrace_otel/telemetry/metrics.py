"""The client metrics of the GenAI conventions, with their advised bucket boundaries.

Nothing is made or recorded unless the program has a meter provider of its own. Token metrics are recorded for calls
that state their usage, and only then: a zero would be a number that nobody measured.
"""

from __future__ import annotations

import sys
from typing import Any

from opentelemetry import metrics

from llmtrace_otel.telemetry import semconv
from llmtrace_otel.wire.call import Call

DURATION_BUCKETS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""Seconds."""
TOKEN_BUCKETS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)

_TOKEN_COUNTERS = (
    ("gen_ai.client.inference.usage.input_tokens", "input"),
    ("gen_ai.client.inference.usage.output_tokens", "output"),
    ("gen_ai.client.inference.usage.cache_read.input_tokens", "cache_read"),
    ("gen_ai.client.inference.usage.cache_write.input_tokens", "cache_write"),
    ("gen_ai.client.inference.usage.reasoning.output_tokens", "reasoning"),
)


class CallMetrics:
    """Records ended calls with the instruments of one meter provider, the global one unless another is given."""

    def __init__(self, provider: metrics.MeterProvider | None = None) -> None:
        self._given = provider
        self._provider: metrics.MeterProvider | None = None
        self._record: _Instruments | None = None

    def record(self, call: Call, seconds: float) -> None:
        """Records one ended call that took `seconds`."""
        if self._given is None and "opentelemetry.sdk.metrics" not in sys.modules:
            return  # the cheap sign that nobody collects metrics
        provider = self._given or metrics.get_meter_provider()
        if provider is not self._provider:
            self._provider = provider
            self._record = None if is_api_only(provider) else _Instruments(provider)
        if self._record is not None:
            self._record(call, seconds)


def is_api_only(provider: object) -> bool:
    """Whether a provider is the API's own stand-in, which records nothing."""
    return type(provider).__module__.startswith("opentelemetry.metrics")


class _Instruments:
    def __init__(self, provider: metrics.MeterProvider) -> None:
        meter = provider.get_meter(semconv.SCOPE, semconv.VERSION, semconv.SCHEMA_URL)
        self._duration = meter.create_histogram(
            semconv.METRIC_DURATION,
            "s",
            "Duration of a GenAI call.",
            explicit_bucket_boundaries_advisory=DURATION_BUCKETS,
        )
        self._first_chunk = meter.create_histogram(
            semconv.METRIC_TIME_TO_FIRST_CHUNK,
            "s",
            "Time to the first chunk of a streamed answer.",
            explicit_bucket_boundaries_advisory=DURATION_BUCKETS,
        )
        if semconv.OLD_NAMES:
            self._tokens = meter.create_histogram(
                semconv.METRIC_TOKEN_USAGE_OLD,
                "{token}",
                "Input and output tokens of a call.",
                explicit_bucket_boundaries_advisory=TOKEN_BUCKETS,
            )
            return
        self._counters = [(meter.create_counter(name, "{token}"), field) for name, field in _TOKEN_COUNTERS]
        self._sizes = [
            (meter.create_histogram(name, "{token}", explicit_bucket_boundaries_advisory=TOKEN_BUCKETS), field)
            for name, field in ((semconv.METRIC_INPUT_TOKENS, "input"), (semconv.METRIC_OUTPUT_TOKENS, "output"))
        ]

    def __call__(self, call: Call, seconds: float) -> None:
        attributes = _attributes(call)
        failed = {**attributes, semconv.ERROR_TYPE: call.error_type} if call.error_type else attributes
        self._duration.record(seconds, failed)
        if call.streamed and call.first_chunk_ns is not None:
            self._first_chunk.record((call.first_chunk_ns - call.start_ns) / 1e9, attributes)
        if call.usage is None or call.cache_hit:
            return  # nothing was used
        if semconv.OLD_NAMES:
            self._record_old_tokens(call, attributes)
            return
        for counter, field in self._counters:
            if (count := getattr(call.usage, field)) is not None:
                counter.add(count, {**attributes, semconv.TOKEN_MODALITY: "unknown"})
        for histogram, field in self._sizes:
            if (count := getattr(call.usage, field)) is not None:
                histogram.record(count, failed)

    def _record_old_tokens(self, call: Call, attributes: dict[str, Any]) -> None:
        for kind in ("input", "output"):
            if (count := getattr(call.usage, kind)) is not None:
                self._tokens.record(count, {**attributes, semconv.TOKEN_TYPE: kind})


def _attributes(call: Call) -> dict[str, Any]:
    found = {
        semconv.OPERATION: call.operation,
        semconv.PROVIDER: call.provider,
        semconv.REQUEST_MODEL: call.request_model,
        semconv.RESPONSE_MODEL: call.response_model,
        semconv.SERVER_ADDRESS: call.server_address,
        semconv.SERVER_PORT: call.server_port,
    }
    return {name: value for name, value in found.items() if value is not None}
