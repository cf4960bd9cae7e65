"""The resource processor: changes to the attributes of resources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmtrace_collector.otlp.batch import Batch
from llmtrace_collector.processors.actions import Actions
from llmtrace_collector.processors.items import by_resource

if TYPE_CHECKING:
    from llmtrace_collector.config.settings import Resource


class ResourceProcessor:
    """Does the actions to every resource, of any signal."""

    looks = True

    def __init__(self, settings: Resource) -> None:
        """Raises ValueError for settings that the official processor refuses too."""
        self._actions = Actions(settings.attributes)

    def process(self, batch: Batch) -> Batch:
        """The batch with its resources changed."""
        changed = False
        for group in by_resource(batch):
            changed |= self._actions.apply(group.resource.attributes)
        return Batch(batch.signal, batch.message) if changed else batch
