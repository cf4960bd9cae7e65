"""Every recorded exchange, replayed through the instrumented clients with its body cut at random bytes."""

from __future__ import annotations

import pytest

from corpus.records import CORPUS, Record, available, records
from corpus.scoring import Table, mismatches
from llmtrace_otel.telemetry import content
from support.clients import CLIENTS, Client
from support.spans import Recorded

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(
        not available(), reason=f"no recorded exchanges at {CORPUS}; set LLMTRACE_CORPUS to their folder"
    ),
]

FORMATS = ("openai.", "anthropic.")
"""The APIs whose formats are read so far, by the start of their names in the records."""


def in_scope(record: Record) -> bool:
    if record.expected["operation"] is None:
        return True  # what is no LLM call is none in any format
    return record.api.startswith(FORMATS)


def replay(record: Record, client: Client, seed: int) -> None:
    transport = client.transport(lambda _: (record.status, record.headers, record.pieces(seed)))
    answer = client.request(
        record.method,
        record.url,
        stream=record.streamed,
        transport=transport,
        headers=record.request_headers,
        content=record.request_body,
    )
    assert answer.body == record.body  # the caller got what was sent, byte for byte


@pytest.mark.parametrize("capture", [False, True], ids=["content-off", "content-on"])
@pytest.mark.parametrize("variant", range(len(CLIENTS)), ids=[str(client) for client in CLIENTS])
@pytest.mark.filterwarnings("ignore:.*content=<str>.*:DeprecationWarning")
def test_recorded_exchanges_leave_the_spans_that_the_vendors_sdks_would(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch, variant: int, capture: bool, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv(content.MODE_VARIABLE, "span_only" if capture else "no_content")
    content.refresh()
    table, client = Table(), CLIENTS[variant]
    for record in filter(in_scope, records()):
        replay(record, client, seed=variant)
        table.add(record, mismatches(record, recorded.spans, content=capture), str(client))
        recorded.clear()
    with capsys.disabled():
        print(f"\n{table}")
    assert not table.lines, "\n".join(table.lines)
