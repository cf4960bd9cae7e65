"""Runs a client in a namespace where the fake provider is all there is, and gives back what came of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from support.signals import heed_signals

from .clis import PATH
from .fake_llm import WEBSOCKET
from .namespace import UNSHARE
from .play import Play

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .clis import CLI, Call

TESTS = Path(__file__).resolve().parent.parent
SECONDS = 120
"""How long a command may take; the slowest needs about ten."""
TRUST = ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
VOLATILE = {
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}": "<uuid>",
    r'"created":\d+': '"created":<time>',
    r"\[STARTUP\].*\n": "",  # whether gemini complains of its own measurements depends on how fast it starts
}


class Seen(NamedTuple):
    """A request that reached a provider: `number` is in the id of its answer, `headers` are by lower-case name."""

    number: int
    method: str
    path: str
    headers: dict[str, str]
    body: str

    @property
    def call(self) -> Call | None:
        """The model call that it is; None for the rest of what an agent asks its maker's host."""
        if self.method not in ("POST", WEBSOCKET):
            return None
        body, path = json.loads(self.body), self.path.partition("?")[0]
        named = re.search(r"/models/(.+):", path)
        call = self.headers["host"], path, named[1] if named else body["model"]
        return None if body.get("generate") is False else call  # only sent ahead


class Ran(NamedTuple):
    """What a command left."""

    code: int
    stdout: str
    stderr: str
    requests: list[Seen]

    @property
    def calls(self) -> list[Call]:
        """The model calls that reached the providers, sorted."""
        return sorted(call for seen in self.requests if (call := seen.call))


def environ_of(cli: CLI, folder: Path) -> dict[str, str]:
    """All of a client's environment: a home of its own, and trust in the fake provider's authority."""
    trusted = dict.fromkeys(TRUST, str(folder / "ca.pem"))
    terminal = {"LANG": "C.UTF-8", "TERM": "xterm-256color", "COLORTERM": "truecolor", "NO_COLOR": "1"}
    return {
        "PATH": PATH,
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "home"),
        **terminal,
        **trusted,
        **cli.environ,
    }


def run_cli(cli: CLI, folder: Path, before: Sequence[str] = (), **environ: str) -> Ran:
    """Runs a client in `folder`, which is its own; `before` is a command that starts the client's, if any."""
    for name, text in cli.files.items():
        (folder / "home" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "home" / name).write_text(text)
    return run([*before, *cli.command], environ_of(cli, folder) | environ, folder, cli.play)


def run(command: Sequence[str], environ: Mapping[str, str], folder: Path, play: Play | None = None) -> Ran:
    """Runs any command with just `environ`, in `folder`/work; the output is made comparable with other runs'.

    Raises `subprocess.TimeoutExpired` when it takes too long; nothing that it started survives that.
    """
    work = folder / "work"
    for directory in (work, folder / "home"):
        directory.mkdir(exist_ok=True)
    task = {"command": command, "environ": environ, "directory": str(work), "play": asdict(play or Play())}
    (folder / "task.json").write_text(json.dumps(task))
    inside = [*UNSHARE, sys.executable, "-m", "interop.inside", str(folder)]
    streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True}
    ran = subprocess.run(inside, cwd=TESTS, **streams, timeout=SECONDS, check=False, preexec_fn=heed_signals)
    return Ran(ran.returncode, steady(ran.stdout, folder), steady(ran.stderr, folder), requests(folder))


def steady(text: str, folder: Path) -> str:
    """What a program printed, without what differs between any two runs."""
    text = text.replace(str(folder), "<folder>")
    for pattern, replacement in VOLATILE.items():
        text = re.sub(pattern, replacement, text)
    return text


def requests(folder: Path) -> list[Seen]:
    """What reached the providers, in the order of arrival."""
    log = folder / "requests.jsonl"
    return [seen(json.loads(line)) for line in log.read_text().splitlines()] if log.exists() else []


def seen(request: dict[str, Any]) -> Seen:
    headers = {name.lower(): value for name, value in request["headers"]}
    return Seen(request["number"], request["method"], request["path"], headers, request["body"])
