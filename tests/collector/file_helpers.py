"""What the tests of the file exporter share: batches to write, a full disk, and what a file holds."""

from __future__ import annotations

import asyncio
import errno
import json
import os

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from llmtrace_collector.config.settings import FileExporter as Options
from llmtrace_collector.exporters.file import FileExporter
from llmtrace_collector.otlp.batch import Batch
from llmtrace_collector.otlp.signals import TRACES


def exporter_of(path, say=print, **options):
    """A file exporter that appends, unless told something else."""
    if not options.get("rotation"):
        options.setdefault("append", True)
    return FileExporter(Options(str(path), **options), say)


def batch_of(*names, resource=None):
    """A batch with one span per name, of a resource with string attributes."""
    request = ExportTraceServiceRequest()
    entry = request.resource_spans.add()
    for key, value in (resource or {}).items():
        entry.resource.attributes.add(key=key).value.string_value = value
    spans = entry.scope_spans.add().spans
    for name in names:
        spans.add(trace_id=bytes(15) + b"\x01", span_id=bytes(7) + b"\x01", name=name)
    return Batch(TRACES, request)


async def write_all(exporter, batches):
    """Exports batches at the same time; what each came to, None or its exception."""
    return await asyncio.gather(*(exporter.export(batch, kept=False) for batch in batches), return_exceptions=True)


def write(exporter, *batches):
    """Exports batches one after the other."""

    async def run():
        for batch in batches:
            await exporter.export(batch, kept=False)

    asyncio.run(run())


def close(exporter):
    """Closes an exporter."""
    asyncio.run(exporter.close(5))


def names_in(*paths):
    """The names of all spans in files of whole JSON lines, in order."""
    text = "".join(path.read_text(encoding="utf-8") for path in paths)
    assert text == "" or text.endswith("\n")
    return [name for line in text.splitlines() for name in span_names(json.loads(line))]


def span_names(request):
    """The names of the spans in a request, as JSON."""
    return [
        span["name"]
        for resource in request["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


class FullDisk:
    """Stands in for `os.write`: takes `room` bytes, a few at a time, then has no space left."""

    def __init__(self, room, at_once=4):
        self.room = room
        self.at_once = at_once
        self.write = os.write

    def __call__(self, descriptor, data):
        taken = min(len(data), self.room, self.at_once)
        if not taken:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= taken
        return self.write(descriptor, data[:taken])


def failing(number):
    """Stands in for a function of `os` that fails."""

    def fail(*arguments, **keywords):
        raise OSError(number, os.strerror(number))

    return fail
