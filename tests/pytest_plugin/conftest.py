"""Runs pytest on tests that a test writes, in a process of its own, as a user of the plugin would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

from provider import Provider

OWN = ("LLMTRACE_", "OTEL_", "TRACEPARENT", "BAGGAGE", "PYTEST_", "PYTHONPATH", "OPENAI_", "GITHUB_", "CI", "COLUMNS")
WITHOUT = "-p no:cacheprovider -p no:hypothesispytest -p no:anyio -p no:xdist"
"""Other plugins, whose start costs more than most of these tests; `-p xdist` has one of them all the same."""
SECONDS = 120
ASKING = '''
"""Asks the local provider: `ask(model, input=…, output=…)`, by httpx."""
import os, sys
import httpx

def ask(model="gpt-4o-mini", input=1000, output=100):
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    headers = {"x-input-tokens": str(input), "x-output-tokens": str(output)}
    url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
    answer = httpx.post(url, json=body, headers=headers).raise_for_status()
    return answer.json()["usage"]["total_tokens"]

if __name__ == "__main__":
    print(ask(*sys.argv[1:]))
'''


@dataclass(frozen=True)
class Outcome:
    """What a run of pytest came to."""

    code: int
    out: str
    err: str

    def block(self, title: str) -> str:
        """What stands below a header line, to the next one; without the carets that newer pytest points with."""
        titled = re.compile(rf"^[=_]+ {re.escape(title)} [=_]+\n", re.MULTILINE)
        start = titled.search(self.out)
        assert start is not None, self.out
        end = re.compile(
            r"^(?:=+ .* =+|- generated xml file: .* -|_{3,} \S.* _{3,}|\d+ \w+.* in [\d.]+s)$", re.MULTILINE
        ).search(self.out, start.end())
        text = self.out[start.end() : end.start() if end else None]
        return "\n" + re.sub(r"^(?:\[gw\d+\] .*| +\^+)\n", "", text, flags=re.MULTILINE)

    @property
    def outcomes(self) -> dict[str, int]:
        """`{"passed": 2, "failed": 1}`, as the last line says."""
        return {word: int(count) for count, word in re.findall(r"(\d+) ([a-z]+)", self.out.splitlines()[-1])}


NEXT_HEADER = re.compile(
    r"^(?:=+ .* =+|- generated xml file: .* -|_{3,} \S.* _{3,}|\d+ \w+.* in [\d.]+s)$", re.MULTILINE
)


class Suite:
    """A directory of tests, beside a module `asking` that makes LLM calls."""

    def __init__(self, path: Path, url: str) -> None:
        self.path = path
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OWN)}
        self._environ = kept | {"OPENAI_BASE_URL": f"{url}/v1"}
        self.write("asking.py", ASKING)
        self.write("pytest.ini", f"[pytest]\naddopts = -q --tb=short {WITHOUT}\nfilterwarnings = error\n")

    def write(self, name: str, text: str) -> None:
        (self.path / name).write_text(textwrap.dedent(text))

    def read(self, name: str) -> str:
        return (self.path / name).read_text()

    def run(self, *options: str, **environ: str) -> Outcome:
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", *options],
            cwd=self.path,
            env=self._environ | environ,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        return Outcome(ran.returncode, ran.stdout, ran.stderr)


@pytest.fixture
def suite(tmp_path: Path, provider_server: Provider) -> Suite:
    return Suite(tmp_path, provider_server.url)


@pytest.fixture(scope="module")
def module_suite(tmp_path_factory: pytest.TempPathFactory, provider_server: Provider) -> Suite:
    return Suite(tmp_path_factory.mktemp("suite"), provider_server.url)
