"""Assertions on what a program asked of models and spent: the rules engine behind pytest and `llmtrace check`.

`Trace` is what a test looks at. Plain `assert` works on its numbers; `assert_tools` and `assert_tree` say what
differs.
"""

from __future__ import annotations

from llmtrace_otel.check.amounts import Unknown
from llmtrace_otel.check.errors import NotEvaluableError, RuleError
from llmtrace_otel.check.steps import Durations, Step, Steps, Tokens
from llmtrace_otel.check.trace import Trace

__all__ = ["Durations", "NotEvaluableError", "RuleError", "Step", "Steps", "Tokens", "Trace", "Unknown"]
