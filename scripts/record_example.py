"""Records `examples/ci` anew, without a key: its calls to api.openai.com are answered by the tests' local provider.

    python scripts/record_example.py             writes examples/ci/cassettes
    python scripts/record_example.py FOLDER      a copy of the example, perhaps changed; exits as its tests do

A user records with the real provider: `llmtrace run --record cassettes -- pytest`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROVIDER = "LOCAL_PROVIDER"


def main() -> int:
    parser = argparse.ArgumentParser(description="Records examples/ci anew.")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "examples" / "ci")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    return tests() if args.inside else recorded(args.folder)


def recorded(folder: Path) -> int:
    """Runs the example's tests with a local provider and records their calls; returns pytest's exit code."""
    sys.path.insert(0, str(ROOT / "tests"))
    from provider import Provider

    shutil.rmtree(folder / "cassettes", ignore_errors=True)
    with Provider(realistic=True) as provider, tempfile.TemporaryDirectory() as spans:
        command = [
            "run",
            "--output",
            f"{spans}/traces.jsonl",
            "--record",
            "cassettes",
            "--",
            sys.executable,
            __file__,
            "--inside",
        ]
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "LLMTRACE_"))}
        environ[PROVIDER] = provider.url
        llmtrace = [sys.executable, "-c", "import sys; from llmtrace_otel.cli import main; sys.exit(main())"]
        return subprocess.run([*llmtrace, *command], cwd=folder, env=environ, check=False).returncode


def tests() -> int:
    """Runs pytest here, with the transport of the SDK's HTTP client led to the local provider."""
    import httpx2
    import pytest

    local = httpx2.URL(os.environ[PROVIDER])
    send = httpx2.HTTPTransport.handle_request

    def led(transport: httpx2.HTTPTransport, request: httpx2.Request) -> httpx2.Response:
        if request.url.host == "api.openai.com":
            request.url = request.url.copy_with(scheme="http", host=local.host, port=local.port)
        return send(transport, request)

    httpx2.HTTPTransport.handle_request = led  # type: ignore[method-assign]
    return int(pytest.main(["-p", "no:cacheprovider"]))


if __name__ == "__main__":
    sys.exit(main())
