"""What the processor tests share: the table of what the official collector does, and processors from their YAML."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from llmtrace_collector.config import loader
from llmtrace_collector.figures.counts import Counts
from llmtrace_collector.otlp.batch import Batch
from llmtrace_collector.otlp.signals import SIGNALS
from llmtrace_collector.processors import Processors

TABLE = json.loads((Path(__file__).parent / "data/processors.json").read_text(encoding="utf-8"))


def made(processor, asked, signal="traces", counts=None, say=lambda line: None):
    """A processor from its settings, as they stand in the YAML. Raises ConfigError."""
    return Processors(configured(processor, asked, signal), counts or Counts(), say).of(processor, SIGNALS[signal])


def configured(processor, asked, signal="traces"):
    """The processors of a configuration that has this one. Raises ConfigError."""
    document = {
        "receivers": {"otlp": {"protocols": {"http": {}}}},
        "processors": {processor: asked},
        "exporters": {"debug": {}},
        "service": {
            "pipelines": {signal: {"receivers": ["otlp"], "processors": [processor], "exporters": ["debug"]}},
        },
    }
    with TemporaryDirectory() as directory:
        path = Path(directory) / "collector.yaml"
        path.write_text(json.dumps(document), encoding="utf-8")
        return loader.load(path).processors


def processed(processor, request, signal="traces"):
    """What a processor leaves of a request in JSON, as the line of a file; None when that is nothing."""
    batch = processor.process(Batch.from_json(SIGNALS[signal], json.dumps(request).encode()))
    return json.loads(batch.line) if batch.items else None


def in_any_order(value):
    """`value` with attributes sorted by their key: the official collector moves the last one where one was removed."""
    if isinstance(value, list):
        members = [in_any_order(item) for item in value]
        return sorted(members, key=key_of) if all(map(is_attribute, members)) else members
    if not isinstance(value, dict):
        return value
    return {key: str(float(item) + 0.0) if key == "doubleValue" else in_any_order(item) for key, item in value.items()}


def is_attribute(value):
    """Whether it is a value with a key, which is not written where it is empty."""
    return isinstance(value, dict) and "value" in value and value.keys() <= {"key", "value"}


def key_of(attribute):
    """What attributes are sorted by; there may be two of one key."""
    return attribute.get("key", ""), json.dumps(attribute["value"])
