"""`scripts/record.py` turns exchanges with a provider into records that the replay takes, and keeps secrets out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx2
import openai
import pytest

from corpus.reading import exchanged, reading
from corpus.records import REPOSITORY, records_in
from corpus.scoring import mismatches
from provider import Provider

SCRIPT = str(REPOSITORY / "scripts" / "record.py")
QUESTION = "How is the weather in Paris?"


class Recording(NamedTuple):
    url: str
    corpus: Path
    process: subprocess.Popen[str]

    def stopped(self) -> tuple[str, str]:
        """What it has said, to people and of failures."""
        self.process.send_signal(signal.SIGINT)
        return self.process.communicate(timeout=20)


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[Recording]:
    with Provider() as provider:
        process = subprocess.Popen(
            [sys.executable, SCRIPT, provider.url, "--corpus", str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        assert process.stdout is not None
        yield Recording(process.stdout.readline().split()[-1], tmp_path, process)
        process.kill()
        process.communicate()


def ask(recording: Recording, *, stream: bool = False, content: str = QUESTION) -> None:
    """Asks, and reads the answer to its very end, when its record is written."""
    client = openai.OpenAI(api_key="sk-dummy-dummy-dummy-dummy", base_url=f"{recording.url}/v1")
    client.chat.completions.with_raw_response.create(
        model="gpt-5-mini", messages=[{"role": "user", "content": content}], stream=stream
    ).http_response.read()


def test_an_exchange_becomes_a_record_that_can_be_replayed(recording: Recording):
    ask(recording)
    ask(recording, stream=True)
    said, failures = recording.stopped()
    assert [line.split(" -> ")[0] for line in said.splitlines()] == ["recorded: POST /v1/chat/completions"] * 2 + [
        "stopped"
    ]
    assert failures == ""
    whole, streamed = records_in(recording.corpus)
    assert (whole.streamed, streamed.streamed) == (False, True)
    assert (whole.expected["operation"], whole.expected["input_tokens"]) == ("chat", 10)
    for record in (whole, streamed):
        exchange = exchanged(record, capture=True)
        assert exchange is not None
        assert exchange.call.request_model == "gpt-5-mini"


def test_no_key_is_in_a_record(recording: Recording):
    ask(recording)
    httpx2.get(f"{recording.url}/v1/models?key=AIzaNotForAnybody&pageSize=2")
    recording.stopped()
    text = "".join(path.read_text() for path in (recording.corpus / "dev").iterdir())
    assert "sk-dummy" not in text
    assert "AIza" not in text
    assert "authorization" not in text.lower()
    assert "/v1/models?pageSize=2" in text


def test_a_body_that_seems_to_hold_a_secret_is_not_recorded_and_that_is_said(recording: Recording):
    ask(recording, content="My key is sk-abcdefghijklmnopqrstuvwxyz")
    _, failures = recording.stopped()
    assert failures == (
        "not recorded: POST /v1/chat/completions: its body seems to hold a key, a token or a mail address\n"
    )
    assert list((recording.corpus / "dev").iterdir()) == []


def test_an_account_number_is_replaced():
    sys.path.insert(0, str(REPOSITORY / "scripts"))
    try:
        import record
    finally:
        sys.path.pop(0)
    arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/x"
    assert record.scrubbed_url(f"https://h/model/{arn}/converse") == (
        "https://h/model/arn:aws:bedrock:us-east-1:000000000000:inference-profile/x/converse"
    )
    assert json.loads(record.side(json.dumps({"arn": arn}).encode())["body"])["arn"].split(":")[4] == "0" * 12
    quoted = "https://h/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fx/converse"
    assert "123456789012" not in record.scrubbed_url(quoted)


def test_an_upstream_that_is_no_address_is_refused(tmp_path: Path):
    run = subprocess.run(
        [sys.executable, SCRIPT, "api.openai.com", "--corpus", str(tmp_path)], capture_output=True, text=True
    )
    assert (run.returncode, run.stderr.splitlines()[-1]) == (
        2,
        "record.py: error: 'api.openai.com' is no address; give one such as https://api.openai.com",
    )


def test_the_drafts_are_what_a_replay_finds(recording: Recording):
    ask(recording)
    recording.stopped()
    (record,) = records_in(recording.corpus)
    exchange = exchanged(record, capture=True)
    assert exchange is not None
    assert mismatches(record, [reading(exchange.call)]) == []
