"""Installs the command-line agents that the tests of `tests/interop` run: five CLIs, and the SDKs of a Node program.

    python scripts/install_clis.py

They come from the npm registry and from PyPI at the versions below, into the user's cache folder (LLMTRACE_CACHE, or
XDG_CACHE_HOME), about 1.2 GB, and are installed anew when a version changes here. Nothing is put on the PATH.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

NPM = {
    "@anthropic-ai/claude-code": "2.1.329",
    "@openai/codex": "0.169.0",
    "@google/gemini-cli": "0.61.0",
    "opencode-ai": "1.18.33",
    "openai": "7.55.0",
    "@anthropic-ai/sdk": "1.11.0",
}
NATIVE = {"@anthropic-ai/claude-code": "install.cjs", "opencode-ai": "postinstall.mjs"}
"""The scripts that put the native program of a package in place; no other package's script is run, for they compile."""
PYPI = {"llm": "0.36", "llm-anthropic": "0.30", "llm-gemini": "0.35"}

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llmtrace-otel"
FOLDER = Path(os.environ.get("LLMTRACE_CACHE") or CACHE) / "clis"
NODE_MODULES = FOLDER / "npm" / "node_modules"
BINARIES = (NODE_MODULES / ".bin", FOLDER / "python" / "bin")
STAMP = FOLDER / ".made"


def recipe() -> str:
    return hashlib.sha256(f"{NPM}{NATIVE}{PYPI}{sys.version}".encode()).hexdigest()


def is_installed() -> bool:
    """Whether the folder holds just these versions."""
    return STAMP.exists() and STAMP.read_text() == recipe()


def run(*command: str | Path, folder: Path = FOLDER) -> None:
    print(f"$ {' '.join(str(word) for word in command)}", flush=True)
    environment = {name: value for name, value in os.environ.items() if name not in ("PIP_CONSTRAINT", "VIRTUAL_ENV")}
    subprocess.run([str(word) for word in command], check=True, cwd=folder, env=environment)


def install() -> None:
    """Raises `subprocess.CalledProcessError` when a package cannot be had, `FileNotFoundError` when npm is absent."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    (FOLDER / "npm").mkdir(parents=True)
    pinned = [f"{name}@{version}" for name, version in NPM.items()]
    options = ("--prefix", FOLDER / "npm", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error")
    run("npm", "install", *options, *pinned)
    for package, script in NATIVE.items():
        run("node", NODE_MODULES / package / script, folder=NODE_MODULES / package)
    run(sys.executable, "-m", "venv", FOLDER / "python")
    wanted = [f"{name}=={version}" for name, version in PYPI.items()]
    run(FOLDER / "python" / "bin" / "python", "-m", "pip", "install", "--quiet", *wanted)
    STAMP.write_text(recipe())


def main() -> None:
    if not is_installed():
        install()
    print(f"installed in {FOLDER}")


if __name__ == "__main__":
    try:
        main()
    except FileNotFoundError as missing:
        raise SystemExit(
            f"install_clis: {missing.filename} is not installed; npm comes with Node.js 20 or later"
        ) from None
    except subprocess.CalledProcessError as failed:
        raise SystemExit(f"install_clis: a step failed with exit code {failed.returncode}") from None
