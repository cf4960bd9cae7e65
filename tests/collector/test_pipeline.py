"""Several pipelines behind one receiver."""

import asyncio

import pytest
from destinations import batch_of

from llmtrace_collector.errors import UnavailableError
from llmtrace_collector.pipeline import Fanout, Pipeline


class Exporter:
    durable = True
    wants_lines = False

    def __init__(self):
        self.exported = []

    async def export(self, batch, *, kept):
        self.exported.append(batch.message)


class Processor:
    """Renames spans, or refuses them."""

    looks = True

    def __init__(self, refusal=None):
        self.refusal = refusal

    def process(self, batch):
        if self.refusal:
            raise self.refusal
        batch.message.resource_spans[0].scope_spans[0].spans[0].name = "changed"
        return batch


def test_what_one_pipeline_refuses_no_other_exports():
    exporter = Exporter()
    refusing = Processor(UnavailableError("too much memory"))
    fanout = Fanout((Pipeline("traces/1", (), (exporter,)), Pipeline("traces/2", (refusing,), (Exporter(),))))
    with pytest.raises(UnavailableError):
        asyncio.run(fanout.accept(batch_of()))
    assert exporter.exported == []


def test_what_one_pipeline_changes_stays_as_it_was_for_others():
    whole, changed = Exporter(), Exporter()
    fanout = Fanout((Pipeline("traces/1", (), (whole,)), Pipeline("traces/2", (Processor(),), (changed,))))
    batch = batch_of()
    before, after = batch.copy().message, batch.copy().message
    after.resource_spans[0].scope_spans[0].spans[0].name = "changed"
    asyncio.run(fanout.accept(batch))
    assert (whole.exported, changed.exported) == ([before], [after])
