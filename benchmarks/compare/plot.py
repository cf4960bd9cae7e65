"""The pictures, drawn as SVG by hand: bars and lines on logarithmic axes, readable on light and dark pages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, LABELS, LINE = 760, 230, 22
COLOURS = {"on": "#d98032", "off": "#3a78b5", "delta": "#4b9b5f"}
OURS = "#c0392b"
STYLE = "<style>text{font:12px sans-serif;fill:#777}.t{font-size:14px;font-weight:bold}</style>"


class Bar(NamedTuple):
    """One value; `ours` are drawn apart."""

    label: str
    value: float
    ours: bool = False


class Scale:
    """A logarithmic axis from the power of ten below the least value to the one above the most."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        self.low = math.floor(math.log10(min(values)))
        self.high = max(math.ceil(math.log10(max(values))), self.low + 1)
        self._start, self._end = start, end

    def at(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self._start + share * (self._end - self._start)

    def ticks(self) -> list[float]:
        return [10.0**power for power in range(self.low, self.high + 1)]


def bars(title: str, found: Sequence[Bar]) -> str:
    """Horizontal bars, the least first. Values are positive."""
    found = sorted(found, key=lambda bar: bar.value)
    scale = Scale([bar.value for bar in found], LABELS, WIDTH - 60)
    bottom = 40 + LINE * len(found)
    parts = [_text(10, 20, title, "t")]
    for tick in scale.ticks():
        parts += [_line(scale.at(tick), 30, scale.at(tick), bottom), _text(scale.at(tick), bottom + 16, f"{tick:g}")]
    for number, bar in enumerate(found):
        top, colour = 36 + LINE * number, OURS if bar.ours else COLOURS["off"]
        width = max(1.0, scale.at(bar.value) - LABELS)
        parts.append(f'<rect x="{LABELS}" y="{top}" width="{width:.1f}" height="{LINE - 6}" fill="{colour}"/>')
        parts.append(_text(LABELS - 8, top + 13, bar.label, anchor="end"))
        parts.append(_text(LABELS + width + 5, top + 13, f"{bar.value:.3g}"))
    return _svg(bottom + 26, parts)


def lines(title: str, series: dict[str, list[tuple[float, float]]], across: str) -> str:
    """One line per series, both axes logarithmic; points are positive. A series' colour is that of its last word."""
    points = [point for line in series.values() for point in line]
    x = Scale([point[0] for point in points], 70, WIDTH - 200)
    y = Scale([point[1] for point in points], 300, 40)
    parts = [_text(10, 20, title, "t"), _text(70, 340, across)]
    for tick in x.ticks():
        parts += [_line(x.at(tick), 40, x.at(tick), 300), _text(x.at(tick), 316, f"{tick:g}", anchor="middle")]
    for tick in y.ticks():
        parts += [_line(70, y.at(tick), WIDTH - 200, y.at(tick)), _text(62, y.at(tick) + 4, f"{tick:g}", anchor="end")]
    for name, line in series.items():
        colour = COLOURS.get(name.rpartition(" ")[2], "#888")
        path = " ".join(f"{x.at(across_):.1f},{y.at(value):.1f}" for across_, value in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(_text(x.at(line[-1][0]) + 6, y.at(line[-1][1]) + 4, name))
    return _svg(350, parts)


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#8885"/>'


def _svg(height: float, parts: list[str]) -> str:
    size = f'width="{WIDTH}" height="{height:.0f}" viewBox="0 0 {WIDTH} {height:.0f}"'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', STYLE, *parts, "</svg>"]) + "\n"
