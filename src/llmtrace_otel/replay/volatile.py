"""What differs between two runs that ask the same, and what stands in its place.

    ids that a provider or a client made up      <id>, <uuid>, <hex>
    moments                                      <time>
    the day of the run, in words or digits       <today 2026-11-21>: the day stays readable, and does not count
    temporary files, home, the working directory <tmp>, <home>, <cwd>
    ports of this machine                        localhost:<port>
    images and other binary content              <base64 … sha256 …>: a fingerprint, which does count

A date that is not that of the run is a part of the question, and stays. So does the name of a model, a tool or a
response that the server keeps (`previous_response_id`): where that is all that differs, another answer is wanted.
What tools are called with and what they give is the program's own: no field's name means anything there.

An id or a moment in a text may be drawn anew by each run, or be what the question is about: nothing tells. What stood
there is kept aside (`drawn`), for a request that has all the same ones to be preferred.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

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
    {"model", "modelId", "previous_response_id", "previous_interaction_id", "conversation", "container", "name"}
)
"""Fields whose strings always do, as they are."""
_HISTORY: Final = frozenset({"messages", "input", "contents"})
"""Where an `id` that tells nothing is that of an earlier answer, or a part of one."""
_PAYLOADS: Final = frozenset({"args", "arguments", "response", "json"})
"""What a tool is called with, or has given, as an object: Gemini's, Bedrock's. `input` is, beside a tool's name."""
_PROTOCOL: Final = re.compile(r"message|reasoning|function|tool_use|.*_(?:call|call_output|tool_use|tool_result)")
"""Types of what has an `id` of an earlier answer."""
_OPAQUE: Final = re.compile(r"(?=[A-Za-z_\-]*[0-9])[A-Za-z0-9_\-]{8,}\Z")

_CLOCK: Final = r"\d{1,2}:\d{2}(?::\d{2})?(?:[.,]\d{1,9})?(?:\s?[AaPp]\.?[Mm]\b\.?)?"
_ZONE: Final = r"(?:\s?(?:Z\b|(?:GMT|UTC)(?:[+\-]\d{1,2}:?\d{0,2})?|[+\-]\d{2}:?\d{2})(?:\s\([A-Z][A-Za-z ]{2,40}\))?)?"


class _Pattern(NamedTuple):
    """Something volatile in a text."""

    hint: str
    """Is in each text that the pattern finds something in, and quick to look for."""
    found: str
    name: str
    """What stands in its place."""
    may_tell: bool = False
    """Whether it may be what the question is about."""


_SYSTEM: Final = r"(?:linux|darwin|macos|mac os|win32|windows|freebsd)\b.*"
_PATTERNS: Final = (
    _Pattern(
        r"-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-",
        r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
        "<uuid>",
        True,
    ),
    _Pattern(
        r"[_\-](?:[0-9]{1,3}_)?[A-Za-z0-9]{12}",
        # providers' ids: a kind, and what was drawn for it
        r"(?<![A-Za-z0-9_])(?:call|toolu|srvtoolu|tooluse|msg|resp|rs|fc|fco|ctc|ctco|ws|ig|ci|mcp|mcpl|lsh|ses|prt"
        r"|req|item|run|step|thread|chatcmpl|cmpl|gen|agent)[_\-](?:\d{1,3}_)?"
        r"(?=[A-Za-z]{0,24}[0-9])[A-Za-z0-9]{12,}(?![A-Za-z0-9])",
        "<id>",
        True,
    ),
    _Pattern(  # of traces, sessions, commits
        r"[0-9a-f]{16}",
        r"(?<![0-9A-Za-z])(?=[0-9]{0,64}[a-f])(?=[a-f]{0,64}[0-9])[0-9a-f]{16,}(?![0-9A-Za-z])",
        "<hex>",
        True,
    ),
    _Pattern(r"-\d\d-\d\d[T ]", rf"(?<![0-9A-Za-z\-])\d{{4}}-\d\d-\d\d[T ]{_CLOCK}{_ZONE}", "<time>", True),
    _Pattern(r":\d{2,5}", r"(?:(?<![A-Za-z0-9])(localhost|127\.0\.0\.1)|(\[::1\])):\d{2,5}", r"\1\2:<port>", True),
    _Pattern(r"cch=", r"cch=[0-9a-f]{5};", "cch=<hex>;"),  # claude's checksum of the request that it is in
    _Pattern(  # claude's sub-agents
        r"<duration_ms>", r"<duration_ms>\d+</duration_ms>", "<duration_ms><time></duration_ms>"
    ),
    _Pattern(r"Wall time: ", r"(Wall time: )\d[\d.]* (?=seconds)", r"\1<time> ", True),  # codex's commands
    _Pattern(r"Chunk ID: ", r"(Chunk ID: )[0-9a-f]{6}\b", r"\1<id>"),
    # what agents say of the machine
    _Pattern(r"OS Version: ", rf"(?mi)^([^\w\n]{{0,8}}OS Version: ){_SYSTEM}$", r"\1<system>", True),
    _Pattern(r"Platform: ", rf"(?mi)^([^\w\n]{{0,8}}Platform: ){_SYSTEM}$", r"\1<system>", True),
)
_COMPILED: Final = tuple((re.compile(one.hint), re.compile(one.found), one) for one in _PATTERNS)
_EPOCH: Final = re.compile(r"[1-9](?<![\d.\-].)\d{9}(?:\d{3})?(?![\d.])")
_ENCODED: Final = re.compile(r"[A-Za-z0-9+/_\-]{512,}={0,2}")
_TODAY: Final = re.compile(r"<today [^<>\n]{1,80}>")
_OTHER: Final = re.compile(r"[^A-Za-z0-9]")
_DAY_SECONDS: Final = 86_400
_TMP_ENDS: Final = (
    r"(?:/pytest-of-[^/\s\"'`<>]+/pytest-\d+|/tmp\.?[A-Za-z0-9_]{2,12}"
    r"|/[A-Za-z0-9_.\-]{0,40}?[_.\-](?=[a-z_]{0,11}[A-Z0-9])(?=[A-Z0-9_]{0,11}[a-z])[A-Za-z0-9_]{6,12})?"
)
"""A first name below that looks drawn, by `mkdtemp` and its like; any other is the program's own naming."""

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
        self._year = re.compile("|".join({str((now + timedelta(offset)).year)[:3] for offset in (-1, 1)}))
        self._places = [(re.compile(re.escape(path) + ending), name) for path, name, ending in _endings(places)]

    def value(self, value: Any, drawn: list[str], within: str = "", *, in_history: bool = False) -> Any:
        """A JSON value; `within` is the field that it is in. Adds to `drawn` what may have told something."""
        if isinstance(value, str):
            return value if within in EXACT else "<id>" if within in FIELDS else self.text(value, drawn)
        if isinstance(value, dict):
            return {name: self._field(name, value, drawn, in_history=in_history) for name in value}
        if isinstance(value, list):
            return [self.value(item, drawn, within, in_history=in_history) for item in value]
        return self._number(value)

    def text(self, text: str, drawn: list[str]) -> str:
        """Text with what is volatile in it replaced."""
        for pattern, name in self._places:
            text = pattern.sub(name, text)
        for hint, pattern, one in _COMPILED:
            if hint.search(text):
                if one.may_tell:
                    drawn += (match[0] for match in pattern.finditer(text))
                text = pattern.sub(one.name, text)
        text = _EPOCH.sub(lambda match: "<time>" if self._is_now(int(match[0])) else match[0], text)
        if self._year.search(text):
            text = self._days.sub(lambda match: f"<today {match[0]}>", text)
        return text

    def _field(self, name: str, owner: dict[str, Any], drawn: list[str], *, in_history: bool) -> Any:
        value = owner[name]
        if in_history and _is_payload(name, owner):
            return self._payload(value, drawn)
        if name == _CLIENT:
            return "<client>"
        if name == "id" and in_history and _is_of_an_answer(value, owner):
            return "<id>"
        return self.value(value, drawn, name, in_history=in_history or name in _HISTORY)

    def _payload(self, value: Any, drawn: list[str]) -> Any:
        """A value of the program's own, whose fields are called as it likes."""
        if isinstance(value, str):
            return self.text(value, drawn)
        if isinstance(value, dict):
            return {name: self._payload(item, drawn) for name, item in value.items()}
        if isinstance(value, list):
            return [self._payload(item, drawn) for item in value]
        return self._number(value)

    def _number(self, value: Any) -> Any:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return "<time>" if is_number and self._is_now(value) else value

    def _is_now(self, number: float) -> bool:
        """Whether a number is about the present time in seconds or milliseconds."""
        return any(abs(number / unit - self._now) < _DAY_SECONDS for unit in (1, 1000))


def _is_payload(name: str, owner: dict[str, Any]) -> bool:
    """Whether a field of a history is what a tool is called with, or has given."""
    return name in _PAYLOADS or (name == "input" and "name" in owner and "role" not in owner)


def _is_of_an_answer(value: Any, owner: dict[str, Any]) -> bool:
    """Whether an `id` is that of an earlier answer or a part of it, which tells nothing."""
    kind = owner.get("type", "message" if "role" in owner or "name" in owner else None)
    return isinstance(value, str) and isinstance(kind, str) and bool(_PROTOCOL.fullmatch(kind) and _OPAQUE.match(value))


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


def fingerprinted(value: Any) -> Any:
    """A JSON value with a fingerprint in the place of each long encoded text, which then need not be read again."""
    if isinstance(value, str):
        return _ENCODED.sub(_fingerprint, value) if len(value) >= 512 else value
    if isinstance(value, dict):
        return {name: fingerprinted(item) for name, item in value.items()}
    return [fingerprinted(item) for item in value] if isinstance(value, list) else value


def _fingerprint(match: re.Match[str]) -> str:
    found = hashlib.sha256(match[0].encode()).hexdigest()[:16].upper()  # lower case would be an id
    return f"<base64, {len(match[0])} characters, sha256 {found}>"
