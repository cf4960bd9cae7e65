"""The public names: each is what its home defines, and none costs anything before it is asked for."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import subprocess
import sys

import pytest

import llmtrace_otel

HAS_LITELLM = importlib.util.find_spec("litellm") is not None
OF_LITELLM = {"LLMTraceCallback": "llmtrace_otel.instrument.litellm_callback"}
"""Names that only those ask for who have LiteLLM, and their homes."""
NAMES = [name for name in llmtrace_otel.__all__ if HAS_LITELLM or name not in OF_LITELLM]
HEAVY = ("opentelemetry.sdk", "msgspec", "wrapt", "rich", "httpx", "httpx2")


def is_at_home(name: str) -> bool:
    """Whether the package's `name` is what the module that defines it calls so: no submodule of that name hides it."""
    public = getattr(llmtrace_otel, name)
    return getattr(inspect.getmodule(public), name, None) is public


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_what_its_home_module_defines(name):
    assert is_at_home(name)


def test_public_names_stay_so_after_every_submodule_is_imported():
    for module in pkgutil.walk_packages(llmtrace_otel.__path__, "llmtrace_otel."):
        if HAS_LITELLM or module.name not in OF_LITELLM.values():
            importlib.import_module(module.name)

    assert [name for name in NAMES if not is_at_home(name)] == []


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'llmtrace_otel' has no attribute 'sesion'"):
        _ = llmtrace_otel.sesion


def test_importing_the_package_imports_nothing_heavy():
    program = f"import sys, llmtrace_otel; print([name for name in {HEAVY} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert ran.stdout == "[]\n"
