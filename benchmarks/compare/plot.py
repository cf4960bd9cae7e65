"""The pictures, drawn as SVG by hand, readable on light and dark pages: bars, and lines on logarithmic axes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise
from typing import NamedTuple, Protocol

WIDTH, LABELS, VALUES = 760, 250, 60
"""Of a picture, of what is left of the bars, and of what is right of them."""
THICK, APART = 14, 10
"""Of a bar, and between those of two labels."""
COLOURS = {"off": "#3a78b5", "on": "#d98032", "delta": "#4b9b5f"}
OURS = "#c0392b"
STYLE = (
    "<style>text{font:12px sans-serif;fill:#777}.t{font-size:14px;font-weight:bold}"
    f".ours{{font-weight:bold;fill:{OURS}}}</style>"
)


class Bar(NamedTuple):
    """The values of one label, by series, whose name gives the colour; `ours` is drawn apart."""

    label: str
    values: dict[str, float]
    ours: bool = False


class Scale(Protocol):
    """Where a value is drawn."""

    origin: float
    """The value that bars start from."""

    def at(self, value: float) -> float: ...

    def ticks(self) -> list[float]: ...


class Logarithmic:
    """From the power of ten below the least value to the one above the most; bars start from `origin`."""

    def __init__(self, values: Sequence[float], start: float, end: float, origin: float = 1.0) -> None:
        self.origin = origin
        self.low = math.floor(math.log10(min(values)))
        self.high = max(math.ceil(math.log10(max(values))), self.low + 1)
        self._start, self._end = start, end

    def at(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self._start + share * (self._end - self._start)

    def ticks(self) -> list[float]:
        return [10.0**power for power in range(self.low, self.high + 1)]


class Linear:
    """From zero to a round number that is above the most."""

    origin = 0.0

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        most = max([*values, 1e-9])
        power = 10.0 ** math.floor(math.log10(most))
        self._step = next(step * power for step in (0.2, 0.5, 1, 2) if most <= 5 * step * power)
        self._end_value = self._step * math.ceil(most / self._step - 1e-9)
        self._start, self._end = start, end

    def at(self, value: float) -> float:
        return self._start + value / self._end_value * (self._end - self._start)

    def ticks(self) -> list[float]:
        return [self._step * number for number in range(round(self._end_value / self._step) + 1)]


def ratios(title: str, across: str, found: Sequence[Bar]) -> str:
    """Bars that start from 1, on a logarithmic axis. Values are positive."""
    return _bars(title, across, found, Logarithmic([1.0, *_values(found)], LABELS, WIDTH - VALUES))


def amounts(title: str, across: str, found: Sequence[Bar]) -> str:
    """Bars that start from 0. Values are not negative."""
    return _bars(title, across, found, Linear(_values(found), LABELS, WIDTH - VALUES))


def _values(found: Iterable[Bar]) -> list[float]:
    return [value for bar in found for value in bar.values.values()]


def _bars(title: str, across: str, found: Sequence[Bar], scale: Scale) -> str:
    """Horizontal bars, the least first."""
    series = list(dict.fromkeys(name for bar in found for name in bar.values))
    top, parts = 34, []
    if len(series) > 1:
        parts += _legend(series)
        top += 20
    start, bottom = top, top
    for bar in sorted(found, key=lambda bar: min(bar.values.values())):
        kind, middle = "ours" if bar.ours else "", bottom + APART / 2 + THICK * len(bar.values) / 2
        parts.append(_text(LABELS - 8, middle + 4, bar.label, kind, "end"))
        for number, (name, value) in enumerate(bar.values.items()):
            parts += _bar(scale, value, bottom + APART / 2 + THICK * number, COLOURS.get(name, COLOURS["off"]), kind)
        bottom += round(THICK * len(bar.values) + APART)
    grid = []
    for tick in scale.ticks():
        grid.append(_line(scale.at(tick), start, scale.at(tick), bottom, strong=tick == scale.origin))
        grid.append(_text(scale.at(tick), bottom + 16, _tick(tick), anchor="middle"))
    named = [_text(10, 20, title, "t"), _text((LABELS + WIDTH - VALUES) / 2, bottom + 34, across, anchor="middle")]
    return _svg(bottom + 44, [*named, *grid, *parts])


def _bar(scale: Scale, value: float, top: float, colour: str, kind: str) -> list[str]:
    left, right = sorted((scale.at(scale.origin), scale.at(value)))
    width = max(2.0, right - left)
    return [
        f'<rect x="{left:.1f}" y="{top + 1:.1f}" width="{width:.1f}" height="{THICK - 2}" fill="{colour}"/>',
        _text(left + width + 5, top + THICK - 3, shown(value), kind),
    ]


def shown(value: float) -> str:
    """Three digits, or all of a whole number's."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _tick(value: float) -> str:
    return f"{value:,.12g}"


def _legend(series: Iterable[str]) -> list[str]:
    parts, left = [], LABELS
    for name in series:
        parts.append(f'<rect x="{left}" y="32" width="12" height="12" fill="{COLOURS.get(name, "#888")}"/>')
        parts.append(_text(left + 17, 42, f"content {name}"))
        left += 120
    return parts


def lines(title: str, series: dict[str, list[tuple[float, float]]], across: str) -> str:
    """One line per series, both axes logarithmic; points are positive. A series' colour is that of its last word."""
    points = [point for line in series.values() for point in line]
    left, right, top, bottom = 90, WIDTH - 200, 40, 300
    x = Logarithmic([point[0] for point in points], left, right)
    y = Logarithmic([point[1] for point in points], bottom, top)
    parts = [_text(10, 20, title, "t"), _text((left + right) / 2, bottom + 36, across, anchor="middle")]
    for tick in x.ticks():
        parts += [
            _line(x.at(tick), top, x.at(tick), bottom),
            _text(x.at(tick), bottom + 16, _tick(tick), anchor="middle"),
        ]
    for tick in y.ticks():
        parts += [_line(left, y.at(tick), right, y.at(tick)), _text(left - 8, y.at(tick) + 4, _tick(tick), "", "end")]
    heights = apart([y.at(line[-1][1]) for line in series.values()])
    for (name, line), height in zip(series.items(), heights, strict=True):
        colour = COLOURS.get(name.rpartition(" ")[2], "#888")
        path = " ".join(f"{x.at(across_):.1f},{y.at(value):.1f}" for across_, value in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{x.at(across_):.1f}" cy="{y.at(value):.1f}" r="3" fill="{colour}"/>'
            for across_, value in line
        ]
        parts.append(f'<text x="{right + 8}" y="{height + 4:.1f}" style="fill:{colour}">{escape(name)}</text>')
    return _svg(bottom + 46, parts)


def apart(heights: Sequence[float], least: float = 15) -> list[float]:
    """The heights of labels that are not to overlap: as wanted, or as little lower as is needed."""
    order = sorted(range(len(heights)), key=heights.__getitem__)
    found = list(heights)
    for above, below in pairwise(order):
        found[below] = max(found[below], found[above] + least)
    return found


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, *, strong: bool = False) -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="#888" stroke-opacity="{1 if strong else 0.25}"/>'


def _svg(height: float, parts: list[str]) -> str:
    size = f'width="{WIDTH}" height="{height:.0f}" viewBox="0 0 {WIDTH} {height:.0f}"'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', STYLE, *parts, "</svg>"]) + "\n"
