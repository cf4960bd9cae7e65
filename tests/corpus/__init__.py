"""Recorded exchanges with providers, replayed; `LLMTRACE_CORPUS` says where they are."""
