"""Numbers and hostile names as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtrace_otel.read.text import clean, flow, moment, money, seconds, share, tokens


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "–"), (0, "0"), (999, "999"), (1000, "1.0k"), (1234, "1.2k"), (9949, "9.9k"), (9950, "10k"),
        (24_400, "24k"), (999_499, "999k"), (999_500, "1.0M"), (3_140_000, "3.1M"), (12_000_000_000, "12000M"),
    ],
)  # fmt: skip
def test_tokens(count, text):
    assert tokens(count) == text


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (None, "–"), (0, "$0.00"), (0.00000014, "$1.4e-07"), (0.00001234, "$0.00001234"), (0.0011, "$0.0011"),
        (0.022712345, "$0.02271"), (0.09999999, "$0.10"), (0.5, "$0.50"), (12.5, "$12.50"), (12.345, "$12.35"),
        (999.999, "$1000.00"), (1234.567, "$1234.57"),
    ],
)  # fmt: skip
def test_money_has_four_significant_digits_and_always_cents(usd, text):
    assert money(usd) == text


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (None, "–"), (0, "0ms"), (0.0123, "12ms"), (0.9994, "999ms"), (0.9996, "1.0s"), (99.94, "99.9s"),
        (99.96, "1m40s"), (125, "2m05s"), (3599.6, "1h00m"), (3720, "1h02m"),
    ],
)  # fmt: skip
def test_seconds(duration, text):
    assert seconds(duration) == text


def test_what_is_absent_is_shown_as_absent():
    assert (flow(None, None), flow(12, None), flow(None, 3), flow(1200, 85)) == ("–", "12→–", "–→3", "1.2k→85")
    assert (share(None, 9), share(9, None), share(0, 0), share(0, 9), share(46, 100)) == ("–", "–", "–", "0%", "46%")
    assert moment(0) is None


def test_a_time_is_utc():
    assert str(moment(1_795_000_000_123_456_789)) == "2026-11-18 11:06:40.123456+00:00"


@pytest.mark.parametrize(
    ("hostile", "harmless"),
    [
        ("\x1b[31mred\x1b[0m", "�[31mred�[0m"),
        ("two\r\nlines\tand\u2028more", "two  lines and more"),
        ("\x9b2J", "�2J"),
        ("a\u202ecba", "a�cba"),
        ("\ud800", "�"),
        ("naïve 模型", "naïve 模型"),
        ("x" * 300, "x" * 199 + "…"),
    ],
)
def test_names_cannot_drive_a_terminal(hostile, harmless):
    assert clean(hostile) == harmless


@given(st.text(), st.integers(1, 50))
def test_clean_text_is_printable_and_short(text, limit):
    cleaned = clean(text, limit)
    assert cleaned.isprintable()
    assert len(cleaned) <= limit


@given(st.floats(0, 1e12))
def test_money_is_never_shown_as_zero_unless_it_is(usd):
    assert (money(usd) == "$0.00") is (usd == 0)
