"""Records what the official collector's processors make of the requests in `tests/collector/data/processors.json`.

    python scripts/record_official_processors.py path/to/otelcol

The file is the table of what is compared: requests, and by case a processor, its settings and one of the requests. This
fills in `output`, the line that the official file exporter wrote, or null where it wrote none; for samples, which of a
few hundred traces were kept and the tracestate that they got. That the official collector refuses what the table says
it refuses is checked on the way. Add a case without `output` and run it again to have one more.

`install_interop_tools.py` builds the collector.
"""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLE = Path(__file__).parents[1] / "tests/collector/data/processors.json"
SECONDS = 20
AT_A_TIME = 40
"""Cases in one process: each is a pipeline with a receiver and a file of its own."""


def main() -> None:
    """Fills the table in."""
    binary = sys.argv[1]
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    for case in table["refused"]:
        refuse(binary, case)
    for start in range(0, len(table["cases"]), AT_A_TIME):
        cases = table["cases"][start : start + AT_A_TIME]
        lines = outputs(binary, [{**case, "request": table["requests"][case["request"]]} for case in cases])
        for case, line in zip(cases, lines, strict=True):
            case["output"] = line
    runs, request = table["samples"]["runs"], traces(table["samples"]["traces"])
    sampled = [{"processor": "probabilistic_sampler", "signal": "traces", "request": request, "settings": settings(run)}
               for run in runs]  # fmt: skip
    for run, line in zip(runs, outputs(binary, sampled), strict=True):
        run["trace_states"] = trace_states(line, table["samples"]["traces"])
    TABLE.write_text(shown(table), encoding="utf-8")


def settings(run: dict[str, Any]) -> dict[str, Any]:
    """A run without what was recorded of it."""
    return {key: value for key, value in run.items() if key != "trace_states"}


def traces(number: int) -> dict[str, Any]:
    """A span for each of a number of traces, whose ids are the same every time."""
    ids = (hashlib.sha256(str(index).encode()).hexdigest()[:32] for index in range(number))
    spans = [{"traceId": trace, "spanId": f"{index + 1:016x}", "name": "x"} for index, trace in enumerate(ids)]
    return {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}


def trace_states(line: dict[str, Any] | None, number: int) -> list[str]:
    """By trace: the tracestate that it got, empty when it was dropped."""
    found = [""] * number
    for group in line["resourceSpans"] if line else ():
        for span in group["scopeSpans"][0]["spans"]:
            found[int(span["spanId"], 16) - 1] = span["traceState"]
    return found


def outputs(binary: str, cases: list[dict[str, Any]]) -> list[dict[str, Any] | None]:
    """What the official collector writes for each case."""
    with tempfile.TemporaryDirectory() as directory:
        ports = free_ports(len(cases))
        files = [Path(directory) / f"{number}.jsonl" for number in range(len(cases))]
        with running(binary, configuration(cases, ports, files), directory) as process:
            for case, port in zip(cases, ports, strict=True):
                send(f"http://127.0.0.1:{port}/v1/{case['signal']}", case["request"], process)
        written = [file.read_text(encoding="utf-8") for file in files]
        return [json.loads(text) if text else None for text in written]


def configuration(cases: list[dict[str, Any]], ports: list[int], files: list[Path]) -> dict[str, Any]:
    """JSON is YAML."""
    names = range(len(cases))
    return {
        "receivers": {
            f"otlp/{name}": {"protocols": {"http": {"endpoint": f"127.0.0.1:{ports[name]}"}}} for name in names
        },
        "processors": {
            f"{case['processor']}/{name}": case["settings"] for name, case in zip(names, cases, strict=True)
        },
        "exporters": {f"file/{name}": {"path": str(files[name])} for name in names},
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {
                f"{case['signal']}/{name}": {
                    "receivers": [f"otlp/{name}"],
                    "processors": [f"{case['processor']}/{name}"],
                    "exporters": [f"file/{name}"],
                }
                for name, case in zip(names, cases, strict=True)
            },
        },
    }


@contextmanager
def running(binary: str, config: dict[str, Any], directory: str) -> Iterator[subprocess.Popen[bytes]]:
    """The collector as a child; its files are complete when this ends."""
    path = Path(directory) / "config.yaml"
    path.write_text(json.dumps(config), encoding="utf-8")
    with (Path(directory) / "log").open("wb") as log:
        process = subprocess.Popen([binary, "--config", path], stderr=log, stdout=log)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(SECONDS)


def send(url: str, body: dict[str, Any], process: subprocess.Popen[bytes]) -> None:
    """Posts a request, as soon as somebody listens."""
    request = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    end = time.monotonic() + SECONDS
    while True:
        try:
            with urlopen(request, timeout=SECONDS):
                return
        except HTTPError as error:
            raise SystemExit(f"{url} answered {error.code}: {error.read().decode()}") from error
        except URLError:
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit("the collector does not run") from None
            time.sleep(0.05)


def refuse(binary: str, case: dict[str, Any]) -> None:
    """Ends the script when the official collector starts with settings that the table says it refuses."""
    with tempfile.TemporaryDirectory() as directory:
        config = configuration([case], free_ports(1), [Path(directory) / "x.jsonl"])
        with running(binary, config, directory) as process:
            try:
                process.wait(3)
            except subprocess.TimeoutExpired:
                raise SystemExit(f"not refused: {case['name']}") from None


def free_ports(number: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def shown(table: dict[str, Any]) -> str:
    """The table with a line for each request, case and run, so that changes can be read."""

    def rows(entries: list[Any]) -> str:
        return "[\n" + ",\n".join(compact(entry) for entry in entries) + "\n]"

    requests = ",\n".join(f"{compact(name)}: {compact(request)}" for name, request in table["requests"].items())
    samples = f'{{"traces": {table["samples"]["traces"]}, "runs": {rows(table["samples"]["runs"])}}}'
    return (
        f'{{\n"requests": {{\n{requests}\n}},\n"cases": {rows(table["cases"])},\n'
        f'"refused": {rows(table["refused"])},\n"samples": {samples}\n}}\n'
    )


def compact(entry: Any) -> str:
    """On one line."""
    return json.dumps(entry, ensure_ascii=False, separators=(",", ":"))


if __name__ == "__main__":
    main()
