"""Whole programs on LiteLLM under `opentelemetry-instrument`, and what is left of them in a file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from litellm_helpers import litellm

from llmtrace_otel.read import Span, read_spans
from provider import Provider

assert litellm

SYNC = "litellm.completion('openai/gpt-5-mini', HI, **WHERE)"
ASYNC = "import asyncio; asyncio.run(litellm.acompletion('openai/gpt-5-mini', HI, **WHERE))"
STREAM = "[chunk for chunk in litellm.completion('openai/gpt-5-mini', HI, stream=True, **WHERE)]"
CALLBACKS = """
import asyncio
from litellm.integrations.custom_logger import CustomLogger

litellm.callbacks = [CustomLogger()]

async def main():
    for _ in range(3):
        await litellm.acompletion("openai/gpt-5-mini", HI, callbacks=[CustomLogger()], **WHERE)

asyncio.run(main())
"""


def spans_of(program: str, provider: Provider, folder: Path) -> list[Span]:
    """Runs a program that ends with its last line."""
    head = f"import litellm\nHI = [{{'role': 'user', 'content': 'hi'}}]\nWHERE = {where(provider)}\n"
    (folder / "program.py").write_text(head + program)
    instrument = Path(sys.executable).with_name("opentelemetry-instrument")
    environment = {
        **os.environ,
        "LLMTRACE_OUTPUT": str(folder / "traces.jsonl"),
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    subprocess.run([instrument, sys.executable, folder / "program.py"], env=environment, check=True, timeout=100)
    return list(read_spans(str(folder / "traces.jsonl")))


def where(provider: Provider) -> dict[str, str]:
    return {"api_base": f"{provider.url}/v1", "api_key": "local"}


@pytest.mark.parametrize("program", [SYNC, ASYNC, STREAM], ids=["sync", "async", "stream"])
def test_a_program_that_ends_with_its_call_keeps_it(program: str, provider: Provider, tmp_path: Path) -> None:
    (span,) = spans_of(program, provider, tmp_path)
    assert (span.name, span.text("llmtrace.layer"), span.error) == ("chat gpt-5-mini", "litellm", None)


def test_callbacks_for_all_calls_and_for_one_change_nothing(provider: Provider, tmp_path: Path) -> None:
    spans = spans_of(CALLBACKS, provider, tmp_path)
    assert [(span.name, span.usage.input) for span in spans] == [("chat gpt-5-mini", 10)] * 3


def test_a_program_that_never_imports_litellm_does_not_get_it(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("import sys; print('litellm' in sys.modules)")
    instrument = Path(sys.executable).with_name("opentelemetry-instrument")
    environment = {**os.environ, "LLMTRACE_OUTPUT": str(tmp_path / "traces.jsonl"), "OTEL_TRACES_EXPORTER": "none"}
    command = [instrument, sys.executable, tmp_path / "program.py"]
    ran = subprocess.run(command, env=environment, check=True, timeout=100, capture_output=True, text=True)
    assert ran.stdout == "False\n"
