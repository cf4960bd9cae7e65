"""The other instrumentations, and in which company and order each is tried. Needs nothing but the standard library."""

from __future__ import annotations

from typing import NamedTuple


class Peer(NamedTuple):
    """One row of the table.

    `start` says how it is switched on: by its entry points, as `opentelemetry-instrument` does, or by a call that its
    documentation tells a program to make; `program.py` has the functions. `environ` is set for the whole process.
    `ends_early` names the calls whose span it ends before the answer has been read, too early for our cost.
    """

    title: str
    packages: tuple[str, ...] = ()
    start: str = "entry points"
    environ: tuple[tuple[str, str], ...] = ()
    ends_early: tuple[str, ...] = ()


OPENAI_V2 = ("opentelemetry-instrumentation-openai-v2", "opentelemetry-util-genai<1")
"""It is not maintained any more: with a later util-genai, which it allows, it cannot be imported."""

PEERS = {
    "anthropic-native": Peer("the Anthropic SDK's own tracing (always on)", start="nothing"),
    "contrib-httpx": Peer("OpenTelemetry httpx", ("opentelemetry-instrumentation-httpx",)),
    "genai": Peer(
        "OpenTelemetry GenAI (openai, anthropic)",
        ("opentelemetry-instrumentation-genai-openai", "opentelemetry-instrumentation-genai-anthropic"),
    ),
    "openai-v2": Peer("OpenTelemetry openai-v2", OPENAI_V2),
    "openai-v2-latest": Peer(
        "OpenTelemetry openai-v2, latest conventions",
        OPENAI_V2,
        environ=(("OTEL_SEMCONV_STABILITY_OPT_IN", "gen_ai_latest_experimental"),),
    ),
    "openllmetry": Peer(
        "OpenLLMetry (openai, anthropic, litellm)",
        (
            "opentelemetry-instrumentation-openai",
            "opentelemetry-instrumentation-anthropic",
            "opentelemetry-instrumentation-litellm",
        ),
    ),
    "openinference": Peer(
        "OpenInference (openai, anthropic, litellm)",
        (
            "openinference-instrumentation-openai",
            "openinference-instrumentation-anthropic",
            "openinference-instrumentation-litellm",
        ),
    ),
    "logfire": Peer(
        "Logfire (openai, anthropic, litellm)",
        ("logfire[litellm]",),
        start="logfire",
        ends_early=("OpenAI SDK streamed",),
    ),
    "litellm-otel": Peer('LiteLLM\'s callback `"otel"`', start="litellm callback"),
    "litellm-otel-v2": Peer(
        'LiteLLM\'s callback `"otel"`, version 2', start="litellm callback", environ=(("LITELLM_OTEL_V2", "true"),)
    ),
}

LIBRARIES = ("openai", "anthropic", "litellm", "httpx", "mcp")
"""What is installed in every environment, next to a peer's packages and the project; LiteLLM's Responses import mcp."""

OURS = {"litellm": ("llmtrace_litellm",), "httpx": ("llmtrace_httpx",), "both": ("llmtrace_litellm", "llmtrace_httpx")}
"""Our entry points, by the name of their combination."""

ORDERS = ("ours first", "theirs first")
"""`opentelemetry-instrument` loads entry points as it finds them on the disk: in any order."""


class Case(NamedTuple):
    """One process: a peer alone (`ours` is empty), or in our company."""

    peer: str
    ours: str = ""
    order: str = ORDERS[0]

    def __str__(self) -> str:
        return f"{self.peer}, {self.ours} ({self.order})" if self.ours else f"{self.peer}, alone"


def cases(peer: str) -> list[Case]:
    """Everything that is tried with a peer; one that is switched on by nothing comes in no order."""
    orders = ORDERS if PEERS[peer].start != "nothing" else ORDERS[:1]
    return [Case(peer, ours, order) for ours in OURS for order in orders]
