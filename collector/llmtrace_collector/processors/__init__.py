"""What happens to batches between receiving and exporting: a module for each processor, and `Processors` makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmtrace_collector.config import settings
from llmtrace_collector.errors import ConfigError
from llmtrace_collector.processors.attributes import AttributesProcessor
from llmtrace_collector.processors.batch import PassThrough
from llmtrace_collector.processors.llmtrace_redaction import LLMRedactionProcessor
from llmtrace_collector.processors.memory_limiter import MemoryLimiterProcessor
from llmtrace_collector.processors.probabilistic_sampler import ProbabilisticSamplerProcessor
from llmtrace_collector.processors.redaction import RedactionProcessor
from llmtrace_collector.processors.resource import ResourceProcessor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmtrace_collector.figures.counts import Counts
    from llmtrace_collector.otlp.batch import Batch
    from llmtrace_collector.otlp.signals import Signal
    from llmtrace_collector.pipeline import Processor


class Processors:
    """Makes the processors of pipelines. All pipelines share one memory limiter of an id, and nothing else."""

    def __init__(self, configured: Mapping[str, settings.Settings], counts: Counts, say: Callable[[str], None]) -> None:
        """`configured` is by component id, `say` shows the user one line."""
        self._configured, self._counts, self._say = configured, counts, say
        self._limiters: dict[str, MemoryLimiterProcessor] = {}

    def of(self, name: str, signal: Signal) -> Processor:
        """The processor of an id for a pipeline of a signal. Raises ConfigError."""
        try:
            return Counted(self._make(name, signal), name, signal, self._counts)
        except ValueError as error:
            raise ConfigError(f"processors.{name}: {error}") from error

    def _make(self, name: str, signal: Signal) -> Processor:
        match self._configured[name]:
            case settings.MemoryLimiter() as asked:
                if name not in self._limiters:
                    self._limiters[name] = MemoryLimiterProcessor(name, asked, self._counts, self._say)
                return self._limiters[name]
            case settings.Attributes() as asked:
                return AttributesProcessor(asked, signal)
            case settings.Resource() as asked:
                return ResourceProcessor(asked)
            case settings.Redaction() as asked:
                return RedactionProcessor(asked)
            case settings.ProbabilisticSampler() as asked:
                return ProbabilisticSamplerProcessor(asked, signal, self._counts)
            case settings.LLMRedaction() as asked:
                return LLMRedactionProcessor(asked)
            case _:
                return PassThrough()


class Counted:
    """A processor, and the official counts of what goes into it and what comes out."""

    def __init__(self, processor: Processor, name: str, signal: Signal, counts: Counts) -> None:
        self.looks = processor.looks
        self._processor, self._counts = processor, counts
        self._labels = (("otel_signal", signal.name), ("processor", name))

    def process(self, batch: Batch) -> Batch:
        """What the processor makes of it. Raises RequestError when that refuses."""
        self._counts.add("otelcol_processor_incoming_items", batch.items, self._labels)
        processed = self._processor.process(batch)
        self._counts.add("otelcol_processor_outgoing_items", processed.items, self._labels)
        return processed
