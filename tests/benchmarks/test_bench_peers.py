"""What is installed for each peer, and the process that its calls are measured in."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from compare.cases import Case
from compare.environments import FailedError
from compare.peers import CONTENT, OURS, PEERS, REPOSITORY, distributions, recipe, supports
from compare.runner import Child
from compare.starts import STARTS


def test_every_peer_has_a_start_and_known_settings():
    assert {peer.start for peer in PEERS.values()} <= set(STARTS)
    assert {setting for peer in PEERS.values() for setting in peer.content} == set(CONTENT)


def test_only_our_own_environments_have_the_project():
    with_it = [peer for peer in PEERS for sdk in PEERS[peer].packages if str(REPOSITORY) in recipe(peer, sdk)]
    assert set(with_it) == {OURS}


def test_distributions_are_named_without_versions_and_extras():
    assert distributions("openai-v2", "openai") == [
        "opentelemetry-instrumentation-openai-v2",
        "opentelemetry-util-genai",
    ]
    assert distributions("logfire", "litellm") == ["logfire"]


def test_what_makes_no_llm_call_is_run_under_every_peer_of_the_sdks():
    assert supports("langfuse", "httpx2")
    assert not supports("litellm-otel", "httpx2")
    assert not supports("anthropic-otel", "subprocess")
    assert not supports("langfuse", "anthropic")


@pytest.fixture(scope="module")
def ours():
    with Child(Path(sys.executable), "openai", OURS, "on", "functions") as child:
        yield child


def warm(child, case):
    child.ask("warm", case, calls=1, attributes={})
    return case


@pytest.mark.parametrize("shape", ["plain", "stream"])
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_measured_call_leaves_one_span_with_tokens_and_content(ours, shape, mode):
    looked = ours.ask("look", warm(ours, Case("openai", shape, mode, "on")))
    assert (looked["spans"], looked["tokens"], looked["content"]) == (1, True, True)


def test_a_call_takes_as_many_functions_every_time(ours):
    case = warm(ours, Case("openai", content="on"))
    ours.functions(case, 2)
    assert ours.functions(case, 2) == pytest.approx(ours.functions(case, 2), rel=0.02)


def test_calls_at_once_are_all_made(ours):
    case = warm(ours, Case("openai", "concurrent", "async", "on"))
    assert ours.functions(case, 4) > 0
    ours.ask("run", case, calls=4)


def test_a_bare_span_carries_the_attributes_that_it_is_given():
    case = Case("openai")
    with Child(Path(sys.executable), "openai", "bare", "off") as child:
        child.ask("warm", case, calls=1, attributes={"gen_ai.request.model": "m", "n": 1})
        assert child.ask("look", case)["attributes"] == {"gen_ai.request.model": "m", "n": 1}


@pytest.mark.parametrize(
    ("key", "value", "is_usage"),
    [
        ("gen_ai.usage.output_tokens", 200, True),
        ("gen_ai.usage.input_tokens", 120, True),
        ("llm.token_count.completion", 200, True),
        ("langfuse.observation.usage_details", '{"completion_tokens": 200, "prompt_tokens": 120}', True),
        ("gen_ai.request.max_tokens", 1024, False),
        ("gen_ai.server.time_per_output_token", 0.0002003, False),
        ("http.status_code", 200, False),
    ],
)
def test_usage_is_known_by_what_the_answer_said(key, value, is_usage):
    case = Case("openai")
    with Child(Path(sys.executable), "openai", "bare", "off") as child:
        child.ask("warm", case, calls=1, attributes={key: value})
        assert child.ask("look", case)["tokens"] is is_usage


def test_a_peer_that_is_not_there_says_so():
    with (
        pytest.raises(FailedError, match="No module named 'openlit'"),
        Child(Path(sys.executable), "openai", "openlit", "off"),
    ):
        pass
