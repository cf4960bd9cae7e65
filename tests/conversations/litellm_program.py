"""Makes LiteLLM's calls against a local provider, as a program with an `LLMTraceCallback` does, and ends.

`python litellm_program.py URL FILE CALL...`: each CALL is one of the functions below; what they raise is expected.
"""

import asyncio
import logging
import sys
from contextlib import suppress

import litellm

from llmtrace_otel import LLMTraceCallback

url, path, *names = sys.argv[1:]
callback = LLMTraceCallback(jsonl_path=path)
litellm.callbacks = [callback]
logging.disable()
litellm.suppress_debug_info = True

SAID = [{"role": "user", "content": "hi"}]
OPENAI = {"model": "openai/gpt-5-mini", "api_base": f"{url}/v1", "api_key": "local"}
TEXT = {**OPENAI, "model": "text-completion-openai/gpt-3.5-turbo-instruct"}
EMBEDDING = {**OPENAI, "model": "openai/text-embedding-3-small"}
CLAUDE = {"model": "anthropic/claude-sonnet-4-5", "api_base": url, "api_key": "local"}
FAILS = {"extra_headers": {"x-mode": "fail-429"}, "num_retries": 0}
USAGE = {"stream_options": {"include_usage": True}}


def chat(**more):
    return litellm.completion(messages=SAID, **{**OPENAI, **more})


async def achat(**more):
    return await litellm.acompletion(messages=SAID, **{**OPENAI, **more})


async def read(stream):
    async for _ in await stream:
        pass


def stream():
    list(chat(stream=True, **USAGE))


def stream_without_usage():
    list(chat(stream=True))


def astream():
    asyncio.run(read(achat(stream=True, **USAGE)))


def fails():
    chat(**FAILS)


def afails():
    asyncio.run(achat(**FAILS))


def breaks():
    list(chat(stream=True, extra_headers={"x-mode": "error-in-stream"}))


def one():
    chat()


def a_one():
    asyncio.run(achat())


def three_with_a_callback_of_their_own():
    async def three():
        await asyncio.gather(*(achat(callbacks=[callback], metadata={"call": number}) for number in range(3)))

    asyncio.run(three())


def another_callback_with_the_same_file():
    chat(callbacks=[LLMTraceCallback(path)])


def claude():
    litellm.completion(messages=SAID, **CLAUDE)


def claude_stream():
    asyncio.run(read(litellm.acompletion(messages=SAID, stream=True, **CLAUDE)))


def unpriced():
    chat(model="openai/of-our-own")


def no_usage():
    chat(extra_headers={"x-mode": "no-usage"})


def embedding():
    litellm.embedding(input=["hi", "ho"], **EMBEDDING)


def aembedding():
    asyncio.run(litellm.aembedding(input="hi", **EMBEDDING))


def text():
    litellm.text_completion(prompt="hi", **TEXT)


def atext():
    asyncio.run(litellm.atext_completion(prompt="hi", **TEXT))


def responses():
    litellm.responses(input="hi", instructions="Be brief.", **OPENAI)


def responses_stream():
    list(litellm.responses(input="hi", instructions="Be brief.", stream=True, **OPENAI))


def aresponses_of_claude():
    asyncio.run(litellm.aresponses(input="hi", instructions="Be brief.", **CLAUDE))


def messages():
    told = {"max_tokens": 10, "system": "Be brief."}
    asyncio.run(litellm.anthropic.messages.acreate(messages=SAID, **told, **CLAUDE))


def cached():
    litellm.cache = litellm.Cache()
    for _ in range(2):
        chat(caching=True)
    litellm.cache = None


def falls_back():
    failing = {**OPENAI, "extra_headers": {"x-mode": "fail-429"}}
    models = [{"model_name": name, "litellm_params": params} for name, params in (("bad", failing), ("good", OPENAI))]
    router = litellm.Router(model_list=models, fallbacks=[{"bad": ["good"]}], num_retries=0)
    router.completion("bad", SAID, metadata={"session_key": "s"})


def told():
    metadata = {
        "session_key": "subagent:abc12345",
        "session_id": "s-7",
        "agent_type": "subagent",
        "parent_session": "cli:direct",
        "task_id": "abc12345",
        "turn_count": 3,
        "team": "blue",
        "limits": {"usd": 1.5},
        "cannot": object(),
        "api_key": "hunter2",
        "user_api_key_hash": "9f86d081",
    }
    chat(metadata=metadata, litellm_session_id="l-9")


def tools():
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    functions = [{"type": "function", "function": {"name": "get_weather", "parameters": schema}}]
    arguments = '{"city": "Oslo"}'
    asked = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Oslo?"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": arguments}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "password=hunter2"},
        {"role": "user", "content": "And Paris?"},
    ]
    litellm.completion(messages=asked, tools=functions, **OPENAI)


def instrumented():
    """No call: from here on, spans with what was said are written beside the records."""
    from opentelemetry.sdk.trace import TracerProvider

    from llmtrace_otel import HTTPXInstrumentor, LiteLLMInstrumentor
    from llmtrace_otel.output.jsonl import JSONLSpanExporter, JSONLSpanProcessor

    tracer_provider = TracerProvider()
    tracer_provider.add_span_processor(JSONLSpanProcessor(JSONLSpanExporter(f"{path}.spans")))
    LiteLLMInstrumentor().instrument(tracer_provider=tracer_provider)
    HTTPXInstrumentor().instrument(tracer_provider=tracer_provider)


def unlogged():
    chat(**{"no-log": True})


def aunlogged():
    asyncio.run(achat(**{"no-log": True}))


def without_messages():
    litellm.turn_off_message_logging = True
    chat()
    asyncio.run(achat())


def many_at_once():
    async def many():
        await asyncio.gather(*(achat() for _ in range(5)))

    asyncio.run(many())


def many_streams_at_once():
    async def many():
        await asyncio.gather(*(read(achat(stream=True, **USAGE)) for _ in range(5)))

    asyncio.run(many())


def exits_within():
    async def main():
        await achat()
        sys.exit(0)

    asyncio.run(main())


def twice_in_a_loop_each():
    for _ in range(2):
        many_at_once()


for name in names:
    with suppress(Exception):
        globals()[name]()
