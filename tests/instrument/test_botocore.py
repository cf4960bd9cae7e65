"""What Bedrock's calls through boto3 leave: one span each, and answers, errors and objects that are as without us."""

from __future__ import annotations

import gc
import io
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from types import SimpleNamespace
from typing import Any

import anthropic
import boto3
import botocore.endpoint
import pytest
import urllib3
from botocore.client import BaseClient
from botocore.config import Config
from botocore.endpoint import Endpoint
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, EventStreamError
from botocore.httpsession import URLLib3Session
from instrument_helpers import attributes_of, program, status_of, wait_until
from opentelemetry import context, trace
from opentelemetry.instrumentation.utils import suppress_instrumentation

from llmtrace_otel import session
from llmtrace_otel.instrument import botocore_wrappers
from llmtrace_otel.instrument.botocore import BotocoreInstrumentor, BotocoreWrappers, is_likely
from llmtrace_otel.telemetry.spans import Recorder
from llmtrace_otel.wire.providers import PROVIDERS, ROUTES, Providers
from provider import Provider
from provider.script import ANSWER
from support.spans import Recorded

MODEL = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
CONVERSATION = {"modelId": MODEL, "messages": [{"role": "user", "content": [{"text": "Paris?"}]}]}
CONVERSE = {**CONVERSATION, "inferenceConfig": {"maxTokens": 64}}
MESSAGES = {"max_tokens": 64, "messages": [{"role": "user", "content": "Paris?"}]}
INVOKE = {"modelId": MODEL, "body": json.dumps({"anthropic_version": "bedrock-2023-05-31", **MESSAGES})}

STREAMED = {"gen_ai.request.stream": True}
HEAD = {"http.response.status_code": 200}
INCOMPLETE = {"llmtrace.stream.incomplete": True}
SENT = {
    "gen_ai.usage.input_tokens": 130,
    "gen_ai.usage.cache_read.input_tokens": 100,
    "gen_ai.usage.cache_write.input_tokens": 20,
}
COUNTED = {**SENT, "gen_ai.usage.output_tokens": 5, "gen_ai.response.finish_reasons": ("end_turn",)}
STARTED = {"gen_ai.response.id": f"msg_{1:024d}", "gen_ai.response.model": "claude-haiku-4-5-20251001"}


@pytest.fixture
def recorded(recorded: Recorded, monkeypatch: pytest.MonkeyPatch):
    """botocore is instrumented beside httpx, and waits for no retry."""
    monkeypatch.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=lambda _: None))
    instrumentor = BotocoreInstrumentor()
    instrumentor.instrument(**recorded.providers)
    yield recorded
    while instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()


@pytest.fixture(scope="module")
def boto() -> boto3.Session:
    return boto3.Session("local", "local", region_name="us-east-1")


def client_of(boto: boto3.Session, url: str, service: str = "bedrock-runtime", **config: Any) -> Any:
    return boto.client(service, endpoint_url=url, config=Config(proxies={}, **config))


@pytest.fixture
def bedrock(boto: boto3.Session, provider: Provider):
    client = client_of(boto, provider.url)
    yield client
    client.close()


@contextmanager
def asking(bedrock: Any, **headers: str) -> Iterator[None]:
    """Requests have headers that choose how the local provider answers; `x_mode` stands for `x-mode`."""

    def add(request: Any, **_: Any) -> None:
        for name, value in headers.items():
            request.headers[name.replace("_", "-")] = value

    bedrock.meta.events.register("before-send", add)
    try:
        yield
    finally:
        bedrock.meta.events.unregister("before-send", add)


# Each of these is a whole call, and gives the text of its answer.


def converse(bedrock: Any) -> str:
    return bedrock.converse(**CONVERSE)["output"]["message"]["content"][0]["text"]


def converse_stream(bedrock: Any) -> str:
    with closing(bedrock.converse_stream(**CONVERSE)["stream"]) as stream:
        events = list(stream)
    return "".join(event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event)


def invoke_model(bedrock: Any) -> str:
    return json.loads(bedrock.invoke_model(**INVOKE)["body"].read())["content"][0]["text"]


def invoke_model_stream(bedrock: Any) -> str:
    with closing(bedrock.invoke_model_with_response_stream(**INVOKE)["body"]) as stream:
        events = [json.loads(event["chunk"]["bytes"]) for event in stream]
    return "".join(event["delta"]["text"] for event in events if event["type"] == "content_block_delta")


CALLS = (converse, converse_stream, invoke_model, invoke_model_stream)
STREAMS = (converse_stream, invoke_model_stream)
every_call = pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
every_stream = pytest.mark.parametrize("call", STREAMS, ids=lambda call: call.__name__)


def request_of(provider: Provider, call: Any = converse, **more: Any) -> dict[str, Any]:
    """What a span knows of a request to the local provider."""
    known = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "aws.bedrock",
        "gen_ai.request.model": MODEL,
        "gen_ai.request.max_tokens": 64,
        "server.address": "127.0.0.1",
        "server.port": int(provider.url.rpartition(":")[2]),
        "llmtrace.layer": "botocore",
    }
    return known | (STREAMED if call in STREAMS else {}) | more


def answer_of(call: Any) -> dict[str, Any]:
    """What a span knows of the first answer of a test; Converse tells neither its id nor its model."""
    return HEAD | COUNTED | ({} if call in (converse, converse_stream) else STARTED)


@every_call
def test_a_call_is_one_span(call: Any, recorded: Recorded, bedrock: Any, provider: Provider):
    assert call(bedrock) == ANSWER
    assert attributes_of(recorded.span) == request_of(provider, call) | answer_of(call)
    assert (recorded.span.name, recorded.span.kind.name) == (f"chat {MODEL}", "CLIENT")
    assert status_of(recorded.span) == ("UNSET", None)
    assert recorded.span.parent is None


@every_call
def test_content_is_on_the_span_when_it_is_asked_for(call: Any, with_content: Recorded, bedrock: Any):
    assert call(bedrock) == ANSWER
    attributes = dict(with_content.span.attributes)
    assert json.loads(attributes["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "Paris?"}]}
    ]
    (answer,) = json.loads(attributes["gen_ai.output.messages"])
    assert answer["parts"] == [{"type": "text", "content": ANSWER}]


@every_call
def test_content_is_not_on_the_span_unless_it_is_asked_for(call: Any, recorded: Recorded, bedrock: Any):
    call(bedrock)
    assert not [name for name in recorded.span.attributes if name.endswith(".messages")]


WEATHER = {"json": {"type": "object", "properties": {"city": {"type": "string"}}}}
TOOLS = {"tools": [{"toolSpec": {"name": "weather", "inputSchema": WEATHER}}]}


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_call_is_part_of_the_content(streamed: bool, with_content: Recorded, bedrock: Any):
    if streamed:
        list(bedrock.converse_stream(**CONVERSE, toolConfig=TOOLS)["stream"])
    else:
        bedrock.converse(**CONVERSE, toolConfig=TOOLS)
    assert with_content.span.attributes["gen_ai.response.finish_reasons"] == ("tool_use",)
    (answer,) = json.loads(with_content.span.attributes["gen_ai.output.messages"])
    call = {"type": "tool_call", "id": f"tooluse_{1:024d}", "name": "weather", "arguments": {"city": "Paris"}}
    assert answer["parts"] == [call]


@pytest.mark.parametrize(
    "model",
    [
        "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-haiku-4-5-20251001-v1:0",
    ],
)
def test_a_model_may_be_an_address(model: str, recorded: Recorded, bedrock: Any):
    bedrock.converse(**{**CONVERSE, "modelId": model})
    assert recorded.span.attributes["gen_ai.request.model"] == model


def test_a_call_is_a_child_of_its_caller(recorded: Recorded, bedrock: Any):
    with recorded.tracer_provider.get_tracer("caller").start_as_current_span("caller") as caller:
        converse_stream(bedrock)
        assert trace.get_current_span() is caller
    assert recorded.spans[0].parent.span_id == caller.get_span_context().span_id


def test_a_stream_that_ends_after_its_session_belongs_to_it(
    recorded: Recorded, bedrock: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", recorded.tracer_provider)
    with session("s-29"):
        stream = bedrock.converse_stream(**CONVERSE)["stream"]
    assert recorded.spans == ()
    list(stream)
    assert recorded.span.attributes["session.id"] == "s-29"


def test_suppressed_instrumentation_records_nothing(recorded: Recorded, bedrock: Any):
    with suppress_instrumentation():
        assert converse(bedrock) == ANSWER
    assert recorded.spans == ()


def test_a_path_of_ones_own_counts_once_it_is_registered(recorded: Recorded, boto: boto3.Session, provider: Provider):
    own = Providers()
    own.register_provider("gateway", provider.url, ["/bedrock/model/*:0/converse"])  # a path as it reads, unescaped
    BotocoreInstrumentor().uninstrument()
    BotocoreInstrumentor().instrument(**recorded.providers, providers=own)
    converse(client_of(boto, f"{provider.url}/bedrock"))
    assert recorded.span.attributes["gen_ai.provider.name"] == "gateway"


# Errors and retries


@pytest.mark.parametrize("mode", ["legacy", "standard"])
@every_call
def test_retries_are_one_call_without_an_error(
    call: Any, mode: str, recorded: Recorded, boto: boto3.Session, provider: Provider
):
    bedrock = client_of(boto, provider.url, retries={"mode": mode, "total_max_attempts": 3})
    with asking(bedrock, x_mode="fail-429-times-2", x_test_id=f"botocore {call.__name__} {mode}"):
        assert call(bedrock) == ANSWER
    assert len(provider.requests) == 3
    answered = answer_of(call)
    if "gen_ai.response.id" in answered:
        answered["gen_ai.response.id"] = f"msg_{3:024d}"
    assert attributes_of(recorded.span) == request_of(provider, call) | answered | {"llmtrace.attempts": 3}
    assert status_of(recorded.span) == ("UNSET", None)


@pytest.mark.parametrize("mode", ["legacy", "standard"])
@every_call
def test_retries_in_vain_are_one_error(
    call: Any, mode: str, recorded: Recorded, boto: boto3.Session, provider: Provider
):
    bedrock = client_of(boto, provider.url, retries={"mode": mode, "total_max_attempts": 2})
    with asking(bedrock, x_mode="fail-429"), pytest.raises(bedrock.exceptions.ThrottlingException) as caught:
        call(bedrock)
    assert caught.value.response["ResponseMetadata"]["RetryAttempts"] == 1
    told = {"http.response.status_code": 429, "error.type": "ThrottlingException", "llmtrace.attempts": 2}
    assert attributes_of(recorded.span, cost=None) == request_of(provider, call) | told
    assert status_of(recorded.span) == ("ERROR", "Too many requests, please wait before trying again.")


@every_call
def test_an_error_that_is_not_retried_is_one_attempt(call: Any, recorded: Recorded, bedrock: Any, provider: Provider):
    with asking(bedrock, x_mode="fail-400"), pytest.raises(bedrock.exceptions.ValidationException):
        call(bedrock)
    told = {"http.response.status_code": 400, "error.type": "ValidationException"}
    assert attributes_of(recorded.span, cost=None) == request_of(provider, call) | told


def test_calls_that_follow_each_other_do_not_share_attempts(recorded: Recorded, bedrock: Any):
    with asking(bedrock, x_mode="fail-400"), pytest.raises(ClientError):
        converse(bedrock)
    converse(bedrock)
    assert [span.attributes.get("llmtrace.attempts") for span in recorded.spans] == [None, None]
    assert [status_of(span)[0] for span in recorded.spans] == ["ERROR", "UNSET"]


def test_nobody_listening(recorded: Recorded, boto: boto3.Session):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    bedrock = client_of(boto, f"http://127.0.0.1:{port}", retries={"mode": "standard", "total_max_attempts": 2})
    with pytest.raises(EndpointConnectionError) as caught:
        converse(bedrock)
    attributes = attributes_of(recorded.span, cost=None)
    assert attributes["error.type"] == "botocore.exceptions.EndpointConnectionError"
    assert attributes["llmtrace.attempts"] == 2
    assert status_of(recorded.span) == ("ERROR", str(caught.value))


def test_an_answer_cut_by_the_server(recorded: Recorded, boto: boto3.Session, provider: Provider):
    bedrock = client_of(boto, provider.url, retries={"total_max_attempts": 1})
    with asking(bedrock, x_mode="cut", x_chunk_size="64"), pytest.raises(ConnectionClosedError) as caught:
        converse(bedrock)
    told = {"error.type": "botocore.exceptions.ConnectionClosedError"}
    assert attributes_of(recorded.span, cost=None) == request_of(provider) | told
    assert status_of(recorded.span) == ("ERROR", str(caught.value))


@every_stream
def test_a_stream_cut_by_the_server(call: Any, recorded: Recorded, bedrock: Any, provider: Provider):
    with asking(bedrock, x_mode="cut"), pytest.raises(urllib3.exceptions.ProtocolError) as caught:
        call(bedrock)
    seen, cost = ({}, None) if call is converse_stream else (STARTED | SENT, "unknown")
    told = HEAD | seen | INCOMPLETE | {"error.type": "urllib3.exceptions.ProtocolError"}
    assert attributes_of(recorded.span, cost) == request_of(provider, call) | told
    assert status_of(recorded.span) == ("ERROR", str(caught.value))


@every_stream
def test_an_error_told_in_the_stream(call: Any, recorded: Recorded, bedrock: Any):
    with asking(bedrock, x_mode="error-in-stream"):
        stream, _ = opened(bedrock, call)
    with pytest.raises(EventStreamError) as caught:
        list(stream)
    assert caught.value.response["Error"]["Code"] == "modelStreamErrorException"
    assert recorded.span.attributes["error.type"] == "modelStreamErrorException"
    assert status_of(recorded.span) == ("ERROR", caught.value.response["Error"]["Message"])
    stream.close()
    assert len(recorded.spans) == 1


# Streams and bodies, however they are read


@every_stream
def test_a_stream_closed_after_its_first_event(call: Any, recorded: Recorded, bedrock: Any, provider: Provider):
    stream, told = opened(bedrock, call)
    next(iter(stream))
    assert recorded.spans == ()
    stream.close()
    assert attributes_of(recorded.span, cost="unknown") == request_of(provider, call) | HEAD | told | INCOMPLETE
    assert status_of(recorded.span) == ("UNSET", None)


@every_stream
@pytest.mark.parametrize("events_read", [0, 1])
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # as without us
def test_the_garbage_collector_finds_a_stream_that_was_left(
    events_read: int, call: Any, recorded: Recorded, bedrock: Any
):
    stream, _ = opened(bedrock, call)  # botocore's event streams refer to themselves
    events = iter(stream)
    assert len(list(islice(events, events_read))) == events_read
    gc.disable()
    try:
        del stream, events
        assert recorded.spans == ()
        gc.collect()
    finally:
        gc.enable()
    wait_until(lambda: recorded.spans)
    assert recorded.span.attributes["llmtrace.stream.incomplete"] is True


def opened(bedrock: Any, call: Any) -> tuple[Any, dict[str, Any]]:
    """A slow stream, and what its first event tells."""
    with asking(bedrock, x_chunk_delay="0.05"):
        if call is converse_stream:
            return bedrock.converse_stream(**CONVERSE)["stream"], {}
        return bedrock.invoke_model_with_response_stream(**INVOKE)["body"], STARTED | SENT


def test_a_stream_pending_when_instrumentation_is_removed_still_ends(recorded: Recorded, bedrock: Any):
    stream = bedrock.converse_stream(**CONVERSE)["stream"]
    BotocoreInstrumentor().uninstrument()
    list(stream)
    assert recorded.span.attributes["gen_ai.usage.output_tokens"] == 5


def in_buffers(body: Any) -> bytes:
    buffer, pieces = bytearray(64), []
    while size := body.readinto(buffer):
        pieces.append(bytes(buffer[:size]))
    return b"".join(pieces)


def in_a_context(body: Any) -> bytes:
    with body as raw:
        return raw.read()


READERS: dict[str, Callable[[Any], bytes]] = {
    "read": lambda body: body.read(),
    "read in pieces": lambda body: b"".join(iter(lambda: body.read(64), b"")),
    "read as many bytes as there are": lambda body: body.read(int(body._content_length)),
    "readinto": in_buffers,
    "readlines": lambda body: b"".join(body.readlines()),
    "iteration": b"".join,
    "iter_chunks": lambda body: b"".join(body.iter_chunks(7)),
    "iter_lines": lambda body: b"".join(body.iter_lines(keepends=True)),
    "a context": in_a_context,
    "the lines of the raw body": lambda body: b"".join(body._raw_stream),
    "the stream of the raw body": lambda body: b"".join(body._raw_stream.stream(100)),
    "the data of the raw body": lambda body: body._raw_stream.data,
    "a buffered reader": lambda body: io.BufferedReader(body).read(),
    "a text wrapper": lambda body: io.TextIOWrapper(body._raw_stream, "utf-8").read().encode(),
}
if hasattr(urllib3.HTTPResponse, "read1"):  # since urllib3 2
    READERS["read1"] = lambda body: b"".join(iter(body._raw_stream.read1, b""))


@pytest.mark.parametrize(
    ("reader", "framing"),
    [(reader, {}) for reader in READERS]
    + [(reader, {"x_chunk_size": "100"}) for reader in READERS if "as many" not in reader],  # chunks have no length
    ids=lambda value: value if isinstance(value, str) else "in chunks" if value else "with its length",
)
def test_a_body_is_read_in_any_way(
    reader: str, framing: dict[str, str], recorded: Recorded, bedrock: Any, provider: Provider
):
    def read() -> bytes:
        with asking(bedrock, **framing):
            return READERS[reader](bedrock.invoke_model(**INVOKE)["body"])

    body = read()
    assert attributes_of(recorded.span) == request_of(provider) | HEAD | COUNTED | STARTED
    BotocoreInstrumentor().uninstrument()
    assert body.replace(b"%024d" % 1, b"%024d" % 2) == read()


def test_a_body_that_is_closed_unread(recorded: Recorded, bedrock: Any, provider: Provider):
    body = bedrock.invoke_model(**INVOKE)["body"]
    assert recorded.spans == ()
    body.close()
    assert len(recorded.spans) == 1
    assert recorded.span.attributes["http.response.status_code"] == 200


def test_a_response_stays_what_it_was(recorded: Recorded, bedrock: Any):
    body = bedrock.invoke_model(**INVOKE)["body"]
    raw = body._raw_stream
    assert isinstance(raw, urllib3.HTTPResponse)
    assert repr(raw).startswith("<urllib3.response.HTTPResponse object")
    body.set_socket_timeout(5)
    assert (raw.status, raw.headers["content-type"], body.readable(), body.tell()) == (200, "application/json", True, 0)
    assert len(body.read()) == body.tell()
    assert raw.closed


OUTCOMES = ({}, {"x_mode": "error-in-stream"}, {"x_mode": "fail-400"}, {"x_mode": "cut"}, {"x_chunk_size": "7"})


@pytest.mark.parametrize("asked", OUTCOMES, ids=str)
@every_call
def test_the_program_and_the_server_see_what_they_saw_without_us(
    call: Any, asked: dict[str, str], with_content: Recorded, boto: boto3.Session, provider: Provider
):
    def outcome() -> Any:
        bedrock = client_of(boto, provider.url, retries={"total_max_attempts": 1})
        with asking(bedrock, **asked):
            try:
                return call(bedrock)
            except Exception as error:
                return type(error), str(error)

    def request() -> Any:
        seen = provider.requests.pop()
        own = ("authorization", "x-amz-date", "amz-sdk-invocation-id")
        return seen.method, seen.path, seen.body, [header for header in seen.headers if header[0].lower() not in own]

    traced, asked_traced = outcome(), request()
    BotocoreInstrumentor().uninstrument()
    assert (traced, asked_traced) == (outcome(), request())
    assert len(with_content.spans) == 1


# What is no LLM call


def test_other_services_pass_untouched(recorded: Recorded, boto: boto3.Session, provider: Provider):
    s3 = client_of(boto, provider.url, "s3", retries={"total_max_attempts": 1})
    body = s3.get_object(Bucket="bucket", Key="models")["Body"]
    assert type(body._raw_stream) is urllib3.HTTPResponse
    assert json.loads(body.read())["object"] == "list"
    with pytest.raises(ClientError):
        s3.create_multipart_upload(Bucket="bucket", Key="key")
    assert recorded.spans == ()


def test_what_is_no_inference_leaves_no_span(recorded: Recorded, bedrock: Any):
    with pytest.raises(ClientError):
        bedrock.count_tokens(modelId=MODEL, input={"converse": {"messages": CONVERSE["messages"]}})
    assert recorded.spans == ()


def test_a_request_body_in_a_file_is_left_to_the_transport(recorded: Recorded, bedrock: Any, provider: Provider):
    body = io.BytesIO(INVOKE["body"].encode())
    answer = bedrock.invoke_model_with_response_stream(**{**INVOKE, "body": body})["body"]
    assert list(answer)
    assert provider.requests[0].body == INVOKE["body"].encode()
    known = request_of(provider, invoke_model_stream)
    del known["gen_ai.request.max_tokens"]
    assert attributes_of(recorded.span) == known | HEAD | COUNTED | STARTED


def test_a_sdk_on_httpx_that_only_signs_with_botocore_is_one_span(recorded: Recorded, provider: Provider):
    client = anthropic.AnthropicBedrock(
        base_url=provider.url, aws_access_key="local", aws_secret_key="local", aws_region="us-east-1"
    )
    with client:
        message = client.messages.create(model=MODEL, **MESSAGES)
    assert message.content[0].text == ANSWER
    assert recorded.span.attributes["llmtrace.layer"] == "httpx"
    assert recorded.span.attributes["gen_ai.usage.input_tokens"] == 130


# On, off, and what is imported


def test_uninstrumenting_restores_the_very_same_objects(recorded: Recorded):
    instrumentor = BotocoreInstrumentor()
    instrumentor.uninstrument()
    wrapped = ((URLLib3Session, "send"), (Endpoint, "make_request"))
    before = [vars(owner)[name] for owner, name in wrapped]
    api_call = vars(BaseClient)["_make_api_call"]
    instrumentor.instrument(**recorded.providers)
    instrumentor.instrument(**recorded.providers)
    assert [vars(owner)[name] is was for (owner, name), was in zip(wrapped, before, strict=True)] == [False, False]
    instrumentor.uninstrument()
    assert [vars(owner)[name] is was for (owner, name), was in zip(wrapped, before, strict=True)] == [False, False]
    instrumentor.uninstrument()
    assert [vars(owner)[name] is was for (owner, name), was in zip(wrapped, before, strict=True)] == [True, True]
    assert vars(BaseClient)["_make_api_call"] is api_call


def test_someone_elses_later_wrapper_stays(recorded: Recorded, bedrock: Any, monkeypatch: pytest.MonkeyPatch):
    ours = URLLib3Session.send

    def theirs(*args: Any) -> Any:
        return ours(*args)

    monkeypatch.setattr(URLLib3Session, "send", theirs)
    BotocoreInstrumentor().uninstrument()
    assert URLLib3Session.send is theirs
    assert converse(bedrock) == ANSWER
    assert recorded.spans == ()


IN_A_PROGRAM = """
import sys
from llmtrace_otel.instrument.botocore import BotocoreInstrumentor, BotocoreWrappers, is_likely
BotocoreInstrumentor().instrument()
"""


def test_nothing_is_imported_for_instrumentations_sake():
    watched = ("boto3", "botocore", "urllib3", "httpx", "genai_prices")
    assert program(f"{IN_A_PROGRAM}\nprint([name for name in {watched} if name in sys.modules])") == "[]"


def test_botocore_is_instrumented_when_it_is_imported():
    wrapped = "[hasattr(URLLib3Session.send, '__wrapped__'), hasattr(Endpoint.make_request, '__wrapped__')]"
    imports = "from botocore.endpoint import Endpoint\nfrom botocore.httpsession import URLLib3Session"
    assert program(f"{IN_A_PROGRAM}\n{imports}\nprint({wrapped})") == "[True, True]"


LOADED = "[name for name in sys.modules if name.startswith(('llmtrace_otel.wire', 'llmtrace_otel.telemetry'))]"
CLIENT_OF = """
import boto3
def client(service):
    return boto3.Session("local", "local", region_name="us-east-1").client(service, endpoint_url={url!r})
"""


def test_what_reads_llm_calls_is_loaded_with_the_first_that_may_be_one(provider: Provider):
    program_of_both = f"""
{IN_A_PROGRAM}{CLIENT_OF.format(url=provider.url)}
client("s3").get_object(Bucket="bucket", Key="models")["Body"].read()
try:
    client("s3").create_multipart_upload(Bucket="bucket", Key="key")
except Exception:
    pass
print({LOADED})
client("bedrock-runtime").converse(**{CONVERSE})
print("llmtrace_otel.wire.exchange" in {LOADED})
"""
    assert program(program_of_both) == "[]\nTrue"


def test_every_path_of_the_table_loads_it():
    paths = [f"{route.under}x{route.suffix}" for route in ROUTES]
    paths += [path for row in PROVIDERS for path in row.paths]
    assert [path for path in paths if not is_likely(f"https://gateway.example{path}")] == []


def test_a_registered_providers_path_loads_it(provider: Provider):
    register = "import llmtrace_otel"
    paths = ["/our/model-gateway", "*"]
    code = f"llmtrace_otel.register_provider('gateway', {provider.url!r}, {paths})"
    send = "client('lambda').invoke(FunctionName='f')"
    loaded = "print('llmtrace_otel.instrument.botocore_wrappers' in sys.modules)"
    quietly = f"try:\n    {send}\nexcept Exception:\n    pass"
    parts = [IN_A_PROGRAM, register, code, CLIENT_OF.format(url=provider.url), quietly, loaded]
    assert program("\n".join(parts)) == "True"


# Our own failures


def test_what_cannot_be_loaded_is_said_once_and_leaves_the_calls_alone(
    recorded: Recorded, bedrock: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(BotocoreWrappers, "load", broken)
    assert [converse(bedrock), converse(bedrock)] == [ANSWER, ANSWER]
    assert caplog.messages == ["llmtrace: LLM calls cannot be read; the program runs on untraced"]
    assert recorded.spans == ()


def broken(*_: Any, **__: Any) -> Any:
    raise RuntimeError("a bug of ours")


@every_call
def test_a_recorder_that_breaks_leaves_the_call_alone(
    call: Any, recorded: Recorded, bedrock: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Recorder, "start", broken)
    assert call(bedrock) == ANSWER
    assert recorded.spans == ()


def test_a_body_that_cannot_be_watched_costs_attributes_only(
    recorded: Recorded, bedrock: Any, provider: Provider, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(botocore_wrappers, "_watch", broken)
    assert converse_stream(bedrock) == ANSWER
    assert attributes_of(recorded.span, cost="unknown") == request_of(provider, converse_stream) | HEAD | INCOMPLETE


@every_call
def test_nothing_stays_attached(call: Any, recorded: Recorded, bedrock: Any):
    before = context.get_current()
    call(bedrock)
    assert context.get_current() is before


def test_otels_own_span_of_the_call_is_not_doubled(recorded: Recorded, bedrock: Any):
    tracer = recorded.tracer_provider.get_tracer("opentelemetry.instrumentation.botocore.bedrock-runtime")
    known = {"gen_ai.operation.name": "chat", "gen_ai.request.model": MODEL}
    with tracer.start_as_current_span(f"chat {MODEL}", kind=trace.SpanKind.CLIENT, attributes=known):
        converse(bedrock)
    assert recorded.span.instrumentation_scope.name == "opentelemetry.instrumentation.botocore.bedrock-runtime"
    assert recorded.span.attributes["llmtrace.cost.status"] == "estimated"
