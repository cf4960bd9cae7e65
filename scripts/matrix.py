"""Runs the suite again with other versions of what the project depends on.

    python scripts/matrix.py              every environment
    python scripts/matrix.py lowest       one of them

Each environment is a virtual environment in the user's cache folder, made anew when its recipe changes. All are
resolved from the package index, without the constraints of the ordinary run. Warnings of other versions are no errors.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llmtrace-otel"
PROJECT = ["--editable", f"{REPOSITORY}[collector]", "--group", f"{REPOSITORY / 'pyproject.toml'}:test"]

TOOLS = ["httpx2[ws]", "websockets>=15", "pytest", "pytest-xdist", "hypothesis", "jsonschema", "anyio"]
LITELLM = [
    "--editable",
    f"{REPOSITORY}[collector]",
    "anthropic>=2",
    *TOOLS,
    *(
        "backoff",
        "fastapi",
        "mcp",
        "orjson",
        "redis",
        "soundfile",
        "tenacity",
    ),  # which parts of it import without asking for them
]
TESTS_OF_LITELLM = ["tests/instrument/with_litellm", "tests/instrument/test_litellm_callback.py", "tests/conversations"]


class Environment(NamedTuple):
    """What is installed, and which tests run with it."""

    install: list[str]
    tests: list[str]


ENVIRONMENTS = {
    # The lowest versions that pyproject.toml allows.
    "lowest": Environment([*PROJECT, "--resolution", "lowest-direct"], ["tests"]),
    # The newest that the index has today, whatever the constraints say.
    "newest": Environment([*PROJECT, "--upgrade"], ["tests"]),
    # LiteLLM as the index resolves it, with what it forgets to ask for; with an older OpenAI SDK, on httpx.
    "litellm": Environment([*LITELLM, "litellm"], TESTS_OF_LITELLM),
    # The newest LiteLLM, whatever certificates the index has, with openai 3.
    "litellm-newest": Environment(
        [*LITELLM, "litellm", "openai>=3", "--override", str(REPOSITORY / "scripts" / "litellm-newest.txt")],
        TESTS_OF_LITELLM,
    ),
    # openai 2 sits on httpx, where openai 3 sits on httpx2.
    "openai-2": Environment(
        [
            "--editable",
            f"{REPOSITORY}[collector]",
            "openai>=2,<3",
            "anthropic>=2",
            "httpx",
            "boto3",
            "brotli",
            "zstandard",
            *TOOLS,
        ],
        ["tests/instrument", "tests/corpus"],
    ),
}


def run(*command: str | Path, stderr: int | None = None) -> None:
    printable = " ".join(str(word) for word in command)
    print(f"$ {printable}", flush=True)
    environment = {name: value for name, value in os.environ.items() if name not in ("PIP_CONSTRAINT", "VIRTUAL_ENV")}
    environment["UV_SYSTEM_CERTS"] = "true"  # the index may be behind a proxy of one's company, as pip's is
    words = [str(word) for word in command]
    subprocess.run(words, check=True, cwd=REPOSITORY, env=environment, stderr=stderr, text=True)


def made(name: str, environment: Environment) -> Path:
    """The environment's folder, made if it is not there yet."""
    recipe = f"{environment.install}{(REPOSITORY / 'pyproject.toml').read_text()}{sys.version}{REPOSITORY}"
    folder = CACHE / f"{name}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    if not (folder / ".made").exists():
        shutil.rmtree(folder, ignore_errors=True)
        run(sys.executable, "-m", "venv", folder)
        run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", "uv")
        run(
            folder / "bin" / "uv",
            "pip",
            "install",
            "--quiet",
            "--python",
            folder / "bin" / "python",
            *environment.install,
        )
        (folder / ".made").touch()
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description="Runs the suite with other versions of what we depend on.")
    parser.add_argument("environments", nargs="*", help=f"any of {', '.join(ENVIRONMENTS)}; all by default")
    names = parser.parse_args().environments or list(ENVIRONMENTS)
    unknown = [name for name in names if name not in ENVIRONMENTS]
    if unknown:
        parser.error(f"no environment {', '.join(unknown)}; there are {', '.join(ENVIRONMENTS)}")
    for name in names:
        folder = made(name, ENVIRONMENTS[name])
        chosen = "not duplicates and not interop and not long"  # agents have versions of their own
        suite = ("-m", chosen, *ENVIRONMENTS[name].tests)
        run(folder / "bin" / "python", "-m", "pytest", "-n", "2", "-W", "default", *suite)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as failed:
        raise SystemExit(f"matrix: a step failed with exit code {failed.returncode}") from None
