"""The attributes processor: changes to the attributes of spans, log records and data points."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmtrace_collector.otlp.batch import Batch
from llmtrace_collector.processors.actions import Actions
from llmtrace_collector.processors.items import attribute_lists, by_resource, by_scope, items
from llmtrace_collector.processors.matching import Selection

if TYPE_CHECKING:
    from llmtrace_collector.config.settings import Attributes
    from llmtrace_collector.otlp.signals import Signal


class AttributesProcessor:
    """Does the actions to every item that is included and not excluded."""

    looks = True

    def __init__(self, settings: Attributes, signal: Signal) -> None:
        """Raises ValueError for settings that the official processor refuses too."""
        self._actions = Actions(settings.actions)
        self._selection = Selection(settings.include, settings.exclude, signal)

    def process(self, batch: Batch) -> Batch:
        """The batch with its attributes changed."""
        changed = False
        for group in by_resource(batch):
            for scope in by_scope(batch.signal, group):
                for item in self._selection.of(group.resource, scope.scope, items(batch.signal, scope)):
                    for attributes in attribute_lists(batch.signal, item):
                        changed |= self._actions.apply(attributes)
        return Batch(batch.signal, batch.message) if changed else batch
