"""Every recorded exchange, through the instrumented clients and through a bare Exchange, cut at random bytes."""

from __future__ import annotations

import pytest

from corpus.reading import exchanged, reading
from corpus.records import CORPUS, Record, available, records
from corpus.scoring import Table, span_reading
from llmtrace_otel.telemetry import content
from support.clients import CLIENTS, Client
from support.spans import Recorded
from wire.schemas import violations

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(
        not available(), reason=f"no recorded exchanges at {CORPUS}; set LLMTRACE_CORPUS to their folder"
    ),
]

VARIANTS = [  # sync clients in the short suite, async ones in the long one
    pytest.param(number, id=str(client), marks=[pytest.mark.long] if client.asynchronous else [])
    for number, client in enumerate(CLIENTS)
]
CONTENT = pytest.mark.parametrize("capture", [False, True], ids=["content-off", "content-on"])


def tell(table: Table, how: str, capture: bool, capsys: pytest.CaptureFixture[str], *, whole: bool = False) -> None:
    """Prints what was found: the whole table where it was asked for or something is wrong, else one line."""
    with capsys.disabled():
        print(f"\n{how}, content {'on' if capture else 'off'}: {table.summary}")
        if whole or table.lines:
            print(f"\nReplays in which a field has something to tell, and those that are as expected\n\n{table}")


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


@CONTENT
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.filterwarnings("ignore:.*content=<str>.*:DeprecationWarning")
def test_recorded_exchanges_leave_the_spans_that_the_vendors_sdks_would(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch, variant: int, capture: bool, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv(content.MODE_VARIABLE, "span_only" if capture else "no_content")
    content.refresh()
    table, client = Table(), CLIENTS[variant]
    for record in records():
        replay(record, client, seed=variant)
        table.add(record, [span_reading(span, content=capture) for span in recorded.spans], str(client))
        recorded.clear()
    tell(table, str(client), capture, capsys)
    assert not table.lines, "\n".join(table.lines)


@CONTENT
def test_a_bare_exchange_reads_what_the_vendors_sdks_do(capture: bool, capsys: pytest.CaptureFixture[str]):
    table = Table()
    for record in records():
        exchange = exchanged(record, capture=capture)
        table.add(record, [reading(exchange.call)] if exchange is not None else [], "Exchange")
    tell(table, "bare Exchange", capture, capsys, whole=capture)
    assert not table.lines, "\n".join(table.lines)


def test_the_messages_of_recorded_exchanges_fit_the_schemas():
    wrong, seen = {}, 0
    for record in records():
        exchange = exchanged(record, capture=True)
        if exchange is not None:
            seen += 1
            if found := violations(exchange.call) or exchange.call.unreadable:
                wrong[record.id] = found
    assert wrong == {}
    assert seen > 0
