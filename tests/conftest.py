"""Fixtures that every test may use: the instrumented libraries, the spans they leave, a local provider."""

from __future__ import annotations

import hypothesis
import pytest

from llmtrace_otel.instrument.httpx import HTTPXInstrumentor
from llmtrace_otel.telemetry import content
from provider import Provider
from support.clients import CLIENTS, Client
from support.spans import Recorded

hypothesis.settings.register_profile("untimed", hypothesis.settings.default, deadline=None)
hypothesis.settings.load_profile("untimed")  # no test depends on how long an example takes

ELSEWHERE = {
    "interop": "real programs of others: make interop installs and runs them",
    "long": "takes long: make long runs it",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="leave out what make interop and make long run")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items if config.getoption("--quick") else ():
        for marker, reason in ELSEWHERE.items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch):
    """Instruments httpx and httpx2 with providers of the test's own; holds what they record."""
    monkeypatch.delenv(content.MODE_VARIABLE, raising=False)
    monkeypatch.setenv("ANTHROPIC_OPEN_TELEMETRY", "false")
    recorded = Recorded()
    instrumentor = HTTPXInstrumentor()
    instrumentor.instrument(**recorded.providers)
    yield recorded
    while instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()
    recorded.close()
    content.refresh()


@pytest.fixture
def with_content(recorded: Recorded, monkeypatch: pytest.MonkeyPatch):
    """Turns message content on, on spans."""
    monkeypatch.setenv(content.MODE_VARIABLE, "span_only")
    content.refresh()
    return recorded


@pytest.fixture(params=CLIENTS, ids=str)
def client(request: pytest.FixtureRequest) -> Client:
    """httpx and httpx2, each sync and async, behind one face."""
    return request.param


@pytest.fixture(scope="session")
def provider_server():
    with Provider() as provider:
        yield provider


@pytest.fixture
def provider(provider_server: Provider) -> Provider:
    """The local provider, its list of requests empty."""
    provider_server.requests.clear()
    return provider_server
