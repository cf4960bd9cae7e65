"""Starts a child in every way that Python has, each in a session named after it."""

import asyncio
import multiprocessing
import os
import pty
import shlex
import subprocess
import sys

from calls import curl

from llmtrace_otel import session

COMMAND = curl(options=("--output", "/dev/null"))


def run() -> None:
    subprocess.run(COMMAND, check=True)


def system() -> None:
    os.system(shlex.join(COMMAND))


def popen() -> None:
    os.popen(shlex.join(COMMAND)).read()


def posix_spawn() -> None:
    os.waitpid(os.posix_spawn("/usr/bin/env", ["env", *COMMAND], os.environ), 0)


def spawnvp() -> None:
    os.spawnvp(os.P_WAIT, COMMAND[0], COMMAND)


def fork_and_exec() -> None:
    pid = os.fork()
    if pid == 0:
        os.execvp(COMMAND[0], COMMAND)
    os.waitpid(pid, 0)


def in_terminal() -> None:
    pty.spawn(COMMAND)


async def awaited() -> None:
    await (await asyncio.create_subprocess_exec(*COMMAND)).wait()
    await (await asyncio.create_subprocess_shell(shlex.join(COMMAND))).wait()


def asyncio_loop() -> None:
    asyncio.run(awaited())


def uvloop_loop() -> None:
    import uvloop

    uvloop.run(awaited())


def process(method: str) -> None:
    child = multiprocessing.get_context(method).Process(target=run)
    child.start()
    child.join()


WAYS = (run, system, popen, posix_spawn, spawnvp, fork_and_exec, in_terminal, asyncio_loop, uvloop_loop)

if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    for way in WAYS:
        with session(way.__name__):
            way()
    for method in ("fork", "spawn", "forkserver"):
        with session(method):
            process(method)
