"""What the collector tells of itself: counts, what LLM calls add up to, the live view, `/metrics`, the last line."""
