"""How long the fuzzers run: short by default, `LLMTRACE_FUZZ_EXAMPLES=20000` for a long look."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("LLMTRACE_FUZZ_EXAMPLES", "80"))

fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)

_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)


def json_values(keys: st.SearchStrategy[str], words: st.SearchStrategy[str] | None = None) -> st.SearchStrategy[Any]:
    """Any JSON; objects have the keys, and texts now and then the words, that a format uses."""
    leaves = _scalars if words is None else _scalars | words
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=6),
        max_leaves=20,
    )


@st.composite
def cut(draw: st.DrawFn, body: bytes) -> list[bytes]:
    """`body` in up to eight pieces, some of them empty."""
    at = sorted(draw(st.lists(st.integers(0, len(body)), max_size=7)))
    return [body[start:stop] for start, stop in zip([0, *at], [*at, len(body)], strict=True)]
