"""Put on PYTHONPATH by `llmtrace run`: instruments a Python program that has llmtrace-otel installed, silently.

In an environment that has not, nothing happens, and the proxy sees the program's calls. What else is called
`sitecustomize` on the path is run as if this one were not there.
"""

import importlib.machinery
import importlib.util
import os
import sys


def instrument() -> None:
    """As `opentelemetry-instrument` does, where it would find us."""
    if importlib.util.find_spec("llmtrace_otel") is None:
        return
    try:
        from opentelemetry.instrumentation.auto_instrumentation import initialize
    except ImportError:
        return
    initialize()


def run_shadowed() -> None:
    """Runs the `sitecustomize` that this one hides, if there is one."""
    own = os.path.dirname(os.path.abspath(__file__))
    path = [entry for entry in sys.path if os.path.abspath(entry or ".") != own]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", path)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


instrument()
run_shadowed()
