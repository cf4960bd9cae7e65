"""A support desk on two providers: a planner with a tool, a researcher below it, a streamed letter, an embedding.

The calls are written as the providers' documentation shows them, and nothing here records them: run it under
`opentelemetry-instrument` and every call is a span. `session`, `agent` and `tool` are optional: they say whose it is.

Reads `OPENAI_API_KEY`, `OPENAI_BASE_URL`, `ANTHROPIC_API_KEY`, `ANTHROPIC_BASE_URL`, as the SDKs do.
"""

import json
from typing import Any

from anthropic import Anthropic
from openai import OpenAI

from llmtrace_otel import agent, session, tool

gpt = OpenAI()
claude = Anthropic()

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Today's weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@tool("get_weather")
def get_weather(city: str) -> str:
    return f"{city}: sunny, 21 °C"


def plan(question: str) -> str:
    """Asks the model, runs the tools that it calls, and asks again until it answers."""
    messages: list[Any] = [
        {"role": "system", "content": "You plan journeys. Look at the weather before you promise anything."},
        {"role": "user", "content": question},
    ]
    while True:
        message = gpt.chat.completions.create(model="gpt-5-mini", messages=messages, tools=[WEATHER]).choices[0].message
        if not message.tool_calls:
            return message.content or ""
        messages.append(message)
        for call in message.tool_calls:
            if call.type == "function":
                result = get_weather(**json.loads(call.function.arguments))
                messages.append({"role": "tool", "tool_call_id": call.id, "content": result})


def research(*questions: str) -> str:
    """Asks one question after the other in one conversation; returns the last answer."""
    messages: list[Any] = []
    text = ""
    for question in questions:
        messages.append({"role": "user", "content": question})
        answer = claude.messages.create(
            model="claude-haiku-4-5",
            max_tokens=500,
            system="You know every museum in Europe. Answer in one sentence, with opening hours.",
            messages=messages,
        )
        text = "".join(block.text for block in answer.content if block.type == "text")
        messages.append({"role": "assistant", "content": text})
    return text


def write(notes: str) -> None:
    """Prints a letter while the model writes it."""
    with gpt.responses.create(model="gpt-5-mini", input=f"Write a short letter: {notes}", stream=True) as stream:
        for event in stream:
            if event.type == "response.output_text.delta":
                print(event.delta, end="", flush=True)
    print()


with session("support-42", user="ada"), agent("planner"):
    notes = plan("Is tomorrow a good day for Paris?")
    with agent("researcher"):
        notes += research("Which museums in Paris are open on Monday?", "And which of them is the quietest?")

with session("support-43", user="grace"), agent("writer"):
    gpt.embeddings.create(model="text-embedding-3-small", input=notes)
    write(notes)
