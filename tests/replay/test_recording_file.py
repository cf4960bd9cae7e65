"""The files: what they look like, that they hold no secrets, and that many may write them at once."""

from __future__ import annotations

import json
import os
import threading
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tapes import KEY, NOWHERE, Tape

from llmtrace_otel import replay
from llmtrace_otel.replay.recording import Damaged, Recording, decode, encode
from llmtrace_otel.replay.store import Store, read
from provider import Provider
from support.clients import CLIENTS

PATH = "/v1/chat/completions"
HTTPX = CLIENTS[0]
REQUEST = {"method": "POST", "host": "api.openai.com", "path": PATH, "body": {"model": "gpt-5"}}
STREAM = b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\ndata: [DONE]\n\n'


def chat(text: str) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]}


def test_a_file_is_read_by_people() -> None:
    body = b'{"id":"x","usage":{"total_tokens":15},"data":[{"embedding":[0.5,-1,2e-7]}]}'
    recording = Recording(REQUEST, 200, {"content-type": "application/json"}, [body], 0.812)
    assert (
        encode(recording)
        == """{
  "llmtrace_recording": 1,
  "request": {
    "body": {
      "model": "gpt-5"
    },
    "host": "api.openai.com",
    "method": "POST",
    "path": "/v1/chat/completions"
  },
  "response": {
    "status": 200,
    "headers": {
      "content-type": "application/json"
    },
    "body": {
      "id": "x",
      "usage": {
        "total_tokens": 15
      },
      "data": [
        {
          "embedding": [0.5, -1, 2e-07]
        }
      ]
    }
  },
  "seconds": 0.812
}
"""
    )


def answered(text: str) -> Recording:
    return Recording(REQUEST, 200, {}, [text.encode()], 0.1)


@given(st.lists(st.binary(min_size=1)), st.sampled_from([200, 429]), st.none() | st.just("ReadError"))
def test_any_answer_comes_out_as_it_went_in(chunks: list[bytes], status: int, cut: str | None) -> None:
    recording = Recording(REQUEST, status, {}, chunks, 1.5, cut)
    found = decode(encode(recording))
    assert found == recording


def test_a_json_object_says_the_same() -> None:
    body = '{"b": [1.0, 1e3], "a": {"z": "☀ \\u2600", "y": null}, "c": 12345678901234567890}'
    (chunk,) = decode(encode(Recording(REQUEST, 200, {}, [body[:20].encode(), body[20:].encode()], 0.1))).chunks
    assert json.dumps(json.loads(chunk)) == json.dumps(json.loads(body))


def test_what_is_no_text_is_base64() -> None:
    text = encode(Recording(REQUEST, 200, {}, [b"\x00\xff"], 0.1))
    assert json.loads(text)["response"]["chunks"] == [{"base64": b64encode(b"\x00\xff").decode()}]


def test_recording_the_same_again_changes_no_file(tape: Tape) -> None:
    def all_asked(size: int) -> dict[str, str]:
        pieces = [STREAM[at : at + size] for at in range(0, len(STREAM), size)]
        transport = HTTPX.transport(lambda _: (200, {"content-type": "text/event-stream"}, pieces))
        with tape.record():
            for text in ("cats", "cats", "dogs"):
                HTTPX.post("https://api.openai.com" + PATH, json=chat(text) | {"stream": True}, transport=transport)
        return tape.texts

    assert all_asked(7) == all_asked(1000)
    assert len(tape.files) == 3


def test_how_long_it_took_and_in_what_pieces_is_no_reason_to_write(tmp_path: Path) -> None:
    store, body = Store(str(tmp_path)), [b"data: 1\n\n", b"data: 2\n\n"]
    path = store.path(REQUEST, 1)
    store.write(path, Recording(REQUEST, 200, {}, body, 0.5))
    before = path.read_text()
    store.write(path, Recording(REQUEST, 200, {}, [b"".join(body)], 9.5))
    assert path.read_text() == before
    store.write(path, Recording(REQUEST, 200, {}, [b"data: 3\n\n"], 9.5))
    assert read(path).chunks == [b"data: 3\n\n"]


def test_no_secret_is_in_the_directory(provider: Provider, tape: Tape) -> None:
    body = chat(f"my key is {KEY}, and my database postgres://me:hunter2hunter2@db/x")
    asked = {"authorization": f"Bearer {KEY}", "x-api-key": "a-plain-key-of-ours", "cookie": "session=c00kie"}
    with tape.record():
        HTTPX.post(f"{provider.url}{PATH}?key=query-key-123456", json=body, headers=asked)
        transport = HTTPX.transport(lambda _: (401, {"set-cookie": "a=c00kie"}, [b'{"error":"a-plain-key-of-ours"}']))
        HTTPX.post("https://api.openai.com" + PATH, json=chat("b"), headers=asked, transport=transport)
    everything = "".join(tape.texts.values())
    assert len(tape.files) == 2
    for secret in (KEY, "a-plain-key-of-ours", "hunter2", "c00kie", "query-key-123456"):
        assert secret not in everything
    with tape.replay():
        assert HTTPX.post(NOWHERE + PATH, json=body).status == 200


@pytest.mark.parametrize("cut", [30, 46], ids=["within the key", "within a character beside it"])
def test_a_secret_that_came_in_two_pieces_is_found(cut: int) -> None:
    body = f'data: {{"key": "{KEY}", "said": "☀"}}\n\n'.encode()
    cut = body.index("☀".encode()) + 1 if cut == 46 else cut
    (chunk,) = decode(encode(Recording(REQUEST, 200, {}, [body[:cut], body[cut:]], 0.1))).chunks
    assert chunk.decode() == 'data: {"key": "[redacted]", "said": "☀"}\n\n'


def test_variants_of_a_request_are_beside_each_other_and_each_is_found(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for name, times in (("aaaaaa", (1,)), ("bbbbbb", (1, 2))):
        for number in times:
            store.write(store.path(REQUEST, number, name), answered(f"{name}{number}"))
    found = [
        read(store.find(REQUEST, number, name, among) or tmp_path).chunks
        for name, number, among in (("bbbbbb", 1, 1), ("bbbbbb", 9, 9), ("aaaaaa", 2, 1), ("cccccc", 2, 1))
    ]
    assert found == [[b"bbbbbb1"], [b"bbbbbb2"], [b"aaaaaa1"], [b"bbbbbb2"]]


def test_a_variant_of_an_earlier_run_gives_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(str(tmp_path))
    old, kept, new = (store.path(REQUEST, 1, name) for name in ("aaaaaa", "bbbbbb", "cccccc"))
    for path in (old, kept, store.path(REQUEST, 2, "aaaaaa")):
        store.write(path, answered("it"))
    os.utime(old, (1000, 1000))
    monkeypatch.setenv(replay.RECORD_BEGAN, "2000")
    store.write(new, answered("it"))
    assert sorted(path.name.split(".")[-2] for path in tmp_path.iterdir()) == ["1-bbbbbb", "1-cccccc", "2-aaaaaa"]


def test_a_question_about_an_id_gets_the_answer_about_that_id(tape: Tape) -> None:
    one, other = "3f2504e0-4f89-41d3-9a0c-0305e82c3301", "6ba7b810-9dad-41d1-80b4-00c04fd430c8"

    def ask(scope: str, order: str) -> bytes:
        replay.new_scope(scope)
        transport = HTTPX.transport(lambda _: (200, {}, [f"about {order}".encode()]))
        body = chat(f"Where is order {order}?")
        return HTTPX.post("https://api.openai.com" + PATH, json=body, transport=transport).body

    with tape.record():
        live = [ask("test_a", one), ask("test_b", other)]
    with tape.replay():
        again = [ask("test_b", other), ask("test_a", one)]
    assert again[::-1] == live == [f"about {one}".encode(), f"about {other}".encode()]


def test_a_body_that_cannot_be_seen_is_neither_recorded_nor_answered(provider: Provider, tape: Tape) -> None:
    def post(url: str) -> httpx.Response:
        with httpx.Client() as client:
            return client.post(url + PATH, content=iter([json.dumps(chat("cats")).encode()]))

    with tape.record():
        assert post(provider.url).status_code == 200
    assert tape.files == []
    with tape.replay():
        answer = post(NOWHERE)
    assert answer.status_code == 400
    assert "cannot be told from others: its body is streamed" in answer.json()["error"]["message"]


def test_many_may_write_the_same_file(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "cassettes"))
    path = store.path(REQUEST, 1)
    start = threading.Barrier(8)

    def write(number: int) -> None:
        start.wait(10)
        for round_ in range(20):
            store.write(path, Recording(REQUEST, 200, {}, [b"%d" % (number * 100 + round_)] * 2000, 0.1))
            read(path)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert [found.name for found in path.parent.iterdir()] == [path.name]
    assert len(set(read(path).chunks)) == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{ not json", "it is not JSON: Expecting property name enclosed in double quotes: line 1 column 3 (char 2)"),
        ("{}", "it lacks what a recording has (KeyError: 'llmtrace_recording')"),
        ("[]", "it lacks what a recording has (TypeError: list indices must be integers or slices, not str)"),
        ('{"llmtrace_recording": 7}', "it is of version 7, and this llmtrace reads version 1"),
        ('{"llmtrace_recording": 1, "request": {}}', "it lacks what a recording has (KeyError: 'response')"),
    ],
)
def test_a_damaged_file_says_why(text: str, why: str) -> None:
    with pytest.raises(Damaged) as damage:
        decode(text)
    assert str(damage.value) == why


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"llmtrace_recording":1,"request":{},"response":{"status":1e999,"headers":{}}}']
)
def test_a_file_beyond_all_bounds_is_damaged(text: str) -> None:
    with pytest.raises(Damaged):
        decode(text)


def test_a_damaged_file_is_named_to_whoever_asks(provider: Provider, tape: Tape) -> None:
    with tape.record():
        HTTPX.post(provider.url + PATH, json=chat("cats"))
    (name,) = tape.files
    (tape.directory / name).write_text("<<<<<<< HEAD")
    with tape.replay():
        answer = HTTPX.post(NOWHERE + PATH, json=chat("cats"))
    assert answer.status == 400
    assert json.loads(answer.body)["error"]["message"] == (
        f"llmtrace replay: {tape.directory}/{name} cannot be read: it is not JSON: Expecting value: line 1 column 1 "
        f"(char 0); delete it, and record again by: llmtrace run --record {tape.directory} -- …"
    )


def test_each_test_counts_for_itself(provider: Provider, tape: Tape) -> None:
    with tape.record():
        for name in ("test_a", "test_b"):
            replay.new_scope(name)
            HTTPX.post(provider.url + PATH, json=chat("cats"))
    assert [name[-7:] for name in tape.files] == [".1.json"]


def test_what_cannot_be_written_is_said_once(provider: Provider, tape: Tape, capsys: Any) -> None:
    tape.directory.write_text("a file")
    with tape.record():
        for _ in range(2):
            assert HTTPX.post(provider.url + PATH, json=chat("cats")).status == 200
    said = capsys.readouterr().err
    assert said.startswith(f"llmtrace: not everything can be recorded in {tape.directory}: ")
    assert said.count("\n") == 1
