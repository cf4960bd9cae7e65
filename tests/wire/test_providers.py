"""Who is spoken to and in which format: the table, unknown hosts, and the rows that users add."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtrace_otel.wire.exchange import Exchange
from llmtrace_otel.wire.openai_chat import OPENAI_CHAT
from llmtrace_otel.wire.openai_responses import OPENAI_FETCH_RESPONSE
from llmtrace_otel.wire.providers import DEFAULT, FORMATS, PROVIDERS, SELF_HOSTED, Match, Provider, Providers
from wire.fuzzing import fuzz

CHAT_BODY = b'{"model": "m", "messages": [{"role": "user", "content": "Hi"}]}'
INPUT_BODY = b'{"model": "m", "input": ["Hi"]}'
PROMPT_BODY = b'{"model": "m", "prompt": "Hi"}'
FOREIGN = (b"", b"{}", b"[]", b"not json", b'{"messages": "m"}', b'{"text": "Hi"}', b"\xff", b'"messages"', b"null")


def seen(method: str, url: str, body: bytes | None = None, providers: Providers = DEFAULT) -> tuple[str, str] | None:
    """The provider and the format of the exchange that a request to a URL such as `//host:port/path` begins."""
    host, _, path = url.removeprefix("//").partition("/")
    name, _, port = host.partition(":")
    exchange = Exchange.begin(method, name, int(port or 443), f"/{path}", body, providers=providers)
    return None if exchange is None else (exchange.call.provider, exchange._format.name)


def address(host: str, label: str = "") -> tuple[str, int]:
    if host.startswith(":"):
        return "localhost", int(host[1:])
    return (f"{label or 'corp'}{host}" if host.startswith((".", "-")) else host), 443


ROWS = [(row, host) for row in PROVIDERS for host in row.hosts]


@pytest.mark.parametrize(("row", "host"), ROWS, ids=[f"{row.name} {host} {row.under}" for row, host in ROWS])
def test_every_row_of_the_table_is_recognised_by_its_host(row: Provider, host: str):
    name, port = address(host, row.label)
    path = (row.under.rstrip("/") or "/v1") + "/chat/completions"
    match = DEFAULT.find("POST", name, port, path)
    known = not host.startswith(":")  # any program may listen on a port
    assert match == Match(row.name, OPENAI_CHAT, known=known, telling=not known)


@pytest.mark.parametrize(
    ("url", "provider", "wire_format"),
    [
        ("//api.openai.com/v1/chat/completions", "openai", "openai.chat"),
        ("//api.openai.com/v1/completions", "openai", "openai.completions"),
        ("//api.openai.com/v1/embeddings", "openai", "openai.embeddings"),
        ("//api.openai.com/v1/responses", "openai", "openai.responses"),
        ("//eu.api.openai.com/v1/responses", "openai", "openai.responses"),
        ("//chatgpt.com/backend-api/codex/responses", "openai", "openai.responses"),
        ("//api.anthropic.com/v1/messages", "anthropic", "anthropic.messages"),
        ("//api.anthropic.com/v1/complete", "anthropic", "anthropic.complete"),
        ("//r.openai.azure.com/openai/v1/responses", "azure.ai.openai", "openai.responses"),
        ("//r.services.ai.azure.com/openai/v1/chat/completions", "azure.ai.openai", "openai.chat"),
        ("//r.services.ai.azure.com/anthropic/v1/messages", "anthropic", "anthropic.messages"),
        ("//r.services.ai.azure.com/models/chat/completions", "azure.ai.inference", "openai.chat"),
        ("//r.services.ai.azure.com/models/embeddings", "azure.ai.inference", "openai.embeddings"),
        ("//bedrock-runtime.us-east-1.amazonaws.com/openai/v1/chat/completions", "aws.bedrock", "openai.chat"),
        ("//bedrock-mantle.us-east-1.api.aws/v1/responses", "aws.bedrock", "openai.responses"),
        ("//generativelanguage.googleapis.com/v1beta/openai/chat/completions", "gcp.gemini", "openai.chat"),
        ("//api.mistral.ai/v1/fim/completions", "mistral_ai", "openai.chat"),
        ("//api.mistral.ai/v1/agents/completions", "mistral_ai", "openai.chat"),
        ("//api.groq.com/openai/v1/responses", "groq", "openai.responses"),
        ("//api.deepseek.com/beta/completions", "deepseek", "openai.completions"),
        ("//openrouter.ai/api/v1/messages", "openrouter", "anthropic.messages"),
        ("//api.fireworks.ai/inference/v1/chat/completions", "fireworks", "openai.chat"),
        ("//router.huggingface.co/together/v1/chat/completions", "huggingface", "openai.chat"),
        ("//api.cohere.com/compatibility/v1/chat/completions", "cohere", "openai.chat"),
        ("//api.writer.com/v1/chat", "writer", "openai.chat"),
        ("//api.voyageai.com/v1/embeddings", "voyage", "openai.embeddings"),
        ("//api.githubcopilot.com/chat/completions", "github_copilot", "openai.chat"),
        ("//api.cohere.com/v2/chat", "cohere", "cohere.chat"),
        ("//api.cohere.ai/v1/chat", "cohere", "cohere.chat_v1"),
        ("//api.cohere.com/v1/generate", "cohere", "cohere.generate"),
        ("//api.cohere.com/v2/embed", "cohere", "cohere.embeddings"),
        ("//ollama.com/api/chat", "ollama", "ollama.chat"),
        ("//generativelanguage.googleapis.com/v1beta/models/g:generateContent", "gcp.gemini", "gemini.generate"),
        ("//generativelanguage.googleapis.com/v1beta/models/g:streamGenerateContent", "gcp.gemini", "gemini.stream"),
        ("//generativelanguage.googleapis.com/v1/models/g:batchEmbedContents", "gcp.gemini", "gemini.embeddings"),
        ("//generativelanguage.googleapis.com/v1beta/interactions", "gcp.gemini", "gemini.interactions"),
        ("//cloudcode-pa.googleapis.com/v1internal:streamGenerateContent", "gcp.gemini", "gemini.stream"),
        (
            "//us-central1-aiplatform.googleapis.com/v1/projects/p/locations/l/publishers/google/models/g:generateContent",
            "gcp.vertex_ai",
            "gemini.generate",
        ),
        (
            "//aiplatform.googleapis.com/v1/projects/p/locations/l/endpoints/openapi/chat/completions",
            "gcp.vertex_ai",
            "openai.chat",
        ),
        ("//bedrock-runtime.us-east-1.amazonaws.com/model/m/converse", "aws.bedrock", "bedrock.converse"),
        ("//bedrock-runtime.us-east-1.amazonaws.com/model/m/invoke", "aws.bedrock", "bedrock.invoke"),
        (
            "//vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com/model/m/converse-stream",
            "aws.bedrock",
            "bedrock.converse_stream",
        ),
        ("//us-south.ml.cloud.ibm.com/ml/v1/text/chat", "ibm.watsonx.ai", "watsonx.chat"),
        ("//eu-de.ml.cloud.ibm.com/ml/v1/deployments/d/text/chat_stream", "ibm.watsonx.ai", "watsonx.chat_stream"),
    ],
)
def test_known_hosts_need_no_body(url: str, provider: str, wire_format: str):
    assert seen("POST", url) == (provider, wire_format)
    assert seen("POST", url, b"not json") == (provider, wire_format)


@pytest.mark.parametrize(
    ("url", "body", "provider", "wire_format"),
    [
        ("//127.0.0.1:11434/v1/messages", CHAT_BODY, "ollama", "anthropic.messages"),
        ("//localhost:8000/v1/completions", PROMPT_BODY, "vllm", "openai.completions"),
        ("//127.0.0.1:1234/v1/chat/completions", CHAT_BODY, "lmstudio", "openai.chat"),
        ("//0.0.0.0:4000/v1/chat/completions", None, "litellm", "openai.chat"),
        ("//0.0.0.0:4000/v1/embeddings", INPUT_BODY, "litellm", "openai.embeddings"),
    ],
)
def test_a_well_known_port_on_loopback_names_the_provider(url: str, body: bytes, provider: str, wire_format: str):
    assert seen("POST", url, body) == (provider, wire_format)


@pytest.mark.parametrize("loopback", ["localhost", "127.0.0.1", "::1", "[::1]", "0.0.0.0"])
def test_a_well_known_port_names_a_product_on_loopback_only(loopback: str):
    nobodys = Match(None, OPENAI_CHAT, known=False, telling=True)
    assert DEFAULT.find("POST", loopback, 11434, "/v1/chat/completions") == nobodys._replace(provider="ollama")
    assert DEFAULT.find("POST", loopback, 9_999, "/v1/chat/completions") == nobodys
    assert DEFAULT.find("POST", "10.0.0.9", 11434, "/v1/chat/completions") == nobodys


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/openai/deployments/my-mini/chat/completions", "my-mini"),
        ("/openai/deployments/gpt 5%2Fmini/embeddings", "gpt 5/mini"),
        ("/openai/v1/chat/completions", None),
    ],
)
def test_azure_names_the_deployment_in_the_path(path: str, model: str | None):
    match = DEFAULT.find("POST", "corp.openai.azure.com", 443, path)
    assert match is not None
    assert (match.provider, match.model) == ("azure.ai.openai", model)


@pytest.mark.parametrize(
    ("host", "path", "model"),
    [
        ("generativelanguage.googleapis.com", "/v1beta/models/gemini-3-pro:generateContent", "gemini-3-pro"),
        ("generativelanguage.googleapis.com", "/v1beta/tunedModels/my-own:generateContent", "my-own"),
        ("aiplatform.googleapis.com", "/v1/projects/p/publishers/anthropic/models/c@2:rawPredict", "c@2"),
        ("aiplatform.googleapis.com", "/v1/projects/p/locations/l/endpoints/12:generateContent", "12"),
        ("cloudcode-pa.googleapis.com", "/v1internal:generateContent", None),
        (
            "bedrock-runtime.eu-west-1.amazonaws.com",
            "/model/eu.amazon.nova-lite-v1:0/converse",
            "eu.amazon.nova-lite-v1:0",
        ),
        (
            "bedrock-runtime.eu-west-1.amazonaws.com",
            "/model/arn:aws:bedrock:eu-west-1:0:inference-profile/eu.nova/invoke-with-response-stream",
            "arn:aws:bedrock:eu-west-1:0:inference-profile/eu.nova",
        ),
    ],
)
def test_google_and_amazon_name_the_model_in_the_path(host: str, path: str, model: str | None):
    match = DEFAULT.find("POST", host, 443, path)
    assert match is not None
    assert match.model == model


@pytest.mark.parametrize(
    "url",
    [
        "//api.openai.com/v1/chat",
        "//api.cohere.com/v1/rerank",
        "//api.voyageai.com/v1/rerank",
        "//generativelanguage.googleapis.com/v1beta/models/g:countTokens",
        "//generativelanguage.googleapis.com/v1beta/models/g:batchGenerateContent",
        "//aiplatform.googleapis.com/v1/projects/p/publishers/google/models/imagen:predict",
        "//bedrock-runtime.us-east-1.amazonaws.com/model/m/count-tokens",
        "//bedrock-runtime.us-east-1.amazonaws.com/guardrail/g/version/1/apply",
        "//bucket.s3.amazonaws.com/invoke",
        "//us-south.ml.cloud.ibm.com/ml/v1/text/rerank",
        "//localhost:11434/api/show",
        "//app.example.com/api/chat",
    ],
)
def test_what_these_vendors_offer_besides_is_no_call(url: str):
    assert seen("POST", url, CHAT_BODY) is None


@pytest.mark.parametrize(
    ("url", "body", "provider", "wire_format"),
    [
        ("//gpu-box:11434/api/chat", CHAT_BODY, "ollama", "ollama.chat"),
        ("//ollama.internal/api/generate", PROMPT_BODY, "ollama", "ollama.generate"),
        ("//127.0.0.1:1234/api/v1/chat", INPUT_BODY, "lmstudio", "lmstudio.chat"),
        ("//localhost:8080/completion", PROMPT_BODY, "llamacpp", "llamacpp.completion"),
        (
            "//gateway.example.com/google/v1beta/models/g:generateContent",
            b'{"contents": [{"parts": [{"text": "Hi"}]}]}',
            "gcp.gemini",
            "gemini.generate",
        ),
        (
            "//gateway.example.com/v1/publishers/google/models/g:generateContent",
            b'{"contents": [{"parts": [{"text": "Hi"}]}]}',
            "gcp.vertex_ai",
            "gemini.generate",
        ),
        (
            "//localhost:4566/model/amazon.nova-lite-v1:0/converse",
            b'{"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}',
            "aws.bedrock",
            "bedrock.converse",
        ),
    ],
)
def test_other_formats_are_recognised_where_their_hosts_are_not(url: str, body: bytes, provider: str, wire_format: str):
    assert seen("POST", url, body) == (provider, wire_format)
    assert seen("POST", url, b"{}") is None


def test_a_gateway_on_amazons_hosts_is_not_bedrock():
    url = "//a1b2.execute-api.us-east-1.amazonaws.com/openai/v1/chat/completions"
    assert seen("POST", url, CHAT_BODY) == ("openai", "openai.chat")
    assert seen("POST", "//bucket.s3.amazonaws.com/model/m/invoke", b"<xml/>") is None


def test_an_azure_project_speaks_openai():
    assert seen("POST", "//r.services.ai.azure.com/api/projects/p/openai/v1/responses") == (
        "azure.ai.openai",
        "openai.responses",
    )


@pytest.mark.parametrize(
    ("path", "body", "wire_format"),
    [
        ("v1/chat/completions", CHAT_BODY, "openai.chat"),
        ("any/depth/chat/completions", CHAT_BODY, "openai.chat"),
        ("chat/completions", None, "openai.chat"),
        ("v1/completions", PROMPT_BODY, "openai.completions"),
        ("v1/completions", b'{"model":"m","prompt":[[1,2],[3]]}', "openai.completions"),
        ("v1/embeddings", INPUT_BODY, "openai.embeddings"),
        ("v1/responses", INPUT_BODY, "openai.responses"),
        ("v1/responses", b' { "input" : "Hi" , "model" : "m" } ', "openai.responses"),
    ],
)
def test_an_unknown_host_is_recognised_by_path_and_body(path: str, body: bytes | None, wire_format: str):
    assert seen("POST", f"//llm.corp.example/{path}", body) == ("openai", wire_format)


@pytest.mark.parametrize("body", [CHAT_BODY, None])
def test_an_unknown_host_may_speak_anthropic(body: bytes | None):
    assert seen("POST", "//gateway.corp.example/v1/messages", body) == ("anthropic", "anthropic.messages")
    legacy = b'{"model":"claude-2","prompt":"x","max_tokens_to_sample":1}'
    assert seen("POST", "//gateway.corp.example/v1/complete", legacy) == ("anthropic", "anthropic.complete")


@pytest.mark.parametrize("path", ["v1/completions", "v1/embeddings", "v1/responses", "v1/complete"])
def test_a_path_that_others_use_too_needs_a_body(path: str):
    assert seen("POST", f"//app.corp.example/{path}", None) is None


@pytest.mark.parametrize("body", [*FOREIGN, b'{"model": 5, "messages": []}', b'{"model": "m", "messages": {}}'])
@pytest.mark.parametrize(
    "path", ["v1/chat/completions", "v1/completions", "v1/embeddings", "v1/responses", "v1/messages", "v1/complete"]
)
def test_a_foreign_body_on_an_unknown_host_is_no_call(path: str, body: bytes):
    assert seen("POST", f"//app.corp.example/{path}", body) is None


NO_CALLS = [
    ("POST", "//api.anthropic.com/v1/messages/count_tokens"),
    ("POST", "//api.anthropic.com/v1/messages/batches"),
    ("GET", "//api.anthropic.com/v1/messages/batches/b_1/results"),
    ("POST", "//api.openai.com/v1/batches"),
    ("GET", "//api.openai.com/v1/models"),
    ("GET", "//api.openai.com/v1/models/gpt-5"),
    ("POST", "//api.openai.com/v1/threads/thread_1/messages"),
    ("POST", "//api.openai.com/v1/threads/thread_1/runs"),
    ("POST", "//api.openai.com/v1/responses/compact"),
    ("POST", "//api.openai.com/v1/responses/input_tokens"),
    ("POST", "//api.openai.com/v1/responses/resp_1/cancel"),
    ("GET", "//api.openai.com/v1/responses/resp_1/input_items"),
    ("DELETE", "//api.openai.com/v1/responses/resp_1"),
    ("POST", "//api.openai.com/v1/moderations"),
    ("POST", "//api.openai.com/v1/files"),
    ("POST", "//api.openai.com/v1/images/generations"),
    ("GET", "//api.openai.com/v1/chat/completions"),
    ("GET", "//api.openai.com/v1/chat/completions/chatcmpl-1"),
    ("POST", "//api.openai.com/health"),
    ("POST", "//api.openai.com/"),
    ("POST", "//api.openai.com/chat/completions/"),
    ("POST", "//api.openai.com/xchat/xcompletionsx"),
    ("GET", "//app.corp.example/surveys/responses/12"),
    ("PUT", "//api.openai.com/v1/responses"),
]


@pytest.mark.parametrize(("method", "url"), NO_CALLS)
@pytest.mark.parametrize("body", [None, CHAT_BODY, INPUT_BODY], ids=["unseen", "chat", "input"])
def test_what_is_no_inference_is_no_call(method: str, url: str, body: bytes | None):
    assert seen(method, url, body) is None


@pytest.mark.parametrize(
    ("method", "url", "body"),
    [
        ("POST", "//localhost:8000/survey/responses", b'{"answers": [1, 2]}'),
        ("POST", "//127.0.0.1:8000/course/completions", b'{"student": 7}'),
        ("POST", "//localhost:8000/survey/responses", None),
        ("GET", "//localhost:8000/survey/responses/12", None),
    ],
)
def test_an_app_on_the_port_of_vllm_is_not_vllm(method: str, url: str, body: bytes | None):
    assert seen(method, url, body) is None


@pytest.mark.parametrize(
    ("host", "provider"), [("api.openai.com", "openai"), ("corp.openai.azure.com", "azure.ai.openai")]
)
def test_fetching_a_response_tells_its_id(host: str, provider: str):
    match = DEFAULT.find("GET", host, 443, "/openai/v1/responses/resp_68-a_B")
    assert match == Match(provider, OPENAI_FETCH_RESPONSE, known=True, response_id="resp_68-a_B")


def test_fetching_from_an_unknown_host_is_told_by_the_form_of_the_id():
    assert seen("GET", "//llm.corp.example/v1/responses/resp_1") == ("openai", "openai.responses.get")
    assert seen("GET", "//llm.corp.example/v1/responses/1") is None


@pytest.mark.parametrize("product", SELF_HOSTED)
def test_a_label_of_the_host_names_a_self_hosted_product(product: str):
    for host in (f"{product}.internal", f"{product}-1.corp.example", f"gpu-{product}.lan", product):
        assert seen("POST", f"//{host}:8080/v1/chat/completions", CHAT_BODY) == (product, "openai.chat")
    assert seen("POST", f"//my{product}.internal/v1/chat/completions", CHAT_BODY) == ("openai", "openai.chat")


# --- register_provider ---------------------------------------------------------------------------------------------


def registered(*args: Any, **kwargs: Any) -> Providers:
    providers = Providers()
    providers.register_provider(*args, **kwargs)
    return providers


def test_a_registered_provider_answers_on_the_shared_paths_below_its_base_url():
    own = registered("corp", "https://llm.corp.example/api")
    assert seen("POST", "//llm.corp.example/api/v1/chat/completions", b"{}", own) == ("corp", "openai.chat")
    assert seen("POST", "//llm.corp.example/api/v1/messages", b"{}", own) == ("corp", "anthropic.messages")
    assert seen("POST", "//llm.corp.example/other/v1/chat/completions", b"{}", own) is None


@pytest.mark.parametrize("path", ["custom/llm/7/respond", "api/custom/llm/7/respond"])
def test_a_pattern_is_matched_from_the_root_and_below_the_base_url(path: str):
    own = registered("corp", "https://llm.corp.example/api", ["/custom/llm/*/respond"])
    assert seen("POST", f"//llm.corp.example/{path}", CHAT_BODY, own) == ("corp", "openai.chat")
    assert seen("POST", f"//llm.corp.example/{path}/more", CHAT_BODY, own) is None
    assert seen("POST", f"//llm.corp.example/x/{path}", CHAT_BODY, own) is None
    assert seen("GET", f"//llm.corp.example/{path}", None, own) is None


def test_a_given_port_must_match():
    own = registered("corp", "http://llm.corp.example:8080/v1")
    assert seen("POST", "//llm.corp.example:8080/v1/chat/completions", b"{}", own) == ("corp", "openai.chat")
    assert seen("POST", "//llm.corp.example:8081/v1/chat/completions", b"{}", own) is None


def test_without_a_port_every_port_matches():
    own = registered("corp", "http://llm.corp.example/v1")
    assert seen("POST", "//llm.corp.example:8081/v1/chat/completions", b"{}", own) == ("corp", "openai.chat")


def test_a_registered_provider_goes_before_the_table():
    own = registered("proxy", "https://api.openai.com/v1")
    assert seen("POST", "//api.openai.com/v1/chat/completions", None, own) == ("proxy", "openai.chat")


def test_a_registered_host_is_known_in_any_case():
    own = registered("corp", "https://LLM.Corp.Example/v1")
    assert seen("POST", "//llm.corp.example/v1/chat/completions", b"{}", own) == ("corp", "openai.chat")


@pytest.mark.parametrize("wire_format", sorted(FORMATS))
def test_a_given_format_is_used(wire_format: str):
    own = registered("corp", "https://llm.corp.example", ["/ask"], wire_format=wire_format)
    assert seen("POST", "//llm.corp.example/ask", CHAT_BODY, own) == ("corp", wire_format)


@pytest.mark.parametrize(
    ("body", "wire_format"),
    [
        (CHAT_BODY, "openai.chat"),
        (INPUT_BODY, "openai.responses"),
        (PROMPT_BODY, "openai.completions"),
        (b"{}", "openai.chat"),
        (None, "openai.chat"),
    ],
)
def test_the_format_of_a_pattern_is_told_by_the_body(body: bytes | None, wire_format: str):
    own = registered("corp", "https://llm.corp.example", ["/ask"])
    assert seen("POST", "//llm.corp.example/ask", body, own) == ("corp", wire_format)


@pytest.mark.parametrize(
    "sign",
    [
        {"system": "Be brief."},
        {"anthropic_version": "bedrock-2023-05-31"},
        {"tools": [{"name": "weather", "input_schema": {"type": "object"}}]},
    ],
    ids=lambda sign: next(iter(sign)),
)
@pytest.mark.parametrize("colon", [":", ": "])
def test_what_only_anthropic_has_tells_its_format(sign: dict[str, Any], colon: str):
    own = registered("corp", "https://llm.corp.example", ["/ask"])
    body = json.dumps({"model": "m", "max_tokens": 9, "messages": []} | sign, separators=(",", colon)).encode()
    assert seen("POST", "//llm.corp.example/ask", body, own) == ("corp", "anthropic.messages")


@pytest.mark.parametrize(
    "rest",
    [
        {"metadata": {"system": "billing"}},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"input_schema": {}}}}]},
    ],
    ids=["metadata", "tool"],
)
def test_what_stands_elsewhere_in_a_body_does_not_tell_its_format(rest: dict[str, Any]):
    own = registered("corp", "https://llm.corp.example", ["/ask"])
    body = json.dumps({"model": "m", "messages": []} | rest).encode()
    assert seen("POST", "//llm.corp.example/ask", body, own) == ("corp", "openai.chat")


@pytest.mark.parametrize(
    ("path", "body", "wire_format"),
    [
        ("proxy/v1/messages", b'{"model":"claude","max_tokens":9,"messages":[]}', "anthropic.messages"),
        ("proxy/v1/embeddings", INPUT_BODY, "openai.embeddings"),
    ],
)
def test_a_pattern_over_shared_paths_keeps_their_formats(path: str, body: bytes, wire_format: str):
    own = registered("corp", "https://llm.corp.example", ["/proxy/*"])
    assert seen("POST", f"//llm.corp.example/{path}", body, own) == ("corp", wire_format)


def test_a_response_is_fetched_from_the_registered_provider():
    own = registered("corp", "https://llm.corp.example/v1")
    assert seen("GET", "//llm.corp.example/v1/responses/resp_1", None, own) == ("corp", "openai.responses.get")


def test_a_base_url_ends_at_a_segment():
    own = registered("corp", "https://llm.corp.example/api")
    assert seen("POST", "//llm.corp.example/apikeys/chat/completions", b"{}", own) is None
    assert seen("POST", "//llm.corp.example/apikeys/chat/completions", CHAT_BODY, own) == ("openai", "openai.chat")


def test_a_single_pattern_may_be_given_as_a_text():
    own = registered("corp", "https://llm.corp.example", "/custom/*")
    assert seen("POST", "//llm.corp.example/custom/ask", b"{}", own) == ("corp", "openai.chat")
    assert seen("POST", "//llm.corp.example/health", b"{}", own) is None


@pytest.mark.parametrize(
    "base_url", ["", "llm.corp.example", "llm.corp.example:8080/v1", "/v1", "https://", "http:///v1"]
)
def test_a_base_url_without_a_host_is_refused_with_advice(base_url: str):
    with pytest.raises(ValueError, match="register_provider") as refused:
        registered("corp", base_url)
    assert str(refused.value) == (
        f"register_provider: {base_url!r} has no host; give a full URL such as 'https://llm.example.com/v1'"
    )


@pytest.mark.parametrize("base_url", ["http://h:x/v1", "http://h:99999/v1", "http://[::1/v1"])
def test_a_malformed_base_url_is_refused_by_its_name(base_url: str):
    with pytest.raises(ValueError, match="register_provider") as refused:
        registered("corp", base_url)
    assert str(refused.value).startswith(f"register_provider: {base_url!r} is no URL: ")


def test_an_unknown_format_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="wire format") as refused:
        registered("corp", "https://llm.corp.example", wire_format="openai")
    assert str(refused.value) == (f"register_provider: no wire format 'openai'; there are {', '.join(sorted(FORMATS))}")


def test_two_tables_share_nothing():
    registered("corp", "https://llm.corp.example", ["/ask"])
    assert seen("POST", "//llm.corp.example/ask", CHAT_BODY, Providers()) is None
    assert seen("POST", "//llm.corp.example/ask", CHAT_BODY) is None


# --- The cheap question --------------------------------------------------------------------------------------------

OWN = Providers()
OWN.register_provider("corp", "https://llm.corp.example/api", ["/custom/*", "/v1/*"])
OWN.register_provider("port", "http://box.corp.example:8080")

hosts = st.sampled_from(
    [address(host)[0] for row in PROVIDERS for host in row.hosts]
    + ["llm.corp.example", "box.corp.example", "vllm.internal", "localhost", "::1", "example.org"]
)
ports = st.sampled_from([80, 443, 1234, 4000, 8000, 8080, 11434])
SEGMENTS = """
    v1 v1beta openai api chat completions fim agents responses embeddings messages complete
    custom anthropic models compatibility deployments resp_1 compact
"""
segments = st.sampled_from([*SEGMENTS.split(), "", " ", "%20", "é"])
paths = st.lists(segments, max_size=6).map(lambda found: "/" + "/".join(found))
bodies = st.sampled_from([None, CHAT_BODY, INPUT_BODY, PROMPT_BODY, *FOREIGN]) | st.binary(max_size=30)


@pytest.mark.parametrize("providers", [DEFAULT, OWN], ids=["table", "registered"])
@fuzz
@given(st.sampled_from(["GET", "POST", "PUT"]), hosts, ports, paths)
def test_what_is_found_was_possible(providers: Providers, method: str, host: str, port: int, path: str):
    found = providers.find(method, host, port, path)
    assert found is None or providers.may_match(method, host, path)


@pytest.mark.parametrize("providers", [DEFAULT, OWN], ids=["table", "registered"])
@fuzz
@given(st.sampled_from(["GET", "POST", "PUT"]), hosts, ports, paths, bodies)
def test_the_body_has_the_last_word_on_an_unknown_host_only(
    providers: Providers, method: str, host: str, port: int, path: str, body: bytes | None
):
    found = providers.find(method, host, port, path)
    begun = Exchange.begin(method, host, port, path, body, providers=providers)
    if found is None:
        assert begun is None
    elif found.known:
        assert begun is not None
    elif body is None:
        assert (begun is not None) is found.telling
    elif body in FOREIGN:
        assert begun is None


@fuzz
@given(st.sampled_from(["GET", "POST"]), st.text(max_size=12), st.none() | st.integers(), st.text(max_size=30), bodies)
def test_no_request_makes_the_table_raise(method: str, host: str, port: int | None, path: str, body: bytes | None):
    begun = Exchange.begin(method, host, port, path, body, providers=OWN)
    assert begun is None or OWN.may_match(method, host, path)
