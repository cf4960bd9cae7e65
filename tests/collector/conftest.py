"""Real collectors, as child processes on free ports."""

import socket
import subprocess

import pytest
from collector_helpers import Collector, command


@pytest.fixture
def collect(tmp_path):
    """Starts a collector in `tmp_path`, on a free port unless told otherwise; it ends with the test."""
    started = []

    def start(*arguments, endpoint="127.0.0.1:0"):
        process = subprocess.Popen(
            command("collect", "--endpoint", endpoint, *arguments), cwd=tmp_path, stderr=subprocess.PIPE, text=True
        )
        collector = Collector(process)
        started.append(process)
        collector.url = collector.wait_for("listening on").split()[2]
        return collector

    yield start
    for process in started:
        with process:
            process.kill()


@pytest.fixture
def free_port():
    """A port that nothing listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
