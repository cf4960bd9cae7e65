"""Who still has a child's credentials: the child itself, or a process below it that has outlived it.

On Linux the environments of one's own processes tell. Elsewhere a child counts as long as it, or the process group that
it leads, is there.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

_PROCESSES = Path("/proc")


def holders(tokens: Mapping[str, str], pids: Mapping[str, int]) -> set[str]:
    """Of the children in `tokens`, those whose token some process still has.

    Args:
        tokens: The children's tokens by their ids.
        pids: Their process ids, as far as known.

    Raises OSError where no file can be opened, so that nothing is known.
    """
    if not tokens:
        return set()
    if not (_PROCESSES / "self/environ").exists():
        return {child for child in tokens if child in pids and _is_there(pids[child])}
    left = {child: token.encode() for child, token in tokens.items()}
    found: set[str] = set()
    for environment in _environments():
        found |= {child for child, token in left.items() if token in environment}
    return found


def _environments() -> Iterator[bytes]:
    for process in _PROCESSES.iterdir():
        if process.name.isdecimal() and int(process.name) != os.getpid():
            try:
                yield (process / "environ").read_bytes()
            except OSError as error:  # another user's, or just gone
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    raise


def _is_there(pid: int) -> bool:
    for exists in (os.kill, os.killpg):
        try:
            exists(pid, 0)
        except ProcessLookupError:
            continue
        except OSError:
            return True
        return True
    return False
