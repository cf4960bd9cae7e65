"""embedContent and batchEmbedContents."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmtrace_otel.wire.call import Usage
from wire.talk import Endpoint, asked, played, told

LIMA = {"parts": [{"text": "Lima"}]}
MODELS = "/v1beta/models/gemini-embedding-2"
ONE = Endpoint("generativelanguage.googleapis.com", f"{MODELS}:embedContent", {"content": LIMA})
BATCH = Endpoint(
    "generativelanguage.googleapis.com",
    f"{MODELS}:batchEmbedContents",
    {"requests": [{"model": "models/gemini-embedding-2", "content": LIMA}]},
)
VECTOR = {"values": [0.25, -0.5]}
COUNTED = {"usageMetadata": {"promptTokenCount": 11, "promptTokenDetails": [{"modality": "TEXT", "tokenCount": 11}]}}


@pytest.mark.parametrize(
    ("endpoint", "vectors"), [(ONE, {"embedding": VECTOR}), (BATCH, {"embeddings": [VECTOR, VECTOR]})]
)
@pytest.mark.parametrize("capture", [False, True])
def test_embeddings_that_are_counted(endpoint: Endpoint, vectors: dict[str, Any], capture: bool):
    call = played(endpoint, vectors | COUNTED, capture=capture)
    assert (call.operation, call.provider, asked(call)) == (
        "embeddings",
        "gcp.gemini",
        {"request_model": "gemini-embedding-2"},
    )
    assert told(call) == {"usage": Usage(input=11), "complete": True}


def test_older_models_count_nothing():
    call = played(BATCH, {"embeddings": [VECTOR]})
    assert told(call) == {"complete": True, "keys_seen": ["embeddings"]}


@pytest.mark.parametrize(
    ("endpoint", "request_"),
    [
        (ONE, {"content": LIMA, "outputDimensionality": 768}),
        (ONE, {"content": LIMA, "output_dimensionality": 768}),
        (ONE, {"content": LIMA, "embedContentConfig": {"outputDimensionality": 768}}),
        (BATCH, {"requests": [{"content": LIMA, "outputDimensionality": 768}]}),
    ],
)
def test_the_dimensions_that_are_asked_for(endpoint: Endpoint, request_: dict[str, Any]):
    call = endpoint.begin(body=json.dumps(request_).encode()).call
    assert asked(call) == {"request_model": "gemini-embedding-2", "dimensions": 768}


def test_an_error_is_named_by_its_status():
    error = {"error": {"code": 404, "message": "No such model.", "status": "NOT_FOUND"}}
    assert told(played(BATCH, error, status=404)) == {"error_type": "NOT_FOUND", "error_message": "No such model."}


@pytest.mark.parametrize(
    ("request_", "answer", "usage"),
    [
        ({"requests": "many"}, {"usageMetadata": []}, None),
        (
            {"requests": [1, {"content": 2}], "outputDimensionality": -1},
            {"usageMetadata": {"promptTokenCount": -1}},
            None,
        ),
        ([], {"embeddings": 7, **COUNTED}, Usage(input=11)),
    ],
)
def test_surprising_types_cost_only_themselves(request_: Any, answer: dict[str, Any], usage: Usage | None):
    call = played(BATCH, answer, body=json.dumps(request_).encode())
    assert (call.usage, call.dimensions, call.complete) == (usage, None, True)
