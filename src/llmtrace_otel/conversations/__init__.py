"""Conversation records: what was said in each LLM call, one JSON line per call, for people and for data sets.

`record.py` says what a record is, `chat.py` how its messages look, `files.py` where records go. They come from LiteLLM
while it runs (`instrument/litellm_callback.py`) or from recorded spans (`from_spans.py`): the same records either way.
"""
