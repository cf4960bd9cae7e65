"""The ids that command-line agents send with their calls, in the shapes that were seen of each."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import structs

from llmtrace_otel.wire.agents import identify
from llmtrace_otel.wire.call import Call

CLAUDE = {"user-agent": "claude-cli/2.1.329 (external, sdk-cli)", "x-claude-code-session-id": "efe64091-68a9"}
CODEX = {"user-agent": "codex_exec/0.169.0 (Debian 12; x86_64)", "session-id": "01a1-root", "thread-id": "01a1-root"}
OPENCODE = {"user-agent": "opencode/1.18.33 ai-sdk/provider-utils/4.0.46 runtime/bun/1.3.14", "x-session-id": "ses_e0"}


def told(headers: dict[str, str], body: Any = None) -> dict[str, Any]:
    call = Call("chat", "anthropic")
    identify(call, headers, None if body is None else json.dumps(body).encode())
    library = {} if call.library is None else structs.asdict(call.library)
    return {
        name: value for name, value in {"conversation": call.conversation_id, **library}.items() if value is not None
    }


def test_claude_code_names_its_session_and_says_that_it_is_the_main_agent():
    account = {"metadata": {"user_id": '{"device_id":"a89c","account_uuid":"u","session_id":"efe64091-68a9"}'}}
    assert told(CLAUDE | {"x-claude-code-request-class": "main"}, account) == {
        "conversation": "efe64091-68a9",
        "agent_name": "claude-code",
        "agent_type": "main",
    }


def test_claude_codes_sub_agents_have_an_id_a_type_and_when_nested_a_parent():
    sub = {
        "x-claude-code-request-class": "subagent",
        "x-claude-code-agent-id": "a7b4654faf7412baf",
        "x-claude-code-agent-type": "general-purpose",
        "x-claude-code-parent-agent-id": "a489bb85d73666dba",
    }
    assert told(CLAUDE | sub) == {
        "conversation": "efe64091-68a9",
        "agent_name": "general-purpose",
        "agent_id": "a7b4654faf7412baf",
        "agent_type": "subagent",
        "parent_agent_id": "a489bb85d73666dba",
    }


def test_codex_is_told_by_its_headers_or_more_truly_by_its_frame():
    main = {"conversation": "01a1-root", "agent_name": "codex", "agent_type": "main"}
    assert told(CODEX) == main
    assert told({"user-agent": "codex_cli_rs/0.169.0"}, {"prompt_cache_key": "01a1-root"}) == main
    frame = {"client_metadata": {"session_id": "01a1-other", "thread_id": "01a1-other", "x-codex-installation-id": "i"}}
    assert told(CODEX, frame) == main | {"conversation": "01a1-other"}


@pytest.mark.parametrize("parent", ["01a1-root", "01a1-middle"])
def test_codexs_sub_agents_are_threads_of_the_session(parent: str):
    ids = {"session_id": "01a1-root", "thread_id": "01a1-sub", "x-codex-parent-thread-id": parent}
    nested = {} if parent == "01a1-root" else {"parent_agent_id": parent}
    assert told(CODEX, {"client_metadata": ids}) == {
        "conversation": "01a1-root",
        "agent_name": "codex",
        "agent_id": "01a1-sub",
        "agent_type": "subagent",
        **nested,
    }


def test_opencodes_sub_agents_have_sessions_of_their_own():
    assert told(OPENCODE) == {"conversation": "ses_e0", "agent_name": "opencode", "agent_type": "main"}
    assert told(OPENCODE | {"x-session-id": "ses_1", "x-parent-session-id": "ses_e0"}) == {
        "conversation": "ses_1",
        "agent_name": "opencode",
        "agent_type": "subagent",
        "parent_session": "ses_e0",
    }


def test_gemini_cli_has_a_name_and_its_installation_is_not_read():
    headers = {
        "user-agent": "GeminiCLI-tui/0.61.0/gemini-2.5-flash (linux; x64)",
        "x-gemini-api-privileged-user-id": "u",
    }
    assert told(headers) == {"agent_name": "gemini-cli"}


def test_others_headers_of_the_same_names_say_nothing():
    assert told({"user-agent": "OpenAI/Python 3.52.0", "session-id": "x", "x-session-id": "y"}) == {}
    assert told({"session-id": "x"}) == {}


def test_what_the_request_itself_says_of_its_conversation_stands():
    call = Call("chat", "openai", conversation_id="conv_1")
    identify(call, CODEX, None)
    assert call.conversation_id == "conv_1"


@pytest.mark.parametrize("value", ["", "x" * 201, "a\nb", 7, None, ["s"]])
def test_what_cannot_be_an_id_is_left_out(value: Any):
    assert "conversation" not in told({"user-agent": "codex"}, {"client_metadata": {"session_id": value}})


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"client_metadata":7}', b"\xff"])
def test_a_body_that_cannot_be_read_costs_ids_only(body: bytes):
    call = Call("chat", "openai")
    identify(call, CODEX, body)
    assert call.conversation_id == "01a1-root"
