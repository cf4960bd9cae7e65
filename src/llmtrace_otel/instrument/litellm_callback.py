"""`LLMTraceCallback`: conversation records from LiteLLM's own callbacks, without any instrumentation.

    litellm.callbacks = [LLMTraceCallback(jsonl_path="conversations.jsonl")]

LiteLLM may tell a call more than once: to its synchronous and its asynchronous callbacks, to a callback that is
registered for all calls and again for one, from a function of its own that another one calls. One record is written.
Pieces of streams are not listened to, only their end. Attempts that LiteLLM makes one after the other under one id, for
a retry or a fallback, are a failure and a success.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from litellm.integrations.custom_logger import CustomLogger  # type: ignore[import-not-found, unused-ignore]

from llmtrace_otel.conversations.files import FilePerSession, OneFile
from llmtrace_otel.instrument import litellm_untold
from llmtrace_otel.instrument.litellm_records import record_of
from llmtrace_otel.output.notice import say

if TYPE_CHECKING:
    import os

    from llmtrace_otel.conversations.files import Destination
    from llmtrace_otel.conversations.record import EventType

MAX_SEEN: Final = 10_000


class Seen:
    """Remembers the last keys that it was shown. Without a lock, which a fork could leave locked."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._keys: dict[Hashable, object] = {}
        self._order: deque[Hashable] = deque()

    def first(self, key: Hashable) -> bool:
        """Whether the key is new; of threads that ask at once, one is told so."""
        mine = object()
        if self._keys.setdefault(key, mine) is not mine:
            return False
        self._order.append(key)
        if len(self._order) > self._size:
            self._keys.pop(self._order.popleft(), None)
        return True

    def lacks(self, key: Hashable) -> bool:
        """Whether the key has not been shown."""
        return key not in self._keys


_written = Seen(MAX_SEEN)
"""Of all callbacks: two that write the same file may be told of the same call."""


class LLMTraceCallback(CustomLogger):  # type: ignore[misc, unused-ignore]  # LiteLLM may not be there to check against
    """Writes a conversation record for each of LiteLLM's calls, as it ends.

    Args:
        jsonl_path: The file to which records are appended, one JSON object per line.
        directory: Instead of that, a directory with a file for each session.

    Raises:
        ValueError: Neither is given, or both.
    """

    def __init__(
        self,
        jsonl_path: str | os.PathLike[str] | None = None,
        *,
        directory: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__()
        self._destination = _destination(jsonl_path, directory)
        self._place = str(self._destination.path)
        self._said = False

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Writes the record of a call that was answered. Never raises."""
        self._write("success", kwargs, response_obj, start_time, end_time)

    def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Writes the record of a call that failed. Never raises."""
        self._write("failure", kwargs, response_obj, start_time, end_time)

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Writes the record of an asynchronous call that was answered. Never raises."""
        self._write("success", kwargs, response_obj, start_time, end_time)

    async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Writes the record of an asynchronous call that failed. Never raises."""
        self._write("failure", kwargs, response_obj, start_time, end_time)

    async def async_post_call_success_deployment_hook(self, request_data: Any, response: Any, call_type: Any) -> None:
        """Keeps the answer of an asynchronous call until LiteLLM tells of it. Never raises, changes nothing."""
        with suppress(Exception):
            if _written.lacks((self._place, request_data.get("litellm_call_id"))):
                litellm_untold.keep(self._place, self.log_success_event, request_data, response)

    def _write(self, event_type: EventType, kwargs: Any, response: Any, start: Any, end: Any) -> None:
        try:
            record = record_of(event_type, kwargs, response, start, end)
            if event_type == "success":
                litellm_untold.told(self._place, record.call_id)
                _written.first((self._place, record.call_id))
            if record.call_id is None or _written.first((self._place, record.call_id, event_type, record.model)):
                self._destination.write(record)
        except Exception as error:
            self._say_once(error)

    def _say_once(self, error: Exception) -> None:
        if not self._said:
            self._said = True
            reason = getattr(error, "strerror", None) or repr(error)
            say(f"no conversation record could be written to {self._place}: {reason}; the program goes on without")


def _destination(jsonl_path: Any, directory: Any) -> Destination:
    if (jsonl_path is None) == (directory is None):
        raise ValueError("LLMTraceCallback takes either jsonl_path, one file, or directory, a file for each session")
    return FilePerSession(directory) if jsonl_path is None else OneFile(jsonl_path)
