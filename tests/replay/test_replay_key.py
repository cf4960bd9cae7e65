"""What makes two requests the same: all that they say, and nothing that changes from run to run."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import tempfile
import uuid
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llmtrace_otel.replay import asked as asking
from llmtrace_otel.replay.asked import Asked
from llmtrace_otel.replay.nearest import differences

CHAT = "/v1/chat/completions"
TODAY = date.today()
KEYS = st.text(st.characters(codec="utf-8"), max_size=8)
LEAVES = st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(st.characters(codec="utf-8"), max_size=20)
LISTS = st.lists(LEAVES, max_size=3)
BODIES = st.dictionaries(
    KEYS, LEAVES | LISTS | st.dictionaries(KEYS, LEAVES | LISTS, max_size=3), min_size=1, max_size=4
)


def request(body: Any, **more: Any) -> Asked:
    asked = Asked("POST", "api.openai.com", 443, CHAT, "", {}, json.dumps(body).encode())
    return asked._replace(**more)


def key(body: Any, **more: Any) -> str:
    return asking.key(asking.document(request(body, **more)))


def says(text: str) -> dict[str, Any]:
    return {"model": "gpt-5", "messages": [{"role": "user", "content": text}]}


def stored(text: str) -> str:
    return asking.document(request(says(text)))["body"]["messages"][0]["content"]


def reversed_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: reversed_keys(value[name]) for name in reversed(value)}
    return [reversed_keys(item) for item in value] if isinstance(value, list) else value


@given(BODIES)
def test_the_order_of_fields_does_not_count(body: dict[str, Any]) -> None:
    assert key(reversed_keys(body)) == key(body)


@given(BODIES, st.data())
def test_anything_else_does(body: dict[str, Any], data: st.DataObject) -> None:
    changed = copy.deepcopy(body)
    name = data.draw(st.sampled_from(sorted(body)))
    changed[name] = data.draw(LEAVES)
    assume(json.dumps(changed[name]) != json.dumps(body[name]))
    assert key(changed) != key(body)


@given(st.uuids(), st.uuids(), st.integers(0, 10**9), st.integers(0, 10**9))
def test_ids_of_a_run_do_not(one: uuid.UUID, other: uuid.UUID, first: int, second: int) -> None:
    def history(drawn: uuid.UUID, number: int) -> dict[str, Any]:
        call = f"call_{drawn.hex[:20]}{number:09d}"
        return {
            "model": "gpt-5",
            "prompt_cache_key": str(drawn),
            "metadata": {"user_id": f"user_{drawn.hex}_session_{drawn}"},
            "messages": [
                {"role": "user", "content": f"In session {drawn}, see toolu_01{drawn.hex[:20]}"},
                {"role": "assistant", "id": f"msg_{drawn.hex}", "tool_calls": [{"id": call, "type": "function"}]},
                {"role": "tool", "tool_call_id": call, "content": "sunny"},
            ],
        }

    assert key(history(one, first)) == key(history(other, second))


def moments(now: datetime) -> dict[str, str]:
    """What a program may be told at a time."""
    return {
        "epoch": f"asked at {int(now.timestamp())}",
        "milliseconds": f"asked at {int(now.timestamp() * 1000)}",
        "ISO": f"today is {now.date()}",
        "words": f"It is {now:%A, %B} {now.day}, {now.year}.",
        "month": f"We have {now:%B} {now.year}.",
        "Unix": f"{now:%a %b} {now.day} {now:%H:%M:%S} UTC {now.year}",
        "numbers": f"{now.month}/{now.day}/{now.year}, {now:%I:%M:%S %p}",
    }


@pytest.mark.parametrize("form", moments(datetime.now()))
def test_the_day_and_the_hour_do_not(form: str) -> None:
    now = datetime.now()
    assert key(says(moments(now)[form])) == key(says(moments(now - timedelta(hours=20))[form]))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("at 2026-11-21T10:00:00Z", "at 2031-01-02T23:59:59.123456+01:00"),
        ("see http://localhost:8080/docs", "see http://localhost:43211/docs"),
        ("span 4bf92f3577b34da6a3ce929d0e0e4736", "span 00f067aa0ba902b700f067aa0ba902b7"),
        ("/tmp/tmpab12cd/a.txt", "/tmp/tmpzz99/a.txt"),
        ("/tmp/agent-ab12cd_x/a.txt", "/tmp/agent-zz9a_b0q/a.txt"),
        ("/tmp/tmp.Ab12Cd34Ef/a.txt", "/tmp/tmp.zZ99aaBBcc/a.txt"),
        ("- Platform: linux\n- OS Version: Linux 6.1", "- Platform: darwin\n- OS Version: Darwin 24.1.0"),
        ("/tmp/pytest-of-me/pytest-7/test_it0/a.txt", "/tmp/pytest-of-ci/pytest-0/test_it0/a.txt"),
    ],
)
def test_what_a_run_draws_does_not(one: str, other: str) -> None:
    assert key(says(one)) == key(says(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("the news of 2019-03-04", "the news of 2019-03-05"),
        ("version 1234567890", "version 1234567891"),
        ("call_center_agent1", "call_center_agent2"),
        ("meet at 10:30", "meet at 11:30"),
        ("https://example.com:8080", "https://example.com:8081"),
        ("A" * 600, "A" * 599 + "B"),
        ("read /tmp/orders.csv", "read /tmp/users.csv"),
        ("read /tmp/orders-2023.csv", "read /tmp/orders-2024.csv"),
        ("read /tmp/orders/a.csv", "read /tmp/users/a.csv"),
        ("Platform: iOS", "Platform: Android"),
        ("OS Version: 17 of the phone", "OS Version: 18 of the phone"),
    ],
)
def test_what_a_question_is_about_does(one: str, other: str) -> None:
    assert key(says(one)) != key(says(other))


def called(**arguments: Any) -> dict[str, dict[str, Any]]:
    """What a tool is called with, and gives, as each provider has it in its history."""
    tool = {"toolUseId": "tooluse_a1b2c3d4e5f6", "name": "get"}
    result = {"toolUseId": "tooluse_a1b2c3d4e5f6", "content": [{"json": arguments}]}
    return {
        "OpenAI": {"messages": [{"tool_calls": [{"function": {"arguments": json.dumps(arguments)}}]}]},
        "Anthropic": {
            "messages": [{"content": [{"type": "tool_use", "id": "toolu_01", "name": "g", "input": arguments}]}]
        },
        "Gemini": {"contents": [{"parts": [{"functionCall": {"name": "get", "args": arguments}}]}]},
        "Gemini's result": {"contents": [{"parts": [{"functionResponse": {"name": "g", "response": arguments}}]}]},
        "Bedrock": {"messages": [{"content": [{"toolUse": tool | {"input": arguments}}]}]},
        "Bedrock's result": {"messages": [{"content": [{"toolResult": result}]}]},
    }


@pytest.mark.parametrize("provider", called())
@pytest.mark.parametrize("name", ["user_id", "session_id", "call_id", "signature", "id", "client_metadata"])
def test_what_a_tool_is_called_with_counts_whatever_its_name(provider: str, name: str) -> None:
    one, other = called(**{name: "ORDER-20231"}), called(**{name: "ORDER-20232"})
    assert key(one[provider]) != key(other[provider])


@pytest.mark.parametrize("field", ["container", "previous_response_id", "conversation"])
def test_what_a_server_keeps_counts(field: str) -> None:
    assert key({field: "cntr_abc1234567890123"}) != key({field: "cntr_abc1234567890124"})


def test_a_documents_own_id_counts() -> None:
    def about(name: str) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": [{"type": "document", "id": name}]}]}

    assert key(about("report-2023")) != key(about("report-2024"))


def variant(text: str) -> str:
    return asking.identify(request(says(text))).variant


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("order 3f2504e0-4f89-41d3-9a0c-0305e82c3301", "order 6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
        ("explain 1dda6e31a5e19f8fb2c57beb1d98e8f2", "explain 957071a53b84efb920d5b5f8a5457a49"),
        ("on 1969-07-20 20:17:40", "on 2001-09-11 08:46:40"),
        ("buy item_abc123def456", "buy item_xyz123def456"),
        ("the server at localhost:8080", "the server at localhost:8081"),
    ],
)
def test_an_id_that_may_be_drawn_or_meant_makes_a_variant_of_the_same_request(one: str, other: str) -> None:
    assert key(says(one)) == key(says(other))
    assert variant(one) != variant(other)
    assert variant(one) == variant(one)


def test_a_request_without_ids_in_its_texts_has_no_variant() -> None:
    body = says("hi") | {"metadata": {"user_id": "user_1"}, "prompt_cache_key": "3f2504e0-4f89-41d3-9a0c-0305e82c3301"}
    assert asking.identify(request(body)).variant == ""


def test_a_request_whose_body_cannot_be_seen_is_told_from_no_other() -> None:
    with pytest.raises(asking.UnseenError, match=r"api\.openai\.com cannot be told from others: its body is streamed"):
        asking.document(request({})._replace(body=None))


def test_what_signs_a_url_is_no_part_of_it() -> None:
    query = (
        "X-Amz-Credential=AKIAIOSFODNN7EXAMPLE&X-Amz-Signature=0123456789abcdef&X-Amz-Date=20261121T000000Z&sig=abc&v=1"
    )
    assert asking.document(request({}, query=query))["query"] == {"v": "1"}


def test_places_of_this_machine_have_names() -> None:
    here, home = Path.cwd(), Path.home()
    assert stored(f"{here}/a.py") == "<cwd>/a.py"
    assert stored(f"{home}/b.py") == ("<cwd>/b.py" if home == here else "<home>/b.py")
    assert stored(f"{tempfile.gettempdir()}/tmp12/c.py, or {os.sep}usr") == "<tmp>/c.py, or /usr"


def test_the_day_of_the_run_stays_readable() -> None:
    assert stored(f"Today is {TODAY}.") == f"Today is <today {TODAY}>."


def test_a_day_that_was_today_is_found_on_another_day_as_it_was_written() -> None:
    recorded = asking.document(request(says(f"the news of {TODAY}")))
    later = {**recorded, "body": says(f"the news of {TODAY}")}
    assert differences(recorded, later) == []
    assert differences(recorded, {**recorded, "body": says("the news of 2019-03-04")}) != []


def test_an_image_is_its_fingerprint() -> None:
    image = "iVBORw0K" * 100
    found = hashlib.sha256(image.encode()).hexdigest()[:16].upper()
    assert stored(f"see data:image/png;base64,{image}") == (
        f"see data:image/png;base64,<base64, 800 characters, sha256 {found}>"
    )


def test_the_key_is_no_part_of_it() -> None:
    one = {"headers": {"authorization": "Bearer sk-one"}, "query": "api-version=2024-10-21&key=secret-one"}
    other = {"headers": {"x-api-key": "sk-two"}, "query": "key=secret-two&api-version=2024-10-21"}
    assert key(says("hi"), **one) == key(says("hi"), **other)
    assert asking.document(request(says("hi"), **one))["query"] == {"api-version": "2024-10-21"}
    assert key(says("hi"), query="api-version=2025-01-01") != key(says("hi"), **one)


def test_a_server_of_this_machine_may_have_any_port() -> None:
    local = {key(says("hi"), host=host, port=port) for host, port in (("127.0.0.1", 1234), ("localhost", 80))}
    assert len(local) == 1
    assert key(says("hi"), host="gpu.example", port=8000) != key(says("hi"), host="gpu.example", port=8001)
    assert key(says("hi"), host="gpu.example", port=443) == key(says("hi"), host="gpu.example", port=80)


def test_what_the_server_remembers_counts() -> None:
    body = {"model": "gpt-5", "input": "and then?", "previous_response_id": "resp_68a1b2c3d4e5f60718293a4b"}
    assert key(body) != key(body | {"previous_response_id": "resp_000000000000000000000000"})


def test_a_models_dated_name_counts() -> None:
    body = says("hi")
    assert key(body | {"model": f"gpt-4o-{TODAY}"}) != key(body | {"model": f"gpt-4o-{TODAY + timedelta(1)}"})


def test_what_is_no_json_has_its_boundaries_named() -> None:
    def form(boundary: str) -> dict[str, Any]:
        body = f"--{boundary}\r\nname=a\r\n--{boundary}--".encode()
        return {"body": body, "headers": {"content-type": f"multipart/form-data; boundary={boundary}"}}

    one, other = request({})._replace(**form("abc123")), request({})._replace(**form("xyz789"))
    assert asking.document(one) == asking.document(other)
    assert asking.document(one)["body"] == ["--<boundary>", "name=a", "--<boundary>--"]
