"""Server-sent events, with every liberty that the standard leaves to a server."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Set


@dataclass(frozen=True)
class Event:
    """One event: `data` is a JSON value, or the literal text of the data line when it is a string."""

    data: dict[str, Any] | str
    name: str | None = None


DONE = Event("[DONE]")


def frame(event: Event, modes: Set[str]) -> bytes:
    """The bytes of one event with its closing blank line, in the line ends and spacing that `modes` asks for."""
    space = "" if "nosp" in modes else " "
    newline = "\r\n" if "crlf" in modes else "\r" if "cr" in modes else "\n"
    data = event.data if isinstance(event.data, str) else compact(event.data)
    lines = [": keep-alive", ""] if "comments" in modes else []
    lines += [f"event:{space}{event.name}"] if event.name else []
    lines += [f"data:{space}{data}", "", ""]
    return newline.join(lines).encode()


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
