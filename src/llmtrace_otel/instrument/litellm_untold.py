"""Calls that LiteLLM has answered and has not told its callbacks of: written when the program ends.

LiteLLM tells of asynchronous calls in tasks of their own, which `asyncio.run` cancels when it returns: of calls that
ended just before that, it may tell nothing. The answers are kept, a few of them, until they are told.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, NamedTuple

MAX_KEPT: Final = 256

Tell = Callable[[Mapping[str, Any], Any, Any, Any], None]


class Answered(NamedTuple):
    """What LiteLLM would tell, and whom; a process that was forked meanwhile leaves it to its parent."""

    tell: Tell
    details: Mapping[str, Any]
    response: Any
    end: datetime
    process: int

    def __call__(self) -> None:
        hidden = getattr(self.response, "_hidden_params", None) or {}
        details = {**self.details, "response_cost": hidden.get("response_cost")}
        self.tell(details, self.response, details.get("start_time"), self.end)


_kept: dict[tuple[str, str], Answered] = {}


def keep(owner: str, tell: Tell, request: Mapping[str, Any], response: Any) -> None:
    """Keeps an answer for when the program ends, unless LiteLLM means to say nothing of the call. May raise."""
    details = getattr(request.get("litellm_logging_obj"), "model_call_details", None)
    call_id = request.get("litellm_call_id")
    if not isinstance(details, dict) or not isinstance(call_id, str) or _is_private(details):
        return
    _kept[owner, call_id] = Answered(tell, details, response, datetime.now().astimezone(), os.getpid())
    if len(_kept) > MAX_KEPT:
        _kept.pop(next(iter(_kept)), None)


def _is_private(details: dict[str, Any]) -> bool:
    """Whether LiteLLM made the call for itself, or the program does not want it, or what it says, to be logged."""
    from litellm._internal_context import is_internal_call  # type: ignore[import-not-found, unused-ignore]
    from litellm.litellm_core_utils.redact_messages import (  # type: ignore[import-not-found, unused-ignore]
        should_redact_message_logging,
    )

    params = details.get("litellm_params") or {}
    return bool(is_internal_call.get() or params.get("no-log") or should_redact_message_logging(details))


def told(owner: str, call_id: str | None) -> None:
    """LiteLLM has told of a call."""
    _kept.pop((owner, call_id or ""), None)


@atexit.register
def tell_all() -> None:
    """Tells of what is left, once LiteLLM has told what it still can, which is more than we know."""
    with suppress(Exception):
        _let_litellm_tell()
    for answered in list(_kept.values()):
        if answered.process == os.getpid():
            with suppress(Exception):
                answered()
    _kept.clear()


def _let_litellm_tell() -> None:
    from litellm.litellm_core_utils.logging_worker import (  # type: ignore[import-not-found, unused-ignore]
        GLOBAL_LOGGING_WORKER,
    )

    if _kept:
        GLOBAL_LOGGING_WORKER._flush_on_exit()  # which it is about to do itself
