"""`llmtrace collect` as a child process, started and stopped as the official collector is, with the same files."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from .engines import EngineError, Otelcol, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

LLMTRACE = (sys.executable, "-c", "from llmtrace_otel.cli import main; raise SystemExit(main())")
READY = "listening on"


class Collect(Otelcol):
    """Our collector, of the same files and on ports of its own; `arguments` are more of its command line."""

    def __init__(
        self,
        config: str | Sequence[Path],
        directory: Path,
        environ: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        super().__init__(config, directory, environ)
        _, *configs = self.command
        self.command = [*LLMTRACE, "collect", *configs, *arguments]

    def start(self) -> None:
        """Returns when it takes requests. Raises EngineError when it ends before that, or takes too long."""
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.directory, env=self.environ, stdout=log, stderr=subprocess.STDOUT
            )
        wait_until(lambda: READY in self.said or self.process.poll() is not None)
        if READY not in self.said:
            self.kill()
            raise EngineError(f"llmtrace collect did not start: {self.said}")


@contextmanager
def both(config: str | Sequence[Path], directory: Path) -> Iterator[tuple[Otelcol, Collect]]:
    """The official collector and ours with one configuration, each in a directory of its own."""
    for name in ("official", "ours"):
        (directory / name).mkdir()
    with ExitStack() as stack:
        official = stack.enter_context(Otelcol(config, directory / "official"))
        yield official, stack.enter_context(Collect(config, directory / "ours"))


def files_of(engine: Otelcol) -> dict[str, list[Any]]:
    """The lines of every file that an engine wrote, by the file's name."""
    return {path.name: lines_in(path) for path in engine.directory.glob("*.jsonl")}


def lines_in(path: Path) -> list[Any]:
    """The lines of a file, each of which is whole."""
    *lines, rest = path.read_bytes().split(b"\n")  # not splitlines: some of Unicode's ends of lines stand in the text
    assert rest == b""
    return [json.loads(line) for line in lines]
