"""The official collector and Jaeger as child processes, which scripts/install_interop_tools.py builds.

Both are OpenTelemetry collectors: they are given YAML, say on stderr when they are ready, and stop on SIGTERM. All
ports are free ones on 127.0.0.1; a process ends with its `with` block, and what it said is in a file beside its YAML.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

sys.path.append(str(Path(__file__).parents[2] / "scripts"))

import install_interop_tools as tools

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Self

PATIENCE = 60
"""Seconds that a process may take to start or to stop, and a span to arrive; on an idle machine it is about one."""
READY = "Everything is ready."
HOST = "127.0.0.1"


def installed(tool: tools.Tool) -> Path | None:
    """The program, if it is there at the version that the script names."""
    return tool.path if tool.is_installed else None


OTELCOL, JAEGER = installed(tools.OTELCOL), installed(tools.JAEGER_ALL_IN_ONE)
needs_otelcol = pytest.mark.skipif(OTELCOL is None, reason="the official collector is not built: run make tools")
needs_jaeger = pytest.mark.skipif(JAEGER is None, reason="Jaeger is not built: run make tools")


def free_ports(count: int) -> list[int]:
    """Different ports that nothing listens on now."""
    with ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [server.getsockname()[1] for server in servers]


class EngineError(Exception):
    """A process that did not start or stop, with what it said."""


class Engine:
    """A collector process in `directory`, which is also its working directory. `said` is its output so far."""

    def __init__(
        self, program: Path | None, configs: Sequence[Path], directory: Path, environ: Mapping[str, str] | None = None
    ) -> None:
        assert program, "mark the test with needs_otelcol or needs_jaeger"
        self.command = [str(program), *(f"--config={config}" for config in configs)]
        self.directory = directory
        self.environ = {**os.environ, **(environ or {})}
        self.log = directory / f"{program.name}.log"

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def start(self) -> None:
        """Returns when it takes requests. Raises EngineError when it ends before that, or takes too long."""
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.directory, env=self.environ, stdout=log, stderr=subprocess.STDOUT
            )
        if not wait_until(lambda: READY in self.said or self.process.poll() is not None) or READY not in self.said:
            self.kill()
            raise EngineError(f"{self.command[0]} did not start: {self.said}")

    def stop(self) -> None:
        """Ends it as a service manager does. Raises EngineError when it complains or takes too long."""
        self.process.terminate()
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise EngineError(f"{self.command[0]} did not stop: {self.said}") from None
        if code:
            raise EngineError(f"{self.command[0]} ended with exit code {code}: {self.said}")

    def kill(self) -> None:
        """Ends it as `kill -9` does; nothing happens to one that has ended."""
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None and self.process.poll() is None:
                self.stop()
        finally:
            self.kill()


class Otelcol(Engine):
    """The official collector, its receiver `otlp` and its `health_check` moved to free ports, its own metrics off.

    `config` is YAML, or files that it merges. `otlp_grpc` is `host:port`, `otlp_http` and `health_url` are URLs; they
    serve what the configuration has of the three.
    """

    def __init__(self, config: str | Sequence[Path], directory: Path, environ: Mapping[str, str] | None = None) -> None:
        grpc, http, health = free_ports(3)
        self.otlp_grpc, self.otlp_http = f"{HOST}:{grpc}", f"http://{HOST}:{http}"
        self.health_url = f"http://{HOST}:{health}/"
        ports = {
            "receivers": {"otlp": otlp_receiver(grpc, http)},
            "extensions": {"health_check": {"endpoint": f"{HOST}:{health}"}},
            "service": {"telemetry": {"metrics": {"level": "none"}}},
        }
        given = [write(directory / "otelcol.yaml", config)] if isinstance(config, str) else config
        super().__init__(OTELCOL, [*given, write(directory / "ports.yaml", json.dumps(ports))], directory, environ)


class Jaeger(Engine):
    """Jaeger with memory storage. `otlp_grpc` and `query_grpc` are `host:port`, the others URLs.

    No batch processor is between receiver and storage: what an exporter has delivered can be read at once.
    """

    def __init__(self, directory: Path) -> None:
        grpc, http, query, query_grpc, health = free_ports(5)
        self.otlp_grpc, self.otlp_http = f"{HOST}:{grpc}", f"http://{HOST}:{http}"
        self.query_grpc, self.query_url = f"{HOST}:{query_grpc}", f"http://{HOST}:{query}"
        self.health_url = f"http://{HOST}:{health}/status"
        receiver = otlp_receiver(grpc, http)
        receiver["protocols"]["grpc"]["max_recv_msg_size_mib"] = 64  # prompts are long
        config = {
            "receivers": {"otlp": receiver},
            "exporters": {"jaeger_storage_exporter": {"trace_storage": "memory"}},
            "extensions": {
                "jaeger_storage": {"backends": {"memory": {"memory": {"max_traces": 100_000}}}},
                "jaeger_query": {
                    "storage": {"traces": "memory"},
                    "enable_tracing": False,  # its own spans would go to whatever listens on port 4317
                    "http": {"endpoint": f"{HOST}:{query}"},
                    "grpc": {"endpoint": f"{HOST}:{query_grpc}"},
                },
                "healthcheckv2": {"use_v2": True, "http": {"endpoint": f"{HOST}:{health}"}},
            },
            "service": {
                "extensions": ["jaeger_storage", "jaeger_query", "healthcheckv2"],
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["jaeger_storage_exporter"]}},
            },
        }
        super().__init__(JAEGER, [write(directory / "jaeger.yaml", json.dumps(config))], directory)

    def services(self) -> list[str]:
        """The names of the services that it has spans of, sorted."""
        return sorted(self._get("/api/v3/services").raise_for_status().json()["services"])

    def trace(self, trace_id: str) -> dict[str, Any]:
        """A trace by its 32 hexadecimal digits, as OTLP JSON `{"resourceSpans": […]}`; empty when there is none."""
        answer = self._get(f"/api/v3/traces/{trace_id}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return {"resourceSpans": []}
        result: dict[str, Any] = answer.raise_for_status().json()["result"]
        return result

    def wait_for_trace(self, trace_id: str, spans: int) -> dict[str, Any]:
        """The trace once it has so many spans, for what comes by way of a queue; as it is when patience ends."""
        wait_until(lambda: len(list(spans_of(self.trace(trace_id)))) >= spans)
        return self.trace(trace_id)

    def _get(self, path: str) -> httpx.Response:
        return httpx.get(self.query_url + path, trust_env=False, timeout=PATIENCE)


def otelcol_validate(*configs: Path, environ: Mapping[str, str] | None = None) -> tuple[int, str]:
    """The exit code of the official collector's `validate`, 0 for a valid configuration, and all that it said."""
    return validate(OTELCOL, configs, environ)


def jaeger_validate(*configs: Path) -> tuple[int, str]:
    """The same of Jaeger, which says its version even when all is well."""
    return validate(JAEGER, configs)


def validate(
    program: Path | None, configs: Sequence[Path], environ: Mapping[str, str] | None = None
) -> tuple[int, str]:
    command = [str(program), "validate", *(f"--config={config}" for config in configs)]
    ran = subprocess.run(
        command,
        env={**os.environ, **(environ or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return ran.returncode, ran.stdout


def otlp_receiver(grpc: int, http: int) -> dict[str, Any]:
    """An `otlp` receiver on these ports."""
    return {"protocols": {"grpc": {"endpoint": f"{HOST}:{grpc}"}, "http": {"endpoint": f"{HOST}:{http}"}}}


def spans_of(traces: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every span of OTLP JSON, with what it belongs to as its `resource` and its `scope`.

    Attributes, those of resources and events too, become mappings from key to OTLP value: their order means nothing.
    """
    for resource_spans in traces["resourceSpans"]:
        for scope_spans in resource_spans["scopeSpans"]:
            for span in scope_spans["spans"]:
                yield {
                    **with_mapping(span),
                    "events": [with_mapping(event) for event in span.get("events", [])],
                    "resource": with_mapping(resource_spans["resource"]),
                    "scope": scope_spans["scope"],
                }


def with_mapping(owner: Mapping[str, Any]) -> dict[str, Any]:
    attributes = {attribute["key"]: attribute["value"] for attribute in owner.get("attributes", [])}
    return {**owner, "attributes": attributes}


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def wait_until(condition: Callable[[], object]) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
