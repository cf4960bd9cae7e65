"""What a traced run left in its file, in the shape in which tests compare it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from llmtrace_otel.read.otlp import parse
from llmtrace_otel.telemetry import semconv

from .runs import run, run_cli

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from llmtrace_otel.read.span import Span

    from .clis import CLI
    from .play import Play
    from .runs import Ran

FILE = "spans.jsonl"
CONTENT = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "span_only"}
OF_AGENTS = (
    semconv.CONVERSATION_ID,
    semconv.AGENT_NAME,
    semconv.AGENT_ID,
    semconv.AGENT_TYPE,
    semconv.AGENT_PARENT_ID,
    semconv.AGENT_PARENT_SESSION,
)


class Recorded(NamedTuple):
    """A run, the text of the file, and its spans."""

    ran: Ran
    text: str
    spans: list[Span]

    @property
    def processes(self) -> list[Span]:
        """The spans of child programs."""
        return [span for span in self.spans if span.kind_of == "process"]

    @property
    def inferences(self) -> list[Span]:
        """The calls, in the order in which the providers were asked."""
        return sorted((span for span in self.spans if span.inference), key=number_of)

    def program(self, name: str) -> Span:
        """The only span of a child program of this name."""
        (found,) = [span for span in self.processes if span.name == name]
        return found


def run_traced(cli: CLI, folder: Path, *options: str, **environ: str) -> Recorded:
    """Runs a client by `llmtrace run` with these options."""
    before = ("llmtrace", "run", "--output", str(folder / FILE), *options, "--")
    return recorded(run_cli(cli, folder, before, **environ), folder)


def run_recording(
    command: Sequence[str], environ: Mapping[str, str], folder: Path, play: Play | None = None
) -> Recorded:
    """Runs any command, whose instrumented programs write to the file."""
    return recorded(run(command, {**environ, "LLMTRACE_OUTPUT": str(folder / FILE)}, folder, play), folder)


def recorded(ran: Ran, folder: Path) -> Recorded:
    file = folder / FILE
    text = file.read_text() if file.exists() else ""
    return Recorded(ran, text, [span for line in text.splitlines() for span in parse(line.encode())])


def number_of(span: Span) -> int:
    """The number of the request that a call was: it ends the answer's id, such as `msg_000000000000000000000003`."""
    return int(str(span.attributes[semconv.RESPONSE_ID])[-24:])


def agents(span: Span) -> dict[str, Any]:
    """What a call's span says of conversation and agent."""
    return {name: span.attributes[name] for name in OF_AGENTS if name in span.attributes}
