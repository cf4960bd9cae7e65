"""Child processes: a span for each program that this one starts, whose context the child gets in its environment.

    child_wrappers.py        what is wrapped: `subprocess`, `os`, `pty`, uvloop, `multiprocessing`
    child_start.py           one start: its span, its environment, what becomes of it
    child_environment.py     what a child finds in its environment
    children.py              the life of a child from its start to its end, however it is waited for
    child_watch.py           notices when children end (Linux)

Not seen: a bare `os.fork`, whose child is the same program in the same context; programs that C code starts; anything
on Windows. A process of `multiprocessing` that is not instrumented itself is not led to the proxy.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from llmtrace_otel.instrument.lazy import LazyInstrumentor, Wrappers


class SubprocessInstrumentor(LazyInstrumentor):
    """Traces child processes. `instrument` takes a `tracer_provider`."""

    modules = (
        ("os", "subprocess", "pty", "uvloop", "multiprocessing.process", "multiprocessing.popen_fork")
        if os.name == "posix"
        else ()
    )

    def make_wrappers(self, options: Mapping[str, Any]) -> Wrappers:
        from llmtrace_otel.instrument.child_wrappers import ChildWrappers

        return ChildWrappers(options)
