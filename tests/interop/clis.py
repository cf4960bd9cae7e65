"""The clients: how each is started so that it answers one question and leaves, and which calls it then makes.

Telemetry, updates, downloads and reports are switched off by the settings that each documents; a client that does
not heed them finds no network anyway.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

from .play import AGENT, Play

HERE = Path(__file__).parent
sys.path.append(str(HERE.parents[1] / "scripts"))

from install_clis import BINARIES, NODE_MODULES, is_installed  # noqa: E402 - the scripts are not installed

PATH = os.pathsep.join([*map(str, (Path(sys.executable).parent, *BINARIES)), os.environ["PATH"]])
QUESTION = "How is the weather in Paris?"
COUNTS = {
    "x-input-tokens": "1200",
    "x-output-tokens": "345",
    "x-cache-read-tokens": "800",
    "x-cache-write-tokens": "100",
    "x-reasoning-tokens": "45",
}
"""What every call counts, in its format's own meaning; only Anthropic counts writes, all others count reasoning."""
SUBTASK = "How is the wind in Paris?"

Call = tuple[str, str, str]
"""A model call on the wire: host, path without its query, model as it was asked for."""


class CLI(NamedTuple):
    """A client. `command` begins with the program's name; `calls` are in no order, for agents work in parallel."""

    name: str
    command: tuple[str, ...]
    environ: dict[str, str]
    calls: tuple[Call, ...]
    play: Play = Play(COUNTS)
    files: dict[str, str] = {}  # noqa: RUF012 - never changed
    """Settings, by their path in the home folder."""
    heeds_proxy: bool = True
    """Whether it takes its HTTPS proxy from the environment."""


def messages(model: str) -> Call:
    return "api.anthropic.com", "/v1/messages", model


def responses(model: str) -> Call:
    return "api.openai.com", "/v1/responses", model


def chat(model: str) -> Call:
    return "api.openai.com", "/v1/chat/completions", model


def gemini(model: str) -> Call:
    return "generativelanguage.googleapis.com", f"/v1beta/models/{model}:streamGenerateContent", model


SONNET, HAIKU, GPT, GPT_CODEX = "claude-sonnet-4-6", "claude-haiku-4-5-20251001", "gpt-5-mini", "gpt-5.1-codex"
FLASH = "gemini-2.5-flash"
ANTHROPIC_KEY, OPENAI_KEY = {"ANTHROPIC_API_KEY": "sk-ant-local"}, {"OPENAI_API_KEY": "sk-local"}

CLAUDE = CLI(
    "claude",
    ("claude", "-p", QUESTION, "--model", SONNET),
    {**ANTHROPIC_KEY, "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1"},
    (messages(SONNET),),
)

CODEX_QUIET = ("-c", "analytics.enabled=false", "-c", "check_for_update_on_startup=false")
CODEX_ALONE = ("--disable", "plugins", "--disable", "apps")
CODEX_HTTP = {
    "name": "OpenAI",
    "base_url": "https://api.openai.com/v1",
    "env_key": "CODEX_API_KEY",
    "wire_api": "responses",
}
CODEX = CLI(
    "codex",
    ("codex", "exec", "-m", GPT_CODEX, "--skip-git-repo-check", *CODEX_QUIET, *CODEX_ALONE, QUESTION),
    {"CODEX_API_KEY": "sk-local"},
    (responses(GPT_CODEX),),
)
"""Over a WebSocket."""
CODEX_SSE = CODEX._replace(
    name="codex-sse",
    command=(
        *CODEX.command,
        *("-c", "model_provider=http", "-c", "model_providers.http.supports_websockets=false"),
        *(word for key, value in CODEX_HTTP.items() for word in ("-c", f"model_providers.http.{key}={value}")),
    ),
)

GEMINI_QUIET = {"privacy": {"usageStatisticsEnabled": False}, "general": {"enableAutoUpdate": False}}
GEMINI = CLI(
    "gemini",
    ("gemini", "-p", QUESTION, "-m", FLASH, "--skip-trust"),
    {"GEMINI_API_KEY": "AIza-local", "GEMINI_TELEMETRY_ENABLED": "false"},
    (gemini(FLASH),),
    files={".gemini/settings.json": json.dumps(GEMINI_QUIET)},
)

OPENCODE_QUIET = ("OPENCODE_DISABLE_AUTOUPDATE", "OPENCODE_DISABLE_MODELS_FETCH", "OPENCODE_DISABLE_LSP_DOWNLOAD")
OPENCODE = CLI(
    "opencode",
    ("opencode", "run", "-m", f"anthropic/{SONNET}", QUESTION),
    {**ANTHROPIC_KEY, **dict.fromkeys(OPENCODE_QUIET, "1")},
    (messages(SONNET), messages(HAIKU)),
)
"""Its second call asks a smaller model for a title."""
OPENCODE_OPENAI = CLI(
    "opencode-openai",
    ("opencode", "run", "-m", f"openai/{GPT}", QUESTION),
    {**OPENAI_KEY, **dict.fromkeys(OPENCODE_QUIET, "1")},
    (responses(GPT), responses("gpt-5.4-nano")),
)

LLM_CHAT = CLI("llm-chat", ("llm", "-m", "gpt-4o-mini", QUESTION), OPENAI_KEY, (chat("gpt-4o-mini"),))
LLM_RESPONSES = CLI("llm-responses", ("llm", "-m", GPT, QUESTION), OPENAI_KEY, (responses(GPT),))
LLM_ANTHROPIC = CLI("llm-anthropic", ("llm", "-m", "claude-haiku-4.5", QUESTION), ANTHROPIC_KEY, (messages(HAIKU),))
LLM_GEMINI = CLI("llm-gemini", ("llm", "-m", FLASH, QUESTION), {"LLM_GEMINI_KEY": "AIza-local"}, (gemini(FLASH),))

NODE = CLI(
    "node",
    ("node", str(HERE / "node_sdk.cjs")),
    {**OPENAI_KEY, **ANTHROPIC_KEY, "NODE_PATH": str(NODE_MODULES)},
    (chat(GPT), messages("claude-haiku-4-5")),
    heeds_proxy=False,  # Node 20 does not, later ones do with NODE_USE_ENV_PROXY
)
CURL = CLI(
    "curl",
    (
        *("curl", "--silent", "https://api.openai.com/v1/chat/completions", "--json"),
        json.dumps({"model": GPT, "messages": [{"role": "user", "content": QUESTION}]}),
    ),
    {},
    (chat(GPT),),
)

SUB_AGENTS: dict[str, dict[str, Any]] = {
    "claude": {"Agent": {"description": "Wind", "prompt": SUBTASK, "subagent_type": "general-purpose"}},
    "codex": {"multi_agent_v1.spawn_agent": {"message": SUBTASK}, "multi_agent_v1.wait_agent": {"targets": [AGENT]}},
    "opencode": {"task": {"description": "Wind", "prompt": SUBTASK, "subagent_type": "general"}},
}
"""The tool calls by which the model has an agent start a sub-agent."""
MORE_CALLS = {"claude": 3, "codex": 3, "opencode": 2}
"""How many calls the sub-agent, and the agent that reads what its tools did, then make."""


def with_agent(cli: CLI) -> CLI:
    """The same client when the model has it start a sub-agent."""
    more = cli.calls[:1] * MORE_CALLS[cli.name]
    return cli._replace(name=f"{cli.name}-agent", calls=cli.calls + more, play=Play(COUNTS, SUB_AGENTS[cli.name]))


CLIS = (
    *(CLAUDE, with_agent(CLAUDE), CODEX, with_agent(CODEX), CODEX_SSE, GEMINI),
    *(OPENCODE, with_agent(OPENCODE), OPENCODE_OPENAI),
    *(LLM_CHAT, LLM_RESPONSES, LLM_ANTHROPIC, LLM_GEMINI, NODE, CURL),
)


def absent(cli: CLI) -> str | None:
    """Why a client cannot be run here; None when it can."""
    if cli.name != "curl" and not is_installed():
        return "the clients are not installed: run python scripts/install_clis.py"
    return None if shutil.which(cli.command[0], path=PATH) else f"{cli.command[0]} is not installed"
