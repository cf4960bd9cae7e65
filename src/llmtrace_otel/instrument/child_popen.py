"""`subprocess.Popen`, on which most of Python's ways to start a child are built, and uvloop's own way."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from llmtrace_otel.instrument import children
from llmtrace_otel.instrument.child_environment import Environment
from llmtrace_otel.instrument.child_start import Program, Start, Starter, shell

_ARGS, _EXECUTABLE, _SHELL, _CWD, _ENV = 0, 2, 8, 9, 10
"""Where these arguments of `Popen` are when they are given by position."""


def popen(starter: Starter, original: Callable[..., None]) -> Callable[..., None]:
    """Wraps `Popen.__init__`."""

    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        start = starter.begin(lambda: _program(args, kwargs), _argument(args, kwargs, _ENV, "env"))
        if start is None:
            return original(self, *args, **kwargs)
        with start:
            original(self, *_with_environment(args, kwargs, start.environ), **kwargs)
            start.started(self.pid)
        return None

    return init


def _argument(args: tuple[Any, ...], kwargs: Mapping[str, Any], position: int, name: str) -> Any:
    return args[position] if len(args) > position else kwargs.get(name)


def _with_environment(args: tuple[Any, ...], kwargs: dict[str, Any], environ: Environment) -> tuple[Any, ...]:
    """The positional arguments with this environment, or the same ones when it is put among the others."""
    if len(args) > _ENV:
        return (*args[:_ENV], environ, *args[_ENV + 1 :])
    kwargs["env"] = environ
    return args


def _program(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Program | None:
    command = _argument(args, kwargs, _ARGS, "args")
    if command is None:
        return None
    if isinstance(command, str | bytes | os.PathLike):
        command = [command]
    executable = _argument(args, kwargs, _EXECUTABLE, "executable")
    directory = _argument(args, kwargs, _CWD, "cwd")
    if _argument(args, kwargs, _SHELL, "shell"):
        return shell(command if isinstance(command, Sequence) else (), executable or "/bin/sh", directory)
    if executable is None:
        executable = command[0] if isinstance(command, Sequence) and command else ""
    return Program.of(executable, command, directory=directory)


def loop_exec(starter: Starter, original: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps `subprocess_exec` of uvloop's `Loop`."""

    @functools.wraps(original)
    async def run(self: Any, protocol_factory: Any, program: Any, *args: Any, **kwargs: Any) -> Any:
        start = starter.begin(lambda: _of_loop([program, *args], kwargs), kwargs.get("env"))
        if start is None:
            return await original(self, protocol_factory, program, *args, **kwargs)
        kwargs["env"] = start.environ
        return await _started(start, protocol_factory, lambda make: original(self, make, program, *args, **kwargs))

    return run


def loop_shell(starter: Starter, original: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps `subprocess_shell` of uvloop's `Loop`."""

    @functools.wraps(original)
    async def run(self: Any, protocol_factory: Any, cmd: Any, **kwargs: Any) -> Any:
        start = starter.begin(lambda: shell([cmd]), kwargs.get("env"))
        if start is None:
            return await original(self, protocol_factory, cmd, **kwargs)
        kwargs["env"] = start.environ
        return await _started(start, protocol_factory, lambda make: original(self, make, cmd, **kwargs))

    return run


def _of_loop(arguments: list[Any], kwargs: Mapping[str, Any]) -> Program:
    return Program.of(kwargs.get("executable") or arguments[0], arguments, directory=kwargs.get("cwd"))


async def _started(start: Start, protocol_factory: Any, run: Callable[[Any], Any]) -> Any:
    """Runs the child, and has its protocol tell of its end: libuv waits for it where Python does not see it."""
    transport: Any = None

    def exited() -> None:
        if transport is not None:
            children.ended(transport.get_pid(), transport.get_returncode())

    with start:
        transport, protocol = await run(lambda: _telling(protocol_factory(), exited))
        start.started(transport.get_pid(), transport.get_returncode())
    return transport, protocol


def _telling(protocol: Any, exited: Callable[[], None]) -> Any:
    """The same protocol, which now also tells us that the child has exited."""
    told = protocol.process_exited

    def process_exited() -> None:
        exited()
        told()

    with suppress(AttributeError):  # an object that takes no attributes
        protocol.process_exited = process_exited
    return protocol
