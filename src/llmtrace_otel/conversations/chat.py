"""Messages in OpenAI's chat form, which most tools read, made of the GenAI conventions' messages.

    {"role", "name"?, "content": text | [items] | null, "reasoning_content"?, "tool_calls"?, "tool_call_id"?}

A tool's result is a message of its own, also where a provider has it in the user's. Arguments are compact JSON. What
the chat form has no item for (a file, a picture that was described and not copied, a server's own tool) stays as the
conventions have it, an item among the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from llmtrace_otel.telemetry.content import encoded
from llmtrace_otel.wire.call import Message

ChatMessage = dict[str, Any]


def chat_messages(messages: Iterable[Message]) -> list[ChatMessage]:
    """Messages of the conventions as chat messages."""
    return [found for message in messages for found in _chat(message)]


def _chat(message: Message) -> Iterator[ChatMessage]:
    parts = message.get("parts", message.get("content"))
    if not isinstance(parts, list):
        parts = [{"type": "text", "content": parts}] if isinstance(parts, str) else []
    results = [part for part in parts if _kind(part) == "tool_call_response"]
    yield from map(_result, results)
    rest = [part for part in parts if _kind(part) != "tool_call_response"]
    if rest or not results:
        yield _spoken(message, rest)


def _kind(part: Any) -> Any:
    return part.get("type") if isinstance(part, dict) else None


def _spoken(message: Message, parts: list[Any]) -> ChatMessage:
    by_kind: dict[Any, list[Any]] = {"reasoning": [], "tool_call": []}
    others = [part for part in parts if _kind(part) not in by_kind]
    for part in parts:
        if _kind(part) in by_kind:
            by_kind[_kind(part)].append(part)
    found: ChatMessage = {"role": message.get("role", "?")}
    if message.get("name"):
        found["name"] = message["name"]
    found["content"] = _content(others)
    if by_kind["reasoning"]:
        found["reasoning_content"] = "\n".join(str(part.get("content", "")) for part in by_kind["reasoning"])
    if by_kind["tool_call"]:
        found["tool_calls"] = [_tool_call(part) for part in by_kind["tool_call"]]
    return found


def _result(part: Message) -> ChatMessage:
    response = part.get("response", part.get("result"))
    if isinstance(response, list) and response and all(map(_kind, response)):
        response = _content(response)
    elif not isinstance(response, str):
        response = encoded(response)
    return {"role": "tool", "tool_call_id": part.get("id"), "content": response}


def _tool_call(part: Message) -> ChatMessage:
    arguments = part.get("arguments")
    text = arguments if isinstance(arguments, str) else "" if arguments is None else encoded(arguments)
    return {"id": part.get("id"), "type": "function", "function": {"name": part.get("name"), "arguments": text}}


def _content(parts: list[Any]) -> Any:
    """One text as it is, several things as a list of items, nothing as null."""
    if not parts:
        return None
    if len(parts) == 1 and _kind(parts[0]) == "text":
        return parts[0].get("content")
    return [_item(part) for part in parts]


def _item(part: Any) -> Any:
    match _kind(part):
        case "text":
            return {"type": "text", "text": part.get("content")}
        case "uri" if part.get("modality") == "image":
            return {"type": "image_url", "image_url": {"url": part.get("uri")}}
        case _:
            return part
