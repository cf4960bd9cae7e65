"""Every case of the table gives what the official collector gave, and what it refuses is refused.

`scripts/record_official_processors.py` recorded the table.
"""

from __future__ import annotations

import hashlib

import pytest
from processor_helpers import TABLE, in_any_order, made, processed

from llmtrace_collector.errors import ConfigError


@pytest.mark.parametrize("case", TABLE["cases"], ids=lambda case: f"{case['processor']}: {case['name']}")
def test_what_the_official_collector_makes_of_it(case):
    processor = made(case["processor"], case["settings"], case["signal"])
    assert in_any_order(processed(processor, TABLE["requests"][case["request"]], case["signal"])) == in_any_order(
        case["output"]
    )


@pytest.mark.parametrize("case", TABLE["refused"], ids=lambda case: f"{case['processor']}: {case['name']}")
def test_what_the_official_collector_refuses(case):
    with pytest.raises(ConfigError, match=f"processors.{case['processor']}"):
        made(case["processor"], case["settings"], case["signal"])


@pytest.mark.parametrize(
    "run", TABLE["samples"]["runs"], ids=lambda run: "{mode} {sampling_percentage} {sampling_precision}".format(**run)
)
def test_the_same_traces_are_kept(run):
    ids = [hashlib.sha256(str(index).encode()).hexdigest()[:32] for index in range(TABLE["samples"]["traces"])]
    spans = [{"traceId": trace, "spanId": f"{index + 1:016x}"} for index, trace in enumerate(ids)]
    asked = {key: value for key, value in run.items() if key != "trace_states"}
    line = processed(made("probabilistic_sampler", asked), {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]})
    kept = line["resourceSpans"][0]["scopeSpans"][0]["spans"] if line else []
    expected = {trace: state for trace, state in zip(ids, run["trace_states"], strict=True) if state}
    assert {span["traceId"]: span["traceState"] for span in kept} == expected
