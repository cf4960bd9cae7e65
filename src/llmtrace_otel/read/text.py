"""Numbers and names as people read them: short, and never more than is known.

An absent number is `–`, a cost that nobody knows is `?`; neither is ever shown as 0. Names come from recorded traffic,
so `clean` takes out whatever could move a terminal's cursor, colour its text or reverse its direction.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Final

ABSENT: Final = "–"
UNKNOWN: Final = "?"
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def clean(text: str, limit: int = 200) -> str:
    """Printable text of at most `limit` characters: spaces for white space, `�` for any other control character."""
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else " " if char.isspace() else "�" for char in text)


def tokens(count: int | None) -> str:
    """`850`, `1.2k`, `24k`, `3.1M`; `–` if absent."""
    if count is None:
        return ABSENT
    if count < 1000:
        return str(count)
    size, unit = (count / 1e3, "k") if count < 999_500 else (count / 1e6, "M")
    return f"{size:.1f}{unit}" if size < 9.95 else f"{size:.0f}{unit}"


def flow(into: int | None, out: int | None) -> str:
    """`1.2k→85`, `12→–`; a single `–` if neither is known."""
    return ABSENT if into is None and out is None else f"{tokens(into)}→{tokens(out)}"


def share(part: int | None, whole: int | None) -> str:
    """`46%`; `–` if either is absent or there is no whole."""
    return ABSENT if part is None or not whole else f"{part / whole:.0%}"


def money(usd: float | None) -> str:
    """US dollars to four significant digits, cents always: `$0.02271`, `$12.50`, `$1234.57`; `–` if absent."""
    if usd is None:
        return ABSENT
    if usd == 0 or usd >= 1000:
        return f"${usd:.2f}"
    if usd < 1e-5:
        return f"${usd:.4g}"
    decimals = max(2, 3 - math.floor(math.log10(usd)))
    whole, _, fraction = f"{usd:.{decimals}f}".partition(".")
    return f"${whole}.{fraction.rstrip('0').ljust(2, '0')}"


def size(count: int) -> str:
    """Bytes: `850 B`, `12.3 kB`, `4.0 MB`."""
    if count < 1000:
        return f"{count} B"
    number, unit = (count / 1e3, "kB") if count < 999_950 else (count / 1e6, "MB")
    return f"{number:.1f} {unit}"


def seconds(duration: float | None) -> str:
    """`45ms`, `8.4s`, `2m05s`, `1h02m`; `–` if absent."""
    if duration is None:
        return ABSENT
    if duration < 0.9995:
        return f"{duration * 1000:.0f}ms"
    if duration < 99.95:
        return f"{duration:.1f}s"
    minutes, rest = divmod(round(duration), 60)
    return f"{minutes}m{rest:02}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02}m"


def moment(nanos: int) -> datetime | None:
    """Nanoseconds since 1970 as UTC; None for 0, which means not recorded."""
    return EPOCH + timedelta(microseconds=nanos // 1000) if nanos else None


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
