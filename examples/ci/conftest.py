"""A recording needs no key, but the SDK wants to see one."""

import os

os.environ.setdefault("OPENAI_API_KEY", "not-needed-for-a-replay")
