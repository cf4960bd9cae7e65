"""Every recorded frame log of a realtime session, through a Conversation.

The logs name no URL, so each is replayed at the one that its provider's SDK connects to; that the provider is told
right means that this URL is recognised, and whose it is. `expected` has the counts as they were sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from corpus.records import CORPUS
from llmtrace_otel.wire.call import Call, Usage
from llmtrace_otel.wire.realtime import Conversation

LOGS = sorted(CORPUS.glob("*/realtime_ws.jsonl"))

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(not LOGS, reason=f"no frame logs at {CORPUS}; set LLMTRACE_CORPUS to their folder"),
]

URLS = {
    "openai": ("api.openai.com", "/v1/realtime", "model=gpt-realtime"),
    "azure.ai.openai": ("resource.openai.azure.com", "/openai/v1/realtime", "model=my-deployment"),
    "x_ai": ("api.x.ai", "/v1/realtime", "model=grok-voice-latest"),
    "gcp.gemini": (
        "generativelanguage.googleapis.com",
        "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent",
        "",
    ),
}
SPELLINGS = {"text": str, "binary": str.encode}


def frame_logs() -> Iterator[dict[str, Any]]:
    for file in LOGS:
        for line in file.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)


def replayed(record: dict[str, Any], spell: Any, *, capture: bool) -> list[Call]:
    """The calls that ended, those that only the end of the connection ended too."""
    calls: list[Call] = []
    host, path, query = URLS[record["expected"]["provider"]]
    conversation = Conversation.begin(
        host, 443, path, query, began=lambda call: None, ended=calls.append, capture=capture
    )
    assert conversation is not None
    for frame in record["frames"]:
        tell = conversation.sent if frame["direction"] == "sent" else conversation.received
        tell(spell(json.dumps(frame["data"])))
    conversation.closed()
    return calls


def total(*counts: int | None) -> int | None:
    given = [count for count in counts if count is not None]
    return sum(given) if given else None


def audio(details: list[dict[str, Any]] | None) -> int | None:
    return total(*(detail["tokenCount"] for detail in details or [] if detail["modality"] == "AUDIO"))


def usage_of(report: dict[str, Any]) -> Usage | None:
    """A report by the counting rules, the other way round than the code under test: from the keys that are there."""
    if "promptTokenCount" in report:
        spoken = "response" if "responseTokenCount" in report else "candidates"
        return Usage(
            input=total(report["promptTokenCount"], report.get("toolUsePromptTokenCount")),
            output=total(report.get(f"{spoken}TokenCount"), report.get("thoughtsTokenCount")),
            cache_read=report.get("cachedContentTokenCount"),
            reasoning=report.get("thoughtsTokenCount"),
            input_audio=audio(report.get("promptTokensDetails")),
            output_audio=audio(report.get(f"{spoken}TokensDetails")),
        )
    if "input_tokens" not in report:
        return None
    inputs, outputs = report["input_token_details"], report["output_token_details"]
    return Usage(
        input=report["input_tokens"],
        output=report["output_tokens"],
        cache_read=inputs["cached_tokens"],
        reasoning=outputs.get("reasoning_tokens"),
        input_audio=inputs["audio_tokens"],
        cached_audio=inputs.get("cached_tokens_details", {}).get("audio_tokens"),
        output_audio=outputs["audio_tokens"],
    )


def told(record: dict[str, Any]) -> dict[str, Any]:
    """What calls should say of a log."""
    expected = record["expected"]
    return {
        "providers": {expected["provider"]},
        "response_ids": expected["response_ids"] or [None] * expected["n_usage_reports"],
        "usage": [usage_of(report) for report in expected["usage_reports"]],
        "complete": [True] * expected["n_usage_reports"],
        "open_errors": [],
    }


def reading(calls: list[Call]) -> dict[str, Any]:
    return {
        "providers": {call.provider for call in calls},
        "response_ids": [call.response_id for call in calls],
        "usage": [call.usage for call in calls],
        "complete": [call.complete for call in calls],
        "open_errors": [call.error_type for call in calls if call.error_type],
    }


@pytest.mark.parametrize("capture", [False, True], ids=["content-off", "content-on"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_each_response_of_a_recorded_session_is_a_call_with_its_own_counts(spelling: str, capture: bool):
    read = {record["id"]: reading(replayed(record, SPELLINGS[spelling], capture=capture)) for record in frame_logs()}
    assert read == {record["id"]: told(record) for record in frame_logs()}


def test_the_session_tells_the_model():
    models = {
        record["id"]: {call.response_model for call in replayed(record, str, capture=False)}
        for record in frame_logs()
        if record["expected"]["session_model"]
    }
    assert models == {
        record["id"]: {record["expected"]["session_model"]}
        for record in frame_logs()
        if record["expected"]["session_model"]
    }


def test_tool_calls_are_in_the_messages():
    counted = {
        record["id"]: sum(
            part["type"] == "tool_call"
            for call in replayed(record, str, capture=True)
            for message in call.output_messages or []
            for part in message["parts"]
        )
        for record in frame_logs()
    }
    assert counted == {record["id"]: record["expected"]["n_tool_calls"] for record in frame_logs()}
