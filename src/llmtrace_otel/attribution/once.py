"""What is made once for each provider: tracers, instruments, processors."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

Provider = TypeVar("Provider")
Made = TypeVar("Made")


def per_provider(make: Callable[[Provider], Made]) -> Callable[[Provider], Made]:
    """Remember what was made for the provider in force; outside tests it changes once, from proxy to SDK."""
    lock = threading.Lock()
    held: tuple[Provider, Made] | None = None

    def get(provider: Provider) -> Made:
        nonlocal held
        if held is None or held[0] is not provider:
            with lock:
                if held is None or held[0] is not provider:
                    held = (provider, make(provider))
        return held[1]

    return get
