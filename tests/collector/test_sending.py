"""The machinery that sends: queues, trying again, and what an acknowledgement means, with a transport that is told."""

import asyncio
import time

import pytest
from destinations import batch_of, ids, until

from llmtrace_collector.config.settings import FileStorage, OTLPHTTPExporter, Retry, SendingQueue
from llmtrace_collector.errors import RejectedError, UnavailableError
from llmtrace_collector.exporters.queues import DiskQueue, Room
from llmtrace_collector.exporters.retry import pauses
from llmtrace_collector.exporters.sending import Sender
from llmtrace_collector.exporters.spool import Stored, Totals
from llmtrace_collector.exporters.transport import Delivered
from llmtrace_collector.figures.counts import Counts
from llmtrace_collector.otlp.signals import LOGS, TRACES

AT_ONCE = Retry(initial_interval=0, max_interval=0, max_elapsed_time=0)
DOWN = UnavailableError("answered 503")
SPANS = "otelcol_exporter_{}_spans"


class Transport:
    """Does in turn what it is told, then delivers: an exception is raised, an event is waited for."""

    url = "http://there"

    def __init__(self, *does, always=None):
        self.does, self.always = list(does), always
        self.attempts = []
        self.delivered = []
        self.sending = 0

    async def send(self, signal, body):
        spans = ids(signal.request.FromString(body))
        self.attempts.append(spans)
        doing = self.does.pop(0) if self.does else self.always
        if isinstance(doing, asyncio.Event):
            self.sending += 1
            await doing.wait()
            self.sending -= 1
        if isinstance(doing, Exception):
            raise doing
        self.delivered += spans
        return doing if isinstance(doing, Delivered) else Delivered()

    async def close(self):
        self.does = ["closed"]


def sender(transport, *, said=None, counts=None, retry=AT_ONCE, storage=None, **queue):
    if storage:
        queue["storage"], storage = "file_storage", FileStorage(str(storage))
    settings = OTLPHTTPExporter("http://there", retry_on_failure=retry, sending_queue=SendingQueue(**queue))
    say = [].append if said is None else said.append
    return Sender("otlp_http", settings, [TRACES], transport, say, counts or Counts(), storage)


def run(exporter, body, timeout=10):
    """Runs `body` while the exporter does, and closes it."""

    async def whole():
        exporter.start()
        try:
            return await body()
        finally:
            await exporter.close(timeout)

    return asyncio.run(whole())


# What an acknowledgement means


def test_without_a_file_the_acknowledgement_is_the_destinations():
    batch, transport = batch_of(2), Transport()
    exporter = sender(transport)

    async def body():
        await exporter.export(batch, kept=False)
        return transport.delivered[:]

    assert run(exporter, body) == ids(batch)
    assert (exporter.durable, exporter.delivered, exporter.dropped) == (False, 2, 0)


@pytest.mark.parametrize(("asked", "told"), [(None, 1.0), (0.5, 0.5), (30.0, 2.0)])
def test_a_waiting_clients_request_is_tried_once_and_no_copy_stays(asked, told):
    transport = Transport(UnavailableError("answered 503", asked))
    exporter = sender(transport)
    batch = batch_of()

    async def body():
        with pytest.raises(UnavailableError) as refusal:
            await exporter.export(batch, kept=False)
        await exporter.export(batch, kept=False)
        return str(refusal.value), refusal.value.retry_after

    assert run(exporter, body) == ("http://there: answered 503", told)
    assert transport.delivered == ids(batch)
    assert exporter.dropped == 0


def test_a_refusal_for_good_is_the_waiting_clients_answer():
    exporter = sender(Transport(RejectedError("answered 400")))

    async def body():
        with pytest.raises(RejectedError) as refusal:
            await exporter.export(batch_of(), kept=False)
        return str(refusal.value)

    assert run(exporter, body) == "http://there answered 400"


def test_behind_a_file_nobody_waits():
    transport = Transport(*[DOWN] * 3)
    exporter = sender(transport)
    batch = batch_of()

    async def body():
        await exporter.export(batch, kept=True)
        before = list(transport.attempts)
        await until(lambda: transport.delivered)
        return before

    assert run(exporter, body) == []
    assert transport.attempts == [ids(batch)] * 4


@pytest.mark.parametrize("options", [{"wait_for_result": True}, {"enabled": False}])
def test_a_client_waits_for_the_attempts_if_told(options):
    transport = Transport(DOWN, DOWN)
    exporter = sender(transport, **options)
    batch = batch_of()

    async def body():
        await exporter.export(batch, kept=False)
        return transport.delivered[:]

    assert run(exporter, body) == ids(batch)


def test_a_client_that_leaves_takes_its_request_along():
    blocker = asyncio.Event()
    transport = Transport(blocker)
    exporter = sender(transport, num_consumers=1)
    first, second, third = batch_of(), batch_of(), batch_of()

    async def body():
        sending = asyncio.create_task(exporter.export(first, kept=False))
        await until(lambda: transport.sending)
        waiting = asyncio.create_task(exporter.export(second, kept=False))
        await asyncio.sleep(0)
        waiting.cancel()
        blocker.set()
        await sending
        await exporter.export(third, kept=False)

    run(exporter, body)
    assert transport.delivered == ids(first) + ids(third)


def test_the_attempts_for_a_client_that_left_end():
    transport = Transport(always=DOWN)
    exporter = sender(transport, wait_for_result=True)

    async def body():
        waiting = asyncio.create_task(exporter.export(batch_of(), kept=False))
        await until(lambda: len(transport.attempts) > 2)
        waiting.cancel()
        await until(lambda: not exporter._lanes["traces"].queue.room.used)

    run(exporter, body)
    assert exporter.dropped == 0


def test_a_mistake_in_a_transport_leaves_nobody_waiting():
    exporter = sender(Transport(KeyError("oops")))

    async def body():
        with pytest.raises(RejectedError, match=r"could not be sent to: KeyError\('oops'\)"):
            await exporter.export(batch_of(), kept=False)

    run(exporter, body)


# Full queues


def test_a_full_queue_drops_what_is_kept_elsewhere_and_says_so_once():
    blocker, said, counts = asyncio.Event(), [], Counts()
    transport = Transport(always=blocker)
    exporter = sender(transport, said=said, counts=counts, queue_size=2)

    async def body():
        for count in (1, 1, 3, 4):
            await exporter.export(batch_of(count), kept=True)
        blocker.set()
        await until(lambda: exporter.delivered == 2)
        await exporter.export(batch_of(5), kept=True)

    run(exporter, body)
    assert said == [
        "the sending queue is full (http://there); spans are dropped, not forwarded",
        "the sending queue has room again (http://there)",
    ]
    assert (exporter.delivered, exporter.dropped) == (7, 7)
    label = {"exporter": "otlp_http"}
    assert counts.total(SPANS.format("enqueue_failed"), **label) == 7
    assert counts.total(SPANS.format("sent"), **label) == 7
    assert counts.total("llmtrace_exporter_dropped_spans", **label) == 7


def test_what_is_larger_than_the_queue_is_dropped_where_it_is_kept_elsewhere_and_said_once():
    said = []
    exporter = sender(Transport(), said=said, sizer="items", queue_size=2)

    async def body():
        for count in (3, 1, 4):
            await exporter.export(batch_of(count), kept=True)

    run(exporter, body)
    assert said == [
        "http://there is not sent what is larger than the sending queue; such spans are dropped",
    ]
    assert (exporter.delivered, exporter.dropped) == (1, 7)


def test_a_full_queue_refuses_a_client():
    blocker = asyncio.Event()
    transport = Transport(always=blocker)
    exporter = sender(transport, queue_size=1)

    async def body():
        first = asyncio.create_task(exporter.export(batch_of(), kept=False))
        await until(lambda: transport.sending)
        with pytest.raises(UnavailableError) as refusal:
            await exporter.export(batch_of(), kept=False)
        blocker.set()
        await first
        return str(refusal.value), refusal.value.retry_after

    assert run(exporter, body) == ("the sending queue is full", 1.0)
    assert (exporter.delivered, exporter.dropped) == (1, 0)


@pytest.mark.parametrize("disk", [False, True])
def test_a_full_queue_lets_a_client_wait_if_told(disk, tmp_path):
    blocker = asyncio.Event()
    transport = Transport(always=blocker)
    exporter = sender(transport, queue_size=1, block_on_overflow=True, storage=tmp_path if disk else None)
    batches = [batch_of() for _ in range(5)]

    async def body():
        clients = [asyncio.create_task(exporter.export(batch, kept=False)) for batch in batches]
        await until(lambda: transport.sending)
        full = exporter._lanes["traces"].queue.room.used
        clients[3].cancel()
        blocker.set()
        await asyncio.wait(clients)
        return full

    assert run(exporter, body) == 1
    assert transport.delivered == [span for place in (0, 1, 2, 4) for span in ids(batches[place])]


def test_a_full_queue_on_disk_refuses_and_recovers(tmp_path):
    blocker = asyncio.Event()
    transport = Transport(always=blocker)
    exporter = sender(transport, queue_size=2, storage=tmp_path)
    batches = [batch_of() for _ in range(4)]

    async def body():
        for batch in batches[:2]:
            await exporter.export(batch, kept=False)
        with pytest.raises(UnavailableError, match="the sending queue is full"):
            await exporter.export(batches[2], kept=False)
        blocker.set()
        await until(lambda: not exporter._lanes["traces"].queue.room.used)
        await exporter.export(batches[3], kept=False)

    run(exporter, body)
    assert sorted(transport.delivered) == ids(batches[0]) + ids(batches[1]) + ids(batches[3])


@pytest.mark.parametrize(("sizer", "size"), [("items", 5), ("bytes", 90)])
def test_room_is_measured_as_told(sizer, size):
    blocker = asyncio.Event()
    exporter = sender(Transport(always=blocker), queue_size=size, sizer=sizer)

    async def body():
        await exporter.export(batch_of(2), kept=True)
        used = exporter._lanes["traces"].queue.room.used
        await exporter.export(batch_of(4), kept=True)
        with pytest.raises(RejectedError, match="larger than the sending queue"):
            await exporter.export(batch_of(6), kept=False)
        blocker.set()
        return used

    assert run(exporter, body) == {"items": 2, "bytes": len(batch_of(2).protobuf)}[sizer]
    assert (exporter.delivered, exporter.dropped) == (2, 4)


def test_a_disabled_queue_has_room_for_what_is_being_sent():
    blocker = asyncio.Event()
    exporter = sender(Transport(always=blocker), enabled=False, num_consumers=2)

    async def body():
        for _ in range(3):
            await exporter.export(batch_of(), kept=True)
        blocker.set()

    run(exporter, body)
    assert (exporter.delivered, exporter.dropped) == (2, 1)


def test_as_many_requests_are_sent_at_a_time_as_there_are_consumers():
    blocker = asyncio.Event()
    transport = Transport(always=blocker)
    exporter = sender(transport, num_consumers=3)

    async def body():
        for _ in range(5):
            await exporter.export(batch_of(), kept=True)
        await until(lambda: transport.sending == 3)
        for _ in range(10):
            await asyncio.sleep(0)
        sending = transport.sending
        blocker.set()
        return sending

    assert run(exporter, body) == 3
    assert exporter.delivered == 5


def test_room_is_given_in_turn():
    async def body():
        room, order = Room(3), []

        async def client(name, size):
            await room.take(size, block=True)
            order.append(name)

        await room.take(3, block=False)
        clients = [
            asyncio.create_task(client(*each)) for each in (("large", 3), ("small", 1), ("gone", 1), ("late", 1))
        ]
        await asyncio.sleep(0)
        clients[2].cancel()
        for _ in range(2):
            room.give(1)
            await asyncio.sleep(0)
        early = list(order)
        room.give(1)
        await asyncio.sleep(0)
        room.give(2)
        await asyncio.gather(*clients, return_exceptions=True)
        return early, order, room.used

    assert asyncio.run(body()) == ([], ["large", "small", "late"], 3)


def test_room_that_comes_to_a_client_just_as_it_leaves_is_not_lost():
    async def body():
        room = Room(1)
        await room.take(1, block=False)
        client = asyncio.create_task(room.take(1, block=True))
        await asyncio.sleep(0)
        room.give(1)
        client.cancel()
        await asyncio.wait({client})
        return room.used

    assert asyncio.run(body()) == 0


# Trying again


def test_pauses_grow_at_random_up_to_the_longest():
    steady = pauses(Retry(initial_interval=1, randomization_factor=0, multiplier=2, max_interval=5))
    assert [next(steady) for _ in range(5)] == [1, 2, 4, 5, 5]
    shaken = pauses(Retry(initial_interval=10, randomization_factor=0.5, multiplier=1))
    found = [next(shaken) for _ in range(200)]
    assert 5 <= min(found) < 7
    assert 13 < max(found) <= 15


def test_what_the_destination_asks_to_wait_is_waited(monkeypatch):
    waits = []

    async def pause(self, seconds):
        waits.append(seconds)

    monkeypatch.setattr("llmtrace_collector.exporters.lane.Lane._pause", pause)
    retry = Retry(initial_interval=2, randomization_factor=0, multiplier=3, max_interval=30, max_elapsed_time=0)
    exporter = sender(Transport(UnavailableError("busy", 9.0), UnavailableError("busy", 1.0)), retry=retry)

    async def body():
        await exporter.export(batch_of(), kept=True)
        await until(lambda: exporter.delivered)

    run(exporter, body)
    assert waits == [9, 6]


def test_after_max_elapsed_time_what_is_in_memory_is_dropped():
    said, counts = [], Counts()
    retry = Retry(initial_interval=100, max_elapsed_time=1)
    exporter = sender(Transport(always=DOWN), said=said, counts=counts, retry=retry)

    async def body():
        for _ in range(2):
            await exporter.export(batch_of(2), kept=True)
        await until(lambda: exporter.dropped == 4)

    run(exporter, body)
    assert said == [
        "http://there is unreachable (answered 503)",
        "http://there was not reached in time (answered 503); such spans are dropped",
    ]
    assert counts.total(SPANS.format("send_failed"), exporter="otlp_http") == 4


def test_age_ends_no_attempts_from_disk(tmp_path):
    transport = Transport(*[DOWN] * 4)
    retry = Retry(initial_interval=0.001, max_elapsed_time=0.0001)
    exporter = sender(transport, retry=retry, storage=tmp_path)
    batch = batch_of()

    async def body():
        await exporter.export(batch, kept=False)
        await until(lambda: transport.delivered)

    run(exporter, body)
    assert transport.delivered == ids(batch)


@pytest.mark.parametrize("disk", [False, True])
def test_without_retry_one_failure_is_enough(disk, tmp_path):
    transport = Transport(DOWN)
    exporter = sender(transport, retry=Retry(enabled=False), storage=tmp_path if disk else None)
    first, second = batch_of(), batch_of()

    async def body():
        await exporter.export(first, kept=True)
        await until(lambda: exporter.dropped)
        await exporter.export(second, kept=True)

    run(exporter, body)
    assert (transport.delivered, exporter.dropped, exporter.waiting) == (ids(second), 1, 0)


def test_what_is_refused_for_good_is_dropped_counted_and_told_once():
    said, counts = [], Counts()
    transport = Transport(RejectedError("answered 400"), RejectedError("answered 413"))
    exporter = sender(transport, said=said, counts=counts)

    async def body():
        for count in (2, 1, 1):
            await exporter.export(batch_of(count), kept=True)

    run(exporter, body)
    assert said == ["http://there answered 400; refused spans are not sent again"]
    assert (exporter.delivered, exporter.dropped) == (1, 3)
    assert counts.total(SPANS.format("send_failed"), exporter="otlp_http") == 3


def test_what_a_destination_did_not_take_of_a_request_is_counted_and_not_sent_again():
    said, counts = [], Counts()
    transport = Transport(Delivered(1, "no name"), Delivered(0, "deprecated"), Delivered(2, "no name"))
    exporter = sender(transport, said=said, counts=counts)

    async def body():
        for _ in range(3):
            await exporter.export(batch_of(2), kept=False)

    run(exporter, body)
    assert said == ["http://there did not take 1 spans: no name", "http://there warns: deprecated"]
    assert (exporter.delivered, exporter.dropped) == (3, 3)
    assert counts.total(SPANS.format("sent"), exporter="otlp_http") == 3


def test_going_and_coming_back_are_told_once_however_it_flaps():
    said = []
    transport = Transport(DOWN, None, DOWN, None, DOWN)
    retry = Retry(initial_interval=60, max_interval=60)
    exporter = sender(transport, said=said, retry=retry)
    down = []

    async def body():
        for _ in range(3):
            with pytest.raises(UnavailableError):
                await exporter.export(batch_of(), kept=False)
            await exporter.export(batch_of(), kept=False)
            down.append(exporter.down_since())
        exporter._destination._last_failure = time.monotonic() - 61
        await exporter.export(batch_of(), kept=False)

    run(exporter, body)
    assert said == ["http://there is unreachable (answered 503)", "http://there is back"]
    assert (len(set(down)), exporter.down_since()) == (1, None)


# On disk


def test_with_a_queue_on_disk_the_acknowledgement_does_not_wait_for_the_destination(tmp_path):
    transport = Transport(always=asyncio.Event())
    exporter = sender(transport, storage=tmp_path)
    batches = [batch_of(), batch_of(3)]

    async def fill():
        for batch in batches:
            await exporter.export(batch, kept=False)

    run(exporter, fill, timeout=0)
    assert (exporter.durable, exporter.waiting, exporter.dropped) == (True, 4, 0)
    later = sender(transport := Transport(), storage=tmp_path)

    async def drained():
        await until(lambda: later.delivered == 4)

    run(later, drained)
    assert (transport.delivered, later.waiting) == (ids(batches[0]) + ids(batches[1]), 0)


class Disk:
    """A spool whose reading can be held up, after it has looked."""

    def __init__(self):
        self.totals = Totals()
        self.rows = []
        self.reading = asyncio.Event()

    async def put(self, body, items):
        self.rows.append(Stored(len(self.rows) + 1, items, body))
        return self.rows[-1]

    async def read(self, after):
        found = [row for row in self.rows if row.key > after]
        await self.reading.wait()
        return found

    async def close(self):
        pass


def taken(queue):
    return [queue.ready.get_nowait().stored.key for _ in range(queue.ready.qsize())]


def test_a_request_that_comes_while_the_disk_is_read_is_made_ready_once():
    async def body():
        disk = Disk()
        queue = DiskQueue(SendingQueue(), disk)
        await disk.put(b"found at start", 1)
        queue.start()
        await asyncio.sleep(0)
        disk.rows.clear()
        await queue.put(b"the same", 1, block=False, answered=False)
        disk.reading.set()
        await until(queue.ready.qsize)
        await queue.put(b"next", 1, block=False, answered=False)
        await until(lambda: queue.ready.qsize() > 1)
        await queue.close()
        return taken(queue)

    assert asyncio.run(body()) == [1, 2]


def test_a_request_does_not_overtake_one_that_found_no_room_in_memory():
    async def body():
        disk = Disk()
        disk.reading.set()
        queue = DiskQueue(SendingQueue(num_consumers=1), disk)
        queue.start()
        await until(lambda: queue._has_all)
        await queue._store(b"handed on", 1, 0)
        await queue._store(b"left on disk", 1, 0)
        found = taken(queue)
        await queue._store(b"comes when there is room", 1, 0)
        for _ in range(2):
            await until(queue.ready.qsize)
            found += taken(queue)
        await queue.close()
        return found

    assert asyncio.run(body()) == [1, 2, 3]


def test_what_stays_on_disk_is_said_at_the_end(tmp_path):
    said = []
    exporter = sender(Transport(always=DOWN), said=said, storage=tmp_path)

    async def body():
        await exporter.export(batch_of(3), kept=False)
        await until(lambda: exporter.down_since())

    run(exporter, body)
    waiting = "3 items for http://there wait on disk until the next start"
    assert said == ["http://there is unreachable (answered 503)", waiting]


def test_what_is_refused_for_good_leaves_the_disk(tmp_path):
    exporter = sender(Transport(RejectedError("answered 400")), storage=tmp_path)

    async def body():
        await exporter.export(batch_of(3), kept=False)

    run(exporter, body)
    assert (exporter.waiting, exporter.dropped) == (0, 3)


def test_a_client_that_leaves_while_its_request_is_written_leaves_it_whole(tmp_path):
    transport = Transport()
    exporter = sender(transport, storage=tmp_path, queue_size=1)
    batch = batch_of()

    async def body():
        client = asyncio.create_task(exporter.export(batch, kept=False))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        client.cancel()
        await asyncio.wait({client})
        await until(lambda: transport.delivered)

    run(exporter, body)
    assert transport.delivered == ids(batch)
    assert exporter._lanes["traces"].queue.room.used == 0


# The end


def test_closing_delivers_what_waits():
    transport = Transport(DOWN, DOWN)
    exporter = sender(transport, num_consumers=1)
    batches = [batch_of() for _ in range(5)]

    async def body():
        for batch in batches:
            await exporter.export(batch, kept=True)

    run(exporter, body)
    assert transport.delivered == [span for batch in batches for span in ids(batch)]
    assert exporter.dropped == 0


def test_closing_gives_up_on_a_destination_that_was_gone_before():
    transport = Transport(always=DOWN)
    retry = Retry(initial_interval=1000, max_interval=1000, max_elapsed_time=0)
    exporter = sender(transport, retry=retry, num_consumers=1)

    async def body():
        for _ in range(3):
            await exporter.export(batch_of(2), kept=True)
        await until(lambda: transport.attempts)

    run(exporter, body, timeout=1000)
    assert exporter.dropped == 6


def test_closing_tells_the_clients_that_wait():
    transport = Transport(always=asyncio.Event())
    exporter = sender(transport)

    async def body():
        client = asyncio.create_task(exporter.export(batch_of(), kept=False))
        await until(lambda: transport.sending)
        await exporter.close(0)
        with pytest.raises(UnavailableError, match="the collector is stopping"):
            await client
        with pytest.raises(UnavailableError, match="the collector is stopping"):
            await exporter.export(batch_of(), kept=False)

    run(exporter, body)
    assert exporter.dropped == 0


def test_an_exporter_that_was_not_started_can_be_closed(tmp_path):
    exporter = sender(Transport(), storage=tmp_path)
    asyncio.run(exporter.close(1))
    assert exporter.waiting == 0


def test_queues_are_gauges_as_the_official_collector_has_them():
    counts = Counts()
    settings = OTLPHTTPExporter("http://there", sending_queue=SendingQueue(queue_size=7))
    Sender("otlp_http/a", settings, [TRACES, LOGS], Transport(), print, counts)
    found = {series: read() for series, read in counts.gauges.items()}
    assert found == {
        (f"otelcol_exporter_queue_{what}", (("data_type", signal), ("exporter", "otlp_http/a"))): value
        for what, value in (("size", 0), ("capacity", 7))
        for signal in ("traces", "logs")
    }
