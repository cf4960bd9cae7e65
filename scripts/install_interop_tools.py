"""Builds the two programs of others that the tests of `tests/interop` send spans to: the official collector and Jaeger.

    python scripts/install_interop_tools.py

Both are compiled by Go 1.25 or later from modules at the versions below, in about ten minutes and 5 GB of Go's own
caches, into the user's cache folder (LLMTRACE_CACHE, or XDG_CACHE_HOME), 150 MB. The collector is put together by the
OpenTelemetry Collector Builder from otelcol-builder.yaml. Each is built anew when what it is made from changes here.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

VERSIONS = {
    "go.opentelemetry.io/collector/cmd/builder": "v0.158.0",
    "github.com/jaegertracing/jaeger": "v1.76.0",  # Jaeger 2.13; Go takes no tag v2 of a path without /v2
}
BUILDER, JAEGER = VERSIONS
MANIFEST = Path(__file__).with_name("otelcol-builder.yaml")
STRIPPED = ("-trimpath", "-ldflags=-s -w")

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llmtrace-otel"
FOLDER = Path(os.environ.get("LLMTRACE_CACHE") or CACHE) / "interop"


class Tool(NamedTuple):
    """A program in `FOLDER`, all that it is made from, and what builds it there."""

    name: str
    recipe: str
    build: Callable[[Path], None]

    @property
    def path(self) -> Path:
        return FOLDER / self.name

    @property
    def stamp(self) -> Path:
        return FOLDER / f".{self.name}.made"

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.recipe.encode()).hexdigest()

    @property
    def is_installed(self) -> bool:
        """Whether the program is there and made from just this recipe."""
        return self.path.exists() and self.stamp.exists() and self.stamp.read_text() == self.digest


def run(*command: str | Path) -> str:
    """What a command printed to its standard output; its other output is the user's to see."""
    print(f"$ {' '.join(str(word) for word in command)}", flush=True)
    environment = {**os.environ, "CGO_ENABLED": "0", "GOBIN": str(FOLDER)}
    words = [str(word) for word in command]
    return subprocess.run(words, check=True, cwd=FOLDER, env=environment, stdout=subprocess.PIPE, text=True).stdout


def build_otelcol(program: Path) -> None:
    run("go", "install", *STRIPPED, f"{BUILDER}@{VERSIONS[BUILDER]}")
    run(FOLDER / "builder", "--skip-strict-versioning=false", "--config", MANIFEST)
    (FOLDER / "otelcol-source" / "otelcol").rename(program)


def build_jaeger(program: Path) -> None:
    """Builds it in its own module: `go install` refuses one whose go.mod replaces a module, as Jaeger's does."""
    module = json.loads(run("go", "mod", "download", "-json", f"{JAEGER}@{VERSIONS[JAEGER]}"))
    run("go", "build", "-C", module["Dir"], "-buildvcs=false", *STRIPPED, "-o", program, "./cmd/jaeger")


OTELCOL = Tool("otelcol", VERSIONS[BUILDER] + MANIFEST.read_text(encoding="utf-8"), build_otelcol)
JAEGER_ALL_IN_ONE = Tool("jaeger", VERSIONS[JAEGER], build_jaeger)
TOOLS = (OTELCOL, JAEGER_ALL_IN_ONE)


def install(tool: Tool) -> None:
    """Raises `subprocess.CalledProcessError` when it cannot be built, `FileNotFoundError` when Go is absent."""
    tool.stamp.unlink(missing_ok=True)
    tool.build(tool.path)
    tool.stamp.write_text(tool.digest)


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for tool in TOOLS:
        if not tool.is_installed:
            install(tool)
    print(f"installed in {FOLDER}")


if __name__ == "__main__":
    try:
        main()
    except FileNotFoundError as missing:
        raise SystemExit(
            f"install_interop_tools: {missing.filename} is not installed; it needs Go 1.25 or later"
        ) from None
    except subprocess.CalledProcessError as failed:
        print(failed.stdout, end="", file=sys.stderr)
        raise SystemExit(
            f"install_interop_tools: `{failed.cmd[0]} {failed.cmd[1]} ...` failed, as said above"
        ) from None
