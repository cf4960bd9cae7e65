"""Bedrock by boto3, which has an HTTP of its own: recorded and replayed by the same files."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tapes import NOWHERE, Tape

from llmtrace_otel.instrument.botocore import BotocoreInstrumentor
from provider import Provider

MODEL = "anthropic.claude-haiku-4-5-20251001-v1:0"
HI = [{"role": "user", "content": [{"text": "hi"}]}]


def bedrock(url: str) -> Any:
    return boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id="AKIAABCDEFGHIJKLMNOP",
        aws_secret_access_key="a-secret-key-of-ours",
        config=Config(retries={"total_max_attempts": 1}),
    )


def converse(url: str, text: str = "hi") -> Any:
    answer = bedrock(url).converse(modelId=MODEL, messages=[{"role": "user", "content": [{"text": text}]}])
    return answer["output"], answer["usage"]


def converse_stream(url: str) -> Any:
    return list(bedrock(url).converse_stream(modelId=MODEL, messages=HI)["stream"])


def invoke(url: str) -> Any:
    body = json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": []})
    return json.loads(bedrock(url).invoke_model(modelId=MODEL, body=body)["body"].read())


@pytest.mark.parametrize("ask", [converse, converse_stream, invoke])
def test_an_answer_is_given_again_where_there_is_no_server(ask: Any, provider: Provider, tape: Tape) -> None:
    with tape.record(BotocoreInstrumentor()):
        live = ask(provider.url)
    provider.requests.clear()
    with tape.replay(BotocoreInstrumentor()) as recorded:
        assert ask(NOWHERE) == live
    attributes = recorded.span.attributes or {}
    assert (attributes["llmtrace.replay"], attributes["llmtrace.cost.usd"]) == (True, 0.0)
    assert attributes["gen_ai.usage.output_tokens"] == 5
    assert "AKIA" not in "".join(tape.texts.values())


def test_a_miss_is_an_error_that_says_why(provider: Provider, tape: Tape) -> None:
    with tape.record(BotocoreInstrumentor()):
        converse(provider.url)
    why = "recorded 'hi' asked 'ho'; record again by"
    with tape.replay(BotocoreInstrumentor()) as recorded, pytest.raises(ClientError, match=why) as error:
        converse(NOWHERE, "ho")
    assert error.value.response["Error"]["Code"] == "replay_miss"
    assert (recorded.span.attributes or {})["error.type"] == "replay_miss"
