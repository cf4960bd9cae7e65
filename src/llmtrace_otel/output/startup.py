"""What `opentelemetry-instrument` runs before the program (entry point `opentelemetry_pre_instrument`).

1. With no distro to do it, the SDK is set up as the standard variables ask. `otlp` means http/protobuf; a variable
   LLMTRACE_OUTPUT on its own means the file and no collector.
2. LLMTRACE_OUTPUT adds the file to whatever provider there is.
3. Exits that would lose spans flush first.
4. TRACEPARENT, TRACESTATE and BAGGAGE of the environment become the context that the program starts in.
5. The proxy through which a parent would see this program's calls is taken out of the environment: they are seen here.

This runs in every Python process below an instrumented one, so nothing is imported that these steps do not need.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.instrumentation.version import __version__ as instrumentation_version
from opentelemetry.util._importlib_metadata import entry_points

from . import flush
from .notice import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from opentelemetry.sdk.trace import SpanProcessor

OUTPUT: Final = "LLMTRACE_OUTPUT"
OTLP: Final = "OTEL_EXPORTER_OTLP_"
PROXY_UNDO: Final = "LLMTRACE_PROXY_UNDO"
CONTEXT: Final = ("TRACEPARENT", "TRACESTATE", "BAGGAGE")
OWN_EXPORTER: Final = "llmtrace_jsonl"
EXPORTERS: Final = {signal: f"OTEL_{signal}_EXPORTER" for signal in ("TRACES", "METRICS", "LOGS")}
CONFIGURATOR_ONLY: Final = (  # read by the SDK's configurator, not by a bare TracerProvider
    "OTEL_CONFIG_FILE",
    "OTEL_TRACES_SAMPLER",
    "OTEL_PYTHON_ID_GENERATOR",
    "OTEL_PYTHON_TRACER_CONFIGURATOR",
    "OTEL_PYTHON_METER_CONFIGURATOR",
    "OTEL_PYTHON_LOGGER_CONFIGURATOR",
    "OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED",
)

_ran = False


def pre_instrument() -> None:
    """Set up output and context, once per process. Does nothing with OTEL_SDK_DISABLED=true. Never raises."""
    global _ran
    if _ran or os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return
    _ran = True
    attempt("set up OpenTelemetry", configure_sdk)
    attempt(f"write {OUTPUT}", add_file)
    attempt("keep spans at exit", flush_at_exits)
    attempt("continue the caller's trace", attach_environment)
    if PROXY_UNDO in os.environ:
        attempt("leave the parent's proxy", leave_proxy)


def attempt(what: str, step: Callable[[], None]) -> None:
    """Run one step; its failure costs one line on stderr, not the other steps and not the program."""
    try:
        step()
    except Exception as error:
        say(f"could not {what}: {str(error) or repr(error)}; the program goes on without it")


def configure_sdk() -> None:
    """Where nobody set a provider and no configurator is installed to do so, be the configurator."""
    if no_provider() and not entry_points(group="opentelemetry_configurator"):
        with variables(default_variables(os.environ)):
            if needs_configurator():
                from .configurator import configure

                configure(auto_instrumentation_version=instrumentation_version)
            else:
                set_provider(exporter_names(EXPORTERS["TRACES"]))


def default_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """What the standard variables mean where they are not set."""
    given = {name for name, value in environ.items() if value.strip()}
    defaults = {}
    if OUTPUT not in given or any(name.startswith(OTLP) for name in given):
        defaults[EXPORTERS["TRACES"]] = "otlp"
    for signal in ("METRICS", "LOGS"):
        if f"{OTLP}{signal}_ENDPOINT" in given:  # the general endpoint asks for traces, which all collectors take
            defaults[EXPORTERS[signal]] = "otlp"
    if not any("otlp_proto_" in environ.get(name, "") for name in EXPORTERS.values()):
        defaults[f"{OTLP}PROTOCOL"] = "http/protobuf"
    return {name: value for name, value in defaults.items() if name not in given}


@contextmanager
def variables(values: Mapping[str, str]) -> Iterator[None]:
    """These variables for the SDK to read, gone again before the program and its children can see them."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def needs_configurator() -> bool:
    """Whether more than tracing is asked for, or tracing in a way that only the SDK's configurator knows."""
    more_signals = exporter_names(EXPORTERS["METRICS"]) or exporter_names(EXPORTERS["LOGS"])
    return bool(more_signals) or any(os.environ.get(name) for name in CONFIGURATOR_ONLY)


def exporter_names(variable: str) -> list[str]:
    """The exporters that a variable lists; none for an empty one and for `none`."""
    names = [name.strip() for name in os.environ.get(variable, "").split(",")]
    return [name for name in names if name and name.lower() != "none"]


def set_provider(exporters: Sequence[str]) -> None:
    """Tracing alone, to these exporters. Service name, resource attributes, limits and samplers are read by the SDK."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    provider = TracerProvider(resource=Resource.create({"telemetry.auto.version": instrumentation_version}))
    trace.set_tracer_provider(provider)
    if exporters:
        from .collector import Collector, maker

        collector = Collector()
        for name in exporters:
            own = name == OWN_EXPORTER
            provider.add_span_processor(file_processor() if own else collector.span_processor(maker(name)))
        collector.watch_exits()


def add_file() -> None:
    """With LLMTRACE_OUTPUT set, write spans to it as they end, on a provider of our own if there is none."""
    if not os.environ.get(OUTPUT):
        return
    if no_provider():
        set_provider(())
    elif OWN_EXPORTER in exporter_names(EXPORTERS["TRACES"]):
        return  # whoever set the provider has made it
    sdk_provider().add_span_processor(file_processor())


def file_processor() -> SpanProcessor:
    from .jsonl import JSONLSpanExporter, JSONLSpanProcessor

    return JSONLSpanProcessor(JSONLSpanExporter())


def no_provider() -> bool:
    return isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def sdk_provider() -> Any:
    """The global provider, which takes span processors. Raises TypeError for one that is not of the SDK's kind."""
    provider = trace.get_tracer_provider()
    if not hasattr(provider, "add_span_processor"):
        raise TypeError(f"the tracer provider {type(provider).__module__} takes no span processors")
    return provider


def flush_at_exits() -> None:
    """Only where spans are recorded at all."""
    if not no_provider():
        flush.install()


def attach_environment() -> None:
    """Be a child of the span that started this process. The variables are W3C whatever OTEL_PROPAGATORS says."""
    carrier = {name.lower(): value for name in CONTEXT if (value := os.environ.get(name))}
    if not carrier:
        return
    from opentelemetry import baggage, context

    from .carrier import context_of

    callers = context_of(carrier, context.get_current())
    context.attach(callers)
    if baggage.get_all(callers):
        from llmtrace_otel.attribution.stamping import stamp_spans

        stamp_spans()


def leave_proxy() -> None:
    """Calls of an instrumented Python program are recorded in it: they are not to go through a parent's proxy too."""
    from llmtrace_otel.proxy import environment

    environment.undo(os.environ)
