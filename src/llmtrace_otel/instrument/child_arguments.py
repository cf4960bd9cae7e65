"""A child's arguments as they may be recorded: only when LLMTRACE_CHILD_ARGS=1 asks for them, and without secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from llmtrace_otel.telemetry.secrets import REDACTED, scrubbed

_NAMES: Final = "api[_-]?key|key|token|secret|pass|password|passwd|passphrase|credentials?|auth"
_SENSITIVE: Final = rf"--?(?:[A-Za-z0-9]{{1,32}}[_-]){{0,6}}(?:{_NAMES})"
_OPTION: Final = re.compile(rf"{_SENSITIVE}\Z", re.IGNORECASE)
"""An option whose value, the next argument, is a secret."""
_OPTION_IN_TEXT: Final = re.compile(rf"(?<!\S)({_SENSITIVE}(?:=|\s{{1,8}}))(\"[^\"]*\"?|'[^']*'?|\S+)", re.IGNORECASE)
"""The same within a shell's command line, or with its value behind `=`."""
_USER: Final = re.compile(r"(?<!\S)(--?(?:u|user|proxy-user)(?:=|\s{1,8})[\"']?[^\s:\"']{0,64}:)[^\s\"']+")
"""curl's `-u name:password`."""
_USERS: Final = ("-u", "--user", "--proxy-user")
_IN_URL: Final = re.compile(r"(://)[^\s/@\"'<>]{1,256}@")


def recordable(arguments: Iterable[Any]) -> list[str]:
    """The arguments as text, with `[redacted]` in the place of secrets. Raises TypeError for what is no argument."""
    return list(_without_secrets(os.fsdecode(argument) for argument in arguments))


def _without_secrets(arguments: Iterable[str]) -> Iterator[str]:
    option = ""
    for argument in arguments:
        if _OPTION.match(option):
            yield REDACTED
        elif option in _USERS and ":" in argument:
            yield argument.partition(":")[0] + ":" + REDACTED
        else:
            yield _scrubbed(argument)
        option = argument


def _scrubbed(argument: str) -> str:
    text = _IN_URL.sub(rf"\1{REDACTED}@", argument)
    text = _OPTION_IN_TEXT.sub(rf"\1{REDACTED}", text)
    return scrubbed(_USER.sub(rf"\1{REDACTED}", text))
