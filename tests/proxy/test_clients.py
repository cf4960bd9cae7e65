"""Real clients in the environment that a child is given: each uses the proxy by its credentials, and trusts the CA."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from local_tls import PERMITTED, ConnectProxy, running, serving, written

from llmtrace_otel.proxy.authority import Authority
from llmtrace_otel.proxy.environment import Offer, intercepted

URL = f"https://{PERMITTED}/"


class World(NamedTuple):
    """A proxy, the port of the server behind it, and the environment of a child that is to use both."""

    proxy: ConnectProxy
    server: int
    environ: dict[str, str]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    authority = Authority([PERMITTED])
    written(authority, tmp_path)
    with serving(authority, PERMITTED) as server:
        proxy = ConnectProxy(server, "id:token")
        with running(proxy) as port:
            offer = Offer(f"http://id:token@127.0.0.1:{port}", "id", "token", str(tmp_path), relay=False)
            yield World(proxy, server, intercepted(os.environ, os.environ, offer))


def run(command: list[str], environ: dict[str, str]) -> str:
    """What a client prints; its errors too, so that a failure says why."""
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


def installed(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


def test_curl(world: World):
    assert run([installed("curl"), "-sS", URL], world.environ) == "hello"
    assert world.proxy.hosts == [f"{PERMITTED}:443"]


PYTHON = {
    "urllib": "import urllib.request; print(urllib.request.urlopen({url!r}).read().decode(), end='')",
    "requests": "import requests; print(requests.get({url!r}).text, end='')",
    "httpx": "import httpx; print(httpx.get({url!r}).text, end='')",
    "httpx2": "import httpx2; print(httpx2.get({url!r}).text, end='')",
}


@pytest.mark.parametrize("library", PYTHON)
def test_python(world: World, library: str):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    assert run([sys.executable, "-c", PYTHON[library].format(url=URL)], world.environ) == "hello"
    assert world.proxy.hosts == [f"{PERMITTED}:443"]


BOTOCORE = """
from botocore.awsrequest import AWSRequest
from botocore.session import Session

client = Session().create_client("bedrock-runtime", "us-east-1", endpoint_url={url!r})
print(client._endpoint.http_session.send(AWSRequest("GET", {url!r}).prepare()).text, end="")
"""


def test_botocore(world: World):
    if importlib.util.find_spec("botocore") is None:
        pytest.skip("botocore is not installed")
    assert run([sys.executable, "-c", BOTOCORE.format(url=URL)], world.environ) == "hello"
    assert world.proxy.hosts == [f"{PERMITTED}:443"]


NODE = """
const [host, port] = process.argv.slice(1);
require("https").get({ host: "127.0.0.1", port, servername: host, headers: { host } }, (response) => {
  response.pipe(process.stdout);
}).on("error", (error) => console.log(error.message));
"""


def test_node_trusts_the_ca(world: World):
    """Its version 20 looks at no proxy, so it is led to the server itself."""
    assert run([installed("node"), "-e", NODE, PERMITTED, str(world.server)], world.environ) == "hello"
