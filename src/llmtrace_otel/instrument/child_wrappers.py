"""What is wrapped to see children start and end, module by module. `subprocess.py` tells the whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from llmtrace_otel.instrument import (
    child_exec,
    child_multiprocessing,
    child_popen,
    child_pty,
    child_spawn,
    child_wait,
)
from llmtrace_otel.instrument.child_start import Starter
from llmtrace_otel.instrument.lazy import Wrappers


class ChildWrappers(Wrappers):
    """The wrappers of each module, put in when it is imported."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self._starter = Starter(self)
        self._added: list[tuple[type, str, Any]] = []

    def wrap(self, module: ModuleType) -> None:
        getattr(self, "_wrap_" + module.__name__.replace(".", "_"))(module)

    def restore(self) -> None:
        super().restore()
        for owner, name, ours in self._added:
            if vars(owner).get(name) is ours:
                delattr(owner, name)
        self._added.clear()

    def _add(self, owner: type, name: str, attribute: Any) -> None:
        """Gives a class an attribute that it has not, or has from its base."""
        setattr(owner, name, attribute)
        self._added.append((owner, name, attribute))

    def _put(self, owner: Any, name: str, wrap: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Puts `wrap(starter, original, …)` in the place of what is there, if anything is."""
        if hasattr(owner, name):
            self.replace(owner, name, lambda original: wrap(self._starter, original, *args, **kwargs))

    def _wrap_os(self, module: ModuleType) -> None:
        for name in ("waitpid", "wait4"):
            self.replace(module, name, child_wait.waitpid)
        for name in ("wait", "wait3"):
            self.replace(module, name, child_wait.wait)
        if hasattr(module, "waitid"):
            self.replace(module, "waitid", child_wait.waitid)
        self._wrap_starts(module)

    def _wrap_starts(self, module: Any) -> None:
        posix_spawn, execve = module.posix_spawn, module.execve
        spawnve, spawnvpe = module.spawnve, module.spawnvpe
        self._put(module, "system", child_spawn.system, posix_spawn)
        self._put(module, "posix_spawn", child_spawn.posix_spawn, searched=False)
        self._put(module, "posix_spawnp", child_spawn.posix_spawn, searched=True)
        self._put(module, "spawnv", child_spawn.spawnv, spawnve, searched=False)
        self._put(module, "spawnvp", child_spawn.spawnv, spawnvpe, searched=True)
        self._put(module, "spawnve", child_spawn.spawnve, searched=False)
        self._put(module, "spawnvpe", child_spawn.spawnve, searched=True)
        self._put(module, "execv", child_exec.execv, execve)
        self._put(module, "execve", child_exec.execve)

    def _wrap_subprocess(self, module: Any) -> None:
        self._put(module.Popen, "__init__", child_popen.popen)
        self._add(module.Popen, "returncode", child_wait.ReturnCode())

    def _wrap_pty(self, module: ModuleType) -> None:
        self._put(module, "fork", child_pty.fork)
        self._put(module, "spawn", child_pty.spawn)

    def _wrap_uvloop(self, module: Any) -> None:
        for name, wrap in (("subprocess_exec", child_popen.loop_exec), ("subprocess_shell", child_popen.loop_shell)):
            self._add(module.Loop, name, wrap(self._starter, getattr(module.Loop, name)))

    def _wrap_multiprocessing_process(self, module: Any) -> None:
        self._put(module.BaseProcess, "start", child_multiprocessing.start)
        self._put(module.BaseProcess, "_bootstrap", child_multiprocessing.bootstrap)

    def _wrap_multiprocessing_popen_fork(self, module: Any) -> None:
        self._add(module.Popen, "returncode", child_wait.ReturnCode())
