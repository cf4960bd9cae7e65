"""Who is compared: what is installed for each, and how it is switched on. Needs nothing but the standard library."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[2]
OTEL = ("opentelemetry-distro", "opentelemetry-exporter-otlp")
SDKS = ("openai", "anthropic", "google-genai", "httpx", "httpx2")
"""One environment has them all. LiteLLM, which pins an older OpenAI SDK, has one of its own."""
EVERYTHING = ("openai", "anthropic", "google-genai", "litellm")


class Peer(NamedTuple):
    """One column of the comparison.

    `packages` are what sees the calls of an SDK, by the SDK's name: an SDK that is not there is not supported. `start`
    is a function of `starts.py`. `pins` are versions of SDKs that it cannot do without. `content` says with which
    settings it can be measured, `environ` is set for the whole process.
    """

    title: str
    packages: dict[str, tuple[str, ...]]
    start: str = "entry_points"
    pins: tuple[str, ...] = ()
    content: tuple[str, ...] = ("off", "on")
    environ: tuple[tuple[str, str], ...] = ()
    command: str = "opentelemetry-instrument"
    """What starts a program under it; empty if the program has to switch it on."""
    script: str = ""
    """What the program says then."""


def everywhere(*packages: str, sdks: tuple[str, ...] = EVERYTHING) -> dict[str, tuple[str, ...]]:
    return dict.fromkeys(sdks, packages)


HTTPX = "opentelemetry-instrumentation-httpx"
GENAI: dict[str, tuple[str, ...]] = {
    "openai": ("opentelemetry-instrumentation-genai-openai",),
    "anthropic": ("opentelemetry-instrumentation-genai-anthropic",),
    "google-genai": ("opentelemetry-instrumentation-google-genai",),
}

LOGFIRE = "import logfire; logfire.configure(send_to_logfire=False, console=False)"

OURS = "llmtrace"
BARE = "bare"
NONE = "none"

PEERS = {
    NONE: Peer("not traced", everywhere(), start="nothing", command=""),
    BARE: Peer("a bare SDK span", everywhere(), start="nothing"),
    OURS: Peer("llmtrace", everywhere("--editable", str(REPOSITORY)), start="llmtrace", content=("off", "on", "delta")),
    "genai": Peer("OpenTelemetry GenAI", GENAI),
    "httpx": Peer("OpenTelemetry httpx", everywhere(HTTPX), content=("off",)),
    "genai+httpx": Peer("OpenTelemetry GenAI and httpx", {sdk: (*names, HTTPX) for sdk, names in GENAI.items()}),
    "openai-v2": Peer(
        "OpenTelemetry openai-v2",
        # It is not maintained any more: with a later util-genai, which it allows, it cannot be imported.
        {"openai": ("opentelemetry-instrumentation-openai-v2", "opentelemetry-util-genai<1")},
        environ=(("OTEL_SEMCONV_STABILITY_OPT_IN", "gen_ai_latest_experimental"),),
    ),
    "openllmetry": Peer(
        "OpenLLMetry",
        {
            "openai": ("opentelemetry-instrumentation-openai",),
            "anthropic": ("opentelemetry-instrumentation-anthropic",),
            "google-genai": ("opentelemetry-instrumentation-google-generativeai",),
            "litellm": ("opentelemetry-instrumentation-litellm",),
        },
    ),
    "openinference": Peer("OpenInference", {sdk: (f"openinference-instrumentation-{sdk}",) for sdk in EVERYTHING}),
    "openlit": Peer("OpenLIT", everywhere("openlit"), start="openlit", command="openlit-instrument"),
    "logfire": Peer(
        "Logfire",
        everywhere("logfire[google-genai]", sdks=EVERYTHING[:3]) | {"litellm": ("logfire[litellm]",)},
        start="logfire",
        content=("on",),
        command="",
        script=f"{LOGFIRE}; logfire.instrument_openai(); logfire.instrument_anthropic()",
    ),
    "logfire-httpx": Peer(
        "Logfire, instrument_httpx",
        everywhere("logfire[httpx]"),
        start="logfire_httpx",
        content=("off",),
        command="",
        script=f"{LOGFIRE}; logfire.instrument_httpx()",
    ),
    "langfuse": Peer(
        "Langfuse",
        {"openai": ("langfuse",)},
        start="langfuse",
        content=("on",),
        command="",
        script="import langfuse.openai",
    ),
    "litellm-otel": Peer('LiteLLM\'s callback `"otel"`', {"litellm": ()}, start="litellm_callback"),
    "litellm-otel-v2": Peer(
        'LiteLLM\'s callback `"otel"`, version 2',
        {"litellm": ()},
        start="litellm_callback_v2",
        environ=(("LITELLM_OTEL_V2", "true"),),
    ),
    "anthropic-otel": Peer(
        "Anthropic SDK's own spans",
        {"anthropic": ()},
        start="nothing",
        environ=(("ANTHROPIC_OPEN_TELEMETRY", "true"),),
    ),
    "agentopt": Peer(
        "AgentOpt's tracker",  # which keeps records of its own, and makes no spans
        everywhere("agentopt-py", sdks=("openai", "anthropic")),
        start="agentopt",
        pins=("openai<3", "anthropic<1"),  # it sees httpx, and not httpx2
        content=("off",),
        command="",
        script="from agentopt import LLMTracker; LLMTracker(cache=False).start()",
    ),
}

CONTENT = {
    "off": {
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "no_content",
        "TRACELOOP_TRACE_CONTENT": "false",
        "OPENINFERENCE_HIDE_INPUTS": "true",
        "OPENINFERENCE_HIDE_OUTPUTS": "true",
    },
    "on": {
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "span_only",
        "TRACELOOP_TRACE_CONTENT": "true",
        "ANTHROPIC_OPEN_TELEMETRY_TRACES_CONTENT_MODE": "content",
    },
    "delta": {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "span_only", "LLMTRACE_CONTENT": "delta"},
}
"""The variables that say whether content is recorded, whoever reads them."""


def home(sdk: str) -> str:
    """Which of its two environments a peer's calls of an SDK are made in."""
    return "litellm" if sdk == "litellm" else "sdks"


def recipe(name: str, sdk: str) -> list[str]:
    """What is installed to measure a peer's calls of an SDK: the SDKs, OpenTelemetry, and the peer."""
    peer = PEERS[name]
    if sdk == "litellm":
        return ["litellm", "httpx2", *OTEL, *peer.packages["litellm"]]
    own = dict.fromkeys(package for known, names in peer.packages.items() if known != "litellm" for package in names)
    return [*SDKS, *peer.pins, *OTEL, *own]


def distributions(name: str, sdk: str) -> list[str]:
    """The names of the distributions that see an SDK's calls, without versions and extras."""
    packages = PEERS[name].packages.get(sdk) or dict.fromkeys(sum(PEERS[name].packages.values(), ()))
    return [re.split(r"[\[<> @]", package)[0] for package in packages]


def is_built_in(name: str) -> bool:
    """Whether a peer is a part of its SDK: where that is not imported, there is nothing of it."""
    return name not in (NONE, BARE) and not any(PEERS[name].packages.values())


def supports(name: str, sdk: str) -> bool:
    """Whether a peer sees an SDK's calls; what makes none is run under all that can be installed beside the SDKs."""
    packages = PEERS[name].packages
    if sdk == "formats":
        return name == OURS
    return sdk in packages or (sdk in ("httpx2", "subprocess") and not is_built_in(name))
