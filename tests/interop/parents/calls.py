"""Commands of children that make one call each."""

from __future__ import annotations

import json
import sys
from pathlib import Path

URL = "https://api.openai.com/v1/chat/completions"
TWO_SHELLS = ("sh", "-c", '"$@"; exit $?', "sh") * 2
"""Before a command: two shells, each of which waits for what it starts."""


def curl(seed: int = 0, *, stream: bool = False, options: tuple[str, ...] = ()) -> list[str]:
    """The call is known by its `seed`, which is recorded."""
    asked = {"model": "gpt-5-mini", "seed": seed, "messages": [{"role": "user", "content": "How is the weather?"}]}
    streamed = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    return ["curl", "--silent", "--show-error", "--no-buffer", *options, URL, "--json", json.dumps(asked | streamed)]


def openai_calls(*options: str) -> list[str]:
    """Python, with these options, and its three calls by OpenAI's SDK."""
    return [sys.executable, *options, str(Path(__file__).with_name("openai_calls.py"))]
