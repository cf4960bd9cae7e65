"""Configurations for tests: a small one to change, and the way to load a text."""

from pathlib import Path

from llmtrace_collector.config.loader import load

MINIMAL = """\
receivers:
  otlp:
    protocols:
      http:
exporters:
  file:
    path: traces.jsonl
    append: true
service:
  pipelines:
    traces:
      receivers: [otlp]
      exporters: [file]
"""


def load_text(text):
    """Loads a text as `c.yaml` of the current directory."""
    Path("c.yaml").write_text(text, encoding="utf-8", newline="")
    return load(Path("c.yaml"))


def with_exporter(lines):
    """The minimal configuration with another exporter in its pipeline; its first line is its id."""
    name = lines.split(":", 1)[0]
    written = "\n".join(f"  {line}" for line in lines.splitlines())
    head, tail = MINIMAL.split("  file:\n    path: traces.jsonl\n    append: true\n")
    return f"{head}{written}\n{tail}".replace("[file]", f"[{name}]")


def with_processor(lines, signal="traces"):
    """The minimal configuration with a processor in its pipeline; its first line is its id."""
    name = lines.split(":", 1)[0]
    written = "\n".join(f"  {line}" for line in lines.splitlines())
    text = MINIMAL.replace("exporters:\n", f"processors:\n{written}\nexporters:\n", 1)
    return text.replace("traces:\n", f"{signal}:\n").replace("[otlp]\n", f"[otlp]\n      processors: [{name}]\n")
