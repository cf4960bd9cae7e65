"""What a child finds in its environment. What the caller says itself wins over us; nobody's mapping is changed.

The caller says a variable itself when the child's differs from this process's own: a copy of `os.environ` with one
variable changed says one variable.

Environments are bytes here, as the system has them: to decode and encode all variables would take more time than all
else that is done for a child.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping
from typing import Any

Environment = dict[bytes, bytes]


def inherited() -> Mapping[bytes, bytes]:
    """This process's environment."""
    return getattr(os.environ, "_data", os.environb)


def environment(given: Mapping[Any, Any] | None) -> Environment:
    """A copy of a child's environment, `None` being this process's. Raises TypeError or AttributeError for none."""
    if given is None:
        return _handed_down()
    if given is os.environ:
        return dict(inherited())
    return {os.fsencode(name): os.fsencode(value) for name, value in given.items()}


def _handed_down() -> Environment:
    """What C gives to a child, with what C code and `os.putenv` have set, of which `os.environ` knows nothing."""
    variables = _variables_of_c()
    if variables is None:
        return dict(inherited())
    environ: Environment = {}
    for variable in _until_null(variables):
        name, equals, value = variable.partition(b"=")
        if equals:
            environ.setdefault(name, value)
    return environ


def _until_null(strings: Any) -> Iterator[bytes]:
    """The strings of an array that ends with a null pointer, or is one."""
    return iter(iter(strings).__next__, None) if strings else iter(())


@functools.cache
def _variables_of_c() -> Any:
    """C's `environ`, always as it is now; `None` where Python cannot read it."""
    try:
        import ctypes

        return ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
    except (ImportError, OSError, ValueError):
        return None


def as_text(environ: Environment) -> dict[str, str]:
    """The same, decoded as `os.environ` does."""
    return {os.fsdecode(name): os.fsdecode(value) for name, value in environ.items()}


def add_context(environ: Environment, carrier: Mapping[str, str]) -> None:
    """Puts a context in, as TRACEPARENT, TRACESTATE and BAGGAGE, in the place of the one that this process was given.

    Whoever names another parent for the child states its trace as a whole.
    """
    if not _says_itself(environ, b"TRACEPARENT"):
        _put(environ, b"TRACEPARENT", carrier.get("traceparent"))
        _put(environ, b"TRACESTATE", carrier.get("tracestate"))
    if not _says_itself(environ, b"BAGGAGE"):
        _put(environ, b"BAGGAGE", carrier.get("baggage"))


def _says_itself(environ: Environment, name: bytes) -> bool:
    return name in environ and environ[name] != inherited().get(name)


def _put(environ: Environment, name: bytes, value: str | None) -> None:
    if value is not None:
        environ[name] = os.fsencode(value)
    else:
        environ.pop(name, None)
