"""What differs between two runs that ask the same, and what stands in its place.

    ids that a provider or a client made up      <id>, <uuid>, <hex>
    moments                                      <time>
    the day of the run, in words or digits       <today 2026-11-21>: the day stays readable, and does not count
    temporary files, home, the working directory <tmp>, <home>, <cwd>
    ports of this machine                        localhost:<port>
    images and other binary content              <base64 … sha256 …>: a fingerprint, which does count

A date that is not that of the run is a part of the question, and stays. So does the name of a model, a tool or a
response that the server keeps (`previous_response_id`): where that is all that differs, another answer is wanted.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

FIELDS: Final = frozenset(
    {
        "prompt_cache_key",  # OpenAI: which cache is likely to have the prompt
        "safety_identifier",  # OpenAI: whom the program asks for
        "user_id",  # Anthropic's `metadata.user_id`: account, session
        "session_id",
        "user_prompt_id",  # Gemini CLI
        "tool_call_id",
        "tool_use_id",
        "toolUseId",
        "call_id",
        "signature",  # Anthropic: seals its thoughts
        "thoughtSignature",  # Gemini: the same
        "thought_signature",
        "encrypted_content",  # OpenAI: the same
    }
)
"""Fields whose strings never count."""
_CLIENT: Final = "client_metadata"
"""What codex says of its session, its turn and the machine."""
EXACT: Final = frozenset(
    {"model", "modelId", "previous_response_id", "previous_interaction_id", "conversation", "name"}
)
"""Fields whose strings always do, as they are."""
_HISTORY: Final = frozenset({"messages", "input", "contents"})
"""Where an `id` that tells nothing is that of an earlier answer, or a part of one."""
_OPAQUE: Final = re.compile(r"(?=[A-Za-z_\-]*[0-9])[A-Za-z0-9_\-]{8,}\Z")

_CLOCK: Final = r"\d{1,2}:\d{2}(?::\d{2})?(?:[.,]\d{1,9})?(?:\s?[AaPp]\.?[Mm]\b\.?)?"
_ZONE: Final = r"(?:\s?(?:Z\b|(?:GMT|UTC)(?:[+\-]\d{1,2}:?\d{0,2})?|[+\-]\d{2}:?\d{2})(?:\s\([A-Z][A-Za-z ]{2,40}\))?)?"
_PATTERNS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"), "<uuid>"),
    (
        re.compile(  # providers' ids: a kind, and what was drawn for it
            r"(?<![A-Za-z0-9_])(?:call|toolu|srvtoolu|tooluse|msg|resp|rs|fc|fco|ctc|ctco|ws|ig|ci|mcp|mcpl|lsh|ses|prt"
            r"|req|item|run|step|thread|chatcmpl|cmpl|gen|agent)[_\-](?:\d{1,3}_)?"
            r"(?=[A-Za-z]{0,24}[0-9])[A-Za-z0-9]{12,}(?![A-Za-z0-9])"
        ),
        "<id>",
    ),
    (  # of traces, sessions, commits
        re.compile(r"(?<![0-9A-Za-z])(?=[0-9]{0,64}[a-f])(?=[a-f]{0,64}[0-9])[0-9a-f]{16,}(?![0-9A-Za-z])"),
        "<hex>",
    ),
    (re.compile(rf"(?<![0-9A-Za-z\-])\d{{4}}-\d\d-\d\d[T ]{_CLOCK}{_ZONE}"), "<time>"),
    (re.compile(r"(?<![A-Za-z0-9])(localhost|127\.0\.0\.1|\[::1\]):\d{2,5}"), r"\1:<port>"),
    (re.compile(r"cch=[0-9a-f]{5};"), "cch=<hex>;"),  # claude's checksum of the request that it is in
    (re.compile(r"<duration_ms>\d+</duration_ms>"), "<duration_ms><time></duration_ms>"),  # claude's sub-agents
    (re.compile(r"(Wall time: )\d[\d.]* (?=seconds)"), r"\1<time> "),  # codex's commands
    (re.compile(r"(Chunk ID: )[0-9a-f]{6}\b"), r"\1<id>"),
    (re.compile(r"(?m)^([^\w\n]{0,8}OS Version: ).*$"), r"\1<system>"),  # what agents say of the machine
    (re.compile(r"(?m)^([^\w\n]{0,8}Platform: ).*$"), r"\1<system>"),
)
_EPOCH: Final = re.compile(r"(?<![\d.\-])[1-9]\d{9}(?:\d{3})?(?![\d.])")
_ENCODED: Final = re.compile(r"[A-Za-z0-9+/_\-]{512,}={0,2}")
_TODAY: Final = re.compile(r"<today [^<>\n]{1,80}>")
_OTHER: Final = re.compile(r"[^A-Za-z0-9]")
_DAY_SECONDS: Final = 86_400
_TMP_ENDS: Final = r"(?:/pytest-of-[^/\s\"'`<>]+/pytest-\d+|/[^/\s\"'`<>:,;)\]]*)?"
"""The first folder below is drawn; what is below that is the program's own naming."""

_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def undated(text: str) -> str:
    """Text in which `<today …>` says no more which day that was."""
    return _TODAY.sub("<today>", text)


def dated(text: str) -> str:
    """Text in which the day of the run stands as it was written."""
    return _TODAY.sub(lambda match: match[0][len("<today ") : -1], text)


class Here:
    """What is volatile now, in this process."""

    def __init__(self, now: datetime, places: tuple[tuple[str, str], ...]) -> None:
        self._now = now.timestamp()
        self._days = _days_around(now.date())
        self._years = {str((now + timedelta(offset)).year) for offset in (-1, 0, 1)}
        self._places = [(re.compile(re.escape(path) + ending), name) for path, name, ending in _endings(places)]

    def value(self, value: Any, within: str = "", *, in_history: bool = False) -> Any:
        """A JSON value; `within` is the name of the field that it is in."""
        if isinstance(value, str):
            return value if within in EXACT else "<id>" if within in FIELDS else self.text(value)
        if isinstance(value, dict):
            return {name: self._field(name, value, in_history=in_history) for name in value}
        if isinstance(value, list):
            return [self.value(item, within, in_history=in_history) for item in value]
        if isinstance(value, int | float) and not isinstance(value, bool) and self._is_now(value):
            return "<time>"
        return value

    def text(self, text: str) -> str:
        """Text with what is volatile in it replaced."""
        if len(text) >= 512:
            text = _ENCODED.sub(_fingerprint, text)
        for pattern, name in (*self._places, *_PATTERNS):
            text = pattern.sub(name, text)
        text = _EPOCH.sub(lambda match: "<time>" if self._is_now(int(match[0])) else match[0], text)
        if any(year in text for year in self._years):
            text = self._days.sub(lambda match: f"<today {match[0]}>", text)
        return text

    def _field(self, name: str, owner: dict[str, Any], *, in_history: bool) -> Any:
        value = owner[name]
        if name == _CLIENT:
            return "<client>"
        if name == "id" and in_history and isinstance(value, str) and _OPAQUE.match(value):
            return value if owner.get("type") == "item_reference" else "<id>"
        return self.value(value, name, in_history=in_history or name in _HISTORY)

    def _is_now(self, number: float) -> bool:
        """Whether a number is about the present time in seconds or milliseconds."""
        return any(abs(number / unit - self._now) < _DAY_SECONDS for unit in (1, 1000))


def here() -> Here:
    """What is volatile for this process at this time."""
    return _here(datetime.now().astimezone().replace(minute=0, second=0, microsecond=0), _places())


_here = lru_cache(maxsize=4)(Here)


def _places() -> tuple[tuple[str, str], ...]:
    """Paths of this machine and their names, the innermost first."""
    try:
        directory = os.getcwd()
    except OSError:  # it has been removed
        directory = ""
    found = {
        os.path.expanduser("~"): "<home>",
        **dict.fromkeys((tempfile.gettempdir(), "/tmp", "/private/tmp", "/var/tmp"), "<tmp>"),  # noqa: S108
        **dict.fromkeys((os.environ.get("PWD", ""), directory), "<cwd>"),
    }
    named = [(path, name) for path, name in found.items() if len(path) > 1]
    return tuple(sorted(named, key=lambda place: -len(place[0])))


def _endings(places: tuple[tuple[str, str], ...]) -> Iterator[tuple[str, str, str]]:
    """The same with what follows a path that is still a part of it; agents name folders after paths, with dashes."""
    for path, name in places:
        ending = _TMP_ENDS if name == "<tmp>" else ""
        yield path, name, ending + r"(?![A-Za-z0-9])"
        if path.count("/") > 1:
            yield _OTHER.sub("-", path), name, r"(?![A-Za-z0-9])"


def _days_around(today: date) -> re.Pattern[str]:
    """Today, and the days beside it: somewhere on Earth it is one of these."""
    days = [today + timedelta(offset) for offset in (-1, 0, 1)]
    forms = dict.fromkeys(form for day in days for form in _forms(day))
    weekday = rf"(?:(?:{'|'.join(_WEEKDAYS)})|(?:{'|'.join(name[:3] for name in _WEEKDAYS)})),?\s"
    return re.compile(
        rf"(?<![A-Za-z0-9\-/.])(?:{weekday})?(?:{'|'.join(forms)})(?:,?\s(?:at\s)?{_CLOCK}{_ZONE})?(?![0-9])"
    )


def _forms(day: date) -> Iterator[str]:
    """The ways in which a day is written, as patterns, longer ones first."""
    month, short = _MONTHS[day.month - 1], _MONTHS[day.month - 1][:3]
    number, year = rf"0?{day.day}(?:st|nd|rd|th)?", str(day.year)
    yield rf"(?:{month}|{short}\.?)\s{number}(?:,?\s{year}|\s{_CLOCK}\s(?:[A-Z]{{3,4}}\s)?{year})"
    yield rf"{number}\s(?:{month}|{short})\.?,?\s{year}"
    yield rf"{year}[-/.]0?{day.month}[-/.]0?{day.day}"
    yield rf"0?{day.month}/0?{day.day}/{year}"
    yield rf"0?{day.day}[./]0?{day.month}[./]{year}"
    yield rf"{month}\s{year}"


def _fingerprint(match: re.Match[str]) -> str:
    found = hashlib.sha256(match[0].encode()).hexdigest()[:16].upper()  # lower case would be an id
    return f"<base64, {len(match[0])} characters, sha256 {found}>"
