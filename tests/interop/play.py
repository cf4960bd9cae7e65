"""What the fake provider says to a client that cannot be asked to send the headers which choose an answer."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Body = dict[str, Any]

AGENT = "{agent_id}"
"""In the arguments of a call: the id that a tool has told of the agent which it started."""
QUESTION = "Which tool?"
ASKED: Body = {
    "messages": [{"role": "user", "content": QUESTION}],
    "input": QUESTION,
    "contents": [{"role": "user", "parts": [{"text": QUESTION}]}],
}
"""What a user asks, in every provider's notation: the formats call a tool when a user has just spoken."""


@dataclass
class Play:
    """`headers` are those of `provider/ask.py`, for all requests; `calls` are the arguments of tool calls by name.

    Agents bring dozens of tools. The model calls those of `calls`, in their order and each once, when a request brings
    the next one; all else is answered with text.
    """

    headers: dict[str, str] = field(default_factory=dict)
    calls: dict[str, Body] = field(default_factory=dict)

    def body(self, body: Body) -> Body:
        """The request as the formats are to see it: with the one tool that is to be called, or with none."""
        name = next(iter(self.calls), None)
        if name is None or body.get("generate") is False or name not in names(body):
            return {**body, "tools": []}
        return {**body, **ASKED, "tools": [tool(name, filled(self.calls.pop(name), body))]}


def names(body: Body) -> Iterator[str]:
    """The names of all tools of a request; those of a namespace follow its name and a dot."""
    for brought in body.get("tools") or []:
        for declared in brought.get("functionDeclarations") or [brought.get("function") or brought]:
            yield declared.get("name", "")
            yield from (f"{declared['name']}.{inner['name']}" for inner in declared.get("tools") or [])


def filled(arguments: Body, body: Body) -> Body:
    told = re.search(r"agent_id\W+([\w-]+)", json.dumps(body.get("input")))
    return json.loads(json.dumps(arguments).replace(AGENT, told[1])) if told else arguments


def tool(name: str, arguments: Mapping[str, Any]) -> Body:
    """A tool that allows just these arguments, in every provider's notation."""
    schema = {"type": "object", "properties": {key: {"enum": [value]} for key, value in arguments.items()}}
    function = {"name": name, "parameters": schema}
    chat, gemini, anthropic = {"function": function}, {"functionDeclarations": [function]}, {"input_schema": schema}
    return {"type": "function", **function, **chat, **gemini, **anthropic}
