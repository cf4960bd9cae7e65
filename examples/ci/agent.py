"""A small agent: it answers a question about the weather, and looks it up first. Nothing in it knows of tests."""

import json
from typing import Any

from openai import OpenAI

from llmtrace_otel import agent, tool

INSTRUCTIONS = "You answer in one sentence. Look at the weather before you say anything about it."
GET_WEATHER: Any = {
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


@agent("weather")
def answer(question: str) -> str:
    """Asks the model, runs the tools that it calls, and asks again until it answers."""
    model = OpenAI()
    messages: list[Any] = [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": question}]
    while True:
        said = (
            model.chat.completions.create(model="gpt-5-mini", messages=messages, tools=[GET_WEATHER]).choices[0].message
        )
        if not said.tool_calls:
            return said.content or ""
        messages.append(said)
        for call in said.tool_calls:
            if call.type == "function":
                result = get_weather(**json.loads(call.function.arguments))
                messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
