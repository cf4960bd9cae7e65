"""The whole path on one machine, without a network or a key: an agent, its spans, a collector, the tree on the screen.

Starts the embedded collector and a local provider, runs `agent.py` under `opentelemetry-instrument`, stops both and
shows what was recorded. Prints every command as it would be typed. Exits with 1 and one line when a step fails.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
SERVICE = "demo-agent"
OUTPUT = "traces.jsonl"
COLLECTOR = ["llmtrace", "collect", "--endpoint", "127.0.0.1:0", "--output", OUTPUT]
PROVIDER = ["python", "-m", "provider", "--realistic"]
LOCAL = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}  # a proxy in the reader's environment is not for the demo
PATIENCE = 30  # seconds that a server may take to stop


class DemoError(Exception):
    """The step that failed and what to look at, in one line."""


def main() -> int:
    try:
        remove_old_output()
        with server(COLLECTOR, {}) as collected_at, server(PROVIDER, {"PYTHONPATH": "tests"}) as provided_at:
            run(["opentelemetry-instrument", "python", "examples/agent.py"], environment(collected_at, provided_at))
        run(["llmtrace", "show", OUTPUT], {})
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def remove_old_output() -> None:
    """Removes the traces of an earlier demo; those of anything else are not ours to remove."""
    output = ROOT / OUTPUT
    if output.exists():
        text = output.read_text(encoding="utf-8")
        if text and SERVICE not in text:
            raise DemoError(f"{OUTPUT} holds traces of something else; move it away and run the demo again")
        output.unlink()


def environment(collected_at: str, provided_at: str) -> dict[str, str]:
    """All that the agent is told: where its spans go, and where its providers are."""
    return {
        "OTEL_SERVICE_NAME": SERVICE,
        "OTEL_EXPORTER_OTLP_ENDPOINT": collected_at,
        "OPENAI_BASE_URL": f"{provided_at}/v1",
        "OPENAI_API_KEY": "local",
        "ANTHROPIC_BASE_URL": provided_at,
        "ANTHROPIC_API_KEY": "local",
    }


@contextmanager
def server(command: list[str], settings: Mapping[str, str]) -> Iterator[str]:
    """A running server that says where it listens; yields its URL, stops it in the end and waits until it has."""
    announce(command, settings, background=True)
    pipe = subprocess.PIPE
    with subprocess.Popen(
        installed(command),
        cwd=ROOT,
        env=environ(settings),
        stdin=pipe,
        stdout=pipe,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield url_of(process, shlex.join(command))
            stop(process, shlex.join(command))
        finally:
            process.kill()  # does nothing to a server that has ended


def url_of(process: subprocess.Popen[str], command: str) -> str:
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        if found := re.search(r"http://[\d.]+:\d+", line):
            return found[0]
        said += line
    raise DemoError(f"`{command}` did not start: {said.strip() or 'it said nothing'}")


def stop(process: subprocess.Popen[str], command: str) -> None:
    process.terminate()
    try:
        said, _ = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise DemoError(f"`{command}` did not stop within {PATIENCE} s") from None
    if process.returncode:
        raise DemoError(f"`{command}` ended with exit code {process.returncode}: {said.strip()}")


def run(command: list[str], settings: Mapping[str, str]) -> None:
    announce(command, settings)
    done = subprocess.run(installed(command), cwd=ROOT, env=environ(settings), check=False)
    if done.returncode:
        raise DemoError(f"`{shlex.join(command)}` failed with exit code {done.returncode}")


def environ(settings: Mapping[str, str]) -> dict[str, str]:
    """The reader's environment, with this very Python's commands first."""
    path = os.pathsep.join([str(BIN), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, **LOCAL, **settings}


def announce(command: list[str], settings: Mapping[str, str], *, background: bool = False) -> None:
    """Prints the command as it is typed in a shell, one setting a line."""
    words = [*(f"{name}={value}" for name, value in settings.items()), shlex.join(command)]
    print("\n$ " + " \\\n  ".join(words) + (" &" if background else ""), flush=True)


def installed(command: list[str]) -> list[str]:
    """The command from the environment of this very Python."""
    program = BIN / command[0]
    if not program.exists():
        raise DemoError(f"{program} is not there; install the project first: pip install -e '.[collector]'")
    return [str(program), *command[1:]]


if __name__ == "__main__":
    sys.exit(main())
