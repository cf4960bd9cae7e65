"""What a call cost, and where that comes from: the first source that knows, or unknown; and how prices are loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from charged import PLAIN, UNKNOWN, call

from llmtrace_otel.telemetry import cost, prices, prices_published, prices_user
from llmtrace_otel.telemetry.cost import Cost, cost_of
from llmtrace_otel.telemetry.prices_user import VARIABLE
from llmtrace_otel.wire.call import Call, Library, Usage

KNOWN: dict[str, Any] = {
    "stated_cost": 0.1,
    "gateway_cost": 0.2,
    "usage": Usage(input=1_000_000),
    "request_model": "gpt-4o-mini",
}
"""A call of which every source knows what it cost."""


@pytest.fixture
def own_price(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The user says that a million tokens of gpt-4o-mini cost 0.3 USD."""
    file = tmp_path / "prices.json"
    file.write_text('{"version": "mine", "prices": {"gpt-4o-mini": {"input": 0.3}}}')
    monkeypatch.setenv(VARIABLE, str(file))
    cost.refresh()
    yield
    monkeypatch.undo()
    cost.refresh()


@pytest.mark.parametrize("stated", [0.0, 0.0042])
def test_what_the_provider_states_beats_an_estimate(stated: float) -> None:
    assert cost_of(call(PLAIN, stated_cost=stated)) == Cost(stated, "actual", "provider_response")


def test_a_library_is_believed_as_a_gateway_is() -> None:
    by_library = KNOWN | {"library": Library(cost=0.15, cost_source="litellm")}
    assert cost_of(call(**by_library)) == Cost(0.1, "actual", "provider_response")
    assert cost_of(call(**by_library | {"stated_cost": None})) == Cost(0.15, "estimated", "litellm")


def test_an_answer_from_a_cache_costs_nothing_whatever_it_once_cost() -> None:
    cached = KNOWN | {"library": Library(cache_hit=True, cost=0.15, cost_source="litellm")}
    assert cost_of(call(**cached)) == Cost(0.0, "actual", "litellm")


@pytest.mark.usefixtures("own_price")
def test_the_provider_is_believed_before_a_gateway_before_the_user_before_the_list() -> None:
    assert cost_of(call(**KNOWN)) == Cost(0.1, "actual", "provider_response")
    assert cost_of(call(**KNOWN | {"stated_cost": None})) == Cost(0.2, "estimated", "gateway")
    by_tokens = KNOWN | {"stated_cost": None, "gateway_cost": None}
    assert cost_of(call(**by_tokens)) == Cost(0.3, "estimated", "user", "mine")
    listed = cost_of(call(**by_tokens | {"request_model": "gpt-4o"}))
    assert listed is not None
    assert (listed.usd, listed.status, listed.source) == (2.5, "estimated", "genai-prices")


def test_a_gateways_cost_counts_without_usage() -> None:
    assert cost_of(call(None, http_status=200, gateway_cost=0.2)) == Cost(0.2, "estimated", "gateway")


def test_a_gateways_zero_is_what_it_says_of_models_without_a_price() -> None:
    assert cost_of(call(PLAIN, provider="litellm", gateway_cost=0.0)) == UNKNOWN


@pytest.mark.parametrize(
    "fields",
    [
        {"request_model": "nobody-has-heard-of-it"},
        {"request_model": None},
        {"provider": "nobody"},
        {"provider": "ollama", "server_address": "127.0.0.1", "server_port": 11434},
        {"provider": "vllm", "server_address": "localhost", "server_port": 8000},
        {"provider": "lmstudio", "server_address": "127.0.0.1", "server_port": 1234},
    ],
    ids=str,
)
def test_a_price_that_nobody_knows_is_unknown(fields: dict[str, Any]) -> None:
    assert cost_of(call(PLAIN, **fields)) == UNKNOWN


def test_an_answer_without_usage_has_an_unknown_cost_and_never_zero() -> None:
    assert cost_of(call(None, http_status=200)) == UNKNOWN


def test_a_call_that_was_never_answered_has_no_cost() -> None:
    assert cost_of(call(None)) is None


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_a_response_that_is_still_to_come_has_no_cost(status: str) -> None:
    assert cost_of(call(None, http_status=200, response_status=status)) is None


@pytest.mark.parametrize("usage", [Usage(), Usage(output=5)], ids=["none", "output"])
def test_without_a_count_of_its_input_a_calls_cost_is_unknown(usage: Usage) -> None:
    assert cost_of(call(usage, http_status=200, complete=True)) == UNKNOWN


def test_a_cut_stream_without_a_count_of_its_output_has_an_unknown_cost() -> None:
    assert cost_of(call(Usage(input=10), http_status=200, stream=True)) == UNKNOWN


@pytest.mark.parametrize("fields", [{"stream": True, "complete": True}, {"complete": True}, {}], ids=str)
def test_elsewhere_no_count_of_the_output_means_none(fields: dict[str, Any]) -> None:
    without_output = cost_of(call(Usage(input=10), http_status=200, **fields))
    assert without_output == cost_of(call(Usage(input=10, output=0), http_status=200, **fields))
    assert without_output is not None
    assert without_output.status == "estimated"


def test_a_failed_call_without_usage_has_no_cost() -> None:
    assert cost_of(call(None, http_status=429, error_type="rate_limit_error")) is None


def test_a_failed_call_with_usage_costs_what_it_used() -> None:
    assert cost_of(call(PLAIN, error_type="server_error")) == cost_of(call(PLAIN))


def test_a_fetched_response_has_no_cost() -> None:
    fetch = Call("fetch_response", "openai", response_model="gpt-5-mini", start_ns=1)
    assert cost_of(fetch) is None


SUBSCRIPTIONS = (
    {"server_address": "chatgpt.com"},
    {"server_address": "cloudcode-pa.googleapis.com", "provider": "gcp.gemini", "request_model": "gemini-2.5-pro"},
    {"server_address": "api.githubcopilot.com", "provider": "github_copilot"},
    {"server_address": "api.business.githubcopilot.com", "provider": "github_copilot"},
)


@pytest.mark.parametrize("fields", SUBSCRIPTIONS, ids=str)
@pytest.mark.parametrize("usage", [PLAIN, None], ids=["usage", "no usage"])
def test_a_subscriptions_calls_are_included_without_an_amount(fields: dict[str, Any], usage: Usage | None) -> None:
    assert cost_of(call(usage, http_status=200, **fields)) == Cost(None, "included")


def test_a_host_that_only_ends_like_a_subscriptions_has_none() -> None:
    found = cost_of(call(PLAIN, server_address="notchatgpt.com"))
    assert found is not None
    assert found.status == "estimated"


@pytest.mark.usefixtures("own_price")
def test_the_users_price_counts_on_a_subscription_too() -> None:
    asked: dict[str, Any] = {"request_model": "gpt-4o-mini", "server_address": "chatgpt.com"}
    assert cost_of(call(Usage(input=1_000_000), **asked)) == Cost(0.3, "estimated", "user", "mine")


@pytest.mark.usefixtures("own_price")
def test_the_users_price_counts_on_ones_own_machine_too() -> None:
    local: dict[str, Any] = {"provider": "ollama", "server_address": "127.0.0.1", "request_model": "gpt-4o-mini"}
    assert cost_of(call(Usage(input=1_000_000), **local)) == Cost(0.3, "estimated", "user", "mine")


def run(program: str) -> str:
    """Runs a program in a process of its own, with a limit on its time; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_first_call_loads_the_prices_in_a_thread_of_their_own() -> None:
    program = """
import sys, threading
import httpx2
from opentelemetry.sdk.trace import TracerProvider
from llmtrace_otel.instrument.httpx import HTTPXInstrumentor

HTTPXInstrumentor().instrument(tracer_provider=TracerProvider())
before = "genai_prices" in sys.modules
importers = set()

class Importers:
    def find_spec(self, name, path=None, target=None):
        if name == "genai_prices":
            importers.add(threading.current_thread() is threading.main_thread())

sys.meta_path.insert(0, Importers())

def answer(request):
    # The provider thinks until the prices are there: they must not wait for its answer.
    for thread in threading.enumerate():
        if thread not in (threading.main_thread(), threading.current_thread()):
            thread.join()
    loaded.append("genai_prices.data" in sys.modules)
    return httpx2.Response(200, json={"id": "1", "model": "gpt-5-mini", "choices": []})

loaded = []
with httpx2.Client(transport=httpx2.MockTransport(answer)) as client:
    client.post("https://api.openai.com/v1/chat/completions", json={"model": "gpt-5-mini", "messages": []})
print(before, importers, loaded)
"""
    assert run(program) == "False {False} [True]"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_that_is_forked_while_prices_load_computes_a_cost() -> None:
    """The import is made to last, so that the fork falls into it; whatever the child does, it must come to an end."""
    program = """
import os, signal, sys, threading
from llmtrace_otel.telemetry import cost, prices, prices_published, prices_user
from llmtrace_otel.wire.call import Call, Usage

parent, importing, pause = os.getpid(), threading.Event(), threading.Event()

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "genai_prices.types" and os.getpid() == parent:
            importing.set()
            pause.wait(0.5)  # seconds; nobody sets it

sys.meta_path.insert(0, Slow())
cost.load()
importing.wait()
child = os.fork()
if not child:
    signal.alarm(2)  # a child that hangs is ended, and fails the test
found = cost.cost_of(
    Call("chat", "openai", request_model="gpt-4o-mini", usage=Usage(input=1_000_000), start_ns=1_763_000_000 * 10**9)
)
if child:
    _, status = os.waitpid(child, 0)
    print("parent", found.usd, "status of the child", status)
else:
    print("child", found.usd, flush=True)
    os._exit(0)
"""
    assert sorted(run(program).splitlines()) == ["child 0.15", "parent 0.15 status of the child 0"]


@pytest.mark.usefixtures("own_price")
def test_prices_are_not_waited_for_when_the_interpreter_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    cost.refresh()
    with prices.reading():  # by a thread that the end of the interpreter has ended
        monkeypatch.setattr(sys, "is_finalizing", lambda: True)
        with pytest.raises(LookupError, match="not loaded in time"):
            prices_user.table()
        with pytest.raises(LookupError, match="not loaded in time"):
            prices_published.tables()


def test_what_has_no_whole_usage_does_not_wait_for_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    def waited_for(*_: Any) -> Any:
        raise AssertionError("the prices were waited for")

    monkeypatch.setattr(prices_published, "tables", waited_for)
    cost.refresh()
    cut = call(Usage(input=10), stream=True, http_status=200)
    assert [cost_of(ended) for ended in (cut, call(Usage(output=5)), call(None, http_status=200))] == [UNKNOWN] * 3
