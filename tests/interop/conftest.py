"""What the tests of this package share: a namespace to run in, and each client's run by itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .clis import CLI, absent
from .namespace import refusal
from .runs import Ran, run_cli


@pytest.fixture(autouse=True)
def namespace() -> None:
    """Skips what needs a network namespace where there can be none."""
    if reason := refusal():
        pytest.skip(reason)


@pytest.fixture(scope="session")
def directly(tmp_path_factory: pytest.TempPathFactory) -> Callable[[CLI], Ran]:
    """Runs a client with nothing of ours around it, once for all tests; skips when it is not installed."""
    done: dict[str, Ran] = {}

    def run(cli: CLI) -> Ran:
        if reason := absent(cli):
            pytest.skip(reason)
        if cli.name not in done:
            done[cli.name] = run_cli(cli, tmp_path_factory.mktemp(cli.name))
        return done[cli.name]

    return run
