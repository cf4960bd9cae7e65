"""The embedded collector behind `llmtrace collect`: OTLP in, OTLP JSON lines out, forwarding if told.

`run.collect` is the way in: configuration → receiver → pipeline → exporters.
"""
