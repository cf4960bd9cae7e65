"""A proxy for each test, and names that lead to this machine."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from world import OPENED, UNOPENED, World, secured

from provider import Provider

LOCAL = (OPENED, UNOPENED, "metadata.example")
_getaddrinfo = socket.getaddrinfo


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names of the tests lead to 127.0.0.1, and one of them where clouds keep metadata."""

    def resolve(host, port, *args, **kwargs):
        if host == "metadata.example":
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", port))]
        return _getaddrinfo("127.0.0.1" if host in (OPENED, UNOPENED) else host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.fixture
def world(names: None, tmp_path: Path) -> Iterator[World]:
    """A proxy that one child may use."""
    with World(tmp_path) as world:
        yield world


@pytest.fixture
def openai(world: World) -> Iterator[int]:
    """The port of a provider that passes for api.openai.com."""
    provider = Provider()
    port = secured(provider, world.ca.context(OPENED))
    with provider:
        yield port
