"""Annotations of GitHub Actions: a line of output that is shown at a line of a file, and above the log.

https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from __future__ import annotations

from typing import Final, Literal

MAX_ANNOTATIONS: Final = 10
"""GitHub shows no more of a step."""


def annotation(level: Literal["error", "warning"], title: str, message: str, *, file: str = "", line: int = 0) -> str:
    """The command that annotates. `line` is counted from 1; 0 is no line, and then no file either."""
    at = {"file": file, "line": str(line)} if line else {}
    properties = ",".join(f"{name}={_property(value)}" for name, value in {**at, "title": title}.items())
    return f"::{level} {properties}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
