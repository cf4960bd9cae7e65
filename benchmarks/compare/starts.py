"""How each peer is switched on, by its entry points or by the call that its documentation tells a program to make.

A start takes the exporter, which drops all spans, and the names of the peer's distributions; each puts a batch
processor before it. What a peer insists on configuring itself is left to it.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

Start = Callable[[SpanExporter, list[str]], None]


def provide(exporter: SpanExporter) -> TracerProvider:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return provider


def nothing(exporter: SpanExporter, _: list[str]) -> None:
    provide(exporter)


def start_entry_points(exporter: SpanExporter, distributions: list[str]) -> None:
    """As `opentelemetry-instrument` does."""
    provide(exporter)
    for entry_point in entry_points(group="opentelemetry_instrumentor"):
        if entry_point.dist is not None and entry_point.dist.name in distributions:
            entry_point.load()().instrument(skip_dep_check=True)


def start_llmtrace(exporter: SpanExporter, _: list[str]) -> None:
    start_entry_points(exporter, ["llmtrace-otel"])


def configure_logfire(exporter: SpanExporter) -> Any:
    import logfire

    os.environ.pop("OTEL_EXPORTER_OTLP_ENDPOINT")  # where it would send everything, too
    processors = [BatchSpanProcessor(exporter)]
    logfire.configure(send_to_logfire=False, console=False, additional_span_processors=processors)
    return logfire


def start_logfire(exporter: SpanExporter, _: list[str]) -> None:
    logfire = configure_logfire(exporter)
    name = os.environ["BENCHMARK_SDK"].replace("-", "_")
    if name == "google_genai":  # OpenTelemetry's instrumentor, which is not kept from newer SDKs on its own, either
        logfire.instrument_google_genai(skip_dep_check=True)
    elif instrument := getattr(logfire, f"instrument_{name}", None):
        instrument()


def start_logfire_httpx(exporter: SpanExporter, _: list[str]) -> None:
    configure_logfire(exporter).instrument_httpx()


def start_langfuse(exporter: SpanExporter, _: list[str]) -> None:
    from langfuse import Langfuse

    Langfuse(public_key="pk-lf-x", secret_key="sk-lf-x", span_exporter=exporter)
    import langfuse.openai  # noqa: F401 - which wraps the SDK


def start_openlit(exporter: SpanExporter, _: list[str]) -> None:
    import openlit

    provide(exporter)
    # It reads the variable for itself, and takes every value but `true` for no.
    capture = os.environ.pop("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT") != "no_content"
    openlit.init(capture_message_content=capture, disable_metrics=True, disable_events=True)


def start_agentopt(exporter: SpanExporter, _: list[str]) -> None:
    from agentopt import LLMTracker

    provide(exporter)
    tracker = LLMTracker(cache=False)  # which would answer in the provider's place
    tracker.start()
    tracking = tracker.track(data_id="x", combo_id="x")
    tracking.__enter__()
    atexit.register(tracking.__exit__, None, None, None)


def start_litellm_callback(exporter: SpanExporter, _: list[str]) -> None:
    import litellm

    provide(exporter)
    litellm.callbacks = ["otel"]


def start_litellm_callback_v2(exporter: SpanExporter, _: list[str]) -> None:
    """As LiteLLM does for the same name, but for the exporter: this one takes no provider but its own."""
    import litellm
    from litellm.integrations.otel.logger import build_otel_v2_logger
    from litellm.integrations.otel.model.config import OpenTelemetryV2Config
    from litellm.integrations.otel.plumbing.providers import build_tracer_provider

    config = OpenTelemetryV2Config()
    provider = build_tracer_provider(config, exporter, use_simple_processor=False)
    trace.set_tracer_provider(provider)
    litellm.callbacks = [build_otel_v2_logger(config, tracer_provider=provider)]


STARTS: dict[str, Start] = {
    "nothing": nothing,
    "entry_points": start_entry_points,
    "llmtrace": start_llmtrace,
    "logfire": start_logfire,
    "logfire_httpx": start_logfire_httpx,
    "langfuse": start_langfuse,
    "openlit": start_openlit,
    "agentopt": start_agentopt,
    "litellm_callback": start_litellm_callback,
    "litellm_callback_v2": start_litellm_callback_v2,
}
