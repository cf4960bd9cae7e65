"""Profiles as a file to commit: JSON with a number a line and sorted keys, so that a review shows what changed."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any, Final

import msgspec

from llmtrace_otel.check.errors import RuleError
from llmtrace_otel.check.profile import Profile

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION: Final = 1


def write_profiles(path: str | os.PathLike[str], profiles: Mapping[str, Profile]) -> None:
    """Writes profiles by key, all or nothing: a reader finds the old file or the new one. Raises OSError."""
    document = {"version": VERSION, "profiles": {key: msgspec.to_builtins(profiles[key]) for key in sorted(profiles)}}
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    target = Path(os.path.realpath(path))
    with NamedTemporaryFile("w", encoding="utf-8", newline="\n", dir=target.parent, delete=False) as stream:
        try:
            stream.write(text)
            stream.close()
            os.chmod(stream.name, _mode(target))
            os.replace(stream.name, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(stream.name)
            raise


def read_profiles(path: str | os.PathLike[str]) -> dict[str, Profile]:
    """Profiles by key. Raises RuleError, which names the line, for a damaged file; OSError if it cannot be read."""
    name = os.fspath(path)
    try:
        text = Path(name).read_text("utf-8")
        document = json.loads(text)
    except UnicodeDecodeError:
        raise RuleError(f"{name} is no UTF-8 text; {_REWRITE}") from None
    except json.JSONDecodeError as error:
        raise RuleError(f"{name}, line {error.lineno}: no JSON: {error.msg}; {_REWRITE}") from None
    except ValueError as error:  # a number with thousands of digits
        raise RuleError(f"{name}: {error}; {_REWRITE}") from None
    except RecursionError:
        raise RuleError(f"{name} is nested too deep to be a baseline; {_REWRITE}") from None
    return {key: _profile(held, key, name, text) for key, held in _held(document, name).items()}


_REWRITE: Final = "restore it, or delete it and record it anew"


def _held(document: Any, name: str) -> dict[str, Any]:
    version = document.get("version") if isinstance(document, dict) else None
    held = document.get("profiles") if isinstance(document, dict) else None
    if version is None or not isinstance(held, dict):
        raise RuleError(f'{name} is no baseline: it lacks "version" or "profiles"; {_REWRITE}')
    if version != VERSION:
        raise RuleError(f"{name} is a baseline of version {version!r}, this llmtrace reads {VERSION}; {_REWRITE}")
    return held


def _profile(held: Any, key: str, name: str, text: str) -> Profile:
    try:
        return msgspec.convert(held, Profile)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        line = _line(text, key)
        at = f" {where.strip('`.')}:" if where.strip("`.") else ""
        raise RuleError(f"{name}, line {line}, {key}:{at} {what}; {_REWRITE}") from None


def _line(text: str, key: str) -> int:
    """The line of a profile's key."""
    found = text.find(json.dumps(key, ensure_ascii=False))
    return text.count("\n", 0, found) + 1


def _mode(target: Path) -> int:
    """The permissions of the file that is replaced; else those that a new file gets."""
    try:
        return target.stat().st_mode & 0o777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask
