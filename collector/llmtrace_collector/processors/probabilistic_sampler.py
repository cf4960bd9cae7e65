"""The probabilistic sampler: keeps a part of all traces, the same traces wherever it runs.

`hash_seed` hashes the trace id; `proportional` keeps a part of what arrives; `equalizing` brings what was sampled
before, as `tracestate` says, down to one rate. What it did is written to the span's tracestate, or to a log record's
attributes `sampling.randomness` and `sampling.threshold`, so that those who count know how many items one stands for.
A span's attribute `sampling.priority` decides for itself: 0 drops it, more keeps it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from llmtrace_collector.otlp.batch import Batch
from llmtrace_collector.processors import tracestate
from llmtrace_collector.processors.items import by_resource, by_scope, find, items, put
from llmtrace_collector.processors.sampling import (
    ALWAYS,
    HIGHEST,
    LEAST_PROBABILITY,
    NEVER,
    Hashing,
    probability_of,
    randomness_text,
    read_threshold,
    single,
    threshold_of,
    threshold_text,
    trace_randomness,
)
from llmtrace_collector.processors.text import double

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmtrace_collector.config.settings import ProbabilisticSampler
    from llmtrace_collector.figures.counts import Counts
    from llmtrace_collector.otlp.signals import Signal

PRIORITY = "sampling.priority"
RANDOMNESS, THRESHOLD = "sampling.randomness", "sampling.threshold"


class Notes(Protocol):
    """What an item says about its sampling, and how that is written back. Empty where nothing is said."""

    randomness: str
    threshold: str
    without_trace_id: str
    """The randomness that an item without trace id is given."""

    def write(self) -> None:
        """Puts what changed into the item."""


class SpanNotes:
    """In the tracestate."""

    without_trace_id = randomness_text(HIGHEST)

    def __init__(self, span: Any) -> None:
        """Raises ValueError for a tracestate that cannot be read."""
        self._span = span
        self._state = tracestate.read(span.trace_state)
        self.randomness, self.threshold = self._state.randomness, self._state.threshold

    def write(self) -> None:
        """Writes the tracestate."""
        self._state.randomness, self._state.threshold = self.randomness, self.threshold
        self._span.trace_state = str(self._state)


class LogNotes:
    """In two attributes."""

    without_trace_id = ""

    def __init__(self, record: Any) -> None:
        """Raises ValueError for attributes that cannot be read."""
        self._attributes = record.attributes
        self.randomness = self._read(RANDOMNESS, tracestate.randomness)
        self.threshold = self._read(THRESHOLD, tracestate.threshold)

    def _read(self, key: str, checked: Callable[[str], str]) -> str:
        value = find(self._attributes, key)
        return checked(value.string_value) if value is not None and value.string_value else ""

    def write(self) -> None:
        """Sets the attributes."""
        for key, text in ((RANDOMNESS, self.randomness), (THRESHOLD, self.threshold)):
            if text:
                put(self._attributes, key).string_value = text


class Look(NamedTuple):
    """What a mode finds. Without randomness or without notes it cannot decide."""

    policy: str
    randomness: int | None
    notes: Notes | None


class Mode(Protocol):
    """How randomness is found, and how much of it is needed."""

    def look(self, trace_id: bytes, notes: Notes | None) -> Look:
        """`notes` is None when they could not be read."""

    def threshold(self, notes: Notes) -> int:
        """What the randomness must reach."""


class Never:
    """0 %: only priority keeps an item."""

    def look(self, trace_id: bytes, notes: Notes | None) -> Look:
        """No randomness is needed."""
        return Look("sampling_priority", HIGHEST, notes)

    def threshold(self, notes: Notes) -> int:
        """Out of reach."""
        return NEVER


class HashSeed:
    """The hash of the trace id decides. Items that were sampled consistently before are none for this mode."""

    def __init__(self, hashing: Hashing) -> None:
        self._hashing = hashing

    def look(self, trace_id: bytes, notes: Notes | None) -> Look:
        """Notes the hash, for samplers behind this one."""
        found = self._hashing.randomness(trace_id) if any(trace_id) else None
        policy = "missing_randomness" if found is None else "trace_id_hash"
        if notes is None or notes.randomness or notes.threshold:
            return Look(policy, found, None)
        notes.randomness = notes.without_trace_id if found is None else randomness_text(found)
        return Look(policy, found, notes)

    def threshold(self, notes: Notes) -> int:
        """The same for every item."""
        return self._hashing.threshold


class Consistent:
    """Randomness is what the notes say, else the trace id."""

    def look(self, trace_id: bytes, notes: Notes | None) -> Look:
        """Changes nothing."""
        if notes is not None and notes.randomness:
            return Look("sampling_randomness", int(notes.randomness, 16), notes)
        if notes is None or not any(trace_id):
            return Look("missing_randomness", None, notes)
        return Look("trace_id_w3c", trace_randomness(trace_id), notes)


class Equalizing(Consistent):
    """One threshold for all, above which an earlier sampler may have been."""

    def __init__(self, threshold: int) -> None:
        self._threshold = threshold

    def threshold(self, notes: Notes) -> int:
        """The higher of the two."""
        return max(self._threshold, read_threshold(notes.threshold) if notes.threshold else ALWAYS)


class Proportional(Consistent):
    """A part of what earlier samplers left."""

    def __init__(self, ratio: float, precision: int) -> None:
        self._ratio, self._precision = ratio, precision

    def threshold(self, notes: Notes) -> int:
        """That of the product of both probabilities."""
        incoming = probability_of(read_threshold(notes.threshold)) if notes.threshold else 1.0
        return threshold_of(incoming * self._ratio, self._precision)


def mode_of(settings: ProbabilisticSampler) -> Mode:
    """Raises ValueError for a percentage or a precision that there is not."""
    percentage = single(min(settings.sampling_percentage, 100.0))
    ratio = percentage / 100
    if not 0 <= ratio <= 1 or 0 < ratio < LEAST_PROBABILITY:
        raise ValueError(f"sampling_percentage {settings.sampling_percentage} is none; 0 drops, 100 keeps everything")
    if not 0 < settings.sampling_precision <= tracestate.DIGITS:
        raise ValueError(f"sampling_precision {settings.sampling_precision} is not from 1 to {tracestate.DIGITS}")
    if ratio == 0:
        return Never()
    if settings.mode == "equalizing":
        return Equalizing(threshold_of(ratio, settings.sampling_precision))
    if settings.mode == "proportional":
        return Proportional(ratio, settings.sampling_precision)
    hashing = Hashing(percentage, settings.hash_seed)
    return Never() if hashing.threshold == NEVER else HashSeed(hashing)


class ProbabilisticSamplerProcessor:
    """Samples spans or log records."""

    looks = True

    def __init__(self, settings: ProbabilisticSampler, signal: Signal, counts: Counts) -> None:
        """Raises ValueError for metrics, which cannot be sampled, and for settings that are none."""
        if signal.name == "metrics":
            raise ValueError("metrics cannot be sampled, only traces and logs")
        self._mode = mode_of(settings)
        self._when_unsure = NEVER if settings.fail_closed else ALWAYS
        self._notes = SpanNotes if signal.name == "traces" else LogNotes
        self._priority = _priority if signal.name == "traces" else lambda _: None
        self._counts = counts
        self._metric = f"otelcol_processor_probabilistic_sampler_count_{signal.name}_sampled"

    def process(self, batch: Batch) -> Batch:
        """What is left of the batch."""
        policies: Counter[tuple[str, bool]] = Counter()
        groups = by_resource(batch)
        for group in groups:
            scopes = by_scope(batch.signal, group)
            for scope in scopes:
                _keep(items(batch.signal, scope), lambda item: self._keeps(item, policies))
            _keep(scopes, lambda scope: len(items(batch.signal, scope)) > 0)
        _keep(groups, lambda group: len(by_scope(batch.signal, group)) > 0)
        for (policy, sampled), number in policies.items():
            labels = (("policy", policy), ("sampled", "true" if sampled else "false"))
            self._counts.add(self._metric, number, labels)
        return Batch(batch.signal, batch.message)

    def _keeps(self, item: Any, policies: Counter[tuple[str, bool]]) -> bool:
        policy, randomness, notes = self._mode.look(item.trace_id, self._read(item))
        threshold = self._threshold(randomness, notes)
        priority = self._priority(item)
        if priority is not None:
            policy, threshold = "sampling_priority", priority
        kept = threshold <= (HIGHEST if randomness is None else randomness)
        if kept and notes is not None:
            _raise_threshold(notes, threshold)
            notes.write()
        policies[policy, kept] += 1
        return kept

    def _read(self, item: Any) -> Notes | None:
        try:
            return self._notes(item)
        except ValueError:
            return None

    def _threshold(self, randomness: int | None, notes: Notes | None) -> int:
        if randomness is None or notes is None:
            return self._when_unsure
        if notes.threshold and read_threshold(notes.threshold) > randomness:
            notes.threshold = ""  # an earlier sampler would not have kept the item: what it says is wrong
            return self._when_unsure
        return self._mode.threshold(notes)


def _raise_threshold(notes: Notes, threshold: int) -> None:
    """Never lowers it: an item that stood for ten before cannot stand for two now."""
    if not notes.threshold or read_threshold(notes.threshold) <= threshold:
        notes.threshold = threshold_text(threshold)


def _priority(span: Any) -> int | None:
    """The threshold that the span's own attribute asks for."""
    value = find(span.attributes, PRIORITY)
    number = None if value is None else _number(value)
    if number == 0:
        return NEVER
    return ALWAYS if number is not None and number > 0 else None


def _number(value: Any) -> float | None:
    match value.WhichOneof("value"):
        case "int_value":
            return float(value.int_value)
        case "double_value":
            return float(value.double_value)
        case "string_value":
            return double(value.string_value)
        case _:
            return None


def _keep(things: Any, wanted: Callable[[Any], bool]) -> None:
    for index in range(len(things) - 1, -1, -1):
        if not wanted(things[index]):
            del things[index]
