"""What command-line agents say of themselves in their requests: which conversation a call is of, and which agent's.

Each agent is known by how its `user-agent` begins; a header of the same name says nothing when it comes from others.
What stands for an account, a device or an installation is not read. Headers as of claude-code 2.1, codex 0.169,
opencode 1.18 and gemini-cli 0.61; the last sends no id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from msgspec import Struct

from llmtrace_otel.wire.call import Call, Library
from llmtrace_otel.wire.decode import Reader

_LONGEST_ID = 200
MAIN, SUB = "main", "subagent"

Headers: TypeAlias = Mapping[str, str]


def identify(call: Call, headers: Headers, body: bytes | None) -> None:
    """Puts the ids that an agent has sent on its call. `headers` are by lower-case names. Never raises."""
    who = headers.get("user-agent", "")
    read = next((found for start, found in _AGENTS.items() if who.startswith(start)), None)
    if read is not None:
        told = {name: value for name, value in read(headers, body).items() if _is_id(value)}
        conversation = told.pop("conversation", None)
        call.conversation_id = call.conversation_id or conversation
        call.library = call.library or Library()
        for name, value in told.items():
            setattr(call.library, name, value)


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_ID and value.isprintable()


_Told: TypeAlias = dict[str, str | None]
"""`conversation`, and fields of `Library`."""


def _claude_code(headers: Headers, _: bytes | None) -> _Told:
    is_sub = headers.get("x-claude-code-request-class") == "subagent" or "x-claude-code-agent-id" in headers
    return {
        "conversation": headers.get("x-claude-code-session-id"),
        "agent_name": headers.get("x-claude-code-agent-type", "claude-code"),
        "agent_id": headers.get("x-claude-code-agent-id"),
        "agent_type": SUB if is_sub else MAIN,
        "parent_agent_id": headers.get("x-claude-code-parent-agent-id"),
    }


class _Codex(Struct):
    """A request's body, or its frame."""

    client_metadata: dict[str, Any] = {}
    prompt_cache_key: str | None = None


_read_codex = Reader(_Codex)


def _codex(headers: Headers, body: bytes | None) -> _Told:
    """The frame is truer than the headers, which are those of the handshake: one connection carries many turns."""
    said = (_read_codex(body) if body else None) or _Codex()
    frame = said.client_metadata
    session = frame.get("session_id") or headers.get("session-id") or said.prompt_cache_key
    thread = frame.get("thread_id") or headers.get("thread-id")
    parent = frame.get("x-codex-parent-thread-id") or headers.get("x-codex-parent-thread-id")
    is_sub = parent is not None or (thread is not None and thread != session)
    return {
        "conversation": session,
        "agent_name": "codex",
        "agent_id": thread if is_sub else None,
        "agent_type": SUB if is_sub else MAIN,
        "parent_agent_id": parent if parent != session else None,
    }


def _opencode(headers: Headers, _: bytes | None) -> _Told:
    """A sub-agent has a session of its own, and names its parent's."""
    parent = headers.get("x-parent-session-id")
    return {
        "conversation": headers.get("x-session-id") or headers.get("session-id"),
        "agent_name": "opencode",
        "agent_type": MAIN if parent is None else SUB,
        "parent_session": parent,
    }


def _gemini_cli(_: Headers, __: bytes | None) -> _Told:
    return {"agent_name": "gemini-cli"}


_AGENTS: Mapping[str, Callable[[Headers, bytes | None], _Told]] = {
    "claude-cli/": _claude_code,
    "codex": _codex,
    "opencode/": _opencode,
    "GeminiCLI": _gemini_cli,
}
"""By the start of `user-agent`."""
