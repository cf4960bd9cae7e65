"""What LLM calls add up to: counted by the rules of `llmtrace show`, and nothing that is unknown is 0."""

import asyncio

import pytest
from figure_helpers import chat, spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from llmtrace_collector.errors import UnavailableError
from llmtrace_collector.figures.tally import MAX_MODELS, Calls, Tallied, Tally, calls_in
from llmtrace_collector.otlp.batch import Batch
from llmtrace_collector.otlp.signals import LOGS
from llmtrace_collector.pipeline import Fanout, Pipeline


def tally_of(*attributes, failed=False):
    tally = Tally()
    tally.add(calls_in(spans(*attributes, failed=failed)))
    return tally


def test_calls_are_summed_by_model():
    tally = tally_of(
        chat("gpt-5-mini", input_tokens=100, output_tokens=10, usd=0.25),
        chat("gpt-5-mini", input_tokens=50, output_tokens=5, usd=0.5),
        chat("claude-sonnet-5", input_tokens=7, output_tokens=3, usd=1.0),
    )
    assert tally.total == Calls(3, input=157, output=18, usd=1.75)
    assert tally.models == {
        "gpt-5-mini": Calls(2, input=150, output=15, usd=0.75),
        "claude-sonnet-5": Calls(1, input=7, output=3, usd=1.0),
    }


@pytest.mark.parametrize("operation", ["chat", "generate_content", "text_completion", "embeddings", "a_new_one"])
def test_every_inference_operation_is_a_call(operation):
    assert tally_of({**chat(usd=0.5), "gen_ai.operation.name": operation}).total == Calls(1, usd=0.5)


@pytest.mark.parametrize(
    "attributes",
    [
        {"http.request.method": "GET"},
        {**chat(input_tokens=5, usd=1.0), "gen_ai.operation.name": "invoke_agent"},
        {**chat(), "gen_ai.operation.name": "execute_tool"},
        {"gen_ai.operation.name": "a_new_one"},
        {"gen_ai.operation.name": 1},
        {"url.full": "https://example.com/?gen_ai.operation.name"},
    ],
)
def test_other_spans_are_no_calls(attributes):
    assert tally_of(attributes) == Tally()


def test_what_no_call_reported_is_unknown():
    assert tally_of(chat(), chat(input_tokens=3)).total == Calls(2, input=3, output=None, usd=None, unpriced=2)


def test_an_unknown_cost_is_counted_beside_the_known():
    assert tally_of(chat(usd=0.5), chat()).total == Calls(2, usd=0.5, unpriced=1)


def test_a_cached_call_costs_nothing_and_keeps_its_tokens():
    call = chat(input_tokens=9, output_tokens=4, usd=0.5, cache_hit=True)
    assert tally_of(call).total == Calls(1, input=9, output=4, usd=0.0)


def test_a_subscription_costs_nothing():
    assert tally_of(chat(usd=0.5, status="included")).total == Calls(1, usd=0.0)


def test_a_failed_call_is_an_error_and_costs_nothing_without_tokens():
    assert tally_of(chat(error="RateLimitError")).total == Calls(1, errors=1)
    assert tally_of(chat(), failed=True).total == Calls(1, errors=1)
    assert tally_of(chat(error="timeout", input_tokens=5)).total == Calls(1, input=5, unpriced=1, errors=1)


def test_numbers_of_a_wrong_type_are_not_read():
    wrong = {"gen_ai.usage.input_tokens": "many", "llmtrace.cost.usd": -1.0, "llmtrace.cache.hit": "yes"}
    assert tally_of({**chat(), **wrong}).total == Calls(1, unpriced=1)


def test_the_model_that_answered_stands_in_for_the_one_asked_for():
    answered = {"gen_ai.operation.name": "chat", "gen_ai.response.model": "gpt-5-mini-2026"}
    assert list(tally_of(answered, {"gen_ai.operation.name": "chat"}).models) == ["gpt-5-mini-2026", "?"]


def test_a_name_that_would_move_the_cursor_is_made_printable():
    assert list(tally_of(chat("gpt\x1b[2J" + "x" * 300)).models) == ["gpt�[2J" + "x" * 192 + "…"]


def test_models_beyond_the_limit_are_summed_up():
    tally = tally_of(*(chat(f"model-{number}", usd=1.0) for number in range(MAX_MODELS + 2)))
    assert len(tally.models) == MAX_MODELS + 1
    assert tally.models["other"] == Calls(2, usd=2.0)
    assert tally.total.count == MAX_MODELS + 2


def test_the_batch_is_only_read():
    batch = spans(chat())
    before = batch.message.SerializeToString()
    assert len(calls_in(batch)) == 1
    assert batch.message.SerializeToString() == before


def test_other_signals_hold_no_calls():
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.add().attributes.add(key="gen_ai.operation.name")
    assert calls_in(Batch(LOGS, request)) == []


class Refusing:
    """An exporter that is not ready at first."""

    durable = True
    wants_lines = False

    def __init__(self):
        self.ready = False

    async def export(self, batch, *, kept):
        if not self.ready:
            raise UnavailableError("not now")


def test_a_request_that_is_refused_and_sent_again_counts_once():
    exporter = Refusing()
    tallied = Tallied(Fanout((Pipeline("traces", (), (exporter,)),)), Tally())
    with pytest.raises(UnavailableError):
        asyncio.run(tallied.accept(spans(chat(usd=0.5))))
    exporter.ready = True
    asyncio.run(tallied.accept(spans(chat(usd=0.5))))
    assert tallied.tally.total == Calls(1, usd=0.5)


def test_calls_are_read_before_a_processor_changes_them():
    class Emptying:
        def process(self, batch):
            del batch.message.resource_spans[:]
            return Batch(batch.signal, batch.message)

    tallied = Tallied(Fanout((Pipeline("traces", (Emptying(),), ()),)), Tally())
    asyncio.run(tallied.accept(spans(chat(usd=0.5))))
    assert tallied.tally.total == Calls(1, usd=0.5)
