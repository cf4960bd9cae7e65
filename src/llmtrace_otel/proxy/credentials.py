"""Who may use the proxy: the children that are known, each by an id and a token of its own."""

from __future__ import annotations

from hmac import compare_digest

from llmtrace_otel.proxy.messages import Child


class Credentials:
    """The children whose credentials hold."""

    def __init__(self) -> None:
        self._children: dict[str, Child] = {}

    def add(self, child: Child) -> None:
        """From now on the child may use the proxy."""
        self._children[child.id] = child

    def remove(self, child_id: str) -> None:
        """From now on it may not."""
        self._children.pop(child_id, None)

    def knows(self, child_id: str) -> bool:
        """Whether a child of that id was announced and is not over."""
        return child_id in self._children

    def child(self, child_id: str, token: str) -> Child | None:
        """The child that has this id and this token; how long the answer takes tells nothing of the token."""
        found = self._children.get(child_id)
        expected = found.token if found is not None else ""
        is_right = compare_digest(expected.encode(), token.encode("utf-8", "surrogateescape"))
        return found if is_right else None
